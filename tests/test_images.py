"""Pictures in and out, against Pillow, NumPy, closed forms and files written by hand."""

import errno
import io
import os
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from impasto.errors import ImageError, OptionError, OutputError
from impasto.images import (
    MAX_SETTINGS_BYTES,
    Bitmap,
    check_output,
    encode_image,
    fit_within,
    read_image,
    resize_image,
    write_image,
)
from odd_images import (
    LINEAR_GRAY_PROFILE,
    P3_PROFILE,
    Odd,
    corpus,
    encode,
    p3_to_srgb,
    png_chunk,
    smooth,
    translucent,
)

FORMATS = ("png", "jpeg", "webp", "tiff", "avif")
RIGHT = smooth() / 255


def shown(bitmap: Bitmap) -> np.ndarray:
    """The pixels as `(H, W, 3)`, or `(H, W, 4)` with alpha, the way Pillow has them."""
    planes = bitmap.pixels if bitmap.alpha is None else [*bitmap.pixels, bitmap.alpha]
    return np.stack(list(planes), axis=2)


def bitmap_of(pixels: np.ndarray, **fields: Any) -> Bitmap:
    """A `Bitmap` from `(H, W, 3|4)` floats."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)
    return Bitmap(planes[:3], planes[3] if len(planes) == 4 else None, **fields)


def one_line(error: pytest.ExceptionInfo[BaseException], name: str) -> str:
    """The message, after checking that it is one line and names the file."""
    message = str(error.value)
    assert message.isprintable()
    assert message.startswith(name)
    return message


# --- the corpus --------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", corpus(), ids=lambda odd: ascii(odd.name))
def test_odd_file_is_right_or_refused(odd: Odd, tmp_path: Path) -> None:
    """Each odd file gives the pixels an independent reader finds, or one line that says why not."""
    path = tmp_path / odd.name
    path.write_bytes(odd.data)
    if isinstance(odd.expected, str):
        with pytest.raises(ImageError) as error:
            read_image(path)
        assert odd.expected in one_line(error, str(path).replace("\n", "\\n"))
        return
    bitmap = read_image(path)
    got = shown(bitmap)
    assert got.dtype == np.float32
    assert got.shape == odd.expected.shape
    np.testing.assert_allclose(got, odd.expected, atol=odd.tolerance)
    np.testing.assert_array_equal(got, shown(read_image(odd.data)))


def test_corpus_covers_sixty_files() -> None:
    """The corpus stays as broad as promised, each file under its own name."""
    assert len({odd.name for odd in corpus()}) >= 60


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "GIF"])
def test_truncated_file_is_never_half_read(format: str) -> None:
    """A file cut anywhere is refused, or lost only its trailer and gives the whole picture."""
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(Image.fromarray(smooth()), format, **options)
    whole = read_image(data).pixels
    for cut in {*range(0, len(data), max(1, len(data) // 25)), *range(len(data) - 6, len(data))}:
        try:
            pixels = read_image(data[:cut], name="cut").pixels
        except ImageError:
            continue
        np.testing.assert_array_equal(pixels, whole)
    with pytest.raises(ImageError):
        read_image(data[: len(data) // 2])


@settings(max_examples=60, deadline=None)
@given(
    index=st.integers(0, len(corpus()) - 1),
    damage=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damaged_file_never_escapes_the_error(index: int, damage: list[tuple[float, int]]) -> None:
    """Whatever bytes are overwritten, the reader returns a picture or raises ImageError."""
    data = bytearray(corpus()[index].data)
    for place, value in damage:
        if data:
            data[int(place * (len(data) - 1))] = value
    try:
        bitmap, message = read_image(bytes(data), max_pixels=100_000), ""
    except ImageError as error:
        bitmap, message = None, str(error)
    assert message.isprintable()
    assert bitmap is None or (bitmap.pixels.min() >= 0 and bitmap.pixels.max() <= 1)


def test_nothing_reaches_stderr(tmp_path: Path) -> None:
    """Only decoders fit for untrusted files are used, and their warnings stay off the terminal."""
    for number, odd in enumerate(corpus()):
        (tmp_path / f"{number}").write_bytes(odd.data)
    code = (
        "import sys, pathlib\n"
        "from impasto.errors import ImageError\n"
        "from impasto.images import read_image\n"
        "good = 0\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    try: good += read_image(path).width > 0\n"
        "    except ImageError: pass\n"
        "print(good)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        check=False,
        env=os.environ | {"VIPS_BLOCK_UNTRUSTED": "1"},
    )
    good = sum(not isinstance(odd.expected, str) for odd in corpus())
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [b"%d" % good], b"")


# --- files that cannot be opened ---------------------------------------------------------------


def test_path_faults_are_told_apart(tmp_path: Path) -> None:
    """Missing file, folder, broken link and impossible names each get their own one line."""
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "nowhere.png")
    for path, word in (
        (tmp_path / "missing.png", "no such file"),
        (tmp_path, "folder"),
        (link, "no such file"),
        (tmp_path / "missing" / "a.png", "no such file"),
        (tmp_path / ("x" * 300 + ".png"), "cannot be opened"),
        (f"{tmp_path}/nul\0.png", "cannot be opened"),
    ):
        with pytest.raises(ImageError) as error:
            read_image(path)
        assert word in one_line(error, str(path).replace("\0", "\\x00"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    """A file without read permission is named as such."""
    path = tmp_path / "secret.png"
    path.write_bytes(encode(Image.fromarray(smooth()), "PNG"))
    path.chmod(0)
    with pytest.raises(ImageError) as error:
        read_image(path)
    assert "permissions" in one_line(error, str(path))


def test_undecodable_file_name(tmp_path: Path) -> None:
    """A name that is no UTF-8 can be read, and printed when the file is bad."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.png"))
    path.write_bytes(encode(Image.fromarray(smooth()), "PNG"))
    np.testing.assert_allclose(shown(read_image(path)), RIGHT, atol=1e-6)
    path.write_bytes(b"")
    with pytest.raises(ImageError) as error:
        read_image(path)
    str(error.value).encode("utf-8")


