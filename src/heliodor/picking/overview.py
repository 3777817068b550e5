"""The picture of a run: some micrographs with their picks, the scores, the training curve."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from heliodor.micrographs import Micrograph
    from heliodor.picking.geometry import Geometry
    from heliodor.picks import Picks


def draw_overview(
    path: Path,
    images: Sequence[tuple[Micrograph, tuple[float, float], NDArray[np.bool_] | None]],
    picks: Picks,
    labels: Picks,
    geometry: Geometry,
    training: Path,
) -> None:
    """Draw up to three micrographs with picks (circles), labels (crosses) and junk (red); scores; training.

    Parameters
    ----------
    path : path of the PNG
    images : sequence of (small micrograph, scale (x, y) to full-size pixels, its junk or None)
    picks, labels : Picks
        In full-size pixels.
    geometry : Geometry
    training : path of training.tsv
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 9.5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 6, height_ratios=[2, 1])
    for column, (micrograph, scale, junk) in enumerate(images):
        name = micrograph.name
        axes = figure.add_subplot(grid[0, 2 * column : 2 * column + 2])
        _draw_micrograph(axes, micrograph, picks.of(name), labels.of(name), scale, geometry.span / 2)
        if junk is not None and junk.any():
            axes.contour(junk, levels=[0.5], colors="#ff3030", linewidths=1.0)
        axes.set_title(f"{name}: {len(picks.of(name))} picks", fontsize=9)
    _draw_scores(figure.add_subplot(grid[1, :3]), picks)
    _draw_training(figure.add_subplot(grid[1, 3:]), training)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _draw_micrograph(
    axes: Any, micrograph: Micrograph, picks: Picks, labels: Picks, scale: tuple[float, float], radius: float
) -> None:
    from matplotlib.collections import EllipseCollection

    low, high = np.percentile(micrograph.pixels, [1, 99])
    axes.imshow(micrograph.pixels, cmap="gray", vmin=low, vmax=high)
    xy = picks.xy / scale
    size = np.full(len(xy), 2 * radius)
    axes.add_collection(
        EllipseCollection(
            size, size, np.zeros(len(xy)), units="x", offsets=xy, offset_transform=axes.transData,
            facecolor="none", edgecolor="#ffb000", linewidth=0.9,
        )
    )  # fmt: skip
    axes.plot(*(labels.xy / scale).T, "+", color="#00c8ff", markersize=6)
    axes.set_axis_off()


def _draw_scores(axes: Any, picks: Picks) -> None:
    axes.hist(picks.scores, bins=60, color="#ffb000")
    axes.set_xlabel("score (log-odds)")
    axes.set_ylabel("picks")


def _draw_training(axes: Any, training: Path) -> None:
    with training.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    epochs = [float(row["epoch"]) for row in rows]
    for name in ("recall", "expected_precision", "held_out_ap"):
        values = np.array([float(row[name]) for row in rows])
        if np.isfinite(values).any():
            axes.plot(epochs, values, label=name.replace("_", " "))
    axes.set_ylim(0, 1)
    axes.set_xlabel("epoch")
    axes.legend(fontsize=8, loc="lower right")
    losses = axes.twinx()
    losses.plot(epochs, [float(row["loss"]) for row in rows], color="gray", linestyle=":")
    losses.set_yscale("log")
    losses.set_ylabel("loss (dotted)")
