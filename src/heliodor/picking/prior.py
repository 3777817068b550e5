"""How many particles to expect: given by the user, or estimated; and pi, which follows from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import SettingsError
from heliodor.picking.count import Count, count_by_scores
from heliodor.picking.geometry import NEAREST
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
) -> tuple[TrainingSettings, Count]:
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

    Raises
    ------
    SettingsError
        So many particles as are given, by their number or by pi, do not fit, or they are fewer than the labels.
    """
    facts, most = known(examples, geometry), geometry.most(_pixels(examples))
    if settings.pi is not None:
        expected = expected_particles(settings.pi, *facts)
        check_number(expected, most, geometry, f"--pi {settings.pi:g}")
        return chosen, Count.given(expected)
    if settings.expected_particles is not None:
        what = f"--expected-particles {guess:g}"
        check_number(guess, most, geometry, what)
        if guess < facts[0] / len(examples):
            raise SettingsError(
                f"{what}: labelled micrographs have {facts[0] / len(examples):.3g} labels each; give more"
            )
        return chosen, Count.given(guess)
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
        return chosen, Count(guess, float(facts[0]) / len(examples), most, "what is typical").within(0, most)
    if np.isnan(count.particles):
        count = replace(count, particles=guess)
    if np.isnan(count.high):
        count = replace(count, low=count.particles, high=count.particles)
    count = count.within(facts[0] / len(examples), most)
    reporter.note(str(count))
    # Too small a pi costs far more than too large a one (dev/LOG.md): pi takes the upper end of the interval, which
    # is wide where little is known. The threshold takes the middle.
    return replace(chosen, pi=prior(max(count.particles, count.high), *facts)), count


def check_number(given: float, most: float, geometry: Geometry, what: str) -> None:
    """Refuse more particles on a micrograph than fit, `most` side by side, and as near to one another as they may be.

    Raises
    ------
    SettingsError
        They do not.
    """
    fits = most / NEAREST**2
    if given > fits:
        raise SettingsError(
            f"{what}: {given:.0f} particles on a micrograph, where no more than {fits:.0f} of {geometry.diameter:g} A "
            "fit; give fewer, or the right --diameter"
        )


def _pixels(examples: Sequence[Example]) -> float:
    """Return how many pixels of a micrograph are without junk, on average."""
    return sum(e.area for e in examples) / len(examples)
