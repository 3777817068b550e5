"""Picks: a table of particle centres, by micrograph, with scores. Touches no file."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Picks:
    """Particle centres on one or many micrographs: a person's labels or the program's picks.

    Parameters
    ----------
    names : (N,) array of str
        The micrograph each centre belongs to.
    xy : (N, 2) array of float
        Centres in pixels of the micrograph: x = column, y = row, 0-based, counted from the first row
        of the array.
    scores : (N,) array of float, optional
        Log-odds of the network (larger = better); NaN where there is none. Default: all NaN.
    probabilities : (N,) array of float, optional
        Calibrated probability that a pick is a particle, 0 to 1; NaN where there is none. Default: all NaN.

    Raises
    ------
    ValueError
        They do not have the same length, or `xy` is not (N, 2).
    """

    names: NDArray[np.object_]
    xy: NDArray[np.float64]
    scores: NDArray[np.float64]
    probabilities: NDArray[np.float64]

    def __init__(
        self, names: ArrayLike, xy: ArrayLike, scores: ArrayLike | None = None, probabilities: ArrayLike | None = None
    ) -> None:
        as_names = np.array(names, dtype=object).reshape(-1)
        as_xy = np.array(xy, dtype=np.float64).reshape(-1, 2) if np.size(xy) == 0 else np.array(xy, np.float64)
        as_scores, as_probabilities = (
            np.full(len(as_names), np.nan) if values is None else np.array(values, np.float64).reshape(-1)
            for values in (scores, probabilities)
        )
        wrong = as_xy.shape != (len(as_names), 2)
        if wrong or not as_names.shape == as_scores.shape == as_probabilities.shape:
            raise ValueError(
                f"Picks needs names (N,), xy (N, 2), scores (N,) and probabilities (N,). "
                f"Got {as_names.shape}, {as_xy.shape}, {as_scores.shape} and {as_probabilities.shape} instead."
            )
        object.__setattr__(self, "names", as_names)
        object.__setattr__(self, "xy", as_xy)
        object.__setattr__(self, "scores", as_scores)
        object.__setattr__(self, "probabilities", as_probabilities)

    @classmethod
    def on(
        cls, name: str, xy: ArrayLike, scores: ArrayLike | None = None, probabilities: ArrayLike | None = None
    ) -> Picks:
        """Make picks of one micrograph: the same name for each of the (N, 2) centres."""
        count = len(np.asarray(xy, dtype=np.float64).reshape(-1, 2))
        return cls([name] * count, xy, scores, probabilities)

    @classmethod
    def join(cls, parts: Iterable[Picks]) -> Picks:
        """Put several tables under one another, in the order given; none at all give an empty table."""
        tables = list(parts)
        if not tables:
            return cls([], np.empty((0, 2)))
        return cls(
            np.concatenate([t.names for t in tables]),
            np.concatenate([t.xy for t in tables]),
            np.concatenate([t.scores for t in tables]),
            np.concatenate([t.probabilities for t in tables]),
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def has_scores(self) -> bool:
        """Whether every pick carries a score."""
        return len(self) > 0 and not bool(np.isnan(self.scores).any())

    @property
    def scoreless(self) -> bool:
        """Whether there are picks, and none of them carries a score."""
        return len(self) > 0 and bool(np.isnan(self.scores).all())

    def select(self, which: ArrayLike) -> Picks:
        """Pick rows by a boolean mask or by indices."""
        rows = np.asarray(which)
        if rows.dtype != np.bool_:
            rows = rows.astype(np.intp)
        return Picks(self.names[rows], self.xy[rows], self.scores[rows], self.probabilities[rows])

    def of(self, name: str) -> Picks:
        """Return the picks of the micrograph `name`, in their order; empty where it has none."""
        return self.select(self.names == name)

    def rows_by_micrograph(self) -> dict[str, NDArray[np.intp]]:
        """Return the rows of each micrograph by its name, in order of first appearance."""
        rows: dict[str, list[int]] = defaultdict(list)
        for row, name in enumerate(self.names.tolist()):
            rows[name].append(row)
        return {name: np.array(which) for name, which in rows.items()}

    def by_micrograph(self) -> Iterator[tuple[str, Picks]]:
        """Yield (name, picks) for each micrograph, in order of first appearance."""
        for name, rows in self.rows_by_micrograph().items():
            yield name, self.select(rows)

    def micrographs(self) -> list[str]:
        """Names of the micrographs with at least one pick, in order of first appearance."""
        return list(dict.fromkeys(self.names.tolist()))

    def places(self) -> list[tuple[str, float, float]]:
        """Return what tells picks apart in every file that they may stand in: name, x, y to a thousandth of a pixel."""
        return list(zip(self.names.tolist(), *self.xy.round(3).T.tolist(), strict=True))

    def moved(self, xy: ArrayLike) -> Picks:
        """Put the centres at `xy` (N, 2) instead."""
        return self._with(xy=xy)

    def _with(self, **changes: ArrayLike) -> Picks:
        columns = {field: getattr(self, field) for field in ("names", "xy", "scores", "probabilities")}
        return Picks(**{**columns, **changes})

    def renamed(self, names: Mapping[str, str]) -> Picks:
        """Replace micrograph names by `names[name]`; names that are not in the mapping stay."""
        return self._with(names=[names.get(name, name) for name in self.names])

    def scaled(self, scale: float | tuple[float, float]) -> Picks:
        """Multiply coordinates by `scale`, one number or (x scale, y scale).

        Fourier cropping keeps the first pixel where it is, so that full-size = small * factor without
        any shift of half a pixel.
        """
        return self.moved(self.xy * np.asarray(scale, dtype=np.float64))

    def rounded(self) -> Picks:
        """Move centres to whole pixels."""
        return self.moved(np.rint(self.xy))

    def inverted(self, heights: Mapping[str, int]) -> Picks:
        """Count y from the last row instead of the first: height - 1 - y, each micrograph by its own height."""
        rows = np.array([heights[name] for name in self.names], dtype=np.float64)
        return self.moved(np.stack([self.xy[:, 0], rows - 1 - self.xy[:, 1]], axis=1))

    def without_probabilities(self) -> Picks:
        """Leave out the probabilities: for programs that know no such column."""
        return Picks(self.names, self.xy, self.scores)

    def without_scores(self) -> Picks:
        """Leave out scores and probabilities."""
        return Picks(self.names, self.xy)

    def above(self, threshold: float) -> Picks:
        """Keep picks with score > `threshold`; those without a score go."""
        return self.select(self.scores > threshold)

    def at_least(self, threshold: float) -> Picks:
        """Keep picks with score >= `threshold`; a table in which no pick has a score stays whole."""
        if threshold == float("-inf") or self.scoreless:
            return self
        return self.select(self.scores >= threshold)

    def subtract(self, published: Picks, radius: float) -> Picks:
        """Keep the picks farther than `radius` (pixels) from every centre in `published` on the same micrograph.

        The set difference that the paper uses to count additional particles: a pick whose centre lies
        within the particle radius of a published centre is a known one.
        """
        from scipy.spatial import cKDTree

        keep = np.ones(len(self), dtype=bool)
        for name, known in published.by_micrograph():
            rows = np.flatnonzero(self.names == name)
            if len(rows):
                distance, _ = cKDTree(known.xy).query(self.xy[rows])
                keep[rows] = distance > radius
        return self.select(keep)
