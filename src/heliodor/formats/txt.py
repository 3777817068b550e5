"""Topaz's table: tab separated image_name, x_coord, y_coord, [score, probability], columns in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError
from heliodor.files import write_text
from heliodor.picks import Picks

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".txt", ".tab", ".tsv", ".coord")
NEEDED = ("image_name", "x_coord", "y_coord")
_MEASURES = ("score", "probability")


def read(path: Path, _name: str | None = None) -> Picks:
    """Read the table; names stay text, so that 001 is not 1."""
    lines = {
        number: line.rstrip("\r")
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1)
        if line.strip() and not (line.startswith("#") and "\t" not in line)
    }
    header = [word.strip() for word in lines.pop(next(iter(lines))).split("\t")] if lines else []
    if not set(NEEDED) <= set(header):
        raise FormatError(f"{path}: the first line must name the columns {', '.join(NEEDED)}, tab between them")
    columns = _columns(path, lines, len(header))
    name, x, y = (columns[header.index(word)] for word in NEEDED)
    xy = np.array([_numbers(path, lines, column) for column in (x, y)]).T
    measures = [
        _numbers(path, lines, columns[header.index(word)], empty="nan") if word in header else None
        for word in _MEASURES
    ]
    return Picks(name, xy, *measures)


def _columns(path: Path, lines: dict[int, str], width: int) -> list[list[str]]:
    """Split lines (number -> text) into columns; a line may have more than `width`."""
    if all(line.count("\t") == width - 1 for line in lines.values()):
        words = "\t".join(lines.values()).split("\t") if lines else []  # at once: there may be millions
        return [words[k::width] for k in range(width)]
    rows = [line.split("\t") for line in lines.values()]
    for number, row in zip(lines, rows, strict=True):
        if len(row) < width:
            raise FormatError(f"{path}, line {number}: {len(row)} columns where there should be {width}; mend it")
    return [[row[k] for row in rows] for k in range(width)]


def _numbers(path: Path, lines: dict[int, str], words: list[str], empty: str = "") -> NDArray[np.float64]:
    """Turn a column into numbers; an empty word stands for `empty`."""
    try:
        return np.fromiter(map(float, words), np.float64, len(words))
    except ValueError:
        values = []
    for number, word in zip(lines, words, strict=True):
        try:
            values.append(float(word or empty))
        except ValueError as error:
            raise FormatError(f"{path}, line {number}: a number is expected ({error}); mend that row") from error
    return np.array(values)


def write(path: Path, picks: Picks, *, integers: bool = False, **_: Any) -> None:
    """Write the table; `integers` rounds coordinates, as some programs that read it demand."""
    write_text(path, to_text(picks, integers=integers))


def to_text(picks: Picks, *, integers: bool = False) -> str:
    """Table as text; the columns of scores and probabilities are there if any pick has one."""
    columns = {"score": picks.scores, "probability": picks.probabilities}
    kept = {word: column for word, column in columns.items() if (~np.isnan(column)).any()}
    if not len(picks):
        kept = {"score": picks.scores}  # a table without picks names the column all the same
    lines = ["\t".join([*NEEDED, *kept])]
    values = zip(*(column.tolist() for column in kept.values()), strict=True) if kept else [()] * len(picks)
    for name, (x, y), measures in zip(picks.names, picks.xy.tolist(), values, strict=True):
        if any(c in name for c in "\t\n\r"):
            raise FormatError(f"the name {name!r} has a tab or line break, which this format cannot hold; rename it")
        place = f"{round(x)}\t{round(y)}" if integers else f"{x:.3f}\t{y:.3f}"
        lines.append(f"{name}\t{place}" + "".join(f"\t{value:.6f}" for value in measures))
    return "\n".join(lines) + "\n"
