"""Normalization of pixel values: background to mean 0 and standard deviation 1."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import MicrographError, SettingsError
from heliodor.preprocess.mixture import JointMixture, fit_mixture, fit_scale, histogram

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS = ("gmm", "gmm-dataset", "affine")
CLIP = 10.0


def normalize(
    pixels: NDArray[np.float32],
    method: str = "gmm",
    *,
    joint: JointMixture | None = None,
    clip: float = CLIP,
    alpha: float = 900.0,
    beta: float = 1.0,
    iterations: int = 100,
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Standardize a micrograph.

    Parameters
    ----------
    pixels : (ny, nx) float32 array
    method : {'gmm', 'gmm-dataset', 'affine'}
        'gmm': by the brighter component of a mixture fitted to this image. 'gmm-dataset': divide by the
        image's own scale, then standardize by the dominant component of `joint` (paper). 'affine':
        by mean and standard deviation of the pixels, outliers left out.
    joint : JointMixture, optional
        For 'gmm-dataset': from `fit_joint_mixture`; the scale of this image is fitted to it.
    clip : float
        Values beyond this many standard deviations (hot pixels) are set to it; 0 keeps them.
    alpha, beta, iterations
        Of `fit_mixture`.

    Returns
    -------
    normalized : (ny, nx) float32 array
    statistics : dict
        What was fitted, JSON-able.

    Raises
    ------
    SettingsError
        An unknown method, or 'gmm-dataset' without `joint`.
    """
    h = histogram(pixels)
    statistics: dict[str, Any]
    if method == "gmm":
        mixture = fit_mixture(h, alpha=alpha, beta=beta, iterations=iterations)
        mean, sd, statistics = mixture.background, mixture.sd, asdict(mixture)
    elif method == "affine":
        mean = float(np.average(h.values, weights=h.counts))
        sd = float(np.sqrt(np.average((h.values - mean) ** 2, weights=h.counts)))
        statistics = {"mean": mean, "sd": sd}
    elif method == "gmm-dataset":
        if joint is None:
            raise SettingsError("normalization 'gmm-dataset' needs the mixture of the data set; fit it first")
        scale = fit_scale(h, joint)
        mean, sd = (scale * value for value in joint.dominant)
        statistics = {"scale": scale, "rho": joint.rho, "means": joint.means, "sds": joint.sds}
    else:
        raise SettingsError(f"there is no normalization '{method}'; choose from {', '.join(METHODS)}")
    if not sd > 0:
        raise MicrographError("nearly all pixels are alike: an empty exposure, or a damaged file; leave it out")
    result = (pixels - np.float32(mean)) * np.float32(1 / sd)
    if clip > 0:
        np.clip(result, -clip, clip, out=result)
    return result, statistics
