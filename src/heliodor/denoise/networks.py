"""Networks that denoise: the U-Nets, the plain network and the linear filter of Topaz-Denoise (Bepler et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from heliodor.checks import check_choice, check_least
from heliodor.errors import SettingsError

if TYPE_CHECKING:
    from torch import Tensor


class Architecture(NamedTuple):
    """What tells one architecture from another.

    Attributes
    ----------
    depth : int
        Times that the resolution is halved.
    kernel, features, last_kernel : int
        Side of the first kernel, channels, side of the last kernels.
    skips : int
        Halvings of the finest level that is handed across; 0: the image itself is.
    residual : bool
        The network draws the noise, which is taken away from the image.
    """

    depth: int
    kernel: int
    features: int
    last_kernel: int
    skips: int = 0
    residual: bool = False


ARCHITECTURES = {
    "unet": Architecture(5, 11, 48, 5),
    "unet-small": Architecture(3, 11, 48, 5),
    "unet2": Architecture(5, 7, 48, 3, skips=2),
    "unet3": Architecture(5, 7, 48, 3, residual=True),
    "fcnn": Architecture(0, 11, 64, 11),
    "affine": Architecture(0, 31, 1, 31),
}


@dataclass(frozen=True)
class DenoiserSettings:
    """What is needed to build a denoiser again: stored beside its weights.

    Parameters
    ----------
    arch : str
        A name in `ARCHITECTURES`.
    kernel : int or None
        Side of the first kernel (odd); None: the architecture's own.
    features : int or None
        Channels of the first layer; None: the architecture's own.
    last_kernel : int or None
        Side of the last kernels (odd), in a U-Net; None: the architecture's own.

    Raises
    ------
    SettingsError
        An unknown name, or numbers that cannot be.
    """

    arch: str = "unet"
    kernel: int | None = None
    features: int | None = None
    last_kernel: int | None = None

    def __post_init__(self) -> None:
        check_choice("denoiser", self.arch, ARCHITECTURES)
        for side in (self.kernel, self.last_kernel):
            if side is not None and (side < 1 or side % 2 == 0):
                raise SettingsError(f"the side of a kernel must be odd. Got {side} instead.")
        if self.features is not None:
            check_least(1, features=self.features)


class Denoiser(nn.Module):
    """A network from normalized pixels (B, 1, h, w) to denoised ones of the same shape.

    Its parts have the names that they have in Topaz's files.

    Attributes
    ----------
    settings : DenoiserSettings
    reach : int
        A pixel of the result depends on pixels no farther away than this.
    step : int
        A piece of an image is denoised as within the whole if it begins at a multiple of this.
    """

    def __init__(self, settings: DenoiserSettings) -> None:
        super().__init__()
        self.settings = settings
        self.architecture = arch = ARCHITECTURES[settings.arch]
        kernel, features = settings.kernel or arch.kernel, settings.features or arch.features
        self.step = 2**arch.depth
        if settings.arch == "affine":
            self.filter = _conv(1, 1, kernel)
            self.reach = kernel // 2
        elif settings.arch == "fcnn":
            widths = [(1, features), (features, features), (features, 1)]
            layers = [layer for i, o in widths for layer in (_conv(i, o, kernel), nn.LeakyReLU(0.1))]
            self.net = nn.Sequential(*layers[:-1])
            self.reach = 3 * (kernel // 2)
        else:
            self._make_unet(kernel, features, settings.last_kernel or arch.last_kernel)

    def _make_unet(self, kernel: int, n: int, last: int) -> None:
        depth, skips = self.architecture.depth, self.architecture.skips
        for level in range(1, depth + 2):
            width, inputs = (kernel, 1) if level == 1 else (3, n)
            self.add_module(f"enc{level}", nn.Sequential(_conv(inputs, n, width), nn.LeakyReLU(0.1)))
        for level in range(depth, 1, -1):
            inputs = 2 * n if level == depth or level <= skips else 3 * n
            self.add_module(
                f"dec{level}",
                nn.Sequential(_conv(inputs, 2 * n, 3), nn.LeakyReLU(0.1), _conv(2 * n, 2 * n, 3), nn.LeakyReLU(0.1)),
            )
        # the last stage narrows from 4/3 and 2/3 of n, which is 64 and 32 in the published ones, to the one result
        wide, narrow = max(1, 4 * n // 3), max(1, 2 * n // 3)
        self.dec1 = nn.Sequential(
            *(_conv(2 * n + (skips == 0), wide, last), nn.LeakyReLU(0.1), _conv(wide, narrow, last), nn.LeakyReLU(0.1)),
            _conv(narrow, 1, last),
        )
        down = kernel // 2 + sum(2**level for level in range(1, depth + 1))
        up = 3 * (last // 2) + sum(2 * 2**level for level in range(1, depth))
        self.reach = down + up + 2 * self.step  # where halving and doubling place a pixel

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, h, w) -> (B, 1, h, w)."""
        if self.settings.arch == "affine":
            return torch.as_tensor(self.filter(x))
        if self.settings.arch == "fcnn":
            return torch.as_tensor(self.net(x))
        kept, y = [x], x
        for level in range(1, self.architecture.depth + 1):
            y = F.max_pool2d(self.get_submodule(f"enc{level}")(y), 2)
            kept.append(y)
        y = self.get_submodule(f"enc{self.architecture.depth + 1}")(kept.pop())
        for level in range(self.architecture.depth, 0, -1):
            skip = kept.pop()
            y = _double(y, skip.shape[2], skip.shape[3])
            y = torch.cat([y, skip], dim=1) if level > self.architecture.skips else y
            y = self.get_submodule(f"dec{level}")(y)
        return x - y if self.architecture.residual else y


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def _double(x: Tensor, rows: int, columns: int) -> Tensor:
    """Repeat each pixel 2x2; where halving dropped an odd last row or column, repeat the last once more."""
    y = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    return F.pad(y, (0, columns - y.shape[3], 0, rows - y.shape[2]), mode="replicate")
