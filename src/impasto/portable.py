"""A transfer network as one ONNX file, for programs that have no torch.

The graph is put together by hand from the network's stages, so that it holds no more than the
mathematics of `impasto.networks`: any height and width, padding and cropping inside. Kernels stay
in half precision, as in the network's own file; what runs the graph makes float32 of them once,
when it loads it.

Inputs of a network that knows its styles:

`photo`      `(1, 3, H, W)`, float32, sRGB in [0, 1].
`style`      `(1, K)`: the share of each style, in the order of `names`; only proportions count.
`strength`   `(1,)`: how far to go from the photo, 0, to the style, 1.

Inputs of one for any style: `photo` and `strength`, likewise, and

`painting`   `(1, 3, h, w)`, sRGB in [0, 1].
`scale`      `(1,)`: the painting is seen with a long side of 320 px times this; 1 if in doubt.
`vector`     `(1, V)`: the style as numbers, from an earlier run; zeros: take it from the painting,
             which is of no account otherwise and may be of one pixel.

Outputs: `picture` `(1, 3, H, W)`, sRGB in [0, 1], and `vector_used` `(1, V)`, the style's numbers
before strength; means of them are blends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from impasto import __version__
from impasto.blueprint import (
    EPSILON,
    FADE,
    IDENTITY,
    LEAST_SIDE,
    MAX_SEEN_SIDE,
    PREDICTOR_LAYERS,
    SEEN_SIDE,
    Shape,
    Stage,
    stages_of,
)
from impasto.errors import WeightsError
from impasto.network_files import FORM, METADATA, NetworkFile
from impasto.weights import CAFFE, layer_names

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
"""Version of ONNX's operators; the first with smooth reductions of size (2022)."""

IR_VERSION = 8
"""Version of the file's layout that came with these operators."""

Array = NDArray[Any]


def portable(parts: NetworkFile) -> ModelProto:
    """The network as an ONNX model.

    Args:
        parts: what `network_files.read_network_file` found, with NumPy's tensors.

    Raises:
        WeightsError: a tensor is missing or has the wrong shape.
    """
    from onnx import helper

    graph = _Graph(parts.tensors)
    try:
        (style, own), inputs = (_from_table if parts.styles else _from_painting)(graph, parts)
        used = graph.node("Identity", style, name="vector_used")
        rest = graph.node("Sub", graph.number(1), "strength")
        near, far = graph.node("Mul", own, rest), graph.node("Mul", used, "strength")
        painted = _transfer(graph, parts.shape, graph.node("Add", near, far))
    except (KeyError, ValueError, IndexError) as error:
        first = str(error).splitlines()[0]
        raise WeightsError(
            f"{parts.path}: is a damaged network ({first[:80]}); take another copy"
        ) from None
    share = graph.node("Min", graph.number(1), graph.node("Div", "strength", graph.number(FADE)))
    change = graph.node("Mul", graph.node("Sub", painted, "photo"), share)
    graph.node("Add", "photo", change, name="picture")
    made = helper.make_graph(
        graph.nodes,
        "impasto",
        [_value("photo", 1, 3, "H", "W"), *inputs, _value("strength", 1)],
        [_value("picture", 1, 3, "H", "W"), _value("vector_used", 1, parts.shape.vector)],
        graph.initializers,
        doc_string=__doc__,
    )
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="impasto",
        producer_version=__version__,
    )
    record = {
        "form": FORM,
        "kind": "styles" if parts.styles else "any",
        "names": parts.names,
        "shape": asdict(parts.shape),
        "vector": parts.shape.vector,
        "source_sha256": parts.sha256,
        "impasto": __version__,
        "noise": parts.noise,
        "card": dict(parts.card),
    }
    helper.set_model_props(model, {METADATA: json.dumps(record)})
    return model


