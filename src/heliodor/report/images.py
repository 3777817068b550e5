"""Pictures for the report: micrographs, windows around picks, their averages; small grey JPEG and PNG files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.particles import cut
from heliodor.report.tally import even

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from heliodor.micrographs import Micrograph
    from heliodor.picking.geometry import Geometry
    from heliodor.picks import Picks

    Array = NDArray[np.floating]

LARGEST = 720  # pixels along the longer side of a micrograph's picture
_QUALITY = 70
_TILE, _GAP = 54, 2  # pixels along a window's picture, and between two
SHEET_STEP = _TILE + _GAP
_WINDOWS, _REJECTED = 300, 32  # picks, and best detections below the threshold, kept of one micrograph
_MARGIN = 1.6  # side of a window, in particle diameters
_SMOOTH = 0.8  # pixels: the eye, unlike the network, is misled by the noise of single pixels


@dataclass(frozen=True, eq=False)
class View:
    """What the report keeps of a micrograph that it has read.

    Attributes
    ----------
    picture : bytes
        JPEG.
    size : (float, float)
        Width and height in full-size pixels.
    scale : (float, float)
        Full-size pixels per pixel that the network sees, x and y.
    windows : (N, side, side) float array
        Around picks and around the best that are none, downsampled and normalized as for the network, a little
        smoothed.
    scores : (N,) float array
        Of these, best first.
    contrast : float
        Mean over the picks of a ring around the particle minus its disc, in standard deviations of the
        background; NaN without picks.
    junk : (ny, nx) bool array, optional
        Where nothing was picked, in pixels that the network sees.
    """

    picture: bytes
    size: tuple[float, float]
    scale: tuple[float, float]
    windows: Array
    scores: NDArray[np.float64]
    contrast: float
    junk: NDArray[np.bool_] | None = None


def view(
    micrograph: Micrograph,
    scale: tuple[float, float],
    found: Picks,
    threshold: float,
    geometry: Geometry,
    junk: NDArray[np.bool_] | None = None,
) -> View:
    """Take what is shown of a micrograph.

    Parameters
    ----------
    micrograph : Micrograph
        As the network sees it.
    scale : (float, float)
        Full-size pixels per pixel of it, x and y.
    found : Picks
        Detections on this micrograph, best first, in full-size pixels.
    threshold : float
        Picks are those with a score above it.
    geometry : Geometry
    junk : (ny, nx) bool array, optional
        Where nothing was picked.
    """
    from scipy.ndimage import gaussian_filter

    pixels = gaussian_filter(micrograph.pixels, _SMOOTH)
    side = 2 * round(_MARGIN * geometry.span / 2)
    windows, inside = cut(pixels, found.xy / scale, side)
    scores = found.scores[inside]
    picked = int((scores > threshold).sum())
    kept = np.append(even(picked, _WINDOWS), np.arange(picked, min(picked + _REJECTED, len(scores))))
    rows, columns = pixels.shape
    size = (columns * scale[0], rows * scale[1])
    contrast = _contrast(windows[:picked], geometry.span)
    return View(jpeg(pixels), size, scale, windows[kept], scores[kept], contrast, junk)


def _contrast(windows: Array, span: float) -> float:
    if not len(windows):
        return float("nan")
    half = windows.shape[1] // 2
    y, x = np.mgrid[: 2 * half, : 2 * half] - half
    distance = np.hypot(x, y)
    disc, ring = distance <= span / 2, (distance > span / 2) & (distance <= half)
    mean = windows.mean(axis=0)
    return float(mean[ring].mean() - mean[disc].mean())


def grey(pixels: Array, limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Bring pixels to 8 bits; the limits are percentiles 0.5 and 99.5 unless they are given."""
    low, high = np.percentile(pixels, [0.5, 99.5]) if limits is None else limits
    return (np.clip((pixels - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)


def jpeg(pixels: Array) -> bytes:
    """Return a picture of a micrograph, no longer than `LARGEST` along a side."""
    from PIL import Image

    image = Image.fromarray(grey(pixels))
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return _encode(image, "JPEG", quality=_QUALITY)


def montage(windows: Array, columns: int) -> bytes:
    """Return a picture of windows row by row, all at the same grey scale; between them it is transparent."""
    from PIL import Image

    rows = -(-len(windows) // columns)
    sheet = Image.new("LA", (columns * SHEET_STEP - _GAP, rows * SHEET_STEP - _GAP))
    limits = tuple(np.percentile(windows, [1, 99]))
    for k, window in enumerate(windows):
        tile = Image.fromarray(grey(window, limits)).resize((_TILE, _TILE), Image.Resampling.BICUBIC)
        tile.putalpha(255)
        sheet.paste(tile, (k % columns * SHEET_STEP, k // columns * SHEET_STEP))
    return _encode(sheet, "PNG")


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture as it is."""
    from PIL import Image

    return _encode(Image.fromarray(pixels), "PNG")


def _encode(image: Image.Image, kind: str, **options: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, optimize=True, **options)
    return stream.getvalue()
