"""Train a network on preprocessed micrographs and labels in their pixels."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliodor.networks import Classifier
    from heliodor.training.settings import TrainingSettings
    from heliodor.training.tiles import Example


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (Topaz's names where the meaning is the same)."""
    data = parser.add_argument_group("data")
    data.add_argument("--train-images", nargs="+", required=True, help="preprocessed micrographs, folders or lists")
    data.add_argument("--train-targets", required=True, help="labelled particles, in the pixels of these micrographs")
    data.add_argument("--negatives", default=None, help="labelled non-particles")
    data.add_argument("--test-images", nargs="+", default=None, help="micrographs to validate on")
    data.add_argument("--test-targets", default=None, help="their labels")
    data.add_argument("-k", "--k-fold", type=int, default=0, help="split micrographs into folds, validate on one")
    data.add_argument("--fold", type=int, default=0, help="which, from 0")
    data.add_argument("--cross-validation-seed", type=int, default=42, help="of the split")

    prior = parser.add_argument_group("prior, one of them")
    prior.add_argument("-n", "--num-particles", type=float, default=None, help="particles per micrograph")
    prior.add_argument("--pi", type=float, default=None, help="fraction of positives among the unlabelled pixels")

    method = parser.add_argument_group("method")
    method.add_argument("-r", "--radius", type=float, default=3.0, help="label radius: pixels within it are positive")
    method.add_argument("--exclusion-radius", type=float, default=None, help="for validation; default 3 label radii")
    method.add_argument("-m", "--model", default="conv31", help="conv31, conv63, conv127, resnet8 or resnet16")
    method.add_argument("--units", type=int, default=32, help="channels of the first layer")
    method.add_argument("--unit-scaling", type=int, default=2, help="growth of channels (conv networks)")
    method.add_argument("--bn", choices=("on", "off"), default="on", help="batch norm")
    method.add_argument("--dropout", type=float, default=0.0, help="probability")
    method.add_argument("--method", default="GE-binomial", help="GE-binomial, GE-KL, PU or PN")
    method.add_argument(
        "--slack", type=float, default=-1.0, help="weight of the penalty; -1: 10 (GE-KL), 0.1 (GE-binomial)"
    )
    method.add_argument("--autoencoder", type=float, default=0.0, help="weight of the reconstruction error")
    method.add_argument("--l2", type=float, default=0.0, help="weight of the squared weights")
    method.add_argument("--learning-rate", type=float, default=2e-3, help="peak of the one-cycle schedule")
    method.add_argument("--num-epochs", type=int, default=10, help="number of epochs")
    method.add_argument("--epoch-size", type=int, default=100, help="minibatches per epoch")
    method.add_argument("--tile-outputs", type=int, default=4, help="scores along a tile; 1: single regions")
    method.add_argument("--label-tiles", type=int, default=8, help="tiles around labels in a minibatch")
    method.add_argument("--random-tiles", type=int, default=40, help="tiles from anywhere in a minibatch")
    method.add_argument("--seed", type=int, default=0, help="same seed, same result")

    output = parser.add_argument_group("output and machine")
    output.add_argument("--save-prefix", required=True, help="PREFIX_epochN.safetensors after every epoch N")
    output.add_argument("-o", "--output", default=None, help="training curve (TSV); default PREFIX_training.tsv")
    output.add_argument("--overwrite", action="store_true", help="start afresh where a run was interrupted")
    output.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda, or a number; negative: cpu")
    output.add_argument("-j", "--num-threads", type=int, default=0, help="processor threads; 0: those that are idle")


def goes_on(_options: argparse.Namespace) -> bool:
    """Say whether what an interrupted call left is gone on with."""
    return True


def run(options: argparse.Namespace) -> int:
    """Train, and say which model is the last."""
    from heliodor.cli.console import console_reporter
    from heliodor.cli.options import set_threads
    from heliodor.files import check_output
    from heliodor.networks import save_network
    from heliodor.picking.detect import Detector
    from heliodor.training.fit import fit

    digits = len(str(options.num_epochs - 1))  # as Topaz counts: none of 1 to 10 is padded

    def path(epoch: int) -> Path:
        return Path(f"{options.save_prefix}_epoch{epoch:0{digits}d}.safetensors")

    table = Path(options.output or f"{options.save_prefix}_training.tsv")
    for output in (path(1), table):
        check_output(output)
    set_threads(options.num_threads)
    training, validation, pixel_size = _data(options)
    settings = _settings(options, training)
    radius = 3 * options.radius if options.exclusion_radius is None else options.exclusion_radius
    detector = Detector(radius, options.radius)
    about = {"pixel_size": pixel_size, "exclusion_radius": detector.exclusion_radius}

    def save(epoch: int, network: Classifier) -> None:
        save_network(path(epoch), network, {**about, "training": asdict(settings)})

    reporter = console_reporter()
    reporter.note(f"training on {len(training)} micrographs, {len(validation)} held out; pi {settings.pi:.4f}")
    checkpoint = Path(f"{options.save_prefix}_checkpoint.pt")
    if options.overwrite:
        checkpoint.unlink(missing_ok=True)
    fit(
        training,
        settings,
        validation=validation,
        detector=detector,
        match_radius=detector.exclusion_radius * 3 / 4,
        table=table,
        checkpoint=checkpoint,
        device=options.device,
        reporter=reporter,
        on_epoch=save,
    )
    checkpoint.unlink(missing_ok=True)
    sys.stdout.write(f"trained: {path(options.num_epochs)}\n")
    return 0


