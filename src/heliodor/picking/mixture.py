"""How many particles are there? By the scores of all that is found."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from heliodor.picking.distribution import distribution
from heliodor.picking.evidence import NO_OTHERS, Others, standing_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heliodor.picking.evidence import Evidence

# Detections below say little: they fill what room there is, whatever else there is. Bins of scores, in log-odds.
_LOWEST, _BIN = 0.5, 0.5
# Logarithm of how many particles there are for each that stands out from noise, as a normal distribution.
_NUMBER, _LIKELY = math.log(1.6), 1.2
POSSIBLY = 1.5  # its standard deviation where the question is how many there may be
_CLEAR = 1.0  # mean above which the logarithm of the deviation falls, or less is known of it
# Logarithm of how much more room than usual particles take from false detections, as a Cauchy distribution of this
# width: as usual, or, on a background unlike that of other micrographs, something else (dev/LOG.md).
_WIDER = 0.15
# Room for so many detections side by side tells as much as more would. With more, chance matters less, but not that
# scores are only nearly normal, and decoys only nearly noise, which would outweigh what is known beforehand
# (dev/LOG.md).
_TELLING = 8000.0
# First steps of the search: number, mean, deviation, room; others and how far below.
_FIRST_STEPS = (0.3, 0.5, 0.1, 0.1, 0.3, 0.3)
# Particles for each that stands out from noise, at most: with fewer in sight, scores say nothing of how many there are.
_HIDDEN = 10.0
_STEP = 0.1  # of the logarithm of the number, to see how sure it is
# Usual deviation of the scores of particles by a network that was trained on labels, and least one of those of labels:
# a few may happen to be alike.
_SPREAD, _LEAST_SPREAD = 1.8, 0.3
# Standard error of the logarithm of the deviation of labels that are more alike than usual, however many they are:
# people label clear particles, which are (dev/LOG.md).
_SELECTED = 0.3
# Of the scores of particles by a network that was trained on labels, for each log-odd of their mean, and bounds: clear
# particles have more scores far below the mean than far above, faint ones do not (dev/LOG.md).
_SKEWNESS, _LEAST_SKEWED, _MOST_SKEWED = 0.1, 0.05, 0.3
# Logarithm of how many other things that are not noise there are for each particle, as a normal distribution. Not much
# is known of it, but where half of the detections that are not noise have lower scores than the other half, that is
# rather a second view (dev/LOG.md).
_OTHERS = math.log(0.1), 0.7
_EQUALLY_LIKELY = np.linspace(0.01, 0.99, 50)
_EXACT = {"maxiter": 4000, "maxfev": 4000, "xatol": 1e-4, "fatol": 1e-6}


@dataclass(frozen=True)
class _Known:
    """What is known beforehand of scores, as normal distributions (mean, standard deviation); see dev/LOG.md.

    Parameters
    ----------
    mean : (float, float)
        Of the scores of particles.
    deviation : (float, float)
        Logarithm of their deviation.
    falls : float
        By how much this falls for each log-odd of the mean above `_CLEAR`.
    highest : float
        All scores above are one bin.
    others : (float, float), optional
        Logarithm of how many other things that are not noise there are for each particle; None: there are none.
    below : (float, float)
        By how much their mean score is lower.
    skewness : float
        Of the scores about their mean, of particles and of other things, see `heliodor.picking.distribution`.
    """

    mean: tuple[float, float] = (1.0, 2.0)
    deviation: tuple[float, float] = (math.log(1.6), 0.1)
    falls: float = 0.06
    highest: float = 6.0
    others: tuple[float, float] | None = None
    below: tuple[float, float] = (0.0, 1.0)
    skewness: float = 0.0

    @classmethod
    def of_labels(cls, scores: NDArray[np.float64]) -> _Known:
        """Say what labels tell about the scores of a network that was trained on them.

        It scores what is labelled a little higher than other particles, and people label clear ones.
        """
        mean, spread = float(scores.mean()), max(float(scores.std(ddof=1)), _LEAST_SPREAD)
        selected = _SELECTED if spread < _SPREAD else 0.0
        error = math.hypot(1 / math.sqrt(2 * (len(scores) - 1)), selected)
        usual = math.log(_SPREAD), math.hypot(0.07, 0.06 * max(mean - _CLEAR, 0.0))
        deviation = _product(usual, (math.log(spread), error))
        near = mean - 0.2, math.hypot(0.6, math.exp(deviation[0]) / math.sqrt(len(scores)))
        highest = max(8.0, _BIN * round((mean + 2 * spread) / _BIN))
        skewness = min(max(_SKEWNESS * mean, _LEAST_SKEWED), _MOST_SKEWED)
        return cls(near, deviation, 0.0, highest, _OTHERS, (3.0, 1.0), skewness)


def _product(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Put two normal distributions (mean, standard deviation) of the same quantity together."""
    weights = 1 / np.square([one[1], other[1]])
    return float(np.average([one[0], other[0]], weights=weights)), 1 / math.sqrt(weights.sum())


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
    others : Others
        What looks like neither particles nor noise.
    share : float
        Of the labels that look like particles, and not like `others`.
    """

    particles: float
    mean: float
    deviation: float
    error: float
    others: Others = NO_OTHERS
    share: float = 1.0

    @property
    def corrected(self) -> Mixture:
        """The same where all labels are particles: as many of the others are particles as labels look like them."""
        both = self.particles + self.others.number
        particles = min(self.particles, both * self.share) / self.share if self.share else both
        return replace(self, particles=particles, others=self.others.less(particles - self.particles), share=1.0)


def fit_mixture(evidence: Evidence, labels: NDArray[np.float64] | None = None, *, width: float = _LIKELY) -> Mixture:
    """Find the number of particles that makes scores and those on decoys go together best.

    The scores of particles are taken for normally distributed, with labels for skewed; false ones for distributed as on
    decoys, of which particles leave room for fewer, by about `Evidence.emptied`. Where particles stand out, their
    number is that of high scores; where they do not, it follows from how fast scores above those of decoys become
    fewer. Counts in bins are Poisson, of a large sample weighted as of a smaller one; the largest posterior is
    returned. Where little stands out, so that many numbers of particles with low scores would do, what is known
    beforehand decides: not many more than stand out.

    Scores of labels say where those of particles are, and so which of two kinds of things that stand out are others:
    broken particles, ice. The clearer they are, the more scores are skewed.

    Parameters
    ----------
    evidence : Evidence
        With at least one decoy.
    labels : (N,) array, optional
        Scores of labelled particles, at least two, by a network that was trained on them. None: `evidence` is of one
        that has not seen labels.
    width : float
        Standard deviation of what is known beforehand of the logarithm of the number.
    """
    posterior = _Posterior(evidence, _Known() if labels is None else _Known.of_labels(labels), width)
    top, least = min((posterior.best(start) for start in posterior.starts()), key=lambda end: end[1])
    around = [posterior.best(top, top[0] + step)[1] for step in (-_STEP, _STEP)]
    curvature = (sum(around) - 2 * least) / _STEP**2
    error = min(1 / math.sqrt(curvature), width) if curvature > 0 else width
    likeliest = math.exp(top[0])
    particles = min(likeliest, _HIDDEN * posterior.visible)
    error = max(error, math.log(likeliest / max(particles, 1.0)))
    mixture = Mixture(particles, float(top[1]), math.exp(top[2]), error)
    if labels is None:
        return mixture
    others = posterior.others(top, particles)
    return replace(mixture, others=others, share=posterior.share_of_particles(top, labels))


class _Posterior:
    """How well values go together with scores.

    They are: logarithm of the number of particles, mean, logarithm of the deviation, logarithm of how much more room
    than usual a particle takes from false detections; where there are other things, logarithm of how many for each
    particle, and how far below.

    Attributes
    ----------
    visible : float
        Particles on each micrograph that stand out.
    """

    def __init__(self, evidence: Evidence, known: _Known, width: float) -> None:
        self._evidence, self._known, self._width = evidence, known, width
        self._distribution = distribution(known.skewness)
        self._weight = min(1.0, _TELLING * evidence.claimed / evidence.micrographs) if evidence.claimed else 1.0
        self._edges = np.append(np.arange(_LOWEST, known.highest + _BIN / 2, _BIN), np.inf)
        self._found = np.histogram(evidence.scores, self._edges)[0]
        # Half a detection more in all, so that nothing is impossible where decoys happen to have none.
        self._false = (np.histogram(evidence.decoys, self._edges)[0] + 0.5 / len(self._found)) / evidence.images
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
        end = minimize(surprise, first, method="Nelder-Mead", options={**_EXACT, "initial_simplex": simplex})
        return np.array([*fixed, *end.x]), float(end.fun)

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

    def _surprise(self, number: float, mean: float, spread: float, wider: float, *others: float) -> float:
        """Return the negative logarithm of the posterior, up to a constant."""
        known, particles, deviation = self._known, math.exp(number), math.exp(spread)
        room = math.exp(-replace(self._evidence, particles=particles).emptied * math.exp(wider))
        rates = self._false * room + particles * self._shares(mean, deviation)
        usual = known.deviation[0] - known.falls * max(mean - _CLEAR, 0.0)
        off = [
            (number - self._first) / self._width,
            (mean - known.mean[0]) / known.mean[1],
            (spread - usual) / known.deviation[1],
        ]
        if known.others is not None:
            more, below = others
            rates += particles * math.exp(more) * self._shares(mean - below, deviation)
            off += [(more - known.others[0]) / known.others[1], (below - known.below[0]) / known.below[1]]
        rates *= self._evidence.micrographs
        beforehand = np.square(off).sum() / 2 + math.log1p((wider / _WIDER) ** 2)
        return float(self._weight * (rates - self._found * np.log(rates)).sum() + beforehand)

    def _shares(self, mean: float, deviation: float) -> NDArray[np.float64]:
        """Return which share of scores with this mean and deviation falls into each bin."""
        return np.diff(self._distribution.below((self._edges - mean) / deviation))
