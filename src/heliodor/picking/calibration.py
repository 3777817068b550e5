"""From scores to probabilities that mean what they say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from heliodor.picking.evidence import Evidence

KEY = "calibration"
_BINS, _LEAST_IN_BIN = 40, 12


@dataclass(frozen=True)
class Calibration:
    """A rising curve: probability that a detection of a given score is a particle.

    Between its points log-odds are interpolated; beyond its ends the curve is flat.

    Parameters
    ----------
    scores : tuple of float
        Rising.
    probabilities : tuple of float
        Inside (0, 1), not falling.
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    @classmethod
    def of_model(cls, about: dict[str, Any]) -> Calibration:
        """Read it from the facts in a model file; where they have none, a score is its own log-odds."""
        if KEY not in about:
            odds = np.linspace(-12.0, 12.0, 25)
            return cls(tuple(odds.tolist()), tuple((1 / (1 + np.exp(-odds))).tolist()))
        return cls(tuple(about[KEY]["scores"]), tuple(about[KEY]["probabilities"]))

    def about(self) -> dict[str, Any]:
        """Return it as JSON-able facts, for `of_model`."""
        return {KEY: asdict(self)}

    def __call__(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of detections with the scores (N,)."""
        p = np.array(self.probabilities)
        odds = np.interp(np.asarray(scores, dtype=np.float64), self.scores, np.log(p / (1 - p)))
        return np.asarray(1 / (1 + np.exp(-odds)))


def calibrate(evidence: Evidence) -> Calibration:
    """Turn the shares of false detections into a rising curve of probabilities, see `_rising`.

    From the best score down, true detections are counted up to the most that there can be.
    """
    edges = _edges(len(evidence.scores))
    if not len(evidence.scores):
        return Calibration((0.0,), (0.5,))
    ends = evidence.scores[np.maximum(edges, 1) - 1]
    false = np.where(edges == 0, 0.0, evidence.false_above(ends))
    true = np.minimum(edges - false, evidence.most * evidence.micrographs)
    return _rising(evidence.scores, edges, np.diff(true) / np.diff(edges))


def calibrate_known(scores: ArrayLike, true: ArrayLike) -> Calibration:
    """Turn detections of which is known whether they are true into a rising curve of probabilities.

    Parameters
    ----------
    scores : (N,) array_like
        At least one.
    true : (N,) array_like of bool
    """
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    edges = _edges(len(order))
    share = np.add.reduceat(np.asarray(true, dtype=np.float64)[order], edges[:-1]) / np.diff(edges)
    return _rising(np.asarray(scores, dtype=np.float64)[order], edges, share)


def _edges(count: int) -> NDArray[np.int_]:
    """Bins of a ranking, finer at its top: half of them share the best tenth."""
    bins = max(1, min(_BINS, count // _LEAST_IN_BIN))
    shares = np.concatenate([np.linspace(0, 0.1, bins // 2 + 1), np.linspace(0.1, 1, bins - bins // 2 + 1)])
    return np.unique(np.rint(shares * count).astype(int))


def _rising(scores: NDArray[np.float64], edges: NDArray[np.int_], share: NDArray[np.float64]) -> Calibration:
    """Make shares of true detections, best bin first, a curve that rises with the score.

    Pool-adjacent-violators (Barlow et al. 1972). Bins with n detections that are pooled claim nothing closer to 1 than
    1 / (n + 2), and none anything closer to 0 than the largest of these may.
    """
    from scipy.optimize import isotonic_regression

    size = np.diff(edges)[::-1]
    middle = np.array([scores[a:b].mean() for a, b in pairwise(edges)])[::-1]
    fit = isotonic_regression(share[::-1], weights=size)
    curve, least = fit.x, 1 / (np.repeat(fit.weights, np.diff(fit.blocks)) + 2)
    curve = np.maximum.accumulate(np.clip(curve, least.min(), 1 - least))
    places, keep = np.unique(middle, return_index=True)
    return Calibration(tuple(places.tolist()), tuple(curve[keep].tolist()))
