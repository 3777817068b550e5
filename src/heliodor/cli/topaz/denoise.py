"""Denoise micrographs with a network, or train such a network from pairs of exposures."""

from __future__ import annotations

import argparse
import os

from heliodor.cli.topaz.arguments import LOG, device_for, integer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of heliodor's own command, with Topaz's defaults, and what Topaz has besides."""
    from heliodor.cli.denoise import add_arguments as add_own

    add_own(parser)
    for action in parser._actions:
        action.type = integer if action.type is int else action.type
    # 0.2.5 saves every epoch, 0.3 every tenth and the best: whatever a program looks for is there
    parser.set_defaults(model=["unet"], device="0", patch_padding=500, save_interval=1, overwrite=True)
    parser.add_argument("--num-workers", type=integer, default=16, help="no effect: images are read one by one")


def run(options: argparse.Namespace) -> int:
    """Denoise by heliodor's own command; return 0, or 1 where some micrographs were skipped."""
    from heliodor.cli.denoise import run_with
    from heliodor.errors import SettingsError

    try:
        number = integer(options.device)
    except argparse.ArgumentTypeError as error:
        raise SettingsError(f"--device: {error}; give the number of a GPU, or -1") from error
    options.device = str(device_for(number))
    if options.num_threads < 0:
        options.num_threads = os.cpu_count() or 1
    options.model = ["affine" if name == "affineresnet8" else name for name in options.model]  # Scipion's name of it
    options.output = options.output or None  # 0.3's default is an empty name
    return run_with(options, LOG)
