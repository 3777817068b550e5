"""Finished runs of a benchmark, one JSON object a line, and the work that is not yet among them."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Task = Mapping[str, Any]  # the keys of a row


@dataclass
class Rows:
    """A file of finished runs.

    Parameters
    ----------
    path : path
    keys : sequence of str
        What tells runs apart; a run that is there is not run again.
    """

    path: Path
    keys: Sequence[str]

    def all(self) -> list[Row]:
        """All runs so far."""
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.is_file() else []

    def missing(self, tasks: Iterable[Task]) -> list[Task]:
        """Return those of the tasks that are not there."""
        known = {self._identity(row) for row in self.all()}
        return [task for task in tasks if self._identity(task) not in known]

    def add(self, row: Row) -> None:
        """Append a run."""
        with self.path.open("a") as stream:
            stream.write(json.dumps(row) + "\n")

    def _identity(self, row: Task) -> tuple[Any, ...]:
        return tuple(row[key] for key in self.keys)


def spread(
    rows: Rows,
    tasks: Iterable[Task],
    work: Callable[..., Row],
    executor: Executor,
    tell: Callable[..., str],
) -> int:
    """Do what is not among the rows, several at a time; what fails is told and left out.

    Parameters
    ----------
    rows : Rows
    tasks : iterable of mapping
        With the keys of `rows`.
    work : callable
        Makes of one task what belongs into its row besides the task.
    executor : Executor
        Says how many at a time.
    tell : callable
        Makes of one row a line for people.

    Returns
    -------
    int
        How many failed.
    """
    futures = {executor.submit(work, task): task for task in rows.missing(tasks)}
    failed = 0
    try:
        for done, future in enumerate(as_completed(futures), 1):
            task = futures[future]
            name = " ".join(str(task[key]) for key in rows.keys)
            try:
                row = {**task, **future.result()}
            except Exception as error:  # one run that fails must not end the others
                failed += 1
                traceback.print_exception(error, limit=-2)
                print(f"{done} of {len(futures)}: {name}: FAILED", flush=True)
                continue
            rows.add(row)
            print(f"{done} of {len(futures)}: {name}: {tell(row)}", flush=True)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    return failed


def write_report(rows: Rows, report: Callable[[list[Row]], str], path: Path) -> list[Row]:
    """Write the tables of all runs and print them; return the runs. Exits where there is none."""
    found = rows.all()
    if not found:
        sys.exit("nothing was run")
    text = report(found)
    path.write_text(text)
    print(f"\n{text}", end="")
    return found
