"""Draw docs/picks.png from the results of scripts/demo.

python docs/make_picture.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import gaussian_filter

from heliodor import match, read_micrograph, read_picks

ROOT = Path(__file__).resolve().parent.parent
NAME = "May08_04.33.57"  # of the test micrographs, one with a dark lump: not everything that is picked is right
DIAMETER, MATCH_RADIUS = 40.0, 14.0  # pixels of 3 A
CROP = (slice(75, 415), slice(100, 440))  # rows, columns
GREYS = 32
ORANGE, BLUE = "#ffb000", "#00c8ff"


def draw(axes: Any, pixels: np.ndarray) -> None:
    """Show the cut-out, with the rest of the micrograph left outside."""
    rows, columns = CROP
    low, high = np.percentile(pixels, [1, 99])
    axes.imshow(pixels, cmap="gray", vmin=low, vmax=high, interpolation="bicubic")
    axes.set(xlim=(columns.start, columns.stop), ylim=(rows.stop, rows.start))
    axes.set_axis_off()


def main() -> None:
    """Left the micrograph, right with picks (circles) and the labels that no pick found (crosses)."""
    example = ROOT / "examples/apoferritin"
    pixels = gaussian_filter(read_micrograph(example / f"{NAME}.mrc").pixels, 1)
    picks = read_picks(ROOT / "demo-output/picks.txt").of(NAME)
    labels = read_picks(example / "human.txt").of(NAME)
    found = match(picks.xy, picks.scores, labels.xy, MATCH_RADIUS)
    missed = np.setdiff1d(np.arange(len(labels)), found.label[found.hit])

    figure = Figure(figsize=(9, 4.5))
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.02, "left": 0, "right": 1, "bottom": 0, "top": 1})
    draw(left, pixels)
    draw(right, pixels)
    for rows, style in ((found.hit, "solid"), (~found.hit, (0, (1, 1)))):
        size = np.full(rows.sum(), DIAMETER)
        right.add_collection(
            EllipseCollection(
                size, size, np.zeros(len(size)), units="x", offsets=picks.xy[rows], offset_transform=right.transData,
                facecolor="none", edgecolor=ORANGE, linewidth=1.6, linestyle=style,
            )
        )  # fmt: skip
    right.plot(*labels.xy[missed].T, "x", color=BLUE, markersize=8, markeredgewidth=2)
    path = ROOT / "docs/picks.png"
    figure.savefig(path, dpi=100)
    Image.open(path).convert("RGB").quantize(GREYS).save(path, optimize=True)


if __name__ == "__main__":
    main()
