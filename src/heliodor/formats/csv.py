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
from heliodor.names import IMAGE_SUFFIXES
from heliodor.picks import Picks

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".csv",)
# What columns may be called, in small letters; docs/how-to.md lists them too.
COLUMNS = {
    "x": ("x", "x (px)", "x_coord", "x-coordinate", "x_center", "center_x", "cx", "rlncoordinatex", "_rlncoordinatex"),
    "y": ("y", "y (px)", "y_coord", "y-coordinate", "y_center", "center_y", "cy", "rlncoordinatey", "_rlncoordinatey"),
    "width": ("width", "w"),
    "height": ("height", "h"),
    "name": (
        "image_name", "micrograph", "micrograph_name", "name", "filename", "image", "image_id", "rlnmicrographname",
        "_rlnmicrographname",
    ),
    "score": ("score", "confidence", "probability"),
}  # fmt: skip
_IMAGEJ = "bx"  # a box's corner in ImageJ's tables, whose x, y are a centre beside a width and a height too

Rows = list[dict[str, str]]


def read(path: Path, name: str | None = None) -> Picks:
    """Read coordinates; a table without names is of the micrograph that the file is named after.

    Columns x, y, width and height, or x, y, w and h, are the corners and sizes of boxes: centres are corner + size / 2.
    """
    rows, header = _load(path)
    if via.SHAPE in header:
        return via.read_rows(path, rows)
    columns = {what: next((header[w] for w in words if w in header), None) for what, words in COLUMNS.items()}
    x, y, width, height, names, score = columns.values()
    if x is None or y is None:
        others = ", ".join(COLUMNS["x"][1:])
        raise FormatError(
            f"{path}: the first line must name columns x and y (or {others}, and so for y); it has {', '.join(header)}"
        )
    if names and names.strip().lower() == "image_id" and all(_is_number(row[names] or "") for row in rows):
        names = None  # numbers of another table
    if names is None:
        _refuse_names(path, rows, [column for column in header.values() if column not in columns.values()])
    for number, row in enumerate(rows, 2):
        if names and row[names] is None:
            raise FormatError(f"{path}, line {number}: the row ends before its {names}; mend that row")
    xy = np.stack([_numbers(path, rows, x), _numbers(path, rows, y)], axis=1)
    if width and height and {"x", "y"} <= set(header) and _IMAGEJ not in header:
        xy += np.stack([_numbers(path, rows, width), _numbers(path, rows, height)], axis=1) / 2
    own = name or own_name(path)
    scores = None if score is None else _numbers(path, rows, score, empty="nan")
    return Picks([row[names] if names else own for row in rows], xy, scores)


def _load(path: Path) -> tuple[Rows, dict[str, str]]:
    """Return the rows of a table, and its columns: name in small letters -> name."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        # Spreadsheets write semicolons in countries where numbers have commas.
        reader = csv.DictReader(file, delimiter=";" if first.count(";") > first.count(",") else ",")
        rows = list(reader)
        header = {(word or "").strip().lower(): word for word in reader.fieldnames or []}
    return rows, header


def _numbers(path: Path, rows: Rows, column: str, empty: str = "") -> NDArray[np.float64]:
    """Turn a column into numbers; an empty word, or none, stands for `empty`."""
    values = []
    for number, row in enumerate(rows, 2):
        try:
            values.append(float(row[column] or empty))
        except ValueError as error:
            word = (row[column] or "")[:40]
            raise FormatError(f"{path}, line {number}: the {column} '{word}' is not a number; mend that row") from error
    return np.array(values)


def _refuse_names(path: Path, rows: Rows, columns: list[str]) -> None:
    """Refuse a table whose micrographs may be named in a column that is not known: all would be taken for one."""
    for column in columns:
        words = {row[column] for row in rows if row[column]}
        if len(words) > 1 and all("/" in word or word.lower().endswith(IMAGE_SUFFIXES) for word in words):
            known = ", ".join(COLUMNS["name"])
            raise FormatError(
                f"{path}: the column '{column}' may be of micrograph names, and is not known; call it one of {known}, "
                "or remove it"
            )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def write(path: Path, picks: Picks, **_: Any) -> None:
    """Write micrograph, x, y, score."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["micrograph", "x", "y", "score"])
    for name, (x, y), score in zip(picks.names, picks.xy.tolist(), picks.scores.tolist(), strict=True):
        writer.writerow([name, f"{x:.3f}", f"{y:.3f}", "" if np.isnan(score) else f"{score:.6f}"])
    write_text(path, out.getvalue())
