"""Atomic models: positions and elements of all atoms of a biological assembly."""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import ModelError
from heliodor.progress import SILENT, Reporter

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROTEIN_VOLUME, NUCLEIC_VOLUME = 1.21, 0.91  # A^3 per dalton: partial specific volumes of 0.73 and 0.55 cm^3/g
NUMBERED = tuple(f".pdb{number}" for number in range(1, 10))  # biological assemblies, as the PDB names them
HEAVY_VOLUME = 25.0  # A^3: a ball of 1.8 A, as wide as the largest ions; volumes by mass are those of light elements
_HYDROGEN, _CHLORINE = 1, 17
_HEAVIEST = 98  # the International Tables C end with californium
_FARTHEST = 1e6  # A from the origin of a file; no structure is as large


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms that scatter.

    Parameters
    ----------
    xyz : (N, 3) float64 array
        Angstrom.
    numbers : (N,) int array
        Atomic numbers.
    weights : (N,) float64 array
        Occupancies.
    hydrogens : (N,) float64 array
        Hydrogens that the file leaves out, spread over the atoms of their residue.
    volumes : (N,) float64 array
        Volume of solvent that each atom displaces, in A^3.
    """

    xyz: NDArray[np.float64]
    numbers: NDArray[np.int_]
    weights: NDArray[np.float64]
    hydrogens: NDArray[np.float64]
    volumes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.numbers)


def read_atoms(path: str | os.PathLike[str], *, assembly: str | None = None, reporter: Reporter = SILENT) -> Atoms:
    """Read a PDB or mmCIF file, gzip too, without its water.

    Parameters
    ----------
    path : path
    assembly : str, optional
        Name of the biological assembly; 'none' takes the atoms as they stand, 'models' those of all models of the
        file together. Default: the first that the file defines, or the atoms as they stand where it defines none.
        All but 'models' are of the first model.
    reporter : Reporter
        Is told where only one of several models is used.

    Raises
    ------
    ModelError
        The file is missing, cannot be read, has no atoms or such as cannot be drawn, or no such assembly.
    """
    path = Path(path)
    structure = _structure(path)
    structure.setup_entities()
    if assembly == "models":
        atoms = _join([part for model in structure for part in _chains(model).values()])
    else:
        if len(structure) > 1:
            reporter.warn(
                f"{path.name}: model {structure[0].num}, the first of {len(structure)}, is used; --assembly models "
                "takes all of them together"
            )
        chains = _chains(structure[0])
        atoms = _assemble(chains, _assembly(path, structure, assembly))
        if chains and not len(atoms):
            raise ModelError(f"{path}: the assembly names chains that are not in the file; try --assembly none")
    _check(path, atoms)
    return atoms


def _structure(path: Path) -> Any:
    """Read a file as gemmi does, by its name; biological assemblies are PDB files with a number at their end."""
    import gemmi

    if not path.is_file():
        raise ModelError(f"{path}: there is no such file; check the path")
    known = gemmi.CoorFormat.Unknown  # tells by the name
    kind = gemmi.CoorFormat.Pdb if path.name.lower().removesuffix(".gz").endswith(NUMBERED) else known
    try:
        _read_through(path)
        structure = gemmi.read_structure(os.fspath(path), format=kind)
    except IndexError:  # gemmi's word for a mmCIF file without a block
        structure = gemmi.Structure()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ModelError(f"{path}: truncated or damaged; copy it again") from error
    except (RuntimeError, ValueError, OSError) as error:
        cause = str(error).splitlines()[0]
        raise ModelError(f"{path}: not a readable atomic model ({cause}); give PDB or mmCIF") from error
    if not len(structure):
        raise ModelError(f"{path}: has no atoms; give a file with coordinates")
    return structure


def _read_through(path: Path) -> None:
    """Read a compressed file to its end, where its checksum is: gemmi takes what comes before the damage for all."""
    if path.suffix.lower() != ".gz":
        return
    with path.open("rb") as raw:
        if raw.read(2) != b"\x1f\x8b":  # a browser unpacked it, and kept the name; gemmi reads it
            return
    with gzip.open(path) as stream:
        while stream.read(1 << 20):
            pass


def _check(path: Path, atoms: Atoms) -> None:
    """Refuse atoms that cannot be drawn."""
    if not len(atoms):
        raise ModelError(f"{path}: has no atoms but water; give a file with coordinates")
    if not (np.isfinite(atoms.xyz).all() and np.isfinite(atoms.weights).all()):
        raise ModelError(f"{path}: has atoms whose coordinates or occupancies are no numbers; mend or remove them")
    if np.abs(atoms.xyz).max() > _FARTHEST:
        raise ModelError(f"{path}: has atoms more than {_FARTHEST:.0e} A from its origin; mend or remove them")
    heaviest = int(atoms.numbers.max())
    if heaviest > _HEAVIEST:
        raise ModelError(f"{path}: has atoms of element {heaviest}, whose form factor is not known; remove them")


def _assembly(path: Path, structure: Any, name: str | None) -> Any:
    known = {assembly.name: assembly for assembly in structure.assemblies}
    if name == "none" or (name is None and not known):
        return None
    if name is None:
        return next(iter(known.values()))
    if name not in known:
        choices = ", ".join([*known, "none", *(["models"] if len(structure) > 1 else [])])
        raise ModelError(f"{path}: has no biological assembly '{name}'; choose from {choices}")
    return known[name]


def _chains(model: Any) -> dict[tuple[str, str], Atoms]:
    """Atoms by (chain, subchain): PDB files build assemblies from the former, mmCIF files from the latter."""
    import gemmi

    rows: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for chain in model:
        for residue in chain:
            info = gemmi.find_tabulated_residue(residue.name)
            atoms = list(residue)
            if info.is_water() or not atoms:
                continue
            heavy = [atom for atom in atoms if not atom.element.is_hydrogen]
            missing = _missing_hydrogens(info) if len(heavy) == len(atoms) else 0
            # Alternate conformers share the names of atoms, and an occupancy of 1: each has all the hydrogens.
            share = missing / len({atom.name for atom in heavy}) if heavy else 0.0
            per_dalton = NUCLEIC_VOLUME if info.is_nucleic_acid() else PROTEIN_VOLUME
            table = rows.setdefault((chain.name, residue.subchain), [])
            for atom in atoms:
                number = _HYDROGEN if atom.element.is_hydrogen else atom.element.atomic_number
                mass = atom.element.weight + share * 1.008
                volume = per_dalton * mass
                if number > _CHLORINE:  # else it displaces more ice than it makes up for, and is a hole
                    volume = min(volume, HEAVY_VOLUME)
                table.append((*atom.pos.tolist(), number, atom.occ, share, volume))
    return {key: _atoms(np.array(table)) for key, table in rows.items()}


def _atoms(table: NDArray[np.float64]) -> Atoms:
    return Atoms(table[:, :3], table[:, 3].astype(int), table[:, 4], table[:, 5], table[:, 6])


def _missing_hydrogens(info: Any) -> int:
    """Hydrogens of a residue in a chain: two fewer than in the free molecule, as links lose water."""
    linked = info.is_amino_acid() or info.is_nucleic_acid()
    return max(0, info.hydrogen_count - (2 if linked else 0))


def _assemble(chains: dict[tuple[str, str], Atoms], assembly: Any) -> Atoms:
    if assembly is None:
        return _join(list(chains.values()))
    parts = []
    for generator in assembly.generators:
        names, subchains = set(generator.chains), set(generator.subchains)
        chosen = [atoms for key, atoms in chains.items() if key[0] in names or key[1] in subchains]
        for operator in generator.operators:
            matrix, shift = np.array(operator.transform.mat.tolist()), np.array(operator.transform.vec.tolist())
            parts += [_moved(atoms, matrix, shift) for atoms in chosen]
    return _join(parts)


def _moved(atoms: Atoms, matrix: NDArray[np.float64], shift: NDArray[np.float64]) -> Atoms:
    return Atoms(atoms.xyz @ matrix.T + shift, atoms.numbers, atoms.weights, atoms.hydrogens, atoms.volumes)


def _join(parts: list[Atoms]) -> Atoms:
    if not parts:
        return _atoms(np.empty((0, 7)))
    return Atoms(
        np.concatenate([p.xyz for p in parts]),
        np.concatenate([p.numbers for p in parts]),
        np.concatenate([p.weights for p in parts]),
        np.concatenate([p.hydrogens for p in parts]),
        np.concatenate([p.volumes for p in parts]),
    )
