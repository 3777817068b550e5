"""What a network finds where labels are, and whether they lie on particles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from heliodor.evaluation import match

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from heliodor.picking.evidence import Found
    from heliodor.training.tiles import Example

# Standard deviation of the rank of one label among decoys, by chance; and by how many of the difference of two means
# labels must score better elsewhere, so that it is said.
RANK_ERROR, _SURE = 0.29, 3.0

# Where labels xy (N, 2) would be on a micrograph (ny, nx) if, first of all as they are.
_PLACES: dict[str, Callable[[NDArray[np.float64], tuple[int, ...]], NDArray[np.float64]]] = {
    "": lambda xy, _: xy,
    "x and y were swapped": lambda xy, _: xy[:, ::-1],
    "y were counted from the other side": lambda xy, shape: np.stack([xy[:, 0], shape[0] - 1 - xy[:, 1]], axis=1),
    "x were counted from the other side": lambda xy, shape: np.stack([shape[1] - 1 - xy[:, 0], xy[:, 1]], axis=1),
    "they were multiplied by 2": lambda xy, _: 2 * xy,
    "they were multiplied by 4": lambda xy, _: 4 * xy,
}


def label_scores(positives: NDArray[np.float64], found: Found, radius: float) -> NDArray[np.float64]:
    """Return the score of the detection that finds each label of a micrograph (N,); -inf: none does.

    Parameters
    ----------
    positives : (N, 2) array
        Labels, xy.
    found : (xy, scores)
        Detections.
    radius : float
        How far a detection may be from the label that it finds.
    """
    xy, scores = found
    best = np.full(len(positives), -np.inf)
    matched = match(xy, scores, positives, radius)
    best[matched.label[matched.hit]] = scores[matched.hit]
    return best


def ranks(labels: NDArray[np.float64], decoys: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the detections on decoys, best first, that each score of a label beats (N,)."""
    return np.searchsorted(decoys[::-1], labels) / max(len(decoys), 1)


def better_placed(
    examples: Sequence[Example], found: Sequence[Found], decoys: NDArray[np.float64], radius: float
) -> str | None:
    """Say how labels would lie on particles if they do not, and would with other axes or in another scale.

    None: nothing speaks for that.

    Parameters
    ----------
    examples : sequence of Example
        Micrographs with labels.
    found : sequence of (xy, scores)
        Detections on each.
    decoys : (M,) array
        Scores of detections on decoys, best first.
    radius : float
        How far a detection may be from the label that it finds.
    """
    means: dict[str, float] = {}
    count = sum(len(e.positives) for e in examples)
    if not count or not len(decoys):
        return None
    for said, moved in _PLACES.items():
        places = [moved(e.positives, e.pixels.shape) for e in examples]
        scores = [label_scores(xy, f, radius) for xy, f in zip(places, found, strict=True)]
        means[said] = float(ranks(np.concatenate(scores), decoys).mean())
    best = max(means, key=lambda said: means[said])
    return best if means[best] - means[""] > _SURE * math.sqrt(2 / count) * RANK_ERROR else None
