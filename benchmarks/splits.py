"""Coordinate tables, and the splits of a labelled data set that every program is run on."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Labels:
    """Centres of particles in full-size pixels, in the order of their file."""

    names: list[str]
    xy: np.ndarray  # (N, 2) float64, x column, y row, 0-based
    scores: np.ndarray | None = None  # (N,) float64, of a program's picks
    probabilities: np.ndarray | None = None  # (N,) float64, of being a particle, where the program says so

    def rows_of(self, name: str) -> np.ndarray:
        """Rows (M,) of one micrograph's centres."""
        return np.array([row for row, own in enumerate(self.names) if own == name], dtype=int)

    def of(self, name: str) -> np.ndarray:
        """Centres (M, 2) on one micrograph."""
        return self.xy[self.rows_of(name)]

    def with_probabilities_of(self, others: Labels) -> Labels:
        """Give each the probability of the same place among the others."""
        if others.probabilities is None:
            return self
        known = dict(zip(others._places(), others.probabilities, strict=True))
        return replace(self, probabilities=np.array([known.get(place, np.nan) for place in self._places()]))

    def _places(self) -> list[tuple[str, float, float]]:
        return [(name, *xy) for name, xy in zip(self.names, self.xy.tolist(), strict=True)]


def read_labels(path: Path) -> Labels:
    """Read a tab separated table `image_name x_coord y_coord [score] [probability]`."""
    with path.open(newline="") as stream:
        reader = csv.DictReader(stream, delimiter="\t")
        rows, columns = list(reader), reader.fieldnames or []
    xy = np.array([[float(row["x_coord"]), float(row["y_coord"])] for row in rows]).reshape(-1, 2)
    scores, probabilities = (
        np.array([float(row[column]) for row in rows]) if column in columns else None
        for column in ("score", "probability")
    )
    return Labels([row["image_name"] for row in rows], xy, scores, probabilities)


def write_labels(path: Path, labels: Labels, rows: list[int]) -> None:
    """Write some rows of a table, as `read_labels` reads them, without scores."""
    lines = [f"{labels.names[row]}\t{labels.xy[row, 0]:g}\t{labels.xy[row, 1]:g}" for row in rows]
    path.write_text("\n".join(["image_name\tx_coord\ty_coord", *lines]) + "\n")


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
