"""Pictures out, against Pillow, NumPy and what the reader makes of them."""

import contextlib
import errno
import hashlib
import io
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from bitmaps import RIGHT, bitmap_of, one_line, shown
from impasto.errors import OptionError, OutputError
from impasto.images import (
    MAX_SETTINGS_BYTES,
    Bitmap,
    check_output,
    check_place,
    encode_image,
    folded_name,
    make_folder,
    move_whole,
    read_image,
    takes_files,
    write_image,
    write_whole,
    writing,
)
from odd_images import encode, png_chunk, smooth, translucent

FORMATS = ("png", "jpeg", "webp", "tiff", "avif")


def noise(*, alpha: bool = False) -> Bitmap:
    """A picture that no format makes small."""
    return bitmap_of(np.random.default_rng(0).random((150, 200, 4 if alpha else 3)))


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


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_holds_the_bytes_of_a_notebook(format: str, tmp_path: Path) -> None:
    """What is written in strips, into a file, is what `encode_image` gives."""
    bitmap = noise(alpha=True)
    write_image(bitmap, tmp_path / f"out.{format}", dpi=300, settings={"a": 1})
    expected = encode_image(bitmap, format, dpi=300, settings={"a": 1})
    assert (tmp_path / f"out.{format}").read_bytes() == expected


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("layout", ["planes", "interleaved", "part"])
@pytest.mark.parametrize(("bits", "full_scale"), [(8, 255), (16, 65535)])
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_codes_are_those_of_numpy(
    format: str, bits: Any, full_scale: int, layout: str, alpha: bool
) -> None:
    """Every value becomes the code that NumPy gives it, halves and far values included, however its
    array lies in memory."""
    halves = (np.arange(4 * full_scale, dtype=np.float32) / 4 / full_scale).astype(np.float32)
    extremes = np.array([-3e38, -1, -1e-9, -0.0, 1, 1.0001, 3e38, 1e-40], np.float32)
    near = [np.nextafter(halves, np.float32(side)) for side in (-1, 2)]
    values = np.concatenate([halves, *near, extremes])
    planes = np.resize(values, (4 if alpha else 3, 300, -(-values.size // 300)))
    if layout == "interleaved":
        planes = np.ascontiguousarray(planes.transpose(1, 2, 0)).transpose(2, 0, 1)
    elif layout == "part":
        planes = planes[:, 7:, 3::2]
    bitmap = Bitmap(planes[:3], planes[3] if alpha else None)
    written = pyvips.Image.new_from_buffer(encode_image(bitmap, format, bits=bits), "").numpy()
    expected = np.rint(np.clip(planes, 0, 1) * np.float32(full_scale))
    assert written.dtype == (np.uint8 if bits == 8 else np.uint16)
    np.testing.assert_array_equal(written, expected.transpose(1, 2, 0))


def test_jpeg_is_laid_on_white() -> None:
    """A translucent picture becomes the JPEG of what NumPy makes of it on white."""
    bitmap = noise(alpha=True)
    assert bitmap.alpha is not None
    white = bitmap.pixels * bitmap.alpha + (1 - bitmap.alpha)
    expected = Bitmap((np.rint(np.clip(white, 0, 1) * 255) / 255).astype(np.float32))
    assert encode_image(bitmap, "jpeg") == encode_image(expected, "jpeg")


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
            kind = OutputError if name.endswith(".png") else OptionError
            with pytest.raises(kind) as error:
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


def test_a_finished_file_gets_its_name(tmp_path: Path) -> None:
    """It takes no other file's place unless it may, and leads on where links lead."""
    made, path, link = tmp_path / "made", tmp_path / "a.mp4", tmp_path / "link.mp4"
    made.write_bytes(b"new")
    move_whole(made, path)
    assert (path.read_bytes(), made.exists()) == (b"new", False)
    made.write_bytes(b"newer")
    with pytest.raises(OutputError, match=r"a\.mp4: exists already"):
        move_whole(made, path)
    assert (path.read_bytes(), made.read_bytes()) == (b"new", b"newer")
    link.symlink_to(path)
    move_whole(made, link, overwrite=True)
    assert link.is_symlink()
    assert (path.read_bytes(), made.exists()) == (b"newer", False)
    made.write_bytes(b"newest")
    with pytest.raises(OutputError, match="gone/a: its folder does not exist"):
        move_whole(made, tmp_path / "gone" / "a")
    assert made.exists()


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

    def refuse(*_: object, **options: object) -> None:
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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
@pytest.mark.parametrize("format", FORMATS)
def test_disk_that_fills_up_while_encoding(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the encoder itself meets the full disk, the line is the same as ever."""

    def full(temporary: Path) -> Any:
        return Path("/dev/full").open("r+b", buffering=0)

    monkeypatch.setattr(writing, "_open_part", full)
    path = tmp_path / f"out.{format}"
    with pytest.raises(OutputError) as error:
        write_image(noise(), path)
    assert one_line(error, str(path)) == f"{path}: the disk is full; free some space"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_every_byte_is_needed(
    format: str, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the system stops taking bytes, the last one included, there is a fault, no file."""
    if named:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    bitmap, path = noise(), tmp_path / f"out.{format}"
    size = len(encode_image(bitmap, format))
    assert size > 10_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 100, size // 2, size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(OutputError) as error:
                write_image(bitmap, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "cannot be written (File too large)" in one_line(error, str(path))
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("named", [False, True])
def test_announcement(named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest is that of the file to come, told while the old one is still there."""
    if named:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    path = tmp_path / "out.tiff"
    path.write_bytes(b"old")
    told: list[str] = []

    def announce(digest: str) -> None:
        assert path.read_bytes() == b"old"
        told.append(digest)

    write_image(noise(), path, overwrite=True, announce=announce)
    assert told == [hashlib.sha256(path.read_bytes()).hexdigest()]
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that was encoded into gets the name; only a system that refuses sees a copy."""
    monkeypatch.delattr(shutil, "copyfileobj")
    write_image(noise(), tmp_path / "out.tiff")
    assert [p.name for p in tmp_path.iterdir()] == ["out.tiff"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files without a name")
def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    """A process that is killed when the picture has been encoded leaves no half file."""
    program = (
        "import os, signal, sys, numpy as np\n"
        "from impasto.images import Bitmap, write_image\n"
        "bitmap = Bitmap(np.zeros((3, 9, 9), np.float32))\n"
        "kill = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_image(bitmap, sys.argv[1], announce=kill)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "out.png")]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("name", ["out.tiff", "out.png"])
def test_writing_takes_no_second_copy(name: str, tmp_path: Path) -> None:
    """A picture of 96 MB in memory, and 48 MB in its file, takes less than 20 MB to write."""
    program = (
        "import sys, numpy as np\n"
        "from impasto.images import Bitmap, write_image\n"
        "from impasto.memory import peak_memory\n"
        "small = Bitmap(np.full((3, 99, 500), 0.5, np.float32), bits=16)\n"
        "write_image(small, sys.argv[1])\n"
        "rng = np.random.default_rng(0)\n"
        "large = Bitmap(rng.random((3, 16000, 500), np.float32), bits=16)\n"
        "before = peak_memory()\n"
        "write_image(large, sys.argv[1], overwrite=True)\n"
        "print(peak_memory() - before)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / name)]
    taken = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(taken) < 20e6


def test_unwritable_pictures_are_refused(tmp_path: Path) -> None:
    """A picture too long for the format, or with NaN in it, is refused in one line."""
    long = bitmap_of(np.zeros((1, 70000, 3)))
    for format in ("jpeg", "webp", "avif"):
        with pytest.raises(OutputError) as error:
            write_image(long, tmp_path / f"long.{format}")
        assert "too large" in one_line(error, str(tmp_path))
    for value in (np.nan, np.inf, -np.inf):
        for channel in range(4):
            pixels = np.full((40, 40, 4), 0.5)
            pixels[20, 39, channel] = value
            for name in ("out.png", "out.jpg"):
                with pytest.raises(OutputError, match="NaN"):
                    write_image(bitmap_of(pixels), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="needs files without a name")
def test_asking_whether_a_folder_takes_files_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed while it asks, before it could tidy up, has left no file behind."""
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    assert takes_files(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not takes_files(Path("/proc"))


def test_names_that_are_one_on_some_file_systems() -> None:
    """Names that differ by case, or by composed and separate accents, fold to one; others stay
    apart."""
    assert folded_name("Été.JPG") == folded_name("E\u0301te\u0301.jpg")
    assert folded_name("ete.jpg") != folded_name("été.jpg")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """A folder is made with those above it; where a file is in its way, one line says so."""
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("x")
    for name in ("file/b", "\0"):
        with pytest.raises(OutputError) as caught:
            make_folder(tmp_path / name)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_only_files_are_replaced(kind: str, linked: bool, tmp_path: Path) -> None:
    """A pipe or a socket, under its own name or a link's, stays what it is: there is a fault before
    the work and while writing."""
    place = path = tmp_path / "out.png"
    if linked:
        path = tmp_path / "link.png"
        path.symlink_to(place)
    if kind == "pipe":
        os.mkfifo(place)
    else:
        with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(tmp_path):
            made.bind("out.png")
    before = place.lstat()
    said = f"{path}: is a {kind}; name a file"
    for refuse in (
        lambda: check_output(path, overwrite=True),
        lambda: write_image(bitmap_of(RIGHT), path, overwrite=True),
        lambda: write_whole(path, b"", overwrite=True),
    ):
        with pytest.raises(OutputError) as error:
            refuse()
        assert one_line(error, str(path)) == said
    assert place.lstat() == before
    check_place(path, overwrite=True, line_by_line=True)
