"""How many particles to expect: given by the user, or estimated; and pi, which follows from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from heliodor.picking.count import count_by_scores
from heliodor.picking.pilots import FEWEST, count_by_pilots
from heliodor.training.labels import expected_particles, prior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliodor.picking.geometry import Geometry
    from heliodor.picking.settings import PickSettings
    from heliodor.picking.start import Start
    from heliodor.progress import Reporter
    from heliodor.training.settings import TrainingSettings
    from heliodor.training.tiles import Example


def known(examples: Sequence[Example], geometry: Geometry) -> tuple[int, int, int, float]:
    """Return what pi depends on beside the number of particles: labels, micrographs, their pixels, the label radius."""
    labels, pixels = sum(len(e.positives) for e in examples), sum(e.pixels.size for e in examples)
    return labels, len(examples), pixels, geometry.label_radius


def first_guess(examples: Sequence[Example], settings: PickSettings, geometry: Geometry) -> float:
    """Return the particles per micrograph that are given, or guess by what is typical."""
    if settings.expected_particles is not None:
        return settings.expected_particles
    labeled = sum(len(e.positives) for e in examples) / len(examples)
    return max(geometry.typical(_pixels(examples)), 2 * labeled)


def settle_prior(
    examples: Sequence[Example],
    chosen: TrainingSettings,
    guess: float,
    start: Start | None,
    settings: PickSettings,
    geometry: Geometry,
    device: str,
    reporter: Reporter,
) -> tuple[TrainingSettings, float]:
    """Settle pi and the number of particles per micrograph: given, or estimated, by pilot runs where nothing better is.

    Parameters
    ----------
    examples : sequence of Example
    chosen : TrainingSettings
        With a first guess of pi.
    guess : float
        Particles per micrograph.
    start : (Classifier, dict), optional
        What training starts from.
    settings, geometry, device, reporter
        Of the run.
    """
    facts = known(examples, geometry)
    if settings.pi is not None:
        return chosen, expected_particles(settings.pi, *facts)
    if settings.expected_particles is not None:
        return chosen, guess
    most = geometry.most(_pixels(examples))
    count = None
    # Of a network that a user trained, nobody knows how scores are distributed, nor what it has been trained on.
    if start is not None and "pretrained_on" in start[1]:
        reporter.note("counting particles by the scores of the network that training starts from")
        count = count_by_scores(examples, start[0], geometry, settings.seed, device, reporter)
    if count is None and facts[0] >= FEWEST:
        detector, radius, span = geometry.detector, geometry.match_radius, geometry.span
        network = None if start is None else start[0]
        count = count_by_pilots(
            examples, chosen, detector, radius, span, most, start=network, device=device, reporter=reporter
        )
    if count is None:
        return chosen, guess
    reporter.note(
        f"about {count.particles:.0f} particles per micrograph ({count.low:.0f} to {count.high:.0f}), by {count.source}"
    )
    fewest = facts[0] / len(examples)
    expected = float(np.clip(np.nan_to_num(count.particles, nan=guess), fewest, most))
    # Too small a pi costs far more than too large a one (dev/LOG.md): pi takes the upper end of the interval, which
    # is wide where little is known. The threshold takes the middle.
    upper = float(np.clip(np.nan_to_num(count.high, nan=expected), expected, most))
    return replace(chosen, pi=prior(upper, *facts)), expected


def _pixels(examples: Sequence[Example]) -> float:
    """Return how many pixels of a micrograph are without junk, on average."""
    return sum(e.area for e in examples) / len(examples)
