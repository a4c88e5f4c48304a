"""Odd and broken picture files, made by Pillow and by hand, each with what must come of it."""

import functools
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

Array = NDArray[Any]


class Odd(NamedTuple):
    """One file: the right pixels `(H, W, 3|4)` in [0, 1], or a word of the refusal."""

    name: str
    data: bytes
    expected: Array | str
    tolerance: float = 1e-6


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    """The bytes that Pillow writes."""
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def smooth(width: int = 24, height: int = 16) -> Array:
    """A soft uint8 RGB picture whose three channels and four corners all differ."""
    y, x = np.mgrid[0:height, 0:width]
    u, v = x / max(width - 1, 1), y / max(height - 1, 1)
    return (np.stack([u, v, 1 - u * v], axis=2) * 255).round().astype(np.uint8)


def translucent(width: int = 24, height: int = 16) -> Image.Image:
    """`smooth` in RGBA, less opaque towards the left, wholly transparent at the edge."""
    pixels = smooth(width, height)
    return Image.fromarray(np.concatenate([pixels, pixels[:, :, :1]], axis=2))


def decoded(data: bytes, mode: str = "RGB") -> Array:
    """Pillow's reading of a file, in [0, 1]."""
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode)) / 255


# --- formats written by hand -------------------------------------------------------------------


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk with its length and checksum (PNG specification, section 5.3)."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int,
    height: int,
    bits: int,
    color_type: int,
    rows: bytes,
    *,
    interlace: int = 0,
    extra: bytes = b"",
) -> bytes:
    """A PNG around the given scan lines."""
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, interlace)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def png_rows(pixels: Array) -> bytes:
    """The scan lines of `(H, W, B)` samples, without prediction."""
    big_endian = pixels.astype(pixels.dtype.newbyteorder(">"))
    return b"".join(b"\0" + row.tobytes() for row in big_endian)


def adam7(pixels: Array) -> bytes:
    """Interlaced rows (PNG specification, section 8.2): x and y origin, x and y step."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
    parts = [pixels[y0::dy, x0::dx] for x0, y0, dx, dy in (*passes, (0, 1, 1, 2))]
    return b"".join(png_rows(part) for part in parts if part.size)


def tiff(
    pixels: Array,
    *,
    order: Literal["<", ">"] = "<",
    photometric: int = 2,
    extra: tuple[tuple[int, int, tuple[int, ...]], ...] = (),
    next_ifd: int = 0,
    planar: bool = False,
) -> bytes:
    """An uncompressed one-strip TIFF (TIFF 6.0, section 2) of `(H, W, B)` samples."""
    height, width, bands = pixels.shape
    samples = pixels.astype(pixels.dtype.newbyteorder(order))
    planes = [samples[:, :, b].tobytes() for b in range(bands)] if planar else [samples.tobytes()]
    offsets = [8 + sum(map(len, planes[:i])) for i in range(len(planes))]
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    entries = [
        (256, 3, (width,)),
        (257, 3, (height,)),
        (258, 3, (pixels.dtype.itemsize * 8,) * bands),
        (259, 3, (1,)),
        (262, 3, (photometric,)),
        (273, 4, tuple(offsets)),
        (277, 3, (bands,)),
        (278, 3, (height,)),
        (279, 4, tuple(map(len, planes))),
        (284, 3, (2 if planar else 1,)),
        (339, 3, (kind,) * bands),
        *extra,
    ]
    body = b"".join(planes)
    body += b"\0" * (len(body) % 2)
    fields, overflow = b"", b""
    ifd_at = 8 + len(body)
    overflow_at = ifd_at + 2 + 12 * len(entries) + 4
    for tag, field_type, values in sorted(entries):
        packed = struct.pack(order + {3: "H", 4: "I"}[field_type] * len(values), *values)
        if len(packed) > 4:
            packed, overflow = (
                struct.pack(order + "I", overflow_at + len(overflow)),
                overflow + packed,
            )
        fields += struct.pack(order + "HHI", tag, field_type, len(values)) + packed.ljust(4, b"\0")
    mark = b"II" if order == "<" else b"MM"
    return (
        mark
        + struct.pack(order + "HI", 42, ifd_at)
        + body
        + struct.pack(order + "H", len(entries))
        + fields
        + struct.pack(order + "I", ifd_at if next_ifd < 0 else next_ifd)
        + overflow
    )


# --- colour profiles, from their definitions ---------------------------------------------------

D50 = np.array([0.9642, 1.0, 0.8249])  # ICC.1:2022, section 7.2.16
D65 = np.array([0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290])
SRGB_PRIMARIES = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
P3_PRIMARIES = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))


def colorants(primaries: tuple[tuple[float, float], ...]) -> Array:
    """Linear RGB of a D65 display to XYZ under D50, adapted after Bradford."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    to_d65 = xyz * np.linalg.solve(xyz, D65)
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    gain = np.diag((bradford @ D50) / (bradford @ D65))
    return np.linalg.inv(bradford) @ gain @ bradford @ to_d65


