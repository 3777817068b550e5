"""Draw docs/junk.png.

python docs/make_junk_picture.py 3j9i.pdb.gz Ucsf_stack_1142_DW.mrc Ucsf_stack_1142_DW_autopick.star

The first is the T20S proteasome of the Protein Data Bank, the others are example data of MicrographCleaner.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from heliodor import read_micrograph, read_picks
from heliodor.junk.depth import standardize
from heliodor.junk.mask import junk_mask, learn_limits
from heliodor.preprocess import preprocess
from heliodor.preprocess.flatten import flatten
from heliodor.simulation.load import load_particle
from heliodor.simulation.micrograph import render
from heliodor.simulation.scene import plan
from heliodor.simulation.settings import JunkSettings, SimulationSettings

ROOT = Path(__file__).resolve().parent.parent
SPAN = 20  # pixels across a particle
LABELS = 20
T20S, UCSF = 150.0, 32.0  # diameters: in angstrom, in pixels of the file
LUMP = ((730, 130), 222)  # centre and radius of the lump, in pixels of the file


def show(axes: Any, pixels: np.ndarray, xy: np.ndarray, labelled: np.ndarray, title: str) -> None:
    """Show a micrograph, the points on it, and the junk that labels among the points tell."""
    standard = standardize(flatten(pixels), SPAN)
    junk = junk_mask(standard, learn_limits([(standard, xy[labelled])]))
    axes.imshow(pixels, cmap="gray", vmin=np.percentile(pixels, 1), vmax=np.percentile(pixels, 99.5))
    axes.contour(junk, levels=[0.5], colors="#ff3030", linewidths=1.2)
    axes.plot(*xy.T, ".", color="#ffb000", markersize=3)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("micrograph")
    parser.add_argument("picks")
    options = parser.parse_args()
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)

    size = T20S / SPAN
    junk = JunkSettings(carbon=1, gold=6, ice_crystals=3, aggregates=2, broken=5)
    settings = SimulationSettings(
        shape=(560, 560), pixel_size=size, particles=(110, 110), dose=(10, 10), junk=junk, seed=4
    )
    projector = load_particle(options.model, size)
    scene = plan(settings, projector.diameter, 0)
    counts, _ = render(scene, projector, settings, 0)
    show(left, counts.astype(np.float32), scene.xy, np.arange(LABELS), "simulated T20S, its particles, and the mask")

    factor = UCSF / SPAN
    small, _ = preprocess(read_micrograph(options.micrograph), factor=factor)
    xy = read_picks(options.picks).xy
    outside = np.flatnonzero(np.hypot(*(xy - LUMP[0]).T) > LUMP[1])
    labelled = np.random.default_rng(0).permutation(outside)[:LABELS]
    show(right, small.pixels, xy / factor, labelled, "a real micrograph, picks of RELION, and the mask")
    figure.savefig(ROOT / "docs" / "junk.png", dpi=90)


if __name__ == "__main__":
    main()
