"""Picks against labels over many micrographs: overall, by micrograph, with intervals."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass

import numpy as np

from heliodor.errors import LabelError
from heliodor.evaluation.bootstrap import Ranking, intervals
from heliodor.evaluation.curves import Curve, precision_recall
from heliodor.evaluation.matching import match
from heliodor.picks import Picks

_RANKED = ("average_precision", "best_f1")  # what picks without scores do not have


@dataclass(frozen=True)
class Scores:
    """Numbers of one ranking at one threshold.

    Attributes
    ----------
    labels, picks : int
        Picks are those at or above the threshold.
    precision, recall, f1 : float
    average_precision : float
        Over the whole ranking, below the threshold too; NaN without scores.
    rmse : float
        Root mean square distance of matched pairs at or above the threshold, in pixels; NaN without any.
    """

    labels: int
    picks: int
    precision: float
    recall: float
    f1: float
    average_precision: float
    rmse: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of `evaluate`.

    Attributes
    ----------
    overall : Scores
        All micrographs pooled into one ranking.
    per_micrograph : dict of str to Scores
    intervals : dict of str to (float, float)
        95 % bootstrap intervals over micrographs, of precision, recall, f1, average_precision, best_f1 and rmse;
        none for a single micrograph.
    curve : Curve
    threshold : float
        Where precision, recall and F1 are taken.
    best_threshold : float
        Where F1 is highest on these labels: an optimistic choice. It takes all picks of a score, or none.
    best_f1 : float
        NaN without scores.
    without_picks : list of str
        Labelled micrographs on which there is no pick at all: all their labels count as missed.
    ignored_picks : int
        Picks on micrographs without labels, which count nowhere.
    """

    overall: Scores
    per_micrograph: dict[str, Scores]
    intervals: dict[str, tuple[float, float]]
    curve: Curve
    threshold: float
    best_threshold: float
    best_f1: float
    without_picks: list[str]
    ignored_picks: int

    @property
    def macro(self) -> dict[str, float]:
        """Means over micrographs of precision, recall, f1, average_precision and rmse: each counts the same.

        A micrograph without picks has precision and F1 zero, and no RMSE.
        """
        rows = list(self.per_micrograph.values())
        means = {
            name: float(np.mean([getattr(row, name) for row in rows]))
            for name in ("precision", "recall", "f1", "average_precision")
        }
        lengths = [row.rmse for row in rows if not np.isnan(row.rmse)]
        return {**means, "rmse": float(np.mean(lengths)) if lengths else float("nan")}


