"""EMAN .box: corner x, y, width, height and sometimes a score; one file per micrograph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError, SettingsError
from heliodor.files import write_text
from heliodor.picks import Picks

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".box",)


def read(path: Path, name: str | None = None) -> Picks:
    """Read boxes as centres: corner + size // 2, EMAN's centre. An empty file is an empty table."""
    name = name or path.name.removesuffix(path.suffix)
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            rows.append([float(word) for word in words[:5]])
            if len(words) < 4:
                raise ValueError(f"{len(words)} columns")
        except ValueError as error:
            raise FormatError(f"{path}, line {number}: '{line[:60]}' is not x, y, width, height ({error})") from error
    if not rows:
        return Picks.on(name, np.empty((0, 2)))
    corner = np.array([row[:2] for row in rows])
    size = np.array([row[2:4] for row in rows])
    return Picks.on(name, corner + size // 2, [row[4] if len(row) > 4 else np.nan for row in rows])


def write(path: Path, picks: Picks, *, box_size: int | None = None, **_: Any) -> None:
    """Write boxes of `box_size` pixels; corners are whole numbers.

    Raises
    ------
    SettingsError
        No box size.
    FormatError
        Picks of more than one micrograph.
    """
    box_size = checked_size(path, picks, box_size)
    corners = np.rint(picks.xy - box_size // 2).astype(int)
    scores = [f"\t{s:.6f}" if not np.isnan(s) else "" for s in picks.scores]
    lines = [f"{x}\t{y}\t{box_size}\t{box_size}{s}" for (x, y), s in zip(corners.tolist(), scores, strict=True)]
    write_text(path, "".join(line + "\n" for line in lines))


def checked_size(path: Path, picks: Picks, box_size: int | None) -> int:
    """Return the size of the boxes that a file of one micrograph is to hold.

    Raises
    ------
    SettingsError
        No box size.
    FormatError
        Picks of more than one micrograph.
    """
    if not box_size:
        raise SettingsError(f"{path}: files of boxes hold corners and sizes; give --boxsize in pixels")
    if len(picks.micrographs()) > 1:
        raise FormatError(f"{path}: a file of boxes belongs to one micrograph; give a folder (ending in /) instead")
    return box_size
