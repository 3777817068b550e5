"""What scores windows of micrographs: a network in ONNX Runtime on processors, in torch on everything else.

Both give one score for each pixel that has a whole receptive field around it. torch in float32 is the plain way; ONNX
Runtime agrees with it to some 1e-5, starts in a tenth of the time and takes half of the time for a micrograph.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from heliodor.networks.compiled import Compiled, compiled_model

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from heliodor.networks.classifier import Classifier

_STRIP = 64  # rows that the last layer takes at once: what it works on stays in the cache of the processor


class Scorer(Protocol):
    """Scores windows.

    Attributes
    ----------
    receptive_field : int
        Side of the square window that one score sees, odd.
    batch : int
        Windows of one shape that are best scored together.
    tile : int
        Best side of the part of a map that is scored at once.
    """

    receptive_field: int
    batch: int
    tile: int

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score (B, h, w) pixels: (B, h - receptive_field + 1, w - receptive_field + 1) log-odds."""
        ...


class OnnxScorer:
    """A network in ONNX Runtime, on processors.

    Parameters
    ----------
    compiled : Compiled
    threads : int
        0: as many as there are processors.
    """

    batch = 1
    tile = 256  # half the memory of 512, and as fast in spite of the wider margins

    def __init__(self, compiled: Compiled, threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors, which are raised as well
        options.enable_mem_pattern = False  # a plan for each shape of window, of which there are several, costs memory
        # Threads that wait must not keep processors from others that share the machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._features, self._scores = (
            onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            for graph in (compiled.features, compiled.scores)
        )
        self.receptive_field = compiled.receptive_field
        self._multiple = compiled.multiple

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Scorer`."""
        return np.stack([self._score(window) for window in windows])

    def _score(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        rows, columns = (side - self.receptive_field + 1 for side in window.shape)
        step = self._multiple
        padding = [(0, -rows % step), (0, -columns % step)]
        features = self._features.run(None, {"x": np.pad(window, padding)})[0]
        high = rows + padding[0][1]
        halo, strip = features.shape[2] - high, -(-_STRIP // step) * step
        parts = [
            self._scores.run(None, {"x": np.ascontiguousarray(features[:, :, y : min(y + strip, high) + halo])})[0]
            for y in range(0, high, strip)
        ]
        return np.concatenate(parts)[:rows, :columns]


class TorchScorer:
    """A network in torch, on any device.

    Parameters
    ----------
    network : Classifier
        In evaluation mode.
    device : torch.device, optional
        Default: where the network is.
    exact : bool
        Plain float32. Otherwise a GPU may round: float16 where that is safe.
    """

    tile = 512

    def __init__(self, network: Classifier, device: torch.device | None = None, *, exact: bool = True) -> None:
        import torch

        self._device = device or next(network.parameters()).device
        self._network = network.to(self._device)
        self._half = self._device.type == "cuda" and not exact
        if exact and self._device.type == "cuda":
            # A switch of the whole process, which scorers in other threads must not turn back.
            torch.backends.cudnn.allow_tf32 = False
        self.receptive_field = network.receptive_field
        self.batch = 1 if self._device.type == "cpu" else 8

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Scorer`."""
        import torch

        with torch.inference_mode(), torch.autocast(self._device.type, dtype=torch.float16, enabled=self._half):
            pixels = torch.from_numpy(windows).to(self._device)
            return cast("Any", self._network.dense(pixels, pad=False).float().cpu().numpy())


def scorers_of_model(
    model: str | os.PathLike[str], device: str = "auto", *, threads: int = 0, exact: bool = False
) -> tuple[list[Scorer], dict[str, Any]]:
    """Read a model for scoring: a scorer for each device, and the facts about the model.

    Parameters
    ----------
    model : path or str
        See `heliodor.networks.load_network`.
    device : str
        See `heliodor.devices.devices_of`.
    threads : int
        Processor threads; 0: as many as there are processors.
    exact : bool
        torch in float32 instead of the fastest way.

    Raises
    ------
    WeightsError, SettingsError
    """
    from heliodor.devices import on_processors

    if not exact and on_processors(device) and _has_runtime():
        compiled = compiled_model(model)
        return [OnnxScorer(compiled, threads)], compiled.about
    from heliodor.networks.weights import load_network

    network, about = load_network(model)
    return scorers_of_network(network, device, threads=threads, exact=exact), about


def scorers_of_network(
    network: Classifier, device: str = "auto", *, threads: int = 0, exact: bool = False
) -> list[Scorer]:
    """Make a scorer of a network for each device; parameters as above."""
    import copy

    import torch

    from heliodor.devices import devices_of
    from heliodor.networks.compiled import compile_network

    network, places = network.eval(), devices_of(device)
    if all(place.type == "cpu" for place in places):
        if not exact and _has_runtime():
            return [OnnxScorer(compile_network(network, {}), threads or torch.get_num_threads())]
        if threads:
            torch.set_num_threads(threads)
        return [TorchScorer(network.cpu(), exact=exact)]
    return [TorchScorer(copy.deepcopy(network), place, exact=exact) for place in places]


@dataclass(frozen=True)
class Machine:
    """Where the networks of a run train and score, and how they score.

    Attributes
    ----------
    device : str
        See `heliodor.devices.devices_of`.
    exact : bool
        Score with torch in float32 instead of the fastest way.
    """

    device: str = "auto"
    exact: bool = False

    def scorer(self, network: Classifier) -> Scorer:
        """Make a scorer of a network for one device, the first of those that are named."""
        from heliodor.devices import devices_of

        return scorers_of_network(network, str(devices_of(self.device)[0]), exact=self.exact)[0]

    def scorers(self, network: Classifier) -> list[Scorer]:
        """Make a scorer of a network for each device."""
        return scorers_of_network(network, self.device, exact=self.exact)


def _has_runtime() -> bool:
    """Whether ONNX Runtime is installed; there are machines that it is not made for."""
    return importlib.util.find_spec("onnxruntime") is not None and importlib.util.find_spec("onnx") is not None
