"""The objectives of the paper, and its autoencoder, against the number of labels.

python benchmarks/pu.py --models models/ --out runs/ --data apoferritin/ --jobs 2

trains a network for each set, objective, number of labels, weight of the autoencoder and draw of labels, and writes
runs/pu.md (average precision, paired t-tests) and runs/pu.png (like Figure 5 of the paper) from runs/pu.jsonl. What is
there is not trained again; options choose a part. The protocol is in README.md beside this file.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from prepared import LABEL_RADIUS, prepared
from pu_tables import draw_figure, report
from rows import Row, Rows, spread

KEYS = ("set", "method", "labels", "autoencoder", "draw", "updates")
METHODS = ("PN", "PU", "GE-KL", "GE-binomial")
WEIGHTS = ("0", "1", "10/N")
MOST_LABELS = {"t20s-noisy": 1000, "bgal-noisy": 1000, "rod-noisy": 1000, "apoferritin": 250}


def tasks(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """All runs, draw by draw, so that what has been done at any time covers all sets and objectives.

    The autoencoder's weights are compared with GE-binomial, as in the paper; 10/N is 1 for 10 labels.
    """
    for draw in range(options.draws):
        for count in options.labels:
            for name in options.sets:
                if count > MOST_LABELS[name]:
                    continue
                for method in options.methods:
                    for weight in options.autoencoder:
                        if weight == "0" or (method == "GE-binomial" and not (weight == "10/N" and count == 10)):
                            yield dict(zip(KEYS, (name, method, count, weight, draw, options.updates), strict=True))


def run_task(task: dict[str, Any], place: tuple[Any, ...]) -> Row:
    """Train one network and test it; on one thread."""
    import torch

    from heliodor.training.loop import train
    from heliodor.training.settings import TrainingSettings

    torch.set_num_threads(1)
    data = prepared(task["set"], *place)
    count = task["labels"]
    settings = TrainingSettings(
        method=task["method"],
        pi=data.pi(count),
        label_radius=LABEL_RADIUS,
        autoencoder={"0": 0.0, "1": 1.0, "10/N": 10 / count}[task["autoencoder"]],
        epochs=10,
        epoch_size=task["updates"] // 10,
        seed=task["draw"],
    )
    started = time.process_time()
    network, history = train(data.labelled(count, task["draw"]), settings, device="cpu")
    seconds = time.process_time() - started
    return {**data.average_precisions(network), "pi": settings.pi, "loss": history[-1]["loss"], "train_cpu_s": seconds}


def parse_arguments() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the sets and the results")
    parser.add_argument("--models", type=Path, required=True, help="folder with the atomic models; see README.md")
    parser.add_argument("--data", type=Path, default=None, help="folder of apoferritin; default: simulated sets only")
    parser.add_argument(
        "--heliodor", default=str(Path(sys.executable).with_name("heliodor")), help="simulates the sets"
    )
    parser.add_argument("--sets", nargs="+", choices=MOST_LABELS, default=None, help="default: all")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="objectives")
    parser.add_argument(
        "--labels", type=int, nargs="+", default=[10, 50, 100, 250, 500, 1000], help="numbers of labels"
    )
    parser.add_argument("--autoencoder", nargs="+", choices=WEIGHTS, default=WEIGHTS, help="weights")
    parser.add_argument("--draws", type=int, default=10, help="of labels")
    parser.add_argument("--updates", type=int, default=1000, help="minibatches of a training run, in ten epochs")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    if options.sets is None:
        options.sets = [name for name in MOST_LABELS if name != "apoferritin" or options.data]
    if "apoferritin" in options.sets and options.data is None:
        parser.error("apoferritin needs --data")
    if options.updates < 10:
        parser.error("--updates must be 10 or more")
    return options


def tell(row: Row) -> str:
    """Return a line for people."""
    return f"AP of regions {row['ap_regions']:.3f}, of particles {row['ap_particles']:.3f}, {row['train_cpu_s']:.0f} s"


def main() -> None:
    """Train what is missing, then write tables and figure; exit code 1 where a run failed."""
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    place = (options.models, options.out / "pu-sets", options.heliodor, options.data)
    try:
        for name in options.sets:  # made here, lest several processes make them at once
            prepared(name, *place)
    except FileNotFoundError as error:
        sys.exit(str(error))
    rows = Rows(options.out / "pu.jsonl", KEYS)
    pool = ProcessPoolExecutor(options.jobs, mp_context=multiprocessing.get_context("spawn"))
    failed = spread(rows, tasks(options), partial(run_task, place=place), pool, tell)
    if not rows.all():
        sys.exit("nothing was trained")
    text = report(rows.all())
    (options.out / "pu.md").write_text(text)
    draw_figure(rows.all(), options.out / "pu.png")
    print(f"\n{text}", end="")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
