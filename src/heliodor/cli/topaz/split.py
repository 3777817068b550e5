"""Write one coordinate file per micrograph."""

from __future__ import annotations

import argparse

from heliodor.cli.topaz.convert import FORMATS, fitting, output_format, read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", help="coordinate file")
    parser.add_argument("-o", "--output", default=".", help="folder")
    parser.add_argument("--format", choices=("auto", *FORMATS), default="auto", help="of the file and of the results")
    parser.add_argument("--suffix", default="", help="put behind the names of the files")
    parser.add_argument("-t", "--threshold", type=float, default=float("-inf"), help="keep scores at or above it")


def run(options: argparse.Namespace) -> int:
    """Split, with whole coordinates, into files named after the micrographs."""
    from heliodor.formats import write_per_micrograph

    picks = read([options.file], options.format).at_least(options.threshold)
    kind = output_format(options.file, options.format)
    details = fitting(kind, {"integers": True, "image_ext": ".mrc"})
    write_per_micrograph(options.output, picks.rounded(), format=kind, suffix=options.suffix, **details)
    return 0
