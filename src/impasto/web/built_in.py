"""Small pictures of what comes with impasto: drawn once, then kept in the data folder."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import anyio
import anyio.to_thread

from impasto import __version__
from impasto.errors import ImpastoError
from impasto.images import Bitmap, fit_within, read_image, resize_image, write_image
from impasto.samples import sample_path
from impasto.styles import draw_style, style_names
from impasto.web.drawing import drawn
from impasto.web.storage import THUMB_SIDE, Storage


class BuiltInPictures:
    """Pictures of the built-in styles and samples as WebP files.

    Args:
        storage: where they are kept; those of other versions of impasto stay apart.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._limit = anyio.CapacityLimiter(2)
        self._making = dict[str, asyncio.Lock]()

    async def get(self, kind: str, name: str, *, large: bool) -> Path:
        """The file of a picture, which is made where it is missing.

        Args:
            kind: `style` or `sample`.
            name: a known one.
            large: as a run sees it; else as a thumbnail.

        Raises:
            OutputError: it cannot be written.
        """
        part = "view" if large else "thumb"
        file = self._storage.drawn(f"{kind}-{name}-{part}-{__version__}.webp")
        if file.exists():
            return file
        async with self._making.setdefault(file.name, asyncio.Lock()):
            if not file.exists():
                await anyio.to_thread.run_sync(
                    self._draw, kind, name, large, file, limiter=self._limit
                )
        return file

    async def draw_styles(self) -> None:
        """Makes the thumbnails of all styles, so that the first visitor need not wait for them.

        One that cannot be made is left to whoever asks for it.
        """
        for name in style_names():
            with contextlib.suppress(ImpastoError):
                await self.get("style", name, large=False)

    def _draw(self, kind: str, name: str, large: bool, file: Path) -> None:
        if kind == "sample":
            photo = read_image(sample_path(name))
            side = max(photo.width, photo.height) if large else THUMB_SIDE
            bitmap = resize_image(photo, *fit_within(photo.width, photo.height, side))
        elif large:
            # Kept as a run sees it, too: it is likely to be chosen next.
            bitmap = drawn(self._storage, name).bitmap
        else:
            bitmap = Bitmap(draw_style(name, THUMB_SIDE, THUMB_SIDE))
        write_image(bitmap, file, quality=85, overwrite=True)
