"""What a run keeps of a micrograph besides its candidates."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from heliodor.errors import SettingsError
from heliodor.files import write_text
from heliodor.record import compare

if TYPE_CHECKING:
    from pathlib import Path

    from heliodor.names import MicrographFile


@dataclass(frozen=True)
class Kept:
    """What there is to know of one micrograph when its candidates are judged.

    Parameters
    ----------
    area : float
        Downsampled pixels on which candidates can be: within the margin, not on junk; 0: not known.
    flags : tuple of str
        What is wrong with it as a whole.
    run : str
        See `heliodor.picking.folder.digest`: by what the candidates were found.
    source : str
        The file that was read.
    bytes, modified : int or None
        See `heliodor.record.stamp`.
    """

    area: float = 0.0
    flags: tuple[str, ...] = ()
    run: str = ""
    source: str = ""
    bytes: int | None = None
    modified: int | None = None

    @classmethod
    def read(cls, folder: Path, name: str) -> Kept:
        """Read what a run in `folder` keeps; nothing is there of candidates that earlier versions left."""
        path = kept_path(folder, name)
        if not path.is_file():
            return cls()
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**found, "flags": tuple(found["flags"])})

    def write(self, folder: Path, name: str) -> None:
        """Keep it.

        Raises
        ------
        OutputError
            See `heliodor.files.write_text`.
        """
        write_text(kept_path(folder, name), json.dumps(asdict(self)) + "\n")

    def check_source(self, folder: Path, file: MicrographFile) -> None:
        """Refuse a file that is not the one that was read; one that was moved, or copied with its time, is.

        Raises
        ------
        SettingsError
            It has changed, or is another one of this name.
        """
        if self.source:
            check_same(folder, file, self.source, self.bytes, self.modified)


def check_same(folder: Path, file: MicrographFile, source: str, bytes: int | None, modified: int | None) -> None:
    """Refuse a file that is not the one that a run in `folder` has read; parameters and errors as of `Kept`."""
    if not file.path.is_file():
        return
    kind = compare(file.path, source, {"bytes": bytes, "modified": modified})
    if kind == "same":
        return
    what = "the file has changed since" if kind == "changed" else f"of this name, {source}"
    raise SettingsError(
        f"{file.path}: what {folder} holds is of another file ({what}); choose another folder with -o, or start "
        "afresh with --overwrite"
    )


def kept_path(folder: Path, name: str) -> Path:
    """Return where it is kept."""
    return folder / "candidates" / f"{name}.json"
