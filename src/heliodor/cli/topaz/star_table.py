"""STAR to STAR: rows and coordinates change, every other column and the names stay, as in Topaz."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from heliodor.cli.topaz.convert import short_names
from heliodor.errors import FormatError
from heliodor.files import write_text
from heliodor.formats import path_in
from heliodor.formats.star import NAME, SCORES, X, Y, numbers, own_name, read_table, topaz_table
from heliodor.picks import Picks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Table = dict[str, list[str]]


def convert_tables(
    files: Sequence[str],
    *,
    threshold: float = float("-inf"),
    scale: float = 1.0,
    turn: Callable[[Picks], Picks] | None = None,
    constants: Mapping[str, float] | None = None,
) -> str:
    """Join STAR tables of particles, and change what is asked for.

    Parameters
    ----------
    files : sequence of str
    threshold : float
        Keep rows with a score at or above it; a table without scores stays whole.
    scale : float
        Multiply coordinates by it; they become whole.
    turn : callable, optional
        Gives the picks other coordinates, before they are scaled.
    constants : mapping, optional
        Tag -> a value for every row.

    Returns
    -------
    str
        The text of one table, with the columns that all have.

    Raises
    ------
    FormatError
        A file is no such table, or has a word where a number should be.
    """
    tables = [_kept(Path(path), threshold) for path in files]
    if len(tables) > 1:
        for path, part in zip(files, tables, strict=True):  # a file of one micrograph need not name it, many must
            part.setdefault(NAME, [own_name(Path(path))] * len(part[X]))
    table = {tag: [word for t in tables for word in t[tag]] for tag in tables[0] if all(tag in t for t in tables)}
    if turn is not None or scale != 1:
        xy = np.array([numbers(table, X), numbers(table, Y)]).T
        picks = Picks(table.get(NAME, [own_name(Path(files[0]))] * len(xy)), xy)
        whole = (picks if turn is None else turn(picks)).scaled(scale).rounded().xy
        table[X], table[Y] = ([f"{value:.0f}" for value in column] for column in whole.T.tolist())
    rows = len(table[X])
    return topaz_table({**table, **{tag: [f"{value:g}"] * rows for tag, value in (constants or {}).items()}})


def split_table(path: Path, folder: str, ending: str, threshold: float = float("-inf")) -> None:
    """Write the rows of each micrograph to a STAR file of its own, with whole coordinates.

    Raises
    ------
    FormatError
        The file is no table of particles, or a micrograph's name leads out of the folder.
    """
    table = _kept(path, threshold)
    names = table.setdefault(NAME, [own_name(path)] * len(table[X]))
    for column in (X, Y):
        table[column] = [f"{value:.0f}" for value in np.rint(numbers(table, column)).tolist()]
    short = short_names(names)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(short[name], []).append(row)
    for own, which in rows.items():
        part = {tag: [column[row] for row in which] for tag, column in table.items()}
        write_text(path_in(folder, own, ending), topaz_table(part))


def _kept(path: Path, threshold: float) -> Table:
    if not path.is_file():
        raise FormatError(f"{path}: there is no such coordinate file; check the path")
    table = read_table(path, [X, Y])
    tag = next((tag for tag in SCORES if tag in table), None)
    try:
        for column in (X, Y):
            numbers(table, column)
        if tag is None or threshold == float("-inf"):
            return table
        rows = np.flatnonzero(numbers(table, tag) >= threshold).tolist()
    except ValueError as error:
        raise FormatError(f"{path}: {error}; mend that row") from error
    return {tag: [column[row] for row in rows] for tag, column in table.items()}
