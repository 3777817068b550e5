"""What an interrupted command had finished: a hidden file beside its output, gone when the command is done."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from heliodor._version import __version__
from heliodor.files import is_device, output_errors
from heliodor.picks import Picks
from heliodor.record import stamp

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from heliodor.names import MicrographFile


class Journal:
    """Picks of the micrographs that are done, one line of JSON for each, under a line that says by which settings.

    Entering reads what an earlier run of the same settings on the same files left; leaving without an
    exception removes the file.

    Parameters
    ----------
    output : path or None
        What the command writes, a file or a folder: the journal is `.NAME.part` beside it. None, or a device:
        nothing is kept.
    deciding : dict
        JSON-able values that decide the result. A journal of others, or of another version, is started anew.
    micrographs : sequence of MicrographFile
        Their sizes and times belong to what decides.

    Attributes
    ----------
    done : dict
        Name of the micrograph -> its picks.
    """

    def __init__(self, output: Path | None, deciding: dict[str, Any], micrographs: Sequence[MicrographFile]) -> None:
        self._path = None
        if output is not None and not is_device(output):
            whole = Path(os.path.abspath(output))  # '.' has no name
            self._path = whole.parent / f".{whole.name[:80]}.part"
        files = [{"path": str(m.path), **stamp(m.path)} for m in micrographs]
        self._head = json.dumps({"heliodor": __version__, **deciding, "files": files}, sort_keys=True)
        self._stream: IO[str] | None = None
        self.done: dict[str, Picks] = {}

    def __enter__(self) -> Journal:
        if self._path is None:
            return self
        kept = self._read(self._path)
        with output_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if kept:
                os.truncate(self._path, kept)
            self._stream = self._path.open("a" if kept else "w", encoding="utf-8", newline="\n")
        if not kept:
            self._line(self._head)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._path is None or self._stream is None:
            return
        # What could not be written is tried once more; when that fails, there is an error already.
        with output_errors(self._path) if kind is None else contextlib.suppress(OSError):
            self._stream.close()
        if kind is None:
            self._path.unlink(missing_ok=True)

    def add(self, name: str, picks: Picks) -> None:
        """Note that a micrograph is done."""
        self.done[name] = picks
        self._line(_to_json(name, picks))

    def _line(self, text: str) -> None:
        if self._path is not None and self._stream is not None:
            with output_errors(self._path):
                self._stream.write(text + "\n")
                self._stream.flush()

    def _read(self, path: Path) -> int:
        """Read what is done from a journal; return how many of its bytes hold, 0 where it is of other settings."""
        if not path.is_file():
            return 0
        head, *lines = path.read_bytes().split(b"\n")
        if head.decode() != self._head or not lines:
            return 0
        whole = lines[:-1]  # behind the last line break is nothing, or what was being written
        for number, line in enumerate(whole):
            try:
                name, xy, *values = json.loads(line)
            except ValueError:  # two commands have written to it
                whole = whole[:number]
                break
            self.done[name] = Picks.on(name, np.reshape(xy, (-1, 2)), *values)
        return sum(len(line) + 1 for line in (head, *whole))


def _to_json(name: str, picks: Picks) -> str:
    return json.dumps([name, *(values.tolist() for values in (picks.xy, picks.scores, picks.probabilities))])
