"""Picks of a network, to look at and to judge: by micrograph, with their probability, or score where there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from heliodor.formats import read_picks
from heliodor.names import match_names

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from heliodor.names import MicrographFile
    from heliodor.picks import Picks

STEPS = 200  # of the threshold slider
_RESULTS = ("candidates.star", "picks.star")  # of heliodor pick: all that was found, or that above its threshold


@dataclass(frozen=True, eq=False)
class Candidates:
    """Picks on some of the micrographs.

    Parameters
    ----------
    by_index : mapping
        Number of a micrograph -> (N, 3) array of x, y in full-size pixels, and value.
    measure : {'probability', 'score', 'none'}
        What the value is. 'none': it is 1, since the file has neither.
    threshold : float
        That of the run that made the picks, or the lowest value of them.
    source : str
        Where they are from.
    """

    by_index: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    measure: Literal["probability", "score", "none"] = "none"
    threshold: float = 0.0
    source: str = ""

    @classmethod
    def read(cls, path: str | os.PathLike[str], micrographs: Sequence[MicrographFile]) -> Candidates:
        """Read picks from a coordinate file, or from the folder of a run of `heliodor pick`.

        Raises
        ------
        FormatError, LabelError
            The file cannot be read, or belongs to other micrographs.
        """
        path, kept = Path(path), None
        results = [path / name for name in _RESULTS if (path / name).is_file()]
        if results:
            path, kept = results[0], results[-1]
        picks = read_picks(path)
        measure, values = _values(picks)
        threshold = float(_values(read_picks(kept))[1].min(initial=np.inf)) if kept else -np.inf
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        numbers = {m.name: index for index, m in enumerate(micrographs)}
        table: dict[int, list[NDArray[np.float64]]] = {}
        names = match_names(picks.micrographs(), micrographs)
        xyv = np.column_stack([picks.xy, values])
        for name, rows in _rows(picks).items():
            if name in names:
                table.setdefault(numbers[names[name]], []).append(xyv[rows])
        by_index = {index: np.concatenate(parts) for index, parts in table.items()}
        return cls(by_index, measure, min(max(threshold, low), high), str(path))

    def of(self, index: int) -> list[list[float]]:
        """Return [x, y, value] of each pick on a micrograph, best first, JSON-able."""
        table = self.by_index.get(index)
        if table is None:
            return []
        rounded: list[list[float]] = table[np.argsort(-table[:, 2], kind="stable")].round(4).tolist()
        return rounded

    def summary(self) -> dict[str, Any]:
        """Return what the threshold slider needs: its ends, and how many picks are at or above each of its steps."""
        values = np.sort(np.concatenate([t[:, 2] for t in self.by_index.values()])) if self.by_index else np.empty(0)
        low, high = (0.0, 1.0) if self.measure == "probability" or not len(values) else (values[0], values[-1])
        edges = np.linspace(low, high, STEPS + 1)
        above = len(values) - np.searchsorted(values, edges - 1e-9)
        return {
            "measure": self.measure,
            "low": float(low),
            "high": float(high),
            "above": above.tolist(),
            "threshold": self.threshold,
            "source": self.source,
        }

    def counts(self, threshold: float) -> dict[int, int]:
        """Count the picks at or above a threshold: number of a micrograph -> count."""
        return {index: int((t[:, 2] >= threshold - 1e-9).sum()) for index, t in self.by_index.items()}


def _rows(picks: Picks) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(picks.names.tolist()):
        rows.setdefault(name, []).append(row)
    return rows


def _values(picks: Picks) -> tuple[Literal["probability", "score", "none"], NDArray[np.float64]]:
    probabilities = getattr(picks, "probabilities", None)
    if probabilities is not None and len(picks) and not np.isnan(probabilities).any():
        return "probability", probabilities
    if picks.has_scores:
        return "score", picks.scores
    return "none", np.ones(len(picks))
