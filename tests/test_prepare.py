"""Preparing a folder: what is kept, what it becomes, and that nothing else is touched."""

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, laplace

from impasto.cli import main
from impasto.collect.manifest import Entry, read_manifest, write_manifest
from impasto.color import srgb_to_oklab
from impasto.errors import InputError, OptionError, OutputError
from impasto.images import Bitmap, crop_box, read_image
from impasto.options import PrepareOptions
from impasto.prepare import Outcome, Preparation, find_files, find_pictures, sharpness
from impasto.samples import sample_names, sample_path
from odd_images import (
    P3_PROFILE,
    corpus,
    decoded,
    lossy_jpegs,
    odd_jpegs,
    p3_to_srgb,
    smooth,
    translucent,
)
from stand_ins import soft_picture

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's file system")
ANY: dict[str, Any] = {"min_side": 1, "min_sharpness": 0}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An empty folder to prepare."""
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Where results go; not there yet."""
    return tmp_path / "ready"


def draw(path: Path, width: int = 60, height: int = 40, seed: int = 0, **options: Any) -> Path:
    """A soft picture in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(soft_picture(width, height, seed)).save(path, **options)
    return path


def prepared(source: Path, output: Path, *, finish: bool = True, **options: Any) -> list[Outcome]:
    """What becomes of each file; nothing is dropped for its size or sharpness unless asked."""
    flags = {name: options.pop(name) for name in ("recursive", "overwrite") if name in options}
    work = Preparation(source, output, PrepareOptions(**{**ANY, **options}), **flags)
    outcomes = [step.outcome for step in work]
    if finish:
        work.finish()
    return outcomes


def digests(folder: Path) -> dict[str, str]:
    """Every file of a folder with its digest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def pictures(folder: Path) -> list[str]:
    """Names of the pictures in a folder of results."""
    own = {"prepared.jsonl", "report.json", "report.png", "manifest.jsonl"}
    return sorted(name for name in digests(folder) if Path(name).name not in own)


# --- what pictures become -----------------------------------------------------------------------


def test_every_kind_of_file_is_kept_or_named(source: Path, output: Path) -> None:
    """Of the odd files those that can be shown are kept with the right colours, and each of the
    others is left out with a reason of one line; none stops the run."""
    odd = corpus()
    for entry in odd:
        (source / entry.name).write_bytes(entry.data)
    outcomes = {o.file: o for o in prepared(source, output, format="png", bits=16, size=4096)}
    assert set(outcomes) == {entry.name for entry in odd}
    firsts: dict[bytes, str] = {}
    for entry in sorted(odd, key=lambda entry: os.fsencode(entry.name)):
        outcome = outcomes[entry.name]
        if firsts.setdefault(entry.data, entry.name) != entry.name and entry.data:
            assert outcome.reason in ("duplicate", "not a picture")
        elif isinstance(entry.expected, str):
            assert outcome.reason in ("not a picture", "broken", "too large")
            assert (outcome.reason == "too large") == (entry.expected == "--max-pixels")
            assert entry.expected in outcome.detail
            assert outcome.detail.isprintable()
        else:
            assert outcome.reason is None, outcome.detail
            (written,) = outcome.written
            found = read_image(output / written.file)
            height, width = entry.expected.shape[:2]
            assert (written.width, written.height) == (width, height)
            right = entry.expected
            planes = [*found.pixels] if found.alpha is None else [*found.pixels, found.alpha]
            shown = np.stack(planes, axis=2)
            if shown.shape[2] == 4 and entry.name != "transparent.gif":
                np.testing.assert_allclose(
                    shown[..., 3], right[..., 3], atol=entry.tolerance + 1e-4
                )
                seen = right[..., 3] > 0.5
                shown, right = shown[seen], right[seen]
            if entry.name != "transparent.gif":
                assert np.abs(shown - right).max() <= entry.tolerance + 1e-4


def test_odd_jpegs_are_kept_and_lossy_ones_dropped(source: Path, output: Path) -> None:
    """JPEGs that decoders only find odd are prepared; of those that lost contents none is."""
    for number, data in enumerate([*odd_jpegs().values(), *lossy_jpegs().values()]):
        (source / f"{number:02}.jpg").write_bytes(data)
    reasons = [outcome.reason for outcome in prepared(source, output)]
    assert reasons == [None] * len(odd_jpegs()) + ["broken"] * len(lossy_jpegs())


def test_phone_pictures_are_turned_and_strangers_colours_converted(
    source: Path, output: Path
) -> None:
    """EXIF orientation is applied to the pixels, Display P3 becomes sRGB, and neither orientation,
    place nor camera stays in the result."""
    pixels = smooth(48, 32)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8825] = 6, "Camera", {1: "N", 2: (1.0, 2.0, 3.0)}
    image.save(source / "phone.jpg", quality=95, exif=exif, subsampling=0)
    image.save(source / "wide.png", icc_profile=P3_PROFILE)
    prepared(source, output, format="png", size=48)
    turned = Image.open(output / "phone.png")
    right = np.asarray(Image.open(source / "phone.jpg").transpose(Image.Transpose.ROTATE_270))
    assert turned.size == (32, 48)
    assert np.abs(np.asarray(turned).astype(int) - right).max() <= 3
    assert not turned.getexif()
    found = np.asarray(Image.open(output / "wide.png")) / 255
    assert np.abs(found - p3_to_srgb(pixels / 255)).max() < 2 / 255


