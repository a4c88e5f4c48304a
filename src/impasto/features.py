"""VGG16 and VGG19 as feature extractors: named layers, pooling, borders.

The networks (Simonyan & Zisserman 2015) are stacks of 3×3 convolutions, each followed by a ReLU,
in five blocks with a 2×2 pooling between blocks. Features are taken after the ReLU. Nothing here
knows about losses, sizes of pictures or optimisers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.convolution import Convolution, Entrance, engine, fast_pays
from impasto.errors import OptionError
from impasto.memory import PLAIN_TILE_BYTES, TILE_BYTES
from impasto.moments import widened
from impasto.weights import BLOCK_WIDTHS, CONVOLUTIONS_PER_BLOCK, Weights, load_weights

_LAYER = re.compile(r"(?:relu|block)(\d)_(?:conv)?(\d)")


@dataclass(frozen=True)
class Layer:
    """Where a layer sits in its network.

    Attributes:
        name: the paper's name, such as `relu4_2`.
        keras: the Keras name of the same tensor, such as `block4_conv2`.
        channels: feature maps.
        stride: pixels of the picture per position.
        receptive_field: side in pixels of the square that one position sees.
        parameters: weights and biases of this convolution.
    """

    name: str
    keras: str
    channels: int
    stride: int
    receptive_field: int
    parameters: int


def layers_of(architecture: str) -> list[Layer]:
    """Every layer of a network, in order.

    Args:
        architecture: `vgg16` or `vgg19`.
    """
    found = []
    field, stride, inputs = 1, 1, 3
    for block, (convolutions, channels) in enumerate(
        zip(CONVOLUTIONS_PER_BLOCK[architecture], BLOCK_WIDTHS, strict=True), start=1
    ):
        for index in range(1, convolutions + 1):
            field += 2 * stride
            found.append(
                Layer(
                    f"relu{block}_{index}",
                    f"block{block}_conv{index}",
                    channels,
                    stride,
                    field,
                    9 * inputs * channels + channels,
                )
            )
            inputs = channels
        field += stride
        stride *= 2
    return found


def stride_of(layer: str) -> int:
    """Pixels of the picture per position of a layer, by its canonical name."""
    return 2 ** (int(layer[4]) - 1)


def reach_of(layers: Iterable[str], architecture: str) -> tuple[int, int]:
    """See `Features.reach`, for a network that need not be loaded."""
    wanted = {canonical_layer(name, architecture) for name in layers}
    deepest = [layer for layer in layers_of(architecture) if layer.name in wanted][-1]
    return (deepest.receptive_field - deepest.stride) // 2, deepest.stride


def canonical_layer(name: str, architecture: str) -> str:
    """The paper's name of a layer given in either scheme.

    Args:
        name: `relu4_2` or `block4_conv2`.
        architecture: `vgg16` or `vgg19`.

    Raises:
        OptionError: the network has no such layer.
    """
    match = _LAYER.fullmatch(name.strip())
    if match:
        block, index = int(match[1]), int(match[2])
        blocks = CONVOLUTIONS_PER_BLOCK[architecture]
        if 1 <= block <= len(blocks) and 1 <= index <= blocks[block - 1]:
            return f"relu{block}_{index}"
    last = len(CONVOLUTIONS_PER_BLOCK[architecture])
    deepest = f"relu{last}_{CONVOLUTIONS_PER_BLOCK[architecture][-1]}"
    raise OptionError(
        f"layer '{name}': {architecture} has no such layer; its layers run from relu1_1 "
        f"(block1_conv1) to {deepest}: see 'impasto model {architecture}'"
    )


# Both means are smaller than the maximum; without a correction at each pooling the deep layers, and
# through them the balance of the losses, shift by powers of these factors. Both are measured on
# VGG19 at 256 px: with 1.4, average pooling leaves relu2_1 to relu4_1 within 7 % of their root mean
# square under max pooling; without 1.3, L2 pooling leaves relu5_1 at 0.33 to 0.36 of it.
_RESCALE = {"max": 1.0, "average": 1.4, "l2": 1.3}


class _MaxPool(torch.autograd.Function):
    """Max pooling that finds the places of the maxima again instead of keeping them.

    Their indices, 8 bytes each, would take twice the memory of what they point at.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.window = window
        return F.max_pool2d(x, window)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        _, places = F.max_pool2d(x, ctx.window, return_indices=True)
        slope = torch.ops.aten.max_pool2d_with_indices_backward(
            grads[0], x, ctx.window, ctx.window, [0, 0], [1, 1], False, places
        )
        return slope, None


