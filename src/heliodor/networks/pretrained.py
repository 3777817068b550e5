"""The networks that come with heliodor: a start for training, and a picker that needs no labels.

They were trained on simulated micrographs of many particles, about `SPAN` pixels wide, none of them ferritin;
`pretraining/` in the repository has the whole recipe, and networks/data/README.md says what went into them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliodor.networks.classifier import Classifier, NetworkSettings

FOLDER = Path(__file__).parent / "data"
GENERAL = FOLDER / "conv31_u32.safetensors"  # picks where no model is named


def pretrained_file(settings: NetworkSettings) -> Path | None:
    """Return the file of the pretrained network of this kind, or None where there is none."""
    if settings.unit_scaling != 2 or not settings.batch_norm or settings.pooling != "none":
        return None
    path = FOLDER / f"{settings.model}_u{settings.units}.safetensors"
    return path if path.is_file() else None


def load_pretrained(settings: NetworkSettings) -> tuple[Classifier, dict[str, Any]] | None:
    """Load the pretrained network of this kind (dropout may differ), and the facts about it; None: there is none."""
    from heliodor.networks.weights import load_network

    path = pretrained_file(settings)
    return None if path is None else load_network(path)
