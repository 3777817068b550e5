"""Networks laid out as Topaz lays them out, under its names, to make files as its users have them.

They are written anew from the layout of such files, and compute their scores by themselves, window by window: the
slow twin of what heliodor makes of the files.
"""

from __future__ import annotations

import sys
import types

import torch
from torch import nn

RESNET = "topaz.model.features.resnet"
CLASSES: dict[str, type] = {}


def of_topaz(module, name=None):
    """Give a class the module, and the name, that it has in Topaz."""

    def named(cls):
        cls.__module__, cls.__qualname__ = module, name or cls.__qualname__
        CLASSES[f"{module}.{cls.__qualname__}"] = cls
        return cls

    return named


@of_topaz(RESNET)
class BasicConv2d(nn.Module):
    def __init__(self, nin, nout, kernel, stride, bn):
        super().__init__()
        self.conv = nn.Conv2d(nin, nout, kernel, stride=stride, bias=not bn)
        if bn:
            self.bn = nn.BatchNorm2d(nout)
        self.act = nn.ReLU()

    def forward(self, x):
        x = self.conv(x)
        return self.act(self.bn(x) if hasattr(self, "bn") else x)


@of_topaz(RESNET)
class ResidA(nn.Module):
    def __init__(self, nin, nout, stride, dilation, bn):
        super().__init__()
        if nin != nout:
            self.proj = nn.Conv2d(nin, nout, 1, stride=stride, bias=False)
        self.conv0 = nn.Conv2d(nin, nin, 3, bias=not bn)
        self.conv1 = nn.Conv2d(nin, nout, 3, stride=stride, dilation=dilation, bias=not bn)
        if bn:
            self.bn0, self.bn1 = nn.BatchNorm2d(nin), nn.BatchNorm2d(nout)
        self.kernel_size, self.stride = 3 + 2 * dilation, stride

    def forward(self, x):
        same = lambda y: y  # noqa: E731
        y = torch.relu(getattr(self, "bn0", same)(self.conv0(x)))
        edge = self.kernel_size // 2
        kept = x[:, :, edge:-edge, edge:-edge]
        kept = self.proj(kept) if hasattr(self, "proj") else kept[:, :, :: self.stride, :: self.stride]
        return torch.relu(getattr(self, "bn1", same)(self.conv1(y) + kept))


@of_topaz(RESNET)
class MaxPool(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.MaxPool2d(3, stride=2)

    def forward(self, x):
        return self.pool(x)


class Features(nn.Module):
    def __init__(self, layers, width):
        super().__init__()
        self.features, self.width, self.latent_dim = nn.Sequential(*layers), width, 1

    def forward(self, x):
        return self.features(x)


@of_topaz(RESNET)
class ResNet6(Features):
    pass


@of_topaz(RESNET)
class ResNet8(Features):
    pass


@of_topaz(RESNET)
class ResNet16(Features):
    pass


@of_topaz(RESNET)
class BasicConv(BasicConv2d):  # the name since 0.3
    pass


@of_topaz("topaz.model.features.basic", "BasicConv")
class PlainFeatures(Features):
    pass


@of_topaz("topaz.model.classifier")
class LinearClassifier(nn.Module):
    def __init__(self, features, latent):
        super().__init__()
        self.features, self.classifier = features, nn.Conv2d(latent, 1, 1)

    def forward(self, x):
        return self.classifier(self.features(x))


def install(monkeypatch):
    """Make the classes importable under their names, which pickling asks for."""
    for full, cls in CLASSES.items():
        parts = full.split(".")[:-1]
        for depth in range(1, len(parts) + 1):
            name = ".".join(parts[:depth])
            if getattr(sys.modules.get(name), "__file__", None) != __file__:
                module = types.ModuleType(name)
                module.__file__ = __file__  # where torch finds the source that it puts into old containers
                monkeypatch.setitem(sys.modules, name, module)
        setattr(sys.modules[".".join(parts)], full.split(".")[-1], cls)


def topaz_network(model, *, units=4, bn=True, pooling=None, dropout=0.0, scaling=2):
    """Build one with batch-norm statistics that are not the identity, in evaluation mode."""
    torch.manual_seed(3)
    if model.startswith("conv"):
        layers, latent = _plain({"conv31": 3, "conv63": 4, "conv127": 5}[model], units, scaling, bn, pooling, dropout)
        features = PlainFeatures(layers, int(model[4:]))
    else:
        layers, latent = _residual(model, units, bn, pooling, dropout)
        width = {"resnet6": 71, "resnet8": 71, "resnet16": 91}[model] + 6 * bool(pooling)
        features = {"resnet6": ResNet6, "resnet8": ResNet8, "resnet16": ResNet16}[model](layers, width)
    network = LinearClassifier(features, latent).train()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
        network(torch.randn(6, 1, features.width + 8, features.width + 8))
    return network.eval()


def _plain(count, units, scaling, bn, pooling, dropout):
    layers, nin, nout = [], 1, units
    for k in range(count):
        layers.append(nn.Conv2d(nin, nout, 5 if k else 7, stride=1 if k == count - 1 else 2, bias=not bn))
        layers += [nn.BatchNorm2d(nout)] if bn else []
        layers.append(nn.PReLU())
        layers += [nn.Dropout(dropout)] if dropout else []
        layers += [nn.MaxPool2d(3, stride=1, padding=1)] if pooling else []
        nin, nout = nout, nout * scaling
    return layers, nin


def _residual(model, u, bn, pooling, dropout):
    s = 1 if pooling else 2

    def down(layer):
        return [layer, *([MaxPool()] if pooling else []), *([nn.Dropout(dropout)] if dropout else [])]

    last = [BasicConv2d(2 * u, 4 * u, 5, 1, bn), *([nn.Dropout(dropout)] if dropout else [])]
    if model == "resnet6":
        drop = [nn.Dropout(dropout)] if dropout else []
        return [
            *(BasicConv2d(1, u, 5, 1, bn), MaxPool(), *drop, ResidA(u, 2 * u, 1, 4, bn), MaxPool(), *drop),
            *(ResidA(2 * u, 2 * u, 1, 2, bn), BasicConv2d(2 * u, 4 * u, 5, 1, bn)),
        ], 4 * u
    if model == "resnet8":
        return [
            *down(BasicConv2d(1, u, 7, s, bn)),
            ResidA(u, u, 1, 2, bn),
            *down(ResidA(u, 2 * u, s, 2, bn)),
            ResidA(2 * u, 2 * u, 1, 2, bn),
            *last,
        ], 4 * u
    return [
        BasicConv2d(1, u, 7, 1, bn),
        *down(ResidA(u, u, s, 1, bn)),
        *(ResidA(u, u, 1, 1, bn) for _ in range(3)),
        *down(ResidA(u, 2 * u, s, 1, bn)),
        *(ResidA(2 * u, 2 * u, 1, 1, bn) for _ in range(2)),
        *last,
    ], 4 * u
