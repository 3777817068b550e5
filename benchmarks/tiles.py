"""Training on tiles against training on single regions: average precision against processor time.

python benchmarks/tiles.py --models models/ --out runs/ --data apoferritin/

trains with budgets that double, each with its whole schedule of rates, on one thread, and writes runs/tiles.md and
runs/tiles.png from runs/tiles.jsonl. What is there is not trained again. The protocol is in README.md beside this file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from prepared import Benchmark, Place, add_arguments, parse, prepared
from rows import Row, Task

KEYS = ("set", "labels", "kind", "updates", "seed")
SETS = ("t20s-noisy-junk", "apoferritin")
# Single regions as in the paper: 16 labelled and 240 others in a minibatch. Tiles as `pick` takes them.
KINDS = {
    "tiles": {"outputs": 4, "label_tiles": 8, "random_tiles": 40},
    "regions": {"outputs": 1, "label_tiles": 16, "random_tiles": 240},
}


def tasks(options: argparse.Namespace) -> Iterator[Task]:
    """All runs, short ones first."""
    for updates in options.updates:
        for seed in range(options.seeds):
            for name in options.sets:
                for count in options.labels:
                    for kind in KINDS:
                        yield dict(zip(KEYS, (name, count, kind, updates, seed), strict=True))


def run_task(task: Task, place: Place) -> Row:
    """Train one network and test it."""
    settings = {"epochs": 10, "epoch_size": task["updates"] // 10, **KINDS[task["kind"]]}
    return prepared(task["set"], *place).train_and_test(task["labels"], task["seed"], **settings)


def report(rows: list[Row]) -> str:
    """Make a table of all budgets: processor seconds and average precision of particles, seed by seed."""
    head = ["set", "labels", "minibatches of", "number", "processor s", "average precision", "of each seed"]
    lines = [head, ["---"] * len(head)]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["set"], -row["labels"], row["kind"], row["updates"], row["seed"])):
        groups.setdefault((row["set"], row["labels"], row["kind"], row["updates"]), []).append(row)
    for key, own in groups.items():
        aps = [row["ap_particles"] for row in own]
        values = [f"{mean(row['cpu_s'] for row in own):.0f}", f"{mean(aps):.3f}", " ".join(f"{ap:.3f}" for ap in aps)]
        lines.append([*(str(part) for part in key), *values])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def draw_figure(rows: list[Row], path: Path) -> None:
    """Draw average precision against processor time: a panel for each set and number of labels, lines for seeds."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys((row["set"], row["labels"]) for row in rows))
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3.2), squeeze=False)
    for panel, (name, count) in zip(axes[0], panels, strict=True):
        for colour, kind in enumerate(KINDS):
            for seed in sorted({row["seed"] for row in rows}):
                own = [row for row in rows if (row["set"], row["labels"], row["kind"], row["seed"])
                       == (name, count, kind, seed)]  # fmt: skip
                own.sort(key=lambda row: row["updates"])
                label = kind if seed == 0 else None
                values = [[row[key] for row in own] for key in ("cpu_s", "ap_particles")]
                panel.plot(*values, marker="o", color=f"C{colour}", label=label)
        panel.set(title=f"{name}, {count} labels", xlabel="processor seconds of training", xscale="log")
    axes[0, 0].set_ylabel("average precision")
    axes[0, -1].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def parse_arguments() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, SETS)
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 10], help="numbers of labels")
    parser.add_argument("--updates", type=int, nargs="+", default=[50, 100, 200, 400, 800, 1600, 3200, 6400])
    parser.add_argument("--seeds", type=int, default=3, help="of labels and training")
    options = parse(parser, SETS)
    if min(options.updates) < 10:
        parser.error("--updates must be 10 or more")
    return options


def tell(row: Row) -> str:
    """Return a line for people."""
    return f"AP {row['ap_particles']:.3f} after {row['cpu_s']:.0f} s"


if __name__ == "__main__":
    options = parse_arguments()
    Benchmark("tiles", KEYS, run_task, tell, report, draw_figure).run(options, tasks(options))
