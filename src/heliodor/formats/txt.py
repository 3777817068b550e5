"""Topaz's table: tab separated image_name, x_coord, y_coord, [score, probability], columns in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError
from heliodor.files import write_text
from heliodor.picks import Picks

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".txt", ".tab", ".tsv", ".coord")
NEEDED = ("image_name", "x_coord", "y_coord")
_MEASURES = ("score", "probability")


def read(path: Path, _name: str | None = None) -> Picks:
    """Read the table; names stay text, so that 001 is not 1."""
    lines = [
        (number, line)
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1)
        if line.strip() and not (line.startswith("#") and "\t" not in line)
    ]
    header = [word.strip() for word in lines[0][1].rstrip("\r").split("\t")] if lines else []
    if not set(NEEDED) <= set(header):
        raise FormatError(f"{path}: the first line must name the columns {', '.join(NEEDED)}, tab between them")
    rows = [(number, line.rstrip("\r").split("\t")) for number, line in lines[1:]]
    for number, row in rows:
        if len(row) < len(header):
            raise FormatError(f"{path}, line {number}: {len(row)} columns where there should be {len(header)}; mend it")
    name, x, y = (header.index(word) for word in NEEDED)
    measures = [header.index(word) if word in header else None for word in _MEASURES]
    table = []
    for number, row in rows:
        known = ("nan" if column is None else row[column] or "nan" for column in measures)
        try:
            table.append([float(word) for word in (row[x], row[y], *known)])
        except ValueError as error:
            raise FormatError(f"{path}, line {number}: a number is expected ({error}); mend that row") from error
    values = np.array(table, dtype=np.float64).reshape(-1, 4)
    return Picks([row[name] for _, row in rows], values[:, :2], values[:, 2], values[:, 3])


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
