"""Compare picks with labels: precision, recall, F1, average precision, error of position.

`evaluate PICKS LABELS -r R` prints a table; `evaluate --predicted FILE --targets FILE -r R` prints Topaz's curve.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor.errors import LabelError, SettingsError

if TYPE_CHECKING:
    from heliodor.evaluation import Curve, Evaluation
    from heliodor.picks import Picks

_RANKING = ("method", "threshold", "per_micrograph", "sweep", "output")
"""Options that only a comparison of ranked picks with labels can use."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("picks", nargs="?", help="coordinates with scores: .txt .star .box .csv, or a folder of "
                        "them, or of a run of heliodor pick")  # fmt: skip
    parser.add_argument("labels", nargs="?", help="coordinates to compare with, in the same pixels")
    parser.add_argument(
        "-r", "--match-radius", "--assignment-radius", type=float, required=True, metavar="R",
        help="farthest a pick may be off, in pixels",
    )  # fmt: skip
    parser.add_argument("--method", choices=("greedy", "optimal"), help="one-to-one matching: by score (default), or "
                        "most matches")  # fmt: skip
    parser.add_argument("-t", "--threshold", type=float, help="count picks at or above this score")
    parser.add_argument("--pixel-size", type=float, metavar="A", help="angstrom per pixel: RMSE in angstrom too")
    parser.add_argument("--per-micrograph", action="store_true", help="a row for each micrograph")
    parser.add_argument("--agreement", action="store_true", help="two label sets: how far they agree, no ranking")
    parser.add_argument("-o", "--output", metavar="JSON", help="write all the numbers to this file")
    parser.add_argument("--sweep", metavar="FILE", help="write threshold, precision, recall, F1 (TSV)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap over micrographs")
    topaz = parser.add_argument_group("Topaz's form")
    topaz.add_argument("--predicted", metavar="FILE", help="TSV of picks with scores")
    topaz.add_argument("--targets", metavar="FILE", help="TSV of labels")
    topaz.add_argument(
        "--images", choices=("target", "predicted", "union"), help="whose micrographs count (default: target)"
    )


def run(options: argparse.Namespace) -> int:
    """Print the comparison."""
    from heliodor.formats import read_picks

    if options.predicted or options.targets or options.images:
        return _run_topaz(options)
    if not (options.picks and options.labels):
        raise SettingsError("two files are needed: PICKS LABELS, or --predicted FILE --targets FILE")
    if options.pixel_size is not None and not options.pixel_size > 0:
        raise SettingsError(f"--pixel-size must be above 0. Got {options.pixel_size:g} instead.")
    picks, labels = _same_names(*_short_names(read_picks(options.picks), read_picks(options.labels)))
    return (_run_agreement if options.agreement else _run_ranking)(options, picks, labels)


def _run_agreement(options: argparse.Namespace, picks: Picks, labels: Picks) -> int:
    from heliodor.evaluation import agreement

    _refuse(options, _RANKING, "--agreement")
    found = agreement(picks, labels, options.match_radius)
    sys.stdout.write(
        f"{found.shared} pairs of {found.first} and {found.second}: F1 {found.f1:.3f}, "
        f"RMSE {_length(found.rmse, options.pixel_size)}\n"
    )
    for table, other, path in ((picks, labels, options.picks), (labels, picks, options.labels)):
        alone, which = _alone(table, other)
        if alone:
            sys.stdout.write(
                f"{alone} of {len(table)} centres of {path} are on micrographs that only that has, such as '{which}': "
                "they do not count\n"
            )
    return 0


def _run_ranking(options: argparse.Namespace, picks: Picks, labels: Picks) -> int:
    from heliodor.evaluation import evaluate

    method = options.method or "greedy"
    if options.sweep and picks.scoreless:
        raise SettingsError("--sweep: picks have no scores; leave it out")
    result = evaluate(
        picks, labels, options.match_radius, method=method, threshold=options.threshold, seed=options.seed
    )
    sys.stdout.write(_table(result, options.pixel_size, each=options.per_micrograph))
    if result.ignored_picks:
        ignored, which = _alone(picks, labels)
        sys.stdout.write(f"{ignored} picks on micrographs without labels, such as '{which}', are ignored\n")
    if options.output:
        settings = {"match_radius": options.match_radius, "pixel_size": options.pixel_size, "method": method}
        _write_json(options.output, settings, result)
    if options.sweep:
        _write_sweep(options.sweep, result.curve)
    return 0


def _run_topaz(options: argparse.Namespace) -> int:
    if not (options.predicted and options.targets):
        raise SettingsError("Topaz's form needs both --predicted FILE and --targets FILE")
    _refuse(options, ("picks", "labels", *_RANKING, "pixel_size", "agreement"), "--predicted")
    print_topaz_curve(options.predicted, options.targets, options.match_radius, options.images or "target")
    return 0


