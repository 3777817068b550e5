"""Loading networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from heliodor import Classifier


class Model(nn.Module):
    """A classifier as Topaz's code calls it: (B, 1, h, w) in, (B, 1, h', w') out.

    Attributes
    ----------
    network : heliodor.Classifier
    width : int
        Receptive field, in pixels.
    filled : bool
        After `fill`, it gives one score per pixel, of the zero-padded input.
    """

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network, self.filled = network, False

    @property
    def width(self) -> int:
        """Receptive field, in pixels."""
        return self.network.receptive_field

    def fill(self, stride: int = 1) -> int:
        """Give one score per pixel from now on; return the stride that this takes the place of."""
        self.filled = True
        return self.network.stride * stride

    def unfill(self) -> None:
        """Give one score per `stride` pixels again."""
        self.filled = False

    def forward(self, x: Tensor) -> Tensor:
        """Score windows of images."""
        run = self.network.dense if self.filled else self.network
        return torch.unsqueeze(run(x[:, 0]), 1)


def load_model(path: str, *_: Any, **__: Any) -> Model:
    """Load a network by its name (resnet8, resnet16, ... of an installed topaz-em) or from a file, for evaluation.

    Raises
    ------
    heliodor.errors.WeightsError
        There is no such model.
    """
    from heliodor import load_network

    return Model(load_network(path)[0]).eval()
