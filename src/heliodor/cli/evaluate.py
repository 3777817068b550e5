"""Compare picks with labels: precision, recall, F1, average precision, error of position."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliodor.evaluation import Curve
    from heliodor.picks import Picks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("picks", help="coordinates with scores: .txt .star .box .csv, or a folder of them")
    parser.add_argument("labels", help="coordinates to compare with, in the same pixels")
    parser.add_argument("-r", "--match-radius", type=float, required=True, help="farthest a pick may be off, in pixels")
    parser.add_argument("--method", choices=("greedy", "optimal"), default="greedy", help="one-to-one matching")
    parser.add_argument("-t", "--threshold", type=float, default=None, help="count picks at or above this score")
    parser.add_argument("--pixel-size", type=float, default=None, help="angstrom per pixel: RMSE in angstrom too")
    parser.add_argument("--per-micrograph", action="store_true", help="a row for each micrograph")
    parser.add_argument("--agreement", action="store_true", help="two label sets: how far they agree, no ranking")
    parser.add_argument("--sweep", default=None, metavar="FILE", help="write threshold, precision, recall, F1 (TSV)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap over micrographs")


def run(options: argparse.Namespace) -> int:
    """Print the comparison."""
    from heliodor.evaluation import agreement, evaluate
    from heliodor.formats import read_picks

    picks, labels = (_short_names(read_picks(path)) for path in (options.picks, options.labels))
    unit = options.pixel_size
    if options.agreement:
        found = agreement(picks, labels, options.match_radius)
        sys.stdout.write(
            f"{found.shared} pairs of {found.first} and {found.second}: F1 {found.f1:.3f}, "
            f"RMSE {_length(found.rmse, unit)}\n"
        )
        return 0
    result = evaluate(
        picks, labels, options.match_radius, method=options.method, threshold=options.threshold, seed=options.seed
    )
    rows = {"all": result.overall, **(result.per_micrograph if options.per_micrograph else {})}
    width = max(len(name) for name in rows)
    sys.stdout.write(f"{'':{width}}  labels  picks  precision  recall     F1     AP  RMSE\n")
    for name, s in rows.items():
        sys.stdout.write(
            f"{name:{width}}  {s.labels:6d} {s.picks:6d}  {s.precision:9.3f}  {s.recall:6.3f}  {s.f1:5.3f}  "
            f"{s.average_precision:5.3f}  {_length(s.rmse, unit)}\n"
        )
    for name, (low, high) in result.intervals.items():
        sys.stdout.write(f"95 % interval over micrographs, {name.replace('_', ' ')}: {low:.3f} to {high:.3f}\n")
    sys.stdout.write(f"best F1 on these labels: {result.best_f1:.3f} at score {result.best_threshold:.3f}\n")
    if result.without_picks:
        sys.stdout.write(f"{len(result.without_picks)} labelled micrographs have no pick\n")
    if options.sweep:
        _write_sweep(options.sweep, result.curve)
    return 0


def _short_names(picks: Picks) -> Picks:
    from heliodor.errors import LabelError
    from heliodor.names import stem

    short: dict[str, str] = {}
    for name in picks.micrographs():
        last = stem(name).rsplit("/", 1)[-1]
        if last in short.values():
            raise LabelError(
                f"two micrographs of the table are called '{last}', in different folders; evaluate each alone"
            )
        short[name] = last
    return picks.renamed(short)


def _length(pixels: float, pixel_size: float | None) -> str:
    return f"{pixels:.2f} px" + (f" ({pixels * pixel_size:.1f} A)" if pixel_size else "")


def _write_sweep(path: str, curve: Curve) -> None:
    import numpy as np

    from heliodor.files import write_text

    # A threshold keeps all picks of its score: the last row of each score is the one that can be had.
    last = np.append(np.diff(curve.threshold) != 0, True) if len(curve.threshold) else np.empty(0, bool)
    lines = ["threshold\tpicks\tprecision\trecall\tf1"]
    lines += [
        f"{curve.threshold[k]:.6f}\t{k + 1}\t{curve.precision[k]:.6f}\t{curve.recall[k]:.6f}\t{curve.f1[k]:.6f}"
        for k in np.flatnonzero(last)
    ]
    write_text(path, "\n".join(lines) + "\n")
