"""How micrographs of a sample differ: in what they hold, and in how well it scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of the shares: the shape of their gamma distribution, and how many micrographs hold nothing. Of the offsets: standard
# deviation, in log-odds. Broader or narrower distributions matter little; without offsets thick ice, on which particles
# score less, is taken for other things (dev/LOG.md).
_SHAPE, _NONE, _OFFSET = 4.0, 0.05, 0.5
# Least share that is not none, largest, and how many; steps of what is many must be near, or the likelihood rises and
# falls between them.
_PARTICLES, _OTHERS = (0.1, 4.0, 28), (0.25, 4.0, 6)
_PLACES = (-2, -1, 0, 1, 2)  # of offsets, in standard deviations


@dataclass(frozen=True, eq=False)
class Variation:
    """What a micrograph may be like, on a grid: values, and logarithms of how likely each is beforehand.

    Parameters
    ----------
    particles : (S, 2) array
        How many there are, over the mean of micrographs; logarithm of its chance.
    others : (T, 2) array
        The same of other things.
    offsets : (U, 2) array
        By how much both score higher, in log-odds; logarithm of its chance.
    """

    particles: NDArray[np.float64]
    others: NDArray[np.float64]
    offsets: NDArray[np.float64]

    @cached_property
    def likely(self) -> NDArray[np.float64]:
        """Logarithm of how likely each combination is beforehand (S, T, U)."""
        return np.asarray(self.particles[:, None, None, 1] + self.others[:, None, 1] + self.offsets[:, 1])

    @property
    def chance(self) -> float:
        """Variance that shares of micrographs with particles give the logarithm of the number on one micrograph."""
        return 1 / _SHAPE if len(self.particles) > 1 else 0.0

    def weights(self, likely: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how likely each combination is on each of N micrographs (N, S, T, U), by logarithms."""
        weights = np.exp(likely - likely.max(axis=(1, 2, 3), keepdims=True))
        return np.asarray(weights / weights.sum(axis=(1, 2, 3), keepdims=True))


def _shares(least: float, most: float, steps: int) -> NDArray[np.float64]:
    """Return shares in even ratios, gamma distributed, or none; their mean is 1."""
    some = np.geomspace(least, most, steps)
    density = some**_SHAPE * np.exp(-_SHAPE * some)  # for each step of the logarithm
    shares, chances = np.append(0.0, some), np.append(_NONE, (1 - _NONE) * density / density.sum())
    return np.stack([shares / (shares @ chances), np.log(chances)], axis=1)


def _offsets() -> NDArray[np.float64]:
    places = np.array(_PLACES)
    chances = np.exp(-np.square(places) / 2)
    return np.stack([_OFFSET * places, np.log(chances / chances.sum())], axis=1)


_ONE, _NO_OFFSET = np.array([[1.0, 0.0]]), np.zeros((1, 2))
ALIKE = Variation(_ONE, _ONE, _NO_OFFSET)
PARTICLES_ONLY = Variation(_shares(*_PARTICLES), _ONE, _offsets())
USUAL = Variation(_shares(*_PARTICLES), _shares(*_OTHERS), _offsets())
