"""Crystalline ice, by its reflections in the power spectrum of a micrograph of full size."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# 1/A. Hexagonal ice reflects at 3.90, 3.67 and 3.44 A, cubic ice at 3.67 A; beside it is what the spectrum would be.
_REFLECTIONS, _BELOW, _ABOVE = (1 / 4.0, 1 / 3.35), (1 / 4.7, 1 / 4.15), (1 / 3.2, 1 / 2.95)
COARSEST = 1.45
"""Angstrom per pixel: above, the reflections and what is beyond them do not fit below the Nyquist frequency."""
_PATCH, _ALONG = 512, 2  # side of a patch in pixels, and patches along a side of the micrograph
_RING, _SPOT = 1.5, 15.0  # times the spectrum beside: the strongest ring; the strongest spot


def crystalline_ice(pixels: NDArray[np.float32], pixel_size: float) -> str | None:
    """Say whether the ice has crystallized.

    Parameters
    ----------
    pixels : (ny, nx) array
        Of full size: unlike a lump, crystalline ice may show in no other way than by its reflections.
    pixel_size : float
        In angstrom.

    Returns
    -------
    str or None
        The reason; None where the ice is vitreous, and where the pixels are too few or too large to tell.

    Notes
    -----
    The power spectra of four patches are averaged. Vitreous ice has one broad weak ring at 3.7 A. Many
    small crystals make a sharp strong one, a large crystal makes spots.
    """
    if min(pixels.shape) < _PATCH or pixel_size > COARSEST:
        return None
    power, radius = _spectrum(pixels, pixel_size)

    def within(low: float, high: float) -> NDArray[np.bool_]:
        return (radius >= low) & (radius < high)

    below, above = (float(power[within(*edges)].mean()) for edges in (_BELOW, _ABOVE))
    edges = np.linspace(*_REFLECTIONS, 13)
    rings = [within(*pair) for pair in itertools.pairwise(edges)]
    share = (edges[:-1] - _BELOW[1]) / (_ABOVE[0] - _BELOW[1])
    expected = below + (above - below) * share
    ring = max(float(power[ring].mean() / level) for ring, level in zip(rings, expected, strict=True))
    spot = max(float(power[ring].max() / level) for ring, level in zip(rings, expected, strict=True))
    if ring < _RING and spot < _SPOT:
        return None
    return f"crystalline ice: reflections at 3.4 to 3.9 A (ring {ring:.1f}, spots {spot:.0f} times their surroundings)"


def _spectrum(pixels: NDArray[np.float32], pixel_size: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the mean power spectrum of patches, and the frequency of its pixels in 1/A."""
    import scipy.fft

    window = np.hanning(_PATCH).astype(np.float32)
    power = np.zeros((_PATCH, _PATCH // 2 + 1), dtype=np.float32)
    for y in np.linspace(0, pixels.shape[0] - _PATCH, _ALONG).astype(int):
        for x in np.linspace(0, pixels.shape[1] - _PATCH, _ALONG).astype(int):
            patch = pixels[y : y + _PATCH, x : x + _PATCH]
            spectrum = scipy.fft.rfft2((patch - patch.mean()) * window[:, None] * window)
            power += spectrum.real**2 + spectrum.imag**2
    frequency = np.hypot(scipy.fft.fftfreq(_PATCH, pixel_size)[:, None], scipy.fft.rfftfreq(_PATCH, pixel_size))
    return power, frequency
