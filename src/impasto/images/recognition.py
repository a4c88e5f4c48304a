"""Tells what a file is by its first bytes, never by its name.

Vector formats, documents and everything else that is no picture file known here are refused before
any of their contents is interpreted.
"""

import codecs

import pyvips

from impasto.errors import HeicError, ImageError

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

READ_HINT = "give a JPEG, PNG, WebP, TIFF, AVIF or GIF picture"
SNIFF_BYTES = 512


def recognise(head: bytes, name: str) -> tuple[str, str]:
    """Title and libvips operation of the format whose first bytes are `head`.

    Raises:
        ImageError: the file is empty or of a format that is not read here.
    """
    if not head:
        raise ImageError(f"{name}: is empty (0 bytes); {READ_HINT}")
    title, operation = _format_of(head)
    if not operation:
        raise ImageError(f"{name}: is {title}, which cannot be read; {READ_HINT}")
    if not pyvips.type_find("VipsOperation", operation):
        raise ImageError(
            f"{name}: the installed libvips cannot read {title}; save it as PNG or JPEG first"
        )
    return title, operation


def undecodable(name: str, title: str, why: str) -> ImageError:
    """What to raise where a picture of a known format cannot be decoded.

    Args:
        name: what to call the picture.
        title: of its format.
        why: what libvips says, in brackets, or nothing.
    """
    if title == "HEIC":
        return HeicError(
            f"{name}: HEIC picture cannot be read{why}; few builds of libvips decode HEVC: save it "
            "as JPEG first"
        )
    return ImageError(
        f"{name}: {title} picture is damaged, cut short or of an unsupported kind{why}; open it in "
        "another program and save it again"
    )


def is_picture(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a format that is read here."""
    return bool(_format_of(head[:SNIFF_BYTES])[1])


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
