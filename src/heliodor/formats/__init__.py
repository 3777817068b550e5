"""Coordinate formats: one file each, and one table that names them.

A format is a module with `SUFFIXES`, `read(path) -> Picks` and `write(path, picks, **options)`. To add one,
write the module and name it in `FORMATS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError, SettingsError
from heliodor.formats import box, csv, star, txt
from heliodor.picks import Picks

if TYPE_CHECKING:
    import os
    from types import ModuleType

FORMATS: dict[str, ModuleType] = {"txt": txt, "star": star, "box": box, "csv": csv}
ALIASES = {"coord": "txt", "tab": "txt"}

__all__ = ["FORMATS", "read_picks", "write_per_micrograph", "write_picks"]


def find_format(path: Path, format: str = "auto") -> ModuleType:
    """Return the module of a format, by name or, for 'auto', by the file's extension."""
    name = ALIASES.get(format, format)
    if name in FORMATS:
        return FORMATS[name]
    if name != "auto":
        raise SettingsError(f"there is no coordinate format '{format}'; choose from {', '.join(FORMATS)}")
    for module in FORMATS.values():
        if path.suffix.lower() in module.SUFFIXES:
            return module
    raise FormatError(
        f"{path}: no coordinate format has the extension '{path.suffix}'; name one of {', '.join(FORMATS)}"
    )


def read_picks(
    path: str | os.PathLike[str],
    *,
    format: str = "auto",
    y: str = "down",
    height: int | None = None,
) -> Picks:
    """Read coordinates from a file, or from every file of a known format in a folder.

    Parameters
    ----------
    path : path
    format : {'auto', 'txt', 'star', 'box', 'csv'}
    y : {'down', 'up'}
        Whether y counts rows from the first row of the image array, as here, or from the last. The
        formats do not say: EMAN's and RELION's files depend on the program that showed the image.
    height : int, optional
        Rows of the image, needed for 'up': y becomes height - 1 - y.

    Returns
    -------
    Picks
        Names as the file gives them.

    Raises
    ------
    FormatError
        No such file, or its contents are not of the format.
    """
    path = Path(path)
    if path.is_dir():
        known = [s for module in FORMATS.values() for s in module.SUFFIXES]
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in known)
        if not files:
            raise FormatError(f"{path}: no coordinate file in this folder ({', '.join(known)})")
        return Picks.join(read_picks(p, format=format, y=y, height=height) for p in files)
    if not path.is_file():
        raise FormatError(f"{path}: there is no such coordinate file; check the path")
    try:
        picks: Picks = find_format(path, format).read(path)
    except (UnicodeDecodeError, PermissionError) as error:
        raise FormatError(f"{path}: cannot be read as text ({error}); give a coordinate file") from error
    if y == "up":
        if height is None:
            raise SettingsError("y counts from the last row: give the height of the micrographs, in pixels")
        return Picks(picks.names, np.stack([picks.xy[:, 0], height - 1 - picks.xy[:, 1]], axis=1), picks.scores)
    return picks


def write_picks(path: str | os.PathLike[str], picks: Picks, *, format: str = "auto", **options: Any) -> None:
    """Write all picks to one file, atomically.

    Parameters
    ----------
    path : path
    picks : Picks
    format : {'auto', 'txt', 'star', 'box', 'csv'}
    **options
        `integers` (txt), `box_size` (box).

    Raises
    ------
    FormatError, SettingsError, OutputError
    """
    path = Path(path)
    find_format(path, format).write(path, picks, **options)


def write_per_micrograph(
    folder: str | os.PathLike[str],
    picks: Picks,
    *,
    format: str,
    suffix: str = "",
    **options: Any,
) -> list[Path]:
    """Write one file for each micrograph, named after it; a name with folders goes into sub-folders.

    Raises
    ------
    FormatError
        A name would leave the folder.
    """
    module = find_format(Path(), format)
    paths = []
    for name, part in picks.by_micrograph():
        path = Path(folder) / f"{name}{suffix}{module.SUFFIXES[0]}"
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise FormatError(f"the micrograph name '{name}' leads out of the folder {folder}; rename it")
        module.write(path, part, **options)
        paths.append(path)
    return paths
