"""A trained network as two ONNX graphs, for a runtime that starts in a tenth of torch's time.

The first gives the features that the last layer sees, dense: every stride is 1 and later kernels are spread instead
(see `layers`). The second is the last layer with the scores. With its 5 x 5 kernel it does most of the multiplications
of the networks here (resnet8: 62 %, conv31: 80 %). Winograd's minimal filtering (Lavin & Gray, CVPR 2016) needs 64
products for 4 x 4 outputs where the sum needs 400; it halves the time of the layer and changes scores by some 1e-5.
Batch normalization is folded into the convolutions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from heliodor.networks.layers import Convolution, MaxPool, Residual

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heliodor.networks.classifier import Classifier
    from heliodor.networks.layers import Layer

BLOCK = 4  # outputs along a side that one step of minimal filtering gives
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # where its polynomials are evaluated, infinity being the last
_OPSET, _IR = 17, 9


class Graph:
    """Nodes and constants of a graph with one input `x` and one output `y`."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Append a node; return the name of its output."""
        name = output or f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        """Add a constant; return its name."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    def integers(self, *values: int) -> str:
        """Add a constant vector of integers."""
        return self.constant(np.array(values), np.int64)

    def model(self, rank: int, output_rank: int) -> bytes:
        """Return the checked graph in ONNX's format; sizes are free."""
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"{name}{k}" for k in range(count)])
            for name, count in (("x", rank), ("y", output_rank))
        ]
        graph = helper.make_graph(self._nodes, "heliodor", ends[:1], ends[1:], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        onnx.checker.check_model(model)
        return model.SerializeToString()


def feature_graph(network: Classifier) -> bytes:
    """Return the graph from pixels (h, w) to dense features (1, channels, h', w') of all layers but the last."""
    graph = Graph()
    x, spread = graph.node("Unsqueeze", "x", graph.integers(0, 1)), 1
    for layer in list(network.layers)[:-1]:
        x = _layer(graph, x, cast("Layer", layer), spread)
        spread *= cast("Layer", layer).stride
    graph.node("Identity", x, output="y")
    return graph.model(2, 4)


def score_graph(network: Classifier) -> bytes:
    """Return the graph of the last layer and the head: features (1, channels, h, w) to scores (h - 4 s, w - 4 s).

    s is the spread of the last layer, the network's stride. The sides of the result must be multiples of 4 s.
    """
    graph, spread = Graph(), network.stride
    weight, bias, _gain = folded(cast("Convolution", network.layers[-1]))
    channels, inputs, kernel, _ = weight.shape
    back, taps, forth = minimal_filter(BLOCK, kernel)
    side = BLOCK + kernel - 1
    # The pixels of one phase side by side are an image for an ordinary kernel: (phases * inputs, 1, h / s, w / s).
    phases = graph.node("SpaceToDepth", "x", blocksize=spread)
    size = graph.node("Slice", graph.node("Shape", phases), graph.integers(2), graph.integers(4))
    images = graph.node("Reshape", phases, graph.node("Concat", graph.integers(-1, 1), size, axis=0))
    # Each 8 x 8 tile, in steps of 4, becomes its 64 values in the transformed domain.
    forward = np.einsum("ai,bj->abij", forth, forth).reshape(side**2, 1, side, side)
    tiles = graph.node("Conv", images, graph.constant(forward), strides=[BLOCK, BLOCK])
    counts = graph.node("Slice", graph.node("Shape", tiles), graph.integers(2), graph.integers(4))
    tiles = graph.node("Reshape", tiles, graph.integers(spread**2, inputs, side**2, -1))
    tiles = graph.node("Transpose", tiles, perm=[2, 1, 0, 3])
    tiles = graph.node("Reshape", tiles, graph.integers(side**2, inputs, -1))
    # There, the convolution is one product of matrices for each of the 64 values.
    kernels = np.einsum("ai,bj,oqij->aboq", taps, taps, weight).reshape(side**2, channels, inputs)
    products = graph.node("MatMul", graph.constant(kernels), tiles)
    products = graph.node("Reshape", products, graph.integers(side**2, -1))
    outputs = graph.node("MatMul", graph.constant(np.kron(back, back)), products)
    outputs = graph.node("Reshape", outputs, graph.integers(BLOCK**2, channels, -1))
    outputs = graph.node("Add", outputs, graph.constant(bias[:, None]))
    outputs = _activation(graph, outputs, cast("Convolution", network.layers[-1]).act, 1)
    scores = graph.node("MatMul", graph.constant(_array(network.head.weight).reshape(1, channels)), outputs)
    scores = graph.node("Add", scores, graph.constant(_array(network.head.bias)))
    shape = graph.node("Concat", graph.integers(BLOCK, BLOCK, spread, spread), counts, axis=0)
    scores = graph.node("Transpose", graph.node("Reshape", scores, shape), perm=[4, 0, 2, 5, 1, 3])
    graph.node("Reshape", scores, graph.node("Mul", counts, graph.integers(BLOCK * spread)), output="y")
    return graph.model(4, 2)


def minimal_filter(outputs: int, kernel: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrices of Toom and Cook: correlation(d, g) = back @ ((taps @ g) * (forth @ d)).

    Parameters
    ----------
    outputs, kernel : int
        Sizes of the result and of g; d has outputs + kernel - 1 values, as many as products are needed.
    """
    count = outputs + kernel - 1
    points = _POINTS[: count - 1]
    back, taps, forth = np.zeros((outputs, count)), np.zeros((count, kernel)), np.zeros((count, count))
    for j, point in enumerate(points):
        others = [other for other in points if other != point]
        back[:, j] = point ** np.arange(outputs)
        taps[j] = point ** np.arange(kernel) / np.prod([point - other for other in others])
        forth[j, :-1] = np.poly(others)[::-1]
    back[-1, -1] = taps[-1, -1] = 1
    forth[-1] = np.poly(points)[::-1]
    size = np.abs(forth).max(axis=1)  # rows of one size, so that float32 rounds all of them alike
    return back * size, taps, forth / size[:, None]


def folded(layer: Convolution) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Fold the batch normalization of a convolution: its kernel (outputs, inputs, k, k), its bias, and the gain.

    The gain (outputs) is what a shortcut that joins before the normalization is to be multiplied by.
    """
    weight = _array(layer.conv.weight)
    bias = np.zeros(len(weight)) if layer.conv.bias is None else _array(layer.conv.bias)
    if layer.bn is None:
        return weight, bias, np.ones(len(weight))
    gain = _array(layer.bn.weight) / np.sqrt(_array(layer.bn.running_var) + layer.bn.eps)
    bias = (bias - _array(layer.bn.running_mean)) * gain + _array(layer.bn.bias)
    return weight * gain[:, None, None, None], bias, gain


def _array(tensor: Any) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)


def _layer(graph: Graph, x: str, layer: Layer, spread: int) -> str:
    if isinstance(layer, Residual):
        return _residual(graph, x, layer, spread)
    if isinstance(layer, MaxPool):
        return graph.node("MaxPool", x, kernel_shape=[layer.span] * 2, dilations=[spread] * 2)
    convolution = cast("Convolution", layer)
    return _activation(graph, _convolution(graph, x, convolution, spread), convolution.act, 2)


def _convolution(graph: Graph, x: str, layer: Convolution, spread: int) -> str:
    weight, bias, _gain = folded(layer)
    return graph.node("Conv", x, graph.constant(weight), graph.constant(bias), dilations=[layer.dilation * spread] * 2)


def _activation(graph: Graph, x: str, activation: nn.Module | None, dimensions: int) -> str:
    """Apply it where channels are followed by this many dimensions."""
    if activation is None:
        return x
    if isinstance(activation, nn.PReLU):
        return graph.node("PRelu", x, graph.constant(_array(activation.weight).reshape(-1, *[1] * dimensions)))
    return graph.node("Relu", x)


def _residual(graph: Graph, x: str, layer: Residual, spread: int) -> str:
    edge = (layer.span - 1) // 2 * spread
    kept = graph.node("Slice", x, graph.integers(edge, edge), graph.integers(-edge, -edge), graph.integers(2, 3))
    gain = folded(layer.second)[2]
    if layer.projection is not None:
        weight = _array(layer.projection.weight) * gain[:, None, None, None]
        kept = graph.node("Conv", kept, graph.constant(weight))
    elif layer.second.bn is not None:
        kept = graph.node("Mul", kept, graph.constant(gain[:, None, None]))
    inner = _activation(graph, _convolution(graph, x, layer.first, spread), layer.first.act, 2)
    joined = graph.node("Add", _convolution(graph, inner, layer.second, spread), kept)
    return _activation(graph, joined, layer.second.act, 2)
