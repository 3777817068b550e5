"""What an interrupted command had finished: a hidden file beside its output, gone when the command is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from heliodor.files import output_errors
from heliodor.picks import Picks

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
        What the command writes, a file or a folder: the journal is `.NAME.part` beside it. None: nothing is kept.
    deciding : dict
        JSON-able values that decide the result. A journal of others is started anew.
    micrographs : sequence of MicrographFile
        Their sizes and times belong to what decides.

    Attributes
    ----------
    done : dict
        Name of the micrograph -> its picks.
    """

    def __init__(self, output: Path | None, deciding: dict[str, Any], micrographs: Sequence[MicrographFile]) -> None:
        self._path = output and output.with_name(f".{output.name[:80]}.part")
        stats = [(str(m.path), m.path.stat() if m.path.is_file() else None) for m in micrographs]
        files = [[path, stat and stat.st_size, stat and stat.st_mtime_ns] for path, stat in stats]
        self._head = json.dumps({**deciding, "files": files}, sort_keys=True)
        self._stream: IO[str] | None = None
        self.done: dict[str, Picks] = {}

    def __enter__(self) -> Journal:
        if self._path is None:
            return self
        self.done = self._read(self._path)
        with output_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._path.open("w", encoding="utf-8")
        self._line(self._head)
        for name, picks in self.done.items():
            self._line(_to_json(name, picks))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()
        if self._path is not None and kind is None:
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

    def _read(self, path: Path) -> dict[str, Picks]:
        if not path.is_file():
            return {}
        head, *lines = path.read_text(encoding="utf-8").split("\n")
        if head != self._head:
            return {}
        done = {}
        for line in lines[:-1]:  # behind the last line break is nothing, or what was being written
            name, xy, scores = json.loads(line)
            done[name] = Picks.on(name, np.reshape(xy, (-1, 2)), scores)
        return done


def _to_json(name: str, picks: Picks) -> str:
    return json.dumps([name, picks.xy.tolist(), picks.scores.tolist()])
