"""Training of denoisers without a clean image.

noise2noise (Lehtinen et al. 2018): the halves of an exposure share the specimen and not the noise, so the best guess of
one from the other is the specimen. masked (Noise2Self, Batson and Royer 2019): a few pixels are replaced by noise, and
the best guess of what they were, from their surroundings, is what is not noise of single pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from heliodor.checks import check_choice, check_least, check_share
from heliodor.denoise.filters import cut_pixels
from heliodor.denoise.networks import Denoiser, DenoiserSettings
from heliodor.errors import SettingsError
from heliodor.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from heliodor.denoise.images import Images

    Array = NDArray[np.float32]

METHODS = ("noise2noise", "masked")
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}
CRITERIA = ("L2", "L1", "L0")
MASKED = 0.01  # of the pixels, in 'masked', as in Topaz
_LEAST = 1e-8  # L0: of a difference, whose power would have no gradient at 0


@dataclass(frozen=True)
class DenoiseTraining:
    """How a denoiser is trained.

    Parameters
    ----------
    network : DenoiserSettings
    method : {'noise2noise', 'masked'}
        'masked' takes single images, and halves as two of them.
    optimizer : {'adagrad', 'adam', 'sgd'}
    criterion : {'L2', 'L1', 'L0'}
        Which centre of the noise is sought: mean, median, or, with a power that falls from 2 towards 0 over the
        epochs, mode.
    learning_rate : float
    crop : int
        Side of the squares that are trained on, in pixels; no more than the images have is taken.
    batch : int
        Squares in a minibatch.
    epochs : int
        Times that each pair is used, with another square each time.
    held_out : float
        Fraction of the pairs to validate on, in [0, 1).
    pixel_cutoff : float
        Pixels this many standard deviations off the mean are set to it; 0: none.
    seed : int
        Same seed, same result.

    Raises
    ------
    SettingsError
        A value out of range.
    """

    network: DenoiserSettings = field(default_factory=DenoiserSettings)
    method: str = "noise2noise"
    optimizer: str = "adagrad"
    criterion: str = "L2"
    learning_rate: float = 0.001
    crop: int = 800
    batch: int = 4
    epochs: int = 100
    held_out: float = 0.1
    pixel_cutoff: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("criterion", self.criterion, CRITERIA)
        check_least(1, crop=self.crop, batch=self.batch, epochs=self.epochs)
        check_share(held_out=self.held_out)
        if not self.learning_rate > 0:
            raise SettingsError(f"the learning rate must be above 0. Got {self.learning_rate} instead.")


class Epoch(NamedTuple):
    """Number, mean losses (validation: nan without held-out pairs), and the network as it is then."""

    number: int
    train_loss: float
    validation_loss: float
    network: Denoiser


class Batch(NamedTuple):
    """Squares that a network is given and squares that it should return, (B, 1, side, side), and which pixels count."""

    inputs: Tensor
    targets: Tensor
    counted: Tensor | None


def train_denoiser(
    images: Sequence[Images],
    settings: DenoiseTraining,
    device: torch.device,
    reporter: Reporter = SILENT,
) -> Iterator[Epoch]:
    """Train; yield after every epoch.

    Parameters
    ----------
    images : sequence of callable
        Each reads a pair of images, or one, in any unit; see `heliodor.denoise.images`.
    settings : DenoiseTraining
    device : torch.device
    reporter : Reporter

    Raises
    ------
    SettingsError
        There is nothing to train on.
    """
    order = np.random.default_rng(settings.seed).permutation(len(images))
    count = int(len(images) * settings.held_out)
    held, kept = [images[k] for k in order[:count]], [images[k] for k in order[count:]]
    if not kept:
        raise SettingsError("there is nothing to train on; give more images, or hold out fewer")
    reporter.note(f"training on {len(kept)}, validating on {len(held)}")
    torch.manual_seed(settings.seed)
    network = Denoiser(settings.network).to(device)
    optimizer = OPTIMIZERS[settings.optimizer](network.parameters(), lr=settings.learning_rate)
    for epoch in range(1, settings.epochs + 1):
        rng = np.random.default_rng([settings.seed, epoch])
        distance = _distance(settings.criterion, (epoch - 1) / settings.epochs)
        network.train()
        losses = []
        batches = _batches([kept[k] for k in rng.permutation(len(kept))], settings, rng)
        for batch in reporter.track(batches, -(-len(kept) // settings.batch), f"epoch {epoch}"):
            loss = _loss(network, batch, distance, device)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        network.eval()
        with torch.no_grad():  # on squares that are the same after every epoch
            again = _batches(held, settings, np.random.default_rng([settings.seed, 0]))
            validation = [float(_loss(network, batch, distance, device)) for batch in again]
        yield Epoch(epoch, float(np.mean(losses)), float(np.mean(validation)) if held else float("nan"), network)


def _distance(criterion: str, progress: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what is minimized, when this fraction of the epochs is over."""
    if criterion == "L0":
        power = 2 * (1 - progress)
        return lambda x, y: ((x - y).abs() + _LEAST).pow(power).mean()
    return F.mse_loss if criterion == "L2" else F.l1_loss


def _loss(
    network: Denoiser, batch: Batch, distance: Callable[[Tensor, Tensor], Tensor], device: torch.device
) -> Tensor:
    found, wanted = network(batch.inputs.to(device)), batch.targets.to(device)
    if batch.counted is None:
        return distance(found, wanted)
    counted = batch.counted.to(device)
    return distance(found[counted], wanted[counted])


def _batches(images: Sequence[Images], settings: DenoiseTraining, rng: np.random.Generator) -> Iterator[Batch]:
    for start in range(0, len(images), settings.batch):
        squares = _squares([read() for read in images[start : start + settings.batch]], settings, rng)
        if settings.method == "masked":
            yield _masked(torch.from_numpy(squares.reshape(-1, 1, *squares.shape[2:])), rng)
        else:
            one, other = torch.from_numpy(squares[:, :1]), torch.from_numpy(squares[:, 1:])
            yield Batch(torch.cat([one, other]), torch.cat([other, one]), None)


def _squares(groups: Sequence[Sequence[Array]], settings: DenoiseTraining, rng: np.random.Generator) -> Array:
    """Cut squares (B, images of a group, side, side) from the same place of a group, turned and mirrored alike.

    Images smaller than a square of full size lessen those of their minibatch.
    """
    side = min(settings.crop, *(size for group in groups for size in group[0].shape))
    squares = []
    for group in groups:
        y, x = (int(rng.integers(size - side + 1)) for size in group[0].shape)
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        whole = [cut_pixels(_normalized(image), settings.pixel_cutoff) for image in group]
        cut = [np.rot90(image[y : y + side, x : x + side], turns) for image in whole]
        squares.append(np.stack([image[:, ::-1] if mirrored else image for image in cut]))
    return np.stack(squares)


def _masked(squares: Tensor, rng: np.random.Generator) -> Batch:
    """Replace a few pixels by noise as strong as the image."""
    hidden = torch.from_numpy(rng.random(squares.shape, dtype=np.float32) < MASKED)
    hidden[0, 0, 0, 0] |= not bool(hidden.any())  # a loss of no pixel is no number
    noise = torch.from_numpy(rng.standard_normal(squares.shape, dtype=np.float32))
    return Batch(torch.where(hidden, noise, squares), squares, hidden)


def _normalized(image: Array) -> Array:
    deviation = float(image.std(dtype=np.float64)) or 1.0
    return ((image - image.mean(dtype=np.float64)) / deviation).astype(np.float32)
