"""The contrast transfer function of a microscope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.simulation.potential import VOLTS

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Optics:
    """A microscope's state for one exposure.

    Parameters
    ----------
    voltage : float
        Kilovolt.
    defocus_u, defocus_v : float
        Underfocus along the two axes of astigmatism, in angstrom, positive.
    defocus_angle : float
        From the x axis to the axis of `defocus_u`, in degrees.
    spherical_aberration : float
        Millimetres.
    amplitude_contrast : float
        Share, 0 to 1.
    phase_shift : float
        Of a phase plate, in degrees.
    b_factor : float
        Of the envelope exp(-B s^2 / 4), in A^2.
    """

    voltage: float
    defocus_u: float
    defocus_v: float
    defocus_angle: float
    spherical_aberration: float
    amplitude_contrast: float
    phase_shift: float
    b_factor: float


def wavelength(voltage: float) -> float:
    """Wavelength of electrons, in angstrom, for a voltage in kilovolt (relativistic)."""
    volts = voltage * 1e3
    return float(12.2642598 / np.sqrt(volts * (1 + 0.978475598e-6 * volts)))


def interaction(voltage: float) -> float:
    """Phase, in radians, that a projected potential of one volt angstrom adds: 2 pi m e lambda / h^2."""
    relative = 1 + 1.956951e-6 * voltage * 1e3  # relativistic mass over rest mass
    return float(relative * wavelength(voltage) / VOLTS)


def ctf(optics: Optics, shape: tuple[int, int], pixel_size: float) -> NDArray[np.float32]:
    """Contrast transfer in the layout of `rfft2`.

    sin(pi lambda Df s^2 - pi/2 Cs lambda^3 s^4 + asin(w) + p) exp(-B s^2 / 4), with the phase shift p and
    Df = (U + V)/2 + (U - V)/2 cos 2(a - a0): positive for weak phase objects at low frequencies, where a particle
    is dark (Rohou and Grigorieff 2015).

    Parameters
    ----------
    optics : Optics
    shape : (int, int)
        Rows and columns of the image.
    pixel_size : float
        Angstrom.

    Returns
    -------
    (ny, nx // 2 + 1) float32 array
    """
    sy = np.fft.fftfreq(shape[0], pixel_size).astype(np.float32)[:, None]
    sx = np.fft.rfftfreq(shape[1], pixel_size).astype(np.float32)
    length = wavelength(optics.voltage)
    mean, difference = (optics.defocus_u + optics.defocus_v) / 2, (optics.defocus_u - optics.defocus_v) / 2
    double = 2 * np.deg2rad(optics.defocus_angle)
    s2 = sx**2 + sy**2
    # Df s^2 without a division: s^2 cos 2a = sx^2 - sy^2, s^2 sin 2a = 2 sx sy.
    astigmatic = np.float32(np.cos(double)) * (sx**2 - sy**2) + np.float32(2 * np.sin(double)) * sx * sy
    phase = np.float32(np.pi * length * mean) * s2 + np.float32(np.pi * length * difference) * astigmatic
    phase -= np.float32(np.pi / 2 * optics.spherical_aberration * 1e7 * length**3) * s2**2
    phase += np.float32(np.arcsin(optics.amplitude_contrast) + np.deg2rad(optics.phase_shift))
    return np.sin(phase) * np.exp(np.float32(-optics.b_factor / 4) * s2)
