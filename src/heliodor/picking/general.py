"""Picking without labels: the network that comes with heliodor, or another one, as it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from heliodor.errors import SettingsError
from heliodor.junk.depth import standardize
from heliodor.junk.inspect import Inspector
from heliodor.junk.mask import learn_limits
from heliodor.networks import save_network
from heliodor.picking.appearance import settle_appearance
from heliodor.picking.calibration import Calibration
from heliodor.picking.count import Count, Source
from heliodor.picking.evidence import gather, weigh
from heliodor.picking.folder import MODEL, load_own
from heliodor.picking.sample import DECOYS, draw_sample
from heliodor.picking.scoring import score_map
from heliodor.picking.start import starting_point
from heliodor.picking.threshold import operating_point

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from heliodor.junk.mask import Limits
    from heliodor.micrographs import Micrograph
    from heliodor.names import MicrographFile
    from heliodor.networks import Classifier
    from heliodor.networks.scorers import Machine
    from heliodor.picking.geometry import Geometry
    from heliodor.picking.load import Loader
    from heliodor.picking.settings import PickSettings
    from heliodor.picks import Picks
    from heliodor.progress import Reporter

_SURE = 0.9  # probability of a detection that stands in for a label where the limits of junk are learned


def general(
    folder: Path,
    run: str,
    micrographs: Sequence[MicrographFile],
    labels: Picks,
    negatives: Picks,
    settings: PickSettings,
    geometry: Geometry,
    load: Loader,
    machine: Machine,
    reporter: Reporter,
) -> tuple[Classifier, dict[str, Any]]:
    """Take the pretrained network, and find its threshold on these micrographs.

    Parameters and result are those of `heliodor.picking.learn.learn`; there are no labels.

    Raises
    ------
    SettingsError
        No pretrained network is of this kind.
    """
    there = load_own(folder, run)
    if there is not None:
        return there
    kind, start = starting_point(settings)
    if start is None or len(negatives):
        raise SettingsError(
            f"without --labels only a pretrained network can pick, and {kind.model} with {kind.units} units is "
            "none or is to be trained; give --labels, or leave out --model, --units, --no-pretrained and --negatives"
        )
    network, facts = start
    load = settle_appearance(load, micrographs, labels, start, settings, geometry, machine, reporter)
    scorer = machine.scorer(network)
    sample = [m for m in draw_sample(micrographs, settings.seed, load, (), reporter).values() if m]
    images = [m.seen for m in sample]
    scores = [score_map(scorer, image) for image in reporter.track(images, len(images), "looking at a sample")]
    detector, span = geometry.searching(settings.margin), geometry.span
    detections = [detector.maxima(s) for s in scores]
    limits: Limits | None = None
    masks: list[NDArray[np.bool_] | None] = [None] * len(sample)
    if settings.junk_mask:
        known = Calibration.of_model(facts)  # what simulated micrographs taught about scores
        sure = [xy[known(s) > _SURE] for xy, s in detections]
        limits = _limits(sample, sure, geometry)
        if limits is None:
            reporter.warn("no detection is surely a particle: how dark particles are is not known, junk is not masked")
        inspect = Inspector(geometry.span, limits)
        masks = [inspect.junk(m) for m in sample]
        detections = [detector.maxima(s, mask) for s, mask in zip(scores, masks, strict=True)]
    evidence = gather(scorer, images, detector, span, settings.seed, detections, masks, each=DECOYS, reporter=reporter)
    most = geometry.detections(sum(image.size for image in images) / len(images))
    inside = sum(detector.inside(image.shape) for image in images) / len(images)
    if settings.expected_particles is None:
        count = Count.of_scores(evidence, Source.GENERAL).scaled(1 / inside).within(0, most)
    else:
        count = Count.given(settings.expected_particles)
    if count.doubt and settings.threshold is None:
        reporter.warn(count.doubt)
    expected = count.particles * inside
    evidence = weigh(evidence, expected)
    threshold, _, point = operating_point(evidence, expected, settings, reporter)
    reporter.note(f"{count}; picks are above score {threshold:.2f}")
    about = {
        "run": run,
        "geometry": asdict(geometry),
        "normalization": settings.normalization,
        "inverted": load.inverted,
        "margin": settings.margin,
        "training": facts.get("training"),
        "junk_limits": limits,
        "estimates": {**count.facts(), "particles_in_sample": expected, "threshold": threshold},
        **point,
    }
    save_network(folder / MODEL, network, about)
    return network, about


def _limits(sample: Sequence[Micrograph], sure: Sequence[NDArray[np.float64]], geometry: Geometry) -> Limits | None:
    """Learn how dark particles can be from detections that are surely particles; None where there are no such."""
    if not sum(map(len, sure)):
        return None
    return learn_limits((standardize(m.seen, geometry.span), xy) for m, xy in zip(sample, sure, strict=True))
