"""Tables, tests and the figure of the benchmark of objectives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import mean, mode, stdev

from scipy.stats import ttest_rel

from rows import Row

MEASURES = {"particles": "ap_particles", "regions": "ap_regions"}
Arm = Callable[[Row], str]  # the name of what is compared


def report(rows: list[Row]) -> str:
    """Make tables for each number of minibatches: objectives without autoencoder, and GE-binomial with it."""
    parts: list[str] = []
    for updates in sorted({row["updates"] for row in rows}):
        chosen = [row for row in rows if row["updates"] == updates]
        plain = [row for row in chosen if row["autoencoder"] == "0"]
        parts.append(f"## Objectives, {updates} minibatches")
        parts += _tables(plain, lambda row: row["method"], "GE-binomial")
        regularized = _regularized(chosen)
        if len({row["autoencoder"] for row in regularized}) > 1:
            parts.append(f"## Weight of the autoencoder with GE-binomial, {updates} minibatches")
            parts += _tables(regularized, lambda row: row["autoencoder"], "0")
    return "\n\n".join(parts) + "\n"


def _regularized(rows: list[Row]) -> list[Row]:
    """Return the runs of GE-binomial; with ten labels the weight 1 is 10/N as well, and was run once."""
    chosen = [row for row in rows if row["method"] == "GE-binomial"]
    return chosen + [
        {**row, "autoencoder": "10/N"} for row in chosen if row["autoencoder"] == "1" and row["labels"] == 10
    ]


def _tables(rows: list[Row], arm: Arm, reference: str) -> list[str]:
    parts = []
    for name, measure in MEASURES.items():
        arms = list(dict.fromkeys(arm(row) for row in sorted(rows, key=arm)))
        others = [a for a in arms if a != reference] if reference in arms else []
        head = ["set", "labels", "draws", *arms, *(f"{reference} against {other}" for other in others)]
        lines = [head, ["---"] * len(head)]
        for data in dict.fromkeys(row["set"] for row in rows):
            for labels in sorted({row["labels"] for row in rows if row["set"] == data}):
                own = [row for row in rows if (row["set"], row["labels"]) == (data, labels)]
                values = {a: {row["draw"]: row[measure] for row in own if arm(row) == a} for a in arms}
                draws = "/".join(sorted({str(len(v)) for v in values.values()}))
                tests = [_compare(values[reference], values[other]) for other in others]
                lines.append([data, str(labels), draws, *(_spread(list(v.values())) for v in values.values()), *tests])
        parts += [f"Average precision of {name}:", "\n".join(f"| {' | '.join(cells)} |" for cells in lines)]
    return parts


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _compare(ours: dict[int, float], theirs: dict[int, float]) -> str:
    """Return the mean difference over the draws that both have; from three on, p of the paired two-sided t-test."""
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        return ""
    one, other = [ours[draw] for draw in shared], [theirs[draw] for draw in shared]
    gap = f"{mean(one) - mean(other):+.3f}"
    return f"{gap}, p = {ttest_rel(one, other).pvalue:.2g}" if len(shared) > 2 else gap


def draw_figure(rows: list[Row], path: Path) -> None:
    """Draw the average precision of particles against the number of labels: objectives above, autoencoder below.

    Of the number of minibatches with the most runs.
    """
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    most = mode(row["updates"] for row in rows)
    rows = [row for row in rows if row["updates"] == most]
    sets = list(dict.fromkeys(row["set"] for row in rows))
    plain = [row for row in rows if row["autoencoder"] == "0"]
    regularized = _regularized(rows)
    lines: list[tuple[list[Row], Arm]] = [(plain, lambda row: row["method"])]
    if len({row["autoencoder"] for row in regularized}) > 1:
        lines.append((regularized, lambda row: f"autoencoder {row['autoencoder']}"))
    size = (3.2 * len(sets), 3 * len(lines))
    figure, axes = plt.subplots(len(lines), len(sets), figsize=size, squeeze=False, sharey="col")
    for (chosen, arm), panels in zip(lines, axes, strict=True):
        for data, panel in zip(sets, panels, strict=True):
            _draw_panel(panel, [row for row in chosen if row["set"] == data], arm)
            panel.set(title=data, xlabel="labels", xscale="log")
        panels[0].set_ylabel("average precision")
        panels[-1].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_panel(panel: object, rows: list[Row], arm: Arm) -> None:
    """Draw mean and standard deviation over draws, a line for each arm."""
    for name in sorted({arm(row) for row in rows}):
        own = [row for row in rows if arm(row) == name]
        counts = sorted({row["labels"] for row in own})
        values = [[row["ap_particles"] for row in own if row["labels"] == count] for count in counts]
        spread = [stdev(v) if len(v) > 1 else 0.0 for v in values]
        panel.errorbar(counts, [mean(v) for v in values], spread, marker="o", capsize=2, label=name)
