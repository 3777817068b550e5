"""Count the labels that an average precision needs: proposed picks against labels at random.

Every seed starts from the same few labels. In each round every arm gets as many answers as the others: 'random' labels
particles at random, 'asked' gets yes or no to detections at random, 'active' gets yes or no to what
`heliodor.picking.propose` proposes. The true labels answer. README.md beside this file has the protocol.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from active_tables import report
from heliodor.find import find_micrographs
from heliodor.micrographs import read_header
from heliodor.names import MicrographFile
from heliodor.networks import Classifier, NetworkSettings
from heliodor.picking.features import window_features
from heliodor.picking.geometry import Geometry, derive_geometry, most_particles
from heliodor.picking.load import Loader
from heliodor.picking.propose import propose
from heliodor.picking.threshold import choose_threshold
from heliodor.picks import Picks
from heliodor.training.labels import prior
from heliodor.training.loop import train
from heliodor.training.settings import TrainingSettings
from heliodor.training.tiles import Example
from scoring import rank
from splits import Labels, read_labels

KEY = ("set", "seed", "arm", "answers")
NOTHING = np.empty((0, 2))


@dataclass(frozen=True)
class Data:
    """A data set in memory: downsampled micrographs, their scales to full size, and the truth."""

    name: str
    small: dict[str, np.ndarray]
    scales: dict[str, tuple[float, float]]
    truth: Labels
    geometry: Geometry
    match_radius: float  # full-size pixels

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
    negatives: Picks

    def add(self, picks: Picks, answers: np.ndarray) -> State:
        """Take answers in."""
        return State(
            Picks.join([self.positives, picks.select(answers)]), Picks.join([self.negatives, picks.select(~answers)])
        )


def load(options: argparse.Namespace) -> Data:
    """Read and preprocess everything."""
    files: list[MicrographFile] = find_micrographs([str(options.micrographs)])
    geometry = derive_geometry(options.diameter, read_header(files[0].path)[1])
    loader = Loader(geometry.pixel_size, geometry.factor)
    small, scales = {}, {}
    for file in files:
        micrograph, scales[file.name] = loader(file)
        small[file.name] = micrograph.pixels
    return Data(options.name, small, scales, read_labels(options.labels), geometry, options.match_radius)


def split(data: Data, seed: int) -> tuple[list[str], list[str]]:
    """Two thirds of the micrographs to label, one third to test."""
    names = np.random.default_rng(seed).permutation(sorted(data.small)).tolist()
    count = len(names) // 3
    return sorted(names[count:]), sorted(names[:count])


def true_picks(data: Data, names: list[str]) -> Picks:
    """Return the truth on some micrographs."""
    return Picks.join(Picks.on(name, data.truth.of(name)) for name in names)


def start(data: Data, pool: list[str], options: argparse.Namespace, seed: int) -> State:
    """First labels: random particles of two micrographs, as a person would begin."""
    random = np.random.default_rng([seed, 1])
    known = true_picks(data, random.permutation(pool)[:2].tolist())
    return State(known.select(random.permutation(len(known))[: options.first]), Picks([], NOTHING))


def train_on(data: Data, state: State, options: argparse.Namespace, seed: int) -> Classifier:
    """Train as `heliodor pick` does, for fewer minibatches, with pi from the true number of particles."""
    names = sorted({*state.positives.names, *state.negatives.names})
    examples = [
        Example(
            n,
            data.small[n],
            state.positives.of(n).xy / data.scales[n],
            state.negatives.of(n).xy / data.scales[n],
        )
        for n in names
    ]
    pixels = sum(e.pixels.size for e in examples)
    radius = data.geometry.label_radius
    settings = TrainingSettings(
        network=NetworkSettings(units=options.units, dropout=0.3 if len(state.positives) < 50 else 0.0),
        pi=prior(len(data.truth.names) / len(data.small), len(state.positives), len(names), pixels, radius),
        label_radius=radius,
        epochs=5,
        epoch_size=options.minibatches // 5,
        random_tiles=options.random_tiles,
        seed=seed,
    )
    return train(examples, settings, device="cpu")[0]


def detect(data: Data, network: Classifier, names: list[str]) -> Picks:
    """All detections on some micrographs, in full-size pixels."""
    return Picks.join(
        Picks.on(n, *data.geometry.detector(network, data.small[n])).scaled(data.scales[n]) for n in names
    )


def ask_random(data: Data, network: Classifier, state: State, pool: list[str], count: int, seed: int) -> State:
    """Label particles at random."""
    fresh = true_picks(data, pool).subtract(state.positives, data.match_radius)
    rows = np.random.default_rng([seed, 2, len(state.positives)]).permutation(len(fresh))[:count]
    return state.add(fresh.select(rows), np.ones(len(rows), dtype=bool))


def ask_any(data: Data, network: Classifier, state: State, pool: list[str], count: int, seed: int) -> State:
    """Ask about detections at random, among the best twice as many as there are particles."""
    known = Picks.join([state.positives, state.negatives])
    candidates = detect(data, network, pool)
    best = np.argsort(-candidates.scores)[: 2 * len(true_picks(data, pool))]
    fresh = candidates.select(best).subtract(known, _radius(data))
    rows = np.random.default_rng([seed, 3, len(known)]).permutation(len(fresh))[:count]
    return state.add(fresh.select(rows), data.is_particle(fresh.select(rows)))


def ask_active(data: Data, network: Classifier, state: State, pool: list[str], count: int, seed: int) -> State:
    """Ask about what is proposed."""
    candidates = detect(data, network, pool)
    expected = len(data.truth.names) / len(data.small)
    small = data.geometry.pixel_size * data.geometry.factor
    most = most_particles(np.mean([data.small[n].size for n in pool]) * small**2, data.geometry.diameter)

    def features(name: str, xy: np.ndarray) -> np.ndarray:
        return window_features(network, data.small[name], xy / data.scales[name])

    proposals = propose(
        candidates,
        state.positives,
        negatives=state.negatives,
        radius=_radius(data),
        threshold=choose_threshold([candidates.of(n).scores for n in pool], expected, most),
        names=pool,
        picks=count,
        micrographs=0,
        features=features,
    ).picks
    chosen = Picks([p.name for p in proposals], np.array([p.xy for p in proposals]))
    return state.add(chosen, data.is_particle(chosen))


ARMS: dict[str, Callable[[Data, Classifier, State, list[str], int, int], State]] = {
    "random": ask_random,
    "asked": ask_any,
    "active": ask_active,
}


def _radius(data: Data) -> float:
    return data.geometry.exclusion_radius * data.geometry.factor


@dataclass
class Results:
    """Finished runs, one JSON object a line, with what they knew, so that an arm can go on."""

    path: Path

    def rows(self) -> list[dict]:
        """All runs so far."""
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.is_file() else []

    def find(self, *key: object) -> dict | None:
        """Return the run of a data set, seed, arm and number of answers."""
        return next((row for row in self.rows() if tuple(row[k] for k in KEY) == key), None)

    def add(self, row: dict) -> None:
        """Append one run."""
        with self.path.open("a") as stream:
            stream.write(json.dumps(row) + "\n")


def run(data: Data, options: argparse.Namespace, results: Results) -> None:
    """All seeds, arms and rounds that are not there yet."""
    for seed in range(options.seeds):
        pool, test = split(data, seed)
        first = start(data, pool, options, seed)
        for arm in options.arms:
            state, network = first, None
            for answers in options.answers:
                name = "start" if answers == options.first else arm
                row = results.find(data.name, seed, name, answers)
                if answers > options.first:
                    before = len(state.positives) + len(state.negatives)
                    if row is not None:
                        state = _state(row)
                    else:
                        network = network or train_on(data, state, options, seed)
                        state = ARMS[arm](data, network, state, pool, answers - before, seed)
                    network = None
                if row is None:
                    began = time.process_time()
                    network = train_on(data, state, options, seed)
                    row = {"set": data.name, "seed": seed, "arm": name, "answers": answers}
                    row |= measure(data, network, test) | _listed(state)
                    results.add(row | {"cpu_s": round(time.process_time() - began, 1)})
                    print(*(row[k] for k in KEY), f"AP {row['ap']:.4f}, {len(state.negatives)} negatives", flush=True)


def measure(data: Data, network: Classifier, test: list[str]) -> dict:
    """Average precision on the micrographs that nobody labels."""
    found = detect(data, network, test)
    summary = rank(Labels(found.names.tolist(), found.xy, found.scores), data.truth, test, data.match_radius).summary()
    return {"ap": summary["ap"], "best_f1": summary["best_f1"]}


def _listed(state: State) -> dict:
    tables = {"positives": state.positives, "negatives": state.negatives}
    return {key: [[n, *xy] for n, xy in zip(t.names, t.xy.round(2).tolist(), strict=True)] for key, t in tables.items()}


def _state(row: dict) -> State:
    tables = (row["positives"], row["negatives"])
    return State(*(Picks([n for n, *_ in t], np.array([xy for _, *xy in t]).reshape(-1, 2)) for t in tables))


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--name", required=True, help="of the data set, for the tables")
    parser.add_argument("--micrographs", type=Path, required=True, help="folder")
    parser.add_argument("--labels", type=Path, required=True, help="all true particles: image_name x_coord y_coord")
    parser.add_argument("--diameter", type=float, required=True, help="angstrom")
    parser.add_argument("--match-radius", type=float, required=True, help="full-size pixels")
    parser.add_argument("--out", type=Path, required=True, help="folder for results.jsonl and results.md")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=10, help="labels that every arm starts from")
    parser.add_argument("--answers", type=int, nargs="+", default=[20, 40, 80], help="answers after each round")
    parser.add_argument("--minibatches", type=int, default=250, help="of a training")
    parser.add_argument("--random-tiles", type=int, default=24, help="of a minibatch")
    parser.add_argument("--units", type=int, default=16, help="of the network's first layer")
    options = parser.parse_args()
    options.answers = [options.first, *options.answers]
    return options


def main() -> None:
    """Run, then print the table and write it to results.md."""
    options = parse_arguments()
    for path in (options.micrographs, options.labels):
        if not path.exists():
            sys.exit(f"{path}: there is no such file or folder; see README.md for what is needed")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    results = Results(options.out / "results.jsonl")
    run(load(options), options, results)
    text = report(results.rows())
    (options.out / "results.md").write_text(text)
    print(f"\n{text}", end="")


if __name__ == "__main__":
    main()
