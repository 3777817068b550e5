"""Command lines of Topaz in tests: how they are run, and their tables read."""

from __future__ import annotations

import csv
import io
import shlex
from pathlib import Path

from heliodor.cli.topaz import main

EXAMPLE = Path(__file__).parents[1] / "examples" / "apoferritin"
NAMES = ("May08_03.05.02", "May08_03.15.02", "May08_04.36.57")
FACTOR = 4
SHORT = "--epoch-size 4 --minibatch-size 32 --units 2 --model conv31"  # appended: the last of a repeated option wins


def topaz(line: str, **places: object) -> None:
    """Run a command line of a caller, from the word after `topaz`, and demand success."""
    words = [word for piece in shlex.split(line) for word in expand(piece, places)]
    assert main(words) == 0, words


def expand(piece: str, places: dict[str, object]) -> list[str]:
    """Put values in the place of {name}; a list becomes several words."""
    if piece.startswith("{") and piece.endswith("}") and isinstance(places.get(piece[1:-1]), list):
        return [str(value) for value in places[piece[1:-1]]]
    return [piece.format(**places)]


def table(path: Path) -> list[list[str]]:
    """Read a table as programs that know tabs only do."""
    return [line.split("\t") for line in path.read_text().splitlines()]


def records(path: Path | str, delimiter: str = "\t") -> list[dict[str, str]]:
    """Read a table as programs that go by its header do."""
    return list(csv.DictReader(io.StringIO(Path(path).read_text()), delimiter=delimiter))
