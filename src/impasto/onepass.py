"""A transfer network applied to a picture of any size, strip by strip, as if in one piece.

Every convolution of `networks.stages_of` runs over strips of rows, whose halos come from the map
before; only at the picture's own borders is anything padded. The mean and variance that instance
normalisation needs are those of whole maps: each strip's are combined by the formula of Chan, Golub
& LeVeque (Algorithms for computing the sample variance, 1983) before the next stage begins. So
there are no seams, and what a strip takes stays in the processor's cache.

What is kept whole are the maps at half the picture's sides and below, as they come out of their
convolutions: they are normalised on their way into the next one. The maps at the picture's own
sides are never put in order and, of a large picture, never kept: the four phases of
`networks.phases` enter the last convolution as they are, as four times the channels of a map of
half the sides, and are computed twice, first for their statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.convolution.running import GRAIN, engine, pack
from impasto.networks import EPSILON, LEAST_SIDE, Transfer, phases

STRIP = 1 << 19
"""Numbers of a strip on its way into a convolution, about: what stays in a processor's cache."""

GPU_STRIP = 1 << 28
"""The same on GPUs, which like large pieces."""

KEPT = 24_000_000
"""Numbers that the last maps may have in all to be kept rather than computed twice."""

_FLAT = 16.0
"""Where a strip's squared mean is more than so many times its variance, the variance is computed
again from differences."""


