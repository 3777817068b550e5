"""Find particles: score micrographs (or take score maps) and keep the best that do not overlap."""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliodor.junk.inspect import Inspector
    from heliodor.names import MicrographFile
    from heliodor.networks.scorers import Scorer
    from heliodor.picking.cut import Cut
    from heliodor.picking.detect import Detector
    from heliodor.picking.journal import Journal
    from heliodor.picking.stream import Scored
    from heliodor.picks import Picks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options (Topaz's names)."""
    from heliodor.cli.options import TABLES, add_junk_arguments, add_scoring_arguments

    parser.add_argument("micrographs", nargs="+", help="preprocessed micrographs or score maps, folders or lists")
    parser.add_argument(
        "-m",
        "--model",
        default=None,
        help="model.safetensors, Topaz's .sav, or resnet16 and the like of topaz-em; 'none': the inputs are score "
        "maps; default: the network that comes with heliodor, for any particle",
    )
    parser.add_argument(
        "--diameter", type=float, default=None, help="in angstrom, for the network that comes with heliodor; without -m"
    )
    parser.add_argument(
        "--angpix", type=float, default=None, help="angstrom per pixel, where headers have none or a wrong one"
    )
    parser.add_argument("-r", "--radius", type=float, default=None, help="exclusion radius, in pixels of the inputs")
    parser.add_argument("-t", "--threshold", type=float, default=None, help="lowest score; default the model's, or -6")
    parser.add_argument("-x", "--up-scale", type=float, default=1.0, help="multiply coordinates by this")
    parser.add_argument("-s", "--down-scale", type=float, default=1.0, help="divide coordinates by this")
    parser.add_argument("--raw", action="store_true", help="full-size micrographs: preprocess as the model's own")
    parser.add_argument("--any-pixel-size", action="store_true", help="do not compare pixel sizes with the model's")
    parser.add_argument("-o", "--output", default=None, help="file, or folder with --per-micrograph; default stdout")
    parser.add_argument("--per-micrograph", action="store_true", help="one file for each micrograph")
    parser.add_argument("--suffix", default="", help="put behind the names of per-micrograph files")
    parser.add_argument(
        "--format",
        choices=(*TABLES, "coord"),
        default=None,
        help="coord: txt (default: by the extension of -o, else txt)",
    )
    parser.add_argument("--integers", action="store_true", help="round coordinates to whole pixels (txt)")
    add_junk_arguments(parser)
    parser.add_argument(
        "--margin",
        type=float,
        default=None,
        metavar="PIXELS",
        help="no picks so near to the border of the inputs; default: as the run of `pick` that made the model, or 0",
    )
    add_scoring_arguments(parser)
    parser.add_argument("--num-workers", type=int, default=1, help="threads that read ahead, -1: one per processor")


def goes_on(options: argparse.Namespace) -> bool:
    """Say whether what an interrupted call left is gone on with: where there is a place for a journal."""
    return options.output is not None


def run(options: argparse.Namespace) -> int:
    """Extract; return 0, or 1 where some micrographs were skipped."""
    from heliodor.cli.console import console_reporter
    from heliodor.cli.options import inspector_of_options
    from heliodor.errors import MicrographError
    from heliodor.find import find_micrographs
    from heliodor.picking.load import Loader
    from heliodor.picking.stream import stream_scores
    from heliodor.picks import Picks

    _check(options)
    micrographs = find_micrographs(options.micrographs)
    scorers, about = _model(options, micrographs)
    load = Loader.of_model(
        about,
        raw=options.raw,
        any_pixel_size=options.any_pixel_size,
        header_pixel_size=options.angpix,
        invert=options.invert,
    )
    cut, inspect = _cut(options, about), inspector_of_options(options, about)
    detector = _detector(options, about, cut)
    reporter = console_reporter()
    failed = 0
    deciding = [asdict(detector), asdict(load), inspect and asdict(inspect), cut and asdict(cut)]
    with _journal(options, deciding, micrographs) as journal:
        todo = [file for file in micrographs if file.name not in journal.done]
        if len(todo) < len(micrographs):
            reporter.note(f"{len(micrographs) - len(todo)} micrographs are done already")
        scored = stream_scores(todo, load, scorers, options.num_workers)
        for file, result in reporter.track(scored, len(todo), "extracting"):
            if isinstance(result, MicrographError):
                reporter.warn(f"skipped: {result}")
                failed += 1
            else:
                picks = _picks(file.name, result, detector, inspect, cut)
                journal.add(file.name, picks.scaled(result.scale))
        if failed == len(micrographs):
            raise MicrographError("no micrograph could be used; see the warnings above")
        done = {file.name: str(file.path) for file in micrographs if file.name in journal.done}
        found = Picks.join([journal.done[name] for name in done])
        _write(found.scaled(options.up_scale / options.down_scale), done, options)
    return 1 if failed else 0


def _picks(name: str, seen: Scored, detector: Detector, inspect: Inspector | None, cut: Cut | None) -> Picks:
    """Return the picks of one micrograph, in its downsampled pixels."""
    from heliodor.picks import Picks

    junk = inspect.junk(seen.micrograph) if inspect else None
    found = Picks.on(name, *detector.maxima(seen.scores, junk))
    if cut is None:
        return found
    rated = cut.rate(found, detector.free(seen.scores.shape, junk))
    return rated.select(cut.keeps(rated))


def _journal(options: argparse.Namespace, settings: list[Any], micrographs: Sequence[MicrographFile]) -> Journal:
    """Return the journal beside the output; a run to stdout keeps none."""
    from heliodor.cli.options import model_hash
    from heliodor.picking.journal import Journal

    deciding = {"model": model_hash(options.model), "exact": options.exact, "settings": settings}
    return Journal(Path(options.output) if options.output else None, deciding, micrographs)


def _model(options: argparse.Namespace, micrographs: Sequence[MicrographFile]) -> tuple[list[Scorer], dict[str, Any]]:
    from heliodor.cli.options import scorers_of_options
    from heliodor.errors import SettingsError

    if options.model is not None and options.diameter is not None:
        raise SettingsError(
            "--diameter is for the network that comes with heliodor; -m names another; give one of them"
        )
    if options.model == "none":
        return [], {}
    if options.model is not None:
        return scorers_of_options(options)
    from heliodor.networks.pretrained import GENERAL
    from heliodor.picking.general_model import facts_for

    options.model = str(GENERAL)
    scorers, facts = scorers_of_options(options)
    return scorers, facts_for(facts, micrographs, options.diameter, options.angpix, raw=options.raw)


def _cut(options: argparse.Namespace, about: dict[str, Any]) -> Cut | None:
    """Return how `pick`, which made the model, rates and chooses detections; None for a model of another origin."""
    from heliodor.picking import density

    if density.KEY not in about:
        return None
    from heliodor.picking.cut import Cut

    if options.threshold is not None:
        return Cut.of_model({**about, "threshold": options.threshold}, given=True)
    return Cut.of_model(about, given=about.get("threshold_given", False))


def _detector(options: argparse.Namespace, about: dict[str, Any], cut: Cut | None) -> Detector:
    from heliodor.errors import SettingsError
    from heliodor.picking.detect import LOWEST_SCORE, Detector

    geometry = about.get("geometry", about)
    factor = geometry["factor"] if options.raw else 1.0  # pixels of the inputs for each of the scores
    radius = geometry.get("exclusion_radius") if options.radius is None else options.radius / factor
    if radius is None:
        what = "score maps do" if options.model == "none" else f"{options.model} does"
        raise SettingsError(f"{what} not say how far particles are apart; give -r, in pixels of the inputs")
    margin = 0.0 if options.margin is None else options.margin / factor
    if options.margin is None and "margin" in about:
        margin = about["margin"] / geometry["pixel_size"] / geometry["factor"]
    given = options.threshold
    if cut is None:
        threshold = about.get("threshold", LOWEST_SCORE) if given is None else given
    else:  # it chooses by itself, and what is probable depends on all detections that `pick` would keep
        threshold = LOWEST_SCORE if given is None else min(given, LOWEST_SCORE)
    trained = about.get("training") or {}
    refine_radius = geometry.get("label_radius", trained.get("label_radius", radius / 3))
    return Detector(radius, min(radius, refine_radius), threshold, margin)


def _check(options: argparse.Namespace) -> None:
    """Settle the format, and refuse scales and outputs that cannot be, before any work."""
    from heliodor.cli.options import table_format
    from heliodor.errors import SettingsError
    from heliodor.files import check_output

    if options.threshold is not None and math.isnan(options.threshold):
        raise SettingsError("--threshold must be a score. Got nan instead.")
    if not (options.up_scale > 0 and options.down_scale > 0):
        raise SettingsError("--up-scale and --down-scale must be positive")
    if options.per_micrograph and options.output is None:
        raise SettingsError("--per-micrograph needs a folder; give it with -o")
    if options.suffix and not options.per_micrograph:
        raise SettingsError("--suffix is for the files of --per-micrograph; give that, or leave it out")
    if options.format is None:
        one_file = options.output is not None and not options.per_micrograph
        options.format = (table_format(options.output) if one_file else None) or "txt"
    if options.format == "csv" and options.output is None:
        raise SettingsError("--format csv needs a file; give it with -o")
    if options.output is not None:
        check_output(Path(options.output) / "NAME" if options.per_micrograph else options.output)


def _write(picks: Picks, paths: dict[str, str], options: argparse.Namespace) -> None:
    """Write picks; `paths` are those of all micrographs that are done, which tables in .star name, as RELION's do."""
    from heliodor.formats import star, txt, write_per_micrograph, write_picks

    layout = {"format": options.format, "integers": options.integers}
    if options.per_micrograph:
        write_per_micrograph(options.output, picks, suffix=options.suffix, also=list(paths), **layout)
        return
    if options.format == "star":
        picks = picks.renamed(paths)
    if options.output is not None:
        write_picks(Path(options.output), picks, **layout)
    elif options.format == "star":
        sys.stdout.write(star.to_text(picks, with_names=True))
    else:
        sys.stdout.write(txt.to_text(picks, integers=options.integers))
