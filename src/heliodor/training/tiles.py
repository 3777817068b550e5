"""Tiles: where training looks.

A tile is a window large enough for `outputs` x `outputs` neighbouring scores of the strided network;
with one output it is the single region of the paper. Outside of the micrograph are zeros (the normalized background).

Turning a tile by any angle, enlarging or shrinking it a little, shows particles as they have not been seen, but
interpolation blurs the noise, and a network that learns from blurred noise alone is misled by that of micrographs
(dev/LOG.md). Hence a share of the tiles is cut along the pixel grid, in one of the eight orientations of a square,
and the others anyhow.

Tile b of epoch e is drawn from a generator seeded by (seed, e, b): the result does not depend on how
many workers cut them, nor on whether training was interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from heliodor.errors import LabelError
from heliodor.training.labels import OUTSIDE, label_map
from heliodor.training.objectives import NEGATIVE, POSITIVE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

# Tiles off the grid are enlarged or shrunk: views of a particle differ in size, and few labels show few of them.
ZOOM = 0.1


@dataclass(frozen=True, eq=False)
class Example:
    """A labelled micrograph, ready for training.

    Parameters
    ----------
    name : str
    pixels : (ny, nx) float32 array
        Downsampled and normalized.
    positives, negatives : (N, 2) array
        Labelled centres xy, in downsampled pixels.
    source : str
        The data set it comes from; each source gets the same share of the tiles.
    junk : (ny, nx) bool array, optional
        Where there are no particles to be found; see `heliodor.junk.mask`.
    """

    name: str
    pixels: NDArray[np.float32]
    positives: NDArray[np.float64]
    negatives: NDArray[np.float64]
    source: str = ""
    junk: NDArray[np.bool_] | None = None

    @property
    def area(self) -> int:
        """Pixels on which a particle may be."""
        return self.pixels.size - (0 if self.junk is None else int(self.junk.sum()))


@dataclass(frozen=True)
class Batch:
    """Tiles and the labels of their outputs: (B, side, side) float32 and (B, outputs, outputs) int8."""

    windows: Tensor
    labels: Tensor


class TileSampler:
    """Draws minibatches of tiles from labelled micrographs.

    Parameters
    ----------
    examples : sequence of Example
    receptive_field, stride : int
        Of the network, in pixels.
    label_radius : float
        In downsampled pixels.
    outputs : int
        Scores along a side of a tile.
    label_tiles, random_tiles : int
        Tiles per minibatch that hold a labelled region, and tiles from anywhere.
    aligned : float
        Share of the tiles that are cut along the pixel grid, in [0, 1].
    seed : int

    Raises
    ------
    LabelError
        No labelled particle lies on any of the micrographs.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        *,
        receptive_field: int,
        stride: int,
        label_radius: float,
        outputs: int = 4,
        label_tiles: int = 8,
        random_tiles: int = 40,
        aligned: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.outputs, self.stride, self.aligned, self.seed = outputs, stride, aligned, seed
        self.side = receptive_field + stride * (outputs - 1)
        self.label_tiles, self.random_tiles = label_tiles, random_tiles
        # Half a diagonal, plus how far a tile may be moved off a label, plus the second bilinear neighbour.
        self.margin = int(np.ceil((self.side / 2 + stride * outputs / 2) * np.sqrt(2) * np.exp(ZOOM))) + 2
        maps = [label_map(e.pixels.shape, e.positives, e.negatives, label_radius) for e in examples]
        self.shapes = np.array([e.pixels.shape for e in examples], dtype=np.int64)
        self._lay_out(examples, maps)
        self._weigh([e.source for e in examples], maps)

    def _lay_out(self, examples: Sequence[Example], maps: list[NDArray[np.int8]]) -> None:
        # One flat array of all padded micrographs: a tile is then a gather by index, for the whole batch at once.
        padded = [np.pad(e.pixels, self.margin) for e in examples]
        marked = [np.pad(m, self.margin, constant_values=OUTSIDE) for m in maps]
        self._width = np.array([p.shape[1] for p in padded], dtype=np.int64)
        self._start = np.cumsum([0, *(p.size for p in padded[:-1])], dtype=np.int64)
        self._pixels = torch.from_numpy(np.concatenate([p.ravel() for p in padded]))
        self._marks = torch.from_numpy(np.concatenate([m.ravel() for m in marked]))

    def _weigh(self, sources: list[str], maps: list[NDArray[np.int8]]) -> None:
        names, group = np.unique(np.array(sources), return_inverse=True)
        areas = self.shapes.prod(axis=1).astype(np.float64)
        self._area_weight = areas / np.bincount(group, areas)[group] / len(names)
        sites, weights = [], []
        for which, marks in enumerate(maps):
            for mark in (POSITIVE, NEGATIVE):
                y, x = np.nonzero(marks == mark)
                sites.append(np.stack([np.full(len(y), which), y, x], axis=1))
        self._sites = np.concatenate(sites)
        if not any((marks == POSITIVE).any() for marks in maps):
            raise LabelError("no labelled particle lies on any micrograph; check the scale and the axes of the labels")
        count = np.bincount(group[self._sites[:, 0]], minlength=len(names))
        weights = 1.0 / count[group[self._sites[:, 0]]]
        self._site_weight = weights / weights.sum()

    def batch(self, epoch: int, index: int) -> Batch:
        """Draw minibatch `index` of `epoch`."""
        random = np.random.default_rng([self.seed, epoch, index])
        count = self.label_tiles + self.random_tiles
        aligned = random.uniform(0, 1, count) < self.aligned
        axes = _orientations(random, aligned)
        which = np.empty(count, dtype=np.int64)
        centre = np.empty((count, 2))
        labeled = self._sites[random.choice(len(self._sites), self.label_tiles, p=self._site_weight)]
        which[: self.label_tiles] = labeled[:, 0]
        shift = self.stride * (random.integers(0, self.outputs, (self.label_tiles, 2)) - (self.outputs - 1) / 2)
        centre[: self.label_tiles] = labeled[:, 1:] + np.einsum("bij,bj->bi", axes[: self.label_tiles], shift)
        anywhere = random.choice(len(self.shapes), self.random_tiles, p=self._area_weight)
        which[self.label_tiles :] = anywhere
        centre[self.label_tiles :] = random.uniform(0, 1, (self.random_tiles, 2)) * (self.shapes[anywhere] - 1)
        # Of a tile along the grid, pixels fall on pixels; of a single region, at least the one in its middle.
        whole = aligned | (self.outputs == 1)
        half = (self.side - 1) / 2 % 1
        centre[whole] = np.rint(centre[whole] - half) + half
        return self.cut(which, centre, axes)

    def cut(self, which: NDArray[np.int64], centre: NDArray[np.float64], axes: NDArray[np.float64]) -> Batch:
        """Cut tiles: micrograph (B,), centre yx (B, 2) in its pixels, axes (B, 2, 2) as columns."""
        start, width = torch.from_numpy(self._start[which]), torch.from_numpy(self._width[which])
        middle = torch.from_numpy(centre + self.margin).float()
        turn = torch.from_numpy(axes).float()
        windows = self._interpolate(*self._positions(middle, turn, self.side, 1), start, width)
        y, x = self._positions(middle, turn, self.outputs, self.stride)
        sites = start[:, None, None] + y.round().long() * width[:, None, None] + x.round().long()
        return Batch(windows, self._marks[sites])

    @staticmethod
    def _positions(centre: Tensor, axes: Tensor, count: int, step: int) -> tuple[Tensor, Tensor]:
        steps = (torch.arange(count) - (count - 1) / 2) * step
        across = axes[:, :, 0, None, None] * steps[:, None] + axes[:, :, 1, None, None] * steps[None, :]
        positions = centre[:, :, None, None] + across
        return positions[:, 0], positions[:, 1]

    def _interpolate(self, y: Tensor, x: Tensor, start: Tensor, width: Tensor) -> Tensor:
        y0, x0 = y.floor(), x.floor()
        fy, fx = y - y0, x - x0
        stride = width[:, None, None]
        corner = start[:, None, None] + y0.long() * stride + x0.long()
        top = torch.lerp(self._pixels[corner], self._pixels[corner + 1], fx)
        corner = corner + stride
        bottom = torch.lerp(self._pixels[corner], self._pixels[corner + 1], fx)
        return torch.lerp(top, bottom, fy)


def _orientations(random: np.random.Generator, aligned: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Draw the tiles' own y and x axes (B, 2, 2), as columns, in the frame of the micrograph.

    Aligned ones are turned by right angles; the others by any, and enlarged by exp(-ZOOM) to exp(ZOOM).
    """
    count = len(aligned)
    angle, mirror = random.uniform(0, 2 * np.pi, count), random.choice([-1.0, 1.0], count)
    quarter = np.pi / 2
    angle = np.where(aligned, np.floor(angle / quarter) * quarter, angle)
    axes = np.stack([np.cos(angle), -np.sin(angle) * mirror, np.sin(angle), np.cos(angle) * mirror], axis=1).reshape(
        -1, 2, 2
    )
    enlarged = axes * np.exp(random.uniform(-ZOOM, ZOOM, (count, 1, 1)))
    return np.where(aligned[:, None, None], np.rint(axes), enlarged)
