"""IMOD model of scattered points, binary, by the library imodmodel; one file per micrograph.

To IMOD the centre of the first pixel is at (0.5, 0.5), and y counts from the first row of the MRC file, as here.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import FormatError, SettingsError
from heliodor.files import atomic_path
from heliodor.picks import Picks

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

SUFFIXES = (".mod",)
_CENTRE = 0.5  # of the first pixel, to IMOD
_START, _END = b"IMODV", b"IEOF"


def read(path: Path, name: str | None = None) -> Picks:
    """Read the points of every object and contour; z is left out.

    Raises
    ------
    SettingsError
        imodmodel is not installed.
    FormatError
        The file is no model of IMOD.
    """
    library = _library()
    own = name or path.name.removesuffix(path.suffix)
    content = path.read_bytes()
    if not (content.startswith(_START) and _END in content):  # without its end, imodmodel reads for ever
        raise FormatError(f"{path}: not a whole binary model of IMOD; save it in 3dmod")
    try:
        objects = library.ImodModel.from_file(path).objects
    except Exception as error:  # it checks little, and what fails first differs
        raise FormatError(f"{path}: damaged ({type(error).__name__}: {error}); save it again in 3dmod") from error
    points = [np.asarray(contour.points, dtype=np.float64) for item in objects for contour in item.contours]
    return Picks.on(own, np.concatenate([np.empty((0, 3)), *points])[:, :2] - _CENTRE)


def write(path: Path, picks: Picks, **_: Any) -> None:
    """Write an object of one contour of scattered points, on the first section; scores are left out.

    Raises
    ------
    SettingsError
        imodmodel is not installed.
    FormatError
        Picks of more than one micrograph.
    """
    library = _library()
    if len(picks.micrographs()) > 1:
        raise FormatError(f"{path}: a model belongs to one micrograph; give a folder (ending in /) instead")
    import pandas

    x, y = (picks.xy + _CENTRE).T
    table = pandas.DataFrame({"object_id": 0, "contour_id": 0, "x": x, "y": y, "z": 0.0})
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # imodmodel calls what pydantic deprecates
        library.write(table, temporary)


def _library() -> ModuleType:
    try:
        import imodmodel
    except ImportError as error:
        raise SettingsError("models of IMOD need imodmodel; pip install 'heliodor[imod]'") from error
    return imodmodel
