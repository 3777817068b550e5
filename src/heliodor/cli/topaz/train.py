"""Train a network on preprocessed micrographs and labels in their pixels."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor.cli.topaz.arguments import LOG, add_machine, device_for, integer, use_threads
from heliodor.cli.topaz.convert import FORMATS

if TYPE_CHECKING:
    import torch

    from heliodor.networks import Classifier
    from heliodor.training.settings import TrainingSettings
    from heliodor.training.tiles import Example


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    data = parser.add_argument_group("data")
    data.add_argument("--train-images", required=True, help="folder, or list of image_name and path")
    data.add_argument("--train-targets", required=True, help="labels, in pixels of these micrographs")
    data.add_argument("--test-images", default=None, help="micrographs to test on after every epoch")
    data.add_argument("--test-targets", default=None, help="their labels")
    data.add_argument("--format", choices=("auto", *FORMATS), default="auto", help="of the labels")
    data.add_argument("--image-ext", default="", help="in folders, only images that end in it")
    data.add_argument("-k", "--k-fold", type=integer, default=0, help="split the micrographs, and test on one part")
    data.add_argument("--fold", type=integer, default=0, help="which part, from 0")
    data.add_argument("--cross-validation-seed", type=integer, default=42, help="of the split")
    prior = parser.add_argument_group("prior, one of them")
    prior.add_argument("-n", "--num-particles", type=float, default=None, help="particles per micrograph")
    prior.add_argument("--pi", type=float, default=None, help="fraction of positive pixels, labelled ones included")
    method = parser.add_argument_group("method")
    method.add_argument("-r", "--radius", type=float, default=3, help="pixels within it of a label are positive")
    method.add_argument("--method", choices=("PN", "GE-KL", "GE-binomial", "PU"), default="GE-binomial",
                        help="objective")  # fmt: skip
    method.add_argument(
        "--slack", type=float, default=-1, help="weight of the penalty; -1: 10 (GE-KL), 0.1 (GE-binomial)"
    )
    method.add_argument("--autoencoder", type=float, default=0, help="weight of the reconstruction error")
    method.add_argument("--l2", type=float, default=0, help="weight of the squared weights")
    method.add_argument("--learning-rate", type=float, default=2e-4, help="see docs/topaz.md: the peak is ten times it")
    method.add_argument("--natural", action="store_true", help="labels as frequent in a minibatch as on micrographs")
    method.add_argument("--minibatch-size", type=integer, default=256, help="see docs/topaz.md")
    method.add_argument("--minibatch-balance", type=float, default=0.0625, help="share of labelled regions")
    method.add_argument("--epoch-size", type=integer, default=1000, help="minibatches of Topaz in an epoch")
    method.add_argument("--num-epochs", type=integer, default=10, help="epochs")
    network = parser.add_argument_group("network")
    network.add_argument("-m", "--model", default="resnet8", help="resnet8, resnet16, resnet6, conv31, conv63 or "
                         "conv127, or a model file to go on from")  # fmt: skip
    network.add_argument("--pretrained", dest="pretrained", action="store_true", default=None,
                         help="start from Topaz's weights; an error where there are none")  # fmt: skip
    network.add_argument("--no-pretrained", dest="pretrained", action="store_false", help="start from random weights; "
                         "default: from Topaz's where they are found")  # fmt: skip
    network.add_argument("--units", type=integer, default=32, help="channels of the first layer")
    network.add_argument("--dropout", type=float, default=0, help="probability")
    network.add_argument("--bn", choices=("on", "off"), default="on", help="batch norm")
    network.add_argument(
        "--pooling", choices=("none", "max", "avg"), default="none", help="instead of strides; avg is refused"
    )
    network.add_argument("--unit-scaling", type=integer, default=2, help="growth of channels (conv networks)")
    network.add_argument("--ngf", type=integer, default=32, help="channels of the decoder's last layer (--autoencoder)")
    network.add_argument("--describe", action="store_true", help="print the network, and do nothing")
    output = parser.add_argument_group("output and machine")
    output.add_argument("--save-prefix", default=None, help="PREFIX_epochN.sav after every epoch N")
    output.add_argument("-o", "--output", default=None, help="training curve; default: standard output")
    output.add_argument("--test-batch-size", type=integer, default=1, help="no effect: one micrograph at a time")
    output.add_argument("--preload", default="auto", help="no effect: training micrographs are held in memory")
    output.add_argument("-s", "--patch-size", type=integer, default=96, help="no effect in two dimensions")
    output.add_argument("-p", "--patch-padding", type=integer, default=48, help="no effect in two dimensions")
    add_machine(output)


def run(options: argparse.Namespace) -> int:
    """Train, with a row of the curve and a model file for every epoch; return 0, or 1 where some were skipped."""
    from heliodor.cli.topaz.examples import load
    from heliodor.cli.topaz.training import settings_of, start
    from heliodor.files import check_output
    from heliodor.networks import Classifier
    from heliodor.picking.load import Loader

    _check(options)
    kind, given = start(options)
    network, facts = given or (Classifier(kind), {})
    LOG.note(f"Receptive field: {network.receptive_field}")
    if options.describe:
        sys.stdout.write(f"{network}\n")
        return 0
    for path in (options.output, options.save_prefix and f"{options.save_prefix}_epoch1.sav"):
        if path:
            check_output(path)
    use_threads(options.num_threads)
    device = device_for(options.device)
    failed: dict[str, str] = {}
    loader = Loader.of_model(facts, raw=False, any_pixel_size=True)  # as it has seen others
    training, test, pixel_size = load(options, loader, failed)
    labels = sum(len(e.positives) for e in training)
    LOG.note(f"Loaded {len(training)} training micrographs with {labels} labeled particles")
    if test:
        labels = sum(len(e.positives) for e in test)
        LOG.note(f"Loaded {len(test)} test micrographs with {labels} labeled particles")
    settings = settings_of(options, training, kind)
    settings = settings if given is None else settings.from_start()
    first = None if given is None else network
    seen = {"normalization": loader.normalization, "inverted": loader.inverted, "whitening": loader.whitening}
    about = {"pixel_size": pixel_size, **seen}
    _train(options, training, test, settings, first, device, about)
    LOG.note("Done!")
    return 1 if failed else 0


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot be, before anything is read."""
    from heliodor.errors import SettingsError

    if options.num_particles is None and options.pi is None and not options.describe:
        raise SettingsError("give -n (particles per micrograph) or --pi (fraction of positive pixels)")
    if options.num_particles is None and options.pi is not None and not 0 <= options.pi < 1:
        raise SettingsError(f"--pi is a fraction of all pixels, below 1. Got {options.pi:g} instead.")
    if not options.radius >= 0:
        raise SettingsError(f"--radius must be 0 or more. Got {options.radius:g} instead.")
    if options.pooling == "avg":
        raise SettingsError(
            "--pooling avg: Topaz crashes with it, or picks with another network than it trained; take max"
        )
    if options.k_fold > 1 and options.test_images is not None:
        raise SettingsError("--k-fold and --test-images both say what to test on; give one of them")
    if (options.test_images is None) != (options.test_targets is None):
        raise SettingsError("--test-images and --test-targets go together; give both")
    if not 0 < options.minibatch_balance < 1 or options.minibatch_size < 2 or options.epoch_size < 1:
        raise SettingsError("--minibatch-balance must be in (0, 1), --minibatch-size 2 or more, --epoch-size 1 or more")


def _train(
    options: argparse.Namespace,
    training: list[Example],
    test: list[Example],
    settings: TrainingSettings,
    first: Classifier | None,
    device: torch.device,
    about: dict[str, Any],
) -> None:
    from heliodor.cli.topaz.curve import Curve
    from heliodor.networks import save_network
    from heliodor.training.loop import Trainer

    trainer = Trainer(training, settings, str(device), start=first)
    curve = Curve(settings, options.epoch_size)
    digits = len(str(settings.epochs - 1))  # as Topaz counts: none of 1 to 10 is padded
    LOG.note("Training...")
    while not trainer.finished:
        curve.add_training(trainer.run_epoch(LOG))
        result = trainer.result()
        if test:
            curve.add_test(trainer.epoch, result.to(device), test)
        if options.output is not None:
            curve.write(Path(options.output))
        if options.save_prefix is not None:
            path = Path(f"{options.save_prefix}_epoch{trainer.epoch:0{digits}d}.sav")
            save_network(path, result, {**about, "training": asdict(settings)})
        LOG.note(curve.last())
    if options.output is None:
        sys.stdout.write(curve.text())
