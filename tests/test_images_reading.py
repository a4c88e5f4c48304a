"""Pictures in, against Pillow, NumPy, closed forms and files written by hand."""

import io
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from bitmaps import RIGHT, bitmap_of, one_line, shown
from impasto.errors import ImageError
from impasto.images import Bitmap, fit_within, read_image, read_reduced, resize_image
from odd_images import (
    LINEAR_GRAY_PROFILE,
    P3_PROFILE,
    Odd,
    corpus,
    encode,
    p3_to_srgb,
    smooth,
    translucent,
)
from stand_ins import soft_picture

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


def test_grey_profile_through_pil() -> None:
    """A grey PIL image with a linear profile brightens as the closed form says."""
    gray = Image.fromarray(np.full((4, 4), 128, np.uint8))
    gray.info["icc_profile"] = LINEAR_GRAY_PROFILE
    expected = 1.055 * (128 / 255) ** (1 / 2.4) - 0.055
    np.testing.assert_allclose(read_image(gray).pixels, expected, atol=1 / 255)


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


# --- smaller versions ---------------------------------------------------------------------------


def wide(mode: str) -> Image.Image:
    """A picture of 421 × 306 px with coarse and fine detail, of a mode that Pillow knows."""
    image = Image.fromarray(soft_picture(421, 306) // 2 + np.uint8(60))
    if mode == "RGBA":
        image.putalpha(Image.fromarray(soft_picture(421, 306, seed=1)[..., 0]))
        return image
    return image.convert(mode)


@pytest.mark.parametrize(
    ("mode", "format", "options"),
    [
        ("RGB", "JPEG", {"quality": 95}),
        ("RGB", "JPEG", {"quality": 95, "progressive": True}),
        ("CMYK", "JPEG", {"quality": 95}),
        ("L", "PNG", {}),
        ("P", "PNG", {}),
        ("RGBA", "PNG", {}),
        ("RGB", "PNG", {"icc_profile": P3_PROFILE}),
        ("I;16", "PNG", {}),
        ("RGB", "WEBP", {"lossless": True}),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_reduced_pictures_shrink_to_the_same(
    mode: str, format: str, options: dict[str, object], orientation: int, tmp_path: Path
) -> None:
    """A picture that is reduced while it is decoded, whatever its kind, is at most twice as large
    as asked for, and shrinks further to what the whole picture shrinks to."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    wide(mode).save(tmp_path / "a", format, exif=exif, **options)
    whole = read_image(tmp_path / "a")
    reduced, size = read_reduced(tmp_path / "a", 60)
    assert size == (whole.width, whole.height)
    assert max(reduced.width, reduced.height) == 120
    target = fit_within(*size, 60)
    found, right = (shown(resize_image(one, *target)) for one in (reduced, whole))
    assert found.shape == right.shape
    if found.shape[2] == 4:
        np.testing.assert_allclose(found[..., 3], right[..., 3], atol=2 / 255)
        found, right = (one[..., :3] * one[..., 3:] for one in (found, right))
    # CMYK is averaged before it becomes light.
    np.testing.assert_allclose(found, right, atol=(6 if mode == "CMYK" else 2.5) / 255)
    assert reduced.bits == whole.bits


def test_pictures_are_reduced_no_further_than_wanted(tmp_path: Path) -> None:
    """One that is not twice as large as its versions stays as it is; one to be cut keeps twice the
    size in its shorter side."""
    wide("RGB").save(tmp_path / "a.png")
    np.testing.assert_array_equal(
        read_reduced(tmp_path / "a.png", 211)[0].pixels, read_image(tmp_path / "a.png").pixels
    )
    cut, _ = read_reduced(tmp_path / "a.png", 60, of_short=True)
    assert min(cut.width, cut.height) == 120


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_cut_short_files_are_refused_reduced_too(format: str, tmp_path: Path) -> None:
    """A file whose end is missing is refused although most of its pixels are averaged away."""
    data = io.BytesIO()
    wide("RGB").save(data, format)
    (tmp_path / "a").write_bytes(data.getvalue()[:-2000])
    with pytest.raises(ImageError, match="damaged, cut short"):
        read_reduced(tmp_path / "a", 20)


def test_pictures_are_laid_on_white() -> None:
    """Each pixel is mixed with white by its alpha, as the closed form says; an opaque picture is as
    it was."""
    pixels = np.full((3, 1, 3), 0.2, np.float32)
    alpha = np.array([[0.0, 0.5, 1.0]], np.float32)
    np.testing.assert_allclose(Bitmap(pixels, alpha).on_white()[1, 0], [1, 0.6, 0.2], atol=1e-6)
    np.testing.assert_array_equal(Bitmap(pixels).on_white(), pixels)
