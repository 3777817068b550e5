"""Write one coordinate file per micrograph."""

from __future__ import annotations

import argparse

from heliodor.cli.topaz.convert import FORMATS, format_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", help="coordinate file")
    parser.add_argument("-o", "--output", default=".", help="folder")
    parser.add_argument("--format", choices=("auto", *FORMATS), default="auto", help="of the file and of the results")
    parser.add_argument("--suffix", default="", help="put behind the names of the files")
    parser.add_argument("-t", "--threshold", type=float, default=None, help="keep scores at or above it")


def run(options: argparse.Namespace) -> int:
    """Split by heliodor's own command, with whole coordinates."""
    from heliodor.cli.split import run as split

    options.format, options.boxsize, options.integers = format_of(options.format), 0, True
    return split(options)
