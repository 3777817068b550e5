"""VIA (VGG Image Annotator) csv: a row for each region, its shape as JSON; Topaz's csv."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError
from heliodor.files import write_text
from heliodor.names import stem
from heliodor.picks import Picks

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".csv",)
SHAPE, ABOUT = "region_shape_attributes", "region_attributes"
_COLUMNS = ("filename", "file_size", "file_attributes", "region_count", "region_id", SHAPE, ABOUT)


def read(path: Path, _name: str | None = None) -> Picks:
    """Read points, circles and rectangles as centres."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if not {"filename", SHAPE} <= set(reader.fieldnames or ()):
        raise FormatError(f"{path}: the first line must name columns filename and {SHAPE}; export it from VIA as csv")
    return read_rows(path, rows)


def read_rows(path: Path, rows: list[dict[str, str]]) -> Picks:
    """Read the rows of a VIA table."""
    names, table = [], []
    for number, row in enumerate(rows, 2):
        try:
            shape = json.loads(row[SHAPE] or "{}")
            about = json.loads(row.get(ABOUT) or "{}")
            if not shape:
                continue  # an image without a region
            width, height = shape.get("width", 0), shape.get("height", 0)
            x = shape["cx"] if "cx" in shape else shape["x"] + width / 2
            y = shape["cy"] if "cy" in shape else shape["y"] + height / 2
            table.append((float(x), float(y), float(about.get("score") or "nan")))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{path}, line {number}: not a point, circle or rectangle ({error})") from error
        names.append(row["filename"])
    values = np.array(table, dtype=np.float64).reshape(-1, 3)
    return Picks(names, values[:, :2], values[:, 2])


def write(path: Path, picks: Picks, *, integers: bool = False, image_ext: str | None = None, **_: Any) -> None:
    """Write points, by micrograph; `image_ext` replaces the extension of the names."""
    write_text(path, to_text(picks, integers=integers, image_ext=image_ext))


def to_text(picks: Picks, *, integers: bool = False, image_ext: str | None = None) -> str:
    """Table as text; see `write`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for name, part in picks.by_micrograph():
        file = name if image_ext is None else stem(name) + image_ext
        for row, ((x, y), score) in enumerate(zip(part.xy.tolist(), part.scores.tolist(), strict=True)):
            place = (round(x), round(y)) if integers else (round(x, 3), round(y, 3))
            shape = {"name": "point", "cx": place[0], "cy": place[1]}
            about = {} if np.isnan(score) else {"score": f"{score:.6f}"}
            writer.writerow([file, -1, "{}", len(part), row, json.dumps(shape), json.dumps(about)])
    return out.getvalue()
