"""A job that paints a clip, frame by frame.

Its finished frames lie in a folder of the job's, so that pausing it, stopping the studio or a kill
cost one frame. Clips need PyAV and OpenCV, which are loaded with the first one.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from impasto.errors import ImpastoError, OptionError, OutputError, RunError, WeightsError
from impasto.images import Bitmap, fit_within, make_folder, output_error, resize_image
from impasto.options import StyleOptions
from impasto.video_options import VideoOptions
from impasto.web.config import ANY_STYLE, BUILT_IN_STYLES
from impasto.web.database import UNAVAILABLE
from impasto.web.entities import Job, Note, Wanted
from impasto.web.records import Records
from impasto.web.storage import FILM_ENDINGS, Live, Storage, new_id

if TYPE_CHECKING:
    from impasto.painters import NetworkPainter, OptimizerPainter
    from impasto.video import ClipRun, VideoProgress

LIVE_SIDE = 1024
"""Longest side of a live picture, px."""

LIVE_EVERY, TELL_EVERY, NOTE_EVERY = 0.25, 0.25, 2.0
"""Least seconds between two live pictures, two messages about progress, and two notes of it in the
records."""

UNSAVED = {
    True: Note("no_room", "the disk is full, so its state could not be saved"),
    False: Note("unsaved", "its state could not be saved"),
}
"""What is noted where a run's state cannot be written, by whether the disk is full."""

UNWRITTEN = {
    True: Note(
        "no_room_at_end",
        "the disk is full, so the picture could not be written; make room and let it go on",
    ),
    False: Note(
        "unwritten", "the picture could not be written; let it go on when the disk is in order"
    ),
}
"""Likewise of a result."""

_T = TypeVar("_T")


class StoppedError(Exception):
    """A step was broken off: the job is to end, or the painter."""


