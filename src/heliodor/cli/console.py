"""How the command line shows what goes on: bars on a terminal, plain lines in a log. All on stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from heliodor.progress import Reporter

T = TypeVar("T")
_QUIET = 10.0  # seconds between progress lines in a log


class PlainReporter:
    """A `Reporter` for logs: a line now and then, each complete in itself."""

    def note(self, message: str) -> None:
        """Write `# message`."""
        sys.stderr.write(f"# {message}\n")

    def warn(self, message: str) -> None:
        """Write `# WARNING: message`."""
        sys.stderr.write(f"# WARNING: {message}\n")

    def track(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """Pass items on; every ten seconds say how many, how fast, and how long it will take."""
        start = said = time.monotonic()
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now - said >= _QUIET and done < total:
                rate = done / (now - start)
                self.note(f"{what}: {done} of {total}, {rate:.2g}/s, {(total - done) / rate:.0f} s left")
                said = now


class RichReporter:
    """A `Reporter` for terminals: a bar with count, rate and time left."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)

    def note(self, message: str) -> None:
        """Print the message."""
        self._console.print(message, markup=False)

    def warn(self, message: str) -> None:
        """Print the message in yellow."""
        self._console.print(f"warning: {message}", markup=False, style="yellow")

    def track(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """Pass items on under a bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        rate = TextColumn("{task.fields[rate]}")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(what, total=total, rate="")
            for item in items:
                yield item
                progress.advance(task)
                speed = progress.tasks[0].speed
                progress.update(task, rate=f"{speed:.2g}/s" if speed else "")


class JsonReporter:
    """A `Reporter` for programs: each note, warning and step of progress is a line of JSON."""

    def note(self, message: str) -> None:
        """Write {"note": message}."""
        self._write({"note": message})

    def warn(self, message: str) -> None:
        """Write {"warning": message}."""
        self._write({"warning": message})

    def track(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """Pass items on; write {"what": what, "done": n, "total": total} at most five times a second."""
        said = -1.0
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now - said >= 0.2 or done == total:
                self._write({"what": what, "done": done, "total": total})
                said = now

    def _write(self, words: dict[str, object]) -> None:
        sys.stderr.write(json.dumps(words) + "\n")
        sys.stderr.flush()


def console_reporter() -> Reporter:
    """Return the reporter that suits stderr, or that which `HELIODOR_PROGRESS=json` asks for."""
    if os.environ.get("HELIODOR_PROGRESS") == "json":
        return JsonReporter()
    return RichReporter() if sys.stderr.isatty() else PlainReporter()
