"""The curve that `topaz precision_recall_curve` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.checks import check_choice
from heliodor.errors import LabelError
from heliodor.evaluation.curves import Curve, precision_recall
from heliodor.evaluation.matching import match

if TYPE_CHECKING:
    from heliodor.picks import Picks

IMAGES = ("target", "predicted", "union")


@dataclass(frozen=True, eq=False)
class TopazCurve:
    """A curve with one row for each distinct score.

    Attributes
    ----------
    curve : Curve
        Its `average_precision` is Topaz's auprc.
    mae : float
        Mean distance of the matched pairs, in pixels; NaN without any. (Topaz 0.3 prints its square root.)
    """

    curve: Curve
    mae: float


def topaz_curve(picks: Picks, labels: Picks, match_radius: float, images: str = "target") -> TopazCurve:
    """Compare picks with labels as Topaz does.

    Pairs are those of the least sum of distance^2 - match_radius^2, whatever the scores. All labels count.

    Parameters
    ----------
    picks, labels : Picks
        The picks with scores.
    match_radius : float
        In pixels, exclusive.
    images : {'target', 'predicted', 'union'}
        Whose micrographs count. 'target': picks on micrographs without labels are ignored; otherwise they are false.

    Raises
    ------
    LabelError
        There is no label, or a pick without a score.
    SettingsError
        There are no such `images`.
    """
    check_choice("images", images, IMAGES)
    if not len(labels):
        raise LabelError("there is no label to compare with; give --targets with labels")
    if np.isnan(picks.scores).any():
        raise LabelError("some predicted particles have no score; give --predicted with a column 'score'")
    known = set(labels.micrographs())
    names = [name for name in picks.micrographs() if images != "target" or name in known]
    hit, scores, distance = [np.empty(0, bool)], [np.empty(0)], [np.empty(0)]
    for name in names:
        part = picks.of(name)
        found = match(part.xy, None, labels.of(name).xy, match_radius, "topaz")
        hit.append(found.hit)
        scores.append(part.scores)
        distance.append(found.distance[found.hit])
    curve = precision_recall(np.concatenate(hit), np.concatenate(scores), len(labels))
    pairs = np.concatenate(distance)
    return TopazCurve(curve.distinct(), float(pairs.mean()) if len(pairs) else float("nan"))
