"""How long training takes until it is as good as topaz-em's: the `train` rows of the speed benchmark.

topaz-em trains with its default budget, 10 epochs of 1,000 updates, on labelled apoferritin. heliodor trains with
budgets that double, each a process of its own with its whole schedule, until the average precision on the test
micrographs is that of topaz-em. Both are given the right pi, the same preprocessed micrographs and the same labels.
What is measured is the process that trains, from start to end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np

from datasets import DataSet
from processes import Step, measure
from programs import DISC_PIXELS, LABEL_RADIUS, TOPAZ_DISC_COUNTS
from scoring import rank
from splits import Labels, Split, read_labels, write_labels

BUDGETS = (50, 100, 200, 400, 800, 1600, 3200)  # minibatches of heliodor
TOPAZ_EPOCHS = 10  # of 1,000 updates: its default
LABELS = 100
EXCLUSION_RADIUS = 9  # small pixels, of heliodor: what `pick` derives for a particle 20 of them wide


def measure_training(
    model: str, programs: dict[str, str], data: DataSet, draws: int, threads: int, folder: Path
) -> list[dict[str, dict[str, Any]]]:
    """Return one pair of measurements for each draw of labels and test micrographs.

    Parameters
    ----------
    model : {'conv31', 'resnet8'}
        resnet8 of topaz-em starts from its pretrained weights, as is its default; heliodor's starts from nothing.
    programs : dict
        'heliodor', and 'topaz' unless heliodor is to be measured alone, with the largest budget.
    data : DataSet
    draws : int
    threads : int
    folder : path
        What a process has done stays there: an interrupted measurement goes on.

    Returns
    -------
    list of dict
        Program -> its `processes.Step` as a dict, with `ap`, and `updates` and `curve` (all budgets) of heliodor.
    """
    pairs = []
    for draw in range(draws):
        run = _Run(model, programs, data, data.split(draw, LABELS), threads, folder / f"{model}-{draw}")
        pairs.append(run.pair())
    return pairs


class _Run:
    """One split, in a folder of its own."""

    def __init__(
        self, model: str, programs: dict[str, str], data: DataSet, split: Split, threads: int, folder: Path
    ) -> None:
        self.model, self.programs, self.data, self.split = model, programs, data, split
        self.threads, self.folder = threads, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.small = {name: f"small/{name}.mrc" for name in split.train + split.test}
        factor = data.particle.factor
        self._once("preprocess", "heliodor", ["preprocess", "-s", str(factor), "-o", "small", *self._paths()])
        labels = data.labels
        rounded = Labels(labels.names, np.rint(labels.xy / factor))  # as topaz-em takes them
        write_labels(folder / "labels.txt", rounded, split.rows)
        listed = [f"{name}\t{self.small[name]}" for name in split.train]
        (folder / "train.txt").write_text("\n".join(["image_name\tpath", *listed]) + "\n")

    def pair(self) -> dict[str, dict[str, Any]]:
        """Measure topaz-em, then heliodor until it is as good."""
        other = {"topaz": self._topaz()} if "topaz" in self.programs else {}
        goal = other["topaz"]["ap"] if other else 1.0
        curve = []
        for row in self._heliodor():
            curve.append({key: row[key] for key in ("updates", "ap", "wall_s", "cpu_s")})
            if row["ap"] >= goal:
                break
        return {"heliodor": {**row, "reached": row["ap"] >= goal, "curve": curve}, **other}

    def _topaz(self) -> dict[str, Any]:
        pixels = 0
        for name in self.split.train:
            with mrcfile.open(self.folder / self.small[name], header_only=True) as mrc:
                pixels += int(mrc.header.nx) * int(mrc.header.ny)
        pi = (self._true_count() + TOPAZ_DISC_COUNTS * LABELS) * DISC_PIXELS / pixels
        cpu = ["-d", "-1", "-j", str(self.threads)]
        train = ["train", "--train-images", "train.txt", "--train-targets", "labels.txt", "--pi", f"{pi:.6f}"]
        train += ["-r", str(LABEL_RADIUS), "-m", self.model, *cpu, "--save-prefix", "topaz", "-o", "topaz.tsv"]
        step = self._once("topaz-train", "topaz", train)
        aps = []
        for radius in self.data.particle.exclusion_radii:
            output = f"topaz-r{radius}.txt"
            extract = ["extract", "-m", f"topaz_epoch{TOPAZ_EPOCHS}.sav", "-r", str(radius), "-t", "-6", *cpu]
            extract += ["-o", output]
            self._once(f"topaz-extract-r{radius}", "topaz", [*extract, *(self.small[name] for name in self.split.test)])
            aps.append(self._ap(output))
        return {**step, "updates": 10_000, "ap": max(aps)}

    def _heliodor(self) -> Iterator[dict[str, Any]]:
        count = self._true_count() / len(self.split.train)
        for updates in BUDGETS:
            prefix = f"heliodor{updates}"
            train = ["train", "--train-images", "train.txt", "--train-targets", "labels.txt", "-n", f"{count:.3f}"]
            train += ["-r", str(LABEL_RADIUS), "-m", self.model, "--num-epochs", "1", "--epoch-size", str(updates)]
            train += ["--label-tiles", "8", "--random-tiles", "40"]  # as `pick` does
            train += ["--save-prefix", prefix, "-d", "-1", "-j", str(self.threads)]
            step = self._once(f"heliodor-train-{updates}", "heliodor", train)
            model = f"{prefix}_epoch1.safetensors"
            extract = [
                "extract",
                "-m",
                model,
                "-r",
                str(EXCLUSION_RADIUS),
                "-t",
                "-6",
                "-d",
                "-1",
                "-o",
                f"{prefix}.txt",
            ]
            test = [self.small[name] for name in self.split.test]
            self._once(f"heliodor-extract-{updates}", "heliodor", [*extract, *test])
            yield {**step, "updates": updates, "ap": self._ap(f"{prefix}.txt")}

    def _once(self, name: str, program: str, words: list[str]) -> dict[str, Any]:
        """Run a process, or return what it cost when it ran."""
        record = self.folder / f"{name}.json"
        if not record.is_file():
            step: Step = measure(name, [self.programs[program], *words], self.folder, self.threads)
            record.write_text(json.dumps(asdict(step)) + "\n")
        return json.loads(record.read_text())

    def _paths(self) -> list[str]:
        return [str(self.data.files[name]) for name in self.small]

    def _true_count(self) -> int:
        return sum(len(self.data.labels.of(name)) for name in self.split.train)

    def _ap(self, table: str) -> float:
        picks, factor = read_labels(self.folder / table), self.data.particle.factor
        full = Labels(picks.names, picks.xy * factor, picks.scores)
        radius = self.data.particle.match_radius
        return float(rank(full, self.data.labels, self.split.test, radius).summary()["ap"])
