"""How much darker than the ice a place is, at several scales, in standard deviations of the pixels' noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Standard deviations of the Gaussians, in particle diameters: beads of gold are smaller than most particles, a film of
# carbon is larger than all.
SCALES = (1 / 20, 1 / 8, 1 / 4, 1 / 2)
# Share of the pixels of a blurred micrograph that are darker than "the ice": above the middle, as particles and junk
# are dark, and not so near the end that a broken hole is taken for the ice.
_ICE = 75
_BLOCK = 10  # side of the blocks that all but the finest scale work on: a particle is so many blocks wide
_SIGMA_OF_MAD = 1.4826


class Standard(NamedTuple):
    """A micrograph relative to its ice.

    Attributes
    ----------
    fine : (ny, nx) float32 array
        Depth at the finest scale: positive is darker than the ice, 1 is one standard deviation of the noise of a
        pixel.
    coarse : (my, mx) float32 array
        Its means over blocks.
    block : int
        Side of a block in pixels.
    diameter : float
        Of the particle, in pixels.
    """

    fine: NDArray[np.float32]
    coarse: NDArray[np.float32]
    block: int
    diameter: float


def standardize(pixels: NDArray[np.float32], diameter: float) -> Standard:
    """Measure a micrograph by its own ice and noise.

    Parameters
    ----------
    pixels : (ny, nx) float32 array
        Downsampled; any offset and scale. Clipped outliers do no harm.
    diameter : float
        Of the particle, in pixels.
    """
    from scipy.ndimage import gaussian_filter

    block = max(1, round(diameter / _BLOCK))
    fine = gaussian_filter(pixels, SCALES[0] * diameter, mode="nearest")
    coarse = _block_means(fine, block)
    ice = np.percentile(_blur(coarse, SCALES[1], diameter, block), _ICE)
    # The noise: what is left of every pixel without its surroundings, junk and particles being smooth.
    rest = pixels[::2, ::2] - fine[::2, ::2]
    noise = _SIGMA_OF_MAD * np.median(np.abs(rest - np.median(rest))) or 1.0
    darker, blocks = (((ice - image) / noise).astype(np.float32) for image in (fine, coarse))
    return Standard(darker, blocks, block, diameter)


def depths(standard: Standard, ceilings: tuple[float, ...] | None = None) -> Iterator[NDArray[np.float32]]:
    """Yield the depth at each of `SCALES`: the first for every pixel, the others for every block.

    Parameters
    ----------
    standard : Standard
    ceilings : tuple of float, optional
        For each scale: what is deeper, or brighter, counts as this deep, or bright. It keeps the depth of very dark
        things from reaching far around them.
    """
    for k, scale in enumerate(SCALES):
        image = standard.coarse if k else standard.fine
        if ceilings is not None:
            image = np.clip(image, -ceilings[k], ceilings[k])
        yield _blur(image, scale, standard.diameter, standard.block) if k else image


def band(standard: Standard) -> NDArray[np.float32]:
    """Return the blocks without what is much finer or much coarser than a particle."""
    finer, coarser = (_blur(standard.coarse, SCALES[k], standard.diameter, standard.block) for k in (1, 3))
    return finer - coarser


def _blur(coarse: NDArray[np.float32], scale: float, diameter: float, block: int) -> NDArray[np.float32]:
    """Blur blocks, which the finest scale has blurred already, to another scale."""
    from scipy.ndimage import gaussian_filter

    more = math.sqrt(scale**2 - SCALES[0] ** 2) * diameter / block
    return np.asarray(gaussian_filter(coarse, more, mode="nearest", truncate=3.0))


def _block_means(image: NDArray[np.float32], block: int) -> NDArray[np.float32]:
    """Return means of blocks x blocks; the last row and column of blocks repeat pixels of the border."""
    padded = np.pad(image, [(0, -size % block) for size in image.shape], mode="edge")
    rows, columns = (size // block for size in padded.shape)
    return padded.reshape(rows, block, columns, block).mean(axis=(1, 3))


def spread_blocks(blocks: NDArray[np.bool_], block: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return pixels from blocks: the inverse of `_block_means`."""
    return blocks.repeat(block, axis=0).repeat(block, axis=1)[: shape[0], : shape[1]]