def test_pipe_is_read(tmp_path: Path) -> None:
    """A named pipe, which cannot be rewound, works like a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = encode(Image.fromarray(smooth()), "PNG")
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    np.testing.assert_allclose(shown(read_image(pipe)), RIGHT, atol=1e-6)
    writer.join()


def test_pixel_limit_can_be_raised() -> None:
    """The limit counts pixels before decoding, names itself, and gives way to the caller."""
    data = encode(Image.fromarray(smooth(30, 20)), "PNG")
    with pytest.raises(ImageError) as error:
        read_image(data, max_pixels=599, name="big.png")
    assert "--max-pixels 600" in one_line(error, "big.png")
    assert read_image(data, max_pixels=600).width == 30
    with pytest.raises(ImageError, match="--max-pixels"):
        read_image(np.zeros((30, 20)), max_pixels=599)
    with pytest.raises(ImageError, match="--max-pixels"):
        read_image(Image.new("L", (30, 20)), max_pixels=599)


# --- orientation, colour, metadata -------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation(format: str, orientation: int) -> None:
    """Every EXIF orientation comes out upright, like Pillow's exif_transpose, from file and PIL."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(Image.fromarray(smooth()), format, exif=exif, **options)
    image = Image.open(io.BytesIO(data))
    upright = np.asarray(ImageOps.exif_transpose(image)) / 255
    tolerance = 6 / 255 if format == "JPEG" else 1e-6
    np.testing.assert_allclose(shown(read_image(data)), upright, atol=tolerance)
    image = Image.open(io.BytesIO(data))
    if format != "TIFF":  # Pillow turns a TIFF when it loads it, and then says so in its EXIF
        np.testing.assert_allclose(shown(read_image(image)), upright, atol=1e-6)


