"""The Markdown tables of the accuracy benchmark."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean, stdev

from rows import Row

Measure = Callable[[Row], "float | None"]


def _count(row: Row) -> float | None:
    found = row["settings"].get("expected_particles")
    return None if found is None else found / row["truth"]


MEASURES: dict[str, tuple[Measure, str]] = {
    "average precision": (lambda row: row["ap"], ".3f"),
    "best F1": (lambda row: row["best_f1"], ".3f"),
    "F1 of default picks": (lambda row: row["default"]["f1"], ".3f"),
    "over best F1": (lambda row: row["default"]["f1"] / row["best_f1"] if row["best_f1"] else None, ".2f"),
    "count / truth": (_count, ".2f"),
    "calibration error": (lambda row: row["calibration_error"], ".3f"),
    "of picks": (lambda row: row["calibration_error_of_picks"], ".3f"),
    "picks per empty micrograph": (lambda row: mean(row["empty_picks"]) if row["empty_picks"] else None, ".1f"),
    "training (s)": (lambda row: row["train_s"], ".0f"),
}


def report(rows: list[Row]) -> str:
    """Make a table of all measures, and one of the ratios of error, for each number of labels."""
    parts = []
    general = [row for row in rows if row["labels"] == 0]
    for labels in sorted({row["labels"] for row in rows} - {0}, reverse=True):
        chosen = [row for row in rows if row["labels"] == labels] + general
        parts += [f"## {labels} labels", _measures(chosen), *_errors(chosen)]
    if general and not parts:
        parts += ["## No labels", _measures(general)]
    return "\n\n".join(parts) + "\n"


def name_of(row: Row) -> str:
    """Return what a row's program is called in tables, with what it was trained with."""
    training = f" ({row['training']})" if row["training"] else ""
    return f"{row['program']} {row['version']}{training}"


def _groups(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    """Rows by set and program, in the order that they came in."""
    found: dict[tuple[str, str], list[Row]] = {}
    order = list(dict.fromkeys(row["set"] for row in rows))
    for row in sorted(rows, key=lambda row: (order.index(row["set"]), row["program"], row["draw"])):
        found.setdefault((row["set"], name_of(row)), []).append(row)
    return found


def _measures(rows: list[Row]) -> str:
    """One line for each set and program: mean ± standard deviation over draws."""
    head = ["set", "program", "draws", *MEASURES]
    lines = [head, ["---"] * len(head)]
    for (data, program), own in _groups(rows).items():
        cells = [_spread([value(row) for row in own], digits) for value, digits in MEASURES.values()]
        lines.append([data, program, str(len(own)), *cells])
    return _markdown(lines)


def _errors(rows: list[Row]) -> list[str]:
    """How large the error of each heliodor is beside that of each topaz-em, over the draws that both were run on."""
    groups = _groups(rows)
    others = list(dict.fromkeys(name for _, name in groups if name.startswith("topaz")))
    if not others or all(name in others for _, name in groups):
        return []
    lines = [["set", "(1 - AP) of", *(f"over that of {other}" for other in others)], ["---"] * (len(others) + 2)]
    for (data, ours), own in groups.items():
        if ours in others:
            continue
        mine = {row["draw"]: 1 - row["ap"] for row in own}
        line = [data, ours]
        for other in others:
            theirs = {row["draw"]: 1 - row["ap"] for row in groups.get((data, other), [])}
            shared = sorted(draw for draw in mine.keys() & theirs.keys() if theirs[draw] > 0)
            line.append(_spread([mine[draw] / theirs[draw] for draw in shared], ".2f"))
        lines.append(line)
    return [_markdown(lines)]


def _spread(values: list[float | None], digits: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    return f"{mean(known):{digits}}" + (f" ± {stdev(known):{digits}}" if len(known) > 1 else "")


def _markdown(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
