"""Which candidates of a micrograph are picks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from heliodor.errors import LabelError
from heliodor.picking.audit import assess
from heliodor.picking.calibration import Calibration
from heliodor.picking.density import Average
from heliodor.picks import Picks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from heliodor.picking.answers import Answers


_LIKELY = 0.5  # probability


@dataclass(frozen=True)
class Cut:
    """How candidates become picks.

    Parameters
    ----------
    threshold : float
        Score, on a micrograph with as many particles as others.
    calibration : Calibration
    average : Average
        Such a micrograph.
    given : bool
        A person chose the threshold, or answers did: it holds on every micrograph. Otherwise a micrograph with fewer
        particles needs better scores for the same probability.
    """

    threshold: float
    calibration: Calibration
    average: Average
    given: bool

    @classmethod
    def of_model(cls, about: dict[str, Any], *, given: bool) -> Cut:
        """Read it from the facts in a model file."""
        return cls(about["threshold"], Calibration.of_model(about), Average.of_model(about), given)

    def probabilities(self, scores: NDArray[np.float64], area: float = 0.0) -> NDArray[np.float64]:
        """Probabilities of all candidates of one micrograph, by their scores (N,); `area`: see `Average.local`."""
        return self.average.local(self.calibration(scores), area)

    def rate(self, found: Picks, area: float = 0.0) -> Picks:
        """Return the candidates of one micrograph, which have scores, with their probabilities."""
        return Picks(found.names, found.xy, found.scores, self.probabilities(found.scores, area))

    def keeps(self, candidates: Picks) -> NDArray[np.bool_]:
        """Say which candidates of one micrograph are picks."""
        high = candidates.scores > self.threshold
        if self.given:
            return high
        # The curve is flat at its top: where particles are a few less, nothing may be as probable as there. No more is
        # asked than what is surest on this micrograph has, if it is likely, and half as likely as usual or more.
        asked, surest = float(self.calibration([self.threshold])[0]), candidates.probabilities.max(initial=0.0)
        least = max(_LIKELY, asked / (2 - asked))  # of half the odds
        return high & (candidates.probabilities >= min(asked, max(least, surest)))


def audited_cut(cut: Cut, candidates: Picks, answers: Answers, precision: float | None) -> tuple[Cut, dict[str, Any]]:
    """Let a person's answers about candidates say where to cut.

    Parameters
    ----------
    cut : Cut
        Where the run would cut by itself.
    candidates : Picks
        Of all micrographs of the run, with scores.
    answers : Answers
        About some of them.
    precision : float, optional
        Reach it with the lowest threshold that does. Default: the largest expected F1.

    Returns
    -------
    cut : Cut
    facts : dict
        JSON-able: the number of answers, and the threshold, picks, precision, recall and F1 with intervals of 95 %.

    Raises
    ------
    LabelError
        No answer was given, one is about another run's candidate, or by the answers no threshold is so precise.
    """
    audit = assess(candidates, answers)
    chosen = audit.best_f1() if precision is None else audit.for_precision(precision)
    if chosen is None:
        raise LabelError(f"by the answers no threshold has a precision of {precision:g}; ask for less, or train again")
    facts = {"answers": len(answers) - len(answers.open), "without_answers": cut.threshold, **asdict(chosen)}
    for name in ("precision", "recall", "f1"):
        facts[name] = facts[name]._asdict()
    return replace(cut, threshold=chosen.threshold, given=True), facts


def describe(audited: dict[str, Any]) -> str:
    """Say in a line what an audit chose, from its facts."""
    precision = audited["precision"]
    return (
        f"by {audited['answers']} answers picks are above score {audited['threshold']:.2f} (without them "
        f"{audited['without_answers']:.2f}): {precision['middle']:.0%} of them particles "
        f"({precision['low']:.0%} to {precision['high']:.0%})"
    )
