"""One-to-one matching of picks to labels on one micrograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from heliodor.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    _Near = Sequence[list[int]]  # rows of the labels near each pick
    _Gap = list[NDArray[np.float64]]  # and how far they are

METHODS = ("greedy", "optimal", "topaz")


@dataclass(frozen=True, eq=False)
class Matching:
    """Which label each pick found.

    Attributes
    ----------
    label : (picks,) int array
        Row of the label matched to each pick, -1 where none is.
    distance : (picks,) float array
        To it, NaN where none is.
    """

    label: NDArray[np.intp]
    distance: NDArray[np.float64]

    @property
    def hit(self) -> NDArray[np.bool_]:
        """Whether each pick is matched."""
        return self.label >= 0


def match(
    picks_xy: NDArray[np.number],
    picks_scores: NDArray[np.floating] | None,
    labels_xy: NDArray[np.float64],
    match_radius: float,
    method: str = "greedy",
) -> Matching:
    """Match picks and labels one to one within `match_radius` (inclusive).

    Parameters
    ----------
    picks_xy : (N, 2) array
    picks_scores : (N,) array or None
        Order of the greedy matching, highest first, ties by row; None: rows in their order.
    labels_xy : (M, 2) array
    match_radius : float
        In the pixels of both.
    method : {'greedy', 'optimal', 'topaz'}
        'greedy': by descending score, each pick takes the nearest free label. 'optimal': most
        matches, and of these the least sum of squared distances; scores are ignored. 'topaz': least
        sum of distance^2 - match_radius^2, which may leave out pairs; `match_radius` exclusive; scores
        are ignored.

    Raises
    ------
    SettingsError
        An unknown method, or a radius below 0 or without end.
    """
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise SettingsError(f"The 'method' parameter of match must be one of {known}. Got '{method}' instead.")
    if not 0 <= match_radius < np.inf:
        raise SettingsError(f"The 'match_radius' of match must be finite and 0 or more. Got {match_radius} instead.")
    label = np.full(len(picks_xy), -1, dtype=np.intp)
    distance = np.full(len(picks_xy), np.nan)
    if len(picks_xy) and len(labels_xy):
        near = cKDTree(labels_xy).query_ball_point(picks_xy, match_radius)
        gap = [np.hypot(*(labels_xy[n] - xy).T) for n, xy in zip(near, picks_xy, strict=True)]
        if method == "greedy":
            order = range(len(picks_xy)) if picks_scores is None else np.argsort(-picks_scores, kind="stable").tolist()
            pairs = _greedy(near, gap, order, len(labels_xy))
        else:
            pairs = _optimal(near, gap, len(labels_xy), match_radius, most=method == "optimal")
        for pick, which, length in pairs:
            label[pick], distance[pick] = which, length
    return Matching(label, distance)


def _greedy(near: _Near, gap: _Gap, order: Iterable[int], labels: int) -> list[tuple[int, int, float]]:
    free = np.ones(labels, dtype=bool)
    pairs = []
    for pick in order:
        options = [(length, which) for length, which in zip(gap[pick], near[pick], strict=True) if free[which]]
        if options:
            length, which = min(options)
            free[which] = False
            pairs.append((pick, which, length))
    return pairs


def _optimal(near: _Near, gap: _Gap, labels: int, match_radius: float, *, most: bool) -> list[tuple[int, int, float]]:
    # Picks and labels fall into clusters that cannot see one another: one small assignment for each.
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = np.repeat(np.arange(len(near)), [len(n) for n in near])
    columns = np.array([which for n in near for which in n], dtype=np.intp)
    lengths = np.concatenate([*gap, np.empty(0)])
    size = len(near) + labels
    graph = coo_array((np.ones(len(rows)), (rows, columns + len(near))), shape=(size, size))
    _, cluster = connected_components(graph, directed=False)
    pairs = []
    order = np.argsort(cluster[rows], kind="stable")
    for edges in np.split(order, np.flatnonzero(np.diff(cluster[rows][order])) + 1):
        if not len(edges):
            continue
        picks, r = np.unique(rows[edges], return_inverse=True)
        which, c = np.unique(columns[edges], return_inverse=True)
        # For the most matches, an edge gains more than any detour costs.
        bonus = (match_radius**2 + 1) * (min(len(picks), len(which)) + 1) if most else match_radius**2
        gain = np.zeros((len(picks), len(which)))
        gain[r, c] = bonus - lengths[edges] ** 2
        length = np.zeros_like(gain)
        length[r, c] = lengths[edges]
        for a, b in zip(*linear_sum_assignment(gain, maximize=True), strict=True):
            if gain[a, b] > 0:
                pairs.append((int(picks[a]), int(which[b]), float(length[a, b])))
    return pairs
