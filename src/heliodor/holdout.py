"""Setting whole micrographs aside for a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from heliodor.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

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
