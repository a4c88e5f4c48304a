"""Several processes that train one network together, by torch's own tools.

Every process has all of the network and a part of each step's photos. Gradients are added up, so
that a step of several processes is that of one process with all photos, up to rounding.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor

from impasto.errors import ImpastoError, RunError

LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR")
"""What `torchrun` puts into the environment of the processes that it starts."""

WAIT = 10.0
"""Seconds that processes have to say why they ended."""


class AloneError(RunError):
    """The other processes of the training have ended, or do not come."""


class Crew:
    """A process that works alone; `Several` has others beside it.

    Attributes:
        rank: number of this process, from 0; that one alone writes and decides.
        size: how many there are.
    """

    rank = 0
    size = 1

    def share(self, count: int) -> range:
        """Which of the photos of a step this process has."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Makes tensors the sums of those of all processes, in place."""

    def agree(self, number: int) -> int:
        """The number that the first process gives."""
        return number

    def gather(self, found: Mapping[str, str]) -> dict[str, str]:
        """What all processes found together."""
        return dict(found)


class Several(Crew):
    """One of several processes, whose group has been made.

    Args:
        rank: see `Crew`.
        size: see `Crew`.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def add(self, tensors: Sequence[Tensor]) -> None:
        """See `Crew`; in one message."""
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _told():
            torch.distributed.all_reduce(flat)
        place = 0
        for tensor in tensors:
            tensor.copy_(flat[place : place + tensor.numel()].view(tensor.shape))
            place += tensor.numel()

    def agree(self, number: int) -> int:
        """See `Crew`."""
        said = torch.tensor([number])
        with _told():
            torch.distributed.broadcast(said, 0)
        return int(said[0])

    def gather(self, found: Mapping[str, str]) -> dict[str, str]:
        """See `Crew`."""
        parts: list[Any] = [None] * self.size
        with _told():
            torch.distributed.all_gather_object(parts, dict(found))
        return {key: value for part in parts for key, value in part.items()}


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0][:80]
        raise AloneError(f"another process of the training has ended ({reason})") from None


@contextlib.contextmanager
def joined(rank: int, size: int, place: str | None, device: torch.device) -> Iterator[Crew]:
    """Has this process be one of several for as long as the context lasts.

    Args:
        rank: its number.
        size: how many there are.
        place: where they meet, such as `file:///folder/new`; `None`: as `torchrun` says.
        device: where it trains.

    Raises:
        RunError: they do not meet.
    """
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.set_device(device)
    try:
        torch.distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            init_method=place or "env://",
            rank=rank,
            world_size=size,
        )
    except (RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:80]
        raise AloneError(f"the processes of the training do not meet ({reason})") from None
    try:
        yield Several(rank, size)
    finally:
        torch.distributed.destroy_process_group()


def launched() -> tuple[int, int, int] | None:
    """Number of this process, how many there are, and its number on this machine, where `torchrun`
    started it; `None` elsewhere."""
    if any(name not in os.environ for name in LAUNCHED):
        return None
    rank = int(os.environ["RANK"])
    return rank, int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_RANK", rank))


@contextlib.contextmanager
def helpers(work: Callable[..., None], arguments: Sequence[Any], size: int) -> Iterator[str]:
    """Starts processes beside this one, which is the first, and ends them with the context.

    Args:
        work: what each does; called with its number, how many there are, the place where they meet
            and the arguments. To be found by its name in its module.
        arguments: plain data.
        size: how many processes there are, with this one.

    Gives the place where they meet.

    Raises:
        RunError: one of them failed, which ended the work of this one; says how.
    """
    spawn = torch.multiprocessing.get_context("spawn")
    said = spawn.SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="impasto-") as folder:
        place = (Path(folder) / "meeting").as_uri()
        started = [
            spawn.Process(
                target=_work, args=(said, work, rank, size, place, *arguments), daemon=True
            )
            for rank in range(1, size)
        ]
        for process in started:
            process.start()
        try:
            yield place
            for process in started:
                process.join(60)
        except AloneError:
            for process in started:
                process.join(WAIT)
            if said.empty():
                raise
            raise RunError(f"a process of the training failed: {said.get()}") from None
        finally:
            for process in started:
                if process.is_alive():
                    process.kill()
                process.join()


def _work(said: Any, work: Callable[..., None], *arguments: Any) -> None:
    # The first process decides when all of them stop.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        work(*arguments)
    except AloneError:
        pass  # which the first process tells of, too
    except ImpastoError as error:
        said.put(str(error))
