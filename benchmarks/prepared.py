"""Data sets ready for training inside this process: downsampled, normalized, and split; and what networks are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from datasets import DataSet, apoferritin, simulate
from heliodor.evaluation import average_precision, match
from heliodor.evaluation.pixels import pixel_rates
from heliodor.micrographs import read_micrograph
from heliodor.networks import Classifier
from heliodor.networks.scorers import scorers_of_network
from heliodor.picking.detect import Detector
from heliodor.picking.scoring import score_maps
from heliodor.preprocess import preprocess
from heliodor.training.labels import label_map, prior
from heliodor.training.objectives import POSITIVE
from heliodor.training.tiles import Example

LABEL_RADIUS = 3.0
EXCLUSION_RADIUS = 9.0  # small pixels, 0.9 of a particle's radius: what `pick` derives
NOBODY = np.empty((0, 2))


@dataclass(frozen=True)
class Prepared:
    """A data set in small pixels; every particle of `train` and `test` is in their `positives`."""

    name: str
    train: list[Example]
    test: list[Example]
    match_radius: float

    @property
    def available(self) -> int:
        """Particles that could be labelled."""
        return sum(len(example.positives) for example in self.train)

    def labelled(self, count: int, draw: int) -> list[Example]:
        """Return the training micrographs with `count` labels at random; the other particles are unlabelled."""
        chosen = np.zeros(self.available, dtype=bool)
        chosen[np.random.default_rng((draw, count)).choice(self.available, count, replace=False)] = True
        ends = np.cumsum([len(example.positives) for example in self.train])
        parts = np.split(chosen, ends[:-1])
        return [
            Example(example.name, example.pixels, example.positives[part], NOBODY)
            for example, part in zip(self.train, parts, strict=True)
        ]

    def pi(self, count: int) -> float:
        """Return the true fraction of positive pixels among those not labelled."""
        pixels = sum(example.pixels.size for example in self.train)
        return prior(self.available / len(self.train), count, len(self.train), pixels, LABEL_RADIUS)

    def average_precisions(self, network: Classifier) -> dict[str, float]:
        """Return the average precision on the test micrographs: of regions (pixels) and of particles."""
        maps = score_maps(scorers_of_network(network, "cpu")[0], [example.pixels for example in self.test])
        detector = Detector(EXCLUSION_RADIUS, LABEL_RADIUS, -np.inf)
        hits, scores, marks = [], [], []
        for example, scored in zip(self.test, maps, strict=True):
            xy, found = detector.maxima(scored)
            hits.append(match(xy, found, example.positives, self.match_radius).hit)
            scores.append(found)
            marks.append(label_map(scored.shape, example.positives, NOBODY, LABEL_RADIUS) == POSITIVE)
        total = sum(len(example.positives) for example in self.test)
        particles = average_precision(np.concatenate(hits), np.concatenate(scores), total)
        return {"ap_regions": pixel_rates(maps, marks).average_precision, "ap_particles": particles}


def prepare(data: DataSet) -> Prepared:
    """Preprocess a set; the test micrographs are those of draw 0."""
    split, factor = data.split(0, 1), data.particle.factor

    def examples(names: Sequence[str]) -> list[Example]:
        small = {n: preprocess(read_micrograph(data.files[n], name=n), factor=factor)[0].pixels for n in names}
        return [Example(n, pixels, data.labels.of(n) / factor, NOBODY) for n, pixels in small.items()]

    return Prepared(data.name, examples(split.train), examples(split.test), data.particle.match_radius / factor)


@cache
def prepared(name: str, models: Path, folder: Path, program: str, real: Path | None) -> Prepared:
    """Make or read a set, and prepare it; once in a process.

    Simulated sets have 16 micrographs to train on, so that there are 1,000 particles to label, and 8 to test.
    """
    if name == "apoferritin":
        if real is None:
            raise FileNotFoundError("apoferritin needs --data; see README.md")
        return prepare(apoferritin(real))
    return prepare(simulate(name, models, folder, program, folds=3, count=24, empty=0))
