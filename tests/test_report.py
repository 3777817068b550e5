from __future__ import annotations

import argparse
import json
import re
import shlex

import mrcfile
import numpy as np
import pytest

from browser_helpers import LOW_CONTRAST, open_browser, prefer
from heliodor.cli import extract, main
from heliodor.errors import FormatError, SettingsError
from heliodor.evaluation import evaluate
from heliodor.evaluation.reliability import reliability
from heliodor.files import write_text
from heliodor.formats import star, write_picks
from heliodor.names import MicrographFile
from heliodor.picking.answers import NO, OPEN, YES, Answers, write_answers
from heliodor.picking.density import Average
from heliodor.picks import Picks
from heliodor.report.detections import Detections
from heliodor.report.run import read_run
from heliodor.report.tally import Tally, even, extremes, oddest
from heliodor.report.write import write_report
from report_helpers import (
    DIAMETER,
    PIXEL_SIZE,
    Page,
    change_record,
    micrograph,
    some_picks,
    write_micrographs,
    write_run,
)

NONE = Picks([], np.empty((0, 2)))


@pytest.fixture
def run(tmp_path):
    """Three micrographs, of 5, 9 and 0 picks; 4 labels on the first, of which 3 are on picks."""
    names = ["001", "a.b.c", "with space"]
    files = write_micrographs(tmp_path / "mics", names)
    picks = some_picks(names, [5, 9, 0])
    xy = np.vstack([picks.xy[:3] + 1, [[5, 170]]])
    return write_run(tmp_path / "out", files, picks, Picks.on("001", xy)), picks


def report(folder, **options) -> Page:
    return Page(write_report(folder, **options).read_text(encoding="utf-8"))


def test_its_numbers_are_those_of_the_run(run):
    folder, picks = run
    page = report(folder)
    assert "picks 14 on 2 micrographs" in page.text
    assert "micrographs 3 none skipped" in page.text
    assert "picks per micrograph 5 median; 0 to 9" in page.text
    assert "expected per micrograph 21.5" in page.text
    assert "threshold 0.75" in page.text
    assert "labels 4 on 1 micrograph; 3 have a pick" in page.text
    assert "time 63 s training 61 s" in page.text
    assert "1 micrograph without any pick." in page.text
    assert "1 of 4 labels without a pick near" in page.text
    low = np.quantile(picks.scores, 0.1)
    assert page.count("svg", class_="plot") == 6
    assert page.count("circle", class_="low") == (picks.scores < low).sum()
    assert page.count("circle", class_="pick") == (picks.scores >= low).sum()
    assert f"median score {np.median(picks.of('a.b.c').scores):.2f}".rstrip("0") in page.text
    for version in ("numpy", "torch"):
        assert f"{version} {json.loads((folder / 'run.json').read_text())['versions'][version]}" in page.text


def test_it_is_one_file_that_asks_for_nothing(run):
    folder, _ = run
    text = write_report(folder).read_text(encoding="utf-8")
    page = Page(text)
    policy = next(found for tag, found in page.tags if "http-equiv" in found)
    assert "default-src 'none'" in policy["content"]
    for tag, found in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "base", "form")
        assert not any(name.startswith("on") for name in found)
        for name in ("src", "href"):
            assert found.get(name, "#").startswith(("#", "data:image/")), (tag, found)
    assert not re.search(r"https?:|url\(|@import", text)


def test_a_browser_shows_it_in_dark_and_light_and_prints_all_of_it(run):
    folder, _ = run
    write_report(folder)
    driver = open_browser()
    try:
        driver.get(f"file://{folder}/report.html")
        for scheme in ("light", "dark"):
            prefer(driver, scheme)
            assert driver.execute_script(LOW_CONTRAST) == []
        paper = {"width": 794 - 106, "height": 1000, "deviceScaleFactor": 1, "mobile": False}  # A4, less its margins
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", paper)
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        cut_off = driver.execute_script(
            "return [...document.querySelectorAll('main *:not(svg *)')].filter((one) => one.scrollWidth > "
            "one.clientWidth + 1 && getComputedStyle(one).display !== 'inline').map((one) => one.outerHTML)"
        )
        assert cut_off == []
        assert driver.execute_script("return document.documentElement.scrollWidth") <= paper["width"]
        tops = driver.execute_script("return [...document.querySelectorAll('.averages img')].map((one) => one.y)")
        assert len(tops) == 5
        assert len(set(tops)) == 1
        assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0
        assert driver.get_log("browser") == []
    finally:
        driver.quit()


