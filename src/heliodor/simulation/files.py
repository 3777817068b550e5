"""Simulated micrographs as files, with their truth and the record of the run."""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor.errors import OutputError, SettingsError
from heliodor.files import atomic_path, make_directory, remove_files, write_bytes, write_text
from heliodor.formats import write_picks
from heliodor.names import stem
from heliodor.progress import SILENT, Reporter
from heliodor.record import claim, read_record, refuse_others, surroundings, write_record
from heliodor.simulation.junk import KINDS
from heliodor.simulation.junk_drawing import as_drawn
from heliodor.simulation.load import MAPS, MODELS, load_particle
from heliodor.simulation.micrograph import render
from heliodor.simulation.scene import Scene, plan
from heliodor.simulation.truth import centres, junk_star, micrographs_star, particles_star, path_of
from heliodor.stream import threads_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from heliodor.simulation.projection import Projector
    from heliodor.simulation.settings import SimulationSettings

RECORD = "simulate.json"
_NAME = 255  # bytes of a file's name, on nearly every file system
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
        particles.star, particles.txt, junk.star, micrographs.star and simulate.json. A run that is interrupted leaves
        the truth about those that are there.
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
        The particle or so many particles do not fit, or the folder holds another run, or files that no run has left
        would be replaced.
    OutputError
        A file cannot be written.
    """
    if count < 1:
        raise SettingsError(f"-n must be 1 or more. Got {count} instead.")
    prefix = model_name(model) if prefix is None else prefix
    names = _names(_checked(prefix, count), count)
    projector = load_particle(
        model, settings.pixel_size, assembly=assembly, mass=mass, voxel_size=map_pixel_size, reporter=reporter
    )
    check_fit(settings, projector.diameter)
    folder = make_directory(folder)
    deciding = _deciding(model, settings, assembly=assembly, mass=mass, map_pixel_size=map_pixel_size, prefix=prefix)
    _claim(folder, deciding, names, overwrite)
    particle = {"diameter": projector.diameter, "centre": [round(x, 3) for x in projector.origin.tolist()]}
    write_record(folder / RECORD, {**surroundings(), **deciding, **particle, "micrographs": count})
    reporter.note(f"{Path(model).name}: {projector.diameter:.0f} A across")

    scenes, seen = _plan(names, settings, projector, workers, reporter)
    try:
        _draw(folder, scenes, projector, settings, workers, reporter)
    except BaseException:  # an interrupted run too leaves the truth about what is there
        with contextlib.suppress(OutputError):  # what stopped the run is told, not what came of it
            _write_truth(folder, seen, settings)
        raise
    _write_truth(folder, seen, settings)
    _warn_of_missing(scenes, reporter)
    _warn_of_missing_junk(scenes, reporter)
    return scenes


def _plan(
    names: Sequence[str], settings: SimulationSettings, projector: Projector, workers: int, reporter: Reporter
) -> tuple[dict[str, Scene], dict[str, Scene]]:
    """Make all scenes, by name: as they are drawn, and as the truth tells of them."""

    def work(index: int) -> tuple[Scene, Scene]:
        scene = plan(settings, projector.diameter, index)
        return scene, replace(scene, junk=as_drawn(scene.junk, projector, settings.pixel_size))

    with ThreadPoolExecutor(threads_of(workers)) as pool:
        both = list(reporter.track(pool.map(work, range(len(names))), len(names), "planning"))
    scenes, seen = (dict(zip(names, kind, strict=True)) for kind in zip(*both, strict=True))
    return scenes, seen


def _draw(
    folder: Path,
    scenes: dict[str, Scene],
    projector: Projector,
    settings: SimulationSettings,
    workers: int,
    reporter: Reporter,
) -> None:
    """Write the micrographs that are not there yet, and what junk covers them."""

    def work(index: int, name: str) -> None:
        if not (folder / path_of(name)).is_file():
            pixels, kinds = render(scenes[name], projector, settings, index)
            if kinds.any():
                _write_kinds(_kinds_path(folder, name), kinds)
            _write_pixels(folder / path_of(name), pixels, settings.pixel_size)

    with ThreadPoolExecutor(threads_of(workers)) as pool:
        for _ in reporter.track(pool.map(work, range(len(scenes)), scenes), len(scenes), "simulating"):
            pass


def model_name(model: str | os.PathLike[str]) -> str:
    """Name of a model: its file's, without extensions."""
    name = Path(model).name
    for suffix in (".gz", *MODELS, *MAPS):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return stem(name)


def _checked(prefix: str, count: int) -> str:
    """Refuse a prefix that cannot begin the names of files, or hides them."""
    if not _can_be_prefix(prefix):
        raise SettingsError(f"--prefix is part of file names, without folders. Got {prefix!r} instead.")
    if prefix.startswith("."):
        raise SettingsError(f"--prefix must not begin with a dot, which hides files. Got {prefix!r} instead.")
    longest = len(os.fsencode(Path(path_of(_name(prefix, count))).name))
    if longest > _NAME:
        raise SettingsError(
            f"--prefix makes file names of {longest} bytes, and {_NAME} is the most; give a shorter one"
        )
    return prefix


