"""Topaz's table: tab separated image_name, x_coord, y_coord, [score], columns in any order."""

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
    score = header.index("score") if "score" in header else None
    table = []
    for number, row in rows:
        try:
            table.append((float(row[x]), float(row[y]), float("nan" if score is None else row[score] or "nan")))
        except ValueError as error:
            raise FormatError(f"{path}, line {number}: a number is expected ({error}); mend that row") from error
    values = np.array(table, dtype=np.float64).reshape(-1, 3)
    return Picks([row[name] for _, row in rows], values[:, :2], values[:, 2])


def write(path: Path, picks: Picks, *, integers: bool = False, **_: Any) -> None:
    """Write the table; `integers` rounds coordinates, as some programs that read it demand."""
    write_text(path, to_text(picks, integers=integers))


def to_text(picks: Picks, *, integers: bool = False) -> str:
    """Table as text; the score column is there if any pick has a score."""
    scored = bool(len(picks) == 0 or (~np.isnan(picks.scores)).any())
    lines = ["\t".join([*NEEDED, *(["score"] if scored else [])])]
    for name, (x, y), score in zip(picks.names, picks.xy.tolist(), picks.scores.tolist(), strict=True):
        if any(c in name for c in "\t\n\r"):
            raise FormatError(f"the name {name!r} has a tab or line break, which this format cannot hold; rename it")
        place = f"{round(x)}\t{round(y)}" if integers else f"{x:.3f}\t{y:.3f}"
        lines.append(f"{name}\t{place}" + (f"\t{score:.6f}" if scored else ""))
    return "\n".join(lines) + "\n"
