"""From scores to probabilities that mean what they say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

KEY = "calibration"


@dataclass(frozen=True)
class Calibration:
    """A rising curve: probability that a detection of a given score is a particle.

    Between its points log-odds are interpolated; beyond its ends the curve is flat.

    Parameters
    ----------
    scores : tuple of float
        Rising.
    probabilities : tuple of float
        Inside (0, 1), not falling.
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    @classmethod
    def of_model(cls, about: dict[str, Any]) -> Calibration:
        """Read it from the facts in a model file; where they have none, a score is its own log-odds."""
        if KEY not in about:
            odds = np.linspace(-12.0, 12.0, 25)
            return cls(tuple(odds.tolist()), tuple((1 / (1 + np.exp(-odds))).tolist()))
        return cls(tuple(about[KEY]["scores"]), tuple(about[KEY]["probabilities"]))

    def about(self) -> dict[str, Any]:
        """Return it as JSON-able facts, for `of_model`."""
        return {KEY: asdict(self)}

    def __call__(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of detections with the scores (N,)."""
        p = np.array(self.probabilities)
        odds = np.interp(np.asarray(scores, dtype=np.float64), self.scores, np.log(p / (1 - p)))
        return np.asarray(1 / (1 + np.exp(-odds)))
