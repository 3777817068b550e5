"""From a normalized micrograph to detections: score, suppress, refine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import SettingsError
from heliodor.picking.refinement import refine
from heliodor.picking.scoring import score_map
from heliodor.picking.suppression import non_maximum_suppression

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heliodor.networks import Classifier
    from heliodor.networks.scorers import Scorer

LOWEST_SCORE = -6.0  # log-odds of probability 0.0025: below, nothing is worth keeping
MASKED = -100.0
"""Log-odds in a score map where a mask forbids particles: far below any other, and a number that files can hold."""


@dataclass(frozen=True)
class Detector:
    """How local maxima of a score map become detections; lengths in downsampled pixels.

    Parameters
    ----------
    exclusion_radius : float
        Two detections are farther apart than this.
    refine_radius : float
        A centre is refined within this; below 1, where there is nothing beside its pixel, it stays on that.
    threshold : float
        Detections have a score above this log-odds.
    margin : float
        Centres nearer than this to the border of the micrograph are dropped.

    Raises
    ------
    SettingsError
        A margin below 0.
    """

    exclusion_radius: float
    refine_radius: float
    threshold: float = LOWEST_SCORE
    margin: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.margin < np.inf:
            raise SettingsError(f"--margin must be 0 or more. Got {self.margin} instead.")

    def claims(self, area: float) -> float:
        """Return the share of a micrograph of `area` pixels within the exclusion radius of one detection."""
        return math.pi * self.exclusion_radius**2 / area

    def free(self, shape: tuple[int, int], junk: NDArray[np.bool_] | None = None) -> int:
        """Return the pixels of a micrograph on which detections can be: within the margin, not on junk."""
        edge = max(0, math.ceil(self.margin - 0.5))
        rows, columns = (slice(edge, max(edge, n - edge)) for n in shape)
        size = (rows.stop - rows.start) * (columns.stop - columns.start)
        return size if junk is None else size - int(junk[rows, columns].sum())

    def inside(self, shape: tuple[int, int]) -> float:
        """Return the share of a micrograph within the margin."""
        return self.free(shape) / (shape[0] * shape[1])

    def __call__(
        self, network: Classifier | Scorer, pixels: NDArray[np.float32], junk: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.floating]]:
        """Return what a network finds on a micrograph: centres xy (N, 2) in its pixels, their scores, best first."""
        return self.maxima(score_map(network, pixels), junk)

    def maxima(
        self, scores: NDArray[np.float32], junk: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.floating]]:
        """Return centres and scores from a score map, none of them where `junk` is True."""
        allowed = scores if junk is None else _without(scores, junk, self.exclusion_radius)
        xy, found = non_maximum_suppression(allowed, self.exclusion_radius, self.threshold)
        centres = refine(scores, xy, self.refine_radius) if self.refine_radius >= 1 and len(xy) else xy.astype(float)
        if self.margin <= 0:
            return centres, found
        # The border is that of the outermost pixels, half a pixel beyond their centres.
        inside = (np.minimum(centres, np.array(scores.shape[::-1]) - 1 - centres) + 0.5 >= self.margin).all(axis=1)
        return centres[inside], found[inside]


def _without(scores: NDArray[np.float32], junk: NDArray[np.bool_], reach: float) -> NDArray[np.float32]:
    """Return scores that are -inf on junk, so that it suppresses no particle, and on slopes that rise towards it."""
    from scipy.ndimage import maximum_filter

    if not junk.any():
        return scores
    near = maximum_filter(junk, size=2 * int(np.ceil(reach)) + 1)
    peak = scores >= maximum_filter(scores, size=3)
    return np.where(junk | (near & ~peak), np.float32(-np.inf), scores)
