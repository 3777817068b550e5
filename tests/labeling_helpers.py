"""Candidates to look at, for tests of the labelling page with and without a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor import Picks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def half_right(truth: Mapping[str, NDArray[np.float64]]) -> Picks:
    """Twenty-four candidates on two micrographs: half of them particles, half wrong, with lower scores."""
    rng = np.random.default_rng(3)
    parts = []
    for name in ("001", "plain"):
        particles = truth[name][:6]
        wrong = rng.uniform(5, 230, particles.shape)
        scores = np.concatenate([rng.normal(2, 1, len(particles)), rng.normal(-2, 1, len(wrong))])
        parts.append(Picks.on(name, np.concatenate([particles, wrong]), scores))
    return Picks.join(parts)
