"""Dense scoring: one score per pixel, in tiles, as if the classifier slid over the zero-padded micrograph."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, cast

import numpy as np

from heliodor.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from heliodor.networks import Classifier
    from heliodor.networks.scorers import Scorer


def score_map(
    network: Classifier | Scorer, pixels: NDArray[np.float32], *, tile: int | None = None
) -> NDArray[np.float32]:
    """Score every pixel of a normalized micrograph.

    Parameters
    ----------
    network : Classifier or Scorer
        A classifier is in evaluation mode, and scores in float32 on its own device.
    pixels : (ny, nx) float32 array
    tile : int
        Side of the pieces, in pixels. It bounds the memory and does not show in the result: each
        piece is scored with half a receptive field of its surroundings. Default: what suits the scorer.

    Returns
    -------
    (ny, nx) float32 array
        Log-odds.
    """
    if hasattr(network, "dense"):
        from heliodor.networks.scorers import TorchScorer

        network = TorchScorer(cast("Classifier", network))
    return score_maps(network, [pixels], tile=tile)[0]


def score_maps(
    scorer: Scorer, images: Sequence[NDArray[np.float32]], *, tile: int | None = None
) -> list[NDArray[np.float32]]:
    """Score several micrographs, pieces of one shape together where the scorer wants that; see `score_map`."""
    if tile is None:
        tile = scorer.tile
    if tile < 1:
        raise SettingsError(f"The 'tile' parameter of score_map must be 1 or more. Got {tile} instead.")
    side = tile + scorer.receptive_field - 1
    padded = [np.pad(image, scorer.receptive_field // 2) for image in images]
    maps = [np.empty(image.shape, dtype=np.float32) for image in images]
    places: dict[tuple[int, ...], list[tuple[int, int, int]]] = defaultdict(list)
    for which, image in enumerate(images):
        for y in range(0, image.shape[0], tile):
            for x in range(0, image.shape[1], tile):
                places[maps[which][y : y + tile, x : x + tile].shape].append((which, y, x))
    for alike in places.values():
        for start in range(0, len(alike), scorer.batch):
            batch = alike[start : start + scorer.batch]
            scores = scorer(np.stack([padded[which][y : y + side, x : x + side] for which, y, x in batch]))
            for (which, y, x), piece in zip(batch, scores, strict=True):
                maps[which][y : y + tile, x : x + tile] = piece
    return maps
