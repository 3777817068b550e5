"""Picking without labels: particles as blobs of a known diameter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heliodor.errors import MicrographError, SettingsError
from heliodor.picking.refinement import refine
from heliodor.picking.suppression import non_maximum_suppression
from heliodor.picks import Picks
from heliodor.preprocess.downsample import credible, downsample

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from heliodor.micrographs import Micrograph

THRESHOLDS = {"disc": 3.5, "log": 1.0, "dog": 1.0}
"""Method -> default threshold. Particles are weak in the Gaussian responses, so that theirs must be low."""
CONTRASTS = ("dark", "light")
JUNK = 3.0
"""Robust standard deviations of the pixels, from which on something wider than a particle is ice or carbon."""
SPAN = 16.0
"""Pixels across the smallest particle to work with: enough to see its edge, few enough to be fast."""

_SPREAD = 0.1  # a diameter is believed to 10 %
_STEP = 1.1  # between the diameters that are tried
_SMALLEST = 4.0  # pixels across: below, a disc is a square
_CLIP = 4.0
_JUNK_DEPTH = 0.6  # particle diameters: half a diameter is a particle's own, the rest allows for blur
_WINDOW = 1.5  # pixels around a maximum that place it between pixels
_DOG_RATIO = 1.6  # the difference of Gaussians nearest to the Laplacian (Marr & Hildreth 1980)
_SIGMA_OF_MAD = 1.4826


class Blobs(NamedTuple):
    """Blobs of one image, best first.

    Attributes
    ----------
    xy : (N, 2) float array
        Column and row of each centre.
    scores : (N,) float array
        Response in robust standard deviations of the response over the image; not log-odds.
    diameters : (N,) float array
        The one that responded most, in pixels.
    """

    xy: NDArray[np.float64]
    scores: NDArray[np.float64]
    diameters: NDArray[np.float64]


def find_blobs(
    pixels: ArrayLike,
    diameters: tuple[float, float],
    *,
    method: str = "disc",
    contrast: str = "dark",
    threshold: float | None = None,
    exclusion_radius: float | None = None,
    junk: float = JUNK,
) -> Blobs:
    """Find round things of a diameter in a range.

    Parameters
    ----------
    pixels : (ny, nx) array
        Image, raw or normalized, downsampled so that a particle is some 16 px across.
    diameters : (float, float)
        Smallest and largest diameter in pixels; they may be equal.
    method : {'disc', 'log', 'dog'}
        'disc': mean of a disc against the mean of a ring of the same area around it. 'log': Laplacian of
        Gaussians. 'dog': difference of Gaussians. The sharp disc sees the edge of a particle, hollow ones
        included, where the Gaussians only see its mean.
    contrast : {'dark', 'light'}
        Particles darker than the ice, as micrographs are recorded, or lighter.
    threshold : float, optional
        Lowest score, in robust standard deviations of the response; a crowded image has a wide response,
        which makes the same threshold stricter. Default: 3.5 for 'disc', 1 for 'log' and 'dog'.
    exclusion_radius : float, optional
        Smallest distance of two blobs, in pixels. Default: half the geometric mean of the diameters.
    junk : float
        Ice lumps and carbon: where the image, a little blurred, is farther than that many robust standard
        deviations of its pixels from the median, over something wider than the largest diameter,
        nothing in it or within half a diameter of it is taken. `math.inf` keeps everything.

    Returns
    -------
    Blobs
        xy, scores, diameters.

    Raises
    ------
    SettingsError
        An unknown method or contrast, diameters out of order, or an image that is not 2-D.
    MicrographError
        A flat image, or one in which such diameters are below 4 pixels or above half of it.

    Notes
    -----
    1. Clip pixels at 4 robust standard deviations, so that a hot pixel is no blob.
    2. Respond at diameters 10 % apart, the image mirrored at its borders; each response is divided by its
       robust standard deviation, so that noise passes the threshold equally often at each; take the largest.
    3. Keep local maxima, and of these the best within the exclusion radius; refine them below the pixel.

    The Laplacian's sigma is diameter / (2 sqrt 2), where a disc of that diameter responds most (Lindeberg 1998).

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:64, :64]
    >>> image = np.random.default_rng(0).normal(size=(64, 64))
    >>> image[(x - 40) ** 2 + (y - 20) ** 2 < 8**2] -= 3
    >>> found = find_blobs(image, (16, 16), threshold=6)
    >>> found.xy.round().tolist(), found.diameters.tolist()
    ([[40.0, 20.0]], [16.0])
    """
    image = np.asarray(pixels, dtype=np.float32)
    _check(image, diameters, method, contrast)
    image = _standardize(image) * (-1 if contrast == "dark" else 1)
    tried = _ladder(*diameters)
    clipped = np.clip(image, -_CLIP, _CLIP)
    responses = np.stack([_respond(clipped, diameter, method) for diameter in tried])
    best = responses.max(axis=0)
    typical = math.sqrt(diameters[0] * diameters[1])
    candidates = np.where(_local_maxima(best) & ~_near_junk(image, diameters[1], junk), best, -np.inf)
    radius = typical / 2 if exclusion_radius is None else exclusion_radius
    xy, scores = non_maximum_suppression(candidates, radius, THRESHOLDS[method] if threshold is None else threshold)
    chosen = responses[:, xy[:, 1], xy[:, 0]].argmax(axis=0)
    centres = refine(best, xy, _WINDOW, weights="height")
    return Blobs(centres, scores.astype(np.float64), np.array(tried)[chosen])


def pick_blobs(
    micrograph: Micrograph,
    diameters: tuple[float, float],
    *,
    factor: float | None = None,
    method: str = "disc",
    contrast: str = "dark",
    threshold: float | None = None,
    junk: float = JUNK,
) -> Picks:
    """Find particles on a micrograph at full size.

    Parameters
    ----------
    micrograph : Micrograph
        With a pixel size.
    diameters : (float, float)
        Smallest and largest diameter in angstrom. Where they are equal, 10 % more and less are tried too.
    factor : float, optional
        Downsampling. Default: so that the smallest diameter is 16 pixels across.
    method, contrast, threshold, junk
        See `find_blobs`.

    Returns
    -------
    Picks
        In full-size pixels, best first.

    Raises
    ------
    SettingsError
        See `find_blobs`; or `factor` is below 1.
    MicrographError
        See `find_blobs`; or the micrograph has no pixel size, or is too small for the factor.
    """
    if micrograph.pixel_size is None:
        raise MicrographError("its header has no pixel size; give it with --angpix")
    low, high = (diameter / micrograph.pixel_size for diameter in diameters)
    if low == high:
        low, high = low * (1 - _SPREAD), high * (1 + _SPREAD)
    shrink = max(1.0, diameters[0] / micrograph.pixel_size / SPAN) if factor is None else factor
    small, (factor_y, factor_x) = downsample(micrograph.pixels, shrink, credible(micrograph.pixels))
    mean_factor = math.sqrt(factor_x * factor_y)
    found = find_blobs(
        small,
        (low / mean_factor, high / mean_factor),
        method=method,
        contrast=contrast,
        threshold=threshold,
        junk=junk,
    )
    return Picks.on(micrograph.name, found.xy, found.scores).scaled((factor_x, factor_y))


def _check(image: NDArray[np.float32], diameters: tuple[float, float], method: str, contrast: str) -> None:
    if image.ndim != 2:
        raise SettingsError(f"pixels must be an image (ny, nx). Got an array of shape {image.shape} instead.")
    if method not in THRESHOLDS:
        known = ", ".join(THRESHOLDS)
        raise SettingsError(f"The 'method' of find_blobs must be one of {known}. Got '{method}' instead.")
    if contrast not in CONTRASTS:
        raise SettingsError(f"The 'contrast' of find_blobs must be 'dark' or 'light'. Got '{contrast}' instead.")
    low, high = diameters
    if not low <= high:
        raise SettingsError(f"the smallest and the largest diameter must be in order. Got {low:.3g} and {high:.3g} px.")
    if low < _SMALLEST or high > min(image.shape) / 2:
        raise MicrographError(
            f"diameters of {low:.3g} to {high:.3g} px cannot be found in {image.shape[0]} x {image.shape[1]} px: they "
            f"must be at least {_SMALLEST:g} px and at most half the image; "
            "check the diameter, the pixel size (--angpix) and the --factor"
        )


def _spread(values: NDArray[np.float32]) -> float:
    """Robust standard deviation."""
    return float(_SIGMA_OF_MAD * np.median(np.abs(values - np.median(values))))


def _standardize(image: NDArray[np.float32]) -> NDArray[np.float32]:
    spread = _spread(image)
    if not spread > 0:
        raise MicrographError("more than half of the pixels have one value, or some are NaN; leave it out")
    return (image - np.median(image)) / np.float32(spread)


def _ladder(low: float, high: float) -> list[float]:
    """Diameters from `low` to `high`, evenly in their logarithm, at most 10 % apart."""
    steps = math.ceil(math.log(high / low) / math.log(_STEP) - 1e-9)
    return [float(diameter) for diameter in np.geomspace(low, high, steps + 1)]


def _respond(image: NDArray[np.float32], diameter: float, method: str) -> NDArray[np.float32]:
    """Response to light blobs of one diameter, in its own robust standard deviations."""
    from scipy.ndimage import gaussian_filter, gaussian_laplace
    from scipy.signal import fftconvolve

    sigma = diameter / (2 * math.sqrt(2))
    if method == "log":
        response = -gaussian_laplace(image, sigma, mode="reflect")
    elif method == "dog":
        inner = sigma / math.sqrt(_DOG_RATIO)
        response = gaussian_filter(image, inner, mode="reflect")
        response -= gaussian_filter(image, inner * _DOG_RATIO, mode="reflect")
    else:
        kernel = _disc_and_ring(diameter)
        mirrored = np.pad(image, kernel.shape[0] // 2, mode="symmetric")
        response = fftconvolve(mirrored, kernel, mode="valid")
    return np.asarray(response / np.float32(_spread(response)))


def _disc_and_ring(diameter: float) -> NDArray[np.float32]:
    """Mean of a disc minus mean of the ring of the same area around it, edges one pixel soft."""
    inner, outer = diameter / 2, diameter / math.sqrt(2)
    reach = math.ceil(outer + 1)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    distance = np.hypot(x, y)
    disc = np.clip(inner + 0.5 - distance, 0, 1)
    ring = np.clip(outer + 0.5 - distance, 0, 1) - disc
    return (disc / disc.sum() - ring / ring.sum()).astype(np.float32)


def _local_maxima(response: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels that no neighbour exceeds: a blob has one centre, and its slopes are none."""
    from scipy.ndimage import maximum_filter

    return np.asarray(response >= maximum_filter(response, size=3, mode="nearest"))


def _near_junk(image: NDArray[np.float32], diameter: float, junk: float) -> NDArray[np.bool_]:
    """Places in, or within half a diameter of, something strong that is wider than a particle."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    # Clipped, or the blur would make a wide thing of one hot pixel.
    bounded = np.clip(image, -2 * junk, 2 * junk)
    strong = np.abs(gaussian_filter(bounded, diameter / 8, mode="reflect")) > junk
    # Depth below the surface of what is strong: at most half a diameter in a particle, whatever its contrast.
    wide = distance_transform_edt(strong) > _JUNK_DEPTH * diameter
    if not wide.any():
        return wide
    return np.asarray(distance_transform_edt(~wide) < (_JUNK_DEPTH + 0.5) * diameter)
