"""Command lines of Topaz in tests: how they are run, and their tables read."""

from __future__ import annotations

import csv
import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

from heliodor.cli.topaz import main

EXAMPLE = Path(__file__).parents[1] / "examples" / "apoferritin"
NAMES = ("May08_03.05.02", "May08_03.15.02", "May08_04.36.57")
FACTOR = 4
PROGRAM = "import sys; from topaz.main import main; sys.exit(main())"
SHORT = "--epoch-size 4 --minibatch-size 32 --units 2 --model conv31"  # appended: the last of a repeated option wins


def topaz(line: str, **places: object) -> None:
    """Run a command line of a caller, from the word after `topaz`, and demand success."""
    words = [word for piece in shlex.split(line) for word in expand(piece, places)]
    assert main(words) == 0, words


def topaz_process(line: str, *, stdin: str = "", **places: object) -> subprocess.CompletedProcess[str]:
    """Run a command line as `topaz` does, but in a process of its own, as callers do; its log is a log."""
    words = [word for piece in shlex.split(line) for word in expand(piece, places)]
    done = executable(*words, input=stdin)
    assert done.returncode == 0, (words, done.stderr)
    assert all(row.startswith("# ") for row in done.stderr.splitlines()), done.stderr
    return done


def executable(*words: str, **options) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own, as RELION's wrapper does: through `topaz.main.main`."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, env=environment(), **options
    )


def environment() -> dict[str, str]:
    """Return an environment in which both packages are found."""
    places = (str(Path(__file__).parents[1] / place) for place in ("src", "topaz/src"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"}


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
