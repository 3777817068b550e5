"""The programs under test, each run as whole processes whose time and memory are measured."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from processes import Step, measure
from splits import Labels, Split, write_labels

# topaz-em 0.3.x counts the pixels of a label's disc this many times, 2 * radius + 1, when it turns --pi into the target
# for the unlabelled pixels.
TOPAZ_DISC_COUNTS = 7
LABEL_RADIUS = 3  # small pixels: topaz-em's default
DISC_PIXELS = 29  # pixels within LABEL_RADIUS of a label


@dataclass(frozen=True)
class Particle:
    """What is known of a particle before picking, and what it takes to score picks.

    Parameters
    ----------
    diameter : float
        Of the long axis, in angstrom: all that heliodor is told.
    factor : int
        What topaz-em downsamples by.
    exclusion_radii : tuple of int
        In small pixels; the one that is best on the test labels counts, in topaz-em's favour.
    match_radius : float
        Full-size pixels between a pick and the label it finds.
    """

    diameter: float
    factor: int
    exclusion_radii: tuple[int, ...]
    match_radius: float


@dataclass(frozen=True)
class TopazTraining:
    """The network that topaz-em trains, and for how long; its own defaults unless told otherwise."""

    model: str = "resnet8"
    pretrained: bool = True
    epochs: int = 10
    epoch_size: int = 1000

    @property
    def words(self) -> list[str]:
        """Its options."""
        start = "--pretrained" if self.pretrained else "--no-pretrained"
        return ["-m", self.model, start, "--epoch-size", str(self.epoch_size), "--num-epochs", str(self.epochs)]


@dataclass(frozen=True)
class Job:
    """One run: a split of a data set, the folder to work in, and how many threads a program may use.

    Parameters
    ----------
    data : path
        Folder above all micrographs.
    files : mapping
        Name of a micrograph -> its file.
    folder : path
        To work in.
    labels : Labels
        The whole truth; programs see the rows that the split names.
    split : Split
    threads : int
    particle : Particle
    topaz : TopazTraining
    empty : tuple of str
        Micrographs without any particle, to be picked as well.
    all_picked : bool
        topaz-em picks the training micrographs too, as heliodor always does.
    start : path, optional
        Network that heliodor starts from, in the place of the one that comes with it.
    method : str, optional
        Objective that heliodor trains by, in the place of its own choice.
    """

    data: Path
    files: Mapping[str, Path]
    folder: Path
    labels: Labels
    split: Split
    threads: int
    particle: Particle
    topaz: TopazTraining = TopazTraining()
    empty: tuple[str, ...] = ()
    all_picked: bool = True
    start: Path | None = None
    method: str | None = None

    @property
    def names(self) -> list[str]:
        """All micrographs, training ones first."""
        return [*self.split.train, *self.split.test, *self.empty]

    @property
    def micrographs(self) -> list[str]:
        """Their paths."""
        return [str(self.files[name]) for name in self.names]

    def measure(self, name: str, command: list[str]) -> Step:
        """Run one process in the job's folder; its output goes to `name.log`."""
        return measure(name, command, self.folder, self.threads, printable=self.printable(command))

    def printable(self, command: list[str]) -> str:
        """Return the command line with this machine's paths taken out."""
        program = [Path(command[0]).name, *command[1:]]
        if self.start is not None:
            program = [word.replace(str(self.start), self.start.name) for word in program]
        return " ".join(program).replace(str(self.data), "DATA")

    @property
    def from_start(self) -> list[str]:
        """Options of `heliodor pick` that say where training starts."""
        return [] if self.start is None else ["--start", str(self.start)]

    @property
    def trained(self) -> list[str]:
        """Options that say where training starts, and by what it trains."""
        return [*self.from_start, *([] if self.method is None else ["--method", self.method])]


@dataclass(frozen=True)
class Outcome:
    """What a program made of a job: its picks in one or more variants, and what it cost."""

    variants: dict[str, Path]  # rankings; several where an option is chosen on the test labels, in the program's favour
    steps: list[Step]
    train_s: float
    settings: dict[str, object]
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
    """Labels in, picks out in one command, everything derived."""
    return _run_labelled(program, job, job.trained)


def run_heliodor_told(program: str, job: Job) -> Outcome:
    """Do as `run_heliodor` does, told the true number of particles per micrograph: what the estimate costs."""
    return _run_labelled(program, job, ["--expected-particles", f"{_true_number(job):.3f}", *job.trained])


def run_heliodor_scratch(program: str, job: Job) -> Outcome:
    """Train as `run_heliodor` does, but from nothing: pretrained weights may have seen this very protein."""
    return _run_labelled(program, job, ["--no-pretrained"])


def run_general(program: str, job: Job) -> Outcome:
    """Pick with the network that comes with heliodor, or the one to start from, without any label."""
    return _run_pick(program, job, job.from_start)


def run_heliodor_masking(program: str, job: Job, *, mask: bool) -> Outcome:
    """Pick with what labels there are, with the mask of junk or without."""
    words = [*job.from_start, "--junk-mask" if mask else "--no-junk-mask", "--overwrite"]
    return _run_labelled(program, job, words) if job.split.rows else _run_pick(program, job, words)


def _run_labelled(program: str, job: Job, words: list[str]) -> Outcome:
    write_labels(job.folder / "labels.txt", job.labels, job.split.rows)
    return _run_pick(program, job, ["--labels", "labels.txt", *words])


