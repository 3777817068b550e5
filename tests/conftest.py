from __future__ import annotations

import os

# One thread a process, before torch is imported: small networks gain nothing from more, and a busy machine loses.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import settings
from scipy.ndimage import gaussian_filter

settings.register_profile("any machine", deadline=None)  # a busy one is no defect
settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep compiled models of the tests out of the user's cache."""
    os.environ.setdefault("HELIODOR_CACHE", str(tmp_path_factory.mktemp("cache")))


def simulate(rng, shape=(240, 260), particles=12, diameter=20.0, noise=1.0):
    """Dark discs on noise, at known centres that do not touch; returns pixels and xy."""
    centres: list[np.ndarray] = []
    while len(centres) < particles:
        xy = rng.uniform(diameter / 2, np.array(shape[::-1]) - diameter / 2)
        if all(np.hypot(*(xy - other)) > 1.2 * diameter for other in centres):
            centres.append(xy)
    y, x = np.mgrid[: shape[0], : shape[1]]
    pixels = rng.normal(0, noise, shape)
    for cx, cy in centres:
        pixels -= 1.5 * ((x - cx) ** 2 + (y - cy) ** 2 < (diameter / 2) ** 2)
    return (100 + 10 * gaussian_filter(pixels, 0.7)).astype(np.float32), np.array(centres)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    """Four simulated micrographs of 2 A per pixel with particles of 40 A, and their true centres."""
    folder = tmp_path_factory.mktemp("micrographs")
    rng = np.random.default_rng(1)
    truth = {}
    for name in ("001", "a.b.c", "with space", "plain"):
        pixels, truth[name] = simulate(rng)
        with mrcfile.new(folder / f"{name}.mrc") as mrc:
            mrc.set_data(pixels)
            mrc.voxel_size = 2.0
    return folder, truth
