"""Finding micrographs: from paths, globs, folders, and files that list them."""

from __future__ import annotations

import glob
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from heliodor.errors import FormatError, MicrographError
from heliodor.files import base_of
from heliodor.formats.star import NAME, numbers, read_columns
from heliodor.micrographs import READABLE, check_there
from heliodor.names import MicrographFile, leads_out, stem, unique_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DEFOCUS = ("_rlnDefocusU", "_rlnDefocusV")


def find_micrographs(
    inputs: Sequence[str | os.PathLike[str]], *, missing: Literal["error", "keep"] = "error"
) -> list[MicrographFile]:
    """Find micrographs from paths, globs, folders, and files that list them.

    Parameters
    ----------
    inputs : sequence of str or path
        An image; a glob in quotes; a folder (every image in it, of several that differ in their extension one: MRC
        before TIFF before pictures); a text file with a path per line; a
        Topaz image list (tab separated image_name, path, [source]); a STAR file with
        _rlnMicrographName, perhaps _rlnDefocusU and _rlnDefocusV. Listed paths count from the working folder, the
        list's folder or one above it.
    missing : {'error', 'keep'}
        What to do about an image that is given by its path and is not there. One that stands in a
        list or is kept is returned: reading it says what is wrong.

    Returns
    -------
    list of MicrographFile
        In the order given, each file once.

    Raises
    ------
    MicrographError
        An input names nothing.
    """
    found: dict[str, MicrographFile] = {}
    for item in inputs:
        before = len(found)
        for file in _expand(os.fspath(item), missing == "keep"):
            found.setdefault(os.path.abspath(file.path), file)
        if len(found) == before and not any(True for _ in _expand(os.fspath(item), missing == "keep")):
            raise MicrographError(f"{item}: names no micrograph ({', '.join(READABLE)}); check the path")
    return _named(found)


def _named(found: dict[str, MicrographFile]) -> list[MicrographFile]:
    """Name micrographs by their lists, where these give a name of its own to each, or by their paths."""
    files = list(found.values())
    if all(file.name for file in files) and len({file.name for file in files}) == len(files):
        for file in files:
            if leads_out(file.name):
                raise MicrographError(
                    f"{file.path}: the name that a list gives it, '{file.name}', leads out of the folder of the "
                    "results; rename it in the list"
                )
        return files
    names = unique_names([Path(path) for path in found])
    return [replace(file, name=name) for file, name in zip(files, names, strict=True)]


def _expand(item: str, keep: bool) -> Iterator[MicrographFile]:
    """Find the micrographs that one input names; their names are '' where no list gives one."""
    path = Path(item)
    if path.is_dir():
        with os.scandir(path) as entries:
            names = sorted(e.name for e in entries if e.name.lower().endswith(READABLE) and e.name[0] != ".")
        for name in _once(names):
            yield MicrographFile(path / name, "")
    elif path.suffix.lower() in READABLE and (path.is_file() or not glob.has_magic(item)):
        if not keep:
            check_there(path)
        yield MicrographFile(path, "")
    elif path.is_file():
        yield from _listed(path)
    elif glob.has_magic(item):
        for match in sorted(glob.glob(item, recursive=True)):
            if match.lower().endswith(READABLE):
                yield MicrographFile(Path(match), "")
    else:
        check_there(path)


def _once(names: Sequence[str]) -> list[str]:
    """Leave out pictures of micrographs that are there as well: of files that differ in their extension, one stays."""
    best: dict[str, str] = {}
    for name in sorted(names, key=lambda name: next(k for k, end in enumerate(READABLE) if name.lower().endswith(end))):
        best.setdefault(stem(name), name)
    return [name for name in names if best[stem(name)] == name]


def _listed(path: Path) -> Iterator[MicrographFile]:
    if path.suffix.lower() == ".star":
        rows = _star_rows(path)
    else:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            kinds = ", ".join(READABLE)
            raise MicrographError(f"{path}: neither a list of images nor an image; give {kinds}") from error
        rows = _text_rows([line for line in lines if line.strip() and not line.startswith("#")])
    base = base_of(path, [row.path for row in rows])
    for row in rows:
        yield replace(row, path=base / row.path)


def _text_rows(lines: list[str]) -> list[MicrographFile]:
    if not lines or "path" not in lines[0].split("\t"):
        return [MicrographFile(Path(line.strip()), "") for line in lines]
    header = lines[0].split("\t")
    table = [dict(zip(header, line.split("\t"), strict=False)) for line in lines[1:]]
    return [
        MicrographFile(Path(row["path"]), row.get("image_name", ""), row.get("source", ""))
        for row in table
        if row.get("path")
    ]


def _star_rows(path: Path) -> list[MicrographFile]:
    """Each micrograph once; its defocus is the mean of the two axes."""
    table = read_columns(path, [NAME], also=_DEFOCUS)
    names = table[NAME]
    try:
        axes = [numbers(table, tag) for tag in _DEFOCUS if tag in table]
    except ValueError as error:
        raise FormatError(f"{path}: {error}; mend that row") from error
    defocus = [None] * len(names) if not axes else np.mean(axes, axis=0).tolist()
    first = dict(zip(reversed(names), reversed(defocus), strict=True))
    return [MicrographFile(Path(name), "", defocus=first[name]) for name in dict.fromkeys(names)]
