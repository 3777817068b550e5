"""Non-maximum suppression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def non_maximum_suppression(
    x: ArrayLike, r: float, threshold: float = float("-inf")
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return scores (N,), best first, and coordinates xy (N, 2) of the local maxima of a score map."""
    import heliodor

    xy, scores = heliodor.non_maximum_suppression(x, r, threshold)
    return scores, xy
