"""The history of a training run: tab separated, a row for each epoch, nan where there is nothing to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliodor.errors import FormatError
from heliodor.files import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COLUMNS = (
    "epoch", "loss", "labeled_loss", "unlabeled_loss", "reconstruction",
    "expected_precision", "recall", "held_out_ap", "seconds",
)  # fmt: skip


def write_table(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write the history of a training run."""
    lines = ["\t".join(COLUMNS), *("\t".join(f"{row[name]:.6g}" for name in COLUMNS) for row in rows)]
    write_text(path, "\n".join(lines) + "\n")


def read_table(path: Path) -> list[dict[str, float]]:
    """Read what `write_table` wrote; a missing file has no rows.

    Raises
    ------
    FormatError
        It is empty, or a row is damaged.
    """
    if not path.is_file():
        return []
    if not path.stat().st_size:
        raise FormatError(f"{path}: is empty; remove it, or train again")
    try:
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        return [dict(zip(header.split("\t"), map(float, line.split("\t")), strict=True)) for line in lines]
    except ValueError as error:
        raise FormatError(f"{path}: not a table of numbers ({error}); remove it, or train again") from error
