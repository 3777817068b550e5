"""The files of a labelling session: labels, negatives, done micrographs, and what was chosen on the page."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError, LabelError, OutputError
from heliodor.files import atomic_path, make_directory, output_errors, write_text
from heliodor.formats import read_picks, star, txt, write_picks
from heliodor.names import match_names
from heliodor.picks import Picks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heliodor.names import MicrographFile

KINDS_OF_FILE = (".txt", ".star")


class SessionFiles:
    """Files beside one another, named after that of the labels; one session at a time has them.

    Parameters
    ----------
    labels : path
        NAME.txt or NAME.star. Negatives go to NAME-negatives of the same kind, the paths of done micrographs to
        NAME-done.txt, choices to NAME-session.json, answers to NAME-audit.tsv, those about earlier picks to
        NAME-audit-2.tsv and so on, final picks to NAME-picks.star and .txt, runs to the folder NAME-runs.
    micrographs : sequence of MicrographFile

    Raises
    ------
    FormatError
        The labels are in another format.
    OutputError
        The folder cannot be written to, or another session has the files.
    """

    def __init__(self, labels: str | os.PathLike[str], micrographs: Sequence[MicrographFile]) -> None:
        self.labels = Path(labels)
        suffix = self.labels.suffix.lower()
        if suffix not in KINDS_OF_FILE:
            raise FormatError(
                f"{self.labels}: labels are kept in {' or '.join(KINDS_OF_FILE)} files; give such a name, and bring "
                "others into it with heliodor convert"
            )
        stem = self.labels.name.removesuffix(self.labels.suffix)
        self.negatives = self.labels.with_name(f"{stem}-negatives{suffix}")
        self.done = self.labels.with_name(f"{stem}-done.txt")
        self.choices = self.labels.with_name(f"{stem}-session.json")
        self.audit = self.labels.with_name(f"{stem}-audit.tsv")
        self.picks = self.labels.with_name(f"{stem}-picks.star")
        self.runs = self.labels.with_name(f"{stem}-runs")
        self._micrographs = micrographs
        self._paths = {m.name: str(m.path) for m in micrographs} if suffix == ".star" else {}
        self._others: dict[Path, Picks] = {}  # labels of micrographs that were not given: kept as they are
        self._other_done: list[str] = []
        self._seen: dict[Path, tuple[int, int] | None] = {}
        self._rich: set[Path] = set()  # files that hold more than labels, and have not been written yet
        make_directory(self.labels.parent)
        self._lock = self._take()

    def _take(self) -> IO[str]:
        path = self.labels.with_name(f".{self.labels.name}.lock")
        with output_errors(path):
            file = path.open("a")  # whatever stands under this name, a link perhaps, keeps what it holds
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise OutputError(
                f"{self.labels}: another heliodor label has this file open; use that page, or name another file "
                "with --labels"
            ) from error
        except OSError:  # a file system without locks; changes by others are still noticed before each write
            pass
        return file

    def close(self) -> None:
        """Let other sessions have the files."""
        Path(self._lock.name).unlink(missing_ok=True)
        self._lock.close()

    def read_labels(self, path: Path) -> dict[str, Picks]:
        """Read `labels` or `negatives`: micrograph name -> its labels; nothing where there is no file yet.

        Raises
        ------
        FormatError, LabelError
            The file cannot be read, or belongs to other micrographs.
        """
        self._seen[path] = _stamp(path)
        if self._seen[path] is None:
            return {}
        found = read_picks(path)
        if _holds_more(path, found):
            self._rich.add(path)
        try:
            names = match_names(found.micrographs(), self._micrographs)
        except LabelError as error:
            raise LabelError(f"{path}: {error}") from error
        ours = np.array([name in names for name in found.names], dtype=bool)
        self._others[path] = found.select(~ours).without_scores()
        return dict(found.select(ours).renamed(names).by_micrograph())

    def write_labels(self, path: Path, picks: Picks) -> None:
        """Write `labels` or `negatives`, and what the file held of other micrographs.

        A file that held more, such as scores or the other columns of RELION, is copied to NAME-original first, or to
        NAME-original-2 and so on where there is one.

        Raises
        ------
        OutputError
            It cannot be written, or another program has changed it.
        """
        self._refuse_changed(path)
        if path in self._rich:
            _copy(path, path.with_stem(f"{path.stem}-original"))
            self._rich.remove(path)
        others = self._others.get(path)
        renamed = picks.renamed(self._paths)
        place = path.resolve()  # a link to a file of labels stays one
        if place.suffix.lower() != path.suffix.lower():
            place = path
        write_picks(place, renamed if others is None or not len(others) else Picks.join([renamed, others]))
        self._seen[path] = _stamp(path)

    def copy_audit(self) -> None:
        """Copy the answers to NAME-audit-2.tsv, or to -3 and so on where there is one; raises `OutputError`."""
        _copy(self.audit, self.audit)

    def read_done(self) -> set[str]:
        """Read the names of the micrographs that are done; raises `FormatError` where the file is no text."""
        if not self.done.is_file():
            return set()
        names = {os.path.abspath(m.path): m.name for m in self._micrographs}
        try:
            lines = self.done.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise FormatError(f"{self.done}: not UTF-8 ({error}); mend it or remove it") from error
        self._other_done = [line for line in lines if line and os.path.abspath(line) not in names]
        return {names[path] for line in lines if (path := os.path.abspath(line)) in names}

    def write_done(self, names: set[str]) -> None:
        """Write the paths of the micrographs that are done, a line each: a list that other commands take."""
        ours = [str(m.path) for m in self._micrographs if m.name in names]
        write_text(self.done, "".join(f"{path}\n" for path in ours + self._other_done))

    def read_choices(self) -> dict[str, Any]:
        """Read what was chosen on the page: the diameter, the threshold, the answers of an audit."""
        if not self.choices.is_file():
            return {}
        try:
            choices = json.loads(self.choices.read_text(encoding="utf-8"))
        except ValueError as error:
            raise FormatError(f"{self.choices}: not JSON ({error}); mend it or remove it") from error
        return choices if isinstance(choices, dict) else {}

    def write_choices(self, choices: Mapping[str, Any]) -> None:
        """Write what was chosen on the page."""
        write_text(self.choices, json.dumps(choices, indent=1) + "\n")

    def _refuse_changed(self, path: Path) -> None:
        if path in self._seen and _stamp(path) != self._seen[path]:
            raise OutputError(
                f"{path}: another program has changed this file; stop heliodor label, see that the file is right, and "
                "start it again"
            )


def _copy(path: Path, wanted: Path) -> None:
    """Copy a file to the first name that nothing has: `wanted`, or that with -2, -3 and so on behind it."""
    numbered = (wanted.with_stem(f"{wanted.stem}-{k}") for k in itertools.count(2))
    free = next(name for name in itertools.chain([wanted], numbered) if not os.path.lexists(name))
    with atomic_path(free) as copy:
        shutil.copy2(path, copy)


def _holds_more(path: Path, picks: Picks) -> bool:
    """Say whether a file has scores, or columns that labels do not have."""
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() == ".star":
        words, known = re.findall(r"^\s*(_\S+)", text, re.MULTILINE), {star.NAME, star.X, star.Y, star.SCORES[0]}
    else:
        header = next(line for line in text.splitlines() if "\t" in line)
        words, known = [word.strip() for word in header.split("\t")], {*txt.NEEDED, "score"}
    return not set(words) <= known or not bool(np.isnan(picks.scores).all())


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file does; None where there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size
