"""How many particles are there, by scores alone? For a network that no labels have trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from heliodor.picking.evidence import standing_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heliodor.picking.evidence import Evidence

# Detections below say little: they fill what room there is, whatever else there is. Bins of scores, in log-odds.
_LOWEST, _BIN, _HIGHEST = 0.5, 0.5, 6.0
# What is known beforehand, as normal distributions (mean, deviation): the mean of the scores of particles; the
# logarithm of their deviation, which was 1.54 to 1.69 on all simulated sets where the number hangs on it; and how far
# the guess may be off, as a factor's logarithm (dev/LOG.md).
_MEAN, _DEVIATION, _GUESS = (1.0, 2.0), (math.log(1.6), 0.1), 1.0
# Particles for each that stands out from noise, at most: with fewer in sight, scores say nothing of how many there are.
_HIDDEN = 10.0
_STEP = 0.1  # of the logarithm of the number, to see how sure it is
_EXACT = {"maxiter": 2000, "xatol": 1e-4, "fatol": 1e-6}
_TRUST = 0.5  # power of the likelihood: decoys are not quite what is false


@dataclass(frozen=True)
class Mixture:
    """Detections as particles and false ones.

    Parameters
    ----------
    particles : float
        On each micrograph.
    mean, deviation : float
        Of the scores of detections that are particles.
    error : float
        Standard deviation of the logarithm of `particles`, by the curvature of the posterior.
    """

    particles: float
    mean: float
    deviation: float
    error: float


def fit_mixture(evidence: Evidence, guess: float) -> Mixture:
    """Find the number of particles that makes scores and those on decoys go together best.

    The scores of particles are taken for normally distributed, false ones for distributed as on decoys, of which
    particles leave room for fewer (`Evidence.crowding`). Where particles stand out, their number is that of high
    scores; where they do not, it follows from how fast scores above those of decoys become fewer. Counts in bins are
    Poisson; the largest posterior is returned. Where next to nothing stands out, so that any number of particles with
    low scores would do, there are taken to be next to none.

    Parameters
    ----------
    evidence : Evidence
        With at least one decoy.
    guess : float
        Particles on each micrograph, above 0.
    """
    from scipy.optimize import minimize
    from scipy.special import ndtr

    edges = np.append(np.arange(_LOWEST, _HIGHEST + _BIN / 2, _BIN), np.inf)
    found = _histogram(evidence.scores, edges)
    # Half a detection more in all, so that nothing is impossible where decoys happen to have none.
    false = (_histogram(evidence.decoys, edges) + 0.5 / len(found)) / evidence.images

    def surprise(values: NDArray[np.float64]) -> float:
        particles, mean, deviation = math.exp(values[0]), values[1], math.exp(values[2])
        room = math.exp(-replace(evidence, particles=particles).crowding)
        true = particles * np.diff(ndtr((edges - mean) / deviation))
        rates = evidence.micrographs * (false * room + true)
        off = (values - known) / spread
        return float(_TRUST * (rates - found * np.log(rates)).sum() + (off**2).sum() / 2)

    known = np.array([math.log(guess), _MEAN[0], _DEVIATION[0]])
    spread = np.array([_GUESS, _MEAN[1], _DEVIATION[1]])

    def best(start: NDArray[np.float64], particles: float | None = None) -> tuple[NDArray[np.float64], float]:
        """Return the least surprising values, and the surprise; with the logarithm of the number given or free."""
        fixed = () if particles is None else (particles,)
        end = minimize(
            lambda free: surprise(np.array([*fixed, *free])), start[len(fixed) :], method="Nelder-Mead", options=_EXACT
        )
        return np.array([*fixed, *end.x]), float(end.fun)

    starts = [np.array([known[0], mean, known[2]]) for mean in (_MEAN[0] - _MEAN[1], _MEAN[0] + _MEAN[1])]
    top, least = min((best(start) for start in starts), key=lambda end: end[1])
    around = [best(top, top[0] + step)[1] for step in (-_STEP, _STEP)]
    curvature = (sum(around) - 2 * least) / _STEP**2
    error = min(1 / math.sqrt(curvature), _GUESS) if curvature > 0 else _GUESS
    particles = min(math.exp(top[0]), _HIDDEN * standing_out(evidence))
    return Mixture(particles, float(top[1]), math.exp(top[2]), error)


def _histogram(scores: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.histogram(scores, edges)[0].astype(np.float64)
