"""What learns from answers in active.py: the network of `heliodor pick`, or a stand-in that takes a second."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from heliodor.find import find_micrographs
from heliodor.micrographs import FLAT, read_header
from heliodor.networks import Classifier, NetworkSettings
from heliodor.picking.blobs import find_blobs
from heliodor.picking.features import window_features
from heliodor.picking.geometry import Geometry, derive_geometry
from heliodor.picking.learn import DROPOUT, EPOCH_FROM_START, FEW_LABELS, START_SHARE
from heliodor.picking.load import Loader
from heliodor.picks import Picks
from heliodor.training.labels import prior
from heliodor.training.loop import train
from heliodor.training.objectives import NEGATIVE, POSITIVE, UNLABELED, ge_binomial
from heliodor.training.settings import TrainingSettings
from heliodor.training.tiles import Example
from splits import Labels, read_labels

NOTHING = Picks([], np.empty((0, 2)))


@dataclass(frozen=True)
class Data:
    """A data set in memory: downsampled micrographs, their scales to full size, and the truth."""

    name: str
    small: dict[str, np.ndarray]
    scales: dict[str, tuple[float, float]]
    truth: Labels
    geometry: Geometry
    match_radius: float  # full-size pixels

    @classmethod
    def load(cls, name: str, folder: Path, labels: Path, diameter: float, match_radius: float) -> Data:
        """Read and preprocess everything."""
        files = find_micrographs([str(folder)])
        geometry = derive_geometry(diameter, read_header(files[0].path)[1])
        loader = Loader(geometry.pixel_size, geometry.factor, FLAT)
        small, scales = {}, {}
        for file in files:
            micrograph, scales[file.name] = loader(file)
            small[file.name] = micrograph.seen
        return cls(name, small, scales, read_labels(labels), geometry, match_radius)

    @property
    def expected(self) -> float:
        """Particles per micrograph."""
        return len(self.truth.names) / len(self.small)

    @property
    def apart(self) -> float:
        """Least distance of two detections, in full-size pixels."""
        return self.geometry.exclusion_radius * self.geometry.factor

    def true_picks(self, names: Iterable[str]) -> Picks:
        """Return the truth on some micrographs."""
        return Picks.join(Picks.on(name, self.truth.of(name)) for name in names)

    def is_particle(self, picks: Picks) -> np.ndarray:
        """Answer as a person who knows the truth, (N,) bool: whether a particle is within the match radius."""
        answers = []
        for name, xy in zip(picks.names, picks.xy, strict=True):
            apart = np.linalg.norm(self.truth.of(name) - xy, axis=1)
            answers.append(bool(len(apart)) and bool(apart.min() <= self.match_radius))
        return np.array(answers, dtype=bool)


@dataclass
class State:
    """What one arm knows."""

    positives: Picks
    negatives: Picks = field(default_factory=lambda: NOTHING)

    @property
    def known(self) -> Picks:
        """All answers."""
        return Picks.join([self.positives, self.negatives])

    def add(self, picks: Picks, answers: np.ndarray) -> State:
        """Take answers in."""
        more = (picks.select(answers), picks.select(~answers))
        return State(Picks.join([self.positives, more[0]]), Picks.join([self.negatives, more[1]]))


class Learner(Protocol):
    """Something trained."""

    def detect(self, names: Iterable[str]) -> Picks:
        """Return all detections on some micrographs, in full-size pixels."""
        ...

    def features(self, name: str, xy: np.ndarray) -> np.ndarray:
        """Return what it sees at (N, 2) full-size pixels of a micrograph, (N, D)."""
        ...


@dataclass(frozen=True)
class Network:
    """The network of `heliodor pick`, with pi from the true number of particles.

    From given weights it is trained as `pick` does; from nothing with half of the units and fewer minibatches.
    """

    data: Data
    network: Classifier

    @classmethod
    def train(cls, data: Data, state: State, seed: int, *, start: Classifier | None) -> Network:
        """Train on the micrographs that have answers."""
        names = sorted(set(state.known.names))
        examples = []
        for n in names:
            centres = (table.of(n).xy / data.scales[n] for table in (state.positives, state.negatives))
            examples.append(Example(n, data.small[n], *centres))
        pixels, radius = sum(e.pixels.size for e in examples), data.geometry.label_radius
        few = len(state.positives) < FEW_LABELS
        settings = TrainingSettings(
            network=start.settings if start else NetworkSettings(units=16, dropout=DROPOUT if few else 0.0),
            pi=prior(data.expected, len(state.positives), len(names), pixels, radius),
            label_radius=radius,
            seed=seed,
        )
        if start:
            share = START_SHARE if few else settings.start_share
            settings = replace(settings, epoch_size=EPOCH_FROM_START, start_share=share).from_start()
        else:
            settings = replace(settings, epochs=5, epoch_size=50, random_tiles=24)
        return cls(data, train(examples, settings, start=start, device="cpu")[0])

    def detect(self, names: Iterable[str]) -> Picks:
        """See `Learner`."""
        find, small, scales = self.data.geometry.detector, self.data.small, self.data.scales
        return Picks.join(Picks.on(n, *find(self.network, small[n])).scaled(scales[n]) for n in names)

    def features(self, name: str, xy: np.ndarray) -> np.ndarray:
        """See `Learner`."""
        return window_features(self.network, self.data.small[name], xy / self.data.scales[name])


HALF, HIDDEN, STEPS = 15, 16, 300
RINGS = np.rint(np.hypot(*np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1])).astype(int).ravel()


@dataclass(frozen=True)
class StandIn:
    """Sixteen hidden units that see the mean and spread of a window's rings, trained by the same objective.

    Detections are blobs at fixed places; only their scores are learned.
    """

    data: Data
    network: torch.nn.Sequential
    middle: np.ndarray
    spread: np.ndarray

    @classmethod
    def train(cls, data: Data, state: State, seed: int) -> StandIn:
        """Train on the micrographs that have answers."""
        names = sorted(set(state.known.names))
        unlabeled = Picks.join(blobs(data, n) for n in names).subtract(state.known, data.apart)
        tables = {POSITIVE: state.positives, NEGATIVE: state.negatives, UNLABELED: unlabeled}
        seen = [rings(data, n, table.of(n).xy) for table in tables.values() for n in names]
        marks = [np.full(len(table.of(n)), mark) for mark, table in tables.items() for n in names]
        x, labels = np.concatenate(seen), torch.from_numpy(np.concatenate(marks))
        middle, spread = x.mean(axis=0), x.std(axis=0)
        inputs = torch.from_numpy((x - middle) / spread).float()
        pi = np.clip((data.expected * len(names) - len(state.positives)) / len(unlabeled), 0.02, 0.9)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = torch.nn.Sequential(
                torch.nn.Linear(x.shape[1], HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 1)
            )
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.02, weight_decay=0.1)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        for _ in range(STEPS):
            optimizer.zero_grad()
            ge_binomial(network(inputs)[:, 0], labels, float(pi), 240 / len(unlabeled)).total.backward()
            optimizer.step()
            schedule.step()
        return cls(data, network.eval(), middle, spread)

    def detect(self, names: Iterable[str]) -> Picks:
        """See `Learner`."""
        parts = []
        for name in names:
            xy = blobs(self.data, name).xy
            scores = self.network(self._inputs(name, xy))[:, 0].detach().numpy()
            parts.append(Picks.on(name, xy, scores))
        return Picks.join(parts)

    def features(self, name: str, xy: np.ndarray) -> np.ndarray:
        """See `Learner`."""
        return self.network[:2](self._inputs(name, xy)).detach().numpy()

    def _inputs(self, name: str, xy: np.ndarray) -> torch.Tensor:
        return torch.from_numpy((rings(self.data, name, xy) - self.middle) / self.spread).float()


_BLOBS: dict[tuple[str, str], Picks] = {}


def blobs(data: Data, name: str) -> Picks:
    """Find blobs of the particle's size, weak ones too, in full-size pixels; kept, since they never change."""
    if (data.name, name) not in _BLOBS:
        span, apart = data.geometry.span, data.geometry.exclusion_radius
        found = find_blobs(data.small[name], (span, span), threshold=0.3, exclusion_radius=apart, junk=np.inf)
        _BLOBS[data.name, name] = Picks.on(name, found.xy).scaled(data.scales[name])
    return _BLOBS[data.name, name]


def rings(data: Data, name: str, xy: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each ring around (N, 2) full-size pixels: (N, 2 (HALF + 1))."""
    side, pixels = 2 * HALF + 1, data.small[name]
    windows = sliding_window_view(np.pad(pixels, HALF), (side, side))
    x, y = np.clip(np.rint(xy / data.scales[name]), 0, np.array(pixels.shape[::-1]) - 1).astype(int).reshape(-1, 2).T
    cut = windows[y, x].reshape(len(x), side * side)
    parts = [cut[:, r == RINGS] for r in range(HALF + 1)]
    return np.concatenate([[p.mean(axis=1) for p in parts], [p.std(axis=1) for p in parts[1:]]]).T