def _can_be_prefix(prefix: str) -> bool:
    return bool(prefix) and not set(prefix) & set("/\\\t\n\r\0")


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
    """Make the folder this run's own; refuse to take others' files for its own, or to forget some that it has."""
    _check_kinds(folder, names)
    if not overwrite and (folder / RECORD).is_file() and not _is_own(read_record(folder / RECORD)):
        raise SettingsError(
            f"{folder / RECORD}: was left by no run of heliodor simulate; choose another folder with -o, or replace it "
            "with --overwrite"
        )
    old = claim(folder / RECORD, deciding, overwrite=overwrite, clear=lambda: _clear(folder, names))
    claimed = _names(deciding["model"]["prefix"], old.get("micrographs", 0))
    numbers = [number for number, name in enumerate(claimed, 1) if (folder / path_of(name)).is_file()]
    if numbers and len(names) < numbers[-1]:
        raise SettingsError(
            f"{folder}: holds {len(numbers)} micrographs of these settings already; ask for {numbers[-1]} or more with "
            "-n, or start afresh with --overwrite"
        )
    strangers = [path_of(name) for name in names[len(claimed) :]]
    refuse_others(folder / file for file in [*strangers, *([] if old else _TABLES)])


def _clear(folder: Path, names: Sequence[str]) -> None:
    """Remove what the run that left a record wrote, and what this one will; people may keep other files beside it."""
    old = read_record(folder / RECORD)
    every = [*names, *(_names(old["model"]["prefix"], old["micrographs"]) if _is_own(old) else [])]
    _check_kinds(folder, every)
    remove_files(folder / path_of(name) for name in every)
    remove_files(_kinds_path(folder, name) for name in every)
    remove_files(folder / name for name in _TABLES)


def _is_own(record: dict[str, Any]) -> bool:
    """Whether a record has what runs of `simulate_files` leave; a file of its name may be anyone's."""
    model, count = record.get("model"), record.get("micrographs")
    return (
        isinstance(model, dict)
        and isinstance(record.get("settings"), dict)
        and isinstance(model.get("prefix"), str)
        and _can_be_prefix(model["prefix"])
        and type(count) is int
        and count > 0
    )


def _check_kinds(folder: Path, names: Sequence[str]) -> None:
    """Refuse files where folders should be, and folders where files should be, before anything is removed or made."""
    for inner in ("micrographs", "junk"):
        if (folder / inner).is_file():
            raise OutputError(
                f"{folder / inner}: is a file, and a folder should go there; remove it, or choose another one with -o"
            )
    written = [RECORD, *_TABLES, *map(path_of, names)]
    for path in [*(folder / file for file in written), *(_kinds_path(folder, name) for name in names)]:
        if path.is_dir():
            raise OutputError(
                f"{path}: is a folder, and a file should go there; remove it, or choose another folder with -o"
            )


def _names(prefix: str, count: int) -> list[str]:
    return [_name(prefix, number) for number in range(1, count + 1)]


def _name(prefix: str, number: int) -> str:
    return f"{prefix}_{number:04d}"


def _kinds_path(folder: Path, name: str) -> Path:
    return folder / "junk" / f"{name}.png"


def _write_kinds(path: Path, kinds: NDArray[np.uint8]) -> None:
    from PIL import Image

    image = Image.fromarray(kinds)
    image.info["Comment"] = " ".join(f"{k}={kind}" for k, kind in enumerate(KINDS))
    with atomic_path(path) as temporary:
        image.save(temporary, optimize=True)


def _write_pixels(path: Path, pixels: NDArray[np.float32], pixel_size: float) -> None:
    """Write a micrograph as MRC without the time, so that the seed decides every byte of the file.

    Through memory: where a disk is full, mrcfile leaves its file open, which keeps the space from the truth.
    """
    from mrcfile.mrcinterpreter import MrcInterpreter

    buffer = io.BytesIO()
    mrc = MrcInterpreter()
    mrc._create_default_attributes()  # so do its authors say, for streams that are only written
    mrc._iostream = buffer
    mrc.set_data(pixels)
    mrc.voxel_size = pixel_size
    mrc.header.label[0] = "Simulated by heliodor"
    mrc.close()
    write_bytes(path, buffer.getbuffer())


def _write_truth(folder: Path, every: dict[str, Scene], settings: SimulationSettings) -> None:
    """Write the truth about the micrographs that are there."""
    scenes = {name: scene for name, scene in every.items() if (folder / path_of(name)).is_file()}
    write_picks(folder / "particles.txt", centres(scenes))
    write_text(folder / "particles.star", particles_star(scenes, settings))
    write_text(folder / "micrographs.star", micrographs_star(scenes, settings))
    write_text(folder / "junk.star", junk_star(scenes))


def _warn_of_missing(scenes: dict[str, Scene], reporter: Reporter) -> None:
    short = {name: scene for name, scene in scenes.items() if len(scene.xy) < scene.wanted}
    if short:
        name, scene = min(short.items(), key=lambda pair: len(pair[1].xy) - pair[1].wanted)
        reporter.warn(
            f"{len(short)} of {len(scenes)} micrographs had no room for all particles ({name}: {len(scene.xy)} of "
            f"{scene.wanted}); the truth lists those that are there"
        )


def _warn_of_missing_junk(scenes: dict[str, Scene], reporter: Reporter) -> None:
    wanted: Counter[str] = Counter()
    placed: Counter[str] = Counter()
    for scene in scenes.values():
        wanted.update(scene.junk_wanted)
        placed.update(item.kind for item in scene.junk)
    short = [f"{placed[kind]} of {number} {kind}" for kind, number in wanted.items() if placed[kind] < number]
    if short:
        reporter.warn(f"there was no room for all junk: {', '.join(short)}; the truth lists what is there")
