"""Cut particles out of micrographs into a stack, with a STAR file that describes it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from heliodor.cli.topaz.arguments import LOG, images, integer
from heliodor.cli.topaz.convert import read

if TYPE_CHECKING:
    from heliodor.names import MicrographFile
    from heliodor.picks import Picks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", help="coordinate file")
    parser.add_argument("--image-root", default=".", help="folder of the micrographs")
    parser.add_argument("-o", "--output", required=True, help="stack to write, .mrcs; beside it comes a .star")
    parser.add_argument("--size", type=integer, required=True, help="side of the windows, in pixels")
    parser.add_argument("--resize", type=integer, default=-1, help="downsample the windows to this side")
    parser.add_argument("--threshold", type=float, default=float("-inf"), help="keep scores at or above it")
    parser.add_argument("--image-ext", default=".mrc", help="extension of the micrographs")
    parser.add_argument("--metadata", default=None, help="STAR file with a row per micrograph, such as CTF")


def run(options: argparse.Namespace) -> int:
    """Cut, and write the stack and its STAR file."""
    from heliodor.files import write_text
    from heliodor.formats.star import table_text
    from heliodor.particles import write_stack
    from heliodor.training.check import resolve_labels

    picks = read([options.file]).at_least(options.threshold)
    named, files = resolve_labels(picks, images([options.image_root], options.image_ext))
    stack = Path(options.output)
    resize = options.resize if options.resize > 0 else None
    kept = write_stack(stack, files, named, options.size, resize=resize, reporter=LOG)
    write_text(stack.with_suffix(".star"), table_text(_table(kept, files, stack, options.metadata)))
    LOG.note(
        f"wrote {len(kept)} of {len(picks)} particles to {stack}; the others are too near to an edge, or elsewhere"
    )
    return 0


def _table(kept: Picks, files: list[MicrographFile], stack: Path, metadata: str | None) -> dict[str, list[str]]:
    """Columns of the STAR file: RELION's names of each particle, and what is known of its micrograph."""
    from heliodor.formats.star import NAME, SCORES, X, Y

    paths = {file.name: file.path.name for file in files}
    table = {
        "_rlnImageName": [f"{number:06d}@{stack.name}" for number in range(1, len(kept) + 1)],
        NAME: [paths[name] for name in kept.names],
        X: [f"{x:.0f}" for x in kept.xy[:, 0]],
        Y: [f"{y:.0f}" for y in kept.xy[:, 1]],
        SCORES[0]: [f"{score:.6f}" for score in kept.scores],
    }
    if kept.has_scores is False:
        del table[SCORES[0]]
    if metadata is None:
        return table
    for tag, values in _metadata(Path(metadata)).items():
        table.setdefault(tag, [values.get(name, "0") for name in kept.names])
    return table


def _metadata(path: Path) -> dict[str, dict[str, str]]:
    """Values of each column by micrograph."""
    from heliodor.formats.star import NAME, read_table
    from heliodor.names import stem

    table = read_table(path, [NAME])
    names = [stem(Path(name).name) for name in table.pop(NAME)]
    return {tag: dict(zip(names, column, strict=True)) for tag, column in table.items()}
