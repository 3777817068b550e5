"""Set labelled micrographs aside for a test."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from heliodor.cli.topaz.arguments import LOG, images, integer
from heliodor.cli.topaz.convert import FORMATS, read

if TYPE_CHECKING:
    from heliodor.names import MicrographFile
    from heliodor.picks import Picks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", help="labels")
    parser.add_argument("--image-dir", required=True, help="folder of the micrographs")
    parser.add_argument("--image-ext", default="*", help="extension of the micrographs; default: any")
    parser.add_argument("--format", choices=("auto", *FORMATS), default="auto", help="of the labels")
    parser.add_argument("-n", "--number", type=integer, required=True, help="micrographs to set aside")
    parser.add_argument("--seed", type=integer, default=0, help="same seed, same split")


def run(options: argparse.Namespace) -> int:
    """Split, and write labels and lists of both parts beside the labels."""
    from heliodor.training.check import resolve_labels
    from heliodor.training.splits import hold_out

    extension = "" if options.image_ext in ("*", ".*", "") else "." + options.image_ext.lstrip("*.")
    labels = read([options.file], options.format)
    known, labeled = resolve_labels(labels, images([options.image_dir], extension))
    unknown = len(labels.micrographs()) - len(labeled)
    if unknown:
        LOG.warn(f"{unknown} micrographs with labels are not in {options.image_dir}: their labels are left out")
    training, test = hold_out(labeled, options.number, options.seed)
    LOG.note(
        f"splitting {len(labeled)} micrographs with {len(known)} labeled particles into {len(training)} train and "
        f"{len(test)} test micrographs"
    )
    folder, base = Path(options.file).parent, Path(options.file).stem
    for part, files in (("train", training), ("test", test)):
        _write(folder / f"{base}_{part}.txt", folder / f"image_list_{part}.txt", known, files)
    return 0


def _write(particles: Path, listing: Path, labels: Picks, files: list[MicrographFile]) -> None:
    from heliodor.files import write_text
    from heliodor.formats.txt import to_text
    from heliodor.picks import Picks

    LOG.note(f"writing: {particles}")
    write_text(particles, to_text(Picks.join(labels.of(file.name) for file in files), integers=True))
    LOG.note(f"writing: {listing}")
    rows = [f"{file.name}\t{file.path.resolve()}" for file in files]
    write_text(listing, "\n".join(["image_name\tpath", *rows]) + "\n")
