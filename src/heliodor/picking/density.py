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
    area : float
        Pixels on which its detections can be; 0: not known, all micrographs have as many.
    """

    told: float
    true: float = 0.0
    false: float = 0.0
    crowding: float = 0.0
    support: float = 0.0
    area: float = 0.0

    @classmethod
    def of_sample(
        cls, probabilities: NDArray[np.float64], micrographs: int, crowding: float = 0.0, *, area: float = 0.0
    ) -> Average:
        """Average over a sample of micrographs, by the probabilities (N,) of all its detections."""
        p = probabilities[probabilities > _TELLING]
        true, false = p.sum(), (1 - p).sum()
        support = _support(p / (1 - p), np.ones(1), true, false, crowding)[0]
        totals = (np.minimum(p, _SURE).sum(), true, false, support)
        told, true, false, support = (float(total) / micrographs for total in totals)
        return cls(told, true, false, crowding, support, area)

    @classmethod
    def of_model(cls, about: dict[str, Any]) -> Average:
        """Read it from the facts in a model file; where they have none, by the number of particles, and never empty."""
        return cls(**about[KEY]) if KEY in about else cls(about["estimates"]["particles_in_sample"])

    def about(self) -> dict[str, Any]:
        """Return it as JSON-able facts, for `of_model`."""
        return {KEY: asdict(self)}

    def local(self, probabilities: NDArray[np.float64], area: float = 0.0) -> NDArray[np.float64]:
        """Lower the probabilities of detections on a micrograph that holds fewer particles than the average one.

        The largest share, at most 1, is taken for which the detections of the micrograph speak for share * told.
        Where hardly more speaks for particles than chance brings about, there are taken to be none. An empty micrograph
        is taken for one as long as it has no more false detections than `crowding` says.

        Parameters
        ----------
        probabilities : (N,) array
            Of all detections on one micrograph, taking it for an average one.
        area : float
            Pixels of it on which detections can be; 0: as many as usual. Of less, less is expected.

        Returns
        -------
        (N,) array
        """
        room = area / self.area if area and self.area else 1.0
        odds = probabilities / (1 - probabilities)
        telling = odds[probabilities > _TELLING]
        more = _more_false(_SHARES, self.crowding)
        spoken = np.minimum(telling / (more[:, None] + _SHARES[:, None] * telling), _SURE / _SHARES[:, None]).sum(
            axis=1
        )
        fitting = np.flatnonzero(spoken >= room * self.told * _ROUNDED)
        support = _support(telling, _SHARES, room * self.true, room * self.false, self.crowding)
        if not len(fitting) or support.max() < min(room * _LEAST * self.support, _MOST):
            return np.zeros(len(probabilities))
        share = _SHARES[fitting[-1]]
        if share == 1:
            return probabilities
        odds *= share / more[fitting[-1]]
        return np.asarray(odds / (1 + odds))


def _more_false(shares: NDArray[np.float64], crowding: float) -> NDArray[np.float64]:
    """Return how many times as many false detections there are with these shares of particles."""
    return np.exp((1 - shares) * crowding)


def _support(
    odds: NDArray[np.float64], shares: NDArray[np.float64], true: float, false: float, crowding: float
) -> NDArray[np.float64]:
    """Return the logarithm of the likelihood of each share over that of no particles, by odds of detections.

    `true` and `false` are the detections expected with a share of 1.
    """
    more, without = _more_false(shares, crowding), np.exp(crowding)
    each = np.log((more[:, None] + shares[:, None] * odds) / without).sum(axis=1)
    return np.asarray(each - shares * true - false * (more - without))
