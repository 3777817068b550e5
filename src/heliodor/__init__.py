"""Particle picking for cryo-EM from a few labelled particles.

The public names below load on first use: `import heliodor` imports neither torch nor scipy. Every step works on
arrays; files are read and written at the ends only:

    read_micrograph -> heliodor.preprocess.preprocess -> score_map -> non_maximum_suppression -> write_picks
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from heliodor._version import __version__
from heliodor.lazy import lazy_names

if TYPE_CHECKING:
    from heliodor.evaluation import agreement, evaluate, match
    from heliodor.find import find_micrographs
    from heliodor.formats import read_picks, write_picks
    from heliodor.micrographs import Micrograph, read_micrograph, write_micrograph
    from heliodor.networks import Classifier, NetworkSettings, load_network, save_network
    from heliodor.picking.blobs import find_blobs
    from heliodor.picking.pick import pick
    from heliodor.picking.refinement import refine
    from heliodor.picking.scoring import score_map
    from heliodor.picking.settings import PickSettings
    from heliodor.picking.suppression import non_maximum_suppression
    from heliodor.picks import Picks
    from heliodor.preprocess import downsample, normalize
    from heliodor.training.loop import train
    from heliodor.training.settings import TrainingSettings
    from heliodor.training.tiles import Example

# ONNX Runtime 1.32 keeps records in the user's home for Microsoft, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "Classifier": "networks",
    "Example": "training.tiles",
    "Micrograph": "micrographs",
    "NetworkSettings": "networks",
    "PickSettings": "picking.settings",
    "Picks": "picks",
    "TrainingSettings": "training.settings",
    "agreement": "evaluation",
    "downsample": "preprocess",
    "evaluate": "evaluation",
    "find_blobs": "picking.blobs",
    "find_micrographs": "find",
    "load_network": "networks",
    "match": "evaluation",
    "non_maximum_suppression": "picking.suppression",
    "normalize": "preprocess",
    "pick": "picking.pick",
    "read_micrograph": "micrographs",
    "read_picks": "formats",
    "refine": "picking.refinement",
    "save_network": "networks",
    "score_map": "picking.scoring",
    "train": "training.loop",
    "write_micrograph": "micrographs",
    "write_picks": "formats",
}

__all__ = [
    "Classifier",
    "Example",
    "Micrograph",
    "NetworkSettings",
    "PickSettings",
    "Picks",
    "TrainingSettings",
    "__version__",
    "agreement",
    "downsample",
    "evaluate",
    "find_blobs",
    "find_micrographs",
    "load_network",
    "match",
    "non_maximum_suppression",
    "normalize",
    "pick",
    "read_micrograph",
    "read_picks",
    "refine",
    "save_network",
    "score_map",
    "train",
    "write_micrograph",
    "write_picks",
]

__getattr__ = lazy_names(__name__, _HOMES)
