"""Particles that no one has seen, so that a network does not learn a dozen proteins by heart: heaps of soft blobs.

Rods, rings, barrels, discs and plain globules come out. Cubic point groups are left out on purpose: their 24-fold
shells would be apoferritin in disguise, and real apoferritin is what the networks are tested on.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, label
from scipy.spatial.transform import Rotation

from heliodor.simulation.density import density_potential
from heliodor.simulation.projection import Projector

VOXELS = 64  # across the cube that a shape is built in
FILLED = 0.42  # of the cube's side: largest distance of a blob from the centre


def make_shape(seed: int, diameter: float) -> Projector:
    """Build a random particle.

    Parameters
    ----------
    seed : int
        Decides symmetry and shape.
    diameter : float
        Wanted, in angstrom; the projector's own is measured and a little different.
    """
    rng = np.random.default_rng([seed, 2019])
    inside = _envelope(_positions(rng), rng)
    while not _whole(inside):
        inside = _envelope(_positions(rng), rng)
    grain = gaussian_filter(rng.standard_normal(inside.shape).astype(np.float32), 1.5)  # as of secondary structure
    density = gaussian_filter(inside * (1 + 0.5 * grain / grain.std()).clip(0.2), 0.8).astype(np.float32)
    return Projector(density_potential(density, diameter / (1.8 * FILLED * VOXELS)))


def _positions(rng: np.random.Generator) -> np.ndarray:
    """Centres of blobs, in units of the cube's side: a worm of subunits, repeated by a point group."""
    count = int(rng.integers(2, 12))
    stiffness = rng.uniform(0, 0.95)
    direction = rng.normal(size=3)
    steps = [direction]
    for _ in range(count - 1):
        direction = stiffness * direction + (1 - stiffness) * rng.normal(size=3)
        steps.append(direction)
    worm = np.cumsum([s / np.linalg.norm(s) for s in steps], axis=0)
    worm -= worm.mean(axis=0)
    fold = int(rng.choice([1, 2, 3, 4, 5, 6, 7, 8], p=[0.3, 0.2, 0.12, 0.12, 0.06, 0.1, 0.07, 0.03]))
    dihedral = fold > 1 and rng.random() < 0.4
    radius = rng.uniform(0.6, 1.4) * np.sqrt(count) * (fold > 1) * max(1.0, fold / 4)
    copies = worm + np.array([radius, 0, rng.uniform(0.4, 1.2) * dihedral * np.sqrt(count)])
    turns = [Rotation.from_euler("z", turn * 360 / fold, degrees=True) for turn in range(fold)]
    placed = np.concatenate([turn.apply(copies) for turn in turns])
    if dihedral:
        placed = np.concatenate([placed, placed * [1, -1, -1]])  # half a turn about x
    placed -= placed.mean(axis=0)
    return placed * (FILLED * 0.8 / np.linalg.norm(placed, axis=1).max())


def _envelope(positions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Voxels inside soft blobs around the positions."""
    distances = np.linalg.norm(positions[:, None] - positions, axis=2) + 9 * np.eye(len(positions))
    width = float(np.clip(np.median(distances.min(axis=1)), 0.06, 0.3)) * rng.uniform(0.45, 0.8) * VOXELS
    cube = np.zeros((VOXELS,) * 3, np.float32)
    at = np.clip(np.rint((positions + 0.5) * VOXELS).astype(int), 0, VOXELS - 1)
    np.add.at(cube, tuple(at.T), 1.0)
    cube = gaussian_filter(cube, width)
    return cube > rng.uniform(0.25, 0.6) * np.median(cube[tuple(at.T)])


def _whole(inside: np.ndarray) -> bool:
    """Whether it is one piece (specks aside) that the cube does not cut."""
    pieces, _ = label(inside)
    sizes = np.bincount(pieces.ravel())[1:]
    if not len(sizes) or sizes.max() < 0.95 * sizes.sum():
        return False
    return not any(np.take(inside, [0, 1, -2, -1], axis=axis).any() for axis in range(3))
