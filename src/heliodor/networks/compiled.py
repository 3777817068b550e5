"""Networks compiled to ONNX, and kept: a process that only scores never imports torch.

RELION starts a process for each micrograph. The first one for a model compiles it and keeps the result in the
user's cache folder, under a name made of the content of the model's file, so that another model, or one that was
trained again, is never taken for it. The folder may be removed at any time; where it cannot be written, each process
compiles.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliodor._version import __version__
from heliodor.errors import OutputError
from heliodor.files import atomic_path
from heliodor.networks.published import model_file

if TYPE_CHECKING:
    from heliodor.networks.classifier import Classifier

CACHE_VARIABLE = "HELIODOR_CACHE"
_FORMAT = 1  # of what is kept; to be raised when graphs change


@dataclass(frozen=True)
class Compiled:
    """A network as graphs; see `heliodor.networks.graph`.

    Attributes
    ----------
    features, scores : bytes
        The two graphs.
    receptive_field : int
    multiple : int
        Sides of score maps are multiples of this.
    about : dict
        What `heliodor.networks.load_network` says about the model.
    """

    features: bytes
    scores: bytes
    receptive_field: int
    multiple: int
    about: dict[str, Any] = field(default_factory=dict)


def compile_network(network: Classifier, about: dict[str, Any]) -> Compiled:
    """Compile a network in evaluation mode."""
    from heliodor.networks.graph import BLOCK, feature_graph, score_graph

    multiple = BLOCK * network.stride
    return Compiled(feature_graph(network), score_graph(network), network.receptive_field, multiple, about)


def compiled_model(model: str | os.PathLike[str]) -> Compiled:
    """Return a model's network compiled: from the cache, or fresh.

    Parameters
    ----------
    model : path or str
        See `heliodor.networks.load_network`.

    Raises
    ------
    WeightsError
        See there.
    """
    path = model_file(model)
    kept = _cache_folder() / f"{_key(path)}.zip"
    # A file that another version or a full disk left broken is made anew.
    with contextlib.suppress(OSError, zipfile.BadZipFile, KeyError, json.JSONDecodeError):
        return _read(kept)
    from heliodor.networks.weights import load_network

    compiled = compile_network(*load_network(path))
    with contextlib.suppress(OutputError):  # keeping it is a convenience
        _write(kept, compiled)
    return compiled


def _cache_folder() -> Path:
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "heliodor"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heliodor"


def _key(path: Path) -> str:
    return hashlib.sha256(f"{_FORMAT} {__version__} ".encode() + path.read_bytes()).hexdigest()[:32]


def _read(path: Path) -> Compiled:
    with zipfile.ZipFile(path) as archive:
        facts = json.loads(archive.read("facts.json"))
        return Compiled(archive.read("features.onnx"), archive.read("scores.onnx"), **facts)


def _write(path: Path, compiled: Compiled) -> None:
    facts = {
        "receptive_field": compiled.receptive_field,
        "multiple": compiled.multiple,
        "about": compiled.about,
    }
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr("facts.json", json.dumps(facts))
        archive.writestr("features.onnx", compiled.features)
        archive.writestr("scores.onnx", compiled.scores)
