"""What benchmarks/active.py scores, keeps and writes: its arithmetic, not its results."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import active_learners
from active import ARMS, KEY, run
from active_learners import Data, State
from active_tables import report
from heliodor.picks import Picks
from rows import Rows


@pytest.fixture(scope="module")
def data(dataset, tmp_path_factory) -> Data:
    folder, truth = dataset
    table = tmp_path_factory.mktemp("truth") / "labels.txt"
    rows = [f"{name}\t{x}\t{y}" for name, xy in truth.items() for x, y in xy]
    table.write_text("\n".join(["image_name\tx_coord\ty_coord", *rows]) + "\n")
    return Data.load("discs", folder, table, 40.0, 7.0)


def test_an_oracle_says_yes_within_the_match_radius_only(data):
    name = data.truth.names[0]
    place = data.truth.of(name)[0]
    picks = Picks.on(name, place + np.array([[0, 0], [0, 6.9], [0, 7.1]]))
    assert data.is_particle(picks).tolist() == [True, True, False]
    state = State(data.true_picks([name])).add(picks, data.is_particle(picks))
    assert (len(state.positives), len(state.negatives)) == (12 + 2, 1)


def test_arms_start_alike_get_as_many_answers_and_go_on_where_they_stopped(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(active_learners, "STEPS", 40)
    options = argparse.Namespace(learner="stand-in", start=None, seeds=1, first=5, answers=[8, 12], arms=list(ARMS))
    results = Rows(tmp_path / "results.jsonl", KEY)
    run(data, options, results)
    rows = results.all()
    assert [(row["arm"], row["answers"]) for row in rows] == [
        ("start", 5),
        *((arm, n) for arm in ("random", "asked", "active") for n in (8, 12)),
    ]
    for row in rows:
        assert len(row["positives"]) + len(row["negatives"]) == row["answers"], row
        assert row["positives"][:5] == rows[0]["positives"]
        assert 0 <= row["ap"] <= 1
    assert all(not row["negatives"] for row in rows if row["arm"] == "random")
    # The last line is lost: it is done again, from the answers on file, and comes out the same.
    lines = results.path.read_text().splitlines(keepends=True)
    results.path.write_text("".join(lines[:-1]))
    run(data, options, results)
    again = results.all()
    assert [{**row, "cpu_s": 0} for row in again] == [{**row, "cpu_s": 0} for row in rows]
    assert "## discs, stand-in, 1 seeds" in report(again)


def test_tables_count_labels_needed():
    def row(arm: str, answers: int, seed: int, ap: float) -> dict:
        return {"set": "s", "learner": "l", "arm": arm, "answers": answers, "seed": seed, "ap": ap}

    rows = [row("start", 10, seed, 0.2) for seed in (0, 1, 2)]
    for seed in (0, 1):
        rows += [row("random", 20, seed, 0.4), row("random", 40, seed, 0.6)]
        rows += [row("active", 20, seed, 0.6 + 0.2 * seed), row("active", 40, seed, 0.8)]
    text = report(rows)  # seed 2 is not finished and does not count
    assert "2 seeds" in text
    assert "| 20 | 0.400 ± 0.000 | 0.700 ± 0.141 | +0.300 ± 0.100 (better in 2 of 2) |" in text
    # 0.6 lies at 4/5 of the way from 0.2 to 0.7, in the logarithm of 10 to 20 answers.
    assert f"| 0.600 (40 random labels) | 40 | {10 * 2**0.8:.0f} |" in text
    assert np.log2(17.4 / 10) == pytest.approx(0.8, abs=0.01)
