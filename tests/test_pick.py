from __future__ import annotations

import json
import os
import shutil

import mrcfile
import numpy as np
import pytest

from heliodor.cli import main
from heliodor.evaluation import match
from heliodor.formats import read_picks, write_picks
from heliodor.micrographs import read_micrograph
from heliodor.picking import pick as pick_module
from heliodor.picking.answers import OPEN, YES, Answers, write_answers
from heliodor.picking.audit import draw_sample
from heliodor.picking.detect import MASKED
from heliodor.picking.geometry import derive_geometry
from heliodor.picking.pick import PickResult
from heliodor.picks import Picks
from report_helpers import Page


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    folder, truth = dataset
    place = tmp_path_factory.mktemp("run")
    labels = Picks.join([Picks.on(name, truth[name][:8]) for name in ("001", "a.b.c")])
    write_picks(place / "labels.txt", labels)
    words = [
        "pick",
        str(folder),
        "--labels",
        str(place / "labels.txt"),
        "--diameter",
        "40",
        "--epoch-size",
        "25",
        "--threads",
        "1",
    ]
    words += [
        "--expected-particles",
        "12",
        "--units",
        "16",
        "--threshold",
        "-6",
        "--junk-mask",
        "-o",
        str(place / "out"),
    ]
    assert main(words) == 0
    return folder, truth, place, words


def test_it_finds_the_particles_of_micrographs_without_labels(run):
    _, truth, place, _ = run
    picks = read_picks(place / "out" / "picks.txt")
    for name in ("with space", "plain"):
        best = picks.of(name)
        best = best.select(np.argsort(-best.scores)[:12])
        assert match(best.xy, best.scores, truth[name], 8.0).hit.mean() > 0.8


def test_it_writes_what_it_promises(run):
    folder, _, place, _ = run
    out = place / "out"
    assert {
        "picks.star",
        "picks.txt",
        "candidates.star",
        "candidates.txt",
        "model.safetensors",
        "training.tsv",
        "run.json",
        "report.html",
    } <= {p.name for p in out.iterdir()}
    assert sorted(p.name for p in (out / "micrographs").iterdir()) == [
        "001.star",
        "a.b.c.star",
        "plain.star",
        "with space.star",
    ]
    record = json.loads((out / "run.json").read_text())
    assert record["settings"]["seed"] == 0
    assert record["result"]["picks"] == len(read_picks(out / "picks.txt"))
    candidates = read_picks(out / "candidates.txt")
    assert len(candidates.above(record["result"]["estimates"]["threshold"])) == record["result"]["picks"]
    for _, own in candidates.by_micrograph():  # with fewer particles, the same score means less
        assert (np.diff(own.probabilities[np.argsort(own.scores)]) >= 0).all()
    kept = candidates.probabilities[candidates.scores > record["result"]["estimates"]["threshold"]]
    for suffix in ("txt", "star"):
        assert sorted(read_picks(out / f"picks.{suffix}").probabilities) == sorted(kept)
    assert np.isnan(read_picks(out / "micrographs" / "001.star").probabilities).all()  # columns that RELION knows
    page = Page((out / "report.html").read_text(encoding="utf-8")).text
    assert f"picks {record['result']['picks']:,} on 4 micrographs" in page
    assert f"{len(candidates):,} detections on 4 micrographs" in page
    star = read_picks(out / "picks.star")
    assert set(star.names) == {str(folder / f"{n}.mrc") for n in ("001", "a.b.c", "with space", "plain")}


def test_bad_micrographs_are_flagged_and_picked_all_the_same(run, dataset, tmp_path, capsys):
    _, _, place, words = run
    record = json.loads((place / "out" / "run.json").read_text())
    assert record["result"]["flags"] == {}
    shutil.copytree(place / "out", tmp_path / "out")
    noise = np.random.default_rng(0).normal(100, 10, (240, 260)).astype(np.float32)
    with mrcfile.new(tmp_path / "bad one.mrc") as mrc:
        mrc.set_data(noise)
        mrc.voxel_size = 2.0
    again = [*replaced(words, "-o", str(tmp_path / "out")), str(tmp_path / "bad one.mrc")]
    for _ in range(2):  # what was flagged stays so when nothing is left to do
        assert main(again) == 0
        flags = json.loads((tmp_path / "out" / "run.json").read_text())["result"]["flags"]
        assert list(flags) == ["bad one"]
        assert "no contrast" in flags["bad one"][0]
        assert "look at bad one: no contrast" in capsys.readouterr().out


