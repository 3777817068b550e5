"""The part of the report on scores: where the threshold lies, and what speaks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.picking.calibration import KEY
from heliodor.picking.cut import describe
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
_CUTS = (
    ("cut_at_best_expected_f1", "c3", "best expected F1"),
    ("cut_at_expected_count", "c2", "as many as expected"),
    ("cut_at_probability_half", "c1", "probability of one half"),
)
_PEAK = 1.25  # times the highest bar of picks: so high is the histogram, or the noise would fill it


def scores(run: Run, found: Picks, picked: NDArray[np.bool_], micrographs: int) -> list[Element]:
    """Draw the scores, what each threshold would keep, and how right that would be.

    Parameters
    ----------
    run : Run
    found : Picks
        Detections, those that are no picks too where the run kept them.
    picked : (N,) bool array
        Which of them are picks.
    micrographs : int
        That they are on.
    """
    order = np.argsort(-found.scores, kind="stable")
    found, picked = found.select(order), picked[order]
    if not len(found):
        return [tag("p", "There is no detection.")]
    text = f"{several(len(found), 'detection')} on {several(micrographs, 'micrograph')}"
    if micrographs < len(run.micrographs) - len(run.failed):
        text += " spread over the set"
    charts = [_histogram(run, found.scores, picked, micrographs), _survival(run, found.scores, micrographs)]
    if np.isfinite(found.probabilities).all():
        charts.append(_rates(run, found, micrographs))
    if KEY in run.result:
        charts.append(_calibration(run, found))
    charts.append(_thresholds(run, found, picked))
    return [tag("p", f"{text}. {_evidence(run)}"), tag("div", *charts, class_="pair")]


def _evidence(run: Run) -> str:
    """Say what the threshold rests on, where the run tells."""
    evidence, audited = run.result.get("evidence"), run.result.get("audit")
    if audited is not None:
        return f"The threshold rests on a person's answers: {describe(audited)}."
    if evidence is None:
        return ""
    others = evidence.get("others_on_each", 0.0)
    junk = f"About {others:.0f} with scores above 0 on each look like no labelled particles, and count as false. "
    return (
        f"The threshold rests on {several(evidence['micrographs'], 'micrograph')} and on decoys of them, which are "
        f"noise with the spectrum of their background: {several(evidence['detections'], 'detection')} against "
        f"{evidence['decoys_found']:,} on the decoys, each standing for {number(evidence['false_per_decoy'], 2)} false "
        f"ones. {junk if others >= 1 else ''}"
        "It holds on a micrograph with as many particles as others; with fewer, a pick needs a better score."
    )


def _mark_threshold(plot: Plot, run: Run) -> None:
    if np.isfinite(run.threshold):
        plot.upright(run.threshold, f"threshold {number(run.threshold, 2)}", "ink")


def _histogram(run: Run, values: NDArray[np.float64], picked: NDArray[np.bool_], micrographs: int) -> Element:
    edges = np.histogram_bin_edges(values, _BINS)
    heights, of_picks = (np.histogram(own, edges)[0] / micrographs for own in (values, values[picked]))
    top = _PEAK * of_picks.max(initial=0.0) or heights.max()
    plot = Plot(
        "histogram of the scores",
        Axis.over("score (log-odds)", [*edges, run.threshold]),
        Axis("detections per micrograph", 0.0, float(top)),
    )
    plot.bars(edges, np.minimum(heights, top), "grey")
    plot.bars(edges, of_picks, "c1")
    _mark_threshold(plot, run)
    text = "0 is even odds as the network sees it, larger is surer."
    if heights.max() > top:
        text += f" The highest bar goes on up to {number(heights.max(), 1)}."
    return figure(plot, text, ("c1", "picks"), ("grey", "other detections"))


def _survival(run: Run, ranked: NDArray[np.float64], micrographs: int) -> Element:
    rows = even(len(ranked), _POINTS)
    per_micrograph = (rows + 1) / micrographs
    top = max(1.5 * run.expected, 1.2 * float((ranked > run.threshold).sum()) / micrographs, 1.0)
    shown = per_micrograph <= top
    evidence = run.result.get("evidence", {})
    cuts = [(evidence[key], style, name) for key, style, name in _CUTS if evidence.get(key) is not None]
    x = Axis.over("score (log-odds)", [*ranked[rows[shown]], run.threshold, *(cut for cut, _, _ in cuts)])
    plot = Plot("detections per micrograph above each score", x, Axis("detections per micrograph", 0.0, float(top)))
    plot.line(ranked[rows[shown]], per_micrograph[shown], "c1")
    plot.level(run.expected, f"expected: {number(run.expected, 1)}", "grey dashed")
    for cut, style, _ in cuts:
        plot.upright(cut, "", f"{style} dashed")
    _mark_threshold(plot, run)
    text = "Detections above each score on an average micrograph, and the number of particles expected."
    return figure(plot, text, *((style, name) for _, style, name in cuts))


def _rates(run: Run, found: Picks, micrographs: int) -> Element:
    """Draw expected precision, recall and F1 over the threshold, from the probabilities."""
    rows = even(len(found), _POINTS)
    true, kept = np.cumsum(found.probabilities)[rows], rows + 1.0
    expected = max(run.expected * micrographs, 1.0)
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


def _thresholds(run: Run, found: Picks, picked: NDArray[np.bool_]) -> Element:
    """List thresholds that keep the surer picks only."""
    values = run.picks.scores
    rows = []
    for share in _KEPT if len(values) else ():
        threshold = round(float(np.quantile(values, 1 - share)), 2)
        chances = found.probabilities[picked & (found.scores >= threshold)]
        precision = f"{chances.mean():.1%}" if len(chances) and np.isfinite(chances).all() else "\N{EN DASH}"
        rows.append([f"{share:.0%}", number(threshold), f"{int((values >= threshold).sum()):,}", precision])
    header = ["share of picks", "threshold", "picks", "expected precision"]
    note = tag("p", "To keep only the surer picks, with ", tag("code", "heliodor convert --threshold"), ":")
    return tag("div", note, table(header, rows, numbers=range(len(header))))
