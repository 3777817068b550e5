"""The parts of the report that compare the picks with what a person says: complete labels, or answers about some."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import LabelError
from heliodor.evaluation import evaluate
from heliodor.evaluation.reliability import reliability
from heliodor.picking.answers import OPEN, YES
from heliodor.report.markup import table, tag
from heliodor.report.plot import Axis, Plot, figure
from heliodor.report.tally import even
from heliodor.report.words import number, several

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

    from heliodor.evaluation.report import Evaluation, Scores
    from heliodor.picking.answers import Answers
    from heliodor.picks import Picks
    from heliodor.report.run import Run

_POINTS = 400  # of a curve
_FEW = 5  # bins of some sixty answers


def comparison(run: Run, found: Picks, picked: NDArray[np.bool_], labels: Picks) -> list[Element]:
    """Draw precision against recall, and probabilities against what is labelled.

    Parameters
    ----------
    run : Run
    found : Picks
        Detections on the labelled micrographs, those that are no picks too where the run kept them.
    picked : (N,) bool array
        Which of them are picks.
    labels : Picks
        All particles of these micrographs, in full-size pixels.

    Raises
    ------
    LabelError
        There is nothing to compare.
    """
    radius = run.geometry.match_radius * run.geometry.factor
    result, of_picks = (evaluate(table, labels, radius) for table in (found, found.select(picked)))
    trained = len(set(labels.names.tolist()) & set(run.labels.names.tolist()))
    reach = radius * run.geometry.pixel_size
    text = (
        f"{several(len(labels), 'label')} on {several(len(result.per_micrograph), 'micrograph')}, of which {trained:,} "
        f"had labels in training. A detection is right if it is within {reach:.0f} \N{ANGSTROM SIGN} of a label that "
        "no better one has taken. Where labels are not complete, what they miss counts as wrong."
    )
    charts = [_curve(result, of_picks.overall)]
    if np.isfinite(found.probabilities).all():
        # In the order of the curve; where scores are equal, so are probabilities.
        ranked = found.probabilities[np.argsort(-found.scores, kind="stable")]
        charts.append(_reliability(ranked, result.curve.hit, "labelled"))
    return [tag("p", text), _table(result, of_picks), tag("div", *charts, class_="pair")]


def _table(result: Evaluation, of_picks: Evaluation) -> Element:
    rows = []
    for title, name, own in (
        ("precision of the picks", "precision", of_picks),
        ("recall", "recall", of_picks),
        ("F1", "f1", of_picks),
        ("average precision of all detections", "average_precision", result),
    ):
        interval = own.intervals.get(name)
        between = "\N{EN DASH}" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
        rows.append([title, f"{getattr(own.overall, name):.3f}", between])
    rows.append(["highest F1 of any threshold", f"{result.best_f1:.3f}", f"at {number(result.best_threshold, 2)}"])
    return table(["", "", "95 % interval over micrographs"], rows, numbers=(1,))


def _curve(result: Evaluation, here: Scores) -> Element:
    curve = result.curve
    rows = even(len(curve.recall), _POINTS)
    plot = Plot("precision against recall", Axis("recall", 0.0, 1.0), Axis("precision", 0.0, 1.0))
    plot.line(curve.recall[rows], curve.precision[rows], "c1")
    name = f"picks: precision {here.precision:.3f}, recall {here.recall:.3f}"
    plot.dots([here.recall], [here.precision], "c2", [name])
    return figure(plot, "Every threshold; the ring is the picks.", ("c1", "precision and recall"))


def answered(found: Picks, answers: Answers) -> list[Element]:
    """Draw probabilities against what a person said of the detections that were asked about.

    Parameters
    ----------
    found : Picks
        Detections on the micrographs of the answers.
    answers : Answers
        Open ones do not count.

    Raises
    ------
    LabelError
        None was given, one is about a detection of another run, or the detections have no probabilities.
    """
    given = answers.given != OPEN
    if not given.any():
        raise LabelError("no question of the audit was answered; answer some, or leave it out")
    likely = dict(zip(found.places(), found.probabilities.tolist(), strict=True))
    asked = [likely.get(place) for place in answers.picks.select(given).places()]
    if None in asked:
        raise LabelError("an answer is about a detection that this run does not have; give the answers about its picks")
    probabilities = np.array(asked, dtype=np.float64)
    if not np.isfinite(probabilities).all():
        raise LabelError("the detections of this run have no probabilities that the answers could be compared with")
    right = answers.given[given] == YES
    text = f"{several(len(right), 'answer')} to \u201cis this a particle?\u201d, of which {int(right.sum()):,} are yes."
    chart = _reliability(probabilities, right, "called particles", bins=_FEW)
    return [tag("div", chart, tag("p", text), class_="pair")]


def _reliability(probabilities: NDArray[np.float64], true: NDArray[np.bool_], what: str, bins: int = 10) -> Element:
    seen = reliability(probabilities, true, bins)
    plot = Plot(
        f"fraction {what} against the probability given",
        Axis("probability given", 0.0, 1.0),
        Axis(f"fraction {what}", 0.0, 1.0),
    )
    plot.line([0, 1], [0, 1], "grey dashed")
    plot.intervals(seen.claimed, seen.low, seen.high, "c1")
    plot.line(seen.claimed, seen.true, "c1")
    names = [f"{count:,} detections: {p:.2f} given, {t:.2f} {what}" for count, p, t in
             zip(seen.counts.tolist(), seen.claimed.tolist(), seen.true.tolist(), strict=True)]  # fmt: skip
    plot.dots(seen.claimed, seen.true, "c1", names)
    text = f"Reliability, with 95 % intervals: expected calibration error {seen.error:.3f}."
    return figure(plot, text)
