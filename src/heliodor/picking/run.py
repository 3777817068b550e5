"""What all steps of a run of `pick` share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heliodor.progress import SILENT, Reporter

if TYPE_CHECKING:
    from pathlib import Path

    from heliodor.networks.scorers import Machine
    from heliodor.picking.geometry import Geometry
    from heliodor.picking.load import Loader
    from heliodor.picking.settings import PickSettings


@dataclass(frozen=True)
class Run:
    """A run of `pick`.

    Attributes
    ----------
    folder : path
        Of the results.
    digest : str
        Of what decides the run (`heliodor.picking.folder.digest`): what another one left in the folder is not taken for
        its own.
    settings : PickSettings
    geometry : Geometry
    load : Loader
        For micrographs as networks see them.
    machine : Machine
    reporter : Reporter
    """

    folder: Path
    digest: str
    settings: PickSettings
    geometry: Geometry
    load: Loader
    machine: Machine
    reporter: Reporter = field(default=SILENT)
