"""Training from the page: `heliodor pick` in a process of its own, watched and stopped from here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor.errors import HeliodorError, LabelError, SettingsError
from heliodor.files import make_directory, write_text
from heliodor.labeling.candidates import Candidates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heliodor.labeling.session import Session
    from heliodor.names import MicrographFile

_LINES = 12  # of what the command says, the last of which are kept
_PATIENCE = 10.0  # seconds between asking the command to stop and stopping it


@dataclass
class Progress:
    """How far the command is; `state` is 'idle', 'running', 'done', 'failed' or 'cancelled'."""

    state: str = "idle"
    what: str = ""
    done: int = 0
    total: int = 0
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))
    error: str = ""
    started: float = 0.0
    ended: float = 0.0

    def json(self) -> dict[str, Any]:
        """Return it for the page."""
        seconds = (self.ended or time.time()) - self.started if self.started else 0.0
        facts = {name: getattr(self, name) for name in ("state", "what", "done", "total", "error")}
        return {**facts, "notes": list(self.notes), "seconds": round(seconds, 1)}


class Training:
    """One run of `heliodor pick` at a time, with the labels, if there are any, as they are on disk when it starts.

    Parameters
    ----------
    micrographs : sequence of MicrographFile
    session : Session
    pixel_size : float, optional
        Angstrom per pixel, where headers have none or a wrong one.
    arguments : sequence of str
        More options of `heliodor pick`.
    done : callable
        Given the picks of a run, and its folder, when it ends well.
    """

    def __init__(
        self,
        micrographs: Sequence[MicrographFile],
        session: Session,
        pixel_size: float | None,
        arguments: Sequence[str],
        done: Callable[[Candidates, Path], None],
    ) -> None:
        self._micrographs, self._session, self._pixel_size, self._done = micrographs, session, pixel_size, done
        self._arguments = list(arguments)
        self._access = threading.Lock()
        self._progress = Progress()
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None

    def status(self) -> dict[str, Any]:
        """Return how far the run is, JSON-able."""
        return self._progress.json()

    def start(self, diameter: float | None) -> None:
        """Start a run.

        Raises
        ------
        LabelError
            A run is going on.
        SettingsError
            No diameter.
        OutputError
            The folder of the run cannot be made.
        """
        with self._access:
            if self._progress.state == "running":
                raise LabelError("training is going on; wait for it, or cancel it")
            if diameter is None:
                raise SettingsError("give the particle's diameter, in angstrom, before training")
            folder = self._new_folder()
            command = [sys.executable, "-m", "heliodor", *self._command(folder, diameter)]
            progress = Progress("running", "starting", started=time.time())
            self._process = process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                env={**os.environ, "HELIODOR_PROGRESS": "json"},
            )
            self._progress = progress  # only now: where no process can be started, none is running
            self._thread = threading.Thread(target=self._watch, args=(process, folder, progress), daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """Stop the run, if there is one; return when it has stopped."""
        with self._access:
            process, thread = self._process, self._thread
            if process is None or thread is None or not thread.is_alive():
                return
            self._progress.state = "cancelled"
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
            thread.join()

    def _new_folder(self) -> Path:
        runs = make_directory(self._session.files.runs)
        numbers = [int(path.name) for path in runs.iterdir() if path.name.isdigit()]
        return make_directory(runs / f"{max(numbers, default=0) + 1:03d}")

    def _command(self, folder: Path, diameter: float) -> list[str]:
        files = self._session.files
        rows = [f"{m.name}\t{os.path.abspath(m.path)}\n" for m in self._micrographs]
        micrographs = folder / "micrographs.txt"
        write_text(micrographs, "".join(["image_name\tpath\n", *rows]))
        words = ["pick", str(micrographs), "--diameter", f"{diameter:g}"]
        if len(self._session.picks("particle")):
            words += ["--labels", str(files.labels)]  # without, the network that comes with heliodor picks
        if len(self._session.picks("negative")):
            words += ["--negatives", str(files.negatives)]
        if self._pixel_size is not None:
            words += ["--angpix", f"{self._pixel_size:g}"]
        return [*words, "-o", str(folder), *self._arguments]

    def _watch(self, process: subprocess.Popen[str], folder: Path, progress: Progress) -> None:
        assert process.stderr is not None
        last = ""
        with process.stderr:
            for line in process.stderr:
                last = line.strip() or last
                _hear(line, progress)
        code = process.wait()
        progress.ended = time.time()
        if progress.state == "cancelled":
            return
        if code not in (0, 1):  # 1: some micrographs were skipped
            killed = f"the run was killed by signal {-code}, for lack of memory perhaps; train again"
            progress.error = killed if code < 0 else last.removeprefix("heliodor: error: ")
            progress.state = "failed"
            return
        try:
            self._done(Candidates.read(folder, self._micrographs), folder)
        except HeliodorError as error:
            progress.error, progress.state = str(error), "failed"
            return
        progress.state = "done"


def _hear(line: str, progress: Progress) -> None:
    """Take over a line of JSON that the command's reporter wrote; others are for the log."""
    try:
        words = json.loads(line)
    except ValueError:
        return
    if not isinstance(words, dict):
        return
    if "note" in words or "warning" in words:
        progress.notes.append(str(words.get("note") or words.get("warning")))
    elif "what" in words:
        progress.what, progress.done, progress.total = str(words["what"]), int(words["done"]), int(words["total"])
