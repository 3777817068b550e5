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
    parser.add_argument(
        "--labels",
        default=None,
        help="all particles of some micrographs, to compare the picks with",
    )
    parser.add_argument(
        "--audit", default=None, metavar="FILE",
        help="answers about picks of this run, which heliodor label --picks wrote, to compare the probabilities with",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Write the report, and say where it is."""
    from heliodor.cli.console import console_reporter
    from heliodor.find import find_micrographs
    from heliodor.formats import read_picks
    from heliodor.picking.answers import read_answers
    from heliodor.report.write import write_report

    micrographs = find_micrographs(options.micrographs, missing="keep")
    labels = read_picks(options.labels) if options.labels else None
    answers = read_answers(options.audit) if options.audit else None
    path = write_report(options.folder, micrographs, labels=labels, answers=answers, reporter=console_reporter())
    sys.stdout.write(f"{path}\n")
    return 0
