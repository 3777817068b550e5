"""Preprocessing of many files: what is done is skipped, what is broken is reported."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor._version import __version__
from heliodor.checks import check_choice
from heliodor.errors import MicrographError, SettingsError
from heliodor.files import make_directory, output_errors, write_text
from heliodor.micrographs import FLAT, check_writable, read_micrograph, write_micrograph
from heliodor.preprocess import JointMixture, downsample, fit_joint_mixture, histogram, preprocess
from heliodor.preprocess.mixture import Histogram, positive_mean
from heliodor.preprocess.normalize import METHODS
from heliodor.progress import SILENT, Reporter
from heliodor.record import differences, stamp
from heliodor.stream import stream, usable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliodor.names import MicrographFile

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
    done = _Done(folder, settings)
    endings = [*formats, *(["metadata.json"] if metadata else [])]
    todo = [m for m in micrographs if overwrite or not done.holds(m, endings)]
    joint = (
        _joint(micrographs, settings, workers, reporter) if todo and settings.normalization == "gmm-dataset" else None
    )

    def work(micrograph: MicrographFile) -> None:
        full = read_micrograph(micrograph.path, pixel_size=settings.pixel_size, name=micrograph.name)
        small, statistics = preprocess(
            full, factor=settings.factor, normalization=settings.normalization, joint=joint, **_fit(settings)
        )
        done.add(micrograph, whole=False)
        if metadata:
            write_text(folder / f"{micrograph.name}.metadata.json", json.dumps(statistics) + "\n")
        for kind in formats:
            write_micrograph(folder / f"{micrograph.name}.{kind}", small)
        done.add(micrograph, whole=True)

    if len(todo) < len(micrographs):
        reporter.note(f"{len(micrographs) - len(todo)} micrographs are done already")
    failed: dict[str, str] = {}
    results = stream(todo, work, workers)
    for micrograph, _ in usable(results, len(todo), "preprocessing", reporter, failed):
        if verbose:
            reporter.note(f"processed: {micrograph.name}")
    return failed


def _fit(settings: PreprocessSettings) -> dict[str, Any]:
    return {"alpha": settings.alpha, "beta": settings.beta, "iterations": settings.iterations}


class _Done:
    """What a folder holds, by its record, which grows by a line before and after the results of each micrograph.

    So results that a crash left, or left as they were before, are told from whole ones; several processes may share a
    folder.
    """

    def __init__(self, folder: Path, settings: PreprocessSettings) -> None:
        self._path, self._settings, self._lock = folder / RECORD, asdict(settings), threading.Lock()
        self._lines: dict[str, dict[str, Any]] = {}
        text = self._path.read_text(encoding="utf-8") if self._path.is_file() else ""
        for line in text.splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # cut short by a crash
                entry = json.loads(line)
                self._lines[entry["name"]] = entry

    def holds(self, micrograph: MicrographFile, endings: Sequence[str]) -> bool:
        """Say whether the results of a micrograph are there, with all these endings.

        Raises
        ------
        SettingsError
            One of them is not of this file, or of other settings.
        """
        paths = [self._path.parent / f"{micrograph.name}.{ending}" for ending in endings]
        there = [path for path in paths if path.is_file()]
        if not there:
            return False
        line, now = self._lines.get(micrograph.name), stamp(micrograph.path)
        mend = "choose another folder with -o, or replace it with --overwrite"
        if line is None:
            raise SettingsError(f"{there[0]}: is there already, and is no result of preprocessing; {mend}")
        different = differences(line["settings"], self._settings)
        if different:
            raise SettingsError(f"{there[0]}: is of other settings ({'; '.join(different)}); {mend}")
        if {key: line[key] for key in now} == now:
            return line["whole"] and len(there) == len(paths)
        if line["source"] != _source(micrograph):
            raise SettingsError(f"{there[0]}: is of {line['source']}, not of {micrograph.path}; {mend}")
        return False

    def add(self, micrograph: MicrographFile, *, whole: bool) -> None:
        """Note of what the results of a micrograph are: those to be written now, or, where `whole`, written."""
        line = {
            "name": micrograph.name,
            "source": _source(micrograph),
            **stamp(micrograph.path),
            "heliodor": __version__,
            "settings": self._settings,
            "whole": whole,
        }
        with self._lock, output_errors(self._path), self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


def _source(micrograph: MicrographFile) -> str:
    return str(micrograph.path.resolve())


def _joint(
    micrographs: Sequence[MicrographFile], settings: PreprocessSettings, workers: int, reporter: Reporter
) -> JointMixture:
    """Fit the data set's mixture from the histograms of its downsampled micrographs."""

    def work(micrograph: MicrographFile) -> Histogram:
        found = histogram(downsample(read_micrograph(micrograph.path).pixels, settings.factor)[0])
        positive_mean(found)
        return found

    read = reporter.track(stream(micrographs, work, workers), len(micrographs), "reading for the data set's mixture")
    # Those that cannot be used are reported when their turn to be written comes.
    histograms = [found for _, found in read if not isinstance(found, MicrographError)]
    if not histograms:
        raise MicrographError(f"{micrographs[0].path}: neither this nor any other micrograph can be read")
    return fit_joint_mixture(histograms)
