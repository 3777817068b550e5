"""Preprocessing of many files: what is done is skipped, what is broken is reported."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from heliodor.checks import check_choice
from heliodor.done import Done
from heliodor.errors import MicrographError, SettingsError
from heliodor.files import make_directory, write_text
from heliodor.micrographs import FLAT, check_writable, read_micrograph, write_micrograph
from heliodor.preprocess import JointMixture, credible, downsample, fit_joint_mixture, histogram, preprocess
from heliodor.preprocess.mixture import Histogram, positive_mean
from heliodor.preprocess.normalize import METHODS
from heliodor.progress import SILENT, Reporter
from heliodor.record import stamp
from heliodor.stream import stream, usable

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from heliodor.names import MicrographFile

DATASET = "gmm-dataset"
RECORD = ".preprocess.jsonl"  # hidden: programs take every file of the folder for a micrograph


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

    What the folder holds is in its RECORD, a line of JSON for each micrograph: of which file, by which settings.
    What was made of the same file in the same way is skipped; of a file that has changed since it is made again.

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
        The folder holds results of other settings or other files of these names, or the micrographs themselves, or a
        format cannot be written.
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
    endings = [*formats, *(["metadata.json"] if metadata else [])]
    done = Done(
        folder / RECORD, _deciding(settings, micrographs), lambda m: [folder / f"{m.name}.{end}" for end in endings]
    )
    todo = done.missing(micrographs, overwrite=overwrite, reporter=reporter)
    joint = _joint(micrographs, settings, workers, reporter) if todo and settings.normalization == DATASET else None

    def work(micrograph: MicrographFile) -> None:
        line = done.begin(micrograph)
        full = read_micrograph(micrograph.path, pixel_size=settings.pixel_size, name=micrograph.name)
        small, statistics = preprocess(
            full, factor=settings.factor, normalization=settings.normalization, joint=joint, **_fit(settings)
        )
        if metadata:
            write_text(folder / f"{micrograph.name}.metadata.json", json.dumps(statistics) + "\n")
        for kind in formats:
            write_micrograph(folder / f"{micrograph.name}.{kind}", small)
        done.finish(line)

    failed: dict[str, str] = {}
    results = stream(todo, work, workers)
    for micrograph, _ in usable(results, len(todo), "preprocessing", reporter, failed):
        if verbose:
            reporter.note(f"processed: {micrograph.name}")
    return failed


def _deciding(settings: PreprocessSettings, micrographs: Sequence[MicrographFile]) -> dict[str, Any]:
    """Return what decides a result: of a mixture for the whole data set, all micrographs do."""
    if settings.normalization != DATASET:
        return asdict(settings)
    stamps = sorted([m.name, *stamp(m.path).values()] for m in micrographs)
    digest = hashlib.sha256(json.dumps(stamps).encode()).hexdigest()
    return {**asdict(settings), "lists": {"micrographs of the data set": digest}}


def _fit(settings: PreprocessSettings) -> dict[str, Any]:
    return {"alpha": settings.alpha, "beta": settings.beta, "iterations": settings.iterations}


def _joint(
    micrographs: Sequence[MicrographFile], settings: PreprocessSettings, workers: int, reporter: Reporter
) -> JointMixture:
    """Fit the data set's mixture from the histograms of its downsampled micrographs."""

    def work(micrograph: MicrographFile) -> Histogram:
        pixels = read_micrograph(micrograph.path).pixels
        found = histogram(downsample(pixels, settings.factor, credible(pixels))[0])
        positive_mean(found)
        return found

    read = reporter.track(stream(micrographs, work, workers), len(micrographs), "reading for the data set's mixture")
    # Those that cannot be used are reported when their turn to be written comes.
    histograms = [found for _, found in read if not isinstance(found, MicrographError)]
    if not histograms:
        raise MicrographError(f"{micrographs[0].path}: neither this nor any other micrograph can be read")
    return fit_joint_mixture(histograms)
