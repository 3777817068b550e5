"""Count the labels that an average precision needs: proposed picks against labels at random.

Every seed starts from the same few labels. In each round every arm gets as many answers as the others: 'random' labels
particles at random, 'asked' gets yes or no to detections at random, 'active' gets yes or no to what
`heliodor.picking.propose` proposes. The true labels answer. README.md beside this file has the protocol.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from active_learners import Data, Learner, Network, StandIn, State
from active_tables import report
from heliodor.networks import load_network
from heliodor.picking.propose import propose
from heliodor.picks import Picks
from rows import Rows
from scoring import rank
from splits import Labels

KEY = ("set", "learner", "seed", "arm", "answers")
START = "start"


def split(data: Data, seed: int) -> tuple[list[str], list[str]]:
    """Two thirds of the micrographs to label, one third to test."""
    names = np.random.default_rng(seed).permutation(sorted(data.small)).tolist()
    count = len(names) // 3
    return sorted(names[count:]), sorted(names[:count])


def start(data: Data, pool: list[str], count: int, seed: int) -> State:
    """First labels: random particles of two micrographs, as a person would begin."""
    random = np.random.default_rng([seed, 1])
    known = data.true_picks(random.permutation(pool)[:2].tolist())
    return State(known.select(random.permutation(len(known))[:count]))


def ask_random(data: Data, learner: Learner, state: State, pool: list[str], count: int, seed: int) -> State:
    """Label particles at random."""
    fresh = data.true_picks(pool).subtract(state.positives, data.match_radius)
    rows = np.random.default_rng([seed, 2, len(state.positives)]).permutation(len(fresh))[:count]
    return state.add(fresh.select(rows), np.ones(len(rows), dtype=bool))


def ask_any(data: Data, learner: Learner, state: State, pool: list[str], count: int, seed: int) -> State:
    """Ask about detections at random, among the best twice as many as there are particles."""
    candidates = learner.detect(pool)
    best = np.argsort(-candidates.scores)[: round(2 * data.expected * len(pool))]
    fresh = candidates.select(best).subtract(state.known, data.apart)
    rows = np.random.default_rng([seed, 3, len(state.known)]).permutation(len(fresh))[:count]
    return state.add(fresh.select(rows), data.is_particle(fresh.select(rows)))


def ask_active(data: Data, learner: Learner, state: State, pool: list[str], count: int, seed: int) -> State:
    """Ask about what is proposed, with the threshold where there are as many picks as particles."""
    candidates = learner.detect(pool)
    expected = min(round(data.expected * len(pool)), len(candidates))
    proposals = propose(
        candidates,
        state.positives,
        negatives=state.negatives,
        radius=data.apart,
        threshold=float(np.sort(candidates.scores)[-expected]),
        names=pool,
        picks=count,
        micrographs=0,
        features=learner.features,
    ).picks
    chosen = Picks([p.name for p in proposals], np.array([p.xy for p in proposals]))
    return state.add(chosen, data.is_particle(chosen))


ARMS: dict[str, Callable[[Data, Learner, State, list[str], int, int], State]] = {
    "random": ask_random,
    "asked": ask_any,
    "active": ask_active,
}


def run(data: Data, options: argparse.Namespace, rows: Rows) -> None:
    """All seeds, arms and rounds that are not there yet."""
    train: Callable[[Data, State, int], Learner] = StandIn.train
    learner_name = options.learner
    if options.start and options.learner == "network":
        learner_name = f"from {options.start.stem}"
    if options.learner == "network":
        train = partial(Network.train, start=load_network(options.start)[0] if options.start else None)
    for seed in range(options.seeds):
        pool, test = split(data, seed)
        first = start(data, pool, options.first, seed)
        for arm in options.arms:
            state, learner = first, None
            for answers in [options.first, *options.answers]:
                name = START if answers == options.first else arm
                key = (data.name, learner_name, seed, name, answers)
                row = next((row for row in rows.all() if tuple(row[k] for k in KEY) == key), None)
                if row is not None:
                    state, learner = from_json(row), None
                    continue
                began = time.process_time()
                if name != START:
                    learner = learner or train(data, state, seed)
                    state = ARMS[arm](data, learner, state, pool, answers - len(state.known), seed)
                learner = train(data, state, seed)
                row = dict(zip(KEY, key, strict=True)) | measure(data, learner, test) | to_json(state)
                rows.add(row | {"cpu_s": round(time.process_time() - began, 1)})
                print(*key, f"AP {row['ap']:.4f}, {len(state.negatives)} negatives", flush=True)


def measure(data: Data, learner: Learner, test: list[str]) -> dict:
    """Average precision on the micrographs that nobody labels."""
    found = learner.detect(test)
    summary = rank(Labels(found.names.tolist(), found.xy, found.scores), data.truth, test, data.match_radius).summary()
    return {"ap": summary["ap"], "best_f1": summary["best_f1"]}


def to_json(state: State) -> dict:
    """Both tables of answers."""
    tables = {"positives": state.positives, "negatives": state.negatives}
    return {key: [[n, *xy] for n, xy in zip(t.names, t.xy.round(2).tolist(), strict=True)] for key, t in tables.items()}


def from_json(row: dict) -> State:
    """Answers of a run that is done."""
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
    parser.add_argument("--learner", choices=("network", "stand-in"), default="network")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=10, help="labels that every arm starts from")
    parser.add_argument("--answers", type=int, nargs="+", default=[20, 40, 80], help="answers after each round")
    parser.add_argument("--start", type=Path, help="network that training starts from; default: none")
    return parser.parse_args()


def main() -> None:
    """Run, then print the table and write it to results.md."""
    options = parse_arguments()
    for path in (options.micrographs, options.labels):
        if not path.exists():
            sys.exit(f"{path}: there is no such file or folder; see README.md for what is needed")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = Rows(options.out / "results.jsonl", KEY)
    data = Data.load(options.name, options.micrographs, options.labels, options.diameter, options.match_radius)
    run(data, options, rows)
    text = report(rows.all())
    (options.out / "results.md").write_text(text)
    print(f"\n{text}", end="")


if __name__ == "__main__":
    main()
