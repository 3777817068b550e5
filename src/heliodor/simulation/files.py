"""Simulated micrographs as files, with their truth and the record of the run."""

from __future__ import annotations

import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor.errors import SettingsError
from heliodor.files import atomic_path, make_directory, remove_files, write_text
from heliodor.formats import write_picks
from heliodor.micrographs import Micrograph, write_micrograph
from heliodor.names import stem
from heliodor.progress import SILENT, Reporter
from heliodor.record import claim, read_record, surroundings, write_record
from heliodor.simulation.junk import KINDS
from heliodor.simulation.load import MAPS, MODELS, load_particle
from heliodor.simulation.micrograph import render
from heliodor.simulation.scene import Scene, plan
from heliodor.simulation.truth import centres, junk_star, micrographs_star, particles_star, path_of
from heliodor.stream import threads_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from heliodor.simulation.settings import SimulationSettings

RECORD = "simulate.json"
_TABLES = ("particles.star", "particles.txt", "junk.star", "micrographs.star")


def simulate_files(
    model: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    settings: SimulationSettings,
    count: int,
    *,
    assembly: str | None = None,
    mass: float | None = None,
    map_pixel_size: float | None = None,
    prefix: str | None = None,
    workers: int = 1,
    overwrite: bool = False,
    reporter: Reporter = SILENT,
) -> dict[str, Scene]:
    """Simulate micrographs into `folder`; those that are there already stay.

    Parameters
    ----------
    model, assembly, mass, map_pixel_size
        See `heliodor.simulation.load.load_particle`.
    folder : path
        For micrographs/NAME.mrc, junk/NAME.png (which kind of junk covers which pixel; only where there is any),
        particles.star, particles.txt, junk.star, micrographs.star and simulate.json.
    settings : SimulationSettings
    count : int
        Of micrographs.
    prefix : str, optional
        Micrographs are named PREFIX_0001 and so on. Default: the name of the model.
    workers : int
        Threads; the result does not depend on it. Negative: one for each processor.
    overwrite : bool
        Start afresh where `folder` holds a run.
    reporter : Reporter

    Returns
    -------
    dict
        Name of the micrograph -> its scene.

    Raises
    ------
    ModelError
        The model cannot be used.
    SettingsError
        The particle or so many particles do not fit, or the folder holds another run.
    OutputError
        A file cannot be written.
    """
    if count < 1:
        raise SettingsError(f"-n must be 1 or more. Got {count} instead.")
    prefix = model_name(model) if prefix is None else prefix
    if not prefix or set(prefix) & set("/\\\t\n\r"):
        raise SettingsError(f"--prefix is part of file names, without folders. Got {prefix!r} instead.")
    projector = load_particle(model, settings.pixel_size, assembly=assembly, mass=mass, voxel_size=map_pixel_size)
    check_fit(settings, projector.diameter)
    folder = make_directory(folder)
    deciding = _deciding(model, settings, assembly=assembly, mass=mass, map_pixel_size=map_pixel_size, prefix=prefix)
    names = _names(prefix, count)
    _claim(folder, deciding, names, overwrite)
    record = {**surroundings(), **deciding, "diameter": projector.diameter, "micrographs": count}
    write_record(folder / RECORD, record)
    reporter.note(f"{Path(model).name}: {projector.diameter:.0f} A across")

    def work(index: int) -> Scene:
        scene, name = plan(settings, projector.diameter, index), names[index]
        path = folder / path_of(name)
        if not path.is_file():
            pixels, kinds = render(scene, projector, settings, index)
            if kinds.any():
                _write_kinds(_kinds_path(folder, name), kinds)
            write_micrograph(path, Micrograph(pixels, settings.pixel_size, name))
        return scene

    with ThreadPoolExecutor(threads_of(workers)) as pool:
        done = zip(names, pool.map(work, range(count)), strict=True)
        scenes = dict(reporter.track(done, count, "simulating"))
    _write_truth(folder, scenes, settings.pixel_size)
    _warn_of_missing(scenes, reporter)
    return scenes


