"""How well a number of particles, and where their scores are, go together with what is found on a sample."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from heliodor.picking.distribution import distribution
from heliodor.picking.evidence import Others, standing_out
from heliodor.picking.known import BIN, CLEAR
from heliodor.picking.variation import ALIKE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heliodor.picking.evidence import Evidence
    from heliodor.picking.known import Known

_NUMBER = math.log(1.6)  # logarithm of how many particles there are for each that stands out from noise, in the mean
# Detections below say little: they fill what room there is, whatever else there is. In log-odds.
_LOWEST = 0.5
# Logarithm of how much more room than usual particles take from false detections, as a Cauchy distribution of this
# width: as usual, or, on a background unlike that of other micrographs, something else (dev/LOG.md).
_WIDER = 0.15
# Room for so many detections side by side tells as much as more would. With more, chance matters less, but not that
# scores are only nearly normal, and decoys only nearly noise, which would outweigh what is known beforehand
# (dev/LOG.md).
_TELLING = 8000.0
# First steps of the search: number, mean, deviation, room; others and how far below.
_FIRST_STEPS = (0.3, 0.5, 0.1, 0.1, 0.3, 0.3)
_TINY, _LEAST_RATE = 1e-6, 1e-300  # share and detections, of which the logarithm can be taken
_EQUALLY_LIKELY = np.linspace(0.01, 0.99, 50)
_SEARCH = {"maxiter": 4000, "maxfev": 4000, "xatol": 1e-3, "fatol": 1e-4}


class Posterior:
    """How well values go together with scores.

    They are: logarithm of the number of particles, mean, logarithm of the deviation, logarithm of how much more room
    than usual a particle takes from false detections; where there are other things, logarithm of how many for each
    particle, and how far below. Micrographs differ from these, see `heliodor.picking.variation`: the likelihood of each
    is averaged over what it may be like.

    Attributes
    ----------
    visible : float
        Particles on each micrograph that stand out.
    weight : float
        Of detections of a large sample, as of a smaller one.
    chance : float
        Variance of the logarithm of the number on so many micrographs, which happen to hold more or fewer than others.
    """

    def __init__(self, evidence: Evidence, known: Known, width: float) -> None:
        self._known, self._width = known, width
        self._distribution = distribution(known.skewness)
        self.weight = min(1.0, _TELLING * evidence.claimed / evidence.micrographs) if evidence.claimed else 1.0
        self._edges = np.append(np.arange(_LOWEST, known.highest + BIN / 2, BIN), np.inf)
        if evidence.which is None:
            self._variation, each = ALIKE, [evidence.scores]
        else:
            self._variation = known.variation
            each = [evidence.scores[evidence.which == k] for k in range(evidence.micrographs)]
        self._found = np.stack([np.histogram(scores, self._edges)[0] for scores in each])
        self._micrographs = evidence.micrographs / len(each)  # in each of them
        self.chance = self._variation.chance / len(each)
        self._emptied = replace(evidence, particles=1.0).emptied
        # Half a detection more in all, so that nothing is impossible where decoys happen to have none.
        bins = len(self._edges) - 1
        self._false = (np.histogram(evidence.decoys, self._edges)[0] + 0.5 / bins) / evidence.images
        self.visible = standing_out(evidence)
        self._first = math.log(max(self.visible, 1.0)) + _NUMBER

    def starts(self) -> list[NDArray[np.float64]]:
        """Return values to start from: there may be more than one valley."""
        known = self._known
        others = [] if known.others is None else [known.others[0], known.below[0]]
        means = {-1.0, 3.0, known.mean[0]}
        return [np.array([self._first, mean, known.deviation[0], 0.0, *others]) for mean in sorted(means)]

    def best(self, start: NDArray[np.float64], particles: float | None = None) -> tuple[NDArray[np.float64], float]:
        """Return the least surprising values, and the surprise; with the logarithm of the number given or free."""
        from scipy.optimize import minimize

        fixed = () if particles is None else (particles,)

        def surprise(free: NDArray[np.float64]) -> float:
            return self._surprise(*fixed, *free)

        first = start[len(fixed) :]
        simplex = np.vstack([first, first + np.diag(_FIRST_STEPS[len(fixed) : len(start)])])
        end = minimize(surprise, first, method="Nelder-Mead", options={**_SEARCH, "initial_simplex": simplex})
        return np.array([*fixed, *end.x]), float(end.fun)

    def averaged(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of all micrographs together: these are the middle of what one may be like."""
        variation, weights = self._variation, self._variation.weights(self._likely(*values)).mean(axis=0)
        shares, beside, offsets = (kinds[:, 0] for kinds in (variation.particles, variation.others, variation.offsets))
        by_offset = np.einsum("stu,s->u", weights, shares)
        particles = max(float(by_offset.sum()), _TINY)
        offset = float(by_offset @ offsets) / particles
        variance = float(by_offset @ np.square(offsets - offset)) / particles
        moved = values.copy()
        moved[0] += math.log(particles)
        moved[1] += offset
        moved[2] = math.log(math.hypot(math.exp(values[2]), math.sqrt(variance)))
        if self._known.others is not None:
            moved[4] += math.log(max(float(np.einsum("stu,t->", weights, beside)), _TINY) / particles)
        return moved

    def others(self, values: NDArray[np.float64], particles: float) -> Others:
        """Return the other things that these values say there are beside so many particles."""
        _, mean, spread, _, more, below = values
        return Others(particles * math.exp(more), float(mean - below), math.exp(spread), self._known.skewness)

    def share_of_particles(self, values: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
        """Return which share of the labels (N,) look like particles by their scores.

        By the mean probability of labels, between what it is of others and of particles: where these are not far from
        each other, it is neither 0 nor 1.
        """
        mean, deviation, below = values[1], math.exp(values[2]), values[5]
        spread = deviation * self._distribution.quantiles(_EQUALLY_LIKELY)
        ours, theirs = (self._particle(values, mean - off + spread).mean() for off in (0, below))
        return float(np.clip((self._particle(values, labels).mean() - theirs) / max(ours - theirs, 1e-9), 0, 1))

    def _particle(self, values: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability that each of the scores (N,) is that of a particle, and not of another thing."""
        from scipy.special import expit

        _, mean, spread, _, more, below = values
        off, apart = (scores - mean) / math.exp(spread), below / math.exp(spread)
        density = self._distribution.log_density
        return np.asarray(expit(density(off) - density(off + apart) - more))

    def _surprise(self, *values: float) -> float:
        """Return the negative logarithm of the posterior, up to a constant."""
        likely = self._likely(*values).reshape(len(self._found), -1)
        largest = likely.max(axis=1)
        means = largest + np.log(np.exp(likely - largest[:, None]).sum(axis=1))
        return float(self._beforehand(*values) - means.sum())

    def _beforehand(self, number: float, mean: float, spread: float, wider: float, *others: float) -> float:
        """Return the negative logarithm of how likely the values are without any detection."""
        known = self._known
        usual = known.deviation[0] - known.falls * max(mean - CLEAR, 0.0)
        off = [
            (number - self._first) / self._width,
            (mean - known.mean[0]) / known.mean[1],
            (spread - usual) / known.deviation[1],
        ]
        if known.others is not None:
            more, below = others
            off += [(more - known.others[0]) / known.others[1], (below - known.below[0]) / known.below[1]]
        return float(np.square(off).sum() / 2 + math.log1p((wider / _WIDER) ** 2))

    def _likely(self, *values: float) -> NDArray[np.float64]:
        """Return the logarithm of how likely each micrograph is to be of each kind, by its detections (N, S, T, U)."""
        rates = self._rates(*values)
        *kinds, bins = rates.shape
        # Not by matrix multiplication, which many threads would spend their time on, it being so small.
        found = np.einsum("nb,kb->nk", self._found, np.log(np.maximum(rates, _LEAST_RATE)).reshape(-1, bins))
        return np.asarray(self.weight * (found.reshape(-1, *kinds) - rates.sum(axis=-1)) + self._variation.likely)

    def _rates(self, number: float, mean: float, spread: float, wider: float, *others: float) -> NDArray[np.float64]:
        """Return how many detections to expect in each bin on each kind of micrograph (S, T, U, bins)."""
        variation, deviation = self._variation, math.exp(spread)
        particles = math.exp(number) * variation.particles[:, :1]
        means = mean + variation.offsets[:, :1]
        false = self._false * np.exp(-particles * self._emptied * math.exp(wider))
        rates = (false[:, None] + particles[:, None] * self._shares(means, deviation))[:, None]
        if self._known.others is not None:
            more, below = others
            beside = math.exp(number + more) * variation.others[:, :1, None]
            rates = rates + beside * self._shares(means - below, deviation)
        return np.asarray(rates * self._micrographs)

    def _shares(self, means: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
        """Return which share of scores falls into each bin, with the means (U, 1) and the deviation (U, bins)."""
        return np.diff(self._distribution.below((self._edges - means) / deviation))
