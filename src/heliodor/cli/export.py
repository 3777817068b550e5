"""Write a network to a file that topaz-em loads."""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", help="model.safetensors, Topaz's .sav, or resnet16 and the like of topaz-em")
    parser.add_argument("-o", "--output", required=True, help="file, ending in .sav")
    parser.add_argument("--topaz", choices=("0.3", "0.2"), default="0.3", help="version that shall load it")


def run(options: argparse.Namespace) -> int:
    """Export, and say what Topaz is not told by the file."""
    from heliodor.networks import export_topaz, load_network
    from heliodor.picking.load import inverted_of, normalization_of, whitening_of

    network, about = load_network(options.model)
    export_topaz(options.output, network, options.topaz)
    sys.stderr.write(f"# {options.output}: {network.settings.model} with {network.settings.units} units\n")
    geometry = about.get("geometry", {})
    pixel_size = geometry["pixel_size"] * geometry["factor"] if geometry else about.get("pixel_size")
    if pixel_size:
        made = f"made by heliodor preprocess --normalization {normalization_of(about)}"
        if inverted_of(about):
            made += ", and inverted: it knows dark particles"
        if whitening_of(about):
            made += ", and whitened, which preprocess does not do: export the network of a run with --no-whiten instead"
        sys.stderr.write(f"# give it micrographs of {pixel_size:.4g} A per pixel, {made}\n")
    if about.get("threshold") is not None:
        sys.stderr.write(f"# its threshold: topaz extract -t {about['threshold']:.4g}\n")
    return 0
