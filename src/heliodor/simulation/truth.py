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

ANGLES = ("_rlnAngleRot", "_rlnAngleTilt", "_rlnAnglePsi")
DEFOCUS = ("_rlnDefocusU", "_rlnDefocusV", "_rlnDefocusAngle")


def centres(scenes: Mapping[str, Scene]) -> Picks:
    """Centres of all particles, in pixels."""
    return Picks.join(Picks.on(name, scene.xy) for name, scene in scenes.items())


def particles_star(scenes: Mapping[str, Scene], pixel_size: float) -> str:
    """RELION table of all particles: centre, orientation, and the defocus of the micrograph."""
    rows = [
        (path_of(name), *_numbers(3, [*xy, *angles]), *_numbers(2, _defocus(scene)), f"{pixel_size:.6g}")
        for name, scene in scenes.items()
        for xy, angles in zip(scene.xy, scene.angles, strict=True)
    ]
    return _star((NAME, X, Y, *ANGLES, *DEFOCUS, "_rlnMicrographPixelSize"), rows)


def junk_star(scenes: Mapping[str, Scene]) -> str:
    """Table of what is no particle: kind, centre and radius; of carbon those of the hole that it surrounds."""
    rows = [
        (path_of(name), *_numbers(3, [item.x, item.y]), item.kind, f"{item.radius:.2f}")
        for name, scene in scenes.items()
        for item in scene.junk
    ]
    return _star((NAME, X, Y, "_heliodorJunkKind", "_heliodorJunkRadiusAngst"), rows)


def micrographs_star(scenes: Mapping[str, Scene], pixel_size: float) -> str:
    """RELION table of micrographs: defocus, optics, dose and ice."""
    more: dict[str, Callable[[Scene], float]] = {
        "_rlnVoltage": lambda scene: scene.optics.voltage,
        "_rlnSphericalAberration": lambda scene: scene.optics.spherical_aberration,
        "_rlnAmplitudeContrast": lambda scene: scene.optics.amplitude_contrast,
        "_rlnPhaseShift": lambda scene: scene.optics.phase_shift,
        "_rlnMicrographPixelSize": lambda _: pixel_size,
        "_heliodorDose": lambda scene: scene.dose,
        "_heliodorIceThicknessAngst": lambda scene: scene.thickness,
        "_heliodorIceGradient": lambda scene: float(np.hypot(*scene.gradient)),
        "_heliodorParticles": lambda scene: len(scene.xy),
    }
    rows = [
        (path_of(name), *_numbers(2, _defocus(scene)), *(f"{value(scene):.6g}" for value in more.values()))
        for name, scene in scenes.items()
    ]
    return _star((NAME, *DEFOCUS, *more), rows)


def path_of(name: str) -> str:
    """Path of a micrograph from the folder of the run."""
    return f"micrographs/{name}.mrc"


def _defocus(scene: Scene) -> tuple[float, float, float]:
    optics = asdict(scene.optics)
    return optics["defocus_u"], optics["defocus_v"], optics["defocus_angle"]


def _numbers(digits: int, values: Iterable[float]) -> list[str]:
    return [f"{value:.{digits}f}" for value in values]


def _star(tags: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    columns = list(zip(*rows, strict=True)) or [()] * len(tags)
    return table_text(dict(zip(tags, columns, strict=True)))