def _from_table(graph: _Graph, parts: NetworkFile) -> tuple[tuple[str, str], list[Any]]:
    """The vectors of the style and of the photo itself, from a table; inputs of the graph."""
    rows = parts.styles or []
    table = graph.tensor("table.vectors")
    known = [rows.index(name) for name in parts.names]
    shares = graph.node("Div", "style", graph.node("ReduceSum", "style", graph.whole(1)))
    style = graph.node("MatMul", shares, graph.weights(table[known]))
    own = graph.weights(table[[rows.index(IDENTITY)]])
    return (style, own), [_value("style", 1, len(known))]


def _from_painting(graph: _Graph, parts: NetworkFile) -> tuple[tuple[str, str], list[Any]]:
    """The same, predicted from the painting and from the photo."""
    size = parts.shape.vector
    flat = graph.node("Reshape", graph.node("Abs", "vector"), graph.whole(-1))
    peak = graph.node("ReduceMax", flat, graph.whole(0))
    is_given = graph.node("Greater", peak, graph.number(0))
    side = graph.node("Mul", "scale", graph.number(SEEN_SIDE))
    predicted = _predicted(graph, _viewed(graph, "painting", side, is_given))
    style = graph.node("Where", is_given, "vector", predicted)
    is_whole = graph.node("GreaterOrEqual", "strength", graph.number(1))
    own = _predicted(graph, _viewed(graph, "photo", graph.number(SEEN_SIDE), is_whole))
    inputs = [_value("painting", 1, 3, "h", "w"), _value("scale", 1), _value("vector", 1, size)]
    return (style, own), inputs


def _viewed(graph: _Graph, picture: str, side: str, is_idle: str) -> str:
    """A picture with the long side at which its style is predicted; where nothing of it is needed,
    as small as can be."""
    two = graph.whole(2)
    sides = graph.node("Slice", graph.node("Shape", picture), two, graph.whole(4))
    longest = graph.node("ReduceMax", sides, graph.whole(0))
    rounded = graph.node("Cast", graph.node("Round", side), to=_INT64)
    most, least = graph.whole(MAX_SEEN_SIDE), graph.whole(LEAST_SIDE)
    rounded = graph.node("Min", rounded, most)
    # As impasto.images.fit_within rounds.
    doubled = graph.node("Mul", graph.node("Mul", sides, rounded), two)
    divisor = graph.node("Mul", longest, two)
    near = graph.node("Div", graph.node("Add", doubled, longest), divisor)
    chosen = graph.node("Where", is_idle, least, graph.node("Max", near, least))
    sizes = graph.node("Concat", graph.whole(1, 3), chosen, axis=0)
    # At borders only what is there counts, as by torch; ONNX would repeat the outermost pixels.
    how = {"mode": "linear", "antialias": 1, "exclude_outside": 1}
    return graph.node("Resize", picture, "", "", sizes, **how)


def _predicted(graph: _Graph, picture: str) -> str:
    """The style vector `(1, V)` of a picture, as `impasto.networks.StylePredictor` has it."""
    blue, green, red = CAFFE.mean
    mean = graph.constant(np.array([red, green, blue], np.float32).reshape(1, 3, 1, 1))
    x = graph.node("Sub", graph.node("Mul", picture, graph.number(255)), mean)
    x = _padded(graph, x, 1, "edge")
    found: list[str] = []
    for place, name in enumerate(layer_names("vgg19")):
        layer = name.replace("conv", "relu")
        if layer.endswith("_1") and place:
            x = graph.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        kernel = graph.tensor(f"eyes.kernels.{place}")
        if not place:
            kernel = kernel[:, ::-1]  # VGG's is blue first, pictures are red first
        x = graph.node(
            "Conv",
            *(x, graph.weights(kernel), graph.weights(graph.tensor(f"eyes.biases.{place}"))),
            kernel_shape=[3, 3],
            pads=[int(place > 0)] * 4,
        )
        x = graph.node("Relu", x)
        if layer in PREDICTOR_LAYERS:
            average = graph.node("ReduceMean", x, graph.whole(2, 3))
            off = graph.node("Sub", x, average)
            variance = graph.node("ReduceMean", graph.node("Mul", off, off), graph.whole(2, 3))
            found += [average, graph.node("Sqrt", variance)]
        if layer == PREDICTOR_LAYERS[-1]:
            break
    x = graph.node("Flatten", graph.node("Concat", *found, axis=1))
    x = graph.node("Sub", x, graph.weights(graph.tensor("predictor.mean")))
    x = graph.node("Div", x, graph.weights(graph.tensor("predictor.deviation")))
    x = graph.node("Clip", x, graph.number(-8), graph.number(8))
    for part in "first", "second", "last":
        weight, bias = (graph.tensor(f"predictor.{part}.{kind}") for kind in ("weight", "bias"))
        x = graph.node("Gemm", x, graph.weights(weight), graph.weights(bias), transB=1)
        if part != "last":
            x = graph.node("LeakyRelu", x, alpha=0.1)
    return x


