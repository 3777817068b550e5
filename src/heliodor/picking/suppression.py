"""From a score map to particle centres: greedy non-maximum suppression, and refinement below the pixel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_BLOCK = 16
"""Each round sorts the best 1/16 of the pixels still free, so that most pixels are never sorted."""
_SMALL = 4096
"""Below this many free pixels, one sort is faster than another round."""


def non_maximum_suppression(
    scores: ArrayLike, exclusion_radius: float, threshold: float = -math.inf
) -> tuple[NDArray[np.intp], NDArray[np.floating]]:
    """Find centres: take the best pixel, discard all pixels within a radius of it, repeat.

    Parameters
    ----------
    scores : (ny, nx) array of float
        One score per pixel, larger = better. -inf marks a pixel that may not be taken.
    exclusion_radius : float
        Smallest distance between centres, in pixels of `scores`: pixels with
        dx^2 + dy^2 <= exclusion_radius^2 around a centre are discarded. Any number >= 0; 0 keeps every pixel.
    threshold : float, optional
        Only pixels with score > `threshold` are taken. Discarded pixels below it need no work, so that a
        threshold makes it faster and changes nothing above it.

    Returns
    -------
    xy : (N, 2) array of int
        Column and row of each centre, best score first.
    scores : (N,) array of float
        Their scores, in the type of the score map.

    Raises
    ------
    SettingsError
        `scores` is not two-dimensional or holds NaN, or `exclusion_radius` is negative or NaN.

    Notes
    -----
    Exact, at the borders too: a disc ends at the border and never goes on in the next row. Of equal scores the
    first in row-major order wins. The result equals that of the plain loop over all sorted pixels (the twin in
    the tests). It is faster because it sorts in blocks: the best pixels first, by which time their discs have
    discarded most of the others unsorted.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.array([[5.0, 4.0, 0.0, 0.0], [0.0, 0.0, 0.0, 3.0]])
    >>> xy, best = non_maximum_suppression(scores, exclusion_radius=1.5, threshold=0.5)
    >>> xy.tolist(), best.tolist()
    ([[0, 0], [3, 1]], [5.0, 3.0])
    """
    image = np.asarray(scores)
    image = image if np.issubdtype(image.dtype, np.floating) else image.astype(np.float64)
    if image.ndim != 2:
        raise SettingsError(f"scores must be a map (ny, nx). Got an array of shape {image.shape} instead.")
    if not exclusion_radius >= 0:
        raise SettingsError(f"exclusion_radius must be a number >= 0. Got {exclusion_radius!r} instead.")
    if np.isnan(image).any():
        raise SettingsError("scores must be numbers. Got NaN in the score map instead.")
    pixels = _select(image, exclusion_radius, threshold)
    y, x = np.divmod(pixels, max(image.shape[1], 1))
    return np.stack([x, y], axis=1), image.reshape(-1)[pixels]


def _select(image: NDArray[np.floating], exclusion_radius: float, threshold: float) -> NDArray[np.intp]:
    """Return flat indices of the centres, best first."""
    values = image.reshape(-1)
    margin, width, offsets = _disc(image.shape, exclusion_radius)
    # A byte per pixel of the map with a margin, so that no disc needs clipping. The loop below asks it for single
    # items, where a bytearray is twice as fast as an array; numpy erases whole discs in the same memory.
    memory = bytearray((image.shape[0] + 2 * margin[0]) * width)
    discarded = np.frombuffer(memory, dtype=np.bool_)
    free = np.flatnonzero(values > threshold)
    taken: list[int] = []
    while len(free):
        block, rest = _split(values, free)
        order = block[np.argsort(-values[block], kind="stable")]
        places = _with_margin(order, image.shape[1], margin, width)
        for pixel, place in zip(order.tolist(), places.tolist(), strict=True):
            if not memory[place]:
                taken.append(pixel)
                discarded[offsets + place] = True
        free = rest[~discarded[_with_margin(rest, image.shape[1], margin, width)]]
    return np.array(taken, dtype=np.intp)


def _split(values: NDArray[np.floating], free: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split the free pixels into the best ones, all equals of the last included, and the rest."""
    if len(free) <= _SMALL:
        return free, free[:0]
    own = values[free]
    last = len(own) - len(own) // _BLOCK
    best = own >= np.partition(own, last)[last]
    return free[best], free[~best]


def _disc(shape: tuple[int, ...], exclusion_radius: float) -> tuple[tuple[int, int], int, NDArray[np.intp]]:
    """Return the margin (rows, columns) around the map, the width with it, and the disc as flat offsets."""
    rows, columns = (int(min(exclusion_radius, max(size - 1, 0))) for size in shape)
    width = shape[1] + 2 * columns
    dy, dx = np.mgrid[-rows : rows + 1, -columns : columns + 1]
    inside = dx * dx + dy * dy <= exclusion_radius * exclusion_radius
    return (rows, columns), width, (dy * width + dx)[inside]


def _with_margin(pixels: NDArray[np.intp], columns: int, margin: tuple[int, int], width: int) -> NDArray[np.intp]:
    """Flat indices in the map with its margin, from those in the map itself."""
    y, x = np.divmod(pixels, columns)
    return (y + margin[0]) * width + x + margin[1]


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
    centres = start
    for _ in range(steps):
        moved = _centroids(image, centres, window_radius, weights)
        moved = np.clip(_at_most(moved - start, window_radius) + start, 0, limit)
        still = bool(np.all(np.abs(moved - centres) < 1e-3))
        centres = moved
        if still:
            break
    return centres


def _centroids(
    image: NDArray[np.float64], centres: NDArray[np.float64], window_radius: float, weights: str
) -> NDArray[np.float64]:
    """Weighted means (N, 2) of the pixels in a disc around each centre, the rim of the disc fading out."""
    reach = math.ceil(window_radius) + 1
    dy, dx = (d.reshape(-1) for d in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    x = np.rint(centres[:, 0]).astype(np.intp)[:, None] + dx
    y = np.rint(centres[:, 1]).astype(np.intp)[:, None] + dy
    inside = (x >= 0) & (x < image.shape[1]) & (y >= 0) & (y < image.shape[0])
    values = image[np.where(inside, y, 0), np.where(inside, x, 0)]
    distance = np.hypot(x - centres[:, :1], y - centres[:, 1:])
    disc = np.clip(window_radius + 0.5 - distance, 0, 1) * inside
    if weights == "probability":
        # Relative to the best score where that is low, so that faint particles keep a weight above rounding.
        offset = np.minimum(np.max(np.where(disc > 0, values, -np.inf), axis=1, keepdims=True), 0)
        height = 1 / (1 + np.exp(np.minimum(offset - values, 500)))
    else:
        height = values - np.min(np.where(disc > 0, values, np.inf), axis=1, keepdims=True)
    weight = disc * height
    total = weight.sum(axis=1)
    flat = total <= 0
    total[flat] = 1
    mean = np.stack([(weight * x).sum(axis=1), (weight * y).sum(axis=1)], axis=1) / total[:, None]
    mean[flat] = centres[flat]
    return mean


def _at_most(shifts: NDArray[np.float64], longest: float) -> NDArray[np.float64]:
    """Shorten the shifts (N, 2) that are longer than `longest`."""
    length = np.hypot(shifts[:, 0], shifts[:, 1])
    scale = longest / np.maximum(length, longest)
    return np.asarray(shifts * scale[:, None])
