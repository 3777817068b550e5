"""Images of single particles: cut out of micrographs, and written as a stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import MicrographError, SettingsError
from heliodor.files import atomic_path
from heliodor.micrographs import read_micrograph
from heliodor.picks import Picks
from heliodor.preprocess.downsample import fourier_crop
from heliodor.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from heliodor.names import MicrographFile


def cut(pixels: NDArray[np.float32], xy: ArrayLike, size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Cut square windows around centres.

    Parameters
    ----------
    pixels : (ny, nx) array
    xy : (N, 2) array_like
        Centres; the nearest pixel comes to lie at [size // 2, size // 2].
    size : int
        Side, in pixels.

    Returns
    -------
    windows : (M, size, size) float32 array
        Of the centres whose windows lie within the array.
    inside : (N,) bool array
        Which those are.
    """
    corner = np.rint(np.asarray(xy, dtype=np.float64).reshape(-1, 2)).astype(np.intp) - size // 2
    limit = np.array(pixels.shape[::-1]) - size
    inside = np.asarray(((corner >= 0) & (corner <= limit)).all(axis=1))
    windows = [pixels[y : y + size, x : x + size] for x, y in corner[inside].tolist()]
    return np.array(windows, dtype=np.float32).reshape(-1, size, size), inside


def write_stack(
    path: Path,
    micrographs: Sequence[MicrographFile],
    picks: Picks,
    size: int,
    *,
    resize: int | None = None,
    reporter: Reporter = SILENT,
) -> Picks:
    """Write the particles of many micrographs to one .mrcs file.

    Parameters
    ----------
    path : path
    micrographs : sequence of MicrographFile
    picks : Picks
        Named as the micrographs are.
    size : int
        Side of the windows, in pixels of the micrographs.
    resize : int, optional
        Side of the images in the stack: windows are downsampled to it.
    reporter : Reporter

    Returns
    -------
    Picks
        Those in the stack, in its order: particles too near to an edge are left out.

    Raises
    ------
    SettingsError
        A size that cannot be.
    MicrographError
        A micrograph cannot be read, or no particle is left.
    """
    import mrcfile

    if size < 1 or not (resize is None or 1 <= resize <= size):
        raise SettingsError(
            f"particles need a size of 1 or more, and a smaller one to shrink to. Got {size}, {resize}."
        )
    kept, images, pixel_size = [], [], None
    for file in reporter.track(micrographs, len(micrographs), "cutting out particles"):
        own = picks.of(file.name)
        if not len(own):
            continue
        micrograph = read_micrograph(file.path, name=file.name)
        windows, inside = cut(micrograph.pixels, own.xy, size)
        if resize is not None and resize < size:
            windows = np.array([fourier_crop(w, (resize, resize)) for w in windows]).reshape(-1, resize, resize)
        images.append(windows)
        kept.append(own.select(inside))
        pixel_size = pixel_size or micrograph.pixel_size
    chosen = Picks.join(kept)
    if not len(chosen):
        raise MicrographError(f"no particle has a window of {size} pixels within its micrograph; give a smaller size")
    with atomic_path(path) as temporary, mrcfile.new(temporary, overwrite=True) as mrc:
        mrc.set_data(np.concatenate(images).astype(np.float32))
        mrc.set_image_stack()
        mrc.voxel_size = (pixel_size or 0.0) * (size / resize if resize else 1.0)
    return chosen
