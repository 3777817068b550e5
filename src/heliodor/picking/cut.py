"""Which candidates of a micrograph are picks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heliodor.picking.calibration import Calibration
from heliodor.picking.density import local_probabilities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from heliodor.picks import Picks


@dataclass(frozen=True)
class Cut:
    """How candidates become picks.

    Parameters
    ----------
    threshold : float
        Score, on a micrograph with as many particles as others.
    calibration : Calibration
    particles : float
        On such a micrograph.
    given : bool
        A person chose the threshold: it holds on every micrograph. Otherwise a micrograph with fewer particles needs
        better scores for the same probability.
    """

    threshold: float
    calibration: Calibration
    particles: float
    given: bool

    @classmethod
    def of_model(cls, about: dict[str, Any], *, given: bool) -> Cut:
        """Read it from the facts in a model file."""
        particles = about["estimates"]["particles_in_sample"]
        return cls(about["threshold"], Calibration.of_model(about), particles, given)

    def probabilities(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of all candidates of one micrograph, by their scores (N,)."""
        return local_probabilities(self.calibration(scores), self.particles)

    def keeps(self, candidates: Picks) -> NDArray[np.bool_]:
        """Say which candidates of one micrograph are picks."""
        high = candidates.scores > self.threshold
        if self.given:
            return high
        return high & (candidates.probabilities >= self.calibration([self.threshold])[0])
