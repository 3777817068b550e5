"""Denoise micrographs with a network, or train such a network from pairs of exposures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from heliodor.denoise import Denoiser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (Topaz's names)."""
    parser.add_argument("micrographs", nargs="*", help="images, globs in quotes, folders, or files that list images")
    parser.add_argument("-o", "--output", default=None, help="folder; default beside the inputs, with a suffix")
    parser.add_argument("--suffix", default="", help="put behind names; without -o, .denoised if none is given")
    parser.add_argument("--format", default="mrc", help="mrc, tiff or png (8 bit, normalized)")
    parser.add_argument("--stack", action="store_true", help="the inputs are MRC stacks of micrographs")
    parser.add_argument(
        "-m",
        "--model",
        nargs="+",
        default=["unet"],
        help="denoisers, averaged: files (ours or Topaz's), or unet, unet-small, fcnn, affine, unet-v0.2.1 of "
        "topaz-em; none: filter only",
    )
    parser.add_argument("--normalize", action="store_true", help="results of mean 0 and sd 1")
    parser.add_argument("-s", "--patch-size", type=int, default=1024, help="side of the pieces; below 1: whole images")
    parser.add_argument(
        "-p", "--patch-padding", type=int, default=0, help="surroundings of a piece; at least what keeps it invisible"
    )
    parser.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda, or a number; negative: cpu")
    parser.add_argument("-j", "--num-threads", type=int, default=0, help="processor threads; 0: those that are idle")

    before = parser.add_argument_group("filters before the network")
    before.add_argument("--pixel-cutoff", type=float, default=0, help="set pixels this many sd off the mean to it")
    before.add_argument("--lowpass", type=float, default=1, help="remove what an image this much smaller cannot show")
    before.add_argument("--gaussian", type=float, default=0, help="blur with this sigma, in pixels")
    before.add_argument("--inv-gaussian", type=float, default=0, help="undo a blur of this sigma, in pixels")
    before.add_argument("--deconvolve", action="store_true", help="undo the blur of the noise, estimated")
    before.add_argument("--deconv-patch", type=int, default=1, help="estimate it in this many by this many parts")

    training = parser.add_argument_group("training, with both folders")
    training.add_argument("-a", "--dir-a", default=None, help="folder of first halves of the exposures")
    training.add_argument("-b", "--dir-b", default=None, help="folder of second halves, of the same names")
    training.add_argument("--save-prefix", default=None, help="PREFIX_epochN.sav (loads with -m)")
    training.add_argument("--save-interval", type=int, default=10, help="epochs between files; the last is saved too")
    training.add_argument(
        "--method", choices=("noise2noise",), default="noise2noise", help="each half predicts the other"
    )
    training.add_argument("--arch", default="unet", help="unet, unet-small, fcnn (or fcnet2) or affine")
    training.add_argument("--optim", default="adagrad", help="adagrad, adam or sgd")
    training.add_argument("--lr", type=float, default=0.001, help="learning rate")
    training.add_argument("--criteria", default="L2", help="L2 or L1")
    training.add_argument("-c", "--crop", type=int, default=800, help="side of the squares to train on")
    training.add_argument("--batch-size", type=int, default=4, help="squares in a minibatch")
    training.add_argument("--num-epochs", type=int, default=100, help="times each pair is used")
    training.add_argument("--holdout", type=float, default=0.1, help="fraction of the pairs to validate on")
    training.add_argument("--preload", action="store_true", help="keep the images in memory")
    training.add_argument("--seed", type=int, default=0, help="same seed, same result")


def run(options: argparse.Namespace) -> int:
    """Train if asked to, and denoise; return 0, or 1 where some micrographs were skipped."""
    from heliodor.cli.options import set_threads
    from heliodor.denoise import load_denoiser
    from heliodor.devices import device_of
    from heliodor.errors import SettingsError

    set_threads(options.num_threads)
    device = device_of(options.device)
    trains = options.dir_a is not None or options.dir_b is not None
    if not trains and not options.micrographs:
        raise SettingsError("give micrographs to denoise, or --dir-a and --dir-b to train on")
    if trains:
        networks = [_train(options, device)]
    else:
        networks = [load_denoiser(name).to(device) for name in options.model if name != "none"]
    return _denoise(options, networks) if options.micrographs else 0


