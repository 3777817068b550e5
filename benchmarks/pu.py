"""The objectives of the paper, and its autoencoder, against the number of labels.

python benchmarks/pu.py --models models/ --out runs/ --data apoferritin/ --jobs 2

trains a network for each set, objective, number of labels, weight of the autoencoder and draw of labels, and writes
runs/pu.md (average precision, paired t-tests) and runs/pu.png (like Figure 5 of the paper) from runs/pu.jsonl. What is
there is not trained again; options choose a part. The protocol is in README.md beside this file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from prepared import Benchmark, Place, add_arguments, parse, prepared
from pu_tables import draw_figure, report
from rows import Row, Task

KEYS = ("set", "method", "labels", "autoencoder", "draw", "updates")
# GE-binomial with the weight of its penalty that heliodor takes, and with the paper's.
METHODS: dict[str, dict[str, Any]] = {
    **{name: {"method": name} for name in ("PN", "PU", "GE-KL", "GE-binomial")},
    "GE-binomial-1": {"method": "GE-binomial", "slack": 1.0},
}
WEIGHTS = ("0", "1", "10/N")
MOST_LABELS = {"t20s-noisy": 1000, "bgal-noisy": 1000, "rod-noisy": 1000, "apoferritin": 250}


def tasks(options: argparse.Namespace) -> Iterator[Task]:
    """All runs, draw by draw, so that what has been done at any time covers all sets and objectives.

    The weights of the autoencoder are compared with GE-binomial, as in the paper.
    """
    for draw in range(options.draws):
        for count in options.labels:
            for name in options.sets:
                if count > MOST_LABELS[name]:
                    continue
                for method in options.methods:
                    # 10/N is 1 for ten labels.
                    weights = ("1" if weight == "10/N" and count == 10 else weight for weight in options.autoencoder)
                    for weight in dict.fromkeys(weights):
                        if weight == "0" or method == "GE-binomial":
                            yield dict(zip(KEYS, (name, method, count, weight, draw, options.updates), strict=True))


def run_task(task: Task, place: Place) -> Row:
    """Train one network and test it."""
    weight = {"0": 0.0, "1": 1.0, "10/N": 10 / task["labels"]}[task["autoencoder"]]
    settings = {**METHODS[task["method"]], "autoencoder": weight, "epochs": 10, "epoch_size": task["updates"] // 10}
    return prepared(task["set"], *place).train_and_test(task["labels"], task["draw"], **settings)


def parse_arguments() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, MOST_LABELS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="objectives")
    parser.add_argument(
        "--labels", type=int, nargs="+", default=[10, 50, 100, 250, 500, 1000], help="numbers of labels"
    )
    parser.add_argument("--autoencoder", nargs="+", choices=WEIGHTS, default=WEIGHTS, help="weights")
    parser.add_argument("--draws", type=int, default=10, help="of labels")
    parser.add_argument("--updates", type=int, default=1000, help="minibatches of a training run, in ten epochs")
    options = parse(parser, MOST_LABELS)
    if options.updates < 10:
        parser.error("--updates must be 10 or more")
    return options


def tell(row: Row) -> str:
    """Return a line for people."""
    return f"AP of regions {row['ap_regions']:.3f}, of particles {row['ap_particles']:.3f}, {row['cpu_s']:.0f} s"


if __name__ == "__main__":
    options = parse_arguments()
    Benchmark("pu", KEYS, run_task, tell, report, draw_figure).run(options, tasks(options))
