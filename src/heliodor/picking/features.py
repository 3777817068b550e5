"""What the network sees in a window: a vector by which windows can be told alike or unlike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import MicrographError
from heliodor.picking.windows import windows_around

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from heliodor.names import MicrographFile
    from heliodor.networks import Classifier
    from heliodor.picking.load import Loader

_BATCH = 256  # windows at once: bounds the memory


def window_features(network: Classifier, pixels: NDArray[np.float32], xy: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the features f(x) that the network's score is a linear function of.

    Parameters
    ----------
    network : Classifier
        In evaluation mode.
    pixels : (ny, nx) float32 array
        A micrograph as the network sees it, downsampled and normalized.
    xy : (N, 2) array
        Centres in its pixels. Outside of it the micrograph goes on with 0, the mean of empty ice.

    Returns
    -------
    (N, latent) float32 array
    """
    import torch

    windows, y, x = windows_around(pixels, xy, network.receptive_field // 2)
    device = next(network.parameters()).device
    parts = [np.empty((0, network.latent), dtype=np.float32)]
    with torch.inference_mode():
        for start in range(0, len(x), _BATCH):
            cut = np.ascontiguousarray(windows[y[start : start + _BATCH], x[start : start + _BATCH]])
            parts.append(network.features(torch.from_numpy(cut).to(device))[:, :, 0, 0].float().cpu().numpy())
    return np.concatenate(parts)


@dataclass(frozen=True)
class FeatureReader:
    """Reads a micrograph and returns the features of windows on it; what `propose` takes as `features`.

    Parameters
    ----------
    network : Classifier
    load : Loader
        Of that network.
    files : sequence of MicrographFile
    """

    network: Classifier
    load: Loader
    files: Sequence[MicrographFile]

    def __call__(self, name: str, xy: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return (N, latent) features at the centres `xy` (N, 2), full-size pixels, of the micrograph `name`.

        Raises
        ------
        MicrographError
            The micrograph is none of the files, cannot be read, or has not the pixel size that the network wants.
        """
        file = next((file for file in self.files if file.name == name), None)
        if file is None:
            raise MicrographError(
                f"there is no micrograph {name} among those given; give all that have picks or labels"
            )
        small, scale = self.load(file)
        return window_features(self.network, small.seen, np.asarray(xy, dtype=np.float64) / scale)
