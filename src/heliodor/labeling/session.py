"""A labelling session: the labels of all micrographs, in memory and on disk; safe for threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from heliodor.labeling.files import SessionFiles
from heliodor.labeling.labels import KINDS, Edit, Kind, MicrographLabels
from heliodor.picks import Picks

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from heliodor.names import MicrographFile

_NONE: Picks = Picks([], [])


class Session:
    """Labels, done marks and choices. An edit returns when it is on disk.

    Every change has a revision, one more than that of the change before it: a page that knows the revision it has seen
    asks for what came later.

    Parameters
    ----------
    micrographs : sequence of MicrographFile
    files : SessionFiles

    Raises
    ------
    FormatError, LabelError
        A file of the session cannot be read, or belongs to other micrographs.
    """

    def __init__(self, micrographs: Sequence[MicrographFile], files: SessionFiles) -> None:
        self.micrographs, self.files = micrographs, files
        particles, negatives = files.read_labels(files.labels), files.read_labels(files.negatives)
        done = files.read_done()
        self._labels = [MicrographLabels(done=m.name in done) for m in micrographs]
        for micrograph, own in zip(micrographs, self._labels, strict=True):
            own.extend(particles.get(micrograph.name, _NONE).xy, "particle")
            own.extend(negatives.get(micrograph.name, _NONE).xy, "negative")
        self._choices = files.read_choices()
        self._revision = 0
        self._access = threading.Lock()
        writers: list[Callable[[], Callable[[], None]]] = [
            lambda: self._label_writer("particle"),
            lambda: self._label_writer("negative"),
            self._done_writer,
            self._choices_writer,
        ]
        self._files = {
            name: _SavedFile(self._access, lambda: self._revision, writer)
            for name, writer in zip((*KINDS, "done", "choices"), writers, strict=True)
        }

    @classmethod
    def open(cls, micrographs: Sequence[MicrographFile], labels: str | os.PathLike[str]) -> Session:
        """Begin a session whose labels are in a file, or will be; raises as `SessionFiles` and `Session` do."""
        files = SessionFiles(labels, micrographs)
        try:
            return cls(micrographs, files)
        except BaseException:
            files.close()
            raise

    def close(self) -> None:
        """Let other sessions have the files."""
        self.files.close()

    def edit(self, index: int, base: int, edits: Sequence[Edit]) -> dict[str, Any]:
        """Change the labels of a micrograph, and save them.

        Parameters
        ----------
        index : int
        base : int
            Revision of the micrograph that the page knows.
        edits : sequence of Edit

        Returns
        -------
        dict
            The new `revision` of the micrograph, and all its `labels` and `done` where others have changed it since
            `base`.

        Raises
        ------
        LabelError, OutputError
            Too many labels, or the files cannot be written; the labels in memory are changed in the second case, and
            go to disk with the next edit.
        """
        with self._access:
            own = self._labels[index]
            known = own.revision == base
            before, done = own.labels, own.done
            own.apply(edits)
            self._revision += 1
            own.revision = self._revision
            result = {"revision": own.revision, **({} if known else self._state(own))}
            touched = {label.kind for _, label in before.items() ^ own.labels.items()}
            for name in (*touched, *(("done",) if own.done != done else ())):
                self._files[name].wanted = self._revision
        for file in self._files.values():  # those that could not be written before as well
            file.save()
        return result

    def choose(self, values: Mapping[str, Any]) -> None:
        """Keep choices made on the page, in memory and on disk."""
        with self._access:
            self._choices.update(values)
            self._revision += 1
            self._files["choices"].wanted = self._revision
        self._files["choices"].save()

    def choice(self, name: str, default: Any = None) -> Any:
        """Return a choice made on the page, now or in an earlier session."""
        with self._access:
            return self._choices.get(name, default)

    def of(self, index: int) -> dict[str, Any]:
        """Return the `revision`, `labels` and `done` of a micrograph, JSON-able."""
        with self._access:
            own = self._labels[index]
            return {"revision": own.revision, **self._state(own)}

    def changes(self, since: int) -> tuple[int, list[tuple[int, int, int, bool]]]:
        """Return the revision, and (number, particles, negatives, done) of micrographs changed after `since`.

        Those without labels are left out where `since` is negative: a new page knows that there are none.
        """
        with self._access:
            rows = []
            for index, own in enumerate(self._labels):
                if own.revision > since and (since >= 0 or own.labels or own.done):
                    rows.append((index, own.count("particle"), own.count("negative"), own.done))
            return self._revision, rows

    def picks(self, kind: Kind) -> Picks:
        """Return all labels of a kind as a table, in full-size pixels."""
        with self._access:
            return self._picks(kind)

    def _picks(self, kind: Kind) -> Picks:
        pairs = zip(self.micrographs, self._labels, strict=True)
        return Picks.join([_NONE, *(Picks.on(m.name, own.xy(kind)) for m, own in pairs if own.labels)])

    @staticmethod
    def _state(own: MicrographLabels) -> dict[str, Any]:
        return {"labels": own.table(), "done": own.done}

    def _label_writer(self, kind: Kind) -> Callable[[], None]:
        path = self.files.labels if kind == "particle" else self.files.negatives
        picks = self._picks(kind)
        return lambda: self.files.write_labels(path, picks)

    def _done_writer(self) -> Callable[[], None]:
        names = {m.name for m, own in zip(self.micrographs, self._labels, strict=True) if own.done}
        return lambda: self.files.write_done(names)

    def _choices_writer(self) -> Callable[[], None]:
        choices = dict(self._choices)
        return lambda: self.files.write_choices(choices)


class _SavedFile:
    """A file that should hold changes up to the revision `wanted`; requests that wait for one another share a write.

    Parameters
    ----------
    access : Lock
        Held while a copy of what is to be written is made, not while it is written.
    revision : callable
        The newest revision.
    prepare : callable
        Makes the copy; returns what writes it.
    """

    def __init__(
        self, access: threading.Lock, revision: Callable[[], int], prepare: Callable[[], Callable[[], None]]
    ) -> None:
        self._access, self._revision, self._prepare = access, revision, prepare
        self.wanted = 0  # set while `access` is held
        self._written = 0
        self._writing = threading.Lock()

    def save(self) -> None:
        """Return when the file holds every change that it should."""
        with self._writing:
            if self._written >= self.wanted:
                return
            with self._access:
                newest, write = self._revision(), self._prepare()
            write()
            self._written = newest
