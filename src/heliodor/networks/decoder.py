"""The decoder d of the hybrid classifier + autoencoder (paper, Online Methods; METHOD 4)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Decoder(nn.Module):
    """DCGAN-style decoder: the features of one window, (B, latent), back to its pixels.

    Transposed convolutions 4x4 (4 * units), 4x4 stride 2 (2 * units), 4x4 stride 2 (units), 3x3 stride 2 (1),
    batch norm and leaky ReLU between them. Further 4x4 stride-2 stages are put in front until the
    output covers the receptive field; its centre is cut out.

    Parameters
    ----------
    latent : int
        Channels of the classifier's features.
    receptive_field : int
        Side of the window to reconstruct, in pixels.
    units : int
        Channels of the last hidden layer (the paper: 32).
    """

    def __init__(self, latent: int, receptive_field: int, units: int = 32) -> None:
        super().__init__()
        self.receptive_field = receptive_field
        doublings = 2
        # 4 after the first layer, doubled by each middle stage, then 2n + 1 after the last.
        while 2 * 4 * 2**doublings - 1 < receptive_field:
            doublings += 1
        channels = [units * 2**k for k in range(doublings, -1, -1)]
        stages: list[nn.Module] = [nn.ConvTranspose2d(latent, channels[0], 4)]
        for inputs, outputs in pairwise(channels):
            stages += [
                nn.BatchNorm2d(inputs),
                nn.LeakyReLU(0.2),
                nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1),
            ]
        stages += [
            nn.BatchNorm2d(channels[-1]),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(channels[-1], 1, 3, stride=2, padding=1),
        ]
        self.stages = nn.Sequential(*stages)

    def forward(self, features: Tensor) -> Tensor:
        """(B, latent) -> (B, receptive_field, receptive_field)."""
        x = self.stages(features[:, :, None, None])[:, 0]
        edge = (x.shape[-1] - self.receptive_field) // 2
        side = self.receptive_field
        return x[:, edge : edge + side, edge : edge + side]
