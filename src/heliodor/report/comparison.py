"""The part of the report that compares the picks with complete labels of some micrographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.evaluation import evaluate
from heliodor.evaluation.reliability import reliability
from heliodor.report.markup import table, tag
from heliodor.report.plot import Axis, Plot, figure
from heliodor.report.tally import even
from heliodor.report.words import number, several

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from heliodor.evaluation.report import Evaluation
    from heliodor.picks import Picks
    from heliodor.report.run import Run

_POINTS = 400  # of a curve


def comparison(run: Run, found: Picks, labels: Picks) -> list[Element]:
    """Draw precision against recall, and probabilities against what is labelled.

    Parameters
    ----------
    run : Run
    found : Picks
        Detections on the labelled micrographs, those below the threshold too where the run kept them.
    labels : Picks
        All particles of these micrographs, in full-size pixels.

    Raises
    ------
    LabelError
        There is nothing to compare.
    """
    radius = run.geometry.match_radius * run.geometry.factor
    result = evaluate(found, labels, radius, threshold=run.threshold)
    trained = len(set(labels.names.tolist()) & set(run.labels.names.tolist()))
    reach = radius * run.geometry.pixel_size
    text = (
        f"{several(len(labels), 'label')} on {several(len(result.per_micrograph), 'micrograph')}, of which {trained:,} "
        f"had labels in training. A detection is right if it is within {reach:.0f} \N{ANGSTROM SIGN} of a label that "
        "no better one has taken. Where labels are not complete, what they miss counts as wrong."
    )
    charts = [_curve(result)]
    if np.isfinite(found.probabilities).all():
        charts.append(_reliability(found, result))
    return [tag("p", text), _table(result), tag("div", *charts, class_="pair")]


def _table(result: Evaluation) -> Element:
    rows = []
    for title, name in (
        ("precision", "precision"),
        ("recall", "recall"),
        ("F1", "f1"),
        ("average precision of all detections", "average_precision"),
    ):
        interval = result.intervals.get(name)
        between = "\N{EN DASH}" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
        rows.append([title, f"{getattr(result.overall, name):.3f}", between])
    rows.append(["highest F1 of any threshold", f"{result.best_f1:.3f}", f"at {number(result.best_threshold, 2)}"])
    return table(["of the picks", "", "95 % interval over micrographs"], rows, numbers=(1,))


def _curve(result: Evaluation) -> Element:
    curve = result.curve
    rows = even(len(curve.recall), _POINTS)
    plot = Plot("precision against recall", Axis("recall", 0.0, 1.0), Axis("precision", 0.0, 1.0))
    plot.line(curve.recall[rows], curve.precision[rows], "c1")
    here = result.overall
    name = f"threshold of the run: precision {here.precision:.3f}, recall {here.recall:.3f}"
    plot.dots([here.recall], [here.precision], "c2", [name])
    return figure(plot, "Every threshold; the ring is that of the run.", ("c1", "precision and recall"))


def _reliability(found: Picks, result: Evaluation) -> Element:
    # In the order of the curve; where scores are equal, so are probabilities.
    ranked = found.probabilities[np.argsort(-found.scores, kind="stable")]
    seen = reliability(ranked, result.curve.hit)
    plot = Plot(
        "fraction that is labelled against the probability given",
        Axis("probability given", 0.0, 1.0),
        Axis("fraction labelled", 0.0, 1.0),
    )
    plot.line([0, 1], [0, 1], "grey dashed")
    plot.intervals(seen.claimed, seen.low, seen.high, "c1")
    plot.line(seen.claimed, seen.true, "c1")
    names = [f"{count:,} detections: {p:.2f} given, {t:.2f} labelled" for count, p, t in
             zip(seen.counts.tolist(), seen.claimed.tolist(), seen.true.tolist(), strict=True)]  # fmt: skip
    plot.dots(seen.claimed, seen.true, "c1", names)
    text = f"Reliability, with 95 % intervals: expected calibration error {seen.error:.3f}."
    return figure(plot, text)