def test_names_are_text_and_never_markup(tmp_path):
    name = """<script>alert(1)<img src=x onerror=alert(2)> & "quotes" 'and' \x07"""
    files = write_micrographs(tmp_path / "mics", [name, "plain"])
    lost = MicrographFile(tmp_path / "mics" / "</table><b>.mrc", "</table><b>")
    picks = some_picks([name, "plain"], [4, 4])
    folder = tmp_path / "<i>out&amp;"
    write_run(folder, [*files, lost], picks, Picks.on(name, picks.xy[:1]), failed={str(lost.path): "<u>why</u>"})
    page = report(folder)
    assert page.count("script") == page.count("b", onclick="") == page.count("i") == page.count("u") == 0
    shown = name.replace("\x07", "\\x07")
    assert " ".join(shown.split()) in page.text
    assert "</table><b> <u>why</u>" in page.text
    assert "<i>out&amp;" in page.text


def test_a_name_of_bytes_that_are_no_text(run):
    folder, _ = run
    change_record(folder, failed={"caf\udce9.mrc": "cannot be read"})
    assert "caf\\udce9.mrc" in report(folder).text


def test_without_any_pick(tmp_path):
    files = write_micrographs(tmp_path / "mics", ["a", "b"])
    page = report(write_run(tmp_path / "out", files, NONE, Picks.on("a", [[50, 50]])))
    assert "picks 0 on 0 micrographs" in page.text
    assert "There is no detection." in page.text
    assert "There is no pick with a whole window" in page.text
    assert page.count("image") == 2


def test_one_micrograph_with_one_pick(tmp_path):
    files = write_micrographs(tmp_path / "mics", ["only"])
    picks = Picks.on("only", [[100, 90]], [3.0])
    page = report(write_run(tmp_path / "out", files, picks, Picks.on("only", [[100, 90]])))
    assert "picks 1 on 1 micrograph " in page.text
    assert "1 window of" in page.text
    assert page.count("image") == 1


def test_micrographs_that_moved_are_named_and_found_again(run, tmp_path):
    folder, _ = run
    (tmp_path / "mics").rename(tmp_path / "moved")
    page = report(folder)
    assert "3 micrographs could not be read again for this report: not shown." in page.text
    assert "Not readable any more (3)" in page.text
    assert f"{tmp_path}/mics/a.b.c.mrc: there is no such file" in page.text
    assert page.count("image") == 0
    assert "picks 14 on 2 micrographs" in page.text
    assert main(["report", str(folder), "--micrographs", str(tmp_path / "moved")]) == 0
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert page.count("image") == 3
    assert "None was skipped" in page.text


def test_paths_count_from_where_the_run_was_started(run, tmp_path, monkeypatch):
    folder, _ = run
    record = json.loads((folder / "run.json").read_text())
    for entry in record["micrographs"]:
        entry["path"] = f"mics/{entry['name']}.mrc"
    record["working_folder"] = str(tmp_path)
    (folder / "run.json").write_text(json.dumps(record))
    monkeypatch.chdir("/")
    assert report(folder).count("image") == 3


def test_skipped_and_flagged_micrographs_are_listed(run):
    folder, _ = run
    path = json.loads((folder / "run.json").read_text())["micrographs"][2]["path"]
    change_record(
        folder, failed={path: "truncated or damaged"}, flags={"001": ["no contrast", "ice"], "a.b.c": "empty"}
    )
    page = report(folder)
    assert "1 micrograph of 3 could not be picked." in page.text
    assert "with space truncated or damaged" in page.text
    assert "001 no contrast, ice" in page.text
    assert "flagged: no contrast, ice" in page.text
    assert "a.b.c empty" in page.text
    assert page.count("image") == 2


def test_junk_is_marked(run, tmp_path):
    folder, _ = run
    pixels = micrograph(1)
    for y in range(0, pixels.shape[0], 30):
        for x in range(0, pixels.shape[1], 30):
            pixels[y : y + 14, x : x + 14] -= 80
    with mrcfile.new(tmp_path / "mics" / "a.b.c.mrc", overwrite=True) as mrc:
        mrc.set_data(pixels)
        mrc.voxel_size = PIXEL_SIZE
    assert report(folder).count("span", class_="key junk") == 0
    change_record(folder, junk_limits=[5.0, 5.0, 5.0, 5.0])
    page = report(folder)
    assert page.count("span", class_="key junk") == 1
    assert page.count("image") == 4
    share = int(re.search(r"a\.b\.c [^%]* junk (\d+)%", page.text)[1])
    assert 15 <= share <= 35  # of the area: (14 / 30)^2, and what blurs