def cmyk_picture() -> Image.Image:
    """Soft inks, each different."""
    inks = np.concatenate([smooth(), smooth()[::-1, :, :1] // 3], axis=2)
    return Image.frombytes("CMYK", (inks.shape[1], inks.shape[0]), inks.tobytes())


def test_cmyk_profile_is_applied() -> None:
    """CMYK with an embedded press profile matches Little CMS as Pillow drives it."""
    profile = bytes(pyvips.Operation.call("profile_load", "cmyk"))
    image = cmyk_picture()
    reference = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE,
    )
    assert reference is not None
    right = np.asarray(reference) / 255
    got = shown(read_image(encode(image, "TIFF", icc_profile=profile)))
    assert np.abs(got - right).mean() < 1 / 255
    np.testing.assert_allclose(got, right, atol=6 / 255)


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_jpeg_with_and_without_adobe_marker(adobe: bool) -> None:
    """Adobe's inverted CMYK JPEG and the plain kind both give the inks that Pillow finds."""
    data = encode(cmyk_picture(), "JPEG", quality=98)
    if not adobe:
        at = data.index(b"\xff\xee")
        data = data[:at] + data[at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0] :]
    right = shown(read_image(Image.open(io.BytesIO(data))))
    np.testing.assert_allclose(shown(read_image(data)), right, atol=4 / 255)


def test_cmyk_without_profile_looks_right() -> None:
    """Without a profile no ink is white, black ink is dark, and each ink has its hue."""
    inks = np.array(
        [[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255]]]
    )
    image = Image.frombytes("CMYK", (5, 1), inks.astype(np.uint8).tobytes())
    white, cyan, magenta, yellow, black = shown(read_image(encode(image, "TIFF")))[0]
    assert white.min() > 0.99
    assert black.max() < 0.25
    assert cyan[0] < 0.2 < 0.7 < cyan[2]
    assert magenta[1] < 0.2 < 0.8 < magenta[0]
    assert yellow[2] < 0.2 < 0.8 < yellow[1]


