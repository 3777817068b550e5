"""Picking without labels: the network that comes with heliodor, or another one, as it is."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from heliodor.errors import SettingsError
from heliodor.junk.depth import standardize
from heliodor.junk.inspect import Inspector
from heliodor.junk.mask import learn_limits
from heliodor.picking.appearance import settle_appearance
from heliodor.picking.calibration import Calibration
from heliodor.picking.conclude import conclude
from heliodor.picking.count import Count, Source
from heliodor.picking.evidence import gather
from heliodor.picking.noise import settle_noise
from heliodor.picking.sample import draw_sample
from heliodor.picking.scoring import score_map
from heliodor.picking.start import starting_point

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from heliodor.junk.mask import Limits
    from heliodor.micrographs import Micrograph
    from heliodor.names import MicrographFile
    from heliodor.networks import Classifier
    from heliodor.picking.geometry import Geometry
    from heliodor.picking.run import Run
    from heliodor.picking.settings import PickSettings
    from heliodor.picks import Picks

_OF_TRAINING = ("method", "slack", "epochs", "epoch_size", "dropout", "autoencoder", "l2", "held_out")
_SURE = 0.9  # probability of a detection that stands in for a label where the limits of junk are learned


def general(
    run: Run, micrographs: Sequence[MicrographFile], labels: Picks, negatives: Picks
) -> tuple[Classifier, dict[str, Any]]:
    """Take the pretrained network, and find its threshold on these micrographs.

    Parameters and result are those of `heliodor.picking.learn.learn`; there are no labels.

    Raises
    ------
    SettingsError
        No pretrained network is of this kind.
    """
    settings, geometry, reporter = run.settings, run.geometry, run.reporter
    kind, start = starting_point(settings)
    if start is None or len(negatives):
        raise SettingsError(
            f"without --labels only a pretrained network can pick, and {kind.model} with {kind.units} units is "
            "none or is to be trained; give --labels, or leave out --model, --units, --no-pretrained and --negatives"
        )
    network, facts = start
    run = settle_noise(settle_appearance(run, micrographs, labels, start), micrographs, labels, start)
    scorer = run.machine.scorer(network)
    sample = [m for m in draw_sample(micrographs, settings.seed, run.load, (), reporter).values() if m]
    images = [m.seen for m in sample]
    detector, span = geometry.searching(settings.margin), geometry.span
    inside = sum(detector.inside(image.shape) for image in images) / len(images)
    if not inside:
        raise SettingsError("--margin leaves nothing of the micrographs that were looked at; give less")
    scores = [score_map(scorer, image) for image in reporter.track(images, len(images), "looking at a sample")]
    detections = [detector.maxima(s) for s in scores]
    limits: Limits | None = None
    masks: list[NDArray[np.bool_] | None] = [None] * len(sample)
    if settings.junk_mask:
        known = Calibration.of_model(facts)  # what simulated micrographs taught about scores
        sure = [xy[known(s) > _SURE] for xy, s in detections]
        limits = _limits(sample, sure, geometry)
        if limits is None:
            reporter.warn("no detection is surely a particle: how dark particles are is not known, junk is not masked")
        inspect = Inspector(span, limits)
        masks = [inspect.junk(m) for m in sample]
        detections = [detector.maxima(s, mask) for s, mask in zip(scores, masks, strict=True)]
    evidence = gather(scorer, images, detector, span, settings.seed, detections, masks, reporter=reporter)
    most = geometry.detections(sum(image.size for image in images) / len(images))
    if settings.expected_particles is None:
        count = Count.of_scores(evidence, Source.GENERAL).scaled(1 / inside).within(0, most)
    else:
        count = Count.given(settings.expected_particles)
    reporter.note(str(count))
    about = conclude(run, network, count, evidence, count.particles * inside, limits, facts.get("training"))
    return network, about


def check_nothing_trains(settings: PickSettings) -> None:
    """Refuse what only a training could follow (SettingsError)."""
    given = [
        f"--{field.name.replace('_', '-')}"
        for field in fields(settings)
        if field.name in _OF_TRAINING and getattr(settings, field.name) != field.default
    ]
    if given:
        raise SettingsError(f"without --labels nothing is trained, so {', '.join(given)} can do nothing; leave it out")


def _limits(sample: Sequence[Micrograph], sure: Sequence[NDArray[np.float64]], geometry: Geometry) -> Limits | None:
    """Learn how dark particles can be from detections that are surely particles; None where there are no such."""
    if not sum(map(len, sure)):
        return None
    return learn_limits((standardize(m.seen, geometry.span), xy) for m, xy in zip(sample, sure, strict=True))
