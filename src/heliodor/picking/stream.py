"""Micrographs one after the other, the next few being read and scored meanwhile."""

from __future__ import annotations

import itertools
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from heliodor.errors import MicrographError
from heliodor.picking.scoring import score_maps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from heliodor.micrographs import Micrograph
    from heliodor.names import MicrographFile
    from heliodor.networks.scorers import Scorer

T = TypeVar("T")
U = TypeVar("U")


class Scored(NamedTuple):
    """A micrograph as the network saw it, its scale (x, y) to the pixels of the file, and its score map."""

    micrograph: Micrograph
    scale: tuple[float, float]
    scores: NDArray[np.float32]


def stream(
    micrographs: Sequence[MicrographFile], load: Callable[[MicrographFile], T], workers: int
) -> Iterator[tuple[MicrographFile, T | MicrographError]]:
    """Yield each micrograph with what `load` made of it, in order, or with the error that kept it from that.

    `workers` threads load ahead (reading, FFT and numpy release the interpreter); no more than
    workers + 1 results wait at any time, so that memory does not grow with their number.
    """

    def attempt(micrograph: MicrographFile) -> tuple[MicrographFile, T | MicrographError]:
        try:
            return micrograph, load(micrograph)
        except MicrographError as error:
            return micrograph, error

    return _ahead(attempt, micrographs, max(1, workers))


def stream_scores(
    micrographs: Sequence[MicrographFile],
    load: Callable[[MicrographFile], tuple[Micrograph, tuple[float, float]]],
    scorers: Sequence[Scorer],
    workers: int = 1,
    *,
    tile: int | None = None,
) -> Iterator[tuple[MicrographFile, Scored | MicrographError]]:
    """Yield each micrograph with its score map, in order, or with the error that kept it from that.

    The micrographs are split over the scorers, in groups that suit them; while these work, the next are read.

    Parameters
    ----------
    micrographs : sequence of MicrographFile
    load : callable
        See `heliodor.picking.load.Loader`.
    scorers : sequence of Scorer
        One for each device; none: the micrographs are score maps.
    workers : int
        Threads that load ahead.
    tile : int, optional
        See `heliodor.picking.scoring.score_map`.
    """
    free: SimpleQueue[Scorer] = SimpleQueue()
    for scorer in scorers:
        free.put(scorer)

    def score(
        group: tuple[tuple[MicrographFile, tuple[Micrograph, tuple[float, float]] | MicrographError], ...],
    ) -> list[tuple[MicrographFile, Scored | MicrographError]]:
        images = [result[0].pixels for _, result in group if not isinstance(result, MicrographError)]
        if scorers:
            scorer = free.get()
            try:
                images = score_maps(scorer, images, tile=tile)
            finally:
                free.put(scorer)
        maps = iter(images)
        return [
            (file, result if isinstance(result, MicrographError) else Scored(*result, next(maps)))
            for file, result in group
        ]

    size = max((scorer.batch for scorer in scorers), default=1)
    groups = _grouped(stream(micrographs, load, max(workers, size)), size)
    return itertools.chain.from_iterable(_ahead(score, groups, max(1, len(scorers))))


def _ahead(work: Callable[[T], U], items: Iterable[T], workers: int) -> Iterator[U]:
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


def _grouped(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    iterator = iter(items)
    while group := tuple(itertools.islice(iterator, size)):
        yield group
