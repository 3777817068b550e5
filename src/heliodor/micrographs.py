"""Micrographs: reading and writing."""

from __future__ import annotations

import difflib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from heliodor.errors import MicrographError, SettingsError
from heliodor.files import atomic_path
from heliodor.names import stem

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

T = TypeVar("T")
MRC, TIFF, PNG = (".mrc", ".mrcs"), (".tif", ".tiff"), (".png", ".jpg", ".jpeg")
READABLE = MRC + TIFF + PNG
WRITABLE = ("mrc", "tiff", "tif", "png", "jpg", "jpeg")
FLAT = "flat"  # the normalization that networks see as `Micrograph.flat`
_ROWS = 64  # a block of so many rows stays in the cache of a processor while it is worked on


@dataclass(frozen=True, eq=False)
class Micrograph:
    """An image of many particles.

    Parameters
    ----------
    pixels : (ny, nx) float32 array
        Rows and columns, in the order of the file.
    pixel_size : float or None
        Angstrom per pixel of this array; None where unknown.
    name : str
    flags : tuple of str
        What is found wrong with it as a whole, where somebody looked; see `heliodor.junk`.
    flat : (ny, nx) float32 array, optional
        The pixels without their background, where a network wants them so; see `heliodor.preprocess.flatten`.
    """

    pixels: NDArray[np.float32]
    pixel_size: float | None
    name: str
    flags: tuple[str, ...] = ()
    flat: NDArray[np.float32] | None = None

    @property
    def seen(self) -> NDArray[np.float32]:
        """What a network sees."""
        return self.pixels if self.flat is None else self.flat


def read_micrograph(
    path: str | os.PathLike[str], *, pixel_size: float | None = None, name: str | None = None
) -> Micrograph:
    """Read a 2-D image: MRC (modes 0, 1, 2, 6, 12, both byte orders), TIFF, PNG or JPEG.

    Parameters
    ----------
    path : path
    pixel_size : float, optional
        Angstrom per pixel, where the header has none or a wrong one.
    name : str, optional
        Default: the file name without its extension.

    Raises
    ------
    MicrographError
        The file is missing, damaged, not an image of two dimensions, has pixels that are not
        finite, or is the same everywhere.
    """
    path = Path(path)
    raw, header_size = _read_pixels(path)
    if raw.ndim > 2 and raw.shape[0] == 1:
        raw = raw[0]
    _check_flat(path, raw.shape)
    if raw.dtype.kind == "c":
        raise MicrographError(f"{path}: complex pixels, a Fourier transform; give the image itself")
    pixels, low, high = _to_float(raw)
    if not np.isfinite([low, high]).all():
        raise MicrographError(f"{path}: pixels that are NaN or infinite; write the file again or leave it out")
    if low == high:
        raise MicrographError(f"{path}: every pixel is {low:g}: an empty exposure or a lost file; leave it out")
    return Micrograph(pixels, pixel_size or header_size, stem(path.name) if name is None else name)


