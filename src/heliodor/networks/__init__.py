"""Networks: architectures, decoder, model files, scorers. The names load on first use, most of them with torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliodor.lazy import lazy_names

if TYPE_CHECKING:
    from heliodor.networks.classifier import ARCHITECTURES, Classifier, NetworkSettings, build
    from heliodor.networks.decoder import Decoder
    from heliodor.networks.export import export_topaz
    from heliodor.networks.weights import load_network, save_network

_HOMES = {
    "ARCHITECTURES": "classifier",
    "Classifier": "classifier",
    "Decoder": "decoder",
    "NetworkSettings": "classifier",
    "build": "classifier",
    "export_topaz": "export",
    "load_network": "weights",
    "save_network": "weights",
}

__all__ = [
    "ARCHITECTURES",
    "Classifier",
    "Decoder",
    "NetworkSettings",
    "build",
    "export_topaz",
    "load_network",
    "save_network",
]

__getattr__ = lazy_names(__name__, _HOMES)
