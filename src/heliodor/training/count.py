"""How many particles are there? Estimated from labels that a pilot run does not see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from heliodor.evaluation import match
from heliodor.training.loop import train
from heliodor.training.settings import TrainingSettings
from heliodor.training.tiles import Example

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from heliodor.picking.detect import Detector

PILOT = {"epochs": 4, "epoch_size": 60}
_LEAST_RECALL, _MOST_RECALL = 0.5, 0.9
_LEAST_LABELS = 6  # that a threshold must find: the best of fewer, thresholds being many, says too little
FEWEST = 8  # labels, below which half of them teach a pilot nothing


@dataclass(frozen=True)
class Count:
    """Particles per micrograph.

    Attributes
    ----------
    particles : float
    low, high : float
        80 % interval from resampling the labels. It does not cover labels that are no fair sample
        (only the clear ones, say): then the true number is higher.
    """

    particles: float
    low: float
    high: float


def estimate_count(
    examples: Sequence[Example],
    settings: TrainingSettings,
    detector: Detector,
    match_radius: float,
    *,
    device: str = "auto",
) -> Count:
    """Estimate the number of particles on labelled micrographs, labelled or not.

    Half of the labels are hidden, and a short pilot run is trained on the others: to it, the hidden ones
    are particles like all that nobody labelled. A threshold that finds a fraction r of them finds
    the same fraction of all particles; if it gives n detections, there are n / r particles, or fewer
    where some detections are false. Then the halves change places.

    The bound is that of mixture-proportion estimation (Garg et al. 2021, "Mixture Proportion Estimation and
    PU Learning"), taken over detections and with labels that the network has not learned from.

    Parameters
    ----------
    examples : sequence of Example
        With at least `FEWEST` labels.
    settings : TrainingSettings
        Of the run to come; the pilots are shorter.
    detector : Detector
    match_radius : float
        How far a detection may be from the label it finds, in downsampled pixels.
    device : str
    """
    random = np.random.default_rng([settings.seed, len(examples)])
    total = sum(len(e.positives) for e in examples)
    half = random.permutation(total) % 2
    pilot = replace(settings, autoencoder=0.0, **PILOT)  # type: ignore[arg-type]
    ranks = np.concatenate(
        [_ranks(examples, half == hidden, pilot, detector, match_radius, device) for hidden in (0, 1)]
    )
    draws = np.array([_bound(random.choice(ranks, len(ranks))) for _ in range(200)])
    draws = draws[np.isfinite(draws)]
    low, high = np.percentile(draws, [10, 90]) if len(draws) else (np.nan, np.nan)
    count = len(examples)
    return Count(_bound(ranks) / count, float(low) / count, float(high) / count)


def _ranks(
    examples: Sequence[Example],
    hidden: NDArray[np.bool_],
    pilot: TrainingSettings,
    detector: Detector,
    match_radius: float,
    device: str,
) -> NDArray[np.float64]:
    """For each hidden label, how many detections score at least as well as the one that finds it."""
    parts = np.split(hidden, np.cumsum([len(e.positives) for e in examples])[:-1])
    shown = [replace(e, positives=e.positives[~h]) for e, h in zip(examples, parts, strict=True)]
    network, _ = train(shown, pilot, device=device)
    scores, found = [], []
    for example, h in zip(examples, parts, strict=True):
        xy, all_scores = detector(network, example.pixels, example.junk)
        scores.append(all_scores)
        matched = match(xy, all_scores, example.positives[h], match_radius)
        best = np.full(int(h.sum()), -np.inf)
        best[matched.label[matched.hit]] = all_scores[matched.hit]
        found.append(best)
    ranked = np.sort(np.concatenate(scores))
    labels = np.concatenate(found)
    ranks = len(ranked) - np.searchsorted(ranked, labels, side="left")
    return np.where(np.isfinite(labels), ranks, np.inf)


def _bound(ranks: NDArray[np.float64]) -> float:
    """Return detections over recall at the threshold where its upper confidence limit is least.

    High thresholds see few labels, low ones many false detections; two standard errors of the recall
    decide between them, as in best-bin estimation (Garg et al. 2021, algorithm 1).
    """
    ordered = np.sort(ranks)
    recall = np.arange(1, len(ordered) + 1) / len(ordered)
    least = max(_LEAST_RECALL, _LEAST_LABELS / len(ordered))
    used = (recall >= least) & (recall <= _MOST_RECALL) & np.isfinite(ordered)
    if not used.any():
        return float("nan")
    bound = ordered[used] / recall[used]
    error = np.sqrt((1 - recall[used]) / (recall[used] * len(ordered)))
    return float(bound[np.argmin(bound * (1 + 2 * error))])
