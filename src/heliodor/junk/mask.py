"""The junk mask: gold, ice lumps and carbon, by how much darker they are than any particle of the sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import LabelError
from heliodor.junk.depth import SCALES, depths, spread_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from heliodor.junk.depth import Standard

Limits = tuple[float, ...]
"""For each of `heliodor.junk.depth.SCALES`, the depth from which on something is junk."""

_NEAR = 0.3  # diameters around a label in which the deepest place counts: a person's click is not exact
_OFTEN, _TIMES = 95, 2.0  # junk is deeper than this percentile of the labels by this factor
_FEW = 4.0  # with n labels the factor is larger by _FEW / sqrt(n)
# Normalized pixels are clipped at 10: what is at the end of their range is junk, unless particles come near to that.
_DARKEST, _NEARLY = 8.0, 1.5
_NOISE = 5.0  # no limit is within so many standard deviations of what is normal on the micrographs
_CEILING = 3.0  # limits: deeper does not count as more; see `heliodor.junk.depth.depths`
_SIGMA_OF_MAD = 1.4826


def learn_limits(micrographs: Iterable[tuple[Standard, ArrayLike]]) -> Limits:
    """Learn from labelled particles how dark a particle can be.

    Parameters
    ----------
    micrographs : iterable of (Standard, xy)
        Micrographs and the centres (N, 2) of labelled particles on them, in their pixels.

    Returns
    -------
    tuple of float

    Raises
    ------
    LabelError
        Nothing is labelled.
    """
    labels, noise = [], []
    for standard, xy in micrographs:
        maps = list(depths(standard))
        centres = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        blocks = (1, *[standard.block] * (len(SCALES) - 1))
        labels.append([_deepest(m, centres, standard.diameter, b) for m, b in zip(maps, blocks, strict=True)])
        noise.append([_SIGMA_OF_MAD * np.median(np.abs(m - np.median(m))) for m in maps])
    depth = np.concatenate(labels, axis=1) if labels else np.empty((len(SCALES), 0))
    if not depth.shape[1]:
        raise LabelError(
            "no particle is labelled, so that nothing says what is junk; label some, or go without --junk-mask"
        )
    times = _TIMES + _FEW / np.sqrt(depth.shape[1])
    often = np.percentile(depth, _OFTEN, axis=1)
    limits = np.maximum(times * often, _NOISE * np.median(noise, axis=0))
    limits[0] = min(limits[0], max(_DARKEST, _NEARLY * often[0]))
    return tuple(limits.tolist())


def junk_mask(standard: Standard, limits: Limits) -> NDArray[np.bool_]:
    """Mark junk on a micrograph.

    Parameters
    ----------
    standard : Standard
        The micrograph; see `heliodor.junk.depth.standardize`.
    limits : tuple of float
        See `learn_limits`.

    Returns
    -------
    (ny, nx) bool array
        True on junk.
    """
    fine, *coarse = depths(standard, tuple(_CEILING * limit for limit in limits))
    blocks = np.logical_or.reduce([m > limit for m, limit in zip(coarse, limits[1:], strict=True)])
    return (fine > limits[0]) | spread_blocks(blocks, standard.block, fine.shape)


def _deepest(depth: NDArray[np.float32], xy: NDArray[np.float64], diameter: float, block: int) -> NDArray[np.float32]:
    """Return the greatest depth near each centre."""
    from scipy.ndimage import maximum_filter

    near = maximum_filter(depth, size=2 * round(_NEAR * diameter / block) + 1, mode="nearest")
    x, y = (np.clip(np.rint(xy.T) // block, 0, np.array([depth.shape[::-1]]).T - 1)).astype(np.intp)
    return np.asarray(near[y, x])
