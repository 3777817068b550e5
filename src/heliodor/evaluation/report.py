"""Picks against labels over many micrographs: overall, by micrograph, with intervals."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import LabelError
from heliodor.evaluation.curves import Curve, precision_recall
from heliodor.evaluation.matching import match

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heliodor.picks import Picks


@dataclass(frozen=True)
class Scores:
    """Numbers of one ranking at one threshold.

    Attributes
    ----------
    labels, picks : int
        Picks are those at or above the threshold.
    precision, recall, f1 : float
    average_precision : float
        Over the whole ranking, below the threshold too.
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
        95 % bootstrap intervals over micrographs, of precision, recall, f1 and average_precision.
    curve : Curve
    threshold : float
        Where precision, recall and F1 are taken.
    best_threshold : float
        Where F1 is highest on these labels: an optimistic choice.
    best_f1 : float
    without_picks : list of str
        Labelled micrographs on which there is no pick at all.
    """

    overall: Scores
    per_micrograph: dict[str, Scores]
    intervals: dict[str, tuple[float, float]]
    curve: Curve
    threshold: float
    best_threshold: float
    best_f1: float
    without_picks: list[str]


@dataclass(frozen=True, eq=False)
class _Ranking:
    """Matched picks of one micrograph."""

    hit: NDArray[np.bool_]
    scores: NDArray[np.float64]
    distance: NDArray[np.float64]
    labels: int


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
        With the same names and in the same pixels. Picks without scores rank as equal.
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
        There is no label, or no micrograph has both labels and picks.
    """
    names = labels.micrographs()
    _check_names(names, picks.micrographs())
    parts = {name: _rank(picks.of(name), labels.of(name), match_radius, method) for name in names}
    cut = -np.inf if threshold is None else threshold
    pooled = _pool(list(parts.values()))
    curve = precision_recall(pooled.hit, pooled.scores, pooled.labels)
    best = int(np.argmax(curve.f1)) if len(curve.f1) else -1
    return Evaluation(
        overall=_measure(pooled, cut),
        per_micrograph={name: _measure(part, cut) for name, part in parts.items()},
        intervals=_intervals(list(parts.values()), cut, bootstrap, seed),
        curve=curve,
        threshold=cut,
        best_threshold=float(curve.threshold[best]) if best >= 0 else float("nan"),
        best_f1=float(curve.f1[best]) if best >= 0 else 0.0,
        without_picks=[name for name, part in parts.items() if not len(part.hit)],
    )


def _check_names(labeled: list[str], picked: list[str]) -> None:
    if not labeled:
        raise LabelError("there is no label to compare with; give a file with labels")
    if picked and not set(labeled) & set(picked):
        near = difflib.get_close_matches(labeled[0], picked, n=1, cutoff=0.0)
        raise LabelError(f"labels and picks share no micrograph: labels are of '{labeled[0]}', picks of '{near[0]}'")


def _rank(picks: Picks, labels: Picks, match_radius: float, method: str) -> _Ranking:
    scores = np.where(np.isnan(picks.scores), 0.0, picks.scores)
    found = match(picks.xy, scores, labels.xy, match_radius, method)
    return _Ranking(found.hit, scores, found.distance, len(labels))


def _pool(parts: list[_Ranking]) -> _Ranking:
    return _Ranking(
        np.concatenate([p.hit for p in parts]),
        np.concatenate([p.scores for p in parts]),
        np.concatenate([p.distance for p in parts]),
        sum(p.labels for p in parts),
    )


def _measure(part: _Ranking, threshold: float) -> Scores:
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
        precision_recall(part.hit, part.scores, part.labels).average_precision,
        float(np.sqrt(np.mean(matched**2))) if len(matched) else float("nan"),
    )


def _intervals(parts: list[_Ranking], threshold: float, count: int, seed: int) -> dict[str, tuple[float, float]]:
    random = np.random.default_rng(seed)
    names = ("precision", "recall", "f1", "average_precision")
    if count < 1:
        return {}
    rows = []
    for _ in range(count):
        drawn = _measure(_pool([parts[k] for k in random.integers(0, len(parts), len(parts))]), threshold)
        rows.append([getattr(drawn, name) for name in names])
    low, high = np.percentile(np.array(rows), [2.5, 97.5], axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}


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
        They share no micrograph.
    """
    names = [name for name in first.micrographs() if name in set(second.micrographs())]
    _check_names(first.micrographs(), second.micrographs())
    distances, a, b = [np.empty(0)], 0, 0
    for name in names:
        one, two = first.of(name), second.of(name)
        found = match(one.xy, None, two.xy, match_radius, "optimal")
        distances.append(found.distance[found.hit])
        a, b = a + len(one), b + len(two)
    pairs = np.concatenate(distances)
    rmse = float(np.sqrt(np.mean(pairs**2))) if len(pairs) else float("nan")
    return Agreement(a, b, len(pairs), 2 * len(pairs) / (a + b), rmse)
