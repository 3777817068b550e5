"""The folder of a run: whose it is, what an earlier call left in it, and where its files are."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor.errors import SettingsError
from heliodor.names import leads_out
from heliodor.picking.kept import Kept, check_same, kept_path
from heliodor.record import RUN, claim
from heliodor.report.write import REPORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heliodor.names import MicrographFile

MODEL, CHECKPOINT, PRIOR, TABLE = "model.safetensors", "checkpoint.pt", "prior.json", "training.tsv"
_TRAINED = (MODEL, CHECKPOINT, PRIOR)  # what training leaves
_TABLES = tuple(f"{kind}.{ending}" for kind in ("picks", "candidates") for ending in ("star", "txt"))


def star_path(folder: Path, kind: str, name: str) -> Path:
    """Return where the candidates of one micrograph are, or its picks (`kind` 'micrographs')."""
    return folder / kind / f"{name}.star"


def claim_folder(
    folder: Path,
    deciding: dict[str, Any],
    micrographs: Sequence[MicrographFile],
    labeled: Sequence[MicrographFile],
    *,
    overwrite: bool,
) -> None:
    """Make a folder this run's own, and check that what an earlier call left there is of the same files.

    Picks of micrographs that are not among those given any more are removed: programs import whole folders.

    Parameters
    ----------
    folder : path
    deciding : dict
        See `heliodor.record.claim`.
    micrographs : sequence of MicrographFile
        Of the run.
    labeled : sequence of MicrographFile
        Those that it trains on.
    overwrite : bool
        Remove what earlier runs left, and nothing else: the folder may be one in which people keep other files.

    Raises
    ------
    SettingsError
        Another run is there, or one that saw other files.
    """
    old = _record(folder)
    known = [file["name"] for file in old.get("micrographs", []) if not leads_out(file["name"])]
    trained = [folder / name for name in _TRAINED if (folder / name).is_file()]
    if old and not trained and not any(star_path(folder, "candidates", name).is_file() for name in known):
        (folder / RUN).unlink()  # of a call that ended before it had come to anything
        old = {}
    if trained and not old and not overwrite:
        raise SettingsError(
            f"{trained[0]}: nothing in the folder says of which run it is; choose another folder with -o, or start "
            "afresh with --overwrite"
        )
    claim(folder / RUN, deciding, overwrite=overwrite, clear=lambda: _clear(folder, known))
    if overwrite:
        _clear(folder, [m.name for m in micrographs])  # of a run that left no record
        return
    if trained:
        _check_labeled(folder, old, labeled)
    for micrograph in micrographs:
        if star_path(folder, "candidates", micrograph.name).is_file():
            Kept.read(folder, micrograph.name).check_source(folder, micrograph)
    given = {m.name for m in micrographs}
    _remove(star_path(folder, "micrographs", name) for name in known if name not in given)


def _record(folder: Path) -> dict[str, Any]:
    """Return the record of the run in a folder; empty where there is none."""
    path = folder / RUN
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _check_labeled(folder: Path, old: dict[str, Any], labeled: Sequence[MicrographFile]) -> None:
    """Refuse labelled micrographs that are not those that training began with."""
    there, files = Path(old.get("working_folder", ".")), {file["name"]: file for file in old["micrographs"]}
    for micrograph in labeled:
        if micrograph.name in files:
            was = files[micrograph.name]
            check_same(folder, micrograph, str((there / was["path"]).resolve()), was["bytes"], was["modified"])


def _clear(folder: Path, names: Sequence[str]) -> None:
    """Remove all that runs write, and of single micrographs the files of those named."""
    _remove(folder / name for name in (*_TRAINED, TABLE, REPORT, *_TABLES))
    _remove(star_path(folder, kind, name) for kind in ("micrographs", "candidates") for name in names)
    _remove(kept_path(folder, name) for name in names)


def _remove(paths: Iterable[Path]) -> None:
    """Remove files, and folders that are empty then."""
    folders = set()
    for path in paths:
        if path.is_file():
            path.unlink()
            folders.add(path.parent)
    for folder in folders:
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()
