"""Model files: weights in safetensors, everything else as JSON in its header. Nothing in them can run.

Files of Topaz are read as well, with the same care: see `pickles`.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor._version import __version__
from heliodor.errors import SettingsError, WeightsError
from heliodor.files import write_bytes
from heliodor.networks.classifier import Classifier, NetworkSettings
from heliodor.networks.pickles import is_pickle, read_pickle
from heliodor.networks.published import model_file
from heliodor.networks.topaz import from_topaz

if TYPE_CHECKING:
    from torch import Tensor, nn


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
    write_weights(path, network, {"network": asdict(network.settings), "about": about})


def write_weights(path: str | os.PathLike[str], network: nn.Module, header: dict[str, Any]) -> None:
    """Write the weights of any network, and a header of JSON-able facts.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from safetensors.torch import save

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_bytes(path, save(state, metadata={"heliodor": json.dumps({"heliodor": __version__, **header})}))


def load_network(model: str | os.PathLike[str]) -> tuple[Classifier, dict[str, Any]]:
    """Read a network: the network in evaluation mode, and the facts about it.

    Parameters
    ----------
    model : path or str
        A file that `save_network` wrote; a `.sav` file of Topaz (a module that `topaz train` saved, or a state
        dict), of which only numbers and attributes are read: nothing in it can run; or the name of a network
        that comes with topaz-em (resnet8, resnet16, each also with _u32 or _u64): see `find_published`.
        What a file is, is known by its content, not by its extension.

    Returns
    -------
    network : Classifier
    about : dict
        What `save_network` was given; of a file of Topaz: {}.

    Raises
    ------
    WeightsError
        The file is missing, is not a model, asks for what no model needs, or does not fit its own settings.
    """
    path = model_file(model)
    return (from_topaz(read_pickle(path), path), {}) if is_pickle(path) else _load_own(path)


def _load_own(path: Path) -> tuple[Classifier, dict[str, Any]]:
    header, state = read_weights(path)
    if "network" not in header:
        raise WeightsError(f"{path}: a network that denoises, not one that finds particles; give the latter")
    try:
        network = Classifier(NetworkSettings(**header["network"]))
        network.load_state_dict(state)
    except (RuntimeError, TypeError, KeyError, SettingsError) as error:
        raise WeightsError(
            f"{path}: the weights do not fit the settings in the file; take the newest heliodor, or train again"
        ) from error
    return network.eval(), header["about"]


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the header and the weights of a file that `write_weights` wrote.

    Raises
    ------
    WeightsError
        It is none.
    """
    from safetensors import SafetensorError, safe_open

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
    return header, state


def weights_digest(network: nn.Module) -> str:
    """Return a name made of the weights of a network."""
    hashed = hashlib.sha256()
    for name, value in network.state_dict().items():
        hashed.update(name.encode())
        hashed.update(value.cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()
