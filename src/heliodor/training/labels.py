"""From labels to label maps, and from an expected number of particles to pi."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import SettingsError
from heliodor.training.objectives import NEGATIVE, POSITIVE, UNLABELED

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

OUTSIDE = 2  # a pixel that is not on the micrograph: neither labelled nor unlabelled


def disc(label_radius: float) -> NDArray[np.intp]:
    """Offsets (dy, dx) with dy^2 + dx^2 <= label_radius^2: 29 of them at radius 3.

    >>> len(disc(3))
    29
    """
    reach = int(label_radius)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = dy**2 + dx**2 <= label_radius**2
    return np.stack([dy[inside], dx[inside]], axis=1)


def label_map(
    shape: tuple[int, int], positives: ArrayLike, negatives: ArrayLike, label_radius: float
) -> NDArray[np.int8]:
    """Mark every pixel within `label_radius` of a label.

    Parameters
    ----------
    shape : (int, int)
        Rows, columns of the downsampled micrograph.
    positives, negatives : (N, 2) array_like
        Centres xy in its pixels. Where discs overlap, the positive wins.
    label_radius : float
        In its pixels.

    Returns
    -------
    (ny, nx) int8 array of POSITIVE, NEGATIVE and UNLABELED
    """
    marks = np.full(shape, UNLABELED, dtype=np.int8)
    offsets = disc(label_radius)
    for centres, mark in ((negatives, NEGATIVE), (positives, POSITIVE)):
        xy = np.asarray(centres, dtype=np.float64).reshape(-1, 2)
        pixels = np.rint(xy[:, ::-1]).astype(np.intp)[:, None, :] + offsets
        y, x = pixels.reshape(-1, 2).T
        on = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
        marks[y[on], x[on]] = mark
    return marks


# A network does not end a particle's mark at the label radius to the pixel. Counting the pixels around the disc as
# positive too, when pi is set, costs little where they are not and gains much where they are (dev/LOG.md).
RIM = 1.0


def prior(expected_particles: float, labels: int, micrographs: int, pixels: int, label_radius: float) -> float:
    """pi, the fraction of positive pixels among the unlabelled ones.

    Every particle that nobody labelled makes the pixels within label_radius + RIM of it positive.

    Parameters
    ----------
    expected_particles : float
        Particles per micrograph, labelled or not.
    labels : int
        Labelled particles on all micrographs together.
    micrographs, pixels : int
        Number of labelled micrographs, and of all their pixels together (downsampled).
    label_radius : float
        In downsampled pixels.

    Returns
    -------
    float
        That of one unlabelled particle where all are labelled, so that it is never 0.

    Raises
    ------
    SettingsError
        The particles would not fit on the micrographs.
    """
    area = len(disc(label_radius + RIM))
    unlabeled = max(expected_particles * micrographs - labels, 1.0) * area
    pool = pixels - labels * area
    if unlabeled >= pool:
        raise SettingsError(
            f"{expected_particles:g} expected particles per micrograph, with a label radius of {label_radius:g} "
            f"downsampled pixels, do not fit on {pixels // max(micrographs, 1)} pixels; give fewer, "
            "or a smaller --factor or --label-radius"
        )
    return unlabeled / pool


def expected_particles(pi: float, labels: int, micrographs: int, pixels: int, label_radius: float) -> float:
    """Particles per micrograph that `prior` would turn into `pi`: its inverse, with the same parameters."""
    area = len(disc(label_radius + RIM))
    return (pi * (pixels - labels * area) / area + labels) / micrographs


def pi_of_all(pi: float, labels: int, pixels: int, label_radius: float) -> float:
    """Fraction of positive pixels among all, where it is `pi` among the unlabelled ones; parameters as of `prior`."""
    labeled = min(labels * len(disc(label_radius + RIM)) / pixels, 1.0)
    return labeled + pi * (1 - labeled)