def test_extract_masks_junk_by_what_the_model_knows(run, tmp_path, capsys):
    folder, truth, place, _ = run
    model = str(place / "out" / "model.safetensors")
    with mrcfile.open(folder / "plain.mrc") as mrc:
        pixels = mrc.data.copy()
    x, y = np.rint(truth["plain"][0]).astype(int)
    pixels[max(y - 8, 0) : y + 8, max(x - 8, 0) : x + 8] = -300
    with mrcfile.new(tmp_path / "gold.mrc") as mrc:
        mrc.set_data(pixels)
        mrc.voxel_size = 2.0
    found = {}
    for name, option in (("without", ["--no-junk-mask"]), ("with", [])):
        words = ["extract", str(tmp_path / "gold.mrc"), "-m", model, "--raw", "-o", str(tmp_path / f"{name}.txt")]
        assert main([*words, *option]) == 0
        found[name] = read_picks(tmp_path / f"{name}.txt").xy
    assert (np.hypot(*(found["with"] - (x, y)).T) > 4).all()
    far = [np.hypot(*(xy - (x, y)).T) > 40 for xy in found.values()]
    assert np.array_equal(found["without"][far[0]], found["with"][far[1]])
    words = ["segment", str(tmp_path / "gold.mrc"), "-m", model, "--raw", "--junk-mask", "-o", str(tmp_path / "maps")]
    assert main(words) == 0
    scores = read_micrograph(tmp_path / "maps" / "gold.tiff").pixels
    assert 0 < (scores == MASKED).mean() < 0.2
    assert main(["extract", str(folder), "-m", "none", "-r", "9", "--junk-mask"]) == 2
    assert "how dark particles are" in capsys.readouterr().err


def test_a_rerun_skips_finished_work_and_another_setting_is_refused(run, capsys):
    _, _, place, words = run
    before = (place / "out" / "candidates" / "001.star").stat().st_mtime_ns
    assert main(words) == 0
    assert (place / "out" / "candidates" / "001.star").stat().st_mtime_ns == before
    assert main([*words, "--seed", "5"]) == 2
    assert "seed was 0, is 5" in capsys.readouterr().err


def test_another_cut_of_a_finished_run_is_that_of_a_new_run(run, tmp_path, capsys):
    """Nothing is trained or scored again for another threshold or precision."""
    _, _, place, words = run
    cut, fresh = tmp_path / "cut", tmp_path / "fresh"
    shutil.copytree(place / "out", cut)
    given, out = words.index("--threshold"), words.index(str(place / "out"))
    free = words[:given] + words[given + 2 : out]
    candidates = {path: path.stat().st_mtime_ns for path in (cut / "candidates").iterdir()}
    capsys.readouterr()
    assert main([*free, str(cut), "--precision", "0.8"]) == 0
    said = capsys.readouterr().err
    assert "the network is there already" in said
    assert "micrographs are picked already" in said
    assert {path: path.stat().st_mtime_ns for path in (cut / "candidates").iterdir()} == candidates
    assert main([*free, str(fresh), "--precision", "0.8"]) == 0
    for name in ("picks.txt", "picks.star", "candidates.txt", "micrographs/001.star", "model.safetensors"):
        assert (cut / name).read_bytes() == (fresh / name).read_bytes()
    assert 0 < len(read_picks(cut / "picks.txt")) < len(read_picks(place / "out" / "picks.txt"))
    results = [json.loads((folder / "run.json").read_text()) for folder in (cut, fresh)]
    assert [result["settings"]["precision"] for result in results] == [0.8, 0.8]
    assert results[0]["result"]["estimates"] == results[1]["result"]["estimates"]
    assert main([*words[:out], str(cut)]) == 0  # and back
    for name in ("picks.txt", "model.safetensors"):
        assert (cut / name).read_bytes() == (place / "out" / name).read_bytes()
    before = (cut / "run.json").read_bytes()
    for content in (b"", np.lib.format.MAGIC_PREFIX, None):
        if content is None:
            (cut / "sample.npy").unlink()
        else:
            (cut / "sample.npy").write_bytes(content)
        assert main([*free, str(cut)]) == 2
        assert "sample.npy: cannot be read" in capsys.readouterr().err
        assert (cut / "run.json").read_bytes() == before
    np.save(cut / "sample.npy", np.zeros(3))
    assert main([*free, str(cut)]) == 2
    assert "best first" in capsys.readouterr().err
    assert (cut / "picks.txt").read_bytes() == (place / "out" / "picks.txt").read_bytes()
    assert main([*free, str(cut), "--threshold", "2"]) == 0  # which is not chosen by anything
    assert (read_picks(cut / "picks.txt").scores > 2).all()


