"""Picking without labels: the network that comes with heliodor, as it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import SettingsError
from heliodor.junk.depth import standardize
from heliodor.junk.inspect import Inspector
from heliodor.junk.mask import learn_limits
from heliodor.micrographs import read_header
from heliodor.networks import NetworkSettings, load_network, save_network
from heliodor.networks.pretrained import load_pretrained
from heliodor.networks.scorers import scorers_of_network
from heliodor.picking.calibration import Calibration, calibrate
from heliodor.picking.evidence import gather
from heliodor.picking.geometry import SPAN, derive_geometry
from heliodor.picking.learn import MODEL
from heliodor.picking.sample import draw_sample
from heliodor.picking.scoring import score_map
from heliodor.picking.threshold import about_evidence, choose_threshold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from heliodor.junk.mask import Limits
    from heliodor.names import MicrographFile
    from heliodor.networks import Classifier
    from heliodor.picking.geometry import Geometry
    from heliodor.picking.load import Loader
    from heliodor.picking.settings import PickSettings
    from heliodor.picks import Picks
    from heliodor.progress import Reporter

_SURE = 0.9  # probability of a detection that stands in for a label where the limits of junk are learned
_TOLERATED = 1.35  # how far the width of a particle may be from what the network was trained on, as a factor


def general(
    folder: Path,
    micrographs: Sequence[MicrographFile],
    labels: Picks,
    negatives: Picks,
    settings: PickSettings,
    geometry: Geometry,
    load: Loader,
    device: str,
    reporter: Reporter,
) -> tuple[Classifier, dict[str, Any]]:
    """Take the pretrained network, and find its threshold on these micrographs.

    Parameters and result are those of `heliodor.picking.learn.learn`; there are no labels.

    Raises
    ------
    SettingsError
        No pretrained network is of this kind.
    """
    if (folder / MODEL).is_file():
        return load_network(folder / MODEL)
    found = load_pretrained(NetworkSettings(model=settings.model, units=settings.units))
    if found is None or not settings.pretrained or len(negatives):
        raise SettingsError(
            f"without --labels only a pretrained network can pick, and {settings.model} with {settings.units} units is "
            "none or is to be trained; give --labels, or leave out --model, --units, --no-pretrained and --negatives"
        )
    network, facts = found
    scorer = scorers_of_network(network, device)[0]
    images = list(draw_sample(micrographs, settings.seed, load, {}, reporter).values())
    scores = [score_map(scorer, image) for image in images]
    detections = [geometry.detector.maxima(s) for s in scores]
    # What simulated micrographs taught about scores says how many particles to expect; decoys say the rest.
    known = Calibration.of_model(facts)
    limits = None
    if settings.junk_mask:
        sure = [xy[known(s) > _SURE] for xy, s in detections]
        limits = _limits(images, sure, geometry)
        inspect = Inspector(geometry.span, limits)
        masked = zip(scores, images, strict=True)
        detections = [geometry.detector.maxima(s, inspect.junk(image)) for s, image in masked]
    expected = settings.expected_particles or float(np.mean([known(s).sum() for _, s in detections]))
    evidence = gather(scorer, images, geometry.detector, geometry.span, expected, settings.seed, found=detections)
    calibration = calibrate(evidence)
    threshold = settings.threshold
    if threshold is None:
        threshold = choose_threshold(evidence, calibration, expected, settings.precision)
    reporter.note(f"about {expected:.0f} particles per micrograph; picks are above score {threshold:.2f}")
    about = {
        "geometry": asdict(geometry),
        "normalization": settings.normalization,
        "training": facts["training"],
        "threshold": threshold,
        "junk_limits": limits,
        "estimates": {"expected_particles": expected, "particles_in_sample": expected, "threshold": threshold},
        "evidence": about_evidence(evidence, calibration, expected),
        **calibration.about(),
    }
    save_network(folder / MODEL, network, about)
    return network, about


def _limits(
    images: Sequence[NDArray[np.float32]], sure: Sequence[NDArray[np.float64]], geometry: Geometry
) -> Limits | None:
    """Learn how dark particles can be from detections that are surely particles; None where there are no such."""
    if not sum(map(len, sure)):
        return None
    return learn_limits((standardize(image, geometry.span), xy) for image, xy in zip(images, sure, strict=True))


def facts_for(
    facts: dict[str, Any], micrograph: MicrographFile, diameter: float | None, pixel_size: float | None, *, raw: bool
) -> dict[str, Any]:
    """Fit what is known about a pretrained network to a particle and to micrographs.

    Parameters
    ----------
    facts : dict
        Of the pretrained network.
    micrograph : MicrographFile
        One of those to pick; all have its pixel size.
    diameter : float, optional
        Of the particle in angstrom. None: the micrographs are preprocessed so that it is `SPAN` pixels wide.
    pixel_size : float, optional
        Angstrom, where the header has none.
    raw : bool
        The micrographs are of full size.

    Raises
    ------
    SettingsError
        Nothing says how large the particle is, or it is not as large on preprocessed micrographs as it must be.
    """
    size = pixel_size or read_header(micrograph.path)[1]
    if diameter is None or size is None:
        if raw or diameter is not None:
            missing = "--diameter" if diameter is None else "--angpix: the header has no pixel size"
            raise SettingsError(f"{micrograph.path}: the network that comes with heliodor needs {missing}")
        return facts
    if raw:
        geometry = derive_geometry(diameter, size)
        return {**facts, "geometry": asdict(geometry), "normalization": "gmm"}
    width = diameter / size
    if not 1 / _TOLERATED < width / SPAN < _TOLERATED:
        raise SettingsError(
            f"{micrograph.path}: a particle of {diameter:g} A is {width:.0f} pixels wide, the network wants "
            f"{SPAN:.0f}; preprocess with a factor {width / SPAN:.3g} times as large, or give full-size ones and --raw"
        )
    return facts
