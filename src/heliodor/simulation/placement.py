"""Where particles lie and how they are turned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_BATCH = 1024
_EMPTY = 40  # rounds without a place, one after the other, before no place is left


def place(
    rng: np.random.Generator,
    count: int,
    distance: float,
    low: tuple[float, float],
    high: tuple[float, float],
    *,
    taken: NDArray[np.float64] | None = None,
    allowed: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None = None,
) -> NDArray[np.float64]:
    """Draw points that keep a distance from one another: random sequential addition.

    Parameters
    ----------
    rng : Generator
    count : int
        Points wanted; fewer come where no place is left for more (at about 55 % of the area covered).
    distance : float
        Least distance between two points.
    low, high : (float, float)
        Corners x, y of the rectangle in which they lie.
    taken : (M, 3) array, optional
        x, y and the distance to keep from it, of what is there already.
    allowed : callable, optional
        Takes points (N, 2), tells which may be used.

    Returns
    -------
    (n, 2) array
        x, y; n <= count.
    """
    from scipy.spatial import cKDTree

    taken = np.empty((0, 3)) if taken is None else taken
    points = np.empty((0, 2))
    empty = 0
    while len(points) < count and empty < _EMPTY:
        new = rng.uniform(low, high, (_BATCH, 2))
        if allowed is not None:
            new = new[allowed(new)]
        if len(points):
            new = new[cKDTree(points).query(new)[0] >= distance]
        for x, y, reach in taken:
            new = new[np.hypot(new[:, 0] - x, new[:, 1] - y) >= reach]
        chosen = _apart(new, distance, count - len(points))
        points = np.concatenate([points, chosen])
        empty = 0 if len(chosen) else empty + 1
    return points


def _apart(new: NDArray[np.float64], distance: float, most: int) -> NDArray[np.float64]:
    """Take points in their order, leaving out those too near to one taken before."""
    chosen: list[NDArray[np.float64]] = []
    for point in new:
        if len(chosen) == most:
            break
        if not chosen or (np.hypot(*(np.array(chosen) - point).T) >= distance).all():
            chosen.append(point)
    return np.array(chosen).reshape(-1, 2)


def orientations(
    rng: np.random.Generator,
    count: int,
    *,
    preferred: float = 0.0,
    view: tuple[float, float] = (0.0, 0.0),
    spread: float = 10.0,
) -> NDArray[np.float64]:
    """Draw Euler angles, uniform over all rotations but for a share of particles in a preferred view.

    Parameters
    ----------
    rng : Generator
    count : int
    preferred : float
        Share of particles in the preferred view, 0 to 1.
    view : (float, float)
        Its rot and tilt in degrees.
    spread : float
        Standard deviation, in degrees, of the directions around it.

    Returns
    -------
    (count, 3) array
        rot, tilt, psi in degrees; tilt 0 to 180, the others -180 to 180.
    """
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rot, tilt = np.deg2rad(view)
    axis = np.array([np.cos(rot) * np.sin(tilt), np.sin(rot) * np.sin(tilt), np.cos(tilt)])
    near = axis + np.deg2rad(spread) * rng.standard_normal((count, 3))
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    directions = np.where(rng.random((count, 1)) < preferred, near, directions)
    psi = rng.uniform(-180, 180, count)
    x, y, z = directions.T
    return np.stack([np.rad2deg(np.arctan2(y, x)), np.rad2deg(np.arccos(np.clip(z, -1, 1))), psi], axis=1)
