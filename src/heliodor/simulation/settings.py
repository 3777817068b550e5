"""What a user may choose for simulated micrographs. Ranges are (low, high): each micrograph draws its own value."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from heliodor.errors import SettingsError

Range = tuple[float, float]


_MOST = 10_000  # of each kind of junk, on a micrograph


@dataclass(frozen=True)
class JunkSettings:
    """What else is on a micrograph: mean numbers (Poisson distributed), or the share that has a carbon edge.

    No number may be above 10,000.

    Parameters
    ----------
    carbon : float
        Share of the micrographs with the edge of the carbon film in view, 0 to 1.
    gold : float
        Beads of gold, 50 to 150 A across.
    ice_crystals : float
        Lumps of ice that fell onto the grid, mostly 150 to 600 A across, at most 3000 A.
    aggregates : float
        Heaps of particles that lie half over one another, 2 to 3.6 particle diameters across.
    broken : float
        Particles cut by a plane near their middle: 0.3 to 0.65 of a ball are left, of other shapes 0.1 to 0.8.
    lumps : float
        Round things of the particle's size, without its structure.
    hot_pixels : float
        Pixels that are dead or count too much.
    """

    carbon: float = 0.0
    gold: float = 0.0
    ice_crystals: float = 0.0
    aggregates: float = 0.0
    broken: float = 0.0
    lumps: float = 0.0
    hot_pixels: float = 0.0

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            if not 0 <= getattr(self, name) <= _MOST:
                raise SettingsError(
                    f"{_flag(name)} must be 0 or more, {_MOST} at most. Got {getattr(self, name)} instead."
                )
        if self.carbon > 1:
            raise SettingsError(f"--carbon is a share of the micrographs, 0 to 1. Got {self.carbon} instead.")


JUNK = {
    "none": JunkSettings(),
    "some": JunkSettings(0.2, 2, 0.5, 1, 5, 3, 5),
    "much": JunkSettings(0.5, 6, 2, 4, 15, 10, 20),
}


@dataclass(frozen=True)
class SimulationSettings:
    """How simulated micrographs look.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    pixel_size : float
        Angstrom.
    particles : (int, int)
        Centres on a micrograph.
    closeness : float
        Least distance between two centres, in particle diameters, 0.01 to 100. 1: they may touch, never overlap.
    margin : float
        Distance of centres from the border in angstrom. 0: particles at the border are cut, and their other
        halves' neighbours beyond the border reach in.
    preferred : float
        Share of particles in the preferred view, 0 to 1.
    preferred_view : (float, float)
        rot and tilt of that view, in degrees.
    preferred_spread : float
        Standard deviation around it, in degrees, at most 360.
    voltage : float
        Kilovolt, 50 to 1500.
    defocus : (float, float)
        Underfocus in micrometres, at most 20.
    astigmatism : float
        Largest difference of the two defocus values, in angstrom; less than twice the lowest defocus.
    spherical_aberration : float
        Millimetres, at most 20.
    amplitude_contrast : float
        Share, 0 to 1.
    phase_shift : (float, float)
        Of a phase plate, in degrees.
    b_factor : float
        Of the envelope exp(-B s^2 / 4): partial coherence, motion and damage, in A^2, at most 1e6.
    ice_thickness : (float, float)
        Mean of a micrograph, in angstrom, 0.01 to 10,000.
    ice_gradient : float
        Largest change of thickness from one border to the other, as a share of the mean, at most 2.
    ice_contrast : float
        Factor on the texture of ice and carbon film. 1: what the potentials give; micrographs show about half of it.
        At most 100.
    particle_contrast : float
        Factor on the potential of particles. 1: what the potential gives; micrographs show about half of it, see
        docs/simulation.md. At most 100.
    dose : (float, float)
        Electrons per square angstrom that arrive at the ice, at most 1e6.
    detector_mtf : float
        Modulation transfer of the detector at the Nyquist frequency, 0.01 to 1, of image and noise alike. 1: a counting
        detector, or pixels much larger than the detector's; about 0.4: an integrating one at its own pixels.
    snr : float, optional
        Variance of a particle over the variance of the detector's noise, see `signal_variance`; the noise
        is then Gaussian; 1e-6 to 1e12. Default: Poisson noise of the dose.
    junk : JunkSettings
    seed : int
        Micrograph k depends on the seed and k, not on how many there are or who makes them.
    """

    shape: tuple[int, int] = (4096, 4096)
    pixel_size: float = 1.0
    particles: tuple[int, int] = (200, 200)
    closeness: float = 1.0
    margin: float = 0.0
    preferred: float = 0.0
    preferred_view: tuple[float, float] = (0.0, 0.0)
    preferred_spread: float = 10.0
    voltage: float = 300.0
    defocus: Range = (1.0, 2.5)
    astigmatism: float = 300.0
    spherical_aberration: float = 2.7
    amplitude_contrast: float = 0.07
    phase_shift: Range = (0.0, 0.0)
    b_factor: float = 80.0
    ice_thickness: Range = (300.0, 600.0)
    ice_gradient: float = 0.3
    ice_contrast: float = 0.5
    particle_contrast: float = 0.5
    dose: Range = (40.0, 40.0)
    detector_mtf: float = 1.0
    snr: float | None = None
    junk: JunkSettings = field(default_factory=JunkSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 32 <= min(self.shape) <= max(self.shape) <= _LARGEST:
            size = f"{self.shape[1]} x {self.shape[0]}"
            raise SettingsError(f"--size must be 32 pixels or more, {_LARGEST} at most. Got {size} instead.")
        for name in ("pixel_size", "closeness", "voltage", "detector_mtf", "snr", *_RANGES):
            _positive(name, getattr(self, name))
        for name in ("margin", "preferred_spread", "astigmatism", "spherical_aberration", "b_factor", "ice_gradient",
                     "ice_contrast", "particle_contrast", "seed"):  # fmt: skip
            if not 0 <= getattr(self, name) < math.inf:
                raise SettingsError(f"{_flag(name)} must be 0 or more. Got {getattr(self, name)} instead.")
        for name, bounds in _BOUNDS.items():
            _within(name, getattr(self, name), *bounds)
        if self.snr is not None and self.particle_contrast < _FAINTEST:
            raise SettingsError(
                f"--snr is about the signal of particles, and --particle-contrast {self.particle_contrast:g} leaves "
                "none; leave out one of them"
            )
        if self.defocus[0] * 1e4 <= self.astigmatism / 2:
            raise SettingsError(
                f"--astigmatism {self.astigmatism:g}, in angstrom, is overfocus along one axis at --defocus "
                f"{self.defocus[0]:g}, in micrometres; it must be less than twice the lowest defocus"
            )
        for name in ("preferred", "amplitude_contrast"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{_flag(name)} must be in [0, 1]. Got {getattr(self, name)} instead.")
        if not -360 <= self.phase_shift[0] <= self.phase_shift[1] <= 360:
            low, high = self.phase_shift
            raise SettingsError(f"--phase-shift is in degrees, the lower first. Got {low:g} {high:g} instead.")
        if not all(map(math.isfinite, self.preferred_view)):
            raise SettingsError(f"--preferred-view is two angles in degrees. Got {self.preferred_view} instead.")
        if not 0 <= self.particles[0] <= self.particles[1]:
            low, high = self.particles
            raise SettingsError(f"--particles is a number, or a lowest and a highest. Got {low} {high} instead.")


_FLAGS = {"pixel_size": "--angpix", "spherical_aberration": "--cs"}
_RANGES = ("defocus", "ice_thickness", "dose")
_LARGEST = 32768  # pixels along a side
_FAINTEST = 1e-6  # contrast of particles to which noise can be scaled
_BOUNDS: dict[str, tuple[float, float, str]] = {  # outside: most likely of another unit, or pixels that overflow
    "pixel_size": (0.01, 1000, "in angstrom"),
    "voltage": (50, 1500, "in kilovolt"),
    "spherical_aberration": (0, 20, "in millimetres"),
    "defocus": (0, 20, "in micrometres"),
    "dose": (0, 1e6, "in electrons per square angstrom"),
    "closeness": (0.01, 100, "in particle diameters"),
    "margin": (0, _LARGEST * 1000, "in angstrom"),
    "preferred_spread": (0, 360, "in degrees"),
    "b_factor": (0, 1e6, "in square angstrom"),
    "ice_thickness": (0.01, 10_000, "in angstrom"),
    "ice_gradient": (0, 2, "a share of the mean thickness"),
    "ice_contrast": (0, 100, "a factor"),
    "particle_contrast": (0, 100, "a factor"),
    "detector_mtf": (0.01, 1, "a share"),
    "snr": (1e-6, 1e12, "a ratio of variances"),
}


def _positive(name: str, value: float | Range | None) -> None:
    if value is None:
        return
    low, high = value if isinstance(value, tuple) else (value, value)
    if not 0 < low <= high < math.inf:
        given = f"{low:g} {high:g}" if isinstance(value, tuple) else f"{low:g}"
        kind = "above 0, the lower first" if isinstance(value, tuple) else "above 0"
        raise SettingsError(f"{_flag(name)} must be {kind}. Got {given} instead.")


def _within(name: str, value: float | Range | None, lowest: float, highest: float, unit: str) -> None:
    if value is None:
        return
    low, high = value if isinstance(value, tuple) else (value, value)
    if not lowest <= low <= high <= highest:
        wrong = low if low < lowest else high
        raise SettingsError(f"{_flag(name)} is {unit}, {lowest:g} to {highest:g}. Got {wrong:g} instead.")


def _flag(name: str) -> str:
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")
