"""Numbers for each micrograph of a run, from the table of picks, and the micrographs worth showing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from heliodor.picks import Picks
    from heliodor.report.run import Run

_FEWEST = 3  # picks, below which a median says nothing


@dataclass(frozen=True, eq=False)
class Tally:
    """Picks of the micrographs of a run, in the order of the micrographs.

    Attributes
    ----------
    counts : (N,) int array
        Picks; 0 on a micrograph that was skipped.
    scores : (N,) float array
        Median score of the picks; NaN where there are fewer than three.
    picked : (N,) bool array
        False where a micrograph was skipped.
    """

    counts: NDArray[np.intp]
    scores: NDArray[np.float64]
    picked: NDArray[np.bool_]
    _rows: Mapping[str, int]
    _ordered: Picks
    _first: NDArray[np.intp]

    @classmethod
    def of(cls, run: Run) -> Tally:
        """Count in one pass over the table, however long it is."""
        rows = {m.name: row for row, m in enumerate(run.micrographs)}
        picks = run.picks
        row = np.fromiter((rows[name] for name in picks.names.tolist()), dtype=np.intp, count=len(picks))
        ordered = picks.select(np.lexsort((-picks.scores, row)))
        counts = np.bincount(row, minlength=len(rows))
        first = np.cumsum(counts) - counts
        enough = counts >= _FEWEST
        scores = np.full(len(rows), np.nan)
        low, high = ((first + half)[enough] for half in ((counts - 1) // 2, counts // 2))
        scores[enough] = (ordered.scores[low] + ordered.scores[high]) / 2
        picked = np.array([m.name not in run.failed for m in run.micrographs], dtype=bool)
        return cls(counts, scores, picked, rows, ordered, first)

    @property
    def known_counts(self) -> NDArray[np.float64]:
        """Picks of each micrograph, NaN on one that was skipped."""
        return np.where(self.picked, self.counts, np.nan)

    def rows_of(self, names: Iterable[str]) -> list[int]:
        """Return the rows of some micrographs, those that were skipped, or are not of the run, left out."""
        return [row for name in names if (row := self._rows.get(name)) is not None and self.picked[row]]

    def picks(self, row: int) -> Picks:
        """Return the picks of a micrograph, best first."""
        return self._ordered.select(np.arange(self._first[row], self._first[row] + self.counts[row]))

    def spread(self, count: int) -> list[int]:
        """Choose rows of picked micrographs at even distances, from the first to the last."""
        rows = np.flatnonzero(self.picked)
        chosen: list[int] = rows[even(len(rows), count)].tolist()
        return chosen


def even(length: int, count: int) -> NDArray[np.intp]:
    """Return at most `count` of the numbers below `length`, at even distances, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, min(length, count)).round().astype(np.intp))


def extremes(values: NDArray[np.float64], lowest: str, highest: str) -> dict[int, str]:
    """Return the rows of the lowest and of the highest value, and what to call them; none where all are the same."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known) or np.ptp(values[known]) == 0:
        return {}
    return {int(known[np.argmax(values[known])]): highest, int(known[np.argmin(values[known])]): lowest}


def oddest(*measures: NDArray[np.float64]) -> int | None:
    """Return the row that is farthest from the median of any measure, counted in median distances from it."""
    distance = np.zeros(len(measures[0]))
    for values in measures:
        away = np.abs(values - np.median(values[np.isfinite(values)])) if np.isfinite(values).any() else values
        typical = np.median(away[np.isfinite(away)]) if np.isfinite(away).any() else 0.0
        if typical > 0:
            distance = np.fmax(distance, away / typical)
    return int(np.argmax(distance)) if distance.any() else None
