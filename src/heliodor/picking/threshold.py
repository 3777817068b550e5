"""Where to cut the ranking of detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.picking.detect import LOWEST_SCORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def threshold_for_count(scores: Sequence[NDArray[np.floating]], expected_particles: float) -> float:
    """Choose the score above which micrographs get as many detections as they have particles.

    With a good ranking, the best n detections hold most of the n particles: precision and recall
    are then equal. A wrong n shows in both, in opposite directions.

    Parameters
    ----------
    scores : sequence of (N,) arrays
        Of the detections on each micrograph.
    expected_particles : float
        Per micrograph, on average.

    Returns
    -------
    float
        Half-way between the last detection kept and the first one dropped; `LOWEST_SCORE` if all are kept.
    """
    ranked = np.sort(np.concatenate([np.asarray(s, dtype=np.float64) for s in scores]))[::-1]
    keep = round(expected_particles * len(scores))
    if keep >= len(ranked):
        return LOWEST_SCORE
    if keep < 1:
        return float(np.nextafter(ranked[0], np.inf))
    return float((ranked[keep - 1] + ranked[keep]) / 2)