@pytest.mark.parametrize("format", ["JPEG", "TIFF", "WEBP", "AVIF"])
def test_wide_gamut_profile_in_every_format(format: str) -> None:
    """A Display P3 profile is honoured wherever a format keeps it."""
    image = Image.new("RGB", (16, 16), (200, 90, 60))
    options = {"lossless": True} if format == "WEBP" else {"quality": 98}
    if format == "TIFF":
        options = {}
    got = shown(read_image(encode(image, format, icc_profile=P3_PROFILE, **options)))
    right = p3_to_srgb(np.array([200, 90, 60]) / 255)
    np.testing.assert_allclose(got.mean(axis=(0, 1)), right, atol=4 / 255)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_profiles_of_srgb_keep_the_pixels_exact(mode: str) -> None:
    """A picture tagged with another maker's sRGB profile keeps its very codes."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = np.random.default_rng(5).integers(0, 256, (40, 40, 3), np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    data = encode(image, "PNG", icc_profile=profile)
    right = np.asarray(image.convert("RGB")) / 255
    np.testing.assert_allclose(shown(read_image(data)), right, atol=1e-6)


def test_profile_leaves_alpha_alone() -> None:
    """Colour conversion touches the colours only; alpha is not colour."""
    data = encode(translucent(), "PNG", icc_profile=P3_PROFILE)
    right = np.asarray(translucent()) / 255
    got = shown(read_image(data))
    np.testing.assert_allclose(got[:, :, 3], right[:, :, 3], atol=1e-6)
    np.testing.assert_allclose(got[:, :, :3], p3_to_srgb(right[:, :, :3]), atol=1 / 255)


@pytest.mark.parametrize(
    ("name", "bits"), [("plain.png", 8), ("16 bit.png", 16), ("float.tif", 16), ("1 bit.png", 8)]
)
def test_source_depth_is_reported(name: str, bits: int) -> None:
    """`bits` says whether the source was finer than 8 bits."""
    data = next(odd.data for odd in corpus() if odd.name == name)
    assert read_image(data).bits == bits


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_resolution_is_read(format: str) -> None:
    """The dpi that Pillow writes is read back; a file that states none, or 72, has none."""
    image = Image.fromarray(smooth())
    assert read_image(encode(image, format, dpi=(240, 240))).dpi == pytest.approx(240, abs=0.02)
    assert read_image(encode(image, format)).dpi is None
    assert read_image(encode(image, format, dpi=(72, 72))).dpi is None


# --- other sources -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "YCbCr", "HSV", "RGBa", "PA"])
def test_pil_image_of_each_mode(mode: str) -> None:
    """A PIL image gives what Pillow itself converts it to."""
    image = translucent().convert("RGBA")
    if mode == "PA":
        image = image.convert("RGB").convert("P").convert("PA")
    elif mode in ("RGBA", "RGBa", "LA"):
        image = image.convert(mode)
    else:
        image = image.convert("RGB").convert(mode)
    bitmap = read_image(image)
    right = image.convert("RGBA") if mode != "HSV" and mode != "YCbCr" else image.convert("RGB")
    got = shown(bitmap)
    np.testing.assert_allclose(got, np.asarray(right)[:, :, : got.shape[2]] / 255, atol=1e-6)
    assert (bitmap.alpha is not None) == (mode in ("RGBA", "RGBa", "LA"))


def test_pil_deep_modes_profile_and_damage() -> None:
    """16-bit, integer and float PIL images scale rightly; profiles count; a cut file is refused."""
    plane = np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
    deep = (plane * 65535).astype(np.uint16)
    for image in (
        Image.fromarray(plane),
        Image.fromarray(deep),
        Image.fromarray(deep.astype(np.int32)),
    ):
        bitmap = read_image(image)
        np.testing.assert_allclose(bitmap.pixels[1], plane, atol=2e-5)
        assert bitmap.bits == 16
    with pytest.raises(ImageError, match="65535"):
        read_image(Image.fromarray(deep.astype(np.int32) - 9))
    data = encode(Image.fromarray(smooth()), "PNG", icc_profile=P3_PROFILE)
    got = shown(read_image(Image.open(io.BytesIO(data))))
    np.testing.assert_allclose(got, p3_to_srgb(RIGHT), atol=1 / 255)
    with pytest.raises(ImageError, match="PIL"):
        read_image(Image.open(io.BytesIO(data[: len(data) * 9 // 10])))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_array_of_each_type(dtype: type, channels: int | None) -> None:
    """Arrays of every accepted type and shape keep their values on the scale of [0, 1]."""
    scale = {bool: 1, np.uint8: 255, np.uint16: 65535}.get(dtype, 1)
    shape = (4, 5) if channels is None else (4, 5, channels)
    values = (np.random.default_rng(0).random(shape) * scale).round(2 if scale == 1 else 0)
    array = (values > 0.5).astype(bool) if dtype is bool else values.astype(dtype)
    got = shown(read_image(array))
    right = array.astype(float).reshape(4, 5, -1) / scale
    np.testing.assert_allclose(
        got[:, :, :3], np.broadcast_to(right[:, :, :3], (4, 5, 3)), atol=1e-6
    )
    assert got.shape[2] == (4 if channels == 4 else 3)


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.zeros((3, 4, 5)), "shape"),
        (np.zeros((4,)), "shape"),
        (np.zeros((4, 5, 2)), "shape"),
        (np.zeros((0, 5, 3)), "no pixels"),
        (np.zeros((4, 5, 3), np.int64), "int64"),
        (np.full((4, 5, 3), 128.0), "scale them"),
        (np.full((4, 5, 3), -1.0), "scale them"),
        (np.full((4, 5), np.nan), "NaN"),
        (np.full((4, 5), -np.inf), "infinite"),
        (np.zeros((4, 5), complex), "complex"),
    ],
)
def test_unusable_array_is_refused(array: np.ndarray, word: str) -> None:
    """Arrays of a wrong shape, type or range are refused in one line with the remedy."""
    with pytest.raises(ImageError) as error:
        read_image(array, name="my array")
    assert word in one_line(error, "my array")


def test_other_sources() -> None:
    """A Bitmap passes through; a view into an array works; foreign objects are refused."""
    bitmap = bitmap_of(RIGHT)
    assert read_image(bitmap) is bitmap
    view = smooth()[::2, ::-1]
    np.testing.assert_allclose(shown(read_image(view)), view / 255, atol=1e-6)
    data = encode(Image.fromarray(smooth()), "PNG")
    np.testing.assert_allclose(shown(read_image(memoryview(data))), RIGHT, atol=1e-6)
    with pytest.raises(ImageError, match="int"):
        read_image(5)  # pyright: ignore[reportArgumentType]


def test_bitmap_checks_its_shapes() -> None:
    """A Bitmap of mismatched arrays cannot be made."""
    with pytest.raises(ImageError, match="shape"):
        Bitmap(np.zeros((4, 5, 3), np.float32))
    with pytest.raises(ImageError, match="alpha"):
        Bitmap(np.zeros((3, 4, 5), np.float32), np.zeros((5, 4), np.float32))


# --- resizing ----------------------------------------------------------------------------------


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**5), st.booleans())
def test_fit_within(width: int, height: int, long_side: int, enlarge: bool) -> None:
    """The longer side fits exactly, the shorter is the nearest whole number, never 0."""
    new = fit_within(width, height, long_side, enlarge=enlarge)
    if not enlarge and max(width, height) <= long_side:
        assert new == (width, height)
        return
    assert max(new) == long_side
    exact = min(width, height) * long_side / max(width, height)
    assert abs(min(new) - max(exact, 1)) <= 0.5 + 1e-6
    assert (width > height) <= (new[0] >= new[1])


def test_impossible_sizes_are_refused() -> None:
    """A side of 0 is an option error, not a crash in the image library."""
    for size in ((0, 5, 5), (5, 0, 5), (5, 5, 0), (5, 5, -1)):
        with pytest.raises(OptionError):
            fit_within(*size)
    with pytest.raises(OptionError):
        resize_image(bitmap_of(RIGHT), 0, 4)


@pytest.mark.parametrize("size", [(50, 40), (23, 31), (120, 90), (240, 200), (1, 1), (7, 200)])
def test_resizing_equals_pillow(size: tuple[int, int]) -> None:
    """Lanczos resampling agrees with Pillow's, both ways and with unequal factors."""
    rng = np.random.default_rng(4)
    plane = Image.fromarray(rng.random((9, 12), np.float32)).resize(
        (120, 90), Image.Resampling.BICUBIC
    )
    plane = np.clip(np.asarray(plane), 0.1, 0.9)
    right = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS))
    got = resize_image(bitmap_of(np.repeat(plane[:, :, None], 3, axis=2)), *size)
    assert (got.width, got.height) == size
    np.testing.assert_allclose(got.pixels[0], right, atol=1e-5)


