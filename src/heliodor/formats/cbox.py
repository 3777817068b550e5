"""crYOLO .cbox: a STAR table `cryolo` of box corners, sizes and confidences; one file per micrograph.

A confidence is a probability, a score here is its log-odds: each becomes the other at the door.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError
from heliodor.files import write_text
from heliodor.formats.box import checked_size
from heliodor.formats.star import numbers, read_columns
from heliodor.picks import Picks

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".cbox",)
_CORNER, _DEPTH, _SIZE = ("_CoordinateX", "_CoordinateY"), "_CoordinateZ", ("_Width", "_Height")
_CONFIDENCE = "_Confidence"
_COLUMNS = (
    *_CORNER, _DEPTH, *_SIZE, "_Depth", "_EstWidth", "_EstHeight", _CONFIDENCE, "_NumBoxes", "_Angle",
)  # fmt: skip
_NONE = "<NA>"
_LEAST = 1e-12  # 0 and 1 have no log-odds


def read(path: Path, name: str | None = None) -> Picks:
    """Read boxes as centres, corner + size / 2, crYOLO's own."""
    table = read_columns(path, [*_CORNER, *_SIZE], also=[_CONFIDENCE, _DEPTH])
    try:
        corner, size = (np.array([numbers(table, tag) for tag in tags]).T for tags in (_CORNER, _SIZE))
        for tag, absent in ((_CONFIDENCE, "nan"), (_DEPTH, "0")):
            table[tag] = [absent if word == _NONE else word for word in table.get(tag, [_NONE] * len(corner))]
        scores, depth = _log_odds(numbers(table, _CONFIDENCE)), numbers(table, _DEPTH)
    except ValueError as error:
        raise FormatError(f"{path}: {error}; mend that row") from error
    if depth.any():
        raise FormatError(f"{path}: boxes in three dimensions, of a tomogram; give the file of a micrograph")
    return Picks.on(
        name or path.name.removesuffix(path.suffix), corner.reshape(-1, 2) + size.reshape(-1, 2) / 2, scores
    )


def _log_odds(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.clip(confidence, _LEAST, 1 - _LEAST)
    return np.log(p) - np.log1p(-p)


def write(path: Path, picks: Picks, *, box_size: int | None = None, **_: Any) -> None:
    """Write boxes of `box_size` pixels.

    Raises
    ------
    SettingsError
        No box size.
    FormatError
        Picks of more than one micrograph.
    """
    box_size = checked_size(path, picks, box_size)
    lines = ["data_global", "", "_cbox_format_version 1.0", "", "data_cryolo", "", "loop_"]
    lines += [f"{tag} #{k}" for k, tag in enumerate(_COLUMNS, 1)]
    size = f"{box_size} {box_size}"
    for (x, y), score in zip((picks.xy - box_size / 2).tolist(), picks.scores.tolist(), strict=True):
        confidence = _NONE if np.isnan(score) else f"{1 / (1 + np.exp(-score)):.13g}"
        lines.append(f"{x:.3f} {y:.3f} {_NONE} {size} {_NONE} {size} {confidence} {_NONE} {_NONE}")
    write_text(path, "\n".join(lines) + "\n\n")
