"""What a folder of results, one or more for each micrograph, holds: of which files, by which settings."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING, Any

from heliodor._version import __version__
from heliodor.errors import SettingsError
from heliodor.files import output_errors
from heliodor.record import compare, differences, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from heliodor.names import MicrographFile
    from heliodor.progress import Reporter

Line = dict[str, Any]


class Done:
    """A record that grows by lines of JSON, before the work on a micrograph and when its results are written.

    So results that a crash left, or left as they were before, are told from whole ones. Several processes may share a
    folder.

    Parameters
    ----------
    path : path
        Of the record.
    settings : dict
        JSON-able values that decide the results, nested at will.
    results : callable
        Names the paths of a micrograph's results, in the folder of the record or below it.
    """

    def __init__(
        self, path: Path, settings: dict[str, Any], results: Callable[[MicrographFile], Sequence[Path]]
    ) -> None:
        self._path, self._settings, self._results = path, json.loads(json.dumps(settings)), results
        self._lock = threading.Lock()

    def missing(
        self, micrographs: Sequence[MicrographFile], *, overwrite: bool, reporter: Reporter
    ) -> list[MicrographFile]:
        """Return the micrographs whose results are not there; all, to overwrite them, which are not there from now on.

        Where a file has changed since, its results are not there any more.

        Raises
        ------
        SettingsError
            A result is of another file, or of other settings.
        OutputError
            The record cannot be written.
        """
        if overwrite:
            self._write([self._line(m, whole=False) for m in micrographs if any(p.is_file() for p in self._results(m))])
            return list(micrographs)
        known, todo = self._read(), []
        for micrograph in micrographs:
            held = [self._holds(micrograph, path, known) for path in self._results(micrograph)]
            if not all(held):
                todo.append(micrograph)
        if len(todo) < len(micrographs):
            reporter.note(f"{len(micrographs) - len(todo)} micrographs are done already")
        return todo

    def begin(self, micrograph: MicrographFile) -> Line:
        """Note, before a micrograph is read, that its results are not whole; return what `finish` takes."""
        line = self._line(micrograph, whole=False)
        self._write([line])
        return line

    def finish(self, line: Line) -> None:
        """Note that the results of a micrograph are written."""
        self._write([{**line, "whole": True}])

    def _holds(self, micrograph: MicrographFile, path: Path, known: dict[str, Line]) -> bool:
        if not path.is_file():
            return False
        line = known.get(self._name(path))
        mend = "choose another folder with -o, or replace it with --overwrite"
        if line is None:
            raise SettingsError(f"{path}: is there already, and {self._path} does not say of what; {mend}")
        if not line["whole"]:
            return False
        different = differences(line["settings"], self._settings)
        if different:
            raise SettingsError(f"{path}: is of other settings ({'; '.join(different)}); {mend}")
        kind = compare(micrograph.path, line["source"], {key: line[key] for key in ("bytes", "modified")})
        if kind == "another":
            raise SettingsError(f"{path}: is of {line['source']}, not of {micrograph.path}; {mend}")
        return kind == "same"

    def _line(self, micrograph: MicrographFile, *, whole: bool) -> Line:
        return {
            "results": [self._name(path) for path in self._results(micrograph)],
            "source": str(micrograph.path.resolve()),
            **stamp(micrograph.path),
            "heliodor": __version__,
            "settings": self._settings,
            "whole": whole,
        }

    def _name(self, path: Path) -> str:
        return path.relative_to(self._path.parent).as_posix()

    def _read(self) -> dict[str, Line]:
        """Return the last line about each result."""
        known: dict[str, Line] = {}
        for text in self._path.read_text(encoding="utf-8").splitlines() if self._path.is_file() else ():
            with contextlib.suppress(json.JSONDecodeError):  # cut short by a crash
                line = json.loads(text)
                known.update(dict.fromkeys(line["results"], line))
        return known

    def _write(self, lines: Sequence[Line]) -> None:
        with self._lock, output_errors(self._path), self._path.open("a", encoding="utf-8") as stream:
            stream.write("".join(json.dumps(line) + "\n" for line in lines))
