"""How many particles are there? Estimated from labels that a pilot run does not see: where no network knows them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from heliodor.picking.count import Count, Source
from heliodor.picking.evidence import Evidence, fit_decoys, gather, ranked
from heliodor.picking.label_scores import label_scores
from heliodor.progress import SILENT, Reporter
from heliodor.training.loop import train
from heliodor.training.settings import TrainingSettings
from heliodor.training.tiles import Example

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from heliodor.networks import Classifier
    from heliodor.networks.scorers import Machine
    from heliodor.picking.detect import Detector

PILOT = {"epochs": 4, "epoch_size": 60}
PILOT_FROM_START = {"epochs": 2, "epoch_size": 60}
_LEAST_RECALL, _MOST_RECALL = 0.5, 0.9
_LEAST_LABELS = 6  # that a threshold must find: the best of fewer, thresholds being many, says too little
_ROUNDS, _DRAWS = 3, 200
_DECOYS = 4  # micrographs that get one
_NONE = np.empty(0)
FEWEST = 8  # labels, below which half of them teach a pilot nothing


def count_by_pilots(
    examples: Sequence[Example],
    settings: TrainingSettings,
    detector: Detector,
    match_radius: float,
    span: float,
    most: float,
    *,
    machine: Machine,
    start: Classifier | None = None,
    reporter: Reporter = SILENT,
) -> Count:
    """Estimate the number of particles on labelled micrographs, labelled or not.

    Half of the labels are hidden, and a short pilot run is trained on the others: to it, the hidden ones
    are particles like all that nobody labelled. A threshold that finds a fraction r of them finds
    the same fraction of all particles; if it gives n detections of which f are false, there are (n - f) / r
    particles. Decoys tell f. Then the halves change places.

    Mixture-proportion estimation (Garg et al. 2021, "Mixture Proportion Estimation and PU Learning") bounds the
    number by n / r; with the false ones subtracted, every threshold gives an estimate of its own, and the median of
    them is taken (dev/LOG.md).

    The interval is from resampling the labels. It does not cover labels that are no fair sample (only the clear ones,
    say): then the true number is higher.

    Parameters
    ----------
    examples : sequence of Example
        With at least `FEWEST` labels.
    settings : TrainingSettings
        Of the run to come; the pilots are shorter.
    detector : Detector
    match_radius : float
        How far a detection may be from the label it finds, in downsampled pixels.
    span : float
        Diameter of a particle, in downsampled pixels.
    most : float
        Particles that a micrograph can hold.
    machine : Machine
    start : Classifier, optional
        See `heliodor.training.loop.Trainer`.
    reporter : Reporter
    """
    random = np.random.default_rng([settings.seed, len(examples)])
    total = sum(len(e.positives) for e in examples)
    half = random.permutation(total) % 2
    length = PILOT if start is None else PILOT_FROM_START
    pilot = replace(settings, autoencoder=0.0, **length)  # type: ignore[arg-type]
    runs = [
        _pilot(examples, half == hidden, pilot, detector, match_radius, span, most, start, machine)
        for hidden in reporter.track((0, 1), 2, "counting particles by pilot runs")
    ]
    evidence = [run.evidence for run in runs]
    hidden_scores = [run.hidden for run in runs]
    count = _settle(evidence, hidden_scores, most)
    draws = np.array(
        [_settle(evidence, [random.choice(h, len(h)) for h in hidden_scores], most) for _ in range(_DRAWS)]
    )
    draws = draws[np.isfinite(draws)]
    low, high = np.percentile(draws, [10, 90]) if len(draws) else (np.nan, np.nan)
    return Count(count, float(low), float(high), Source.PILOTS)


@dataclass(frozen=True, eq=False)
class _Pilot:
    """What a pilot found: its detections, those on decoys, and the score of each hidden label (-inf: not found)."""

    evidence: Evidence
    hidden: NDArray[np.float64]


def _pilot(
    examples: Sequence[Example],
    hidden: NDArray[np.bool_],
    settings: TrainingSettings,
    detector: Detector,
    match_radius: float,
    span: float,
    most: float,
    start: Classifier | None,
    machine: Machine,
) -> _Pilot:
    parts = np.split(hidden, np.cumsum([len(e.positives) for e in examples])[:-1])
    shown = [replace(e, positives=e.positives[~h]) for e, h in zip(examples, parts, strict=True)]
    network, _ = train(shown, settings, start=start, device=machine.device)
    scorer = machine.scorer(network)
    found, scores = [], []
    for example, h in zip(examples, parts, strict=True):
        found.append(detector(scorer, example.pixels, example.junk))
        scores.append(label_scores(example.positives[h], found[-1], match_radius))
    labels = np.concatenate(scores)
    images, masks = [e.pixels for e in examples], [e.junk for e in examples]
    # Without decoys, all detections count as true: a first, high count, which says what to keep out of the decoys.
    everything = Evidence(ranked([s for _, s in found]), _NONE, 0.0, len(images))
    first = min(most, np.nan_to_num(_count([everything], [labels]), nan=most))
    evidence = gather(scorer, images, detector, span, settings.seed, found, masks, decoys=_DECOYS, each=1)
    return _Pilot(fit_decoys(evidence, first), labels)


def _settle(evidence: Sequence[Evidence], hidden: Sequence[NDArray[np.float64]], most: float) -> float:
    """Count with the decoys fitted to the count itself."""
    count = _count(evidence, hidden)
    for _ in range(_ROUNDS):
        count = _count([fit_decoys(one, min(most, count)) for one in evidence], hidden)
    return count


def _count(evidence: Sequence[Evidence], hidden: Sequence[NDArray[np.float64]]) -> float:
    """Return true detections over recall, per micrograph: the median over thresholds that find 50 to 90 % of labels.

    Every hidden label is a threshold for its pilot, and leaves so many true detections above; these numbers are
    ranked for both pilots together. NaN where the thresholds find too few labels.
    """
    true = np.sort(np.concatenate([_true_above(e, h) for e, h in zip(evidence, hidden, strict=True)]))
    recall = np.arange(1, len(true) + 1) / len(true)
    least = max(_LEAST_RECALL, _LEAST_LABELS / len(true))
    used = (recall >= least) & (recall <= _MOST_RECALL) & np.isfinite(true)
    if not used.any():
        return float("nan")
    return float(np.median(true[used] / recall[used])) / evidence[0].micrographs


def _true_above(evidence: Evidence, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many true detections score at least so well; infinitely many for -inf, a label that was not found."""
    true = np.maximum(evidence.found_above(scores) - evidence.false_above(scores), 1.0)
    return np.where(np.isfinite(scores), true, np.inf)
