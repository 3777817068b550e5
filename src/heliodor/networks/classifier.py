"""The classifier g(x) = c(f(x)): features f, then a linear score; and the architectures by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch.nn.functional as F
from torch import nn

from heliodor.checks import check_choice, check_least, check_share
from heliodor.errors import SettingsError
from heliodor.networks.layers import Convolution, Layer, MaxPool, Residual

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@dataclass(frozen=True)
class NetworkSettings:
    """What is needed to build a network again: stored beside its weights.

    Parameters
    ----------
    model : str
        A name in `ARCHITECTURES`.
    units : int
        Channels of the first layer.
    unit_scaling : int
        Factor by which channels grow from layer to layer (conv31, conv63, conv127).
    batch_norm : bool
        Whether convolutions are followed by batch normalization.
    dropout : float
        Probability of dropping a unit while training, in [0, 1).
    pooling : {'none', 'max'}
        Whether resnet8 and resnet16 downsample by strides, or by the largest of 3x3.

    Raises
    ------
    SettingsError
        A value out of range, or an unknown name.
    """

    model: str = "conv31"
    units: int = 32
    unit_scaling: int = 2
    batch_norm: bool = True
    dropout: float = 0.0
    pooling: str = "none"

    def __post_init__(self) -> None:
        check_choice("network", self.model, ARCHITECTURES)
        check_least(1, units=self.units, unit_scaling=self.unit_scaling)
        check_share(dropout=self.dropout)
        if self.pooling not in ("none", "max"):
            raise SettingsError(f"pooling must be 'none' or 'max'. Got '{self.pooling}' instead.")
        if self.pooling == "max" and self.model not in ("resnet8", "resnet16"):
            raise SettingsError(f"pooling is for resnet8 and resnet16; {self.model} has its own way to downsample")


def _plain(settings: NetworkSettings, kernels: tuple[int, ...]) -> list[Layer]:
    # Strides 2 everywhere but in the last layer: with kernels 7, 5, 5 the paper's network, 31 pixels.
    layers: list[Layer] = []
    inputs, outputs = 1, settings.units
    for kernel in kernels:
        layers.append(
            Convolution(
                inputs,
                outputs,
                kernel,
                stride=1 if len(layers) == len(kernels) - 1 else 2,
                batch_norm=settings.batch_norm,
                dropout=settings.dropout,
                activation=nn.PReLU(outputs),
            )
        )
        inputs, outputs = outputs, outputs * settings.unit_scaling
    return layers


def _options(settings: NetworkSettings) -> dict[str, Any]:
    return {"batch_norm": settings.batch_norm, "dropout": settings.dropout}


def _resnet6(settings: NetworkSettings) -> list[Layer]:
    u, options = settings.units, _options(settings)
    return [
        Convolution(1, u, 5, activation=nn.ReLU(), **options),
        MaxPool(),
        Residual(u, 2 * u, dilation=4, **options),
        MaxPool(),
        Residual(2 * u, 2 * u, dilation=2, **options),
        Convolution(2 * u, 4 * u, 5, activation=nn.ReLU(), **options),
    ]


def _resnet8(settings: NetworkSettings) -> list[Layer]:
    u, options = settings.units, _options(settings)
    stride, pool = _downsampling(settings)
    return [
        Convolution(1, u, 7, stride=stride, activation=nn.ReLU(), **options),
        *pool,
        Residual(u, u, dilation=2, **options),
        Residual(u, 2 * u, stride=stride, dilation=2, **options),
        *pool,
        Residual(2 * u, 2 * u, dilation=2, **options),
        Convolution(2 * u, 4 * u, 5, activation=nn.ReLU(), **options),
    ]


def _resnet16(settings: NetworkSettings) -> list[Layer]:
    u, options = settings.units, _options(settings)
    stride, pool = _downsampling(settings)
    return [
        Convolution(1, u, 7, activation=nn.ReLU(), **options),
        Residual(u, u, stride=stride, **options),
        *pool,
        *(Residual(u, u, **options) for _ in range(3)),
        Residual(u, 2 * u, stride=stride, **options),
        *pool,
        *(Residual(2 * u, 2 * u, **options) for _ in range(2)),
        Convolution(2 * u, 4 * u, 5, activation=nn.ReLU(), **options),
    ]


def _downsampling(settings: NetworkSettings) -> tuple[int, list[Layer]]:
    """Return the stride of the layers that downsample, and the pooling behind them."""
    return (1, [MaxPool()]) if settings.pooling == "max" else (2, [])


ARCHITECTURES: dict[str, Callable[[NetworkSettings], list[Layer]]] = {
    "conv31": lambda settings: _plain(settings, (7, 5, 5)),
    "conv63": lambda settings: _plain(settings, (7, 5, 5, 5)),
    "conv127": lambda settings: _plain(settings, (7, 5, 5, 5, 5)),
    "resnet6": _resnet6,
    "resnet8": _resnet8,
    "resnet16": _resnet16,
}


class Classifier(nn.Module):
    """Scores windows of a normalized micrograph: log-odds that a particle is centred there.

    Attributes
    ----------
    settings : NetworkSettings
    receptive_field : int
        Side of the square window that one score sees, in pixels (odd); computed from the layers.
    stride : int
        Pixels between neighbouring scores of `forward`.
    latent : int
        Channels of the features.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.layers = nn.ModuleList(ARCHITECTURES[settings.model](settings))
        self.receptive_field, self.stride = 1, 1
        for layer in self._layers():
            self.receptive_field += (layer.span - 1) * self.stride
            self.stride *= layer.stride
        last = cast("Convolution", self.layers[-1])
        self.latent = last.conv.out_channels
        self.head = nn.Conv2d(self.latent, 1, 1)

    def _layers(self) -> list[Layer]:
        return [cast("Layer", layer) for layer in self.layers]

    def features(self, x: Tensor) -> Tensor:
        """f(x): (B, h, w) pixels -> (B, latent, h', w')."""
        x = x[:, None]
        for layer in self._layers():
            x = layer.run(x, 1, False)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Score every `stride`-th window of (B, h, w): (B, (h - receptive_field) // stride + 1, ...)."""
        return cast("Tensor", self.head(self.features(x)))[:, 0]

    def dense(self, x: Tensor, pad: bool = True) -> Tensor:
        """Score the window around every pixel of the zero-padded (B, h, w): (B, h, w).

        Without `pad`, only the windows that lie within `x`: (B, h - receptive_field + 1, ...).
        """
        x = x[:, None]
        if pad:
            x = F.pad(x, [self.receptive_field // 2] * 4)
        spread = 1
        for layer in self._layers():
            x = layer.run(x, spread, True)
            spread *= layer.stride
        return cast("Tensor", self.head(x))[:, 0]


def build(settings: NetworkSettings, **changes: Any) -> Classifier:
    """Build a network with fresh weights (torch's generator decides them)."""
    from dataclasses import replace

    return Classifier(replace(settings, **changes))
