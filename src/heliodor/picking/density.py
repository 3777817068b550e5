"""Micrographs differ in how many particles they hold: what a score means depends on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY = "average_micrograph"
_SHARES = np.linspace(0, 2, 401)
_TELLING = 0.1  # detections that are nearly surely false are many, and alike on empty and on full micrographs
# What speaks for particles on a micrograph must be this share of what does on an average one, and this much for each
# telling detection, or it holds none: chance, contrast, and decoys that are not quite like noise make that much on
# empty ones (dev/LOG.md). Where particles are clear, less is asked: otherwise more than some ten would be lost on a
# micrograph that has no others.
_LEAST, _EACH, _MOST = 0.05, 0.005, 5.0
# Fewer detections with good scores are fewer particles, or thick ice, on which particles score less: only below this
# share do they make others less likely particles (dev/LOG.md).
_ENOUGH = 2 / 3
_BELIEVED = np.maximum(np.minimum(_SHARES / _ENOUGH, 1), _SHARES)
_NEGLIGIBLE = 1e-6  # likelihood over the largest


@dataclass(frozen=True)
class Average:
    """What the detections of an average micrograph tell.

    Detections are a Poisson process of particles and of false ones; their ratio at each score follows from the
    probability. On one micrograph, let particles be `share` times as many as on the average one; false detections are
    then exp((1 - share) crowding) times as many.

    Parameters
    ----------
    true, false : float
        Telling detections that are particles, and that are not.
    crowding : float
        Logarithm of how many more false detections there would be without the particles.
    support : float
        Logarithm of the likelihood of its detections over that of there being no particles.
    area : float
        Pixels on which its detections can be; 0: not known, all micrographs have as many.
    """

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
        true, false, support = (float(total) / micrographs for total in (true, false, support))
        return cls(true, false, crowding, support, area)

    @classmethod
    def of_model(cls, about: dict[str, Any]) -> Average:
        """Read it from the facts in a model file; where they have none, of an average one on which nothing tells."""
        facts = about.get(KEY, {})
        return cls(**{field.name: facts[field.name] for field in fields(cls) if field.name in facts})

    def about(self) -> dict[str, Any]:
        """Return it as JSON-able facts, for `of_model`."""
        return {KEY: asdict(self)}

    def local(self, probabilities: NDArray[np.float64], area: float = 0.0) -> NDArray[np.float64]:
        """Lower the probabilities of detections on a micrograph that holds far fewer particles than the average one.

        Each is the mean over how many particles there may be, none to twice as many as usual, by how likely the
        detections are with each number; no number is likelier beforehand, and no probability rises. Down to two thirds
        of the usual number, there may be as many on thicker ice. Faint particles say little about their number, and
        then little changes. Where hardly more speaks for particles than chance brings about, there are taken to be
        none. An empty micrograph is taken for one as long as it has no more false detections than `crowding` says.

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
        telling = probabilities[probabilities > _TELLING]
        telling = telling / (1 - telling)
        support = _support(telling, _SHARES, room * self.true, room * self.false, self.crowding)
        if support.max() < min(room * max(_LEAST * self.support, _EACH * (self.true + self.false)), _MOST):
            return np.zeros(len(probabilities))
        likely = np.exp(support - support.max())
        used = likely > _NEGLIGIBLE
        p, which = np.unique(probabilities, return_inverse=True)  # equal ones stay equal, whatever the rounding
        here = p / (1 - p) * (_BELIEVED / _more_false(_SHARES, self.crowding))[used, None]
        lowered = np.minimum(likely[used] @ (here / (1 + here)) / likely[used].sum(), p)
        return np.asarray(np.maximum.accumulate(lowered)[which])


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
