"""Two-component Gaussian mixtures of pixel values, fitted by expectation-maximization on histograms.

A micrograph of 10^7 pixels has no more to say about five numbers than its histogram: the cost of the
fit does not depend on the size of the image. Pixels farther than `REACH` robust standard deviations
from the median (hot pixels, dead pixels) are left out of the histogram.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import MicrographError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REACH = 8.0
BINS = 1024
_LEAST_BACKGROUND = 0.1  # crowded micrographs still show a third of their background
STARTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)


@dataclass(frozen=True)
class Histogram:
    """Pixel values (bin centres) and how many pixels have each, outliers left out."""

    values: NDArray[np.float64]
    counts: NDArray[np.float64]


@dataclass(frozen=True)
class Mixture:
    """Two Gaussians of one width: (mean, sd) is the brighter component, mostly the background.

    Attributes
    ----------
    mean, sd : float
        Of the brighter component.
    dark_mean : float
        Of the other component (carbon, ice, particles).
    share : float
        Mixing proportion of the brighter component.
    log_posterior : float
    """

    mean: float
    sd: float
    dark_mean: float
    share: float
    log_posterior: float

    @property
    def background(self) -> float:
        """Mean of the background: the brighter component, unless that is only the bright rims of gold and ice."""
        return self.mean if self.share >= _LEAST_BACKGROUND else self.dark_mean


@dataclass(frozen=True)
class JointMixture:
    """The paper's mixture: two Gaussians for a whole data set, and one scale for each image.

    Attributes
    ----------
    rho : float
        Proportion of component 1.
    means, sds : (2,) tuple of float
    scales : tuple of float
        alpha_k; their geometric mean is 1, since only products alpha * mu are determined.
    """

    rho: float
    means: tuple[float, float]
    sds: tuple[float, float]
    scales: tuple[float, ...]

    @property
    def dominant(self) -> tuple[float, float]:
        """(mean, sd) of the dominant component: 0 if rho < 0.5, else 1."""
        which = 0 if self.rho < 0.5 else 1
        return self.means[which], self.sds[which]


def histogram(pixels: NDArray[np.floating], bins: int = BINS) -> Histogram:
    """Count pixel values in even bins over median +- REACH robust standard deviations."""
    sample = pixels.ravel()[:: max(1, pixels.size // 1_000_000)]
    low, middle, high = np.percentile(sample, [15.865, 50, 84.135]).astype(np.float64)
    sd = (high - low) / 2 or float(pixels.std(dtype=np.float64))  # most pixels the same: a mask, padding
    counts, edges = np.histogram(pixels, bins, range=(middle - REACH * sd, middle + REACH * sd))
    kept = counts > 0
    return Histogram((edges[:-1] + edges[1:])[kept] / 2, counts[kept].astype(np.float64))


def _log_normal(x: NDArray[np.float64], mean: float, sd: float) -> NDArray[np.float64]:
    return -0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)


def fit_mixture(
    h: Histogram, *, alpha: float = 900.0, beta: float = 1.0, iterations: int = 100, tolerance: float = 1e-3
) -> Mixture:
    """Fit two Gaussians of equal variance, with a Beta prior on the proportion of the brighter one.

    Expectation-maximization from twelve proportions (one of them 1: a single Gaussian), each split at
    the matching quantile; the best posterior wins.

    Parameters
    ----------
    h : Histogram
    alpha, beta : float
        Beta(alpha, beta) prior on the proportion of the brighter component.
    iterations : int
    tolerance : float
        Stop when the log-posterior gains less.

    Raises
    ------
    SettingsError
        A prior below 1, which has no mode between 0 and 1, or no iteration.
    """
    for name, value in {"alpha": alpha, "beta": beta, "iterations": iterations}.items():
        if not value >= 1:
            raise SettingsError(f"The '{name}' parameter of fit_mixture must be 1 or more. Got {value} instead.")
    return max(
        (
            _fit_from(h, share, alpha, beta, iterations, tolerance)
            for share in STARTS
            if share < 1 or beta == 1  # a larger beta has density 0 at one Gaussian
        ),
        key=lambda m: m.log_posterior,
    )


def _fit_from(h: Histogram, share: float, alpha: float, beta: float, iterations: int, tolerance: float) -> Mixture:
    w, total = h.counts, float(h.counts.sum())
    centre = float(w @ h.values) / total  # far from zero, sums of squares would lose their digits
    x = h.values - centre
    square_sum = float(w @ (x * x))
    bright = np.where(np.cumsum(w) > (1 - share) * total, 1.0, 0.0)
    best = -np.inf
    mean = dark = sd = 0.0
    for _ in range(iterations):
        own = w * bright
        up, up_sum = float(own.sum()), float(own @ x)
        mean = up_sum / up
        down = total - up
        dark = -up_sum / down if down > 0.5 else mean
        # Sum of (x - mean of its component)^2, since each mean is that of its component.
        variance = (square_sum - up * mean**2 - down * dark**2) / total
        sd = float(np.sqrt(max(variance, 1e-12)))
        if share < 1:
            share = float(np.clip((up + alpha - 1) / (total + alpha + beta - 2), 1e-9, 1 - 1e-9))
        # Of the brighter component alone: log of prior, share and density; sum of x = 0.
        posterior = (total + alpha - 1) * np.log(share) - total * np.log(sd * np.sqrt(2 * np.pi))
        posterior -= (square_sum + total * mean**2) / (2 * sd**2)
        if share < 1:
            # With one width, the log of the ratio of the two densities is a straight line in x.
            ratio = ((dark - mean) * x + (mean**2 - dark**2) / 2) / sd**2 + np.log1p(-share) - np.log(share)
            bright = 1 / (1 + np.exp(np.minimum(ratio, 700)))
            posterior += (beta - 1) * np.log1p(-share) - float(w @ np.log(bright))
        if posterior - best < tolerance:
            break
        best = posterior
    return Mixture(mean + centre, sd, dark + centre, share, float(posterior))


def fit_joint_mixture(
    histograms: Sequence[Histogram], *, iterations: int = 200, tolerance: float = 1e-6
) -> JointMixture:
    """Fit the paper's data-set-wide mixture by expectation-maximization (Online Methods 2).

    z ~ Bernoulli(rho); x of image k given z = c ~ Normal(alpha_k mu_c, (alpha_k sigma_c)^2). The values
    must be positive on the whole, as counts are: a scale says nothing about values around zero.

    Parameters
    ----------
    histograms : sequence of Histogram
        One for each image.
    iterations : int
    tolerance : float
        Stop when the log-likelihood per pixel gains less.

    Raises
    ------
    MicrographError
        An image whose mean is not positive.
    SettingsError
        No image.
    """
    if not histograms:
        raise SettingsError("The mixture of a data set needs at least 1 histogram. Got 0 instead.")
    scales = np.array([positive_mean(h) for h in histograms])
    scales /= np.exp(np.log(scales).mean())
    x = np.concatenate([h.values for h in histograms])
    w = np.concatenate([h.counts for h in histograms])
    image = np.repeat(np.arange(len(histograms)), [len(h.values) for h in histograms])
    y = x / scales[image]
    centre = np.average(y, weights=w)
    spread = np.sqrt(np.average((y - centre) ** 2, weights=w))
    rho, mu, sigma = 0.7, centre + spread * np.array([-1, 0.5]), np.array([spread, spread])
    last = -np.inf
    for _ in range(iterations):
        share, density = _shares(y, rho, mu, sigma)
        likelihood = float(np.average(density - np.log(scales[image]), weights=w))
        if likelihood - last < tolerance:
            break
        last = likelihood
        share *= w
        rho = float(np.clip(share[1].sum() / w.sum(), 1e-9, 1 - 1e-9))
        mu = (share * y).sum(axis=1) / share.sum(axis=1)
        sigma = np.sqrt(np.maximum((share * (y - mu[:, None]) ** 2).sum(axis=1) / share.sum(axis=1), 1e-12))
        scales = _fit_scales(x, share, image, mu, sigma, len(histograms))
        scales /= np.exp(np.log(scales).mean())
        y = x / scales[image]
    return JointMixture(rho, (float(mu[0]), float(mu[1])), (float(sigma[0]), float(sigma[1])), tuple(scales.tolist()))


def fit_scale(h: Histogram, joint: JointMixture, *, iterations: int = 200, tolerance: float = 1e-9) -> float:
    """Fit the scale alpha of one image, which need not be of those that `joint` was fitted to.

    The same steps as in `fit_joint_mixture`, with everything but alpha held.

    Raises
    ------
    MicrographError
        The mean of the image is not positive.
    """
    mu, sigma = np.array(joint.means), np.array(joint.sds)
    image = np.zeros(len(h.values), dtype=np.intp)
    scale = positive_mean(h) / float(joint.rho * mu[1] + (1 - joint.rho) * mu[0])
    for _ in range(iterations):
        share, _density = _shares(h.values / scale, joint.rho, mu, sigma)
        last, scale = scale, float(_fit_scales(h.values, share * h.counts, image, mu, sigma, 1)[0])
        if abs(scale - last) < tolerance * scale:
            break
    return scale


def positive_mean(h: Histogram) -> float:
    """Return the mean of an image whose pixels can be scaled.

    Raises
    ------
    MicrographError
        It is not positive.
    """
    mean = float(np.average(h.values, weights=h.counts))
    if mean > 0:
        return mean
    raise MicrographError(
        f"normalization 'gmm-dataset' scales pixel values, which must be positive on the whole, and their mean is "
        f"{mean:g}: were they normalized before? use 'gmm' or 'affine'"
    )


def _shares(
    y: NDArray[np.float64], rho: float, mu: NDArray[np.float64], sigma: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """E-step: posterior of each component (2, n) and log-density (n) of scaled pixel values."""
    log_0 = np.log1p(-rho) + _log_normal(y, mu[0], sigma[0])
    log_1 = np.log(rho) + _log_normal(y, mu[1], sigma[1])
    both = np.logaddexp(log_0, log_1)
    return np.exp(np.stack([log_0, log_1]) - both), both


def _fit_scales(
    x: NDArray[np.float64],
    share: NDArray[np.float64],
    image: NDArray[np.intp],
    mu: NDArray[np.float64],
    sigma: NDArray[np.float64],
    count: int,
) -> NDArray[np.float64]:
    # d/d alpha of sum share * (log alpha + (x / alpha - mu)^2 / 2 sigma^2) = 0:
    # N alpha^2 + B alpha - A = 0 with A = sum share x^2 / sigma^2, B = sum share x mu / sigma^2.
    a = np.bincount(image, (share / sigma[:, None] ** 2).sum(axis=0) * x**2, count)
    b = np.bincount(image, (share * (mu / sigma**2)[:, None]).sum(axis=0) * x, count)
    n = np.bincount(image, share.sum(axis=0), count)
    return (-b + np.sqrt(b**2 + 4 * n * a)) / (2 * n)