def _denoise(options: argparse.Namespace, networks: list[Denoiser]) -> int:
    from heliodor.cli.console import console_reporter
    from heliodor.denoise.files import DEFAULT_SUFFIX, DenoiseSettings, denoise_files, denoise_stack
    from heliodor.errors import SettingsError
    from heliodor.find import find_micrographs

    settings = DenoiseSettings(
        pixel_cutoff=options.pixel_cutoff,
        lowpass=options.lowpass,
        gaussian=options.gaussian,
        inverse_gaussian=options.inv_gaussian,
        deconvolve=options.deconvolve,
        deconvolution_patches=options.deconv_patch,
        normalize=options.normalize or options.format == "png",
        tile=options.patch_size,
        padding=options.patch_padding,
    )
    reporter = console_reporter()
    if options.stack:
        if options.format != "mrc":
            raise SettingsError("--stack writes MRC; leave --format out")
        for path in map(Path, options.micrographs):
            folder = path.parent if options.output is None else Path(options.output)
            suffix = options.suffix or (DEFAULT_SUFFIX if options.output is None else "")
            denoise_stack(path, networks, settings, folder / f"{path.stem}{suffix}.mrc", reporter)
        return 0
    micrographs = find_micrographs(options.micrographs)
    failed = denoise_files(
        micrographs, networks, settings, options.output, format=options.format, suffix=options.suffix, reporter=reporter
    )
    where = options.output or "beside their inputs"
    sys.stderr.write(f"# denoised {len(micrographs) - len(failed)} of {len(micrographs)}: {where}\n")
    return 1 if failed else 0


def _train(options: argparse.Namespace, device: torch.device) -> Denoiser:
    """Train, save, and write the table of losses to standard output."""
    from heliodor.cli.console import console_reporter
    from heliodor.denoise import DenoiserSettings, save_denoiser
    from heliodor.denoise.train import DenoiseTraining, train_denoiser
    from heliodor.errors import SettingsError

    if options.dir_a is None or options.dir_b is None:
        raise SettingsError("training needs two folders, of first and of second halves; give --dir-a and --dir-b")
    settings = DenoiseTraining(
        network=DenoiserSettings("fcnn" if options.arch == "fcnet2" else options.arch),
        optimizer=options.optim,
        criterion=options.criteria,
        learning_rate=options.lr,
        crop=options.crop,
        batch=options.batch_size,
        epochs=options.num_epochs,
        held_out=options.holdout,
        seed=options.seed,
    )
    pairs = _pairs(options.dir_a, options.dir_b, options.preload)
    digits = len(str(options.num_epochs))
    sys.stdout.write("epoch\tloss_train\tloss_val\n")
    for epoch in train_denoiser(pairs, settings, device, console_reporter()):
        sys.stdout.write(f"{epoch.number}\t{epoch.train_loss:.6g}\t{epoch.validation_loss:.6g}\n")
        sys.stdout.flush()
        last = epoch.number == options.num_epochs
        if options.save_prefix and (last or epoch.number % max(1, options.save_interval) == 0):
            save_denoiser(f"{options.save_prefix}_epoch{epoch.number:0{digits}d}.sav", epoch.network)
    return epoch.network


def _pairs(
    first: str, second: str, preload: bool
) -> list[Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]]]:
    """Pair the images of two folders by their names."""
    from heliodor.errors import MicrographError, SettingsError
    from heliodor.find import find_micrographs
    from heliodor.micrographs import read_micrograph

    ones, others = ({m.path.name: m.path for m in find_micrographs([folder])} for folder in (first, second))
    names = [name for name in ones if name in others]
    if not names:
        raise SettingsError(f"{first}, {second}: no image of one has the name of one of the other; name pairs alike")
    alone = len(ones) + len(others) - 2 * len(names)
    if alone:
        sys.stderr.write(f"# WARNING: {alone} images have no partner of the same name, and are left out\n")

    def reader(name: str) -> Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]]:
        def read() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            one, other = read_micrograph(ones[name]).pixels, read_micrograph(others[name]).pixels
            if one.shape != other.shape:
                raise MicrographError(
                    f"{ones[name]}: {one.shape[1]} x {one.shape[0]} pixels, its other half {other.shape[1]} x "
                    f"{other.shape[0]}; give halves of the same exposure"
                )
            return one, other

        if not preload:
            return read
        kept = read()
        return lambda: kept

    return [reader(name) for name in names]
