"""Older commands, each a part of `topaz convert`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from heliodor.cli.topaz.arguments import LOG, integer
from heliodor.cli.topaz.convert import add_metadata, emit, inverted, metadata_of, read, write

if TYPE_CHECKING:
    from heliodor.picks import Picks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command that the parser is named after."""
    command = parser.prog.split()[-1]
    parser.set_defaults(command=command)
    parser.description = f"Deprecated: see `topaz convert`. {_COMMANDS[command].__doc__}"
    many = command in ("boxes_to_coordinates", "coordinates_to_boxes", "coordinates_to_eman2_json")
    parser.add_argument("files", nargs="+" if many else 1, help="coordinate files")
    if command == "scale_coordinates":
        parser.add_argument("-s", "--scale", type=float, default=0.25, help="multiply coordinates by this")
    if command == "star_particles_threshold":
        parser.add_argument("-t", "--threshold", type=float, default=float("-inf"), help="keep scores at or above it")
    if command in ("coordinates_to_boxes", "coordinates_to_eman2_json"):
        parser.add_argument("--destdir", required=True, help="folder for one file per micrograph")
    if command == "coordinates_to_boxes":
        parser.add_argument("--boxsize", type=integer, required=True, help="side of boxes, in pixels")
    if many:
        parser.add_argument("--invert-y", action="store_true", help="count y from the other edge")
        parser.add_argument("--imagedir", default=None, help="folder of the micrographs, which tell their heights")
        parser.add_argument("--image-ext", default="tiff", help="extension of the micrographs; *: any")
    if command in ("scale_coordinates", "boxes_to_coordinates", "star_to_coordinates", "star_particles_threshold"):
        parser.add_argument("-o", "--output", default=None, help="file; default: standard output")
    if command == "coordinates_to_star":
        parser.add_argument("--image-ext", default=".mrc", help="extension of the micrographs")
        add_metadata(
            parser, "voltage", "defocus_u", "defocus_v", "defocus_angle", "spherical_aberation",
            "amplitude_contrast", "detector_pixel_size", "magnification",
        )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run the command, and name its successor."""
    LOG.note(f"topaz {options.command} is deprecated: use topaz convert")
    _COMMANDS[options.command](options)
    return 0


def _upright(options: argparse.Namespace, source: str = "auto") -> Picks:
    picks = read(options.files, source)
    return inverted(picks, options.imagedir, options.image_ext) if options.invert_y else picks


def _scale(options: argparse.Namespace) -> None:
    """Multiply coordinates by a factor."""
    write(read(options.files).scaled(options.scale), options.output, "txt")


def _from_boxes(options: argparse.Namespace) -> None:
    """Turn EMAN boxes into Topaz's table."""
    write(_upright(options, "box"), options.output, "txt")


def _from_star(options: argparse.Namespace) -> None:
    """Turn a STAR file into Topaz's table."""
    write(read(options.files, "star"), options.output, "txt")


def _to_star(options: argparse.Namespace) -> None:
    """Turn Topaz's table into a STAR file, on standard output."""
    write(read(options.files), None, "star", image_ext=options.image_ext, constants=metadata_of(options))


def _to_boxes(options: argparse.Namespace) -> None:
    """Turn Topaz's table into EMAN boxes."""
    write(_upright(options), options.destdir + "/", "box", box_size=options.boxsize)


def _to_json(options: argparse.Namespace) -> None:
    """Turn Topaz's table into EMAN2's info files."""
    write(_upright(options), options.destdir + "/", "json")


def _threshold(options: argparse.Namespace) -> None:
    """Keep particles of a STAR file by score, its other columns too."""
    from heliodor.cli.topaz.star_table import convert_tables

    emit(convert_tables(options.files, threshold=options.threshold), options.output)


_COMMANDS = {
    "scale_coordinates": _scale,
    "boxes_to_coordinates": _from_boxes,
    "star_to_coordinates": _from_star,
    "coordinates_to_star": _to_star,
    "coordinates_to_boxes": _to_boxes,
    "coordinates_to_eman2_json": _to_json,
    "star_particles_threshold": _threshold,
}
