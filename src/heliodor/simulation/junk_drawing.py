"""Drawing junk: each kind as the potential it adds, the electrons it takes, or both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from heliodor.simulation.canvas import Canvas, corners_and_rests
from heliodor.simulation.density import CONTRAST
from heliodor.simulation.junk import KINDS, Junk
from heliodor.simulation.placement import orientations, place
from heliodor.simulation.potential import VOLTS, form_factor, ice_potential
from heliodor.simulation.volume import weighted_quantile

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from heliodor.simulation.projection import Projector

    Draw = Callable[[Junk, Projector, float, np.random.Generator], tuple[NDArray[np.float32], NDArray[np.float64]]]

_CARBON, _GOLD = (6, 0.1003), (79, 0.0590)  # atomic number, atoms per A^3
# A of each substance after which 1/e of the electrons are left in the image.
_CARBON_PATH, _GOLD_PATH, _CRYSTAL_PATH = 2000.0, 100.0, 1200.0
_EDGE = 35.0  # A over which the film ends
_HEAP = 1000  # more particles than there is room for in a heap, where they lie half over one another
_DEAD = 0.3  # share of damaged pixels that are dead
_FAINT = 0.05  # of a projection's maximum: less is the ripple of its finest frequency


def draw_junk(canvas: Canvas, junk: list[Junk], projector: Projector, contrast: float) -> None:
    """Draw all junk but damaged pixels.

    Parameters
    ----------
    canvas : Canvas
    junk : list of Junk
    projector : Projector
        Of the particle, for aggregates and broken particles.
    contrast : float
        Factor on the potential of what is made of protein.
    """
    for item in junk:
        rng = np.random.default_rng(item.seed)
        if item.kind == "carbon":
            _draw_film(canvas, item, rng)
        elif item.kind in ("gold", "ice_crystal"):
            _draw_solid(canvas, item, rng)
        elif item.kind in _PROTEIN:
            stamps, xy = _PROTEIN[item.kind](item, projector, canvas.pixel_size, rng)
            corners, _ = corners_and_rests(xy, stamps.shape[1])
            canvas.add(canvas.potential, stamps * np.float32(contrast), corners)
            _mark_disc(canvas, item)


def as_drawn(junk: list[Junk], projector: Projector, pixel_size: float) -> list[Junk]:
    """Junk with broken particles where they are seen: centroid and extent of what is left, not of the whole."""
    return [_remains(item, projector, pixel_size) if item.kind == "broken" else item for item in junk]


def _remains(item: Junk, projector: Projector, pixel_size: float) -> Junk:
    """Centroid of a broken particle's projection, and the radius of the circle around it that holds 99 % of it."""
    stamps, xy = _broken(item, projector, pixel_size, np.random.default_rng(item.seed))
    corners, _ = corners_and_rests(xy, stamps.shape[1])
    y, x = np.nonzero(stamps[0] > _FAINT * stamps[0].max())
    weights = stamps[0, y, x].astype(np.float64)
    middle = np.array([x @ weights, y @ weights]) / weights.sum()
    reach = weighted_quantile(np.hypot(x - middle[0], y - middle[1]), weights, 0.99)
    place = corners[0] + middle
    return replace(item, x=float(place[0]), y=float(place[1]), radius=(reach + 0.5) * pixel_size)


def film_potential() -> float:
    """Mean potential of carbon film, in volt."""
    return _mean_potential(_CARBON)