def _pool(x: Tensor, kind: str, scale: float) -> Tensor:
    # Along a side of one position there is nothing to pool; windows of two would leave none.
    height, width = x.shape[-2:]
    window = (min(2, height), min(2, width))
    if kind == "max":
        return cast("Tensor", _MaxPool.apply(x, window))
    if kind == "average":
        pooled = F.avg_pool2d(x, window)
    else:
        # Squares of 16-bit numbers have no place in 16 bits.
        wide = widened(x)
        pooled = (F.avg_pool2d(wide.square(), window) + 1e-8).sqrt().to(x.dtype)
    return pooled if scale == 1 else pooled * scale


class Features:
    """A VGG trunk that answers with the features of chosen layers.

    Args:
        weights: a model name such as `vgg19` or `vgg16:torchvision`, or loaded `Weights`.
        pooling: `max` (as trained), `average` (Gatys et al. 2016: smoother pictures) or `l2`
            (the root of the mean square: Hénaff & Simoncelli 2016).
        rescale: keep the activations' scale under average and L2 pooling.
        padding: `replicate` or `zero`: how the first convolution sees beyond the border; the
            others pad with zeros, as trained. Replicating removes the frame that zeros leave.
        layers: the layers that will be asked for, so that deeper ones take no memory; by default
            all.
        device: where to run.
        dtype: number format of convolutions and feature maps: float32; bfloat16 or float16, which
            GPUs are quicker with; float64 for tests.
        fast_convolution: on the CPU in float32, use `convolution`'s compiled kernels where they
            pay; without, torch runs everything.

    Attributes:
        picture_dtype: number format of pictures and all that is computed of them but the network:
            float32, or float64 with a network in float64.
        fast: whether compiled kernels may be used.
        preprocessing: how a picture becomes the network's input.
    """

    def __init__(
        self,
        weights: str | Weights = "vgg19",
        *,
        pooling: str = "max",
        rescale: bool = True,
        padding: str = "replicate",
        layers: Iterable[str] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        fast_convolution: bool = True,
    ) -> None:
        loaded = load_weights(weights) if isinstance(weights, str) else weights
        self.sha256 = loaded.sha256
        self.architecture = loaded.architecture
        self.pooling = pooling
        self.padding = padding
        self.scale = _RESCALE[pooling] if rescale else 1.0
        self.device = torch.device(device)
        self.dtype = dtype
        self.picture_dtype = torch.promote_types(dtype, torch.float32)
        names = layers_of(self.architecture)
        if layers is not None:
            wanted = {canonical_layer(name, self.architecture) for name in layers}
            deepest = max((i for i, layer in enumerate(names) if layer.name in wanted), default=-1)
            names = names[: deepest + 1]
        self._layers = names
        self.fast = fast_convolution and self.device.type == "cpu" and dtype == torch.float32
        self._convolutions: dict[str, Convolution] = {}
        for layer in names:
            kernel, bias = (
                loaded.tensors[f"conv{layer.name[4:]}.{part}"].to(device=self.device, dtype=dtype)
                for part in ("weight", "bias")
            )
            fast = self.fast and fast_pays(kernel.shape[1], kernel.shape[0])
            self._convolutions[layer.name] = Convolution(kernel, bias, fast=fast)
        self.preprocessing = preprocessing = loaded.preprocessing
        self._bgr = preprocessing.channel_order == "bgr"
        self._mean = self._column(preprocessing.mean)
        self._std = self._column(preprocessing.std)
        self._range = float(preprocessing.scale)
        self._enter = self._entrance()

    def _entrance(self) -> Entrance | None:
        """What does the work of `preprocess` and of the first padding, where kernels can."""
        if not self._layers or not self._convolutions[self._layers[0].name].fast:
            return None
        factor = self._range / self._std
        factors = torch.stack([factor.flatten(), (-self._mean / self._std).flatten()], dim=1)
        order = (2, 1, 0) if self._bgr else (0, 1, 2)
        return Entrance(factors, order, int(self.padding == "replicate"))

    def _column(self, values: Iterable[float]) -> Tensor:
        return torch.tensor(list(values), device=self.device, dtype=self.picture_dtype).view(
            1, 3, 1, 1
        )

    @property
    def tile_bytes(self) -> int:
        """What a pixel takes on its way through the network and back, in bytes."""
        if all(convolution.fast for convolution in self._convolutions.values()):
            return TILE_BYTES
        return PLAIN_TILE_BYTES * self.dtype.itemsize // 4

    @property
    def kernels(self) -> str:
        """What computes the convolutions, and how many of them compiled kernels do."""
        fast = sum(convolution.fast for convolution in self._convolutions.values())
        compiled = engine() if fast else None
        return f"{compiled.key}: {fast} layers" if compiled else "torch"

    def reach(self, layers: Iterable[str]) -> tuple[int, int]:
        """How far the deepest of some layers looks, and its stride, both in px.

        A position's own square of `stride` px is extended by the first figure on each side.

        Raises:
            OptionError: the network has no such layer.
        """
        return reach_of(layers, self.architecture)

    def preprocess(self, picture: Tensor) -> Tensor:
        """What the network sees: `(1, 3, H, W)` sRGB in [0, 1] → the model's channel order, range
        and mean, in the picture's number format."""
        if self._bgr:
            picture = picture.flip(1)
        return (picture * self._range - self._mean) / self._std

    def extract(self, picture: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features of a picture after the ReLU of each wanted layer.

        Nothing deeper than the deepest wanted layer is run.

        Args:
            picture: `(1, 3, H, W)`, sRGB in [0, 1] (values beyond are allowed), H, W ≥ 1.
            layers: names in either scheme.

        Returns:
            Canonical name → `(1, C, ⌊H/stride⌋, ⌊W/stride⌋)`, never below 1 × 1, in the network's
            number format, channels_last; differentiable with respect to `picture`.

        Raises:
            OptionError: the network has no such layer.
        """
        wanted = {canonical_layer(name, self.architecture) for name in layers}
        found: dict[str, Tensor] = {}
        if not wanted:
            return found
        x = self._entered(picture)
        pooled = False
        for place, layer in enumerate(self._layers):
            if layer.name.endswith("_1") and place and not pooled:
                x = _pool(x, self.pooling, self.scale)
            pad = int(place > 0 or self.padding != "replicate")
            convolution = self._convolutions[layer.name]
            pooled = convolution.fast and self._only_pooled(place, wanted, x)
            if pooled:
                x = convolution.pooled(x, self.pooling, self.scale)
                continue
            x = convolution(x, pad)
            if layer.name in wanted:
                found[layer.name] = x
                if len(found) == len(wanted):
                    break
        return found

    def _entered(self, picture: Tensor) -> Tensor:
        """What the first convolution takes, with its edge repeated where that is wanted."""
        if self._enter is not None:
            return self._enter(picture)
        x = self.preprocess(picture)
        if self.padding == "replicate":
            # Before what follows: not every device repeats borders in 16 bits or in channels_last.
            x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return x.to(self.dtype, memory_format=torch.channels_last)

    def _only_pooled(self, place: int, wanted: set[str], x: Tensor) -> bool:
        """Whether nothing but the pooling after it needs a layer, and windows of 2×2 fit."""
        return (
            self._layers[place].name not in wanted
            and place + 1 < len(self._layers)
            and self._layers[place + 1].name.endswith("_1")
            and self.pooling in ("max", "average")
            and min(x.shape[-2:]) >= 2
        )