def model_name(model: str | os.PathLike[str]) -> str:
    """Name of a model: its file's, without extensions."""
    name = Path(model).name
    for suffix in (".gz", *MODELS, *MAPS):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return stem(name)


def check_fit(settings: SimulationSettings, diameter: float) -> None:
    """Refuse particles that cannot lie on the micrographs.

    Raises
    ------
    SettingsError
        One particle is larger than the micrograph within its margin, or so many cannot be packed.
    """
    rows, columns = (n * settings.pixel_size for n in settings.shape)
    height, width = rows - 2 * settings.margin, columns - 2 * settings.margin
    size = f"{width:.0f} x {height:.0f} A"
    if diameter > min(rows, columns) or min(height, width) <= 0:
        raise SettingsError(
            f"the particle is {diameter:.0f} A across and the micrograph has {size} for it; "
            "use a larger --size or --angpix, or a smaller --margin"
        )
    distance = settings.closeness * diameter
    most = int((height + distance) * (width + distance) / (math.sqrt(3) / 2 * distance**2))
    if settings.particles[1] > most:
        raise SettingsError(
            f"--particles {settings.particles[1]}: no more than {most} particles of {diameter:.0f} A can lie on "
            f"{size} at --closeness {settings.closeness:g}; ask for fewer, or use a larger --size"
        )


def _deciding(model: str | os.PathLike[str], settings: SimulationSettings, **more: Any) -> dict[str, Any]:
    digest = hashlib.sha256(Path(model).read_bytes()).hexdigest()
    return {"model": {"file": Path(model).name, "sha256": digest, **more}, "settings": asdict(settings)}


def _claim(folder: Path, deciding: dict[str, Any], names: Sequence[str], overwrite: bool) -> None:
    old = claim(folder / RECORD, deciding, overwrite=overwrite, clear=lambda: _clear(folder, names))
    before = old.get("micrographs", 0)
    if len(names) < before:
        raise SettingsError(
            f"{folder}: holds {before} micrographs of these settings already; ask for as many with -n, or start afresh "
            "with --overwrite"
        )


def _clear(folder: Path, names: Sequence[str]) -> None:
    """Remove what the run that left a record wrote, and what this one will; people may keep other files beside it."""
    old = read_record(folder / RECORD)
    every = [*names, *(_names(old["model"]["prefix"], old["micrographs"]) if old else [])]
    remove_files(folder / path_of(name) for name in every)
    remove_files(_kinds_path(folder, name) for name in every)
    remove_files(folder / name for name in _TABLES)


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}_{index + 1:04d}" for index in range(count)]


def _kinds_path(folder: Path, name: str) -> Path:
    return folder / "junk" / f"{name}.png"


def _write_kinds(path: Path, kinds: NDArray[np.uint8]) -> None:
    from PIL import Image

    image = Image.fromarray(kinds)
    image.info["Comment"] = " ".join(f"{k}={kind}" for k, kind in enumerate(KINDS))
    with atomic_path(path) as temporary:
        image.save(temporary, optimize=True)


def _write_truth(folder: Path, scenes: dict[str, Scene], pixel_size: float) -> None:
    write_picks(folder / "particles.txt", centres(scenes))
    write_text(folder / "particles.star", particles_star(scenes, pixel_size))
    write_text(folder / "micrographs.star", micrographs_star(scenes, pixel_size))
    write_text(folder / "junk.star", junk_star(scenes))


def _warn_of_missing(scenes: dict[str, Scene], reporter: Reporter) -> None:
    short = {name: scene for name, scene in scenes.items() if len(scene.xy) < scene.wanted}
    if short:
        name, scene = min(short.items(), key=lambda pair: len(pair[1].xy) - pair[1].wanted)
        reporter.warn(
            f"{len(short)} of {len(scenes)} micrographs had no room for all particles ({name}: {len(scene.xy)} of "
            f"{scene.wanted}); the truth lists those that are there"
        )
