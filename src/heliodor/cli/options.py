"""What several commands do with their options."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliodor.micrographs import Micrograph, MicrographFile


def set_threads(threads: int) -> None:
    """Use this many processor threads for networks; 0 or less: as many as processors are idle now.

    Threads that wait for one another cost far more than they bring where other programs keep the
    processors busy: on two cores, three such programs ran fifty times slower, not three times.
    """
    import torch

    if threads < 1:
        free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        threads = max(1, min(torch.get_num_threads(), free - round(busy)))
    torch.set_num_threads(threads)


def loader(
    about: dict[str, Any] | None, raw: bool, any_pixel_size: bool = False
) -> Callable[[MicrographFile], tuple[Micrograph, tuple[float, float]]]:
    """Return what reads a micrograph for a model: as it is, or preprocessed as the model's own were.

    Parameters
    ----------
    about : dict or None
        What the model file says, if there is a model.
    raw : bool
        The micrographs are of full size: downsample and normalize them.
    any_pixel_size : bool
        Take micrographs whose pixel size is not the model's as they are.

    Returns
    -------
    callable
        MicrographFile -> (small micrograph, scale (x, y) of its pixels to the file's).

    Raises
    ------
    SettingsError
        `raw`, but the model does not say how; and, for a micrograph, if its pixel size is not the model's.
    """
    from heliodor.errors import MicrographError, SettingsError
    from heliodor.micrographs import read_micrograph
    from heliodor.preprocess import preprocess

    geometry = (about or {}).get("geometry")
    if raw and geometry is None:
        raise SettingsError("--raw needs a model that `heliodor pick` trained, which says how to preprocess")
    wanted = (about or {}).get("pixel_size")
    if geometry is not None:
        wanted = geometry["pixel_size"] * (1 if raw else geometry["factor"])

    def load(file: MicrographFile) -> tuple[Micrograph, tuple[float, float]]:
        micrograph = read_micrograph(file.path, name=file.name)
        size = micrograph.pixel_size
        if wanted and size and not any_pixel_size and abs(size / wanted - 1) > 0.05:
            hint = "preprocess it first, use --raw, or --any-pixel-size to take it as it is"
            raise MicrographError(f"{file.path}: {size:.3g} A per pixel, the model wants {wanted:.3g}; {hint}")
        if not raw or geometry is None or about is None:
            return micrograph, (1.0, 1.0)
        small, _ = preprocess(micrograph, factor=geometry["factor"], normalization=about["normalization"])
        (rows, columns), (m, n) = micrograph.pixels.shape, small.pixels.shape
        return small, (columns / n, rows / m)

    return load
