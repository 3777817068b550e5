"""What a run settles before it trains: an interrupted one goes on with it, and must not see or count otherwise."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from heliodor.files import write_text
from heliodor.picking.count import Count, Source
from heliodor.picking.folder import PRIOR

if TYPE_CHECKING:
    from heliodor.picking.run import Run


@dataclass(frozen=True)
class Settled:
    """Facts that another processor, or other micrographs beside the labelled ones, might settle otherwise.

    Parameters
    ----------
    pi : float
    count : Count
    inverted, whitening
        See `heliodor.picking.load.Loader`.
    """

    pi: float
    count: Count
    inverted: bool
    whitening: tuple[float, ...]

    @classmethod
    def read(cls, run: Run) -> Settled | None:
        """Return what an interrupted call of the same run has left; None: nothing, or not all of it."""
        path = run.folder / PRIOR
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if kept.pop("run", None) != run.digest or "whitening" not in kept:
            return None
        count = Count(**{**kept["count"], "source": Source(kept["count"]["source"])})
        return cls(kept["pi"], count, kept["inverted"], tuple(kept["whitening"]))

    def write(self, run: Run) -> None:
        """Leave it.

        Raises
        ------
        OutputError
            See `heliodor.files.write_text`.
        """
        write_text(run.folder / PRIOR, json.dumps({"run": run.digest, **asdict(self)}) + "\n")

    def seen(self, run: Run) -> Run:
        """Return the run that sees micrographs so."""
        return replace(run, load=replace(run.load, inverted=self.inverted, whitening=self.whitening))
