"""The parts of the report that draw training, and picks over the set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.report.markup import table, tag
from heliodor.report.plot import Axis, Plot, figure
from heliodor.report.words import number, several

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

    from heliodor.report.run import Run
    from heliodor.report.tally import Tally

_ENDS = 8  # micrographs listed at either end
_SMOOTHED = 40  # micrographs, from which on a running median is drawn
_MANY = 300  # dots, from which on they are small and faint
_MICROMETRE = 1e4  # angstrom


def training(run: Run) -> list[Element]:
    """Loss and rates over the epochs."""
    if not run.history:
        return [tag("p", "training.tsv is not there.")]
    epochs = [row["epoch"] for row in run.history]
    losses = np.array([row["loss"] for row in run.history])
    log = bool((losses > 0).all() and losses.max() > 10 * losses.min())
    x = Axis("epoch", min(epochs) - 0.5, max(epochs) + 0.5, whole=True)
    plot = Plot("loss over the epochs", x, Axis.over("loss (log scale)" if log else "loss", losses, log=log))
    plot.line(epochs, losses, "c1")
    plot.dots(epochs, losses, "c1")
    rates = Plot("rates over the epochs", x, Axis("fraction", 0.0, 1.0))
    legend = []
    for column, style, text in (
        ("recall", "c1", "recall"),
        ("expected_precision", "c2", "expected precision"),
        ("held_out_ap", "c3", "held-out average precision"),
    ):
        values = np.array([row[column] for row in run.history])
        if np.isfinite(values).any():
            rates.line(epochs, values, style)
            rates.dots(epochs, values, style)
            legend.append((style, text))
    text = "Of labelled pixels and of the probability given to pixels; not the precision and recall of the picks."
    return [tag("div", figure(plot, "Loss of each epoch."), figure(rates, text, *legend), class_="pair")]


def over_the_set(run: Run, tally: Tally, shown: dict[int, list[str]]) -> list[Element]:
    """Draw picks and scores against the order of the micrographs, and against defocus where that is known."""
    order = np.arange(1, len(run.micrographs) + 1, dtype=float)
    counts = tally.known_counts
    names = {row: f"{run.micrographs[row].name}: {', '.join(why)}" for row, why in shown.items() if why}
    measures = (
        (counts, Axis.over("picks on the micrograph", counts, zero=True, whole=True)),
        (tally.scores, Axis.over("median score (log-odds)", tally.scores)),
    )
    axis = Axis.over("number in the order given", order, whole=True)
    parts = [tag("div", *(_scatter(order, axis, *m, names, "c1") for m in measures), class_="pair")]
    defocus = run.defocus / _MICROMETRE
    if np.isfinite(defocus).any():
        axis = Axis.over("defocus (\N{MICRO SIGN}m)", defocus)
        parts.append(tag("div", *(_scatter(defocus, axis, *m, names, "c3") for m in measures), class_="pair"))
    else:
        text = " with the defocus of the micrographs (_rlnDefocusU) draws both against defocus."
        parts.append(tag("p", tag("code", "heliodor report --micrographs"), " and a STAR file", text, class_="legend"))
    return [*parts, _ends(run, tally)]


def _scatter(
    x: NDArray[np.float64],
    x_axis: Axis,
    y: NDArray[np.float64],
    y_axis: Axis,
    names: dict[int, str],
    style: str,
) -> Element:
    plot = Plot(f"{y_axis.label} against {x_axis.label}", x_axis, y_axis)
    known = np.isfinite(x) & np.isfinite(y)
    plot.dots(x, y, f"{style} faint" if known.sum() > _MANY else style)
    caption = f"{several(int(known.sum()), 'micrograph')}."
    if known.sum() >= _SMOOTHED:
        plot.line(*_running_median(x[known], y[known]), "ink")
        caption += " The line is a running median."
    rows = [row for row in names if known[row]]
    plot.dots(x[rows], y[rows], "c2", [names[row] for row in rows])
    return figure(plot, f"{caption} Rings: micrographs that are shown above.")


def _running_median(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Medians of some twenty neighbours in x, more where there are many."""
    order = np.argsort(x, kind="stable")
    parts = np.array_split(order, min(max(len(order) // 20, 2), 40))
    return np.array([np.median(x[p]) for p in parts]), np.array([np.median(y[p]) for p in parts])


def _ends(run: Run, tally: Tally) -> Element:
    """List the micrographs with the fewest and the most picks."""
    picked = np.flatnonzero(tally.picked)
    ranked = picked[np.argsort(tally.counts[picked], kind="stable")]
    chosen: Sequence[int] = ranked.tolist()
    if len(chosen) > 2 * _ENDS:
        chosen = [*chosen[:_ENDS], *chosen[-_ENDS:]]
    defocus = run.defocus / _MICROMETRE
    rows = [
        [
            str(row + 1),
            run.micrographs[row].name,
            f"{tally.counts[row]:,}",
            _or_dash(tally.scores[row]),
            _or_dash(defocus[row]),
        ]
        for row in chosen
    ]
    what = "All micrographs" if len(chosen) == len(picked) else f"The {_ENDS} micrographs with the fewest and the most"
    header = ["number", "micrograph", "picks", "median score", "defocus (\N{MICRO SIGN}m)"]
    body = table(header, rows, numbers=(0, 2, 3, 4))
    return tag("details", tag("summary", f"{what}, by number of picks"), body)


def _or_dash(value: float) -> str:
    return number(value, 2) if np.isfinite(value) else "\N{EN DASH}"
