"""Detections on micrographs and on decoys of them: what is known about how many are false."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heliodor.picking.calibration import calibrate
from heliodor.picking.decoys import Background, disturbed
from heliodor.picking.distribution import distribution
from heliodor.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from heliodor.networks.scorers import Scorer
    from heliodor.picking.detect import Detector
    from heliodor.progress import Reporter

_MIXED, _BULK = 0.5, 0.8  # false detections for each particle below which, and share of all above which, none is sure
_SHARE = 0.5  # of the shift of low scores that high ones get
_LIKELY = 0.5  # probability above which a detection is kept out of the decoys
_FALSE_AMONG_SURE = 0.05  # share of false detections above a score, at most, where all are surely particles
_MOST_FALSE = 2 / 3  # of what is found above a score where particles stand out
_MOST_CLAIMED, _STEPS = 0.5, 20  # of a micrograph by false detections, for a count of particles; towards that count
_ROUNDS, _FEW = 3, 2  # of finding out what is likely a particle, and the decoys for each
# Decoys in all, at least; one of each micrograph where these are so many: more micrographs tell more (dev/LOG.md).
_LEAST_DECOYS = 16
# Exclusion radii around a particle in which there are no false detections with a good score; most of the logarithm
# where one micrograph is judged by it.
_EMPTIED, _MOST_EMPTIED = 1.5, 0.3
_LEAST_OPEN = 0.9
AROUND = 0.6  # of a diameter: what a particle darkens or brightens around its centre


class Others(NamedTuple):
    """What is neither a particle nor noise, such as broken particles: how many on a micrograph, and their scores.

    `skewness` is that of `heliodor.picking.distribution.distribution`.
    """

    number: float = 0.0
    mean: float = 0.0
    deviation: float = 1.0
    skewness: float = 0.0

    def less(self, number: float) -> Others:
        """Return what is left if so many of them are particles after all."""
        return self._replace(number=max(self.number - number, 0.0))

    def above(self, scores: ArrayLike) -> NDArray[np.floating]:
        """Return how many on each micrograph score at least so well."""
        places = (np.asarray(scores) - self.mean) / self.deviation
        return np.asarray(self.number * (1 - distribution(self.skewness).below(places)))


NO_OTHERS = Others()


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
    images : int
        Decoys.
    shift : float
        Added to the scores of decoys.
    claimed : float
        Share of the area that one particle keeps clear of false detections with a good score.
    particles : float
        On each micrograph, as far as known.
    most : float
        Particles on each micrograph that all detections together can stand for.
    area : float
        Pixels of each micrograph on which detections can be; 0: not known.
    others : Others
        On each micrograph, as far as known.
    which : (N,) array of int, optional
        Micrograph that each detection is on, from 0. None: not known.
    """

    scores: NDArray[np.float64]
    decoys: NDArray[np.float64]
    weight: float
    micrographs: int
    images: int = 1
    shift: float = 0.0
    claimed: float = 0.0
    particles: float = 0.0
    most: float = math.inf
    area: float = 0.0
    others: Others = NO_OTHERS
    which: NDArray[np.intp] | None = None

    def __post_init__(self) -> None:
        if self.which is not None and self.which.shape != self.scores.shape:
            raise ValueError(f"{len(self.which)} micrographs are named for {len(self.scores)} detections")

    @property
    def open(self) -> float:
        """Share of the area where false detections may have a good score; with a bad one they are everywhere.

        Where particles are many, false detections that they themselves make, between them, take the place of others.
        """
        return max(math.exp(-self.particles * self.claimed), _LEAST_OPEN)

    @property
    def emptied(self) -> float:
        """Logarithm of how many more false detections with a good score there would be without the particles."""
        return self.particles * self.claimed * _EMPTIED**2

    @property
    def crowding(self) -> float:
        """The same, bounded: on a micrograph with fewer particles, so many more false ones would explain everything."""
        return min(self.emptied, _MOST_EMPTIED)

    @property
    def likely_others(self) -> float:
        """How many of the others on a micrograph score better than even odds, as the network sees them."""
        return float(self.others.above(0.0))

    def false_above(self, scores: NDArray[np.float64]) -> NDArray[np.floating]:
        """Return the number of false detections to expect that score at least so well."""
        above = _above(self.decoys, scores - self.shift)
        noise = self.weight * above * (self.open + (1 - self.open) * above / max(len(self.decoys), 1))
        return noise + self.micrographs * self.others.above(scores)

    def found_above(self, scores: NDArray[np.float64]) -> NDArray[np.int_]:
        """Return the number of detections that score at least so well."""
        return _above(self.scores, scores)


Found = tuple["NDArray[np.float64]", "NDArray[np.floating]"]  # of one micrograph: centres xy (N, 2), scores


