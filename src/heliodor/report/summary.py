"""The parts of the report that say things: the run in numbers, what to look at, what to do next, the settings."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.evaluation import match
from heliodor.picks import Picks
from heliodor.report.markup import table, tag
from heliodor.report.words import number, several

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from heliodor.report.run import Run
    from heliodor.report.tally import Tally

_FAR = 1.5  # times more or fewer picks than expected, which is worth a word
_MISSED = 0.2  # share of the labels without a pick, which is worth a word
_UNITS = {
    "diameter": " \N{ANGSTROM SIGN}",
    "pixel_size": " \N{ANGSTROM SIGN}",
    "label_radius": " downsampled px",
    "exclusion_radius": " downsampled px",
    "expected_particles": " per micrograph",
}
_LISTED = 200  # rows of a list of failures


def labels_found(run: Run, tally: Tally) -> int:
    """Count the labels that have a pick within a third of the diameter."""
    radius = run.geometry.match_radius * run.geometry.factor
    found = 0
    for name, labels in run.labels.by_micrograph():
        picks = Picks.join(tally.picks(row) for row in tally.rows_of([name]))
        found += int(match(picks.xy, picks.scores, labels.xy, radius).hit.sum())
    return found


def key_numbers(run: Run, tally: Tally, found: int) -> Element:
    """Give the run in eight numbers."""
    counts, geometry = tally.counts[tally.picked], run.geometry
    wanted, seconds = run.record["settings"], run.result["seconds"]
    counted = "estimated" if wanted["expected_particles"] is None and wanted["pi"] is None else "as given"
    if run.expected_interval is not None:
        low, high = run.expected_interval
        counted = f"estimated; {low:.0f} to {high:.0f}"
    chosen = "chosen by the run" if wanted["threshold"] is None else "as given"
    if (audited := run.result.get("audit")) is not None:
        chosen = f"by {audited['answers']} answers"
    skipped = f"{len(run.failed):,} skipped" if run.failed else "none skipped"
    labeled = several(len(run.labels.micrographs()), "micrograph")
    labels = f"on {labeled}; {found:,} have a pick" if len(run.labels) else "the general network picked"
    tiles = [
        ("picks", f"{len(run.picks):,}", f"on {several(int((counts > 0).sum()), 'micrograph')}"),
        ("micrographs", f"{len(counts):,}", skipped),
        ("picks per micrograph", number(float(np.median(counts))), f"median; {counts.min():,} to {counts.max():,}"),
        ("expected per micrograph", number(run.expected, 1), counted),
        ("threshold", number(run.threshold, 2), f"score, {chosen}"),
        ("labels", f"{len(run.labels):,}", labels),
        (
            "diameter",
            f"{geometry.diameter:g} \N{ANGSTROM SIGN}",
            f"{geometry.pixel_size:g} \N{ANGSTROM SIGN} per pixel",
        ),
        ("time", _duration(seconds["total"]), f"training {_duration(seconds['training'])}"),
    ]
    return tag("dl", *(_tile(*tile) for tile in tiles), class_="tiles")


def _tile(name: str, value: str, more: str) -> Element:
    return tag("div", tag("dt", name), tag("dd", value, class_="value"), tag("dd", more, class_="more"))


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def notes(run: Run, tally: Tally, found: int, unreadable: int) -> list[Element]:
    """Say what a person should look at; nothing where there is nothing."""
    said: list[str] = []
    if run.failed:
        said.append(f"{several(len(run.failed), 'micrograph')} of {len(run.micrographs):,} could not be picked.")
    if run.flags:
        said.append(f"{several(len(run.flags), 'micrograph')} flagged.")
    empty = int((tally.counts[tally.picked] == 0).sum())
    if empty:
        said.append(f"{several(empty, 'micrograph')} without any pick.")
    expected = run.expected
    mean = float(tally.counts[tally.picked].mean())
    if not expected / _FAR <= mean <= expected * _FAR:
        text = f"{number(mean, 1)} picks on an average micrograph, where {number(expected, 1)} were expected"
        said.append(f"{text}: do the labelled micrographs look like the others?")
    if found < (1 - _MISSED) * len(run.labels):
        missed = len(run.labels) - found
        said.append(
            f"{missed:,} of {several(len(run.labels), 'label')} without a pick near: look at crosses without a circle."
        )
    if unreadable:
        said.append(f"{several(unreadable, 'micrograph')} could not be read again for this report: not shown.")
    return [tag("ul", *(tag("li", text) for text in said), class_="notes")] if said else []


def trouble(run: Run, unreadable: dict[int, str]) -> list[Element]:
    """Micrographs that were skipped, flagged, or are not where they were."""
    parts: list[Element] = []
    for title, rows in (
        ("Skipped", list(run.failed.items())),
        ("Flagged", list(run.flags.items())),
        ("Not readable any more", [(run.micrographs[row].name, why) for row, why in unreadable.items()]),
    ):
        if rows:
            parts += [tag("h3", f"{title} ({len(rows):,})"), table(["micrograph", "why"], rows[:_LISTED])]
        if len(rows) > _LISTED:
            parts.append(tag("p", f"The other {len(rows) - _LISTED:,} are in run.json."))
    return parts or [tag("p", "None was skipped, and all that were wanted for this report could be read.")]


def next_steps(run: Run) -> list[Element]:
    """How to take the picks to RELION and cryoSPARC."""
    picks = shlex.quote(str(run.folder / "picks.txt"))
    model = shlex.quote(str(run.folder / "model.safetensors"))
    # The model's file knows the run's own threshold, and not that of the answers.
    audited = f" --threshold={run.threshold}" if run.result.get("audit") is not None else ""
    return [
        tag("h3", "RELION"),
        tag("p", "One file for each micrograph, named after it:"),
        tag("pre", f"heliodor convert {picks} -o relion/ --to star --suffix _pick"),
        tag(
            "p",
            "Then the Import job, node type \u201cParticle coordinates (*.box, *_pick.star)\u201d, and "
            "relion/*_pick.star. RELION finds the coordinates of a micrograph by its path: give the folder of these "
            "files the name of the folder that the micrographs are in. Or one file for all, with the paths that RELION "
            "knows the micrographs by, to import as 2D coordinates:",
        ),
        tag("pre", f"heliodor convert {picks} --micrographs CtfFind/job003/micrographs_ctf.star -o picks.star"),
        tag("h3", "cryoSPARC"),
        tag(
            "p",
            "Export the micrographs of a job (exposures_exported.cs), so that the picks get their paths and numbers:",
        ),
        tag("pre", f"heliodor convert {picks} --micrographs J2/exposures_exported.cs -o picks.cs"),
        tag("h3", "The surer ones only, or other micrographs"),
        tag("pre", f"heliodor convert {picks} -o surer.txt --threshold {run.threshold + 1:.2f}"),
        tag("pre", f"heliodor extract MICROGRAPHS --raw -m {model}{audited} -o new.star --format star"),
    ]


def settings(run: Run) -> list[Element]:
    """List what was asked, what was derived, and the versions."""
    record = run.record
    seconds = {f"{name} (s)": round(value, 1) for name, value in run.result["seconds"].items()}
    machine = {key: record[key] for key in ("device", "workers") if key in record}
    groups = {
        "Settings": record["settings"],
        "Derived or as given": {**record["derived"], **run.result["estimates"]},
        "Evidence behind the threshold": _short(run.result.get("evidence", {})),
        "Versions": {"heliodor": record["heliodor"], **record["versions"]},
        "Machine and time": {**record["machine"], **machine, **seconds},
    }
    return [
        tag(
            "div",
            *(tag("div", tag("h3", t), _pairs(values)) for t, values in groups.items() if values),
            class_="columns",
        )
    ]


def _short(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out curves and the like; pairs of numbers are intervals."""
    short = {}
    for key, value in values.items():
        if isinstance(value, int | float | str):
            short[key] = value
        elif isinstance(value, list) and len(value) == 2:
            short[key] = " to ".join(_value(end) for end in value)
    return short


def _pairs(values: dict[str, Any]) -> Element:
    rows = [
        [key.replace("_", " "), _value(value) + _UNITS.get(key, "") * (value is not None)]
        for key, value in values.items()
    ]
    return table(["", ""], rows)


def _value(value: Any) -> str:
    if value is None:
        return "not given"
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