def srgb_curve(linear: Array) -> Array:
    """Linear light to sRGB (IEC 61966-2-1), clipped."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def icc_profile(space: bytes, gamma: float, matrix: Array | None = None) -> bytes:
    """A version 2 display profile, matrix/TRC or grey (ICC.1:2001-04)."""

    def xyz(values: Array) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))

    name = b"test\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(4 + 4 + 2 + 1 + 67)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    tags = {b"desc": description, b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz(D50)}
    if matrix is None:
        tags[b"kTRC"] = curve
    else:
        for letter, column in zip((b"r", b"g", b"b"), matrix.T, strict=True):
            tags[letter + b"XYZ"] = xyz(column)
            tags[letter + b"TRC"] = curve
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        table += signature + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4sI4s4s4s", 128 + len(table) + len(body), b"", 0x02400000, b"mntr", space, b"XYZ "
    )
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + table + body


P3_PROFILE = icc_profile(b"RGB ", 2.2, colorants(P3_PRIMARIES))
LINEAR_GRAY_PROFILE = icc_profile(b"GRAY", 1.0)


def p3_to_srgb(pixels: Array) -> Array:
    """`P3_PROFILE` to sRGB in closed form; pixels in [0, 1], colours last."""
    gamma = round(2.2 * 256) / 256
    to_srgb = np.linalg.solve(colorants(SRGB_PRIMARIES), colorants(P3_PRIMARIES))
    return srgb_curve(pixels**gamma @ to_srgb.T)


# --- the corpus --------------------------------------------------------------------------------


def _pngs() -> Iterator[Odd]:
    rgb = smooth()
    image = Image.fromarray(rgb)
    right = rgb / 255
    height, width = rgb.shape[:2]
    rgb16 = (np.random.default_rng(1).random((5, 7, 3)) * 65535).astype(np.uint16)
    yield Odd("plain.png", encode(image, "PNG"), right)
    for bits in (1, 2, 4, 8):
        data = encode(image.quantize(2**bits), "PNG", bits=bits)
        yield Odd(f"palette {bits} bit.png", data, decoded(data))
    data = encode(image.quantize(8), "PNG", transparency=bytes([0, 64, 128, 200]))
    yield Odd("palette with alpha.png", data, decoded(data, "RGBA"))
    data = encode(image, "PNG", transparency=tuple(int(v) for v in rgb[3, 5]))
    yield Odd("one colour transparent.png", data, decoded(data, "RGBA"))
    data = encode(image.convert("L"), "PNG", transparency=int(np.asarray(image.convert("L"))[3, 5]))
    yield Odd("one grey transparent.png", data, decoded(data, "RGBA"))
    data = encode(image.convert("1"), "PNG")
    yield Odd("1 bit.png", data, decoded(data))
    data = encode(translucent().convert("LA"), "PNG")
    yield Odd("grey alpha.png", data, decoded(data, "RGBA"))
    gray16 = rgb16[:, :, 0]
    yield Odd("grey 16 bit.png", encode(Image.fromarray(gray16), "PNG"), _gray(gray16 / 65535))
    yield Odd("16 bit.png", png(7, 5, 16, 2, png_rows(rgb16)), rgb16 / 65535)
    rgba16 = np.concatenate([rgb16, rgb16[:, :, :1]], axis=2)
    yield Odd("16 bit alpha.png", png(7, 5, 16, 6, png_rows(rgba16)), rgba16 / 65535)
    yield Odd("interlaced.png", png(width, height, 8, 2, adam7(rgb), interlace=1), right)
    gamma = png_chunk(b"gAMA", struct.pack(">I", 45455))
    yield Odd("gamma.png", png(width, height, 8, 2, png_rows(rgb), extra=gamma), right)
    unknown = png_chunk(b"quUx", b"whatever")
    yield Odd("unknown chunk.png", png(width, height, 8, 2, png_rows(rgb), extra=unknown), right)
    data = encode(image, "PNG", save_all=True, append_images=[Image.new("RGB", image.size, "red")])
    yield Odd("animated.apng", data, right)
    for size in ((1, 1), (9, 9), (1, 2000), (2000, 1)):
        pixels = smooth(*size)
        yield Odd("{}x{}.png".format(*size), encode(Image.fromarray(pixels), "PNG"), pixels / 255)
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * 5000, zip=True)
    yield Odd("long comment.png", encode(image, "PNG", pnginfo=info), right)
    yield Odd("rubbish after the end.png", encode(image, "PNG") + b"rubbish" * 100, right)
    p3 = encode(image, "PNG", icc_profile=P3_PROFILE)
    yield Odd("Display P3.png", p3, p3_to_srgb(right), 1 / 255)
    data = png(7, 5, 16, 2, png_rows(rgb16), extra=_iccp(P3_PROFILE))
    yield Odd("Display P3 16 bit.png", data, p3_to_srgb(rgb16 / 65535), 1 / 255)
    yield Odd("broken profile.png", encode(image, "PNG", icc_profile=b"nonsense" * 30), right)
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    data = encode(Image.fromarray(gray), "PNG", icc_profile=LINEAR_GRAY_PROFILE)
    yield Odd("linear grey.png", data, _gray(srgb_curve(gray / 255)), 2e-3)
    data = encode(Image.fromarray(gray), "PNG", icc_profile=P3_PROFILE)
    yield Odd("grey with an RGB profile.png", data, _gray(gray / 255))

    good = encode(image, "PNG")
    at = good.index(b"IDAT")
    length = struct.unpack(">I", good[at - 4 : at])[0]
    yield Odd("bad checksum.png", _flip(good, at + 4 + length), "damaged")
    yield Odd("bad data.png", _flip(good, at + 4 + length // 2), "damaged")
    yield Odd("bomb.png", png(60000, 60000, 8, 2, b""), "--max-pixels")
    yield Odd("zero width.png", png(0, 5, 8, 2, b""), "damaged")
    yield Odd("header only.png", good[:33], "damaged")
    yield Odd("signature only.png", good[:8], "damaged")


def _jpegs() -> Iterator[Odd]:
    image = Image.fromarray(smooth())
    for name, options in {
        "plain": {},
        "progressive": {"progressive": True},
        "full chroma": {"subsampling": 0},
        "restart markers": {"restart_marker_rows": 1},
    }.items():
        data = encode(image, "JPEG", quality=90, **options)
        yield Odd(f"{name}.jpg", data, decoded(data), 6 / 255)
    gray = encode(image.convert("L"), "JPEG", quality=95)
    yield Odd("grey.jpg", gray, decoded(gray), 2 / 255)
    data = encode(image.convert("L"), "JPEG", quality=95, icc_profile=LINEAR_GRAY_PROFILE)
    yield Odd("grey with profile.jpg", data, srgb_curve(decoded(data)), 0.02)
    data = encode(image, "JPEG", quality=95, icc_profile=P3_PROFILE)
    yield Odd("Display P3.jpg", data, p3_to_srgb(decoded(data)), 8 / 255)
    data = encode(image, "JPEG")
    yield Odd("rubbish after the end.jpg", data + b"rubbish" * 100, decoded(data), 6 / 255)
    yield Odd("start only.jpg", data[:3], "damaged")
    yield Odd("without scan.jpg", data[: data.index(b"\xff\xda")], "damaged")
    frame = data.index(b"\xff\xc0") + 5
    huge = data[:frame] + struct.pack(">HH", 60000, 60000) + data[frame + 4 :]
    yield Odd("bomb.jpg", huge, "--max-pixels")


def _tiffs() -> Iterator[Odd]:
    rgb = smooth()
    image = Image.fromarray(rgb)
    right = rgb / 255
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        data = encode(image, "TIFF", compression=compression)
        yield Odd(f"{compression}.tif", data, right)
    data = encode(image, "TIFF", save_all=True, append_images=[Image.new("RGB", (5, 5), "red")])
    yield Odd("two pages.tif", data, right)
    tiled = encode(image, "TIFF", tiffinfo={322: 16, 323: 16}, compression="tiff_lzw")
    yield Odd("tiled.tif", tiled, right)
    yield Odd("big-endian.tif", tiff(rgb, order=">"), right)
    yield Odd("planar.tif", tiff(rgb, planar=True), right)
    for mode in ("1", "P", "L", "RGBA", "LA"):
        data = encode(translucent().convert(mode), "TIFF")
        yield Odd(f"{mode}.tif", data, decoded(data, "RGBA" if "A" in mode else "RGB"))
    inverted = tiff(255 - rgb[:, :, :1], photometric=0)
    yield Odd("white is zero.tif", inverted, _gray(rgb[:, :, 0] / 255))
    wide = (right * 65535).astype(np.uint16)
    yield Odd("16 bit.tif", tiff(wide), wide / 65535)
    yield Odd("16 bit big-endian.tif", tiff(wide, order=">"), wide / 65535)
    yield Odd("32 bit.tif", tiff((right * (2**32 - 1)).astype(np.uint32)), right)
    yield Odd("float.tif", tiff(right.astype(np.float32)), right)
    yield Odd("double.tif", tiff(right), "unsupported")
    gray = right[:, :, 0].astype(np.float32)
    yield Odd("grey float.tif", encode(Image.fromarray(gray), "TIFF"), _gray(gray))
    yield Odd(
        "slightly over.tif", tiff(right.astype(np.float32) * 1.05), np.minimum(right * 1.05, 1)
    )
    # Associated alpha: the stored colours are multiplied by it and must come out divided.
    alpha = np.linspace(0.2, 1, rgb.shape[1])[None, :, None] * np.ones((rgb.shape[0], 1, 1))
    premultiplied = np.concatenate([right * alpha, alpha], axis=2)
    data = tiff((premultiplied * 255).round().astype(np.uint8), extra=((338, 3, (1,)),))
    yield Odd("associated alpha.tif", data, np.concatenate([right, alpha], axis=2), 0.02)
    nan = right.astype(np.float32)
    nan[2, 2] = np.nan
    yield Odd("NaN.tif", tiff(nan), "NaN")
    yield Odd("infinite.tif", tiff(np.where(np.isnan(nan), np.float32(np.inf), nan)), "infinite")
    yield Odd("float to 255.tif", tiff(rgb.astype(np.float32)), "scale them")
    yield Odd("signed.tif", tiff(rgb.astype(np.int16)), "samples")
    yield Odd("cyclic.tif", tiff(rgb, next_ifd=-1), right)
    yield Odd("directory outside.tif", b"II*\0" + struct.pack("<I", 9999), "damaged")
    yield Odd("directory at itself.tif", b"II*\0" + struct.pack("<I", 0), "damaged")
    good = tiff(rgb)
    bomb = good.replace(
        struct.pack("<HHIHH", 256, 3, 1, 24, 0), struct.pack("<HHII", 256, 4, 1, 10**6)
    )
    bomb = bomb.replace(
        struct.pack("<HHIHH", 257, 3, 1, 16, 0), struct.pack("<HHII", 257, 4, 1, 10**6)
    )
    yield Odd("bomb.tif", bomb, "--max-pixels")


def _others() -> Iterator[Odd]:
    rgb = smooth()
    image = Image.fromarray(rgb)
    right = rgb / 255
    red = Image.new("RGB", image.size, "red")
    yield Odd("lossless.webp", encode(image, "WEBP", lossless=True), right)
    data = encode(image, "WEBP", quality=90)
    yield Odd("lossy.webp", data, decoded(data), 12 / 255)
    data = encode(translucent(), "WEBP", lossless=True, exact=True)
    yield Odd("alpha.webp", data, np.asarray(translucent()) / 255)
    data = encode(image, "WEBP", save_all=True, append_images=[red], lossless=True)
    yield Odd("animated.webp", data, right)
    data = encode(image, "GIF")
    yield Odd("plain.gif", data, decoded(data))
    data = encode(image, "GIF", save_all=True, append_images=[red])
    yield Odd("animated.gif", data, decoded(data))
    data = encode(image.quantize(8), "GIF", transparency=0)
    shown = decoded(data, "RGBA")
    yield Odd("transparent.gif", data, shown * shown[:, :, 3:])
    data = encode(image, "AVIF", quality=95, subsampling="4:4:4")
    yield Odd("plain.avif", data, decoded(data), 3 / 255)
    data = encode(translucent(), "AVIF", quality=95, subsampling="4:4:4")
    yield Odd("alpha.avif", data, decoded(data, "RGBA"), 3 / 255)
    yield Odd("PNG inside.jpg", encode(image, "PNG"), right)
    yield Odd("WebP inside.png", encode(image, "WEBP", lossless=True), right)
    yield Odd("no extension", encode(image, "PNG"), right)
    for name in (
        "[page=1].png",
        "a b.png",
        "été ☃.png",
        "new\nline.png",
        "-leading.png",
        "%s{}.png",
    ):
        yield Odd(name, encode(image, "PNG"), right)


def _not_pictures() -> Iterator[Odd]:
    image = Image.fromarray(smooth())
    rubbish = np.random.default_rng(2).bytes(3000)
    for name, data, word in (
        ("empty.png", b"", "empty"),
        ("one byte.png", b"\x89", "unknown format"),
        ("random.png", b"\x01" + rubbish, "unknown format"),
        ("PNG then random.png", b"\x89PNG\r\n\x1a\n" + rubbish, "damaged"),
        ("JPEG then random.jpg", b"\xff\xd8\xff" + rubbish, "damaged"),
        ("TIFF then random.tif", b"II*\0" + rubbish, "damaged"),
        ("GIF then random.gif", b"GIF89a" + rubbish, ""),
        ("WebP then random.webp", b"RIFF\0\1\0\0WEBP" + rubbish, "damaged"),
        ("AVIF then random.avif", b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + rubbish, "damaged"),
        ("text.png", b"hello there\n" * 9, "text file"),
        ("page.png", b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        ("drawing.png", b"<?xml version='1.0'?><svg width='9' height='9'/>", "SVG"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        ("document.png", b"%PDF-1.7\n\xe2\xe3", "PDF"),
        ("archive.png", b"PK\x03\x04\x14\0", "ZIP"),
        ("program.png", b"\x7fELF\x02\x01\x01\0", "program"),
        ("photoshop.png", b"8BPS\0\x01", "Photoshop"),
        ("bitmap.bmp", encode(image, "BMP"), "BMP"),
        ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60), "HEIC"),
        ("headless.jxl", b"\xff\x0a" + bytes(9), "JPEG XL"),
        ("old.jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60), "JPEG 2000"),
        ("cut.ppm", b"P6\n9 9\n255\n", "PPM"),
        ("video.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(60), "unknown format"),
        ("vips.png", b"\xb6\xa6\xf2\x08" + bytes(80), "unknown format"),
        ("matrix.png", b"3 3\n1 2 3\n4 5 6\n7 8 9\n", "text file"),
    ):
        yield Odd(name, data, word)


def _gray(plane: Array) -> Array:
    return np.repeat(plane[:, :, None], 3, axis=2)


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _iccp(profile: bytes) -> bytes:
    return png_chunk(b"iCCP", b"test\0\0" + zlib.compress(profile))


@functools.cache
def corpus() -> tuple[Odd, ...]:
    """Every file; written anew in each test run, so that none lies in the repository."""
    families: tuple[Callable[[], Iterator[Odd]], ...] = (
        _pngs,
        _jpegs,
        _tiffs,
        _others,
        _not_pictures,
    )
    return tuple(odd for family in families for odd in family())


def odd_jpegs() -> dict[str, bytes]:
    """What each is → a JPEG that every viewer shows whole, though a decoder may warn of it."""
    plain = encoded_soft()
    table = plain.index(b"\xff\xdb")  # quantisation, behind the JFIF header

    def with_segment(marker: int, contents: bytes) -> bytes:
        head = bytes([0xFF, marker]) + (len(contents) + 2).to_bytes(2, "big")
        return plain[:2] + head + contents + plain[2:]

    revision = bytearray(plain)
    revision[plain.index(b"JFIF\0") + 5] = 3
    return {
        "bytes before a marker": plain[:table] + b"\0\1\2abc" + plain[table:],
        "fill before a marker": plain[:table] + b"\xff" * 5 + plain[table:],
        "bytes before the end": plain[:-2] + b"abc" * 5 + plain[-2:],
        "bytes after the end": plain + b"JUNK" * 100,
        "another picture after the end": plain + plain,
        "an unknown revision of JFIF": bytes(revision),
        "a strange Adobe marker": with_segment(0xEE, b"Adobe\0\x64\0\0\0\0\7"),
        "damaged EXIF": with_segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\5\0" + b"\xff" * 20),
        "a damaged profile": with_segment(0xE2, b"ICC_PROFILE\0\2\5garbage"),
        "restart markers": encoded_soft(restart_marker_blocks=10),
        "progressive": encoded_soft(progressive=True),
    }


def lossy_jpegs() -> dict[str, bytes]:
    """What each is → a JPEG that lost some of its contents."""

    def spoilt(data: bytes) -> bytes:
        middle = len(data) // 2
        # A restart marker that belongs nowhere ends the data (ITU-T T.81, annex F).
        return data[:middle] + b"\xff\xd0".ljust(60, b"\0") + data[middle + 60 :]

    plain = encoded_soft()
    progressive = encoded_soft(progressive=True)
    return {
        "overwritten in the middle": spoilt(plain),
        "overwritten between restart markers": spoilt(encoded_soft(restart_marker_blocks=10)),
        "cut short": plain[: len(plain) * 2 // 3],
        "progressive and cut short": progressive[: len(progressive) * 2 // 3],
    }


def encoded_soft(**options: Any) -> bytes:
    """A soft picture of 320 × 240 px as JPEG."""
    small = np.random.default_rng(0).integers(0, 255, (12, 16, 3)).astype(np.uint8)
    picture = Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC)
    return encode(picture, "JPEG", quality=90, **options)
