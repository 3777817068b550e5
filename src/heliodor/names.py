"""Micrograph files and their names: which file a name in a coordinate table means."""

from __future__ import annotations

import difflib
import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from heliodor.errors import LabelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

IMAGE_SUFFIXES = (".mrc", ".mrcs", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".eer")


@dataclass(frozen=True)
class MicrographFile:
    """A micrograph on disk: its path, and a name that is unique in the run.

    A list that names it may also say which data set it belongs to, and its defocus in angstrom.
    """

    path: Path
    name: str
    source: str = ""
    defocus: float | None = None


def stem(path: str) -> str:
    """Drop an image's extension, and nothing else: names may have dots in them.

    >>> stem("grid1/May08_03.05.02.mrc"), stem("a.b.c")
    ('grid1/May08_03.05.02', 'a.b.c')
    """
    for suffix in IMAGE_SUFFIXES:
        if path.lower().endswith(suffix):
            return path[: -len(suffix)]
    return path


def leads_out(name: str) -> bool:
    """Say whether a micrograph's own file in a folder could not be named so: it would be outside of it, or nothing."""
    return not name or ".." in PurePath(name).parts or PurePath(name).is_absolute()


def unique_names(paths: Sequence[PurePath]) -> list[str]:
    """Name each micrograph by its file name without extension, or by as many folders more as it takes.

    >>> unique_names([PurePath("a/1/x.mrc"), PurePath("a/2/x.mrc"), PurePath("a/2/y.mrc")])
    ['1/x', '2/x', 'y']

    Images that differ in their extension only keep it.

    >>> unique_names([PurePath("a/x.mrc"), PurePath("a/x.tiff")])
    ['x.mrc', 'x.tiff']
    """
    stems = [stem(path.as_posix()) for path in paths]
    times = Counter(stems)
    parts = [(path if times[s] > 1 else PurePath(s)).parts for path, s in zip(paths, stems, strict=True)]
    depth = [1] * len(paths)
    while True:
        names = ["/".join(p[-d:]).replace("//", "/") for p, d in zip(parts, depth, strict=True)]
        same: dict[str, list[int]] = defaultdict(list)
        for row, name in enumerate(names):
            same[name].append(row)
        clashes = [row for rows in same.values() if len(rows) > 1 for row in rows if depth[row] < len(parts[row])]
        if not clashes:
            return names
        for row in clashes:
            depth[row] += 1


def match_names(names: Iterable[str], micrographs: Sequence[MicrographFile]) -> dict[str, str]:
    """Find the micrograph that each name in a coordinate table means.

    A name may be that of a micrograph, a file name or a path, with or without the image's extension. It means
    the micrograph of that name, or whose path ends in it, extension included if that decides, or, for a path that ends
    none, the one with its file name, unless another name in the table is that one's with its folder.

    Parameters
    ----------
    names : iterable of str
    micrographs : sequence of MicrographFile

    Returns
    -------
    dict
        Name in the table -> name of the micrograph. Names that mean no micrograph are left out.

    Raises
    ------
    LabelError
        A name means more than one micrograph, or no name means any.
    """
    by_last: dict[str, list[tuple[PurePath, str]]] = defaultdict(list)
    for micrograph in micrographs:
        path = PurePath(os.path.abspath(micrograph.path))
        by_last[stem(path.name)].append((path, micrograph.name))
    wanted = list(dict.fromkeys(names))
    own = {micrograph.name for micrograph in micrographs}
    found: dict[str, str] = {name: name for name in wanted if name in own}
    loose = []
    for name in (name for name in wanted if name not in own):
        parts = PurePath(name).parts
        short = PurePath(stem(name)).parts
        candidates = by_last.get(short[-1], []) if short else []
        exact = [c for c in candidates if c[0].parts[-len(parts) :] == parts]
        ending = [c for c in candidates if PurePath(stem(c[0].as_posix())).parts[-len(short) :] == short]
        chosen = exact or ending or candidates
        if len(chosen) > 1:
            raise LabelError(
                f"the name '{name}' in the table means {len(chosen)} micrographs ({chosen[0][1]}, {chosen[1][1]}...); "
                "write it with its folder and its extension, as in 'grid1/name.mrc'"
            )
        if chosen:
            found[name] = chosen[0][1]
        if chosen and not exact and not ending:
            loose.append(name)
    certain = {micrograph for name, micrograph in found.items() if "/" in name and name not in loose}
    found = {name: micrograph for name, micrograph in found.items() if name not in loose or micrograph not in certain}
    if wanted and not found:
        raise LabelError(_none_matches(wanted, sorted(by_last)))
    return found


def _none_matches(wanted: list[str], known: list[str]) -> str:
    near = difflib.get_close_matches(PurePath(stem(wanted[0])).name, known, n=2, cutoff=0.4) or known[:2]
    return (
        f"no name in the table means a given micrograph: '{wanted[0]}' is not among them, "
        f"the nearest are {', '.join(repr(n) for n in near)}; rename, or give the micrographs that were labelled"
    )