def test_kinds_of_colour(source: Path, output: Path) -> None:
    """Grey, CMYK, 16-bit and animated pictures become RGB of 8 bits; transparency is laid on white
    in JPEG and kept in WebP and PNG."""
    image = Image.fromarray(smooth(64, 48))
    image.convert("L").save(source / "grey.png")
    image.convert("CMYK").save(source / "press.jpg", quality=95)
    red = Image.new("RGB", image.size, "red")
    image.save(source / "moving.webp", save_all=True, append_images=[red], lossless=True)
    translucent(64, 48).save(source / "clear.png")
    outcomes = prepared(source, output, size=64, quality=100)
    assert [o.reason for o in outcomes] == [None] * 4
    assert {Image.open(output / name).mode for name in pictures(output)} == {"RGB"}
    moving = np.asarray(Image.open(output / "moving.jpg")).astype(int)
    assert np.abs(moving - smooth(64, 48)).mean() < 3
    rgba = np.asarray(translucent(64, 48)) / 255
    white = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
    assert np.abs(decoded((output / "clear.jpg").read_bytes()) - white).mean() < 3 / 255
    prepared(source, output.with_name("clear"), format="webp", size=64)
    assert Image.open(output.with_name("clear") / "clear.webp").mode == "RGBA"


@pytest.mark.parametrize(
    ("size", "options", "sides"),
    [
        ((200, 100), {"size": 50}, (50, 25)),
        ((100, 200), {"size": 50}, (25, 50)),
        ((40, 30), {"size": 50}, (40, 30)),
        ((40, 30), {"size": 80, "enlarge": True}, (80, 60)),
        ((200, 100), {"size": 50, "crop": "center"}, (50, 50)),
        ((200, 100), {"size": 50, "crop": "center", "aspect": "4:5"}, (40, 50)),
        ((100, 300), {"size": 64, "crop": "attention", "aspect": "16:9"}, (64, 36)),
        ((30, 20), {"size": 64, "crop": "entropy"}, (20, 20)),
        ((30, 20), {"size": 64, "crop": "center", "enlarge": True}, (64, 64)),
        ((400, 1), {"size": 100}, (100, 1)),
    ],
)
def test_sides(
    source: Path,
    output: Path,
    size: tuple[int, int],
    options: dict[str, Any],
    sides: tuple[int, int],
) -> None:
    """Results have the long side asked for, in the picture's shape or the one asked for; they are
    enlarged only on request."""
    draw(source / "a.png", *size)
    (outcome,) = prepared(source, output, **options)
    assert Image.open(output / "a.jpg").size == sides
    assert [(w.width, w.height) for w in outcome.written] == [sides]


def test_several_sizes_go_to_folders_of_their_own(source: Path, output: Path) -> None:
    """Each size has its folder, in which folders of the source are kept."""
    draw(source / "a.png", 90, 60)
    draw(source / "trip" / "b.png", 90, 60, 1)
    prepared(source, output, size="30,60", recursive=True)
    assert pictures(output) == ["30/a.jpg", "30/trip/b.jpg", "60/a.jpg", "60/trip/b.jpg"]
    assert Image.open(output / "30" / "trip" / "b.jpg").size == (30, 20)
    assert Image.open(output / "60" / "a.jpg").size == (60, 40)


def test_shrinking_is_that_of_an_independent_program(source: Path, output: Path) -> None:
    """A shrunk picture is what Pillow's Lanczos filter makes of it."""
    path = draw(source / "a.png", 300, 200)
    prepared(source, output, size=75, format="png")
    right = Image.open(path).resize((75, 50), Image.Resampling.LANCZOS)
    found = np.asarray(Image.open(output / "a.png")).astype(int)
    assert np.abs(found - np.asarray(right)).max() <= 2


def test_large_pictures_become_what_smaller_ones_would(source: Path, output: Path) -> None:
    """A picture far larger than its results has its own size in the record, the exact proportions
    in the results, whole and cut, and is what Pillow's Lanczos filter makes of it."""
    path = draw(source / "a.png", 2600, 1733)
    (outcome,) = prepared(source, output, size=(40, 300), format="png")
    assert (outcome.width, outcome.height) == (2600, 1733)
    for side, size in ((40, (40, 27)), (300, (300, 200))):
        right = Image.open(path).resize(size, Image.Resampling.LANCZOS)
        found = np.asarray(Image.open(output / str(side) / "a.png")).astype(int)
        assert np.abs(found - np.asarray(right)).max() <= 3
    prepared(source, output / "cut", size=300, format="png", crop="center", aspect="3:4")
    assert Image.open(output / "cut" / "a.png").size == (225, 300)


