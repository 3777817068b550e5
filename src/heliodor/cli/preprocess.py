"""Downsample and normalize micrographs."""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (Topaz's names)."""
    parser.add_argument("micrographs", nargs="+", help="images, globs in quotes, folders, or files that list images")
    parser.add_argument("-o", "--destdir", required=True, help="folder for the results, NAME.mrc each")
    parser.add_argument("-s", "--scale", "--factor", type=float, default=1.0, help="downsampling factor, 1 or more")
    parser.add_argument(
        "--normalization",
        choices=("gmm", "gmm-dataset", "affine", "flat"),
        default="gmm",
        help="mixture of two Gaussians per micrograph, one for all with a scale each (paper), mean and sd, or without "
        "background, as networks of `pick` see them, for those in Topaz (extract takes it off itself: give it gmm)",
    )
    parser.add_argument("--affine", action="store_const", dest="normalization", const="affine", help="mean and sd")
    parser.add_argument("--niters", type=int, default=100, help="most iterations of the fit")
    parser.add_argument("-a", "--alpha", type=float, default=900.0, help="Beta prior on the share of the background")
    parser.add_argument("-b", "--beta", type=float, default=1.0, help="Beta prior on the share of the rest")
    parser.add_argument(
        "--angpix", "--pixel-size", type=float, default=None, help="angstrom per pixel, where headers are wrong"
    )
    parser.add_argument("--format", default="mrc", help="comma separated: mrc, tiff, png")
    parser.add_argument("--metadata", action="store_true", help="write what was fitted to NAME.metadata.json")
    parser.add_argument("-t", "--num-workers", type=int, default=2, help="threads, -1: one per processor")
    parser.add_argument("-v", "--verbose", action="store_true", help="say each micrograph that is done")
    parser.add_argument("--overwrite", action="store_true", help="do again what is done")


def goes_on(_options: argparse.Namespace) -> bool:
    """Say whether what an interrupted call left is gone on with."""
    return True


def run(options: argparse.Namespace) -> int:
    """Preprocess; return 0, or 1 where some micrographs were skipped."""
    from heliodor.cli.console import console_reporter
    from heliodor.find import find_micrographs
    from heliodor.preprocess.files import PreprocessSettings, preprocess_files

    settings = PreprocessSettings(
        factor=options.scale,
        normalization=options.normalization,
        alpha=options.alpha,
        beta=options.beta,
        iterations=options.niters,
        pixel_size=options.angpix,
    )
    micrographs = find_micrographs(options.micrographs)
    failed = preprocess_files(
        micrographs,
        options.destdir,
        settings,
        formats=tuple(options.format.split(",")),
        metadata=options.metadata,
        workers=options.num_workers,
        overwrite=options.overwrite,
        verbose=options.verbose,
        reporter=console_reporter(),
    )
    sys.stderr.write(f"# {len(micrographs) - len(failed)} of {len(micrographs)} micrographs are in {options.destdir}\n")
    return 1 if failed else 0
