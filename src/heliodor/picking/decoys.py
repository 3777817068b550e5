"""Decoys: micrographs that certainly hold no particle, to learn how often the network sees one where none is.

As in target-decoy searches of mass spectrometry (Elias & Gygi 2007): what is found on decoys is false, and real
micrographs hold about as many false detections. A decoy is noise with the power spectrum and the skewness of the
background of its micrograph: the spectrum is the median of many windows, from which the likeliest particles are cut
out. Randomizing the phases of the whole micrograph would leave in it the power of particles, carbon and gold, and find
two to ten times too many. Counted electrons are skewed: fewer places are dark, as particles are, than in normally
distributed noise (dev/LOG.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates, uniform_filter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_LEAST = 0.1  # of the area must stay, or there is no background to speak of
_EDGE = 2.0  # pixels over which the mask falls
_SCALES, _FAR = (0.2, 0.4), 7.4  # of a diameter; median deviations, which are five standard deviations of noise
WINDOW = 64  # pixels: what a network with a window of 31 to 71 pixels sees of a spectrum
_INSIDE = 0.5  # of the mask, where a pixel counts as background
_LEAST_KEPT = 0.1  # of skewness by the spectrum; noise with less left has nothing that could be made up for
_LEAST_LEFT = 0.1  # of the power at a frequency: dividing by less, where hardly anything counts, tells nothing
_FAR_OFF = 4.0  # standard deviations: pixels beyond would decide skewness alone


@dataclass(frozen=True, eq=False)
class Background:
    """Noise between the particles of a micrograph.

    Parameters
    ----------
    amplitude : (ny, nx // 2 + 1) array
        By which the transform of white noise is multiplied, in the order of `rfft2`.
    mean : float
    skewness : float
        Of that white noise.
    shape : (int, int)
        Rows and columns of the micrograph.
    """

    amplitude: NDArray[np.float64]
    mean: float
    skewness: float
    shape: tuple[int, int]

    @classmethod
    def of_micrograph(
        cls,
        pixels: NDArray[np.float32],
        xy: ArrayLike,
        radius: float,
        junk: NDArray[np.bool_] | None = None,
    ) -> Background:
        """Look between particles.

        Parameters
        ----------
        pixels : (ny, nx) float32 array
            As the network sees the micrograph.
        xy : (N, 2) array_like
            What may be particles, the likeliest first: as many are left out as leave a tenth of the area.
        radius : float
            Around each, in pixels, that is left out.
        junk : (ny, nx) bool array, optional
            What is no background either, such as `disturbed` marks; the radius around it is left out as well.
        """
        if junk is None:
            junk = np.zeros(pixels.shape, dtype=bool)
        mask = between(junk, np.asarray(xy, dtype=np.float64).reshape(-1, 2), radius)
        power, mean = background_power(pixels, mask)
        amplitude = np.sqrt(_resample(power, pixels.shape))
        # A pixel of noise with this spectrum is a weighted sum of independent ones, and less skewed than they are.
        weights = scipy.fft.irfft2(amplitude, s=pixels.shape)
        variance = (weights**2).sum()
        kept = (weights**3).sum() / variance**1.5 if variance > 0 else 1.0
        skewness = float(np.clip(_skewness(pixels[mask > _INSIDE]) / max(kept, _LEAST_KEPT), -1, 1))
        return cls(amplitude, mean, skewness, (pixels.shape[0], pixels.shape[1]))

    def draw(self, random: np.random.Generator) -> NDArray[np.float32]:
        """Draw a decoy: (ny, nx) float32 pixels."""
        white = random.standard_normal(self.shape, dtype=np.float32)
        white += np.float32(self.skewness / 6) * (white**2 - 1)  # Cornish & Fisher (1938)
        white /= np.float32(math.sqrt(1 + self.skewness**2 / 18))
        noise = scipy.fft.rfft2(white)
        noise *= self.amplitude
        decoy: NDArray[np.float32] = scipy.fft.irfft2(noise, s=self.shape)
        decoy += np.float32(self.mean)
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


def background_power(pixels: NDArray[np.float32], mask: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Estimate the power spectrum and the mean of what the mask leaves.

    Of windows with a Hann taper, half over one another (Welch 1967), less their means, so that slow changes of the
    micrograph do not leak into other frequencies; what that takes from low ones of white noise is made up for. The
    median over windows is not moved by the few that hold carbon, gold or ice. Powers of noise are exponentially
    distributed, with a mean of median / ln 2 (at the lowest frequencies not quite: some 5 % are lost there, more in
    crowds). Windows show no detail of a spectrum finer than a thirtieth of a cycle per pixel.

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
    side = min(WINDOW, *pixels.shape)
    hann = np.hanning(side + 2)[1:-1].astype(np.float32)
    taper = hann[:, None] * hann
    rows, columns = (
        np.unique(np.append(np.arange(0, n - side + 1, max(side // 2, 1)), n - side)) for n in pixels.shape
    )
    windows, weights = (np.lib.stride_tricks.sliding_window_view(a, (side, side)) for a in (pixels, mask))
    # By rows of windows: all transforms at once would take twenty times the memory of the micrograph.
    parts = [_spectra(windows[row, columns], weights[row, columns] * taper) for row in rows]
    spectra, means, energy = (np.concatenate(part) for part in zip(*parts, strict=True))
    kept = energy >= min(_LEAST * (taper**2).sum(), energy.max())
    power = np.median(spectra[kept], axis=0).astype(np.float64) / np.log(2)
    lowest = np.roll(power, 1, axis=(0, 1))[:3, :3]
    power[0, 0] = (lowest.sum() - power[0, 0]) / (lowest.size - 1)
    return uniform_filter(power, 3, mode="wrap"), float(np.median(means[kept]))


def _spectra(
    windows: NDArray[np.float32], weights: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return power spectra (N, n, n) and weighted means of windows (N, n, n), and how much weight they have."""
    energy = (weights**2).sum(axis=(1, 2), keepdims=True)
    tiny = np.finfo(np.float32).tiny  # a window without any weight has a spectrum of 0
    size = np.maximum(energy, tiny)
    shares, squares = weights / np.maximum(weights.sum(axis=(1, 2), keepdims=True), tiny), weights**2 / size
    means = (windows * shares).sum(axis=(1, 2), keepdims=True)
    spectra = np.abs(scipy.fft.fft2((windows - means) * weights)) ** 2 / size
    spectra /= _left(shares, squares)
    return spectra, means[:, 0, 0], energy[:, 0, 0]


def _left(weights: NDArray[np.float32], squares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return which share of the power of white noise the windows hold, by frequency, less their weighted means.

    Of pixels x with weights w, normalized to a sum of 1, w (x - sum w x) is transformed; with W and V, the transforms
    of w and of w^2 normalized likewise, the expected power is 1 - 2 Re conj(W) V + |W|^2 of what it would be. At
    frequency 0, of which nothing is left, 1 is returned.
    """
    shape, square = scipy.fft.fft2(weights), scipy.fft.fft2(squares)
    left = np.asarray(1 - 2 * (shape.conj() * square).real + np.abs(shape) ** 2)
    left[:, 0, 0] = 1
    return np.maximum(left, _LEAST_LEFT)


def _skewness(values: NDArray[np.float32]) -> float:
    """Return the third standardized moment, less far values: of a skewness of 1, four fifths are left."""
    if not len(values):
        return 0.0
    near = values[np.abs(values - np.median(values)) <= _FAR_OFF * values.std()].astype(np.float64)
    spread = near.std()
    return float(((near - near.mean()) ** 3).mean() / spread**3) if spread > 0 else 0.0


def _resample(power: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Read a small spectrum at the frequencies of a large real transform."""
    y, x = np.fft.fftfreq(shape[0]) * power.shape[0], np.fft.rfftfreq(shape[1]) * power.shape[1]
    values: NDArray[np.float64] = map_coordinates(power, np.meshgrid(y, x, indexing="ij"), order=1, mode="grid-wrap")
    return values


def between(junk: NDArray[np.bool_], xy: NDArray[np.float64], radius: float) -> NDArray[np.float32]:
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
