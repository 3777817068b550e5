"""Where to cut the ranking of detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.picking.detect import LOWEST_SCORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


# How far the true count may be below the expected one, and over which share of the count a gap is measured:
# chosen on apoferritin with 10 and 100 labels (dev/LOG.md).
_FEWER, _WINDOW = 0.65, 0.06


def choose_threshold(scores: Sequence[NDArray[np.floating]], expected_particles: float, most_particles: float) -> float:
    """Choose the score above which detections are picks.

    The expected count says about where: the best n detections hold most of n particles. Where the
    scores of particles and of everything else leave a gap between somewhat fewer and the most that fit on
    a micrograph, the gap says exactly where. Without one (the scores only get denser downwards) the
    count alone decides.

    Parameters
    ----------
    scores : sequence of (N,) arrays
        Of the detections on each micrograph.
    expected_particles : float
        Per micrograph, on average.
    most_particles : float
        That a micrograph can hold.

    Returns
    -------
    float
        `LOWEST_SCORE` if there are no more detections than particles.
    """
    ranked = np.sort(np.concatenate([np.asarray(s, dtype=np.float64) for s in scores]))[::-1]
    count = expected_particles * len(scores)
    keep = _rank_of_gap(ranked, count, most_particles * len(scores)) or round(count)
    if keep >= len(ranked):
        return LOWEST_SCORE
    if keep < 1:
        return float(np.nextafter(ranked[0], np.inf))
    return float((ranked[keep - 1] + ranked[keep]) / 2)


def _rank_of_gap(ranked: NDArray[np.float64], count: float, most: float) -> int | None:
    """Return how many detections lie above the widest gap up to `most`, if it is a gap on both sides."""
    half = max(3, round(_WINDOW * count))
    ranks = np.arange(max(half, round(_FEWER * count)), min(len(ranked) - half, round(most)))
    if len(ranks) < 3:
        return None
    width = ranked[ranks - half] - ranked[ranks + half - 1]
    widest = int(np.argmax(width))
    # At an end of the range it is the slope of one heap, not the gap between two.
    edge = max(1, len(ranks) // 20)
    return int(ranks[widest]) if edge <= widest < len(ranks) - edge else None
