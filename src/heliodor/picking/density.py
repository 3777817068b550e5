"""Micrographs differ in how many particles they hold: what a score means depends on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDS = 60
# Detections that are nearly surely false are many, and alike on empty and on full micrographs: they say nothing about
# how many particles there are, but the little probability of each makes a large sum. And no single detection should
# say too much.
_TELLING, _SURE = 0.1, 0.8


def told(probabilities: NDArray[np.float64]) -> float:
    """Return how many particles the detections that tell something speak for.

    Parameters
    ----------
    probabilities : (N,) array
        Of detections, on any number of micrographs.
    """
    return float(np.minimum(probabilities[probabilities > _TELLING], _SURE).sum())


def local_probabilities(probabilities: NDArray[np.float64], particles: float) -> NDArray[np.float64]:
    """Lower the probabilities of detections on a micrograph that holds fewer particles than others.

    Detections are a Poisson process of particles and of false ones; their ratio at each score follows from the
    probability. On one micrograph, let particles be `share` times as many as on an average one. The share that is
    taken, at most 1, solves sum of p(share) = share * particles, both as `told` counts them; without the cap that is
    the likeliest share. On an empty micrograph it goes to 0, however many false detections there are.

    Parameters
    ----------
    probabilities : (N,) array
        Of all detections on one micrograph, taking it for an average one.
    particles : float
        What `told` says of an average micrograph.

    Returns
    -------
    (N,) array
    """
    odds = probabilities / (1 - probabilities)
    telling = odds[probabilities > _TELLING]
    low, high = 0.0, 1.0

    # What the detections tell, less what the share says that they should, both over the share.
    def surplus(share: float) -> float:
        return float(np.minimum(telling / (1 + share * telling), _SURE / share).sum()) - particles

    if surplus(1.0) >= 0:
        return probabilities
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if surplus(middle) > 0 else (low, middle)
    return np.asarray(low * odds / (1 + low * odds))
