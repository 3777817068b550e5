"""Denoise micrographs with a network, or train such a network without clean images."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from heliodor.denoise import Denoiser
    from heliodor.denoise.images import Images
    from heliodor.names import MicrographFile
    from heliodor.progress import Reporter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (Topaz's names)."""
    parser.add_argument("micrographs", nargs="*", help="images, globs in quotes, folders, or files that list images")
    parser.add_argument(
        "-o", "--output", default=None, help="folder, or the file for one --stack; default beside the inputs"
    )
    parser.add_argument("--suffix", default="", help="put behind names; without -o, .denoised if none is given")
    parser.add_argument("--format", default="mrc", help="mrc, tiff, or png or jpg (8 bit, normalized)")
    parser.add_argument("--stack", action="store_true", help="the inputs are MRC stacks of micrographs")
    parser.add_argument(
        "-m",
        "--model",
        nargs="+",
        default=None,
        help="denoisers, averaged: files (ours or Topaz's), or unet (the default), unet-small, fcnn, affine, "
        "unet-v0.2.1 of topaz-em; none: filter only",
    )
    parser.add_argument("--overwrite", action="store_true", help="do again what is in the folder -o")
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

    training = parser.add_argument_group("training, where images for it are given")
    training.add_argument("-a", "--dir-a", nargs="+", default=None, help="folders of first halves of the exposures")
    training.add_argument("-b", "--dir-b", nargs="+", default=None, help="folders of second halves, of the same names")
    training.add_argument("--movies", default=None, help="folder, glob in quotes or list of movies, or of stacks of "
                          "aligned frames: the sums of even and of odd frames are the halves")  # fmt: skip
    training.add_argument("--hdf", default=None, help="HDF5 file with a data set 'images', halves one after the other")
    training.add_argument("--save-prefix", default=None, help="PREFIX_epochN.sav (loads with -m)")
    training.add_argument("--save-interval", type=int, default=10, help="epochs between files; the last is saved too")
    training.add_argument(
        "--method",
        choices=("noise2noise", "masked"),
        default="noise2noise",
        help="each half predicts the other; or an image its own hidden pixels, for which --dir-a is enough",
    )
    training.add_argument("--arch", default="unet", help="unet, unet-small, unet2, unet3, fcnn (or fcnet2) or affine")
    training.add_argument("--optim", default="adagrad", help="adagrad, adam or sgd")
    training.add_argument("--lr", type=float, default=0.001, help="learning rate")
    training.add_argument("--criteria", default="L2", help="L2, L1 or L0 (annealed)")
    training.add_argument("-c", "--crop", type=int, default=800, help="side of the squares to train on")
    training.add_argument("--batch-size", type=int, default=4, help="squares in a minibatch")
    training.add_argument("--num-epochs", type=int, default=100, help="times each pair is used")
    training.add_argument("--holdout", type=float, default=0.1, help="fraction of the pairs to validate on")
    training.add_argument("--preload", action="store_true", help="keep the images in memory")
    training.add_argument("--seed", type=int, default=0, help="same seed, same result")


def goes_on(options: argparse.Namespace) -> bool:
    """Say whether what an interrupted call left is gone on with: images in a folder, by networks that are there."""
    return options.output is not None and not options.stack and not _trains(options)


def run(options: argparse.Namespace) -> int:
    """Train if asked to, and denoise; return 0, or 1 where some micrographs were skipped."""
    from heliodor.cli.console import console_reporter
    from heliodor.errors import SettingsError

    _give_back_images(options)
    if _trains(options) and options.model is not None:
        raise SettingsError(
            "-m names networks to denoise with, and images to train on are given, which starts from random weights; "
            "leave one of them out"
        )
    if _trains(options) and not options.save_prefix and not options.micrographs:
        raise SettingsError("nothing would be left of this training; give --save-prefix, or micrographs to denoise")
    return run_with(options, console_reporter())


def run_with(options: argparse.Namespace, reporter: Reporter) -> int:
    """Do what `run` does, and report to `reporter`; as in Topaz, training takes no notice of --model."""
    from heliodor.cli.options import set_threads
    from heliodor.denoise import load_denoiser
    from heliodor.devices import device_of
    from heliodor.errors import SettingsError
    from heliodor.find import find_micrographs

    set_threads(options.num_threads)
    device = device_of(options.device)
    _give_back_images(options)
    trains = _trains(options)
    if not trains and not options.micrographs:
        raise SettingsError(
            "give micrographs to denoise, or images to train on: --dir-a and --dir-b, --movies or --hdf"
        )
    micrographs = (_stacks if options.stack else find_micrographs)(options.micrographs)
    outputs = _outputs(options, micrographs)
    if trains:
        networks = [_train(options, device, reporter)]
    else:
        networks = [load_denoiser(name).to(device) for name in options.model or ["unet"] if name != "none"]
    return _denoise(options, micrographs, outputs, networks, reporter) if micrographs else 0


def _stacks(words: Sequence[str]) -> list[MicrographFile]:
    """Find stacks as micrographs are found; a file of MRC's format is one whatever its extension (.st, .ali)."""
    from heliodor.find import find_micrographs
    from heliodor.names import MicrographFile

    with_names = [word for word in words if not _is_mrc(Path(word))]
    others = [Path(word) for word in words if word not in with_names]
    return [*find_micrographs(with_names), *(MicrographFile(path, path.stem) for path in others)]


def _is_mrc(path: Path) -> bool:
    """Say whether a file of another extension than MRC's own has MRC's mark in its header."""
    from heliodor.micrographs import MRC

    if not path.is_file() or path.suffix.lower() in MRC:
        return False
    with path.open("rb") as file:
        return file.read(212)[208:212] == b"MAP "


