"""What heliodor picks on junk, with its mask and without, on simulated micrographs whose junk is known.

python benchmarks/junk.py --models models/ --out runs/

picks the sets with junk, without labels and with some, and writes runs/junk.md from runs/junk.jsonl: picks on each kind
of junk, and true particles that are found. What is there is not run again; the protocol is in README.md beside this
file.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from datasets import SIMULATED, DataSet, simulate
from heliodor.evaluation import match
from heliodor.simulation.junk import KINDS
from programs import Job, run_heliodor_masking
from rows import Row, Rows, Task, spread, write_report
from splits import Labels, read_labels

KEYS = ("set", "labels", "mask", "draw")
SETS = [name for name, chosen in SIMULATED.items() if chosen.junk]
SHOWN = ("carbon", "gold", "ice_crystal", "aggregate", "broken")


def tasks(options: argparse.Namespace) -> Iterator[Task]:
    """All runs."""
    for name in options.sets:
        for count in options.labels:
            for mask in (True, False):
                yield dict(zip(KEYS, (name, count, mask, 0), strict=True))


def run_task(task: Task, data: DataSet, options: argparse.Namespace) -> Row:
    """Pick one set, in a folder of its own, and look what its picks lie on."""
    folder = options.out / "work" / "-".join(str(task[key]) for key in KEYS)
    folder.mkdir(parents=True, exist_ok=True)
    split = data.split(task["draw"], task["labels"])
    place = (data.folder, data.files, folder, data.labels, split, options.threads, data.particle)
    run_heliodor_masking(options.heliodor, Job(*place, empty=data.empty), mask=task["mask"])
    return counted(read_labels(folder / "picked" / "picks.txt"), data, [*split.test, *data.empty])


def counted(picks: Labels, data: DataSet, names: list[str]) -> Row:
    """Count true picks, and false ones by what is under their centres, on some micrographs."""
    false: Counter[str] = Counter()
    true = 0
    for name in names:
        xy = picks.of(name)
        hit = match(xy, None, data.labels.of(name), data.particle.match_radius).hit
        true += int(hit.sum())
        x, y = np.rint(xy[~hit]).astype(int).T
        false.update(KINDS[kind] for kind in _kinds(data, name)[y, x].tolist())
    particles = sum(len(data.labels.of(name)) for name in names)
    return {"true": true, "particles": particles, "micrographs": len(names), "false": dict(false)}


def _kinds(data: DataSet, name: str) -> np.ndarray:
    """Which kind of junk covers each pixel of a micrograph."""
    path = data.files[name].parents[1] / "junk" / f"{name}.png"
    if not path.is_file():
        return np.zeros((512, 512), np.uint8)
    with Image.open(path) as image:
        return np.asarray(image)


def report(rows: list[Row]) -> str:
    """Make a table of false picks on each kind of junk per micrograph, without the mask and with it."""
    head = ["set", "labels", "particles found", *(kind.replace("_", " ") for kind in SHOWN), "nothing"]
    lines = [head, ["---"] * len(head)]
    pairs: dict[tuple[str, int], dict[bool, Row]] = {}
    for row in rows:
        pairs.setdefault((row["set"], row["labels"]), {})[row["mask"]] = row
    for (name, count), pair in pairs.items():
        if len(pair) < 2:
            continue
        both = (pair[False], pair[True])
        found = " to ".join(f"{row['true'] / row['particles']:.3f}" for row in both)
        cells = [" to ".join(str(row["false"].get(kind, 0)) for row in both) for kind in (*SHOWN, "none")]
        lines.append([name, str(count), found, *cells])
    total = {kind: [sum(p[m]["false"].get(kind, 0) for p in pairs.values() if len(p) == 2) for m in (False, True)]
             for kind in SHOWN}  # fmt: skip
    lines.append(["all", "", "", *(f"{before} to {after}" for before, after in total.values()), ""])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def tell(row: Row) -> str:
    """Return a line for people."""
    return f"{row['true']} of {row['particles']} particles; on junk: {row['false']}"


def main() -> None:
    """Run what is missing, then write the table; exit code 1 where a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for sets, runs and results")
    parser.add_argument("--models", type=Path, required=True, help="folder with the atomic models; see README.md")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, help="default: all with junk")
    parser.add_argument("--heliodor", default=str(Path(sys.executable).with_name("heliodor")), help="program")
    parser.add_argument("--labels", type=int, nargs="+", default=[0, 10], help="numbers of labels; 0: none")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="processor threads of each run")
    options = parser.parse_args()
    options.out, options.models = options.out.resolve(), options.models.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    place = (options.models, options.out / "sets", options.heliodor)
    try:
        sets = {name: simulate(name, SIMULATED[name], *place) for name in options.sets}
    except (FileNotFoundError, RuntimeError) as error:
        sys.exit(str(error))
    rows = Rows(options.out / "junk.jsonl", KEYS)
    pool = ThreadPoolExecutor(options.jobs)
    failed = spread(rows, tasks(options), lambda task: run_task(task, sets[task["set"]], options), pool, tell)
    write_report(rows, report, options.out / "junk.md")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
