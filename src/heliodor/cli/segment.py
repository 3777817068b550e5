"""Write score maps: the log-odds of a particle at every pixel."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("micrographs", nargs="+", help="preprocessed micrographs, folders or lists")
    parser.add_argument(
        "-m", "--model", required=True, help="model.safetensors, Topaz's .sav, or resnet16 and the like of topaz-em"
    )
    parser.add_argument("-o", "--output", required=True, help="folder for NAME.tiff (or .mrc)")
    parser.add_argument("--raw", action="store_true", help="full-size micrographs: preprocess as the model's own")
    parser.add_argument("--any-pixel-size", action="store_true", help="do not compare pixel sizes with the model's")
    parser.add_argument("--format", choices=("tiff", "mrc"), default="tiff", help="of the maps, float32")
    parser.add_argument("--tile", type=int, default=512, help="side of the pieces; bounds the memory")
    parser.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda, or a number; negative: cpu")
    parser.add_argument("-j", "--num-threads", type=int, default=0, help="processor threads; 0: those that are idle")
    parser.add_argument("-t", "--num-workers", type=int, default=1, help="threads that read ahead")


def run(options: argparse.Namespace) -> int:
    """Score; return 0, or 1 where some micrographs were skipped."""
    from heliodor.cli.console import console_reporter
    from heliodor.cli.options import set_threads
    from heliodor.devices import device_of
    from heliodor.errors import MicrographError
    from heliodor.files import make_directory
    from heliodor.find import find_micrographs
    from heliodor.micrographs import Micrograph, write_micrograph
    from heliodor.networks import load_network
    from heliodor.picking.load import Loader
    from heliodor.picking.scoring import score_map
    from heliodor.picking.stream import stream

    set_threads(options.num_threads)
    network, about = load_network(options.model)
    network = network.to(device_of(options.device))
    load = Loader.of_model(about, raw=options.raw, any_pixel_size=options.any_pixel_size)
    micrographs = find_micrographs(options.micrographs)
    folder = make_directory(options.output)
    reporter = console_reporter()
    loaded = stream(micrographs, load, options.num_workers)
    failed = 0
    for file, result in reporter.track(loaded, len(micrographs), "scoring"):
        if isinstance(result, MicrographError):
            reporter.warn(f"skipped: {result}")
            failed += 1
            continue
        small, _ = result
        scores = score_map(network, small.pixels, tile=options.tile)
        write_micrograph(
            Path(folder) / f"{file.name}.{options.format}", Micrograph(scores, small.pixel_size, file.name)
        )
    if failed == len(micrographs):
        raise MicrographError("no micrograph could be scored; see the warnings above")
    sys.stderr.write(f"# {len(micrographs) - failed} of {len(micrographs)} score maps are in {folder}\n")
    return 1 if failed else 0