def test_picks_against_defocus_where_it_is_known(run, tmp_path):
    folder, _ = run
    assert report(folder).count("svg", class_="plot") == 6
    rows = "\n".join(f"mics/{name}.mrc {u} {u + 100}" for name, u in (("001", 9950), ("a.b.c", 19950)))
    text = f"data_micrographs\n\nloop_\n_rlnMicrographName\n_rlnDefocusU\n_rlnDefocusV\n{rows}\n"
    (tmp_path / "ctf.star").write_text(text)
    assert main(["report", str(folder), "--micrographs", str(tmp_path / "ctf.star")]) == 0
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert "defocus 1 \N{MICRO SIGN}m" in page.text
    assert "defocus 2 \N{MICRO SIGN}m" in page.text
    assert page.count("svg", class_="plot") == 8


def test_ten_thousand_micrographs_need_few_of_their_images(tmp_path, monkeypatch):
    names = [f"long_name_of_a_micrograph_{k:05d}" for k in range(10_000)]
    there = write_micrographs(tmp_path / "mics", names[:1])[0]
    files = [MicrographFile(there.path, name, defocus=1e4 + k) for k, name in enumerate(names)]
    random = np.random.default_rng(0)
    picks = some_picks(names, random.integers(0, 12, len(names)).tolist())
    folder = write_run(tmp_path / "out", files, picks, Picks.on(names[0], [[50, 50]]))
    read = []
    monkeypatch.setattr("heliodor.picking.load.read_micrograph", counting(read))
    path = write_report(folder)
    assert len(read) <= 20
    assert path.stat().st_size < 4e6
    assert f"picks {len(picks):,} on" in Page(path.read_text(encoding="utf-8")).text


def counting(calls):
    from heliodor.micrographs import read_micrograph

    def read(path, **options):
        calls.append(path)
        return read_micrograph(path, **options)

    return read


def test_large_and_crowded_micrographs_stay_below_ten_megabytes(tmp_path):
    from heliodor.micrographs import Micrograph
    from heliodor.picking.geometry import derive_geometry
    from heliodor.report.images import LARGEST, jpeg, view

    pixels = np.random.default_rng(0).normal(size=(1500, 2000)).astype(np.float32)
    seen = view(
        Micrograph(pixels, 2.0, "m"),
        (1.0, 1.0),
        some_picks(["m"], [2000]),
        np.ones(2000, dtype=bool),
        None,
        derive_geometry(40, 2),
    )
    assert len(seen.picture) < 0.3e6  # of 17 micrographs, in base 64: 7 MB
    assert len(seen.windows) <= 300
    assert seen.size == (2000, 1500)
    assert len(jpeg(pixels[:100, :100])) < 20_000 < LARGEST**2


def write_candidates(folder, picks, below):
    """Write the detections of each micrograph: its picks, and others below the threshold."""
    found = Picks.join([picks, below])
    for file in json.loads((folder / "run.json").read_text())["micrographs"]:
        own = found.of(file["name"])
        own = own.select(np.argsort(-own.scores))
        write_text(folder / "candidates" / f"{file['name']}.star", star.to_text(own, with_names=False))


CALIBRATION = {"scores": [-3.0, 9.0], "probabilities": [0.1, 0.9]}
EVIDENCE = {
    "micrographs": 3,
    "particles_expected_on_each": 1.0,
    "detections": 20,
    "decoys_found": 7,
    "false_per_decoy": 0.456,
    "shift_of_decoys": 0.0,
    "cut_at_best_expected_f1": 0.75,
    "cut_at_expected_count": 2.0,
    "cut_at_probability_half": None,
}


def test_what_labels_say_is_no_particle_is_told(run):
    folder, picks = run
    write_candidates(folder, picks, Picks.on("001", picks.xy[:1], [-1]))
    change_record(folder, calibration=CALIBRATION, evidence={**EVIDENCE, "others_on_each": 11.6})
    assert "0.46 false ones. About 12 with scores above 0 on each look like no labelled" in report(folder).text


