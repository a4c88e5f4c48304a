"""Runs compiled kernels: memory for their results, their scratch, and threads.

Importing this module needs no compiler; `engine` says whether there is one.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.convolution.storage import read_sealed, write_sealed

GRAIN = 16
"""Channels come in multiples of this."""

_HUGE = 4 << 20
"""Bytes from which a result is worth large memory pages of its own."""

_SKEW = 80
"""Floats between matrices that would otherwise lie a power of two apart and evict each other."""

_CHUNK = 96
"""Tiles of 4×4 that a thread works on at a time: their 36 matrices stay in its cache."""

_RESIDENT = 36 * 128 * 256
"""Floats of transformed kernels that a thread keeps instead of making them again."""


class Engine:
    """The compiled convolutions of this process.

    Attributes:
        key: the processor and the compiler.

    Raises:
        Exception: whatever keeps llvmlite from being imported or from writing for this machine.
    """

    def __init__(self) -> None:
        from impasto.convolution import code, kernels

        self._code, self._kernels = code, kernels
        self._machine = code.Machine()
        self._compiled: dict[tuple[Any, ...], Any] = {}
        self._lock = threading.Lock()
        self._scratch: list[Tensor] = []
        self._written_by = _digest(code.__file__, kernels.__file__)
        self.key = f"{self._machine.name}, llvmlite {code.version}"
        self._function(
            "convolution", self.columns(64), "plain", "relu"
        )  # what LLVM cannot do shows here

    def columns(self, outputs: int) -> int:
        """Output channels that are worked on at a time; `outputs` is padded to a multiple."""
        if not self._machine.wide:
            return GRAIN
        return next((many for many in (64, 32) if outputs % many == 0), GRAIN)

    def _function(self, kind: str, columns: int, *details: str) -> Any:
        key = (kind, columns, *details)
        with self._lock:
            if key not in self._compiled:
                library = self._machine.load(self._object(kind, columns, *details))
                self._compiled[key] = (library, library.function("run"))
            return self._compiled[key][1]

    def _object(self, kind: str, columns: int, *details: str) -> bytes:
        """The object file with the function `run`, kept from the first run on a machine."""
        words = (self._machine.key, kind, str(columns), *details)
        name = f"{sha256('; '.join((self._written_by, *words)).encode()).hexdigest()[:32]}.o"
        found = read_sealed(name) if self._written_by else None
        if found is None:
            module = self._code.ir.Module("impasto")
            getattr(self._kernels, f"write_{kind}")(module, "run", columns, *details)
            found = self._machine.compile(module)
            if self._written_by:
                write_sealed(name, found)
        return found

    def convolve(
        self,
        source: Tensor,
        kernels: Tensor,
        bias: Tensor | None,
        *,
        size: tuple[int, int],
        padding: int,
        read: str,
        write: str,
        gate: Tensor | None = None,
        factor: float = 1.0,
    ) -> tuple[Tensor, Tensor | None]:
        """Runs one convolution.

        Args:
            source: `(1, C, h, w)`, float32, channels_last, C a multiple of 16.
            kernels: `(blocks, C, 9, columns)`, see `pack`.
            bias: `(blocks · columns,)`; for a `write` other than `plain`.
            size: H and W of the convolution's input: h and w, but for a `read` that is `pooled`.
            padding: 0 or 1, zeros.
            read: `plain`, `gated` or `pooled`, see `kernels.write_convolution`.
            write: `plain`, `relu`, `max` or `average`.
            gate: what `read` needs: `(1, C, h, w)`, channels_last.
            factor: what `average` multiplies the sum of four by.

        Returns:
            `(1, O, …)`, channels_last, and the places of a pooling.
        """
        height, width = size
        high, wide = height + 2 * padding - 2, width + 2 * padding - 2
        blocks, inputs, _, columns = kernels.shape
        outputs = blocks * columns
        pooled = write in ("max", "average")
        shape = (high // 2, wide // 2, outputs) if pooled else (high, wide, outputs)
        result = room(shape, torch.float32)
        places = room(shape, torch.uint8) if pooled else None
        across, tiles = -(-wide // 4), -(-high // 4) * -(-wide // 4)
        threads = _most_threads()
        turns = threads * -(-tiles // (threads * _CHUNK))
        # A multiple of ROWS: the product works on so many tiles at a time, needed or not.
        chunk = max(24, self._kernels.ROWS * -(-tiles // (turns * self._kernels.ROWS)))
        threads = min(threads, -(-tiles // chunk))
        resident = 36 * inputs * outputs <= _RESIDENT
        v_step, m_step = chunk * inputs + _SKEW, chunk * columns + _SKEW
        u_row = 6 * inputs * columns
        share = 36 * (v_step + m_step) + (6 * blocks if resident else 1) * u_row
        counters = torch.zeros(2, dtype=torch.int64)
        nothing = torch.zeros(inputs + columns)
        scratch = self._borrow(share * threads)
        values = {
            "counters": counters,
            "source": source,
            "gate": gate,
            "weights": kernels,
            "bias": bias,
            "result": result,
            "codes": places,
            "scratch": scratch,
            "nothing": nothing,
            "height": height,
            "width": width,
            "inputs": inputs,
            "outputs": outputs,
            "out_height": high,
            "out_width": wide,
            "padding": padding,
            "chunk": chunk,
            "tiles": tiles,
            "across": across,
            "share": share,
            "v_step": v_step,
            "u_block": 6 * u_row if resident else 0,
            "u_row": u_row if resident else 0,
            "m_step": m_step,
            "resident": int(resident),
            "factor": _bits(factor),
        }
        function = self._function("convolution", columns, read, write)
        _run(function, [values[name] for name in self._kernels.ARGUMENTS], threads)
        self._scratch.append(scratch)
        return _as_map(result), None if places is None else _as_map(places)

    def enter(self, picture: Tensor, factors: Tensor, order: Sequence[int], margin: int) -> Tensor:
        """A picture as the first convolution takes it.

        Args:
            picture: `(1, 3, H, W)`, float32, contiguous.
            factors: `(3, 2)`, float32: what each channel of the result is multiplied by, and what
                is added then.
            order: the picture's channel for each of the result's.
            margin: how often the picture's edge is repeated around it.

        Returns:
            `(1, 16, H + 2·margin, W + 2·margin)`, channels_last, zeros after the third channel.
        """
        height, width = picture.shape[-2:]
        result = room((height + 2 * margin, width + 2 * margin, GRAIN), torch.float32)
        self._pass("entrance", picture, factors, order, result, margin)
        return _as_map(result)

    def leave(self, slope: Tensor, factors: Tensor, order: Sequence[int], margin: int) -> Tensor:
        """The slope at the picture, `(1, 3, H, W)`, from that at what `enter` made of it."""
        height, width = (side - 2 * margin for side in slope.shape[-2:])
        result = torch.empty(1, 3, height, width)
        self._pass("exit", result, factors, order, slope, margin)
        return result

    def _pass(
        self,
        kind: str,
        picture: Tensor,
        factors: Tensor,
        order: Sequence[int],
        features: Tensor,
        margin: int,
    ) -> None:
        height, width = picture.shape[-2:]
        values = {
            "counters": torch.zeros(2, dtype=torch.int64),
            **dict(zip(("first", "second", "third"), (picture[0, i] for i in order), strict=True)),
            "factors": factors,
            "map": features,
            "height": height,
            "width": width,
            "margin": margin,
        }
        function = self._function(kind, GRAIN)
        threads = min(_most_threads(), max(1, height * width // 4096))
        _run(function, [values[name] for name in self._kernels.ENTRANCE_ARGUMENTS], threads)

    def moments(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """`Σ f` and `Σ f fᵀ` over the positions of a map.

        Args:
            features: `(1, C, H, W)`, float32, channels_last or a window of such a map, C a multiple
                of `columns(C)`.

        Returns:
            `(C,)` and `(C, C)`, exactly symmetric.
        """
        channels = features.shape[1]
        columns, step = self.columns(channels), self._kernels.GRAM_STEP
        high, wide, pitch = _rows_of(features)
        across = -(-wide // step)
        pieces = high * across
        # The parts that are summed on their own depend on the shape alone, never on the threads.
        slabs = max(1, min(high * wide // 1024, 1024 // channels, pieces))
        threads = min(_most_threads(), slabs * channels // columns)
        first, second = torch.zeros(slabs, channels), torch.zeros(slabs, channels, channels)
        values = {
            "counters": torch.zeros(2, dtype=torch.int64),
            "rows": features,
            "first": first,
            "second": second,
            "scratch": torch.empty(threads * columns * step),
            "channels": channels,
            "wide": wide,
            "pitch": pitch,
            "across": across,
            "pieces": pieces,
            "slab": -(-pieces // slabs),
            "slabs": slabs,
        }
        function = self._function("gram", columns)
        _run(function, [values[name] for name in self._kernels.GRAM_ARGUMENTS], threads)
        upper = second.sum(0)
        return first.sum(0), upper.triu() + upper.triu(1).T

    def add_product(
        self, result: Tensor, features: Tensor, matrix: Tensor, constant: Tensor
    ) -> None:
        """`result += matrixᵀ · features + constant` at every position, in place.

        Args:
            result: `(1, C, H, W)`, float32, channels_last or a window of such a map.
            features: likewise, with the same strides.
            matrix: `(C, C)`, float32.
            constant: `(C,)`, float32, contiguous.
        """
        channels = features.shape[1]
        columns = self.columns(channels)
        blocks = matrix.reshape(channels, channels // columns, columns)
        high, wide, pitch = _rows_of(features)
        across = -(-wide // (40 * self._kernels.ROWS))
        pieces = high * across
        threads = min(_most_threads(), pieces)
        values = {
            "counters": torch.zeros(2, dtype=torch.int64),
            "rows": features,
            "matrix": blocks.permute(1, 0, 2).contiguous(),
            "constant": constant,
            "result": result,
            "channels": channels,
            "wide": wide,
            "pitch": pitch,
            "across": across,
            "pieces": pieces,
            "chunk": -(-wide // across),
        }
        function = self._function("addition", columns)
        _run(function, [values[name] for name in self._kernels.ADDITION_ARGUMENTS], threads)

    def _borrow(self, floats: int) -> Tensor:
        try:
            scratch = self._scratch.pop()
        except IndexError:
            scratch = torch.empty(0)
        if scratch.numel() < floats:
            scratch = room((floats,), torch.float32)
        return scratch


@cache
def engine() -> Engine | None:
    """The compiled convolutions, or `None` where they cannot be had."""
    try:
        return Engine()
    except Exception:
        # Without llvmlite, or on a machine that it does not know, torch does the work.
        return None


def pack(kernel: Tensor, inputs: int, columns: int) -> Tensor:
    """Brings a kernel to the order in which it is read, filled up with zeros.

    Args:
        kernel: `(O, C, 3, 3)`.
        inputs: at least C.
        columns: output channels of a block.

    Returns:
        `(⌈O / columns⌉, inputs, 9, columns)`.
    """
    outputs, own = kernel.shape[:2]
    blocks = -(-outputs // columns)
    if (outputs, own) != (blocks * columns, inputs):
        full = kernel.new_zeros(blocks * columns, inputs, 3, 3)
        full[:outputs, :own] = kernel
        kernel = full
    packed = room((blocks, inputs, 9, columns), torch.float32)
    return packed.copy_(kernel.reshape(blocks, columns, inputs, 9).permute(0, 2, 3, 1))


def pack_backward(packed: Tensor, columns: int, factor: float) -> Tensor:
    """The kernel of the convolution backward, flipped and transposed, in that order too.

    Args:
        packed: from `pack`, `(blocks, C, 9, columns)`.
        columns: output channels of a block, now a divisor of C.
        factor: multiplies all.

    Returns:
        `(C / columns, O, 9, columns)` with the O channels that `packed` has.
    """
    blocks, inputs, _, width = packed.shape
    result = room((inputs // columns, blocks * width, 9, columns), torch.float32)
    for tap in range(9):
        given = packed[:, :, 8 - tap].view(blocks, inputs // columns, columns, width)
        target = result[:, :, tap].view(inputs // columns, blocks, width, columns)
        target.copy_(given.permute(1, 0, 3, 2))
    return result if factor == 1 else result.mul_(factor)


def room(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor; a large one in large pages, where the system has them.

    A fresh block of memory costs more time to be mapped, 4 KiB at a time, than to be filled.

    Raises:
        MemoryError: there is not so much memory; for small tensors it is torch's RuntimeError.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < _HUGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(shape, dtype=dtype)
    try:
        block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"cannot map {size} bytes") from error
    with suppress(OSError):
        block.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(block, dtype=dtype).view(shape)


def blank_like(features: Tensor) -> Tensor:
    """Zeros in the shape of a map `(1, C, H, W)`, channels_last, on its device."""
    large = features.device.type == "cpu" and features.nbytes >= _HUGE
    if not large or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.zeros_like(features, memory_format=torch.channels_last)
    _, channels, height, width = features.shape
    # New pages are zeros already.
    return _as_map(room((height, width, channels), features.dtype))


def round_up(channels: int) -> int:
    """The next multiple of `GRAIN`."""
    return -(-channels // GRAIN) * GRAIN


def _rows_of(features: Tensor) -> tuple[int, int, int]:
    """Rows of a map or a window of one, positions in each, and floats from one to the next; a whole
    map is one row."""
    _, channels, high, wide = features.shape
    pitch = features.stride(2) if high > 1 else wide * channels
    return (1, high * wide, 0) if pitch == wide * channels else (high, wide, pitch)


def _as_map(result: Tensor) -> Tensor:
    return result.permute(2, 0, 1)[None]


def _digest(*files: str | None) -> str:
    """The digest of the sources that write the kernels; empty where there are none to read."""
    try:
        return sha256(b"".join(Path(str(file)).read_bytes() for file in files)).hexdigest()
    except OSError:
        return ""


def _bits(value: float) -> int:
    return ctypes.c_uint32.from_buffer(ctypes.c_float(value)).value


_PROCESS = os.getpid()


def _most_threads() -> int:
    """As many as torch works with, but no more than could work at once."""
    return min(torch.get_num_threads(), os.cpu_count() or 1)


@cache
def _team() -> Any:
    """Starts a function in several of the OpenMP threads that torch itself works with.

    With threads of their own beside them, kernels wait for torch's, which go on spinning for a
    while after their work. `None` where torch has no GNU interface to them.
    """
    try:
        start = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):
        return None
    start.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    start.restype = None
    return start


@cache
def _workers(process: int) -> ThreadPoolExecutor:
    # One set for each process: a forked one has none of its parent's threads.
    del process
    return ThreadPoolExecutor(max(1, os.cpu_count() or 1), "impasto-convolution")


def _run(function: Any, values: Sequence[Tensor | int | None], threads: int) -> None:
    """Has several threads call a function, which share its work among themselves.

    Threads of our own hold the tensors that they work on, for an interrupt may end this call
    before they end.
    """
    numbers = [v.data_ptr() if isinstance(v, Tensor) else v or 0 for v in values]
    arguments = (ctypes.c_int64 * len(numbers))(*numbers)
    # A forked process has none of the threads that OpenMP believes in.
    team = _team() if threads > 1 and os.getpid() == _PROCESS else None
    if team is not None:
        team(ctypes.cast(function, ctypes.c_void_p), ctypes.addressof(arguments), threads, 0)
        return
    others: list[Future[None]] = []
    if threads > 1:
        workers = _workers(os.getpid())
        others = [workers.submit(_call, function, arguments, values) for _ in range(threads - 1)]
    _call(function, arguments, values)
    wait(others)


def _call(function: Any, arguments: Any, held: Sequence[Tensor | int | None]) -> None:
    del held
    function(ctypes.addressof(arguments))
