"""What a run of `heliodor pick` left in its folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError, SettingsError
from heliodor.formats import read_picks, star
from heliodor.junk.inspect import Inspector
from heliodor.names import MicrographFile, match_names
from heliodor.picking.cut import Cut
from heliodor.picking.geometry import Geometry
from heliodor.picking.kept import Kept
from heliodor.picking.load import Loader
from heliodor.picks import Picks
from heliodor.record import RUN, read_record
from heliodor.training.history import read_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes
    ----------
    folder : Path
    record : dict
        run.json.
    micrographs : list of MicrographFile
        All that were given, failed ones too, in their order.
    picks : Picks
        In full-size pixels.
    history : list of dict
        Rows of training.tsv.
    """

    folder: Path
    record: dict[str, Any]
    micrographs: list[MicrographFile]
    picks: Picks
    history: list[dict[str, float]]

    @property
    def result(self) -> dict[str, Any]:
        """What came of the run, as run.json has it."""
        return self.record["result"]

    @cached_property
    def geometry(self) -> Geometry:
        """Lengths of the run."""
        return Geometry(**self.record["derived"])

    @cached_property
    def labels(self) -> Picks:
        """Labels that the network was trained with, in full-size pixels."""
        rows = self.record["lists"]["labels"]
        return Picks([row[0] for row in rows], np.array([row[1:] for row in rows]).reshape(-1, 2))

    @property
    def threshold(self) -> float:
        """Score above which detections are picks."""
        return float(self.result["estimates"]["threshold"])

    @cached_property
    def cut(self) -> Cut:
        """What makes candidates picks; only of a run that kept its candidates."""
        about = {**self.result, "threshold": self.threshold}
        given = self.record["settings"]["threshold"] is not None or self.result.get("audit") is not None
        return Cut.of_model(about, given=given)

    @property
    def expected(self) -> float:
        """Particles expected on an average micrograph."""
        estimates = self.result["estimates"]
        return float(estimates.get("particles_in_sample", estimates["expected_particles"]))

    @property
    def expected_interval(self) -> tuple[float, float] | None:
        """The interval of 80 % that the run gives with it; None where it was told the number, or does not say."""
        estimates = self.result["estimates"]
        low, high = estimates.get("expected_particles_80", (0.0, 0.0))
        if low >= high:
            return None
        scale = self.expected / max(estimates["expected_particles"], 1e-9)
        return low * scale, high * scale

    @cached_property
    def failed(self) -> dict[str, str]:
        """Name of a micrograph that was skipped -> why."""
        paths = {entry["path"]: entry["name"] for entry in self.record["micrographs"]}
        return {paths.get(path, path): cause for path, cause in self.result["failed"].items()}

    @property
    def flags(self) -> dict[str, str]:
        """Name of a micrograph that is bad as a whole -> in what; empty where the run does not tell."""
        flags: dict[str, str | list[str]] = self.result.get("flags", {})
        return {name: why if isinstance(why, str) else ", ".join(why) for name, why in flags.items()}

    @property
    def defocus(self) -> NDArray[np.float64]:
        """Of each micrograph, in angstrom; NaN where unknown."""
        return np.array([np.nan if m.defocus is None else m.defocus for m in self.micrographs])

    def candidates(self, name: str) -> Picks | None:
        """Read the detections of a micrograph, those below the threshold too; None if the run kept none.

        Raises
        ------
        FormatError
            They cannot be read.
        """
        folder = self.folder / "candidates"
        if not folder.is_dir():
            return None
        found = star.read(folder / f"{name}.star")
        return self.cut.rate(Picks.on(name, found.xy, found.scores), Kept.read(self.folder, name).area)

    @property
    def inspect(self) -> Inspector:
        """Finds junk on micrographs as the network saw them."""
        limits = self.result.get("junk_limits")
        return Inspector(self.geometry.span, None if limits is None else tuple(limits))

    @property
    def load(self) -> Loader:
        """Reads micrographs as the network saw them."""
        settings, geometry = self.record["settings"], self.geometry
        plain = Loader(geometry.pixel_size, geometry.factor, settings["normalization"], settings["pixel_size"])
        return plain.seen_by(self.result)


def read_run(folder: Path, micrographs: Sequence[MicrographFile] = ()) -> Run:
    """Read the files of a run.

    Parameters
    ----------
    folder : path
    micrographs : sequence of MicrographFile
        Where the micrographs are now, and what is known of them; those of the run that are not among
        them stay where the run found them.

    Raises
    ------
    SettingsError
        The folder holds no run, or one that has not been finished.
    LabelError
        None of `micrographs` is of the run, or one of the run could be two of them.
    FormatError
        A table of the run cannot be read.
    """
    record = _read_record(folder / RUN)
    found = [_micrograph(entry, Path(record.get("working_folder", ""))) for entry in record["micrographs"]]
    if micrographs:
        now = {m.name: m for m in micrographs}
        names = match_names([m.name for m in found], micrographs)
        found = [_moved(m, now[names[m.name]]) if m.name in names else m for m in found]
    picks = _known(folder / "picks.txt", {m.name for m in found})
    return Run(folder, record, found, picks, read_table(folder / "training.tsv"))


def _known(path: Path, names: set[str]) -> Picks:
    picks = read_picks(path)
    strange = set(picks.names.tolist()) - names
    if strange:
        raise FormatError(
            f"{path}: has picks of {sorted(strange)[0]!r}, which is no micrograph of the run; run the same "
            "`heliodor pick` again, which writes the file anew"
        )
    if len(picks) and not picks.has_scores:
        raise FormatError(f"{path}: has picks without a score; run the same `heliodor pick` again")
    return picks


def _read_record(path: Path) -> dict[str, Any]:
    record = read_record(path)
    if not record:
        raise SettingsError(f"{path.parent}: holds no {RUN}; give the folder that `heliodor pick` wrote to")
    if "result" not in record:
        raise SettingsError(f"{path.parent}: holds a run that was not finished; run the same `heliodor pick` again")
    return record


def _micrograph(entry: dict[str, Any], working_folder: Path) -> MicrographFile:
    return MicrographFile(working_folder / entry["path"], entry["name"], defocus=entry.get("defocus"))


def _moved(old: MicrographFile, new: MicrographFile) -> MicrographFile:
    return replace(old, path=new.path, defocus=old.defocus if new.defocus is None else new.defocus)
