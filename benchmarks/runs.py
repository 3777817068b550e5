"""One run of one program: in a folder of its own, scored on the test micrographs."""

from __future__ import annotations

import shutil
from typing import Any

from programs import PROGRAMS, Job, Outcome
from scoring import Ranking, rank
from splits import Labels, read_labels


def run_and_score(name: str, executable: str, job: Job) -> dict[str, Any]:
    """Run a program of `programs.PROGRAMS`; return scores and costs, of its best variant if it has several."""
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    outcome = PROGRAMS[name](executable, job)
    return {"test": job.split.test, "threads": job.threads, **_score(outcome, job)}


def _score(outcome: Outcome, job: Job) -> dict[str, Any]:
    tables = {name: read_labels(path) for name, path in outcome.variants.items()}
    rankings = {name: _ranking(table, job) for name, table in tables.items()}
    summaries = {name: ranking.summary() for name, ranking in rankings.items()}
    best = max(summaries, key=lambda name: summaries[name]["ap"])
    given = tables[best] if outcome.picks is None else read_labels(outcome.picks).with_probabilities_of(tables[best])
    picks = _ranking(given, job)
    return {
        **summaries[best],
        "default": {**picks.best(len(picks.hits)), "picks": len(picks.hits)},
        "empty_picks": [len(given.rows_of(name)) for name in job.empty],
        "truth": sum(len(job.labels.of(name)) for name in job.split.train) / len(job.split.train),
        "calibration_error": rankings[best].calibration_error(),
        "calibration_error_of_picks": picks.calibration_error(),
        "variant": best,
        "variant_aps": {name: summary["ap"] for name, summary in summaries.items()},
        **outcome.row(best),
    }


def _ranking(picks: Labels, job: Job) -> Ranking:
    return rank(picks, job.labels, job.split.test, job.particle.match_radius)
