"""Denoisers in files: ours, and Topaz's, by path or by the name that Topaz gives them."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from heliodor.denoise.networks import Denoiser, DenoiserSettings
from heliodor.errors import HeliodorError, WeightsError
from heliodor.networks.pickles import is_pickle, read_pickle
from heliodor.networks.published import find_published
from heliodor.networks.weights import read_weights, write_weights

if TYPE_CHECKING:
    from torch import Tensor

    from heliodor.networks.pickles import Pickled

DENOISERS = {
    "unet": "unet_L2_v0.2.2",
    "unet-small": "unet_small_L1_v0.2.2",
    "fcnn": "fcnn_L1_v0.2.2",
    "affine": "affine_L1_v0.2.2",
    "unet-v0.2.1": "unet_L2_v0.2.1",
}
_CLASSES = {
    "UDenoiseNet": "unet",
    "UDenoiseNetSmall": "unet-small",
    "UDenoiseNet2": "unet2",
    "UDenoiseNet3": "unet3",
    "DenoiseNet2": "fcnn",
    "AffineDenoise": "affine",
}
"""Classes of Topaz, and what they are called here."""


def save_denoiser(path: str | os.PathLike[str], network: Denoiser) -> None:
    """Write a denoiser with its settings; `load_denoiser` reads it whatever its extension.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    write_weights(path, network, {"denoiser": asdict(network.settings)})


def load_denoiser(model: str | os.PathLike[str]) -> Denoiser:
    """Read a denoiser, in evaluation mode.

    Parameters
    ----------
    model : path or str
        A file that `save_denoiser` wrote; a `.sav` of Topaz, of which nothing is run; or a name in `DENOISERS`,
        whose weights come from where `heliodor.networks.published.find_published` finds them.

    Raises
    ------
    WeightsError
        There is no such file, or it holds no denoiser that is known here.
    """
    name = os.fspath(model)
    path = find_published(name, "denoise", DENOISERS[name]) if name in DENOISERS else Path(name)
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such model file; give one, or one of {', '.join(DENOISERS)}")
    if is_pickle(path):
        pickled = read_pickle(path)
        settings, state = _settings(pickled, path), pickled.tensors
    else:
        header, state = read_weights(path)
        if "denoiser" not in header:
            raise WeightsError(f"{path}: a network that finds particles, not one that denoises; give a denoiser")
        settings = DenoiserSettings(**header["denoiser"])
    network = Denoiser(settings)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{path}: its weights do not fit a denoiser '{settings.arch}'; give another") from error
    return network.eval()


def _settings(pickled: Pickled, path: Path) -> DenoiserSettings:
    """Tell the architecture of a file of Topaz from its classes and the names and shapes of its weights."""
    tensors = pickled.tensors
    kind = pickled.kind("")
    weight = next(
        (tensors[name] for name in ("filter.weight", "net.0.weight", "enc1.0.weight") if name in tensors), None
    )
    if weight is None or (kind and kind not in _CLASSES):
        raise WeightsError(
            f"{path}: holds {kind or 'weights'}, no denoiser that is known here; give one of Topaz's unet, unet-small, "
            "unet2, unet3, fcnet2 or affine"
        )
    if weight.ndim != 4:
        raise WeightsError(f"{path}: a denoiser of tomograms, which is not provided; give one of micrographs")
    last = tensors.get("dec1.0.weight")
    arch = _CLASSES[kind] if kind else _architecture(tensors)
    try:
        return DenoiserSettings(arch, weight.shape[-1], weight.shape[0], None if last is None else last.shape[-1])
    except HeliodorError as error:
        raise WeightsError(f"{path}: {error}; give another denoiser") from error


def _architecture(tensors: dict[str, Tensor]) -> str:
    """Tell the architecture from the weights; unet and unet3 have the same, and unet is the one that is published."""
    if "filter.weight" in tensors:
        return "affine"
    if "net.0.weight" in tensors:
        return "fcnn"
    if "enc6.0.weight" not in tensors:
        return "unet-small"
    last = tensors.get("dec1.0.weight")
    return "unet2" if last is not None and last.shape[1] % 2 == 0 else "unet"  # odd: the image is one of the channels
