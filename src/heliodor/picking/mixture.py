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
# logarithm of their deviation, which was 1.5 to 1.7 on all simulated sets where the number hangs on it, and falls where
# particles are clear; and that of how many particles there are for each that stands out from noise (dev/LOG.md).
_MEAN, _DEVIATION, _NUMBER = (1.0, 2.0), (math.log(1.6), 0.1), (math.log(1.6), 1.5)
_CLEAR, _FALLS = 1.0, 0.06  # mean above which the logarithm of the deviation falls, and by how much for each log-odd
# Decoys have too few of the best false detections, with few particles as with many (dev/LOG.md): score above which,
# and how fast the logarithm of the factor rises.
_GOOD, _RISES = 1.25, 0.2
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
        Standard deviation of the logarithm of `particles`, by the curvature of the posterior; more where `particles` is
        bounded, so that the likeliest number is within it.
    """

    particles: float
    mean: float
    deviation: float
    error: float


def fit_mixture(evidence: Evidence) -> Mixture:
    """Find the number of particles that makes scores and those on decoys go together best.

    The scores of particles are taken for normally distributed, false ones for distributed nearly as on decoys, of
    which particles leave room for fewer (`Evidence.crowding`). Where particles stand out, their number is that of high
    scores; where they do not, it follows from how fast scores above those of decoys become fewer. Counts in bins are
    Poisson; the largest posterior is returned. Where next to nothing stands out, so that any number of particles with
    low scores would do, there are taken to be next to none.

    Parameters
    ----------
    evidence : Evidence
        With at least one decoy.
    """
    posterior = _Posterior(evidence)
    starts = [np.array([posterior.first, mean, _DEVIATION[0]]) for mean in (_MEAN[0] - _MEAN[1], _MEAN[0] + _MEAN[1])]
    top, least = min((posterior.best(start) for start in starts), key=lambda end: end[1])
    around = [posterior.best(top, top[0] + step)[1] for step in (-_STEP, _STEP)]
    curvature = (sum(around) - 2 * least) / _STEP**2
    error = min(1 / math.sqrt(curvature), _NUMBER[1]) if curvature > 0 else _NUMBER[1]
    likeliest = math.exp(top[0])
    particles = min(likeliest, _HIDDEN * posterior.visible)
    error = max(error, math.log(likeliest / max(particles, 1.0)))
    return Mixture(particles, float(top[1]), math.exp(top[2]), error)


class _Posterior:
    """How well values go together with scores: logarithm of the number of particles, mean, logarithm of the deviation.

    Attributes
    ----------
    visible : float
        Particles on each micrograph that stand out.
    first : float
        What is known beforehand of the first value.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._edges = np.append(np.arange(_LOWEST, _HIGHEST + _BIN / 2, _BIN), np.inf)
        self._found = np.histogram(evidence.scores, self._edges)[0]
        # Half a detection more in all, so that nothing is impossible where decoys happen to have none.
        on_decoys = (np.histogram(evidence.decoys, self._edges)[0] + 0.5 / len(self._found)) / evidence.images
        middle = np.append((self._edges[:-2] + self._edges[1:-1]) / 2, _HIGHEST)
        self._false = on_decoys * np.exp(_RISES * np.maximum(middle - _GOOD, 0))
        self.visible = standing_out(evidence)
        self.first = math.log(max(self.visible, 1.0)) + _NUMBER[0]

    def best(self, start: NDArray[np.float64], particles: float | None = None) -> tuple[NDArray[np.float64], float]:
        """Return the least surprising values, and the surprise; with the logarithm of the number given or free."""
        from scipy.optimize import minimize

        fixed = () if particles is None else (particles,)

        def surprise(free: NDArray[np.float64]) -> float:
            return self._surprise(*fixed, *free)

        end = minimize(surprise, start[len(fixed) :], method="Nelder-Mead", options=_EXACT)
        return np.array([*fixed, *end.x]), float(end.fun)

    def _surprise(self, number: float, mean: float, spread: float) -> float:
        """Return the negative logarithm of the posterior, up to a constant."""
        from scipy.special import ndtr

        particles = math.exp(number)
        room = math.exp(-replace(self._evidence, particles=particles).crowding)
        true = particles * np.diff(ndtr((self._edges - mean) / math.exp(spread)))
        rates = self._evidence.micrographs * (self._false * room + true)
        usual = _DEVIATION[0] - _FALLS * max(mean - _CLEAR, 0.0)
        off = np.array(
            [
                (number - self.first) / _NUMBER[1],
                (mean - _MEAN[0]) / _MEAN[1],
                (spread - usual) / _DEVIATION[1],
            ]
        )
        return float(_TRUST * (rates - self._found * np.log(rates)).sum() + (off**2).sum() / 2)
