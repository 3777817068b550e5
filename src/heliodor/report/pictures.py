"""The parts of the report that show pixels: micrographs with their picks, and windows around picks."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import MicrographError
from heliodor.report.images import SHEET_STEP, View, grey, montage, png, view
from heliodor.report.markup import data_uri, tag
from heliodor.report.tally import even, extremes, oddest
from heliodor.report.words import number, several
from heliodor.stream import stream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

    from heliodor.picks import Picks
    from heliodor.progress import Reporter
    from heliodor.report.detections import Detections
    from heliodor.report.run import Run
    from heliodor.report.tally import Tally

READ = 12  # micrographs, spread over the set, that windows are cut from
_SHOWN = 6  # of these
_FLAGGED = 4  # micrographs, at most, shown because they are flagged
_COLUMNS, _ROWS, _LOWEST_ROWS = 20, 5, 2
_BANDS = 5
_LOW = 0.1  # share of all picks that is drawn as low


def rows_to_read(run: Run, tally: Tally) -> list[int]:
    """Choose a bounded number of micrographs to read: a spread over the set, the extremes, some that are flagged."""
    return sorted({*tally.spread(READ), *_set_apart(run, tally)})


def read_views(
    run: Run, detections: Detections, rows: Sequence[int], reporter: Reporter
) -> tuple[dict[int, View], dict[int, str]]:
    """Read micrographs.

    Returns
    -------
    views : dict
        Row of a micrograph -> what is kept of it.
    unreadable : dict
        Row -> why it cannot be read any more.
    """
    row_of = {run.micrographs[row].name: row for row in rows}
    views: dict[int, View] = {}
    unreadable: dict[int, str] = {}
    inspect = run.inspect
    loaded = stream([run.micrographs[row] for row in rows], run.load, 1)
    for file, result in reporter.track(loaded, len(rows), "reading micrographs for the report"):
        row = row_of[file.name]
        if isinstance(result, MicrographError):
            unreadable[row] = str(result)
        else:
            views[row] = view(*result, *detections[row], inspect.junk(result[0]), run.geometry)
    return views, unreadable


def _set_apart(run: Run, tally: Tally) -> dict[int, list[str]]:
    """Rows of the micrographs that the table of picks or a flag sets apart -> in what."""
    counts = tally.known_counts
    why: dict[int, list[str]] = defaultdict(list)
    for found in (
        extremes(counts, "fewest picks", "most picks"),
        extremes(tally.scores, "lowest scores", "highest scores"),
    ):
        for row, reason in found.items():
            why[row].append(reason)
    odd = oddest(counts, tally.scores)
    if odd is not None:
        why[odd].append("farthest from the median")
    flagged = tally.rows_of(run.flags)
    for k in even(len(flagged), _FLAGGED):
        why[flagged[k]].append(f"flagged: {run.flags[run.micrographs[flagged[k]].name]}")
    return why


def choose_shown(run: Run, tally: Tally, views: dict[int, View]) -> dict[int, list[str]]:
    """Choose the micrographs to show: row -> why, in the order of the set."""
    why = _set_apart(run, tally)
    contrast = np.full(len(run.micrographs), np.nan)
    for row, seen in views.items():
        contrast[row] = seen.contrast
    for row, reason in extremes(contrast, "lowest contrast", "highest contrast").items():
        why[row].append(reason)
    spread = [row for row in tally.spread(READ) if row in views]
    for k in even(len(spread), _SHOWN):
        why.setdefault(spread[k], [])
    return {row: why[row] for row in sorted(why) if row in views}


def micrographs(
    run: Run, tally: Tally, detections: Detections, views: dict[int, View], shown: dict[int, list[str]]
) -> list[Element]:
    """Micrographs with picks as circles and labels as crosses."""
    low = float(np.quantile(run.picks.scores, _LOW)) if len(run.picks) else -np.inf
    switch = tag("label", tag("input", type="checkbox", checked="", id="marks"), " show picks and labels")
    keys = [tag("span", "picks, as wide as the particle", class_="key pick")]
    if len(run.picks):
        keys.append(tag("span", f"picks of the lowest tenth of all scores, below {number(low, 2)}", class_="key low"))
    keys.append(tag("span", "labels", class_="key mark"))
    if any(views[row].mask for row in shown):
        keys.append(tag("span", "junk, where nothing is picked", class_="key junk"))
    text = (
        "Contrast: how much lighter a ring around the picks is than their discs, in standard deviations of the "
        "background. Click a micrograph to enlarge it."
    )
    cards = [
        tag(
            "figure",
            tag("label", _zoom(name), _drawing(run, name, detections.picks(row), views[row], low)),
            _caption(run, tally, row, views[row], reasons),
        )
        for row, reasons in shown.items()
        for name in (run.micrographs[row].name,)
    ]
    legend = [tag("p", *keys, class_="legend"), tag("p", text, class_="legend"), tag("p", switch, class_="switch")]
    return [*legend, tag("div", *cards, class_="micrographs")]


def _zoom(name: str) -> Element:
    """Make the switch, itself unseen, that enlarges a micrograph."""
    return tag("input", type="checkbox", class_="zoom", aria_label=f"enlarge {name}")


def _caption(run: Run, tally: Tally, row: int, seen: View, why: list[str]) -> Element:
    file = run.micrographs[row]
    facts = [several(int(tally.counts[row]), "pick")]
    if np.isfinite(tally.scores[row]):
        facts.append(f"median score {number(tally.scores[row], 2)}")
    if np.isfinite(seen.contrast):
        facts.append(f"contrast {number(seen.contrast, 2)}")
    if seen.mask is not None:
        facts.append(f"junk {seen.junk:.0%}")
    if file.defocus is not None:
        facts.append(f"defocus {number(file.defocus / 1e4, 2)} \N{MICRO SIGN}m")
    chips = [tag("span", reason, class_="chip") for reason in why]
    return tag("figcaption", tag("b", file.name), tag("span", " \N{MIDDLE DOT} ".join(facts), class_="facts"), *chips)


def _drawing(run: Run, name: str, picks: Picks, seen: View, low: float) -> Element:
    """Draw in full-size pixels; the centre of the first pixel is the origin."""
    (width, height), geometry = seen.size, run.geometry
    radius = geometry.diameter / geometry.pixel_size / 2
    left, top = (-scale / 2 for scale in seen.scale)
    svg = tag("svg", viewBox=f"{left:.2f} {top:.2f} {width:.2f} {height:.2f}", role="img", aria_label=name)
    place = {"x": left, "y": top, "width": width, "height": height}
    svg.append(tag("image", href=data_uri(seen.picture, "jpeg"), preserveAspectRatio="none", **place))
    marks = tag("g", class_="marks")
    if seen.mask is not None:
        marks.append(tag("image", href=data_uri(seen.mask, "png"), preserveAspectRatio="none", **place))
    for (x, y), score, p in zip(picks.xy.tolist(), picks.scores.tolist(), picks.probabilities.tolist(), strict=True):
        title = tag("title", f"score {score:.2f}" + (f", probability {p:.2f}" if np.isfinite(p) else ""))
        style = "low" if score < low else "pick"
        marks.append(tag("circle", title, cx=f"{x:.1f}", cy=f"{y:.1f}", r=f"{radius:.1f}", class_=style))
    arm = radius / 3
    cross = "".join(
        f"M{x - arm:.1f} {y:.1f}h{2 * arm:.1f}M{x:.1f} {y - arm:.1f}v{2 * arm:.1f}"
        for x, y in run.labels.of(name).xy.tolist()
    )
    if cross:
        marks.append(tag("path", d=cross, class_="mark"))
    svg.append(marks)
    svg.extend(_scale_bar(left, top, width, height, geometry.pixel_size))
    return svg


def _scale_bar(left: float, top: float, width: float, height: float, pixel_size: float) -> list[Element]:
    """Draw a bar of a round length, about a fifth of the width."""
    wanted = width * pixel_size / 5
    power = 10 ** np.floor(np.log10(wanted))
    length = float(power * max(k for k in (1, 2, 5) if k * power <= wanted))
    x, y, thickness = left + 0.03 * width, top + height - 0.045 * width, 0.008 * width
    text = f"{length / 10:g} nm"
    return [
        tag("rect", x=x, y=y, width=length / pixel_size, height=thickness, class_="scale"),
        tag("text", text, x=x, y=y - thickness, font_size=0.035 * width, class_="scale"),
    ]


def windows(run: Run, tally: Tally, views: dict[int, View]) -> list[Element]:
    """Averages of windows in bands of the score, and windows from the highest to the lowest score."""
    rows = [row for row in tally.spread(READ) if row in views]
    cut = np.concatenate([views[row].windows for row in rows]) if rows else np.empty((0, 1, 1))
    scores = np.concatenate([views[row].scores for row in rows]) if rows else np.empty(0)
    picked = np.concatenate([views[row].picked for row in rows]) if rows else np.empty(0, dtype=bool)
    order = np.argsort(-scores, kind="stable")
    kept, others = order[picked[order]], order[~picked[order]]
    if not len(kept):
        return [tag("p", "There is no pick with a whole window on the micrographs that were read.")]
    width = cut.shape[1] * run.geometry.pixel_size * run.geometry.factor
    text = (
        f"{several(len(kept), 'window')} of {width:.0f} \N{ANGSTROM SIGN} around picks on "
        f"{several(len(rows), 'micrograph')} spread over the set, with the scale, normalization and contrast that the "
        "network sees; a little smoothed."
    )
    last = _COLUMNS * _LOWEST_ROWS
    parts = [
        tag("p", text),
        tag("h3", "Averages, from the highest to the lowest scores"),
        _averages(cut[kept], scores[kept]),
        *_sheet("Windows at even steps of rank", cut, scores, kept[even(len(kept), _COLUMNS * _ROWS)]),
        *_sheet("The lowest picks, where junk would be", cut, scores, kept[-last:]),
    ]
    if len(others):
        parts += _sheet("The best that were not picked", cut, scores, others[:last])
    return parts


def _averages(cut: NDArray[np.floating], scores: NDArray[np.float64]) -> Element:
    """Show the mean window of each fifth of the scores, all at one grey scale."""
    bands = [band for band in np.array_split(np.arange(len(cut)), _BANDS) if len(band)]
    means = [cut[band].mean(axis=0) for band in bands]
    limits = (float(np.min(means)), float(np.max(means)))
    figures = []
    for band, mean in zip(bands, means, strict=True):
        worst, best = (number(scores[band[end]], 2) for end in (-1, 0))
        text = f"{several(len(band), 'window')}, score {worst} to {best}"
        image = tag("img", src=data_uri(png(grey(mean, limits)), "png"), alt=f"average of {text}")
        figures.append(tag("figure", image, tag("figcaption", text)))
    return tag("div", *figures, class_="averages")


def _sheet(title: str, cut: NDArray[np.floating], scores: NDArray[np.float64], rows: NDArray[np.intp]) -> list[Element]:
    """Show windows, best first, under a title that says their scores."""
    columns = min(_COLUMNS, len(rows))
    best, worst = (number(scores[rows[end]], 2) for end in (0, -1))
    image = tag("img", src=data_uri(montage(cut[rows], columns), "png"), alt=title, class_="sheet")
    image.set("width", str(columns * SHEET_STEP))
    return [tag("h3", f"{title}: scores {best} to {worst}"), image]
