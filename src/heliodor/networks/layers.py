"""Layers that can run in two ways with the same weights: strided, and dense.

Strided, a layer does what torch does. Dense, every stride becomes 1 and the kernel of each later
layer is spread by the product of the strides before it (dilation), so that the network gives one
output per pixel, equal to what the strided network gives for the window centred there.
The spread is an argument of the call, not a state of the layer: a network has no hidden mode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Layer(nn.Module):
    """A layer with a window: it knows its kernel, stride and dilation.

    Attributes
    ----------
    span : int
        Pixels of its input that one output sees: (kernel - 1) * dilation + 1, summed over inner layers.
    stride : int
        Input pixels per output pixel.
    """

    span: int
    stride: int

    def run(self, x: Tensor, spread: int, dense: bool) -> Tensor:
        """Apply the layer to (B, C, h, w), `spread` input pixels lying between neighbours it should see."""
        raise NotImplementedError


class Convolution(Layer):
    """Convolution without padding, then batch norm, activation and dropout, each where asked for."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        batch_norm: bool = True,
        dropout: float = 0.0,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.stride, self.dilation = stride, dilation
        self.span = (kernel - 1) * dilation + 1
        self.conv = nn.Conv2d(inputs, outputs, kernel, bias=not batch_norm)
        self.bn = nn.BatchNorm2d(outputs) if batch_norm else None
        self.act = activation
        self.dropout = nn.Dropout(dropout) if dropout > 0 else None

    def run(self, x: Tensor, spread: int, dense: bool, shortcut: Tensor | None = None) -> Tensor:
        """See `Layer.run`. `shortcut` is added to the convolution, before batch norm."""
        x = F.conv2d(
            x,
            self.conv.weight,
            self.conv.bias,
            stride=1 if dense else self.stride,
            dilation=self.dilation * spread,
        )
        if shortcut is not None:
            x = x + shortcut
        for step in (self.bn, self.act, self.dropout):
            if step is not None:
                x = step(x)
        return x


class Residual(Layer):
    """Two 3x3 convolutions beside a shortcut, which joins before the second batch norm, as Topaz has it.

    The shortcut is cropped, strided and, where the channels change, projected by a 1x1 convolution.
    `dilation` spreads the second convolution only.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        batch_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.stride = stride
        options: dict[str, Any] = {"batch_norm": batch_norm, "dropout": dropout}
        self.first = Convolution(inputs, inputs, 3, activation=nn.ReLU(), **options)
        self.second = Convolution(inputs, outputs, 3, stride=stride, dilation=dilation, activation=nn.ReLU(), **options)
        self.projection = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else None
        self.span = self.first.span + self.second.span - 1

    def run(self, x: Tensor, spread: int, dense: bool) -> Tensor:
        """See `Layer.run`."""
        edge, step = (self.span - 1) // 2 * spread, 1 if dense else self.stride
        kept = x[:, :, edge : x.shape[2] - edge : step, edge : x.shape[3] - edge : step]
        if self.projection is not None:
            kept = self.projection(kept)
        return self.second.run(self.first.run(x, spread, dense), spread, dense, shortcut=kept)


class MaxPool(Layer):
    """The largest of 3x3, stride 2: what Topaz's residual networks have with `--pooling max`, and resnet6."""

    span, stride = 3, 2

    def run(self, x: Tensor, spread: int, dense: bool) -> Tensor:
        """See `Layer.run`."""
        return F.max_pool2d(x, self.span, stride=1 if dense else self.stride, dilation=spread)