@LINUX
def test_memory_follows_from_the_results(source: Path, output: Path) -> None:
    """A photo of 36 megapixels for a result of 512 px takes less memory than its pixels would,
    turned upright too."""
    exif = Image.Exif()
    exif[0x0112] = 6
    small = Image.fromarray(soft_picture(90, 40))
    small.resize((9000, 4000)).save(source / "a.jpg", quality=80, exif=exif)
    code = """
import sys
from pathlib import Path
from impasto.options import PrepareOptions
from impasto.prepare import Preparation

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])

before = peak()
(step,) = Preparation(sys.argv[1], sys.argv[2], PrepareOptions(size=512, min_sharpness=0))
assert step.outcome.reason is None, step.outcome.detail
print(peak() - before)
"""
    words = [sys.executable, "-c", code, str(source), str(output)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    # As 8-bit samples 105,000 kB, as the floats of a `Bitmap` 420,000.
    assert int(done.stdout) < 105_000


@pytest.mark.parametrize("around", ["entropy", "attention"])
def test_cuts_go_where_something_is(around: Any) -> None:
    """A lively patch in an empty picture is inside the box, wherever it is; in the middle of a
    picture that is the same everywhere, so is the box."""
    rng = np.random.default_rng(0)
    for left in (0, 300, 700):
        pixels = np.full((3, 300, 1000), 0.5, np.float32)
        pixels[:, 50:250, left : left + 300] = rng.random((3, 200, 300), np.float32)
        box = crop_box(Bitmap(pixels), (1, 1), around)
        assert box[2] - box[0] == box[3] - box[1] == 300
        assert abs(box[0] - left) <= 45
    assert crop_box(Bitmap(pixels), (1, 1)) == (350, 0, 650, 300)


# --- what is left out ---------------------------------------------------------------------------


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    """Where all blocks are alike, sharpness is SciPy's Laplacian's variance, in units of 1/255."""
    rng = np.random.default_rng(3)
    grey = np.repeat(rng.random((1, 400, 480), np.float32), 3, axis=0)
    expected = laplace(grey[0].astype(float) * 255)[1:-1, 1:-1].var()
    assert sharpness(Bitmap(grey)) == pytest.approx(expected, rel=0.06)
    assert sharpness(Bitmap(np.full((3, 50, 60), 0.3, np.float32))) == 0
    assert sharpness(Bitmap(grey[:, :2, :])) == 0


def test_blurred_photos_are_told_from_sharp_ones() -> None:
    """With the default limit each bundled photo is sharp, none is after a blur of 2.5 px at the
    size of measuring, and one that is sharp in a fifth of its area alone counts as sharp."""
    limit = PrepareOptions().min_sharpness
    for name in sample_names():
        bitmap = read_image(sample_path(name))
        soft = np.asarray(gaussian_filter(bitmap.pixels, (0, 2.5, 2.5)), np.float32)
        assert sharpness(bitmap) > 3 * limit
        assert sharpness(Bitmap(soft)) < 0.6 * limit
        width = soft.shape[2]
        sharp_part = np.s_[:, :, width * 2 // 5 : width * 3 // 5]
        soft[sharp_part] = bitmap.pixels[sharp_part]
        assert sharpness(Bitmap(soft)) > limit


def test_the_limits_decide(source: Path, output: Path) -> None:
    """A picture exactly at a limit is kept, one below it is left out with both figures; without
    limits everything is kept."""
    draw(source / "at.png", 70, 60, 1)
    draw(source / "below.png", 70, 59, 2)
    soft = gaussian_filter(soft_picture(80, 80, 3), (6, 6, 0))
    Image.fromarray(soft).save(source / "soft.png")
    outcomes = prepared(source, output, min_side=60, min_sharpness=20)
    assert [o.reason for o in outcomes] == [None, "tiny", "blurred"]
    assert outcomes[1].detail == "below.png: its shorter side has 59 px, less than 60"
    found = round(sharpness(read_image(source / "soft.png")), 1)
    assert outcomes[2].detail == f"soft.png: its sharpness is {found:g}, less than 20"
    again = prepared(source, output.with_name("all"))
    assert [o.reason for o in again] == [None, None, None]


def test_the_same_file_twice_is_kept_once(source: Path, output: Path) -> None:
    """Of files with the same bytes the first by name is kept, and the others name it."""
    data = draw(source / "b.png").read_bytes()
    (source / "a.png").write_bytes(data)
    (source / "c.jpeg").write_bytes(data)
    outcomes = prepared(source, output)
    assert [(o.file, o.reason) for o in outcomes] == [
        ("a.png", None),
        ("b.png", "duplicate"),
        ("c.jpeg", "duplicate"),
    ]
    assert outcomes[2].detail == "c.jpeg: is the same file as a.png"
    assert pictures(output) == ["a.jpg"]


@LINUX
def test_things_that_are_no_pictures_are_passed_by(source: Path, output: Path) -> None:
    """A pipe, a broken link and a file without permission are named and cost nothing; links to
    pictures are pictures; links to folders are not followed, and hidden files not looked at."""
    real = draw(source.parent / "elsewhere" / "real.png")
    os.mkfifo(source / "pipe.png")
    (source / "gone.png").symlink_to(source / "nothing")
    (source / "link.png").symlink_to(real)
    (source / "circle").symlink_to(source)
    (source / ".hidden.png").write_bytes(real.read_bytes())
    locked = draw(source / "locked.png", seed=5)
    locked.chmod(0)
    outcomes = {o.file: o for o in prepared(source, output, recursive=True)}
    may_read = os.access(locked, os.R_OK)
    assert {name: o.reason for name, o in outcomes.items()} == {
        "gone.png": "unreadable",
        "link.png": None,
        "locked.png": None if may_read else "unreadable",
        "pipe.png": "unreadable",
    }
    assert "pipe or a device" in outcomes["pipe.png"].detail


@LINUX
def test_names_that_are_no_text(source: Path, output: Path, capsys: Any) -> None:
    """Names of any bytes are read, kept and written, on the command line too; the report holds
    them and is JSON."""
    for name in (b"\xff\xfe.png", b"new\nline.png", "é☃".encode() + b".png", b"%s{}<b>.png"):
        draw(source / os.fsdecode(name), seed=len(name))
    draw(source / ("n" * 251 + ".png"), seed=99)
    (source / os.fsdecode(b"bad\xff.png")).write_bytes(b"\x89PNG\r\n\x1a\n")
    arguments = ["--min-side", "1", "--min-sharpness", "0", "--format", "webp"]
    assert main(["prepare", str(source), "-o", str(output), *arguments]) == 0
    assert "found 6 files, kept 5, dropped 1: 1 broken" in capsys.readouterr().out
    names = {os.fsencode(name) for name in pictures(output)}
    assert names == {
        b"\xff\xfe.webp",
        b"new\nline.webp",
        "é☃".encode() + b".webp",
        b"%s{}<b>.webp",
        b"n" * 250 + b".webp",
    }
    report = json.loads((output / "report.json").read_text("utf-8"))
    assert [os.fsencode(entry["file"]) for entry in report["files"]] == [b"bad\xff.png"]
    assert main(["prepare", str(source), "-o", str(output), *arguments]) == 0
    assert "6 were done before" in capsys.readouterr().out


def test_names_that_would_meet_are_numbered(source: Path, output: Path) -> None:
    """Files that differ by extension or case alone get results of their own, and keep their names
    when more come."""
    draw(source / "a.png", seed=1)
    draw(source / "a.webp", seed=2, lossless=True)
    first = {o.file: o.written[0].file for o in prepared(source, output)}
    assert first == {"a.png": "a.jpg", "a.webp": "a-2.jpg"}
    draw(source / "a.gif", seed=3)
    draw(source / "A.tif", seed=4)
    second = {o.file: o.written[0].file for o in prepared(source, output)}
    assert second == {**first, "A.tif": "A-3.jpg", "a.gif": "a-4.jpg"}
    for file, name in second.items():
        shown = np.asarray(Image.open(output / name).convert("RGB")).astype(int)
        assert np.abs(shown - np.asarray(Image.open(source / file).convert("RGB"))).mean() < 8


# --- going on, and what is left alone -----------------------------------------------------------


def test_the_source_is_only_read(source: Path, output: Path) -> None:
    """Not a byte, name or time of the source changes, and results never go into it."""
    draw(source / "a.png")
    (source / "rubbish.jpg").write_bytes(b"no picture")
    before = digests(source), source.stat().st_mtime_ns
    prepared(source, output)
    assert (digests(source), source.stat().st_mtime_ns) == before
    for place in (source, source / "inside", source.parent):
        with pytest.raises(OptionError, match=r"--output .* lies inside"):
            Preparation(source, place)
    (output.parent / "link").symlink_to(source)
    with pytest.raises(OptionError, match="lies inside"):
        Preparation(source, output.parent / "link" / "x")


def test_what_is_done_is_not_done_again(source: Path, output: Path) -> None:
    """A second run writes no picture; after a change it does what is new, changed or gone."""
    for number in range(4):
        draw(source / f"{number}.png", seed=number)
    (source / "text.txt").write_text("no picture")
    prepared(source, output, finish=False)
    before = digests(output)
    times = {name: (output / name).stat().st_mtime_ns for name in before}
    work = Preparation(source, output, PrepareOptions(**ANY))
    assert [step.again for step in work] == [True] * 5
    assert digests(output) == before
    assert {name: (output / name).stat().st_mtime_ns for name in before} == times
    draw(source / "1.png", seed=11)
    draw(source / "5.png", seed=5)
    (output / "2.jpg").unlink()
    work = Preparation(source, output, PrepareOptions(**ANY))
    done = {step.outcome.file: step.again for step in work}
    assert [file for file, again in done.items() if not again] == ["1.png", "2.png", "5.png"]
    after = digests(output)
    assert after["1.jpg"] != before["1.jpg"]
    assert {n: after[n] for n in ("0.jpg", "2.jpg", "3.jpg")} == {
        n: before[n] for n in ("0.jpg", "2.jpg", "3.jpg")
    }
    fresh = output.with_name("fresh")
    prepared(source, fresh, finish=False)
    assert {n: d for n, d in digests(fresh).items() if n.endswith(".jpg")} == {
        n: d for n, d in after.items() if n.endswith(".jpg")
    }


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4])
def test_a_run_that_was_killed_goes_on(
    source: Path, output: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever write is the last before the process ends, with half a line of the record behind
    it, the next run finishes with the bytes of an unbroken one."""
    from impasto import prepare

    for number in range(3):
        draw(source / f"{number}.png", 90, 60, seed=number)
    whole = output.with_name("whole")
    prepared(source, whole, size="30,60")
    write, count = prepare.write_whole, [0]

    def dying(*args: Any, **options: Any) -> None:
        count[0] += 1
        if count[0] == at + 1:
            raise KeyboardInterrupt
        write(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "write_whole", dying)
        with pytest.raises(KeyboardInterrupt):
            prepared(source, output, size="30,60")
    if (output / "prepared.jsonl").exists():
        with (output / "prepared.jsonl").open("ab") as journal:
            journal.write(b'{"file": "1.png", "sha256": "12')
    prepared(source, output, size="30,60")
    assert {n: d for n, d in digests(output).items() if n != "prepared.jsonl"} == {
        n: d for n, d in digests(whole).items() if n != "prepared.jsonl"
    }
    work = Preparation(source, output, PrepareOptions(**{**ANY, "size": "30,60"}))
    assert all(step.again for step in work)


def test_other_files_are_never_replaced_unasked(source: Path, output: Path) -> None:
    """A file that is in the way, or results of other options, are refused before any work; what
    somebody has painted over since is refused when its turn comes; `overwrite` replaces them."""
    draw(source / "a.png")
    draw(source / "b.png", seed=1)
    for name in ("b.jpg", "report.json", "report.png", "manifest.jsonl"):
        output.mkdir(exist_ok=True)
        (output / name).write_bytes(b"mine")
        with pytest.raises(OutputError, match=f"{name}: exists already"):
            Preparation(source, output, PrepareOptions(**ANY))
        assert digests(output) == {name: hashlib.sha256(b"mine").hexdigest()}
        (output / name).unlink()
    (output / "b.jpg").write_bytes(b"mine")
    prepared(source, output, overwrite=True)
    assert Image.open(output / "b.jpg").size == (60, 40)
    for changed in ({"size": 30}, {"min_sharpness": 1}, {"quality": 50}):
        with pytest.raises(OutputError, match="prepared from other pictures or with other options"):
            Preparation(source, output, PrepareOptions(**{**ANY, **changed}))
    other = draw(source.with_name("others") / "a.png", seed=7).parent
    with pytest.raises(OutputError, match="prepared from other pictures"):
        Preparation(other, output, PrepareOptions(**ANY))
    prepared(source, output, size=30, overwrite=True)
    assert Image.open(output / "b.jpg").size == (30, 20)
    painted_over = draw(output / "a.jpg", seed=9).read_bytes()
    assert prepared(source, output, size=30)[0].reason is None
    draw(source / "a.png", seed=8)
    with pytest.raises(OutputError, match=r"a\.jpg: exists already"):
        prepared(source, output, size=30)
    assert (output / "a.jpg").read_bytes() == painted_over
    for left in ("", "null\n", '{"version": 1'):
        (output / "prepared.jsonl").write_text(left)
        with pytest.raises(OutputError, match=r"prepared\.jsonl: is damaged"):
            prepared(source, output, size=30)


def test_spoilt_results_are_made_anew(source: Path, output: Path) -> None:
    """A result that was emptied or cut short, as by a power cut, is no result."""
    for number in range(4):
        draw(source / f"{number}.png", 90, 60, seed=number)
    prepared(source, output)
    before = digests(output)
    (output / "1.jpg").write_bytes(b"")
    (output / "2.jpg").write_bytes((output / "2.jpg").read_bytes()[:-200])
    work = Preparation(source, output, PrepareOptions(**ANY))
    assert [step.again for step in work] == [True, False, False, True]
    work.finish()
    after = digests(output)
    assert {n: d for n, d in after.items() if n.endswith(".jpg")} == {
        n: d for n, d in before.items() if n.endswith(".jpg")
    }


def test_a_record_cannot_lead_outside(source: Path, output: Path) -> None:
    """Names in a record that lead out of the folder count for nothing."""
    draw(source / "a.png")
    prepared(source, output)
    journal = output / "prepared.jsonl"
    lines = journal.read_text("utf-8").replace('"a.jpg"', '"../evil.jpg"')
    journal.write_text(lines + "[1, 2]\nnull\n" + '{"file": 3}\n' + "[" * 100_000 + "\n", "utf-8")
    (output / "a.jpg").unlink()
    prepared(source, output)
    assert not (output.parent / "evil.jpg").exists()
    assert (output / "a.jpg").exists()


def test_both_folders_may_move_together(source: Path, output: Path) -> None:
    """After a move of source and results to another place the work still counts as done."""
    draw(source / "a.png")
    prepared(source, output)
    moved = source.parent.parent / f"{source.parent.name}-moved"
    source.parent.rename(moved)
    work = Preparation(moved / source.name, moved / output.name, PrepareOptions(**ANY))
    assert [step.again for step in work] == [True]


def test_a_full_disk_is_one_line_and_keeps_what_is_done(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fills up, the fault is one line, whole pictures stay, no fragment does, and
    with room again the run goes on."""
    for number in range(3):
        draw(source / f"{number}.png", seed=number)
    fsync, count = os.fsync, [0]

    def full(descriptor: int) -> None:
        count[0] += 1
        if count[0] >= 4:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="the disk is full; free some space"):
            prepared(source, output)
    assert pictures(output) in (["0.jpg"], [])
    for name in pictures(output):
        Image.open(output / name).load()
    prepared(source, output)
    assert pictures(output) == ["0.jpg", "1.jpg", "2.jpg"]


