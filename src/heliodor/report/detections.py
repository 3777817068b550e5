"""Detections of the micrographs that the report looks at closely, above and below the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.picks import Picks

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        self._run, self._tally = run, tally
        self._found = {row: self._read(row) for row in sorted(set(rows))}

    def _read(self, row: int) -> Picks:
        found = self._run.candidates(self._run.micrographs[row].name)
        if found is None:
            return self._tally.picks(row)
        return found.select(np.argsort(-found.scores, kind="stable"))

    def __getitem__(self, row: int) -> Picks:
        return self._found[row]

    def picks(self, row: int) -> Picks:
        """Return those above the threshold."""
        return self._found[row].above(self._run.threshold)

    def join(self, rows: Iterable[int]) -> Picks:
        """Return the detections of several micrographs in one table."""
        return Picks.join(self._found[row] for row in rows)
