"""From a normalized micrograph to detections: score, suppress, refine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heliodor.picking.refinement import refine
from heliodor.picking.scoring import score_map
from heliodor.picking.suppression import non_maximum_suppression

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from heliodor.networks import Classifier

LOWEST_SCORE = -6.0  # log-odds of probability 0.0025: below, nothing is worth keeping


@dataclass(frozen=True)
class Detector:
    """How local maxima of a score map become detections; lengths in downsampled pixels.

    Parameters
    ----------
    exclusion_radius : float
        Two detections are farther apart than this.
    refine_radius : float
        A centre is refined within this; 0 leaves it on its pixel.
    threshold : float
        Detections have a score above this log-odds.
    """

    exclusion_radius: float
    refine_radius: float
    threshold: float = LOWEST_SCORE

    def __call__(
        self, network: Classifier, pixels: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.floating]]:
        """Return centres xy (N, 2) in pixels of the array, and their scores, best first."""
        return self.maxima(score_map(network, pixels))

    def maxima(self, scores: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.floating]]:
        """Return centres and scores from a score map."""
        xy, found = non_maximum_suppression(scores, self.exclusion_radius, self.threshold)
        if self.refine_radius > 0 and len(xy):
            return refine(scores, xy, self.refine_radius), found
        return xy.astype(float), found
