"""What is known about the network that comes with heliodor, fitted to a particle. Imports no torch."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from heliodor.errors import SettingsError
from heliodor.picking.geometry import SPAN, derive_geometry
from heliodor.picking.load import first_of_size, normalization_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliodor.names import MicrographFile

_TOLERATED = 1.35  # how far the width of a particle may be from what the network was trained on, as a factor


def facts_for(
    facts: dict[str, Any],
    micrographs: Sequence[MicrographFile],
    diameter: float | None,
    pixel_size: float | None,
    *,
    raw: bool,
) -> dict[str, Any]:
    """Fit what is known about a pretrained network to a particle and to micrographs.

    Parameters
    ----------
    facts : dict
        Of the pretrained network.
    micrographs : sequence of MicrographFile
        Those to pick; all have one pixel size.
    diameter : float, optional
        Of the particle in angstrom. None: the micrographs are preprocessed so that it is `SPAN` pixels wide.
    pixel_size : float, optional
        Angstrom, where the header has none.
    raw : bool
        The micrographs are of full size.

    Raises
    ------
    MicrographError
        None of them can be read.
    SettingsError
        Nothing says how large the particle is, or it is not as large on preprocessed micrographs as it must be.
    """
    micrograph, size = first_of_size(micrographs, pixel_size)
    if diameter is None or size is None:
        if raw or diameter is not None:
            missing = "--diameter" if diameter is None else "--angpix: the header has no pixel size"
            raise SettingsError(f"{micrograph.path}: the network that comes with heliodor needs {missing}")
        return facts
    if raw:
        geometry = derive_geometry(diameter, size)
        return {**facts, "geometry": asdict(geometry), "normalization": normalization_of(facts)}
    width = diameter / size
    if not 1 / _TOLERATED < width / SPAN < _TOLERATED:
        raise SettingsError(
            f"{micrograph.path}: a particle of {diameter:g} A is {width:.0f} pixels wide, the network wants "
            f"{SPAN:.0f}; preprocess with a factor {width / SPAN:.3g} times as large, or give full-size ones and --raw"
        )
    return facts
