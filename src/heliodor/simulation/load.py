"""From a file, an atomic model or a density map, to a projector."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from heliodor.errors import ModelError
from heliodor.progress import SILENT, Reporter
from heliodor.simulation.density import density_potential, read_density
from heliodor.simulation.model import NUMBERED, Atoms, read_atoms
from heliodor.simulation.potential import atom_contrast, extent, potential
from heliodor.simulation.projection import Projector
from heliodor.simulation.volume import Volume, coarsen

MODELS, MAPS = (".pdb", *NUMBERED, ".ent", ".cif", ".mmcif"), (".mrc", ".map", ".ccp4")
_READ = f".pdb, {NUMBERED[0]} to {NUMBERED[-1]}, .ent, .cif, .mmcif, {', '.join(MAPS)}, .gz too"
_FINEST = 1.5  # A: voxels; detail below 3 A is nothing that a particle picker could see
_LARGEST = 200  # voxels across a particle, so that a virus fits into memory too
_STRAY = 3  # times as far out as 99 % of the particle: no part of it
_OPTIONS = {"mass": (1e7, "kilodalton"), "map-pixel-size": (1e4, "angstrom")}  # more overflows, or is another unit


def load_particle(
    path: str | os.PathLike[str],
    pixel_size: float,
    *,
    assembly: str | None = None,
    mass: float | None = None,
    voxel_size: float | None = None,
    reporter: Reporter = SILENT,
) -> Projector:
    """Read a particle and make ready to project it.

    Parameters
    ----------
    path : path
        .pdb, .pdb1 to .pdb9, .ent, .cif, .mmcif, .mrc, .map or .ccp4; .gz after it.
    pixel_size : float
        Of the finest projections wanted, in angstrom: decides the voxels.
    assembly : str, optional
        Of a model, see `heliodor.simulation.model.read_atoms`.
    mass : float, optional
        Of a map's particle in kilodalton, see `heliodor.simulation.density.density_potential`.
    voxel_size : float, optional
        Of a map, where its header has none or a wrong one.
    reporter : Reporter
        Is told where only one of several models of a file is used.

    Raises
    ------
    ModelError
        The file cannot be used, or an option does not fit its kind.
    """
    for flag, value in (("mass", mass), ("map-pixel-size", voxel_size)):
        if value is not None and not 0 < value < math.inf:
            raise ModelError(f"{path}: --{flag} must be above 0. Got {value:g} instead.")
        most, unit = _OPTIONS[flag]
        if value is not None and not 1 / most <= value <= most:
            raise ModelError(f"{path}: --{flag} is in {unit}, {1 / most:g} to {most:g}. Got {value:g} instead.")
    path = Path(path)
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    wanted = max(pixel_size / 2, _FINEST)
    if kind in MODELS:
        if mass is not None or voxel_size is not None:
            raise ModelError(f"{path}: an atomic model has its own scale; --mass and --map-pixel-size are for maps")
        atoms = read_atoms(path, assembly=assembly, reporter=reporter)
        if atom_contrast(atoms).sum() <= 0:
            raise ModelError(f"{path}: does not stand out of ice (are all occupancies 0?); give atoms that scatter")
        return Projector(potential(atoms, max(wanted, _across(path, atoms) / _LARGEST)))
    if kind in MAPS:
        if assembly is not None:
            raise ModelError(f"{path}: a density map has no assemblies; --assembly is for atomic models")
        values, size = read_density(path, voxel_size=voxel_size)
        volume = _named(path, values, size, mass)
        return Projector(coarsen(volume, max(wanted, 2 * volume.reach / _LARGEST)))
    raise ModelError(f"{path}: not a kind of model that is read here; give {_READ}")


def _across(path: Path, atoms: Atoms) -> float:
    """Return the size of a model, which decides its voxels; refuse atoms far from the rest before they cost memory."""
    middle, diameter, reach = extent(atoms)
    distance = np.linalg.norm(atoms.xyz - middle, axis=1)
    count = int((distance > _STRAY * diameter / 2).sum())
    if count:
        lie = "1 atom lies" if count == 1 else f"{count} atoms lie"
        raise ModelError(
            f"{path}: {lie} {distance.max():.0f} A from the rest, {diameter:.0f} A across; remove what is far"
        )
    # A few atoms far to one side move the middle little: the grid then reaches twice as far as the atoms do.
    return max(float(np.ptp(atoms.xyz, axis=0).max()), reach)


def _named(path: Path, values: np.ndarray, voxel_size: float, mass: float | None) -> Volume:
    try:
        return density_potential(values, voxel_size, mass=mass)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
