"""Simulated, normalized micrographs for tests of training, and what users are warned of."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from heliodor.progress import Silent
from heliodor.training.tiles import Example


class Listener(Silent):
    """Keeps what users are warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def disc_examples(count: int, particles: int = 12) -> list[Example]:
    """Micrographs of 160 x 180 pixels with dark discs of 14 pixels at known places, all labelled."""
    rng = np.random.default_rng(7)
    examples = []
    for k in range(count):
        xy = np.empty((0, 2))
        while len(xy) < particles:
            new = rng.uniform(8, [172, 152])
            if (np.hypot(*(xy - new).T) > 17).all():
                xy = np.vstack([xy, new])
        y, x = np.mgrid[:160, :180]
        pixels = rng.normal(size=(160, 180))
        for cx, cy in xy:
            pixels -= 1.5 * ((x - cx) ** 2 + (y - cy) ** 2 < 49)
        pixels = gaussian_filter(pixels, 0.7)
        pixels = (pixels - np.median(pixels)) / pixels.std()
        examples.append(Example(f"m{k}", pixels.astype(np.float32), xy, np.empty((0, 2))))
    return examples
