"""EMAN2 NAME_info.json: {"boxes": [[x, y, "manual", score], ...]}, centres; one file per micrograph."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError
from heliodor.files import write_text
from heliodor.picks import Picks

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".json",)
ENDING = "_info.json"  # of a micrograph's file


def read(path: Path, name: str | None = None) -> Picks:
    """Read the boxes; a file without any is an empty table."""
    boxes = _load(path).get("boxes", [])
    own = (name or path.name.removesuffix(path.suffix)).removesuffix("_info")
    try:
        table = [(float(b[0]), float(b[1]), float(b[3]) if len(b) > 3 else np.nan) for b in boxes]
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise FormatError(f"{path}: a box that is not [x, y, kind, ...] ({error}); mend it in e2boxer") from error
    values = np.array(table, dtype=np.float64).reshape(-1, 3)
    return Picks.on(own, values[:, :2], values[:, 2])


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise FormatError(f"{path}: not readable JSON ({error}); write it again") from error
    if not isinstance(content, dict):
        raise FormatError(f"{path}: not EMAN2's info file, which holds named values; give NAME_info.json")
    return content


def write(path: Path, picks: Picks, *, integers: bool = False, **_: Any) -> None:
    """Write the boxes; what else EMAN2 keeps in a file that is there already (defocus, quality) stays.

    Raises
    ------
    FormatError
        Picks of more than one micrograph.
    """
    if len(picks.micrographs()) > 1:
        raise FormatError(f"{path}: an info file belongs to one micrograph; give a folder (ending in /) instead")
    content = _load(path) if path.is_file() else {}
    digits = None if integers else 3
    content["boxes"] = [
        [round(x, digits), round(y, digits), "manual", *([] if np.isnan(score) else [round(score, 6)])]
        for (x, y), score in zip(picks.xy.tolist(), picks.scores.tolist(), strict=True)
    ]
    write_text(path, json.dumps(content) + "\n")
