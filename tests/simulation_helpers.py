"""A small particle for tests of simulation: atoms of an L-shaped, hollow thing, without any symmetry."""

from __future__ import annotations

import gzip
from pathlib import Path

import mrcfile
import numpy as np

CHAINS = {"A": (0.0, 0.0, 0.0), "B": (25.0, 5.0, -8.0)}
ASSEMBLY = """\
REMARK 350 BIOMOLECULE: 1
REMARK 350 APPLY THE FOLLOWING TO CHAINS: A, B
REMARK 350   BIOMT1   1  1.000000  0.000000  0.000000        0.00000
REMARK 350   BIOMT2   1  0.000000  1.000000  0.000000        0.00000
REMARK 350   BIOMT3   1  0.000000  0.000000  1.000000        0.00000
REMARK 350   BIOMT1   2 -1.000000  0.000000  0.000000        0.00000
REMARK 350   BIOMT2   2  0.000000 -1.000000  0.000000       60.00000
REMARK 350   BIOMT3   2  0.000000  0.000000  1.000000       10.00000
"""


def atom_positions(chain: str, count: int = 200) -> np.ndarray:
    rng = np.random.default_rng(ord(chain))
    return np.array(CHAINS[chain]) + rng.normal(size=(count, 3)) * [14, 7, 9]


def pdb_text(assembly: bool = True, water: bool = False) -> str:
    """Two chains of alanine's atoms at random places; with a second copy of both in the assembly."""
    lines, serial = [ASSEMBLY.rstrip("\n")] if assembly else [], 0
    for chain in CHAINS:
        for k, (x, y, z) in enumerate(atom_positions(chain)):
            serial += 1
            name, element = (("N", "N"), ("CA", "C"), ("C", "C"), ("O", "O"), ("CB", "C"))[k % 5]
            place = f"{x:8.3f}{y:8.3f}{z:8.3f}"
            lines.append(
                f"ATOM  {serial:5d}  {name:<3} ALA {chain}{k // 5 + 1:4d}    {place}  1.00 20.00          {element:>2}"
            )
    if water:
        lines.append("HETATM 9999  O   HOH A 900     500.000 500.000 500.000  1.00 20.00           O")
    return "\n".join([*lines, "END", ""])


def write_model(path: Path, text: str | None = None) -> Path:
    text = pdb_text() if text is None else text
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def write_map(path: Path, voxel_size: float = 3.0, size: int = 40, axes: tuple[int, int, int] = (1, 2, 3)) -> Path:
    """Two blobs of unequal size on a noisy background of 7, the long axis along x whatever the axes of the file."""
    z, y, x = np.mgrid[:size, :size, :size] - size / 2
    density = np.exp(-((x / 7) ** 2 + (y / 4) ** 2 + (z / 3) ** 2)) + 0.7 * np.exp(
        -(((x - 9) / 3) ** 2 + (y / 3) ** 2 + (z / 3) ** 2)
    )
    values = (7 + 20 * density + 0.05 * np.random.default_rng(0).normal(size=density.shape)).astype(np.float32)
    mapc, mapr, maps = axes  # 1: x, 2: y, 3: z, of columns, rows, sections
    with mrcfile.new(path, overwrite=True, compression="gzip" if path.suffix == ".gz" else None) as mrc:
        mrc.set_data(np.ascontiguousarray(values.transpose([3 - maps, 3 - mapr, 3 - mapc])))
        mrc.voxel_size = voxel_size
        mrc.header.mapc, mrc.header.mapr, mrc.header.maps = axes
    return path
