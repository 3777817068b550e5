"""Micrographs without their background, and with noise of standard deviation 1 in most places: what networks see.

Thickness of ice and carbon change the mean over lengths that no particle has, and carbon, gold or a crowd of particles
change what a mixture of Gaussians takes for the noise: of micrographs half covered by carbon, the noise came out at 0.6
to 1.0 of what it is elsewhere, and the scores of all their particles with it (dev/LOG.md).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import MicrographError
from heliodor.preprocess.normalize import CLIP
from heliodor.preprocess.whiten import whiten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_WIDE = 80  # pixels, four particles: of three means of this width one after the other, nearly a Gaussian of 40
_WINDOW = 64  # pixels in which background and noise are measured
_PADDING = 0.1  # of the deviation of noise: downsampled padding rings
_DARK = 4.0  # deviations that count for the background: a bead of gold is no thicker ice
_ROUNDS, _NEAR = 30, 0.01  # of reweighting, and share of the mean distance below which all are as near
_FEWEST = 3  # windows, in both directions, that tell a trend
_LEVEL_LEFT, _NOISE_LEFT = 0.25, 0.5  # of what windows differ by, at most, where a trend tells it
# Logarithm of how many times as strong noise is at one corner as at another. Up to the first it is left as it is: where
# ice is thicker, fewer electrons make less of it, but the ice makes more (dev/LOG.md). From the second on it is made
# even, between the two in part.
_EVEN, _UNEVEN = math.log(1.1), math.log(1.2)


def flatten(pixels: NDArray[np.float32], whitening: Sequence[float] = ()) -> NDArray[np.float32]:
    """Subtract the background, and divide by the noise.

    The background is a plane, and the mean of the surroundings, of pixels clipped to 4 deviations from it. Noise is
    measured in windows of 64 x 64 pixels, half over one another: its standard deviation is the median of theirs. Where
    it is stronger by a fifth from one corner to another, by second differences, which hardly see particles, it is made
    even.

    Parameters
    ----------
    pixels : (ny, nx) float32 array
        Downsampled, so that a particle is some 20 pixels wide; any offset and scale.
    whitening : sequence of float
        What amplitudes are multiplied by, see `heliodor.preprocess.whiten`; none: they stay as they are.

    Returns
    -------
    (ny, nx) float32 array
        Clipped at 10 standard deviations.
    """
    from scipy.ndimage import uniform_filter

    noise = _in_windows(_roughness(pixels), _mean)
    used = noise > _PADDING * np.percentile(noise, 90)
    if not used.any():
        return np.zeros_like(pixels)
    standard = _standardize(pixels, used)
    standard -= _trend(_in_windows(standard, _mean), used, pixels.shape, _LEVEL_LEFT)
    background = np.clip(standard, -_DARK, _DARK)
    for _ in range(3):
        background = uniform_filter(background, _WIDE, mode="reflect")
    standard -= background
    standard /= np.exp(_unevenness(noise, used, pixels.shape))
    flat = np.clip(_standardize(standard, used), -CLIP, CLIP)
    if not len(whitening):
        return flat
    return np.clip(_standardize(whiten(flat, whitening), used), -CLIP, CLIP)


def _standardize(pixels: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Shift and scale by the medians, over the windows that are used, of mean and standard deviation."""
    middle, deviation = (float(np.median(_in_windows(pixels, m)[used])) for m in (_mean, _deviation))
    if not deviation > 0:
        raise MicrographError("most of it is flat, without any noise: a damaged file; leave it out")
    return (pixels - np.float32(middle)) * np.float32(1 / deviation)


def _roughness(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how large second differences are (ny, nx), which tell noise from all that is wide; 0 at the border."""
    fine = np.zeros_like(pixels)
    middle = pixels[1:-1, 1:-1]
    fine[1:-1, 1:-1] = 4 * middle - pixels[:-2, 1:-1] - pixels[2:, 1:-1] - pixels[1:-1, :-2] - pixels[1:-1, 2:]
    np.abs(fine, out=fine)
    return np.minimum(fine, _DARK * fine.mean())


def _unevenness(noise: NDArray[np.float64], used: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the logarithm of how much stronger noise is in each place than in most (ny, nx)."""
    trend = _trend(np.log(np.where(used, noise, 1.0)), used, shape, _NOISE_LEFT)
    differs = float(trend.max() - trend.min())
    return trend * np.float32(np.clip((differs - _EVEN) / (_UNEVEN - _EVEN), 0, 1))


def _trend(
    values: NDArray[np.float64], used: NDArray[np.bool_], shape: tuple[int, ...], left: float
) -> NDArray[np.float32]:
    """Return the plane (ny, nx) through what windows say, around 0; 0 where they are too few, or `left` of it is more.

    It is the one that is off by least in the mean, not in the mean square: carbon, gold, padding and crowds do not tilt
    it, as long as most of the windows show none.
    """
    if min(used.any(axis=1).sum(), used.any(axis=0).sum()) < _FEWEST:
        return np.zeros(shape, dtype=np.float32)
    side, step = _windows_of(shape)
    # Places from -1 to 1 along each side of the micrograph.
    y, x = ((2 * (step * np.arange(n) + side / 2) / size) - 1 for n, size in zip(values.shape, shape, strict=True))
    terms = np.stack([grid[used] for grid in np.meshgrid(y, x, indexing="ij")] + [np.ones(used.sum())], axis=1)
    wanted = values[used] - np.median(values[used])
    weights = np.ones(len(wanted))
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        slopes = np.linalg.lstsq(terms * root[:, None], wanted * root, rcond=None)[0]
        off = np.abs(wanted - terms @ slopes)
        weights = 1 / np.maximum(off, _NEAR * off.mean() + np.finfo(np.float64).tiny)
    if off.mean() > left * np.abs(wanted).mean():  # a film of carbon slopes nowhere
        return np.zeros(shape, dtype=np.float32)
    rows, columns = ((2 * np.arange(n) + 1) / n - 1 for n in shape)
    return (slopes[0] * rows[:, None] + slopes[1] * columns).astype(np.float32)


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
