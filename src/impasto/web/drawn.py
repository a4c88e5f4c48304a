"""Small pictures of what comes with impasto: drawn once, then kept in the data folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
import anyio.to_thread

from impasto import __version__
from impasto.images import Bitmap, fit_within, read_image, resize_image, write_image
from impasto.samples import sample_path
from impasto.sources import BUILT_IN_SIDE
from impasto.styles import draw_style
from impasto.web.storage import THUMB_SIDE


class BuiltInPictures:
    """Pictures of the built-in styles and samples as WebP files.

    Args:
        folder: where they are kept; those of other versions of impasto stay apart.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / __version__
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
        file = self._folder / f"{kind}-{name}-{'view' if large else 'thumb'}.webp"
        if file.exists():
            return file
        async with self._making.setdefault(file.name, asyncio.Lock()):
            if not file.exists():
                await anyio.to_thread.run_sync(_draw, kind, name, large, file, limiter=self._limit)
        return file


def _draw(kind: str, name: str, large: bool, file: Path) -> None:
    side = BUILT_IN_SIDE if large else THUMB_SIDE
    if kind == "style":
        bitmap = Bitmap(draw_style(name, side, side))
    else:
        photo = read_image(sample_path(name))
        size = fit_within(photo.width, photo.height, side, enlarge=False)
        bitmap = resize_image(photo, *size)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_image(bitmap, file, quality=85, overwrite=True)
