"""Micrographs differ in how many particles they hold: what a score means depends on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHARES = np.linspace(0, 1, 201)[1:]
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


def local_probabilities(
    probabilities: NDArray[np.float64], particles: float, crowding: float = 0.0
) -> NDArray[np.float64]:
    """Lower the probabilities of detections on a micrograph that holds fewer particles than others.

    Detections are a Poisson process of particles and of false ones; their ratio at each score follows from the
    probability. On one micrograph, let particles be `share` times as many as on an average one; false detections are
    then exp((1 - share) crowding) times as many. The largest share, at most 1, is taken for which the detections of
    the micrograph speak for share * particles, as `told` counts them. On an empty micrograph it is near 0,
    unless false detections are many more than that.

    Parameters
    ----------
    probabilities : (N,) array
        Of all detections on one micrograph, taking it for an average one.
    particles : float
        What `told` says of an average micrograph.
    crowding : float
        Logarithm of how many more false detections there would be on an average micrograph without its particles.

    Returns
    -------
    (N,) array
    """
    odds = probabilities / (1 - probabilities)
    telling = odds[probabilities > _TELLING]
    false = np.exp((1 - _SHARES) * crowding)
    spoken = np.minimum(telling / (false[:, None] + _SHARES[:, None] * telling), _SURE / _SHARES[:, None]).sum(axis=1)
    fitting = np.flatnonzero(spoken >= particles)
    if not len(fitting):
        return np.zeros(len(probabilities))
    share = _SHARES[fitting[-1]]
    if share == 1:
        return probabilities
    odds *= share / false[fitting[-1]]
    return np.asarray(odds / (1 + odds))