def film_spectrum(s2: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power spectrum of the projected potential of carbon atoms at random, per angstrom of film, in V^2 A^3."""
    number, density = _CARBON
    return np.float32(density) * (np.float32(VOLTS) * form_factor(number, s2)) ** 2


def pixel_gains(junk: list[Junk]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places (N, 2) of damaged pixels and what their counts are multiplied by (N,): 0 or 2 to 15."""
    items = [item for item in junk if item.kind == "hot_pixel"]
    draws = [np.random.default_rng(item.seed).random(2) for item in items]
    gains = [0.0 if kind < _DEAD else 2 * 7.5**size for kind, size in draws]
    return np.array([(item.x, item.y) for item in items]).reshape(-1, 2), np.array(gains)


def _mean_potential(substance: tuple[int, float]) -> float:
    number, density = substance
    return float(VOLTS * density * form_factor(number, np.zeros(1, np.float32))[0])


def _draw_film(canvas: Canvas, item: Junk, rng: np.random.Generator) -> None:
    thickness = rng.uniform(100, 200)
    rows, columns = canvas.potential.shape
    y = (np.arange(rows, dtype=np.float32) - np.float32(canvas.frame + item.y))[:, None] * canvas.pixel_size
    x = (np.arange(columns, dtype=np.float32) - np.float32(canvas.frame + item.x)) * canvas.pixel_size
    depth = (np.hypot(x, y) - np.float32(item.radius)).astype(np.float32)  # A from the edge, positive in the film
    near = np.nonzero(np.abs(depth) < 250)
    arc = np.arctan2(y[near[0], 0], x[near[1]]) * item.radius
    for wave, phase in zip(rng.uniform(200, 2000, 12), rng.uniform(0, 2 * np.pi, 12), strict=True):
        depth[near] += (0.006 * wave * np.sin(2 * np.pi * arc / wave + phase)).astype(np.float32)
    film = np.float32(thickness) / (1 + np.exp(np.clip(-depth / (_EDGE / 4), -50, 50)))
    film[depth < -100] = 0
    canvas.film += film
    canvas.potential += film * np.float32(film_potential())
    canvas.absorption += film / np.float32(_CARBON_PATH)
    canvas.kinds[film > thickness / 2] = KINDS.index("carbon")


def _offsets(item: Junk, pixel_size: float, room: float = 1.1) -> tuple[NDArray[np.float64], ...]:
    """Return x and y in angstrom from the centre of an item, over a stamp that holds it."""
    size = 2 * int(np.ceil(item.radius * room / pixel_size)) + 4
    _, rest = corners_and_rests(np.array([[item.x, item.y]]), size)
    at = np.arange(size) - size // 2
    return (at - rest[0, 0]) * pixel_size, ((at - rest[0, 1]) * pixel_size)[:, None]


def _draw_solid(canvas: Canvas, item: Junk, rng: np.random.Generator) -> None:
    x, y = _offsets(item, canvas.pixel_size)
    if item.kind == "gold":
        thickness = 2 * np.sqrt(np.maximum(item.radius**2 - x**2 - y**2, 0))
        volts, taken = _mean_potential(_GOLD), thickness / _GOLD_PATH
    else:
        thickness = _crystal(x, y, item.radius, canvas.pixel_size, rng)
        volts, taken = ice_potential(), thickness / _CRYSTAL_PATH * _contours(x, y, item.radius, rng)
    corners, _ = corners_and_rests(np.array([[item.x, item.y]]), len(thickness))
    canvas.add(canvas.potential, (volts * thickness).astype(np.float32)[None], corners)
    canvas.add(canvas.absorption, taken.astype(np.float32)[None], corners)
    target, source = canvas.window(corners[0], thickness.shape)
    canvas.kinds[target][thickness[source] > 0.05 * thickness.max()] = KINDS.index(item.kind)


def _crystal(
    x: NDArray[np.float64], y: NDArray[np.float64], radius: float, pixel_size: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Thickness of a lump of ice: a dome with a steep rim, an outline that is not quite round, at times a flat side."""
    angle = np.arctan2(y, x)
    outline = np.full(angle.shape, 0.88)
    for order in (2, 3, 5):
        outline += rng.uniform(0, 0.1) / order * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    inside = 1 - (np.hypot(x, y) / (outline * radius)) ** 2
    turn, cut = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.2)
    inside = np.minimum(inside, cut - (x * np.cos(turn) + y * np.sin(turn)) / radius)
    dome = np.sqrt(np.maximum(inside, 0)) * (radius * rng.uniform(0.5, 1.2))
    dome *= 1 + 0.08 * _smooth_noise(dome.shape, 40 / pixel_size, rng)
    return gaussian_filter(dome, 6 / pixel_size)


def _contours(
    x: NDArray[np.float64], y: NDArray[np.float64], radius: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Factor on what a crystal takes from the beam: it takes more along bands where it diffracts."""
    turn, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.4) / radius
    across = x * np.cos(turn) + y * np.sin(turn)
    across = (across + bend * (y * np.cos(turn) - x * np.sin(turn)) ** 2) / radius
    factor = np.full(across.shape, 0.8)
    for band in rng.uniform(-1, 1, rng.integers(1, 6)):
        factor += rng.uniform(0.2, 0.7) * np.exp(-(((across - band) / rng.uniform(0.03, 0.12)) ** 2))
    return factor


def _smooth_noise(shape: tuple[int, ...], scale: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of mean 0 and standard deviation 1, smooth over `scale` pixels."""
    noise = gaussian_filter(rng.standard_normal(shape), scale, mode="wrap")
    return (noise - noise.mean()) / (noise.std() + 1e-12)


def _aggregate(
    item: Junk, projector: Projector, pixel_size: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Draw a heap so dense that no particle in it stands alone."""
    inner = (item.radius - projector.diameter / 2) / pixel_size
    centre = np.array([item.x, item.y])

    def in_heap(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.hypot(*points.T) <= inner

    gap = rng.uniform(0.35, 0.5) * projector.diameter / pixel_size
    xy = centre + place(rng, _HEAP, gap, (-inner, -inner), (inner, inner), allowed=in_heap)
    return _particles(xy, projector, pixel_size, rng), xy


def _broken(
    item: Junk, projector: Projector, pixel_size: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Cut a particle by a plane along the beam: its projection is that of the whole, cut by a line."""
    xy = np.array([[item.x, item.y]])
    stamp = _particles(xy, projector, pixel_size, rng)
    _, rest = corners_and_rests(xy, stamp.shape[1])
    at = (np.arange(stamp.shape[1]) - stamp.shape[1] // 2) * pixel_size
    turn, shift = rng.uniform(0, 2 * np.pi), rng.uniform(-0.12, 0.1) * projector.diameter
    along = (at - rest[0, 0] * pixel_size) * np.cos(turn) + ((at - rest[0, 1] * pixel_size) * np.sin(turn))[:, None]
    return stamp * np.clip(0.5 + (shift - along) / max(10.0, pixel_size), 0, 1).astype(np.float32), xy


def _particles(
    xy: NDArray[np.float64], projector: Projector, pixel_size: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    _, rests = corners_and_rests(xy, projector.box(pixel_size))
    return projector.project(orientations(rng, len(xy)), pixel_size, shifts=rests)


def _lump(
    item: Junk, projector: Projector, pixel_size: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Draw an ellipsoid of protein without structure, denser here than there."""
    x, y = _offsets(item, pixel_size)
    turn, flat = rng.uniform(0, np.pi), rng.uniform(0.7, 1)
    along, across = x * np.cos(turn) + y * np.sin(turn), (y * np.cos(turn) - x * np.sin(turn)) / flat
    height = 2 * flat * np.sqrt(np.maximum(item.radius**2 - along**2 - across**2, 0))
    mottled = height * (1 + 0.25 * _smooth_noise(height.shape, 12 / pixel_size, rng))
    stamp = gaussian_filter(mottled, 4 / pixel_size) * (CONTRAST * rng.uniform(0.5, 1))
    return stamp.astype(np.float32)[None], np.array([[item.x, item.y]])


def _mark_disc(canvas: Canvas, item: Junk) -> None:
    x, y = _offsets(item, canvas.pixel_size)
    disc = np.hypot(x, y) <= item.radius
    corners, _ = corners_and_rests(np.array([[item.x, item.y]]), len(disc))
    target, source = canvas.window(corners[0], disc.shape)
    canvas.kinds[target][disc[source]] = KINDS.index(item.kind)


_PROTEIN: dict[str, Draw] = {"aggregate": _aggregate, "broken": _broken, "lump": _lump}
