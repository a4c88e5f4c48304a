"""Read, resize and write pictures; the only module that touches image files.

Everything a file can hold is turned into one thing, a `Bitmap`: upright, sRGB, float32, with
straight alpha. What a file is gets decided by its first bytes, never by its name, and only the
decoder of that format is called: vector formats, documents and everything else are refused before
any of their contents is interpreted.

Limits, all of them here:
    DEFAULT_MAX_PIXELS: most pixels a picture may announce before it is decoded.
    MAX_SETTINGS_BYTES: longest settings record stored in a picture.
    _Writer.max_side: longest side each format can hold.
"""

import codecs
import contextlib
import errno
import functools
import json
import math
import os
import secrets
import stat
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable
from xml.sax.saxutils import escape

import numpy as np
import pyvips
from numpy.typing import NDArray

from impasto.color import linear_to_srgb
from impasto.errors import ImageError, OptionError, OutputError

DEFAULT_MAX_PIXELS = 200_000_000
"""Most pixels (width × height) that are decoded unless the caller allows more.

Above the largest phone cameras (200 megapixels is 16320 × 12240 = 199.8 million); such a picture
takes 2.4 GB as a `Bitmap`, and a decompression bomb cannot take more than that.
"""

MAX_SETTINGS_BYTES = 60_000
"""Longest settings record, as an XMP packet: libvips silently leaves a longer one out of a JPEG."""

FLOAT_TOLERANCE = 0.1
"""How far floats may overshoot [0, 1] (as after sharpening or resampling) and still be clipped."""

UNKNOWN_DPI = 72
"""What a file states when its print resolution is unknown (EXIF 2.3, tag XResolution)."""

MAX_DPI = 100_000
MM_PER_INCH = 25.4
CM_PER_INCH = 2.54