def test_the_same_files_elsewhere_are_known_and_others_of_their_names_refused(run, tmp_path, capsys):
    folder, _, place, words = run
    shutil.copytree(folder, tmp_path / "copied")
    shutil.copytree(place / "out", tmp_path / "out")
    elsewhere = [*words[:-1], str(tmp_path / "out")]
    elsewhere[1] = str(tmp_path / "copied")
    assert main(elsewhere) == 0
    # Of a part of the micrographs, so that the record of the run has no others.
    assert main([elsewhere[0], *map(str, (tmp_path / "copied").glob("[0a]*.mrc")), *elsewhere[2:]]) == 0
    os.utime(tmp_path / "copied" / "plain.mrc", (1e9, 1e9))
    assert main(elsewhere) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'copied' / 'plain.mrc'}: what {tmp_path / 'out'} holds is of another file" in said


def test_extract_takes_the_pixel_size_for_the_headers(run, tmp_path, capsys):
    folder, _, place, _ = run
    shutil.copy(folder / "plain.mrc", tmp_path / "plain.mrc")
    with mrcfile.open(tmp_path / "plain.mrc", "r+") as mrc:
        mrc.voxel_size = 1.0
    words = ["extract", str(tmp_path / "plain.mrc"), "--raw", "-m", str(place / "out" / "model.safetensors")]
    assert main(words) == 2
    assert main([*words, "--angpix", "2", "-o", str(tmp_path / "picks.txt")]) == 0
    assert len(read_picks(tmp_path / "picks.txt"))
    assert main([*words, "--diameter", "40"]) == 2
    assert "--diameter is for the network that comes with heliodor" in capsys.readouterr().err