def test_shrinking_does_not_alias() -> None:
    """A checkerboard finer than the new pixels becomes even grey instead of a moiré."""
    y, x = np.mgrid[0:200, 0:200]
    board = np.repeat(((x + y) % 2).astype(float)[:, :, None], 3, axis=2)
    got = resize_image(bitmap_of(board), 31, 37).pixels
    np.testing.assert_allclose(got[:, 3:-3, 3:-3], 0.5, atol=0.01)


def test_resizing_keeps_hidden_colors_hidden() -> None:
    """Colours under transparent areas do not bleed into the visible ones."""
    pixels = np.zeros((40, 40, 4))
    pixels[:, :20] = (0, 1, 0, 0)
    pixels[:, 20:] = (1, 0, 0, 1)
    for size in ((15, 15), (90, 90)):
        got = resize_image(bitmap_of(pixels), *size)
        assert got.alpha is not None
        visible = got.alpha > 0.02
        assert got.pixels[1][visible].max() < 1e-3
        np.testing.assert_allclose(got.pixels[0][visible], 1, atol=1e-3)


def test_resizing_extremes_and_fields() -> None:
    """Lines one pixel wide survive, values stay in [0, 1], and the other fields are kept."""
    for size, new in (
        ((1, 300), (1, 20)),
        ((300, 1), (20, 1)),
        ((1, 1), (33, 9)),
        ((9, 9), (1, 1)),
    ):
        bitmap = bitmap_of(smooth(*size) / 255, bits=16, dpi=300.0, settings={"a": 1})
        got = resize_image(bitmap, *new)
        assert (got.width, got.height) == new
        assert (got.bits, got.dpi, got.settings) == (16, 300, {"a": 1})
        assert got.pixels.min() >= 0
        assert got.pixels.max() <= 1
    assert resize_image(bitmap, 9, 9) is bitmap


