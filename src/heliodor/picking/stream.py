"""Score maps of micrographs one after the other, the next few being read and scored meanwhile."""

from __future__ import annotations

import itertools
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from heliodor.errors import MicrographError
from heliodor.picking.scoring import score_maps
from heliodor.stream import ahead, stream, threads_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from heliodor.micrographs import Micrograph
    from heliodor.names import MicrographFile
    from heliodor.networks.scorers import Scorer

T = TypeVar("T")


class Scored(NamedTuple):
    """A micrograph as the network saw it, its scale (x, y) to the pixels of the file, and its score map."""

    micrograph: Micrograph
    scale: tuple[float, float]
    scores: NDArray[np.float32]


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
        images = [result[0].seen for _, result in group if not isinstance(result, MicrographError)]
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

    # Several at a time where that suits the scorers, but no scorer is left without.
    size = max((min(scorer.batch, -(-len(micrographs) // len(scorers))) for scorer in scorers), default=1)
    groups = _grouped(stream(micrographs, load, max(threads_of(workers), size)), size)
    return itertools.chain.from_iterable(ahead(score, groups, max(1, len(scorers))))


def _grouped(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    iterator = iter(items)
    while group := tuple(itertools.islice(iterator, size)):
        yield group