def test_answers_choose_the_threshold(run, tmp_path, capsys):
    _, truth, place, words = run
    out = tmp_path / "out"
    shutil.copytree(place / "out", out)
    plain = [str(out) if word == str(place / "out") else word for word in words]
    words = [word for word in plain if word not in ("--threshold", "-6")]  # the answers say where to cut
    asked = draw_sample(read_picks(out / "candidates.txt"), threshold=-1.0, count=200)
    near = [
        np.hypot(*(truth[name] - xy).T).min(initial=np.inf) < 8
        for name, xy in zip(asked.picks.names, asked.picks.xy, strict=True)
    ]
    write_answers(tmp_path / "audit.tsv", Answers(asked.picks, np.array(near, int)))
    models = (out / "model.safetensors").stat().st_mtime_ns

    def f1():
        picks, names = read_picks(out / "picks.txt"), ("001", "with space", "plain")
        found = sum(match(picks.of(n).xy, picks.of(n).scores, truth[n], 8.0).hit.sum() for n in names)
        return 2 * found / sum(len(picks.of(n)) + len(truth[n]) for n in names)

    assert main([*words, "--audit", str(tmp_path / "audit.tsv")]) == 0
    assert "by 200 answers picks are above score" in capsys.readouterr().err
    assert f1() > 0.85
    result = json.loads((out / "run.json").read_text())["result"]
    assert result["audit"]["answers"] == 200
    assert result["audit"]["precision"]["low"] <= result["audit"]["precision"]["middle"]
    assert (read_picks(out / "picks.txt").scores > result["estimates"]["threshold"]).all()
    assert "by 200 answers" in (out / "report.html").read_text(encoding="utf-8")

    best, picked = result["audit"]["threshold"], read_picks(out / "picks.txt")
    assert main([*words, "--audit", str(tmp_path / "audit.tsv"), "--precision", "0.7"]) == 0
    assert len(read_picks(out / "picks.txt")) >= len(picked)
    for table, more, said in (
        (asked.picks, [], "no answer was given"),
        (Picks.on("001", [[1.0, 1.0]], [9.0]), [], "about other picks"),
        (Picks.join([asked.picks, asked.picks]), [], "the same pick"),
        (asked.picks, ["--overwrite"], "removes them"),
    ):
        write_answers(tmp_path / "bad.tsv", Answers(table, np.full(len(table), OPEN if said[0] == "n" else YES)))
        before = (out / "run.json").read_text()
        assert main([*words, "--audit", str(tmp_path / "bad.tsv"), *more]) == 2
        assert said in capsys.readouterr().err
        assert (out / "run.json").read_text() == before  # the run stays finished
    assert main(plain) == 0  # without the answers, as before
    assert json.loads((out / "run.json").read_text())["result"]["audit"] is None
    assert (out / "model.safetensors").stat().st_mtime_ns == models
    assert best != json.loads((out / "run.json").read_text())["result"]["estimates"]["threshold"]


def test_answers_that_do_not_fit_say_so(run, tmp_path, capsys):
    _, _, _, words = run
    audit = tmp_path / "audit.tsv"
    plain = [word for word in words if word not in ("--threshold", "-6")]
    for text, said in (
        (None, "cannot read the answers"),
        ("nothing\n", "the first line must be the columns"),
    ):
        if text is not None:
            audit.write_text(text)
        assert main([*plain, "--audit", str(audit)]) == 2
        assert said in capsys.readouterr().err
    write_answers(audit, Answers(Picks.on("001", [[5.0, 5.0]], [1.0]), [1]))
    elsewhere = [*plain[:-1], str(tmp_path / "none")]
    assert main([*elsewhere, "--audit", str(audit)]) == 2
    assert "holds no finished run" in capsys.readouterr().err
    assert main([*words, "--audit", str(audit)]) == 2
    assert "give one of them" in capsys.readouterr().err


def test_same_seed_same_result_whatever_the_workers(run):
    _, _, place, words = run
    assert main([*words[:-1], str(place / "again"), "--workers", "3"]) == 0
    assert (place / "again" / "picks.txt").read_bytes() == (place / "out" / "picks.txt").read_bytes()


