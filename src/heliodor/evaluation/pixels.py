"""How good a score map is, pixel by pixel: what Topaz's training curve says of its test micrographs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import LabelError
from heliodor.evaluation.curves import average_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class PixelRates:
    """Expected rates: each pixel counts as positive with the probability that the network gives it.

    Attributes
    ----------
    loss : float
        Binary cross-entropy, pixels without a label taken as negative.
    precision, tpr, fpr : float
        Share of the claimed positives that are labelled; mean probability of labelled pixels, and of the others.
    average_precision : float
        Of the ranking of pixels by score.
    """

    loss: float
    precision: float
    tpr: float
    fpr: float
    average_precision: float


def pixel_rates(scores: Sequence[NDArray[np.floating]], positive: Sequence[NDArray[np.bool_]]) -> PixelRates:
    """Compare score maps with maps of labelled pixels.

    Parameters
    ----------
    scores : sequence of (ny, nx) array
        Log-odds.
    positive : sequence of (ny, nx) bool array
        Pixels within the label radius of a label.

    Raises
    ------
    LabelError
        No pixel is labelled, or all are.
    """
    logits = np.concatenate([np.asarray(s, dtype=np.float64).ravel() for s in scores])
    y = np.concatenate([p.ravel() for p in positive])
    if not y.any() or y.all():
        raise LabelError("rates need pixels with and without a label; give test micrographs with labels")
    probability = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
    loss = float(np.logaddexp(0, np.where(y, -logits, logits)).mean())
    claimed, deserved = float(probability.sum()), float(probability[y].sum())
    precision = deserved / claimed if claimed > 0 else 1.0
    fpr = float(probability[~y].mean())
    return PixelRates(loss, precision, float(probability[y].mean()), fpr, average_precision(y, logits, int(y.sum())))
