"""Training of denoisers from pairs of exposures of the same place, noise against noise (Lehtinen et al. 2018).

The halves of a pair share the specimen and not the noise, so the best guess of one from the other is the specimen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from heliodor.denoise.networks import Denoiser, DenoiserSettings
from heliodor.errors import SettingsError
from heliodor.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[np.float32]

OPTIMIZERS = {"adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
CRITERIA = {"L2": F.mse_loss, "L1": F.l1_loss}


@dataclass(frozen=True)
class DenoiseTraining:
    """How a denoiser is trained.

    Parameters
    ----------
    network : DenoiserSettings
    optimizer : {'adagrad', 'adam', 'sgd'}
    criterion : {'L2', 'L1'}
    learning_rate : float
    crop : int
        Side of the squares that are trained on, in pixels; no more than the images have is taken.
    batch : int
        Squares in a minibatch.
    epochs : int
        Times that each pair is used, with another square each time.
    held_out : float
        Fraction of the pairs to validate on, in [0, 1).
    seed : int
        Same seed, same result.

    Raises
    ------
    SettingsError
        A value out of range.
    """

    network: DenoiserSettings = field(default_factory=DenoiserSettings)
    optimizer: str = "adagrad"
    criterion: str = "L2"
    learning_rate: float = 0.001
    crop: int = 800
    batch: int = 4
    epochs: int = 100
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("criterion", self.criterion, CRITERIA),
        ):
            if value not in known:
                raise SettingsError(f"there is no {name} '{value}'; choose from {', '.join(known)}")
        if min(self.crop, self.batch, self.epochs) < 1 or self.learning_rate <= 0:
            raise SettingsError("crop, batch, epochs and the learning rate must be above 0")
        if not 0 <= self.held_out < 1:
            raise SettingsError(f"the fraction held out must be in [0, 1). Got {self.held_out} instead.")


class Epoch(NamedTuple):
    """Number, mean losses (validation: nan without held-out pairs), and the network as it is then."""

    number: int
    train_loss: float
    validation_loss: float
    network: Denoiser


def train_denoiser(
    read: Sequence[Callable[[], tuple[Array, Array]]],
    settings: DenoiseTraining,
    device: torch.device,
    reporter: Reporter = SILENT,
) -> Iterator[Epoch]:
    """Train on pairs of images; yield after every epoch.

    Parameters
    ----------
    read : sequence of callable
        Each returns the two images of a pair, of the same shape, in any unit.
    settings : DenoiseTraining
    device : torch.device
    reporter : Reporter

    Raises
    ------
    SettingsError
        There is no pair to train on.
    """
    order = np.random.default_rng(settings.seed).permutation(len(read))
    count = int(len(read) * settings.held_out)
    held, kept = [read[k] for k in order[:count]], [read[k] for k in order[count:]]
    if not kept:
        raise SettingsError("there is no pair to train on; give more pairs, or hold out fewer")
    torch.manual_seed(settings.seed)
    network = Denoiser(settings.network).to(device)
    optimizer = OPTIMIZERS[settings.optimizer](network.parameters(), lr=settings.learning_rate)
    for epoch in range(1, settings.epochs + 1):
        rng = np.random.default_rng([settings.seed, epoch])
        network.train()
        losses = []
        batches = _batches([kept[k] for k in rng.permutation(len(kept))], settings, rng)
        for one, other in reporter.track(batches, -(-len(kept) // settings.batch), f"epoch {epoch}"):
            loss = _loss(network, one.to(device), other.to(device), settings)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        network.eval()
        yield Epoch(epoch, float(np.mean(losses)), _validate(network, held, settings, device), network)


def _loss(network: Denoiser, one: Tensor, other: Tensor, settings: DenoiseTraining) -> Tensor:
    """Each half predicts the other."""
    criterion = CRITERIA[settings.criterion]
    return (criterion(network(one), other) + criterion(network(other), one)) / 2


def _validate(
    network: Denoiser,
    held: Sequence[Callable[[], tuple[Array, Array]]],
    settings: DenoiseTraining,
    device: torch.device,
) -> float:
    """Return the mean loss on squares that are the same after every epoch."""
    rng = np.random.default_rng([settings.seed, 0])
    with torch.no_grad():
        losses = [
            float(_loss(network, one.to(device), other.to(device), settings))
            for one, other in _batches(held, settings, rng)
        ]
    return float(np.mean(losses)) if losses else float("nan")


def _batches(
    read: Sequence[Callable[[], tuple[Array, Array]]], settings: DenoiseTraining, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield squares (B, 1, crop, crop) from the same place of both halves, turned and mirrored alike.

    Images smaller than a square of full size lessen those of their minibatch.
    """
    for start in range(0, len(read), settings.batch):
        pairs = [[_normalized(image) for image in pair()] for pair in read[start : start + settings.batch]]
        side = min(settings.crop, *(size for pair in pairs for size in pair[0].shape))
        squares = []
        for pair in pairs:
            y, x = (int(rng.integers(size - side + 1)) for size in pair[0].shape)
            turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
            cut = [np.rot90(image[y : y + side, x : x + side], turns) for image in pair]
            squares.append(np.stack([image[:, ::-1] if mirrored else image for image in cut]))
        batch = torch.from_numpy(np.stack(squares))
        yield batch[:, :1], batch[:, 1:]


def _normalized(image: Array) -> Array:
    deviation = float(image.std(dtype=np.float64)) or 1.0
    return ((image - image.mean(dtype=np.float64)) / deviation).astype(np.float32)
