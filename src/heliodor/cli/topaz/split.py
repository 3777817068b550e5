"""Write one coordinate file per micrograph."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliodor.cli.topaz.convert import FORMATS, fitting, layout, output_format, read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", help="coordinate file")
    parser.add_argument("-o", "--output", default=".", help="folder")
    parser.add_argument("--format", choices=("auto", *FORMATS), default="auto", help="of the file and of the results")
    parser.add_argument("--suffix", default="", help="put behind the names of the files")
    parser.add_argument("-t", "--threshold", type=float, default=float("-inf"), help="keep scores at or above it")


def run(options: argparse.Namespace) -> int:
    """Split, with whole coordinates, into files named after the micrographs."""
    from heliodor.cli.topaz.star_table import split_table
    from heliodor.formats import write_per_micrograph

    kind = output_format(options.file, options.format)
    if kind == "star" and not Path(options.file).is_dir():
        split_table(Path(options.file), options.output, f"{options.suffix}.star", options.threshold)
        return 0
    picks = fitting(kind, read([options.file], options.format).at_least(options.threshold).rounded())
    details = layout(kind, {"image_ext": ".mrc"})
    write_per_micrograph(options.output, picks, format=kind, suffix=options.suffix, **details)
    return 0
