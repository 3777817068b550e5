"""What denoisers are trained on: pairs of exposures of the same place, halves of movies, or single images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from heliodor.errors import MicrographError, SettingsError
from heliodor.find import find_micrographs
from heliodor.micrographs import read_frames, read_micrograph
from heliodor.progress import SILENT, Reporter

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

Images = Callable[[], tuple[NDArray[np.float32], ...]]
"""Reads the two halves of a pair, which have one shape, or a single image."""


def folder_pairs(
    firsts: Sequence[str | os.PathLike[str]], seconds: Sequence[str | os.PathLike[str]], reporter: Reporter = SILENT
) -> list[Images]:
    """Pair the images of folders, first with first and so on, by their file names.

    Raises
    ------
    SettingsError
        Not as many folders here as there, or no image has a partner.
    """
    if len(firsts) != len(seconds):
        raise SettingsError(
            f"--dir-a names {len(firsts)} folders, --dir-b {len(seconds)}; give as many of each, and what to denoise "
            "before them"
        )
    pairs: list[Images] = []
    alone = 0
    for first, second in zip(firsts, seconds, strict=True):
        ones, others = ({m.path.name: m.path for m in find_micrographs([folder])} for folder in (first, second))
        names = [name for name in ones if name in others]
        alone += len(ones) + len(others) - 2 * len(names)
        pairs += [_pair(ones[name], others[name]) for name in names]
    if not pairs:
        raise SettingsError(
            f"{firsts[0]}, {seconds[0]}: no image of one has the name of one of the other; name pairs alike"
        )
    if alone:
        reporter.warn(f"{alone} images have no partner of the same name, and are left out")
    return pairs


def _pair(one: Path, other: Path) -> Images:
    def read() -> tuple[NDArray[np.float32], ...]:
        first, second = read_micrograph(one).pixels, read_micrograph(other).pixels
        if first.shape != second.shape:
            raise MicrographError(
                f"{one}: {first.shape[1]} x {first.shape[0]} pixels, its other half {second.shape[1]} x "
                f"{second.shape[0]}; give halves of the same exposure"
            )
        return first, second

    return read


def movie_pairs(inputs: Sequence[str | os.PathLike[str]]) -> list[Images]:
    """Split movies, or stacks of aligned frames, into the sums of their even and of their odd frames.

    Raises
    ------
    MicrographError
        An input names nothing.
    """

    def halves(path: Path) -> Images:
        def read() -> tuple[NDArray[np.float32], ...]:
            frames = read_frames(path)
            return frames[::2].sum(axis=0, dtype=np.float32), frames[1::2].sum(axis=0, dtype=np.float32)

        return read

    return [halves(file.path) for file in find_micrographs(inputs)]


def single_images(inputs: Sequence[str | os.PathLike[str]]) -> list[Images]:
    """Take each image by itself.

    Raises
    ------
    MicrographError
        An input names nothing.
    """

    def image(path: Path) -> Images:
        return lambda: (read_micrograph(path).pixels,)

    return [image(file.path) for file in find_micrographs(inputs)]


def hdf_images(path: str | os.PathLike[str], *, paired: bool) -> list[Images]:
    """Take the images of an HDF5 file, a data set `images` of shape (n, ny, nx).

    Parameters
    ----------
    path : path
    paired : bool
        Each image of even number and the next are a pair; otherwise each is by itself.

    Raises
    ------
    SettingsError
        h5py is not installed.
    MicrographError
        The file cannot be read, or holds no such data set.
    """
    with _open_hdf(path) as file:
        count = len(_dataset(file, path))
    step = 2 if paired else 1

    def images(start: int) -> Images:
        def read() -> tuple[NDArray[np.float32], ...]:
            with _open_hdf(path) as file:
                return tuple(np.asarray(_dataset(file, path)[start : start + step], dtype=np.float32))

        return read

    return [images(start) for start in range(0, count - step + 1, step)]


def _open_hdf(path: str | os.PathLike[str]) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise SettingsError("--hdf needs h5py, which is not installed; pip install 'heliodor[hdf]'") from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise MicrographError(f"{path}: not a readable HDF5 file ({str(error)[:80]}); check the path") from error


def _dataset(file: Any, path: str | os.PathLike[str]) -> Any:
    found = file.get("images")
    if getattr(found, "ndim", 0) != 3:
        raise MicrographError(f"{path}: no data set 'images' of shape (number, rows, columns), as Topaz wants it")
    return found


def preloaded(images: Sequence[Images]) -> list[Images]:
    """Read everything now, and keep it."""

    def kept(read: Images) -> Images:
        content = read()
        return lambda: content

    return [kept(read) for read in images]
