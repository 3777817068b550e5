"""Networks of Topaz as networks of heliodor: the same layers under other names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from heliodor.errors import WeightsError
from heliodor.networks.classifier import Classifier, NetworkSettings
from heliodor.networks.layers import MaxPool

if TYPE_CHECKING:
    import os

    from torch import Tensor

    from heliodor.networks.pickles import Pickled

Layers = list[dict[str, "Tensor"]]  # of each layer with weights: name in our layer -> tensor

_PLAIN = {3: "conv31", 4: "conv63", 5: "conv127"}  # number of convolutions
_RESIDUAL = {"crrc": "resnet6", "crrrc": "resnet8", "crrrrrrrc": "resnet16"}  # c: a convolution, r: a residual block
_PARTS = {
    "conv": "conv",
    "bn": "bn",
    "conv0": "first.conv",
    "bn0": "first.bn",
    "conv1": "second.conv",
    "bn1": "second.bn",
    "proj": "projection",
}


def from_topaz(pickled: Pickled, path: str | os.PathLike[str]) -> Classifier:
    """Build the classifier that a file of Topaz holds, in evaluation mode.

    Parameters
    ----------
    pickled : Pickled
        What the file holds.
    path : path
        Of the file, to be named in errors.

    Raises
    ------
    WeightsError
        The network is none of conv31, conv63, conv127, resnet6, resnet8 and resnet16, or has an option of Topaz that
        heliodor lacks.
    """
    groups = _groups(pickled.tensors)
    residual = any("conv.weight" in group for group in groups.values())
    layers = _residual_layers(groups) if residual else _plain_layers(groups)
    model = _RESIDUAL.get(_signature(groups)) if residual else _PLAIN.get(len(layers))
    if model is None or "classifier.weight" not in pickled.tensors:
        raise WeightsError(
            f"{path}: holds {pickled.kind('features') or 'weights'} of a network that heliodor does not know; "
            "give one of resnet6, resnet8, resnet16, conv31, conv63 or conv127"
        )
    pooling, dropout = _options(pickled, path, groups, residual)
    pooling = "none" if model == "resnet6" else pooling  # it pools whatever the option
    channels = [len(next(iter(layer.values()))) for layer in layers]
    scaling = 2 if residual else max(1, channels[1] // channels[0])
    normed = any("running_mean" in name for layer in layers for name in layer)
    network = Classifier(NetworkSettings(model, channels[0], scaling, normed, dropout, pooling))
    _fill(network, layers, pickled.tensors, path)
    width = getattr(pickled.modules.get("features"), "width", network.receptive_field)
    if width != network.receptive_field:
        raise WeightsError(
            f"{path}: scores windows of {width} pixels, {model} those of {network.receptive_field}: a variant that "
            "heliodor does not know; train it again"
        )
    return network.eval()


def _groups(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Sort the tensors of the features by the number of the layer in Topaz's sequence."""
    groups: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        found = re.fullmatch(r"features\.features\.(\d+)\.(.+)", name)
        if found:
            groups.setdefault(int(found[1]), {})[found[2]] = tensor
    return dict(sorted(groups.items()))


def _signature(groups: dict[int, dict[str, Tensor]]) -> str:
    return "".join("c" if "conv.weight" in group else "r" for group in groups.values())


def _residual_layers(groups: dict[int, dict[str, Tensor]]) -> Layers:
    layers = []
    for group in groups.values():
        named = {name.partition(".")[::2]: tensor for name, tensor in group.items()}
        layers.append({f"{_PARTS.get(part, part)}.{rest}": tensor for (part, rest), tensor in named.items()})
    return layers


def _plain_layers(groups: dict[int, dict[str, Tensor]]) -> Layers:
    """Join the convolution, batch norm and PReLU that follow each other in Topaz's sequence."""
    layers: Layers = []
    for group in groups.values():
        weight = group.get("weight")
        if weight is not None and weight.ndim == 4:
            layers.append({})
            part = "conv"
        else:
            part = "bn" if "running_mean" in group else "act"
        if layers:
            layers[-1] |= {f"{part}.{name}": tensor for name, tensor in group.items()}
    return layers


def _options(
    pickled: Pickled, path: str | os.PathLike[str], groups: dict[int, dict[str, Tensor]], residual: bool
) -> tuple[str, float]:
    """Return pooling and dropout, which leave no weights, but gaps in the numbers of the layers."""
    if not pickled.modules and list(groups) != list(range(len(groups))):
        raise WeightsError(
            f"{path}: these weights do not say whether the network has pooling or dropout; give the PREFIX_epochN.sav "
            "that topaz train wrote, which does"
        )
    kinds = {where: pickled.kind(where) for where in pickled.modules if re.fullmatch(r"features\.features\.\d+", where)}
    pools = {kind for kind in kinds.values() if "Pool" in kind}
    if pools and not (residual and pools == {"MaxPool"}):
        raise WeightsError(
            f"{path}: {', '.join(sorted(pools))} in this network is not provided here; train without --pooling, or "
            "with --pooling max and resnet8 or resnet16"
        )
    dropout = [getattr(pickled.modules[where], "p", 0.0) for where, kind in kinds.items() if kind == "Dropout"]
    return ("max" if pools else "none"), float(max(dropout, default=0.0))


def _fill(network: Classifier, layers: Layers, tensors: dict[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Copy the weights into the network."""
    own = network.state_dict()
    state = {name: tensor for name, tensor in own.items() if name.endswith("num_batches_tracked")}  # torch < 0.4.1
    places = [k for k, layer in enumerate(network.layers) if not isinstance(layer, MaxPool)]
    for place, layer in zip(places, layers, strict=True):
        for name, tensor in layer.items():
            # Topaz's PReLU has one slope for all channels, ours one for each.
            shared = name == "act.weight" and tensor.numel() == 1
            key = f"layers.{place}.{name}"
            state[key] = tensor.reshape(1).expand_as(own[key]) if shared and key in own else tensor
    for name in ("weight", "bias"):
        if f"classifier.{name}" in tensors:
            state[f"head.{name}"] = tensors[f"classifier.{name}"].reshape(own[f"head.{name}"].shape)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(
            f"{path}: its weights do not fit {network.settings.model} with {network.settings.units} units: a variant "
            "that heliodor does not know; train it again"
        ) from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise WeightsError(f"{path}: holds weights that are not numbers: its training diverged; train it again")