# --- writing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("format", FORMATS)
def test_round_trip(format: str, bits: Any, alpha: bool, tmp_path: Path) -> None:
    """What is written in each format and depth is read back: pixels, alpha, dpi and settings."""
    pixels = np.asarray(translucent()) / 255 if alpha else RIGHT
    pixels = pixels * 0.999
    path = tmp_path / f"out.{format}"
    settings = {"style": "a <b> & 'c' ü\n", "weights": [1, 2.5, None], "n": {"x": True}}
    if bits == 16 and format not in ("png", "tiff"):
        with pytest.raises(OptionError, match="--bits 16"):
            write_image(bitmap_of(pixels), path, bits=bits)
        assert list(tmp_path.iterdir()) == []
        return
    write_image(bitmap_of(pixels), path, bits=bits, quality=97, settings=settings, dpi=300)
    got = read_image(path)
    if format == "jpeg" and alpha:
        pixels = pixels[:, :, :3] * pixels[:, :, 3:] + 1 - pixels[:, :, 3:]
    # WebP stores colour at half size.
    near = {"png": 0.5 / (2**bits - 1) + 1e-6, "webp": 0.1}
    near["tiff"] = near["png"]
    weight = pixels[:, :, 3:] if pixels.shape[2] == 4 else 1.0
    difference = np.abs(shown(got) - pixels)
    assert difference.shape == pixels.shape
    assert (difference[:, :, :3] * weight).max() <= near.get(format, 0.04)
    if pixels.shape[2] == 4:
        assert difference[:, :, 3].max() <= 0.01
    assert got.bits == bits
    assert got.dpi == pytest.approx(300, abs=0.02)
    assert got.settings == settings
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("format", FORMATS)
def test_pillow_reads_what_is_written(format: str) -> None:
    """Another program sees the same pixels, an sRGB profile and the same resolution."""
    image = Image.open(io.BytesIO(encode_image(bitmap_of(RIGHT), format, quality=97, dpi=150)))
    np.testing.assert_allclose(np.asarray(image) / 255, RIGHT, atol=0.06)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    if format in ("webp", "avif"):
        assert image.getexif()[0x011A] == 150
    else:
        assert image.info["dpi"][0] == pytest.approx(150, abs=0.02)


@pytest.mark.parametrize("format", FORMATS)
def test_same_input_gives_the_same_bytes(format: str) -> None:
    """Encoding holds no date, address or random number."""
    bitmap = bitmap_of(np.asarray(translucent()) / 255, dpi=300.0, settings={"b": 1, "a": 2})
    assert encode_image(bitmap, format) == encode_image(bitmap, format)


@pytest.mark.parametrize(("bits", "full_scale"), [(8, 255), (16, 65535)])
def test_rounding_is_to_nearest(bits: Any, full_scale: int) -> None:
    """Values round to the nearest code and are clipped outside [0, 1]."""
    values = np.array([-0.5, 0, 0.49, 0.51, 1.49, 1.51, full_scale - 0.51, full_scale - 0.49, 9e9])
    pixels = np.repeat((values / full_scale)[None, :, None], 3, axis=2)
    got = read_image(encode_image(bitmap_of(pixels), "png", bits=bits))
    codes = np.rint(got.pixels[0, 0].astype(float) * full_scale)
    top = full_scale
    np.testing.assert_array_equal(codes, [0, 0, 0, 1, 1, 2, top - 1, top, top])


def test_depth_follows_the_source() -> None:
    """Without `bits`, a 16-bit source stays 16-bit where the format can, and 8-bit elsewhere."""
    deep = bitmap_of(RIGHT, bits=16)
    assert read_image(encode_image(deep, "png")).bits == 16
    assert read_image(encode_image(deep, "tiff", bits=8)).bits == 8
    assert read_image(encode_image(deep, "jpeg")).bits == 8
    assert read_image(encode_image(bitmap_of(RIGHT), "png")).bits == 8


def test_bitmap_fields_are_written_unless_replaced() -> None:
    """Dpi and settings of the bitmap are kept; the arguments take precedence."""
    bitmap = bitmap_of(RIGHT, dpi=200.0, settings={"a": 1})
    kept = read_image(encode_image(bitmap, "png"))
    assert (kept.dpi, kept.settings) == (200, {"a": 1})
    replaced = read_image(encode_image(bitmap, "png", dpi=400, settings={"b": 2}))
    assert (replaced.dpi, replaced.settings) == (400, {"b": 2})


