"""Write the report of a run again: one HTML file with micrographs, picks, scores, training and settings."""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", help="results of heliodor pick")
    parser.add_argument(
        "--micrographs", nargs="+", default=[], metavar="MICROGRAPH",
        help="where the micrographs are now, or a STAR file with their defocus; given as to pick",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Write the report, and say where it is."""
    from heliodor.cli.console import console_reporter
    from heliodor.find import find_micrographs
    from heliodor.report.write import write_report

    micrographs = find_micrographs(options.micrographs, missing="keep")
    path = write_report(options.folder, micrographs, reporter=console_reporter())
    sys.stdout.write(f"{path}\n")
    return 0
