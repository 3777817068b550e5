"""Compare pickers on real apoferritin: heliodor with everything derived, topaz-em set up by hand.

The protocol, the data and how to read the tables are in README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from datasets import DataSet, apoferritin
from programs import OURS, PROGRAMS, Job, TopazTraining, version_of
from rows import Rows
from runs import run_and_score
from splits import Split, split_micrographs
from tables import report

TRAINING = TopazTraining("conv31", pretrained=False, epochs=2)


def splits(data: DataSet, options: argparse.Namespace) -> Iterator[Split]:
    """All splits: every number of labels, draw and fold."""
    for count in options.labels:
        for draw in range(options.draws):
            for fold in range(data.folds):
                yield split_micrographs(data.labels, draw, fold, data.folds, count)


def run_all(data: DataSet, options: argparse.Namespace, results: Rows) -> None:
    """Run what is not yet in the results."""
    executables = {name: options.heliodor if name in OURS else options.topaz for name in options.programs}
    versions = {name: version_of(executable) for name, executable in executables.items()}
    for split in splits(data, options):
        for name in options.programs:
            skipped = name not in OURS and options.topaz_folds == "one" and split.fold != split.draw % options.folds
            key = {"program": name, "version": versions[name], "labels": split.labels, "draw": split.draw}
            key["fold"] = split.fold
            if skipped or not results.missing([key]):
                continue
            run = f"{name}-labels{split.labels}-draw{split.draw}-fold{split.fold}"
            print(run, end=": ", flush=True)
            place = (data.folder, data.files, options.out / run, data.labels)
            job = Job(*place, split, options.threads, data.particle, TRAINING)
            row = {**key, **run_and_score(name, executables[name], job)}
            results.add(row)
            print(f"AP {row['ap']:.4f}, training {row['train_s']:.0f} s, the rest {row['pick_s']:.0f} s", flush=True)


def parse_arguments() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    beside = str(Path(sys.executable).with_name("heliodor"))
    parser.add_argument("--data", type=Path, required=True, help="folder with the micrographs and labels_a.txt")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs, results.jsonl and results.md")
    parser.add_argument("--heliodor", default=beside, help="executable")
    parser.add_argument("--topaz", default=None, help="executable of topaz-em 0.3.x")
    parser.add_argument("--programs", nargs="*", choices=PROGRAMS, default=None, help="default: those there are")
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 10], help="numbers of labels")
    parser.add_argument("--draws", type=int, default=3, help="shuffles of micrographs and labels")
    parser.add_argument("--folds", type=int, default=3, help="parts; each is the test set once per draw")
    parser.add_argument("--topaz-folds", choices=("one", "all"), default="one", help="one: fold number = draw number")
    parser.add_argument("--threads", type=int, default=2, help="processor threads of each program")
    options = parser.parse_args()
    if options.programs is None:
        options.programs = ["heliodor", "topaz"] if options.topaz else ["heliodor"]
    if options.topaz is None and any(name not in OURS for name in options.programs):
        parser.error("--programs names topaz; say where it is with --topaz")
    return options


def main() -> None:
    """Run, then print the tables and write them to results.md."""
    options = parse_arguments()
    options.data, options.out = options.data.resolve(), options.out.resolve()
    try:
        data = apoferritin(options.data, options.folds)
    except FileNotFoundError as error:
        sys.exit(str(error))
    options.out.mkdir(parents=True, exist_ok=True)
    results = Rows(options.out / "results.jsonl", ("program", "version", "labels", "draw", "fold"))
    run_all(data, options, results)
    text = report(results.all())
    (options.out / "results.md").write_text(text)
    print(f"\n{text}", end="")


if __name__ == "__main__":
    main()
