"""Dense scoring: one score per pixel, in tiles, as if the classifier slid over the zero-padded micrograph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from heliodor.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heliodor.networks import Classifier


def score_map(network: Classifier, pixels: NDArray[np.float32], *, tile: int = 512) -> NDArray[np.float32]:
    """Score every pixel of a normalized micrograph.

    Parameters
    ----------
    network : Classifier
        In evaluation mode; the work is done on its device.
    pixels : (ny, nx) float32 array
    tile : int
        Side of the pieces, in pixels. It bounds the memory and does not show in the result: each
        piece is scored with half a receptive field of its surroundings.

    Returns
    -------
    (ny, nx) float32 array
        Log-odds.
    """
    if tile < 1:
        raise SettingsError(f"The 'tile' parameter of score_map must be 1 or more. Got {tile} instead.")
    device = next(network.parameters()).device
    halo, (rows, columns) = network.receptive_field // 2, pixels.shape
    padded = np.pad(pixels, halo)
    scores = np.empty(pixels.shape, dtype=np.float32)
    with torch.inference_mode():
        for y in range(0, rows, tile):
            for x in range(0, columns, tile):
                piece = padded[y : y + tile + 2 * halo, x : x + tile + 2 * halo]
                window = torch.from_numpy(np.ascontiguousarray(piece))[None].to(device)
                scores[y : y + tile, x : x + tile] = network.dense(window, pad=False)[0].cpu().numpy()
    return scores
