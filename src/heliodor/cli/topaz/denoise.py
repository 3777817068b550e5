"""Denoise micrographs with a network, or train such a network from pairs of exposures."""

from __future__ import annotations

import argparse
import os

from heliodor.cli.topaz.arguments import device_for, integer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of heliodor's own command, with Topaz's defaults, and what Topaz has besides."""
    from heliodor.cli.denoise import add_arguments as add_own

    add_own(parser)
    for action in parser._actions:
        action.type = integer if action.type is int else action.type
    parser.set_defaults(device="0", patch_padding=500)
    parser.add_argument("--hdf", default=None, help="refused: give the halves as folders with --dir-a and --dir-b")
    parser.add_argument("--num-workers", type=integer, default=16, help="no effect: images are read one by one")


def run(options: argparse.Namespace) -> int:
    """Denoise by heliodor's own command; return 0, or 1 where some micrographs were skipped."""
    from heliodor.cli.denoise import run as denoise
    from heliodor.errors import SettingsError

    if options.hdf is not None:
        raise SettingsError("--hdf: stacks of HDF5 are not read; give the halves as folders with --dir-a and --dir-b")
    try:
        number = integer(options.device)
    except argparse.ArgumentTypeError as error:
        raise SettingsError(f"--device: {error}; give the number of a GPU, or -1") from error
    options.device = str(device_for(number))
    if options.num_threads < 0:
        options.num_threads = os.cpu_count() or 1
    # `--model unet a.mrc` takes the micrograph for a second model.
    images = [word for word in options.model if word.lower().endswith((".mrc", ".mrcs", ".tif", ".tiff", ".png"))]
    options.model = [word for word in options.model if word not in images]
    options.micrographs = [*options.micrographs, *images]
    return denoise(options)
