"""Precision and recall over a ranking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision, recall and F1 of the k best picks, for every k.

    Attributes
    ----------
    threshold : (N,) float array
        Score of the k-th pick, descending.
    hit : (N,) bool array
    precision, recall, f1 : (N,) float array
    """

    threshold: NDArray[np.float64]
    hit: NDArray[np.bool_]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]

    @property
    def average_precision(self) -> float:
        """Sum over k of precision(k) * (recall(k) - recall(k - 1))."""
        return float((self.precision * np.diff(self.recall, prepend=0.0)).sum())

    def distinct(self) -> Curve:
        """Keep one row for each score: a threshold takes all picks of its score or none."""
        last = np.append(np.diff(self.threshold) != 0, True)[: len(self.threshold)]
        return Curve(self.threshold[last], self.hit[last], self.precision[last], self.recall[last], self.f1[last])


def precision_recall(hit: NDArray[np.bool_], scores: NDArray[np.float64], labels: int) -> Curve:
    """Rank picks by score and count.

    Parameters
    ----------
    hit : (N,) bool array
        Whether each pick is matched.
    scores : (N,) array
        Ties keep the order of the rows.
    labels : int
        Number of labels, found or not.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = hit[order]
    true = np.cumsum(ranked)
    precision = true / np.arange(1, len(ranked) + 1)
    recall = true / max(labels, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return Curve(scores[order], ranked, precision, recall, f1)


def average_precision(hit: NDArray[np.bool_], scores: NDArray[np.float64], labels: int) -> float:
    """Average precision of a ranking; see `precision_recall`."""
    return precision_recall(hit, scores, labels).average_precision
