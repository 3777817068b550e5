"""Detections on micrographs and on decoys of them: what is known about how many are false."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from heliodor.picking.decoys import make_decoy
from heliodor.picking.scoring import score_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from heliodor.networks.scorers import Scorer
    from heliodor.picking.detect import Detector

_MIXED, _BULK = 0.5, 0.8  # false detections for each particle below which, and share of all above which, none is sure
_SHARE = 0.5  # of the shift of low scores that high ones get
_HIDDEN = 0.5  # of the area
_AROUND = 0.6  # of a diameter: what a particle darkens or brightens around its centre


@dataclass(frozen=True, eq=False)
class Evidence:
    """Detections on a sample of micrographs, and on decoys of them.

    Parameters
    ----------
    scores : (N,) array
        Of all detections on the micrographs, best first.
    decoys : (M,) array
        Of all detections on the decoys, best first.
    weight : float
        False detections that one on a decoy stands for.
    micrographs : int
    shift : float
        Added to the scores of decoys.
    """

    scores: NDArray[np.float64]
    decoys: NDArray[np.float64]
    weight: float
    micrographs: int
    shift: float = 0.0

    def false_above(self, scores: NDArray[np.float64]) -> NDArray[np.floating]:
        """Return the number of false detections to expect that score at least so well."""
        below = np.searchsorted(self.decoys[::-1], scores - self.shift, side="left")
        return self.weight * (len(self.decoys) - below)

    def found_above(self, scores: NDArray[np.float64]) -> NDArray[np.int_]:
        """Return the number of detections that score at least so well."""
        return len(self.scores) - np.searchsorted(self.scores[::-1], scores, side="left")


Found = tuple["NDArray[np.float64]", "NDArray[np.floating]"]  # of one micrograph: centres xy (N, 2), scores


def gather(
    scorer: Scorer,
    images: Sequence[NDArray[np.float32]],
    detector: Detector,
    span: float,
    particles: float,
    seed: int,
    found: Sequence[Found],
    *,
    decoys: int | None = None,
) -> Evidence:
    """Look for particles on decoys of micrographs, and put them beside what was found on these.

    Parameters
    ----------
    scorer : Scorer
    images : sequence of (ny, nx) float32 arrays
        Downsampled and normalized.
    detector : Detector
    span : float
        Diameter of a particle, in their pixels.
    particles : float
        Expected on each. As many of the best detections, or such as cover half of the area, are kept out of the decoys.
    seed : int
    found : sequence of (xy, scores)
        Detections on the images.
    decoys : int, optional
        Images, drawn at random, of which a decoy is made. Default: all.
    """
    scores = ranked([s for _, s in found])
    area = sum(image.size for image in images) / len(images)
    hidden = max(particles, _HIDDEN * area / (math.pi * (_AROUND * span) ** 2))
    rank = min(len(scores), round(hidden * len(images)))
    cut = scores[rank - 1] if rank else np.inf
    random = np.random.default_rng([seed, 0xDEC0])
    chosen = np.sort(random.permutation(len(images))[:decoys])
    on_decoys = []
    for which in chosen:
        (xy, s), image = found[which], images[which]
        decoy = make_decoy(image, xy[s >= cut], _AROUND * span, random)
        on_decoys.append(detector.maxima(score_map(scorer, decoy))[1])
    return weigh(Evidence(scores, ranked(on_decoys), 1.0, len(images)), particles)


def weigh(evidence: Evidence, particles: float) -> Evidence:
    """Fit the decoys to what is known to be false, for a number of particles on each micrograph.

    All that is not a particle is false. That gives the number of false detections, and below the scores of particles
    (where detections are more than one and a half times as many) how they are distributed. Decoys are thinned to that
    number and shifted half-way to these scores: between crowded particles the network sees less than in open
    background, but the best of it differs less (dev/LOG.md). What they say about higher scores, where particles and
    false detections mix, could not be known otherwise.
    """
    wanted = particles * evidence.micrographs
    false = max(len(evidence.scores) - wanted, 0.0)
    weight = false / max(len(evidence.decoys), 1)
    ranks = weight * np.arange(1, len(evidence.decoys) + 1)
    clear = (ranks > _MIXED * wanted) & (ranks < _BULK * false)
    if not clear.any():
        return replace(evidence, weight=weight, shift=0.0)
    places = np.minimum((wanted + ranks[clear]).astype(int), len(evidence.scores) - 1)
    shift = _SHARE * float(np.median(evidence.scores[places] - evidence.decoys[clear]))
    return replace(evidence, weight=weight, shift=shift)


def ranked(scores: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Join the scores of several micrographs, best first."""
    return np.sort(np.concatenate(scores).astype(np.float64))[::-1]
