"""The benchmarks' own arithmetic: what they score, keep and write. Nothing is trained here."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import ttest_rel

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parent.parent / "pretraining"))

import accuracy_tables
import ceiling
import junk
import left_out
import other_simulator
import pretrain
import pu
import pu_tables
from datasets import SIMULATED, DataSet, make_rod
from heliodor.training.tiles import Example
from prepared import NOBODY, Prepared
from rows import Rows, spread
from scoring import rank
from splits import Labels, read_labels, split_micrographs, write_labels


def test_what_is_done_is_not_done_again_and_what_failed_is_tried_again(tmp_path, capsys):
    rows = Rows(tmp_path / "rows.jsonl", ("set", "draw"))
    tasks = [{"set": "a", "draw": draw} for draw in range(3)]
    seen = []

    def work(task):
        seen.append(task["draw"])
        if task["draw"] == 1 and len(seen) <= 3:
            raise RuntimeError("no luck")
        return {"ap": 0.5}

    assert spread(rows, tasks, work, ThreadPoolExecutor(1), lambda row: f"{row['ap']}") == 1
    assert "a 1: FAILED" in capsys.readouterr().out
    assert spread(rows, tasks, work, ThreadPoolExecutor(2), lambda row: f"{row['ap']}") == 0
    assert seen == [0, 1, 2, 1]
    assert sorted(row["draw"] for row in rows.all()) == [0, 1, 2]


def test_ranking_with_probabilities(tmp_path):
    table = tmp_path / "candidates.txt"
    lines = ["image_name\tx_coord\ty_coord\tscore\tprobability", "m\t10\t10\t2\t0.95", "m\t50\t50\t1\t0.85"]
    table.write_text("\n".join([*lines, "m\t90\t90\t0\t0.15", "e\t1\t1\t-1\tnan"]) + "\n")
    picks = read_labels(table)
    ranking = rank(picks, Labels(["m", "m"], np.array([[11.0, 10.0], [90.0, 91.0]])), ["m", "e"], 5.0)
    assert ranking.hits.tolist() == [True, False, True, False]
    assert ranking.summary()["ap"] == pytest.approx((1 + 2 / 3) / 2)
    assert ranking.calibration_error() == pytest.approx((0.05 + 0.85 + 0.85) / 3)
    few = Labels(["m", "m"], np.array([[50.0, 50.0], [7.0, 7.0]])).with_probabilities_of(picks)
    np.testing.assert_array_equal(few.probabilities, [0.85, np.nan])


def test_a_program_that_finds_nothing_scores_nothing(tmp_path):
    table = tmp_path / "picks.txt"
    table.write_text("image_name\tx_coord\ty_coord\tscore\n")
    ranking = rank(read_labels(table), Labels(["m"], np.array([[1.0, 1.0]])), ["m"], 5.0)
    summary = ranking.summary()
    assert (summary["ap"], summary["best_f1"], summary["picks"]) == (0.0, 0.0, 0)
    assert ranking.calibration_error() is None


def test_labels_come_from_training_micrographs(tmp_path):
    labels = Labels([f"m{k % 4}" for k in range(40)], np.arange(80.0).reshape(40, 2))
    split = split_micrographs(labels, 3, 1, 2, 10)
    assert set(split.train).isdisjoint(split.test)
    assert {labels.names[row] for row in split.rows} <= set(split.train)
    write_labels(tmp_path / "labels.txt", labels, split.rows)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.txt").xy, labels.xy[split.rows])


def test_sets_are_made_from_seeds_of_their_own(tmp_path):
    seeds = [chosen.seed for chosen in SIMULATED.values()]
    assert len(set(seeds)) == len(seeds) == 15
    assert make_rod(tmp_path / "one.mrc").read_bytes()[1024:] == make_rod(tmp_path / "two.mrc").read_bytes()[1024:]


def test_false_picks_are_counted_by_what_they_lie_on(tmp_path):
    kinds = np.zeros((64, 64), np.uint8)
    kinds[:, 40:] = junk.KINDS.index("gold")
    (tmp_path / "junk").mkdir()
    Image.fromarray(kinds).save(tmp_path / "junk" / "m.png")
    (tmp_path / "micrographs").mkdir()
    files = {name: tmp_path / "micrographs" / f"{name}.mrc" for name in ("m", "clean")}
    labels = Labels(["m", "m"], np.array([[10.0, 10.0], [50.0, 50.0]]))
    data = DataSet("s", tmp_path, files, labels, SIMULATED["t20s-clear-junk"].particle, 1)
    found = np.array([[11.0, 10.0], [51.0, 50.0], [45.0, 20.0], [20.0, 40.0], [5.0, 5.0]])
    row = junk.counted(Labels(["m"] * 4 + ["clean"], found), data, ["m", "clean"])
    assert row == {"true": 2, "particles": 2, "micrographs": 2, "false": {"gold": 1, "none": 2}}
    rows = [{"set": "s", "labels": 0, "mask": mask, "draw": 0, **row} for mask in (True, False)]
    rows[0] = {**rows[0], "false": {"none": 2}}
    assert "| s | 0 | 1.000 to 1.000 | 0 to 0 | 1 to 0 |" in junk.report(rows)


def test_each_protein_of_the_pretraining_is_left_out_of_one_network():
    groups = [name for group in left_out.GROUPS for name in group]
    assert sorted(groups) == sorted(left_out.DIAMETERS) == sorted(pretrain.MODELS)
    drawn = [left_out.conditions(name) for name in groups]
    assert drawn == [left_out.conditions(name) for name in reversed(groups)][::-1]
    known = {chosen.seed for chosen in SIMULATED.values()}
    assert len(known | {chosen.seed for chosen in drawn}) == len(known) + len(drawn)
    assert {chosen.junk for chosen in drawn} == {True, False}
    assert all(left_out.SNR[0] <= chosen.noise[1] <= left_out.SNR[1] for chosen in drawn)


@pytest.mark.parametrize("noise", ["white", "bare", "ice", "cloudy", "ramp", "slope"])
def test_the_other_simulator_puts_particles_where_it_says(noise):
    chosen = other_simulator.Plain("none", 160, noise, 0.2, 20, 0)
    atoms = np.random.default_rng(0).normal(0, 20, (500, 3))
    pixels, xy = other_simulator.draw(chosen, atoms, np.random.default_rng(1), empty=False)
    alone, none = other_simulator.draw(chosen, atoms, np.random.default_rng(1), empty=True)
    assert len(none) == 0
    assert 14 <= len(xy) <= 26
    difference = (pixels - alone) / other_simulator.STRENGTH  # the same noise
    inside = difference[tuple(np.rint(xy).astype(int)[:, ::-1].T)]
    assert (inside < -2 * difference.std()).all()  # dark
    if noise in ("white", "bare", "ice", "cloudy"):
        assert alone.std() == pytest.approx(other_simulator.STRENGTH)
        assert difference.var() == pytest.approx(0.2 * 20 / 60, rel=1e-3)
    if noise in ("white", "bare", "ramp"):
        assert alone[:, -90:].std() / alone[:, :90].std() == pytest.approx(1.26 / 0.74 if noise == "ramp" else 1, 0.03)


def test_sets_of_the_other_simulator_have_a_network_that_has_not_seen_them():
    for name, chosen in other_simulator.SETS.items():
        assert sum(chosen.protein in group for group in left_out.GROUPS) == 1, name


def test_labelled_examples_hide_the_other_particles():
    rng = np.random.default_rng(0)
    whole = [Example(f"m{k}", np.zeros((64, 64), np.float32), rng.uniform(0, 64, (20, 2)), NOBODY) for k in range(3)]
    data = Prepared("set", whole, whole, 7.0)
    shown = data.labelled(15, draw=2)
    assert sum(len(example.positives) for example in shown) == 15
    again = data.labelled(15, draw=2)
    assert all(np.array_equal(a.positives, b.positives) for a, b in zip(shown, again, strict=True))
    assert data.pi(50) < data.pi(10)


def test_objectives_with_the_autoencoder_only_where_the_paper_has_it(monkeypatch):
    words = ["pu.py", "--out", "o", "--models", "m", "--labels", "10", "100", "--draws", "1", "--sets", "t20s-noisy"]
    monkeypatch.setattr(sys, "argv", words)
    tasks = list(pu.tasks(pu.parse_arguments()))
    weights = [(task["labels"], task["autoencoder"]) for task in tasks if task["method"] == "GE-binomial"]
    assert weights == [(10, "0"), (10, "1"), (100, "0"), (100, "1"), (100, "10/N")]
    assert all(task["autoencoder"] == "0" for task in tasks if task["method"] != "GE-binomial")


def _trained(method, labels, draw, ap, weight="0"):
    key = dict(zip(pu.KEYS, ("s", method, labels, weight, draw, 100), strict=True))
    return {**key, "ap_particles": ap, "ap_regions": ap / 2}


def test_tables_of_objectives_hold_paired_tests(tmp_path):
    ours, theirs = [0.5, 0.6, 0.8], [0.4, 0.55, 0.6]
    rows = [_trained("GE-binomial", 10, draw, ap) for draw, ap in enumerate(ours)]
    rows += [_trained("PN", 10, draw, ap) for draw, ap in enumerate(theirs)]
    rows += [_trained("GE-binomial", 10, draw, 0.7, "1") for draw in range(3)]
    text = pu_tables.report(rows)
    assert f"+0.117, p = {ttest_rel(ours, theirs).pvalue:.2g}" in text
    assert "| s | 10 | 3 | 0.633 ± 0.153 | 0.700 ± 0.000 | 0.700 ± 0.000 |" in text  # 10/N is 1 with ten labels
    pu_tables.draw_figure(rows, tmp_path / "pu.png")
    assert (tmp_path / "pu.png").stat().st_size > 1000


def _run(program, draw, ap, **more):
    default = {"f1": 0.8, "precision": 0.8, "recall": 0.8, "picks": 10}
    row = {"program": program, "version": "1", "training": "", "set": "s", "labels": 10, "draw": draw, "ap": ap}
    row |= {"best_f1": 1.0, "default": default, "settings": {}, "truth": 100.0, "calibration_error": None}
    return row | {"calibration_error_of_picks": None, "empty_picks": [1, 3], "train_s": 5.0} | more


def test_tables_of_accuracy():
    rows = [_run("heliodor", draw, 0.9, settings={"expected_particles": 110.0}) for draw in range(2)]
    rows += [_run("topaz", 0, 0.8), _run("topaz", 5, 0.5), _run("extract", 0, 0.7, labels=0)]
    text = accuracy_tables.report(rows)
    assert "| s | heliodor 1 | 2 | 0.900 ± 0.000 | 1.000 ± 0.000 | 0.800 ± 0.000 | 0.80 ± 0.00 | 1.10 ± 0.00 |" in text
    assert "| s | topaz 1 | 2 |" in text
    assert "| s | extract 1 | 1 | 0.700 |" in text
    assert "| s | heliodor 1 | 0.50 |" in text  # of the errors, on draw 0, which both were run on


def test_the_ceiling_scores_by_the_likelihood_of_all_pixels():
    random = np.random.default_rng(0)
    image = random.normal(0, 2, (16, 20)).astype(np.float32)
    views = np.zeros((2, 16, 20), np.float32)
    views[0, :3, :3], views[1, :2, :4] = 1.5, -1
    transfer, power = np.ones((16, 11), np.float32), np.full((16, 11), 4, np.float32)
    got = ceiling.score(image, transfer, power, iter(views))

    def likelihood(expected):  # of noise with a deviation of 2
        return -((image - expected) ** 2).sum() / 8

    for y, x in ((0, 0), (5, 7), (15, 19)):
        ratios = [np.exp(likelihood(np.roll(view, (y, x), (0, 1))) - likelihood(0)) for view in views]
        assert got[y, x] == pytest.approx(np.log(np.mean(ratios)), abs=1e-3)


def test_the_noise_of_the_ceiling_is_that_between_particles():
    random = np.random.default_rng(1)
    image = random.normal(0, 3, (256, 256)).astype(np.float32)
    xy = random.uniform(20, 236, (20, 2))
    y, x = np.indices(image.shape)
    for centre in xy:
        image[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 100] -= 50
    power = ceiling.noise_power(image, xy)
    assert power.shape == (256, 129)
    assert power[4:].mean() == pytest.approx(9, rel=0.1)
