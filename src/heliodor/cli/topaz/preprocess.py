"""Downsample and normalize micrographs."""

from __future__ import annotations

import argparse

from heliodor.cli.topaz.arguments import LOG, images, integer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", help="micrographs, folders, globs, or lists of them")
    parser.add_argument("-s", "--scale", type=float, default=1, help="downsampling factor")
    parser.add_argument("--affine", action="store_true", help="mean and standard deviation instead of the mixture")
    parser.add_argument("--sample", "--pixel-sampling", type=integer, default=1, help="no effect: all pixels are used")
    parser.add_argument("--seed", type=integer, default=0, help="no effect: nothing is drawn at random")
    parser.add_argument("--niters", type=integer, default=100, help="most iterations of the fit")
    parser.add_argument("-a", "--alpha", type=float, default=900, help="Beta prior on the share of the background")
    parser.add_argument("-b", "--beta", type=float, default=1, help="Beta prior on the share of the rest")
    parser.add_argument("--metadata", action="store_true", help="write what was fitted to NAME.metadata.json")
    parser.add_argument("-d", "--device", type=integer, default=-1, help="no effect: the processor does it")
    parser.add_argument("-t", "--num-workers", type=integer, default=0, help="threads; negative: one per processor")
    parser.add_argument("-j", "--num-threads", type=integer, default=0, help="no effect: see --num-workers")
    parser.add_argument("-o", "--destdir", default=".", help="folder for the results, NAME.mrc each")
    parser.add_argument("--format", default="mrc", help="comma separated: mrc, tiff, png")
    parser.add_argument("-v", "--verbose", action="store_true", help="say each micrograph that is done")


def run(options: argparse.Namespace) -> int:
    """Preprocess; return 0, or 1 where some micrographs were skipped."""
    from heliodor.preprocess.files import PreprocessSettings, preprocess_files

    settings = PreprocessSettings(
        factor=options.scale,
        normalization="affine" if options.affine else "gmm",
        alpha=options.alpha,
        beta=options.beta,
        iterations=options.niters,
    )
    failed = preprocess_files(
        images(options.files),
        options.destdir,
        settings,
        formats=tuple(word.strip() for word in options.format.split(",")),
        metadata=options.metadata,
        workers=options.num_workers,
        overwrite=True,
        verbose=options.verbose,
        reporter=LOG,
    )
    return 1 if failed else 0
