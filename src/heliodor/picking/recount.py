"""How many particles there are, once a network has been trained on labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from heliodor.picking.count import Count, count_by_labels

if TYPE_CHECKING:
    from heliodor.picking.sample import Sample


def count_again(count: Count, sample: Sample, fewest: float) -> tuple[Count, float, float]:
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
    here, most : float
        Particles on each micrograph of the sample: how many, and how many there can be.
    """
    bound = count_by_labels(sample.evidence, sample.labels)
    if bound is None or not sample.expected:
        return count, sample.expected, math.inf
    there = count.particles / sample.expected  # on labelled micrographs for each in the sample
    bound = bound.within(fewest / there, math.inf)
    if bound.particles >= sample.expected:
        return count, sample.expected, bound.particles
    return bound.scaled(there), bound.particles, bound.particles
