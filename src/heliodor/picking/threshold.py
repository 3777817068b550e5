"""Where to cut the ranking of detections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.picking.calibration import Calibration, calibrate
from heliodor.picking.density import Average

if TYPE_CHECKING:
    from heliodor.picking.evidence import Evidence
    from heliodor.progress import Reporter

_WRITTEN = 1e-6  # scores in files have six decimals: a threshold just beyond one must be so after rounding, too
_ROUNDED = 1e-9  # of a mean: detections of one probability are kept together
LEAST_PROBABILITY = 0.2  # of a pick: where nearly all is false, the best F1 is no guide
# Picks for each particle: where probabilities hardly fall with the score, the best expected F1 takes all there is. In
# 77 runs it took 1.17 at most (dev/LOG.md).
_MOST_PICKS = 1.2


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
        Keep as many as have this mean probability at least, instead, and none that is hardly likely; where even the
        best have less, those of the best mean.
    """
    p = calibration(evidence.scores)
    true, ranks = np.cumsum(p), np.arange(1, len(p) + 1)
    if not len(p):
        return 0.0
    likely = int((p >= LEAST_PROBABILITY).sum())
    if precision is not None:
        means = true / ranks
        kept = int(np.flatnonzero(means >= min(precision, means.max()) - _ROUNDED)[-1]) + 1
        # Where particles are clear, a mean may hold many that surely are none.
        kept = min(kept, max(likely, 1))
    else:
        total = max(particles * evidence.micrographs, 1.0)
        kept = int(np.argmax(2 * true / (ranks + total))) + 1
        kept = min(kept, likely, round(_MOST_PICKS * total))
    if kept >= len(p):
        return float(evidence.scores[-1]) - _WRITTEN
    if not kept:
        return float(evidence.scores[0]) + _WRITTEN
    return float((evidence.scores[kept - 1] + evidence.scores[kept]) / 2)


def settle_threshold(
    evidence: Evidence, calibration: Calibration, particles: float, precision: float | None, reporter: Reporter
) -> float:
    """Choose a threshold as `choose_threshold` does, and warn where none has the precision that is asked for."""
    threshold = choose_threshold(evidence, calibration, particles, precision)
    if precision is not None:
        kept = calibration(evidence.scores[evidence.scores > threshold])
        if len(kept) and kept.mean() < precision:
            reporter.warn(
                f"no threshold has a precision of {precision:g} by the probabilities: of the surest "
                f"{len(kept)} detections on {evidence.micrographs} micrographs, {kept.mean():.0%} are particles"
            )
    return threshold


def judge(evidence: Evidence, particles: float) -> dict[str, Any]:
    """Say what scores are worth, in facts for a model file: evidence, calibration, what an average micrograph tells."""
    calibration = calibrate(evidence)
    average = Average.of_sample(
        calibration(evidence.scores), evidence.micrographs, evidence.crowding, area=evidence.area
    )
    facts = _about_evidence(evidence, calibration, particles)
    return {"evidence": facts, **average.about(), **calibration.about()}


def _about_evidence(evidence: Evidence, calibration: Calibration, particles: float) -> dict[str, float | None]:
    """Return what the cut rests on, for the record of a run: the sample, its decoys, and three ways to cut.

    The three are the best expected F1, as many picks as particles are expected, and a probability of one half.
    """
    rank = min(len(evidence.scores), round(particles * evidence.micrographs))
    half = np.flatnonzero(calibration(evidence.scores) >= 0.5)
    return {
        "micrographs": evidence.micrographs,
        "particles_expected_on_each": particles,
        "detections": len(evidence.scores),
        "decoys_found": len(evidence.decoys),
        "false_per_decoy": evidence.weight,
        "shift_of_decoys": evidence.shift,
        "others_on_each": evidence.likely_others,
        "cut_at_best_expected_f1": choose_threshold(evidence, calibration, particles),
        "cut_at_expected_count": float(evidence.scores[rank - 1]) if rank else None,
        "cut_at_probability_half": float(evidence.scores[half[-1]]) if len(half) else None,
    }
