"""Accuracy of heliodor beside topaz-em, on simulated sets with known truth and on real apoferritin.

python benchmarks/accuracy.py --models models/ --out runs/ --topaz /path/to/topaz --data apoferritin/

makes the sets from their seeds, runs every program on every set with the same labels, and writes runs/accuracy.md from
runs/accuracy.jsonl. A run that is there is not run again. The protocol is in README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from accuracy_tables import report
from datasets import SIMULATED, DataSet, apoferritin, chosen_names, simulate
from programs import OURS, PROGRAMS, UNLABELLED, Job, TopazTraining, version_of, why_no_general_network
from rows import Row, Rows, Task, spread, write_report
from runs import run_and_score

TRAINED = ("heliodor", "heliodor-n")  # the programs that train by an objective, from a network
STARTED = (*TRAINED, "general")  # those that can be given this network
KEYS = ("program", "version", "training", "set", "labels", "draw")


def training_of(program: str, options: argparse.Namespace) -> str:
    """Say how a program trains, where the options do."""
    if program not in OURS:
        return " ".join(options.topaz_training.words)
    start = f"--start {options.start.name}" if options.start and program in STARTED else ""
    return with_method(start, program, options)


def with_method(training: str, program: str, options: argparse.Namespace) -> str:
    """Say by what a program of heliodor trains as well, where the options do."""
    return f"{training} --method {options.method}".lstrip() if options.method and program in TRAINED else training


def tasks(sets: dict[str, DataSet], versions: dict[str, str], options: argparse.Namespace) -> Iterator[Task]:
    """All runs, draw by draw, so that what has been done at any time covers all sets."""

    def task(program: str, name: str, count: int, draw: int) -> Task:
        values = (program, versions[program], training_of(program, options), name, count, draw)
        return dict(zip(KEYS, values, strict=True))

    for draw in range(options.draws):
        for name, data in sets.items():
            for program in (program for program in options.programs if program in UNLABELLED):
                yield task(program, name, 0, draw)
            available = sum(len(data.labels.of(micrograph)) for micrograph in data.split(draw, 0).train)
            for count in options.labels:
                if available < count:
                    print(f"{name}, draw {draw}: {available} particles to label, not {count}: left out", flush=True)
                    continue
                for program in (program for program in options.programs if program not in UNLABELLED):
                    yield task(program, name, count, draw)


def run_task(task: Task, data: DataSet, options: argparse.Namespace) -> Row:
    """Run one program on one split, in a folder of its own."""
    folder = work_folder(task, options, "program", "set", "labels", "draw")
    split = data.split(task["draw"], task["labels"])
    place = (data.folder, data.files, folder, data.labels, split, options.threads, data.particle)
    executable = options.heliodor if task["program"] in OURS else options.topaz
    job = Job(*place, options.topaz_training, data.empty, all_picked=False, start=options.start, method=options.method)
    return run_and_score(task["program"], executable, job)


def work_folder(task: Task, options: argparse.Namespace, *keys: str) -> Path:
    """Return the folder of a run, told apart by these keys and by the objective."""
    return options.out / "work" / "-".join([*(str(task[key]) for key in keys), *filter(None, [options.method])])


def make_sets(options: argparse.Namespace) -> dict[str, DataSet]:
    """Make or read the sets to use."""
    sets = {}
    for name in chosen_names(options.sets, real=options.data is not None):
        print(f"data set {name}", flush=True)
        if name == "apoferritin":
            sets[name] = apoferritin(options.data)
        else:
            sets[name] = simulate(name, SIMULATED[name], options.models, options.out / "sets", options.heliodor)
    return sets


def leave_out_unlabelled(sets: dict[str, DataSet], options: argparse.Namespace) -> None:
    """Take the programs that need no labels out of the list, and say so, where this heliodor has none."""
    if not set(options.programs) & set(UNLABELLED):
        return
    data = next(iter(sets.values()))
    reason = why_no_general_network(options.heliodor, next(iter(data.files.values())), data.particle)
    if reason is not None:
        print(f"{' and '.join(UNLABELLED)} are left out: {reason}", flush=True)
        options.programs = [name for name in options.programs if name not in UNLABELLED]


def add_method_argument(parser: argparse.ArgumentParser) -> None:
    """Add the objective that `heliodor pick` trains by."""
    parser.add_argument("--method", default=None, help="objective that heliodor trains by; default: its own choice")


def parse_arguments() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the sets, the runs and the results")
    parser.add_argument("--models", type=Path, required=True, help="folder with the atomic models; see README.md")
    parser.add_argument("--data", type=Path, default=None, help="folder of apoferritin; default: simulated sets only")
    parser.add_argument("--sets", nargs="+", default=None, help="names; default: all")
    parser.add_argument("--heliodor", default=str(Path(sys.executable).with_name("heliodor")), help="program")
    parser.add_argument(
        "--start", type=Path, default=None, help="network that heliodor starts from, without labels too"
    )
    add_method_argument(parser)
    parser.add_argument("--topaz", default=None, help="program of topaz-em 0.3.x")
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=None, help="default: all that can be run")
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 10], help="numbers of labels")
    parser.add_argument("--draws", type=int, default=3, help="of test micrographs and labels")
    parser.add_argument("--topaz-model", default="resnet8", help="network of topaz-em; default: its own")
    parser.add_argument("--topaz-scratch", action="store_true", help="do not start from topaz-em's pretrained weights")
    parser.add_argument("--topaz-epochs", type=int, default=10, help="default: its own")
    parser.add_argument("--topaz-epoch-size", type=int, default=1000, help="updates; default: its own")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="processor threads of each run")
    options = parser.parse_args()
    if options.programs is None:
        options.programs = [name for name in PROGRAMS if name in OURS or options.topaz]
    if options.topaz is None and any(name not in OURS for name in options.programs):
        parser.error("--programs names topaz; say where it is with --topaz")
    start = not options.topaz_scratch
    options.topaz_training = TopazTraining(options.topaz_model, start, options.topaz_epochs, options.topaz_epoch_size)
    options.out, options.models = options.out.resolve(), options.models.resolve()
    options.data = options.data and options.data.resolve()
    options.start = options.start and options.start.resolve()
    return options


def tell(row: Row) -> str:
    """Return a line for people."""
    return (
        f"AP {row['ap']:.3f}, best F1 {row['best_f1']:.3f}, of the picks {row['default']['f1']:.3f}, "
        f"{row['wall_s']:.0f} s"
    )


def main() -> None:
    """Run what is missing, then write the tables; exit code 1 where a run failed."""
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        sets = make_sets(options)
    except (FileNotFoundError, RuntimeError, ValueError) as error:
        sys.exit(str(error))
    leave_out_unlabelled(sets, options)
    executables = {name: options.heliodor if name in OURS else options.topaz for name in options.programs}
    versions = {name: version_of(executable) for name, executable in executables.items()}
    rows = Rows(options.out / "accuracy.jsonl", KEYS)
    failed = spread(
        rows,
        tasks(sets, versions, options),
        lambda task: run_task(task, sets[task["set"]], options),
        ThreadPoolExecutor(options.jobs),
        tell,
    )
    write_report(rows, report, options.out / "accuracy.md")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
