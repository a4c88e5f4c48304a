"""Where the studio keeps its files: one data folder.

    studio.sqlite3          the records, unless a database server has them
    secret.key              signs the cookies
    locks/NAME              held by the process of that name as long as it lives
    pictures/ab/ID.source   an upload's bytes, as they came
    pictures/ab/ID.png      a result, 16 bits per channel, with its settings inside
    pictures/ab/ID.mp4, ID.mkv
                            a result that moves
    pictures/ab/ID.view.webp, ID.thumb.webp
    jobs/ID.ckpt            an unfinished run
    jobs/ID.clip/           the painted frames of an unfinished film
    jobs/ID.damaged         a checkpoint that could not be read, set aside
    live/ID                 the newest picture of a run that someone watches
    incoming/ID             an upload under way
    drawn/STYLE-VERSION.npy a built-in style as runs see it

Names are made from ids alone, which the studio draws itself; what a user calls a picture is kept in
the records and never reaches the file system.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from impasto.errors import OutputError, one_line
from impasto.images import (
    Bitmap,
    encode_image,
    fit_within,
    output_error,
    resize_image,
    sync_folder,
    write_whole,
)

THUMB_SIDE = 320
"""Longest side of a thumbnail, px."""

VIEW_SIDE = 2048
"""Longest side of a view, px."""

ID_PATTERN = "[A-Za-z0-9_-]{22}"
"""What `new_id` draws, as a regular expression."""

STRAY_AGE = 3600.0
"""Seconds after which a file without a record is no longer taken for one that is being made."""

_QUALITY = 88
FILM_ENDINGS = (".mp4", ".mkv")
"""Of results that move: the first that can hold the clip's sound."""

_PICTURE_ENDINGS = ("source", "png", "mp4", "mkv", "view.webp", "thumb.webp")
_JOB_ENDINGS = ("ckpt", "damaged", "clip")
_HALVES = (
    "pictures/*/.impasto-*.part",
    "jobs/.impasto-*.part",
    "drawn/.impasto-*.part",
    "incoming/.impasto-*.part",
    "live/*.part",
)
# What the file is, the version, the width and the height.
_LIVE_HEADER = struct.Struct("<4sIII")
_LIVE_MARK = b"live"


def new_id() -> str:
    """A name that nobody can guess: 22 characters of the alphabet of URLs, 128 random bits."""
    return secrets.token_urlsafe(16)


def is_id(text: str) -> bool:
    """Whether a text has the form of `new_id`; nothing else becomes part of a path."""
    return re.fullmatch(ID_PATTERN, text) is not None


@dataclass(frozen=True)
class Live:
    """The newest picture of a run.

    Attributes:
        version: counts up with each picture of the job.
        pixels: `(H, W, 3)`, sRGB, 0 to 255.
    """

    version: int
    pixels: NDArray[np.uint8] = field(repr=False)