def print_topaz_curve(predicted: str, targets: str, match_radius: float, images: str) -> None:
    """Print the curve of `topaz precision_recall_curve`; see `heliodor.evaluation.topaz_curve`."""
    from heliodor.evaluation import topaz_curve
    from heliodor.formats import read_picks

    picks, labels = (read_picks(path, format="txt") for path in (predicted, targets))
    found = topaz_curve(picks, labels, match_radius, images)
    curve = found.curve
    lines = [f"# auprc={curve.average_precision}, mae={found.mae}", "threshold\tprecision\trecall\tf1"]
    columns = (curve.threshold, curve.precision, curve.recall, curve.f1)
    lines += ["\t".join(map(repr, row)) for row in zip(*(c.tolist() for c in columns), strict=True)]
    sys.stdout.write("\n".join(lines) + "\n")


def _refuse(options: argparse.Namespace, names: tuple[str, ...], form: str) -> None:
    """Refuse options that the chosen form would ignore."""
    given = [name for name in names if getattr(options, name) not in (None, False)]
    if given:
        word = given[0] if given[0] in ("picks", "labels") else "--" + given[0].replace("_", "-")
        raise SettingsError(f"{word} cannot be used with {form}; leave one of them out")


def _short_names(picks: Picks, labels: Picks) -> tuple[Picks, Picks]:
    """Name micrographs by file name without extension; with folders where two of a table share a file name."""
    from heliodor.names import stem

    tables = []
    for table in (picks, labels):
        names = {name: stem(name) for name in table.micrographs()}
        if len(set(names.values())) < len(names):
            twice = next(name for name in names if list(names.values()).count(names[name]) > 1)
            raise LabelError(
                f"the micrograph '{stem(twice)}' has two names in one table, with and without extension, or with two; "
                "use one of them"
            )
        tables.append(names)
    short = [{name: path.rsplit("/", 1)[-1] for name, path in names.items()} for names in tables]
    if all(len(set(names.values())) == len(names) for names in short):
        tables = short
    return picks.renamed(tables[0]), labels.renamed(tables[1])


def _same_names(picks: Picks, labels: Picks) -> tuple[Picks, Picks]:
    """Give labels the picks' names of their micrographs, where these are the same by their folders or plain names."""
    from heliodor.names import MicrographFile, match_names, note_on_names

    picked, labeled = picks.micrographs(), labels.micrographs()
    if set(picked) & set(labeled):
        return picks, labels
    names = match_names(labeled, [MicrographFile(Path(name), name) for name in picked], needed=False)
    if len(set(names.values())) < len(names):  # labels of several micrographs would land on one
        return picks, labels
    if note := note_on_names(names):
        sys.stderr.write(f"# {note}\n")
    return picks, labels.renamed(names)


def _alone(table: Picks, other: Picks) -> tuple[int, str]:
    """Count the centres on micrographs that the other table does not have, and name one of these, '' for none."""
    names = set(table.micrographs()) - set(other.micrographs())
    return sum(name in names for name in table.names), min(names, default="")


def _table(result: Evaluation, pixel_size: float | None, *, each: bool) -> str:
    """Return the numbers as text."""
    rows = {"all": result.overall, **(result.per_micrograph if each else {})}
    width = max(len(name) for name in rows)
    lines = [f"{'':{width}}  labels  picks  precision  recall     F1     AP  RMSE"]
    for name, s in rows.items():
        average = "-" if math.isnan(s.average_precision) else f"{s.average_precision:.3f}"
        lines.append(
            f"{name:{width}}  {s.labels:6d} {s.picks:6d}  {s.precision:9.3f}  {s.recall:6.3f}  {s.f1:5.3f}  "
            f"{average:>5}  {_length(s.rmse, pixel_size)}"
        )
    for name, (low, high) in result.intervals.items():
        lines.append(f"95 % interval over micrographs, {name.replace('_', ' ')}: {low:.3f} to {high:.3f}")
    if math.isnan(result.best_f1):
        lines.append("picks have no scores, so no AP and no best F1: exchange the files, or compare with --agreement")
    else:
        lines.append(f"best F1 on these labels: {result.best_f1:.3f} at score {result.best_threshold:.3f}")
    if result.without_picks:
        lines.append(
            f"{len(result.without_picks)} labelled micrographs have no pick, such as '{result.without_picks[0]}': "
            "their labels count as missed"
        )
    return "\n".join(lines) + "\n"


def _length(pixels: float, pixel_size: float | None) -> str:
    return f"{pixels:.2f} px" + (f" ({pixels * pixel_size:.1f} A)" if pixel_size else "")


def _write_json(path: str, settings: dict[str, Any], result: Evaluation) -> None:
    from heliodor.files import write_text

    fields = {f.name: getattr(result, f.name) for f in dataclasses.fields(result) if f.name != "curve"}
    fields["overall"] = dataclasses.asdict(result.overall)
    fields["per_micrograph"] = {name: dataclasses.asdict(s) for name, s in result.per_micrograph.items()}
    write_text(path, json.dumps(_finite({**settings, **fields}), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_sweep(path: str, curve: Curve) -> None:
    from heliodor.files import write_text

    rows = curve.distinct()
    lines = ["threshold\tpicks\tprecision\trecall\tf1"]
    for threshold, precision, recall, f1 in zip(rows.threshold, rows.precision, rows.recall, rows.f1, strict=True):
        picks = int((curve.threshold >= threshold).sum())
        lines.append(f"{threshold:.6f}\t{picks}\t{precision:.6f}\t{recall:.6f}\t{f1:.6f}")
    write_text(path, "\n".join(lines) + "\n")
