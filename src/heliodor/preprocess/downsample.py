"""Downsampling by Fourier cropping."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

from heliodor.errors import MicrographError, SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST = 16  # pixels along a side: below, no network of ours has anything to see
_CREDIBLE = 20.0  # robust standard deviations
_SIDE = 128  # pixels along a side that tell them
_ROWS = 64  # a block of so many rows stays in the cache of a processor while it is worked on


def downsample(
    pixels: NDArray[np.float32], factor: float, limits: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Shrink an image by keeping its low frequencies only.

    The first pixel stays where it is: full-size position = small position * achieved factor.
    The mean is kept. The row and the column at the new Nyquist frequency, whose partners are cut
    off, are dropped.

    Parameters
    ----------
    pixels : (ny, nx) array
    factor : float
        Full-size pixels per small pixel, 1 or more; need not be whole.
    limits : (float, float), optional
        Pixels beyond are clipped; see `credible`.

    Returns
    -------
    small : (int(ny / factor), int(nx / factor)) float32 array
    achieved : (float, float)
        The true factors along y and x; they differ from the wish as the sizes are whole numbers.

    Raises
    ------
    SettingsError
        `factor` is below 1.
    MicrographError
        `factor` leaves fewer than 16 pixels along a side, or pixels are too large for float32.
    """
    if not factor >= 1:
        raise SettingsError(f"The 'factor' parameter of downsample must be 1 or more. Got {factor} instead.")
    rows, columns = pixels.shape
    m, n = int(rows / factor), int(columns / factor)
    if min(m, n) < SMALLEST:
        raise MicrographError(
            f"downsampling {rows} x {columns} pixels by {factor:g} leaves {m} x {n}; use a smaller factor"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        small = fourier_crop(pixels, (m, n), limits)
    if not np.isfinite(small).all():
        raise MicrographError("some pixels are too large to be reckoned with; mend them, or leave it out")
    return small, (rows / m, columns / n)


def credible(pixels: NDArray[np.float32]) -> tuple[float, float]:
    """Return the values between which a specimen can be: not hot and dead pixels, nor X-rays.

    Fourier cropping rings: a pixel of a thousand standard deviations of the noise, averaged over 8 x 8 pixels, would be
    a hundred of what is left of the noise, and a cross of several for tens of pixels along both axes.

    Parameters
    ----------
    pixels : (ny, nx) float32 array

    Returns
    -------
    low, high : float
        20 robust standard deviations from the median; infinite where nothing varies.
    """
    step = max(1, min(pixels.shape) // _SIDE)
    some = pixels[::step, ::step].astype(np.float64)
    middle = float(np.median(some))
    deviation = 1.4826 * float(np.median(np.abs(some - middle))) or float(some.std()) or np.inf
    return middle - _CREDIBLE * deviation, middle + _CREDIBLE * deviation


def fourier_crop(
    pixels: NDArray[np.float32], shape: tuple[int, int], limits: tuple[float, float] = (-np.inf, np.inf)
) -> NDArray[np.float32]:
    """Shrink an image to `shape`, no side of which is longer, as `downsample` does."""
    low, high = np.float32(limits[0]), np.float32(limits[1])
    clip = bool(np.isfinite(low) or np.isfinite(high))
    (rows, columns), (m, n) = pixels.shape, shape
    if (m, n) == (rows, columns):
        return np.clip(pixels, low, high, dtype=np.float32) if clip else np.array(pixels, dtype=np.float32)
    # Rows first, in blocks, keeping only the columns that survive: the full transform never exists. The columns are
    # stored as rows, over which the second transform is several times as fast.
    keep = n // 2 + 1
    spectrum = np.empty((keep, rows), dtype=np.complex64)
    for start in range(0, rows, _ROWS):
        block = np.asarray(pixels[start : start + _ROWS], dtype=np.float32)
        block = np.clip(block, low, high) if clip else block
        spectrum[:, start : start + _ROWS] = scipy.fft.rfft(block, axis=1)[:, :keep].T
    small = np.zeros((m, keep), dtype=np.complex64)
    positive, negative = (m + 1) // 2, (m - 1) // 2
    for start in range(0, keep, _ROWS):
        part = scipy.fft.fft(spectrum[start : start + _ROWS], axis=1, overwrite_x=True)
        small[:positive, start : start + _ROWS] = part[:, :positive].T
        small[m - negative :, start : start + _ROWS] = part[:, rows - negative :].T
    if n % 2 == 0 and n < columns:
        small[:, -1] = 0
    small *= np.float32(m * n / (rows * columns))
    image: NDArray[np.float32] = scipy.fft.irfft2(small, s=(m, n)).astype(np.float32, copy=False)
    return image
