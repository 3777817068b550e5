"""The exclusion radius that suits labels best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import LabelError
from heliodor.evaluation.curves import precision_recall
from heliodor.evaluation.matching import match
from heliodor.picking.suppression import non_maximum_suppression

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class RadiusFit:
    """How well picks with an exclusion radius find labels.

    Attributes
    ----------
    radius : float
        Pixels of the score maps.
    average_precision, recall : float
    rmse : float
        Of the matched pairs, in these pixels; NaN without any.
    labels : int
    """

    radius: float
    average_precision: float
    rmse: float
    recall: float
    labels: int


def best_radius(
    scores: Mapping[str, NDArray[np.floating]],
    labels: Mapping[str, NDArray[np.float64]],
    radii: Iterable[float],
    *,
    threshold: float,
    match_radius: float | None = None,
) -> RadiusFit:
    """Try exclusion radii on labelled micrographs; the one of the best average precision wins, the first of equals.

    Parameters
    ----------
    scores : mapping
        Name -> score map (ny, nx).
    labels : mapping
        Name -> centres xy (N, 2) in its pixels.
    radii : iterable of float
    threshold : float
        Of the scores.
    match_radius : float, optional
        How far a pick may be from its label. Default: the exclusion radius.

    Raises
    ------
    LabelError
        No label is on a micrograph with scores.
    """
    names = [name for name in scores if len(labels.get(name, ()))]
    if not names:
        raise LabelError("no label is on one of the micrographs; check the names in the targets")
    fits = [_fit(scores, labels, names, radius, threshold, match_radius) for radius in radii]
    return max(fits, key=lambda fit: fit.average_precision)


def _fit(
    scores: Mapping[str, NDArray[np.floating]],
    labels: Mapping[str, NDArray[np.float64]],
    names: list[str],
    radius: float,
    threshold: float,
    match_radius: float | None,
) -> RadiusFit:
    hits, found, distances = [], [], []
    for name in names:
        xy, best = non_maximum_suppression(scores[name], radius, threshold)
        matching = match(xy, None, labels[name], radius if match_radius is None else match_radius, "topaz")
        hits.append(matching.hit)
        found.append(best)
        distances.append(matching.distance[matching.hit])
    count = sum(len(labels[name]) for name in names)
    curve = precision_recall(np.concatenate(hits), np.concatenate(found), count)
    off = np.concatenate(distances)
    rmse = float(np.sqrt((off**2).mean())) if len(off) else float("nan")
    return RadiusFit(radius, curve.average_precision, rmse, len(off) / count, count)
