"""Micrographs without their background, and with noise of standard deviation 1 in most places: what networks see.

Thickness of ice and carbon change the mean over lengths that no particle has, and carbon, gold or a crowd of particles
change what a mixture of Gaussians takes for the noise: of micrographs half covered by carbon, the noise came out at 0.6
to 1.0 of what it is elsewhere, and the scores of all their particles with it (dev/LOG.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.preprocess.normalize import CLIP

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WIDE = 80  # pixels, four particles: of three means of this width one after the other, nearly a Gaussian of 40
_WINDOW = 64  # pixels in which noise is measured
_PADDING = 0.1  # of the deviation of noise: downsampled padding rings
_DARK = 4.0  # deviations that count for the background: a bead of gold is no thicker ice


def flatten(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract the background, and divide by the noise.

    The background is the mean of the surroundings, of pixels clipped to 4 deviations; the noise, the standard deviation
    in windows of 64 x 64 pixels, half over one another, the median of which is taken.

    Parameters
    ----------
    pixels : (ny, nx) float32 array
        Downsampled, so that a particle is some 20 pixels wide; any offset and scale.

    Returns
    -------
    (ny, nx) float32 array
        Clipped at 10 standard deviations.
    """
    from scipy.ndimage import uniform_filter

    measures = _windows(pixels)
    used = measures[1] > _PADDING * np.percentile(measures[1], 90)
    if not used.any():
        return np.zeros_like(pixels)
    standard = _standardize(pixels, measures, used)
    background = np.clip(standard, -_DARK, _DARK)
    for _ in range(3):
        background = uniform_filter(background, _WIDE, mode="reflect")
    flat = standard - background
    return np.clip(_standardize(flat, _windows(flat), used), -CLIP, CLIP)


def _standardize(
    pixels: NDArray[np.float32], measures: tuple[NDArray[np.float64], NDArray[np.float64]], used: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Shift and scale by the medians, over the windows that are used, of mean and standard deviation."""
    middle, deviation = (float(np.median(values[used])) for values in measures)
    return (pixels - np.float32(middle)) * np.float32(1 / deviation)


def _windows(pixels: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation in windows: a row of them at a time, which is what memory holds."""
    side = min(_WINDOW, *pixels.shape)
    step = max(1, side // 2)
    rows = np.lib.stride_tricks.sliding_window_view(pixels, (side, side))[::step, ::step]
    means, deviations = (
        np.stack([measure(row, axis=(1, 2), dtype=np.float64) for row in rows]) for measure in (np.mean, np.std)
    )
    return means, deviations
