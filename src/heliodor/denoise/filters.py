"""Filters that may go before a denoiser; arrays in, arrays out. The names are those of Topaz's options."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from heliodor.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_LEAST_GAIN = 0.05  # of a blur that is undone: below, only noise is left to amplify


def cut_pixels(pixels: Array, deviations: float) -> Array:
    """Set pixels this many standard deviations or more from the mean to the mean; 0: none."""
    if deviations <= 0:
        return pixels
    mean = pixels.mean(dtype=np.float64)
    far = np.abs(pixels - mean) >= deviations * pixels.std(dtype=np.float64)
    return np.where(far, np.float32(mean), pixels)


def lowpass(pixels: Array, factor: float) -> Array:
    """Remove, with a sharp edge, what an image smaller by `factor` could not show; 1: nothing."""
    if factor <= 1:
        return pixels
    limit = 0.5 / factor
    return _filtered(pixels, lambda y, x: ((np.abs(y) <= limit) & (np.abs(x) <= limit)).astype(np.float32))


def gaussian(pixels: Array, sigma: float) -> Array:
    """Blur with a Gaussian of `sigma` pixels; 0: not."""
    return pixels if sigma <= 0 else _filtered(pixels, lambda y, x: _gain(y, x, sigma))


def inverse_gaussian(pixels: Array, sigma: float) -> Array:
    """Undo a blur by a Gaussian of `sigma` pixels, amplifying no frequency more than twentyfold; 0: not."""
    if sigma <= 0:
        return pixels
    return _filtered(pixels, lambda y, x: (1 / np.maximum(_gain(y, x, sigma), _LEAST_GAIN)).astype(np.float32))


def deconvolve(pixels: Array, patches: int = 1) -> Array:
    """Undo the blur of the noise: a Gaussian, estimated from how alike neighbouring pixels are.

    White noise blurred by a Gaussian of `sigma` has correlation exp(-d^2 / (4 sigma^2)) at distance d. Differences
    of neighbours, 1 and 2 pixels apart, tell sigma from this where everything larger than a few pixels is the same
    for both: 1 - correlation is proportional to them.

    Parameters
    ----------
    pixels : (ny, nx) array
    patches : int
        Estimate, and filter, in this many by this many parts.
    """
    if patches < 1:
        raise SettingsError(f"--deconv-patch must be 1 or more. Got {patches} instead.")
    result = np.empty_like(pixels)
    rows, columns = (np.linspace(0, size, patches + 1).astype(int) for size in pixels.shape)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            part = pixels[top:bottom, left:right]
            result[top:bottom, left:right] = inverse_gaussian(part, noise_blur(part))
    return result


def noise_blur(pixels: Array) -> float:
    """Return the sigma, in pixels, of the Gaussian blur of the noise; 0 where it is white."""
    if min(pixels.shape) < 3:
        return 0.0

    def difference(apart: int) -> float:
        along = [pixels[apart:] - pixels[:-apart], pixels[:, apart:] - pixels[:, :-apart]]
        return float(np.mean([np.mean(np.square(d, dtype=np.float64)) for d in along]))

    one, two = difference(1), difference(2)
    if one <= 0 or two <= one:
        return 0.0
    # with q = exp(-1 / (4 sigma^2)): two / one = (1 - q^4) / (1 - q) = 1 + q + q^2 + q^3
    roots = np.roots([1, 1, 1, 1 - two / one])
    q = float(max(root.real for root in roots if abs(root.imag) < 1e-9))
    return 0.0 if q <= 1e-3 else float(np.sqrt(-1 / (4 * np.log(min(q, 0.999)))))


def _gain(y: NDArray[np.float64], x: NDArray[np.float64], sigma: float) -> Array:
    return np.exp(-2 * (np.pi * sigma) ** 2 * (y**2 + x**2)).astype(np.float32)


def _filtered(pixels: Array, gain: Callable[[NDArray[np.float64], NDArray[np.float64]], Array]) -> Array:
    rows, columns = pixels.shape
    y, x = fft.fftfreq(rows)[:, None], fft.rfftfreq(columns)[None]
    spectrum = fft.rfft2(pixels) * gain(y, x)
    return np.asarray(fft.irfft2(spectrum, s=pixels.shape), dtype=np.float32)
