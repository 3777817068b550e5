"""What a detector makes of the electrons that arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

if TYPE_CHECKING:
    from numpy.typing import NDArray


def count_electrons(intensity: NDArray[np.float32], electrons: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw Poisson counts.

    Parameters
    ----------
    intensity : (ny, nx) array
        Relative to the incoming beam.
    electrons : float
        Incoming electrons per pixel.
    rng : Generator
    """
    return rng.poisson(intensity * np.float32(electrons)).astype(np.float32)


def add_noise(
    intensity: NDArray[np.float32], electrons: float, deviation: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Add white Gaussian noise of a standard deviation relative to the incoming beam, and scale to counts."""
    noise = rng.standard_normal(intensity.shape, dtype=np.float32)
    noise *= np.float32(deviation)
    noise += intensity
    noise *= np.float32(electrons)
    return noise


def blur(counts: NDArray[np.float32], mtf: float) -> NDArray[np.float32]:
    """Spread counts over neighbouring pixels, noise included: 1 / (1 + (1 / mtf - 1) (s / Nyquist)^2).

    Parameters
    ----------
    counts : (ny, nx) array
    mtf : float
        Modulation transfer at the Nyquist frequency, in (0, 1].
    """
    spectrum = scipy.fft.rfft2(counts) / weakening((counts.shape[0], counts.shape[1]), mtf)
    blurred: NDArray[np.float32] = scipy.fft.irfft2(spectrum, s=counts.shape)
    return blurred


def weakening(shape: tuple[int, int], mtf: float) -> NDArray[np.float32]:
    """By what the detector divides each frequency of an image of `shape`, in the layout of `rfft2`; 1 without blur."""
    s2 = (2 * np.fft.fftfreq(shape[0])[:, None]) ** 2 + (2 * np.fft.rfftfreq(shape[1])) ** 2
    return _divisor(s2, mtf).astype(np.float32)


def noise_left(mtf: float) -> float:
    """Share of the variance of white noise that the detector's blur leaves."""
    s2 = (2 * np.fft.fftfreq(256)) ** 2
    return float(np.mean(_divisor(s2[:, None] + s2, mtf) ** -2.0))


def _divisor(s2: NDArray[np.float64], mtf: float) -> NDArray[np.float64]:
    """By what each frequency is divided; `s2`: squares, in units of the Nyquist frequency."""
    return 1 + (1 / mtf - 1) * s2


def damage_pixels(counts: NDArray[np.float32], xy: NDArray[np.float64], gains: NDArray[np.float64]) -> None:
    """Multiply single pixels, in place: dead ones by 0, hot ones by much.

    Parameters
    ----------
    counts : (ny, nx) array
    xy : (N, 2) array
        Whole numbers.
    gains : (N,) array
    """
    column, row = xy.astype(int).T
    counts[row, column] *= gains.astype(np.float32)
