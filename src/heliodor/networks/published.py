"""The weights that topaz-em comes with, by name: used where the user has them, never part of heliodor."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from heliodor.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER_VARIABLE = "HELIODOR_TOPAZ_WEIGHTS"

DETECTORS = {
    "resnet8": "resnet8_u64",
    "resnet8_u32": "resnet8_u32",
    "resnet8_u64": "resnet8_u64",
    "resnet16": "resnet16_u64",
    "resnet16_u32": "resnet16_u32",
    "resnet16_u64": "resnet16_u64",
}


def model_file(model: str | os.PathLike[str]) -> Path:
    """Return the file of a model that is given by its path or by the name of a network of topaz-em.

    Raises
    ------
    WeightsError
        There is no such file.
    """
    name = os.fspath(model)
    path = find_published(name, "detector", DETECTORS[name]) if name in DETECTORS else Path(name)
    if not path.is_file():
        raise WeightsError(
            f"{path}: there is no such model file; give the model.safetensors that a run wrote, a .sav file of Topaz, "
            f"or one of {', '.join(DETECTORS)}"
        )
    return path


def model_digest(model: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a model's file, in hexadecimal; parameters and errors as of `model_file`."""
    return hashlib.sha256(model_file(model).read_bytes()).hexdigest()


def find_published(name: str, kind: str, file: str) -> Path:
    """Find a file of weights in the folder that HELIODOR_TOPAZ_WEIGHTS names, or in an installed topaz-em.

    Parameters
    ----------
    name : str
        What the user calls the network.
    kind : str
        The sub-folder of Topaz's folder `pretrained`: 'detector' or 'denoise'.
    file : str
        Name of the file, without '.sav'.

    Raises
    ------
    WeightsError
        There is no such file.
    """
    for folder in _folders():
        for place in (folder / kind, folder / "pretrained" / kind, folder):
            if (place / f"{file}.sav").is_file():
                return place / f"{file}.sav"
    given = os.environ.get(FOLDER_VARIABLE)
    where = (
        f"{given} (from {FOLDER_VARIABLE}) has no {file}.sav" if given else "topaz-em is not installed beside heliodor"
    )
    raise WeightsError(
        f"{name}: the trained weights of Topaz are not part of heliodor, and {where}; set {FOLDER_VARIABLE} to the "
        "folder topaz/pretrained of an installed topaz-em, or give the path of a model"
    )


def _folders() -> Iterator[Path]:
    """Yield where weights may be; no code of Topaz is imported to find out."""
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        yield Path(given)
        return
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        yield Path(str(importlib.metadata.distribution("topaz-em").locate_file("topaz")))
    spec = importlib.util.find_spec("topaz")
    if spec is not None:
        yield from map(Path, spec.submodule_search_locations or [])
