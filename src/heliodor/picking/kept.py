"""What a run keeps of a micrograph besides its candidates."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from heliodor.files import write_text

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Kept:
    """What there is to know of one micrograph when its candidates are judged.

    Parameters
    ----------
    area : float
        Downsampled pixels on which candidates can be: within the margin, not on junk; 0: not known.
    flags : tuple of str
        What is wrong with it as a whole.
    """

    area: float = 0.0
    flags: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path, name: str) -> Kept:
        """Read what a run in `folder` keeps; runs of earlier versions keep nothing."""
        path = _path(folder, name)
        if not path.is_file():
            return cls()
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(found["area"], tuple(found["flags"]))

    def write(self, folder: Path, name: str) -> None:
        """Keep it.

        Raises
        ------
        OutputError
            See `heliodor.files.write_text`.
        """
        write_text(_path(folder, name), json.dumps(asdict(self)) + "\n")


def _path(folder: Path, name: str) -> Path:
    return folder / "candidates" / f"{name}.json"
