"""Where the next label helps most: the picks worth an answer, and the micrographs worth a look.

    proposals = propose(candidates, labels, radius=20.0, threshold=0.7)
    for pick in proposals.picks: ask(pick.name, pick.xy, pick.reason)

Scores alone are enough, on thousands of micrographs. With `features` (see `heliodor.picking.features.FeatureReader`)
picks are also told apart by what they look like, at the cost of reading a few dozen micrographs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import SettingsError
from heliodor.picks import Picks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Features = Callable[[str, NDArray[np.float64]], NDArray[np.floating]]

READ = 40
"""Micrographs that `propose` asks `features` for, at most; as many again for those with labels."""
_SHORTLIST = 25  # candidates looked at for each pick that is proposed
_CROWD = 0.5  # what a pick is worth after another one on the same micrograph
_NEAR = 0.25  # a probability this near to one half is called uncertain
_UNLIKE = 1.5  # so many times as far from what is known as the median candidate is called unlike it
_ODD = 3.0  # robust standard deviations from the median micrograph


@dataclass(frozen=True)
class ProposedPick:
    """A detection worth an answer from a person.

    Attributes
    ----------
    name : str
        Its micrograph.
    xy : (float, float)
        Centre in full-size pixels.
    score, probability : float
    value : float
        What an answer is worth, 0 to 1: not a probability; comparable within one call only.
    reason : str
        For people, such as 'uncertain: 48 % particle; unlike what is labelled'.
    """

    name: str
    xy: tuple[float, float]
    score: float
    probability: float
    value: float
    reason: str


@dataclass(frozen=True)
class ProposedMicrograph:
    """A micrograph worth a look.

    Attributes
    ----------
    name : str
    mistakes : float
        How many of its detections one would judge wrongly by taking those more likely particles than not.
    reason : str
        For people, such as 'no label yet; 31 of 140 detections are uncertain'.
    """

    name: str
    mistakes: float
    reason: str


@dataclass(frozen=True)
class Proposals:
    """What to answer and to look at next, the most informative first."""

    picks: list[ProposedPick]
    micrographs: list[ProposedMicrograph]


def propose(
    candidates: Picks,
    labels: Picks,
    *,
    radius: float,
    threshold: float = 0.0,
    negatives: Picks | None = None,
    names: Sequence[str] = (),
    picks: int = 20,
    micrographs: int = 5,
    features: Features | None = None,
) -> Proposals:
    """Choose the detections and micrographs from which training would learn most.

    Parameters
    ----------
    candidates : Picks
        All detections with scores, far below the threshold too, in full-size pixels. Where they have `probabilities`,
        these say what is uncertain; otherwise sigmoid(score - threshold) does.
    labels : Picks
        Particles so far, in full-size pixels; may be empty.
    radius : float
        A detection within this many full-size pixels of a label or negative has its answer and is not proposed.
    threshold : float
        Score above which detections are picks.
    negatives : Picks, optional
        Centres that are no particles.
    names : sequence of str, optional
        All micrographs, so that those without any detection are seen too. Default: those of `candidates`.
    picks, micrographs : int
        How many to propose, at most.
    features : callable, optional
        (name, xy (N, 2) in full-size pixels) -> (N, D) array. It is called once for each of at most `READ` micrographs
        with candidates and at most `READ` with labels.

    Returns
    -------
    Proposals

    Raises
    ------
    SettingsError
        A candidate has no score, or a number is out of range.

    Notes
    -----
    Greedy: the next pick is that of the largest value = uncertainty x novelty x spread. Uncertainty is 4 p (1 - p)
    (Lewis and Gale 1994). Novelty is the distance of its features from the nearest label, negative, or pick chosen
    before (farthest first, as core-set selection: Sener and Savarese 2018), d / (d + the median candidate's).
    Spread halves with each pick chosen, or pair of labels placed, on the same micrograph. The same input gives
    the same proposals.
    """
    if len(candidates) and not candidates.has_scores:
        raise SettingsError("candidates need scores; give the detections of a trained network")
    if not radius >= 0 or picks < 0 or micrographs < 0:
        raise SettingsError(
            f"radius, picks and micrographs must be 0 or more. Got {radius:g}, {picks} and {micrographs} instead."
        )
    known = Picks.join([labels, *([] if negatives is None else [negatives])])
    open_ones = candidates.subtract(known, radius)
    return Proposals(
        _choose_picks(open_ones, known, threshold, picks, features),
        _choose_micrographs(candidates, known, threshold, names, micrographs),
    )


def probability_of(candidates: Picks, threshold: float) -> NDArray[np.float64]:
    """Probability of each candidate: the calibrated one where there is one, else sigmoid(score - threshold)."""
    from scipy.special import expit

    guess = expit(candidates.scores - threshold)
    return np.where(np.isnan(candidates.probabilities), guess, candidates.probabilities)


def _choose_picks(
    candidates: Picks, known: Picks, threshold: float, count: int, features: Features | None
) -> list[ProposedPick]:
    probability = probability_of(candidates, threshold)
    rows = _shortlist(candidates, _uncertainty(probability), count * _SHORTLIST, features is not None)
    listed, probability = candidates.select(rows), probability[rows]
    novelty = _Novelty(listed, known, features)
    unlike = novelty.unlike()
    labels = Counter(known.names)
    worth = _uncertainty(probability) * np.array([_CROWD ** (labels[name] / 2) for name in listed.names])
    taken = np.zeros(len(listed), dtype=bool)
    chosen: list[ProposedPick] = []
    while len(chosen) < min(count, len(listed)):
        gain = np.where(taken, -1.0, worth * novelty.values())
        best = int(np.argmax(gain))
        name, (x, y), p = str(listed.names[best]), listed.xy[best].tolist(), float(probability[best])
        reason = _reason(p, bool(unlike[best]), name not in labels)
        chosen.append(ProposedPick(name, (x, y), float(listed.scores[best]), p, float(gain[best]), reason))
        worth[listed.names == name] *= _CROWD
        taken[best] = True
        novelty.add(best)
    return chosen


def _uncertainty(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    return 4 * probability * (1 - probability)


def _shortlist(
    candidates: Picks, uncertainty: NDArray[np.float64], size: int, few_micrographs: bool
) -> NDArray[np.intp]:
    """Rows of the most uncertain candidates; where micrographs must be read, of `READ` micrographs only.

    One micrograph full of doubt does not fill the list: the k-th of a micrograph counts as it would behind the others.
    """
    names = candidates.micrographs()
    micrograph = _places(candidates, names)
    order = np.lexsort((-uncertainty, micrograph))
    behind = np.empty(len(order), dtype=np.intp)
    behind[order] = np.arange(len(order)) - np.searchsorted(micrograph[order], micrograph[order])
    order = np.argsort(-uncertainty * _CROWD**behind, kind="stable")
    if few_micrographs:
        most = np.argsort(-np.bincount(micrograph, uncertainty, len(names)), kind="stable")[:READ]
        order = order[np.isin(micrograph[order], most)]
    return order[:size]


def _places(candidates: Picks, names: Sequence[str]) -> NDArray[np.intp]:
    """Place of each candidate's micrograph among the names."""
    place = {name: k for k, name in enumerate(names)}
    return np.array([place[name] for name in candidates.names], dtype=np.intp)


class _Novelty:
    """How far each candidate is, in features, from all that is known; without features every candidate is new."""

    def __init__(self, listed: Picks, known: Picks, features: Features | None) -> None:
        self._vectors: NDArray[np.floating] | None = None
        self._distance = np.full(len(listed), np.inf)
        self._typical = np.inf  # the median candidate's distance, at first
        if features is None or not len(listed):
            return
        recent = set(known.micrographs()[-READ:])
        seen = known.select(np.array([name in recent for name in known.names], dtype=bool))
        vectors = _vectors(Picks.join([listed, seen]), features)
        self._vectors = vectors[: len(listed)]
        for vector in vectors[len(listed) :]:
            self._see(self._vectors, vector)
        if len(seen):
            self._typical = float(np.median(self._distance))

    def values(self) -> NDArray[np.float64]:
        """Novelty of each candidate: 0 the same as something known, 1/2 the median candidate, at most 1."""
        if not 0 < self._typical < np.inf:
            return np.ones(len(self._distance))
        return self._distance / (self._distance + self._typical)

    def unlike(self) -> NDArray[np.bool_]:
        """Whether a person should be told that a candidate is unlike what is known."""
        return np.isfinite(self._distance) & (self._distance > _UNLIKE * self._typical)

    def add(self, row: int) -> None:
        """Note that a candidate has been chosen."""
        if self._vectors is not None:
            self._see(self._vectors, self._vectors[row])
            if np.isinf(self._typical):
                self._typical = float(np.median(self._distance))

    def _see(self, vectors: NDArray[np.floating], new: NDArray[np.floating]) -> None:
        self._distance = np.minimum(self._distance, np.linalg.norm(vectors - new, axis=1))


def _vectors(picks: Picks, features: Features) -> NDArray[np.floating]:
    """Features of picks in their order, reading each micrograph once."""
    names = picks.micrographs()
    rows = np.concatenate([np.flatnonzero(picks.names == name) for name in names])
    return np.concatenate([features(name, picks.of(name).xy) for name in names])[np.argsort(rows)]


def _reason(probability: float, unlike: bool, fresh: bool) -> str:
    parts = [f"{'uncertain: ' if abs(probability - 0.5) <= _NEAR else ''}{100 * probability:.0f} % particle"]
    if unlike:
        parts.append("unlike what is labelled")
    if fresh:
        parts.append("nothing labelled on this micrograph")
    return "; ".join(parts)


def _choose_micrographs(
    candidates: Picks, known: Picks, threshold: float, names: Sequence[str], count: int
) -> list[ProposedMicrograph]:
    every = list(dict.fromkeys([*names, *candidates.micrographs(), *known.micrographs()]))
    if not every:
        return []
    where = _places(candidates, every)
    probability = probability_of(candidates, threshold)
    found = np.bincount(where, minlength=len(every))
    unsure = np.bincount(where, abs(probability - 0.5) <= _NEAR, len(every))
    mistakes = np.bincount(where, np.minimum(probability, 1 - probability), len(every))
    particles = np.bincount(where, probability, len(every))
    profile = _standardized(np.stack([np.log1p(particles), np.log1p(found), unsure / np.maximum(found, 1)], axis=1))
    labelled = np.unique(_places(known, every))
    distance = np.min([_apart(profile, k) for k in labelled], axis=0) if len(labelled) else np.ones(len(every))
    worth = 1 + mistakes / max(float(mistakes.mean()), 1e-9)
    worth[labelled] = -1
    chosen: list[ProposedMicrograph] = []
    while len(chosen) < min(count, len(every) - len(labelled)):
        best = int(np.argmax(worth * distance))
        reason = f"no label yet; {unsure[best]:.0f} of {found[best]} detections are uncertain"
        if not found[best]:
            reason = "no label yet; nothing was detected"
        elif abs(profile[best, 0]) > _ODD:
            reason += f"; far {'more' if profile[best, 0] > 0 else 'fewer'} particles than on most micrographs"
        chosen.append(ProposedMicrograph(every[best], float(mistakes[best]), reason))
        worth[best] = -1
        distance = np.minimum(distance, _apart(profile, best))
    return chosen


def _standardized(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns minus their median, over their robust standard deviation."""
    centred = profile - np.median(profile, axis=0)
    spread = 1.4826 * np.median(np.abs(centred), axis=0)
    return centred / np.where(spread > 0, spread, 1.0)


def _apart(profile: NDArray[np.float64], row: np.intp | int) -> NDArray[np.float64]:
    """How unlike micrographs are to one of them: least for those the same."""
    # Micrographs that look alike by their scores differ all the same: a second look is worth something.
    return np.asarray(0.1 + np.log1p(np.linalg.norm(profile - profile[row], axis=1)))
