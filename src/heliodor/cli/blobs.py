"""Pick without labels: round particles of a known diameter.

One response per pixel, in robust standard deviations: a disc against the ring around it (disc), the Laplacian of
Gaussians (log) or the difference of Gaussians (dog). Writes full-size pixels.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliodor.names import MicrographFile
    from heliodor.picks import Picks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("micrographs", nargs="+", help="images, globs in quotes, folders, or files that list images")
    parser.add_argument(
        "--diameter", nargs="+", type=float, required=True, metavar="ANGSTROM",
        help="of the particle, or the smallest and the largest; one diameter is believed to 10 %%",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", required=True,
        help="a file for all picks (.star .txt .csv), or a folder: picks.star, and micrographs/NAME.star each",
    )  # fmt: skip
    parser.add_argument("--angpix", type=float, default=None, help="angstrom per pixel, where headers are wrong")
    parser.add_argument("--method", choices=("disc", "log", "dog"), default="disc", help="what is measured")
    parser.add_argument("--contrast", choices=("dark", "light"), default="dark", help="of particles against the ice")
    parser.add_argument(
        "-t", "--threshold", type=float, default=argparse.SUPPRESS,
        help="lowest score (default: 3.5 for disc, 1 for log and dog)",
    )  # fmt: skip
    parser.add_argument("--max-picks", type=int, default=None, metavar="N", help="keep the best N of each micrograph")
    parser.add_argument(
        "--factor", type=float, default=argparse.SUPPRESS,
        help="downsampling (default: so that the smallest diameter is 16 pixels)",
    )  # fmt: skip
    parser.add_argument(
        "--junk", type=float, default=3.0,
        help="ice and carbon: no picks on wide things so many standard deviations off; inf: no such check",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Pick every micrograph; return 0, or 1 where some were skipped."""
    from pathlib import Path

    import numpy as np

    from heliodor.cli.console import console_reporter
    from heliodor.cli.options import table_format
    from heliodor.errors import MicrographError
    from heliodor.files import check_output
    from heliodor.find import find_micrographs
    from heliodor.formats import write_per_micrograph, write_picks
    from heliodor.micrographs import read_micrograph
    from heliodor.picking.blobs import pick_blobs
    from heliodor.picking.load import pixel_size_of
    from heliodor.picks import Picks
    from heliodor.stream import stream, usable

    diameters, kind = _diameters(options), table_format(options.output)
    output = Path(options.output)
    for path in [output] if kind is not None else [output / "picks.star", output / "micrographs" / "NAME.star"]:
        check_output(path)
    micrographs = find_micrographs(options.micrographs)
    pixel_size_of(micrographs, options.angpix)  # before all of them are read in vain

    def pick(file: MicrographFile) -> Picks:
        micrograph = read_micrograph(file.path, pixel_size=options.angpix, name=file.name)
        try:
            return pick_blobs(
                micrograph,
                diameters,
                factor=getattr(options, "factor", None),
                method=options.method,
                contrast=options.contrast,
                threshold=getattr(options, "threshold", None),
                junk=options.junk,
            )
        except MicrographError as error:
            raise MicrographError(f"{file.path}: {error}") from error

    reporter = console_reporter()
    parts: list[Picks] = []
    paths: dict[str, str] = {}
    failed: dict[str, str] = {}
    for file, found in usable(stream(micrographs, pick, 1), len(micrographs), "picking", reporter, failed):
        paths[file.name] = str(file.path)
        parts.append(found if options.max_picks is None else found.select(np.arange(len(found)) < options.max_picks))
    picks = Picks.join(parts)
    if kind is not None:
        write_picks(options.output, picks.renamed(paths) if kind == "star" else picks)  # paths, as RELION names them
    else:
        write_picks(output / "picks.star", picks.renamed(paths))
        write_per_micrograph(output / "micrographs", picks, format="star", also=list(paths))
    skipped = f", skipped {len(failed)} that could not be used" if failed else ""
    sys.stderr.write(f"# {len(picks)} picks on {len(parts)} micrographs in {options.output}{skipped}\n")
    return 1 if failed else 0


def _diameters(options: argparse.Namespace) -> tuple[float, float]:
    from heliodor.errors import SettingsError

    low, high = options.diameter[0], options.diameter[-1]
    if len(options.diameter) > 2 or not 0 < low <= high:
        given = " ".join(f"{d:g}" for d in options.diameter)
        raise SettingsError(f"--diameter is one number above 0, or a smallest and a largest. Got {given} instead.")
    if options.max_picks is not None and options.max_picks < 1:
        raise SettingsError(f"--max-picks must be 1 or more. Got {options.max_picks} instead.")
    return low, high
