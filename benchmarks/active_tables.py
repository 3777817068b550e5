"""Tables of active.py: average precision by answers and arm, and answers needed for what random labels reach."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tables import markdown

Row = dict  # one run, as in results.jsonl
START = "start"


def report(rows: list[Row]) -> str:
    """One pair of tables for each data set and learner."""
    parts = []
    for key in dict.fromkeys((row["set"], row["learner"]) for row in rows):
        curves = _curves([row for row in rows if (row["set"], row["learner"]) == key])
        if curves:
            seeds = len(next(iter(next(iter(curves.values())).values())))
            parts += [f"## {key[0]}, {key[1]}, {seeds} seeds", _average_precisions(curves), _needed(curves)]
    return "\n\n".join(parts) + "\n"


def _curves(rows: list[Row]) -> dict[str, dict[int, np.ndarray]]:
    """Arm -> answers -> AP (seeds,), of the seeds that every arm has finished."""
    arms = [arm for arm in dict.fromkeys(row["arm"] for row in rows) if arm != START]
    first = {row["seed"]: row for row in rows if row["arm"] == START}
    answers = sorted({row["answers"] for row in rows if row["arm"] != START})
    runs = {(row["arm"], row["answers"], row["seed"]): row["ap"] for row in rows}
    seeds = [s for s in sorted(first) if all((arm, n, s) in runs for arm in arms for n in answers)]
    if not seeds:
        return {}
    begin = {first[seeds[0]]["answers"]: np.array([first[s]["ap"] for s in seeds])}
    return {arm: begin | {n: np.array([runs[arm, n, s] for s in seeds]) for n in answers} for arm in arms}


def _average_precisions(curves: dict[str, dict[int, np.ndarray]]) -> str:
    """AP of each arm, mean ± standard deviation over seeds, and the paired difference to random labels."""
    others = [arm for arm in curves if arm != "random" and "random" in curves]
    lines = [["answers", *curves, *(f"{arm} - random" for arm in others)]]
    lines.append(["---"] * len(lines[0]))
    for n in next(iter(curves.values())):
        spread = [
            f"{curve[n].mean():.3f} ± {curve[n].std(ddof=min(1, len(curve[n]) - 1)):.3f}" for curve in curves.values()
        ]
        lines.append([str(n), *spread, *(_difference(curves[arm][n] - curves["random"][n]) for arm in others)])
    return markdown(lines)


def _difference(gaps: np.ndarray) -> str:
    error = gaps.std(ddof=min(1, len(gaps) - 1)) / np.sqrt(len(gaps))
    return f"{gaps.mean():+.3f} ± {error:.3f} (better in {(gaps > 0).sum()} of {len(gaps)})"


def _needed(curves: dict[str, dict[int, np.ndarray]]) -> str:
    """Answers that each arm needs for the AP that random labels reach, from the means over seeds."""
    reference = curves.get("random") or next(iter(curves.values()))
    lines = [["to reach the AP of random labels", *curves], ["---"] * (len(curves) + 1)]
    for n in list(reference)[1:]:
        wanted = float(reference[n].mean())
        lines.append([f"{wanted:.3f} ({n} random labels)", *(_answers(curve, wanted) for curve in curves.values())])
    return markdown(lines)


def _answers(curve: dict[int, np.ndarray], wanted: float) -> str:
    """Interpolate in the logarithm of the number of answers."""
    points = [(n, float(ap.mean())) for n, ap in curve.items()]
    for (n, low), (m, high) in pairwise(points):
        if low < wanted <= high:
            return f"{np.exp(np.interp(wanted, [low, high], np.log([n, m]))):.0f}"
    return f"{points[0][0]}" if points[0][1] >= wanted else f"more than {points[-1][0]}"
