"""Reads a picture from a file, bytes, an array or Pillow, by the decoder of its format alone."""

import os
import select
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pyvips
from numpy.typing import NDArray

from impasto.errors import ImageError, OptionError, TooLargeError, one_line
from impasto.images.bitmap import Bitmap
from impasto.images.conversion import FLOAT_TOLERANCE, to_bitmap
from impasto.images.recognition import READ_HINT, SNIFF_BYTES, recognise, undecodable
from impasto.images.resolution import dpi_of, plausible_dpi
from impasto.images.settings import settings_from_xmp
from impasto.images.vips import blob, detail, set_blob, tells_of_damage, vips_from_array
from impasto.options import DEFAULT_MAX_PIXELS
from impasto.paths import special

PATIENCE = 10.0
"""Seconds that a pipe with a name of its own may take until somebody writes into it."""


@runtime_checkable
class PillowImage(Protocol):
    """What of `PIL.Image.Image` is used here; Pillow itself is never imported."""

    info: dict[Any, Any]

    @property
    def mode(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def convert(self) -> Callable[..., Any]: ...  # noqa: D102
    @property
    def getexif(self) -> Callable[[], Any]: ...  # noqa: D102


ImageSource: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[Any] | PillowImage | Bitmap
)


def read_image(
    source: ImageSource, *, max_pixels: int = DEFAULT_MAX_PIXELS, name: str | None = None
) -> Bitmap:
    """Decode a picture to upright sRGB.

    EXIF orientation is applied. An embedded ICC profile (RGB, grey or CMYK) is converted to sRGB
    with relative colorimetric intent and black point compensation; CMYK without a profile is taken
    as the generic press profile that libvips brings, everything else without one as sRGB. A PNG's
    gAMA chunk is ignored, as most viewers do. Of an animation or a multi-page file the first frame
    or page is read. Transparency of every kind becomes straight alpha.

    Args:
        source: a path; the bytes of a file; a PIL image; a `Bitmap`, returned as it is; or an array
            of shape `(H, W)` or `(H, W, 1|3|4)` taken as sRGB: bool, uint8 and uint16 use their
            whole range, floats [0, 1] (an overshoot of up to 0.1 is clipped).
        max_pixels: most pixels (width × height) to accept; checked before decoding.
        name: what errors call the picture; by default the path, or the kind of source.

    Raises:
        ImageError: it is missing, unreadable, damaged, cut short or no picture.
        TooLargeError: it has more pixels than `max_pixels`.
        OptionError: `max_pixels` is less than 1.
    """
    if max_pixels < 1:
        raise OptionError(f"--max-pixels {max_pixels}: must be at least 1")
    if isinstance(source, Bitmap):
        _check_values(source, one_line(name or "the Bitmap"))
        return source
    if isinstance(source, np.ndarray):
        return _read_array(source, max_pixels, one_line(name or "the array"))
    if isinstance(source, bytes | bytearray | memoryview):
        return _read_bytes(bytes(source), max_pixels, one_line(name or "the picture"))
    if isinstance(source, str | os.PathLike):
        return _read_file(source, max_pixels, one_line(name or os.fspath(source)))
    if isinstance(source, PillowImage):
        return _read_pillow(source, max_pixels, one_line(name or "the PIL image"))
    raise ImageError(
        f"{one_line(name or 'the picture')}: cannot be read from a {type(source).__name__}; give a"
        " path, bytes, a PIL image or a NumPy array"
    )


def read_reduced(
    path: str | os.PathLike[str],
    side: int,
    *,
    of_short: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    name: str | None = None,
) -> tuple[Bitmap, tuple[int, int]]:
    """Decode a picture file of which only smaller versions are wanted, as `read_image` does.

    One that is more than twice as large as these is reduced to that as it is decoded (Lanczos-3),
    so that its pixels are never in memory all at once. What is then shrunk to the versions
    themselves is that of the whole picture up to rounding to its own bits per channel. A JPEG that
    lost contents in its middle, which decoders draw all the same, is refused here.

    Args:
        path: the file.
        side: the longest side of the versions, px.
        of_short: they are cut from it and keep its shorter side, maybe no more.
        max_pixels: see `read_image`.
        name: see `read_image`.

    Returns:
        The picture, and the width and height that it has in the file, upright.

    Raises:
        ImageError, TooLargeError: see `read_image`.
    """
    size = 0, 0

    def reduce(image: pyvips.Image) -> pyvips.Image:
        nonlocal size
        size = upright_size(image)
        return _reduced(image, (min if of_short else max)(size) / (2 * side))

    name = one_line(name or os.fspath(path))
    try:
        return _read_file(path, max_pixels, name, reduce, strict=True), size
    except ImageError as error:
        if not isinstance(error.__cause__, pyvips.Error) or tells_of_damage(error.__cause__):
            raise
    return _read_file(path, max_pixels, name, reduce), size


