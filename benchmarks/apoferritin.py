"""Side by side on real apoferritin (EMPIAR-10146): heliodor with everything automatic, topaz-em set up by hand.

`python benchmarks/apoferritin.py --help`; the protocol and how to get the data are in README.md beside this file.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Labels:
    """Centres of particles in full-size pixels, in the order of their file."""

    names: list[str]
    xy: np.ndarray  # (N, 2) float64, x column, y row, 0-based

    def of(self, name: str) -> np.ndarray:
        """Centres (M, 2) on one micrograph."""
        return self.xy[[own == name for own in self.names]]


def read_labels(path: Path) -> Labels:
    """Read a table `image_name x_coord y_coord` (tab separated)."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    xy = np.array([[float(row["x_coord"]), float(row["y_coord"])] for row in rows])
    return Labels([row["image_name"] for row in rows], xy)


@dataclass(frozen=True)
class Split:
    """What one run trains and tests on; `rows` are 0-based rows of the label file."""

    draw: int
    fold: int
    labels: int
    train: list[str]
    test: list[str]
    rows: list[int]


def split_micrographs(labels: Labels, draw: int, fold: int, folds: int, count: int) -> Split:
    """Fold `fold` of the micrographs shuffled by `draw`, and `count` random labels of the training ones."""
    shuffled = np.random.default_rng(draw).permutation(sorted(set(labels.names)))
    parts = np.array_split(shuffled, folds)
    test = sorted(str(name) for name in parts[fold])
    train = sorted(set(labels.names) - set(test))
    candidates = [row for row, name in enumerate(labels.names) if name in set(train)]
    rows = np.random.default_rng((draw, fold, count)).choice(candidates, count, replace=False)
    return Split(draw, fold, count, train, test, sorted(int(row) for row in rows))
