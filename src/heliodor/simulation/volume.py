"""A particle's potential on a grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Volume:
    """A potential on a grid.

    Parameters
    ----------
    values : (n, n, n) float32 array
        Volts, axes z, y, x.
    voxel_size : float
        Angstrom.
    centre : (3,) array
        Centre of mass, in voxels, x, y, z.
    diameter : float
        Of the sphere about the centre of mass that holds 99 % of the particle, in angstrom.
    reach : float
        Largest distance of anything from the centre of mass, in angstrom.
    origin : (3,) array
        The centre of mass in the coordinates of the file, in angstrom, x, y, z; of a map, these count from the middle
        of its first voxel.
    """

    values: NDArray[np.float32]
    voxel_size: float
    centre: NDArray[np.float64]
    diameter: float
    reach: float
    origin: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))


def weighted_quantile(values: NDArray[np.float64], weights: NDArray[np.float64], share: float) -> float:
    """Smallest value below which lies `share` of the weight."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, share * total[-1])])


def cut(values: NDArray[np.float32], middle: NDArray[np.int_], size: int) -> NDArray[np.float32]:
    """Copy `values` into a cube of `size` so that the voxel `middle` (z, y, x) comes to `size // 2`."""
    cube = np.zeros((size, size, size), np.float32)
    low = middle - size // 2
    source = tuple(slice(max(0, a), max(0, min(n, a + size))) for a, n in zip(low, values.shape, strict=True))
    target = tuple(slice(s.start - a, s.stop - a) for s, a in zip(source, low, strict=True))
    cube[target] = values[source]
    return cube


def coarsen(volume: Volume, voxel_size: float) -> Volume:
    """Bring a volume to larger voxels by keeping its low frequencies only.

    Parameters
    ----------
    volume : Volume
    voxel_size : float
        Wanted, in angstrom; the voxels come out at most this large, and not smaller than they are.
    """
    nearest = np.rint(volume.centre).astype(int)
    size = int(np.ceil(2 * volume.reach / volume.voxel_size)) + 8
    size += size % 2
    small = int(np.ceil(size * volume.voxel_size / voxel_size))
    small += small % 2
    if small >= size:
        return volume
    spectrum = scipy.fft.rfftn(cut(volume.values, nearest[::-1], size))
    half = small // 2
    keep = np.r_[0:half, size - half : size]
    spectrum = spectrum[np.ix_(keep, keep, np.arange(half + 1))]
    spectrum[half], spectrum[:, half], spectrum[:, :, half] = 0, 0, 0  # partners of the new Nyquist frequency are gone
    values = scipy.fft.irfftn(spectrum, s=(small,) * 3) * (small / size) ** 3
    centre = (volume.centre - nearest + size // 2) * (small / size)
    achieved = volume.voxel_size * size / small
    return Volume(values.astype(np.float32), achieved, centre, volume.diameter, volume.reach, volume.origin)
