"""Write one coordinate file per micrograph."""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (Topaz's names)."""
    parser.add_argument("file", help="coordinate file")
    parser.add_argument("-o", "--output", required=True, help="folder")
    parser.add_argument(
        "--format",
        default="auto",
        help="of the file and of what is written: auto, txt, star, box, csv, via, json, cbox, cs, imod",
    )
    parser.add_argument("--suffix", default="", help="put behind the names of the files")
    parser.add_argument("-t", "--threshold", type=float, default=None, help="keep scores at or above it")
    parser.add_argument("--boxsize", type=int, default=0, help="side of boxes, in pixels (box)")
    parser.add_argument("--integers", action="store_true", help="round coordinates to whole pixels (txt, via, json)")


def run(options: argparse.Namespace) -> int:
    """Split, and say how many files came out."""
    from pathlib import Path

    from heliodor.cli.options import refuse_useless
    from heliodor.errors import SettingsError
    from heliodor.formats import FORMATS, find_format, read_picks, write_per_micrograph

    module = find_format(Path(options.file), options.format)
    refuse_useless(options, module)
    picks = read_picks(options.file, format=options.format)
    if options.threshold is not None:
        if picks.scoreless:
            raise SettingsError("--threshold: no particle has a score; leave it out")
        picks = picks.at_least(options.threshold)
    kind = next(name for name, known in FORMATS.items() if known is module)
    details = {"box_size": options.boxsize, "integers": options.integers}
    paths = write_per_micrograph(options.output, picks, format=kind, suffix=options.suffix, **details)
    sys.stderr.write(f"# wrote {len(picks)} particles to {len(paths)} files in {options.output}\n")
    return 0
