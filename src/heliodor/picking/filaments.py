"""Filaments: straight pieces of bright lines on a score map, each by its two ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from heliodor.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGMA = 3.0  # pixels: filaments are as wide as the discs that a network was trained on
_LEAST = 0.25  # of the smoothed mask: below, specks
_TURN = np.cos(np.radians(22.5))  # how far a point's direction may be from that of its region


def trace_filaments(
    scores: NDArray[np.floating],
    threshold: float,
    radius: float,
    length: float | None = None,
    *,
    sigma: float = SIGMA,
) -> NDArray[np.float64]:
    """Find straight pieces of filaments.

    Parameters
    ----------
    scores : (ny, nx) array
        Log-odds.
    threshold : float
        Filaments are where the score is above it.
    radius : float
        Half a filament's width, in pixels: gaps up to it are closed, a piece may be off a straight line by half of it.
    length : float, optional
        Shortest piece, in pixels. Default: 2 * radius.
    sigma : float
        Smoothing of the mask, in pixels.

    Returns
    -------
    (N, 2, 2) array
        Start and end, xy each, longest first.

    Raises
    ------
    SettingsError
        `radius` or `length` is not above 0.

    Notes
    -----
    The mask of scores above the threshold is smoothed; points on its ridges are found below the pixel with their
    directions (Steger 1998, "An unbiased detector of curvilinear structures"); neighbouring points of like direction
    grow into regions (as in the line segment detector LSD, Grompone von Gioi et al. 2010); a region that bends is cut
    where it is farthest from its chord.
    """
    shortest = 2 * radius if length is None else length
    if not (radius > 0 and shortest > 0):
        raise SettingsError(f"radius and length of filaments must be above 0. Got {radius:g} and {shortest:g} instead.")
    points, directions, strength = _ridge_points((scores > threshold).astype(np.float64), sigma)
    if not len(points):
        return np.empty((0, 2, 2))
    pieces = [
        piece for region in _regions(points, directions, strength, radius) for piece in _straight(region, radius / 2)
    ]
    ends = np.array([_ends(piece) for piece in pieces]).reshape(-1, 2, 2)
    spans = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
    order = np.argsort(-spans, kind="stable")
    return _without_shadows(ends[order[spans[order] >= shortest]], radius)


def _without_shadows(pieces: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Leave out pieces (N, 2, 2) that lie alongside a longer one within `radius`: the same filament, seen twice."""
    kept: list[NDArray[np.float64]] = []
    for piece in pieces:
        if not any((_distance(piece, longer) <= radius).all() for longer in kept):
            kept.append(piece)
    return np.array(kept).reshape(-1, 2, 2)


def _distance(points: NDArray[np.float64], segment: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (N,) of points (N, 2) from the nearest point of a segment (2, 2)."""
    start, along = segment[0], segment[1] - segment[0]
    share = np.clip((points - start) @ along / float(along @ along), 0, 1)
    nearest = start + share[:, None] * along
    return np.asarray(np.hypot(*(points - nearest).T))


def _ridge_points(
    mask: NDArray[np.float64], sigma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Points xy (N, 2) on ridges of the smoothed mask, the ridges' directions (N, 2) there, and heights (N,)."""
    height, gy, gx, hyy, hxy, hxx = (
        gaussian_filter(mask, sigma, order=order) for order in ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
    )
    y, x = np.nonzero(height > _LEAST)
    hessian = np.stack([hxx[y, x], hxy[y, x], hxy[y, x], hyy[y, x]], axis=1).reshape(-1, 2, 2)
    values, vectors = np.linalg.eigh(hessian)  # ascending: the first is across the ridge
    across, along = vectors[:, :, 0], vectors[:, :, 1]
    slope = across[:, 0] * gx[y, x] + across[:, 1] * gy[y, x]
    curved = values[:, 0] < -1e-4
    step = -slope / np.where(curved, values[:, 0], 1)
    # A little more than half a pixel: a ridge half-way between two rows must not fall between them.
    on = curved & (np.abs(step[:, None] * across) <= 0.6).all(axis=1)
    points = np.stack([x, y], axis=1)[on] + step[on, None] * across[on]
    return points, along[on], height[y, x][on]


def _regions(
    points: NDArray[np.float64], directions: NDArray[np.float64], strength: NDArray[np.float64], gap: float
) -> list[NDArray[np.float64]]:
    """Grow regions of points within `gap` of one another, of nearly one direction; points in order along each."""
    neighbours = cKDTree(points).query_ball_point(points, gap)
    free = np.ones(len(points), dtype=bool)
    regions = []
    for seed in np.argsort(-strength, kind="stable").tolist():
        if not free[seed]:
            continue
        free[seed] = False
        members, mean = [seed], directions[seed].copy()
        for member in members:  # grows while it is walked through
            for other in sorted(neighbours[member]):
                turn = float(directions[other] @ mean) / float(np.hypot(*mean))
                if free[other] and abs(turn) >= _TURN and _ahead(points[other] - points[member], mean, gap):
                    free[other] = False
                    members.append(other)
                    mean += np.sign(turn) * directions[other]
        own = points[members]
        regions.append(own[np.argsort(own @ mean, kind="stable")])
    return regions


def _ahead(step: NDArray[np.float64], direction: NDArray[np.float64], gap: float) -> bool:
    """Whether a step leads along a line rather than over to a parallel one."""
    along = abs(float(step @ direction)) / float(np.hypot(*direction))
    return float(step @ step) - along**2 <= max(1.0, (gap / 4) ** 2)


def _straight(points: NDArray[np.float64], tolerance: float) -> list[NDArray[np.float64]]:
    """Cut ordered points where they are farthest from their chord, until none is farther than `tolerance`."""
    if len(points) < 3:
        return [points] if len(points) == 2 else []
    chord = points[-1] - points[0]
    size = float(np.hypot(*chord))
    offset = points - points[0]
    distance = np.abs(offset[:, 0] * chord[1] - offset[:, 1] * chord[0]) / max(size, 1e-9)
    farthest = int(np.argmax(distance))
    if distance[farthest] <= tolerance or farthest in (0, len(points) - 1):
        return [points]
    return _straight(points[: farthest + 1], tolerance) + _straight(points[farthest:], tolerance)


def _ends(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ends (2, 2) of the line fitted to ordered points, as far as they reach along it."""
    middle = points.mean(axis=0)
    axis = np.linalg.svd(points - middle, full_matrices=False)[2][0]
    axis = axis * np.sign((points[-1] - points[0]) @ axis or 1.0)
    along = (points - middle) @ axis
    return np.asarray(middle + np.outer([along.min(), along.max()], axis))
