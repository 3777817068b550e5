"""The data sets that accuracy is measured on: simulated ones, made from seeds, and real apoferritin."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np

from programs import Particle
from splits import Labels, Split, read_labels, split_micrographs

# Means of a micrograph; carbon: share of micrographs with an edge in view.
JUNK = [
    "--carbon",
    "0.4",
    "--gold",
    "3",
    "--ice-crystals",
    "2",
    "--aggregates",
    "3",
    "--broken",
    "15",
    "--hot-pixels",
    "5",
]
SIZE = 512  # pixels; a particle spans 20 of them, so nothing need be downsampled


@dataclass(frozen=True)
class DataSet:
    """Micrographs and their whole truth.

    Parameters
    ----------
    name : str
    folder : path
        Above all its micrographs.
    files : dict
        Name of a micrograph -> its file.
    labels : Labels
    particle : Particle
    folds : int
        Parts of the micrographs, of which one is tested on.
    empty : tuple of str
        Micrographs without particles.
    """

    name: str
    folder: Path
    files: dict[str, Path]
    labels: Labels
    particle: Particle
    folds: int
    empty: tuple[str, ...] = ()

    def split(self, draw: int, count: int) -> Split:
        """Return draw `draw` of test micrographs and `count` labels (ValueError: so many are not there)."""
        return split_micrographs(self.labels, draw, draw % self.folds, self.folds, count)


@dataclass(frozen=True)
class Simulated:
    """A simulated data set before it is made.

    Parameters
    ----------
    model : str
        Entry of the Protein Data Bank; 'rod': a density made here.
    diameter : int
        Long axis in angstrom. A pixel is a twentieth of it.
    particles : (int, int)
        Fewest and most on a micrograph.
    noise : (str, float)
        'dose', in electrons per square angstrom, or 'snr', as `heliodor simulate` has them.
    seed : int
    junk : bool
    """

    model: str
    diameter: int
    particles: tuple[int, int]
    noise: tuple[str, float]
    seed: int
    junk: bool = False

    @property
    def particle(self) -> Particle:
        """What programs are told, and how picks are scored."""
        return Particle(self.diameter, 1, (7, 9, 10), 20 / 3)


def _catalogue() -> dict[str, Simulated]:
    found = {}
    samples = {
        "t20s": ("3j9i", 150, ("dose", 10.0), ("dose", 4.0)),
        "bgal": ("5a1a", 170, ("dose", 10.0), ("dose", 4.5)),
        "rod": ("rod", 200, ("dose", 5.0), ("dose", 2.5)),
    }
    for number, (name, (model, diameter, clear, noisy)) in enumerate(samples.items()):
        for level, noise in (("clear", clear), ("noisy", noisy)):
            for junk in (False, True):
                seed = 1000 + 100 * number + 10 * (level == "noisy") + junk
                found[f"{name}-{level}{'-junk' * junk}"] = Simulated(model, diameter, (100, 140), noise, seed, junk)
    found["rubisco"] = Simulated("1bxn", 120, (100, 140), ("dose", 10.0), 1300)
    found["t20s-sparse"] = Simulated("3j9i", 150, (10, 30), ("dose", 10.0), 1301)
    found["t20s-crowded"] = Simulated("3j9i", 150, (250, 350), ("dose", 10.0), 1302)
    return found


SIMULATED = _catalogue()


def simulate(
    name: str,
    chosen: Simulated,
    models: Path,
    folder: Path,
    program: str,
    *,
    folds: int = 2,
    count: int = 16,
    empty: int = 4,
) -> DataSet:
    """Make a set, or take the one that is there.

    Parameters
    ----------
    name : str
    chosen : Simulated
    models : path
        Folder with the atomic models and densities.
    folder : path
        For the micrographs.
    program : str
        heliodor, whose `simulate` makes them.
    folds, count, empty : int
        Parts, micrographs with particles, and without.

    Raises
    ------
    FileNotFoundError
        The model is not there.
    RuntimeError
        The set cannot be made.
    """
    model, (kind, level) = model_file(chosen.model, models, folder), chosen.noise
    common = [program, "simulate", str(model), "--size", str(SIZE), "--angpix", f"{chosen.diameter / 20:g}"]
    common += [f"--{kind}", f"{level:g}", "--closeness", "0.8", *(JUNK if chosen.junk else [])]
    full, none = folder / name / "full", folder / name / "empty"
    low, high = (str(number) for number in chosen.particles)
    wanted = [(full, count, [low, high], chosen.seed, "p"), (none, empty, ["0"], chosen.seed + 5000, "empty")]
    for place, number, particles, seed, prefix in wanted:
        made = len(list((place / "micrographs").glob("*.mrc")))
        if number and (made != number or not (place / "particles.txt").is_file()):  # the truth is written last
            words = ["-n", str(number), "--particles", *particles, "--seed", str(seed), "--prefix", prefix]
            _run([*common, *words, "-o", str(place)])
    files = {path.stem: path for place in (full, none) for path in sorted((place / "micrographs").glob("*.mrc"))}
    labels = read_labels(full / "particles.txt")
    without = tuple(stem for stem in files if stem.startswith("empty"))
    return DataSet(name, folder / name, files, labels, chosen.particle, folds, without)


def model_file(entry: str, models: Path, folder: Path) -> Path:
    """Return the file of a model; the rod is made in `folder`.

    Raises
    ------
    FileNotFoundError
        There is none.
    """
    if entry == "rod":
        return make_rod(folder / "rod.mrc")
    found = sorted(models.rglob(f"{entry}.*"))
    if not found:
        raise FileNotFoundError(f"{models}: no file {entry}.*; see README.md for what --models must hold")
    return found[0]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {' '.join(command)}\n{done.stderr.strip()}")


def make_rod(path: Path) -> Path:
    """Write an elongated particle of our own: beads along a bent line, 200 A long and some 60 A wide.

    No protein looks like it, so no pretrained network has seen it.
    """
    if path.is_file():
        return path
    size, voxel = 64, 4.0
    z, y, x = (np.mgrid[:size, :size, :size] - size / 2) * voxel
    density = np.zeros((size,) * 3)
    for along, bend, radius in ((-80, 10, 22), (-45, -6, 30), (-5, -12, 24), (35, -6, 32), (75, 12, 20)):
        density += np.exp(-(((x - along) ** 2 + (y - bend) ** 2 + z**2) / radius**2))
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(density.astype(np.float32))
        mrc.voxel_size = voxel
    return path


# Matched within 42 angstrom, about a third of the particle.
APOFERRITIN = Particle(diameter=120, factor=4, exclusion_radii=(7, 8, 9, 11, 13, 15), match_radius=28.0)


def apoferritin(folder: Path, folds: int = 3) -> DataSet:
    """Return real apoferritin.

    Raises
    ------
    FileNotFoundError
        The table of labels or a micrograph is not there.
    """
    table = folder / "labels_a.txt"
    if not table.is_file():
        raise FileNotFoundError(f"{table}: no such file; see README.md for what --data must hold")
    labels = read_labels(table)
    files = {name: folder / f"{name}.mrc" for name in sorted(set(labels.names))}
    missing = [path.name for path in files.values() if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{folder}: no micrograph {', '.join(missing)}; see README.md")
    return DataSet("apoferritin", folder, files, labels, APOFERRITIN, folds)


def chosen_names(given: Iterable[str] | None, *, real: bool) -> list[str]:
    """Return the names of the sets to use: those given, or all that there are."""
    known = [*SIMULATED, *(["apoferritin"] if real else [])]
    names = list(given) if given else known
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"there is no set {', '.join(unknown)}; choose from {', '.join(known)} (apoferritin needs --data)"
        )
    return names
