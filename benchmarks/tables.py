"""Markdown tables of the runs: each program's mean and spread over label draws, and paired differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations

import numpy as np

Row = dict  # one run, as in results.jsonl

MEASURES: dict[str, tuple[Callable[[Row], float], str]] = {
    "average precision": (lambda row: row["ap"], ".4f"),
    "best F1": (lambda row: row["best_f1"], ".4f"),
    "default picks: precision": (lambda row: row["default"]["precision"], ".3f"),
    "default picks: recall": (lambda row: row["default"]["recall"], ".3f"),
    "default picks: F1": (lambda row: row["default"]["f1"], ".3f"),
    "picks with score > 0: F1": (lambda row: row["zero"]["f1"], ".3f"),
    "localization RMSE (px)": (lambda row: row["rmse_px"], ".2f"),
    "training, wall (s)": (lambda row: row["train_s"], ".0f"),
    "all the rest, wall (s)": (lambda row: row["pick_s"], ".0f"),
    "processor time (s)": (lambda row: row["cpu_s"], ".0f"),
    "peak memory (MB)": (lambda row: row["peak_rss_mb"], ".0f"),
}
PAIRED = ("average precision", "best F1", "default picks: F1", "localization RMSE (px)", "training, wall (s)")


def report(rows: list[Row]) -> str:
    """All tables, one pair of them per number of labels."""
    parts = []
    for labels in sorted({row["labels"] for row in rows}, reverse=True):
        chosen = [row for row in rows if row["labels"] == labels]
        parts += [f"## {labels} labels", _programs(chosen), *_differences(chosen)]
    return "\n\n".join(parts) + "\n"


def _programs(rows: list[Row]) -> str:
    """One column per program: mean ± standard deviation over draws (smallest to largest draw)."""
    columns = {name: [row for row in rows if _name(row) == name] for name in sorted({_name(row) for row in rows})}
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines.append(["draws, runs", *(f"{len(_by_draw(own))}, {len(own)}" for own in columns.values())])
    for measure, (value, digits) in MEASURES.items():
        spreads = (_spread(_draw_means(own, value), digits) for own in columns.values())
        lines.append([measure, *spreads])
    return markdown(lines)


def _differences(rows: list[Row]) -> Iterable[str]:
    """One table per pair of programs, over the draws and folds that both were run on."""
    for one, other in combinations(sorted({_name(row) for row in rows}), 2):
        ones = {(row["draw"], row["fold"]): row for row in rows if _name(row) == one}
        others = {(row["draw"], row["fold"]): row for row in rows if _name(row) == other}
        shared = sorted(ones.keys() & others.keys())
        if not shared:
            continue
        lines = [[f"{one} minus {other}", *(f"draw {draw} fold {fold}" for draw, fold in shared), "mean"]]
        lines.append(["---"] * (len(shared) + 2))
        for measure in PAIRED:
            value, digits = MEASURES[measure]
            gaps = [value(ones[key]) - value(others[key]) for key in shared]
            lines.append([measure, *(f"{gap:+{digits}}" for gap in [*gaps, float(np.mean(gaps))])])
        yield markdown(lines)


def _name(row: Row) -> str:
    return f"{row['program']} {row['version']}"


def _by_draw(rows: list[Row]) -> dict[int, list[Row]]:
    return {draw: [row for row in rows if row["draw"] == draw] for draw in sorted({row["draw"] for row in rows})}


def _draw_means(rows: list[Row], value: Callable[[Row], float]) -> np.ndarray:
    """Mean over the folds of each draw, (draws,)."""
    return np.array([np.mean([value(row) for row in own]) for own in _by_draw(rows).values()])


def _spread(values: np.ndarray, digits: str) -> str:
    if len(values) == 1:
        return f"{values[0]:{digits}}"
    low, high = values.min(), values.max()
    return f"{values.mean():{digits}} ± {values.std(ddof=1):{digits}} ({low:{digits}} to {high:{digits}})"


def markdown(lines: list[list[str]]) -> str:
    """Table of cells, the header and its rule first."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
