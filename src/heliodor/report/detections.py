"""Detections of the micrographs that the report looks at closely, picks and others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.picks import Picks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from heliodor.report.run import Run
    from heliodor.report.tally import Tally


class Detections:
    """Detections of some micrographs of a run, best first.

    Parameters
    ----------
    run : Run
    tally : Tally
    rows : iterable of int
        Rows of micrographs that were picked.

    Raises
    ------
    FormatError
        Those of a micrograph cannot be read.
    """

    def __init__(self, run: Run, tally: Tally, rows: Iterable[int]) -> None:
        self._found: dict[int, tuple[Picks, NDArray[np.bool_]]] = {}
        for row in set(rows):
            candidates = run.candidates(run.micrographs[row].name)
            if candidates is None:
                picks = tally.picks(row)
                self._found[row] = picks, np.ones(len(picks), dtype=bool)
            else:
                candidates = candidates.select(np.argsort(-candidates.scores, kind="stable"))
                self._found[row] = candidates, run.cut.keeps(candidates)

    def __getitem__(self, row: int) -> tuple[Picks, NDArray[np.bool_]]:
        """Return the detections of a micrograph, and which of them are picks."""
        return self._found[row]

    def picks(self, row: int) -> Picks:
        """Return the picks of a micrograph."""
        found, picked = self._found[row]
        return found.select(picked)

    def join(self, rows: Iterable[int]) -> tuple[Picks, NDArray[np.bool_]]:
        """Return the detections of several micrographs in one table, and which of them are picks."""
        parts = [self._found[row] for row in rows]
        picked = [own for _, own in parts]
        return Picks.join(found for found, _ in parts), np.concatenate(picked) if picked else np.empty(0, dtype=bool)
