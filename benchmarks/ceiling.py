"""What could be found at all: particles sought with everything that is known about a simulated set.

python benchmarks/ceiling.py --models models/ --out runs/

scores each place of the test micrographs by the likelihood of a particle there over that of noise alone, given the
structure, the contrast transfer of the micrograph, its dose and the spectrum of its noise, averaged over
orientations: what Neyman and Pearson (1933) have as the best test of one place, up to the steps of orientation and the
neighbours of a particle. A picker that knows none of this can hardly do better. Rows are in runs/ceiling.jsonl, the
table in runs/ceiling.md; what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter

from datasets import SIMULATED, DataSet, model_file, simulate
from heliodor.formats.star import numbers, read_table
from heliodor.micrographs import read_micrograph
from heliodor.picking.decoys import background_power
from heliodor.picking.detect import Detector
from heliodor.simulation.ctf import Optics, ctf, interaction
from heliodor.simulation.load import load_particle
from heliodor.simulation.micrograph import MEAN_FREE_PATH
from heliodor.simulation.projection import Projector
from prepared import EXCLUSION_RADIUS, add_arguments, parse
from rows import Row, Rows, Task, spread, write_report
from scoring import rank
from splits import Labels

KEYS = ("set", "draw", "views", "step", "most_micrographs")
SETS = [name for name, simulated in SIMULATED.items() if not simulated.junk]
BACKGROUND, PARTICLE = 40.0, 14.0  # pixels: width of what is subtracted, and what hides a particle from the noise
DEFOCUS = ("_rlnDefocusU", "_rlnDefocusV", "_rlnDefocusAngle")
LENS = ("_rlnVoltage", "_rlnSphericalAberration", "_rlnAmplitudeContrast", "_rlnPhaseShift")
FILM = ("_heliodorDose", "_heliodorIceThicknessAngst")


class Truth:
    """What is known about a simulated set.

    Parameters
    ----------
    data : DataSet
    models : path
        Folder with the atomic models.
    """

    def __init__(self, data: DataSet, models: Path) -> None:
        folder = data.folder / "full"
        record = json.loads((folder / "simulate.json").read_text())
        self.settings = record["settings"]
        self.pixel_size: float = self.settings["pixel_size"]
        path = model_file(SIMULATED[data.name].model, models, data.folder.parent)
        self.projector: Projector = load_particle(path, self.pixel_size)
        table = read_table(folder / "micrographs.star", ("_rlnMicrographName", *DEFOCUS, *LENS, *FILM))
        columns = [numbers(table, tag) for tag in (*DEFOCUS, *LENS, *FILM)]
        names = [Path(path).stem for path in table["_rlnMicrographName"]]
        self._values = {name: [float(v) for v in row] for name, *row in zip(names, *columns, strict=True)}

    def transfer(self, name: str, shape: tuple[int, int]) -> np.ndarray:
        """Return the counts that a unit of projected potential makes, at each frequency of `rfft2`."""
        *optics, dose, thickness = self._values[name]
        u, v, angle, voltage, aberration, amplitude, phase = optics
        microscope = Optics(voltage, u, v, angle, aberration, amplitude, phase, self.settings["b_factor"])
        electrons = dose * self.pixel_size**2 * np.exp(-thickness / MEAN_FREE_PATH)
        strength = -2 * interaction(voltage) * self.settings["particle_contrast"] * electrons
        return ctf(microscope, shape, self.pixel_size) * np.float32(strength)


def noise_power(pixels: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Return the power spectrum of what is between the particles, in the layout of `rfft2`."""
    y, x = np.indices(pixels.shape)
    free = np.ones(pixels.shape, np.float32)
    for centre in xy:
        free[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 < PARTICLE**2] = 0
    power, _mean = background_power(pixels, free)
    rows, columns = np.fft.fftfreq(pixels.shape[0]), np.fft.rfftfreq(pixels.shape[1])
    # The nearest frequency of the small spectrum, which is smooth.
    places = [np.rint(f * power.shape[0]).astype(int) % power.shape[0] for f in (rows, columns)]
    return power[np.ix_(*places)].astype(np.float32)


def score(pixels: np.ndarray, transfer: np.ndarray, power: np.ndarray, views: Iterator[np.ndarray]) -> np.ndarray:
    """Return the log likelihood ratio of a particle at each pixel, averaged over views (around pixel 0, 0)."""
    weights = np.full(power.shape[1], 2.0, np.float32)  # of the columns that a real transform leaves out
    weights[[0, -1] if pixels.shape[1] % 2 == 0 else [0]] = 1
    seen = scipy.fft.rfft2(pixels) / power
    total, count = np.full(pixels.shape, -np.inf, np.float32), 0
    for view in views:
        expected = scipy.fft.rfft2(view) * transfer
        energy = float((np.abs(expected) ** 2 / power * weights).sum()) / pixels.size
        ratio = scipy.fft.irfft2(seen * np.conj(expected), s=pixels.shape) - energy / 2
        total, count = np.logaddexp(total, ratio), count + 1
    return total - np.float32(np.log(count))