class OnePass:
    """A network ready to repaint pictures; what depends on neither picture nor style is done once.

    One picture at a time: memory is kept from one to the next.

    Args:
        transfer: the network; it is not changed.
        device: where to compute.
        dtype: the number format of the convolutions; statistics are float32 at least.
        strip: numbers of a strip on its way into a convolution, about; by default what suits the
            device.
        kept: numbers that the last maps may have in all to be kept rather than computed twice.
        fast: in float32 on a CPU with AVX-512, run the convolutions of the residual blocks by
            `convolution`'s compiled kernels, if there are any; results differ by rounding.
    """

    def __init__(
        self,
        transfer: Transfer,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        strip: int | None = None,
        kept: int = KEPT,
        fast: bool = True,
    ) -> None:
        self.transfer, self.dtype, self.device = transfer, dtype, torch.device(device)
        self._strip = strip or (STRIP if self.device.type == "cpu" else GPU_STRIP)
        self._kept = kept
        self._wide = torch.float64 if dtype == torch.float64 else torch.float32
        self._buffers: dict[str, Tensor] = {}
        fast = fast and self.device.type == "cpu" and dtype == torch.float32
        self._engine = engine() if fast else None
        self._kernels: list[Tensor] = []
        self._packed: list[Tensor | None] = []
        with torch.no_grad():
            for stage, kernel in zip(transfer.stages, transfer.kernels, strict=True):
                kernel = kernel.detach()
                self._packed.append(self._pack(kernel) if stage.kind == "same" else None)
                if stage.kind == "up":
                    kernel = phases(kernel)
                elif stage.kind == "out":
                    kernel = _over_phases(kernel)
                kernel = kernel.to(self.device, dtype)
                self._kernels.append(kernel.contiguous(memory_format=torch.channels_last))
            self._bias = transfer.bias.detach().to(self.device, dtype).repeat(4)

    @torch.no_grad()
    def __call__(self, photo: Tensor, style: Tensor, rim: int = 0) -> Tensor:
        """Repaints a photo.

        Args:
            photo: `(1, 3, H, W)`, sRGB in [0, 1], H, W ≥ 1; anywhere.
            style: the style vector `(1, V)`.
            rim: pixels that the photo is extended by on each side, mirrored, and that are cut off
                the result. No copy of the photo is made for it.

        Returns:
            `(1, 3, H, W)` in [0, 1], float32 (float64 where that is the network's format), on the
            network's device.
        """
        vector = style.to(self.device, self._wide)
        scales = [(scale[0], shift[0]) for scale, shift in self.transfer.scales_and_shifts(vector)]
        last = len(self.transfer.stages) - 2
        x: _Map | _Photo = _Photo(photo[0], self.transfer.shape.stride, rim)
        block = None
        for place in range(last):
            stage = self.transfer.stages[place]
            if stage.opens and isinstance(x, _Map):
                block = x = x.settled()
            x = self._convolved(x, place, scales[place])
            if stage.closes and block is not None:
                x = _Map(block.numbers.add_(x.settled().numbers))
        height, width = photo.shape[-2:]
        whole = self._finished(x, scales[last], height + 2 * rim, width + 2 * rim)
        return whole[..., rim : rim + height, rim : rim + width]

    def _convolved(self, x: _Map | _Photo, place: int, scale: tuple[Tensor, Tensor]) -> _Map:
        """The map that a stage makes of another."""
        stage = self.transfer.stages[place]
        height, width = x.sides
        if stage.kind == "up":
            sides = (2 * height, 2 * width)
        else:
            stride = 2 if stage.kind == "down" else 1
            sides = (height // stride, width // stride)
        # Of the maps in residual blocks three are in use at a time, and elsewhere two.
        name = f"block {place % 3}" if stage.kind == "same" else f"map {place}"
        made = self._buffer(name, *sides, stage.outputs)
        sums = _Sums(stage.outputs, self.dtype, self._wide)
        for first, last, strip in self._strips(x, place):
            if stage.kind == "up":
                blank = partial(_blank, first=first, height=height)
                blank(strip)
                sums.add(strip, _phase_count(first, last, height, width), blank)
                _interleave(strip, made, first)
            elif (first, last) == (0, sides[0]):
                sums.add(strip, last * sides[1])
                made = strip
            else:
                sums.add(strip, (last - first) * sides[1])
                made[first:last] = strip
        factor, offset = sums.factors(*scale)
        return _Map(made, factor.to(self.dtype), offset.to(self.dtype), relu=stage.relu)

    def _strips(self, x: _Map | _Photo, place: int) -> Iterator[tuple[int, int, Tensor]]:
        """The rows that a stage's convolution gives, strip by strip: first, last + 1 and numbers,
        `(rows, W', O)`; of `up` those of the four phases, `(rows, W + 1, 4·O)`."""
        stage = self.transfer.stages[place]
        height, width = x.sides
        stride = 2 if stage.kind == "down" else 1
        total = height + 1 if stage.kind == "up" else height // stride
        for first, last in _shared_out(total, self._strip // (stride * width * stage.inputs)):
            yield first, last, self._strip_of(x, place, first, last)

    def _strip_of(self, x: _Map | _Photo, place: int, first: int, last: int) -> Tensor:
        """Some of those rows."""
        stage = self.transfer.stages[place]
        height, width = x.sides
        up, margin = stage.kind == "up", 1 if stage.kind == "up" else stage.kernel // 2
        stride = 2 if stage.kind == "down" else 1
        low = first * stride - margin
        high = last if up else (last - 1) * stride + margin + 1
        rows = self._buffer("strip", high - low, width + 2 * margin, stage.inputs)
        inside = rows[:, margin : margin + width]
        start, stop = max(0, low), min(height, high)
        x.put(start, stop, inside[start - low : stop - low])
        # `up` repeats what is at the border, the others reflect at it.
        for row in [*range(low, 0), *range(height, high)]:
            seen = min(max(row, 0), height - 1) if up else _reflected(row, height)
            inside[row - low] = inside[seen - low]
        for column in [*range(-margin, 0), *range(width, width + margin)]:
            seen = min(max(column, 0), width - 1) if up else _reflected(column, width)
            rows[:, margin + column] = inside[:, seen]
        packed = self._packed[place]
        if packed is None or self._engine is None:
            return _over(F.conv2d(_under(rows), self._kernels[place], stride=stride))
        size = (rows.shape[0], rows.shape[1])
        made, _ = self._engine.convolve(
            _under(rows), packed, None, size=size, padding=0, read="plain", write="plain"
        )
        return _over(made)

    def _pack(self, kernel: Tensor) -> Tensor | None:
        """A kernel as the compiled ones take it; `None` where torch's convolution is as quick."""
        outputs, inputs = kernel.shape[:2]
        if self._engine is None or kernel.shape[2:] != (3, 3) or inputs % GRAIN:
            return None
        # Sixteen columns at a time, all that narrow registers hold, gain nothing.
        columns = self._engine.columns(outputs)
        return pack(kernel, inputs, columns) if columns > GRAIN else None

    def _finished(
        self, x: _Map | _Photo, scale: tuple[Tensor, Tensor], tall: int, wide: int
    ) -> Tensor:
        """The last two stages, whose maps have the picture's own size."""
        place = len(self.transfer.stages) - 2
        height, width = x.sides
        outputs = self.transfer.stages[place].outputs
        shape = (height + 1, width + 1, 4 * outputs)
        cells = self._buffer("cells", *shape) if math.prod(shape) <= self._kept else None
        sums = _Sums(outputs, self.dtype, self._wide)
        for first, last, strip in self._strips(x, place):
            blank = partial(_blank, first=first, height=height)
            blank(strip)
            sums.add(strip, _phase_count(first, last, height, width), blank)
            if cells is not None:
                cells[first:last] = strip
        factor, offset = (part.to(self.dtype).repeat(4) for part in sums.factors(*scale))
        whole = torch.empty(3, tall, wide, dtype=self._wide, device=self.device)
        for first, last in _shared_out(height, self._strip // (width * 4 * outputs)):
            if cells is None:
                strip = self._strip_of(x, place, first, last + 1)
            else:
                strip = cells[first : last + 1]
            entering = self._buffer("strip", *strip.shape)
            torch.addcmul(offset, strip, factor, out=entering).relu_()
            _reflect(entering, first, height)
            made = F.conv2d(_under(entering), self._kernels[-1], self._bias)
            _put_out(_over(made).to(self._wide).sigmoid_(), whole, first)
        return whole[None]

    def _buffer(self, name: str, *shape: int) -> Tensor:
        """Memory for one thing, which may hold anything yet: of what lies about it costs less than
        fresh memory, and so small ones are kept for the next picture."""
        numbers = math.prod(shape)
        found = self._buffers.get(name)
        if found is None or found.numel() < numbers:
            self._buffers.pop(name, None)
            found = torch.empty(numbers, dtype=self.dtype, device=self.device)
            if numbers <= KEPT:
                self._buffers[name] = found
        return found[:numbers].view(shape)


class _Photo:
    """A photo on its way into the first convolution: see `networks.enter`.

    Args:
        pixels: `(3, H, W)`, sRGB in [0, 1].
        stride: its sides are extended to multiples of this.
        rim: mirrored pixels that are put about it before.
    """

    def __init__(self, pixels: Tensor, stride: int, rim: int) -> None:
        self._pixels, self._rim = pixels, rim
        self._rows, self._columns = (_places(side, rim, stride) for side in pixels.shape[1:])
        self.sides = (len(self._rows), len(self._columns))

    def put(self, first: int, last: int, into: Tensor) -> None:
        """Puts some rows into a place `(last - first, W, 3)`."""
        rows = self._pixels[:, self._rows[first:last]]
        left, right = self._rim, self._rim + rows.shape[2]
        into[:, left:right] = rows.permute(1, 2, 0)
        for beside in slice(left), slice(right, None):
            into[:, beside] = rows[:, :, self._columns[beside]].permute(1, 2, 0)
        into.mul_(2).sub_(1)


def _places(side: int, rim: int, stride: int) -> Tensor:
    """Where the pixels of a line come from once it has a mirrored rim and then its last one
    repeated until the length fits."""
    places = mirrored(side, rim)
    length = max(LEAST_SIDE, len(places) + -len(places) % stride)
    return places[torch.arange(length).clamp_max(len(places) - 1)]


def mirrored(side: int, rim: int) -> Tensor:
    """Where the pixels of a line with a mirrored rim come from, `(rim + side + rim,)`; the
    outermost ones are repeated, as in NumPy's `symmetric`."""
    places = torch.arange(-rim, side + rim) % (2 * side)
    return torch.minimum(places, 2 * side - 1 - places)


@dataclass
class _Map:
    """A map as it came out of its convolution, and what is still to be done with it.

    Attributes:
        numbers: `(H, W, C)`.
        factor: `(C,)`, to multiply by; `None`: nothing is to be done.
        offset: `(C,)`, to add then.
        relu: whether a ReLU follows.
    """

    numbers: Tensor
    factor: Tensor | None = None
    offset: Tensor | None = None
    relu: bool = False

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width."""
        return self.numbers.shape[0], self.numbers.shape[1]

    def put(self, first: int, last: int, into: Tensor) -> None:
        """Puts some rows into a place `(last - first, W, C)`, with all done."""
        rows = self.numbers[first:last]
        if self.factor is None or self.offset is None:
            into.copy_(rows)
            return
        torch.addcmul(self.offset, rows, self.factor, out=into)
        if self.relu:
            into.relu_()

    def settled(self) -> _Map:
        """The same map in the same memory, with all done."""
        self.put(0, self.sides[0], self.numbers)
        return _Map(self.numbers)


class _Sums:
    """Mean and variance of the channels of a map that comes in strips.

    Args:
        channels: of the map.
        dtype: its number format.
        wide: that of the sums in a strip; strips are combined in float64.
    """

    def __init__(self, channels: int, dtype: torch.dtype, wide: torch.dtype) -> None:
        self._channels, self._dtype = channels, wide
        self._rounding, self._finest = torch.finfo(dtype).eps, torch.finfo(wide).eps
        self._found: list[tuple[int, Tensor, Tensor]] = []

    def add(self, strip: Tensor, count: int, blank: Callable[[Tensor], None] | None = None) -> None:
        """Counts a strip in.

        Args:
            strip: `(h, w, C)` or, of phases, `(h, w, 4·C)`.
            count: how many numbers of each channel count.
            blank: makes zeros of those that do not; it has been called.
        """
        strip = strip.to(self._dtype)
        total, squares = self._totals(strip)
        mean = total / count
        spread = squares - count * mean.square()
        if bool((count * mean.square() > _FLAT * spread).any()):
            # Where a map hardly varies, this difference has lost its digits, and so has the mean.
            near = mean.to(strip)
            apart = strip - near.repeat(strip.shape[2] // self._channels)
            if blank is not None:
                blank(apart)
            total, squares = self._totals(apart)
            beside = total / count
            exact = near.to(mean.device).double()
            mean, spread = exact + beside, squares - count * beside.square()
        self._found.append((count, mean, spread))

    def _totals(self, strip: Tensor) -> tuple[Tensor, Tensor]:
        """The sums of each channel's numbers and of their squares, float64 `(C,)`."""
        rows = strip.reshape(-1, strip.shape[2])
        # Products with a row of ones, which are many times as quick as sums.
        ones = rows.new_ones(1, len(rows))
        return self._gathered(ones @ rows), self._gathered(ones @ (rows * rows))

    def _gathered(self, sums: Tensor) -> Tensor:
        """Sums over the channels' phases, `(C,)`."""
        if sums.device.type == "mps":
            sums = sums.cpu()  # Apple's GPUs have no float64
        return sums.double().view(-1, self._channels).sum(0)

    def factors(self, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """What normalised numbers are made with: `factor · x + offset`, both `(C,)`.

        Args:
            scale: `(C,)`, of the style.
            shift: `(C,)`, of the style.
        """
        counts = torch.tensor([count for count, _, _ in self._found], dtype=torch.float64)
        means = torch.stack([mean for _, mean, _ in self._found])
        weights = (counts / counts.sum()).to(means)[:, None]
        mean = (weights * means).sum(0)
        spreads = torch.stack([spread for _, _, spread in self._found]).clamp_min(0).sum(0)
        between = (weights * (means - mean).square()).sum(0)
        variance = spreads / float(counts.sum()) + between
        # What varies by rounding alone is flat: divided by ε it would become noise.
        flat = variance.sqrt() <= 8 * self._finest * mean.abs().max() + self._rounding * mean.abs()
        exact_scale, exact_shift = (x.to(mean.device).double() for x in (scale, shift))
        factor = exact_scale * (variance + EPSILON).rsqrt() * ~flat
        offset = (exact_shift - mean * factor).to(shift.dtype).to(shift.device)
        return factor.to(scale.dtype).to(scale.device), offset


def _shared_out(total: int, most: int) -> list[tuple[int, int]]:
    """Strips of about equal heights, no more than `most` rows each where that is above 0: first row
    and last + 1."""
    number = -(-total // max(1, most))
    cuts = [total * i // number for i in range(number + 1)]
    return list(pairwise(cuts))


def _over(x: Tensor) -> Tensor:
    """A map as rows: `(1, C, H, W)` → `(H, W, C)`."""
    return x[0].permute(1, 2, 0)


def _under(rows: Tensor) -> Tensor:
    """The inverse of `_over`."""
    return rows.permute(2, 0, 1)[None]


def _reflected(place: int, side: int) -> int:
    """The place within `side` that reflection puts at one beyond the border."""
    return -place if place < 0 else 2 * side - 2 - place


# A cell of the four phases holds the even row 2·p of the enlarged map and the odd row 2·p − 1, and
# columns likewise. So the first cell's odd row and the last one's even row lie beyond the border.


def _blank(strip: Tensor, first: int, height: int) -> None:
    """Makes zeros of the phases that lie beyond the border.

    Args:
        strip: rows of cells `(h, W + 1, 4·C)`.
        first: number of the first one.
        height: of the map before it was enlarged.
    """
    phases = strip.unflatten(2, (2, 2, -1))
    if first == 0:
        phases[0, :, 1] = 0
    if first + len(strip) == height + 1:
        phases[-1, :, 0] = 0
    phases[:, 0, :, 1] = 0
    phases[:, -1, :, 0] = 0


def _phase_count(first: int, last: int, height: int, width: int) -> int:
    """How many numbers of each channel some rows of cells hold within the border."""
    even, odd = min(last, height) - first, last - max(first, 1)
    return (even + odd) * 2 * width


def _interleave(strip: Tensor, made: Tensor, first: int) -> None:
    """Puts cells where they belong in the enlarged map, from cell `first` on: see
    `networks.interleave`."""
    phases = strip.unflatten(2, (2, 2, -1))
    height, width = made.shape[0] // 2, made.shape[1] // 2
    rows = made.view(height, 2, width, 2, -1)
    even, odd = min(first + len(strip), height), max(first, 1)
    last = first + len(strip)
    rows[first:even, 0, :, 0] = phases[: even - first, :-1, 0, 0]
    rows[first:even, 0, :, 1] = phases[: even - first, 1:, 0, 1]
    rows[odd - 1 : last - 1, 1, :, 0] = phases[odd - first :, :-1, 1, 0]
    rows[odd - 1 : last - 1, 1, :, 1] = phases[odd - first :, 1:, 1, 1]


def _reflect(strip: Tensor, first: int, height: int) -> None:
    """Puts into the phases beyond the border what reflection at it gives; arguments as `_blank`."""
    phases = strip.unflatten(2, (2, 2, -1))
    if first == 0:
        phases[0, :, 1] = phases[1, :, 1]
    if first + len(strip) == height + 1:
        phases[-1, :, 0] = phases[-2, :, 0]
    phases[:, 0, :, 1] = phases[:, 1, :, 1]
    phases[:, -1, :, 0] = phases[:, -2, :, 0]


def _over_phases(kernel: Tensor) -> Tensor:
    """The kernel over cells that gives what one of 3×3 gives over the enlarged map.

    Args:
        kernel: `(O, C, 3, 3)`.

    Returns:
        `(4·O, 4·C, 2, 2)`, the outputs in the order of `networks.phases`.
    """
    outputs, inputs = kernel.shape[:2]
    found = kernel.new_zeros(2, 2, outputs, 2, 2, inputs, 2, 2)
    # Row `2·i + a + d − 1` of the enlarged map, for `a + d` from 0 to 3, is the odd or even one of
    # the cells i and i + 1.
    for a, b in product(range(2), repeat=2):
        for d, e in product(range(3), repeat=2):
            (row, odd), (column, aside) = divmod(a + d, 2), divmod(b + e, 2)
            found[a, b, :, 1 - odd, 1 - aside, :, row, column] = kernel[:, :, d, e]
    return found.reshape(4 * outputs, 4 * inputs, 2, 2)


def _put_out(strip: Tensor, whole: Tensor, first: int) -> None:
    """Puts the last convolution's phases `(h, W, 12)` into the picture `(3, H, W)`, from the rows
    of its cell `first` on, as far as it reaches."""
    height, width = whole.shape[1:]
    rows = strip.unflatten(2, (2, 2, 3)).permute(4, 0, 2, 1, 3)
    low, high = 2 * first, min(height, 2 * (first + len(strip)))
    if high <= low:
        return
    if high - low == 2 * len(strip) and width == 2 * strip.shape[1]:
        whole[:, low:high].unflatten(1, (-1, 2)).unflatten(3, (-1, 2)).copy_(rows)
    else:
        whole[:, low:high] = rows.flatten(3, 4).flatten(1, 2)[:, : high - low, :width]
