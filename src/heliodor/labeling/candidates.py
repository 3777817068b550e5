"""Picks of a network, to look at and to judge: by micrograph, with scores and, where they are known, probabilities."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError
from heliodor.formats import read_picks
from heliodor.names import match_names
from heliodor.picks import Picks

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from heliodor.names import MicrographFile

STEPS = 200  # of the threshold slider
_RESULTS = ("candidates.star", "picks.star")  # of heliodor pick: all that was found, or that above its threshold
_RECORD = "run.json"


@dataclass(frozen=True, eq=False)
class Candidates:
    """Picks on some of the micrographs.

    Parameters
    ----------
    picks : Picks
        In full-size pixels, by the names of the micrographs.
    rows : mapping
        Number of a micrograph -> its rows in `picks`, best score first.
    kept : (N,) array of bool
        Which of `picks` are picks of the run; all, where there is no run.
    automatic : float
        Threshold of the run, below the scores of all picks where there is no run. A run may ask more of the picks on
        some micrographs; a threshold that a person chooses is the same on all.
    flags : mapping
        Number of a micrograph that the run calls bad as a whole -> in what.
    """

    picks: Picks = field(default_factory=lambda: Picks([], []))
    rows: Mapping[int, NDArray[np.intp]] = field(default_factory=dict)
    kept: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=bool))
    automatic: float = 0.0
    flags: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | os.PathLike[str], micrographs: Sequence[MicrographFile]) -> Candidates:
        """Read picks from a coordinate file, or from the folder of a run of `heliodor pick`.

        Raises
        ------
        FormatError, LabelError
            The file cannot be read, or belongs to other micrographs.
        """
        folder = Path(path)
        results = [folder / name for name in _RESULTS if (folder / name).is_file()]
        found = read_picks(results[0] if results else folder)
        kept = np.ones(len(found), dtype=bool)
        if len(results) > 1:
            run = set(read_picks(results[1]).places())
            kept = np.array([place in run for place in found.places()], dtype=bool)
        threshold, flagged = _read_record(folder / _RECORD) if results else (0.0, {})
        names = match_names([*found.micrographs(), *(flagged.keys() - set(found.micrographs()))], micrographs)
        ours = np.array([name in names for name in found.names], dtype=bool)
        picks, kept = found.select(ours).renamed(names), kept[ours]
        numbers = {m.name: index for index, m in enumerate(micrographs)}
        order = np.argsort(-picks.scores, kind="stable")
        table: dict[int, list[int]] = {}
        for row in order.tolist():
            table.setdefault(numbers[picks.names[row]], []).append(row)
        rows = {index: np.array(own, dtype=np.intp) for index, own in table.items()}
        if results:
            flags = {numbers[names[name]]: ", ".join(why) for name, why in flagged.items() if name in names}
            return cls(picks, rows, kept, threshold, flags)
        return cls(picks, rows, kept, float(picks.scores.min()) - 0.01 if picks.has_scores else 0.0)

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Scores of all picks; ones where some have none, so that all are above the threshold."""
        return self.picks.scores if self.picks.has_scores else np.ones(len(self.picks))

    def above(self, threshold: float) -> NDArray[np.bool_]:
        """Say which picks are picks at a threshold."""
        return self.kept if threshold == self.automatic else self.scores > threshold

    def of(self, index: int) -> list[list[float | bool | None]]:
        """Return [x, y, score, probability or None, kept] of each pick on a micrograph, best first, JSON-able."""
        rows = self.rows.get(index)
        if rows is None:
            return []
        columns = (self.picks.xy[rows].round(3), self.scores[rows].round(6), self.picks.probabilities[rows].round(4))
        table = zip(np.column_stack(columns).tolist(), self.kept[rows].tolist(), strict=True)
        return [[x, y, score, None if p != p else p, kept] for (x, y, score, p), kept in table]

    def summary(self) -> dict[str, Any]:
        """Return what the threshold slider needs.

        Its ends, how many picks are above each of its steps, and the lowest probability among these.
        """
        order = np.argsort(self.scores)
        scores, probabilities = self.scores[order], self.picks.probabilities[order]
        low, high = (float(scores[0]) - 0.01, float(scores[-1])) if len(scores) else (0.0, 1.0)
        first = np.searchsorted(scores, np.linspace(low, high, STEPS + 1), side="right")
        likely = [None if k == len(scores) or np.isnan(p := probabilities[k]) else round(float(p), 3) for k in first]
        return {
            "scored": self.picks.has_scores,
            "low": low,
            "high": high,
            "above": (len(scores) - first).tolist(),
            "probabilities": likely,
            "automatic": self.automatic,
            "kept": int(self.kept.sum()),
            "flags": dict(self.flags),
        }

    def counts(self, threshold: float) -> dict[int, int]:
        """Count the picks above a threshold: number of a micrograph -> count."""
        above = self.above(threshold)
        return {index: int(above[rows].sum()) for index, rows in self.rows.items()}


def _read_record(record: Path) -> tuple[float, dict[str, list[str]]]:
    """Return the threshold of a run, and what is wrong with micrographs that it calls bad as a whole."""
    try:
        result = json.loads(record.read_text(encoding="utf-8"))["result"]
        return float(result["estimates"]["threshold"]), dict(result.get("flags", {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{record}: not the record of a finished run ({error!r}); finish it first") from error
