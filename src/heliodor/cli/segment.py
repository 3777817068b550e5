"""Write score maps: the log-odds of a particle at every pixel."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from heliodor.cli.options import add_junk_arguments, add_scoring_arguments

    parser.add_argument("micrographs", nargs="+", help="preprocessed micrographs, folders or lists")
    parser.add_argument(
        "-m", "--model", required=True, help="model.safetensors, Topaz's .sav, or resnet16 and the like of topaz-em"
    )
    parser.add_argument("-o", "--output", required=True, help="folder for NAME.tiff (or .mrc)")
    parser.add_argument("--raw", action="store_true", help="full-size micrographs: preprocess as the model's own")
    parser.add_argument("--any-pixel-size", action="store_true", help="do not compare pixel sizes with the model's")
    parser.add_argument("--format", choices=("tiff", "mrc"), default="tiff", help="of the maps, float32")
    parser.add_argument("--tile", type=int, default=None, help="side of the pieces, in pixels; bounds the memory")
    add_junk_arguments(parser)
    add_scoring_arguments(parser)
    parser.add_argument(
        "-t", "--num-workers", type=int, default=1, help="threads that read ahead, -1: one per processor"
    )


def goes_on(_options: argparse.Namespace) -> bool:
    """Say whether what an interrupted call left is gone on with."""
    return True


def run(options: argparse.Namespace) -> int:
    """Score; return 0, or 1 where some micrographs were skipped."""
    from heliodor.cli.console import console_reporter
    from heliodor.cli.options import inspector_of_options, model_hash, scorers_of_options
    from heliodor.errors import MicrographError
    from heliodor.files import make_directory
    from heliodor.find import find_micrographs
    from heliodor.micrographs import Micrograph, write_micrograph
    from heliodor.picking.detect import MASKED
    from heliodor.picking.journal import Journal
    from heliodor.picking.load import Loader
    from heliodor.picking.stream import stream_scores
    from heliodor.picks import Picks

    scorers, about = scorers_of_options(options)
    load = Loader.of_model(about, raw=options.raw, any_pixel_size=options.any_pixel_size, invert=options.invert)
    inspect = inspector_of_options(options, about)
    micrographs = find_micrographs(options.micrographs)
    folder = make_directory(options.output)
    reporter = console_reporter()
    failed = 0
    paths = {file.name: Path(folder) / f"{file.name}.{options.format}" for file in micrographs}
    deciding = {
        "model": model_hash(options.model),
        "exact": options.exact,
        "settings": [asdict(load), inspect and asdict(inspect)],
    }
    with Journal(folder / "score maps", deciding, micrographs) as journal:
        todo = [file for file in micrographs if not (file.name in journal.done and paths[file.name].is_file())]
        if len(todo) < len(micrographs):
            reporter.note(f"{len(micrographs) - len(todo)} micrographs are done already")
        scored = stream_scores(todo, load, scorers, options.num_workers, tile=options.tile)
        for file, result in reporter.track(scored, len(todo), "scoring"):
            if isinstance(result, MicrographError):
                reporter.warn(f"skipped: {result}")
                failed += 1
                continue
            if inspect:
                result.scores[inspect.junk(result.micrograph)] = MASKED
            write_micrograph(paths[file.name], Micrograph(result.scores, result.micrograph.pixel_size, file.name))
            journal.add(file.name, Picks.on(file.name, []))
    if failed == len(micrographs):
        raise MicrographError("no micrograph could be scored; see the warnings above")
    sys.stderr.write(f"# {len(micrographs) - failed} of {len(micrographs)} score maps are in {folder}\n")
    return 1 if failed else 0
