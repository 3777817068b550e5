"""Micrograph files and their names: which file a name in a coordinate table means."""

from __future__ import annotations

import difflib
import itertools
import math
import os
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from heliodor.errors import LabelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

IMAGE_SUFFIXES = (".mrc", ".mrcs", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".eer")
_NUMBER = re.compile(r"^\d{15,}_")  # cryoSPARC's, of a movie
_CORRECTED = re.compile(r"(?:_DW|_noDW|_patch_aligned|_rigid_aligned|_aligned|_doseweighted)+$")


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


def plain(name: str) -> str:
    """Return a file name as it was before motion correction: cryoSPARC's number in front and known endings go.

    >>> plain("J2/motioncorrected/001234567890123456789_m1_patch_aligned_doseweighted.mrc"), plain("m1_DW.mrc")
    ('m1', 'm1')
    """
    last = stem(PurePath(name).name)
    return _CORRECTED.sub("", _NUMBER.sub("", last)) or last


def match_names(names: Iterable[str], micrographs: Sequence[MicrographFile], *, needed: bool = True) -> dict[str, str]:
    """Find the micrograph that each name in a coordinate table means.

    A name may be that of a micrograph, a file name or a path, with or without the image's extension. It means
    the micrograph of that name, or whose path ends in it, extension included if that decides, or, for a path that ends
    none, the one whose path has the longest end in common with it, unless another name in the table has a longer one
    in common with that. Where no name means any, names mean those that were called the same before motion correction
    (see `plain`), as far as that is one to one.

    Parameters
    ----------
    names : iterable of str
    micrographs : sequence of MicrographFile
    needed : bool
        Whether it is an error that no name means any.

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
    loose: dict[str, int] = {}  # name that is not the end of a path -> how many of its last parts are
    for name in (name for name in wanted if name not in own):
        parts = PurePath(stem(name)).parts
        candidates = by_last.get(parts[-1], []) if parts else []
        if candidates:
            found[name], shared = _meant(name, candidates)
            if shared < len(parts):
                loose[name] = shared
    reach: dict[str, float] = defaultdict(float)  # micrograph -> most last parts that a name has in common with it
    for name, meant in found.items():
        reach[meant] = max(reach[meant], loose.get(name, math.inf if "/" in name else 0.0))
    found = {name: m for name, m in found.items() if loose.get(name, math.inf) >= reach[m]}
    _refuse_two_folders({name: m for name, m in found.items() if name in loose and "/" in name})
    found = found or _match_plain(wanted, micrographs)
    if wanted and needed and not found:
        raise LabelError(_none_matches(wanted, sorted(by_last)))
    return found


def _refuse_two_folders(loose: Mapping[str, str]) -> None:
    """Refuse names in several folders that would all mean one micrograph, of which only the file name is theirs."""
    first: dict[str, str] = {}
    for name, meant in loose.items():
        other = first.setdefault(meant, name)
        if PurePath(stem(other)) != PurePath(stem(name)):
            raise LabelError(
                f"the names '{other}' and '{name}' in the table would both mean '{meant}'; give the micrographs in "
                "these folders, or leave the rows of one name out"
            )


def _meant(name: str, candidates: Sequence[tuple[PurePath, str]]) -> tuple[str, int]:
    """Return which of the micrographs (path, name) with a file name is meant, and how many last parts they share."""
    shared = [_shared_end(name, path) for path, _ in candidates]
    most = max(shared)
    decided = most[0] >= min(2, len(PurePath(name).parts))  # all of them have the file name
    chosen = [c for c, end in zip(candidates, shared, strict=True) if end == most] if decided else candidates
    if len(chosen) > 1:
        raise LabelError(
            f"the name '{name}' in the table means {len(chosen)} micrographs ({chosen[0][1]}, {chosen[1][1]}...); "
            "write it with its folder and its extension, as in 'grid1/name.mrc'"
        )
    return chosen[0][1], most[0]


def _shared_end(name: str, path: PurePath) -> tuple[int, bool]:
    """Count the last parts of a name that are those of a path, and say whether the extension is the same too."""
    pairs = zip(reversed(PurePath(stem(name)).parts), reversed(PurePath(stem(path.as_posix())).parts), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)), PurePath(name).name == path.name


def _match_plain(names: Sequence[str], micrographs: Sequence[MicrographFile]) -> dict[str, str]:
    """Match names that are the same before motion correction; what is not one to one is left out."""
    ours, theirs = defaultdict(list), defaultdict(list)
    for micrograph in micrographs:
        ours[plain(micrograph.path.name)].append(micrograph.name)
    for name in names:
        theirs[plain(name)].append(name)
    return {given[0]: ours[word][0] for word, given in theirs.items() if len(given) == len(ours.get(word, ())) == 1}


def note_on_names(found: Mapping[str, str]) -> str:
    """Say which names were matched by what they were before motion correction only; '' where none was.

    Parameters
    ----------
    found : mapping
        Of `match_names`.
    """
    changed = [
        name
        for name, m in found.items()
        if plain(name) == plain(m) and PurePath(stem(name)).name != PurePath(stem(m)).name
    ]
    if not changed:
        return ""
    return (
        f"{len(changed)} names in the table mean micrographs that are named otherwise after motion correction, "
        f"as '{changed[0]}' means '{found[changed[0]]}'"
    )


def _none_matches(wanted: list[str], known: list[str]) -> str:
    near = difflib.get_close_matches(PurePath(stem(wanted[0])).name, known, n=2, cutoff=0.4) or known[:2]
    return (
        f"no name in the table means a given micrograph: '{wanted[0]}' is not among them, "
        f"the nearest are {', '.join(repr(n) for n in near)}; rename, or give the micrographs that were labelled"
    )