# --- Bitmap ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Bitmap:
    """A decoded picture.

    Attributes:
        pixels: float32 `(3, H, W)`, sRGB in [0, 1], upright.
        alpha: float32 `(H, W)` in [0, 1], 1 opaque; None when the picture has no transparency.
            Straight: `pixels` are not multiplied by it.
        bits: bits per channel of the source, 8 or 16; also what `write_image` writes by default.
        dpi: print resolution in pixels per inch; None when unknown, as it is taken to be where a
            file says 72.
        settings: the record that impasto stored in the file, or None.

    Raises:
        ImageError: the arrays do not have these shapes.
    """

    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32] | None = None
    bits: int = 8
    dpi: float | None = None
    settings: dict[str, Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if len(shape) != 3 or shape[0] != 3 or 0 in shape:
            raise ImageError(f"a Bitmap's pixels have the shape (3, H, W), not {shape}")
        if self.alpha is not None and self.alpha.shape != shape[1:]:
            raise ImageError(
                f"a Bitmap's alpha has the shape {shape[1:]} of its pixels, not {self.alpha.shape}"
            )

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.pixels.shape[2]

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.pixels.shape[1]


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


# --- reading -----------------------------------------------------------------------------------

# Formats that are read: title, first bytes, libvips operation. The published wheels of libvips lack
# JPEG XL and PPM and count all the others safe for untrusted input.
_RASTER: tuple[tuple[str, tuple[bytes, ...], str], ...] = (
    ("JPEG", (b"\xff\xd8\xff",), "jpegload_source"),
    ("PNG", (b"\x89PNG\r\n\x1a\n",), "pngload_source"),
    ("GIF", (b"GIF87a", b"GIF89a"), "gifload_source"),
    ("TIFF", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "tiffload_source"),
    ("JPEG XL", (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"), "jxlload_source"),
    ("PPM", tuple(b"P%d%c" % (n, c) for n in range(1, 7) for c in b" \t\r\n#"), "ppmload_source"),
)
_HEIF_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"mif1": "HEIF", b"msf1": "HEIF"} | dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"), "HEIC"
)

# What is refused, by name, so that the error says what the file really is.
_REFUSED = (
    ("a BMP picture", (b"BM",)),
    ("a JPEG 2000 picture", (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")),
    ("a Photoshop document", (b"8BPS",)),
    ("a PDF document", (b"%PDF",)),
    ("a PostScript document", (b"%!PS",)),
    ("a ZIP archive", (b"PK\x03\x04", b"PK\x05\x06")),
    ("a gzip archive", (b"\x1f\x8b",)),
    ("a program", (b"\x7fELF", b"MZ")),
)
_READ_HINT = "give a JPEG, PNG, WebP, TIFF, AVIF or GIF picture"
_SNIFF_BYTES = 512

# Largest value of each sample type that can hold a picture; floats reach 1.
_FULL_SCALE = {"uchar": 255, "ushort": 65535, "uint": 4294967295, "float": 1, "double": 1}

# Pixels per millimetre that libvips reports for most files that state none.
_VIPS_UNSTATED_RES = 1.0
_XMP_KEYS = ("xmp", "XML:com.adobe.xmp")


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
        ImageError: it is missing, unreadable, damaged, cut short, too large or no picture.
    """
    if isinstance(source, Bitmap):
        return source
    if isinstance(source, np.ndarray):
        return _read_array(source, max_pixels, _one_line(name or "the array"))
    if isinstance(source, bytes | bytearray | memoryview):
        return _read_bytes(bytes(source), max_pixels, _one_line(name or "the picture"))
    if isinstance(source, str | os.PathLike):
        return _read_file(source, max_pixels, _one_line(name or os.fspath(source)))
    if isinstance(source, PillowImage):
        return _read_pillow(source, max_pixels, _one_line(name or "the PIL image"))
    raise ImageError(
        f"{_one_line(name or 'the picture')}: cannot be read from a {type(source).__name__}; give a"
        " path, bytes, a PIL image or a NumPy array"
    )


def _one_line(name: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _read_file(path: str | os.PathLike[str], max_pixels: int, name: str) -> Bitmap:
    try:
        with Path(path).open("rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                # A pipe cannot be rewound after its first bytes have been looked at.
                return _read_bytes(file.read(), max_pixels, name)
            title, operation = _recognise(file.read(_SNIFF_BYTES), name)
            file.seek(0)
            # By descriptor, since libvips takes brackets in a file name for loader options.
            vips_source = pyvips.Source.new_from_descriptor(file.fileno())
            return _decode(vips_source, title, operation, max_pixels, name)
    except FileNotFoundError:
        fault = "no such file; check the path"
    except IsADirectoryError:
        fault = "is a folder; name one picture inside it"
    except PermissionError:
        fault = "may not be read; check the file's permissions"
    except (OSError, ValueError) as error:
        fault = f"cannot be opened ({_one_line(str(getattr(error, 'strerror', None) or error))})"
        fault += "; check the path"
    raise ImageError(f"{name}: {fault}")


def _read_bytes(data: bytes, max_pixels: int, name: str) -> Bitmap:
    title, operation = _recognise(data[:_SNIFF_BYTES], name)
    return _decode(pyvips.Source.new_from_memory(data), title, operation, max_pixels, name)


def _recognise(head: bytes, name: str) -> tuple[str, str]:
    """Title and libvips operation of the format whose first bytes are `head`."""
    if not head:
        raise ImageError(f"{name}: is empty (0 bytes); {_READ_HINT}")
    title, operation = _format_of(head)
    if not operation:
        raise ImageError(f"{name}: is {title}, which cannot be read; {_READ_HINT}")
    if not pyvips.type_find("VipsOperation", operation):
        raise ImageError(
            f"{name}: the installed libvips cannot read {title}; save it as PNG or JPEG first"
        )
    return title, operation


def _format_of(head: bytes) -> tuple[str, str]:
    for title, magics, operation in _RASTER:
        if head.startswith(magics):
            return title, operation
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP", "webpload_source"
    if head[4:8] == b"ftyp":
        brands = [head[8:12], *(head[i : i + 4] for i in range(16, head[3] or 16, 4))]
        titles = [_HEIF_BRANDS[brand] for brand in brands if brand in _HEIF_BRANDS]
        if titles:
            return next((t for t in titles if t != "HEIF"), "HEIF"), "heifload_source"
    for title, magics in _REFUSED:
        if head.startswith(magics):
            return title, ""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "an SVG drawing", ""
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page", ""
    return ("a text file" if _is_text(head) else "in an unknown format"), ""


def _is_text(head: bytes) -> bool:
    try:
        # Incremental, since the last character may be cut.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c in "\t\r\n\f\ufeff" for c in text)


def _check_size(width: int, height: int, max_pixels: int, name: str) -> None:
    pixels = width * height
    if pixels == 0:
        raise ImageError(f"{name}: has no pixels ({width} x {height}); {_READ_HINT}")
    if pixels > max_pixels:
        raise ImageError(
            f"{name}: {width} x {height} is {pixels:,} pixels, more than the limit of"
            f" {max_pixels:,}; shrink it, or raise the limit with --max-pixels {pixels}"
        )


def _decode(
    source: pyvips.Source, title: str, operation: str, max_pixels: int, name: str
) -> Bitmap:
    try:
        # "error" also refuses a TIFF cut short, which libvips would otherwise fill with grey.
        image = pyvips.Operation.call(operation, source, access="sequential", fail_on="error")
        _check_size(image.width, image.height, max_pixels, name)
        dpi = _dpi_of(image)
        settings = _settings_from_xmp(_blob(image, "xmp-data"))
        return replace(_to_bitmap(image, name), dpi=dpi, settings=settings)
    except pyvips.Error as error:
        raise ImageError(
            f"{name}: {title} picture is damaged, cut short or of an unsupported kind"
            f"{_detail(error)}; open it in another program and save it again"
        ) from error


def _detail(error: pyvips.Error) -> str:
    # The first line names only the operation; TIFF and AVIF log each seek past a cut file's end.
    lines = [line.strip() for line in str(error).splitlines()[1:]]
    told = [line for line in lines if line and not line.startswith("source: bad seek")]
    return f" ({_one_line(told[0])})" if told else ""


def _blob(image: pyvips.Image, key: str) -> bytes | None:
    if not image.get_typeof(key):
        return None
    value: Any = image.get(key)
    return bytes(value) if isinstance(value, bytes) else None


def _set_blob(image: pyvips.Image, key: str, data: bytes) -> None:
    image.set_type(pyvips.GValue.blob_type, key, data)  # pyright: ignore[reportArgumentType]


def _dpi_of(image: pyvips.Image) -> float | None:
    if image.xres != _VIPS_UNSTATED_RES:
        return _plausible_dpi(image.xres * MM_PER_INCH)
    # libvips leaves the EXIF resolution of WebP and AVIF as text: "300/1 (300, Rational, ...)".
    if not image.get_typeof("exif-ifd0-XResolution"):
        return None
    fraction = str(image.get("exif-ifd0-XResolution")).split()[0]
    numerator, _, denominator = fraction.partition("/")
    try:
        dpi = float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError):
        return None
    unit = (
        image.get("exif-ifd0-ResolutionUnit")
        if image.get_typeof("exif-ifd0-ResolutionUnit")
        else ""
    )
    return _plausible_dpi(dpi * CM_PER_INCH if str(unit).startswith("3") else dpi)


def _plausible_dpi(dpi: float) -> float | None:
    if not (math.isfinite(dpi) and 1 <= dpi <= MAX_DPI) or abs(dpi - UNKNOWN_DPI) < 0.1:
        return None
    # Two decimals undo PNG's rounding to whole pixels per metre.
    return round(dpi, 2)


def _to_bitmap(image: pyvips.Image, name: str) -> Bitmap:
    """Turn a libvips picture with its metadata into sRGB; colour first, alpha apart."""
    if image.interpretation in ("lab", "labq", "labs", "lch", "xyz", "yxy", "hsv", "cmc"):
        image = image.colourspace("rgb16")
    image = image.copy_memory().autorot()
    full_scale = _FULL_SCALE.get(str(image.format))
    if full_scale is None:
        raise ImageError(
            f"{name}: holds {image.format} samples; save it as 8 or 16 bit, or as floats in [0, 1]"
        )
    colors = 4 if image.interpretation == "cmyk" else 1 if image.bands < 3 else 3
    if image.bands < colors:
        raise ImageError(f"{name}: CMYK picture with {image.bands} channels; save it as RGB")
    samples = image.numpy().reshape(image.height, image.width, image.bands)
    if full_scale == 1:
        samples = _checked_floats(samples, name)
    alpha = _plane(samples, colors, full_scale) if image.bands > colors else None
    if alpha is not None and alpha.min() == 1:
        alpha = None
    linear = _to_linear_srgb(image, colors, full_scale)
    if linear is None:
        pixels = _planes(samples[:, :, :colors], full_scale)
    else:
        pixels = _planes(linear.numpy(), 1)
        for plane in pixels:
            np.clip(linear_to_srgb(plane), 0, 1, out=plane)
    return Bitmap(pixels, alpha, bits=8 if image.format == "uchar" else 16)


def _to_linear_srgb(image: pyvips.Image, colors: int, full_scale: float) -> pyvips.Image | None:
    """The colours of `image` as linear sRGB floats through their profile; None if sRGB already."""
    profile = _blob(image, "icc-profile-data")
    foreign = profile is not None and (colors == 4 or not _is_srgb(profile, colors))
    if not foreign and colors != 4:
        return None
    color = image.extract_band(0, n=colors)
    if full_scale not in (255, 65535):
        device = {1: "grey16", 3: "rgb16", 4: "cmyk"}[colors]
        color = (color * (65535 / full_scale)).rint().cast("ushort").copy(interpretation=device)
    if foreign:
        # A damaged profile, or one for other channels, says nothing about these colours.
        with contextlib.suppress(pyvips.Error):
            return _through_profile(color, embedded=True)
    return _through_profile(color, input_profile="cmyk") if colors == 4 else None


@functools.lru_cache(maxsize=16)
def _is_srgb(profile: bytes, colors: int) -> bool:
    """Whether a profile moves no colour by a whole 8-bit step, so that its pixels can stay exact.

    Most pictures carry one of the many profiles of sRGB itself.
    """
    if profile == _srgb_profile():
        return True
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    axes = np.meshgrid(*[levels] * colors, indexing="ij")
    probe = np.stack(axes, axis=-1).reshape(1, -1, colors)
    image = _vips_from_array(probe)
    _set_blob(image, "icc-profile-data", profile)
    try:
        linear = _through_profile(image, embedded=True).numpy()
    except pyvips.Error:
        return False
    return bool(np.abs(linear_to_srgb(linear) * 255 - probe).max() < 1)


def _through_profile(color: pyvips.Image, **profile: Any) -> pyvips.Image:
    # By way of XYZ, which libvips computes in floats: its Lab and its direct 16-bit transform go
    # through coarse tables that are off by up to 9 of 255 in dark tones.
    xyz = color.icc_import(pcs="xyz", intent="relative", black_point_compensation=True, **profile)
    return xyz.colourspace("scrgb").copy_memory()


@functools.cache
def _srgb_profile() -> bytes:
    return bytes(pyvips.Operation.call("profile_load", "srgb"))


def _checked_floats(samples: NDArray[Any], name: str) -> NDArray[Any]:
    low, high = float(samples.min()), float(samples.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ImageError(f"{name}: holds NaN or infinite values; replace them by values in [0, 1]")
    if low < -FLOAT_TOLERANCE or high > 1 + FLOAT_TOLERANCE:
        raise ImageError(f"{name}: holds floats from {low:g} to {high:g}; scale them to [0, 1]")
    return np.clip(samples, 0, 1)


def _planes(samples: NDArray[Any], full_scale: float) -> NDArray[np.float32]:
    """Interleaved `(H, W, 1|3)` to float32 `(3, H, W)`, plane by plane to spare memory."""
    height, width, colors = samples.shape
    pixels = np.empty((3, height, width), np.float32)
    for channel in range(3):
        pixels[channel] = _plane(samples, min(channel, colors - 1), full_scale)
    return pixels


def _plane(samples: NDArray[Any], channel: int, full_scale: float) -> NDArray[np.float32]:
    # uint32 needs float64 for the division; for 8 and 16 bit float32 already rounds correctly.
    exact = np.float32 if full_scale <= 65535 else np.float64
    return np.divide(samples[:, :, channel], full_scale, dtype=exact).astype(np.float32, copy=False)


def _read_array(array: NDArray[Any], max_pixels: int, name: str) -> Bitmap:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(
            f"{name}: has the shape {array.shape}; give (height, width) or"
            " (height, width, 1, 3 or 4 channels)"
        )
    _check_size(array.shape[1], array.shape[0], max_pixels, name)
    if array.dtype.kind == "f":
        array = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32, copy=False)
    elif array.dtype not in (bool, np.uint8, np.uint16):
        raise ImageError(
            f"{name}: holds {array.dtype}; give bool, uint8, uint16 or floats in [0, 1]"
        )
    return _to_bitmap(_vips_from_array(array), name)


def _vips_from_array(array: NDArray[Any], *, cmyk: bool = False) -> pyvips.Image:
    """A libvips picture over an `(H, W)` or `(H, W, B)` array, with its interpretation set."""
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    height, width, bands = array.shape if array.ndim == 3 else (*array.shape, 1)
    format, gray, color = {
        "uint8": ("uchar", "b-w", "srgb"),
        "uint16": ("ushort", "grey16", "rgb16"),
        "float32": ("float", "b-w", "srgb"),
        "float64": ("double", "b-w", "srgb"),
    }[array.dtype.name]
    contents = np.ascontiguousarray(array).data.cast("B")
    image = pyvips.Image.new_from_memory(contents, width, height, bands, format)
    interpretation = "cmyk" if cmyk else gray if bands < 3 else color
    return image.copy(interpretation=interpretation)


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


def _read_pillow(image: PillowImage, max_pixels: int, name: str) -> Bitmap:
    _check_size(*image.size, max_pixels, name)
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
            f"{name}: PIL cannot decode it ({_one_line(str(error))}); open the file in another"
            " program and save it again"
        ) from error
    if array.dtype.kind == "i":
        if array.min() >= 0 and array.max() <= 65535:
            array = array.astype(np.uint16)
        else:
            raise ImageError(f"{name}: holds integers outside 0 to 65535; rescale them")
    vips_image = _vips_from_array(array.astype(array.dtype.newbyteorder("=")), cmyk=mode == "CMYK")
    profile, dpi = info.get("icc_profile"), info.get("dpi")
    if isinstance(profile, bytes):
        _set_blob(vips_image, "icc-profile-data", profile)
    if orientation in range(2, 9):
        vips_image.set_type(pyvips.GValue.gint_type, "orientation", int(orientation))
    xmp = next((info[key] for key in _XMP_KEYS if key in info), None)
    return replace(
        _to_bitmap(vips_image, name),
        dpi=_plausible_dpi(float(dpi[0])) if dpi else None,
        settings=_settings_from_xmp(xmp.encode() if isinstance(xmp, str) else xmp),
    )


# --- the settings record -----------------------------------------------------------------------

# XMP (ISO 16684-1) is the one metadata packet that PNG, JPEG, WebP, TIFF and AVIF all carry.
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_SETTINGS_NAMESPACE = "impasto:ns:1.0/"


def _settings_to_xmp(settings: Mapping[str, Any]) -> bytes:
    record = escape(json.dumps(settings, sort_keys=True, allow_nan=False))
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'
        f'<rdf:Description rdf:about="" xmlns:impasto="{_SETTINGS_NAMESPACE}">'
        f"<impasto:settings>{record}</impasto:settings>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()
    if len(packet) > MAX_SETTINGS_BYTES:
        raise OptionError(
            f"settings: {len(packet):,} bytes as XMP, more than the {MAX_SETTINGS_BYTES:,} that a"
            " picture can carry; store less in them"
        )
    return packet


def _settings_from_xmp(xmp: bytes | None) -> dict[str, Any] | None:
    """The settings record in an XMP packet; None where there is none that can be understood."""
    # XMP never declares entities; a packet that does is an attack on the parser.
    if not xmp or b"<!" in xmp:
        return None
    key = f"{{{_SETTINGS_NAMESPACE}}}settings"
    try:
        for element in ET.fromstring(xmp.rstrip(b"\0")).iter():
            # Other programs may rewrite the simple property as an attribute.
            text = element.text if element.tag == key else element.get(key)
            if text is not None:
                settings = json.loads(text)
                return settings if isinstance(settings, dict) else None
    except (ET.ParseError, ValueError, RecursionError):
        pass
    return None


# --- resizing ----------------------------------------------------------------------------------


# Outputs per matrix product: enough to feed the processor, few enough to stay near the diagonal.
_BLOCK = 32


def fit_within(width: int, height: int, long_side: int, *, enlarge: bool = True) -> tuple[int, int]:
    """Size with the same proportions whose longer side is `long_side`; no side below 1.

    With `enlarge=False`, a picture that is already smaller keeps its size.

    Raises:
        OptionError: a side is below 1.
    """
    if min(width, height, long_side) < 1:
        raise OptionError(
            f"size: {width} x {height} within {long_side} is impossible; sides are 1 or more"
        )
    longest = max(width, height)
    if longest <= long_side and not enlarge:
        return width, height
    return (
        max(1, (2 * width * long_side + longest) // (2 * longest)),
        max(1, (2 * height * long_side + longest) // (2 * longest)),
    )


def resize_image(bitmap: Bitmap, width: int, height: int) -> Bitmap:
    """Resample to `width` × `height`: Lanczos-3, widened when shrinking so that nothing aliases.

    Colours are weighted by alpha, so those under transparent areas do not bleed into visible ones;
    where the result is wholly transparent its colour is black.

    Raises:
        OptionError: a side is below 1.
    """
    if min(width, height) < 1:
        raise OptionError(f"size: {width} x {height} is impossible; every side must be 1 or more")
    if (width, height) == (bitmap.width, bitmap.height):
        return bitmap
    if bitmap.alpha is None:
        return replace(bitmap, pixels=np.clip(_resample(bitmap.pixels, width, height), 0, 1))
    premultiplied = np.concatenate([bitmap.pixels * bitmap.alpha, bitmap.alpha[None]])
    resampled = _resample(premultiplied, width, height)
    alpha = np.clip(resampled[3], 0, 1)
    # Below a thousandth no output format can show the pixel, and the division would amplify noise.
    visible = alpha > 1e-3
    pixels = np.divide(
        resampled[:3],
        alpha,
        out=np.zeros_like(resampled[:3]),
        where=np.broadcast_to(visible, resampled[:3].shape),
    )
    return replace(bitmap, pixels=np.clip(pixels, 0, 1), alpha=alpha)


def _resample(planes: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    # Here rather than by libvips, whose enlarging of one axis alone shifts the other one.
    _, old_height, old_width = planes.shape
    if width * old_height < old_width * height:
        return _resample_rows(_resample_columns(planes, width), height)
    return _resample_columns(_resample_rows(planes, height), width)


def _resample_columns(planes: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    result = np.empty((*planes.shape[:2], width), np.float32)
    for first, last, low, weights in _lanczos_blocks(planes.shape[2], width):
        result[:, :, first:last] = planes[:, :, low : low + weights.shape[1]] @ weights.T
    return result


def _resample_rows(planes: NDArray[np.float32], height: int) -> NDArray[np.float32]:
    result = np.empty((planes.shape[0], height, planes.shape[2]), np.float32)
    for first, last, low, weights in _lanczos_blocks(planes.shape[1], height):
        result[:, first:last] = weights @ planes[:, low : low + weights.shape[1]]
    return result


def _lanczos_blocks(old: int, new: int) -> Iterator[tuple[int, int, int, NDArray[np.float32]]]:
    """The resampling matrix of one axis, in blocks of neighbouring outputs that share inputs.

    Each block is the outputs `first:last`, the first input `low` they need, and their weights of
    shape `(outputs, inputs)`. When shrinking, the Lanczos window (C. Duchon, "Lanczos filtering in
    one and two dimensions", J. Appl. Meteorology, 1979) is widened to span 3 new pixels each way;
    at the borders the weights inside the picture are scaled up to sum to 1.
    """
    step = old / new
    stretch = max(step, 1.0)
    for first in range(0, new, _BLOCK):
        last = min(first + _BLOCK, new)
        centers = (np.arange(first, last) + 0.5) * step
        low = max(0, math.floor(centers[0] - 3 * stretch))
        high = min(old, math.ceil(centers[-1] + 3 * stretch))
        distance = (np.arange(low, high) + 0.5 - centers[:, None]) / stretch
        weights = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)
        weights /= weights.sum(axis=1, keepdims=True)
        yield first, last, low, weights.astype(np.float32)


# --- writing -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Writer:
    """How one format is written; `lossy` ones take the quality as `Q`."""

    title: str
    extensions: tuple[str, ...]
    operation: str
    options: Mapping[str, Any]
    max_side: int
    lossy: bool = True
    alpha: bool = True
    sixteen_bits: bool = False


_WRITERS = {
    writer.extensions[0].removeprefix("."): writer
    for writer in (
        _Writer(
            "PNG",
            (".png",),
            "pngsave_buffer",
            {"filter": "all"},
            max_side=2**31 - 1,
            lossy=False,
            sixteen_bits=True,
        ),
        _Writer(
            "JPEG",
            (".jpeg", ".jpg"),
            "jpegsave_buffer",
            {"optimize_coding": True},
            max_side=65500,
            alpha=False,
        ),
        _Writer("WebP", (".webp",), "webpsave_buffer", {"smart_subsample": True}, max_side=16383),
        _Writer(
            "TIFF",
            (".tiff", ".tif"),
            "tiffsave_buffer",
            {"compression": "deflate", "predictor": "horizontal", "resunit": "inch"},
            max_side=2**31 - 1,
            lossy=False,
            sixteen_bits=True,
        ),
        _Writer(
            "AVIF",
            (".avif",),
            "heifsave_buffer",
            {"compression": "av1", "bitdepth": 8, "effort": 3},
            16384,
        ),
        _Writer(
            "HEIC", (".heic",), "heifsave_buffer", {"compression": "hevc", "bitdepth": 8}, 16384
        ),
        _Writer("JPEG XL", (".jxl",), "jxlsave_buffer", {}, max_side=2**30),
    )
}

# libvips' VipsForeignKeep flags.
_KEEP_EXIF, _KEEP_XMP, _KEEP_ICC = 1, 2, 8


def write_image(
    bitmap: Bitmap,
    path: str | os.PathLike[str],
    *,
    bits: Literal[8, 16] | None = None,
    quality: int = 92,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
    dpi: float | None = None,
) -> None:
    """Write a picture; the extension of `path` chooses the format.

    An sRGB ICC profile is embedded. The file appears whole or not at all, with the permissions of
    the user's umask, and the same input gives the same bytes.

    Args:
        bitmap: the picture; values outside [0, 1] are clipped. JPEG, which holds no transparency,
            shows it on white.
        path: .png, .jpg, .jpeg, .webp, .tif, .tiff, .avif; .heic and .jxl where the installed
            libvips writes them.
        bits: bits per channel; 16 for PNG and TIFF only. None: those of `bitmap` where the format
            holds them, else 8.
        quality: 1 to 100, for JPEG, WebP, AVIF, HEIC and JPEG XL; PNG and TIFF lose nothing.
        overwrite: replace a file that exists.
        settings: record to store in the picture, which `read_image` returns as `Bitmap.settings`;
            must be JSON. None: that of `bitmap`.
        dpi: print resolution in pixels per inch. None: that of `bitmap`.

    Raises:
        OptionError: bits, quality, dpi or settings cannot be used.
        OutputError: the file exists, its folder does not or may not be written, the extension is
            unknown, the picture is too large for the format, or the disk is full.
    """
    check_output(path, bits=bits, overwrite=overwrite)
    data = _encode(
        bitmap, _writer_for(path), bits, quality, settings, dpi, _one_line(os.fspath(path))
    )
    _write_whole(path, data, overwrite)


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
    writer = _known_writer(f".{format}")
    if writer is None:
        known = (key for key, writer in _WRITERS.items() if _can_write(writer))
        raise OptionError(f"format: {format!r} cannot be written; use one of {', '.join(known)}")
    return _encode(bitmap, writer, bits, quality, settings, dpi, f"the {writer.title} picture")


def check_output(
    path: str | os.PathLike[str], *, bits: Literal[8, 16] | None = None, overwrite: bool = False
) -> None:
    """Raise what `write_image` would raise for this path, before hours are spent on the picture.

    Raises:
        OptionError: the format does not hold `bits`.
        OutputError: the file exists, its folder does not or may not be written, or the extension
            is unknown.
    """
    writer, name = _writer_for(path), _one_line(os.fspath(path))
    _check_bits(writer, bits)
    target = Path(path)
    try:
        if target.is_dir():
            raise OutputError(f"{name}: is a folder; name a file inside it")
        if not overwrite and (target.exists() or target.is_symlink()):
            raise _exists_error(name)
    except (OSError, ValueError) as error:
        raise _output_error(name, error) from error
    folder = Path(os.path.realpath(path)).parent
    shown = _one_line(str(folder))
    if not folder.is_dir():
        raise OutputError(f"{name}: the folder {shown} does not exist; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{name}: the folder {shown} may not be written; choose another one")


def _writer_for(path: str | os.PathLike[str]) -> _Writer:
    extension = Path(path).suffix
    writer = _known_writer(extension)
    if writer is None:
        fault = (
            f"{_one_line(extension)} files cannot be written" if extension else "has no extension"
        )
        known = (e for w in _WRITERS.values() if _can_write(w) for e in w.extensions)
        raise OutputError(f"{_one_line(os.fspath(path))}: {fault}; use one of {', '.join(known)}")
    return writer


def _known_writer(extension: str) -> _Writer | None:
    for writer in _WRITERS.values():
        if extension.lower() in writer.extensions and _can_write(writer):
            return writer
    return None


@functools.cache
def _can_write(writer: _Writer) -> bool:
    # Whether an encoder is built in shows only when it is used (HEIC without HEVC, for one).
    try:
        black = _vips_from_array(np.zeros((8, 8, 3), np.uint8))
        pyvips.Operation.call(writer.operation, black, **writer.options)
    except pyvips.Error:
        return False
    return True


def _check_bits(writer: _Writer, bits: int | None) -> None:
    if bits not in (None, 8, 16):
        raise OptionError(f"--bits {bits}: not possible; use 8 or 16")
    if bits == 16 and not writer.sixteen_bits:
        raise OptionError(f"--bits 16: {writer.title} is written with 8; use .png or .tiff")


def _encode(
    bitmap: Bitmap,
    writer: _Writer,
    bits: int | None,
    quality: int,
    settings: Mapping[str, Any] | None,
    dpi: float | None,
    name: str,
) -> bytes:
    _check_bits(writer, bits)
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
    image = _vips_from_array(_quantise(bitmap, bits, name, keep_alpha=writer.alpha))
    _set_blob(image, "icc-profile-data", _srgb_profile())
    keep = _KEEP_ICC
    if settings is not None:
        _set_blob(image, "xmp-data", _settings_to_xmp(settings))
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
            f"{name}: libvips cannot encode it{_detail(error)}; try another format"
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


def _write_whole(path: str | os.PathLike[str], data: bytes, overwrite: bool) -> None:
    """Write through a temporary file in the same folder, so that no half file ever has the name."""
    name = _one_line(os.fspath(path))
    # A link stays a link: what it points to is replaced.
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".impasto-{secrets.token_hex(8)}.part")
    try:
        try:
            # Mode x, unlike mkstemp, gives the file the permissions of the user's umask.
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if overwrite:
                temporary.replace(target)
            else:
                _move_to_free_name(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError as error:
        raise _exists_error(name) from error
    except OSError as error:
        raise _output_error(name, error) from error


def _move_to_free_name(temporary: Path, target: Path) -> None:
    try:
        # Unlike a rename, linking fails if another program has just created the file.
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:
        # File systems without hard links (FAT, some network shares).
        if target.exists():
            raise FileExistsError(target) from None
        temporary.replace(target)


def _exists_error(name: str) -> OutputError:
    return OutputError(f"{name}: exists already; choose another name, or use --overwrite")


def _output_error(name: str, error: OSError | ValueError) -> OutputError:
    code = error.errno if isinstance(error, OSError) else None
    fault = {
        errno.ENOSPC: "the disk is full; free some space",
        errno.EDQUOT: "the disk quota is used up; free some space",
        errno.EACCES: "its folder may not be written; choose another one",
        errno.EPERM: "its folder may not be written; choose another one",
        errno.EROFS: "its disk is read-only; choose another one",
        errno.ENOENT: "its folder does not exist; create it first",
        errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    }.get(code or 0)
    if fault is None:
        reason = _one_line(str(getattr(error, "strerror", None) or error))
        fault = f"cannot be written ({reason}); choose another name or folder"
    return OutputError(f"{name}: {fault}")
