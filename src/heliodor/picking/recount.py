"""How many particles there are, once a network has been trained on labels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from heliodor.picking.count import Count, Source, count_by_labels

if TYPE_CHECKING:
    from heliodor.picking.evidence import Evidence
    from heliodor.picking.sample import Sample

# Logarithm of the earlier count over the later one where both are trusted alike, beside the standard error of the later
# one, and how soon only one is.
_IN_DOUBT, _HOW_SHARP = 0.05, 0.03
# Standard error of the logarithm of the earlier one, by the network that training starts from, where the later one is
# higher (dev/LOG.md).
_EARLIER = 0.1
_MANY = 0.2  # others for each particle, which people are told of


def count_again(count: Count, sample: Sample, fewest: float) -> tuple[Count, float, Evidence]:
    """Count once more by the trained network, and tell others from particles, if the sample has labels.

    Parameters
    ----------
    count : Count
        On labelled micrographs.
    sample : Sample
    fewest : float
        Labels on each labelled micrograph.

    Returns
    -------
    count : Count
    here : float
        Particles on each micrograph of the sample.
    evidence : Evidence
        That of the sample, with what looks like neither particles nor noise, and with how many particles there can be,
        unless somebody knows how many there are.
    """
    again = count_by_labels(sample.evidence, sample.labels)
    if again is None or not sample.expected:
        return count, sample.expected, sample.evidence
    found, error, others = again
    here, most = sample.expected, math.inf
    if count.source is not Source.USER:
        there = count.particles / here  # on labelled micrographs for each in the sample
        before, least = count.scaled(1 / there), min(fewest / there, here)
        now = before.towards(found, _trust(here, found.particles, error)).above(least)
        here, most = now.particles, max(now.particles, found.particles)
        count = now.scaled(there)
    # If there are more particles than were found, they are among the others.
    left = others.less(max(here - found.particles, 0.0))
    return count, here, replace(sample.evidence, most=most, others=left)


def _trust(before: float, after: float, error: float) -> float:
    """Return how far a count after training takes the place of the one before.

    If it is surely lower, by the standard error of its logarithm, it does: what it does not count is other things then.
    If it is higher, both numbers have the weight of their errors, and the later one's is large where particles are
    faint.
    """
    excess = math.log(before / max(after, 1e-9))
    if excess <= 0:
        return _EARLIER**2 / (_EARLIER**2 + error**2)
    return 1 / (1 + math.exp(-(excess - _IN_DOUBT - error) / _HOW_SHARP))


def describe_others(evidence: Evidence, particles: float) -> str | None:
    """Say what else than particles a trained network finds on a micrograph; None where that is little."""
    if evidence.likely_others <= _MANY * particles:
        return None
    return (
        f"about {evidence.likely_others:.0f} detections on a micrograph have good scores, but lower ones than most "
        "labels, and count as broken particles and the like; if they are particles, of another view or fainter, label "
        "some"
    )
