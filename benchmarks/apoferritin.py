"""Compare pickers on real apoferritin: heliodor with everything derived, topaz-em set up by hand.

The protocol, the data and how to read the tables are in README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from programs import PROGRAMS, Job, Outcome, version_of
from scoring import Ranking, rank
from splits import Labels, Split, read_labels, split_micrographs
from tables import report

MATCH_RADIUS = 28.0  # full-size pixels, 42 angstrom: about a third of the particle


@dataclass
class Results:
    """Finished runs, one JSON object a line; a run that is there is not run again."""

    path: Path

    def rows(self) -> list[dict]:
        """All runs so far."""
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.is_file() else []

    def has(self, program: str, version: str, split: Split) -> bool:
        """Whether this program has been run on this split."""
        wanted = (program, version, split.draw, split.fold, split.labels)
        keys = ("program", "version", "draw", "fold", "labels")
        return any(tuple(row[key] for key in keys) == wanted for row in self.rows())

    def add(self, row: dict) -> None:
        """Append one run."""
        with self.path.open("a") as stream:
            stream.write(json.dumps(row) + "\n")


def score(outcome: Outcome, job: Job) -> dict:
    """Scores and costs of a run: of the best variant, where a program offers several."""

    def ranking(path: Path) -> Ranking:
        return rank(read_labels(path), job.labels, job.split.test, MATCH_RADIUS)

    summaries = {name: ranking(path).summary() for name, path in outcome.variants.items()}
    best = max(summaries, key=lambda name: summaries[name]["ap"])
    given = ranking(outcome.picks or outcome.variants[best])
    aps = {name: summary["ap"] for name, summary in summaries.items()}
    default = given.best(len(given.hits))
    return {**summaries[best], "default": default, "variant": best, "variant_aps": aps, **outcome.row(best)}


def splits(labels: Labels, options: argparse.Namespace) -> Iterator[Split]:
    """All splits: every number of labels, draw and fold."""
    for count in options.labels:
        for draw in range(options.draws):
            for fold in range(options.folds):
                yield split_micrographs(labels, draw, fold, options.folds, count)


def run_all(labels: Labels, options: argparse.Namespace, results: Results) -> None:
    """Run what is not yet in the results."""
    executables = {name: options.heliodor if name == "heliodor" else options.topaz for name in options.programs}
    versions = {name: version_of(executable) for name, executable in executables.items()}
    for split in splits(labels, options):
        for name in options.programs:
            skipped = name != "heliodor" and options.topaz_folds == "one" and split.fold != split.draw % options.folds
            if skipped or results.has(name, versions[name], split):
                continue
            run = f"{name}-labels{split.labels}-draw{split.draw}-fold{split.fold}"
            print(run, end=": ", flush=True)
            row = run_one(name, executables[name], Job(options.data, options.out / run, labels, split, options.threads))
            results.add({"program": name, "version": versions[name], **row})
            print(f"AP {row['ap']:.4f}, training {row['train_s']:.0f} s, the rest {row['pick_s']:.0f} s", flush=True)


def run_one(name: str, executable: str, job: Job) -> dict:
    """Run one program on one split, in a folder of its own, and score it."""
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    key = {"labels": job.split.labels, "draw": job.split.draw, "fold": job.split.fold}
    outcome = PROGRAMS[name](executable, job)
    return {**key, "test": job.split.test, "threads": job.threads, **score(outcome, job)}


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
    if options.topaz is None and any(name != "heliodor" for name in options.programs):
        parser.error("--programs names topaz; say where it is with --topaz")
    return options


def main() -> None:
    """Run, then print the tables and write them to results.md."""
    options = parse_arguments()
    options.data, options.out = options.data.resolve(), options.out.resolve()
    table = options.data / "labels_a.txt"
    if not table.is_file():
        sys.exit(f"{table}: no such file; see README.md for what --data must hold")
    labels = read_labels(table)
    missing = [name for name in sorted(set(labels.names)) if not (options.data / f"{name}.mrc").is_file()]
    if missing:
        sys.exit(f"{options.data}: no micrograph {', '.join(f'{name}.mrc' for name in missing)}; see README.md")
    options.out.mkdir(parents=True, exist_ok=True)
    results = Results(options.out / "results.jsonl")
    run_all(labels, options, results)
    text = report(results.rows())
    (options.out / "results.md").write_text(text)
    print(f"\n{text}", end="")


if __name__ == "__main__":
    main()
