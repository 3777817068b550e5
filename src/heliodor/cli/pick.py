"""Train on the micrographs that have labels, then pick every micrograph given."""

from __future__ import annotations

import argparse
import itertools
import sys

from heliodor.cli.options import add_exact_argument

_SHOWN = 20  # micrographs with something wrong that the last lines name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "micrographs", nargs="+", metavar="MICROGRAPH",
        help="image, glob in quotes, folder, or text/STAR file that lists images; @FILE: arguments, one per line",
    )  # fmt: skip
    parser.add_argument(
        "--labels",
        default=None,
        help="labelled particles: .txt .star .box .csv, or a folder of them; without, the pretrained network picks",
    )
    parser.add_argument("--negatives", default=None, help="labelled non-particles, in the same formats")
    parser.add_argument(
        "--audit",
        default=None,
        metavar="FILE",
        help="answers about picks of this run (NAME-audit.tsv of heliodor label): the threshold follows from them",
    )
    parser.add_argument("--diameter", type=float, required=True, help="particle's long axis, in angstrom")
    parser.add_argument("-o", "--output", required=True, help="folder for the results")
    parser.add_argument("--angpix", type=float, default=None, help="angstrom per pixel, where headers are wrong")
    parser.add_argument("--overwrite", action="store_true", help="start afresh in a folder with another run")

    parser.add_argument(
        "--invert",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="particles are light in the micrographs (default: where the pretrained network sees that they are)",
    )
    parser.add_argument(
        "--whiten",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="even out noise that is not as white as the pretrained network knows it (default: where it finds more so)",
    )
    parser.add_argument(
        "--junk-mask",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="no picks on gold and lumps of ice: what is far darker than the labelled particles (default: on)",
    )
    parser.add_argument(
        "--margin", type=float, default=0.0, metavar="ANGSTROM", help="no picks so near to the border (default: 0)"
    )

    derived = parser.add_argument_group("derived from the data, or set by hand")
    derived.add_argument("--factor", type=float, default=None, help="downsampling factor")
    derived.add_argument("--label-radius", type=float, default=None, help="in downsampled pixels")
    derived.add_argument("--exclusion-radius", type=float, default=None, help="in downsampled pixels")
    derived.add_argument("--pi", type=float, default=None, help="fraction of positives among unlabelled pixels")
    derived.add_argument("--expected-particles", type=float, default=None, help="particles per micrograph")

    method = parser.add_argument_group("method")
    method.add_argument(
        "--start",
        default=None,
        metavar="MODEL",
        help="start from this network, in place of the one that comes with heliodor: model.safetensors of another run, "
        "Topaz's .sav, or resnet8 and the like of topaz-em; without --labels it picks as it is",
    )
    method.add_argument(
        "--model",
        default=None,
        help="conv31, conv63, conv127, resnet8, resnet16 (default: that of --start, or conv31)",
    )
    method.add_argument(
        "--units", type=int, default=None, help="channels of the first layer (default: those of --start, or 32)"
    )
    method.add_argument(
        "--pretrained",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="start from the weights that come with heliodor, where the network is one of theirs (default: on)",
    )
    method.add_argument(
        "--dropout",
        type=float,
        default=None,
        help="probability (default: 0; without pretrained weights and below 50 labels 0.3)",
    )
    method.add_argument(
        "--method",
        default=None,
        help="GE-binomial, GE-KL, PU or PN (default: GE-binomial; where training starts from a network and has 50 "
        "labels or more, PU, without --slack and --negatives)",
    )
    method.add_argument(
        "--normalization",
        choices=("flat", "gmm", "affine"),
        default=None,
        help="without background, by a mixture of Gaussians, or by mean and sd (default: as the network that training "
        "starts from has seen micrographs, else flat)",
    )
    method.add_argument(
        "--slack",
        type=float,
        default=-1.0,
        help="weight of the penalty; -1: 10 (GE-KL), 1 (GE-binomial; without pretrained weights 0.1)",
    )
    method.add_argument("--autoencoder", type=float, default=0.0, help="weight of the reconstruction error")
    method.add_argument("--l2", type=float, default=0.0, help="weight of the squared weights")
    method.add_argument("--epochs", type=int, default=10, help="number of epochs")
    method.add_argument(
        "--epoch-size",
        type=int,
        default=None,
        help="minibatches per epoch (default: 40, without pretrained weights 100)",
    )
    method.add_argument("--held-out", type=float, default=0.1, help="fraction of labelled micrographs to validate on")
    method.add_argument("--threshold", type=float, default=None, help="lowest score (log-odds) of a pick")
    method.add_argument(
        "--precision",
        type=float,
        default=None,
        help="cut where this share of the picks should be particles, such as 0.9; none has a probability below 0.2",
    )
    method.add_argument("--seed", type=int, default=0, help="same seed, same result")

    machine = parser.add_argument_group("machine")
    machine.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, or a number as in Topaz")
    machine.add_argument(
        "--threads", type=int, default=0, help="processor threads of the network; 0: those that are idle"
    )
    add_exact_argument(machine)
    machine.add_argument(
        "--workers", type=int, default=1, help="threads that read and preprocess ahead, -1: one per processor"
    )


def goes_on(_options: argparse.Namespace) -> bool:
    """Say whether what an interrupted call left is gone on with."""
    return True


def run(options: argparse.Namespace) -> int:
    """Run the main job; return 0, or 1 where some micrographs were skipped."""
    import dataclasses

    from heliodor.cli.console import console_reporter
    from heliodor.cli.options import set_threads
    from heliodor.errors import SettingsError
    from heliodor.find import find_micrographs
    from heliodor.formats import read_picks
    from heliodor.picking.answers import read_answers
    from heliodor.picking.pick import pick
    from heliodor.picking.settings import PickSettings

    for name in ("labels", "negatives", "audit"):
        if getattr(options, name) == "":
            raise SettingsError(f"--{name} is empty; name a file or a folder, or leave it out")
    set_threads(options.threads)
    values = {**vars(options), "pixel_size": options.angpix}
    names = [f.name for f in dataclasses.fields(PickSettings)]
    result = pick(
        find_micrographs(options.micrographs),
        None if options.labels is None else read_picks(options.labels),
        PickSettings(**{name: values[name] for name in names}),
        options.output,
        negatives=None if options.negatives is None else read_picks(options.negatives),
        answers=None if options.audit is None else read_answers(options.audit),
        device=options.device,
        workers=options.workers,
        overwrite=options.overwrite,
        reporter=console_reporter(),
    )
    micrographs = len(result.picks.micrographs())
    sys.stdout.write(
        f"{len(result.picks)} picks on {micrographs} micrographs in {result.seconds['total']:.0f} s: "
        f"{options.output}/picks.star\n"
    )
    for name, reasons in itertools.islice(result.flags.items(), _SHOWN):
        sys.stdout.write(f"look at {name}: {'; '.join(reasons)}\n")
    if len(result.flags) > _SHOWN:
        sys.stdout.write(f"and {len(result.flags) - _SHOWN} more, see {options.output}/run.json\n")
    if result.failed:
        sys.stdout.write(f"{len(result.failed)} micrographs were skipped, see {options.output}/run.json\n")
    return 1 if result.failed else 0