@pytest.mark.parametrize("extension", [".jpg", ".JPG", ".jpeg", ".tif", ".TIFF", ".Png"])
def test_extension_chooses_the_format(extension: str, tmp_path: Path) -> None:
    """Every spelling of an extension writes the format it names."""
    path = tmp_path / f"a.b[page=1] ü{extension}"
    write_image(bitmap_of(RIGHT), path)
    expected = {"j": "JPEG", "t": "TIFF", "p": "PNG"}[extension[1].lower()]
    assert Image.open(path).format == expected


def test_quality_changes_the_file() -> None:
    """A lower quality gives a smaller file, in each format that loses something."""
    rough = bitmap_of(np.random.default_rng(0).random((40, 40, 3)))
    for format in ("jpeg", "webp", "avif"):
        low, high = (len(encode_image(rough, format, quality=q)) for q in (30, 95))
        assert low < high


def test_settings_survive_other_programs() -> None:
    """A record rewritten as an XMP attribute is found; foreign and hostile packets are ignored."""
    namespaces = 'xmlns:i="impasto:ns:1.0/" xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    bomb = '<!DOCTYPE r [<!ENTITY a "aaaa">]>'
    for packet, found in (
        (f"<r:RDF {namespaces}><r:Description i:settings='{{\"a\": 1}}'/></r:RDF>", {"a": 1}),
        (f"<r:RDF {namespaces}><r:Description i:settings='[1]'/></r:RDF>", None),
        (f"<r:RDF {namespaces}><r:Description i:settings='{{'/></r:RDF>", None),
        (f"<r:RDF {namespaces}><i:settings>{'[' * 50000}</i:settings></r:RDF>", None),
        (f"<r:RDF {namespaces}/>", None),
        (f"{bomb}<r:RDF {namespaces}><i:settings>{{}}</i:settings></r:RDF>", None),
        ("not XML", None),
    ):
        text = b"XML:com.adobe.xmp\0\0\0\0\0" + packet.encode()
        data = encode(Image.fromarray(smooth()), "PNG")
        data = data[:33] + png_chunk(b"iTXt", text) + data[33:]
        assert read_image(data).settings == found
        assert read_image(Image.open(io.BytesIO(data))).settings == found


def test_unusable_options_are_refused(tmp_path: Path) -> None:
    """Bad bits, quality, dpi, settings and format are one-line errors; nothing is written."""
    bitmap, path = bitmap_of(RIGHT), tmp_path / "out.png"
    arguments: tuple[tuple[dict[str, Any], str], ...] = (
        ({"bits": 12}, "--bits 12"),
        ({"quality": 0}, "--quality 0"),
        ({"quality": 101}, "--quality 101"),
        ({"dpi": 0}, "--dpi 0"),
        ({"dpi": float("nan")}, "--dpi nan"),
        ({"settings": {"a": "x" * (MAX_SETTINGS_BYTES + 1)}}, "settings"),
    )
    for options, word in arguments:
        with pytest.raises(OptionError) as error:
            write_image(bitmap, path, **options)
        one_line(error, word)
    with pytest.raises(OptionError, match="'gif' cannot be written"):
        encode_image(bitmap, "gif")
    assert list(tmp_path.iterdir()) == []


def test_longest_settings_fit_every_format() -> None:
    """A record just within the limit comes back whole, JPEG's short packets included."""
    settings = {"a": "x" * (MAX_SETTINGS_BYTES - 400)}
    for format in FORMATS:
        assert (
            read_image(encode_image(bitmap_of(RIGHT), format, settings=settings)).settings
            == settings
        )


