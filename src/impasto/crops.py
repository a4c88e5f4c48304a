"""Squares cut from the pictures of folders at random, read ahead of the steps that need them."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from math import ceil
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImageError, InputError
from impasto.images import read_reduced

T = TypeVar("T")


def crop_of(
    path: Path, side: int, random: np.random.Generator, least: float, most: float
) -> Tensor:
    """A square of a picture, enlarged or shrunk at random, mirrored half the time.

    Args:
        path: of the picture.
        side: of the square, px.
        random: decides.
        least: smallest short side of the picture that the square is cut from, px.
        most: largest one, px.

    Returns:
        `(1, 3, side, side)` in [0, 1].

    Raises:
        ImageError: the picture cannot be read.
    """
    bitmap, _ = read_reduced(path, max(side, ceil(most)), of_short=True)
    short = max(side, float(np.exp(random.uniform(np.log(least), np.log(most)))))
    share = min(1.0, side / short)
    cut = max(1, round(share * min(bitmap.width, bitmap.height)))
    left = int(random.integers(bitmap.width - cut + 1))
    top = int(random.integers(bitmap.height - cut + 1))
    pixels = bitmap.pixels[:, top : top + cut, left : left + cut]
    if random.integers(2):
        pixels = pixels[:, :, ::-1]
    # A copy in any case: one column counts as contiguous even mirrored, which torch refuses.
    square = torch.from_numpy(pixels.copy())[None]
    if cut != side:
        square = F.interpolate(square, (side, side), mode="bilinear", antialias=True)
    return square.clamp(0, 1)


class Crops:
    """Squares of pictures of some folders.

    Only names are kept. A picture that cannot be read is passed over from then on, and another one
    drawn in its place; which one follows from the same random numbers.

    Args:
        folders: the files of each, and how often one of them comes compared with one of another
            folder.
        side: of the squares, px.
        least: smallest short side of a picture that a square is cut from, px.
        most: largest one, px.

    Attributes:
        faults: what was wrong with pictures that could not be read.
    """

    def __init__(
        self,
        folders: Sequence[tuple[Sequence[Path], float]],
        side: int,
        least: float,
        most: float,
    ) -> None:
        self.faults: dict[Path, str] = {}
        self._folders = [list(files) for files, _ in folders]
        self._shares = list(accumulate(len(files) * weight for files, weight in folders))
        self._side, self._least, self._most = side, least, most

    def __len__(self) -> int:
        return sum(len(files) for files in self._folders)

    def draw(self, random: np.random.Generator) -> Tensor:
        """A square, `(1, 3, side, side)` in [0, 1].

        Raises:
            InputError: no picture can be read.
        """
        while len(self.faults) < len(self):
            path = self._any(random)
            if path in self.faults:
                continue
            try:
                return crop_of(path, self._side, random, self._least, self._most)
            except ImageError as error:
                self.faults[path] = str(error)
        first = next(iter(self.faults.values()))
        raise InputError(f"none of {len(self)} pictures can be read, such as {first}")

    def _any(self, random: np.random.Generator) -> Path:
        place = 0
        if len(self._folders) > 1:
            place = bisect.bisect_right(self._shares, random.random() * self._shares[-1])
        files = self._folders[min(place, len(self._folders) - 1)]
        return files[int(random.integers(len(files)))]


class Ahead(Generic[T]):
    """What a function gives for 0, 1, 2, …, found in the background before it is asked for.

    Args:
        find: the function; its results may depend on nothing but the number.
        depth: how many results are kept ready.
    """

    def __init__(self, find: Callable[[int], T], depth: int = 3) -> None:
        self._find, self._depth = find, depth
        self._waiting: deque[tuple[int, Future[T]]] = deque()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="impasto-ahead")

    def at(self, number: int) -> T:
        """The result for a number; what it raises is raised here."""
        if self._waiting and self._waiting[0][0] != number:
            for _, future in self._waiting:
                future.cancel()
            self._waiting.clear()
        following = self._waiting[-1][0] + 1 if self._waiting else number
        for place in range(following, number + self._depth + 1):
            self._waiting.append((place, self._worker.submit(self._find, place)))
        return self._waiting.popleft()[1].result()

    def close(self) -> None:
        """Stops looking ahead."""
        self._worker.shutdown(wait=True, cancel_futures=True)