class Storage:
    """The data folder of a studio.

    Args:
        root: the folder; it and those inside it are made where they are missing, for this user
            alone.

    Raises:
        OutputError: it cannot be made or written.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        try:
            for name in ("", "locks", "pictures", "jobs", "live", "incoming", "drawn"):
                (self.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.database.exists():
                # SQLite gives the files beside it the same mode.
                for file in self.root.glob(f"{self.database.name}*"):
                    file.chmod(0o600)
        except (OSError, ValueError) as error:
            raise output_error(one_line(str(self.root)), error) from error

    # --- places ----------------------------------------------------------------------------------

    @property
    def database(self) -> Path:
        """The file of the records, where no database server has them."""
        return self.root / "studio.sqlite3"

    @property
    def secret_key(self) -> Path:
        """The file of the key that signs cookies."""
        return self.root / "secret.key"

    def lock(self, name: str) -> Path:
        """The file that the process `name` locks, such as `reader` or `painter-cuda:0`."""
        if not re.fullmatch(r"[a-z0-9:-]{1,40}", name):
            raise ValueError(f"{name!r} names no process")
        return self.root / "locks" / name

    def incoming(self, picture: str) -> Path:
        """An upload under way."""
        return self._named("incoming", picture)

    def source(self, picture: str) -> Path:
        """An upload's bytes, as they came."""
        return self._picture(picture, "source")

    def master(self, picture: str) -> Path:
        """A result in full: PNG, 16 bits per channel."""
        return self._picture(picture, "png")

    def film(self, picture: str, ending: str | None = None) -> Path:
        """A result that moves; by default with the ending of `FILM_ENDINGS` that it has."""
        if ending is None:
            found = (place for e in FILM_ENDINGS if (place := self.film(picture, e)).is_file())
            return next(found, self.film(picture, FILM_ENDINGS[0]))
        if ending not in FILM_ENDINGS:
            raise ValueError(f"{ending!r} ends no film")
        return self._picture(picture, ending[1:])

    def view(self, picture: str) -> Path:
        """A picture for the screen: WebP, at most `VIEW_SIDE` px."""
        return self._picture(picture, "view.webp")

    def thumb(self, picture: str) -> Path:
        """A small picture: WebP, at most `THUMB_SIDE` px."""
        return self._picture(picture, "thumb.webp")

    def checkpoint(self, job: str) -> Path:
        """An unfinished run."""
        return self._named("jobs", f"{job}.ckpt")

    def reel(self, job: str) -> Path:
        """The folder of an unfinished film."""
        return self._named("jobs", f"{job}.clip")

    def frame(self, job: str, number: int) -> Path | None:
        """A painted frame of an unfinished film, from 0; `None` where it is not there."""
        places = self.reel(job).glob(f"film.*.frames/1/{number + 1:06d}.png")
        return next(places, None)

    def damaged(self, job: str) -> Path:
        """A checkpoint that could not be read; the job began anew."""
        return self._named("jobs", f"{job}.damaged")

    def live(self, job: str) -> Path:
        """The newest picture of a run; `read_live` reads it."""
        return self._named("live", job)

    def drawn(self, name: str) -> Path:
        """A drawing that is kept; of a style, not of a user's naming."""
        if not re.fullmatch(r"[A-Za-z0-9.+-]{1,80}", name):
            raise ValueError(f"{name!r} names no drawing")
        return self.root / "drawn" / name

    def _picture(self, picture: str, ending: str) -> Path:
        folder = self.root / "pictures" / _checked(picture)[:2].lower()
        return folder / f"{picture}.{ending}"

    def _named(self, folder: str, name: str) -> Path:
        _checked(name.partition(".")[0])
        return self.root / folder / name

    # --- writing ---------------------------------------------------------------------------------

    def make_room(self, picture: str) -> None:
        """Makes the folder that a picture's files lie in.

        Raises:
            OutputError: it cannot be made.
        """
        folder = self.source(picture).parent
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise output_error(str(folder), error) from error

    def keep_incoming(self, picture: str) -> None:
        """Makes an upload that has come in whole the picture's source.

        Raises:
            OutputError: it cannot be kept.
        """
        self.make_room(picture)
        arrived, source = self.incoming(picture), self.source(picture)
        try:
            with arrived.open("rb+") as file:
                os.fsync(file.fileno())
            arrived.replace(source)
        except OSError as error:
            raise output_error(str(source), error) from error
        sync_folder(source.parent)

    def write_small(self, picture: str, bitmap: Bitmap) -> None:
        """Writes the view and the thumbnail of a picture, which take the place of former ones.

        Raises:
            OutputError: they cannot be written.
        """
        for side, place in (VIEW_SIDE, self.view(picture)), (THUMB_SIDE, self.thumb(picture)):
            size = fit_within(bitmap.width, bitmap.height, side, enlarge=False)
            if size != (bitmap.width, bitmap.height):
                bitmap = resize_image(bitmap, *size)
            write_whole(place, encode_image(bitmap, "webp", quality=_QUALITY), overwrite=True)

    def write_live(self, job: str, live: Live) -> None:
        """Replaces the newest picture of a run. It is not forced to the disk: after a power cut
        it is worth nothing.

        Raises:
            OutputError: it cannot be written.
        """
        place = self.live(job)
        part = place.with_name(f"{job}.part")
        height, width = live.pixels.shape[:2]
        try:
            with part.open("wb") as file:
                file.write(_LIVE_HEADER.pack(_LIVE_MARK, live.version, width, height))
                file.write(np.ascontiguousarray(live.pixels).data)
            part.replace(place)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise output_error(str(place), error) from error

    def read_live(self, job: str) -> Live | None:
        """The newest picture of a run; `None` where there is none yet."""
        try:
            data = self.live(job).read_bytes()
            mark, version, width, height = _LIVE_HEADER.unpack_from(data)
        except (OSError, struct.error):
            return None
        if mark != _LIVE_MARK or len(data) != _LIVE_HEADER.size + 3 * width * height:
            return None
        pixels = np.frombuffer(data, np.uint8, offset=_LIVE_HEADER.size)
        return Live(version, pixels.reshape(height, width, 3))

    # --- room ------------------------------------------------------------------------------------

    def free_bytes(self) -> int:
        """What is free on the disk of the data folder.

        Raises:
            OutputError: the folder is gone.
        """
        try:
            return shutil.disk_usage(self.root).free
        except OSError as error:
            raise OutputError(f"{self.root}: {error.strerror}; check the disk") from error

    # --- removing --------------------------------------------------------------------------------

    def remove_picture(self, picture: str) -> None:
        """Deletes all files of a picture; those that are gone already are no fault."""
        places = [self._picture(picture, ending) for ending in _PICTURE_ENDINGS]
        for place in (*places, self.incoming(picture)):
            with contextlib.suppress(OSError):
                place.unlink()

    def remove_job(self, job: str) -> None:
        """Deletes all files of a job, but not its result."""
        for place in (self.checkpoint(job), self.damaged(job), self.live(job)):
            with contextlib.suppress(OSError):
                place.unlink()
        shutil.rmtree(self.reel(job), ignore_errors=True)

    def clear_incoming(self) -> None:
        """Deletes uploads that an earlier server was receiving. Only where no server runs."""
        for place in (self.root / "incoming").iterdir():
            with contextlib.suppress(OSError):
                place.unlink()

    def remove_halves(self, age: float = STRAY_AGE) -> None:
        """Deletes what killed processes were writing more than `age` seconds ago."""
        before = time.time() - age
        for pattern in _HALVES:
            for place in self.root.glob(pattern):
                with contextlib.suppress(OSError):
                    if place.stat().st_mtime < before:
                        place.unlink()

    def remove_drawings(self, but: str) -> None:
        """Deletes the kept drawings of all versions of impasto but one."""
        for place in (self.root / "drawn").iterdir():
            if not place.name.startswith(".") and not place.stem.endswith(f"-{but}"):
                with contextlib.suppress(OSError):
                    place.unlink()

    def old_pictures(self, age: float = STRAY_AGE) -> Iterator[str]:
        """Ids of pictures that have a file older than `age` seconds, each once."""
        for folder in (self.root / "pictures").iterdir():
            yield from _old_ids(folder, _PICTURE_ENDINGS, age)

    def old_jobs(self, age: float = STRAY_AGE) -> Iterator[str]:
        """Ids of jobs that have a file older than `age` seconds, each once."""
        yield from _old_ids(self.root / "jobs", _JOB_ENDINGS, age)
        yield from _old_ids(self.root / "live", ("",), age)


def _checked(name: str) -> str:
    if not is_id(name):
        raise ValueError(f"{name!r} is no id")
    return name


def _old_ids(folder: Path, endings: tuple[str, ...], age: float) -> Iterator[str]:
    before, found = time.time() - age, set[str]()
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        name, _, ending = entry.name.partition(".")
        if not is_id(name) or ending not in endings or name in found:
            continue
        with contextlib.suppress(OSError):
            if entry.stat().st_mtime < before:
                found.add(name)
    yield from found