def _data(options: argparse.Namespace) -> tuple[list[Example], list[Example], float | None]:
    from heliodor.errors import SettingsError
    from heliodor.training.splits import k_fold, without

    examples, sizes = _read(options.train_images, options.train_targets, options.negatives, options.radius)
    pixel_size = _common(sizes)
    if (options.test_images is None) != (options.test_targets is None):
        raise SettingsError("--test-images and --test-targets go together; give both")
    if options.k_fold and options.test_images:
        raise SettingsError("--k-fold and --test-images both say what to validate on; give one of them")
    if options.test_images:
        test, others = _read(options.test_images, options.test_targets, None, options.radius)
        return examples, test, _common({**sizes, **others})
    if options.k_fold:
        labeled = [e for e in examples if len(e.positives)]
        rows = k_fold([e.source for e in labeled], options.k_fold, options.fold, options.cross_validation_seed)
        held = [labeled[k] for k in rows[1]]
        return without(examples, held), held, pixel_size
    return examples, [], pixel_size


def _common(sizes: dict[Path, float | None]) -> float | None:
    """Return the pixel size that micrographs share, by their paths; None where no header has one."""
    from heliodor.errors import MicrographError
    from heliodor.picking.load import TOLERANCE

    known = [(path, size) for path, size in sizes.items() if size is not None]
    for path, size in known:
        if abs(size / known[0][1] - 1) > TOLERANCE:
            raise MicrographError(
                f"{path}: {size:.4g} A per pixel, {known[0][0]} has {known[0][1]:.4g}; preprocess both to one size, "
                "leave one out, or mend its header"
            )
    return known[0][1] if known else None


def _read(
    images: list[str], targets: str, negatives: str | None, radius: float
) -> tuple[list[Example], dict[Path, float | None]]:
    """Read the micrographs that have marks; return them with these, and their pixel sizes by their paths.

    Labels within the label radius of each other are taken once.
    """
    import numpy as np

    from heliodor.cli.console import console_reporter
    from heliodor.find import find_micrographs
    from heliodor.formats import read_picks
    from heliodor.micrographs import read_micrograph
    from heliodor.training.check import Marked, check_apart, named_in
    from heliodor.training.tiles import Example

    micrographs, reporter = find_micrographs(images), console_reporter()
    labels = Marked.of(read_picks(targets), micrographs).once(radius, reporter)
    junk = Marked.of(read_picks(negatives) if negatives else None, micrographs, "negatives")
    used = named_in(micrographs, labels.picks, junk.picks)
    read = [read_micrograph(m.path, name=m.name) for m in used]
    for marked in (labels, junk):
        marked.check({m.name: m.pixels.shape for m in read}, reporter)
    check_apart(labels.picks, junk.picks)
    reporter.note(f"{len(micrographs)} micrographs, {labels}{f', {junk}' if negatives else ''}")
    none = np.empty((0, 2))
    positive, negative = ({name: p.xy for name, p in marked.picks.by_micrograph()} for marked in (labels, junk))
    examples = [
        Example(m.name, m.pixels, positive.get(m.name, none), negative.get(m.name, none), file.source)
        for m, file in zip(read, used, strict=True)
    ]
    return examples, {file.path: m.pixel_size for m, file in zip(read, used, strict=True)}


def _settings(options: argparse.Namespace, examples: list[Example]) -> TrainingSettings:
    from heliodor.errors import SettingsError
    from heliodor.networks import NetworkSettings
    from heliodor.training.labels import prior
    from heliodor.training.settings import TrainingSettings

    if (options.pi is None) == (options.num_particles is None):
        raise SettingsError("give one of -n (particles per micrograph) and --pi (fraction of positive pixels)")
    pi = options.pi
    if pi is None:
        labels, pixels = sum(len(e.positives) for e in examples), sum(e.pixels.size for e in examples)
        pi = prior(options.num_particles, labels, len(examples), pixels, options.radius)
    return TrainingSettings(
        network=NetworkSettings(
            options.model, options.units, options.unit_scaling, options.bn == "on", options.dropout
        ),
        method=options.method,
        pi=pi,
        slack=options.slack,
        label_radius=options.radius,
        autoencoder=options.autoencoder,
        l2=options.l2,
        learning_rate=options.learning_rate,
        epochs=options.num_epochs,
        epoch_size=options.epoch_size,
        outputs=options.tile_outputs,
        label_tiles=options.label_tiles,
        random_tiles=options.random_tiles,
        seed=options.seed,
    )
