"""Convert, scale, threshold and join coordinate files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor.cli.topaz.arguments import LOG, integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliodor.picks import Picks

FORMATS = {"coord": "txt", "csv": "via", "star": "star", "box": "box", "json": "json"}
"""Topaz's names of formats, and heliodor's."""
_METADATA = {
    "voltage": "_rlnVoltage",
    "detector_pixel_size": "_rlnDetectorPixelSize",
    "magnification": "_rlnMagnification",
    "amplitude_contrast": "_rlnAmplitudeContrast",
    "defocus_u": "_rlnDefocusU",
    "defocus_v": "_rlnDefocusV",
    "defocus_angle": "_rlnDefocusAngle",
    "spherical_aberation": "_rlnSphericalAberration",
}


def format_of(name: str) -> str:
    """Return heliodor's name of a format of Topaz."""
    return FORMATS.get(name, name)


def reading_format(name: str) -> str:
    """Return heliodor's name of a format to read: any kind of csv."""
    return "csv" if name == "csv" else format_of(name)


def output_format(path: str, name: str = "auto") -> str:
    """Return heliodor's name of the format to write a file in; Topaz's csv is VIA's."""
    from heliodor.formats import FORMATS as modules
    from heliodor.formats import find_format

    if name == "auto" and path.lower().endswith(".csv"):
        return "via"
    module = find_format(Path(path), format_of(name))
    return next(own for own, known in modules.items() if known is module)


def add_metadata(parser: argparse.ArgumentParser, *names: str) -> None:
    """Declare options whose values go into every row of a STAR file."""
    for name in names:
        parser.add_argument("--" + name.replace("_", "-"), type=float, default=-1, help=f"{_METADATA[name]}; -1: none")


