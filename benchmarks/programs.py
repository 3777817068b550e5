"""The programs under test, each run as whole processes whose time and memory are measured."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from processes import Step, measure
from splits import Labels, Split, write_labels

DIAMETER = 120  # angstrom
FACTOR = 4
LABEL_RADIUS = 3
DISC_PIXELS = 29  # pixels within LABEL_RADIUS of a label
TOPAZ_DISC_PIXELS = 203  # what topaz-em 0.3.x counts instead: the disc, 2 * LABEL_RADIUS + 1 times
TOPAZ_EXCLUSION_RADII = (7, 8, 9, 11, 13, 15)  # small pixels


@dataclass(frozen=True)
class Job:
    """One run: a split of a data set, the folder to work in, and how many threads a program may use."""

    data: Path
    folder: Path
    labels: Labels
    split: Split
    threads: int

    @property
    def micrographs(self) -> list[str]:
        """Paths of all micrographs, training ones first."""
        return [str(self.data / f"{name}.mrc") for name in self.split.train + self.split.test]

    def measure(self, name: str, command: list[str]) -> Step:
        """Run one process in the job's folder; its output goes to `name.log`."""
        return measure(name, command, self.folder, self.threads, printable=self.printable(command))

    def printable(self, command: list[str]) -> str:
        """Return the command line with this machine's paths taken out."""
        program = [Path(command[0]).name, *command[1:]]
        return " ".join(program).replace(str(self.data), "DATA")


@dataclass(frozen=True)
class Outcome:
    """What a program made of a job: its picks in one or more variants, and what it cost."""

    variants: dict[str, Path]  # rankings; several where an option is chosen on the test labels, in the program's favour
    steps: list[Step]
    train_s: float
    settings: dict[str, float]
    picks: Path | None = None  # what the program gives unless told otherwise; None: the whole ranking

    def row(self, chosen: str) -> dict[str, object]:
        """Return the costs of the run that ends in one variant, ready for a table row."""
        steps = [step for step in self.steps if step.name not in self.variants or step.name == chosen]
        wall = sum(step.wall_s for step in steps)
        return {
            "train_s": round(self.train_s, 2),
            "pick_s": round(wall - self.train_s, 2),
            "wall_s": round(wall, 2),
            "cpu_s": round(sum(step.cpu_s for step in steps), 2),
            "peak_rss_mb": round(max(step.peak_rss_mb for step in steps), 1),
            "settings": self.settings,
            "steps": [asdict(step) for step in steps],
        }


def run_heliodor(program: str, job: Job) -> Outcome:
    """Labels in, picks out in one command, everything derived.

    Picks end at a threshold that the command derives. The whole ranking, for the average precision, comes from a
    second command that scores the micrographs again with the same network; its cost is not counted.
    """
    write_labels(job.folder / "labels.txt", job.labels, job.split.rows)
    command = [program, "pick", *job.micrographs, "--labels", "labels.txt", "--diameter", str(DIAMETER)]
    command += ["--device", "cpu", "--threads", str(job.threads), "-o", "picked"]
    step = job.measure("pick", command)
    extract = [program, "extract", "--raw", "-m", "picked/model.safetensors", "-t", "-6", *job.micrographs]
    job.measure("extract", [*extract, "-d", "-1", "-j", str(job.threads), "-o", "ranking.txt"])
    result = json.loads((job.folder / "picked" / "run.json").read_text())["result"]
    picks = job.folder / "picked" / "picks.txt"
    ranking = {"ranking": job.folder / "ranking.txt"}
    return Outcome(ranking, [step], result["seconds"]["training"], result["estimates"], picks)


def run_topaz(program: str, job: Job) -> Outcome:
    """topaz-em set up by hand: pi such that the target of the unlabelled pixels is the true fraction.

    Topaz 0.3.x trains towards `--pi` minus the fraction of labelled pixels, which it overestimates by counting 203
    instead of 29 pixels per label. The same amount added to `--pi` cancels it.
    """
    pixels = _small_pixels(job)
    target = _true_count(job) * DISC_PIXELS / pixels
    given = target + job.split.labels * TOPAZ_DISC_PIXELS / pixels
    return _run_topaz(program, job, ["--pi", f"{given:.6f}"], {"pi_given": given, "pi_of_unlabelled": target})


def run_topaz_documented(program: str, job: Job) -> Outcome:
    """topaz-em told the true number of particles per micrograph, as its manual advises."""
    expected = _true_count(job) / len(job.split.train)
    return _run_topaz(program, job, ["-n", f"{expected:.3f}"], {"n": expected})


def _true_count(job: Job) -> int:
    return sum(len(job.labels.of(name)) for name in job.split.train)


def _small_pixels(job: Job) -> int:
    """Pixels of all training micrographs after downsampling, from their MRC headers."""
    total = 0
    for path in job.micrographs[: len(job.split.train)]:
        with open(path, "rb") as stream:
            columns, rows = struct.unpack("<2i", stream.read(8))
        total += (columns // FACTOR) * (rows // FACTOR)
    return total


def _run_topaz(program: str, job: Job, prior: list[str], settings: dict[str, float]) -> Outcome:
    cpu = ["-d", "-1", "-j", str(job.threads)]
    names = job.split.train + job.split.test
    small = [f"small/{name}.mrc" for name in names]
    write_labels(job.folder / "labels.txt", job.labels, job.split.rows)
    listed = [f"{name}\t{path}" for name, path in zip(job.split.train, small, strict=False)]
    (job.folder / "train.txt").write_text("\n".join(["image_name\tpath", *listed]) + "\n")

    preprocess = [program, "preprocess", "-s", str(FACTOR), *cpu, "-o", "small", *job.micrographs]
    convert = [program, "convert", "-s", str(FACTOR), "-o", "small.txt", "labels.txt"]
    train = [program, "train", "--train-images", "train.txt", "--train-targets", "small.txt", *prior]
    train += ["--method", "GE-binomial", "-r", str(LABEL_RADIUS), "-m", "conv31", "--no-pretrained"]
    train += ["--epoch-size", "1000", "--num-epochs", "2", *cpu, "--save-prefix", "model", "-o", "curve.tsv"]
    steps = [job.measure("preprocess", preprocess), job.measure("convert", convert), job.measure("train", train)]
    variants = {}
    for radius in TOPAZ_EXCLUSION_RADII:
        variant = f"extract-r{radius}"
        extract = [program, "extract", "-m", "model_epoch2.sav", "-r", str(radius), "-t", "-6"]
        extract += ["-x", str(FACTOR), *cpu, "-o", f"picks-r{radius}.txt", *small]
        steps.append(job.measure(variant, extract))
        variants[variant] = job.folder / f"picks-r{radius}.txt"
    return Outcome(variants, steps, steps[2].wall_s, settings)


PROGRAMS: dict[str, Callable[[str, Job], Outcome]] = {
    "heliodor": run_heliodor,
    "topaz": run_topaz,
    "topaz-n": run_topaz_documented,
}


def version_of(program: str) -> str:
    """Ask a program for its version, a bare number."""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return answer.stdout.split()[-1]
