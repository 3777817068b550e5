"""Convert, scale, threshold, join and subtract coordinate files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliodor.formats.targets import Targets
    from heliodor.picks import Picks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (Topaz's names)."""
    parser.add_argument("files", nargs="+", help="coordinate files, or folders of them; several are joined")
    parser.add_argument("-o", "--output", default=None, help="file; a folder (ending in /): one file per micrograph")
    parser.add_argument(
        "--from",
        dest="source",
        default="auto",
        help="format of the files: auto, txt, star, box, csv, via, json, cbox, cs, imod",
    )
    parser.add_argument("--to", default="auto", help="format to write; default: by the extension of the output")
    parser.add_argument("--suffix", default="", help="put behind the names of per-micrograph files")
    parser.add_argument("-t", "--threshold", type=float, default=None, help="keep scores at or above it")
    parser.add_argument("-s", "--down-scale", type=float, default=1.0, help="divide coordinates by this")
    parser.add_argument("-x", "--up-scale", type=float, default=1.0, help="multiply coordinates by this")
    parser.add_argument("--micrographs", nargs="+", default=None, metavar="PATH", help="images, folders, lists, or a "
                        ".cs file: RELION gets their paths, cryoSPARC their uids")  # fmt: skip
    parser.add_argument("--invert-y", action="store_true", help="count y from the other edge: height - 1 - y")
    parser.add_argument("--height", type=int, default=None, help="rows of the micrographs, for --invert-y")
    parser.add_argument("--imagedir", default=None, help="folder of the micrographs, which tell their heights")
    parser.add_argument("--image-ext", default=".mrc", help="extension of the micrographs in --imagedir")
    parser.add_argument("--boxsize", type=int, default=0, help="side of boxes, in pixels of the output")
    parser.add_argument("--integers", action="store_true", help="round coordinates to whole pixels (txt, via)")
    parser.add_argument("--subtract", default=None, metavar="FILE", help="remove particles that this file holds too")
    parser.add_argument("--radius", type=float, default=None, help="how near is the same particle, in output pixels")


def run(options: argparse.Namespace) -> int:
    """Convert, and say what was done on stderr."""
    from heliodor.errors import SettingsError
    from heliodor.formats import read_picks
    from heliodor.formats.targets import Targets
    from heliodor.picks import Picks

    if (options.subtract is None) != (options.radius is None):
        raise SettingsError("--subtract and --radius go together; give both")
    if not options.down_scale > 0 or not options.up_scale > 0:
        raise SettingsError("--down-scale and --up-scale must be positive")
    if options.imagedir is not None and options.micrographs is None:
        options.micrographs = [str(Path(options.imagedir) / f"*{options.image_ext}")]
    picks = Picks.join(read_picks(path, format=options.source) for path in options.files)
    targets = Targets.of(options.micrographs if options.micrographs is not None else _cs(options.files), picks)
    if options.invert_y:
        picks = _inverted(picks, options.height, targets)
    picks = picks.scaled(options.up_scale / options.down_scale)
    if options.threshold is not None:
        if len(picks) and picks.at_least(float("inf")) is picks:
            raise SettingsError("--threshold: no particle has a score; leave it out")
        picks = picks.at_least(options.threshold)
    if options.subtract is not None:
        before = len(picks)
        picks = picks.subtract(read_picks(options.subtract, format=options.source), options.radius)
        sys.stderr.write(
            f"# {len(picks)} of {before} are additional, {before - len(picks)} are in {options.subtract}\n"
        )
    details = {"integers": options.integers, "box_size": options.boxsize}
    write(picks, options.output, options.to, options.suffix, targets, **details)
    return 0


def _cs(files: list[str]) -> list[str]:
    """Files of cryoSPARC tell of their own micrographs."""
    return [path for path in files if path.lower().endswith(".cs")]


def _inverted(picks: Picks, height: int | None, targets: Targets) -> Picks:
    """Count y from the other edge, each micrograph by its own height."""
    from heliodor.errors import SettingsError

    if height is None and not targets:
        raise SettingsError(
            "--invert-y needs the height of the micrographs; give --height, --micrographs or --imagedir"
        )
    return picks.inverted({name: height or targets.rows(name) for name in picks.micrographs()})


def write(picks: Picks, output: str | None, to: str, suffix: str, targets: Targets, **details: Any) -> None:
    """Write picks to standard output, a file, or a folder of one file for each micrograph."""
    from heliodor.errors import SettingsError
    from heliodor.formats import find_format, write_per_micrograph, write_picks
    from heliodor.formats.txt import to_text

    if output is None:
        if to not in ("auto", "txt", "coord"):
            raise SettingsError(f"--to {to} needs a file; give it with -o")
        sys.stdout.write(to_text(picks, integers=details.get("integers", False)))
    elif output.endswith("/") or Path(output).is_dir():
        kind = to if to != "auto" else "box" if details.get("box_size") else "star"
        _, more = targets.name(picks, find_format(Path(), kind))
        paths = write_per_micrograph(output, picks, format=kind, suffix=suffix, **details, **more)
        sys.stderr.write(f"# wrote {len(picks)} particles to {len(paths)} files in {output}\n")
    else:
        picks, more = targets.name(picks, find_format(Path(output), to))
        write_picks(output, picks, format=to, **details, **more)
        sys.stderr.write(f"# wrote {len(picks)} particles to {output}\n")
