"""Amorphous ice: how much there is, what it takes from the beam, and the texture that it has of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.simulation.potential import VOLTS, WATER_DENSITY, ice_potential, water_form_factor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_DIFFUSION = 0.33  # A^2 per e/A^2 along one axis: the beam moves water by 1 A per electron per A^2
_SMOOTH = 0.08  # structure factor of ice at low frequencies
_RING = (0.258, 0.03, 2.5)  # 1/A: place, width and height of the first ring of diffraction
_ROUGH, _ROUGH_SCALE = 5.0, 200.0  # A: how uneven the surfaces are, over what distance


def thickness_map(
    shape: tuple[int, int],
    mean: float,
    gradient: tuple[float, float],
    bowl: float,
    *,
    canvas: tuple[int, int] | None = None,
    frame: int = 0,
) -> NDArray[np.float32]:
    """Thickness of ice that is thinner on one side and in the middle.

    Parameters
    ----------
    shape : (int, int)
        Of the micrograph.
    mean : float
        Over the micrograph, in angstrom.
    gradient : (float, float)
        Change along x and y from one border to the other, as a share of the mean.
    bowl : float
        How much thicker the corners are than the middle, as a share of the mean.
    canvas : (int, int), optional
        Shape of the map, where it is larger than the micrograph: there, the ice is as thick as at the border.
    frame : int
        Rows and columns of the map before the first of the micrograph.

    Returns
    -------
    (ny, nx) float32 array
        Angstrom, never less than a tenth of the mean.
    """
    y, x = (
        np.clip((np.arange(length) - frame) / (side - 1) - 0.5, -0.5, 0.5).astype(np.float32)
        for length, side in zip(canvas or shape, shape, strict=True)
    )
    y = y[:, None]
    relative = 1 + gradient[0] * x + gradient[1] * y + 2 * bowl * (x**2 + y**2 - np.float32(1 / 6))
    return np.maximum(relative, np.float32(0.1)) * np.float32(mean)


def ice_spectrum(s2: NDArray[np.float32], dose: float) -> NDArray[np.float32]:
    """Power spectrum of the projected potential of ice, per angstrom of thickness, in V^2 A^3.

    Molecules scatter with the structure factor of amorphous ice: nearly smooth at low frequencies, a ring at 3.9 A.
    As the beam moves them during the exposure, fine detail averages out (McMullan, Vinothkumar and Henderson 2015).

    Parameters
    ----------
    s2 : array
        Squared frequencies, A^-2.
    dose : float
        Electrons per A^2.
    """
    s = np.sqrt(s2)
    place, width, height = (np.float32(v) for v in _RING)
    structure = _SMOOTH + (1 - _SMOOTH) * s2**2 / (s2**2 + np.float32(0.25**4))
    structure += height * np.exp(-((s - place) ** 2) / (2 * width**2))
    molecules = WATER_DENSITY * (VOLTS * water_form_factor(s2)) ** 2 * structure
    return (molecules * _averaging(np.float32(2 * np.pi**2 * _DIFFUSION * dose) * s2)).astype(np.float32)


def surface_spectrum(s2: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power spectrum of the projected potential of uneven surfaces, in V^2 A^4."""
    scale = np.float32(_ROUGH_SCALE)
    heights = np.float32(2 * np.pi * _ROUGH**2) * scale**2 / (1 + (2 * np.pi * scale) ** 2 * s2) ** np.float32(1.5)
    return np.float32(ice_potential() ** 2) * heights


def _averaging(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power that is left of a pattern that decorrelates as exp(-x |t - t'|) over an exposure 0..1."""
    small = x < 1e-2
    safe = np.where(small, np.float32(1), x)
    return np.where(small, 1 - x / 3, 2 * (safe - 1 + np.exp(-safe)) / safe**2)


def radial(
    function: Callable[[NDArray[np.float32]], NDArray[np.float32]], s2: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Evaluate a smooth function of the squared frequency at many: from a table of 4096, linear in between."""
    s = np.sqrt(s2)
    table = np.linspace(0, float(s.max()), 4096, dtype=np.float32)
    return np.interp(s, table, function(table**2)).astype(np.float32)


def squared_frequencies(shape: tuple[int, int], pixel_size: float) -> NDArray[np.float32]:
    """Squared frequencies in A^-2, in the layout of `rfft2`."""
    sy = np.fft.fftfreq(shape[0], pixel_size).astype(np.float32)[:, None]
    sx = np.fft.rfftfreq(shape[1], pixel_size).astype(np.float32)
    return sx**2 + sy**2
