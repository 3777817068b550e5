"""RELION STAR: 3.0 (one table), 3.1 and later (optics first), joined or one file per micrograph."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError
from heliodor.files import base_of, write_text
from heliodor.names import stem
from heliodor.picks import Picks

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from numpy.typing import NDArray

SUFFIXES = (".star",)
NAME, X, Y = "_rlnMicrographName", "_rlnCoordinateX", "_rlnCoordinateY"
PROBABILITY = "_heliodorProbability"  # RELION keeps columns that it does not know
LISTED = "_rlnMicrographCoordinates"  # a micrograph's coordinate file, in a list of RELION 4 and later
SCORES = ("_rlnAutopickFigureOfMerit", "_rlnParticleScore")
_ENDINGS = ("_manualpick", "_autopick", "_topaz", "_pick", "_picks", "_particles", ".empiar_manual", ".cryoppp")
_BARE = re.compile(r"""(?<!\S)(?![_#;])\S*[^\x00-\x7f\s]\S*""")
_PLAIN = re.compile(r"""(?!(?:data_|loop_|save_|stop_|global_))[A-Za-z0-9+\-/][^\s'"]*""", re.IGNORECASE)
_NONE = -999.0  # RELION's mark for "no figure of merit"


def read_columns(
    path: Path, columns: Sequence[str], also: Sequence[str] = (NAME, *SCORES, PROBABILITY)
) -> dict[str, list[str]]:
    """Columns, as text, of the first table that has all of `columns` (and `also` others, where it has them).

    Raises
    ------
    FormatError
        The file cannot be parsed, or no table has the columns.
    """
    return read_table(path, columns, {*columns, *also})


def read_table(path: Path, columns: Sequence[str], only: Container[str] | None = None) -> dict[str, list[str]]:
    """Every column, or `only` some, as text, of the first table that has `columns`; raises as `read_columns`."""
    table = _find_table(_parse(path), columns, only)
    if table is None:
        raise FormatError(f"{path}: no table has {', '.join(columns)}; give a RELION file with these columns")
    return table


def _parse(path: Path) -> Any:
    import gemmi

    text = _quote_bare(_text(path))
    try:
        return gemmi.cif.read_string(text)
    except (ValueError, RuntimeError) as error:
        cause = str(error).splitlines()[0]
        raise FormatError(f"{path}: not a readable STAR file ({cause}); write it again") from error


def _find_table(document: Any, columns: Sequence[str], only: Container[str] | None) -> dict[str, list[str]] | None:
    import gemmi

    for block in document:
        found: list[Any] = [item.pair for item in block if item.pair]
        pairs = {tag: [gemmi.cif.as_string(value)] for tag, value in found}
        if set(columns) <= set(pairs):  # a table of one row, written without loop_
            return pairs
        for item in block:
            loop: Any = item.loop  # None for a single name and value
            if loop is not None and set(columns) <= set(loop.tags):
                return {t: _column(loop, k) for k, t in enumerate(loop.tags) if only is None or t in only}
    return None


def _column(loop: Any, number: int) -> list[str]:
    import gemmi

    return [gemmi.cif.as_string(value) for value in loop.values[number :: loop.width()]]


def _quote_bare(text: str) -> str:
    """Put bare words that are not ASCII in quotes: RELION writes them, CIF does not allow them."""
    if text.isascii():
        return text
    lines = (s if s.isascii() or '"' in s or "'" in s else _BARE.sub(r'"\g<0>"', s) for s in text.split("\n"))
    return "\n".join(lines)


def listed_files(path: Path) -> dict[str, Path]:
    """Return the coordinate file of each micrograph, by name, from a list of RELION 4 and later; empty for others.

    Raises
    ------
    FormatError
        The file cannot be parsed, or lists one that is not there.
    """
    if LISTED not in _text(path):  # seldom is, and parsing large tables takes long
        return {}
    table = _find_table(_parse(path), [NAME, LISTED], {NAME, LISTED}) or {NAME: [], LISTED: []}
    base = base_of(path, table[LISTED], own=True)
    files = {name: base / file for name, file in zip(table[NAME], table[LISTED], strict=True)}
    lost = next((file for file in files.values() if not file.is_file()), None)
    if lost is not None:
        raise FormatError(f"{path}: lists {lost}, which is not there; run in the project's folder, or mend the list")
    return files


def holds_coordinates(path: Path) -> bool:
    """Say whether a file may hold coordinates or list files of them; a whole one with other tables does neither."""
    text = _text(path)
    return X in text or LISTED in text or not any(item.loop or item.pair for block in _parse(path) for item in block)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise FormatError(f"{path}: not a readable STAR file ({error}); write it again") from error


def read(path: Path, name: str | None = None) -> Picks:
    """Read coordinates; a table without micrograph names is of the micrograph that the file is named after."""
    table = read_columns(path, [X, Y])
    try:
        xy = np.array([numbers(table, X), numbers(table, Y)]).T
        scores = next((numbers(table, tag) for tag in SCORES if tag in table), None)
        probabilities = numbers(table, PROBABILITY) if PROBABILITY in table else None
    except ValueError as error:
        raise FormatError(f"{path}: {error}; mend that row") from error
    if scores is not None:
        scores[scores == _NONE] = np.nan
    return Picks(table.get(NAME, [name or own_name(path)] * len(xy)), xy, scores, probabilities)


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


def write(
    path: Path,
    picks: Picks,
    *,
    image_ext: str | None = None,
    constants: Mapping[str, float] | None = None,
    as_topaz: bool = False,
    **_: Any,
) -> None:
    """Write one table with micrograph names, as RELION imports it.

    Parameters
    ----------
    path : path
    picks : Picks
    image_ext : str, optional
        Replaces the extension of the names.
    constants : mapping, optional
        Tag -> a value that all particles share, such as '_rlnVoltage'.
    as_topaz : bool
        Topaz's layout, for scripts that go by places rather than by names; see `topaz_text`.
    """
    if image_ext is not None:
        picks = picks.renamed({name: stem(name) + image_ext for name in picks.micrographs()})
    text = topaz_text(picks, constants) if as_topaz else to_text(picks, with_names=True, constants=constants)
    write_text(path, text)


def to_text(picks: Picks, *, with_names: bool, constants: Mapping[str, float] | None = None) -> str:
    """STAR text: coordinates, figure of merit, probability if any has one, micrograph names where they are wanted."""
    names = {NAME: picks.names.tolist()} if with_names else {}
    table = {
        **names,
        X: [f"{x:.3f}" for x in picks.xy[:, 0].tolist()],
        Y: [f"{y:.3f}" for y in picks.xy[:, 1].tolist()],
        SCORES[0]: _scores(picks),
        **({} if np.isnan(picks.probabilities).all() else {PROBABILITY: [f"{p:.6f}" for p in picks.probabilities]}),
        **_constants(constants, len(picks)),
    }
    return table_text(table)


def topaz_text(picks: Picks, constants: Mapping[str, float] | None = None) -> str:
    """STAR text as Topaz lays it out: scores first, if there are any, whole coordinates, tabs between."""
    table = {
        **({} if np.isnan(picks.scores).all() else {SCORES[0]: _scores(picks)}),
        NAME: picks.names.tolist(),
        X: [f"{x:.0f}" for x in picks.xy[:, 0].tolist()],
        Y: [f"{y:.0f}" for y in picks.xy[:, 1].tolist()],
        **_constants(constants, len(picks)),
    }
    return topaz_table(table)


def topaz_table(table: Mapping[str, Sequence[str]]) -> str:
    """STAR text of one table as Topaz writes it."""
    return table_text(table, "images", "\t").strip("\n") + "\n"


def _scores(picks: Picks) -> list[str]:
    return [f"{score:.6f}" for score in np.where(np.isnan(picks.scores), _NONE, picks.scores).tolist()]


def _constants(constants: Mapping[str, float] | None, rows: int) -> dict[str, list[str]]:
    return {tag: [f"{value:g}"] * rows for tag, value in (constants or {}).items()}


def table_text(table: Mapping[str, Sequence[str]], block: str = "", separator: str = " ") -> str:
    """STAR text of one table, its columns by tag."""
    lines = ["", f"data_{block}", "", "loop_", *(f"{tag} #{k}" for k, tag in enumerate(table, 1))]
    words = {word: _word(word) for column in table.values() for word in set(column)}
    lines += [separator.join(words[word] for word in row) for row in zip(*table.values(), strict=True)]
    return "\n".join(lines) + "\n\n"


def _word(text: str) -> str:
    """Return text as a value, quoted only where it must be: RELION takes quotes for a part of a name."""
    import gemmi

    quoted: str = text if _PLAIN.fullmatch(text) else gemmi.cif.quote(text)
    return quoted
