"""Inputs of the speed benchmark, made from seeds: raw frames, normalized micrographs, a score map, a model.

`speed_inputs.py FOLDER FRAMES MICROGRAPHS` makes what is not there yet. It is a process of its own since what a process
starts counts the memory of its parent as its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import mrcfile
import numpy as np
from scipy.ndimage import gaussian_filter

K3 = (8184, 11520)  # rows and columns of a super-resolution frame


def make_inputs(folder: Path, frames: int, micrographs: int) -> None:
    """Write what is not there yet into sub-folders of `folder`."""
    for k in _missing(folder / "frames", frames):
        _write(folder / "frames" / f"frame{k:02d}.mrc", _frame(k, (4096, 4096)), 0.66)
    for side in (512, 1024):
        for k in _missing(folder / f"small{side}", micrographs):
            _write(folder / f"small{side}" / f"m{k:02d}.mrc", _small(k, (side, side)), 5.3)
    for _ in _missing(folder / "k3", 1):
        _write(folder / "k3" / "k3.mrc", _frame(0, K3), 0.5)
    for _ in _missing(folder / "scores", 1):
        noise = gaussian_filter(np.random.default_rng(0).normal(size=(1024, 1024)), 2)
        _write(folder / "scores" / "scores.mrc", (noise / noise.std() * 2.8 - 3).astype(np.float32), 5.3)


def make_model(path: Path) -> None:
    """Write an untrained conv31 that picks K3 frames downsampled by 8: what it finds does not matter here."""
    from heliodor import Classifier, NetworkSettings, save_network

    geometry = {"pixel_size": 0.5, "factor": 8.0, "exclusion_radius": 8.0, "label_radius": 3.0, "diameter": 80.0}
    save_network(path, Classifier(NetworkSettings()), {"geometry": geometry, "normalization": "gmm", "threshold": 0.0})


def _missing(folder: Path, count: int) -> Iterator[int]:
    folder.mkdir(parents=True, exist_ok=True)
    yield from range(len(list(folder.glob("*.mrc"))), count)


def _small(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Smooth noise, white noise, and dark blobs 16 pixels wide; mean 0, standard deviation 1."""
    rng = np.random.default_rng(seed)
    blobs = np.zeros(shape, dtype=np.float32)
    count = shape[0] * shape[1] // 2500
    blobs[rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)] = -400
    pixels = gaussian_filter(blobs, 5) + 3 * gaussian_filter(rng.normal(size=shape).astype(np.float32), 3)
    pixels += rng.normal(size=shape).astype(np.float32)
    return ((pixels - pixels.mean()) / pixels.std()).astype(np.float32)


def _frame(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Return counts of a raw frame, eight times as large as such a micrograph."""
    rows, columns = shape
    small = _small(seed, (-(-rows // 8), -(-columns // 8)))
    counts = np.kron(small, np.ones((8, 8), np.float32))[:rows, :columns] * 4 + 100
    counts += np.random.default_rng(seed).normal(size=shape).astype(np.float32) * 10
    return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)


def _write(path: Path, pixels: np.ndarray, pixel_size: float) -> None:
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(pixels)
        mrc.voxel_size = pixel_size


if __name__ == "__main__":
    make_inputs(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    make_model(Path(sys.argv[1]) / "conv31.safetensors")
