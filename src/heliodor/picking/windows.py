"""Windows of a micrograph around places, as networks see them: beyond the border there is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def windows_around(
    pixels: NDArray[np.float32], xy: ArrayLike, half: int
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp]]:
    """Find the windows around the pixels that are nearest to places, as indices: copies are the caller's.

    Parameters
    ----------
    pixels : (ny, nx) float32 array
    xy : (N, 2) array_like
        Places off the micrograph are moved to its border, as some labels are.
    half : int
        Pixels to each side of the middle one.

    Returns
    -------
    windows : (ny, nx, 2 half + 1, 2 half + 1) float32 array
        A view: the window around each pixel, zero beyond the border.
    rows, columns : (N,) arrays
        `windows[rows, columns]` are those around the places.
    """
    limit = np.array(pixels.shape[::-1]) - 1
    x, y = np.clip(np.rint(np.asarray(xy, dtype=np.float64).reshape(-1, 2)), 0, limit).astype(np.intp).T
    return sliding_window_view(np.pad(pixels, half), (2 * half + 1,) * 2), y, x
