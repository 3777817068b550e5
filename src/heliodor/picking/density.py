"""Micrographs differ in how many particles they hold: what a score means depends on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDS = 60


def local_probabilities(probabilities: NDArray[np.float64], particles: float) -> NDArray[np.float64]:
    """Lower the probabilities of detections on a micrograph that holds fewer particles than others.

    Detections are a Poisson process of particles (on average `particles` a micrograph) and of false ones; their ratio
    at each score follows from the probability. On one micrograph, let particles be `share` times as many: the
    likeliest share, at most 1, solves sum of p(share) = share * particles. On an empty
    micrograph it goes to 0, however many false detections there are.

    Parameters
    ----------
    probabilities : (N,) array
        Of all detections on one micrograph, taking it for an average one.
    particles : float
        On an average micrograph.

    Returns
    -------
    (N,) array
    """
    odds = probabilities / (1 - probabilities)
    low, high = 0.0, 1.0

    def surplus(share: float) -> float:
        return float((odds / (1 + share * odds)).sum()) - particles

    if not len(odds) or surplus(1.0) >= 0:
        return probabilities
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if surplus(middle) > 0 else (low, middle)
    return np.asarray(low * odds / (1 + low * odds))
