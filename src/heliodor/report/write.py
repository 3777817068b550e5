"""From a run's folder to its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from heliodor.files import write_text
from heliodor.progress import SILENT, Reporter
from heliodor.report import charts, pictures, scores, summary
from heliodor.report.comparison import answered, comparison
from heliodor.report.detections import Detections
from heliodor.report.markup import page, tag
from heliodor.report.run import read_run
from heliodor.report.tally import Tally
from heliodor.training.check import resolve_labels

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from heliodor.names import MicrographFile
    from heliodor.picking.answers import Answers
    from heliodor.picks import Picks
    from heliodor.report.run import Run

REPORT = "report.html"
SAMPLE = 300  # micrographs, spread over the set, whose detections are read


def write_report(
    folder: str | os.PathLike[str],
    micrographs: Sequence[MicrographFile] = (),
    *,
    labels: Picks | None = None,
    answers: Answers | None = None,
    reporter: Reporter = SILENT,
) -> Path:
    """Write `report.html` into the folder of a run, from the files there.

    However many micrographs the run had, some twenty are read; the rest is taken from the tables.

    Parameters
    ----------
    folder : path
    micrographs : sequence of MicrographFile
        Where the micrographs are now, if they were moved; with their defocus, if that is to be shown.
    labels : Picks, optional
        All particles of some micrographs, in full-size pixels: the picks are compared with them.
    answers : Answers, optional
        About some detections of this run: their probabilities are compared with them.
    reporter : Reporter

    Returns
    -------
    Path
        Of the report. Micrographs that cannot be read any more are named in it.

    Raises
    ------
    SettingsError, LabelError, FormatError
        See `heliodor.report.run.read_run` and `heliodor.report.comparison.answered`.
    OutputError
        The report cannot be written.
    """
    run = read_run(Path(folder), micrographs)
    path = run.folder / REPORT
    write_text(path, page(f"{run.folder.resolve().name} \N{EN DASH} heliodor", compose(run, labels, answers, reporter)))
    return path


def compose(
    run: Run, labels: Picks | None = None, answers: Answers | None = None, reporter: Reporter = SILENT
) -> list[Element]:
    """Make the parts of the page."""
    tally = Tally.of(run)
    rows, sample, labeled = pictures.rows_to_read(run, tally), tally.spread(SAMPLE), []
    if labels is not None:
        labels, files = resolve_labels(labels, run.micrographs)
        labeled = tally.rows_of([file.name for file in files])
    asked = tally.rows_of(answers.picks.micrographs()) if answers is not None else []
    detections = Detections(run, tally, [*rows, *sample, *labeled, *asked])
    views, unreadable = pictures.read_views(run, detections, rows, reporter)
    shown = pictures.choose_shown(run, tally, views)
    found = summary.labels_found(run, tally)
    parts = [
        ("Micrographs", pictures.micrographs(run, tally, detections, views, shown)),
        ("Picks", pictures.windows(run, tally, views)),
        ("Scores and threshold", scores.scores(run, *detections.join(sample), len(sample))),
        *([("Against labels", comparison(run, *detections.join(labeled), labels))] if labels is not None else []),
        *([("Against answers", answered(detections.join(asked)[0], answers))] if answers is not None else []),
        ("Over the set", charts.over_the_set(run, tally, shown)),
        ("Training", charts.training(run)),
        ("Micrographs with trouble", summary.trouble(run, unreadable)),
        ("To RELION and cryoSPARC", summary.next_steps(run)),
        ("Settings and versions", summary.settings(run)),
    ]
    opening = [
        tag("p", "heliodor", class_="program"),
        tag("h1", run.folder.resolve().name),
        tag("p", str(run.folder.resolve()), class_="path"),
        summary.key_numbers(run, tally, found),
        *summary.notes(run, tally, found, len(unreadable)),
        tag("nav", *(tag("a", title, href=f"#{_anchor(title)}") for title, _ in parts)),
    ]
    sections = [tag("section", tag("h2", title), *body, id=_anchor(title)) for title, body in parts]
    return [tag("header", *opening), *sections]


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