@pytest.mark.parametrize("name", ["nothing", "file", "empty"])
def test_folders_that_hold_nothing(tmp_path: Path, name: str) -> None:
    """A folder that is not there, is a file or holds no files is one line."""
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        Preparation(tmp_path / name, tmp_path / "out")
    words = {"nothing": "no such folder", "file": "is a file", "empty": "holds no files"}
    assert words[name] in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_only_the_folder_itself_unless_recursive(source: Path) -> None:
    """Folders within are looked into only when asked; the order is that of the bytes of names."""
    for name in ("b.png", "a.png", "Z.png", "sub/c.png", ".git/d.png"):
        draw(source / name)
    assert find_files(source) == ["Z.png", "a.png", "b.png"]
    assert find_files(source, recursive=True) == ["Z.png", "a.png", "b.png", "sub/c.png"]


def test_results_can_be_prepared_and_tried_in_turn(source: Path, output: Path) -> None:
    """The figure and the records beside results are not taken for pictures of the folder; without
    a record beside them, files of these names are like any other."""
    draw(source / "a.png")
    draw(source / "report.png", seed=1)
    command = ["prepare", str(source), "-o", str(output), "--min-side", "1", "--format", "png"]
    assert main([*command, "-q"]) == 0
    assert find_pictures(source) == ["a.png", "report.png"]
    assert find_files(output) == ["a.png", "report-2.png"]
    assert Image.open(output / "report.png").size == (2200, 1520)
    assert Image.open(output / "report-2.png").size == (60, 40)


