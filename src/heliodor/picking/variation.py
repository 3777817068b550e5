"""How micrographs of a sample differ: in what they hold, and in how well it scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of the shares: the shape of their gamma distribution, and how many micrographs hold nothing. Of the offsets: standard
# deviation, in log-odds. Steps of half that size, and broader or narrower distributions, matter little; without offsets
# thick ice, on which particles score less, is taken for other things (dev/LOG.md).
_SHAPE, _NONE, _OFFSET = 4.0, 0.05, 0.5
_MOST_PARTICLES, _MOST_OTHERS, _FARTHEST = 2.4, 2.8, 2.0


@dataclass(frozen=True, eq=False)
class Variation:
    """What a micrograph may be like, on a grid, with logarithms of how likely each is beforehand.

    Parameters
    ----------
    particles : (S, 2) array
        How many times as many as on others; logarithm.
    others : (T, 2) array
        The same of other things.
    offsets : (U, 2) array
        By how much both score higher, in log-odds; logarithm.
    """

    particles: NDArray[np.float64]
    others: NDArray[np.float64]
    offsets: NDArray[np.float64]

    @cached_property
    def likely(self) -> NDArray[np.float64]:
        """Logarithm of how likely each combination is beforehand (S, T, U)."""
        return np.asarray(self.particles[:, None, None, 1] + self.others[:, None, 1] + self.offsets[:, 1])

    @property
    def varies(self) -> bool:
        """Whether micrographs differ at all."""
        return self.likely.size > 1

    @property
    def variance(self) -> float:
        """Variance of the share of particles, over the square of its mean."""
        shares, chances = self.particles[:, 0], np.exp(self.particles[:, 1])
        return float(np.square(shares) @ chances / (shares @ chances) ** 2 - 1)

    def means(self, likely: NDArray[np.float64]) -> tuple[float, float]:
        """Return the mean share of particles and of others, by the logarithm of how likely each combination is.

        Parameters
        ----------
        likely : (N, S, T, U) array
            On each of N micrographs, up to a constant.
        """
        weights = np.exp(likely - likely.max(axis=(1, 2, 3), keepdims=True))
        weights /= weights.sum(axis=(1, 2, 3), keepdims=True)
        mean = weights.mean(axis=0)
        return float(mean.sum(axis=(1, 2)) @ self.particles[:, 0]), float(mean.sum(axis=(0, 2)) @ self.others[:, 0])


def _shares(most: float, steps: int) -> NDArray[np.float64]:
    """Return shares from none to `most`, gamma distributed about 1, or none."""
    shares = np.linspace(0, most, steps + 1)
    some = shares[1:]
    density = some ** (_SHAPE - 1) * np.exp(-_SHAPE * some)
    chances = np.append(_NONE, (1 - _NONE) * density / density.sum())
    return np.stack([shares, np.log(chances)], axis=1)


def _offsets() -> NDArray[np.float64]:
    places = np.linspace(-_FARTHEST, _FARTHEST, 5)
    chances = np.exp(-np.square(places) / 2)
    return np.stack([_OFFSET * places, np.log(chances / chances.sum())], axis=1)


_ONE, _NO_OFFSET = np.array([[1.0, 0.0]]), np.zeros((1, 2))
ALIKE = Variation(_ONE, _ONE, _NO_OFFSET)
# Steps of what is many must be near, or the likelihood rises and falls between them.
_PARTICLES, _OFFSETS = _shares(_MOST_PARTICLES, 24), _offsets()
NO_OTHERS = Variation(_PARTICLES, _ONE, _OFFSETS)
USUAL = Variation(_PARTICLES, _shares(_MOST_OTHERS, 7), _OFFSETS)