def test_one_broken_micrograph_is_skipped_and_counted(run, tmp_path, capsys):
    folder, _, place, words = run
    shutil.copytree(folder, tmp_path / "mics")
    (tmp_path / "mics" / "zz.mrc").write_bytes((folder / "001.mrc").read_bytes()[:5000])
    shutil.copytree(place / "out", tmp_path / "out")
    assert main([words[0], str(tmp_path / "mics"), *words[2:-1], str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert "zz.mrc: truncated" in captured.err
    assert "1 micrographs were skipped" in captured.out


def fail(words, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.strip().splitlines()[-1]


def replaced(words, option, value):
    words = list(words)
    words[words.index(option) + 1] = str(value)
    return words


def test_bad_labels_get_one_clear_line(run, tmp_path, capsys):
    _, truth, _, words = run
    words = replaced(words, "-o", tmp_path / "out")
    path = tmp_path / "labels.txt"

    def with_labels(picks):
        write_picks(path, picks)
        return fail(replaced(words, "--labels", path), capsys)

    assert "no particle" in with_labels(Picks([], np.empty((0, 2))))
    assert "nearest are" in with_labels(Picks.on("oo1", [[5, 5]]))
    assert "divided by about 4" in with_labels(Picks.on("001", truth["001"] * 4))
    names = ("001", "a.b.c", "plain")
    many = Picks.join([Picks.on(name, truth[name] / 4) for name in names])
    assert "swapped" in with_labels(Picks.on("001", [[5, 250], [9, 255]]))
    assert "multiply them by about 4" in with_labels(many)
    assert "no such coordinate file" in fail(replaced(words, "--labels", tmp_path / "none.txt"), capsys)


def test_what_another_run_wrote_meanwhile_is_found_again(run, tmp_path, capsys):
    """Two runs in one folder: the one that took it must not take the other's candidates for its own."""
    _, _, place, words = run
    shutil.copytree(place / "out", tmp_path / "out")
    folder = tmp_path / "out" / "candidates"
    kept = json.loads((folder / "001.json").read_text())
    (folder / "001.json").write_text(json.dumps({**kept, "run": "another"}))
    (folder / "001.star").write_text((folder / "plain.star").read_text())
    capsys.readouterr()
    assert main(replaced(words, "-o", tmp_path / "out")) == 0
    assert "3 micrographs are picked already" in capsys.readouterr().err
    assert (tmp_path / "out" / "picks.txt").read_bytes() == (place / "out" / "picks.txt").read_bytes()


def test_a_call_with_another_cut_meanwhile_is_told(run, tmp_path, monkeypatch, capsys):
    _, _, place, words = run
    out = tmp_path / "out"
    shutil.copytree(place / "out", out)
    words = replaced(words, "-o", out)
    remove_others = pick_module.remove_others

    def meanwhile(*arguments):
        monkeypatch.setattr(pick_module, "remove_others", remove_others)
        assert main(replaced(words, "--threshold", 1)) == 0
        remove_others(*arguments)

    monkeypatch.setattr(pick_module, "remove_others", meanwhile)
    assert "another run writes to this folder, too, and cuts elsewhere" in fail(
        replaced(words, "--threshold", 0), capsys
    )
    assert json.loads((out / "run.json").read_text())["settings"]["threshold"] == 1


def test_bad_micrographs_and_settings_get_one_clear_line(run, tmp_path, capsys):
    folder, _, _, words = run
    words = replaced(words, "-o", tmp_path / "out")
    assert "there is no method 'GE_binomial'" in fail([*words, "--method", "GE_binomial"], capsys)
    assert "--seed must be 0 or more" in fail([*words, "--seed", "-1"], capsys)
    assert "leaves nothing of a micrograph of" in fail([*words, "--margin", "5000"], capsys)
    assert not (tmp_path / "out").exists()  # nothing that the next call would take for a run
    assert "is a label as well" in fail([*words, "--negatives", words[words.index("--labels") + 1]], capsys)
    assert "there is no such file" in fail([words[0], str(folder / "oo1.mrc"), *words[2:]], capsys)
    assert "angstrom (not nanometre)" in fail(replaced(words, "--diameter", 4), capsys)
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert "cannot write" in fail(replaced(words, "-o", blocked / "out"), capsys)
    stack = tmp_path / "stack" / "001.mrc"
    stack.parent.mkdir()
    with mrcfile.new(stack) as mrc:
        mrc.set_data(np.random.default_rng(0).normal(size=(3, 200, 200)).astype(np.float32))
        mrc.voxel_size = 2.0
    assert "stack or volume" in fail([words[0], str(stack), *words[2:]], capsys)


def test_the_last_lines_are_no_more_than_a_person_reads(dataset, tmp_path, monkeypatch, capsys):
    flags = {f"m{number}": ["empty: no picks"] for number in range(30)}
    result = PickResult(Picks.on("m31", [[1, 2]]), {}, derive_geometry(120.0, 3.0), 0.0, flags, {"total": 5.0})
    monkeypatch.setattr("heliodor.picking.pick.pick", lambda *_, **__: result)
    assert main(["pick", str(dataset[0]), "--diameter", "40", "-o", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 22
    assert said[1] == "look at m0: empty: no picks"
    assert said[-1] == f"and 10 more, see {tmp_path}/run.json"
