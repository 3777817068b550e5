"""Compare predicted particles with labels: precision and recall at every score."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--predicted", required=True, help="table of particles with scores")
    parser.add_argument("--targets", required=True, help="table of labels")
    parser.add_argument("-r", "--assignment-radius", dest="match_radius", type=float, required=True,
                        help="farthest a particle may be off, in pixels, exclusive")  # fmt: skip
    parser.add_argument("--images", choices=("target", "predicted", "union"), default="target",
                        help="whose micrographs count")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Print the curve."""
    from heliodor.cli.evaluate import print_topaz_curve

    print_topaz_curve(options.predicted, options.targets, options.match_radius, options.images)
    return 0
