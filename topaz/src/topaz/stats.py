"""Normalization of micrograph files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def normalize_images(
    paths: Sequence[str],
    dest: str,
    num_workers: int = 0,
    scale: float = 1,
    affine: bool = False,
    niters: int = 200,
    alpha: float = 900,
    beta: float = 1,
    sample: int = 1,
    metadata: bool = False,
    formats: Sequence[str] = ("mrc",),
    use_cuda: bool = False,
    verbose: bool = False,
) -> None:
    """Downsample and normalize files into the folder `dest`, under their own names.

    `sample` and `use_cuda` change nothing: all pixels are used, on the processor, and cost next to nothing.

    Raises
    ------
    heliodor.errors.MicrographError
        A file cannot be used. The others are done.
    """
    from heliodor.cli.topaz.arguments import LOG
    from heliodor.errors import MicrographError
    from heliodor.find import find_micrographs
    from heliodor.preprocess.files import PreprocessSettings, preprocess_files

    failed = preprocess_files(
        find_micrographs(list(map(os.fspath, paths))),
        dest,
        PreprocessSettings(scale, "affine" if affine else "gmm", alpha, beta, niters),
        formats=tuple(formats),
        metadata=metadata,
        workers=num_workers,
        overwrite=True,
        verbose=verbose,
        reporter=LOG,
    )
    if failed:
        raise MicrographError(next(iter(failed.values())))