def projections(truth: Truth, shape: tuple[int, int], views: int, step: float) -> Iterator[np.ndarray]:
    """Yield projections in random directions, turned by steps in degrees, around pixel 0, 0 of an image."""
    random = np.random.default_rng(0)
    rot, tilt = random.uniform(0, 360, views), np.degrees(np.arccos(random.uniform(-1, 1, views)))
    psi = np.arange(0, 360, step)
    size = truth.projector.box(truth.pixel_size)
    for direction in zip(rot, tilt, strict=True):
        angles = np.column_stack([np.broadcast_to(direction, (len(psi), 2)), psi])
        for stamp in truth.projector.project(angles, truth.pixel_size, size=size):
            image = np.zeros(shape, np.float32)
            image[:size, :size] = stamp
            yield np.roll(image, (-(size // 2), -(size // 2)), axis=(0, 1))


def run_task(task: Task, options: argparse.Namespace) -> Row:
    """Seek the particles of the test micrographs of one set."""
    started = time.process_time()
    data = simulate(task["set"], SIMULATED[task["set"]], options.models, options.out / "sets", options.heliodor)
    truth, detector = Truth(data, options.models), Detector(EXCLUSION_RADIUS, 0.0, -np.inf)
    test = data.split(task["draw"], 0).test[: task["most_micrographs"]]
    names, places, scores = [], [], []
    for name in test:
        raw = read_micrograph(data.files[name], name=name).pixels
        pixels = raw - gaussian_filter(raw, BACKGROUND)
        power = noise_power(pixels, data.labels.of(name))
        views = projections(truth, pixels.shape, task["views"], task["step"])
        xy, found = detector.maxima(score(pixels, truth.transfer(name, pixels.shape), power, views))
        names += [name] * len(xy)
        places.append(xy)
        scores.append(found)
    picks = Labels(names, np.concatenate(places), np.concatenate(scores).astype(np.float64))
    summary = rank(picks, data.labels, test, data.particle.match_radius).summary()
    cost = {"test": test, "cpu_s": round(time.process_time() - started, 1)}
    return {"ap": summary["ap"], "best_f1": summary["best_f1"], **cost}


def report(rows: list[Row]) -> str:
    """Make a table of all runs."""
    head = ["set", "draw", "micrographs", "views", "step (degrees)", "average precision", "best F1"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        facts = [row["set"], row["draw"], len(row["test"]), row["views"], f"{row['step']:g}"]
        lines.append([*(str(fact) for fact in facts), f"{row['ap']:.3f}", f"{row['best_f1']:.3f}"])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def parse_arguments() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, SETS, real=False)
    parser.add_argument("--draws", type=int, default=1, help="of test micrographs")
    parser.add_argument("--micrographs", type=int, default=8, help="of a draw, at most")
    parser.add_argument("--views", type=int, default=120, help="directions of projection")
    parser.add_argument("--step", type=float, default=10.0, help="degrees between turns in the plane")
    options = parse(parser, SETS)
    options.out, options.models = options.out.resolve(), options.models.resolve()
    return options


def tell(row: Row) -> str:
    """Return a line for people."""
    return f"AP {row['ap']:.3f}, best F1 {row['best_f1']:.3f}, {row['cpu_s']:.0f} s"


def main() -> None:
    """Do what is missing, then write the table; exit code 1 where a run failed."""
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        for name in options.sets:  # made here, lest several processes make them at once
            simulate(name, SIMULATED[name], options.models, options.out / "sets", options.heliodor)
    except (FileNotFoundError, RuntimeError) as error:
        sys.exit(str(error))
    rest = (options.views, options.step, options.micrographs)
    values = [(name, draw, *rest) for draw in range(options.draws) for name in options.sets]
    tasks = [dict(zip(KEYS, value, strict=True)) for value in values]
    rows = Rows(options.out / "ceiling.jsonl", KEYS)
    pool = ProcessPoolExecutor(options.jobs, mp_context=multiprocessing.get_context("spawn"))
    failed = spread(rows, tasks, partial(run_task, options=options), pool, tell)
    write_report(rows, report, options.out / "ceiling.md")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
