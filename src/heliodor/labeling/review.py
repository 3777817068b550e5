"""What the labels and the picks say together: what to label next, how good the picks are, and the final picks."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import LabelError
from heliodor.formats import write_picks
from heliodor.labeling.candidates import Candidates
from heliodor.labeling.labels import KINDS, Edit
from heliodor.picking.answers import NO, OPEN, YES, Answers, read_answers, write_answers
from heliodor.picks import Picks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from heliodor.labeling.session import Session
    from heliodor.names import MicrographFile
    from heliodor.picking.audit import Cut, Interval

ANSWERS = {"yes": YES, "no": NO, "": OPEN}
_FEWEST = 10  # answers before they are weighed
_POINTS = 60  # of the curve that is drawn
_SURE = 0.9  # precision that is proposed beside the best F1


class Review:
    """Judgement of one table of candidates.

    Parameters
    ----------
    micrographs : sequence of MicrographFile
    session : Session
    candidates : Candidates
    """

    def __init__(self, micrographs: Sequence[MicrographFile], session: Session, candidates: Candidates) -> None:
        self._session, self._candidates = session, candidates
        self._numbers = {m.name: index for index, m in enumerate(micrographs)}
        self._paths = {m.name: str(m.path) for m in micrographs}
        self._access = threading.Lock()
        self._answers = self._old_answers()

    def propose(self, radius: float, threshold: float) -> dict[str, Any]:
        """Return what to answer and to look at next, JSON-able; `radius` is that of the particle, in pixels.

        Raises
        ------
        SettingsError
            The picks have no scores.
        """
        from heliodor.picking.propose import propose

        labels, negatives = (self._session.picks(kind) for kind in KINDS)
        found = propose(
            self._candidates.picks,
            labels,
            radius=_near(radius),
            threshold=threshold,
            negatives=negatives,
            names=list(self._numbers),
        )
        picks = [
            {"index": self._numbers[p.name], "x": p.xy[0], "y": p.xy[1], "score": p.score, "reason": p.reason}
            for p in found.picks
        ]
        micrographs = [{"index": self._numbers[m.name], "reason": m.reason} for m in found.micrographs]
        return {"picks": picks, "micrographs": micrographs}

    def start_audit(self, threshold: float) -> None:
        """Draw the picks to ask about.

        Answers about other picks, of an earlier run perhaps, are copied first: the new ones take their file.

        Raises
        ------
        SettingsError
            The picks have no scores.
        FormatError, OutputError
            The earlier answers cannot be read, or a file cannot be written.
        """
        from heliodor.picking.audit import draw_sample

        with self._access:
            drawn = draw_sample(self._candidates.picks, threshold=threshold)
            if self._answers is None and self._path.is_file() and (read_answers(self._path).given != OPEN).any():
                self._session.files.copy_audit()
            self._keep(drawn)

    def answer(self, row: int, word: str, about: tuple[Any, Any, Any] | None = None) -> None:
        """Keep an answer, in memory and on disk: 'yes', 'no', or '' to take it back.

        Parameters
        ----------
        row : int
            Number of the question.
        word : str
        about : (index, x, y), optional
            What the page asked: another tab may have drawn other questions since.

        Raises
        ------
        LabelError
            There is no such question or answer.
        OutputError
        """
        with self._access:
            if self._answers is None or not 0 <= row < len(self._answers) or word not in ANSWERS:
                raise LabelError("there is no such question, or it has no such answer; begin the check again")
            picks = self._answers.picks
            if about not in (None, (self._numbers[picks.names[row]], *picks.xy[row].tolist())):
                raise LabelError("other questions have been drawn meanwhile; answer those")
            self._keep(self._answers.answered(row, ANSWERS[word]))

    def _keep(self, answers: Answers) -> None:
        write_answers(self._path, answers)
        self._answers = answers

    @property
    def _path(self) -> Path:
        return self._session.files.audit

    def _old_answers(self) -> Answers | None:
        """Return the answers of an earlier session, if they are about these candidates."""
        if not self._path.is_file():
            return None
        answers = read_answers(self._path)
        asked = set(answers.picks.places())
        return answers if asked and asked <= set(self._candidates.picks.places()) else None

    def audit(self, threshold: float) -> dict[str, Any]:
        """Return the questions, their answers, and, from ten answers on, what these say; JSON-able."""
        answers = self._answers
        if answers is None:
            return {"questions": [], "result": None}
        words = {value: word for word, value in ANSWERS.items()}
        table = zip(answers.picks.names, answers.picks.xy.tolist(), answers.given.tolist(), strict=True)
        questions = [
            {"index": self._numbers[name], "x": x, "y": y, "answer": words[given]} for name, (x, y), given in table
        ]
        enough = (answers.given != OPEN).sum() >= _FEWEST
        return {"questions": questions, "result": self._assess(answers, threshold) if enough else None}

    def _assess(self, answers: Answers, threshold: float) -> dict[str, Any]:
        from heliodor.picking.audit import assess

        audit = assess(self._candidates.picks, answers)
        curve = audit.curve
        kept = np.unique(np.linspace(0, len(curve) - 1, _POINTS).round().astype(int))
        sure = audit.for_precision(_SURE)
        return {
            "curve": [_cut(curve[k]) for k in kept],
            "now": _cut(audit.at(threshold)),
            "best": _cut(audit.best_f1()),
            "sure": None if sure is None else _cut(sure),
            "sure_precision": _SURE,
        }

    def label_answers(self, radius: float, sizes: Any) -> int:
        """Make labels of the answers, particles and negatives, where none is near; return how many.

        Parameters
        ----------
        radius : float
            Of the particle, in pixels.
        sizes : callable
            Number of a micrograph -> its width and height.
        """
        made = 0
        with self._access:  # two tabs that ask at once would both find no label near
            if self._answers is None:
                return 0
            known = Picks.join([self._session.picks(kind) for kind in KINDS])
            for kind, picks in (("particle", self._answers.particles), ("negative", self._answers.others)):
                for name, part in picks.subtract(known, _near(radius)).by_micrograph():
                    index = self._numbers[name]
                    words = [
                        {"do": "add", "id": secrets.token_hex(8), "kind": kind, "x": x, "y": y}
                        for x, y in part.xy.tolist()
                    ]
                    self._session.edit(index, -1, [Edit.of_json(one, *sizes(index)) for one in words])
                    made += len(words)
        return made

    def export(self, radius: float, threshold: float) -> dict[str, Any]:
        """Write the final picks beside the labels, as STAR and txt: those above the threshold that no negative rejects.

        Labels that no pick stands for are among them, without a score.
        """
        labels, negatives = (self._session.picks(kind) for kind in KINDS)
        picks = self._candidates.picks
        kept = picks.select(self._candidates.above(threshold)).subtract(negatives, _near(radius))
        final = Picks.join([kept, labels.subtract(kept, _near(radius))]).without_probabilities()
        paths = [self._session.files.picks.with_suffix(suffix) for suffix in (".star", ".txt")]
        write_picks(paths[0], final.renamed(self._paths))
        write_picks(paths[1], final)
        return {"path": str(paths[0]), "picks": len(final)}


def _near(radius: float) -> float:
    """Return the distance, in pixels, within which a label is about a pick: a third of the diameter."""
    return 2 / 3 * radius


def _cut(cut: Cut) -> dict[str, Any]:
    def numbers(interval: Interval) -> list[float | None]:
        return [None if value != value else round(value, 4) for value in interval]

    return {
        "threshold": cut.threshold,
        "picks": cut.picks,
        "precision": numbers(cut.precision),
        "recall": numbers(cut.recall),
        "f1": numbers(cut.f1),
    }
