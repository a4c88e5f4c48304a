"""The studio's painter at work in a test's own process."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from impasto.web.entities import Job
from impasto.web.painter import Painter
from impasto.web.records import records_in
from impasto.web.storage import Storage, new_id


class Wire:
    """Takes what the painter says, and does something at a progress.

    Args:
        counted: what a progress is known by, such as `evaluations_done`.

    Attributes:
        said: all messages.
        at: what to do at which progress, once.
    """

    def __init__(self, counted: str) -> None:
        self._counted = counted
        self.said: list[dict[str, Any]] = []
        self.at: dict[int, Callable[[], None]] = {}

    def tell(self, message: Mapping[str, Any]) -> None:
        """Notes a message."""
        self.said.append(dict(message))
        progress = message.get("progress")
        if progress is not None:
            self.at.pop(progress[self._counted], lambda: None)()

    def done(self) -> list[int]:
        """What was counted in each progress."""
        return [m["progress"][self._counted] for m in self.said if "progress" in m]


class Workroom:
    """A painter and what it works with.

    Args:
        folder: of its files.
        counted: see `Wire`.
    """

    def __init__(self, folder: Path, counted: str) -> None:
        self.storage, self.wire = Storage(folder), Wire(counted)
        self.records = records_in(self.storage.database)
        self.painter = Painter(
            *(self.records, self.storage, self.wire, "cpu")  # pyright: ignore[reportArgumentType]
        )
        self.owner = self.records.add_owner().id

    def upload(self, path: Path, kind: Any, name: str, size: tuple[int, int]) -> str:
        """An upload that the reader has read."""
        picture = new_id()
        self.storage.make_room(picture)
        self.storage.source(picture).write_bytes(path.read_bytes())
        self.records.add_picture(self.owner, kind, name, picture=picture)
        self.records.picture_ready(picture, *size, has_alpha=False)
        return picture

    def paint(self) -> Job:
        """Has the next job painted."""
        job = self.records.take_job("cpu")
        assert job is not None
        self.painter.stopping = False
        self.painter.paint(job)
        return self.records.job(job.id)

    def wish(self, name: str, job: str, *more: Any) -> Callable[[], None]:
        """Something that is done to the records, and told to the painter."""

        def do() -> None:
            getattr(self.records, name)(job, *more)
            self.painter.told = True

        return do