def test_candidates_that_are_no_picks_are_shown_apart(run):
    folder, picks = run
    below = Picks.on("with space", picks.xy[:6], [0.75, 0.5, 0, -1, -2, -3])
    write_candidates(folder, picks, below)
    estimates = {"expected_particles": 1.0, "particles_in_sample": 1.0, "threshold": 0.75}
    change_record(folder, calibration=CALIBRATION, evidence=EVIDENCE, estimates=estimates)
    page = report(folder)
    assert "20 detections on 3 micrographs. The threshold rests on 3 micrographs" in page.text
    assert "20 detections against 7 on the decoys, each standing for 0.46 false ones. It holds" in page.text
    assert "as many as expected" in page.text
    assert "probability of one half" not in page.text
    assert "The best that were not picked: scores 0.75 to" in page.text
    assert page.count("circle") - page.count("circle", r="5.5") == len(picks)
    first = picks.of("001").scores[0]
    odds = np.interp(first, [-3, 9], np.log([1 / 9, 9]))
    assert f"score {first:.2f}, probability {1 / (1 + np.exp(-odds)):.2f}" in page.text
    assert page.count("svg", class_="plot") == 8
    (folder / "candidates" / "001.star").unlink()
    with pytest.raises(FormatError, match=r"001\.star"):
        write_report(folder)


def test_picks_are_those_of_the_run_where_the_cut_differs_between_micrographs(run):
    folder, picks = run
    below = Picks.on("with space", picks.xy[:2], [0.9, 0.8])  # above the threshold, on a nearly empty micrograph
    write_candidates(folder, picks, below)
    change_record(folder, calibration=CALIBRATION, evidence=EVIDENCE, **Average(20.0, support=100.0).about())
    found = read_run(folder)
    tally = Tally.of(found)
    own, picked = Detections(found, tally, [2])[2]
    assert own.scores.tolist() == [0.9, 0.8]
    assert not picked.any()
    assert (own.probabilities < 0.5).all()
    change_record(folder, **Average().about())
    found = read_run(folder)
    assert Detections(found, tally, [2])[2][1].all()


def test_without_labels(run):
    folder, _ = run
    record = json.loads((folder / "run.json").read_text())
    record["lists"]["labels"] = []
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "training.tsv").unlink()
    page = report(folder)
    assert "labels 0 the general network picked" in page.text
    assert "Without labels, nothing was trained." in page.text
    assert page.count("path", class_="mark") == 0


def test_against_complete_labels(run, tmp_path):
    folder, picks = run
    write_candidates(folder, picks, Picks.on("a.b.c", [[60, 60]], [-2.0]))
    estimates = {"expected_particles": 1.0, "particles_in_sample": 1.0, "threshold": 0.75}
    change_record(folder, calibration=CALIBRATION, estimates=estimates)
    own = picks.of("a.b.c")
    found = evaluate(own, Picks.on("a.b.c", own.xy[:6]), DIAMETER / PIXEL_SIZE / 3).overall
    write_picks(tmp_path / "truth.star", Picks.on("mics/a.b.c.mrc", own.xy[:6]))
    assert main(["report", str(folder), "--labels", str(tmp_path / "truth.star")]) == 0
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert "6 labels on 1 micrograph, of which 0 had labels in training." in page.text
    assert f"precision of the picks {found.precision:.3f}" in page.text
    assert f"recall {found.recall:.3f}" in page.text
    assert "expected calibration error" in page.text


def test_against_answers(run, tmp_path, capsys):
    folder, picks = run
    below = Picks.on("a.b.c", [[60, 60]], [-2.0])
    write_candidates(folder, picks, below)
    estimates = {"expected_particles": 1.0, "particles_in_sample": 1.0, "threshold": 0.75}
    change_record(folder, calibration=CALIBRATION, estimates=estimates)
    asked = Picks.join([picks.select([3, 9, 1]), below])
    write_answers(tmp_path / "audit.tsv", Answers(asked, [YES, YES, OPEN, NO]))
    command = ["report", str(folder), "--audit", str(tmp_path / "audit.tsv")]
    assert main(command) == 0
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert "3 answers to \u201cis this a particle?\u201d, of which 2 are yes." in page.text
    assert "--threshold=" not in page.text
    odds = np.log([1 / 9, 9])
    chances = 1 / (1 + np.exp(-np.interp(asked.scores[[0, 1, 3]], [-3, 9], odds)))
    error = reliability(chances, [True, True, False], bins=5).error
    assert f"expected calibration error {error:.3f}" in page.text
    for other in (asked.renamed({"001": "of another run"}), Picks(asked.names, asked.xy + 0.01, asked.scores)):
        write_answers(tmp_path / "audit.tsv", Answers(other, [YES, YES, OPEN, NO]))
        assert main(command) == 2
        assert "that this run does not have" in capsys.readouterr().err
    write_answers(tmp_path / "audit.tsv", Answers(asked))
    assert main(command) == 2
    assert "no question" in capsys.readouterr().err


