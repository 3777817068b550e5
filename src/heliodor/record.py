"""The record of a run beside its results: what was asked, what came of it, with which versions."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from heliodor._version import __version__
from heliodor.errors import SettingsError
from heliodor.files import output_errors, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RUN = "run.json"
"""The record of `heliodor pick`."""

_LIBRARIES = ("numpy", "scipy", "torch", "mrcfile", "gemmi")


def surroundings() -> dict[str, Any]:
    """Versions and machine."""
    return {
        "heliodor": __version__,
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in _LIBRARIES}},
        "machine": {"system": platform.platform(), "processors": os.cpu_count()},
    }


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write the record as readable JSON, atomically."""
    write_text(path, json.dumps(record, indent=1) + "\n")


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of a run; empty where there is none.

    Raises
    ------
    SettingsError
        It is damaged, or cannot be read.
    """
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError("it holds no table of names and values")
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read ({error.strerror}); make it readable, or choose another folder with -o"
        ) from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f"{path}: is damaged ({error}); choose another folder with -o, or remove it and start afresh with "
            "--overwrite"
        ) from error
    return record


def claim(path: Path, deciding: dict[str, Any], *, overwrite: bool, clear: Callable[[], None]) -> dict[str, Any]:
    """Make a results folder this run's own; return the record that goes on, empty where none does.

    Parameters
    ----------
    path : path
        Of the record in the folder. If it holds the same `deciding` values, the run goes on.
    deciding : dict
        JSON-able values that decide the result, nested at will; those under the key "lists" are
        compared but not spelled out.
    overwrite : bool
        Start afresh rather than refuse or go on.
    clear : callable
        Removes old results, of a run that left no record as well; the record goes last, so that what is left of them is
        never taken for another run's.

    Raises
    ------
    SettingsError
        Another run is there: the message says what differs. Or the record is damaged.
    OutputError
        Old results cannot be removed.
    """
    if overwrite:
        try:
            clear()
            path.unlink(missing_ok=True)
        except OSError as error:
            with output_errors(error.filename or path):
                raise
    if not path.is_file():
        return {}
    old = read_record(path)
    different = list(dict.fromkeys(differences(old, json.loads(json.dumps(deciding)))))
    if different:
        raise SettingsError(
            f"{path.parent}: holds a run with other settings ({'; '.join(different)}); "
            "choose another folder with -o, or start afresh with --overwrite"
        )
    return old


def refuse_others(paths: Iterable[Path]) -> None:
    """Refuse to replace files that no run has left.

    Parameters
    ----------
    paths : iterable of path
        What a run will write, and no record says that it has.

    Raises
    ------
    SettingsError
        One of them is there.
    """
    for path in paths:
        if path.exists():
            raise SettingsError(
                f"{path}: would be replaced, and no run of this folder has left it; choose another folder with -o, "
                "or replace it with --overwrite"
            )


def stamp(path: Path) -> dict[str, int | None]:
    """Return what tells a file from another of its name, without reading it: size, and time in nanoseconds."""
    if not path.is_file():
        return {"bytes": None, "modified": None}
    found = path.stat()
    return {"bytes": found.st_size, "modified": found.st_mtime_ns}


def differences(old: dict[str, Any], new: dict[str, Any], spell: bool = True) -> list[str]:
    """Say in which values, nested at will, two records differ; those under the key "lists" are not spelled out."""
    found: list[str] = []
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict):
            found += differences(before if isinstance(before, dict) else {}, value, spell and key != "lists")
        elif before != value:
            found.append(f"{key} was {before}, is {value}" if spell else f"the {key} differ")
    return found


def compare(path: Path, source: str, was: dict[str, int | None]) -> Literal["same", "changed", "another"]:
    """Tell a file from one that was read before; one that was moved, or copied with its time, is the same.

    Parameters
    ----------
    path : path
        Of the file.
    source : str
        Whole path of the one that was read.
    was : dict
        Its `stamp` then.
    """
    if stamp(path) == was:
        return "same"
    return "changed" if source == str(path.resolve()) else "another"
