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
    from collections.abc import Callable

    from numpy.typing import NDArray

_WIDE = 80  # pixels, four particles: of three means of this width one after the other, nearly a Gaussian of 40
_WINDOW = 64  # pixels in which background and noise are measured
_PADDING = 0.1  # of the deviation of noise: downsampled padding rings
_DARK = 4.0  # deviations that count for the background: a bead of gold is no thicker ice
_AROUND = 5  # windows, in both directions, of which the median is the level of the one in the middle
# Between two places, so many times as strong noise is left as it is: where ice is thicker, fewer electrons make less of
# it, but the ice makes more (dev/LOG.md). And by how much it may be stronger or weaker than in most places.
_EVEN, _UNEVEN = 1.2, 2.0


def flatten(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract the background, and divide by the noise.

    The background is the mean of the surroundings, of pixels clipped to 4 deviations from the level of some 200 pixels
    around. Noise is measured in windows of 64 x 64 pixels, half over one another: its standard deviation is the median
    of theirs, and second differences, which hardly see particles, tell how much stronger it is in one place than in
    another, if by a fifth or more.

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

    deviations = _in_windows(pixels, _deviation)
    used = deviations > _PADDING * np.percentile(deviations, 90)
    if not used.any():
        return np.zeros_like(pixels)
    standard = _standardize(pixels, used)
    standard -= _level(_in_windows(standard, _mean), used, pixels.shape)
    background = np.clip(standard, -_DARK, _DARK)
    for _ in range(3):
        background = uniform_filter(background, _WIDE, mode="reflect")
    return np.clip(_standardize((standard - background) / _unevenness(standard, used), used), -CLIP, CLIP)


def _standardize(pixels: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Shift and scale by the medians, over the windows that are used, of mean and standard deviation."""
    middle, deviation = (float(np.median(_in_windows(pixels, m)[used])) for m in (_mean, _deviation))
    return (pixels - np.float32(middle)) * np.float32(1 / deviation)


def _unevenness(standard: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how much stronger noise is in each place than in most."""
    fine = np.zeros_like(standard)
    middle = standard[1:-1, 1:-1]
    fine[1:-1, 1:-1] = 4 * middle - standard[:-2, 1:-1] - standard[2:, 1:-1] - standard[1:-1, :-2] - standard[1:-1, 2:]
    noise = _in_windows(np.abs(fine), _median)
    level = _level(noise, used, standard.shape)
    most = np.float32(np.median(noise[used]))
    if not most or level.max() < _EVEN * level.min():
        return np.ones_like(level)
    return np.clip(level / most, 1 / _UNEVEN, _UNEVEN)


def _level(values: NDArray[np.float64], used: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a smooth surface (ny, nx) through what windows say, which follows no single one of them."""
    from scipy.ndimage import map_coordinates, median_filter

    middles = median_filter(np.where(used, values, np.median(values[used])), _AROUND, mode="nearest")
    side, step = _windows_of(shape)
    places = np.meshgrid(*((np.arange(n) - (side - 1) / 2) / step for n in shape), indexing="ij")
    return map_coordinates(middles.astype(np.float32), places, order=1, mode="nearest")


def _windows_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the side of windows, and the step from one to the next."""
    side = min(_WINDOW, *shape)
    return side, max(1, side // 2)


def _in_windows(
    pixels: NDArray[np.float32], measure: Callable[[NDArray[np.float32]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return a measure of all windows: a row of them at a time, which is what memory holds."""
    side, step = _windows_of(pixels.shape)
    rows = np.lib.stride_tricks.sliding_window_view(pixels, (side, side))[::step, ::step]
    return np.stack([measure(row) for row in rows])


def _mean(windows: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.mean(windows, axis=(1, 2), dtype=np.float64)


def _deviation(windows: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.std(windows, axis=(1, 2), dtype=np.float64)


def _median(windows: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.median(windows, axis=(1, 2)).astype(np.float64)
