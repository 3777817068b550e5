"""Accuracy on micrographs that heliodor did not simulate, with noise of kinds that its networks were not trained on.

python benchmarks/other_simulator.py --models models/ --out runs/

Atoms are projected and laid on noise by the code of this file, which shares none with `heliodor simulate`. Each set is
picked by a network that has not seen its protein, see left_out.py, without labels and with some. Writes runs/other.md
from runs/other.jsonl; what is there is not done again. The protocol is in README.md beside this file.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gemmi
import mrcfile
import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from datasets import DataSet, model_file
from left_out import add_run_arguments, networks_of, run_all, run_task
from programs import Particle
from rows import Row, Task
from splits import read_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE, ACROSS = 720, 36  # pixels: of a micrograph, and of a particle
FULL, EMPTY, FOLDS = 12, 4, 3  # micrographs with particles and without; parts of the first, of which one is tested on
APART, MARGIN = 0.85, 0.3  # diameters between centres, and from them to the border, at least
VOLTAGE, ABERRATION, AMPLITUDE, ENVELOPE = 300e3, 2.7e7, 0.1, 60.0  # volt, angstrom, share, angstrom^2
DEFOCUS = (1e4, 2.5e4)  # angstrom
MEAN, STRENGTH = 1000.0, 50.0  # of noise, in the units of the files


@dataclass(frozen=True)
class Plain:
    """A set before it is made.

    Parameters
    ----------
    protein : str
        Entry of the Protein Data Bank.
    diameter : float
        In angstrom; a pixel is a 36th of it.
    noise : str
        'white'; 'bare', white without a contrast transfer function; 'ice', partly with it; 'cloudy', strongest at low
        frequencies; 'ramp', white that grows, with the signal, from 0.7 to 1.3 across the micrograph; 'slope', the same
        on a background that rises by 9 standard deviations.
    snr : float
        Variance of the signal over that of the noise, all over a micrograph.
    particles : int
        On a micrograph; three tenths more or less.
    seed : int
    """

    protein: str
    diameter: float
    noise: str
    snr: float
    particles: int
    seed: int


SETS = {
    "bgal-bare": Plain("5a1a", 160, "bare", 0.012, 90, 2),
    "bgal-white": Plain("5a1a", 160, "white", 0.012, 90, 2),
    "bgal-ice": Plain("5a1a", 160, "ice", 0.012, 90, 2),
    "bgal-ramp": Plain("5a1a", 160, "ramp", 0.012, 90, 2),
    "bgal-slope": Plain("5a1a", 160, "slope", 0.012, 90, 2),
    "bgal-cloudy": Plain("5a1a", 160, "cloudy", 0.05, 90, 1),
    "p97-ice": Plain("3cf3", 150, "ice", 0.008, 60, 10),
    "t20s-ice": Plain("3j9i", 160, "ice", 0.006, 120, 6),
    "t20s-white-sparse": Plain("3j9i", 160, "white", 0.01, 20, 8),
    "30s-ice": Plain("4v4r_30S", 200, "ice", 0.02, 40, 3),
    "cav-ice-sparse": Plain("5gjv", 190, "ice", 0.01, 15, 5),
    "haemoglobin-ice-crowded": Plain("5ni1", 65, "ice", 0.01, 200, 7),
    "rubisco-bare-crowded": Plain("1bxn", 120, "bare", 0.006, 250, 9),
    "clpb-cloudy": Plain("1qvr", 190, "cloudy", 0.01, 60, 11),
    "30s-cloudy-crowded": Plain("4v4r_30S", 200, "cloudy", 0.02, 150, 4),
}


def positions(path: Path) -> NDArray[np.float64]:
    """Return atoms of the first biological assembly, or of all that the file holds, around their centre (N, 3)."""
    structure = gemmi.read_structure(str(path))
    if structure.assemblies:
        structure.transform_to_assembly(structure.assemblies[0].name, gemmi.HowToNameCopiedChain.Short)
    structure.remove_hydrogens()
    structure.remove_waters()
    found = np.array([atom.pos.tolist() for chain in structure[0] for residue in chain for atom in residue])
    return found - found.mean(axis=0)


def transfer(pixel_size: float, defocus: float) -> NDArray[np.float64]:
    """Return a contrast transfer function at the frequencies of `rfft2`; particles are dark."""
    wavelength = 12.2643 / np.sqrt(VOLTAGE + 0.97845e-6 * VOLTAGE**2)
    y, x = scipy.fft.fftfreq(SIDE, pixel_size), scipy.fft.rfftfreq(SIDE, pixel_size)
    squared = y[:, None] ** 2 + x**2
    phase = np.pi * wavelength * squared * (defocus - ABERRATION * wavelength**2 * squared / 2)
    return -(np.sqrt(1 - AMPLITUDE**2) * np.sin(phase) + AMPLITUDE * np.cos(phase)) * np.exp(-squared * ENVELOPE / 4)


def filtered(image: NDArray[np.float64], factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiply the transform of an image."""
    return scipy.fft.irfft2(scipy.fft.rfft2(image) * factors, s=image.shape)


