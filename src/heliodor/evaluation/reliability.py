"""Do probabilities mean what they say? Compared with what was found to be true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_Z = 1.96  # standard deviations on either side of a 95 % interval


@dataclass(frozen=True, eq=False)
class Reliability:
    """Claims and truth, in bins of the claimed probability; bins without any claim are left out.

    Attributes
    ----------
    claimed : (B,) float array
        Mean probability in each bin.
    true : (B,) float array
        Fraction that is true.
    low, high : (B,) float arrays
        95 % interval of that fraction (Wilson 1927).
    counts : (B,) int array
    error : float
        Expected calibration error: the mean of |claimed - true| over all claims (Naeini et al. 2015).
    """

    claimed: NDArray[np.float64]
    true: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    counts: NDArray[np.intp]
    error: float


def reliability(probabilities: ArrayLike, true: ArrayLike, bins: int = 10) -> Reliability:
    """Compare probabilities with what came true.

    Parameters
    ----------
    probabilities : (N,) array_like
        0 to 1.
    true : (N,) array_like of bool
    bins : int
        Of equal width between 0 and 1.

    Examples
    --------
    >>> found = reliability([0.1, 0.1, 0.9, 0.9], [False, False, True, False])
    >>> found.true.tolist(), round(found.error, 3)
    ([0.0, 0.5], 0.25)
    """
    p, hit = np.asarray(probabilities, dtype=np.float64), np.asarray(true, dtype=np.float64)
    which = np.minimum((p * bins).astype(np.intp), bins - 1)
    counts = np.bincount(which, minlength=bins)
    used = counts > 0
    n = counts[used]
    claimed, fraction = (np.bincount(which, values, bins)[used] / n for values in (p, hit))
    middle = (fraction + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(fraction * (1 - fraction) / n + _Z**2 / (4 * n**2))
    error = float((n * np.abs(claimed - fraction)).sum() / max(len(p), 1))
    return Reliability(claimed, fraction, middle - half, middle + half, n, error)