def evaluate(
    picks: Picks,
    labels: Picks,
    match_radius: float,
    *,
    method: str = "greedy",
    threshold: float | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Compare picks with labels, micrograph by micrograph.

    Only labelled micrographs count: picks on others are neither right nor wrong. A labelled
    micrograph without picks counts as missed.

    Parameters
    ----------
    picks, labels : Picks
        With the same names and in the same pixels. Picks of one score rank in their order; without scores there is no
        ranking.
    match_radius : float
        In those pixels; see `match`.
    method : {'greedy', 'optimal'}
    threshold : float, optional
        Of precision, recall, F1 and RMSE. Default: every pick counts.
    bootstrap : int
        Resamplings of the micrographs; 0 gives no intervals.
    seed : int

    Raises
    ------
    LabelError
        There is no label, no micrograph has both labels and picks, some picks only have a score, or none has and a
        threshold is given.
    """
    # Sorted, so that equal scores on different micrographs rank the same whatever the order of the labels.
    names = sorted(labels.micrographs())
    _check_names(names, picks.micrographs())
    ranked = not picks.scoreless
    if threshold is not None and not ranked:
        raise LabelError("picks have no scores that could be above a threshold; leave it out")
    picks = _with_scores(picks)
    found, wanted, none = dict(picks.by_micrograph()), dict(labels.by_micrograph()), Picks.join([])
    parts = {name: _rank(found.get(name, none), wanted[name], match_radius, method) for name in names}
    cut = -np.inf if threshold is None else threshold
    pooled = Ranking.pool(list(parts.values()))
    curve = precision_recall(pooled.hit, pooled.scores, pooled.labels)
    steps = curve.distinct()
    best = int(np.argmax(steps.f1)) if ranked and len(steps.f1) else -1
    within = intervals(list(parts.values()), cut, bootstrap, seed)
    return Evaluation(
        overall=_measure(pooled, cut, ranked=ranked),
        per_micrograph={name: _measure(part, cut, ranked=ranked) for name, part in parts.items()},
        intervals=within if ranked else {name: ends for name, ends in within.items() if name not in _RANKED},
        curve=curve,
        threshold=cut,
        best_threshold=float(steps.threshold[best]) if best >= 0 else math.nan,
        best_f1=float(steps.f1[best]) if best >= 0 else 0.0 if ranked else math.nan,
        without_picks=[name for name, part in parts.items() if not len(part.hit)],
        ignored_picks=len(picks) - len(pooled.hit),
    )


def _check_names(labeled: list[str], picked: list[str]) -> None:
    if not labeled:
        raise LabelError("there is no label to compare with; give a file with labels")
    if picked and not set(labeled) & set(picked):
        near = difflib.get_close_matches(labeled[0], picked, n=1, cutoff=0.0)
        raise LabelError(f"labels and picks share no micrograph: labels are of '{labeled[0]}', picks of '{near[0]}'")


def _with_scores(picks: Picks) -> Picks:
    lost = np.isnan(picks.scores)
    if lost.all():
        return Picks(picks.names, picks.xy, np.zeros(len(picks)))
    if lost.any():
        raise LabelError(f"{int(lost.sum())} of {len(picks)} picks have no score; give all of them one, or none")
    return picks


def _rank(picks: Picks, labels: Picks, match_radius: float, method: str) -> Ranking:
    found = match(picks.xy, picks.scores, labels.xy, match_radius, method)
    return Ranking(found.hit, picks.scores, found.distance, len(labels))


def _measure(part: Ranking, threshold: float, *, ranked: bool) -> Scores:
    kept = part.scores >= threshold
    hits, count = int(part.hit[kept].sum()), int(kept.sum())
    precision, recall = hits / max(count, 1), hits / max(part.labels, 1)
    matched = part.distance[kept & part.hit]
    return Scores(
        part.labels,
        count,
        precision,
        recall,
        2 * precision * recall / max(precision + recall, 1e-9),
        precision_recall(part.hit, part.scores, part.labels).average_precision if ranked else math.nan,
        float(np.sqrt(np.mean(matched**2))) if len(matched) else float("nan"),
    )


@dataclass(frozen=True)
class Agreement:
    """How far two people, or two programs, agree.

    Attributes
    ----------
    first, second, shared : int
        Centres of each, and pairs matched one to one (most matches possible).
    f1 : float
        2 * shared / (first + second): the same from both sides.
    rmse : float
        Root mean square distance of the pairs, in pixels.
    """

    first: int
    second: int
    shared: int
    f1: float
    rmse: float


def agreement(first: Picks, second: Picks, match_radius: float) -> Agreement:
    """Match two label sets on the micrographs that both have.

    Raises
    ------
    LabelError
        One is empty, or they share no micrograph.
    """
    if not (len(first) and len(second)):
        raise LabelError("one of the two label sets is empty; give two files with labels")
    _check_names(first.micrographs(), second.micrographs())
    others = set(second.micrographs())
    names = [name for name in first.micrographs() if name in others]
    distances, a, b = [np.empty(0)], 0, 0
    for name in names:
        one, two = first.of(name), second.of(name)
        found = match(one.xy, None, two.xy, match_radius, "optimal")
        distances.append(found.distance[found.hit])
        a, b = a + len(one), b + len(two)
    pairs = np.concatenate(distances)
    rmse = float(np.sqrt(np.mean(pairs**2))) if len(pairs) else float("nan")
    return Agreement(a, b, len(pairs), 2 * len(pairs) / (a + b), rmse)