def gather(
    scorer: Scorer,
    images: Sequence[NDArray[np.float32]],
    detector: Detector,
    span: float,
    seed: int,
    found: Sequence[Found],
    masks: Sequence[NDArray[np.bool_] | None],
    *,
    decoys: int | None = None,
    each: int | None = None,
    reporter: Reporter = SILENT,
) -> Evidence:
    """Look for particles on decoys of micrographs, and put them beside what was found on these.

    What is likely a particle, or junk, must be kept out of the decoys, and nothing else: without its best places, noise
    is fainter than it is. So first nothing is kept out, and decoys are too strong: what is likely a particle even so is
    kept out of the next. From the other side, too much kept out makes all seem likely (dev/LOG.md).

    Parameters
    ----------
    scorer : Scorer
    images : sequence of (ny, nx) float32 arrays
        As the network sees micrographs.
    detector : Detector
    span : float
        Diameter of a particle, in their pixels.
    seed : int
    found : sequence of (xy, scores)
        Detections on the images.
    masks : sequence of (ny, nx) bool arrays or None
        Where nothing was looked for on the images: nor is it on their decoys.
    decoys : int, optional
        Images, drawn at random, of which decoys are made. Default: all.
    each : int, optional
        Decoys of each of these. Default: one, more of few micrographs.
    reporter : Reporter

    Returns
    -------
    Evidence
        For any number of particles: see `weigh`.
    """
    random = np.random.default_rng([seed, 0xDEC0])
    chosen = random.permutation(len(images))[:decoys]
    area = sum(image.size for image in images) / len(images)
    free = sum(detector.free(image.shape, mask) for image, mask in zip(images, masks, strict=True)) / len(images)
    claimed = detector.claims(free or area)
    junk = {k: disturbed(images[k], span) for k in chosen}

    def look(cut: float, used: NDArray[np.int_], each: int = 1, reporter: Reporter = SILENT) -> Evidence:
        on_decoys = []
        for k in reporter.track(used, len(used), "looking at decoys"):
            xy, s = found[k]
            background = Background.of_micrograph(images[k], xy[s >= cut], AROUND * span, junk[k])
            on_decoys += [detector(scorer, background.draw(random), masks[k])[1] for _ in range(each)]
        count, number = len(on_decoys), len(images)
        decoys = ranked(on_decoys)
        return Evidence(scores, decoys, number / count, number, count, claimed=claimed, area=free, which=which)

    everything = np.concatenate([s for _, s in found]).astype(np.float64)
    best_first = np.argsort(-everything, kind="stable")
    scores = everything[best_first]
    which = np.repeat(np.arange(len(found)), [len(s) for _, s in found])[best_first]
    cut = np.inf
    for _ in range(_ROUNDS):
        some = look(cut, chosen[:_FEW])
        likely = scores[calibrate(weigh(some, standing_out(some)))(scores) > _LIKELY]
        cut = likely[-1] if len(likely) else np.inf
    return look(cut, chosen, each or -(-_LEAST_DECOYS // len(chosen)), reporter)


def weigh(evidence: Evidence, particles: float) -> Evidence:
    """Fit the decoys, see `fit_decoys`, and bound what all detections together can stand for.

    Where decoys have a tenth too few detections of doubtful scores, a tenth of what is doubtful would count as
    particles, which can be more than there are. So all together count as no more than are wanted, unless more than that
    are surely particles, and the number wanted is too small. What is surely not noise may be no particle either:
    `Evidence.most` says how many there can be, by what else is known.
    """
    fitted = fit_decoys(evidence, particles)
    return replace(fitted, most=max(particles, min(_surely(fitted), fitted.most)))


def fit_decoys(evidence: Evidence, particles: float) -> Evidence:
    """Fit the decoys to what is known to be false, for a number of particles on each micrograph.

    All that is neither a particle nor another thing is noise. That gives the number of these detections, and below the
    scores of particles (where detections are more than one and a half times as many) how they are distributed. Decoys
    are thinned to that number and shifted half-way to these scores: between crowded particles the network sees less
    than in open background, but the best of it differs less (dev/LOG.md). What they say about higher scores, where
    particles and false detections mix, could not be known otherwise.
    """
    wanted = (particles + evidence.others.number) * evidence.micrographs
    false = max(len(evidence.scores) - wanted, 0.0)
    weight = false / max(len(evidence.decoys), 1)
    ranks = weight * np.arange(1, len(evidence.decoys) + 1)
    sure = (ranks > _MIXED * wanted) & (ranks < _BULK * false)
    shift = 0.0
    if sure.any():
        places = np.minimum((wanted + ranks[sure]).astype(int), len(evidence.scores) - 1)
        shift = _SHARE * float(np.median(evidence.scores[places] - evidence.decoys[sure]))
    return replace(evidence, weight=weight, shift=shift, particles=particles)


def _surely(evidence: Evidence) -> float:
    """Return how many particles on each micrograph are among detections of which a twentieth at most are false."""
    found = np.arange(1, len(evidence.scores) + 1)
    false = evidence.false_above(evidence.scores)
    few = false <= _FALSE_AMONG_SURE * found
    return float((found - false)[few].max(initial=0.0)) / evidence.micrographs


def standing_out(evidence: Evidence) -> float:
    """Return how many particles on each micrograph stand out from the noise: no more than there are, but for chance.

    Above a score are found n particles and false detections, as many as on decoys but for the area that particles keep
    clear of them: n = found - decoys exp(-n claimed). The score is taken that gives most, among those above which
    decoys hold at most two thirds as many.

    Parameters
    ----------
    evidence : Evidence
        With at least one decoy.
    """
    found = np.arange(1, len(evidence.scores) + 1) / evidence.micrographs
    false = _above(evidence.decoys, evidence.scores) / evidence.images
    few = false <= np.minimum(_MOST_FALSE * found, _MOST_CLAIMED / max(evidence.claimed, 1e-12))
    particles = np.zeros(len(found))
    for _ in range(_STEPS):
        particles = np.maximum(found - false * np.exp(-particles * evidence.claimed), 0)
    return float(particles[few].max(initial=0.0))


def _above(best_first: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.int_]:
    """Return how many of a ranking score at least as well as each of the scores."""
    return len(best_first) - np.searchsorted(best_first[::-1], scores, side="left")


def ranked(scores: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Join the scores of several micrographs, best first."""
    return np.sort(np.concatenate(scores).astype(np.float64))[::-1]
