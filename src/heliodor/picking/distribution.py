"""How scores lie about their mean, in standard deviations of theirs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_FAR = 50.0  # of the logarithm of a gamma variate: nothing is beyond


class Distribution(Protocol):
    """A continuous distribution with mean 0 and standard deviation 1."""

    def below(self, places: ArrayLike) -> NDArray[np.float64]:
        """Return which share lies below each place (N,)."""
        ...

    def log_density(self, places: ArrayLike) -> NDArray[np.float64]:
        """Return the logarithm of the density at each place (N,), but for a constant."""
        ...

    def quantiles(self, shares: ArrayLike) -> NDArray[np.float64]:
        """Return the places (N,) that these shares, in (0, 1), lie below."""
        ...


class Normal:
    """The normal distribution."""

    def below(self, places: ArrayLike) -> NDArray[np.float64]:
        """See `Distribution`."""
        from scipy.special import ndtr

        return np.asarray(ndtr(places))

    def log_density(self, places: ArrayLike) -> NDArray[np.float64]:
        """See `Distribution`."""
        return -np.square(places) / 2

    def quantiles(self, shares: ArrayLike) -> NDArray[np.float64]:
        """See `Distribution`."""
        from scipy.special import ndtri

        return np.asarray(ndtri(shares))


@dataclass(frozen=True)
class LogGamma:
    """The logarithm of a gamma variate: more lies far below the mean than far above.

    Parameters
    ----------
    skewness : float
        Without its sign, about: 1 / sqrt(shape of the gamma distribution), above 0. Near 0 the distribution is normal.
    """

    skewness: float

    def below(self, places: ArrayLike) -> NDArray[np.float64]:
        """See `Distribution`."""
        from scipy.special import gammainc

        return np.asarray(gammainc(self._shape, np.exp(self._logarithm(places))))

    def log_density(self, places: ArrayLike) -> NDArray[np.float64]:
        """See `Distribution`."""
        logarithm = self._logarithm(places)
        return self._shape * logarithm - np.exp(logarithm)

    def quantiles(self, shares: ArrayLike) -> NDArray[np.float64]:
        """See `Distribution`."""
        from scipy.special import gammaincinv

        mean, deviation = self._moments
        return np.asarray((np.log(gammaincinv(self._shape, shares)) - mean) / deviation)

    @property
    def _shape(self) -> float:
        return self.skewness**-2

    def _logarithm(self, places: ArrayLike) -> NDArray[np.float64]:
        mean, deviation = self._moments
        return np.minimum(np.asarray(places, dtype=np.float64) * deviation + mean, _FAR)

    @cached_property
    def _moments(self) -> tuple[float, float]:
        """Return mean and standard deviation of the logarithm of the gamma variate."""
        from scipy.special import digamma, polygamma

        return float(digamma(self._shape)), math.sqrt(polygamma(1, self._shape))


def distribution(skewness: float) -> Distribution:
    """Return the normal distribution where the skewness is 0, else `LogGamma`."""
    return LogGamma(skewness) if skewness else Normal()
