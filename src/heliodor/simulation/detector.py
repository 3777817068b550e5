"""What a detector makes of the electrons that arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
