"""From labelled micrographs to a network that picks: estimates, training, threshold."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.junk.depth import standardize
from heliodor.junk.mask import junk_mask, learn_limits
from heliodor.networks import NetworkSettings, load_network, save_network
from heliodor.picking.geometry import Geometry, most_particles, typical_particles
from heliodor.picking.threshold import choose_threshold
from heliodor.training.count import FEWEST, estimate_count
from heliodor.training.fit import fit
from heliodor.training.labels import expected_particles, prior
from heliodor.training.settings import TrainingSettings
from heliodor.training.tiles import Example

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from heliodor.junk.mask import Limits
    from heliodor.names import MicrographFile
    from heliodor.networks import Classifier
    from heliodor.picking.load import Loader
    from heliodor.picking.settings import PickSettings
    from heliodor.picks import Picks
    from heliodor.progress import Reporter

MODEL, CHECKPOINT, TABLE = "model.safetensors", "checkpoint.pt", "training.tsv"

# A network knows a few labels by heart in no time. Dropout helps it with ten labels, and does not with a hundred
# (dev/LOG.md).
FEW_LABELS, DROPOUT = 50, 0.3


def learn(
    folder: Path,
    labeled: Sequence[MicrographFile],
    labels: Picks,
    negatives: Picks,
    settings: PickSettings,
    geometry: Geometry,
    load: Loader,
    device: str,
    reporter: Reporter,
) -> tuple[Classifier, dict[str, Any]]:
    """Train the network of a run, or load it where an earlier call has trained it.

    Parameters
    ----------
    folder : path
        Of the results: MODEL, TABLE and, while training goes on, CHECKPOINT.
    labeled : sequence of MicrographFile
        Micrographs with labels.
    labels, negatives : Picks
        In full-size pixels.
    settings, geometry, load, device, reporter
        Of the run.

    Returns
    -------
    network : Classifier
    about : dict
        What the model file says: geometry, normalization, training, threshold, junk_limits, estimates.
    """
    if (folder / MODEL).is_file():
        reporter.note(f"the network is trained already: {folder / MODEL}")
        return load_network(folder / MODEL)
    examples, limits = _examples(labeled, labels, negatives, settings, geometry, load, reporter)
    training, validation = _hold_out(examples, settings)
    chosen, expected = _training_settings(training, settings, geometry, device, reporter)
    reporter.note(f"training on {len(training)} micrographs, {len(validation)} held out; pi {chosen.pi:.4f}")
    network = fit(
        training,
        chosen,
        validation=validation,
        detector=geometry.detector,
        match_radius=geometry.match_radius,
        table=folder / TABLE,
        checkpoint=folder / CHECKPOINT,
        device=device,
        reporter=reporter,
    )
    threshold = settings.threshold
    if threshold is None:
        most = most_particles(_area(training, geometry), geometry.diameter)
        threshold = choose_threshold(
            [geometry.detector(network, e.pixels, e.junk)[1] for e in training], expected, most
        )
    reporter.note(f"picks are above score {threshold:.2f}")
    about = {
        "geometry": asdict(geometry),
        "normalization": settings.normalization,
        "training": asdict(chosen),
        "threshold": threshold,
        "junk_limits": limits,
        "estimates": {"pi": chosen.pi, "expected_particles": expected, "threshold": threshold},
    }
    save_network(folder / MODEL, network, about)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return network, about


def _examples(
    labeled: Sequence[MicrographFile],
    labels: Picks,
    negatives: Picks,
    settings: PickSettings,
    geometry: Geometry,
    load: Loader,
    reporter: Reporter,
) -> tuple[list[Example], Limits | None]:
    """Read the labelled micrographs; learn from them what is junk, and mark it."""
    examples = []
    for micrograph in reporter.track(labeled, len(labeled), "reading labelled micrographs"):
        small, scale = load(micrograph)
        positive, negative = (table.of(micrograph.name).xy / scale for table in (labels, negatives))
        examples.append(Example(micrograph.name, small.pixels, positive, negative, micrograph.source))
    if not settings.junk_mask:
        return examples, None
    standards = [standardize(e.pixels, geometry.span) for e in examples]
    limits = learn_limits(zip(standards, (e.positives for e in examples), strict=True))
    marked = [replace(e, junk=junk_mask(s, limits)) for e, s in zip(examples, standards, strict=True)]
    share = sum(e.area for e in marked) / sum(e.pixels.size for e in marked)
    reporter.note(f"junk (gold, ice lumps, carbon) covers {1 - share:.1%} of the labelled micrographs")
    return marked, limits


def _area(examples: Sequence[Example], geometry: Geometry) -> float:
    """Return the mean area of the micrographs without junk, in square angstrom."""
    pixels = sum(e.area for e in examples) / len(examples)
    return pixels * (geometry.pixel_size * geometry.factor) ** 2


def _hold_out(examples: list[Example], settings: PickSettings) -> tuple[list[Example], list[Example]]:
    count = int(len(examples) * settings.held_out)
    order = np.random.default_rng(settings.seed).permutation(len(examples))
    kept = set(order[:count].tolist())
    return [e for k, e in enumerate(examples) if k not in kept], [e for k, e in enumerate(examples) if k in kept]


def _training_settings(
    examples: Sequence[Example], settings: PickSettings, geometry: Geometry, device: str, reporter: Reporter
) -> tuple[TrainingSettings, float]:
    """Settle pi and the number of particles per micrograph: given, or estimated by a pilot run."""
    labels, pixels = sum(len(e.positives) for e in examples), sum(e.pixels.size for e in examples)
    known = (labels, len(examples), pixels, geometry.label_radius)
    area = _area(examples, geometry)
    expected = settings.expected_particles or max(
        typical_particles(area, geometry.diameter), 2 * labels / len(examples)
    )
    dropout = settings.dropout if settings.dropout is not None else DROPOUT if labels < FEW_LABELS else 0.0
    chosen = TrainingSettings(
        network=NetworkSettings(model=settings.model, units=settings.units, dropout=dropout),
        method=settings.method,
        pi=settings.pi or prior(expected, *known),
        slack=settings.slack,
        label_radius=geometry.label_radius,
        autoencoder=settings.autoencoder,
        l2=settings.l2,
        epochs=settings.epochs,
        epoch_size=settings.epoch_size,
        seed=settings.seed,
    )
    if settings.pi is not None:
        return chosen, expected_particles(settings.pi, *known)
    if settings.expected_particles is not None or labels < FEWEST:
        return chosen, expected
    count = estimate_count(examples, chosen, geometry.detector, geometry.match_radius, device=device)
    reporter.note(
        f"about {count.particles:.0f} particles per micrograph ({count.low:.0f} to {count.high:.0f}), "
        "from labels hidden from two pilot runs"
    )
    fewest, most = labels / len(examples), most_particles(area, geometry.diameter)
    expected = float(np.clip(np.nan_to_num(count.particles, nan=expected), fewest, most))
    # Too small a pi costs far more than too large a one (dev/LOG.md): pi takes the upper end of the interval, which
    # is wide where labels are few. The threshold takes the middle.
    upper = float(np.clip(np.nan_to_num(count.high, nan=expected), expected, most))
    return replace(chosen, pi=prior(upper, *known)), expected
