"""cryoSPARC .cs: numpy records, one particle each; coordinates as fractions of the micrograph.

x = center_x_frac * columns and y = center_y_frac * rows, y counted from the first row of the MRC file as here.
(Where a picture shows y turned around, the micrograph itself was turned: motion correction in cryoSPARC and in RELION
read TIFF and EER movies from opposite ends. `heliodor convert --invert-y` turns it back.)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError
from heliodor.files import atomic_path
from heliodor.picks import Picks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".cs",)
X, Y = "location/center_x_frac", "location/center_y_frac"
PATH, UID, SHAPE = "location/micrograph_path", "location/micrograph_uid", "location/micrograph_shape"
SCORE = "pick_stats/ncc_score"
_EXPOSURE = (("micrograph_blob/path", "uid", "micrograph_blob/shape"), (PATH, UID, SHAPE))
_STREAM = b"\x95CSDAT"


@dataclass(frozen=True)
class CsMicrograph:
    """What cryoSPARC knows a micrograph by: path in the project, unique number, (rows, columns)."""

    path: str
    uid: int
    shape: tuple[int, int]


def read(path: Path, _name: str | None = None) -> Picks:
    """Read particle locations, of an exported, a passthrough or a job's own file.

    Names are micrograph paths in the project; a file without paths gives the micrographs' unique numbers.
    """
    table = _load(path)
    columns = set(table.dtype.names or ())
    missing = {X, Y, SHAPE} - columns
    if missing or not {PATH, UID} & columns:
        raise FormatError(
            f"{path}: no particle locations ({', '.join(sorted(missing)) or PATH} missing); "
            "give the passthrough file of the same job, or export the particles"
        )
    shape = np.asarray(table[SHAPE], dtype=np.float64).reshape(-1, 2)
    xy = np.stack([np.float64(table[X]) * shape[:, 1], np.float64(table[Y]) * shape[:, 0]], axis=1)
    names = _texts(table[PATH]) if PATH in columns else [str(uid) for uid in table[UID].tolist()]
    return Picks(names, xy, np.float64(table[SCORE]) if SCORE in columns else None)


def read_micrographs(path: Path) -> dict[str, CsMicrograph]:
    """Read micrographs by path, from a file of exposures or of particles.

    Raises
    ------
    FormatError
        The file has no paths, unique numbers and shapes.
    """
    table = _load(path)
    for columns in _EXPOSURE:
        if set(columns) <= set(table.dtype.names or ()):
            names, uids, shapes = _texts(table[columns[0]]), table[columns[1]].tolist(), table[columns[2]].tolist()
            return {
                name: CsMicrograph(name, int(uid), (int(shape[0]), int(shape[1])))
                for name, uid, shape in zip(names, uids, shapes, strict=True)
            }
    raise FormatError(
        f"{path}: no micrographs with path, uid and shape; give exposures or particles exported from cryoSPARC"
    )


def _load(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise FormatError(f"{path}: there is no such file; check the path")
    start = b""
    try:
        with path.open("rb") as file:
            start = file.read(len(_STREAM))
        table: NDArray[Any] = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        if start == _STREAM:
            raise FormatError(
                f"{path}: cryoSPARC's compressed stream; export the group, or save it as numpy"
            ) from error
        raise FormatError(f"{path}: not a numpy file ({str(error).splitlines()[0][:100]}); export it again") from error
    if not table.dtype.names:
        raise FormatError(f"{path}: a numpy array without cryoSPARC's columns; give a .cs file")
    return np.atleast_1d(table)


def _texts(column: NDArray[Any]) -> list[str]:
    return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in column.tolist()]


def write(path: Path, picks: Picks, *, micrographs: Mapping[str, CsMicrograph] | None = None, **_: Any) -> None:
    """Write particle locations, as `Import` and external jobs of cryoSPARC take them.

    Parameters
    ----------
    path : path
    picks : Picks
        In pixels of the micrographs whose shapes are given.
    micrographs : mapping
        Name in `picks` -> micrograph; see `read_micrographs`.

    Raises
    ------
    FormatError
        A micrograph that `micrographs` does not tell of.
    """
    known = micrographs or {}
    unknown = [name for name in picks.micrographs() if name not in known]
    if unknown:
        raise FormatError(
            f"{path}: cryoSPARC needs the path, uid and shape of the micrograph '{unknown[0]}'; "
            "give them with --micrographs FILE.cs, or a folder of the micrographs"
        )
    own = [known[name] for name in picks.names]
    paths = [micrograph.path.encode("utf-8") for micrograph in own]
    width = max((len(p) for p in paths), default=1)
    columns = [("uid", "<u8"), (PATH, f"S{width}"), (UID, "<u8"), (SHAPE, "<u4", (2,)), (X, "<f4"), (Y, "<f4")]
    if (~np.isnan(picks.scores)).any():
        columns.append((SCORE, "<f4"))
    table = np.zeros(len(picks), dtype=columns)
    table["uid"] = _uids(picks)
    if len(picks):
        shapes = np.array([m.shape for m in own])
        table[PATH], table[UID], table[SHAPE] = paths, [m.uid for m in own], shapes
        table[X], table[Y] = picks.xy[:, 0] / shapes[:, 1], picks.xy[:, 1] / shapes[:, 0]
        if SCORE in (table.dtype.names or ()):
            table[SCORE] = picks.scores
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, table)


def _uids(picks: Picks) -> NDArray[np.uint64]:
    """Draw unique numbers that the picks decide: to cryoSPARC, particles of one number are one particle."""
    content = hashlib.sha256("\n".join(picks.names).encode("utf-8") + picks.xy.tobytes()).digest()
    return np.random.default_rng(list(content)).integers(1, 2**63, len(picks), dtype=np.uint64)