def _transfer(graph: _Graph, shape: Shape, vector: str) -> str:
    """What `impasto.networks.Transfer` makes of the photo and a style vector."""
    sides = graph.node("Slice", graph.node("Shape", "photo"), graph.whole(2), graph.whole(4))
    stride = graph.whole(shape.stride)
    whole = graph.node("Add", sides, graph.node("Mod", graph.node("Neg", sides), stride))
    added = graph.node("Sub", graph.node("Max", whole, graph.whole(LEAST_SIDE)), sides)
    pads = graph.node("Concat", graph.whole(*[0] * 6), added, axis=0)
    x = graph.node("Pad", "photo", pads, mode="edge")
    parts = _scales_and_shifts(graph, shape, vector)
    kept = x
    for place, stage in enumerate(stages_of(shape)):
        kernel = graph.tensor(f"transfer.kernels.{place}")
        if kernel.shape != (stage.outputs, stage.inputs, stage.kernel, stage.kernel):
            raise ValueError(f"kernel {place} has the shape {kernel.shape}")
        if stage.opens:
            kept = x
        x = _convolved(graph, x, kernel, stage, place)
        if stage.kind == "out":
            break
        x = graph.node("InstanceNormalization", x, *parts[place], epsilon=EPSILON)
        if stage.relu:
            x = graph.node("Relu", x)
        if stage.closes:
            x = graph.node("Add", x, kept)
    return graph.node(
        "Slice", graph.node("Sigmoid", x), graph.whole(0, 0), sides, graph.whole(2, 3)
    )


def _scales_and_shifts(graph: _Graph, shape: Shape, vector: str) -> list[tuple[str, str]]:
    """The scales and shifts of each normalisation, from a style vector `(1, V)`."""
    lengths = [length for channels in shape.normalised for length in (channels, channels)]
    # Vectors hold how far scales are from 1.
    base = np.concatenate([np.full(n, 1 - i % 2, np.float32) for i, n in enumerate(lengths)])
    whole = graph.node("Add", graph.node("Reshape", vector, graph.whole(-1)), graph.constant(base))
    names = graph.split(whole, lengths)
    return list(zip(names[::2], names[1::2], strict=True))