def draw_noise(kind: str, factors: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Draw noise of variance 1."""
    noise = random.normal(size=(SIDE, SIDE))
    if kind == "ice":
        noise = 0.7 * noise + 1.5 * filtered(random.normal(size=(SIDE, SIDE)), factors)
    if kind == "cloudy":
        frequency = np.hypot(scipy.fft.fftfreq(SIDE)[:, None], scipy.fft.rfftfreq(SIDE))
        frequency[0, 0] = 1 / SIDE
        noise = filtered(noise, 0.15 + (0.01 / frequency) ** 0.8)
    return noise / noise.std()


def draw_places(chosen: Plain, random: np.random.Generator) -> NDArray[np.float64]:
    """Draw centres (N, 2) that are apart."""
    wanted = random.integers(int(0.7 * chosen.particles), int(1.3 * chosen.particles) + 1)
    places = np.empty((0, 2))
    for _ in range(20000):
        if len(places) == wanted:
            break
        place = random.uniform(MARGIN * ACROSS, SIDE - MARGIN * ACROSS, 2)
        if (np.hypot(*(places - place).T) > APART * ACROSS).all():
            places = np.append(places, place[None], axis=0)
    return places


def draw(
    chosen: Plain, atoms: NDArray[np.float64], random: np.random.Generator, *, empty: bool
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Draw a micrograph and its centres, none on an empty one."""
    pixel_size = chosen.diameter / ACROSS
    places = draw_places(chosen, random)
    edges = np.arange(SIDE + 1) - 0.5
    image = np.zeros((SIDE, SIDE))
    for place, turn in zip(places, Rotation.random(len(places), rng=random), strict=True):
        x, y = (turn.apply(atoms)[:, :2] / pixel_size + place).T
        image += np.histogram2d(y, x, bins=(edges, edges))[0]
    image = gaussian_filter(image, 1.0)
    factors = transfer(pixel_size, random.uniform(*DEFOCUS))
    signal = -image if chosen.noise == "bare" else filtered(image, factors)
    # So that a particle is as strong among few as among many.
    signal *= np.sqrt(chosen.snr * min(chosen.particles / 60, 1.0)) / signal.std()
    pixels = draw_noise(chosen.noise, factors, random) + (0.0 if empty else signal)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    if chosen.noise in ("ramp", "slope"):
        pixels *= 0.7 + 0.6 * x
    if chosen.noise == "slope":
        pixels += 6 * y + 3 * x**2
    return (MEAN + STRENGTH * pixels).astype(np.float32), places[: 0 if empty else None]


def make(name: str, chosen: Plain, models: Path, folder: Path) -> DataSet:
    """Make a set, or take the one that is there."""
    place, table = folder / name, folder / name / "particles.txt"
    if not table.is_file():  # it is written last
        place.mkdir(parents=True, exist_ok=True)
        atoms, random = positions(model_file(chosen.protein, models, folder)), np.random.default_rng(chosen.seed)
        lines = ["image_name\tx_coord\ty_coord"]
        for number in range(FULL + EMPTY):
            stem = f"p_{number:02d}" if number < FULL else f"empty_{number:02d}"
            pixels, xy = draw(chosen, atoms, random, empty=number >= FULL)
            with mrcfile.new(place / f"{stem}.mrc", overwrite=True) as mrc:
                mrc.set_data(pixels)
                mrc.voxel_size = chosen.diameter / ACROSS
            lines += [f"{stem}\t{x:.2f}\t{y:.2f}" for x, y in xy]
        table.write_text("\n".join(lines) + "\n")
    files = {path.stem: path for path in sorted(place.glob("*.mrc"))}
    particle = Particle(chosen.diameter, 2, (8, 9, 10), ACROSS / 3)
    empty = tuple(stem for stem in files if stem.startswith("empty"))
    return DataSet(name, place, files, read_labels(table), particle, FOLDS, empty)


def main() -> None:
    """Train, make and run what is missing, then write the tables; exit code 1 where a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), help="default: all")
    options = add_run_arguments(parser)
    try:
        networks = networks_of([SETS[name].protein for name in options.sets], options)
        sets = {name: make(name, SETS[name], options.models, options.out / "sets") for name in options.sets}
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))

    def work(task: Task) -> Row:
        return run_task(task, sets[task["set"]], networks[SETS[task["set"]].protein], options)

    run_all("other", work, sets, options)


if __name__ == "__main__":
    main()
