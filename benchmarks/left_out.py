"""Accuracy on each protein that heliodor's networks are pretrained on, by a network that has not seen it.

python benchmarks/left_out.py --models models/ --out runs/

pretrains conv31 once for each of three groups of proteins, without them, and picks simulated micrographs of each
protein with the network of its group, without labels and with some. Writes runs/left-out.md from runs/left-out.jsonl;
what is there is not done again. The protocol is in README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from accuracy import KEYS, add_method_argument, tell, with_method, work_folder
from accuracy_tables import report
from datasets import DataSet, Simulated, simulate
from programs import Job, version_of
from rows import Row, Rows, Task, spread, write_report
from runs import run_and_score

# Kin stay together: 3j9i is part of 6utj and 4cr2, and 1qvr and 3cf3 are rings of the same domains.
GROUPS = (
    ("1bxn", "3j9i", "4cr2", "5ni1", "6utj"),
    ("1qvr", "3cf3", "3d2f", "5a1a", "6rd4"),
    ("2uv8", "4v4r_30S", "5gjv", "7cth"),
)
# Long axes in angstrom, as a person would see them: 0.9 times twice the distance of the farthest atom from the centre.
DIAMETERS = {
    "1bxn": 120,
    "1qvr": 190,
    "2uv8": 260,
    "3cf3": 150,
    "3d2f": 110,
    "3j9i": 160,
    "4cr2": 240,
    "4v4r_30S": 200,
    "5a1a": 160,
    "5gjv": 190,
    "5ni1": 65,
    "6rd4": 230,
    "6utj": 220,
    "7cth": 460,
}
SNR, PARTICLES = (0.06, 0.6), (15, 250)  # a set draws its own from these ranges, on logarithmic scales
JUNKY = 0.5  # share of the sets with junk
PRETRAINING = ("--network", "conv31", "--shapes", "48", "--epochs", "24", "--epoch-size", "400")
NETWORKS = Path(__file__).with_name("networks")  # with which rows were made, so that others are made with the same
PRETRAIN = Path(__file__).resolve().parents[1] / "pretraining" / "pretrain.py"


def set_name(protein: str, series: int) -> str:
    """Return the name of the set of a protein in a series of conditions."""
    return f"{protein}-series{series}" if series else protein


def conditions(protein: str, series: int = 0) -> Simulated:
    """Draw what the set of a protein is like in a series; its place in the list decides."""
    number = sorted(DIAMETERS).index(protein)
    rng = np.random.default_rng([number, 0x1EF7, series] if series else [number, 0x1EF7])
    snr, particles = (float(np.exp(rng.uniform(*np.log(limits)))) for limits in (SNR, PARTICLES))
    few_to_many = (round(0.8 * particles), round(1.2 * particles))
    return Simulated(
        protein,
        DIAMETERS[protein],
        few_to_many,
        ("snr", round(snr, 3)),
        2000 + number + 100 * series,
        bool(rng.random() < JUNKY),
    )


def chosen_conditions(options: argparse.Namespace) -> dict[str, Simulated]:
    """Return what the sets that were asked for are like, by name."""
    return {set_name(protein, options.series): conditions(protein, options.series) for protein in options.sets}


def pretrain(group: tuple[str, ...], options: argparse.Namespace) -> Path:
    """Return the network that has not seen a group: one that stands beside this file, or trained if it is not there."""
    name, folder = f"conv31_u32-without-{'-'.join(group)}.safetensors", options.out / "networks"
    if (NETWORKS / name).is_file():
        return NETWORKS / name
    network: Path = folder / name
    if not network.is_file():
        command = [sys.executable, str(PRETRAIN), "--models", str(options.models), "--out", str(folder), *PRETRAINING]
        variables = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
        subprocess.run([*command, "--leave-out", *group], check=True, env=variables)
    return network


def networks_of(proteins: Iterable[str], options: argparse.Namespace) -> dict[str, Path]:
    """Return, for each of the proteins and its kin, the network that has not seen it."""
    groups = [group for group in GROUPS if set(group) & set(proteins)]
    with ThreadPoolExecutor(options.jobs) as pool:
        networks = list(pool.map(lambda group: pretrain(group, options), groups))
    return {name: network for group, network in zip(groups, networks, strict=True) for name in group}


def tasks(sets: dict[str, DataSet], version: str, options: argparse.Namespace) -> Iterator[Task]:
    """All runs, draw by draw."""
    for draw in range(options.draws):
        for count in options.labels:
            for name in sets:
                program = "heliodor" if count else "general"
                training = with_method("protein left out", program, options)
                yield dict(zip(KEYS, (program, version, training, name, count, draw), strict=True))


def run_task(task: Task, data: DataSet, start: Path, options: argparse.Namespace) -> Row:
    """Pick one set, in a folder of its own."""
    folder = work_folder(task, options, "set", "labels", "draw")
    split = data.split(task["draw"], task["labels"])
    place = (data.folder, data.files, folder, data.labels, split, options.threads, data.particle)
    job = Job(*place, empty=data.empty, start=start, method=options.method)
    return run_and_score(task["program"], options.heliodor, job)


def run_all(name: str, work: Callable[[Task], Row], sets: dict[str, DataSet], options: argparse.Namespace) -> None:
    """Do what is missing from the rows of a benchmark, write its tables, and end; exit code 1 where a run failed."""
    rows = Rows(options.out / f"{name}.jsonl", KEYS)
    todo = tasks(sets, version_of(options.heliodor), options)
    failed = spread(rows, todo, work, ThreadPoolExecutor(options.jobs), tell)
    write_report(rows, report, options.out / f"{name}.md")
    sys.exit(1 if failed else 0)


def add_run_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Add where things are and how much is run, and read the command line."""
    parser.add_argument("--out", type=Path, required=True, help="folder for networks, sets, runs and results")
    parser.add_argument("--models", type=Path, required=True, help="folder with models and densities; see README.md")
    parser.add_argument("--heliodor", default=str(Path(sys.executable).with_name("heliodor")), help="program")
    add_method_argument(parser)
    parser.add_argument("--labels", type=int, nargs="+", default=[0, 10], help="numbers of labels; 0: none")
    parser.add_argument("--draws", type=int, default=1, help="of test micrographs and labels")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="processor threads of each run")
    options = parser.parse_args()
    options.out, options.models = options.out.resolve(), options.models.resolve()
    return options


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sets", nargs="+", choices=sorted(DIAMETERS), default=sorted(DIAMETERS), help="proteins; default: all"
    )
    parser.add_argument("--series", type=int, default=0, help="of conditions: another number, other sets")
    return add_run_arguments(parser)


def main() -> None:
    """Train and run what is missing, then write the tables; exit code 1 where a run failed."""
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    conditions_of = chosen_conditions(options)
    try:
        networks = networks_of(options.sets, options)
        sets = {
            name: simulate(name, chosen, options.models, options.out / "sets", options.heliodor)
            for name, chosen in conditions_of.items()
        }
    except (FileNotFoundError, RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))

    def work(task: Task) -> Row:
        chosen, data = conditions_of[task["set"]], sets[task["set"]]
        row = run_task(task, data, networks[chosen.model], options)
        return {chosen.noise[0]: chosen.noise[1], "junk": chosen.junk, **row}

    run_all("left-out", work, sets, options)


if __name__ == "__main__":
    main()
