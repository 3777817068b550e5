"""A scene: all that is known about a micrograph before it is drawn. Touches no file, and is cheap to make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.simulation.ctf import Optics
from heliodor.simulation.junk import Junk, allowed_by_carbon, plan_junk
from heliodor.simulation.placement import orientations, place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heliodor.simulation.settings import Range, SimulationSettings

STREAMS = ("optics", "junk", "placement", "orientation", "ice", "noise")


@dataclass(frozen=True, eq=False)
class Scene:
    """Truth of one micrograph.

    Parameters
    ----------
    optics : Optics
    dose : float
        Electrons per square angstrom.
    thickness, gradient, bowl
        See `heliodor.simulation.ice.thickness_map`.
    xy : (N, 2) array
        Centres of mass of the particles in pixels: x column, y row, 0-based.
    angles : (N, 3) array
        rot, tilt, psi in degrees.
    outside_xy, outside_angles : arrays
        Particles whose centres lie outside and that reach into the micrograph.
    junk : list of Junk
    wanted : int
        Particles that were asked for; fewer lie in `xy` where there was no room.
    junk_wanted : dict
        Kind of junk -> how many of it were asked for.
    """

    optics: Optics
    dose: float
    thickness: float
    gradient: tuple[float, float]
    bowl: float
    xy: NDArray[np.float64]
    angles: NDArray[np.float64]
    outside_xy: NDArray[np.float64]
    outside_angles: NDArray[np.float64]
    junk: list[Junk]
    wanted: int
    junk_wanted: dict[str, int]


def streams(seed: int, index: int) -> dict[str, np.random.Generator]:
    """Make the random numbers of micrograph `index`, a stream for each subject: none depends on another."""
    children = np.random.SeedSequence((seed, index)).spawn(len(STREAMS))
    return {name: np.random.default_rng(child) for name, child in zip(STREAMS, children, strict=True)}


def plan(settings: SimulationSettings, diameter: float, index: int) -> Scene:
    """Draw the scene of micrograph `index`.

    Parameters
    ----------
    settings : SimulationSettings
    diameter : float
        Of the particle, in angstrom.
    index : int
    """
    rngs = streams(settings.seed, index)
    optics, rng = _optics(settings, rngs["optics"]), rngs["optics"]
    dose, thickness = _between(rng, settings.dose), _between(rng, settings.ice_thickness)
    direction, steepness = rng.uniform(0, 2 * np.pi), settings.ice_gradient * rng.random()
    junk, junk_wanted = plan_junk(settings, diameter, rngs["junk"])
    wanted = int(rngs["placement"].integers(settings.particles[0], settings.particles[1] + 1))
    xy, outside = _places(settings, diameter, wanted, junk, rngs["placement"])
    turned = orientations(
        rngs["orientation"],
        len(xy) + len(outside),
        preferred=settings.preferred,
        view=settings.preferred_view,
        spread=settings.preferred_spread,
    )
    return Scene(
        optics=optics,
        dose=dose,
        thickness=thickness,
        gradient=(float(steepness * np.cos(direction)), float(steepness * np.sin(direction))),
        bowl=float(0.3 * settings.ice_gradient * rng.random()),
        xy=xy,
        angles=turned[: len(xy)],
        outside_xy=outside,
        outside_angles=turned[len(xy) :],
        junk=junk,
        wanted=wanted,
        junk_wanted=junk_wanted,
    )


def _between(rng: np.random.Generator, bounds: Range) -> float:
    return float(rng.uniform(*bounds))


def _optics(settings: SimulationSettings, rng: np.random.Generator) -> Optics:
    defocus = _between(rng, settings.defocus) * 1e4
    difference = settings.astigmatism * rng.random()
    return Optics(
        voltage=settings.voltage,
        defocus_u=float(defocus + difference / 2),
        defocus_v=float(defocus - difference / 2),
        defocus_angle=float(rng.uniform(-90, 90)),
        spherical_aberration=settings.spherical_aberration,
        amplitude_contrast=settings.amplitude_contrast,
        phase_shift=_between(rng, settings.phase_shift),
        b_factor=settings.b_factor,
    )


def _places(
    settings: SimulationSettings, diameter: float, wanted: int, junk: list[Junk], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places of particles, and of as dense ones around the micrograph where particles may lie at its border."""
    rows, columns = settings.shape
    radius = diameter / 2 / settings.pixel_size
    distance = 2 * radius * settings.closeness
    taken = np.array([(j.x, j.y, j.radius / settings.pixel_size + radius) for j in junk if j.is_disc]).reshape(-1, 3)
    allowed = allowed_by_carbon(junk, settings.pixel_size, radius)
    margin = settings.margin / settings.pixel_size
    low, high = (margin - 0.5, margin - 0.5), (columns - margin - 0.5, rows - margin - 0.5)
    xy = place(rng, wanted, distance, low, high, taken=taken, allowed=allowed)
    if margin > 0 or not wanted:
        return xy, np.empty((0, 2))
    area = (columns + 2 * radius) * (rows + 2 * radius) / (columns * rows)
    around = np.concatenate([taken, np.column_stack([xy, np.full(len(xy), distance)])])

    def beyond(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        inside = np.logical_and(points >= low, points < high)
        outside = ~(inside[:, 0] & inside[:, 1])
        return outside if allowed is None else outside & allowed(points)

    more = round(len(xy) * (area - 1))
    frame = (low[0] - radius, low[1] - radius), (high[0] + radius, high[1] + radius)
    return xy, place(rng, more, distance, *frame, taken=around, allowed=beyond)
