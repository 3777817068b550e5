"""Splitting micrographs for validation or a test: always whole micrographs, never single labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from heliodor.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

T = TypeVar("T")


def hold_out(items: Sequence[T], count: int, seed: int = 0) -> tuple[list[T], list[T]]:
    """Draw `count` of the items at random.

    Parameters
    ----------
    items : sequence
        Micrographs, or their names.
    count : int
    seed : int

    Returns
    -------
    kept, held_out : list
        Both in the order of `items`.

    Raises
    ------
    SettingsError
        `count` would leave nothing on one of the sides.
    """
    if not 0 < count < len(items):
        raise SettingsError(
            f"{count} of {len(items)} labelled micrographs cannot be set aside; give 1 to {len(items) - 1}"
        )
    drawn = set(np.random.default_rng(seed).choice(len(items), count, replace=False).tolist())
    return [x for k, x in enumerate(items) if k not in drawn], [x for k, x in enumerate(items) if k in drawn]


def k_fold(sources: Sequence[str], folds: int, fold: int, seed: int) -> tuple[list[int], list[int]]:
    """Split micrographs into `folds` parts, each source evenly over them, and hold one out.

    Parameters
    ----------
    sources : sequence of str
        The data set of each micrograph.
    folds, fold : int
        Number of parts, and which is held out, from 0.
    seed : int

    Returns
    -------
    training, held_out : list of int
        Rows, in order.

    Raises
    ------
    SettingsError
        There is no such fold, or there are fewer micrographs than folds.
    """
    if folds < 2 or not 0 <= fold < folds:
        raise SettingsError(f"--fold must be 0 to {folds - 1} for --k-fold {folds}, 2 or more. Got {fold} instead.")
    if len(sources) < folds:
        raise SettingsError(f"--k-fold {folds} needs as many labelled micrographs; there are {len(sources)}")
    random = np.random.default_rng(seed)
    order = [
        row
        for source in sorted(set(sources))
        for row in random.permutation([k for k, own in enumerate(sources) if own == source]).tolist()
    ]
    held_out = sorted(order[fold::folds])
    return sorted(set(range(len(sources))) - set(held_out)), held_out


def without(items: Iterable[T], others: Iterable[T]) -> list[T]:
    """Return those items that are none of the others, not only equal to none: arrays in them cannot be compared."""
    left_out = {id(other) for other in others}
    return [item for item in items if id(item) not in left_out]
