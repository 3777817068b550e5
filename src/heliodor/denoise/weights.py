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
_KNOWN = ("UDenoiseNet", "UDenoiseNetSmall", "DenoiseNet2", "AffineDenoise")


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
    first: dict[str, Tensor] = {
        arch: tensors[f"{part}.weight"]
        for arch, part in (("affine", "filter"), ("fcnn", "net.0"), ("unet-small", "enc1.0"))
        if f"{part}.weight" in tensors
    }
    if not first or (kind and kind not in _KNOWN):
        raise WeightsError(
            f"{path}: holds {kind or 'weights'}, no denoiser that is known here; give one of Topaz's unet, unet-small, "
            "fcnet2 or affine"
        )
    arch, weight = next(iter(first.items()))
    if weight.ndim != 4:
        raise WeightsError(f"{path}: a denoiser of tomograms, which is not provided; give one of micrographs")
    if arch == "unet-small" and "enc6.0.weight" in tensors:
        arch = "unet"
    last = tensors["dec1.0.weight"].shape[-1] if "dec1.0.weight" in tensors else None
    try:
        return DenoiserSettings(arch, weight.shape[-1], weight.shape[0], last)
    except HeliodorError as error:
        raise WeightsError(f"{path}: {error}; give another denoiser") from error
