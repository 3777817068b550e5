"""What training starts from: the network that comes with heliodor, one that the user gives, or none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeGuard

from heliodor.errors import SettingsError
from heliodor.micrographs import FLAT
from heliodor.networks import Classifier, NetworkSettings, load_network
from heliodor.networks.pretrained import load_pretrained
from heliodor.picking.load import normalization_of

if TYPE_CHECKING:
    from heliodor.picking.settings import PickSettings
    from heliodor.progress import Reporter

Start = tuple[Classifier, dict[str, Any]]  # a network in evaluation mode, and what its file says about it


def starting_point(settings: PickSettings) -> tuple[NetworkSettings, Start | None]:
    """Return the kind of network of a run, and the network whose weights are the first ones; None: random weights.

    Parameters
    ----------
    settings : PickSettings

    Raises
    ------
    SettingsError
        The network that is given is not of the kind that is asked for.
    WeightsError
        It cannot be read.
    """
    given = None if settings.start is None else load_network(settings.start)
    kind = NetworkSettings() if given is None else replace(given[0].settings, dropout=0.0)
    model, units = settings.model, settings.units
    asked = replace(kind, model=kind.model if model is None else model, units=kind.units if units is None else units)
    if given is None:
        return asked, load_pretrained(asked) if settings.pretrained else None
    if asked != kind:
        raise SettingsError(
            f"{settings.start}: a {kind.model} with {kind.units} units, not what --model and --units ask for; "
            "leave these out, or give another network"
        )
    return kind, given


def is_pretrained(given: Start | None) -> TypeGuard[Start]:
    """Say whether a run starts from a network that comes with heliodor, or was made like it: one that knows particles.

    How its scores are distributed is known; of a network that a user trained, nobody knows.
    """
    return given is not None and "pretrained_on" in given[1]


def settle_normalization(settings: PickSettings, given: Start | None, labeled: bool, reporter: Reporter) -> str:
    """Return how micrographs are normalized: as the network that a run starts from has seen them, where nobody says.

    Parameters
    ----------
    settings : PickSettings
    given : Start, optional
        See `starting_point`.
    labeled : bool
        The network will be trained.
    reporter : Reporter

    Raises
    ------
    SettingsError
        A network that is not trained would see what it does not know, or noise is to be whitened that nothing tells
        from particles, or from the background.
    """
    known = FLAT if given is None else normalization_of(given[1])
    wanted = settings.normalization or known
    if settings.whiten and (given is None or wanted != FLAT):
        raise SettingsError(
            "--whiten needs a network to start from, which tells particles from noise, and --normalization flat; leave "
            "it out"
        )
    if wanted != known and not labeled:
        raise SettingsError(
            f"the network has seen micrographs normalized as '{known}', not '{wanted}'; leave out --normalization, or "
            "give --labels to train it"
        )
    if wanted != known:
        reporter.warn(
            f"training starts from a network that has seen micrographs normalized as '{known}', not '{wanted}'"
        )
    return wanted
