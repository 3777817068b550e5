"""What a user may choose for the main job."""

from __future__ import annotations

import math
from dataclasses import dataclass

from heliodor.errors import SettingsError

CUTS = ("threshold", "precision")
"""Settings that decide which candidates are picks, and nothing before that."""


@dataclass(frozen=True)
class PickSettings:
    """What a user may choose; None is derived from the data.

    Parameters
    ----------
    diameter : float
        Of the particle's long axis, in angstrom.
    pixel_size : float, optional
        Angstrom per full-size pixel, where headers have none or a wrong one.
    factor, label_radius, exclusion_radius : float, optional
        See `heliodor.picking.geometry`.
    pi, expected_particles : float, optional
        Fraction of positives among the unlabelled pixels, or particles per micrograph.
    threshold : float, optional
        Picks have a score (log-odds) above it. Default: see `heliodor.picking.evidence`.
    precision : float, optional
        The share of the picks that should be particles, by their probabilities, in place of the best expected F1.
    invert : bool, optional
        Particles are light in the micrographs. Default: see `heliodor.picking.appearance`.
    whiten : bool, optional
        Whiten micrographs for the network where their noise is not white. Default: where more is found so, see
        `heliodor.picking.noise`.
    junk_mask : bool
        No picks on gold, ice lumps and carbon; see `heliodor.junk.mask`.
    margin : float
        Angstrom from the border of a micrograph within which there are no picks. 0: particles that the border cuts
        are picked wherever their centre is on the micrograph.
    normalization : {'flat', 'gmm', 'affine'}, optional
        See `heliodor.picking.load.Loader`. Default: what the network that training starts from has seen, else 'flat'.
    model : str, optional
        Network; default: that of `start`, or conv31.
    method : {'GE-binomial', 'GE-KL', 'PU', 'PN'}, optional
        Objective. Default: see `heliodor.picking.learn`.
    units : int, optional
        Channels of its first layer; default: those of `start`, or 32.
    dropout : float, optional
        Default: see `heliodor.picking.learn`.
    pretrained : bool
        Start from the network that comes with heliodor, where there is one of this kind.
    start : str, optional
        Start from this network instead: a file, or a name; see `heliodor.networks.load_network`.
    epochs : int
    epoch_size : int, optional
        Minibatches in an epoch. Default: see `heliodor.picking.learn`.
    autoencoder, l2, slack : float
    held_out : float
        Fraction of the labelled micrographs kept for validation, rounded down.
    exact : bool
        Score with torch in float32 instead of the fastest way.
    seed : int
    """

    diameter: float
    pixel_size: float | None = None
    factor: float | None = None
    label_radius: float | None = None
    exclusion_radius: float | None = None
    pi: float | None = None
    expected_particles: float | None = None
    threshold: float | None = None
    precision: float | None = None
    invert: bool | None = None
    whiten: bool | None = None
    junk_mask: bool = True
    margin: float = 0.0
    normalization: str | None = None
    model: str | None = None
    method: str | None = None
    units: int | None = None
    dropout: float | None = None
    pretrained: bool = True
    start: str | None = None
    epochs: int = 10
    epoch_size: int | None = None
    autoencoder: float = 0.0
    l2: float = 0.0
    slack: float = -1.0
    held_out: float = 0.1
    exact: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pi is not None and self.expected_particles is not None:
            raise SettingsError("--pi and --expected-particles say the same thing twice; give one of them")
        if self.start is not None and not self.pretrained:
            raise SettingsError("--start names a network to start from, --no-pretrained wants none; give one of them")
        if self.threshold is not None and self.precision is not None:
            raise SettingsError("--threshold and --precision both say where to cut; give one of them")
        if self.slack >= 0 and self.method in ("PN", "PU"):
            raise SettingsError(f"--slack is the weight of a penalty, which {self.method} has not; leave it out")
        if self.pi is not None and not 0 < self.pi < 1:
            raise SettingsError(f"--pi is a fraction, between 0 and 1. Got {self.pi:g} instead.")
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise SettingsError(f"--threshold must be a score. Got {self.threshold:g} instead.")
        if self.expected_particles is not None and not 0 < self.expected_particles < math.inf:
            raise SettingsError(f"--expected-particles must be above 0. Got {self.expected_particles:g} instead.")
        if self.precision is not None and not 0 < self.precision < 1:
            raise SettingsError(f"--precision must be between 0 and 1. Got {self.precision:g} instead.")
        if self.seed < 0:
            raise SettingsError(f"--seed must be 0 or more. Got {self.seed} instead.")
        if not 0 <= self.held_out < 1:
            raise SettingsError(f"--held-out must be in [0, 1). Got {self.held_out} instead.")
        if not 0 <= self.margin < math.inf:
            raise SettingsError(f"--margin, in angstrom, must be 0 or more. Got {self.margin} instead.")
