"""How many particles to expect: given by the user, or estimated; and pi, which follows from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import SettingsError
from heliodor.picking.count import Count, Source, count_by_scores
from heliodor.picking.pilots import FEWEST, count_by_pilots
from heliodor.picking.start import is_pretrained
from heliodor.training.labels import expected_particles, prior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliodor.picking.geometry import Geometry
    from heliodor.picking.run import Run
    from heliodor.picking.settings import PickSettings
    from heliodor.picking.start import Start
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
    run: Run, examples: Sequence[Example], chosen: TrainingSettings, guess: float, start: Start | None
) -> tuple[TrainingSettings, Count]:
    """Settle pi and the number of particles per micrograph: given, or estimated, by pilot runs where nothing better is.

    Parameters
    ----------
    run : Run
    examples : sequence of Example
    chosen : TrainingSettings
        With a first guess of pi.
    guess : float
        Particles per micrograph.
    start : (Classifier, dict), optional
        What training starts from.
    """
    settings, geometry, machine, reporter = run.settings, run.geometry, run.machine, run.reporter
    facts, most = known(examples, geometry), geometry.most(_pixels(examples))
    if settings.pi is not None:
        expected = expected_particles(settings.pi, *facts)
        return chosen, Count.given(expected)
    if settings.expected_particles is not None:
        return chosen, Count.given(guess)
    count = None
    if is_pretrained(start):
        reporter.note("counting particles by the scores of the network that training starts from")
        count = count_by_scores(examples, start[0], geometry, settings.seed, machine, reporter)
    if count is None and facts[0] >= FEWEST:
        detector, radius, span = geometry.detector, geometry.match_radius, geometry.span
        network = None if start is None else start[0]
        count = count_by_pilots(
            examples, chosen, detector, radius, span, most, start=network, machine=machine, reporter=reporter
        )
    if count is None:
        return chosen, Count(guess, float(facts[0]) / len(examples), most, Source.TYPICAL).within(0, most)
    if np.isnan(count.particles):
        count = replace(count, particles=guess)
    if np.isnan(count.high):
        count = replace(count, low=count.particles, high=count.particles)
    count = count.within(facts[0] / len(examples), geometry.detections(_pixels(examples)))
    reporter.note(str(count))
    # Too small a pi costs far more than too large a one (dev/LOG.md): pi takes the upper end of the interval, which
    # is wide where little is known. The threshold takes the middle.
    return replace(chosen, pi=prior(max(count.particles, count.high), *facts)), count


def check_prior(settings: PickSettings, geometry: Geometry, labels: int, micrographs: int, pixels: int) -> None:
    """Refuse a number of particles that cannot be, before anything is done.

    Parameters
    ----------
    settings : PickSettings
    geometry : Geometry
    labels, micrographs, pixels : int
        Labels on so many micrographs, of so many downsampled pixels in all; no labels: one of those to pick.

    Raises
    ------
    SettingsError
        More than there can be detections, or fewer than labels; or pi, where nothing is trained.
    """
    number, what = settings.expected_particles, f"--expected-particles {settings.expected_particles}"
    if settings.pi is not None:
        if not labels:
            raise SettingsError("--pi is what a network is trained with; without --labels give --expected-particles")
        number = expected_particles(settings.pi, labels, micrographs, pixels, geometry.label_radius)
        what = f"--pi {settings.pi:g}"
    if number is None:
        return
    most = geometry.detections(pixels / micrographs)
    if number > most:
        raise SettingsError(
            f"{what}: {number:.0f} particles on a micrograph, where no more than {most:.0f} of {geometry.diameter:g} A "
            "can be found; give fewer, or the right --diameter"
        )
    if settings.pi is None and number < labels / micrographs:
        raise SettingsError(f"{what}: labelled micrographs have {labels / micrographs:.3g} labels each; give more")


def _pixels(examples: Sequence[Example]) -> float:
    """Return how many pixels of a micrograph are without junk, on average."""
    return sum(e.area for e in examples) / len(examples)
