"""What the reader of a coordinate file must be told of micrographs: their paths, sizes and unique numbers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor.find import find_micrographs
from heliodor.formats import cs, star
from heliodor.micrographs import read_header
from heliodor.names import MicrographFile, match_names, note_on_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from heliodor.picks import Picks


@dataclass(frozen=True)
class Targets:
    """The micrographs of a table of picks.

    Parameters
    ----------
    known : mapping
        Name in the table -> micrograph; cryoSPARC's where a .cs file tells of it. Names that mean none are
        left out.
    note : str
        What a person should know of how they were matched; '' where that is nothing.
    """

    known: Mapping[str, cs.CsMicrograph | Path]
    note: str = ""

    @classmethod
    def of(cls, inputs: Sequence[str], picks: Picks) -> Targets:
        """Find the micrographs that the names in `picks` mean.

        Parameters
        ----------
        inputs : sequence of str
            .cs files with their paths, uids and shapes, or what `heliodor.find_micrographs` takes; none is allowed.
        picks : Picks

        Raises
        ------
        MicrographError, FormatError, LabelError
            An input cannot be read, or means no or two micrographs of the table.
        """
        tables = [item for item in inputs if item.lower().endswith(".cs")]
        known: dict[str, cs.CsMicrograph | Path] = {}
        files = []
        for table in tables:
            found = cs.read_micrographs(Path(table))
            known |= found
            files += [MicrographFile(Path(path), path) for path in found]
        images = find_micrographs([item for item in inputs if item not in tables])
        known |= {image.name: image.path for image in images}
        if not known:
            return cls({})
        meant = match_names(picks.micrographs(), [*files, *images])
        return cls({name: known[own] for name, own in meant.items()}, note_on_names(meant))

    def __bool__(self) -> bool:
        return bool(self.known)

    def rows(self, name: str) -> int:
        """Height of a micrograph, in pixels."""
        return self._cryosparc(name).shape[0]

    def _cryosparc(self, name: str) -> cs.CsMicrograph:
        own = self.known.get(name)
        if isinstance(own, cs.CsMicrograph):
            return own
        # Where cryoSPARC has not given a number, the path decides one: cryoSPARC then matches by path.
        path = Path(name) if own is None else own
        number = int.from_bytes(hashlib.sha256(str(path).encode("utf-8")).digest()[:8], "big") >> 1
        return cs.CsMicrograph(str(path), number, read_header(path)[0])

    def name(self, picks: Picks, format: ModuleType) -> tuple[Picks, dict[str, Any]]:
        """Give names and facts that a format needs: paths for RELION, uids and shapes for cryoSPARC.

        Returns
        -------
        picks : Picks
        options : dict
            Of the format's `write`.
        """
        if format is cs and self.known:
            return picks, {"micrographs": {name: self._cryosparc(name) for name in picks.micrographs()}}
        if format is star and self.known:
            return picks.renamed(
                {n: o.path if isinstance(o, cs.CsMicrograph) else str(o) for n, o in self.known.items()}
            ), {}
        return picks, {}
