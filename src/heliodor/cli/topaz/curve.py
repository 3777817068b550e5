"""The train/test curve that programs read after `topaz train`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliodor.evaluation.pixels import pixel_rates
from heliodor.files import write_text
from heliodor.picking.scoring import score_map
from heliodor.training.labels import label_map
from heliodor.training.objectives import POSITIVE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from heliodor.networks import Classifier
    from heliodor.training.settings import TrainingSettings
    from heliodor.training.tiles import Example

NONE = "-"  # no cell is blank: readers split at white space


class Curve:
    """Rows of the curve, one for training and one for the test micrographs in each epoch.

    Parameters
    ----------
    settings : TrainingSettings
    epoch_size : int
        Topaz's minibatches in an epoch: what column `iter` counts.
    """

    def __init__(self, settings: TrainingSettings, epoch_size: int) -> None:
        self._settings, self._epoch_size = settings, epoch_size
        penalty = ["ge_penalty"] if settings.method.startswith("GE") else []
        error = ["recon_error"] if settings.autoencoder > 0 else []
        self._columns = ["epoch", "iter", "split", "loss", *penalty, *error, "precision", "tpr", "fpr", "auprc"]
        self._rows: list[dict[str, str]] = []

    def add_training(self, row: dict[str, float]) -> None:
        """Add the means of an epoch's minibatches, as `Trainer.run_epoch` returns them."""
        epoch = round(row["epoch"])
        values = {
            "loss": row["loss"],
            "ge_penalty": row["unlabeled_loss"],
            "recon_error": row["reconstruction"],
            "precision": row["expected_precision"],
            "tpr": row["recall"],
            "fpr": row["claimed"],
        }
        self._add(epoch, epoch * self._epoch_size, "train", values)

    def add_test(self, epoch: int, network: Classifier, examples: Sequence[Example]) -> None:
        """Add how well a network scores the pixels of test micrographs."""
        scores = [score_map(network, example.pixels) for example in examples]
        radius = self._settings.label_radius
        marks = [label_map(e.pixels.shape, e.positives, e.negatives, radius) == POSITIVE for e in examples]
        rates = pixel_rates(scores, marks)
        values = {
            "loss": rates.loss,
            "precision": rates.precision,
            "tpr": rates.tpr,
            "fpr": rates.fpr,
            "auprc": rates.average_precision,
        }
        self._add(epoch, epoch * self._epoch_size + 1, "test", values)

    def _add(self, epoch: int, iteration: int, split: str, values: dict[str, float]) -> None:
        row = {"epoch": str(epoch), "iter": str(iteration), "split": split}
        self._rows.append(row | {name: f"{value:.6g}" for name, value in values.items()})

    def text(self) -> str:
        """Return the table, tab separated."""
        lines = [self._columns, *([row.get(name, NONE) for name in self._columns] for row in self._rows)]
        return "".join("\t".join(line) + "\n" for line in lines)

    def write(self, path: Path) -> None:
        """Write the table as it is now."""
        write_text(path, self.text())

    def last(self) -> str:
        """Return the last row in words, for the log."""
        row = self._rows[-1]
        return ", ".join(f"{name} {row[name]}" for name in self._columns if name in row and name != "iter")
