"""Benchmarks that train inside their own processes: data sets in small pixels, one training run, and all of them."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from datasets import SIMULATED, DataSet, apoferritin, simulate
from heliodor.evaluation import average_precision, match
from heliodor.evaluation.pixels import pixel_rates
from heliodor.micrographs import read_micrograph
from heliodor.networks import Classifier
from heliodor.networks.scorers import Machine
from heliodor.picking.detect import Detector
from heliodor.picking.scoring import score_maps
from heliodor.preprocess import preprocess
from heliodor.training.labels import label_map, prior
from heliodor.training.loop import train
from heliodor.training.objectives import POSITIVE
from heliodor.training.settings import TrainingSettings
from heliodor.training.tiles import Example
from rows import Row, Rows, Task, spread, write_report

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

    def train_and_test(self, count: int, draw: int, **settings: Any) -> Row:
        """Train with `count` labels of a draw and the true pi, on one thread; return what the network is worth."""
        torch.set_num_threads(1)
        chosen = TrainingSettings(pi=self.pi(count), label_radius=LABEL_RADIUS, seed=draw, **settings)
        examples = self.labelled(count, draw)
        wall, cpu = time.perf_counter(), time.process_time()
        network, _ = train(examples, chosen, device="cpu")
        cost = {"cpu_s": round(time.process_time() - cpu, 2), "wall_s": round(time.perf_counter() - wall, 2)}
        return {**self.average_precisions(network), **cost, "pi": chosen.pi}

    def average_precisions(self, network: Classifier) -> dict[str, float]:
        """Return the average precision on the test micrographs: of regions (pixels) and of particles."""
        maps = score_maps(Machine("cpu").scorer(network), [example.pixels for example in self.test])
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
    return prepare(simulate(name, SIMULATED[name], models, folder / "training", program, folds=3, count=24, empty=0))


Place = tuple[Path, Path, str, "Path | None"]  # what `prepared` takes besides the name


def add_arguments(parser: argparse.ArgumentParser, sets: Iterable[str], *, real: bool = True) -> None:
    """Declare the options that benchmarks of this kind share; `real`: apoferritin may be among the sets."""
    beside = str(Path(sys.executable).with_name("heliodor"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the sets and the results")
    parser.add_argument("--models", type=Path, required=True, help="folder with the atomic models; see README.md")
    if real:
        parser.add_argument(
            "--data", type=Path, default=None, help="folder of apoferritin; default: simulated sets only"
        )
    else:
        parser.set_defaults(data=None)
    parser.add_argument("--heliodor", default=beside, help="program that simulates the sets")
    parser.add_argument("--sets", nargs="+", choices=list(sets), default=None, help="default: all")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")


def parse(parser: argparse.ArgumentParser, sets: Iterable[str]) -> argparse.Namespace:
    """Read and check the options."""
    options = parser.parse_args()
    if options.sets is None:
        options.sets = [name for name in sets if name != "apoferritin" or options.data]
    if "apoferritin" in options.sets and options.data is None:
        parser.error("apoferritin needs --data")
    return options


@dataclass(frozen=True)
class Benchmark:
    """What tells one of these benchmarks from the others.

    Parameters
    ----------
    name : str
        Of its files: NAME.jsonl, NAME.md, NAME.png.
    keys : tuple of str
        Of its rows, see `rows.Rows`.
    train : callable
        Does one task; is found by name in other processes.
    tell : callable
        Makes of one row a line for people.
    report, draw : callable
        Make Markdown of all rows, and a figure.
    """

    name: str
    keys: tuple[str, ...]
    train: Callable[[Task, Place], Row]
    tell: Callable[[Row], str]
    report: Callable[[list[Row]], str]
    draw: Callable[[list[Row], Path], None]

    def run(self, options: argparse.Namespace, tasks: Iterable[Task]) -> NoReturn:
        """Do what is missing, in processes of their own, write table and figure; exit code 1 where a run failed."""
        options.out.mkdir(parents=True, exist_ok=True)
        place: Place = (options.models.resolve(), options.out.resolve() / "sets", options.heliodor, options.data)
        try:
            for name in options.sets:  # made here, lest several processes make them at once
                prepared(name, *place)
        except (FileNotFoundError, RuntimeError) as error:
            sys.exit(str(error))
        rows = Rows(options.out / f"{self.name}.jsonl", self.keys)
        pool = ProcessPoolExecutor(options.jobs, mp_context=multiprocessing.get_context("spawn"))
        failed = spread(rows, tasks, partial(self.train, place=place), pool, self.tell)
        self.draw(write_report(rows, self.report, options.out / f"{self.name}.md"), options.out / f"{self.name}.png")
        sys.exit(1 if failed else 0)