def _run_pick(program: str, job: Job, words: list[str]) -> Outcome:
    """Run `heliodor pick`.

    Picks end at a threshold that the command derives. The whole ranking, for the average precision, is
    candidates.txt; a version that writes none scores the micrographs again, and the cost of that is not counted.
    """
    command = [program, "pick", *job.micrographs, "--diameter", f"{job.particle.diameter:g}", *words]
    command += ["--device", "cpu", "--threads", str(job.threads), "-o", "picked"]
    step = job.measure("pick", command)
    ranking = job.folder / "picked" / "candidates.txt"
    if not ranking.is_file():
        ranking = job.folder / "ranking.txt"
        extract = [program, "extract", "--raw", "-m", "picked/model.safetensors", "-t", "-6", *job.micrographs]
        job.measure("extract", [*extract, "-d", "-1", "-j", str(job.threads), "-o", ranking.name])
    result = json.loads((job.folder / "picked" / "run.json").read_text())["result"]
    picks = job.folder / "picked" / "picks.txt"
    return Outcome({"ranking": ranking}, [step], result["seconds"]["training"], result["estimates"], picks)


def run_extract(program: str, job: Job) -> Outcome:
    """Extract with the network that comes with heliodor, without any label, at that network's own threshold."""
    common = [*_extract(program, job.particle), "-j", str(job.threads), *job.micrographs]
    steps = [job.measure("extract", [*common, "-o", "picks.txt"])]
    job.measure("ranking", [*common, "-t", "-6", "-o", "ranking.txt"])
    return Outcome({"ranking": job.folder / "ranking.txt"}, steps, 0.0, {}, job.folder / "picks.txt")


def _extract(program: str, particle: Particle) -> list[str]:
    return [program, "extract", "--raw", "--diameter", f"{particle.diameter:g}", "-d", "-1"]


def run_topaz(program: str, job: Job) -> Outcome:
    """topaz-em set up by hand: pi such that the target of the unlabelled pixels is the true fraction.

    Topaz 0.3.x trains towards `--pi` minus the fraction of labelled pixels, which it overestimates by counting 203
    instead of 29 pixels per label. The same amount added to `--pi` cancels it.
    """
    pixels = _small_pixels(job)
    target = _true_count(job) * DISC_PIXELS / pixels
    given = target + job.split.labels * DISC_PIXELS * TOPAZ_DISC_COUNTS / pixels
    return _run_topaz(program, job, ["--pi", f"{given:.6f}"], {"pi_given": given, "pi_of_unlabelled": target})


def run_topaz_documented(program: str, job: Job) -> Outcome:
    """topaz-em told the true number of particles per micrograph, as its manual advises."""
    expected = _true_number(job)
    return _run_topaz(program, job, ["-n", f"{expected:.3f}"], {"n": expected})


def _true_count(job: Job) -> int:
    return sum(len(job.labels.of(name)) for name in job.split.train)


def _true_number(job: Job) -> float:
    """Return the particles on a training micrograph."""
    return _true_count(job) / len(job.split.train)


def _small_pixels(job: Job) -> int:
    """Pixels of all training micrographs after downsampling, from their MRC headers."""
    total = 0
    for name in job.split.train:
        with job.files[name].open("rb") as stream:
            columns, rows = struct.unpack("<2i", stream.read(8))
        total += (columns // job.particle.factor) * (rows // job.particle.factor)
    return total


def _run_topaz(program: str, job: Job, prior: list[str], settings: dict[str, float]) -> Outcome:
    cpu, factor = ["-d", "-1", "-j", str(job.threads)], str(job.particle.factor)
    small = [f"small/{name}.mrc" for name in job.names]
    picked = small if job.all_picked else small[len(job.split.train) :]
    write_labels(job.folder / "labels.txt", job.labels, job.split.rows)
    listed = [f"{name}\t{path}" for name, path in zip(job.split.train, small, strict=False)]
    (job.folder / "train.txt").write_text("\n".join(["image_name\tpath", *listed]) + "\n")

    preprocess = [program, "preprocess", "-s", factor, *cpu, "-o", "small", *job.micrographs]
    convert = [program, "convert", "-s", factor, "-o", "small.txt", "labels.txt"]
    train = [program, "train", "--train-images", "train.txt", "--train-targets", "small.txt", *prior]
    train += ["--method", "GE-binomial", "-r", str(LABEL_RADIUS), *job.topaz.words]
    train += [*cpu, "--save-prefix", "model", "-o", "curve.tsv"]
    steps = [job.measure("preprocess", preprocess), job.measure("convert", convert), job.measure("train", train)]
    variants = {}
    for radius in job.particle.exclusion_radii:
        variant = f"extract-r{radius}"
        extract = [program, "extract", "-m", f"model_epoch{job.topaz.epochs}.sav", "-r", str(radius), "-t", "-6"]
        extract += ["-x", factor, *cpu, "-o", f"picks-r{radius}.txt", *picked]
        steps.append(job.measure(variant, extract))
        variants[variant] = job.folder / f"picks-r{radius}.txt"
    return Outcome(variants, steps, steps[2].wall_s, {**settings, **asdict(job.topaz)})


PROGRAMS: dict[str, Callable[[str, Job], Outcome]] = {
    "heliodor": run_heliodor,
    "heliodor-n": run_heliodor_told,
    "heliodor-scratch": run_heliodor_scratch,
    "general": run_general,
    "extract": run_extract,
    "topaz": run_topaz,
    "topaz-n": run_topaz_documented,
}
UNLABELLED = ("general", "extract")
OURS = ("heliodor", "heliodor-n", "heliodor-scratch", *UNLABELLED)


def why_no_general_network(program: str, micrograph: Path, particle: Particle) -> str | None:
    """Pick one micrograph without labels; return why this heliodor cannot, or None if it can."""
    command = [*_extract(program, particle), str(micrograph), "-o", os.devnull]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


def version_of(program: str) -> str:
    """Ask a program for its version, a bare number."""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return answer.stdout.split()[-1]