def is_full(error: BaseException | None) -> bool:
    """Whether the disk is full, or what an error came from was that."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return error is not None and (is_full(error.__cause__) or is_full(error.__context__))


class Host(Protocol):
    """What a job needs of its painter; see `painter.Painter`."""

    stopping: bool
    told: bool
    watched: set[str]
    transfer_networks: str | None

    def evaluate(self, run: Iterator[_T]) -> _T | None:
        """The next step of a run; `None` where it is over."""
        ...

    def insist(self, change: Callable[[], _T]) -> _T:
        """Does something with the records, until it can be done."""
        ...

    def options_of(self, values: Mapping[str, Any]) -> StyleOptions:
        """The options of a run here."""
        ...

    def tell(self, message: Mapping[str, Any]) -> None:
        """Says something to the supervisor."""
        ...


class Filming:
    """One clip while it is painted.

    Args:
        painter: whose job it is.
        records: of the studio.
        storage: its files.
        job: the job.
        source: the path or name of a picture that the job names.
        named: a text with pictures as their owner calls them.
        memory: bytes that the optimiser may take; `None`: its usual share.
        note: what the owner should know from the beginning.
    """

    def __init__(
        self,
        painter: Host,
        records: Records,
        storage: Storage,
        job: Job,
        source: Callable[[str], str],
        named: Callable[[str], str],
        *,
        memory: int | None = None,
        note: Note | None = None,
    ) -> None:
        self._painter, self._records, self._storage, self._job = painter, records, storage, job
        self._source, self._named, self._memory, self._note = source, named, memory, note
        self._wanted: Wanted | None = job.wanted
        progress = job.progress or {}
        self._version: int | None = progress.get("version")
        self._before: float = progress.get("elapsed") or 0.0
        self._progress: dict[str, Any] | None = job.progress
        self._begin: Callable[..., ClipRun]
        self._ways: list[tuple[str, bool]] = []
        self._told, self._shown, self._noted = -math.inf, -math.inf, -math.inf

    def go(self) -> None:
        """Paints until the job is over or wanted otherwise, or the painter is to stop.

        Raises:
            ImpastoError: it cannot be done.
            StoppedError: the painter is to stop, and the records cannot be written.
        """
        try:
            self._go()
        except ImpastoError as error:
            # In place, so that it keeps whatever else it says.
            error.args = (self._named(str(error)),)
            raise

    def _go(self) -> None:
        if self._wanted == "cancel":
            self._cancelled()
            return
        run = self._begun()
        frames = iter(run)
        try:
            while not self._asked_to_end():
                progress = self._painter.evaluate(frames)
                if progress is None:
                    self._end(run)
                    return
                self._after(progress)
        except StoppedError:
            self._painter.told = True
            self._asked_to_end()
        except OutputError as error:
            # Frames that are finished stay; it can go on when there is room.
            _log(str(error))
            self._aside(UNSAVED[is_full(error)])
            return
        finally:
            close = getattr(frames, "close", None)
            if close is not None:
                close()
        if self._wanted == "cancel":
            self._cancelled()
            return
        self._note_down()
        if self._wanted == "pause":
            self._aside(self._note)
        else:
            self._painter.insist(lambda: self._records.put_back(self._job.id))

    def _asked_to_end(self) -> bool:
        """Whether the job is wanted otherwise, or the painter."""
        painter = self._painter
        if painter.told:
            painter.told = False
            self._wanted = painter.insist(lambda: self._records.job(self._job.id)).wanted
        return painter.stopping or self._wanted is not None

    # --- beginning -------------------------------------------------------------------------------

    def _begun(self) -> ClipRun:
        if not all(find_spec(name) for name in ("av", "cv2")):
            raise RunError("this studio takes no clips; its host has to install impasto[video]")
        from impasto.clips import open_clip
        from impasto.video import fitted

        request = self._job.request
        wishes = request["video"]
        options = self._painter.options_of(request.get("options") or {})
        styles = [self._source(style) for style in request["styles"]]
        clip = Path(self._source(request["photo"]))
        options = fitted(options, open_clip(clip, max_pixels=options.max_pixels))
        if wishes["engine"] == "network":
            painter: NetworkPainter | OptimizerPainter = self._by_network(
                styles, options, wishes["hold"]
            )
        else:
            from impasto.painters import OptimizerPainter

            how = VideoOptions()
            painter = OptimizerPainter(styles, options, wishes["hold"], how.follow)
            painter.memory = self._memory or painter.memory
        reel = self._storage.reel(self._job.id)
        make_folder(reel)
        self._begin = functools.partial(self._run, clip, reel, painter, options, wishes["hold"])
        # What one container cannot hold of a clip's sound, another one can.
        self._ways = [(ending, True) for ending in FILM_ENDINGS if wishes["sound"]]
        self._ways.append((FILM_ENDINGS[0], False))
        return self._next_way()

    def _next_way(self) -> ClipRun:
        """The run that writes its film in the next way that there is."""
        while True:
            ending, sound = self._ways.pop(0)
            try:
                return self._begin(ending, sound=sound)
            except (OptionError, OutputError):
                if not self._ways:
                    raise

    def _run(
        self,
        clip: Path,
        reel: Path,
        painter: NetworkPainter | OptimizerPainter,
        options: StyleOptions,
        hold: float,
        ending: str,
        *,
        sound: bool,
    ) -> ClipRun:
        from impasto.video import ClipRun

        named, memory = self._named, self._memory

        class Run(ClipRun):
            """Whose record names pictures as their owner does; the film carries it."""

            @property
            def record(self) -> dict[str, Any]:
                return _renamed(super().record, named)

            def _heed(self, known: dict[str, Any]) -> None:
                # Where memory ran short it goes on with less than it began with.
                if memory is None:
                    super()._heed(known)

        how = VideoOptions(hold=hold, sound=sound)
        run = Run(
            *(clip, reel / f"film{ending}", painter, how, options.size),
            styles=len(self._job.request["styles"]),
            overwrite=True,
            max_pixels=options.max_pixels,
        )
        # Frames are the same whatever they are put into.
        for other in reel.glob("film.*.frames"):
            if other != run.folder and not run.folder.exists():
                try:
                    other.rename(run.folder)
                except OSError as error:
                    raise output_error(str(run.folder), error) from None
        return run

    def _by_network(self, styles: list[str], options: StyleOptions, hold: float) -> NetworkPainter:
        from impasto.painters import NetworkPainter

        folder = Path(self._painter.transfer_networks or "")
        built_in = all(style.startswith("style:") for style in styles)
        names = (BUILT_IN_STYLES, ANY_STYLE) if built_in else (ANY_STYLE,)
        files = [file for name in names if (file := (folder / name).absolute()).is_file()]
        fault: ImpastoError = RunError(
            "this studio has no transfer network for these paintings; choose the optimizer"
        )
        for file in files:
            try:
                painter = NetworkPainter(styles, options, str(file), hold)
                painter.try_out()
                return painter
            except (WeightsError, OptionError) as error:
                # The one of built-in styles may lack some of them.
                fault = error
        raise fault

    # --- going on --------------------------------------------------------------------------------

    def _after(self, progress: VideoProgress) -> None:
        now, height, width = time.monotonic(), *progress.pixels.shape[1:]
        total = progress.total
        self._progress = {
            "share": min(1.0, progress.done / total) if total else None,
            "elapsed": self._before + progress.elapsed,
            "remaining": progress.remaining,
            "width": width,
            "height": height,
            "frames": total,
            "frames_done": progress.done,
            "version": self._version,
        }
        if self._job.id in self._painter.watched and now - self._shown >= LIVE_EVERY:
            self._show(progress)
        if now - self._noted >= NOTE_EVERY:
            # Whoever changed something may not have been able to tell.
            self._painter.told = True
            self._note_down()
        if now - self._told >= TELL_EVERY or progress.done == 1:
            self._told = now
            self._painter.tell({"job": self._job.id, "progress": self._progress})

    def _show(self, progress: VideoProgress) -> None:
        """Writes the live picture."""
        version = (self._version or 0) + 1
        bitmap = Bitmap(progress.pixels)
        size = fit_within(bitmap.width, bitmap.height, LIVE_SIDE, enlarge=False)
        if size != (bitmap.width, bitmap.height):
            bitmap = resize_image(bitmap, *size)
        values = np.rint(bitmap.pixels.transpose(1, 2, 0) * 255).clip(0, 255).astype(np.uint8)
        with contextlib.suppress(OutputError):
            self._storage.write_live(self._job.id, Live(version, values))
            self._version = version
            assert self._progress is not None
            self._progress["version"] = version
        self._shown = time.monotonic()

    def _note_down(self) -> None:
        """Writes into the records how far the job is; it can wait where they cannot be used."""
        self._noted = time.monotonic()
        progress = self._progress
        if progress is not None:
            with contextlib.suppress(*UNAVAILABLE):
                self._records.note_progress(self._job.id, progress, note=self._note)

    # --- ending ----------------------------------------------------------------------------------

    def _aside(self, note: Note | None) -> None:
        self._painter.insist(lambda: self._records.put_aside(self._job.id, note, self._wanted))

    def _cancelled(self) -> None:
        self._painter.insist(lambda: self._records.cancelled(self._job.id))
        self._storage.remove_job(self._job.id)

    def _end(self, run: ClipRun) -> None:
        """Makes the film the result."""
        from impasto.clips import open_clip

        job, result, storage = self._job.id, new_id(), self._storage
        self._note_down()
        try:
            run = self._finished(run)
            storage.make_room(result)
            film = storage.film(result, run.output.suffix)
            run.output.replace(film)
            first = next(open_clip(film).frames())
            storage.write_small(result, Bitmap(first.pixels))
            size = film.stat().st_size
        except (OutputError, OSError) as error:
            _log(str(error))
            storage.remove_picture(result)
            self._aside(UNWRITTEN[is_full(error)])
            return
        self._painter.insist(lambda: self._records.finish(job, result, run.size, size))
        storage.remove_job(job)

    def _finished(self, run: ClipRun) -> ClipRun:
        """Writes the film, in the next way where one fails; the run that did. Its frames stay until
        the record says that the job is done.

        Raises:
            OutputError: there is no other way, or no room.
        """
        while True:
            try:
                run.finish(keep_frames=True)
            except OutputError as error:
                if is_full(error) or not self._ways:
                    raise
                _log(str(error))
                run = self._next_way()
            else:
                return run


def _renamed(settings: Any, named: Callable[[str], str]) -> Any:
    """Settings with all their texts renamed."""
    if isinstance(settings, dict):
        return {name: _renamed(value, named) for name, value in settings.items()}
    if isinstance(settings, list):
        return [_renamed(value, named) for value in settings]
    return named(settings) if isinstance(settings, str) else settings


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
