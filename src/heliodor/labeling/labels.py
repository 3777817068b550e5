"""The labels of one micrograph, and edits of them that two browser tabs can make without losing each other's."""

from __future__ import annotations

import re
import secrets
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from heliodor.errors import LabelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

Kind = Literal["particle", "negative"]
KINDS: tuple[Kind, ...] = ("particle", "negative")
MOST = 50_000  # labels on a micrograph: what a page can send by mistake should not fill memory
_ID = re.compile(r"[0-9a-z]{1,32}")


@dataclass(frozen=True)
class Label:
    """A particle, or something that is none; x and y in full-size pixels."""

    x: float
    y: float
    kind: Kind


@dataclass(frozen=True)
class Edit:
    """A change of one label, or of the mark that a micrograph is done.

    Parameters
    ----------
    do : {'add', 'change', 'delete', 'done'}
        'add' does nothing where the id is known (a request that is sent twice), 'change' and 'delete' where it is
        not (another tab deleted the label).
    id : str
        Of the label, given by the page that added it.
    x, y : float, optional
    kind : {'particle', 'negative'}, optional
    value : bool
        Of 'done'.
    """

    do: str
    id: str = ""
    x: float | None = None
    y: float | None = None
    kind: Kind | None = None
    value: bool = False

    @classmethod
    def of_json(cls, words: Any, width: int, height: int) -> Edit:
        """Check what a page sent; raises `LabelError` where it is not an edit of a micrograph of this size."""
        if not isinstance(words, dict) or words.get("do") not in ("add", "change", "delete", "done"):
            raise LabelError("an edit is one of add, change, delete and done")
        do, kind = words["do"], words.get("kind")
        if do == "done":
            return cls(do, value=words.get("value") is True)
        key = words.get("id")
        if not isinstance(key, str) or not _ID.fullmatch(key):
            raise LabelError("a label's id is made of up to 32 digits and small letters")
        if kind is not None and kind not in KINDS:
            raise LabelError(f"a label is one of {', '.join(KINDS)}")
        x, y = (_coordinate(words.get(axis), size) for axis, size in (("x", width), ("y", height)))
        if (x is None) != (y is None) or (do == "add" and (x is None or kind is None)):
            raise LabelError("a label has x, y and a kind")
        return cls(do, key, x, y, kind)

    def label(self) -> Label:
        """Return the label that 'add' adds."""
        assert self.x is not None
        assert self.y is not None
        assert self.kind is not None  # all three by `of_json`
        return Label(self.x, self.y, self.kind)


def is_number(value: Any) -> bool:
    """Say whether a value of JSON is a number that a float can hold: true is none, nor is an integer of 400 digits."""
    return not isinstance(value, bool) and isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _coordinate(value: Any, size: int) -> float | None:
    if value is None:
        return None
    if not is_number(value):
        raise LabelError("a coordinate is a number")
    if not -0.5 <= value <= size - 0.5:
        raise LabelError(f"the coordinate {value:g} is off the micrograph")
    return round(float(value), 3)


@dataclass
class MicrographLabels:
    """The labels of one micrograph.

    Parameters
    ----------
    labels : dict
        Id -> label, in the order in which they were added.
    done : bool
        The person has labelled all that there is.
    revision : int
        Of the session, when this was last changed.
    """

    labels: dict[str, Label] = field(default_factory=dict)
    done: bool = False
    revision: int = 0

    def extend(self, xy: NDArray[np.float64], kind: Kind) -> None:
        """Add labels read from a file."""
        self.labels |= {secrets.token_hex(8): Label(x, y, kind) for x, y in xy.tolist()}

    def apply(self, edits: Iterable[Edit]) -> None:
        """Make edits, in their order.

        Raises
        ------
        LabelError
            More than `MOST` labels; none of the edits is made.
        """
        labels, done = dict(self.labels), self.done
        for edit in edits:
            if edit.do == "done":
                done = edit.value
            elif edit.do == "delete":
                labels.pop(edit.id, None)
            elif edit.do == "add":
                labels.setdefault(edit.id, edit.label())
            elif edit.id in labels:
                given = {name: value for name in ("x", "y", "kind") if (value := getattr(edit, name)) is not None}
                labels[edit.id] = replace(labels[edit.id], **given)
        if len(labels) > MOST:
            raise LabelError(f"a micrograph holds at most {MOST} labels")
        self.labels, self.done = labels, done

    def xy(self, kind: Kind) -> NDArray[np.float64]:
        """Centres of the labels of a kind, (N, 2)."""
        return np.array([(one.x, one.y) for one in self.labels.values() if one.kind == kind]).reshape(-1, 2)

    def count(self, kind: Kind) -> int:
        """Count the labels of a kind."""
        return sum(one.kind == kind for one in self.labels.values())

    def table(self) -> list[tuple[str, float, float, Kind]]:
        """Return (id, x, y, kind) of each label."""
        return [(key, one.x, one.y, one.kind) for key, one in self.labels.items()]
