"""Micrographs one after the other, the next few being prepared meanwhile."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from heliodor.errors import MicrographError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from heliodor.names import MicrographFile

T = TypeVar("T")


def stream(
    micrographs: Sequence[MicrographFile], load: Callable[[MicrographFile], T], workers: int
) -> Iterator[tuple[MicrographFile, T | MicrographError]]:
    """Yield each micrograph with what `load` made of it, in order, or with the error that kept it from that.

    `workers` threads load ahead (reading, FFT and numpy release the interpreter); no more than
    workers + 1 results wait at any time, so that memory does not grow with their number.
    """

    def attempt(micrograph: MicrographFile) -> T | MicrographError:
        try:
            return load(micrograph)
        except MicrographError as error:
            return error

    workers = max(1, workers)
    waiting: deque[tuple[MicrographFile, Future[T | MicrographError]]] = deque()
    coming = iter(micrographs)
    with ThreadPoolExecutor(workers) as pool:
        try:
            for micrograph in coming:
                waiting.append((micrograph, pool.submit(attempt, micrograph)))
                if len(waiting) > workers:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
