"""What the page works on, put together."""

from __future__ import annotations

import importlib
import os
import threading
from typing import TYPE_CHECKING, Any

from heliodor._version import __version__
from heliodor.errors import HeliodorError, SettingsError
from heliodor.labeling.candidates import Candidates
from heliodor.labeling.images import Images
from heliodor.labeling.review import Review
from heliodor.labeling.session import Session
from heliodor.labeling.training import Training

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from heliodor.names import MicrographFile


class App:
    """A labelling session with its pictures, the picks to look at, and training.

    Parameters
    ----------
    micrographs : sequence of MicrographFile
    labels : path
        See `heliodor.labeling.files.SessionFiles`.
    picks : path, optional
        Coordinate file, or folder of a run of `heliodor pick`. Default: the last run that was started from the page.
    diameter : float, optional
        Of the particle, in angstrom. Default: that of the last session.
    pixel_size : float, optional
        Angstrom per pixel, where headers have none or a wrong one.
    pick_arguments : sequence of str
        More options of `heliodor pick`, for training.

    Raises
    ------
    FormatError, LabelError, OutputError
        See `Session.open`.
    """

    def __init__(
        self,
        micrographs: Sequence[MicrographFile],
        labels: str | os.PathLike[str],
        *,
        picks: str | os.PathLike[str] | None = None,
        diameter: float | None = None,
        pixel_size: float | None = None,
        pick_arguments: Sequence[str] = (),
    ) -> None:
        self.micrographs = micrographs
        self.session = Session.open(micrographs, labels)
        self.images = Images(micrographs, pixel_size)
        self.training = Training(micrographs, self.session, pixel_size, pick_arguments, self._trained)
        self.picks_version, self.picks_error = 0, ""
        self._show(Candidates())
        if diameter is not None:
            self.session.choose({"diameter": diameter})
        source = picks or self.session.choice("run")
        self._source = os.path.abspath(source) if source else ""
        self._reading = threading.Thread(target=self._read_picks, args=(source,), daemon=True)
        if source:
            self._reading.start()  # a table of a million picks takes seconds: the page opens meanwhile
        threading.Thread(target=_import_ahead, daemon=True).start()

    def _read_picks(self, source: str | os.PathLike[str]) -> None:
        try:
            self._show(Candidates.read(source, self.micrographs))
        except HeliodorError as error:
            self.picks_error = str(error)
            self.picks_version += 1

    def _trained(self, candidates: Candidates, folder: Path) -> None:
        self._source = os.path.abspath(folder)
        self.session.choose({"run": self._source})
        self._show(candidates)

    def _show(self, candidates: Candidates) -> None:
        self.review = Review(self.micrographs, self.session, candidates)
        self.candidates, self.picks_error = candidates, ""
        self.picks_version += 1

    def close(self) -> None:
        """Stop training, and let other sessions have the files."""
        self.training.cancel()
        self.session.close()

    def describe(self) -> dict[str, Any]:
        """Return what a page needs to begin with."""
        files = self.session.files
        named = {"labels": files.labels, "negatives": files.negatives, "done": files.done}
        return {
            "version": __version__,
            "names": [m.name for m in self.micrographs],
            "files": {name: str(path) for name, path in named.items()},
            "diameter": self.session.choice("diameter"),
            **self.changes(-1),
        }

    def describe_micrograph(self, index: int) -> dict[str, Any]:
        """Return the size of a micrograph, its labels and its picks; raises `MicrographError`."""
        header = self.images.header(index)
        facts = {name: getattr(header, name) for name in ("width", "height", "pixel_size", "version")}
        return {**facts, **self.session.of(index), "picks": self.candidates.of(index)}

    def describe_picks(self) -> dict[str, Any]:
        """Return what is known of the picks of all micrographs."""
        return {**self.candidates.summary(), "threshold": self.threshold, "error": self.picks_error}

    @property
    def threshold(self) -> float:
        """Score above which picks are picks: chosen on the page for these picks, or that of the run."""
        chosen = self.session.choice("threshold")
        if chosen is None or self.session.choice("threshold_of") != self._source:
            return self.candidates.automatic
        return float(chosen)

    def choose_threshold(self, value: float | None) -> None:
        """Keep a threshold for the picks that are shown; None: that of the run."""
        self.session.choose({"threshold": value, "threshold_of": self._source})

    @property
    def radius(self) -> float:
        """Radius of a particle in pixels; see `Images.pixel_size`.

        Raises
        ------
        SettingsError
            No diameter has been given.
        MicrographError
            No micrograph can be read.
        """
        diameter = self.session.choice("diameter")
        if diameter is None:
            raise SettingsError("give the particle's diameter first")
        size = self.images.pixel_size
        if size is None:
            size = 1.0  # no header has one: the diameter is in pixels, and the page says so
        return float(diameter) / size / 2

    def changes(self, since: int) -> dict[str, Any]:
        """Return what has changed after a revision, and how training goes."""
        revision, rows = self.session.changes(since)
        return {
            "revision": revision,
            "changed": rows,
            "errors": dict(self.images.errors),
            "picks_version": self.picks_version,
            "training": self.training.status(),
        }


def _import_ahead() -> None:
    """Import what the first tile needs, while the browser still starts."""
    for name in ("PIL.JpegImagePlugin", "scipy.ndimage"):
        importlib.import_module(name)
