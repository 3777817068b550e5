"""Micrographs one after the other, the next few being worked on meanwhile; what cannot be used is skipped and named."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from heliodor.errors import MicrographError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from heliodor.names import MicrographFile
    from heliodor.progress import Reporter

T = TypeVar("T")
U = TypeVar("U")


def stream(
    micrographs: Sequence[MicrographFile], load: Callable[[MicrographFile], T], workers: int
) -> Iterator[tuple[MicrographFile, T | MicrographError]]:
    """Yield each micrograph with what `load` made of it, in order, or with the error that kept it from that.

    `workers` threads (see `threads_of`) load ahead (reading, FFT and numpy release the interpreter); no more than
    workers + 1 results wait at any time, so that memory does not grow with their number.
    """

    def attempt(micrograph: MicrographFile) -> tuple[MicrographFile, T | MicrographError]:
        try:
            return micrograph, load(micrograph)
        except MicrographError as error:
            return micrograph, error

    return ahead(attempt, micrographs, threads_of(workers))


def threads_of(workers: int) -> int:
    """Return how many threads a number of workers means: at least one; negative: one for each processor."""
    return max(1, workers if workers >= 0 else os.cpu_count() or 1)


def ahead(work: Callable[[T], U], items: Iterable[T], workers: int) -> Iterator[U]:
    """Map in threads, in order; no more than workers + 1 results wait."""
    waiting: deque[Future[U]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def usable(
    results: Iterable[tuple[MicrographFile, T | MicrographError]],
    total: int,
    what: str,
    reporter: Reporter,
    failed: dict[str, str],
) -> Iterator[tuple[MicrographFile, T]]:
    """Pass on the micrographs that could be used, under a bar; warn of the others.

    Parameters
    ----------
    results : iterable of (MicrographFile, result or MicrographError)
        As `stream` yields them.
    total : int
        How many there are.
    what : str
        What is done to them, for the bar.
    reporter : Reporter
    failed : dict
        Takes up path -> why it was skipped.

    Raises
    ------
    MicrographError
        At the end, where none could be used.
    """
    for micrograph, result in reporter.track(results, total, what):
        if isinstance(result, MicrographError):
            failed[str(micrograph.path)] = str(result)
            reporter.warn(f"skipped: {result}")
        else:
            yield micrograph, result
    if failed and len(failed) == total:
        raise MicrographError(f"no micrograph could be used: {next(iter(failed.values()))}")
