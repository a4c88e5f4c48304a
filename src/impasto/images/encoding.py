"""The formats that are written, and a `Bitmap` as the bytes of one of them."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyvips
from numpy.typing import NDArray

from impasto.errors import OptionError, OutputError
from impasto.images.bitmap import Bitmap
from impasto.images.profiles import srgb_profile
from impasto.images.resolution import MAX_DPI, MM_PER_INCH, UNKNOWN_DPI
from impasto.images.settings import settings_to_xmp
from impasto.images.vips import detail, set_blob, vips_from_array


@dataclass(frozen=True, eq=False)
class Writer:
    """How one format is written; `lossy` ones take the quality as `Q`."""

    title: str
    extensions: tuple[str, ...]
    operation: str
    options: Mapping[str, Any]
    max_side: int
    lossy: bool = True
    alpha: bool = True
    sixteen_bits: bool = False


WRITERS = {
    writer.extensions[0].removeprefix("."): writer
    for writer in (
        Writer(
            "PNG",
            (".png",),
            "pngsave_buffer",
            {"filter": "all"},
            max_side=2**31 - 1,
            lossy=False,
            sixteen_bits=True,
        ),
        Writer(
            "JPEG",
            (".jpeg", ".jpg"),
            "jpegsave_buffer",
            {"optimize_coding": True},
            max_side=65500,
            alpha=False,
        ),
        Writer("WebP", (".webp",), "webpsave_buffer", {"smart_subsample": True}, max_side=16383),
        Writer(
            "TIFF",
            (".tiff", ".tif"),
            "tiffsave_buffer",
            {"compression": "deflate", "predictor": "horizontal", "resunit": "inch"},
            max_side=2**31 - 1,
            lossy=False,
            sixteen_bits=True,
        ),
        Writer(
            "AVIF",
            (".avif",),
            "heifsave_buffer",
            {"compression": "av1", "bitdepth": 8, "effort": 3},
            16384,
        ),
        Writer(
            "HEIC", (".heic",), "heifsave_buffer", {"compression": "hevc", "bitdepth": 8}, 16384
        ),
        Writer("JPEG XL", (".jxl",), "jxlsave_buffer", {}, max_side=2**30),
    )
}

# libvips' VipsForeignKeep flags.
_KEEP_EXIF, _KEEP_XMP, _KEEP_ICC = 1, 2, 8


def encode_image(
    bitmap: Bitmap,
    format: str = "png",
    *,
    bits: Literal[8, 16] | None = None,
    quality: int = 92,
    settings: Mapping[str, Any] | None = None,
    dpi: float | None = None,
) -> bytes:
    """The bytes that `write_image` would write; `format` is an extension without its dot.

    Raises:
        OptionError: format, bits, quality, dpi or settings cannot be used.
        OutputError: the picture is too large for the format.
    """
    writer = known_writer(f".{format}")
    if writer is None:
        known = (key for key, writer in WRITERS.items() if can_write(writer))
        raise OptionError(f"format: {format!r} cannot be written; use one of {', '.join(known)}")
    return encode(bitmap, writer, bits, quality, settings, dpi, f"the {writer.title} picture")


def known_writer(extension: str) -> Writer | None:
    """The writer of an extension, dot included; None where this libvips writes none."""
    for writer in WRITERS.values():
        if extension.lower() in writer.extensions and can_write(writer):
            return writer
    return None


@functools.cache
def can_write(writer: Writer) -> bool:
    """Whether the installed libvips has the encoder."""
    # Whether an encoder is built in shows only when it is used (HEIC without HEVC, for one).
    try:
        black = vips_from_array(np.zeros((8, 8, 3), np.uint8))
        pyvips.Operation.call(writer.operation, black, **writer.options)
    except pyvips.Error:
        return False
    return True


def check_bits(writer: Writer, bits: int | None) -> None:
    """Raise OptionError unless the format holds `bits` per channel."""
    if bits not in (None, 8, 16):
        raise OptionError(f"--bits {bits}: not possible; use 8 or 16")
    if bits == 16 and not writer.sixteen_bits:
        raise OptionError(f"--bits 16: {writer.title} is written with 8; use .png or .tiff")


def encode(
    bitmap: Bitmap,
    writer: Writer,
    bits: int | None,
    quality: int,
    settings: Mapping[str, Any] | None,
    dpi: float | None,
    name: str,
) -> bytes:
    """The bytes of `bitmap` in the writer's format; `name` is what errors call it.

    Raises:
        OptionError: bits, quality, dpi or settings cannot be used.
        OutputError: the picture is too large for the format, holds NaN or infinity, or libvips
            cannot encode it.
    """
    check_bits(writer, bits)
    if not 1 <= quality <= 100:
        raise OptionError(f"--quality {quality}: not possible; use 1 to 100")
    if dpi is not None and not 1 <= dpi <= MAX_DPI:
        raise OptionError(f"--dpi {dpi:g}: not possible; use 1 to {MAX_DPI}")
    if max(bitmap.width, bitmap.height) > writer.max_side:
        raise OutputError(
            f"{name}: {bitmap.width} x {bitmap.height} is too large for {writer.title}, whose sides"
            f" end at {writer.max_side}; write a .png or .tiff"
        )
    if bits is None:
        bits = 16 if bitmap.bits == 16 and writer.sixteen_bits else 8
    dpi = bitmap.dpi if dpi is None else dpi
    settings = bitmap.settings if settings is None else settings
    image = vips_from_array(_quantise(bitmap, bits, name, keep_alpha=writer.alpha))
    set_blob(image, "icc-profile-data", srgb_profile())
    keep = _KEEP_ICC
    if settings is not None:
        set_blob(image, "xmp-data", settings_to_xmp(settings))
        keep |= _KEEP_XMP
    resolution = (dpi or UNKNOWN_DPI) / MM_PER_INCH
    image = image.copy(xres=resolution, yres=resolution)
    image.set_type(pyvips.GValue.gstr_type, "resolution-unit", "in")
    if dpi is not None:
        # WebP and AVIF state a resolution only in EXIF, which libvips then writes by itself.
        keep |= _KEEP_EXIF
    options = dict(writer.options) | ({"Q": quality} if writer.lossy else {})
    try:
        return getattr(image, writer.operation)(keep=keep, **options)
    except pyvips.Error as error:
        raise OutputError(
            f"{name}: libvips cannot encode it{detail(error)}; try another format"
        ) from error


def _quantise(bitmap: Bitmap, bits: int, name: str, *, keep_alpha: bool) -> NDArray[Any]:
    """Round to integers, interleaved `(H, W, 3|4)`; without `keep_alpha`, lay it on white."""
    planes = list(bitmap.pixels)
    if bitmap.alpha is not None:
        if keep_alpha:
            planes.append(bitmap.alpha)
        else:
            planes = [plane * bitmap.alpha + (1 - bitmap.alpha) for plane in planes]
    full_scale, dtype = (255, np.uint8) if bits == 8 else (65535, np.uint16)
    samples = np.empty((bitmap.height, bitmap.width, len(planes)), dtype)
    for channel, plane in enumerate(planes):
        if not np.isfinite(plane).all():
            raise OutputError(f"{name}: the picture holds NaN or infinite values; make it anew")
        samples[:, :, channel] = np.rint(np.clip(plane, 0, 1) * full_scale)
    return samples
