"""Intervals by resampling micrographs, all resamplings at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BINS = 2048
"""A longer ranking is cut into so many pieces of equal length: the error is far below the width of an interval."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Matched picks of one micrograph, or of several.

    Attributes
    ----------
    hit : (N,) bool array
        Whether each pick is matched.
    scores : (N,) float array
    distance : (N,) float array
        To the label matched, NaN where none is.
    labels : int
        Number of labels, found or not.
    """

    hit: NDArray[np.bool_]
    scores: NDArray[np.float64]
    distance: NDArray[np.float64]
    labels: int

    @classmethod
    def pool(cls, parts: Sequence[Ranking]) -> Ranking:
        """Put rankings one behind the other."""
        return cls(
            np.concatenate([p.hit for p in parts]),
            np.concatenate([p.scores for p in parts]),
            np.concatenate([p.distance for p in parts]),
            sum(p.labels for p in parts),
        )


def intervals(
    parts: Sequence[Ranking], threshold: float, count: int, seed: int, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Draw micrographs with replacement and take percentiles of what comes.

    A micrograph, not a particle, is what is drawn: particles on one micrograph share its ice and defocus, and
    intervals over particles would be too narrow.

    Parameters
    ----------
    parts : sequence of Ranking
        One per micrograph.
    threshold : float
        Of precision, recall, F1 and RMSE.
    count : int
        Resamplings.
    seed : int
    level : float
        Share of the resamplings inside.

    Returns
    -------
    dict of str to (float, float)
        precision, recall, f1, average_precision, best_f1, rmse; empty for fewer than two micrographs or `count` 0.
        Resamplings that have no such number are left out (an RMSE without matches, a precision without picks); NaN
        where none has.
    """
    if count < 1 or len(parts) < 2:
        return {}
    size = len(parts)
    draws = np.random.default_rng(seed).integers(0, size, (count, size))
    cells = np.arange(count)[:, None] * size + draws
    drawn = np.bincount(cells.ravel(), minlength=count * size).reshape(count, size).astype(np.float64)
    labels = drawn @ np.array([p.labels for p in parts], dtype=np.float64)
    kept = [p.scores >= threshold for p in parts]
    picks = drawn @ np.array([k.sum() for k in kept], dtype=np.float64)
    hits = drawn @ np.array([(k & p.hit).sum() for k, p in zip(kept, parts, strict=True)], dtype=np.float64)
    squares = drawn @ np.array([np.sum(p.distance[k & p.hit] ** 2) for k, p in zip(kept, parts, strict=True)])
    average, best = _ranked(parts, drawn, labels)
    values = {
        "precision": hits[picks > 0] / picks[picks > 0],
        "recall": hits / np.maximum(labels, 1),
        "f1": 2 * hits / np.maximum(picks + labels, 1),
        "average_precision": average,
        "best_f1": best,
        "rmse": np.sqrt(squares[hits > 0] / hits[hits > 0]),
    }
    tails = [50 * (1 - level), 50 * (1 + level)]
    bounds = {name: np.percentile(v, tails) if len(v) else (np.nan, np.nan) for name, v in values.items()}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}


def _ranked(
    parts: Sequence[Ranking], drawn: NDArray[np.float64], labels: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average precision and best F1 of each resampling; `drawn` says how often each micrograph is in it.

    The copies of a pick have one rank: each counts with the precision behind the last of them.
    """
    pooled = Ranking.pool(parts)
    size = len(pooled.hit)
    if not size:
        return np.zeros(len(drawn)), np.zeros(len(drawn))
    bins = min(size, BINS)
    rank = np.empty(size, dtype=np.intp)
    rank[np.argsort(-pooled.scores, kind="stable")] = np.arange(size)
    micrograph = np.repeat(np.arange(len(parts)), [len(p.hit) for p in parts])
    cell = micrograph * bins + rank * bins // size
    shape = (len(parts), bins)
    picks_in = np.bincount(cell, minlength=shape[0] * bins).reshape(shape)
    hits_in = np.bincount(cell, pooled.hit, minlength=shape[0] * bins).reshape(shape)
    new = drawn @ hits_in
    hits, picks = np.cumsum(new, axis=1), np.cumsum(drawn @ picks_in, axis=1)
    average = np.sum(new * hits / np.maximum(picks, 1), axis=1) / np.maximum(labels, 1)
    best = np.max(2 * hits / np.maximum(picks + labels[:, None], 1), axis=1)
    return average, best
