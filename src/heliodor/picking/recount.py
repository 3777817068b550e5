"""How many particles there are, once a network has been trained on labels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from heliodor.picking.count import Count, Source, count_by_labels

if TYPE_CHECKING:
    from heliodor.picking.evidence import Evidence
    from heliodor.picking.sample import Sample


_MANY = 0.2  # others for each particle, which people are told of


def count_again(count: Count, sample: Sample, fewest: float) -> tuple[Count, float, Evidence]:
    """Bound a count by what the trained network finds, where the sample has scores of labels.

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
    found, others = again
    there = count.particles / sample.expected  # on labelled micrographs for each in the sample
    bound = found.within(fewest / there, math.inf)
    here, most = sample.expected, bound.particles
    if count.source is Source.USER:
        most = math.inf
    elif most < here:
        count, here = bound.scaled(there), most
    # If there are more particles than were found, they are among the others.
    left = max(others.number - max(here - found.particles, 0.0), 0.0)
    return count, here, replace(sample.evidence, most=most, others=others._replace(number=left))


def describe_others(evidence: Evidence, particles: float) -> str | None:
    """Say what else than particles a trained network finds on a micrograph; None where that is little."""
    if evidence.likely_others <= _MANY * particles:
        return None
    return (
        f"about {evidence.likely_others:.0f} detections on a micrograph have good scores, but lower ones than labels, "
        f"{evidence.others.mean:.1f} in the mean, and count as broken particles and the like; if they are particles, "
        "of another view or fainter, label some"
    )
