"""From a score map to particle centres: greedy non-maximum suppression."""

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
    margin, width, offsets = _disc(image.shape, exclusion_radius)
    # The map gets a margin that is never taken, so that no disc needs clipping.
    values = np.pad(image, [(side, side) for side in margin], constant_values=-np.inf).reshape(-1)
    # The loop below asks for single items, where a bytearray is twice as fast as an array; numpy erases whole discs in
    # the same memory.
    memory = bytearray(len(values))  # last pixel first, see `_keys`
    discarded = np.frombuffer(memory, dtype=np.bool_)
    free = _keys(values, np.flatnonzero(values > threshold))
    taken: list[int] = []
    while len(free):
        last = len(free) - len(free) // _BLOCK if len(free) > _SMALL else 0
        parts = np.partition(free, last)
        for place in _places(np.sort(parts[last:])[::-1]).tolist():
            if not memory[place]:
                taken.append(place)
                discarded[offsets + place] = True
        free = parts[:last]
        free = free[~discarded.take(_places(free))]
    y, x = np.divmod(len(values) - 1 - np.array(taken, dtype=np.intp), max(width, 1))
    return (y - margin[0]) * image.shape[1] + x - margin[1]


def _keys(values: NDArray[np.floating], places: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Turn pixels into one number each: larger for a better score and, among equals, for an earlier pixel.

    Such numbers sort several times as fast as indices by score. Their lower half is the place of the pixel, counted
    from the last one.
    """
    own = values[places]
    if own.dtype == np.float32:
        bits = (own + 0).view(np.int32)  # -0 becomes 0
        # The bits of positive floats are in order as they are, those of negative ones in the opposite order.
        ranks = (bits ^ ((bits >> 31) | np.int32(-(2**31)))).view(np.uint32)
    else:
        ranks = np.unique(own, return_inverse=True)[1]
    keys = ranks.astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= (len(values) - 1 - places).astype(np.uint64)
    return keys


def _places(keys: NDArray[np.uint64]) -> NDArray[np.intp]:
    return (keys & np.uint64(2**32 - 1)).view(np.int64).astype(np.intp, copy=False)


def _disc(shape: tuple[int, ...], exclusion_radius: float) -> tuple[tuple[int, int], int, NDArray[np.intp]]:
    """Return the margin (rows, columns) around the map, the width with it, and the disc as flat offsets."""
    rows, columns = (int(min(exclusion_radius, max(size - 1, 0))) for size in shape)
    width = shape[1] + 2 * columns
    dy, dx = np.mgrid[-rows : rows + 1, -columns : columns + 1]
    inside = dx * dx + dy * dy <= exclusion_radius * exclusion_radius
    return (rows, columns), width, (dy * width + dx)[inside]
