"""How many particles are there? By the network that training starts from, if it knows them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from heliodor.picking.evidence import gather
from heliodor.picking.label_scores import RANK_ERROR, better_placed, label_scores, ranks
from heliodor.picking.mixture import POSSIBLY, fit_mixture
from heliodor.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from heliodor.networks import Classifier
    from heliodor.networks.scorers import Machine
    from heliodor.picking.evidence import Evidence, Others
    from heliodor.picking.geometry import Geometry
    from heliodor.progress import Reporter
    from heliodor.training.tiles import Example

_LOOKED = 16  # micrographs at most
# Chance that a label scores better than a detection on a decoy, above which a network knows the particles; in doubt,
# with few labels, it does.
_KNOWN = 0.7
# Standard deviation of ln(estimate / truth), at least: a little more than where it was settled (dev/LOG.md).
_OFF = 0.12
_FEWEST_FOUND = 3  # labels: of fewer, scores say little
# Of the particles on labelled micrographs, when these are compared with others: of fewer, the contrast of a micrograph
# would change the number, not only how many particles it holds (dev/LOG.md).
_COMPARED = 0.9
_MOST_FALSE = 0.8  # of so many of the best detections: with more, nothing could be compared
_TINY = 1e-9  # particles, of which the logarithm can be taken
_WIDE = 10.0  # times its lower end is the upper end of the interval of a number that is hardly known
_EIGHTY = 1.2816  # standard deviations on either side that hold 80 % of a normal distribution


class Source(StrEnum):
    """What a count rests on, in words for people."""

    USER = "the user"
    TYPICAL = "what is typical"
    START = "scores of the network it starts from"
    GENERAL = "scores of the network"
    TRAINED = "scores of the trained network"
    PILOTS = "labels hidden from two pilot runs"


@dataclass(frozen=True)
class Count:
    """Particles per micrograph.

    Attributes
    ----------
    particles : float
    low, high : float
        80 % interval.
    source : Source
    false : float
        Share of false ones among detections on the same micrographs that score as well as `compared_score`; 0 where
        that is not known.
    """

    particles: float
    low: float
    high: float
    source: Source
    false: float = 0.0

    @classmethod
    def of_scores(cls, evidence: Evidence, source: Source) -> Count:
        """Count by the scores of a network that no labels have trained.

        The interval is for those who have no idea how many particles there are for each that stands out.
        """
        likely, possible = fit_mixture(evidence), fit_mixture(evidence, width=POSSIBLY)
        off = _off(possible.error)
        low, high = sorted((likely.particles, possible.particles))
        return cls(likely.particles, low / off, max(high, 1.0) * off, source)

    @classmethod
    def given(cls, particles: float) -> Count:
        """Take a number that somebody knows."""
        return cls(particles, particles, particles, Source.USER)

    def scaled(self, factor: float) -> Count:
        """Return the number on so many times the area."""
        low, particles, high = (n * factor for n in (self.low, self.particles, self.high))
        return replace(self, low=low, particles=particles, high=high)

    def towards(self, other: Count, trust: float) -> Count:
        """Return what lies between this count and another, in logarithms; the source is that of the nearer one."""
        if not trust:
            return self
        pairs = ((self.low, other.low), (self.particles, other.particles), (self.high, other.high))
        low, particles, high = (max(a, _TINY) ** (1 - trust) * max(b, _TINY) ** trust for a, b in pairs)
        return replace(self, low=low, particles=particles, high=high, source=(other if trust > 0.5 else self).source)

    def above(self, fewest: float) -> Count:
        """Bound the number from below by what is known to be there: a lower estimate is hardly known then."""
        if self.particles >= fewest:
            return replace(self, low=max(self.low, fewest))
        return replace(self, low=fewest, particles=fewest, high=max(self.high, fewest * _off(0.0)))

    def within(self, fewest: float, most: float) -> Count:
        """Bound the number and its interval by what can be."""
        low, particles, high = (min(max(n, fewest), most) for n in (self.low, self.particles, self.high))
        return replace(self, low=low, particles=particles, high=high)

    def __str__(self) -> str:
        """Say it to people."""
        return (
            f"about {self.particles:.0f} particles per micrograph ({self.low:.0f} to {self.high:.0f}), by {self.source}"
        )

    @property
    def doubt(self) -> str | None:
        """What people should be told about a number that is hardly known; None: it is known."""
        mend = "look at the candidates in the report, and label more particles, or give --expected-particles"
        if self.low < 1 and self.source in (Source.GENERAL, Source.START):
            return f"next to nothing surely stands out from noise: there may be no picks; {mend}"
        if self.high > _WIDE * max(self.low, 1.0):
            return (
                f"how many particles there are is hardly known ({self.low:.0f} to {self.high:.0f} per micrograph): "
                f"picks may be far too few or too many; {mend}"
            )
        return None

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Count:
        """Read it from the facts in a model file."""
        low, high = facts["expected_particles_80"]
        return cls(facts["expected_particles"], low, high, Source(facts["counted_by"]))

    def facts(self) -> dict[str, Any]:
        """Return it as JSON-able facts, for `of_facts` and the record of a run."""
        interval = [self.low, self.high]
        return {"expected_particles": self.particles, "expected_particles_80": interval, "counted_by": self.source}


def count_by_scores(
    examples: Sequence[Example],
    start: Classifier,
    geometry: Geometry,
    seed: int,
    machine: Machine,
    reporter: Reporter = SILENT,
) -> Count | None:
    """Estimate the particles on labelled micrographs by the scores of a network that has not seen them.

    Labels only say whether the network knows such particles: people label clear ones, and an estimate that takes labels
    for a fair sample is then too low by a third or more (dev/LOG.md).

    Parameters
    ----------
    examples : sequence of Example
        Some of them are looked at, drawn by the seed.
    start : Classifier
        The network.
    geometry : Geometry
    seed : int
    machine : Machine
    reporter : Reporter

    Returns
    -------
    Count or None
        None: labels hardly score better than noise.
    """
    chosen = some_of(examples, _LOOKED, seed)
    scorer, detector = machine.scorer(start), geometry.detector
    looked = reporter.track(chosen, len(chosen), "counting particles")
    found = [detector(scorer, e.pixels, e.junk) for e in looked]
    images, masks = [e.pixels for e in chosen], [e.junk for e in chosen]
    evidence = gather(scorer, images, detector, geometry.span, seed, found, masks, reporter=reporter)
    radius, decoys = geometry.match_radius, evidence.decoys
    labels = np.concatenate([label_scores(e.positives, f, radius) for e, f in zip(chosen, found, strict=True)])
    otherwise = better_placed(chosen, found, decoys, radius)
    if otherwise is not None:
        reporter.warn(
            f"by the network that training starts from, labels would lie on particles if {otherwise}; look where they "
            "are in the report, and mend them"
        )
    if (
        not len(labels)
        or not len(decoys)
        or ranks(labels, decoys).mean() + RANK_ERROR / math.sqrt(len(labels)) < _KNOWN
    ):
        return None
    # All labelled micrographs hold particles: that some hold more says nothing of what else there is (dev/LOG.md).
    count = Count.of_scores(replace(evidence, which=None), Source.START)
    return replace(count, false=_false_among_best(evidence, count.particles))


def compared_score(scores: NDArray[np.float64], particles: float) -> float:
    """Return the score that nearly as many detections (N,), best first, one or more, reach as there are particles."""
    return float(scores[min(round(_COMPARED * particles), len(scores) - 1)])


def _false_among_best(evidence: Evidence, particles: float) -> float:
    """Return which share of the detections that score as well as `compared_score` is false."""
    total = particles * evidence.micrographs
    if not total or not len(evidence.scores):
        return 0.0
    false = float(evidence.false_above(np.array([compared_score(evidence.scores, total)]))[0])
    room = math.exp(-replace(evidence, particles=particles).emptied)
    return min(false * room / (_COMPARED * total), _MOST_FALSE)


class ByLabels(NamedTuple):
    """Particles on a micrograph and the standard error of the logarithm of their number; what else there is."""

    number: Count
    error: float
    others: Others


def count_by_labels(evidence: Evidence, labels: NDArray[np.float64]) -> ByLabels | None:
    """Count particles on a micrograph, and what is neither particle nor noise, by a network that was trained on labels.

    It tells particles from broken ones and other things that are not noise, which a network that has not seen the
    labels counts as well. Where particles differ more from one another than usual, some are taken for such things;
    labels among them say how many.

    Parameters
    ----------
    evidence : Evidence
        What the trained network finds.
    labels : (N,) array
        Scores of labels by it; -inf: not found.

    Returns
    -------
    ByLabels or None
        None: fewer than three labels are found, which say too little, or there is no detection on any decoy.
    """
    found = labels[np.isfinite(labels)]
    if len(found) < _FEWEST_FOUND or not len(evidence.decoys):
        return None
    mixture = fit_mixture(evidence, found)
    corrected, error = mixture.corrected, max(mixture.error, _OFF)
    off = _off(error)
    count = Count(corrected.particles, mixture.particles / off, corrected.particles * off, Source.TRAINED)
    return ByLabels(count, error, corrected.others)


def _off(error: float) -> float:
    """Return the factor between a number and the ends of its interval."""
    return math.exp(_EIGHTY * max(error, _OFF))


def some_of(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """Draw micrographs, first of those that have a labelled particle."""
    order = np.random.default_rng([seed, 0xC0]).permutation(len(examples))
    return [examples[k] for k in sorted(order, key=lambda k: not len(examples[k].positives))[:count]]
