"""What a folder of results, one or more for each micrograph, holds: of which files, by which settings."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING, Any

from heliodor._version import __version__
from heliodor.errors import SettingsError
from heliodor.files import output_errors
from heliodor.record import differences, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from heliodor.names import MicrographFile
    from heliodor.progress import Reporter


class Done:
    """A record that grows by a line of JSON before and after the results of each micrograph.

    So results that a crash left, or left as they were before, are told from whole ones. Several processes may share a
    folder.

    Parameters
    ----------
    path : path
        Of the record.
    settings : dict
        JSON-able values that decide the results, nested at will.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path, self._settings, self._lock = path, json.loads(json.dumps(settings)), threading.Lock()
        self._lines: dict[str, dict[str, Any]] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            with contextlib.suppress(json.JSONDecodeError):  # cut short by a crash
                entry = json.loads(line)
                self._lines[entry["name"]] = entry

    def missing(
        self,
        micrographs: Sequence[MicrographFile],
        results: Callable[[MicrographFile], Iterable[Path]],
        overwrite: bool,
        reporter: Reporter,
    ) -> list[MicrographFile]:
        """Return the micrographs whose results, whose paths `results` names, are not there; all, to overwrite them.

        Where a file has changed since, its results are not there any more.

        Raises
        ------
        SettingsError
            A result is of another file, or of other settings.
        """
        todo = [m for m in micrographs if overwrite or not self._holds(m, list(results(m)))]
        if len(todo) < len(micrographs):
            reporter.note(f"{len(micrographs) - len(todo)} micrographs are done already")
        return todo

    def _holds(self, micrograph: MicrographFile, paths: Sequence[Path]) -> bool:
        there = [path for path in paths if path.is_file()]
        if not there:
            return False
        line, now = self._lines.get(micrograph.name), stamp(micrograph.path)
        mend = "choose another folder with -o, or replace it with --overwrite"
        if line is None:
            raise SettingsError(f"{there[0]}: is there already, and {self._path} does not say of what; {mend}")
        different = differences(line["settings"], self._settings)
        if different:
            raise SettingsError(f"{there[0]}: is of other settings ({'; '.join(different)}); {mend}")
        if {key: line[key] for key in now} == now:
            return line["whole"] and len(there) == len(paths)
        if line["source"] != _source(micrograph):
            raise SettingsError(f"{there[0]}: is of {line['source']}, not of {micrograph.path}; {mend}")
        return False

    def add(self, micrograph: MicrographFile, *, whole: bool) -> None:
        """Note of what the results of a micrograph are: those to be written now, or, where `whole`, written.

        Raises
        ------
        OutputError
            The record cannot be written.
        """
        line = {
            "name": micrograph.name,
            "source": _source(micrograph),
            **stamp(micrograph.path),
            "heliodor": __version__,
            "settings": self._settings,
            "whole": whole,
        }
        with self._lock, output_errors(self._path), self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


def _source(micrograph: MicrographFile) -> str:
    return str(micrograph.path.resolve())
