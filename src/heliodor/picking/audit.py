"""How good a ranking of picks is, from a person's answers about some 60 of them.

answers = draw_sample(candidates, threshold=0.7, seed=1)     # show them in this order, keep what is said
audit = assess(candidates, answers)
audit.at(0.7).precision                                      # Interval(middle=0.93, low=0.85, high=0.98)
audit.for_precision(0.9).threshold, audit.best_f1().threshold
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heliodor.errors import LabelError, SettingsError
from heliodor.picking.answers import OPEN, YES, Answers
from heliodor.picking.propose import probability_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heliodor.picks import Picks

# Shares of a sample: picks, detections below the threshold, and those of either kind near it.
_ABOVE, _BELOW, _AT = 0.3, 0.2, 0.5
# What is believed before any answer counts as so many answers. Of that, these shares say that the best detections are
# no particles either, and that even the worst are. Of three settings the one whose intervals held best in simulations
# (docs/explanation.md).
_PRIOR, _TOP, _BOTTOM = 1.0, 0.25, 0.25
_DRAWS, _CHAINS, _BURN, _THIN = 600, 100, 50, 5
_PARTS = 4  # points of the curve between two answers
_SAME = 0.5  # full-size pixels: an answer this near to a detection is about it


class Interval(NamedTuple):
    """A number between two bounds."""

    middle: float
    low: float
    high: float


@dataclass(frozen=True)
class Cut:
    """What a threshold would give.

    Attributes
    ----------
    threshold : float
        Picks have a score above it.
    picks : int
        Number of them.
    precision, recall, f1 : Interval
        Precision is NaN without picks. For recall see `assess`.
    """

    threshold: float
    picks: int
    precision: Interval
    recall: Interval
    f1: Interval


@dataclass(frozen=True, eq=False)
class Audit:
    """What the answers say about every threshold.

    Attributes
    ----------
    scores : (N,) float array
        Of all candidates, descending.
    picks : (K,) int array
        Points of the curve: the best so many candidates, ascending.
    hits : (D, K) float array
        Particles among them, in each draw from the posterior.
    particles : (D,) float array
        Particles in all, found or not.
    level : float
        Of the intervals.
    """

    scores: NDArray[np.float64]
    picks: NDArray[np.intp]
    hits: NDArray[np.float64]
    particles: NDArray[np.float64]
    level: float

    @property
    def curve(self) -> list[Cut]:
        """Every point, best score first."""
        return [self._cut(int(n), hits) for n, hits in zip(self.picks, self.hits.T, strict=True)]

    def at(self, threshold: float) -> Cut:
        """Return what picks with a score above `threshold` are like."""
        count = int(np.searchsorted(-self.scores, -threshold, side="left"))
        return self._cut(count, self._hits(count), threshold)

    def for_precision(self, precision: float, sure: float = 0.5) -> Cut | None:
        """Return the lowest threshold whose picks have this precision with probability `sure`; None if none has.

        Raises
        ------
        SettingsError
            One of the two is not between 0 and 1.
        """
        if not 0 < precision <= 1 or not 0 < sure < 1:
            raise SettingsError(f"precision and sure must be between 0 and 1. Got {precision:g} and {sure:g} instead.")
        good = np.flatnonzero((self.hits / self.picks >= precision).mean(axis=0) >= sure)
        return self._cut(int(self.picks[good[-1]]), self.hits[:, good[-1]]) if len(good) else None

    def best_f1(self) -> Cut:
        """Return the threshold of the largest expected F1."""
        expected = (2 * self.hits / (self.picks + self.particles[:, None])).mean(axis=0)
        best = int(np.argmax(expected))
        return self._cut(int(self.picks[best]), self.hits[:, best])

    def _hits(self, count: int) -> NDArray[np.float64]:
        """Particles among the best `count`, in each draw; between points of the curve along a straight line."""
        points = np.concatenate([[0], self.picks])
        right = int(np.searchsorted(points, count))
        if right == 0:
            return np.zeros(len(self.hits))
        left = self.hits[:, right - 2] if right > 1 else np.zeros(len(self.hits))
        share = (count - points[right - 1]) / (points[right] - points[right - 1])
        return np.asarray(left + share * (self.hits[:, right - 1] - left))

    def _cut(self, count: int, hits: NDArray[np.float64], threshold: float | None = None) -> Cut:
        def interval(values: NDArray[np.float64]) -> Interval:
            tails = (50, 50 * (1 - self.level), 50 * (1 + self.level))
            return Interval(*(float(v) for v in np.percentile(values, tails)))

        if threshold is None:
            following = self.scores[count] if count < len(self.scores) else -np.inf
            last = float(self.scores[count - 1])
            threshold = float((last + following) / 2) if np.isfinite(following) else float(np.nextafter(last, -np.inf))
        precision = interval(hits / count) if count else Interval(np.nan, np.nan, np.nan)
        total = np.maximum(self.particles, 1)
        return Cut(threshold, count, precision, interval(hits / total), interval(2 * hits / (count + total)))


def draw_sample(candidates: Picks, *, threshold: float, count: int = 60, seed: int = 0) -> Answers:
    """Choose candidates to ask about: all over the ranking, half of them near the threshold.

    Parameters
    ----------
    candidates : Picks
        All detections with scores, far below the threshold too.
    threshold : float
        Score above which they are picks at present.
    count : int
        How many; all candidates where there are fewer.
    seed : int

    Returns
    -------
    Answers
        All open, in random order, so that the order says nothing about the score.

    Raises
    ------
    SettingsError
        A candidate has no score, or `count` is below 1.

    Notes
    -----
    The ranking is cut into `count` strata of equal weight and one candidate is drawn from each by weight. 30 % of the
    weight is spread evenly over the picks, 20 % over what is below the threshold, and half is proportional to
    p (1 - p), where p is a candidate's probability or, without any, sigmoid(score - threshold).
    """
    _check(candidates)
    if count < 1:
        raise SettingsError(f"count must be 1 or more. Got {count} instead.")
    random = np.random.default_rng(seed)
    order = np.argsort(-candidates.scores, kind="stable")
    if count < len(order):
        weights = _weights(candidates.select(order), threshold)
        within = np.cumsum(weights)
        strata = (np.arange(count) + random.uniform(size=count)) / count * within[-1]
        drawn = np.unique(np.minimum(np.searchsorted(within, strata, side="right"), len(order) - 1))
        # A candidate that weighs more than a stratum can be drawn twice: others take the place.
        rest = np.setdiff1d(np.arange(len(order)), drawn)
        spare = weights[rest] / weights[rest].sum()
        order = order[np.concatenate([drawn, random.choice(rest, count - len(drawn), replace=False, p=spare)])]
    return Answers(candidates.select(random.permutation(order)))


def _weights(ranked: Picks, threshold: float) -> NDArray[np.float64]:
    above = ranked.scores > threshold
    p = probability_of(ranked, threshold)
    # Nothing weighs nothing: where most of p (1 - p) vanishes, every candidate can still be drawn.
    parts = [(_ABOVE, above + 0.0), (_BELOW, ~above + 0.0), (_AT, p * (1 - p) + 1e-6)]
    return np.asarray(sum(share * part / part.sum() for share, part in parts if part.any()))


def assess(
    candidates: Picks,
    answers: Answers,
    *,
    found: tuple[int, int] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Audit:
    """Estimate precision, recall and F1 at every threshold from the answers about some candidates.

    Parameters
    ----------
    candidates : Picks
        All detections with scores: those that the answers were drawn from.
    answers : Answers
        Open ones do not count.
    found : (int, int), optional
        (k, n): of n particles labelled independently of the picks, and not used in training, k have a candidate.
        Without it, recall is the share of the particles among the candidates, too high by those that are not.
    level : float
        Of the credible intervals.
    seed : int

    Returns
    -------
    Audit

    Raises
    ------
    LabelError
        No answer was given, or one is about a detection that is not among the candidates.
    SettingsError
        A candidate has no score, or a number is out of range.

    Notes
    -----
    The only assumption is that of two detections the one with the better score is no less likely a particle. The
    probability p(score) of being one is then a distribution function, and the answers are responses to a dose, the
    score: nonparametric Bayesian bioassay with a Dirichlet-process prior (Ramsey 1972, "A Bayesian approach to
    bioassay"; Gelfand and Kuo 1991, "Nonparametric Bayesian bioassay including ordered polytomous response"). Each
    answer stands for a hidden tolerance, below the score for yes and above it for no; Gibbs sampling draws in turn the
    tolerances given p, and p given the tolerances. Every draw of p becomes a number of particles in each part of the
    ranking: known answers as they are, binomial draws for the others, so that the interval is one for these candidates.
    How those asked about were chosen by score does not matter, being conditioned on: nothing needs weights but the
    sizes of the parts.

    Where the ranking is worse at its top than below, as with contamination that scores best of all, the assumption
    fails, and precision comes out too high above and too low below.
    """
    _check(candidates)
    if not 0 < level < 1:
        raise SettingsError(f"level must be between 0 and 1. Got {level:g} instead.")
    if found is not None and not 0 <= found[0] <= found[1]:
        raise SettingsError(f"found must be (k, n), k of n labelled particles. Got {found} instead.")
    order = np.argsort(-candidates.scores, kind="stable")
    scores = candidates.scores[order]
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    said = answers.given != OPEN
    rows, yes = rank[_rows(candidates, answers.picks.select(said))], answers.given[said] == YES
    doses, dose = np.unique(-scores[rows], return_inverse=True)
    random = np.random.default_rng(seed)
    response = _posterior(dose, yes, len(doses), random)
    centres = (np.searchsorted(-scores, doses, "left") + np.searchsorted(-scores, doses, "right") - 1) / 2
    picks = _points(scores, centres)
    hits = _hits(response, centres, picks, rows, yes, random)
    share = np.ones(_DRAWS) if found is None else random.beta(found[0] + 0.5, found[1] - found[0] + 0.5, _DRAWS)
    return Audit(scores, picks, hits, hits[:, -1] / share, level)


def _check(candidates: Picks) -> None:
    if not candidates.has_scores:
        raise SettingsError("candidates need scores; give the detections of a trained network")


def _rows(candidates: Picks, asked: Picks) -> NDArray[np.intp]:
    """Rows of the candidates that were asked about."""
    from scipy.spatial import cKDTree

    if not len(asked):
        raise LabelError("no answer was given; answer some of the questions of the audit")
    rows = np.empty(len(asked), dtype=np.intp)
    for name in asked.micrographs():
        own, theirs = np.flatnonzero(asked.names == name), np.flatnonzero(candidates.names == name)
        distance, nearest = cKDTree(candidates.xy[theirs]).query(asked.xy[own]) if len(theirs) else (np.inf, 0)
        if np.any(distance > _SAME):
            raise LabelError(f"the answers are about other picks: {name} has no such detection; ask about these anew")
        rows[own] = theirs[nearest]
    if len(np.unique(rows)) < len(rows):
        raise LabelError("two answers are about the same pick; keep one of them")
    return rows


def _posterior(
    dose: NDArray[np.intp], yes: NDArray[np.bool_], doses: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Draw p at each dose, best first: (draws, doses), not increasing along a row.

    A tolerance lies in slot j, behind the first j doses: those are responses, the others not.
    """
    prior = np.full(doses + 1, _PRIOR * (1 - _TOP - _BOTTOM) / max(doses - 1, 1))
    prior[0], prior[-1] = _PRIOR * _TOP, _PRIOR * _BOTTOM
    chain = np.arange(_CHAINS)[:, None]
    below = np.tile(np.cumsum(prior / prior.sum()), (_CHAINS, 1))
    kept = []
    for sweep in range(_BURN + _THIN * _DRAWS // _CHAINS):
        no = below[:, dose]  # probability of a tolerance that the dose does not reach
        u = random.uniform(size=no.shape)
        u = np.where(yes, no + u * (1 - no), u * no)
        # One search for all chains: each has its own unit interval.
        slot = np.searchsorted((below + chain).ravel(), (u + chain).ravel()).reshape(no.shape) - chain * (doses + 1)
        slot = np.where(yes, np.clip(slot, dose + 1, doses), np.clip(slot, 0, dose))
        counts = np.bincount((slot + chain * (doses + 1)).ravel(), minlength=below.size).reshape(below.shape)
        mass = np.cumsum(random.standard_gamma(prior + counts), axis=1)  # Dirichlet, once divided by its sum
        below = mass / mass[:, -1:]
        if sweep >= _BURN and (sweep - _BURN) % _THIN == 0:
            kept.append(1 - below[:, :-1])
    return np.concatenate(kept)


def _points(scores: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.intp]:
    """Ranks to evaluate: some between every two answers, none between equal scores, and the last."""
    edges = np.concatenate([[0], centres + 0.5, [len(scores)]])
    ranks = np.unique(
        np.rint(np.interp(np.arange(_PARTS * (len(edges) - 1) + 1) / _PARTS, np.arange(len(edges)), edges))
    )
    ranks = ranks[(ranks > 0) & (ranks < len(scores))].astype(np.intp)
    return np.append(ranks[scores[ranks - 1] > scores[ranks]], len(scores))


def _hits(
    response: NDArray[np.float64],
    centres: NDArray[np.float64],
    picks: NDArray[np.intp],
    rows: NDArray[np.intp],
    yes: NDArray[np.bool_],
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw the number of particles among the best candidates: (draws, points)."""
    middle = (np.append(0, picks[:-1]) + picks - 1) / 2
    gap = np.searchsorted(centres, middle)
    edges = np.concatenate([[-0.5], centres, [picks[-1] - 0.5]])
    place = (middle - edges[gap]) / np.maximum(edges[gap + 1] - edges[gap], 1)
    # Between two answers the probability falls in one step, anywhere: what a weak Dirichlet process does.
    step = random.uniform(size=(len(response), len(centres) + 1))[:, gap]
    bounded = np.pad(response, [(0, 0), (1, 1)], mode="edge")
    p = np.where(place < step, bounded[:, gap], bounded[:, gap + 1])
    part = np.searchsorted(picks, rows, side="right")
    unknown = np.diff(picks, prepend=0) - np.bincount(part, minlength=len(picks))
    drawn = random.binomial(unknown, np.clip(p, 0, 1)) + np.bincount(part, yes, len(picks))
    return np.asarray(np.cumsum(drawn, axis=1), dtype=np.float64)
