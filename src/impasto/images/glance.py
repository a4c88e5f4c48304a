"""A look at a picture file of unknown worth: what it is, and a small version of it.

The whole file is decoded, as strips that are shrunk at once, so that a damaged one is told from a
sound one without holding all of its pixels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

import pyvips

from impasto.errors import ImageError, one_line
from impasto.images.bitmap import Bitmap
from impasto.images.conversion import to_bitmap
from impasto.images.reading import check_size, upright_size
from impasto.images.recognition import SNIFF_BYTES, recognise, undecodable
from impasto.images.vips import blob, detail, tells_of_damage

_FORMATS = {"JPEG XL": "jxl"}
_TEXTS = {
    "copyright": ("exif-ifd0-Copyright",),
    "artist": ("exif-ifd0-Artist",),
    "description": ("exif-ifd0-ImageDescription",),
}


@dataclass(frozen=True, eq=False)
class Glance:
    """What a picture file holds.

    Attributes:
        format: `jpeg`, `png`, `webp`, `tiff`, `avif`, `gif`, `heic`, `heif`, `jxl` or `ppm`.
        width: pixels, upright.
        height: pixels, upright.
        small: the picture, no side longer than asked for.
        xmp: the XMP packet; empty where there is none.
        texts: what EXIF says: `artist`, `copyright`, `description`, as far as it says anything.
    """

    format: str
    width: int
    height: int
    small: Bitmap
    xmp: bytes = b""
    texts: dict[str, str] = field(default_factory=dict)


def glance(data: bytes, side: int, *, max_pixels: int, name: str = "the picture") -> Glance:
    """Decode a picture once, keeping a version of at most `side` pixels a side.

    Args:
        data: the file.
        side: longest side of the small version; a picture that is smaller keeps its size.
        max_pixels: most pixels (width × height) to accept; checked before decoding.
        name: what errors call the picture.

    Raises:
        ImageError: it is damaged, cut short, too large or no picture.
    """
    title, operation = recognise(data[:SNIFF_BYTES], name)
    if title == "JPEG":
        # A JPEG decoder draws on where contents are lost, and only warns; of oddities, too.
        try:
            return _glance(data, operation, title, side, max_pixels, name, fail_on="warning")
        except ImageError as error:
            if not isinstance(error.__cause__, pyvips.Error) or tells_of_damage(error.__cause__):
                raise
    return _glance(data, operation, title, side, max_pixels, name, fail_on="error")


def _glance(
    data: bytes,
    operation: str,
    title: str,
    side: int,
    max_pixels: int,
    name: str,
    *,
    fail_on: Literal["warning", "error"],
) -> Glance:
    try:
        image = pyvips.Operation.call(
            operation,
            pyvips.Source.new_from_memory(data),
            access="sequential",
            fail_on=fail_on,
        )
        check_size(image.width, image.height, max_pixels, name)
        width, height = upright_size(image)
        xmp = blob(image, "xmp-data") or b""
        texts = {key: text for key, fields in _TEXTS.items() if (text := _text(image, fields))}
        scale = side / max(width, height)
        if scale < 1:
            # Never below one pixel a side.
            image = image.resize(
                max(scale, 1 / image.width), vscale=max(scale, 1 / image.height), kernel="linear"
            )
        small = to_bitmap(image, name)
    except pyvips.Error as error:
        raise undecodable(name, title, detail(error)) from error
    return Glance(_FORMATS.get(title, title.lower()), width, height, small, xmp, texts)


def _text(image: pyvips.Image, fields: tuple[str, ...]) -> str:
    """The first of these EXIF fields that says something."""
    for name in fields:
        if image.get_typeof(name):
            # libvips repeats the text in brackets, with its type and length.
            text = str(image.get(name))[:20_000]
            match = re.match(r"(.*?) \(\1 ?, ASCII, ", text, re.DOTALL)
            plain = " ".join((match[1] if match else text).split())
            if plain:
                return one_line(plain)[:1000]
    return ""