def _trains(options: argparse.Namespace) -> bool:
    return any(given is not None for given in (options.dir_a, options.dir_b, options.movies, options.hdf))


def _give_back_images(options: argparse.Namespace) -> None:
    """Take micrographs from options of several words: `--model unet a.mrc` takes a.mrc for a second model."""
    from heliodor.micrographs import READABLE

    for name in ("model", "dir_a", "dir_b"):
        words = getattr(options, name) or []
        images = [word for word in words if word.lower().endswith(READABLE) and not Path(word).is_dir()]
        if images and len(images) < len(words):
            setattr(options, name, [word for word in words if word not in images])
            options.micrographs = [*options.micrographs, *images]


def _outputs(options: argparse.Namespace, micrographs: Sequence[MicrographFile]) -> dict[Path, Path]:
    """Say where results go, by the paths of the inputs; training, which is long, comes after this check."""
    from heliodor.denoise.files import image_outputs, stack_outputs
    from heliodor.errors import SettingsError
    from heliodor.files import check_output

    if _trains(options) and options.save_prefix:
        check_output(f"{options.save_prefix}_epoch1.sav")
    if not options.stack:
        return image_outputs(micrographs, options.output, format=options.format, suffix=options.suffix)
    if options.format != "mrc":
        raise SettingsError("--stack writes MRC; leave --format out")
    return stack_outputs(micrographs, options.output, suffix=options.suffix)


def _denoise(
    options: argparse.Namespace,
    micrographs: Sequence[MicrographFile],
    outputs: dict[Path, Path],
    networks: list[Denoiser],
    reporter: Reporter,
) -> int:
    from heliodor.denoise.files import PICTURES, DenoiseSettings, denoise_files, denoise_stack

    settings = DenoiseSettings(
        pixel_cutoff=options.pixel_cutoff,
        lowpass=options.lowpass,
        gaussian=options.gaussian,
        inverse_gaussian=options.inv_gaussian,
        deconvolve=options.deconvolve,
        deconvolution_patches=options.deconv_patch,
        normalize=options.normalize or options.format in PICTURES,
        tile=options.patch_size,
        padding=options.patch_padding,
    )
    if options.stack:
        for path, output in outputs.items():
            denoise_stack(path, networks, settings, output, reporter)
        return 0
    failed = denoise_files(
        micrographs,
        networks,
        settings,
        outputs,
        options.output,
        overwrite=options.overwrite or _trains(options),  # results of networks that are new
        reporter=reporter,
    )
    where = options.output or "beside their inputs"
    sys.stderr.write(f"# denoised {len(micrographs) - len(failed)} of {len(micrographs)}: {where}\n")
    return 1 if failed else 0


def _train(options: argparse.Namespace, device: torch.device, reporter: Reporter) -> Denoiser:
    """Train, save, and write the table of losses to standard output."""
    from heliodor.denoise import DenoiserSettings, save_denoiser
    from heliodor.denoise.train import DenoiseTraining, train_denoiser
    from heliodor.errors import SettingsError

    if options.arch == "fcnet":
        raise SettingsError("--arch fcnet: its layers do not fit one another (Topaz crashes with it); take fcnet2")
    settings = DenoiseTraining(
        network=DenoiserSettings("fcnn" if options.arch == "fcnet2" else options.arch),
        method=options.method,
        optimizer=options.optim,
        criterion=options.criteria,
        learning_rate=options.lr,
        crop=options.crop,
        batch=options.batch_size,
        epochs=options.num_epochs,
        held_out=options.holdout,
        pixel_cutoff=options.pixel_cutoff,
        seed=options.seed,
    )
    images = _training_images(options, reporter)
    digits = len(str(options.num_epochs - 1))  # as Topaz counts: none of 1 to 10 is padded
    sys.stdout.write("epoch\tloss_train\tloss_val\n")
    for epoch in train_denoiser(images, settings, device, reporter):
        sys.stdout.write(f"{epoch.number}\t{epoch.train_loss:.6g}\t{epoch.validation_loss:.6g}\n")
        sys.stdout.flush()
        last = epoch.number == options.num_epochs
        if options.save_prefix and (last or epoch.number % max(1, options.save_interval) == 0):
            save_denoiser(f"{options.save_prefix}_epoch{epoch.number:0{digits}d}.sav", epoch.network)
    return epoch.network


def _training_images(options: argparse.Namespace, reporter: Reporter) -> list[Images]:
    """Find what to train on, from one of the options that name it."""
    from heliodor.denoise.images import folder_pairs, hdf_images, movie_pairs, preloaded, single_images
    from heliodor.errors import SettingsError

    folders, masked = options.dir_a is not None or options.dir_b is not None, options.method == "masked"
    if folders + (options.movies is not None) + (options.hdf is not None) > 1:
        raise SettingsError("--dir-a and --dir-b, --movies and --hdf all say what to train on; give one of them")
    if options.hdf is not None:
        found = hdf_images(options.hdf, paired=not masked)
    elif masked and options.movies is not None:
        raise SettingsError("--method masked takes single images; give their folder with --dir-a")
    elif masked:
        found = single_images([*(options.dir_a or []), *(options.dir_b or [])])
    elif options.movies is not None:
        found = movie_pairs([options.movies])
    elif options.dir_a is None or options.dir_b is None:
        raise SettingsError("training needs two folders, of first and of second halves; give --dir-a and --dir-b")
    else:
        found = folder_pairs(options.dir_a, options.dir_b, reporter)
    return preloaded(found) if options.preload else found