def _convolved(graph: _Graph, x: str, kernel: Array, stage: Stage, place: int) -> str:
    """The convolution of a stage, borders included."""
    if stage.kind == "up":
        x = graph.node("Conv", _padded(graph, x, 1, "edge"), graph.constant(_phases(kernel)))
        return _interleaved(graph, x, stage.outputs)
    inputs = [_padded(graph, x, stage.kernel // 2, "reflect")]
    # The network sees 2x - 1; the first normalisation takes the constant away again.
    inputs.append(graph.weights(kernel if place else 2 * kernel))
    if stage.kind == "out":
        inputs.append(graph.weights(graph.tensor("transfer.bias")))
    return graph.node("Conv", *inputs, strides=[2, 2] if stage.kind == "down" else [1, 1])


_SUMS = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)
"""As in `impasto.networks`."""


def _phases(kernel: Array) -> Array:
    """As in `impasto.networks`: `(O, C, 3, 3)` → `(4·O, C, 2, 2)`."""
    found = np.einsum("apk,bql,ockl->abocpq", _SUMS, _SUMS, kernel.astype(np.float32))
    return found.reshape(-1, *found.shape[3:])


def _interleaved(graph: _Graph, x: str, channels: int) -> str:
    """As in `impasto.networks`: `(1, 4·C, h + 1, w + 1)` → `(1, C, 2·h, 2·w)`.

    By one transposition of rows, which onnxruntime does several times as quickly as DepthToSpace.
    """
    rows = []
    for place, phase in enumerate(graph.split(x, [channels] * 4, axis=1)):
        first = divmod(place, 2)
        ends = graph.whole(*(-1 if begin == 0 else _FAR for begin in first))
        cut = graph.node("Slice", phase, graph.whole(*first), ends, graph.whole(2, 3))
        rows.append(graph.node("Unsqueeze", cut, graph.whole(3)))
    stacked = graph.node("Concat", *rows, axis=3)  # (1, C, h, 4, w)
    shape = graph.node("Shape", stacked)
    height, width = (
        graph.node("Slice", shape, graph.whole(at), graph.whole(at + 1)) for at in (2, 4)
    )
    pairs = graph.node("Concat", graph.whole(-1, 2), width, axis=0)
    woven = graph.node("Transpose", graph.node("Reshape", stacked, pairs), perm=[0, 2, 1])
    two = graph.whole(2)
    sides = [graph.node("Mul", side, two) for side in (height, width)]
    return graph.node(
        "Reshape", woven, graph.node("Concat", graph.whole(1, channels), *sides, axis=0)
    )


_FAR = 2**31 - 1
"""An end of a slice that is beyond any."""


def _padded(graph: _Graph, x: str, margin: int, mode: str) -> str:
    return graph.node("Pad", x, graph.whole(0, 0, margin, margin, 0, 0, margin, margin), mode=mode)


_FLOAT, _INT64 = 1, 7
"""ONNX's numbers for types."""


def _value(name: str, *shape: int | str) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, _FLOAT, shape)


class _Graph:
    """Nodes and constants of a graph, one after the other.

    Args:
        tensors: of the network.
    """

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._tensors = tensors
        self._known: dict[tuple[Any, ...], str] = {}

    def tensor(self, name: str) -> Array:
        """A tensor of the network.

        Raises:
            KeyError: there is none of that name.
        """
        return self._tensors[name]

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Adds a node with one output, and gives the output's name."""
        from onnx import helper

        name = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def split(self, x: str, lengths: Sequence[int], axis: int = 0) -> list[str]:
        """Cuts a tensor into pieces of these lengths."""
        from onnx import helper

        names = [f"piece_{len(self.nodes)}_{place}" for place in range(len(lengths))]
        self.nodes.append(helper.make_node("Split", [x, self.whole(*lengths)], names, axis=axis))
        return names

    def constant(self, value: Array) -> str:
        """Adds a constant; equal ones are kept once."""
        from onnx import numpy_helper

        value = np.ascontiguousarray(value)
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._known:
            self._known[key] = f"constant_{len(self._known)}"
            self.initializers.append(numpy_helper.from_array(value, self._known[key]))
        return self._known[key]

    def number(self, value: float) -> str:
        """A constant `(1,)`."""
        return self.constant(np.array([value], np.float32))

    def whole(self, *values: int) -> str:
        """A constant of whole numbers, `(n,)`."""
        return self.constant(np.array(values, np.int64))

    def weights(self, value: Array) -> str:
        """A constant in its own precision, cast to float32 where it has less."""
        stored = self.constant(value)
        if value.dtype == np.float32:
            return stored
        key = "cast", stored
        if key not in self._known:
            self._known[key] = self.node("Cast", stored, to=_FLOAT)
        return self._known[key]
