"""Downsample a micrograph by Fourier cropping."""

from __future__ import annotations

import argparse

from heliodor.cli.topaz.arguments import LOG


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", help="micrograph")
    parser.add_argument("-s", "--scale", type=float, default=4, help="downsampling factor")
    parser.add_argument("-o", "--output", required=True, help="file to write: .mrc, .tiff or .png")
    parser.add_argument("-v", "--verbose", action="store_true", help="say the sizes")


def run(options: argparse.Namespace) -> int:
    """Downsample one file."""
    from heliodor.micrographs import Micrograph, read_micrograph, write_micrograph
    from heliodor.preprocess import downsample

    full = read_micrograph(options.file)
    pixels, (factor, _) = downsample(full.pixels, options.scale)
    size = None if full.pixel_size is None else full.pixel_size * factor
    write_micrograph(options.output, Micrograph(pixels, size, full.name))
    if options.verbose:
        LOG.note(f"downsampled {full.name} from {full.pixels.shape} to {pixels.shape} pixels (rows, columns)")
    return 0