# --- what is told -------------------------------------------------------------------------------


def entry(source: Path, name: str, **changes: Any) -> Entry:
    """A line of a manifest for a picture."""
    data = (source / name).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
    values = {
        "file": name,
        "url": f"https://example.org/{name}",
        "title": 'A <b>"quoted"</b> title\n',
        "author": "Ann",
        "license": "by",
        "license_url": "https://creativecommons.org/licenses/by/4.0/",
        "attribution": "A title, Ann, CC BY 4.0",
        "fetched_at": "2026-01-02T03:04:05Z",
        "sha256": hashlib.sha256(data).hexdigest(),
        "width": width,
        "height": height,
        "bytes": len(data),
        "format": "png",
        "phash": "0" * 16,
    }
    return Entry.model_validate({**values, **changes})


def test_attributions_go_with_the_pictures(source: Path, output: Path) -> None:
    """Each folder of results has a manifest of its own that names author, licence and source file,
    and describes the results; pictures without a line, and lines of what was dropped, have none."""
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        draw(source / name, 90, 60, seed=number)
    draw(source / "tiny.png", 9, 9)
    write_manifest(source, [entry(source, name) for name in ("a.png", "c.png", "tiny.png")])
    prepared(source, output, size="30,60", min_side=20)
    for side in (30, 60):
        entries = read_manifest(output / str(side))
        assert [e.file for e in entries] == ["a.jpg", "c.jpg"]
        for found in entries:
            data = (output / str(side) / found.file).read_bytes()
            assert (found.sha256, found.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
            assert (found.width, found.height, found.format) == (side, side * 2 // 3, "jpeg")
            assert found.author == "Ann"
            assert found.attribution == "A title, Ann, CC BY 4.0"
            assert found.license_url.endswith("by/4.0/")
    lines = (output / "30" / "manifest.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["a.png", "c.png"]
    assert "manifest.jsonl" not in [
        o.file for o in prepared(source, output, size="30,60", min_side=20)
    ]


def lines_of(folder: Path) -> list[str]:
    """The files that a folder's manifest has lines for; none where there is no manifest."""
    there = (folder / "manifest.jsonl").exists()
    return [found.file for found in read_manifest(folder)] if there else []


def test_results_of_what_is_gone_go_too(source: Path, output: Path) -> None:
    """Results of a picture that was deleted, or replaced by one that is not kept, go with their
    lines; one that somebody has changed stays with its line, and so do files of others. Where
    nothing is left there is no manifest."""
    names = [f"{letter}.png" for letter in "abcd"]
    for number, name in enumerate(names):
        draw(source / name, 90, 60, seed=number)
    write_manifest(source, [entry(source, name) for name in names])
    prepared(source, output, size="30,60", min_side=20)
    own = draw(output / "30" / "own.jpg", seed=9)
    changed = draw(output / "30" / "c.jpg", seed=10)
    for name in ("a.png", "c.png"):
        (source / name).unlink()
    draw(source / "b.png", 9, 9)
    work = Preparation(source, output, PrepareOptions(**{**ANY, "size": "30,60", "min_side": 20}))
    list(work)
    report = work.finish()
    assert pictures(output) == ["30/c.jpg", "30/d.jpg", "30/own.jpg", "60/d.jpg"]
    assert own.is_file()
    assert changed.is_file()
    assert report["removed"] == ["30/a.jpg", "60/a.jpg", "60/c.jpg", "30/b.jpg", "60/b.jpg"]
    assert (lines_of(output / "30"), lines_of(output / "60")) == (["d.jpg", "c.jpg"], ["d.jpg"])
    draw(source / "d.png", 9, 9)
    changed.unlink()
    prepared(source, output, size="30,60", min_side=20)
    assert pictures(output) == ["30/own.jpg"]
    assert not list(output.rglob("manifest.jsonl"))
    # What was gone and comes back is made again, under its name.
    draw(source / "a.png", 90, 60)
    prepared(source, output, size="30,60", min_side=20)
    assert pictures(output) == ["30/a.jpg", "30/own.jpg", "60/a.jpg"]


def test_what_a_run_has_not_seen_keeps_its_line(source: Path, output: Path) -> None:
    """A run that ends early, that does not look into folders, or that cannot read a file, takes
    neither results nor their lines away."""
    for number, name in enumerate(("a.png", "b.png", "in/c.png")):
        draw(source / name, 90, 60, seed=number)
    write_manifest(source, [entry(source, "a.png"), entry(source, "b.png")])
    write_manifest(source / "in", [entry(source / "in", "c.png")])
    prepared(source, output, recursive=True)
    before = digests(output)
    work = Preparation(source, output, PrepareOptions(**ANY))
    next(iter(work))
    work.finish()
    assert (lines_of(output), lines_of(output / "in")) == (["a.jpg", "b.jpg"], ["c.jpg"])
    (source / "b.png").unlink()
    (source / "b.png").symlink_to("nowhere")
    reasons = [outcome.reason for outcome in prepared(source, output)]
    assert reasons == [None, "unreadable"]
    assert pictures(output) == ["a.jpg", "b.jpg", "in/c.jpg"]
    assert (lines_of(output), lines_of(output / "in")) == (["a.jpg", "b.jpg"], ["c.jpg"])
    (source / "b.png").unlink()
    draw(source / "b.png", 90, 60, seed=1)
    prepared(source, output, recursive=True)
    after = digests(output)
    assert {name: after[name] for name in pictures(output)} == {
        name: before[name] for name in pictures(output)
    }


def test_a_kill_leaves_no_result_of_the_picture_before(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a picture was replaced and the process ended before its new result was written, the
    next run does not take the old result for it."""
    from impasto import prepare

    draw(source / "a.png", 90, 60, seed=1)
    prepared(source, output)
    draw(source / "a.png", 90, 60, seed=2)
    with monkeypatch.context() as patch:
        patch.setattr(
            prepare.Preparation, "_put", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            prepared(source, output)
    prepared(source, output)
    fresh = output.with_name("fresh")
    prepared(source, fresh)
    assert digests(output)["a.jpg"] == digests(fresh)["a.jpg"]


def test_a_damaged_manifest_is_told_before_the_work(source: Path, output: Path) -> None:
    """Attributions are not lost silently: a manifest that cannot be read stops the run at once."""
    draw(source / "a.png")
    (source / "manifest.jsonl").write_text("{broken\n")
    with pytest.raises(InputError, match=r"manifest\.jsonl: line 1 is damaged"):
        Preparation(source, output)
    assert not output.exists()


def test_the_report_counts_what_is_there(source: Path, output: Path) -> None:
    """Counts, reasons, sizes and colours in report and record are those of the files."""
    draw(source / "a.png", 300, 200, 1)
    draw(source / "b.png", 100, 200, 2)
    draw(source / "small.png", 20, 20)
    (source / "empty.png").write_bytes(b"")
    outcomes = prepared(source, output, size=250, min_side=50)
    report = json.loads((output / "report.json").read_text("utf-8"))
    assert (report["found"], report["seen"], report["kept"]) == (4, 4, 2)
    assert report["dropped"] == {"not a picture": 1, "tiny": 1}
    assert [entry["file"] for entry in report["files"]] == ["empty.png", "small.png"]
    assert "0 bytes" in report["files"][0]["detail"]
    assert report["smaller_than_size"] == 1
    assert report["short_side"] == [100, 125, 150, 175, 200]
    assert report["aspect"] == [0.5, 0.75, 1, 1.25, 1.5]
    lab = srgb_to_oklab(read_image(source / "a.png").pixels.astype(np.float64))
    found = outcomes[0]
    assert found.color == pytest.approx(lab.mean(axis=(1, 2)), abs=1e-4)
    assert sum(found.hues) == pytest.approx(np.hypot(lab[1], lab[2]).mean(), abs=1e-3)
    angle = np.degrees(np.arctan2(lab[2], lab[1])) % 360
    green = (angle >= 120) & (angle < 150)
    expected = np.where(green, np.hypot(lab[1], lab[2]), 0).mean()
    assert sum(found.hues[12:15]) == pytest.approx(expected, abs=1e-3)
    assert sum(found.lightness) == pytest.approx(1, abs=1e-3)
    assert sum(found.lightness[:10]) == pytest.approx((lab[0] < 0.5).mean(), abs=1e-3)


def test_the_command_line(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """`impasto prepare` writes beside the folder, says what it found, kept and dropped and why, and
    draws the figure; `--json` prints the report."""
    monkeypatch.chdir(tmp_path)
    draw(source / "a.png", 300, 260)
    draw(source / "small.png", 20, 20)
    (source / "text.txt").write_text("hello")
    assert main(["prepare", "photos"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines() == [
        "found 3 files, kept 1, dropped 2: 1 not a picture, 1 tiny",
        "1 picture kept a size below the one asked for; --enlarge enlarges",
        "photos-prepared: the pictures, report.png and report.json, which has every reason",
    ]
    with Image.open("photos-prepared/report.png") as figure:
        assert figure.size == (2200, 1520)
    assert main(["prepare", "photos/", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["kept"], report["interrupted"]) == (1, False)
    monkeypatch.chdir(source)
    assert main(["prepare", ".", "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert not (source / ".-prepared").exists()


def test_ctrl_c_keeps_what_is_done(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """After Ctrl-C report and figure say what has been done, the exit code is 130, and the same
    command goes on."""
    from impasto import prepare

    for number in range(4):
        draw(source / f"{number}.png", 60, 40, seed=number)
    judge: Callable[..., Any] = prepare._sharpness
    count = [0]

    def stopping(pixels: Any) -> float:
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        return judge(pixels)

    monkeypatch.setattr(prepare, "_sharpness", stopping)
    command = ["prepare", str(source), "-o", str(output), "--min-side", "1"]
    assert main([*command, "--min-sharpness", "0"]) == 130
    out = capsys.readouterr().out
    assert out.startswith("stopped early, 2 left for the same command; found 4 files, kept 2, ")
    assert pictures(output) == ["0.jpg", "1.jpg"]
    assert (output / "report.png").exists()
    assert main([*command, "--min-sharpness", "0"]) == 0
    assert "2 were done before" in capsys.readouterr().out
    assert pictures(output) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]


def test_a_ctrl_c_that_a_library_swallows_counts(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Ctrl-C in the middle of a picture stops the run after it, wherever it comes."""
    from impasto import prepare

    for number in range(4):
        draw(source / f"{number}.png", 60, 40, seed=number)
    judge: Callable[..., Any] = prepare._sharpness
    count = [0]

    def interrupted(pixels: Any) -> float:
        count[0] += 1
        if count[0] == 2:
            # As C libraries do with what is raised in their callbacks.
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        return judge(pixels)

    monkeypatch.setattr(prepare, "_sharpness", interrupted)
    command = ["prepare", str(source), "-o", str(output), "--min-side", "1"]
    assert main([*command, "--min-sharpness", "0"]) == 130
    assert capsys.readouterr().out.startswith("stopped early, 2 left for the same command")
    assert pictures(output) == ["0.jpg", "1.jpg"]


def test_ctrl_c_before_the_first_picture(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Ctrl-C before anything is done is no fault of the folder, and leaves an old report alone."""
    from impasto import prepare

    draw(source / "a.png")
    command = ["prepare", str(source), "-o", str(output), "--min-side", "1"]

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "make_folder", interrupt)
        assert main(command) == 130
        assert capsys.readouterr().err == "impasto: interrupted\n"
        assert not output.exists()
    assert main(command) == 0
    report = (output / "report.json").read_bytes()
    monkeypatch.setattr(Preparation, "_see_to", interrupt)
    assert main(command) == 130
    assert (output / "report.json").read_bytes() == report


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"size": "0"}, "--size: sizes lie in 1 to 32768"),
        ({"size": "512,512"}, "named twice"),
        ({"size": "big"}, "--size: sizes are written with commas"),
        ({"size": ""}, "--size"),
        ({"aspect": "1:1"}, "--aspect: acts only with --crop"),
        ({"aspect": "wide", "crop": "center"}, "--aspect: a shape is written"),
        ({"aspect": "1:101", "crop": "center"}, "at most a hundred times"),
        ({"aspect": "0:0", "crop": "center"}, "--aspect: "),
        ({"bits": 16}, "--bits 16: jpg holds 8; add --format png"),
        ({"format": "bmp"}, "--format: 'bmp' is not allowed"),
        ({"min_sharpness": float("nan")}, "--min-sharpness"),
        ({"nope": 1}, "see impasto prepare --help"),
    ],
)
def test_options_refuse_in_one_line(values: dict[str, Any], word: str) -> None:
    """What cannot be prepared so is refused in the words of the option."""
    with pytest.raises(OptionError) as caught:
        PrepareOptions(**values)
    assert word in str(caught.value)
    assert str(caught.value).isprintable()
    assert "validation" not in str(caught.value)


def test_what_a_killed_run_was_writing_goes_away(source: Path, output: Path) -> None:
    """The next run removes half-written files of its own, and nothing from a folder that no run
    has written into."""
    draw(source / "a.png")
    parts = [output / ".impasto-0123456789abcdef.part", output / "40" / ".impasto-ab.part"]
    for part in parts:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(b"half")
    prepared(source, output, size=(20, 40))
    assert all(part.exists() for part in parts)
    prepared(source, output, size=(20, 40))
    assert not any(part.exists() for part in parts)
    assert len(pictures(output)) == 2


def test_empty_names_are_no_folder(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """An empty name, as a shell leaves of an unset variable, is not the current folder."""
    draw(source / "a.png")
    monkeypatch.chdir(source)
    for words in (["", "-o", str(output)], [".", "-o", ""]):
        assert main(["prepare", *words]) == 2
        assert "the name is empty" in capsys.readouterr().err
    assert not output.exists()
    file = output.with_name("file")
    file.write_text("mine")
    assert main(["prepare", ".", "-o", str(file)]) == 1
    assert capsys.readouterr().err.count(str(file)) == 1
