"""Training from examples to a network: epochs, validation, checkpoints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from heliodor.evaluation import average_precision, match
from heliodor.networks.scorers import Machine
from heliodor.progress import SILENT, Reporter
from heliodor.training.history import read_table, write_table
from heliodor.training.loop import Trainer
from heliodor.training.settings import TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from heliodor.networks import Classifier
    from heliodor.picking.detect import Detector
    from heliodor.training.tiles import Example


def fit(
    training: Sequence[Example],
    settings: TrainingSettings,
    *,
    validation: Sequence[Example] = (),
    detector: Detector,
    match_radius: float,
    table: Path | None = None,
    checkpoint: Path | None = None,
    start: Classifier | None = None,
    device: str = "auto",
    reporter: Reporter = SILENT,
    on_epoch: Callable[[int, Classifier], None] | None = None,
) -> Classifier:
    """Train, validating after every epoch; go on from `checkpoint` where it exists and is of the same training.

    Parameters
    ----------
    training, validation : sequence of Example
    settings : TrainingSettings
    detector : Detector
        Finds particles on the validation micrographs.
    match_radius : float
        In downsampled pixels.
    table : path, optional
        See `heliodor.training.history`.
    checkpoint : path, optional
        Rewritten after every epoch.
    start, device
        See `Trainer`.
    reporter : Reporter
    on_epoch : callable, optional
        Called with the number of every epoch, from 1, and the network after it.

    Returns
    -------
    Classifier
        On the CPU, in evaluation mode.
    """
    trainer = Trainer(training, settings, device, start=start)
    rows: list[dict[str, float]] = []
    if checkpoint is not None and checkpoint.is_file():
        different = trainer.load(checkpoint)
        if different:
            reporter.warn(f"{checkpoint}: is of another training ({'; '.join(different)}); this one starts afresh")
        else:
            rows = [] if table is None else read_table(table)[: trainer.epoch]
            reporter.note(f"training goes on after epoch {trainer.epoch}")
    while not trainer.finished:
        row = trainer.run_epoch(reporter)
        row["held_out_ap"] = math.nan
        if validation or on_epoch is not None:
            network = trainer.result()
            if validation:
                row["held_out_ap"] = held_out_ap(network, validation, detector, match_radius, device)
            if on_epoch is not None:
                on_epoch(trainer.epoch, network)
        rows.append(row)
        if table is not None:
            write_table(table, rows)
        if checkpoint is not None:  # last: an epoch that is in it is not run again
            trainer.save(checkpoint)
        _tell(reporter, row, settings.epochs)
    return trainer.result()


def _tell(reporter: Reporter, row: dict[str, float], epochs: int) -> None:
    held_out = "" if np.isnan(row["held_out_ap"]) else f", held-out AP {row['held_out_ap']:.3f}"
    reporter.note(
        f"epoch {row['epoch']:.0f} of {epochs}: loss {row['loss']:.3f}, recall {row['recall']:.2f}, "
        f"expected precision {row['expected_precision']:.2f}{held_out}"
    )


def held_out_ap(
    network: Classifier, validation: Sequence[Example], detector: Detector, match_radius: float, device: str = "auto"
) -> float:
    """Average precision on held-out micrographs, at least one.

    Where only some of their particles are labelled, finding the others counts against it: compare
    epochs by it, not data sets.
    """
    scorer = Machine(device).scorer(network)
    hits, scores = [], []
    for example in validation:
        xy, found = detector(scorer, example.pixels, example.junk)
        hits.append(match(xy, found, example.positives, match_radius).hit)
        scores.append(found)
    labels = sum(len(example.positives) for example in validation)
    return average_precision(np.concatenate(hits), np.concatenate(scores), labels)