def metadata_of(options: argparse.Namespace) -> dict[str, float]:
    """Return the values that were given, by tag."""
    given = {tag: getattr(options, name, -1) for name, tag in _METADATA.items()}
    return {tag: value for tag, value in given.items() if value >= 0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", help="coordinate files; several are joined")
    parser.add_argument("-o", "--output", default=None, help="file; a folder (ending in /): one file per micrograph")
    parser.add_argument("--from", dest="source", choices=("auto", *FORMATS), default="auto", help="format of the files")
    parser.add_argument("--to", choices=("auto", *FORMATS), default="auto", help="format to write")
    parser.add_argument("--suffix", default="", help="put behind the names of per-micrograph files")
    parser.add_argument("-t", "--threshold", type=float, default=float("-inf"), help="keep scores at or above it")
    parser.add_argument("-s", "--down-scale", type=float, default=1, help="divide coordinates by this")
    parser.add_argument("-x", "--up-scale", type=float, default=1, help="multiply coordinates by this")
    add_metadata(parser, "voltage", "detector_pixel_size", "magnification", "amplitude_contrast")
    parser.add_argument("--invert-y", action="store_true", help="count y from the other edge; needs --imagedir")
    parser.add_argument("--imagedir", default=None, help="folder of the micrographs, which tell their heights")
    parser.add_argument("--image-ext", default=".mrc", help="extension of the micrographs")
    parser.add_argument("--boxsize", type=integer, default=0, help="side of boxes, in pixels of the output")
    parser.add_argument("-v", "--verbose", type=integer, nargs="?", const=1, default=0, help="say what is done")


def run(options: argparse.Namespace) -> int:
    """Convert."""
    from heliodor.errors import SettingsError

    if not options.down_scale > 0 or not options.up_scale > 0:
        raise SettingsError("--down-scale and --up-scale must be positive")
    if options.output is None and options.to in ("box", "json"):
        raise SettingsError(f"--to {options.to}: one file per micrograph; give a folder with -o, ending in /")
    kinds = {output_format(path, options.source) for path in options.files if not Path(path).is_dir()}
    to = _target(options, kinds)
    folders = any(map(_is_folder, [*options.files, options.output]))
    if kinds == {"star"} == {to} and not folders:
        _convert_star(options)
        return 0
    picks = read(options.files, options.source)
    if options.verbose:
        LOG.note(f"read {len(picks)} particles on {len(picks.micrographs())} micrographs")
    if options.invert_y:
        picks = inverted(picks, options.imagedir, options.image_ext)
    picks = picks.scaled(options.up_scale / options.down_scale).at_least(options.threshold)
    write(
        picks,
        options.output,
        to,
        suffix=options.suffix,
        box_size=options.boxsize,
        image_ext=options.image_ext,
        constants=metadata_of(options),
    )
    return 0


def _target(options: argparse.Namespace, kinds: set[str]) -> str:
    """Return the format to write: to standard output, unless it is said, that of the inputs."""
    if options.to != "auto":
        return format_of(options.to)
    if options.output is not None:
        return "auto" if _is_folder(options.output) else output_format(options.output)
    return next(iter(kinds)) if kinds in ({"star"}, {"via"}) else "txt"


def _is_folder(output: str | None) -> bool:
    return output is not None and (output.endswith("/") or Path(output).is_dir())


def _convert_star(options: argparse.Namespace) -> None:
    """Change STAR tables, and keep their other columns and their names."""
    from heliodor.cli.topaz.star_table import convert_tables

    def turn(picks: Picks) -> Picks:
        return inverted(picks, options.imagedir, options.image_ext)

    text = convert_tables(
        options.files,
        threshold=options.threshold,
        scale=options.up_scale / options.down_scale,
        turn=turn if options.invert_y else None,
        constants=metadata_of(options),
    )
    emit(text, options.output)


def emit(text: str, output: str | None) -> None:
    """Write text to a file, or to standard output where there is none."""
    from heliodor.files import write_text

    if output is None:
        sys.stdout.write(text)
    else:
        write_text(output, text)


def read(files: list[str], source: str = "auto") -> Picks:
    """Read and join coordinate files.

    Names lose their folders and extensions, as Topaz's do, where that is safe; tables lose what Topaz's do not have.
    """
    from heliodor.formats import read_picks
    from heliodor.picks import Picks

    picks = Picks.join(read_picks(path, format=reading_format(source)) for path in files)
    return picks.without_probabilities().renamed(short_names(picks.micrographs()))


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Name micrographs by file name without extension; those that share one, with as many folders as it takes."""
    from heliodor.names import stem, unique_names

    full = {name: stem(name) for name in names}
    paths = list(dict.fromkeys(full.values()))
    short = dict(zip(paths, unique_names([Path(path) for path in paths]), strict=True))
    return {name: short[path] for name, path in full.items()}


def inverted(picks: Picks, folder: str | None, extension: str) -> Picks:
    """Count y from the other edge, each micrograph by its own height."""
    from heliodor.errors import SettingsError
    from heliodor.formats.targets import Targets

    if folder is None:
        raise SettingsError("--invert-y needs the heights of the micrographs; give their folder with --imagedir")
    pattern = "*" if extension == "*" else f"*.{extension.lstrip('.')}"
    targets = Targets.of([str(Path(folder) / pattern)], picks)
    return picks.inverted({name: targets.rows(name) for name in picks.micrographs()})


def write(picks: Picks, output: str | None, to: str, **details: Any) -> None:
    """Write picks with whole coordinates, to standard output where there is no output."""
    from heliodor.formats import star, via, write_per_micrograph, write_picks
    from heliodor.formats.txt import to_text

    suffix = details.pop("suffix", "")
    whole = picks.rounded()
    if output is None and to == "star":
        named = picks.renamed({name: name + details["image_ext"] for name in picks.micrographs()})
        sys.stdout.write(star.topaz_text(named.rounded(), details.get("constants")))
    elif output is None and to == "via":
        sys.stdout.write(via.to_text(whole, integers=True, image_ext=".png"))
    elif output is None:
        sys.stdout.write(to_text(whole, integers=True))
    elif _is_folder(output):
        kind = to if to != "auto" else "box" if details.get("box_size") else "json"
        write_per_micrograph(output, fitting(kind, whole), format=kind, suffix=suffix, **layout(kind, details))
    else:
        kind = output_format(output, to)
        write_picks(output, fitting(kind, whole), format=kind, **layout(kind, details))


def fitting(kind: str, picks: Picks) -> Picks:
    """Return the picks as Topaz writes them in a format: its boxes have no scores, which scripts do not expect."""
    return picks.without_scores() if kind in ("box", "json") else picks


def layout(kind: str, details: dict[str, Any]) -> dict[str, Any]:
    """Return the details for Topaz's layout of a format; VIA's page shows PNG."""
    extension = {"image_ext": ".png"} if kind == "via" else {}
    return {"integers": True, "as_topaz": True, **details, **extension}
