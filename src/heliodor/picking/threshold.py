"""Where to cut the ranking of detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from heliodor.picking.calibration import Calibration
    from heliodor.picking.evidence import Evidence

LEAST_PROBABILITY = 0.2  # of a pick: where nearly all is false, the best F1 is no guide


def choose_threshold(
    evidence: Evidence, calibration: Calibration, particles: float, precision: float | None = None
) -> float:
    """Choose the score above which detections make the best expected F1, or reach a precision.

    With probabilities p of the best k detections and n particles, the expected F1 is 2 sum p / (k + n)
    (Ye et al. 2012).

    Parameters
    ----------
    evidence : Evidence
    calibration : Calibration
    particles : float
        Expected on each micrograph.
    precision : float, optional
        Keep as many as have this mean probability, instead.
    """
    p = calibration(evidence.scores)
    true, ranks = np.cumsum(p), np.arange(1, len(p) + 1)
    if not len(p):
        return 0.0
    if precision is not None:
        reached = np.flatnonzero(true / ranks >= precision)
        kept = int(reached[-1]) + 1 if len(reached) else 0
    else:
        total = max(particles * evidence.micrographs, 1.0)
        kept = int(np.argmax(2 * true / (ranks + total))) + 1
        kept = min(kept, int((p >= LEAST_PROBABILITY).sum()))
    if kept >= len(p):
        return float(np.nextafter(evidence.scores[-1], -np.inf))
    if not kept:
        return float(evidence.scores[0])
    return float((evidence.scores[kept - 1] + evidence.scores[kept]) / 2)
