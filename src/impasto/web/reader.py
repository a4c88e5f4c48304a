"""The process that decodes uploads, so that a hostile picture takes nothing else down.

It knows the formats of `impasto.images`, by their contents, and clips; each picture may take so
much memory and time. Of a sound one it makes a view and a thumbnail; of a clip, of its first frame.
It writes no records: it answers `{"picture": id, "width": …, "height": …, "has_alpha": …}` or
`{"picture": id, "fault": {…}}`; where it dies over a picture, the supervisor refuses that one.
"""

from __future__ import annotations

from typing import Any

from impasto.errors import HeicError, ImageError, OutputError, TooLargeError, is_out_of_memory
from impasto.images import Bitmap, glance
from impasto.web import child
from impasto.web.storage import VIEW_SIDE, Storage

SECONDS = 30
"""Seconds of computing that one picture may take."""

MEMORY = 512 * 2**20
"""Bytes that reading may take whatever the size of the picture is."""

MEMORY_PER_PIXEL = 16
"""Bytes more for each pixel of the largest picture: formats that are decoded as a whole hold two
bytes for each of four channels, and libvips copies some."""


def main() -> None:
    """Reads pictures until the server is gone."""
    line, settings = child.begin()
    storage = Storage(settings["data"])
    with child.only_one(storage.lock("reader")):
        child.limit_memory(MEMORY + MEMORY_PER_PIXEL * settings["max_pixels"])
        line.tell({"ready": True})
        for order in line.orders():
            picture = order["picture"]
            child.limit_time(SECONDS)
            most = settings["max_pixels"]
            if order.get("kind") == "clip":
                found = read_clip(storage, picture, most, settings["max_seconds"])
            else:
                found = read(storage, picture, most)
            line.tell({"picture": picture, **found})


def read(storage: Storage, picture: str, max_pixels: int) -> dict[str, Any]:
    """Looks at an upload and makes its view and thumbnail.

    Args:
        storage: where it lies.
        picture: its id.
        max_pixels: most pixels to accept.

    Returns:
        `width`, `height` and `has_alpha`, or a `fault` with its `code` and `message`: `too_large`,
        `unreadable`, `heic`, `disk_full`, or `missing` where its file is gone.
    """
    try:
        data = storage.source(picture).read_bytes()
    except OSError:
        return _fault("missing", "the picture is gone; upload it again")
    try:
        found = glance(data, VIEW_SIDE, max_pixels=max_pixels)
        view = found.small
        storage.write_small(picture, view)
    except TooLargeError as error:
        return _fault("too_large", str(error).partition("; ")[0])
    except ImageError as error:
        return _fault("heic" if isinstance(error, HeicError) else "unreadable", str(error))
    except OutputError:
        return _fault("disk_full", "the studio's disk is full; try again later")
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return _fault("too_large", "the picture: takes too much memory to read; shrink it")
    has_alpha = view.alpha is not None
    return {"width": found.width, "height": found.height, "has_alpha": has_alpha}


def read_clip(
    storage: Storage, picture: str, max_pixels: int, max_seconds: float
) -> dict[str, Any]:
    """Looks at a clip and makes view and thumbnail of its first frame.

    Args:
        storage: where it lies.
        picture: its id.
        max_pixels: most pixels of a frame.
        max_seconds: longest clip to accept.

    Returns:
        As `read` does; faults have the codes `clip_long`, `clip_unreadable`, `too_large`,
        `missing` and `disk_full`.
    """
    from impasto.clips import is_self_contained, open_clip

    unreadable = _fault("clip_unreadable", "the clip: cannot be read; save it as MP4 and try again")
    try:
        # Whatever its first bytes say.
        if not is_self_contained(storage.source(picture)):
            return unreadable
        clip = open_clip(storage.source(picture), max_pixels=max_pixels)
        facts = clip.facts
        seconds = facts.duration
        if seconds is None and facts.frames is not None and facts.rate:
            seconds = float(facts.frames / facts.rate)
        if seconds is None:
            # As browsers record them. So much computing as a picture may take is enough to see.
            for frame in clip.frames(pixels=False):
                seconds = float(frame.time + frame.duration)
                if seconds > max_seconds:
                    break
        if seconds is not None and seconds > max_seconds:
            return _fault(
                "clip_long", f"the clip: is longer than {max_seconds:g} s; cut it and try again"
            )
        first = next(clip.frames(), None)
        if first is None:
            return unreadable
        storage.write_small(picture, Bitmap(first.pixels, first.alpha))
    except OutputError:
        return _fault("disk_full", "the studio's disk is full; try again later")
    except OSError:
        return _fault("missing", "the clip is gone; upload it again")
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return _fault("too_large", "the clip: takes too much memory to read; make it smaller")
    except TooLargeError:
        return _fault("too_large", "the clip: its frames are too large; make them smaller")
    except ImageError:
        return unreadable
    return {"width": facts.width, "height": facts.height, "has_alpha": first.alpha is not None}


def _fault(code: str, message: str) -> dict[str, Any]:
    return {"fault": {"code": code, "message": message}}


if __name__ == "__main__":
    main()
