"""Do the labels fit the micrographs? Asked before any work starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import LabelError
from heliodor.names import match_names, note_on_names
from heliodor.picks import Picks
from heliodor.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heliodor.names import MicrographFile

_FEW = 20  # below, labels may well lie in one corner by chance
# Of the sides of a micrograph: labels so far from the others are told, and those of the second refused. A person whose
# screen shows a quarter of a micrograph may label that alone.
_HALF, _CORNER = 0.55, 0.4
_SEVERAL = 3  # people label a corner of one micrograph, not the same corner of several


@dataclass(frozen=True, eq=False)
class Marked:
    """What a person marked on micrographs, labels or negatives, by the names that the micrographs have in the run.

    Attributes
    ----------
    picks : Picks
    micrographs : list of MicrographFile
        Those with a mark, in their order.
    dropped : int
        Marks on micrographs that were not given.
    dropped_from : str
        One of these micrographs.
    what : str
        What they are, for people.
    note : str
        What people should know of how names were matched; '' where that is nothing.
    """

    picks: Picks
    micrographs: list[MicrographFile]
    dropped: int
    dropped_from: str
    what: str
    note: str = ""

    @classmethod
    def of(cls, given: Picks | None, micrographs: Sequence[MicrographFile], what: str = "labels") -> Marked:
        """See `resolve_labels`; None are none."""
        if given is None:
            return cls(Picks([], np.empty((0, 2))), [], 0, "", what)
        picks, meant = _resolve(given, micrographs, what)
        others, marked = set(given.micrographs()) - set(meant), named_in(micrographs, picks)
        return cls(picks, marked, len(given) - len(picks), min(others, default=""), what, note_on_names(meant))

    def once(self, distance: float, reporter: Reporter) -> Marked:
        """Leave out marks within a distance, in pixels, of an earlier one, and say so.

        Two tables may hold the same particles. Marked twice, they would look like twice as many.
        """
        from scipy.spatial import cKDTree

        kept = np.ones(len(self.picks), dtype=bool)
        for rows in self.picks.rows_by_micrograph().values():
            for one, other in sorted(cKDTree(self.picks.xy[rows]).query_pairs(distance)):
                kept[rows[other]] &= not kept[rows[one]]
        if kept.all():
            return self
        again = int((~kept).sum())
        reporter.warn(
            f"{again} of {len(kept)} {self.what} lie within {distance:.0f} pixels of another: each particle is taken "
            "once; are there several tables of the same?"
        )
        return replace(self, picks=self.picks.select(kept))

    def check(self, shapes: Mapping[str, tuple[int, int]], reporter: Reporter) -> None:
        """See `check_labels`; nothing is asked of none. Say how names were matched, where that is not plain."""
        if self.note:
            reporter.note(self.note)
        if len(self.picks):
            own = {m.name: shapes[m.name] for m in self.micrographs}
            check_labels(self.picks, own, reporter, self.what)

    def __str__(self) -> str:
        """Say how many there are, and on how many micrographs."""
        such_as = f", such as '{self.dropped_from}'"
        others = f" ({self.dropped} more are of micrographs that were not given{such_as})" if self.dropped else ""
        return f"{len(self.picks) or 'no'} {self.what} on {len(self.micrographs) or 'any'} of them{others}"


def resolve_labels(
    labels: Picks, micrographs: Sequence[MicrographFile], what: str = "labels"
) -> tuple[Picks, list[MicrographFile]]:
    """Give labels the names of their micrographs; drop those of micrographs that were not given.

    Parameters
    ----------
    labels : Picks
    micrographs : sequence of MicrographFile
    what : str
        What they are, for people.

    Returns
    -------
    labels : Picks
    labeled : list of MicrographFile
        Those with at least one label, in their order.

    Raises
    ------
    LabelError
        There is no label, or none of a given micrograph.
    """
    known, _ = _resolve(labels, micrographs, what)
    return known, named_in(micrographs, known)


def _resolve(labels: Picks, micrographs: Sequence[MicrographFile], what: str) -> tuple[Picks, dict[str, str]]:
    """Return the labels of given micrographs, by the names of these, and which of them each name in the table means."""
    if not len(labels):
        raise LabelError(f"the {what} hold no particle; mark some on some of the micrographs, or leave the {what} out")
    names = match_names(labels.micrographs(), micrographs)
    return labels.select(np.array([name in names for name in labels.names])).renamed(names), names


def named_in(micrographs: Sequence[MicrographFile], *tables: Picks) -> list[MicrographFile]:
    """Return the micrographs, in their order, that one of the tables has a row of."""
    names = {name for table in tables for name in table.names}
    return [m for m in micrographs if m.name in names]


def check_labels(
    labels: Picks, shapes: Mapping[str, tuple[int, int]], reporter: Reporter = SILENT, what: str = "labels"
) -> None:
    """Refuse labels that cannot be in the pixels of their micrographs.

    Parameters
    ----------
    labels : Picks
    shapes : mapping
        Name -> (ny, nx) of every labelled micrograph.
    reporter : Reporter
        Is warned where all labels lie in one quarter, or in a corner of so few micrographs that it may be so.
    what : str
        What they are, for people.

    Raises
    ------
    LabelError
        More than a tenth lie off their micrographs, or all lie in one corner, of two fifths of each side: in the wrong
        scale, or with x and y swapped.
    """
    extent_of = np.array([shapes[name][::-1] for name in labels.names], dtype=np.float64)
    negative = np.asarray((labels.xy < -0.5).any(axis=1))
    off = np.asarray(negative | (labels.xy > extent_of - 0.5).any(axis=1))
    reach, extent = labels.xy.max(axis=0), extent_of.max(axis=0)
    where = f"{what} reach x = {reach[0]:.0f}, y = {reach[1]:.0f} on {extent[0]:.0f} x {extent[1]:.0f} pixels"
    if off.mean() > 0.1:
        if bool((reach[::-1] <= extent).all()):
            mend = "x and y seem to be swapped"
        elif bool(negative[off].all()):
            mend = "they are negative: corners of boxes, perhaps, or counted from the centre"
        else:
            mend = f"they would fit if divided by {_factor(1 / (extent / reach).min())}"
        raise LabelError(f"{off.sum()} of {len(off)} {what} lie off their micrographs ({where}): {mend}")
    share = (labels.xy / extent_of).max(axis=0)
    if len(labels) < _FEW or bool((share >= _HALF).any()):
        return
    said = f"all {len(labels)} {what} lie in one corner ({where})"
    mend = f"multiply them by {_factor(1 / share.max())} (heliodor convert -x)"
    if len(shapes) >= _SEVERAL and bool((share < _CORNER).all()):
        raise LabelError(f"{said}: they seem to be of downsampled micrographs; {mend}")
    reporter.warn(f"{said}; if they are of downsampled micrographs, {mend}")


def check_apart(labels: Picks, negatives: Picks) -> None:
    """Refuse negatives that are labels as well, to a pixel.

    Raises
    ------
    LabelError
    """
    places = {name: set(map(tuple, np.rint(own.xy).tolist())) for name, own in labels.by_micrograph()}
    for name, own in negatives.by_micrograph():
        for x, y in np.rint(own.xy).tolist():
            if (x, y) in places.get(name, set()):
                raise LabelError(
                    f"{name}: the negative at {x:.0f}, {y:.0f} is a label as well; leave it out of one table"
                )


def _factor(ratio: float) -> str:
    # Labels seldom reach the very edge: the next whole number on the safe side, or the ratio where it is small.
    return f"{ratio:.2f}" if ratio < 1.5 else f"about {round(ratio)}"
