"""Preprocessing: downsample, then normalize. Arrays in, arrays out."""

from __future__ import annotations

from typing import Any

from heliodor.errors import MicrographError
from heliodor.micrographs import FLAT, Micrograph
from heliodor.preprocess.downsample import credible, downsample
from heliodor.preprocess.flatten import flatten
from heliodor.preprocess.mixture import JointMixture, Mixture, fit_joint_mixture, fit_mixture, fit_scale, histogram
from heliodor.preprocess.normalize import METHODS, normalize

__all__ = [
    "METHODS",
    "JointMixture",
    "Mixture",
    "credible",
    "downsample",
    "fit_joint_mixture",
    "fit_mixture",
    "fit_scale",
    "flatten",
    "histogram",
    "normalize",
    "preprocess",
]


def preprocess(
    micrograph: Micrograph, *, factor: float, normalization: str = "gmm", **options: Any
) -> tuple[Micrograph, dict[str, Any]]:
    """Clip outliers of a micrograph, downsample and normalize it.

    Parameters
    ----------
    micrograph : Micrograph
    factor : float
        Full-size pixels per small pixel.
    normalization : {'gmm', 'gmm-dataset', 'affine', 'flat'}
        'flat': see `heliodor.preprocess.flatten`.
    **options
        Of `normalize`.

    Returns
    -------
    small : Micrograph
        With the pixel size that was achieved.
    statistics : dict
        Of `normalize`.

    Raises
    ------
    MicrographError
        The micrograph is too small for the factor, or cannot be normalized in this way.
    """
    flat = normalization == FLAT
    try:
        pixels, (factor_y, factor_x) = downsample(micrograph.pixels, factor, credible(micrograph.pixels))
        pixels, statistics = normalize(pixels, "gmm" if flat else normalization, **options)
        if flat:
            pixels = flatten(pixels)
    except MicrographError as error:
        raise MicrographError(f"{micrograph.name}: {error}") from error
    achieved = (factor_y * factor_x) ** 0.5
    size = None if micrograph.pixel_size is None else micrograph.pixel_size * achieved
    return Micrograph(pixels, size, micrograph.name), statistics
