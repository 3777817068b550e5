"""Levels of a micrograph, each half as large as the one before, and 8-bit windows of them. Arrays in, arrays out."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILE = 512  # pixels along a side of a tile
_SMALLEST = 256  # the last level fits in a square of so many pixels
_SIGMA = math.sqrt(math.log(2) / 2) / math.pi  # standard deviation of a Gaussian that halves waves of length 1
_TRUNCATE = 3.5  # standard deviations of the Gaussian that are summed
_RANGES = 256  # of grey that are remembered
_ROWS = 32
_STRIDE = 7  # of the pixels that mean and standard deviation are measured on
_FARTHEST = 6e4  # standard deviations: float16 ends at 65504
_SAMPLE = 256  # pixels along a side of the windows that contrast is measured on


@dataclass(frozen=True)
class Look:
    """How pixels become grey.

    Parameters
    ----------
    low, high : float
        Percentiles that become black and white.
    lowpass : float
        Waves of this length, in full-size pixels, lose half their amplitude; 0: none do.
    inverted : bool
        White becomes black.
    """

    low: float = 1.0
    high: float = 99.0
    lowpass: float = 0.0
    inverted: bool = False


@dataclass(frozen=True, eq=False)
class Pyramid:
    """A micrograph at several sizes.

    Parameters
    ----------
    levels : tuple of (ny, nx) float16 arrays
        Pixel (row, column) of level k is the mean of 2^k x 2^k full-size pixels from (row, column) * 2^k on,
        in standard deviations from the mean of the micrograph (both of every 7th row and column). The last level
        fits in 256 x 256.
    """

    levels: tuple[NDArray[np.float16], ...]
    _ranges: dict[tuple[int, Look], tuple[float, float]] = field(default_factory=dict, repr=False)
    _ranging: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def of(cls, pixels: NDArray[np.float32]) -> Pyramid:
        """Make the levels of a micrograph; blocks that its edge cuts are filled with its last row and column."""
        sample = pixels[::_STRIDE, ::_STRIDE]
        mean, scale = np.float32(sample.mean()), np.float32(1 / max(float(sample.std()), 1e-30))
        levels, level = [], pixels
        while True:
            last = max(level.shape) <= _SMALLEST
            packed, halved = _packed_and_halved(level, mean, scale, last)
            levels.append(packed)
            if last:
                return cls(tuple(levels))
            level = halved

    @property
    def nbytes(self) -> int:
        """Memory that the levels take."""
        return sum(level.nbytes for level in self.levels)

    def window(self, level: int, rows: slice, columns: slice, look: Look) -> NDArray[np.uint8]:
        """Return a rectangle of a level as 8-bit grey, as `look` says; the part that lies on the level.

        The low-pass sees the pixels around the rectangle, so that neighbouring windows fit together; black and
        white are those of the whole level.
        """
        black, white = self._range(level, look)
        grey = (self._filtered(level, rows, columns, look.lowpass) - black) * np.float32(255 / max(white - black, 1e-6))
        grey = np.clip(grey, 0, 255).astype(np.uint8)
        return 255 - grey if look.inverted else grey

    def tile(self, level: int, row: int, column: int, look: Look) -> NDArray[np.uint8]:
        """Return one tile: `window` of rows [TILE * row, TILE * (row + 1)), and columns likewise."""
        return self.window(level, slice(TILE * row, TILE * (row + 1)), slice(TILE * column, TILE * (column + 1)), look)

    def _range(self, level: int, look: Look) -> tuple[float, float]:
        """Return what becomes black and white; measured once for the tiles of a level that are asked for together."""
        with self._ranging:
            if (level, look) not in self._ranges:
                if len(self._ranges) >= _RANGES:
                    self._ranges.clear()
                self._ranges[level, look] = self._measured(level, look)
            return self._ranges[level, look]

    def _measured(self, level: int, look: Look) -> tuple[float, float]:
        """Return percentiles over nine windows spread over the level."""
        ny, nx = self.levels[level].shape
        starts = [sorted({0, max(0, (n - _SAMPLE) // 2), max(0, n - _SAMPLE)}) for n in (ny, nx)]
        sample = [
            self._filtered(level, slice(y, y + _SAMPLE), slice(x, x + _SAMPLE), look.lowpass).ravel()
            for y in starts[0]
            for x in starts[1]
        ]
        black, white = np.percentile(np.concatenate(sample), [look.low, look.high])
        return float(black), float(white)

    def _filtered(self, level: int, rows: slice, columns: slice, lowpass: float) -> NDArray[np.float32]:
        pixels = self.levels[level]
        sigma = level_sigma(lowpass, level)
        if sigma == 0:
            return pixels[rows, columns].astype(np.float32)
        from scipy.ndimage import gaussian_filter

        margin = math.ceil(_TRUNCATE * sigma)
        top, left = max(0, rows.start - margin), max(0, columns.start - margin)
        part = pixels[top : rows.stop + margin, left : columns.stop + margin].astype(np.float32)
        smooth = gaussian_filter(part, sigma, truncate=_TRUNCATE)
        return smooth[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def size_of_levels(width: int, height: int) -> int:
    """Return the memory in bytes that the levels of a micrograph take."""
    pixels = 0
    while max(width, height) > _SMALLEST:
        pixels += width * height
        width, height = (width + 1) // 2, (height + 1) // 2
    return 2 * (pixels + width * height)


def level_sigma(lowpass: float, level: int) -> float:
    """Return the Gaussian, in pixels of a level, that is left to do once blocks have been averaged.

    A mean over blocks of n pixels is a filter of variance (n^2 - 1) / 12 full-size pixels.
    """
    size = 2.0**level
    variance = ((_SIGMA * lowpass) ** 2 - (size**2 - 1) / 12) / size**2
    return math.sqrt(variance) if variance > 0.05 else 0.0


def _packed_and_halved(
    pixels: NDArray[np.float32], mean: np.float32, scale: np.float32, last: bool
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Return (pixels - mean) * scale as float16, and means of blocks of 2 x 2, unless it is the last level.

    An odd last row or column counts twice. A few rows at a time, which stay in the cache of a processor.
    """
    ny, nx = pixels.shape
    packed = np.empty((ny, nx), dtype=np.float16)
    halved = np.empty((0, 0) if last else ((ny + 1) // 2, (nx + 1) // 2), dtype=np.float32)
    for start in range(0, ny, _ROWS):
        part = pixels[start : start + _ROWS]
        centred = (part - mean) * scale
        np.clip(centred, -_FARTHEST, _FARTHEST, out=centred)
        packed[start : start + _ROWS] = centred
        if not last:
            rows, columns = part.shape
            if rows % 2 or columns % 2:
                part = np.pad(part, ((0, rows % 2), (0, columns % 2)), mode="edge")
            pairs = part[0::2] + part[1::2]
            halved[start // 2 : (start + _ROWS) // 2] = (pairs[:, 0::2] + pairs[:, 1::2]) * np.float32(0.25)
    return packed, halved