def test_other_micrographs_are_picked_with_the_threshold_of_the_answers(run):
    folder, _ = run
    estimates = {"expected_particles": 1.0, "particles_in_sample": 1.0, "threshold": -0.0625}
    precision = {"middle": 0.9, "low": 0.8, "high": 0.95}
    audit = {"answers": 60, "without_answers": 0.75, "threshold": -0.0625, "precision": precision}
    change_record(folder, estimates=estimates, audit=audit)
    command = next(line for line in report(folder).words if line.startswith("heliodor extract"))
    parser = argparse.ArgumentParser()
    extract.add_arguments(parser)
    assert parser.parse_args(shlex.split(command)[2:]).threshold == -0.0625


def test_labels_of_other_micrographs_are_refused(run, tmp_path, capsys):
    folder, picks = run
    write_picks(tmp_path / "truth.txt", picks.renamed({"001": "other", "a.b.c": "another"}))
    assert main(["report", str(folder), "--labels", str(tmp_path / "truth.txt")]) == 2
    assert "no name in the table means a given micrograph" in capsys.readouterr().err


def test_reliability_is_that_of_a_loop():
    random = np.random.default_rng(0)
    p = np.append(random.random(500), [0.0, 1.0])
    true = random.random(502) < p**2
    found = reliability(p, true, bins=5)
    gaps = []
    for k in range(5):
        inside = (p >= k / 5) & ((p < (k + 1) / 5) | (k == 4))
        assert found.counts[k] == inside.sum()
        assert found.claimed[k] == pytest.approx(p[inside].mean())
        assert found.true[k] == pytest.approx(true[inside].mean())
        assert found.low[k] < found.true[k] < found.high[k]
        gaps += [abs(p[inside].mean() - true[inside].mean())] * inside.sum()
    assert found.error == pytest.approx(np.mean(gaps))
    assert len(reliability([], []).counts) == 0


def test_a_folder_without_a_run_is_refused(tmp_path, run, capsys):
    folder, _ = run
    assert main(["report", str(tmp_path)]) == 2
    assert "holds no run.json" in capsys.readouterr().err
    record = json.loads((folder / "run.json").read_text())
    del record["result"]
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(SettingsError, match="not finished"):
        write_report(folder)
    (folder / "run.json").write_text("{")
    with pytest.raises(SettingsError, match="damaged"):
        write_report(folder)


def test_damaged_tables_are_refused(run):
    folder, _ = run
    for text, cause in (("epoch\tloss\n1\tx\n", "not a table of numbers"), ("", "is empty")):
        (folder / "training.tsv").write_text(text)
        with pytest.raises(FormatError, match=rf"training\.tsv: {cause}"):
            write_report(folder)
    (folder / "training.tsv").unlink()
    assert "training.tsv is not there" in report(folder).text
    text = (folder / "picks.txt").read_text()
    (folder / "picks.txt").write_text(text.replace("001\t", "002\t"))
    with pytest.raises(FormatError, match="'002', which is no micrograph of the run"):
        write_report(folder)


def test_the_tally_is_that_of_a_loop(run):
    folder, _ = run
    found = read_run(folder)
    tally = Tally.of(found)
    for row, file in enumerate(found.micrographs):
        own = found.picks.of(file.name)
        assert tally.counts[row] == len(own)
        assert tally.picks(row).scores.tolist() == sorted(own.scores.tolist(), reverse=True)
        assert np.isnan(tally.scores[row]) if len(own) < 3 else tally.scores[row] == np.median(own.scores)


def test_choice_of_micrographs():
    assert even(10, 4).tolist() == [0, 3, 6, 9]
    assert even(2, 4).tolist() == [0, 1]
    assert even(0, 4).tolist() == []
    assert extremes(np.array([3, np.nan, 1, 7]), "low", "high") == {3: "high", 2: "low"}
    assert extremes(np.array([3, np.nan, 3]), "low", "high") == {}
    counts = np.array([10, 11, 9, 10, 50, 12], dtype=float)
    assert oddest(counts, np.full(6, np.nan)) == 4
    assert oddest(np.ones(5), np.full(5, np.nan)) is None
