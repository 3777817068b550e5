"""Find particles: score micrographs (or take score maps) and keep the best that do not overlap."""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor.cli.topaz.arguments import (
    LOG,
    add_machine,
    images,
    integer,
    paths_or_stdin,
    workers_of,
)
from heliodor.cli.topaz.convert import FORMATS, fitting, format_of, layout, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from heliodor.names import MicrographFile
    from heliodor.picks import Picks

    Scored = Iterator[tuple[MicrographFile, NDArray[np.float32]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("paths", nargs="*", help="preprocessed micrographs, folders, globs or lists; default: stdin")
    parser.add_argument("--input", default=None, metavar="LIST", help="file that lists micrographs")
    parser.add_argument("-m", "--model", default="resnet16", help="model file, one of Topaz's by name, or 'none': "
                        "the inputs are score maps")  # fmt: skip
    parser.add_argument(
        "-r", "--radius", type=float, default=None, help="smallest distance of centres, in their pixels"
    )
    parser.add_argument("-t", "--threshold", type=float, default=-6, help="keep scores (log-odds) above it")
    parser.add_argument("-s", "--down-scale", type=float, default=1, help="divide coordinates by this")
    parser.add_argument("-x", "--up-scale", type=float, default=1, help="multiply coordinates by this")
    search = parser.add_argument_group("search for the radius that suits labels best")
    search.add_argument("--targets", default=None, help="labels, in pixels of the inputs")
    search.add_argument("--assignment-radius", type=float, default=None, help="how far a pick may be off; <0: radius")
    search.add_argument("--min-radius", type=integer, default=5, help="first radius to try")
    search.add_argument("--max-radius", type=integer, default=100, help="last radius to try")
    search.add_argument("--step-radius", type=integer, default=5, help="step from one to the next")
    search.add_argument("--only-validate", action="store_true", help="write no particles")
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", default=None, help="file; with --per-micrograph a folder")
    output.add_argument("--per-micrograph", action="store_true", help="one file for each, beside it unless -o is given")
    output.add_argument("--suffix", default="", help="put behind the names of per-micrograph files")
    output.add_argument("--format", choices=tuple(FORMATS), default="coord", help="of per-micrograph files")
    output.add_argument("-v", "--verbose", action="store_true", help="say each micrograph that is done")
    filaments = parser.add_argument_group("filaments, as in RELION's topaz")
    filaments.add_argument("-f", "--filaments", action="store_true", help="write starts and ends of straight pieces")
    filaments.add_argument("-fl", "--filaments_length", "--filaments-length", type=float, default=None,
                           help="shortest piece, in pixels; default 2 radii")  # fmt: skip
    filaments.add_argument("-fp", "--filaments_plot", "--filaments-plot", action="store_true",
                           help="draw them to NAME_filaments.png in the output's folder")  # fmt: skip
    parser.add_argument("--batch-size", type=integer, default=1, help="no effect: one micrograph at a time")
    parser.add_argument("-p", "--patch-size", type=integer, default=0, help="side of the pieces scored at a time")
    parser.add_argument("--dims", type=integer, choices=(2, 3), default=2, help="3 (tomograms) is not provided")
    add_machine(parser)


def run(options: argparse.Namespace) -> int:
    """Extract; return 0, or 1 where some micrographs were skipped."""
    from heliodor.cli.topaz.scoring import score_files
    from heliodor.errors import MicrographError

    files = _files(options)
    targets = None if options.targets is None else _targets(files, options.targets)
    labeled = set(targets.micrographs()) if targets is not None else set[str]()
    files = [file for file in files if file.name in labeled or not options.only_validate]
    LOG.note("Beginning extraction")
    maps = score_files(
        sorted(files, key=lambda file: file.name not in labeled),  # first those that the radius is sought on
        options.model,
        options.device,
        options.patch_size,
        max(1, workers_of(options.num_workers)),
        options.num_threads,
    )
    radius, scored = options.radius, maps
    if targets is not None:
        known, others = _until(maps, labeled)
        radius = _search(known, targets, options)
        if options.only_validate:
            return 0 if len(known) == len(files) else 1
        scored = itertools.chain(known, others)
    try:
        parts = [(file, _particles(file, scores, radius, options)) for file, scores in scored]
        place = {file.name: k for k, file in enumerate(files)}
        parts.sort(key=lambda part: place[part[0].name])
    except MicrographError:  # none can be used; RELION gives up a whole job where one micrograph has no output
        _write([], radius, options)
        raise
    _write(parts, radius, options)
    LOG.note("Extraction complete")
    return 0 if len(parts) == len(files) else 1


def _until(maps: Scored, labeled: set[str]) -> tuple[list[tuple[MicrographFile, NDArray[np.float32]]], Scored]:
    """Take the maps of labelled micrographs, which come first; the others are scored when they are asked for."""
    known: list[tuple[MicrographFile, NDArray[np.float32]]] = []
    for file, scores in maps:
        if file.name not in labeled:
            return known, itertools.chain([(file, scores)], maps)
        known.append((file, scores))
    return known, iter(())


def _files(options: argparse.Namespace) -> list[MicrographFile]:
    """Check what can be checked before any work, and find the micrographs."""
    from heliodor.errors import MicrographError, SettingsError
    from heliodor.files import check_output

    if options.dims == 3:
        raise SettingsError("--dims 3: picking in tomograms is not provided; give micrographs")
    if options.radius is None and options.targets is None:
        raise SettingsError("give the radius with -r, or --targets to search for it")
    if (options.radius or 0) < 0 or options.patch_size < 0:
        raise SettingsError("--radius and --patch-size are pixels, 0 or more")
    if options.only_validate and options.targets is None:
        raise SettingsError("--only-validate compares with labels; give them with --targets")
    if not (options.up_scale > 0 and options.down_scale > 0):
        raise SettingsError("--up-scale and --down-scale must be positive")
    paths = [*options.paths, *([options.input] if options.input else [])]
    if options.output is not None:
        check_output(options.output if not options.per_micrograph else str(Path(options.output) / "NAME"))
    inputs = paths_or_stdin(paths)
    if not inputs:
        raise MicrographError("no micrograph is given; name some, or send their paths to standard input")
    return images(inputs)


def _targets(files: list[MicrographFile], path: str) -> Picks:
    """Read labels, named as the micrographs are."""
    from heliodor.names import match_names, note_on_names

    labels = read([path])
    names = match_names(labels.micrographs(), files)
    if note := note_on_names(names):
        LOG.note(note)
    return labels.renamed(names)


def _search(
    maps: list[tuple[MicrographFile, NDArray[np.float32]]], labels: Picks, options: argparse.Namespace
) -> float:
    """Find the radius of the best average precision, and say on standard output how good it is."""
    from heliodor.picking.radius import best_radius

    given = options.assignment_radius
    radii = (
        [options.radius]
        if options.radius is not None
        else range(options.min_radius, options.max_radius + 1, max(1, options.step_radius))
    )
    fit = best_radius(
        {file.name: scores for file, scores in maps},
        {name: part.xy for name, part in labels.by_micrograph()},
        radii,
        threshold=options.threshold,
        match_radius=given if given is not None and given >= 0 else None,
    )
    sys.stdout.write(
        f"# radius={fit.radius:g}, auprc={fit.average_precision}, rmse={fit.rmse}, recall={fit.recall}, "
        f"targets={fit.labels}\n"
    )
    return fit.radius


def _particles(file: MicrographFile, scores: NDArray[np.float32], radius: float, options: argparse.Namespace) -> Picks:
    """Centres, or ends of filaments, of one micrograph, in pixels of the output."""
    from heliodor.picking.suppression import non_maximum_suppression
    from heliodor.picks import Picks

    if options.filaments:
        from heliodor.picking.filaments import trace_filaments

        pieces = trace_filaments(scores, options.threshold, radius, options.filaments_length)
        if options.filaments_plot:
            folder = Path(options.output or "out").parent
            _plot(folder / f"{Path(file.name).name}_filaments.png", scores, pieces)
        found = Picks.on(file.name, pieces.reshape(-1, 2), [0.0] * (2 * len(pieces)))
    else:
        found = Picks.on(file.name, *non_maximum_suppression(scores, radius, options.threshold))
    if options.verbose:
        LOG.note(f"{file.name}: {len(found)} coordinates")
    return found.scaled(options.up_scale / options.down_scale).rounded()


def _plot(path: Path, scores: NDArray[np.float32], pieces: NDArray[np.float64]) -> None:
    from matplotlib.figure import Figure

    from heliodor.files import atomic_path

    figure = Figure(figsize=(8, 8 * scores.shape[0] / scores.shape[1]))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(scores, cmap="gray")
    for (x0, y0), (x1, y1) in pieces.tolist():
        axes.plot([x0, x1], [y0, y1], color="red", linewidth=1)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _write(parts: list[tuple[MicrographFile, Picks]], radius: float, options: argparse.Namespace) -> None:
    from heliodor.formats import write_picks
    from heliodor.formats.txt import to_text
    from heliodor.picks import Picks

    if options.per_micrograph:
        for file, picks in parts:
            folder = file.path.parent if options.output is None else Path(options.output)
            path = folder / f"{file.name if options.output else file.path.stem}{options.suffix}.{options.format}"
            kind = format_of(options.format)
            write_picks(path, fitting(kind, picks), format=kind, **layout(kind, _details(file, radius, options)))
        return
    text = to_text(Picks.join(picks for _, picks in parts), integers=True)
    if options.output is None:
        sys.stdout.write(text)
    else:
        from heliodor.files import write_text

        write_text(options.output, text)


def _details(file: MicrographFile, radius: float, options: argparse.Namespace) -> dict[str, Any]:
    """Return what formats want to know: boxes have the width of the exclusion radius."""
    side = 2 * radius * options.up_scale / options.down_scale
    return {"box_size": max(1, math.ceil(side)), "image_ext": file.path.suffix}
