"""What is on a micrograph besides particles: where, how large. Drawing it is the matter of junk_drawing.py."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.simulation.placement import place

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from heliodor.simulation.settings import SimulationSettings

KINDS = ("none", "carbon", "gold", "ice_crystal", "aggregate", "broken", "lump", "hot_pixel")

_CRYSTALS = (math.log(150.0), 0.7)  # of the radius in angstrom: lognormal


@dataclass(frozen=True)
class Junk:
    """One thing that is not a particle.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    x, y : float
        Centre in pixels. Of carbon: the centre of the hole, which may lie outside.
    radius : float
        Of the circle around it, in angstrom. Of carbon: of the hole, outside of which the film lies.
    seed : int
        Decides how it looks.
    """

    kind: str
    x: float
    y: float
    radius: float
    seed: int

    @property
    def is_disc(self) -> bool:
        """Whether it covers a disc that particles keep away from."""
        return self.kind not in ("carbon", "hot_pixel")


def plan_junk(
    settings: SimulationSettings, diameter: float, rng: np.random.Generator
) -> tuple[list[Junk], dict[str, int]]:
    """Draw the junk of one micrograph, the largest first, no two things on the same place.

    Parameters
    ----------
    settings : SimulationSettings
    diameter : float
        Of the particle, in angstrom.
    rng : Generator

    Returns
    -------
    junk : list of Junk
        What there was room for.
    wanted : dict
        Kind -> how many were wanted, of the kinds that need room.
    """
    counts = settings.junk
    junk = _carbon(settings, rng) if rng.random() < counts.carbon else []
    crystals = np.clip(rng.lognormal(*_CRYSTALS, rng.poisson(counts.ice_crystals)), 60, 1500).tolist()
    heaps = [diameter * size for size in rng.uniform(1.0, 1.8, rng.poisson(counts.aggregates))]
    beads = list(rng.uniform(25, 75, rng.poisson(counts.gold)))
    kinds: list[tuple[str, list[float]]] = [
        ("ice_crystal", sorted(crystals, reverse=True)),
        ("aggregate", sorted(heaps, reverse=True)),
        ("lump", [diameter / 2 * size for size in rng.uniform(0.85, 1.15, rng.poisson(counts.lumps))]),
        ("broken", [diameter / 2] * rng.poisson(counts.broken)),
        ("gold", beads),
    ]
    for kind, radii in kinds:
        for radius in radii:
            junk += _put(settings, kind, radius, junk, rng)
    hot = rng.integers(0, settings.shape[::-1], (rng.poisson(counts.hot_pixels), 2))
    junk += [Junk("hot_pixel", float(x), float(y), settings.pixel_size / 2, _seed(rng)) for x, y in hot]
    return junk, {kind: len(radii) for kind, radii in kinds}


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _carbon(settings: SimulationSettings, rng: np.random.Generator) -> list[Junk]:
    """Film around a hole of 1.2 to 2 um across, of which 5 to 35 % of the micrograph's width show."""
    rows, columns = settings.shape
    radius = max(rng.uniform(6000, 10000), 0.8 * max(rows, columns) * settings.pixel_size)
    direction = rng.uniform(0, 2 * np.pi)
    width = (rows + (columns - rows) * np.cos(direction) ** 2) * settings.pixel_size  # along the direction
    shown = rng.uniform(0.05, 0.35) * width
    away = (radius - width / 2 + shown) / settings.pixel_size
    x, y = (columns - 1) / 2 - away * np.cos(direction), (rows - 1) / 2 - away * np.sin(direction)
    return [Junk("carbon", float(x), float(y), float(radius), _seed(rng))]


def _put(
    settings: SimulationSettings, kind: str, radius: float, junk: list[Junk], rng: np.random.Generator
) -> list[Junk]:
    """One thing where there is room for it; gold may lie on carbon, the rest may not."""
    own = radius / settings.pixel_size
    taken = np.array([(j.x, j.y, j.radius / settings.pixel_size + own) for j in junk if j.is_disc]).reshape(-1, 3)
    allowed = None if kind == "gold" else allowed_by_carbon(junk, settings.pixel_size, own)
    high = (settings.shape[1] - 0.5, settings.shape[0] - 0.5)
    places = place(rng, 1, 2 * own, (-0.5, -0.5), high, taken=taken, allowed=allowed)
    return [Junk(kind, float(x), float(y), float(radius), _seed(rng)) for x, y in places]


def allowed_by_carbon(
    junk: list[Junk], pixel_size: float, reach: float
) -> Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None:
    """Return a test of points (N, 2) that lie more than `reach` pixels off the film; None where there is no film."""
    films = [j for j in junk if j.kind == "carbon"]
    if not films:
        return None

    def allowed(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        free = np.ones(len(points), dtype=bool)
        for film in films:
            distance = np.hypot(points[:, 0] - film.x, points[:, 1] - film.y)
            free &= distance < film.radius / pixel_size - reach
        return free

    return allowed
