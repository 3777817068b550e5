"""Noise as strong at one frequency as at another, which is how the pretrained networks know it.

What the noise of a micrograph is made of differs: clouds in the ice are slow, a detector that blurs leaves little that
is fast. A network that was trained on white noise takes the clouds for particles (dev/LOG.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Power at a frequency over the mean, and its inverse: on micrographs that networks are pretrained on, nine in ten are
# nearer to white, at each frequency but the slowest (dev/LOG.md).
_NEARLY = 1.3
_LEAST = 0.1  # of the power of all noise: frequencies with less hold none, and are not made louder than that would be
_REACH = 64  # pixels that a micrograph is continued by, mirrored: filters wrap around


def whitening_factors(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what amplitudes must be multiplied by for noise to be nearly white.

    Parameters
    ----------
    power : (n,) array
        Of the noise, at k / 2n cycles per pixel, k = 1 to n; any scale.

    Returns
    -------
    (n,) array
        1 where the power is within a factor of 1.3 of the geometric mean; elsewhere it is brought to that.
    """
    # There are as many waves on a ring as it is long.
    all_noise = np.average(power, weights=np.arange(1, len(power) + 1))
    logarithm = np.log(np.maximum(power, max(_LEAST * all_noise, np.finfo(np.float64).tiny)))
    # The slowest is left out of the mean: crowds, and junk, are most of it.
    off = logarithm - logarithm[1:].mean()
    limit = np.log(_NEARLY)
    factors: NDArray[np.float64] = np.exp((np.clip(off, -limit, limit) - off) / 2)
    return factors


def whiten(pixels: NDArray[np.float32], factors: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float32]:
    """Multiply the amplitudes of a micrograph.

    Parameters
    ----------
    pixels : (ny, nx) float32 array
    factors : (n,) array
        At k / 2n cycles per pixel, k = 1 to n, in all directions; beyond, those of the nearest.

    Returns
    -------
    (ny, nx) float32 array
    """
    known = np.arange(1, len(factors) + 1) / (2 * len(factors))
    reach = [min(_REACH, n - 1) for n in pixels.shape]
    wide = np.pad(pixels, [(n, n) for n in reach], mode="reflect")
    rows, columns = (scipy.fft.next_fast_len(n, real=True) for n in wide.shape)
    transform = scipy.fft.rfft2(wide, s=(rows, columns))
    along = scipy.fft.rfftfreq(columns)
    for row, across in zip(transform, scipy.fft.fftfreq(rows), strict=True):  # a grid of factors would be a third image
        row *= np.interp(np.hypot(across, along), known, factors).astype(np.float32)
    result: NDArray[np.float32] = scipy.fft.irfft2(transform, s=(rows, columns), overwrite_x=True)
    (top, left), (ny, nx) = reach, pixels.shape
    return result[top : top + ny, left : left + nx]
