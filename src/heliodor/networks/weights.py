"""Model files: weights in safetensors, everything else as JSON in its header. Nothing in them can run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor._version import __version__
from heliodor.errors import WeightsError
from heliodor.files import atomic_path
from heliodor.networks.classifier import Classifier, NetworkSettings

if TYPE_CHECKING:
    import os


def save_network(path: str | os.PathLike[str], network: Classifier, about: dict[str, Any]) -> None:
    """Write a network with what must be known to use it.

    Parameters
    ----------
    path : path
        Usually ends in `.safetensors`.
    network : Classifier
    about : dict
        JSON-able facts: pixel size, normalization, diameter, pi...: `load_network` gives them back.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from safetensors.torch import save_file

    header = {"heliodor": __version__, "network": asdict(network.settings), "about": about}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(state, temporary, metadata={"heliodor": json.dumps(header)})


def load_network(path: str | os.PathLike[str]) -> tuple[Classifier, dict[str, Any]]:
    """Read a network that `save_network` wrote: the network in evaluation mode, and the facts about it.

    Raises
    ------
    WeightsError
        The file is missing, is not a heliodor model, or does not fit its own settings.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise WeightsError(f"{path}: there is no such model file; give the model.safetensors that a run wrote")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("heliodor", "null"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{path}: not a heliodor model ({error}); give a .safetensors file that heliodor wrote"
        ) from error
    if header is None:
        raise WeightsError(f"{path}: safetensors without heliodor's settings; give a file that heliodor wrote")
    network = Classifier(NetworkSettings(**header["network"]))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{path}: the weights do not fit the settings in the file; train again") from error
    return network.eval(), header["about"]