def upright_size(image: pyvips.Image) -> tuple[int, int]:
    """Width and height of a picture once its EXIF orientation has been applied."""
    if image.get_typeof("orientation") and image.get("orientation") in range(5, 9):
        return image.height, image.width
    return image.width, image.height


def _reduced(image: pyvips.Image, factor: float) -> pyvips.Image:
    # Floats need to be looked at whole: theirs may be out of range.
    if factor <= 1 or image.format not in ("uchar", "ushort"):
        return image
    format, has_alpha = image.format, image.hasalpha()
    # Colours under transparent areas must not bleed into visible ones.
    planes = image.premultiply() if has_alpha else image
    # Never below one pixel a side, and by what exactly fits the picture.
    across, down = (max(1, round(length / factor)) for length in (image.width, image.height))
    planes = planes.reduce(image.width / across, image.height / down, kernel="lanczos3")
    return planes.unpremultiply().rint().cast(format) if has_alpha else planes


def _read_file(
    path: str | os.PathLike[str],
    max_pixels: int,
    name: str,
    reduce: Callable[[pyvips.Image], pyvips.Image] | None = None,
    *,
    strict: bool = False,
) -> Bitmap:
    try:
        what = special(path)
        if what == "pipe":
            # It cannot be rewound after its first bytes have been looked at.
            return _read_bytes(_piped(path, name), max_pixels, name, reduce, strict=strict)
        if what is not None:
            raise ImageError(f"{name}: is a {what}; save the picture to a file first")
        with Path(path).open("rb", buffering=0) as file:
            title, operation = recognise(file.read(SNIFF_BYTES), name)
            file.seek(0)
            # By descriptor, since libvips takes brackets in a file name for loader options.
            vips_source = pyvips.Source.new_from_descriptor(file.fileno())
            return _decode(vips_source, title, operation, max_pixels, name, reduce, strict=strict)
    except FileNotFoundError:
        fault = "no such file; check the path"
        if name.startswith(("http://", "https://")):
            fault = "is a web address; download the picture and give its file"
    except IsADirectoryError:
        fault = "is a folder; name one picture inside it"
    except PermissionError:
        fault = "may not be read; check the file's permissions"
    except (OSError, ValueError) as error:
        fault = f"cannot be opened ({one_line(str(getattr(error, 'strerror', None) or error))})"
        fault += "; check the path"
    raise ImageError(f"{name}: {fault}")


def _piped(path: str | os.PathLike[str], name: str) -> bytes:
    """All that comes through a pipe. Those of the shell have a writer for certain, however slow;
    for one with a name of its own, nobody may ever come.

    Raises:
        ImageError: nothing has come for a while.
    """
    own = not os.path.realpath(path).startswith(("/dev/", "/proc/"))
    with open(os.open(path, os.O_RDONLY | (os.O_NONBLOCK if own else 0)), "rb", 0) as pipe:  # noqa: PTH123
        if own and not select.select([pipe], [], [], PATIENCE)[0]:
            raise ImageError(
                f"{name}: is a pipe into which nobody writes; save the picture to a file first"
            )
        os.set_blocking(pipe.fileno(), True)
        return pipe.read()


def _read_bytes(
    data: bytes,
    max_pixels: int,
    name: str,
    reduce: Callable[[pyvips.Image], pyvips.Image] | None = None,
    *,
    strict: bool = False,
) -> Bitmap:
    title, operation = recognise(data[:SNIFF_BYTES], name)
    source = pyvips.Source.new_from_memory(data)
    return _decode(source, title, operation, max_pixels, name, reduce, strict=strict)