def read_frames(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read the frames of a movie, or the sections of a stack: MRC or TIFF.

    Returns
    -------
    (n, ny, nx) array
        In the type of the file; an MRC's is mapped, not read.

    Raises
    ------
    MicrographError
        The file is missing, damaged, or has fewer than two frames.
    """
    path = Path(path)
    frames, _ = _read_pixels(path)
    if frames.ndim != 3 or len(frames) < 2:
        raise MicrographError(f"{path}: a single image of shape {frames.shape}; give a movie, or a stack of its frames")
    return frames


def _to_float(raw: NDArray[Any]) -> tuple[NDArray[np.float32], float, float]:
    """Copy to float32 and find the smallest and the largest pixel, in one pass over memory."""
    pixels = np.empty(raw.shape, dtype=np.float32)
    low, high = np.inf, -np.inf
    for start in range(0, raw.shape[0], _ROWS):
        part = pixels[start : start + _ROWS]
        part[:] = raw[start : start + _ROWS]
        low, high = np.minimum(low, part.min(initial=np.inf)), np.maximum(high, part.max(initial=-np.inf))
    return pixels, float(low), float(high)


def read_header(path: str | os.PathLike[str]) -> tuple[tuple[int, int], float | None]:
    """Return the shape (ny, nx) and the pixel size in angstrom, or None, without reading the pixels.

    Raises
    ------
    MicrographError
        The file is missing, has no header that can be read, or is not an image of two dimensions.
    """
    path = Path(path)
    shape, size = _read(path, _mrc_header, _tiff_header, _png_header)
    if len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    _check_flat(path, shape)
    return (shape[0], shape[1]), size


def _check_flat(path: Path, shape: tuple[int, ...]) -> None:
    if len(shape) != 2:
        raise MicrographError(
            f"{path}: a stack or volume of shape {shape}, not a micrograph; average its frames or write one "
            "section as a 2-D file"
        )


def check_there(path: Path) -> None:
    """Raise a `MicrographError` that names near names if there is no such file."""
    if path.is_file():
        return
    if path.is_dir():
        raise MicrographError(f"{path}: a folder, not a micrograph; give a file")
    folder = path.parent
    near = difflib.get_close_matches(path.name, os.listdir(folder), n=1) if folder.is_dir() else []
    hint = f"did you mean {near[0]}?" if near else "check the path"
    raise MicrographError(f"{path}: there is no such file; {hint}")


def _read_pixels(path: Path) -> tuple[NDArray[Any], float | None]:
    return _read(path, _read_mrc, _read_tiff, _read_png)


def _read(path: Path, mrc: Callable[[Path], T], tiff: Callable[[Path], T], png: Callable[[Path], T]) -> T:
    """Read with the function for this kind of file; whatever is wrong is a `MicrographError`."""
    check_there(path)
    kind = path.suffix.lower()
    if kind not in READABLE:
        raise MicrographError(f"{path}: not a kind of image that is read here; give {', '.join(READABLE)}")
    read = mrc if kind in MRC else tiff if kind in TIFF else png
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read(path)
    except MicrographError:
        raise
    except Exception as error:  # the readers of three libraries raise many kinds for damaged files
        cause = _first_line(error)
        raise MicrographError(f"{path}: cannot be read as {kind[1:]} ({cause}); copy or write it again") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def _mrc_pixel_size(mrc: Any) -> float | None:
    size = float(mrc.voxel_size.x)
    return size if np.isfinite(size) and size > 0 else None


def _mrc_header(path: Path) -> tuple[tuple[int, ...], float | None]:
    import mrcfile

    with mrcfile.open(path, permissive=True, header_only=True) as mrc:
        return tuple(int(mrc.header[key]) for key in ("nz", "ny", "nx")), _mrc_pixel_size(mrc)


def _tiff_header(path: Path) -> tuple[tuple[int, ...], float | None]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        return file.series[0].shape, None


def _png_header(path: Path) -> tuple[tuple[int, ...], float | None]:
    from PIL import Image

    with Image.open(path) as image:
        return image.size[::-1], None


def _read_mrc(path: Path) -> tuple[NDArray[Any], float | None]:
    import mrcfile

    # permissive: old programs leave a wrong map id or machine stamp beside good pixels. A file that is
    # too short for its header then has no data at all.
    # Mapped: pixels go from the file system's memory into ours once, as float32.
    with mrcfile.mmap(path, permissive=True) as mrc:
        if mrc.data is None:
            raise MicrographError(
                f"{path}: truncated or damaged: its header asks for {mrc.header.nx} x {mrc.header.ny} pixels "
                "of a kind that are not all there; copy it again"
            )
        return np.asarray(mrc.data), _mrc_pixel_size(mrc)


def _read_tiff(path: Path) -> tuple[NDArray[Any], float | None]:
    import tifffile

    try:
        return tifffile.imread(path), None
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
    return _read_compressed_tiff(path), None


def _read_compressed_tiff(path: Path) -> NDArray[Any]:
    """Read what tifffile leaves to a library of codecs, LZW for one, with the one that Pillow brings."""
    from PIL import Image, ImageSequence

    with Image.open(path) as image:
        frames = [np.array(frame) for frame in ImageSequence.Iterator(image)]
    return frames[0] if len(frames) == 1 else np.stack(frames)


def _read_png(path: Path) -> tuple[NDArray[Any], float | None]:
    from PIL import Image

    with Image.open(path) as image:
        grey = image if image.mode in ("L", "I", "F", "I;16") else image.convert("L")
        return np.asarray(grey), None


def check_writable(format: str) -> None:
    """Raise a `SettingsError` unless images can be written in a format, an extension without a dot."""
    if format.lower() not in WRITABLE:
        raise SettingsError(f"there is no format '{format}' to write images in; choose mrc, tiff, png or jpg")


def write_micrograph(path: str | os.PathLike[str], micrograph: Micrograph) -> None:
    """Write an image: `.mrc` (float32, with its pixel size), `.tiff` (float32), `.png`, `.jpg` (8 bit, -3 to 3 sd).

    Raises
    ------
    SettingsError
        The extension is none of these.
    OutputError
        The file cannot be written.
    """
    path, pixels = Path(path), np.ascontiguousarray(micrograph.pixels, dtype=np.float32)
    kind = path.suffix.lower()
    check_writable(kind[1:])
    with atomic_path(path) as temporary:
        if kind == ".mrc":
            import mrcfile

            with mrcfile.new(temporary, overwrite=True) as mrc:
                mrc.set_data(pixels)
                mrc.voxel_size = micrograph.pixel_size or 0.0
        elif kind in TIFF:
            import tifffile

            tifffile.imwrite(temporary, pixels)
        else:
            from PIL import Image

            grey = (np.clip(pixels, -3, 3) + 3) * (255 / 6)
            Image.fromarray(np.rint(grey).astype(np.uint8)).save(temporary, quality=95)
