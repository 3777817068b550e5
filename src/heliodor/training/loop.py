"""The training loop: minibatches of tiles, an objective, AdamW on a one-cycle schedule, averaged weights."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from heliodor.devices import autocast, devices_of
from heliodor.errors import WeightsError
from heliodor.files import write_bytes
from heliodor.networks import Classifier, Decoder
from heliodor.networks.weights import weights_digest
from heliodor.progress import SILENT, Reporter
from heliodor.record import differences
from heliodor.training.objectives import OBJECTIVES, POSITIVE, UNLABELED, Loss
from heliodor.training.settings import TrainingSettings
from heliodor.training.tiles import Batch, Example, TileSampler

if TYPE_CHECKING:
    from collections.abc import Sequence


class Trainer:
    """One network in training: its weights, their running average, the optimizer, and how far it is.

    Parameters
    ----------
    examples : sequence of Example
        Labelled micrographs, downsampled and normalized.
    settings : TrainingSettings
    device : str
        See `heliodor.devices.devices_of`; the first of several.
    start : Classifier, optional
        Network of the same kind whose weights are the first ones; its batch-norm statistics stay, since one
        data set's own would undo what many taught it (dev/LOG.md). Default: weights drawn from the seed.

    Raises
    ------
    LabelError
        No label lies on a micrograph.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        settings: TrainingSettings,
        device: str = "auto",
        *,
        start: Classifier | None = None,
    ) -> None:
        self.settings, self.device, self.epoch = settings, devices_of(device)[0], 0
        self._start = start
        first = None if start is None else weights_digest(start)
        self._what = {"settings": asdict(settings), "lists": {"labels": _digest(examples), "start": first}}
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.network = Classifier(settings.network)
            self.decoder = None
            if settings.autoencoder > 0:
                self.decoder = Decoder(self.network.latent, self.network.receptive_field, settings.decoder_units)
        if start is not None:
            self.network.load_state_dict(start.state_dict())
        self.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.network)
        self.sampler = TileSampler(
            examples,
            receptive_field=self.network.receptive_field,
            stride=self.network.stride,
            label_radius=settings.label_radius,
            outputs=settings.outputs,
            label_tiles=settings.label_tiles,
            random_tiles=settings.random_tiles,
            aligned=settings.aligned,
            seed=settings.seed,
        )
        parameters = list(self.network.parameters())
        if self.decoder is not None:
            self.decoder.to(self.device)
            parameters += list(self.decoder.parameters())
        self.optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.settings.epochs

    def run_epoch(self, reporter: Reporter = SILENT) -> dict[str, float]:
        """Train for one epoch; return the means of its minibatches (see `_measure`) and its seconds."""
        started = time.perf_counter()
        self.network.train()
        if self._start is not None:
            for norm in _norms(self.network):
                norm.eval()
        size, torch_state = self.settings.epoch_size, torch.get_rng_state()
        torch.manual_seed((self.settings.seed * 1_000_003 + self.epoch) % 2**63)  # dropout
        rows = []
        what = f"training, epoch {self.epoch + 1} of {self.settings.epochs}"
        for index in reporter.track(range(size), size, what):
            self._set_rate(self.epoch * size + index)
            rows.append(self._step(self.sampler.batch(self.epoch, index)))
        torch.set_rng_state(torch_state)
        self.epoch += 1
        return {"epoch": self.epoch, **_means(rows), "seconds": time.perf_counter() - started}

    def _set_rate(self, step: int) -> None:
        # One cycle (Smith & Topin 2018): linear rise over the first quarter, then a cosine to nearly nothing.
        total = self.settings.epochs * self.settings.epoch_size
        done, rise = step / total, 0.25
        if done < rise:
            share = 0.04 + 0.96 * done / rise
        else:
            share = 1e-4 + 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * share

    def _step(self, batch: Batch) -> dict[str, float]:
        windows, labels = batch.windows.to(self.device), batch.labels.to(self.device)
        with autocast(self.device):
            features = self.network.features(windows)
            logits = self.network.head(features)[:, 0]
        chosen = labels.abs() <= 1  # not outside
        logits, marks = logits.float()[chosen], labels[chosen]
        unlabeled = int((marks == UNLABELED).sum())
        objective = OBJECTIVES[self.settings.method]
        loss = objective(logits, marks, self.settings.pi, self.settings.weight(unlabeled))
        total, reconstruction = loss.total, torch.zeros(())
        if self.decoder is not None:
            reconstruction = self._reconstruction_error(windows, features.float())
            total = total + self.settings.autoencoder * reconstruction
        if self.settings.l2 > 0:
            total = total + self.settings.l2 / 2 * sum(p.square().sum() for p in self.network.parameters())
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        self._update_average()
        return _measure(total, loss, reconstruction, logits.detach(), marks, self.settings.pi)

    def _reconstruction_error(self, windows: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        # One region per tile, the first: the decoder's work is per region, and tiles are independent draws.
        assert self.decoder is not None
        side = self.network.receptive_field
        return F.mse_loss(self.decoder(features[:, :, 0, 0]), windows[:, :side, :side])

    def _update_average(self) -> None:
        decay = self.settings.average
        with torch.no_grad():
            for kept, new in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)

    def result(self) -> Classifier:
        """Return the averaged network in evaluation mode.

        After a start from given weights, it lies on the line between these and the trained ones. Otherwise its
        batch-norm statistics are taken afresh: those of training belong to minibatches rich in particles and to
        weights that moved on. These are measured with the final weights on tiles from anywhere, as micrographs are.
        """
        network = copy.deepcopy(self.averaged)
        norms = _norms(network)
        if self._start is not None:
            with torch.no_grad():
                for weight, first in zip(network.parameters(), self._start.parameters(), strict=True):
                    weight.lerp_(first.to(weight.device), self.settings.start_share)
        elif norms:
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # cumulative mean
            for dropout in (m for m in network.modules() if isinstance(m, torch.nn.Dropout)):
                dropout.p = 0.0
            network.train()
            with torch.no_grad(), autocast(self.device):
                for index in range(20):
                    batch = self.sampler.batch(1_000_000, index)
                    network(batch.windows[self.settings.label_tiles :].to(self.device))
            for norm in norms:
                norm.momentum = 0.1
        return network.cpu().eval()

    def save(self, path: Path) -> None:
        """Write a checkpoint from which `load` goes on exactly."""
        state = {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "decoder": None if self.decoder is None else self.decoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "what": json.dumps(self._what),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_bytes(path, buffer.getbuffer())

    def load(self, path: Path) -> list[str]:
        """Go on from a checkpoint; or return in what it is one of another training, and leave this one as it is.

        Raises
        ------
        WeightsError
            The file is damaged.
        """
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            what = json.loads(state.get("what", "{}"))
        except Exception as error:  # damaged files raise many kinds
            cause = (str(error).splitlines() or [type(error).__name__])[0][:160]
            raise WeightsError(
                f"{path}: not a readable checkpoint ({cause}); remove it, or start afresh with --overwrite"
            ) from error
        different = differences(what, json.loads(json.dumps(self._what)))
        if different:
            return different
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        if self.decoder is not None:
            self.decoder.load_state_dict(state["decoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]
        return []


def _digest(examples: Sequence[Example]) -> str:
    """Return a name made of micrographs and labels; pixels may differ in the last digits from machine to machine."""
    hashed = hashlib.sha256()
    for example in examples:
        hashed.update(repr((example.name, example.pixels.shape)).encode())
        hashed.update(example.positives.round(3).tobytes())
        hashed.update(example.negatives.round(3).tobytes())
    return hashed.hexdigest()


def _norms(network: torch.nn.Module) -> list[torch.nn.BatchNorm2d]:
    return [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each value; what labelled positives say, over the minibatches that have some."""
    labeled = [row for row in rows if not math.isnan(row["recall"])] or rows
    return {
        key: float(np.mean([row[key] for row in (labeled if key in ("recall", "expected_precision") else rows)]))
        for key in rows[0]
    }


def _measure(
    total: torch.Tensor,
    loss: Loss,
    reconstruction: torch.Tensor,
    logits: torch.Tensor,
    marks: torch.Tensor,
    pi: float,
) -> dict[str, float]:
    """Losses, and the precision and recall to expect if pi is right; NaN where there is no labelled positive.

    Recall is the mean probability on labelled positives. Of the probability given to unlabelled
    regions (`claimed`, its mean), pi times the recall is deserved: that share is the expected precision.
    """
    g = torch.sigmoid(logits)
    recall = float(g[marks == POSITIVE].mean()) if bool((marks == POSITIVE).any()) else float("nan")
    claimed = float(g[marks == UNLABELED].mean())
    return {
        "loss": float(total.detach()),
        "labeled_loss": float(loss.labeled.detach()),
        "unlabeled_loss": float(loss.unlabeled.detach()),
        "reconstruction": float(reconstruction.detach()),
        "expected_precision": float(np.minimum(1.0, pi * recall / claimed)) if claimed > 0 else 1.0,
        "recall": recall,
        "claimed": claimed,
    }


def train(
    examples: Sequence[Example],
    settings: TrainingSettings | None = None,
    *,
    start: Classifier | None = None,
    device: str = "auto",
    reporter: Reporter = SILENT,
) -> tuple[Classifier, list[dict[str, float]]]:
    """Train a network on labelled micrographs.

    Parameters
    ----------
    examples : sequence of Example
    settings : TrainingSettings, optional
    start, device
        See `Trainer`.
    reporter : Reporter

    Returns
    -------
    network : Classifier
        On the CPU, in evaluation mode.
    history : list of dict
        One row per epoch.

    Raises
    ------
    LabelError, SettingsError
    """
    trainer = Trainer(examples, settings or TrainingSettings(), device, start=start)
    history = []
    while not trainer.finished:
        history.append(trainer.run_epoch(reporter))
    return trainer.result(), history
