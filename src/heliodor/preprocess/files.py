"""Preprocessing of many files: what is done is skipped, what is broken is reported."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor.checks import check_choice
from heliodor.errors import MicrographError, SettingsError
from heliodor.files import make_directory, write_text
from heliodor.micrographs import FLAT, check_writable, read_micrograph, write_micrograph
from heliodor.preprocess import JointMixture, downsample, fit_joint_mixture, histogram, preprocess
from heliodor.preprocess.normalize import METHODS
from heliodor.progress import SILENT, Reporter
from heliodor.stream import stream, usable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliodor.names import MicrographFile

RECORD = ".preprocess.json"  # hidden: programs take every file of the folder for a micrograph


@dataclass(frozen=True)
class PreprocessSettings:
    """What decides the result; see `heliodor.preprocess.normalize`."""

    factor: float = 1.0
    normalization: str = "gmm"
    alpha: float = 900.0
    beta: float = 1.0
    iterations: int = 100
    pixel_size: float | None = None

    def __post_init__(self) -> None:
        check_choice("normalization", self.normalization, (*METHODS, FLAT))
        if not self.factor >= 1:
            raise SettingsError(f"the downsampling factor must be 1 or more. Got {self.factor:g} instead.")


def preprocess_files(
    micrographs: Sequence[MicrographFile],
    folder: str | os.PathLike[str],
    settings: PreprocessSettings,
    *,
    formats: tuple[str, ...] = ("mrc",),
    metadata: bool = False,
    workers: int = 1,
    overwrite: bool = False,
    verbose: bool = False,
    reporter: Reporter = SILENT,
) -> dict[str, str]:
    """Downsample and normalize files into `folder`, each under its own name.

    Parameters
    ----------
    micrographs : sequence of MicrographFile
    folder : path
        A micrograph whose name holds folders goes into sub-folders.
    settings : PreprocessSettings
    formats : tuple of str
        Extensions without dots; what is there already in all of them is skipped.
    metadata : bool
        Write what was fitted to NAME.metadata.json.
    workers : int
        Threads; negative: one for each processor.
    overwrite : bool
        Do everything again.
    verbose : bool
        Note each micrograph that is done.
    reporter : Reporter

    Returns
    -------
    dict
        Path -> why it was skipped.

    Raises
    ------
    SettingsError
        The folder holds results of other settings or the micrographs themselves, or a format cannot
        be written.
    MicrographError
        None of the micrographs could be used.
    """
    for kind in formats:
        check_writable(kind)
    folder = make_directory(folder)
    outputs = {(folder / f"{m.name}.{kind}").resolve() for m in micrographs for kind in formats}
    for micrograph in micrographs:
        if micrograph.path.resolve() in outputs:
            raise SettingsError(
                f"{micrograph.path}: would be replaced by its own result; choose another folder with -o"
            )
    _claim(folder, settings, overwrite)
    joint = _joint(micrographs, settings, reporter) if settings.normalization == "gmm-dataset" else None

    def work(micrograph: MicrographFile) -> None:
        paths = [folder / f"{micrograph.name}.{kind}" for kind in formats]
        if not overwrite and all(path.is_file() for path in paths):
            return
        full = read_micrograph(micrograph.path, pixel_size=settings.pixel_size, name=micrograph.name)
        small, statistics = preprocess(
            full, factor=settings.factor, normalization=settings.normalization, joint=joint, **_fit(settings)
        )
        if metadata:
            write_text(folder / f"{micrograph.name}.metadata.json", json.dumps(statistics) + "\n")
        for path in paths:
            write_micrograph(path, small)

    failed: dict[str, str] = {}
    done = stream(micrographs, work, workers if workers >= 0 else os.cpu_count() or 1)
    for micrograph, _ in usable(done, len(micrographs), "preprocessing", reporter, failed):
        if verbose:
            reporter.note(f"processed: {micrograph.name}")
    return failed


def _fit(settings: PreprocessSettings) -> dict[str, Any]:
    return {"alpha": settings.alpha, "beta": settings.beta, "iterations": settings.iterations}


def _claim(folder: Path, settings: PreprocessSettings, overwrite: bool) -> None:
    path, new = folder / RECORD, asdict(settings)
    if path.is_file() and not overwrite:
        old = json.loads(path.read_text(encoding="utf-8"))
        different = [f"{key} was {old.get(key)}, is {value}" for key, value in new.items() if old.get(key) != value]
        if different:
            raise SettingsError(
                f"{folder}: holds micrographs of other settings ({'; '.join(different)}); "
                "choose another folder with -o, or do them again with --overwrite"
            )
    write_text(path, json.dumps(new, indent=1) + "\n")


def _joint(micrographs: Sequence[MicrographFile], settings: PreprocessSettings, reporter: Reporter) -> JointMixture:
    """Fit the data set's mixture from the histograms of its downsampled micrographs."""
    histograms = []
    for micrograph in reporter.track(micrographs, len(micrographs), "reading for the data set's mixture"):
        try:
            full = read_micrograph(micrograph.path)
            histograms.append(histogram(downsample(full.pixels, settings.factor)[0]))
        except MicrographError:
            continue  # reported when its turn to be written comes
    if not histograms:
        raise MicrographError(f"{micrographs[0].path}: neither this nor any other micrograph can be read")
    return fit_joint_mixture(histograms)
