"""Small pictures of what comes with impasto: drawn once, then kept in the data folder.

They are drawn by processes of their own: that takes seconds and a hundred megabytes, and the server
has visitors to answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from impasto import __version__
from impasto.errors import ImpastoError, OutputError, RunError
from impasto.images import Bitmap, fit_within, read_image, resize_image, write_image
from impasto.samples import sample_path
from impasto.styles import draw_style, style_names
from impasto.web.apart import give_way, run_apart
from impasto.web.drawing import drawn
from impasto.web.storage import THUMB_SIDE, Storage

AT_ONCE = 2
"""Most pictures that are drawn at the same time."""

DRAW_SECONDS = 120.0
"""Longest that drawing one may take; then its process is ended."""

_UNWRITTEN = 4
"""Exit status of that process where the picture cannot be written."""


class BuiltInPictures:
    """Pictures of the built-in styles and samples as WebP files.

    Args:
        storage: where they are kept; those of other versions of impasto stay apart.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._making = dict[str, asyncio.Lock]()

    async def get(self, kind: str, name: str, *, large: bool) -> Path:
        """The file of a picture, which is made where it is missing.

        Args:
            kind: `style` or `sample`.
            name: a known one.
            large: as a run sees it; else as a thumbnail.

        Raises:
            OutputError: it cannot be written.
            RunError: its process died, or took too long.
        """
        part = "view" if large else "thumb"
        file = _place(self._storage, kind, name, part)
        if file.exists():
            return file
        async with self._making.setdefault(file.name, asyncio.Lock()):
            if not file.exists():
                async with self._limit:
                    await self._draw_apart(kind, part, [name])
        return file

    def thumb(self, kind: str, name: str) -> Path:
        """Where a thumbnail lies, whether it has been made or not."""
        return _place(self._storage, kind, name, "thumb")

    async def draw_styles(self) -> None:
        """Makes the thumbnails of all styles, so that the first visitor need not wait for them.

        One that cannot be made is left to whoever asks for it.
        """
        names = style_names()
        missing = [n for n in names if not _place(self._storage, "style", n, "thumb").exists()]
        if missing:
            with contextlib.suppress(ImpastoError):
                await self._draw_apart("style", "thumb", missing)

    async def _draw_apart(self, kind: str, part: str, names: list[str]) -> None:
        try:
            async with asyncio.timeout(DRAW_SECONDS * len(names)):
                ended = await run_apart(__name__, str(self._storage.root), kind, part, *names)
        except TimeoutError:
            raise RunError("built-in pictures cannot be drawn (it took too long)") from None
        if ended.status:
            fault = OutputError if ended.status == _UNWRITTEN else RunError
            raise fault(f"built-in pictures cannot be drawn ({ended.said})")


def main() -> None:
    """Draws pictures: data folder, kind, `view` or `thumb`, and names."""
    give_way()
    root, kind, part, *names = sys.argv[1:]
    try:
        storage = Storage(root)
        for name in names:
            _draw(storage, kind, name, part)
    except ImpastoError as error:
        print(error, file=sys.stderr)
        sys.exit(_UNWRITTEN if isinstance(error, OutputError) else 1)


def _place(storage: Storage, kind: str, name: str, part: str) -> Path:
    return storage.drawn(f"{kind}-{name}-{part}-{__version__}.webp")


def _draw(storage: Storage, kind: str, name: str, part: str) -> None:
    large = part == "view"
    if kind == "sample":
        photo = read_image(sample_path(name))
        side = max(photo.width, photo.height) if large else THUMB_SIDE
        bitmap = resize_image(photo, *fit_within(photo.width, photo.height, side))
    elif large:
        # Kept as a run sees it, too: it is likely to be chosen next.
        bitmap = drawn(storage, name).bitmap
    else:
        bitmap = Bitmap(draw_style(name, THUMB_SIDE, THUMB_SIDE))
    write_image(bitmap, _place(storage, kind, name, part), quality=85, overwrite=True)


if __name__ == "__main__":
    main()
