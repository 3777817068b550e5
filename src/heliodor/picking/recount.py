"""How many particles there are, once a network has been trained on labels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from heliodor.picking.count import Count, Source, count_by_labels

if TYPE_CHECKING:
    from heliodor.picking.evidence import Evidence
    from heliodor.picking.sample import Sample


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
    bound, others = again
    there = count.particles / sample.expected  # on labelled micrographs for each in the sample
    bound = bound.within(fewest / there, math.inf)
    evidence = replace(sample.evidence, others=others)
    if count.source is Source.USER:
        return count, sample.expected, evidence
    evidence = replace(evidence, most=bound.particles)
    if bound.particles >= sample.expected:
        return count, sample.expected, evidence
    return bound.scaled(there), bound.particles, evidence