def check_size(width: int, height: int, max_pixels: int, name: str) -> None:
    """Refuse a picture with no pixels or with more than `max_pixels`.

    Raises:
        ImageError: it is such a one.
    """
    pixels = width * height
    if pixels == 0:
        raise ImageError(f"{name}: has no pixels ({width} x {height}); {READ_HINT}")
    if pixels > max_pixels:
        raise TooLargeError(
            f"{name}: {width} x {height} is {pixels:,} pixels, more than the limit of"
            f" {max_pixels:,}; shrink it, or raise the limit with --max-pixels {pixels}"
        )


def _decode(
    source: pyvips.Source,
    title: str,
    operation: str,
    max_pixels: int,
    name: str,
    reduce: Callable[[pyvips.Image], pyvips.Image] | None,
    *,
    strict: bool,
) -> Bitmap:
    try:
        # "error" also refuses a TIFF cut short, which libvips would otherwise fill with grey;
        # decoders of JPEG only warn of contents that are lost in the middle.
        fail_on = "warning" if strict and title == "JPEG" else "error"
        image = pyvips.Operation.call(operation, source, access="sequential", fail_on=fail_on)
        check_size(image.width, image.height, max_pixels, name)
        dpi = dpi_of(image)
        settings = settings_from_xmp(blob(image, "xmp-data"))
        if reduce is not None:
            image = reduce(image)
        return replace(to_bitmap(image, name), dpi=dpi, settings=settings)
    except pyvips.Error as error:
        raise undecodable(name, title, detail(error)) from error


def _check_values(bitmap: Bitmap, name: str) -> None:
    for plane in (*bitmap.pixels, *(() if bitmap.alpha is None else (bitmap.alpha,))):
        # Written so that NaN fails too.
        if not (plane.min() >= -FLOAT_TOLERANCE and plane.max() <= 1 + FLOAT_TOLERANCE):
            raise ImageError(f"{name}: holds values outside [0, 1]; scale or clip them")


def _read_array(array: NDArray[Any], max_pixels: int, name: str) -> Bitmap:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(
            f"{name}: has the shape {array.shape}; give (height, width) or"
            " (height, width, 1, 3 or 4 channels)"
        )
    check_size(array.shape[1], array.shape[0], max_pixels, name)
    if array.dtype.kind == "f":
        array = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32, copy=False)
    elif array.dtype not in (bool, np.uint8, np.uint16):
        raise ImageError(
            f"{name}: holds {array.dtype}; give bool, uint8, uint16 or floats in [0, 1]"
        )
    return to_bitmap(vips_from_array(array), name)


# PIL modes whose samples are taken as they are; the others are converted by PIL.
_PILLOW_DIRECT = (
    "L",
    "LA",
    "RGB",
    "RGBA",
    "CMYK",
    "1",
    "F",
    "I",
    "I;16",
    "I;16L",
    "I;16B",
    "I;16N",
)
_PILLOW_CONVERTED = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}
_ORIENTATION_TAG = 0x0112  # EXIF 2.3, section 4.6.4
_XMP_KEYS = ("xmp", "XML:com.adobe.xmp")


def _read_pillow(image: PillowImage, max_pixels: int, name: str) -> Bitmap:
    check_size(*image.size, max_pixels, name)
    info, mode = image.info, image.mode
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
        if "transparency" in info and mode in ("1", "L", "P", "RGB"):
            image = image.convert("RGBA")
        elif mode not in _PILLOW_DIRECT:
            image = image.convert(_PILLOW_CONVERTED.get(mode, "RGB"))
        array = np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError(
            f"{name}: PIL cannot decode it ({one_line(str(error))}); open the file in another"
            " program and save it again"
        ) from error
    if array.dtype.kind == "i":
        if array.min() >= 0 and array.max() <= 65535:
            array = array.astype(np.uint16)
        else:
            raise ImageError(f"{name}: holds integers outside 0 to 65535; rescale them")
    vips_image = vips_from_array(array.astype(array.dtype.newbyteorder("=")), cmyk=mode == "CMYK")
    profile, dpi = info.get("icc_profile"), info.get("dpi")
    if isinstance(profile, bytes):
        set_blob(vips_image, "icc-profile-data", profile)
    if orientation in range(2, 9):
        vips_image.set_type(pyvips.GValue.gint_type, "orientation", int(orientation))
    xmp = next((info[key] for key in _XMP_KEYS if key in info), None)
    return replace(
        to_bitmap(vips_image, name),
        dpi=plausible_dpi(float(dpi[0])) if dpi else None,
        settings=settings_from_xmp(xmp.encode() if isinstance(xmp, str) else xmp),
    )
