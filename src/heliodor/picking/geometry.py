"""From a diameter in angstroms to every length the method needs, in pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from heliodor.errors import SettingsError
from heliodor.picking.detect import Detector

if TYPE_CHECKING:
    from collections.abc import Iterable

# A particle should span this many downsampled pixels: wide enough to localize, narrow enough that it and its
# surroundings fit into 31 pixels. Chosen by cross-validation (dev/LOG.md).
SPAN = 20.0
# Share of a diameter that two centres may come near: particles touch, and projections overlap a little.
NEAREST = 0.9
# Hexagonal packing of discs covers this share of the plane. The paper's data sets reach 15 to 36 % of it,
# crowded apoferritin 64 %.
_PACKING = math.pi / (2 * math.sqrt(3))
_TYPICAL = 0.25


@dataclass(frozen=True)
class Geometry:
    """Lengths of one run.

    Attributes
    ----------
    diameter : float
        Of the particle's long axis, in angstrom.
    pixel_size : float
        Angstrom per full-size pixel.
    factor : float
        Full-size pixels per downsampled pixel.
    label_radius, exclusion_radius : float
        In downsampled pixels.
    """

    diameter: float
    pixel_size: float
    factor: float
    label_radius: float
    exclusion_radius: float

    @property
    def span(self) -> float:
        """Diameter of the particle in downsampled pixels."""
        return self.diameter / self.pixel_size / self.factor

    @property
    def match_radius(self) -> float:
        """How far a detection may be from the label it finds, in downsampled pixels: a third of the diameter."""
        return self.span / 3

    @property
    def detector(self) -> Detector:
        """Finds particles of this size on a score map."""
        return Detector(self.exclusion_radius, self.label_radius)

    def searching(self, margin: float) -> Detector:
        """Return the detector that leaves out what is nearer to the border than `margin`, in angstrom."""
        return replace(self.detector, margin=margin / self.pixel_size / self.factor)

    def most(self, pixels: float) -> float:
        """Return how many particles fit side by side (hexagonal packing) on so many downsampled pixels."""
        return _PACKING * pixels / (math.pi / 4 * self.span**2)

    def detections(self, pixels: float) -> float:
        """Return how many detections there can be on so many downsampled pixels, however particles overlap."""
        apart = max(self.exclusion_radius, 1.0)  # two maxima of a score map, at least
        return _PACKING * pixels / (math.pi / 4 * apart**2)

    def typical(self, pixels: float) -> float:
        """Guess the number of particles before anything has been scored: a quarter of what would fit."""
        return _TYPICAL * self.most(pixels)

    def describe(self) -> str:
        """One line for people."""
        return (
            f"diameter {self.diameter:g} A at {self.pixel_size:g} A per pixel: factor {self.factor:.3g} "
            f"(particle {self.span:.0f} small pixels wide), label radius {self.label_radius:g}, "
            f"exclusion radius {self.exclusion_radius:.3g} small pixels"
        )


def derive_geometry(
    diameter: float,
    pixel_size: float,
    *,
    receptive_field: int = 31,
    factor: float | None = None,
    label_radius: float | None = None,
    exclusion_radius: float | None = None,
) -> Geometry:
    """Derive the factor and the radii; what is given stays.

    The factor makes the particle `SPAN` pixels wide for a receptive field of 31, and proportionally wider
    for a larger one up to RELION's rule (half the receptive field); it never enlarges.

    Parameters
    ----------
    diameter : float
        In angstrom.
    pixel_size : float
        Angstrom per full-size pixel.
    receptive_field : int
        Of the network, in downsampled pixels.
    factor, label_radius, exclusion_radius : float, optional

    Raises
    ------
    SettingsError
        The diameter makes no sense for the pixel size, or the particle does not fit the network.
    """
    if not diameter > 0 or not pixel_size > 0:
        raise SettingsError(f"--diameter and --angpix must be positive. Got {diameter:g} and {pixel_size:g} instead.")
    for flag, value, least in (
        ("factor", factor, 1),
        ("label-radius", label_radius, 0),
        ("exclusion-radius", exclusion_radius, 0),
    ):
        if value is not None and not least <= value < math.inf:
            raise SettingsError(f"--{flag} must be {least} or more. Got {value:g} instead.")
    width = diameter / pixel_size
    if width < 4:
        raise SettingsError(
            f"--diameter {diameter:g} A is only {width:.1f} pixels of {pixel_size:g} A; "
            "give the diameter in angstrom (not nanometre), or the right --angpix"
        )
    if width > 4000:
        raise SettingsError(
            f"--diameter {diameter:g} A is {width:.0f} pixels of {pixel_size:g} A, wider than a micrograph's particle "
            "can be; give the diameter in angstrom, or the right --angpix"
        )
    if factor is None:
        factor = max(1.0, width / SPAN)
    span = width / factor
    if span > receptive_field:
        raise SettingsError(
            f"a particle of {diameter:g} A spans {span:.0f} downsampled pixels, more than the network's receptive "
            f"field of {receptive_field}; use --factor {width / SPAN:.1f} or a larger network"
        )
    if label_radius is None:
        label_radius = min(5.0, max(1.0, round(0.15 * span)))
    if exclusion_radius is None:
        exclusion_radius = max(1.0, NEAREST * span / 2)
    return Geometry(diameter, pixel_size, factor, label_radius, exclusion_radius)


def check_margin(margin: float, geometry: Geometry, shapes: Iterable[tuple[int, int]]) -> None:
    """Refuse a margin that leaves nothing of a micrograph.

    Parameters
    ----------
    margin : float
        In angstrom.
    geometry : Geometry
    shapes : iterable of (ny, nx)
        In full-size pixels.

    Raises
    ------
    SettingsError
    """
    detector = geometry.searching(margin)
    for rows, columns in shapes:
        if not detector.inside((round(rows / geometry.factor), round(columns / geometry.factor))):
            sides = " x ".join(f"{side * geometry.pixel_size:.0f}" for side in (columns, rows))
            raise SettingsError(f"--margin {margin:g} A leaves nothing of a micrograph of {sides} A; give less")
