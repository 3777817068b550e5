"""Scores of picks against labels. Uses nothing of heliodor, so that it judges every program alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splits import Labels


@dataclass(frozen=True)
class Ranking:
    """All picks of the test micrographs, best first, and which of them hit a label.

    Attributes
    ----------
    scores : (N,) float64, descending
    hits : (N,) bool
    distances : (H,) float64, pixels between each hit and its label
    labels : int, number of labels
    probabilities : (N,) float64 or None
    """

    scores: np.ndarray
    hits: np.ndarray
    distances: np.ndarray
    labels: int
    probabilities: np.ndarray | None = None

    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Precision, recall and F1, each (N,), of the 1, 2, ... N best picks."""
        found = np.cumsum(self.hits)
        precision = found / np.arange(1, len(self.hits) + 1)
        recall = found / self.labels
        return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-9)

    def summary(self) -> dict[str, object]:
        """Average precision, best F1, localization error, and what the picks with a score above 0 are worth.

        Average precision is the sum of the precision at each hit over the number of labels (no interpolation).
        """
        precision, _, f1 = self.curve()
        best = int(np.argmax(f1)) if len(f1) else None
        return {
            "ap": float((precision * self.hits).sum() / self.labels),
            "best_f1": 0.0 if best is None else float(f1[best]),
            "best_threshold": None if best is None else float(self.scores[best]),
            "rmse_px": float(np.sqrt(np.mean(self.distances**2))) if len(self.distances) else float("nan"),
            "picks": len(self.hits),
            "zero": self.best(int((self.scores > 0).sum())),
        }

    def best(self, count: int) -> dict[str, float]:
        """Precision, recall and F1 of the `count` best picks."""
        values = [float(part[count - 1]) if count else 0.0 for part in self.curve()]
        return dict(zip(("precision", "recall", "f1"), values, strict=True))

    def calibration_error(self, bins: int = 10) -> float | None:
        """Return the expected calibration error over bins of equal width; None where there are no probabilities."""
        if self.probabilities is None:
            return None
        known = np.isfinite(self.probabilities)
        claimed, hits = self.probabilities[known], self.hits[known]
        if not len(hits):
            return None
        which = np.minimum((claimed * bins).astype(int), bins - 1)
        return float(np.abs(np.bincount(which, claimed - hits, bins)).sum() / len(hits))


def rank(picks: Labels, labels: Labels, micrographs: list[str], match_radius: float) -> Ranking:
    """Match picks to labels one to one, greedily: the best pick first takes the nearest free label in reach."""
    if picks.scores is None:
        raise ValueError("the picks hold no scores")
    chosen, hits, distances = [], [], []
    for name in micrographs:
        rows = picks.rows_of(name)
        rows = rows[np.argsort(-picks.scores[rows], kind="stable")]
        reached = _match(picks.xy[rows], labels.of(name), match_radius)
        chosen.append(rows)
        hits.append(np.isfinite(reached))
        distances.append(reached[np.isfinite(reached)])
    rows, hit = np.concatenate(chosen), np.concatenate(hits)
    order = np.argsort(-picks.scores[rows], kind="stable")
    total = sum(len(labels.of(name)) for name in micrographs)
    probabilities = None if picks.probabilities is None else picks.probabilities[rows[order]]
    return Ranking(picks.scores[rows[order]], hit[order], np.concatenate(distances), total, probabilities)


def _match(picks: np.ndarray, labels: np.ndarray, match_radius: float) -> np.ndarray:
    """Distance (N,) of each pick, best first, to the label it takes; infinite where it takes none."""
    apart = np.linalg.norm(picks[:, None] - labels[None], axis=2)
    apart[apart > match_radius] = np.inf
    reached = np.full(len(picks), np.inf)
    for pick in range(len(picks) if len(labels) else 0):
        nearest = int(np.argmin(apart[pick]))
        reached[pick] = apart[pick, nearest]
        if np.isfinite(reached[pick]):
            apart[:, nearest] = np.inf
    return reached
