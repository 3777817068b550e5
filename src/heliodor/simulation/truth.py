"""What is true of simulated micrographs, as tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from heliodor.formats.star import NAME, X, Y, table_text
from heliodor.picks import Picks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heliodor.simulation.scene import Scene
    from heliodor.simulation.settings import SimulationSettings

ANGLES = ("_rlnAngleRot", "_rlnAngleTilt", "_rlnAnglePsi")
DEFOCUS = ("_rlnDefocusU", "_rlnDefocusV", "_rlnDefocusAngle")
PHASE, OPTICS = "_rlnPhaseShift", "_rlnOpticsGroup"
_GROUP = "1"


def centres(scenes: Mapping[str, Scene]) -> Picks:
    """Centres of all particles, in pixels."""
    return Picks.join(Picks.on(name, scene.xy) for name, scene in scenes.items())


def particles_star(scenes: Mapping[str, Scene], settings: SimulationSettings) -> str:
    """RELION tables of all particles: optics, then centre, orientation, and the defocus of the micrograph."""
    phases = any(settings.phase_shift)
    rows = [
        (
            path_of(name), *_numbers(3, [*xy, *angles]), *_numbers(2, _defocus(scene)),
            *_numbers(2, [scene.optics.phase_shift] if phases else []), _GROUP,
        )
        for name, scene in scenes.items()
        for xy, angles in zip(scene.xy, scene.angles, strict=True)
    ]  # fmt: skip
    tags = (NAME, X, Y, *ANGLES, *DEFOCUS, *([PHASE] if phases else []), OPTICS)
    return _optics(settings) + _star(tags, rows, "particles")


def micrographs_star(scenes: Mapping[str, Scene], settings: SimulationSettings) -> str:
    """RELION tables of micrographs: optics, in every row once more, then defocus, dose and ice."""
    own: dict[str, Callable[[Scene], float]] = {
        PHASE: lambda scene: scene.optics.phase_shift,
        "_heliodorDose": lambda scene: scene.dose,
        "_heliodorIceThicknessAngst": lambda scene: scene.thickness,
        "_heliodorIceGradient": lambda scene: float(np.hypot(*scene.gradient)),
        "_heliodorParticles": lambda scene: len(scene.xy),
    }
    lens = _lens(settings)
    rows = [
        (
            path_of(name),
            _GROUP,
            *_numbers(2, _defocus(scene)),
            *lens.values(),
            *(f"{v(scene):.6g}" for v in own.values()),
        )
        for name, scene in scenes.items()
    ]
    return _optics(settings) + _star((NAME, OPTICS, *DEFOCUS, *lens, *own), rows, "micrographs")


def junk_star(scenes: Mapping[str, Scene]) -> str:
    """Tables of what is no particle: kind, centre and radius; and the holes that carbon film surrounds.

    The centre of a hole is no place of junk, so that it has columns, and a table, of its own.
    """
    pieces, holes = [], []
    for name, scene in scenes.items():
        for item in scene.junk:
            place, radius = _numbers(3, [item.x, item.y]), f"{item.radius:.2f}"
            if item.kind == "carbon":
                holes.append((path_of(name), *place, radius))
            else:
                pieces.append((path_of(name), *place, item.kind, radius))
    kind = ("_heliodorJunkKind", "_heliodorJunkRadiusAngst")
    hole = ("_heliodorHoleX", "_heliodorHoleY", "_heliodorHoleRadiusAngst")
    return _star((NAME, X, Y, *kind), pieces, "junk") + _star((NAME, *hole), holes, "carbon")


def _lens(settings: SimulationSettings) -> dict[str, str]:
    """Tags and values of what all micrographs have in common."""
    values = {
        "_rlnMicrographPixelSize": settings.pixel_size,
        "_rlnMicrographOriginalPixelSize": settings.pixel_size,
        "_rlnVoltage": settings.voltage,
        "_rlnSphericalAberration": settings.spherical_aberration,
        "_rlnAmplitudeContrast": settings.amplitude_contrast,
    }
    return {tag: f"{value:.6g}" for tag, value in values.items()}


def _optics(settings: SimulationSettings) -> str:
    """Table of the one optics group that all micrographs belong to."""
    lens = {tag: [value] for tag, value in _lens(settings).items()}
    return table_text({"_rlnOpticsGroupName": ["opticsGroup1"], OPTICS: [_GROUP], **lens}, "optics")


def path_of(name: str) -> str:
    """Path of a micrograph from the folder of the run."""
    return f"micrographs/{name}.mrc"


def _defocus(scene: Scene) -> tuple[float, float, float]:
    optics = asdict(scene.optics)
    return optics["defocus_u"], optics["defocus_v"], optics["defocus_angle"]


def _numbers(digits: int, values: Iterable[float]) -> list[str]:
    return [f"{value:.{digits}f}" for value in values]


def _star(tags: tuple[str, ...], rows: list[tuple[str, ...]], block: str) -> str:
    columns = list(zip(*rows, strict=True)) or [()] * len(tags)
    return table_text(dict(zip(tags, columns, strict=True)), block)
