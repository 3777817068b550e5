"""RELION STAR: 3.0 (one table), 3.1 and later (optics first), joined or one file per micrograph."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError
from heliodor.files import write_text
from heliodor.names import stem
from heliodor.picks import Picks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SUFFIXES = (".star",)
NAME, X, Y = "_rlnMicrographName", "_rlnCoordinateX", "_rlnCoordinateY"
SCORES = ("_rlnAutopickFigureOfMerit", "_rlnParticleScore")
_ENDINGS = ("_manualpick", "_autopick", "_topaz", "_pick", "_picks", "_particles", ".empiar_manual", ".cryoppp")
_BARE = re.compile(r"""(?<!\S)(?![_#;])\S*[^\x00-\x7f\s]\S*""")
_NONE = -999.0  # RELION's mark for "no figure of merit"


def read_columns(path: Path, columns: Sequence[str], also: Sequence[str] = (NAME, *SCORES)) -> dict[str, list[str]]:
    """Columns, as text, of the first table that has all of `columns` (and `also` others, where it has them).

    Raises
    ------
    FormatError
        The file cannot be parsed, or no table has the columns.
    """
    import gemmi

    try:
        document = gemmi.cif.read_string(_quote_bare(path.read_text(encoding="utf-8-sig")))
    except (ValueError, RuntimeError, OSError) as error:
        cause = str(error).splitlines()[0]
        raise FormatError(f"{path}: not a readable STAR file ({cause}); write it again") from error
    for block in document:
        found: list[Any] = [item.pair for item in block if item.pair]
        pairs = {tag: [gemmi.cif.as_string(value)] for tag, value in found}
        if set(columns) <= set(pairs):  # a table of one row, written without loop_
            return pairs
        for item in block:
            loop: Any = item.loop  # None for a single name and value
            if loop is not None and set(columns) <= set(loop.tags):
                return _texts(loop, [*columns, *(t for t in also if t in loop.tags)])
    raise FormatError(f"{path}: no table has {', '.join(columns)}; give a RELION file with these columns")


def _quote_bare(text: str) -> str:
    """Put bare words that are not ASCII in quotes: RELION writes them, CIF does not allow them."""
    if text.isascii():
        return text
    lines = (s if s.isascii() or '"' in s or "'" in s else _BARE.sub(r'"\g<0>"', s) for s in text.split("\n"))
    return "\n".join(lines)


def _texts(loop: Any, tags: Sequence[str]) -> dict[str, list[str]]:
    import gemmi

    width, values = loop.width(), loop.values
    return {t: [gemmi.cif.as_string(v) for v in values[loop.tags.index(t) :: width]] for t in dict.fromkeys(tags)}


def read(path: Path, name: str | None = None) -> Picks:
    """Read coordinates; a table without micrograph names is of the micrograph that the file is named after."""
    table = read_columns(path, [X, Y])
    try:
        xy = np.array([numbers(table, X), numbers(table, Y)]).T
        scores = next((numbers(table, tag) for tag in SCORES if tag in table), None)
    except ValueError as error:
        raise FormatError(f"{path}: {error}; mend that row") from error
    if scores is not None:
        scores[scores == _NONE] = np.nan
    return Picks(table.get(NAME, [name or own_name(path)] * len(xy)), xy, scores)


def numbers(table: dict[str, list[str]], tag: str) -> NDArray[np.float64]:
    """Numbers of a column; a `ValueError` names the particle whose word is none."""
    try:
        return np.array(table[tag], dtype=np.float64)
    except ValueError:
        for row, word in enumerate(table[tag], 1):
            try:
                float(word)
            except ValueError as error:
                raise ValueError(f"particle {row} has the {tag} '{word[:40]}', not a number") from error
        raise


def own_name(path: Path) -> str:
    """Name of the micrograph that a coordinate file is named after: RELION's and EMPIAR's endings go."""
    name = path.name.removesuffix(path.suffix)
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return stem(name)


def write(path: Path, picks: Picks, **_: Any) -> None:
    """Write one table with micrograph names, as RELION imports it."""
    write_text(path, to_text(picks, with_names=True))


def to_text(picks: Picks, *, with_names: bool) -> str:
    """STAR text: coordinates, figure of merit, and micrograph names where they are wanted."""
    import gemmi

    tags = [*([NAME] if with_names else []), X, Y, SCORES[0]]
    lines = ["", "data_", "", "loop_", *(f"{tag} #{k}" for k, tag in enumerate(tags, 1))]
    scores = np.where(np.isnan(picks.scores), _NONE, picks.scores)
    quoted = {name: gemmi.cif.quote(name) for name in picks.micrographs()} if with_names else {}
    for name, (x, y), score in zip(picks.names, picks.xy.tolist(), scores.tolist(), strict=True):
        start = f"{quoted[name]} " if with_names else ""
        lines.append(f"{start}{x:.3f} {y:.3f} {score:.6f}")
    return "\n".join(lines) + "\n\n"
