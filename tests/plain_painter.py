"""A painter of clips that needs no network."""

from collections.abc import Sequence
from typing import Any

from impasto.flow import Plane
from impasto.painters import Task
from impasto.temporal import Expected


class PlainPainter:
    """Leaves frames as they are, and notes what it was asked.

    Args:
        masks: of regions of all frames.
        reach: see `painters.Painter`.
        quick: likewise.
    """

    def __init__(
        self, masks: Sequence[Any] = (), reach: tuple[int, ...] = (1,), *, quick: bool = True
    ) -> None:
        self.reach, self.quick, self.masks = reach, quick, masks
        self.asked: list[Task] = []

    def record(self) -> dict[str, Any]:
        """What its results depend on."""
        return {"engine": "plain"}

    def paint(self, task: Task) -> Plane:
        """The frame as it is."""
        self.asked.append(task)
        return task.frame.pixels

    @property
    def numbers(self) -> list[int]:
        """Of the frames that it was asked for."""
        return [task.frame.number for task in self.asked]

    @property
    def expected(self) -> list[Expected | None]:
        """What was expected of each of them."""
        return [task.expected for task in self.asked]

    @property
    def free(self) -> list[int]:
        """Numbers of those that nothing was expected of."""
        return [task.frame.number for task in self.asked if task.expected is None]
