"""What a scene is drawn on: three fields, larger than the micrograph by a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(eq=False)
class Canvas:
    """Fields of a micrograph under way.

    Parameters
    ----------
    potential : (ny, nx) float32 array
        Projected potential against ice, volt angstrom.
    absorption : (ny, nx) float32 array
        Electrons lost: exp(-absorption) of them get through.
    film : (ny, nx) float32 array
        Thickness of carbon film, angstrom.
    kinds : (ny, nx) uint8 array
        Which kind of junk covers the pixel, as an index of `heliodor.simulation.junk.KINDS`; 0: none.
    pixel_size : float
        Angstrom.
    frame : int
        Pixels that the fields have more than the micrograph on the left and at the top.
    """

    potential: NDArray[np.float32]
    absorption: NDArray[np.float32]
    film: NDArray[np.float32]
    kinds: NDArray[np.uint8]
    pixel_size: float
    frame: int

    @classmethod
    def blank(cls, shape: tuple[int, int], pixel_size: float, frame: int) -> Canvas:
        """Make empty fields of `shape`, frame included."""
        potential, absorption, film = np.zeros((3, *shape), np.float32)
        return cls(potential, absorption, film, np.zeros(shape, np.uint8), pixel_size, frame)

    def add(self, field: NDArray[np.float32], stamps: NDArray[np.float32], corners: NDArray[np.int_]) -> None:
        """Add stamps (N, n, n) to a field, their first pixels at `corners` (N, 2: x, y of the micrograph)."""
        for stamp, corner in zip(stamps, corners, strict=True):
            target, source = self.window(corner, stamp.shape)
            field[target] += stamp[source]

    def window(self, corner: NDArray[np.int_], shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Return where a stamp at pixel (x, y) of the micrograph lies in the fields, and which part of it does."""
        x, y = corner.tolist()
        target, source = [], []
        for start, length, size in zip((y + self.frame, x + self.frame), shape, self.potential.shape, strict=True):
            low, high = min(max(start, 0), size), min(max(start + length, 0), size)
            target.append(slice(low, high))
            source.append(slice(low - start, high - start))
        return tuple(target), tuple(source)


def corners_and_rests(xy: NDArray[np.float64], size: int) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """Split centres into first pixels of stamps and what is left: centre = corner + size // 2 + rest."""
    nearest = np.rint(xy).astype(int)
    return nearest - size // 2, xy - nearest
