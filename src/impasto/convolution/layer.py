"""One convolution with frozen weights, by torch or by compiled kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.convolution.running import Engine, engine, pack, pack_backward, round_up


class Convolution:
    """A 3×3 convolution with frozen weights, and the ReLU after it.

    Args:
        kernel: `(O, C, 3, 3)`; copied.
        bias: `(O,)`; copied.
        fast: use the compiled kernels (float32 on the CPU alone), if there are any.

    Attributes:
        fast: whether the compiled kernels are used.
    """

    def __init__(self, kernel: Tensor, bias: Tensor, *, fast: bool) -> None:
        compiled = engine() if fast else None
        self.fast = compiled is not None
        self._fast = None if compiled is None else _Kernels(compiled, kernel, bias)
        self._plain = None
        if compiled is None:
            # Copies, so that the file the weights are mapped from need not stay in memory.
            # channels_last is what torch's convolution runs fastest on, most of all in block 1.
            self._plain = (kernel.clone(memory_format=torch.channels_last), bias.clone())

    def __call__(self, x: Tensor, padding: int = 1) -> Tensor:
        """`relu(conv(x))`, once differentiable with respect to `x`.

        Args:
            x: `(1, C, H, W)`; channels_last is fastest. For compiled kernels C may be rounded up
                to a multiple of 16, with zeros in what is too much.
            padding: rows and columns of zeros on each side, 0 or 1.

        Returns:
            `(1, O, H + 2·padding − 2, W + 2·padding − 2)`, channels_last.
        """
        if self._fast is not None:
            return cast("Tensor", _Fast.apply(x, self._fast, padding, "relu", 1.0))
        assert self._plain is not None
        # In place: the convolution needs its input for the gradient, not its output.
        return torch.relu_(F.conv2d(x, *self._plain, padding=padding))

    def pooled(self, x: Tensor, kind: str, scale: float) -> Tensor:
        """`scale · pool(relu(conv(x)))` with windows of 2×2, by compiled kernels alone.

        What is pooled is never written to memory.

        Args:
            x: `(1, C, H, W)`, H, W ≥ 2.
            kind: `max` or `average`.
            scale: for `average`; max pooling is not scaled.

        Returns:
            `(1, O, ⌊H/2⌋, ⌊W/2⌋)`, channels_last.
        """
        assert self._fast is not None
        factor = scale / 4 if kind == "average" else 1.0
        return cast("Tensor", _Fast.apply(x, self._fast, 1, kind, factor))


class Entrance:
    """Brings pictures to what the first convolution takes, by compiled kernels.

    Args:
        factors: `(3, 2)`: what each channel is multiplied by, and what is added then.
        order: the picture's channel for each of the network's.
        margin: how often the picture's edge is repeated around it.
    """

    def __init__(self, factors: Tensor, order: Sequence[int], margin: int) -> None:
        compiled = engine()
        assert compiled is not None
        self.engine, self.factors, self.order = compiled, factors.float().contiguous(), order
        self.margin = margin

    def __call__(self, picture: Tensor) -> Tensor:
        """`(1, 3, H, W)` → `(1, 16, H + 2·margin, W + 2·margin)`, channels_last, zeros after the
        third channel; once differentiable."""
        return cast("Tensor", _Enter.apply(picture, self))


class _Enter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picture: Tensor, way: Entrance) -> Tensor:
        ctx.way = way
        if picture.shape[:2] != (1, 3):
            raise ValueError(f"a picture is (1, 3, H, W), not {tuple(picture.shape)}")
        given = picture.to(way.factors).contiguous()
        return way.engine.enter(given, way.factors, way.order, way.margin)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor, None]:
        way: Entrance = ctx.way
        slope = grads[0].contiguous(memory_format=torch.channels_last)
        return way.engine.leave(slope, way.factors, way.order, way.margin), None


class _Kernels:
    """The weights of a compiled convolution, in the order in which they are read."""

    def __init__(self, compiled: Engine, kernel: Tensor, bias: Tensor) -> None:
        self.engine = compiled
        self.outputs, self.inputs = kernel.shape[:2]
        columns = compiled.columns(round_up(self.outputs))
        self.forward = pack(kernel, round_up(self.inputs), columns)
        self.bias = F.pad(bias, (0, round_up(self.outputs) - self.outputs))
        self._backward: dict[float, Tensor] = {}

    def backward(self, factor: float) -> Tensor:
        """The flipped and transposed weights, times a factor; made when first needed."""
        if factor not in self._backward:
            columns = self.engine.columns(round_up(self.inputs))
            self._backward[factor] = pack_backward(self.forward, columns, factor)
        return self._backward[factor]


@dataclass(frozen=True)
class _Call:
    """What the backward pass must know of the forward one."""

    kernels: _Kernels
    channels: int
    size: tuple[int, int]
    padding: int
    read: str
    factor: float


class _Fast(torch.autograd.Function):
    """`relu(conv(x))` or its pooling, forward and backward by compiled kernels.

    For the gradient the ReLU's result is kept, or one byte for each pooled value, which names the
    places that the gradient goes to. The convolution's input is not needed.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernels: _Kernels, padding: int, write: str, factor: float
    ) -> Tensor:
        height, width = x.shape[-2:]
        expected = kernels.forward.shape[1]
        if (x.device.type, x.dtype) != ("cpu", torch.float32) or (
            (x.shape[0], round_up(x.shape[1])) != (1, expected)
        ):
            raise ValueError(f"a float32 map of up to {expected} channels is wanted on the CPU")
        result, places = kernels.engine.convolve(
            _filled(x),
            kernels.forward,
            kernels.bias,
            size=(height, width),
            padding=padding,
            read="plain",
            write=write,
            factor=factor,
        )
        result = _cut(result, kernels.outputs)
        ctx.save_for_backward(result if places is None else places)
        size = (height + 2 * padding - 2, width + 2 * padding - 2)
        read = "gated" if places is None else "pooled"
        ctx.call = _Call(kernels, x.shape[1], size, padding, read, factor)
        return result

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        (gate,) = ctx.saved_tensors
        call: _Call = ctx.call
        slope, _ = call.kernels.engine.convolve(
            _filled(grads[0]),
            call.kernels.backward(call.factor),
            None,
            size=call.size,
            padding=2 - call.padding,
            read=call.read,
            write="plain",
            gate=_filled(gate),
        )
        return _cut(slope, call.channels), None, None, None, None


def _filled(x: Tensor) -> Tensor:
    """The same map in channels_last, with channels of zeros up to a multiple that kernels take."""
    extra = round_up(x.shape[1]) - x.shape[1]
    if extra:
        x = F.pad(x, (0, 0, 0, 0, 0, extra))
    return x.contiguous(memory_format=torch.channels_last)


def _cut(x: Tensor, channels: int) -> Tensor:
    """The map without the channels that `_filled` or `pack` added."""
    return x[:, :channels].contiguous(memory_format=torch.channels_last)
