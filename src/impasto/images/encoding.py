"""The formats that are written, and a `Bitmap` on its way into a file or bytes of one of them."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyvips

from impasto.errors import OptionError, OutputError
from impasto.images.bitmap import Bitmap
from impasto.images.profiles import srgb_profile
from impasto.images.resolution import MAX_DPI, MM_PER_INCH, UNKNOWN_DPI
from impasto.images.settings import settings_to_xmp
from impasto.images.vips import detail, set_blob, system_error, vips_from_array


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
            "pngsave_target",
            {"filter": "all"},
            max_side=2**31 - 1,
            lossy=False,
            sixteen_bits=True,
        ),
        Writer(
            "JPEG",
            (".jpeg", ".jpg"),
            "jpegsave_target",
            {"optimize_coding": True},
            max_side=65500,
            alpha=False,
        ),
        Writer("WebP", (".webp",), "webpsave_target", {"smart_subsample": True}, max_side=16383),
        Writer(
            "TIFF",
            (".tiff", ".tif"),
            "tiffsave_target",
            {"compression": "deflate", "predictor": "horizontal", "resunit": "inch"},
            max_side=2**31 - 1,
            lossy=False,
            sixteen_bits=True,
        ),
        Writer(
            "AVIF",
            (".avif",),
            "heifsave_target",
            {"compression": "av1", "bitdepth": 8, "effort": 3},
            16384,
        ),
        Writer(
            "HEIC", (".heic",), "heifsave_target", {"compression": "hevc", "bitdepth": 8}, 16384
        ),
        Writer("JPEG XL", (".jxl",), "jxlsave_target", {}, max_side=2**30),
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
    encode = encoder(bitmap, writer, bits, quality, settings, dpi, f"the {writer.title} picture")
    target = pyvips.Target.new_to_memory()
    encode(target)
    data: Any = target.get("blob")
    return bytes(data)


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
        target = pyvips.Target.new_to_memory()
        pyvips.Operation.call(writer.operation, black, target, **writer.options)
    except pyvips.Error:
        return False
    return True


def check_bits(writer: Writer, bits: int | None) -> None:
    """Raise OptionError unless the format holds `bits` per channel."""
    if bits not in (None, 8, 16):
        raise OptionError(f"--bits {bits}: not possible; use 8 or 16")
    if bits == 16 and not writer.sixteen_bits:
        raise OptionError(f"--bits 16: {writer.title} is written with 8; use .png or .tiff")


def encoder(
    bitmap: Bitmap,
    writer: Writer,
    bits: int | None,
    quality: int,
    settings: Mapping[str, Any] | None,
    dpi: float | None,
    name: str,
) -> Callable[[pyvips.Target], None]:
    """Check a picture and what is asked; get the function that writes it to a target of libvips.

    No second copy of the picture is made: libvips rounds it strip by strip as the encoder asks
    for it, and PNG and TIFF are written as they are encoded. The encoders of the other formats
    look at the whole before they write, and hold it in a form of their own.

    Args:
        bitmap: the picture; what is in its arrays when the function is called gets written.
        writer: its format.
        bits: as for `write_image`, like quality, settings and dpi.
        quality: 1 to 100.
        settings: the record to store.
        dpi: pixels per inch.
        name: what errors call the picture.

    Returns:
        A function that raises OutputError where libvips cannot encode the picture, and OSError
        where the target's file cannot be written.

    Raises:
        OptionError: bits, quality, dpi or settings cannot be used.
        OutputError: the picture is too large for the format, or holds NaN or infinity.
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
    image = _quantised(bitmap, bits, name, keep_alpha=writer.alpha)
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

    def encode(target: pyvips.Target) -> None:
        try:
            pyvips.Operation.call(writer.operation, image, target, keep=keep, **options)
        except pyvips.Error as error:
            fault = system_error(error) or OutputError(
                f"{name}: libvips cannot encode it{detail(error)}; try another format"
            )
            raise fault from error

    return encode


def _quantised(bitmap: Bitmap, bits: int, name: str, *, keep_alpha: bool) -> pyvips.Image:
    """The picture rounded to integers, as libvips asks for it; without `keep_alpha`, on white."""
    planes = list(bitmap.pixels) if bitmap.alpha is None else [*bitmap.pixels, bitmap.alpha]
    for plane in planes:
        # Both are NaN where one value is; a mask of all values would take memory.
        if not (np.isfinite(plane.min()) and np.isfinite(plane.max())):
            raise OutputError(f"{name}: the picture holds NaN or infinite values; make it anew")
    bands: list[Any] = [vips_from_array(np.asarray(plane, np.float32)) for plane in planes]
    image = bands[0].bandjoin(bands[1:] if keep_alpha else bands[1:3])
    if bitmap.alpha is not None and not keep_alpha:
        image = image * bands[3] + bands[3].linear([-1], [1])
    full_scale, format, space = (255, "uchar", "srgb") if bits == 8 else (65535, "ushort", "rgb16")
    # Like NumPy's, this rint takes halves to the even side; the cast clips.
    return image.linear([full_scale], [0]).rint().cast(format).copy(interpretation=space)
