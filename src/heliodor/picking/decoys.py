"""Decoys: micrographs that certainly hold no particle, to learn how often the network sees one where none is.

As in target-decoy searches of mass spectrometry (Elias & Gygi 2007): what is found on decoys is false, and real
micrographs hold about as many false detections. A decoy is noise with the power spectrum of the background of its
micrograph: the median of many windows, from which the likeliest particles are cut out. Randomizing the phases of the
whole micrograph would leave in it the power of particles, carbon and gold, and find two to ten times too many
(dev/LOG.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates, uniform_filter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_LEAST = 0.1  # of the area must stay, or there is no background to speak of
_EDGE = 2.0  # pixels over which the mask falls
_SCALES, _FAR = (0.2, 0.4), 7.4  # of a diameter; median deviations, which are five standard deviations of noise
_WINDOW = 64  # pixels: what a network with a window of 31 to 71 pixels sees of a spectrum


def make_decoy(
    pixels: NDArray[np.float32],
    xy: ArrayLike,
    radius: float,
    random: np.random.Generator,
    junk: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Draw noise that looks like the background of a micrograph.

    Parameters
    ----------
    pixels : (ny, nx) float32 array
        As the network sees the micrograph.
    xy : (N, 2) array_like
        What may be particles, the likeliest first: as many are left out as leave a tenth of the area.
    radius : float
        Around each, in pixels, that is left out.
    random : Generator
    junk : (ny, nx) bool array, optional
        What is no background either, such as `disturbed` marks; the radius around it is left out as well.

    Returns
    -------
    (ny, nx) float32 array
    """
    if junk is None:
        junk = np.zeros(pixels.shape, dtype=bool)
    mask = _background(junk, np.asarray(xy, dtype=np.float64).reshape(-1, 2), radius)
    power, mean = background_power(pixels, mask)
    noise = scipy.fft.rfft2(random.standard_normal(pixels.shape, dtype=np.float32))
    noise *= np.sqrt(_resample(power, pixels.shape))
    decoy: NDArray[np.float32] = scipy.fft.irfft2(noise, s=pixels.shape)
    decoy += mean
    return decoy


def disturbed(pixels: NDArray[np.float32], span: float) -> NDArray[np.bool_]:
    """Mark what is far darker or brighter than noise is: carbon, gold, ice, and particles of strong contrast.

    Parameters
    ----------
    pixels : (ny, nx) float32 array
    span : float
        Diameter of a particle, in pixels.

    Returns
    -------
    (ny, nx) bool array
    """
    marked = np.zeros(pixels.shape, dtype=bool)
    varied = pixels != np.roll(pixels, 1, axis=1)  # padding says nothing about noise
    if not varied.any():
        return marked
    for scale in _SCALES:
        blurred = gaussian_filter(pixels, scale * span, mode="nearest")
        away = np.abs(blurred - np.median(blurred[varied]))
        marked |= away > _FAR * np.median(away[varied])
    return marked


def background_power(pixels: NDArray[np.float32], mask: NDArray[np.float32]) -> tuple[NDArray[np.float64], np.float32]:
    """Estimate the power spectrum and the mean of what the mask leaves.

    Of windows with a Hann taper, half over one another (Welch 1967); the median over windows is not moved by the few
    that hold carbon, gold or ice. Powers of noise are exponentially distributed, with a mean of median / ln 2.

    Parameters
    ----------
    pixels, mask : (ny, nx) float32 arrays
        The mask is 1 where pixels count, 0 where they do not.

    Returns
    -------
    power : (n, n) array
        Variance per frequency of noise with unit pixels, in the order of `fft2`.
    mean : float
    """
    side = min(_WINDOW, *pixels.shape)
    hann = np.hanning(side + 2)[1:-1].astype(np.float32)
    taper = hann[:, None] * hann
    views = (
        np.lib.stride_tricks.sliding_window_view(a, (side, side))[:: side // 2, :: side // 2] for a in (pixels, mask)
    )
    windows, weights = (view.reshape(-1, side, side) for view in views)
    weights = weights * taper
    energy = (weights**2).sum(axis=(1, 2), dtype=np.float64)
    kept = energy >= min(_LEAST * (taper**2).sum(), energy.max())
    windows, weights, energy = windows[kept], weights[kept], energy[kept]
    means = (windows * weights).sum(axis=(1, 2)) / weights.sum(axis=(1, 2))
    spectra = np.abs(scipy.fft.fft2((windows - means[:, None, None]) * weights)) ** 2 / energy[:, None, None]
    return uniform_filter(np.median(spectra, axis=0) / np.log(2), 3, mode="wrap"), np.float32(np.median(means))


def _resample(power: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Read a small spectrum at the frequencies of a large real transform."""
    y, x = np.fft.fftfreq(shape[0]) * power.shape[0], np.fft.rfftfreq(shape[1]) * power.shape[1]
    values: NDArray[np.float64] = map_coordinates(power, np.meshgrid(y, x, indexing="ij"), order=1, mode="grid-wrap")
    return values


def _background(junk: NDArray[np.bool_], xy: NDArray[np.float64], radius: float) -> NDArray[np.float32]:
    """1 between the discs and away from junk, 0 inside them, with a soft edge."""
    places = np.rint(xy[:, ::-1]).astype(int).clip(0, np.array(junk.shape) - 1)
    kept = len(places)
    while True:
        outside = ~junk
        outside[tuple(places[:kept].T)] = False
        if outside.all():
            return np.ones(junk.shape, np.float32)
        distance = distance_transform_edt(outside)
        mask: NDArray[np.float32] = np.clip((distance - radius) / _EDGE + 0.5, 0, 1).astype(np.float32)
        if mask.mean() >= _LEAST:
            return mask
        if junk.any():  # rather junk in the background than particles
            junk = np.zeros_like(junk)
        else:
            kept = kept * 3 // 4
