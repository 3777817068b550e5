"""Micrographs differ in how many particles they hold: what a score means depends on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY = "average_micrograph"
_SHARES = np.linspace(0, 1, 201)[1:]
# Detections that are nearly surely false are many, and alike on empty and on full micrographs: they say nothing about
# how many particles there are, but the little probability of each makes a large sum. And no single detection should
# say too much.
_TELLING, _SURE = 0.1, 0.8
# What speaks for particles on a micrograph must be this share of what does on an average one, or it holds none: chance
# and contrast make that much on empty ones (dev/LOG.md). Where particles are clear, less is asked: otherwise more than
# some ten would be lost on a micrograph that has no others.
_LEAST, _MOST = 0.05, 5.0
_ROUNDED = 1 - 1e-9  # a micrograph that is the whole sample speaks for as many as told, but for rounding


@dataclass(frozen=True)
class Average:
    """What the detections of an average micrograph tell.

    Detections are a Poisson process of particles and of false ones; their ratio at each score follows from the
    probability. On one micrograph, let particles be `share` times as many as on the average one; false detections are
    then exp((1 - share) crowding) times as many.

    Parameters
    ----------
    told : float
        Particles that detections speak for.
    true, false : float
        Telling detections that are particles, and that are not.
    crowding : float
        Logarithm of how many more false detections there would be without the particles.
    support : float
        Logarithm of the likelihood of its detections over that of there being no particles.
    """

    told: float
    true: float = 0.0
    false: float = 0.0
    crowding: float = 0.0
    support: float = 0.0

    @classmethod
    def of_sample(cls, probabilities: NDArray[np.float64], micrographs: int, crowding: float = 0.0) -> Average:
        """Average over a sample of micrographs, by the probabilities (N,) of all its detections."""
        p = probabilities[probabilities > _TELLING]
        told, true, false = np.array([np.minimum(p, _SURE).sum(), p.sum(), (1 - p).sum()]) / micrographs
        ratio = -(np.log(1 - p) + crowding).sum() / micrographs  # as `_support` has it for a share of 1
        support = ratio - true - false * (1 - np.exp(crowding))
        return cls(float(told), float(true), float(false), crowding, float(support))

    @classmethod
    def of_model(cls, about: dict[str, Any]) -> Average:
        """Read it from the facts in a model file; where they have none, by the number of particles, and never empty."""
        return cls(**about[KEY]) if KEY in about else cls(about["estimates"]["particles_in_sample"])

    def about(self) -> dict[str, Any]:
        """Return it as JSON-able facts, for `of_model`."""
        return {KEY: asdict(self)}

    def local(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Lower the probabilities of detections on a micrograph that holds fewer particles than the average one.

        The largest share, at most 1, is taken for which the detections of the micrograph speak for share * told.
        Where hardly more speaks for particles than chance brings about, there are taken to be none. An empty micrograph
        is taken for one as long as it has no more false detections than `crowding` says.

        Parameters
        ----------
        probabilities : (N,) array
            Of all detections on one micrograph, taking it for an average one.

        Returns
        -------
        (N,) array
        """
        odds = probabilities / (1 - probabilities)
        telling = odds[probabilities > _TELLING]
        more = self._false_with(_SHARES)
        spoken = np.minimum(telling / (more[:, None] + _SHARES[:, None] * telling), _SURE / _SHARES[:, None]).sum(
            axis=1
        )
        fitting = np.flatnonzero(spoken >= self.told * _ROUNDED)
        if not len(fitting) or self._support(telling).max() < min(_LEAST * self.support, _MOST):
            return np.zeros(len(probabilities))
        share = _SHARES[fitting[-1]]
        if share == 1:
            return probabilities
        odds *= share / more[fitting[-1]]
        return np.asarray(odds / (1 + odds))

    def _false_with(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how many times as many false detections there are with these shares of particles."""
        return np.exp((1 - shares) * self.crowding)

    def _support(self, odds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithm of the likelihood of each share over that of no particles, by odds of detections."""
        more, without = self._false_with(_SHARES), np.exp(self.crowding)
        each = np.log((more[:, None] + _SHARES[:, None] * odds) / without).sum(axis=1)
        return np.asarray(each - _SHARES * self.true - self.false * (more - without))
