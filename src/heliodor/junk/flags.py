"""What is wrong with a micrograph as a whole. Nothing is dropped for it: a person decides."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from heliodor.junk.depth import SCALES, band, depths, standardize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heliodor.junk.depth import Standard

_MOST = 0.5  # share of the area under junk, from which on little is left to pick
_BRIGHT, _FAR = 0.1, 1.5  # share of the area that is brighter than the ice by so many standard deviations of a pixel
# A micrograph that is nothing but noise is as strong at the size of a particle as white noise is, give or take this
# many standard errors.
_ERRORS = 1.65


def area_flags(standard: Standard, junk: NDArray[np.bool_] | None = None) -> list[str]:
    """Say what is wrong with a micrograph at the scale of its particles.

    Parameters
    ----------
    standard : Standard
        The micrograph, with its background; see `heliodor.junk.depth.standardize`.
    junk : (ny, nx) bool array, optional
        See `heliodor.junk.mask.junk_mask`.

    Returns
    -------
    list of str
        Reasons; none for a good micrograph.
    """
    reasons = []
    if junk is not None and junk.mean() > _MOST:
        reasons.append(f"mostly junk: {junk.mean():.0%} of the area")
    *_, widest = depths(standard)
    bright = float((widest <= -_FAR).mean())
    if bright > _BRIGHT:
        reasons.append(f"two levels: {bright:.0%} of the area is far brighter than the rest (carbon, or broken ice)")
    independent = standard.fine.size / (4 * math.pi * (SCALES[1] * standard.diameter) ** 2)
    most = 1 + _ERRORS / math.sqrt(2 * independent)
    if _strength(band(standard)) < most * _white_noise(standard.diameter):
        reasons.append("no contrast: nothing but noise at the size of a particle")
    return reasons


def _strength(image: NDArray[np.float32]) -> float:
    low, high = np.percentile(image, [0.05, 99.95])
    return float(np.clip(image, low, high).std())


@lru_cache(maxsize=8)
def _white_noise(diameter: float) -> float:
    """Return the strength of white noise at the size of a particle."""
    noise = np.random.default_rng(0).standard_normal((1024, 1024), dtype=np.float32)
    return _strength(band(standardize(noise, diameter)))
