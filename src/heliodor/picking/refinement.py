"""From the pixels that suppression takes to centres below the pixel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from heliodor.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    _Heights = Callable[[NDArray[np.float64], NDArray[np.bool_]], NDArray[np.float64]]

_LARGEST = 600.0
"""Log-odds beyond this are taken for it: their exponentials would be no numbers."""
_STILL = 0.01
"""A centre that moves less, in pixels, has arrived: people and networks scatter by far more."""


def refine(
    scores: ArrayLike,
    xy: ArrayLike,
    window_radius: float = 4.0,
    *,
    weights: str = "probability",
    steps: int = 8,
) -> NDArray[np.float64]:
    """Move each centre to the centroid of the scores around it.

    A network trained on discs of `label_radius` px scores a plateau of that size around a particle, so that its
    best pixel is anywhere on the plateau, and a parabola through 3 x 3 pixels follows the noise. The centroid of
    the plateau is the centre.

    Parameters
    ----------
    scores : (ny, nx) array of float
        Score map.
    xy : (N, 2) array
        Column and row of each centre, inside the map.
    window_radius : float, optional
        Radius in pixels of the disc that is averaged, and the farthest that a centre may move. Choose it
        a little larger than the plateau (`label_radius`), smaller than half the distance to the next particle.
    weights : {"probability", "height"}, optional
        "probability": sigmoid(score), for log-odds. "height": score above the lowest in the window, for
        scores that are not log-odds.
    steps : int, optional
        How often the window follows its centroid; it stops early where no centre moves.

    Returns
    -------
    xy : (N, 2) array of float
        Refined centres, never outside the map.

    Raises
    ------
    SettingsError
        A centre lies off the map, or a parameter is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:21, :21]
    >>> plateau = np.where((x - 10.5) ** 2 + (y - 9.5) ** 2 < 12, 6.0, -6.0)
    >>> refine(plateau, [[9, 8]], window_radius=5).round(2).tolist()
    [[10.5, 9.5]]
    """
    image = np.asarray(scores, dtype=np.float64)
    start = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    limit = np.array(image.shape[::-1], dtype=np.float64) - 1
    if weights not in ("probability", "height"):
        raise SettingsError(f"weights must be 'probability' or 'height'. Got {weights!r} instead.")
    if not (math.isfinite(window_radius) and window_radius >= 1):
        raise SettingsError(f"window_radius must be a number >= 1. Got {window_radius!r} instead.")
    if not ((start >= 0) & (start <= limit)).all():
        raise SettingsError("xy must lie on the score map. Got a centre outside it instead.")
    reach = math.ceil(window_radius) + 1
    heights: _Heights
    if weights == "probability":
        field, heights = np.pad(_odds(image), reach), _probabilities
    else:
        field, heights = np.pad(image, reach, constant_values=np.inf), _rises
    centres, moving = start.copy(), np.arange(len(start))
    for _ in range(steps):
        moved = _centroids(field, centres[moving], window_radius, heights)
        moved = np.clip(_at_most(moved - start[moving], window_radius) + start[moving], 0, limit)
        still = np.abs(moved - centres[moving]).max(axis=1) < _STILL
        centres[moving] = moved
        moving = moving[~still]
        if not len(moving):
            break
    return centres


def _centroids(
    field: NDArray[np.float64], centres: NDArray[np.float64], window_radius: float, heights: _Heights
) -> NDArray[np.float64]:
    """Weighted means (N, 2) of the pixels in a disc around each centre, the rim of the disc fading out."""
    side = 2 * (math.ceil(window_radius) + 1) + 1
    step = np.arange(side) - side // 2
    pixel = np.rint(centres).astype(np.intp)
    values = sliding_window_view(field, (side, side))[pixel[:, 1], pixel[:, 0]]
    dx, dy = (step - (centres - pixel)[:, axis, None] for axis in (0, 1))
    distance = np.sqrt(np.square(dy)[:, :, None] + np.square(dx)[:, None, :])
    disc = np.clip(window_radius + 0.5 - distance, 0, 1)
    weight = disc * heights(values, disc > 0)
    total = weight.sum(axis=(1, 2))
    flat = total <= 0
    total[flat] = 1
    shift = np.stack([weight.sum(axis=1) @ step, weight.sum(axis=2) @ step], axis=1) / total[:, None]
    return np.where(flat[:, None], centres, pixel + shift)


def _odds(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(np.clip(image, -_LARGEST, _LARGEST))


def _probabilities(odds: NDArray[np.float64], disc: NDArray[np.bool_]) -> NDArray[np.float64]:
    # Relative to the best score where that is low, so that faint particles keep a weight above rounding.
    best = np.minimum(np.max(odds, axis=(1, 2), where=disc, initial=0), 1)[:, None, None]
    return odds / (odds + np.maximum(best, np.finfo(np.float64).tiny))


def _rises(values: NDArray[np.float64], disc: NDArray[np.bool_]) -> NDArray[np.float64]:
    lowest = np.min(values, axis=(1, 2), where=disc, initial=np.inf)[:, None, None]
    return np.where(np.isinf(values), 0, values - lowest)


def _at_most(shifts: NDArray[np.float64], longest: float) -> NDArray[np.float64]:
    """Shorten the shifts (N, 2) that are longer than `longest`."""
    length = np.hypot(shifts[:, 0], shifts[:, 1])
    scale = longest / np.maximum(length, longest)
    return np.asarray(shifts * scale[:, None])
