"""The folder of a run: whose it is, what an earlier call left in it, and where its files are."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor.files import remove_files
from heliodor.networks.weights import load_network, weights_digest
from heliodor.picking.kept import Kept, check_same
from heliodor.record import RUN, claim, refuse_others
from heliodor.report.write import REPORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import nn

    from heliodor.names import MicrographFile
    from heliodor.networks import Classifier
    from heliodor.progress import Reporter

MODEL, CHECKPOINT, PRIOR, TABLE = "model.safetensors", "checkpoint.pt", "prior.json", "training.tsv"
ASKED = "asked"  # fact in a model file: which cut its threshold is of
SAMPLE = "sample.npy"  # scores of all detections on the micrographs that the threshold rests on, best first
_TRAINED = (MODEL, CHECKPOINT, PRIOR)  # what training leaves
_TABLES = tuple(f"{kind}.{ending}" for kind in ("picks", "candidates") for ending in ("star", "txt"))


def star_path(folder: Path, kind: str, name: str) -> Path:
    """Return where the candidates of one micrograph are, or its picks (`kind` 'micrographs')."""
    return folder / kind / f"{name}.star"


def digest(deciding: dict[str, Any], network: nn.Module | None = None) -> str:
    """Return a name made of all that decides a run, of the weights too where they are given.

    Of settings that nobody has made there is no word, so that a version that has more of them knows the runs of others.
    """
    weights = "" if network is None else weights_digest(network)
    return hashlib.sha256((json.dumps(_made(deciding), sort_keys=True) + weights).encode()).hexdigest()


def _made(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out None, in nested values too."""
    return {k: _made(v) if isinstance(v, dict) else v for k, v in values.items() if v is not None}


def load_own(folder: Path, run: str, reporter: Reporter) -> tuple[Classifier, dict[str, Any]] | None:
    """Load the network that an earlier call of the same run left in a folder; None: there is none."""
    path = folder / MODEL
    if not path.is_file():
        return None
    network, about = load_network(path)
    if about.get("run") != run or ASKED not in about:
        reporter.warn(f"{path}: is of another run, or of another version of heliodor; this run makes it anew")
        return None
    return network, about


def claim_folder(
    folder: Path,
    deciding: dict[str, Any],
    micrographs: Sequence[MicrographFile],
    trained_on: Sequence[MicrographFile],
    *,
    overwrite: bool,
) -> None:
    """Make a folder this run's own, and check that what an earlier call left there is of the same files.

    Parameters
    ----------
    folder : path
    deciding : dict
        See `heliodor.record.claim`.
    micrographs, trained_on : sequence of MicrographFile
        Of the run, and those among them that have labels or negatives.
    overwrite : bool
        Remove what earlier runs left; the folder may be one in which people keep other files, which stay.

    Raises
    ------
    SettingsError
        Another run is there, or one that saw other files, or files that no run has left would be replaced.
    """
    old = claim(folder / RUN, deciding, overwrite=overwrite, clear=lambda: _clear(folder))
    trained = _trained(folder)
    if not old and not overwrite:
        results = [*(star_path(folder, "micrographs", m.name) for m in micrographs), *_tables(folder)]
        refuse_others([*trained, *results])
    if trained:
        _check_trained_on(folder, old, trained_on)
    for micrograph in micrographs:
        if star_path(folder, "candidates", micrograph.name).is_file():
            Kept.read(folder, micrograph.name).check_source(folder, micrograph)


@contextlib.contextmanager
def given_back(folder: Path) -> Iterator[None]:
    """Give a folder back where a call fails, or is interrupted, before it has come to anything.

    Otherwise its record would refuse the next call, with settings that have been mended.
    """
    try:
        yield
    except BaseException:
        if not _trained(folder) and not _candidates(folder):
            remove_files([folder / SAMPLE, folder / RUN])
        raise


def remove_others(folder: Path, names: Iterable[str]) -> None:
    """Remove picks, of runs, of micrographs other than those named: programs import whole folders."""
    given = {star_path(folder, "candidates", name) for name in names}
    remove_files(_picks(folder, path) for path in _candidates(folder) if path not in given)


def _check_trained_on(folder: Path, old: dict[str, Any], micrographs: Sequence[MicrographFile]) -> None:
    """Refuse micrographs that are not those that training began with."""
    there, files = Path(old.get("working_folder", ".")), {file["name"]: file for file in old["micrographs"]}
    for micrograph in micrographs:
        if micrograph.name in files:
            was = files[micrograph.name]
            check_same(folder, micrograph, str((there / was["path"]).resolve()), was["bytes"], was["modified"])


def _trained(folder: Path) -> list[Path]:
    """Return the files that training has left."""
    return [folder / name for name in _TRAINED if (folder / name).is_file()]


def _tables(folder: Path) -> list[Path]:
    """Return where runs leave what is of all micrographs, but for the record and what training needs."""
    return [folder / name for name in (TABLE, SAMPLE, REPORT, *_TABLES)]


def _candidates(folder: Path) -> list[Path]:
    """Return the files of candidates that runs have left, whatever their records say."""
    return [path.with_suffix(".star") for path in (folder / "candidates").rglob("*.json")]


def _picks(folder: Path, candidates: Path) -> Path:
    return folder / "micrographs" / candidates.relative_to(folder / "candidates")


def _clear(folder: Path) -> None:
    """Remove all that runs write, and of single micrographs what they have found."""
    found = _candidates(folder)
    remove_files([*(folder / name for name in _TRAINED), *_tables(folder)])
    remove_files(_picks(folder, path) for path in found)
    remove_files([*found, *(path.with_suffix(".json") for path in found)])
