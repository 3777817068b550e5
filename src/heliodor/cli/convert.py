"""Convert, scale, threshold, join and subtract coordinate files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from heliodor.formats.targets import Targets
    from heliodor.picks import Picks

_EXTENSION = ".mrc"


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
    parser.add_argument("--image-ext", default=_EXTENSION, help="extension of the micrographs in --imagedir")
    parser.add_argument("--boxsize", type=int, default=0, help="side of boxes, in pixels of the output")
    parser.add_argument("--integers", action="store_true", help="round coordinates to whole pixels (txt, via, json)")
    parser.add_argument("--subtract", default=None, metavar="FILE", help="remove particles that this file holds too")
    parser.add_argument("--radius", type=float, default=None, help="how near is the same particle, in output pixels")


def run(options: argparse.Namespace) -> int:
    """Convert, and say what was done on stderr."""
    from heliodor.errors import SettingsError
    from heliodor.formats import find_format, read_picks, write_per_micrograph, write_picks
    from heliodor.formats.targets import Targets
    from heliodor.formats.txt import to_text
    from heliodor.picks import Picks

    if (options.subtract is None) != (options.radius is None):
        raise SettingsError("--subtract and --radius go together; give both")
    if not options.down_scale > 0 or not options.up_scale > 0:
        raise SettingsError("--down-scale and --up-scale must be positive")
    if options.imagedir is not None and options.micrographs is not None:
        raise SettingsError("--imagedir and --micrographs both say which micrographs; give one of them")
    kind = _kind(options)
    module = find_format(Path(options.output or ""), kind)
    _refuse_useless(options, module)
    if options.imagedir is not None:
        options.micrographs = [str(Path(options.imagedir) / f"*{options.image_ext}")]
    picks = Picks.join(read_picks(path, format=options.source) for path in options.files)
    targets = Targets.of(options.micrographs if options.micrographs is not None else _cs(options.files), picks)
    if targets.note:
        sys.stderr.write(f"# {targets.note}\n")
    if options.invert_y:
        picks = _inverted(picks, options.height, targets)
    picks = picks.scaled(options.up_scale / options.down_scale)
    if options.threshold is not None:
        if picks.scoreless:
            raise SettingsError("--threshold: no particle has a score; leave it out")
        picks = picks.at_least(options.threshold)
    if options.subtract is not None:
        before = len(picks)
        picks = picks.subtract(read_picks(options.subtract, format=options.source), options.radius)
        sys.stderr.write(
            f"# {len(picks)} of {before} are additional, {before - len(picks)} are in {options.subtract}\n"
        )
    named, more = targets.name(picks, module)
    details = {"format": kind, "integers": options.integers, "box_size": options.boxsize, **more}
    if options.output is None:
        sys.stdout.write(to_text(picks, integers=options.integers))
    elif _is_folder(options.output):  # whose files are named after the names that the picks have
        paths = write_per_micrograph(options.output, picks, suffix=options.suffix, **details)
        sys.stderr.write(f"# wrote {len(picks)} particles to {len(paths)} files in {options.output}\n")
    else:
        write_picks(options.output, named, **details)
        sys.stderr.write(f"# wrote {len(picks)} particles to {options.output}\n")
    return 0


def _is_folder(output: str | None) -> bool:
    return output is not None and (output.endswith("/") or Path(output).is_dir())


def _kind(options: argparse.Namespace) -> str:
    """Return the name of the format to write; 'auto': it is that of the output's extension."""
    from heliodor.errors import SettingsError

    kind: str = options.to
    if options.output is None:
        if kind not in ("auto", "txt", "coord"):
            raise SettingsError(f"--to {kind} needs a file; give it with -o")
        return "txt"
    if kind == "auto" and _is_folder(options.output):
        return "box" if options.boxsize else "star"
    return kind


def _refuse_useless(options: argparse.Namespace, module: ModuleType) -> None:
    """Refuse options that would do nothing to what is written."""
    from heliodor.cli.options import refuse_useless
    from heliodor.formats import cs, star

    folder = _is_folder(options.output)
    where = next((name for name in ("micrographs", "imagedir") if getattr(options, name) is not None), None)
    heights = options.invert_y and options.height is None
    paths = module is cs or (module is star and not folder)
    useless = {
        "--suffix is for the files of a folder; end -o in /": options.suffix and not folder,
        "--height is for --invert-y; give that": options.height is not None and not options.invert_y,
        "--image-ext is for --imagedir; give that": options.image_ext != _EXTENSION and options.imagedir is None,
        f"--{where} is for heights (--invert-y without --height), and for what cs, or star in one file, name "
        "micrographs by; ask for one of these": where and not heights and not paths,
    }
    refuse_useless(options, module, useless)


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
