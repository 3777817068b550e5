"""Comma separated coordinates: plain x and y under several spellings (CryoPPP's among them), or VIA's JSON points."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError
from heliodor.files import write_text
from heliodor.formats import via
from heliodor.formats.star import own_name
from heliodor.picks import Picks

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".csv",)
_X = ("x", "x_coord", "x-coordinate", "center_x", "cx")
_Y = ("y", "y_coord", "y-coordinate", "center_y", "cy")
_NAME = ("image_name", "micrograph", "micrograph_name", "name", "filename", "image")
_SCORE = ("score", "confidence", "probability")


def read(path: Path, name: str | None = None) -> Picks:
    """Read coordinates; a table without names is of the micrograph that the file is named after."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        header = {(word or "").strip().lower(): word for word in reader.fieldnames or []}
    if via.SHAPE in header:
        return via.read_rows(path, rows)
    x, y, names, score = (next((header[w] for w in words if w in header), None) for words in (_X, _Y, _NAME, _SCORE))
    if x is None or y is None:
        raise FormatError(f"{path}: the first line must name columns x and y; it has {', '.join(header)}")
    own = name or own_name(path)
    table = []
    for number, row in enumerate(rows, 2):
        if names and row[names] is None:
            raise FormatError(f"{path}, line {number}: the row ends before its {names}; mend that row")
        try:
            table.append((float(row[x]), float(row[y]), float((row[score] if score else "") or "nan")))
        except (TypeError, ValueError) as error:
            raise FormatError(f"{path}, line {number}: a coordinate that is not a number; mend that row") from error
    values = np.array(table, dtype=np.float64).reshape(-1, 3)
    return Picks([row[names] if names else own for row in rows], values[:, :2], values[:, 2])


def write(path: Path, picks: Picks, **_: Any) -> None:
    """Write micrograph, x, y, score."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["micrograph", "x", "y", "score"])
    for name, (x, y), score in zip(picks.names, picks.xy.tolist(), picks.scores.tolist(), strict=True):
        writer.writerow([name, f"{x:.3f}", f"{y:.3f}", "" if np.isnan(score) else f"{score:.6f}"])
    write_text(path, out.getvalue())
