"""Draw docs/simulation.png and docs/simulation-junk.png.

python docs/make_simulation_pictures.py fei-extended.mrc 3j9i.pdb.gz

The first is a real micrograph (mrcfile's example data), the second the T20S proteasome of the Protein Data Bank. The
simulated micrograph has the size, pixel size, dose, defocus and ice that the real one seems to have.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from heliodor import downsample, read_micrograph
from heliodor.simulation.junk import KINDS
from heliodor.simulation.load import load_particle
from heliodor.simulation.micrograph import render
from heliodor.simulation.scene import plan
from heliodor.simulation.settings import JunkSettings, SimulationSettings

ROOT = Path(__file__).resolve().parent.parent
FACTOR = 5  # Fourier cropping before the pictures are shown
SHOWN = 420  # pixels of them
TILE, BINS = 1024, 160
GREYS = 64


def clean(pixels: np.ndarray) -> np.ndarray:
    """Put the median in place of hot pixels."""
    middle = np.median(pixels)
    return np.where(np.abs(pixels - middle) > 8 * pixels.std(), middle, pixels)


def spectrum(pixels: np.ndarray, pixel_size: float) -> tuple[np.ndarray, np.ndarray]:
    """Radial power spectrum of the pixels relative to their mean, in A^2: Poisson noise has 1 / dose."""
    window = np.hanning(TILE)[:, None] * np.hanning(TILE)
    window /= np.sqrt((window**2).mean())
    power, tiles = np.zeros((TILE, TILE // 2 + 1)), 0
    for top in range(0, pixels.shape[0] - TILE + 1, TILE // 2):
        for left in range(0, pixels.shape[1] - TILE + 1, TILE // 2):
            tile = pixels[top : top + TILE, left : left + TILE] / pixels.mean()
            power += np.abs(np.fft.rfft2((tile - tile.mean()) * window)) ** 2
            tiles += 1
    s = np.hypot(np.fft.fftfreq(TILE, pixel_size)[:, None], np.fft.rfftfreq(TILE, pixel_size)).ravel()
    ring = (s * 2 * pixel_size * BINS).astype(int)
    inside = ring < BINS
    counts = np.bincount(ring[inside], minlength=BINS)
    radial = np.bincount(ring[inside], power.ravel()[inside], BINS) / counts
    return (np.arange(BINS) + 0.5) / (2 * pixel_size * BINS), radial * pixel_size**2 / TILE**2 / tiles


def show(axes: Any, pixels: np.ndarray, title: str) -> None:
    """Show the middle of an image."""
    top, left = ((n - SHOWN) // 2 for n in pixels.shape)
    part = pixels[top : top + SHOWN, left : left + SHOWN]
    low, high = np.percentile(part, [0.5, 99.5])
    axes.imshow(part, cmap="gray", vmin=low, vmax=high)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def save(figure: Figure, path: Path) -> None:
    """Write a small PNG."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=100)
    Image.open(path).convert("RGB").quantize(GREYS).save(path, optimize=True)


def draw_pair(real: Path, model: Path) -> None:
    """Real and simulated micrograph, and the power spectra of both."""
    micrograph = read_micrograph(real)
    pixel_size = micrograph.pixel_size or 1.0
    settings = SimulationSettings(
        shape=(micrograph.pixels.shape[0], micrograph.pixels.shape[1]),
        pixel_size=pixel_size,
        particles=(110, 110),
        dose=(52, 52),
        defocus=(0.9, 0.9),
        ice_thickness=(400, 400),
        ice_gradient=0.8,
        seed=3,
    )
    projector = load_particle(model, pixel_size)
    simulated, _ = render(plan(settings, projector.diameter, 0), projector, settings, 0)
    images = {f"real, {real.stem}": clean(micrograph.pixels), "simulated T20S proteasome": simulated}

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    grid = figure.subplots(1, 3)
    for axes, (title, pixels) in zip(grid, images.items(), strict=False):
        show(axes, downsample(pixels, FACTOR)[0], title)
    for (title, pixels), colour in zip(images.items(), ("black", "#d06000"), strict=True):
        grid[2].loglog(
            *spectrum(pixels, pixel_size), color=colour, linewidth=1, label=title.split(",")[0].split(" ")[0]
        )
    grid[2].set(xlabel="spatial frequency, 1/A", ylabel="power / mean$^2$, A$^2$", xlim=(0.002, 0.5), ylim=(0.01, 1))
    grid[2].legend(fontsize=8)
    save(figure, ROOT / "docs/simulation.png")


def draw_junk(model: Path) -> None:
    """Draw a micrograph with junk of every kind, and what covers which of its pixels."""
    settings = SimulationSettings(
        shape=(SHOWN, SHOWN),
        pixel_size=5.0,
        particles=(50, 50),
        junk=JunkSettings(carbon=1, gold=3, ice_crystals=6, aggregates=2, broken=8, lumps=5, hot_pixels=10),
        seed=11,
    )
    projector = load_particle(model, settings.pixel_size)
    scene = plan(settings, projector.diameter, 0)
    pixels, kinds = render(scene, projector, settings, 0)
    figure = Figure(figsize=(7.4, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    show(left, pixels, "simulated, 5 A per pixel")
    right.imshow(kinds, cmap="tab10", vmin=0, vmax=9, interpolation="nearest")
    right.plot(*scene.xy.T, "+", color="white", markersize=4)
    right.set(title="truth: particles (+) and junk", xticks=[], yticks=[])
    right.title.set_fontsize(9)
    from matplotlib.patches import Patch

    colours = [Patch(color=f"C{k}", label=kind.replace("_", " ")) for k, kind in enumerate(KINDS) if (kinds == k).any()]
    figure.legend(handles=colours[1:], fontsize=7, loc="outside right center")
    save(figure, ROOT / "docs/simulation-junk.png")


def main() -> None:
    """Draw both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path, help="fei-extended.mrc")
    parser.add_argument("model", type=Path, help="3j9i.pdb.gz")
    options = parser.parse_args()
    draw_pair(options.real, options.model)
    draw_junk(options.model)


if __name__ == "__main__":
    main()
