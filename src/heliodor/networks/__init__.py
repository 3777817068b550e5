"""Networks: architectures, decoder, and model files."""

from heliodor.networks.classifier import ARCHITECTURES, Classifier, NetworkSettings, build
from heliodor.networks.decoder import Decoder
from heliodor.networks.export import export_topaz
from heliodor.networks.weights import load_network, save_network

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
