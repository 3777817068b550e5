"""The part of the report on scores: where the threshold lies, and what speaks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.picking.calibration import KEY
from heliodor.report.markup import table, tag
from heliodor.report.plot import Axis, Plot, figure
from heliodor.report.tally import even
from heliodor.report.words import number, several

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

    from heliodor.picks import Picks
    from heliodor.report.run import Run

_BINS = 80
_POINTS = 300  # of a curve
_KEPT = (0.95, 0.9, 0.75, 0.5)
_PEAK = 1.25  # times the highest bar above the threshold: so high is the histogram, or the noise would fill it


def scores(run: Run, found: Picks, micrographs: int) -> list[Element]:
    """Draw the scores, what each threshold would keep, and how right that would be.

    Parameters
    ----------
    run : Run
    found : Picks
        Detections, those below the threshold too where the run kept them.
    micrographs : int
        That they are on.
    """
    found = found.select(np.argsort(-found.scores, kind="stable"))
    if not len(found):
        return [tag("p", f"No detection has a score above the threshold of {number(run.threshold, 2)}.")]
    text = f"{several(len(found), 'detection')} on {several(micrographs, 'micrograph')}"
    if micrographs < len(run.micrographs) - len(run.failed):
        text += " spread over the set"
    charts = [_histogram(run, found.scores, micrographs), _survival(run, found.scores, micrographs)]
    if np.isfinite(found.probabilities).all():
        charts.append(_rates(run, found, micrographs))
    if KEY in run.result:
        charts.append(_calibration(run, found))
    return [tag("p", f"{text}."), tag("div", *charts, _thresholds(run, found), class_="pair")]


def _mark_threshold(plot: Plot, run: Run) -> None:
    if np.isfinite(run.threshold):
        plot.upright(run.threshold, f"threshold {number(run.threshold, 2)}", "ink")


def _histogram(run: Run, values: NDArray[np.float64], micrographs: int) -> Element:
    counts, edges = np.histogram(values, _BINS)
    heights = counts / micrographs
    above = edges[1:] > run.threshold
    top = _PEAK * heights[above].max(initial=0.0) or heights.max()
    plot = Plot(
        "histogram of the scores",
        Axis.over("score (log-odds)", [*edges, run.threshold]),
        Axis("detections per micrograph", 0.0, float(top)),
    )
    for which, style in ((~above, "grey"), (above, "c1")):
        plot.bars(edges, np.where(which, np.minimum(heights, top), 0), style)
    _mark_threshold(plot, run)
    text = "Scores of the detections; those above the threshold are picks. 0 is even odds, larger is surer."
    if heights.max() > top:
        text += f" The bars on the left go on, up to {number(heights.max(), 1)}."
    return figure(plot, text)


def _survival(run: Run, ranked: NDArray[np.float64], micrographs: int) -> Element:
    rows = even(len(ranked), _POINTS)
    per_micrograph = (rows + 1) / micrographs
    expected = run.result["estimates"]["expected_particles"]
    top = max(1.5 * expected, 1.2 * float((ranked > run.threshold).sum()) / micrographs, 1.0)
    shown = per_micrograph <= top
    x = Axis.over("threshold (log-odds)", [*ranked[rows[shown]], run.threshold])
    plot = Plot("picks per micrograph that each threshold leaves", x, Axis("picks per micrograph", 0.0, float(top)))
    plot.line(ranked[rows[shown]], per_micrograph[shown], "c1")
    plot.level(expected, f"expected: {number(expected, 1)}", "c2 dashed")
    _mark_threshold(plot, run)
    return figure(plot, "Picks on an average micrograph that each threshold would leave, and the number expected.")


def _rates(run: Run, found: Picks, micrographs: int) -> Element:
    """Draw expected precision, recall and F1 over the threshold, from the probabilities."""
    rows = even(len(found), _POINTS)
    true, kept = np.cumsum(found.probabilities)[rows], rows + 1.0
    expected = max(run.result["estimates"]["expected_particles"] * micrographs, 1.0)
    plot = Plot(
        "expected precision, recall and F1 of each threshold",
        Axis.over("threshold (log-odds)", [*found.scores, run.threshold]),
        Axis("fraction", 0.0, 1.1),
    )
    precision, recall = true / kept, np.minimum(true / expected, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    curves = ((precision, "c1", "precision"), (recall, "c2", "recall"), (f1, "c3", "F1"))
    for values, style, _ in curves:
        plot.line(found.scores[rows], values, style)
    _mark_threshold(plot, run)
    text = "What each threshold would give if the probabilities and the number expected are right."
    return figure(plot, text, *((style, name) for _, style, name in curves))


def _calibration(run: Run, found: Picks) -> Element:
    rows = even(len(found), _POINTS)
    x = Axis.over("score (log-odds)", [*found.scores, run.threshold])
    plot = Plot("probability of each score", x, Axis("probability of a particle", 0.0, 1.1))
    plot.line(found.scores[rows], found.probabilities[rows], "c1")
    plot.line(found.scores[rows], 1 / (1 + np.exp(-found.scores[rows])), "grey dashed")
    _mark_threshold(plot, run)
    text = "Probability that a detection is a particle, by its score."
    return figure(plot, text, ("c1", "calibrated"), ("grey", "score taken as log-odds"))


def _thresholds(run: Run, found: Picks) -> Element:
    """List thresholds that keep the surer picks only."""
    values = run.picks.scores
    rows = []
    for share in _KEPT if len(values) else ():
        threshold = round(float(np.quantile(values, 1 - share)), 2)
        chances = found.probabilities[found.scores >= max(threshold, run.threshold)]
        precision = f"{chances.mean():.1%}" if len(chances) and np.isfinite(chances).all() else "\N{EN DASH}"
        rows.append([f"{share:.0%}", number(threshold), f"{int((values >= threshold).sum()):,}", precision])
    header = ["share of picks", "threshold", "picks", "expected precision"]
    note = tag("p", "To keep only the surer picks, with ", tag("code", "heliodor convert --threshold"), ":")
    return tag("div", note, table(header, rows, numbers=range(len(header))))
