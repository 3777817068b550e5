"""Networks of heliodor as files that topaz-em loads: the same layers, pickled under the names of Topaz's classes.

Neither is topaz-em needed, nor anything of it copied: the classes here have its names and no code, and the file says
no more than which classes and attributes Topaz is to make of its own.
"""

from __future__ import annotations

import io
import pickle
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import torch
from torch import nn

from heliodor.errors import SettingsError
from heliodor.files import write_bytes
from heliodor.networks.layers import Convolution, MaxPool, Residual

if TYPE_CHECKING:
    import os

    from heliodor.networks.classifier import Classifier

Version = Literal["0.3", "0.2"]

_RESNET = "topaz.model.features.resnet"
_CONVOLUTION = {"0.3": "BasicConv", "0.2": "BasicConv2d"}  # the one class that was renamed


def export_topaz(path: str | os.PathLike[str], network: Classifier, version: Version = "0.3") -> None:
    """Write a network to a file that topaz-em loads, as `PREFIX_epochN.sav` of its own training.

    Dropout, which acts in training only, is left out.

    Parameters
    ----------
    path : path
        Topaz wants it to end in `.sav`.
    network : Classifier
    version : {'0.3', '0.2'}
        The Topaz to write for. Networks without residual blocks (conv31, conv63, conv127) are the same for both.

    Raises
    ------
    SettingsError
        Topaz would not know the file by its name.
    OutputError
        The file cannot be written.
    """
    if not str(path).endswith(".sav"):
        raise SettingsError(f"{path}: Topaz takes a model for one by the ending .sav; give such a name with -o")
    layers = [cast("Any", layer) for layer in network.layers]
    residual = any(isinstance(layer, Residual) for layer in layers)
    features = _residual(network, layers, version) if residual else _plain(network, layers)
    head = nn.Conv2d(network.latent, 1, 1)
    head.load_state_dict(network.head.state_dict())
    attributes = {"dims": 2, "patch_size": None, "padding": None, "batch_size": 1}
    whole = _module(
        "topaz.model.classifier", "LinearClassifier", {"features": features, "classifier": head}, attributes
    )
    buffer = io.BytesIO()
    torch.save(whole.cpu().eval(), buffer, pickle_module=SimpleNamespace(__name__="pickle", Pickler=_Pickler))
    write_bytes(path, buffer.getbuffer())


def _module(home: str, name: str, parts: dict[str, nn.Module | None], attributes: dict[str, Any]) -> nn.Module:
    """Make a module of an empty class that has the name of one of Topaz's."""
    module: nn.Module = type(name, (_OfTopaz,), {"__module__": home, "__qualname__": name})()
    for key, part in parts.items():
        if part is not None:
            module.add_module(key, part)
    vars(module).update(attributes)
    return module


def _plain(network: Classifier, layers: list[Convolution]) -> nn.Module:
    steps: list[nn.Module] = []
    strides: list[int] = []
    for layer in layers:
        new = [_conv(layer), *(part for part in (layer.bn, layer.act) if part is not None)]
        steps += new
        strides += [layer.stride, *[1] * (len(new) - 1)]
    attributes = {"strides": strides, "width": network.receptive_field, "filled": False, "latent_dim": network.latent}
    return _module(
        "topaz.model.features.basic", "BasicConv", {"features": nn.Sequential(*steps)}, {**attributes, "dims": 2}
    )


def _residual(network: Classifier, layers: list[Any], version: Version) -> nn.Module:
    steps = [
        _block(layer)
        if isinstance(layer, Residual)
        else _pool()
        if isinstance(layer, MaxPool)
        else _basic(layer, version)
        for layer in layers
    ]
    attributes = {
        "num_features": network.latent,
        "latent_dim": network.latent,
        "width": network.receptive_field,
        "stride": 1 if any(isinstance(layer, MaxPool) for layer in layers) else 2,
        "pad": False,
        "dims": 2,
    }
    name = {"resnet6": "ResNet6", "resnet8": "ResNet8", "resnet16": "ResNet16"}[network.settings.model]
    return _module(_RESNET, name, {"features": nn.Sequential(*steps)}, attributes)


def _basic(layer: Convolution, version: Version) -> nn.Module:
    kernel = layer.conv.kernel_size[0]
    attributes = {
        "kernel_size": kernel,
        "stride": layer.stride,
        "dilation": 1,
        "og_dilation": 1,
        "padding": 0,
        "dims": 2,
    }
    return _module(
        _RESNET, _CONVOLUTION[version], {"conv": _conv(layer), "bn": layer.bn, "act": nn.ReLU(inplace=True)}, attributes
    )


def _block(layer: Residual) -> nn.Module:
    attributes = {"kernel_size": layer.span, "stride": layer.stride, "dilation": 1, "padding": 0, "dims": 2}
    projection = None
    if layer.projection is not None:
        projection = _like(layer.projection, stride=layer.stride)
    parts: dict[str, nn.Module | None] = {
        "proj": projection,
        "conv0": _conv(layer.first),
        "bn0": layer.first.bn,
        "act0": nn.ReLU(inplace=True),
        "conv1": _conv(layer.second),
        "bn1": layer.second.bn,
        "act1": nn.ReLU(inplace=True),
    }
    return _module(_RESNET, "ResidA", parts, {**attributes, "bn": layer.first.bn is not None})


def _pool() -> nn.Module:
    attributes = {"kernel_size": 3, "stride": 2, "og_stride": 2, "dilation": 1, "padding": 0, "dims": 2}
    return _module(_RESNET, "MaxPool", {"pool": nn.MaxPool2d(3, stride=2)}, attributes)


def _conv(layer: Convolution) -> nn.Conv2d:
    return _like(layer.conv, stride=layer.stride, dilation=layer.dilation)


def _like(conv: nn.Conv2d, stride: int, dilation: int = 1) -> nn.Conv2d:
    """Copy a convolution, with a stride and dilation of its own (ours are arguments of the call)."""
    kernel = conv.kernel_size[0]
    copy = nn.Conv2d(conv.in_channels, conv.out_channels, kernel, stride, dilation=dilation, bias=conv.bias is not None)
    copy.load_state_dict(conv.state_dict())
    return copy


class _OfTopaz(nn.Module):
    """Base of the empty classes."""


_PICKLER: Any = pickle._Pickler  # the one in Python, whose way of writing classes can be replaced


class _Pickler(_PICKLER):  # type: ignore[misc]
    """Writes the names of the empty classes without looking for them where they say they are."""

    dispatch: ClassVar[dict[type, Any]] = dict(_PICKLER.dispatch)

    def _save_class(self, cls: type) -> None:
        if issubclass(cls, _OfTopaz):
            self.write(pickle.GLOBAL + f"{cls.__module__}\n{cls.__qualname__}\n".encode())
            self.memoize(cls)
        else:
            self.save_type(cls)

    dispatch[type] = _save_class
