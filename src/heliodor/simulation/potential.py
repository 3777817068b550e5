"""The electrostatic potential of atoms in ice.

Electron form factors are those of the International Tables C, table 4.3.2.2 (five Gaussians), as gemmi holds them.
The potential is that of the particle *minus* the ice it displaces: what stands out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

from heliodor.simulation.volume import Volume, weighted_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heliodor.simulation.model import Atoms

VOLTS = 47.878  # h^2 / (2 pi m e), V A^2: potential of a form factor of one angstrom
WATER_DENSITY = 0.0311  # molecules per A^3 in amorphous ice of 0.93 g/cm^3
_ATOMS = 1 << 16  # that are put onto the grid at a time
_MARGIN = 6.0  # A around the outermost atom


def form_factor(number: int, s2: NDArray[np.float32]) -> NDArray[np.float32]:
    """Electron form factor of an element, in angstrom, at squared frequencies `s2` (A^-2)."""
    import gemmi

    table = gemmi.Element(number).c4322
    return sum(np.float32(a) * np.exp(np.float32(-b / 4) * s2) for a, b in zip(table.a, table.b, strict=True))


def water_form_factor(s2: NDArray[np.float32]) -> NDArray[np.float32]:
    """Form factor of a water molecule whose atoms scatter on their own, in angstrom."""
    return form_factor(8, s2) + 2 * form_factor(1, s2)


def ice_potential() -> float:
    """Mean potential of amorphous ice: 4.5 V."""
    return float(VOLTS * WATER_DENSITY * water_form_factor(np.zeros(1, np.float32))[0])


def atom_contrast(atoms: Atoms) -> NDArray[np.float64]:
    """Integral of each atom's potential minus that of the ice it displaces, in V A^3."""
    zero = np.zeros(1, np.float32)
    single = {z: float(form_factor(z, zero)[0]) for z in {1, *np.unique(atoms.numbers).tolist()}}
    scattering = np.array([single[z] for z in atoms.numbers.tolist()]) + single[1] * atoms.hydrogens
    return atoms.weights * (VOLTS * scattering - ice_potential() * atoms.volumes)


def extent(atoms: Atoms) -> tuple[NDArray[np.float64], float, float]:
    """Centre of mass of atoms, diameter and reach, as in `Volume`, in angstrom."""
    contrast = np.maximum(atom_contrast(atoms), 1e-6)
    middle = np.average(atoms.xyz, axis=0, weights=contrast)
    distance = np.linalg.norm(atoms.xyz - middle, axis=1)
    diameter = 2 * weighted_quantile(distance, contrast, 0.99) + _MARGIN / 2
    return middle, diameter, float(distance.max()) + _MARGIN / 2


def potential(atoms: Atoms, voxel_size: float) -> Volume:
    """Potential of atoms in ice, band-limited to the grid.

    Atoms go onto the grid with cubic B-splines, one grid for each element; each grid's transform is divided
    by the spline's and multiplied by the element's form factor. Solvent is displaced by Gaussians
    of each atom's volume (Fraser, MacRae and Suzuki 1978).

    Parameters
    ----------
    atoms : Atoms
    voxel_size : float
        Angstrom.
    """
    middle, diameter, reach = extent(atoms)
    size = scipy.fft.next_fast_len(int(np.ceil(2 * (reach + _MARGIN) / voxel_size)) + 4, real=True)
    size += size % 2
    xyz = (atoms.xyz - middle) / voxel_size + size // 2

    s2 = _squared_frequencies(size, voxel_size)
    spectrum = np.zeros((size, size, size // 2 + 1), np.complex64)
    for number in np.unique(atoms.numbers).tolist():
        rows = atoms.numbers == number
        grid = spread(xyz[rows], atoms.weights[rows], size)
        spectrum += np.float32(VOLTS) * form_factor(number, s2) * scipy.fft.rfftn(grid)
    hydrogens = spread(xyz, atoms.weights * atoms.hydrogens, size)
    spectrum += np.float32(VOLTS) * form_factor(1, s2) * scipy.fft.rfftn(hydrogens)
    displaced = spread(xyz, atoms.weights * atoms.volumes, size)
    blur = np.exp(np.float32(-np.pi * atoms.volumes.mean() ** (2 / 3)) * s2)
    spectrum -= np.float32(ice_potential()) * blur * scipy.fft.rfftn(displaced)
    spectrum /= _spline_spectrum(size) * np.float32(voxel_size**3)
    values = scipy.fft.irfftn(spectrum, s=(size,) * 3).astype(np.float32, copy=False)
    return Volume(values, voxel_size, np.full(3, float(size // 2)), diameter, reach, origin=middle)


def spread(xyz: NDArray[np.float64], weights: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Put points (x, y, z in voxels) on a periodic grid with cubic B-splines; the sum of weights stays."""
    grid = np.zeros(size**3)
    for start in range(0, len(xyz), _ATOMS):
        part = slice(start, start + _ATOMS)
        corner = np.floor(xyz[part]).astype(np.intp)
        t = xyz[part] - corner
        # Weights of the four nearest grid points along each axis: -1, 0, 1, 2 from the corner.
        splines = np.stack([(1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3]) / 6
        x, y, z = ((corner + np.arange(-1, 3)[:, None, None]) % size).transpose(2, 0, 1)
        index = (z[:, None, None] * size + y[None, :, None]) * size + x[None, None]
        wx, wy, wz = splines.transpose(2, 0, 1)
        share = wz[:, None, None] * wy[None, :, None] * (wx * weights[part])[None, None]
        grid += np.bincount(index.ravel(), weights=share.ravel(), minlength=size**3)
    return grid.reshape(size, size, size).astype(np.float32)


def _squared_frequencies(size: int, voxel_size: float) -> NDArray[np.float32]:
    full = np.fft.fftfreq(size, voxel_size).astype(np.float32) ** 2
    half = np.fft.rfftfreq(size, voxel_size).astype(np.float32) ** 2
    return full[:, None, None] + full[None, :, None] + half


def _spline_spectrum(size: int) -> NDArray[np.float32]:
    full = np.sinc(np.fft.fftfreq(size)).astype(np.float32) ** 4
    half = np.sinc(np.fft.rfftfreq(size)).astype(np.float32) ** 4
    return full[:, None, None] * full[None, :, None] * half
