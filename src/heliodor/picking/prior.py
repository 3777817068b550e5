"""How many particles to expect: given by the user, or estimated; and pi, which follows from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.networks.scorers import scorers_of_network
from heliodor.picking.calibration import Calibration
from heliodor.picking.count import FEWEST, estimate_count
from heliodor.picking.geometry import Geometry, most_particles, typical_particles
from heliodor.picking.scoring import score_map
from heliodor.training.labels import expected_particles, prior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliodor.networks import Classifier
    from heliodor.picking.settings import PickSettings
    from heliodor.progress import Reporter
    from heliodor.training.settings import TrainingSettings
    from heliodor.training.tiles import Example

_GUESSED = 4  # micrographs that the first guess looks at
_UNLIKELY, _FAINT = 0.05, 1.5


def known(examples: Sequence[Example], geometry: Geometry) -> tuple[int, int, int, float]:
    """Return what pi depends on beside the number of particles: labels, micrographs, their pixels, the label radius."""
    labels, pixels = sum(len(e.positives) for e in examples), sum(e.pixels.size for e in examples)
    return labels, len(examples), pixels, geometry.label_radius


def first_guess(
    examples: Sequence[Example],
    settings: PickSettings,
    geometry: Geometry,
    pretrained: tuple[Classifier, dict[str, Any]] | None = None,
    device: str = "auto",
) -> float:
    """Guess the particles per micrograph before anything is trained: by the pretrained network, or by what is typical.

    The sum of probabilities that the pretrained network gives misses half of the particles where they are faint. A half
    more errs on the better side, since too small a pi costs more than too large a one.
    """
    labeled = sum(len(e.positives) for e in examples) / len(examples)
    if settings.expected_particles:
        return settings.expected_particles
    area = _area(examples, geometry)
    if pretrained is None:
        return max(typical_particles(area, geometry.diameter), 2 * labeled)
    network, facts = pretrained
    scorer, calibration = scorers_of_network(network, device)[0], Calibration.of_model(facts)
    found = [geometry.detector.maxima(score_map(scorer, e.pixels), e.junk)[1] for e in examples[:_GUESSED]]
    particles = _FAINT * float(np.mean([p[p > _UNLIKELY].sum() for p in map(calibration, found)]))
    return min(max(particles, labeled + 1), most_particles(area, geometry.diameter))


def settle_prior(
    examples: Sequence[Example],
    chosen: TrainingSettings,
    guess: float,
    start: Classifier | None,
    settings: PickSettings,
    geometry: Geometry,
    device: str,
    reporter: Reporter,
) -> tuple[TrainingSettings, float]:
    """Settle pi and the number of particles per micrograph: given, or estimated by pilot runs."""
    facts, expected = known(examples, geometry), guess
    if settings.pi is not None:
        return chosen, expected_particles(settings.pi, *facts)
    if settings.expected_particles is not None or facts[0] < FEWEST:
        return chosen, expected
    most = most_particles(_area(examples, geometry), geometry.diameter)
    count = estimate_count(
        examples,
        chosen,
        geometry.detector,
        geometry.match_radius,
        geometry.span,
        most,
        start=start,
        device=device,
        reporter=reporter,
    )
    reporter.note(
        f"about {count.particles:.0f} particles per micrograph ({count.low:.0f} to {count.high:.0f}), "
        "from labels hidden from two pilot runs"
    )
    fewest = facts[0] / len(examples)
    expected = float(np.clip(np.nan_to_num(count.particles, nan=expected), fewest, most))
    # Too small a pi costs far more than too large a one (dev/LOG.md): pi takes the upper end of the interval, which
    # is wide where labels are few. The threshold takes the middle.
    upper = float(np.clip(np.nan_to_num(count.high, nan=expected), expected, most))
    return replace(chosen, pi=prior(upper, *facts)), expected


def _area(examples: Sequence[Example], geometry: Geometry) -> float:
    """Return the mean area of the micrographs without junk, in square angstrom."""
    pixels = sum(e.area for e in examples) / len(examples)
    return pixels * (geometry.pixel_size * geometry.factor) ** 2