def test_impossible_outputs_are_refused(tmp_path: Path) -> None:
    """Existing file, folder, unknown extension, missing folder: one line each, nothing written."""
    bitmap = bitmap_of(RIGHT)
    (tmp_path / "there.png").write_bytes(b"mine")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    before = sorted(tmp_path.iterdir())
    for name, word in (
        ("there.png", "exists"),
        ("dangling.png", "exists"),
        ("folder.png", "folder"),
        ("out", "no extension"),
        ("out.gif", ".gif files cannot be written; use one of .png, .jpeg"),
        ("out.p\nng", "cannot be written"),
        ("missing/out.png", "does not exist"),
        ("there.png/out.png", "does not exist"),
        ("x" * 300 + ".png", "too long"),
    ):
        path = tmp_path / name
        for attempt in (
            lambda path=path: check_output(path),
            lambda path=path: write_image(bitmap, path),
        ):
            with pytest.raises(OutputError) as error:
                attempt()
            assert word in one_line(error, str(path).replace("\n", "\\n"))
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.png").read_bytes() == b"mine"


def test_overwriting_is_asked_for(tmp_path: Path) -> None:
    """With overwrite=True the file is replaced; through a link, what the link points to."""
    path, link = tmp_path / "a.png", tmp_path / "link.png"
    path.write_bytes(b"old")
    link.symlink_to(path)
    write_image(bitmap_of(RIGHT), link, overwrite=True)
    assert link.is_symlink()
    np.testing.assert_allclose(shown(read_image(path)), RIGHT, atol=0.5 / 255)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder_is_refused(tmp_path: Path) -> None:
    """A folder without write permission is named as such."""
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="may not be written"):
        write_image(bitmap_of(RIGHT), tmp_path / "out.png")


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space"), KeyboardInterrupt()])
def test_failed_write_leaves_nothing(
    fault: BaseException, existing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk or Ctrl-C during writing leaves no temporary file and the old file untouched."""
    path = tmp_path / "out.png"
    if existing:
        path.write_bytes(b"old")

    def fail(descriptor: int) -> None:
        raise fault

    monkeypatch.setattr(os, "fsync", fail)
    kind = OutputError if isinstance(fault, OSError) else KeyboardInterrupt
    with pytest.raises(kind) as error:
        write_image(bitmap_of(RIGHT), path, overwrite=existing)
    if kind is OutputError:
        assert "disk is full" in one_line(error, str(path))
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([b"old"] if existing else [])


def test_file_created_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another program creates during encoding is not overwritten."""
    path = tmp_path / "out.png"
    monkeypatch.setattr(os, "fsync", lambda _: path.write_bytes(b"theirs"))
    with pytest.raises(OutputError, match="exists already"):
        write_image(bitmap_of(RIGHT), path)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"theirs"]


def test_disk_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system knows no hard links, writing works and still overwrites nothing."""

    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "out.png"
    write_image(bitmap_of(RIGHT), path)
    assert read_image(path).width == RIGHT.shape[1]
    other = tmp_path / "other.png"
    monkeypatch.setattr(os, "fsync", lambda _: other.write_bytes(b"theirs"))
    with pytest.raises(OutputError, match="exists already"):
        write_image(bitmap_of(RIGHT), other)
    assert other.read_bytes() == b"theirs"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_umask_decides_the_permissions(umask: int, tmp_path: Path) -> None:
    """The file gets the permissions that the user's umask gives every new file."""
    path = tmp_path / "out.png"
    before = os.umask(umask)
    try:
        write_image(bitmap_of(RIGHT), path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_unwritable_pictures_are_refused(tmp_path: Path) -> None:
    """A picture too long for the format, or with NaN in it, is refused in one line."""
    long = bitmap_of(np.zeros((1, 70000, 3)))
    for format in ("jpeg", "webp", "avif"):
        with pytest.raises(OutputError) as error:
            write_image(long, tmp_path / f"long.{format}")
        assert "too large" in one_line(error, str(tmp_path))
    broken = bitmap_of(np.full((4, 4, 3), np.nan))
    with pytest.raises(OutputError, match="NaN"):
        write_image(broken, tmp_path / "nan.png")
    assert list(tmp_path.iterdir()) == []


def test_grey_profile_through_pil() -> None:
    """A grey PIL image with a linear profile brightens as the closed form says."""
    gray = Image.fromarray(np.full((4, 4), 128, np.uint8))
    gray.info["icc_profile"] = LINEAR_GRAY_PROFILE
    expected = 1.055 * (128 / 255) ** (1 / 2.4) - 0.055
    np.testing.assert_allclose(read_image(gray).pixels, expected, atol=1 / 255)
