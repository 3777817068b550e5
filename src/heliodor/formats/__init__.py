"""Coordinate formats: one file each, and one table that names them.

A format is a module with `SUFFIXES`, perhaps `ENDING` (what follows a micrograph's name in the name of its file),
`read(path, name=None) -> Picks` (`name`: the micrograph of a table that names none) and
`write(path, picks, **options)`. To add one, write the module and name it in `FORMATS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.checks import check_choice
from heliodor.errors import FormatError, SettingsError
from heliodor.formats import box, cbox, cs, csv, imod, json, star, txt, via
from heliodor.names import leads_out, stem
from heliodor.picks import Picks

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from types import ModuleType

FORMATS: dict[str, ModuleType] = {
    "txt": txt,
    "star": star,
    "box": box,
    "csv": csv,
    "via": via,
    "json": json,
    "cbox": cbox,
    "cs": cs,
    "imod": imod,
}
ALIASES = {"coord": "txt", "tab": "txt"}
_RUN = ("picks.txt", "run.json")  # of `heliodor pick`: other files there hold the same picks, or detections
_NOTE = "note.txt"  # of RELION, in the folder of each job

__all__ = ["FORMATS", "read_picks", "write_per_micrograph", "write_picks"]


def find_format(path: Path, format: str = "auto") -> ModuleType:
    """Return the module of a format, by name or, for 'auto', by the file's extension."""
    name = ALIASES.get(format, format)
    if name in FORMATS:
        return FORMATS[name]
    if name != "auto":
        check_choice("coordinate format", format, FORMATS)
    for module in FORMATS.values():
        if path.suffix.lower() in module.SUFFIXES:
            return module
    if path.suffix.lower() in (".gz", ".bz2", ".xz", ".zip"):
        raise FormatError(f"{path}: is compressed; unpack it first")
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
    """Read coordinates from a file, or from every file of a known format in a folder and its sub-folders.

    Parameters
    ----------
    path : path
        A list of coordinate files, as RELION 4 writes it for a job, stands for these. The folder of a run of
        `heliodor pick` stands for its picks.txt.
    format : {'auto', 'txt', 'star', 'box', 'csv', 'via', 'json', 'cbox', 'cs', 'imod'}
    y : {'down', 'up'}
        Whether y counts rows from the first row of the image array, as here, or from the last. The
        formats do not say: EMAN's and RELION's files depend on the program that showed the image.
    height : int, optional
        Rows of the image, needed for 'up': y becomes height - 1 - y.

    Returns
    -------
    Picks
        Names as the file gives them; where it gives none, the file's own name, after its sub-folder.

    Raises
    ------
    FormatError
        No such file, or its contents are not of the format.
    SettingsError
        No such format or direction of y, or no height for y 'up'.
    """
    if y not in ("down", "up"):
        raise SettingsError(f"y counts rows 'down' or 'up'. Got {y!r} instead.")
    path = Path(path)
    if ALIASES.get(format, format) in ("auto", "txt") and all((path / name).is_file() for name in _RUN):
        path = path / _RUN[0]
    if path.is_dir():
        picks = Picks.join(_read_file(p, format, p.parent.relative_to(path)) for p in _files(path, format))
    else:
        picks = _read_file(path, format, Path())
    if y == "up":
        if height is None:
            raise SettingsError("y counts from the last row: give the height of the micrographs, in pixels")
        return picks.inverted(dict.fromkeys(picks.micrographs(), height))
    return picks


def _files(folder: Path, format: str) -> list[Path]:
    modules = FORMATS.values() if format == "auto" else [find_format(folder, format)]
    known = list(dict.fromkeys(suffix for module in modules for suffix in module.SUFFIXES))
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in known and not p.name.startswith("."))
    if not files:
        raise FormatError(f"{folder}: no coordinate file in this folder ({', '.join(known)}); check the path")
    files = [p for p in files if _holds_coordinates(p)] or files  # without any, reading one says what is wrong
    tables = [p for p in files if p.suffix.lower() in star.SUFFIXES]
    listed = {file.resolve() for table in tables for file in star.listed_files(table).values()}
    return [p for p in files if p.resolve() not in listed] if listed else files


def _holds_coordinates(path: Path) -> bool:
    """Say whether a file in a folder may hold coordinates; the settings and notes of RELION's jobs do not."""
    return path.name != _NOTE and (path.suffix.lower() not in star.SUFFIXES or star.holds_coordinates(path))


def _read_file(path: Path, format: str, folder: Path) -> Picks:
    if not path.is_file():
        raise FormatError(f"{path}: there is no such coordinate file; check the path")
    module = find_format(path, format)
    listed = star.listed_files(path) if module is star else {}
    if listed:
        parts = {name: _read_table(file, find_format(file), name) for name, file in listed.items()}
        return Picks.join(Picks.on(name, p.xy, p.scores, p.probabilities) for name, p in parts.items())
    return _read_table(path, module, (folder / star.own_name(path)).as_posix())


def _read_table(path: Path, module: ModuleType, name: str) -> Picks:
    try:
        picks: Picks = module.read(path, name)
    except (UnicodeDecodeError, PermissionError) as error:
        raise FormatError(f"{path}: cannot be read as text ({error}); give a coordinate file") from error
    lost = np.flatnonzero(~np.isfinite(picks.xy).all(axis=1))
    if len(lost):
        raise FormatError(f"{path}: particle {lost[0] + 1} has a coordinate that is not finite; mend or remove it")
    return picks


def write_picks(path: str | os.PathLike[str], picks: Picks, *, format: str = "auto", **options: Any) -> None:
    """Write all picks to one file, atomically.

    Parameters
    ----------
    path : path
    picks : Picks
    format : {'auto', 'txt', 'star', 'box', 'csv', 'via', 'json', 'cbox', 'cs', 'imod'}
    **options
        `integers` (txt, via, json), `as_topaz` (star), `box_size` (box, cbox), `micrographs` (cs), `image_ext` (via).

    Raises
    ------
    FormatError, SettingsError, OutputError
    """
    path = Path(path)
    find_format(path, format).write(path, picks, **options)


def path_in(folder: str | os.PathLike[str], name: str, ending: str) -> Path:
    """Return the path of a micrograph's own file in a folder; a `FormatError` where the name would leave it."""
    if leads_out(name):
        raise FormatError(f"the micrograph name '{name}' leads out of the folder {folder}; rename it")
    return Path(folder) / f"{stem(name)}{ending}"


def write_per_micrograph(
    folder: str | os.PathLike[str],
    picks: Picks,
    *,
    format: str,
    suffix: str = "",
    also: Sequence[str] = (),
    **options: Any,
) -> list[Path]:
    """Write one file for each micrograph, named after it; a name with folders goes into sub-folders.

    Micrographs in `also` get one, without any, where they have no picks.

    They are what programs import as coordinates, and have no column of probabilities.

    Raises
    ------
    FormatError
        A name would leave the folder, or two would share a file.
    """
    module = find_format(Path(), format)
    ending = getattr(module, "ENDING", module.SUFFIXES[0])
    parts = dict(picks.without_probabilities().by_micrograph())
    nothing = Picks([], np.empty((0, 2)))
    names: dict[Path, str] = {}
    for name in dict.fromkeys([*parts, *also]):
        path = path_in(folder, name, suffix + ending)
        if path in names:
            raise FormatError(f"{path}: '{name}' and '{names[path]}' would share this file; rename one")
        names[path] = name
    for path, name in names.items():
        module.write(path, parts.get(name, nothing), **options)
    return list(names)
