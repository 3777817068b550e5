"""Answers to "is this a particle?", and the file that keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import FormatError
from heliodor.files import write_text
from heliodor.picks import Picks

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike, NDArray

YES, NO, OPEN = 1, 0, -1
_WORDS = {"yes": YES, "no": NO, "": OPEN}
# Not the names of a table of coordinates, so that nobody trains on the picks that were called no particle.
_COLUMNS = ("micrograph", "x", "y", "score", "answer")


@dataclass(frozen=True, eq=False)
class Answers:
    """Picks that a person is asked about, in the order of asking.

    Parameters
    ----------
    picks : Picks
        In full-size pixels, with scores.
    given : (N,) array of int, optional
        `YES`, `NO` or `OPEN` (not answered). Default: all open.
    """

    picks: Picks
    given: NDArray[np.int8]

    def __init__(self, picks: Picks, given: ArrayLike | None = None) -> None:
        answers = np.full(len(picks), OPEN, np.int8) if given is None else np.array(given, np.int8).reshape(-1)
        if len(answers) != len(picks) or not np.isin(answers, (YES, NO, OPEN)).all():
            raise ValueError(f"Answers needs 1, 0 or -1 for each of {len(picks)} picks. Got {answers} instead.")
        object.__setattr__(self, "picks", picks)
        object.__setattr__(self, "given", answers)

    def __len__(self) -> int:
        return len(self.given)

    @property
    def open(self) -> NDArray[np.intp]:
        """Rows that are not answered yet."""
        return np.flatnonzero(self.given == OPEN)

    def answered(self, row: int, answer: int) -> Answers:
        """Set one answer: `YES`, `NO`, or `OPEN` to take it back."""
        given = self.given.copy()
        given[row] = answer
        return Answers(self.picks, given)

    @property
    def particles(self) -> Picks:
        """Picks that were called particles: labels."""
        return self.picks.select(self.given == YES)

    @property
    def others(self) -> Picks:
        """Picks that were called no particles: negatives."""
        return self.picks.select(self.given == NO)


def write_answers(path: str | os.PathLike[str], answers: Answers) -> None:
    """Write answers, open ones too, atomically: tab separated micrograph, x, y, score, answer (yes, no or nothing).

    Raises
    ------
    FormatError
        A micrograph's name has a tab or line break.
    OutputError
    """
    words = {value: word for word, value in _WORDS.items()}
    lines = ["\t".join(_COLUMNS)]
    rows = zip(answers.picks.names, answers.picks.xy.tolist(), answers.picks.scores, answers.given, strict=True)
    for name, (x, y), score, given in rows:
        if any(c in name for c in "\t\n\r"):
            raise FormatError(f"the name {name!r} has a tab or line break, which this table cannot hold; rename it")
        lines.append(f"{name}\t{x:.3f}\t{y:.3f}\t{score:.6f}\t{words[int(given)]}")
    write_text(path, "\n".join(lines) + "\n")


def read_answers(path: str | os.PathLike[str]) -> Answers:
    """Read what `write_answers` wrote, or a person edited.

    Raises
    ------
    FormatError
        There is no such file, or it is not such a table.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: cannot read the answers ({error}); give the table of an audit") from error
    if not lines or tuple(lines[0].split("\t")) != _COLUMNS:
        raise FormatError(f"{path}: the first line must be the columns {', '.join(_COLUMNS)}, tab between them")
    names, numbers, given = [], [], []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = line.split("\t")
        try:
            name, x, y, score, word = cells
            numbers.append((float(x), float(y), float(score)))
            given.append(_WORDS[word.strip().lower()])
        except (ValueError, KeyError) as error:
            raise FormatError(
                f"{path}, line {number}: a micrograph, three numbers, and yes, no or nothing are expected; mend it"
            ) from error
        names.append(name)
    values = np.array(numbers, dtype=np.float64).reshape(-1, 3)
    if not np.isfinite(values).all():
        raise FormatError(f"{path}: a number is not finite; mend that row")
    return Answers(Picks(names, values[:, :2], values[:, 2]), given)
