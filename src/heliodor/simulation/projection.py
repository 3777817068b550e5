"""Projections of a volume, by the central-slice theorem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from heliodor.simulation.volume import Volume, cut

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PADDING = 2.0  # the particle fills the middle half of the volume whose transform is read
_POINTS = 1 << 20  # of the slices that are read at a time


def rotations(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrices of RELION's Euler angles.

    Parameters
    ----------
    angles : (N, 3) array
        rot, tilt, psi in degrees (z, y', z'').

    Returns
    -------
    (N, 3, 3) array
        They take a point x, y, z of the image's frame to the volume's.
    """
    matrices: NDArray[np.float64] = Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().reshape(-1, 3, 3)
    return matrices


class Projector:
    """Projects a volume in any orientation onto images of any pixel size.

    The padded volume's transform is read on planes through its origin with cubic B-splines; the volume is divided by
    the transform of the spline beforehand, which makes the reading exact but for ghosts below 1 %.

    Parameters
    ----------
    volume : Volume

    Attributes
    ----------
    diameter, reach : float
    origin : (3,) array
        See `Volume`.
    """

    def __init__(self, volume: Volume) -> None:
        self.voxel_size = volume.voxel_size
        self.diameter, self.reach, self.origin = volume.diameter, volume.reach, volume.origin
        size = scipy.fft.next_fast_len(int(np.ceil(_PADDING * 2 * volume.reach / volume.voxel_size)) + 4)
        size += size % 2
        self._size = size
        nearest = np.rint(volume.centre).astype(int)
        self._rest = (volume.centre - nearest) * volume.voxel_size
        padded = cut(volume.values, nearest[::-1], size)
        for axis in range(3):
            x = np.arange(size) - size // 2
            kernel = np.sinc(x / size).astype(np.float32) ** 4
            padded /= kernel.reshape([-1 if a == axis else 1 for a in range(3)])
        self._spectrum = scipy.fft.fftn(scipy.fft.ifftshift(padded))

    def box(self, pixel_size: float) -> int:
        """Side, in pixels, of an image that holds every projection with some room around it."""
        size: int = scipy.fft.next_fast_len(int(np.ceil(2 * self.reach / pixel_size)) + 8, real=True)
        return size + size % 2

    def project(
        self,
        angles: NDArray[np.float64],
        pixel_size: float,
        *,
        size: int | None = None,
        shifts: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float32]:
        """Integrate the potential along z.

        Parameters
        ----------
        angles : (N, 3) array
            rot, tilt, psi in degrees.
        pixel_size : float
            Angstrom per pixel of the projections.
        size : int, optional
            Even side of the projections in pixels. Default: `box`.
        shifts : (N, 2) array, optional
            x, y in pixels by which the centre of mass lies off the pixel `size // 2`.

        Returns
        -------
        (N, size, size) float32 array
            Volt angstrom.
        """
        size = size or self.box(pixel_size)
        angles = np.asarray(angles, dtype=np.float64).reshape(-1, 3)
        shifts = np.zeros((len(angles), 2)) if shifts is None else np.asarray(shifts, dtype=np.float64)
        sy, sx = np.fft.fftfreq(size, pixel_size), np.fft.rfftfreq(size, pixel_size)
        inside = sy[:, None] ** 2 + sx**2 < (0.5 / max(self.voxel_size, pixel_size)) ** 2
        y, x = np.nonzero(inside)
        plane = np.stack([sx[x], sy[y]])  # 1/A, the points of the slice that are not zero
        matrices = rotations(angles)
        images = np.empty((len(angles), size, size), np.float32)
        step = max(1, _POINTS // plane.shape[1])
        for start in range(0, len(angles), step):
            part = slice(start, start + step)
            slices = np.zeros((len(angles[part]), size, size // 2 + 1), np.complex64)
            slices[:, y, x] = self._slices(matrices[part], plane, size // 2 * pixel_size + shifts[part] * pixel_size)
            images[part] = scipy.fft.irfft2(slices, s=(size, size))
        return images * np.float32(self.voxel_size**3 / pixel_size**2)

    def _slices(
        self, matrices: NDArray[np.float64], plane: NDArray[np.float64], place: NDArray[np.float64]
    ) -> NDArray[np.complex64]:
        """Read the slices (N, points), with the centre of mass at `place` (N, 2), in angstrom."""
        frequency = np.einsum("nij,jp->inp", matrices[:, :, :2], plane)
        index = (frequency[::-1] * (self._size * self.voxel_size)).astype(np.float32)
        values = map_coordinates(self._spectrum, index, order=3, mode="grid-wrap", prefilter=False)
        rest = np.einsum("nij,i->nj", matrices[:, :, :2], self._rest)
        phase = np.exp(-2j * np.pi * ((place - rest) @ plane)).astype(np.complex64)
        return values * phase
