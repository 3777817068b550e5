"""Apply denoisers to an image, in pieces that do not show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from heliodor.denoise.networks import Denoiser


def denoise(
    pixels: NDArray[np.floating],
    networks: Sequence[Denoiser],
    *,
    normalize: bool = False,
    tile: int = 1024,
    padding: int = 0,
) -> NDArray[np.float32]:
    """Denoise an image; the results of several networks are averaged.

    Parameters
    ----------
    pixels : (ny, nx) array
        In any unit.
    networks : sequence of Denoiser
        In evaluation mode, on one device. None at all: the image stays as it is.
    normalize : bool
        Return a result of mean 0 and standard deviation 1, instead of one in the unit of the input.
    tile : int
        Side of the pieces, in pixels, which bounds the memory; below 1: the whole image at once.
    padding : int
        Surroundings that a piece is denoised with. No less than a network's reach is taken, so that pieces do
        not show in the result.

    Returns
    -------
    (ny, nx) float32 array
    """
    mean, deviation = float(pixels.mean(dtype=np.float64)), float(pixels.std(dtype=np.float64))
    if deviation == 0:
        return np.zeros(pixels.shape, np.float32) if normalize else pixels.astype(np.float32)
    normalized = ((pixels - mean) / deviation).astype(np.float32)
    result = np.zeros(pixels.shape, np.float32) if networks else normalized
    for network in networks:
        result += _tiled(network, normalized, tile, padding) / np.float32(len(networks))
    if normalize:
        spread = float(result.std(dtype=np.float64)) or 1.0
        return ((result - result.mean(dtype=np.float64)) / spread).astype(np.float32)
    return (result * deviation + mean).astype(np.float32)


def _tiled(network: Denoiser, pixels: NDArray[np.float32], tile: int, padding: int) -> NDArray[np.float32]:
    device = next(network.parameters()).device
    rows, columns = pixels.shape
    step = network.step
    if tile < 1:
        tile = max(rows, columns)
    tile, halo = -(-tile // step) * step, -(-max(padding, network.reach) // step) * step
    result = np.empty_like(pixels)
    with torch.inference_mode():
        for y in range(0, rows, tile):
            for x in range(0, columns, tile):
                top, left = max(0, y - halo), max(0, x - halo)
                piece = pixels[top : y + tile + halo, left : x + tile + halo]
                window = torch.from_numpy(np.ascontiguousarray(piece))[None, None].to(device)
                done = network(window)[0, 0].cpu().numpy()
                result[y : y + tile, x : x + tile] = done[y - top : y - top + tile, x - left : x - left + tile]
    return result
