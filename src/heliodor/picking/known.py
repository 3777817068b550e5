"""What is known beforehand of the scores of particles and of other things."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.picking.variation import PARTICLES_ONLY, USUAL, Variation

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLEAR = 1.0  # mean above which the logarithm of the deviation falls, or less is known of it
BIN = 0.5  # of scores, in log-odds
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


@dataclass(frozen=True)
class Known:
    """What is known beforehand of scores, as normal distributions (mean, standard deviation); see dev/LOG.md.

    Parameters
    ----------
    mean : (float, float)
        Of the scores of particles.
    deviation : (float, float)
        Logarithm of their deviation.
    falls : float
        By how much this falls for each log-odd of the mean above `CLEAR`.
    highest : float
        All scores above are one bin.
    others : (float, float), optional
        Logarithm of how many other things that are not noise there are for each particle; None: there are none.
    below : (float, float)
        By how much their mean score is lower.
    skewness : float
        Of the scores about their mean, of particles and of other things, see `heliodor.picking.distribution`.
    variation : Variation
        How micrographs differ.
    """

    mean: tuple[float, float] = (1.0, 2.0)
    deviation: tuple[float, float] = (math.log(1.6), 0.1)
    falls: float = 0.06
    highest: float = 6.0
    others: tuple[float, float] | None = None
    below: tuple[float, float] = (0.0, 1.0)
    skewness: float = 0.0
    variation: Variation = PARTICLES_ONLY

    @classmethod
    def of_labels(cls, scores: NDArray[np.float64]) -> Known:
        """Say what labels tell about the scores of a network that was trained on them.

        It scores what is labelled a little higher than other particles, and people label clear ones.
        """
        mean, spread = float(scores.mean()), max(float(scores.std(ddof=1)), _LEAST_SPREAD)
        selected = _SELECTED if spread < _SPREAD else 0.0
        error = math.hypot(1 / math.sqrt(2 * (len(scores) - 1)), selected)
        usual = math.log(_SPREAD), math.hypot(0.07, 0.06 * max(mean - CLEAR, 0.0))
        deviation = _product(usual, (math.log(spread), error))
        near = mean - 0.2, math.hypot(0.6, math.exp(deviation[0]) / math.sqrt(len(scores)))
        highest = max(8.0, BIN * round((mean + 2 * spread) / BIN))
        skewness = min(max(_SKEWNESS * mean, _LEAST_SKEWED), _MOST_SKEWED)
        return cls(near, deviation, 0.0, highest, _OTHERS, (3.0, 1.0), skewness, USUAL)


def _product(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Put two normal distributions (mean, standard deviation) of the same quantity together."""
    weights = 1 / np.square([one[1], other[1]])
    return float(np.average([one[0], other[0]], weights=weights)), 1 / math.sqrt(weights.sum())
