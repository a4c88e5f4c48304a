"""Where colours come from: what goes into a run, what is shown of it, and in which parts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from impasto import levels
from impasto.cli import main
from impasto.color import Palette, color_statistics, fit_colors, keep_colors, recolor, srgb_to_oklab
from impasto.coloring import Coloring, Part, in_paintings_colors
from impasto.errors import CheckpointError, OptionError
from impasto.images import Bitmap, read_image, resize_image
from impasto.options import make_options
from impasto.reproduction import from_settings, resume
from impasto.run import stylization, stylize
from impasto.samples import sample_names
from impasto.sources import read_source
from impasto.weights import Weights
from stand_ins import finish, options_of, pixels_of, soft_picture

Maker = Callable[..., Path]
Pair = tuple[Path, Path]
Capture = pytest.CaptureFixture[str]
MODES = ("painting", "luminance", "match", "only")
KEPT = ("luminance", "match", "only")


def soft(width: int, height: int, seed: int, alpha: NDArray[np.float32] | None = None) -> Bitmap:
    """A soft picture of moderate colours."""
    pixels = soft_picture(width, height, seed).transpose(2, 0, 1) / 255
    return Bitmap((0.25 + 0.5 * pixels).astype(np.float32), alpha)


PHOTO, PAINTING, OTHER = soft(40, 30, 1), soft(36, 36, 2), soft(20, 30, 3)


def coloring_of(color: str, strength: float = 1.0, **fields: Any) -> Coloring:
    """One way of colouring for the whole picture, with one painting."""
    photo, paintings = fields.pop("photo", PHOTO), fields.pop("paintings", [PAINTING])
    indices = tuple(range(len(paintings)))
    part = Part(color, strength, indices, (1.0,) * len(paintings))
    return Coloring(photo, paintings, [part], **fields)


def chroma_error(picture: NDArray[np.floating], photo: NDArray[np.floating]) -> float:
    """Mean distance in OKLab's a and b."""
    difference = srgb_to_oklab(picture) - srgb_to_oklab(photo)
    return float(np.hypot(difference[1], difference[2]).mean())


def test_painting_changes_nothing() -> None:
    """In the painting's colours the very same arrays go into the run and come out of it."""
    coloring = coloring_of("painting")
    pixels = OTHER.pixels.copy()
    assert coloring.seen is PHOTO
    assert coloring.painted_with(coloring.parts[0])[0] is PAINTING
    for given in (coloring.finished(pixels), coloring.faded(pixels), coloring.taken_up(pixels)):
        assert given is pixels


def test_luminance_shows_the_network_no_color() -> None:
    """Photo and painting go in grey, the painting with the photo's mean and deviation of L, and the
    photo's colours come back."""
    coloring = coloring_of("luminance")
    assert coloring.seen is not None
    (painting,) = coloring.painted_with(coloring.parts[0])
    seen, painted = srgb_to_oklab(coloring.seen.pixels), srgb_to_oklab(painting.pixels)
    photo = srgb_to_oklab(PHOTO.pixels)
    np.testing.assert_allclose(seen[0], photo[0], atol=1e-5)
    for lab in (seen, painted):
        np.testing.assert_allclose(lab[1:], 0, atol=1e-4)
    assert painted[0].mean() == pytest.approx(photo[0].mean(), abs=1e-3)
    assert painted[0].std() == pytest.approx(photo[0].std(), abs=1e-3)
    pixels = soft(40, 30, 4).pixels
    np.testing.assert_array_equal(coloring.finished(pixels), keep_colors(pixels, PHOTO.pixels))


@pytest.mark.parametrize("space", ["rgb", "oklab"])
def test_match_gives_the_painting_the_photos_colors(space: str) -> None:
    """The painting goes in with mean and covariance of the photo; nothing else changes."""
    coloring = coloring_of("match", space=space)
    (painting,) = coloring.painted_with(coloring.parts[0])
    convert = srgb_to_oklab if space == "oklab" else np.asarray
    found, wanted = (
        color_statistics(convert(one.pixels.astype(np.float64))) for one in (painting, PHOTO)
    )
    np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-3)
    np.testing.assert_allclose(found.covariance, wanted.covariance, atol=1e-3)
    pixels = OTHER.pixels.copy()
    assert coloring.seen is PHOTO
    assert coloring.finished(pixels) is pixels


def test_each_painting_of_a_blend_is_matched() -> None:
    """Of several paintings each one gets the photo's colours, so that any blend has them."""
    coloring = coloring_of("match", paintings=[PAINTING, OTHER], space="rgb")
    for painting in coloring.painted_with(coloring.parts[0]):
        mean = painting.pixels.mean(axis=(1, 2))
        np.testing.assert_allclose(mean, PHOTO.pixels.mean(axis=(1, 2)), atol=2e-3)


@pytest.mark.parametrize("method", ["covariance", "histogram"])
def test_only_shows_the_recolored_photo(method: str) -> None:
    """Whatever was painted, the photo is shown in the colours of the paintings by their shares."""
    part = Part("only", 0.7, (0, 1), (3.0, 1.0))
    coloring = Coloring(PHOTO, [PAINTING, OTHER], [part], method)
    targets = [Palette(PAINTING.pixels, None, 3.0), Palette(OTHER.pixels, None, 1.0)]
    change = fit_colors(Palette(PHOTO.pixels), targets, method=method)
    whole = srgb_to_oklab(PHOTO.pixels) * 0.3 + change(srgb_to_oklab(PHOTO.pixels)) * 0.7
    for seed in (5, 6):
        shown = coloring.finished(soft(40, 30, seed).pixels)
        np.testing.assert_allclose(srgb_to_oklab(shown), whole, atol=1e-3)


def test_a_repainted_picture_gets_its_paintings_colors() -> None:
    """Mean and covariance become the paintings', mixed by their shares, as far as strength says,
    and count inside the mask alone."""
    found = in_paintings_colors(PHOTO.pixels, [Palette(PAINTING.pixels)], 1.0).reshape(3, -1)
    wanted = PAINTING.pixels.reshape(3, -1)
    assert np.abs(found.mean(1) - wanted.mean(1)).max() < 2e-3
    assert np.abs(np.cov(found) - np.cov(wanted)).max() < 2e-3
    half = in_paintings_colors(PHOTO.pixels, [Palette(PAINTING.pixels)], 0.5)
    middle = (PHOTO.pixels.mean((1, 2)) + wanted.mean(1)) / 2
    assert np.abs(half.mean((1, 2)) - middle).max() < 2e-3
    several = [Palette(PAINTING.pixels, None, 3.0), Palette(OTHER.pixels, None, 1.0)]
    blend = in_paintings_colors(PHOTO.pixels, several, 1.0).mean((1, 2))
    mixed = 0.75 * wanted.mean(1) + 0.25 * OTHER.pixels.mean((1, 2))
    assert np.abs(blend - mixed).max() < 2e-3
    mask = np.zeros(PHOTO.pixels.shape[1:], np.float32)
    mask[:, :20] = 1
    inside = in_paintings_colors(PHOTO.pixels, [Palette(PAINTING.pixels)], 1.0, mask)
    assert np.abs(inside[:, :, :20].mean((1, 2)) - wanted.mean(1)).max() < 2e-3
    nowhere = in_paintings_colors(PHOTO.pixels, [Palette(PAINTING.pixels)], 1.0, 0 * mask)
    assert np.array_equal(nowhere, PHOTO.pixels)


def test_flat_paintings_leave_the_pictures_contrast() -> None:
    """A painting of one colour gives its mean and no more; with some contrast of its own it gives
    that by and by, and from a small one on nothing else."""
    off = PAINTING.pixels - PAINTING.pixels.mean((1, 2), keepdims=True)
    off /= np.sqrt((off**2).mean((1, 2)).sum())
    picture = 0.6 + 0.3 * (PHOTO.pixels - PHOTO.pixels.mean((1, 2), keepdims=True))
    spreads = []
    for spread in (0.0, 0.01, 0.0199, 0.0201, 0.1):
        painting = (0.45 + spread * off).astype(np.float32)
        found = in_paintings_colors(picture, [Palette(painting)], 1.0)
        np.testing.assert_allclose(found.mean((1, 2)), 0.45, atol=1e-3)
        spreads.append(float(np.sqrt(found.var((1, 2)).sum())))
        if spread == 0:
            np.testing.assert_allclose(found, picture - 0.15, atol=1e-3)
    own = float(np.sqrt(picture.var((1, 2)).sum()))
    assert own == pytest.approx(spreads[0], abs=1e-3)
    assert spreads[1] == pytest.approx(own / 2 + 0.005, rel=0.2)
    assert spreads[2] == pytest.approx(0.02, rel=0.1)
    assert spreads[3:] == pytest.approx([0.0201, 0.1], rel=0.02)


def test_parts_meet_softly() -> None:
    """Where masks overlap softly, each part's own picture has its share; what no mask takes stays
    as it was painted, and shares of more than the whole are scaled down."""
    left = np.tile(np.linspace(1.4, -0.4, 40).clip(0, 1), (30, 1)).astype(np.float32)
    right = np.tile(np.linspace(-0.2, 1.2, 40).clip(0, 1), (30, 1)).astype(np.float32)
    right[:10] = 0
    kept = Part("luminance", 1.0, (0,), (1.0,), left)
    only = Part("only", 1.0, (0,), (1.0,), right)
    coloring = Coloring(PHOTO, [PAINTING], [kept, only])
    pixels = soft(40, 30, 4).pixels
    shown = coloring.finished(pixels)
    whole = np.maximum(left + right, 1)
    inside = Palette(PHOTO.pixels, right)
    recolored = recolor(PHOTO.pixels, fit_colors(inside, [Palette(PAINTING.pixels)]))
    expected = left / whole * keep_colors(pixels, PHOTO.pixels) + right / whole * recolored
    expected += (1 - (left + right) / whole) * pixels
    np.testing.assert_allclose(shown, expected, atol=1e-5)
    assert coloring.seen is not None
    faded = Coloring(PHOTO, [PAINTING], [Part("luminance", 1.0, (0,), (1.0,))]).faded(PHOTO.pixels)
    share = left / whole
    seen = share * faded + (1 - share) * PHOTO.pixels
    np.testing.assert_allclose(coloring.seen.pixels, seen, atol=1e-5)


def test_a_part_takes_the_photos_colors_inside_it() -> None:
    """A painting is matched to the colours that the photo has under the mask, not beside it."""
    mask = np.zeros((30, 40), np.float32)
    mask[5:12, 8:30] = 1
    part = Part("match", 1.0, (1,), (1.0,), mask)
    rest = Part("match", 1.0, (0,), (1.0,), 1 - mask)
    coloring = Coloring(PHOTO, [OTHER, PAINTING], [part, rest], space="rgb")
    (painting,) = coloring.painted_with(part)
    inside = PHOTO.pixels[:, mask > 0].mean(axis=1)
    np.testing.assert_allclose(painting.pixels.mean(axis=(1, 2)), inside, atol=2e-3)
    assert painting.pixels.shape == PAINTING.pixels.shape


def test_what_cannot_be_seen_does_not_count() -> None:
    """Colours under full transparency, of photo or painting, change no statistics."""
    for color in KEPT:
        results = []
        for seed in (1, 2):
            rng = np.random.default_rng(seed)
            pair = []
            for bitmap in (PHOTO, PAINTING):
                alpha = np.ones(bitmap.pixels.shape[1:], np.float32)
                alpha[:, :15] = 0
                hidden = rng.random(bitmap.pixels.shape, np.float32)
                pair.append(Bitmap(np.where(alpha > 0, bitmap.pixels, hidden), alpha))
            coloring = coloring_of(color, photo=pair[0], paintings=pair[1:])
            (painting,) = coloring.painted_with(coloring.parts[0])
            shown = coloring.finished(soft(40, 30, 4).pixels)
            results.append((painting.pixels[:, :, 15:], shown[:, :, 15:]))
        for one, other in zip(*results, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("color", KEPT)
def test_where_nothing_can_be_seen_colors_stay(color: str) -> None:
    """A wholly transparent photo, or a mask that takes nothing, gives no colours to match."""
    ghost = Bitmap(PHOTO.pixels, np.zeros((30, 40), np.float32))
    empty = Part(color, 1.0, (0,), (1.0,), np.zeros((30, 40), np.float32))
    for coloring in (coloring_of(color, photo=ghost), Coloring(PHOTO, [PAINTING], [empty])):
        (painting,) = coloring.painted_with(coloring.parts[0])
        assert painting is PAINTING
        assert np.isfinite(coloring.finished(soft(40, 30, 4).pixels)).all()


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("masked", [False, True])
def test_what_was_shown_is_taken_up(strength: float, masked: bool) -> None:
    """A smaller result is taken back to what the network had painted, whole or in parts."""
    mask = None
    if masked:
        mask = np.zeros((30, 40), np.float32)
        mask[:, 20:] = 1
    part = Part("luminance", strength, (0,), (1.0,), mask)
    coloring = Coloring(PHOTO, [PAINTING], [part])
    smaller = resize_image(PHOTO, 20, 15)
    small = Coloring(
        smaller,
        [PAINTING],
        [Part("luminance", strength, (0,), (1.0,), None if mask is None else mask[::2, ::2])],
    )
    picture = small.faded(soft(20, 15, 4).pixels)
    back = coloring.taken_up(small.finished(picture))
    # Where the mask's border was brought to another size, it lies a little elsewhere.
    apart = slice(0, 8) if masked else slice(0, 20)
    np.testing.assert_allclose(back[:, :, apart], picture[:, :, apart], atol=0.01)
    np.testing.assert_allclose(back[:, :, 13:], picture[:, :, 13:], atol=0.01)


@pytest.mark.parametrize("color", KEPT)
def test_a_photo_is_needed(color: str) -> None:
    """Ways of colouring that need a photo are refused without one, in one line."""
    with pytest.raises(OptionError, match=f"^--color {color}: there is no photo"):
        coloring_of(color, photo=None)


@pytest.mark.parametrize("color", ["match", "only"])
def test_a_painting_is_needed(color: str) -> None:
    """Matching colours without a painting is refused in one line."""
    with pytest.raises(OptionError, match=f"^--color {color}: there is no painting"):
        coloring_of(color, paintings=[])


def test_kept_colors_survive_a_run(files: Pair) -> None:
    """A run that keeps the photo's colours changes lightness and hardly a or b, which one in the
    painting's colours does."""
    photo = resize_image(read_image(files[0]), 24, 18).pixels
    found = {
        color: stylize(
            *files, options_of(color=color, evaluations=12, content_weight=0)
        ).bitmap.pixels
        for color in ("painting", "luminance")
    }
    assert chroma_error(found["luminance"], photo) < 0.005
    assert chroma_error(found["painting"], photo) > 0.015
    changed = srgb_to_oklab(found["luminance"])[0] - srgb_to_oklab(photo)[0]
    assert np.abs(changed).mean() > 0.005


@pytest.mark.parametrize("start", ["content", "recolored", "noise", "style-colors"])
def test_colors_are_kept_from_any_start(files: Pair, start: str) -> None:
    """Before the first evaluation already, whatever the start, the photo's colours are shown."""
    photo = resize_image(read_image(files[0]), 24, 18).pixels
    run = stylization(*files, options_of(color="luminance", start=start))
    assert chroma_error(run.result.bitmap.pixels, photo) < 0.02


@pytest.mark.parametrize("color", ["luminance", "match"])
def test_strength_0_is_the_painting(files: Pair, color: str) -> None:
    """With strength 0 a run hardly differs from one in the painting's colours; with 1 it does."""
    # Not Wasserstein-2: where a layer has fewer positions than channels, as here, its gradient
    # hangs on the last digit, and the runs part after the first step.
    plain = stylize(*files, options_of(style_loss="gram"))
    none, all_of_it = (
        stylize(*files, options_of(style_loss="gram", color=color, color_strength=strength))
        for strength in (0.0, 1.0)
    )
    np.testing.assert_allclose(none.pixels, plain.pixels, atol=1e-4)
    assert np.abs(all_of_it.pixels - plain.pixels).max() > 0.02


def test_only_colors_takes_no_evaluation(files: Pair, tmp_path: Path, capsys: Capture) -> None:
    """With `--color only` there is nothing to paint: no level, no evaluation, and the picture."""
    run = stylization(*files, options_of(color="only"))
    assert run.plan().levels == ()
    assert list(run) == []
    picture = run.result
    assert "result" not in picture.settings
    photo = resize_image(read_image(files[0]), 24, 18).pixels
    change = fit_colors(Palette(photo), [Palette(read_image(files[1]).pixels)])
    np.testing.assert_array_equal(picture.bitmap.pixels, recolor(photo, change))
    command = ["stylize", *map(str, files), "--size", "24", "--color", "only", "--json"]
    extra = ["--checkpoint", str(tmp_path / "c.ckpt"), "--trace", str(tmp_path / "t.jsonl")]
    assert main([*command, *extra, "-o", str(tmp_path / "o.png")]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["evaluations"], summary["loss"], summary["levels"]) == (0, None, [])
    assert not (tmp_path / "c.ckpt").exists()
    written = read_image(tmp_path / "o.png").pixels
    np.testing.assert_allclose(written, picture.bitmap.pixels, atol=0.51 / 255)
    assert main(["plan", *map(str, files), "--color", "only", "--size", "24"]) == 0
    assert "about 0 s" in capsys.readouterr().out


def test_only_colors_takes_no_fine_texture(files: Pair) -> None:
    """A painting that would lend its texture is refused where no texture is taken."""
    with pytest.raises(OptionError, match=r"^--fine-style: --color only"):
        stylization(*files, options_of(color="only"), fine=files[1])


@pytest.mark.parametrize("color", MODES)
def test_snapshots_are_shown_as_the_result_is(files: Pair, tmp_path: Path, color: str) -> None:
    """What is shown of an evaluation has the final colours: the last snapshot is the picture."""
    command = ["stylize", *map(str, files), "--size", "24", "--evaluations", "4", "-q"]
    command += ["--single-level", "--every", "1", "--color", color]
    assert main([*command, "--snapshots", str(tmp_path / "s"), "-o", str(tmp_path / "o.png")]) == 0
    if color == "only":
        assert not (tmp_path / "s").exists()
        return
    last = read_image(tmp_path / "s" / "000004.png").pixels
    np.testing.assert_array_equal(last, read_image(tmp_path / "o.png").pixels)


@pytest.mark.parametrize("color", MODES)
def test_everything_else_in_a_file_survives(files: Pair, tmp_path: Path, color: str) -> None:
    """Transparency, 16 bits, a profile, print resolution and settings pass through every way."""
    fine = (soft_picture(24, 18, 1).astype(np.uint16) * 257) ^ 0x55
    alpha = np.tile(np.linspace(0, 65535, 24), (18, 1)).astype(np.uint16)
    import pyvips

    planes = np.concatenate([fine, alpha[..., None]], axis=2)
    deep = pyvips.Image.new_from_array(planes, interpretation="rgb16")
    deep.copy(xres=300 / 25.4, yres=300 / 25.4).pngsave(str(tmp_path / "deep.png"), profile="p3")
    picture = stylize(tmp_path / "deep.png", files[1], options_of(color=color))
    picture.save(tmp_path / "out.png", bits=16)
    read = read_image(tmp_path / "deep.png")
    found = read_image(tmp_path / "out.png")
    assert found.bits == 16
    assert found.dpi == pytest.approx(300, rel=1e-3)
    assert found.settings == picture.settings
    assert picture.settings["options"]["color"] == color
    assert found.alpha is not None
    assert read.alpha is not None
    np.testing.assert_allclose(found.alpha, read.alpha, atol=1 / 65535)
    np.testing.assert_allclose(found.pixels, picture.bitmap.pixels, atol=0.51 / 65535)
    if color == "luminance":
        seen = read.alpha > 0
        difference = srgb_to_oklab(found.pixels) - srgb_to_oklab(read.pixels)
        assert np.hypot(difference[1], difference[2])[seen].mean() < 0.01


def test_a_grey_photo_stays_grey(files: Pair, tmp_path: Path) -> None:
    """Keeping the colours of a grey photo makes a picture that is grey in every pixel."""
    Image.open(files[0]).convert("L").save(tmp_path / "gray.png")
    picture = stylize(tmp_path / "gray.png", files[1], options_of(color="luminance", evaluations=9))
    assert np.ptp(picture.pixels, axis=2).max() == 0
    assert np.ptp(picture.pixels) > 0.1


@pytest.mark.parametrize("color", KEPT)
@pytest.mark.parametrize("method", ["covariance", "histogram"])
def test_extreme_pictures_are_colored(
    narrow: Weights, tmp_path: Path, color: str, method: str
) -> None:
    """Grey, flat, tiny and one-pixel photos and two-colour paintings give finite pictures."""
    two = np.where(np.indices((20, 20)).sum(axis=0)[..., None] % 5 < 2, [250, 240, 30], [20, 0, 90])
    gray = np.repeat(soft_picture(9, 7, 1)[..., :1], 3, axis=2)
    flat = np.full((6, 6, 3), 77, np.uint8)
    extra = {} if color == "luminance" else {"color_method": method}
    for photo in (gray, flat, soft_picture(9, 9, 2), soft_picture(1, 1, 3)):
        for painting in (two.astype(np.uint8), flat, gray):
            for size in (9, 1):
                options = options_of(color=color, size=size, evaluations=2, **extra)
                picture = stylize(photo, painting, options)
                assert max(picture.pixels.shape) == max(size, 3)
                assert np.isfinite(picture.pixels).all()
                assert picture.pixels.min() >= 0
                assert picture.pixels.max() <= 1


@pytest.mark.parametrize("color", MODES)
def test_previews_are_continued_in_their_colors(
    files: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, color: str
) -> None:
    """A smaller result, which has its final colours, goes on to one that looks like it."""
    monkeypatch.setattr(levels, "MIN_AUTO_SIDE", 12)
    small = stylize(*files, options_of(color=color, size=24, evaluations=6))
    small.save(tmp_path / "p.png")
    run, warnings = from_settings(small.settings, {"size": 48}, coarse=str(tmp_path / "p.png"))
    assert warnings == []
    before = resize_image(run.result.bitmap, 24, 18).pixels
    assert np.abs(before - small.bitmap.pixels).mean() < 0.02
    picture = finish(run)
    assert picture.pixels.shape == (36, 48, 3)
    if color == "luminance":
        photo = resize_image(read_image(files[0]), 48, 36).pixels
        assert chroma_error(picture.bitmap.pixels, photo) < 0.01
    again, _ = from_settings(picture.settings)
    assert pixels_of(finish(again)) == pixels_of(picture)


@pytest.mark.parametrize("color", MODES)
def test_runs_are_made_again_and_resumed(files: Pair, tmp_path: Path, color: str) -> None:
    """A picture is made again to the bit from its settings, and so from a checkpoint."""
    extra = {} if color == "painting" else {"color_strength": 0.75}
    options = options_of(color=color, levels="12:3,24:3", **extra)
    whole = stylize(*files, options)
    again, warnings = from_settings(whole.settings)
    assert warnings == []
    assert pixels_of(finish(again)) == pixels_of(whole)
    begun = stylization(*files, options)
    for _ in range(2):
        next(begun, None)
    begun.checkpoint(tmp_path / "c.ckpt")
    assert pixels_of(finish(resume(tmp_path / "c.ckpt"))) == pixels_of(whole)


def test_a_photo_of_other_colors_is_not_resumed(files: Pair, tmp_path: Path) -> None:
    """The colours that come back in the end belong to the run, though the network sees none."""
    bitmap = read_image(files[0])
    photo = np.ascontiguousarray(bitmap.pixels.transpose(1, 2, 0))
    gray = Coloring(bitmap, [], [Part("luminance", 1.0, (), ())]).seen
    assert gray is not None
    options = options_of(color="luminance", size=40)
    run = stylization(photo, files[1], options)
    next(run)
    run.checkpoint(tmp_path / "c.ckpt")
    other = np.ascontiguousarray(gray.pixels.transpose(1, 2, 0))
    with pytest.raises(CheckpointError, match="pictures are not those"):
        resume(tmp_path / "c.ckpt", content=other)


def test_color_options_can_be_taken_back(files: Pair, tmp_path: Path) -> None:
    """`reproduce --color painting` leaves out what is recorded and has nothing to act on then."""
    options = options_of(color="match", color_strength=0.5, color_method="histogram")
    stylize(*files, options).save(tmp_path / "p.png")
    out = str(tmp_path / "o.png")
    assert main(["reproduce", str(tmp_path / "p.png"), "--color", "painting", "-q", "-o", out]) == 0
    found = read_image(out).settings
    assert found is not None
    assert (found["options"]["color"], found["options"]["color_strength"]) == ("painting", 1.0)
    plain = stylize(*files, options_of())
    np.testing.assert_allclose(read_image(out).pixels, plain.bitmap.pixels, atol=0.51 / 255)


def test_a_third_picture_is_seen_like_the_photo(files: Pair, make_png: Maker) -> None:
    """A picture to start from goes in without its colours where the photo does."""
    third = make_png("third.png", 24, 18, 7)
    run = stylization(*files, options_of(color="luminance"), start=third)
    photo = resize_image(read_image(files[0]), 24, 18).pixels
    shown = srgb_to_oklab(run.result.bitmap.pixels)
    expected = srgb_to_oklab(keep_colors(read_image(third).pixels, photo))
    np.testing.assert_allclose(shown[0], expected[0], atol=2e-3)
    assert chroma_error(run.result.bitmap.pixels, photo) < 0.01


@pytest.mark.parametrize("name", sample_names())
def test_luminance_keeps_the_colours_of_every_sample(narrow: object, name: str) -> None:
    """Repainted by lightness alone, a photo's OKLab colours move by at most 0.02 on average."""
    options = make_options(
        {"size": 64, "evaluations": 4, "single_level": True, "color": "luminance"}
    )
    run = stylization(f"sample:{name}", "style:night-sky", options)
    for _ in run:
        pass
    sized = resize_image(read_source(f"sample:{name}", 10**8), run.width, run.height)
    found = [srgb_to_oklab(picture.pixels) for picture in (run.result.bitmap, sized)]
    assert float(np.linalg.norm(found[0][1:] - found[1][1:], axis=0).mean()) <= 0.02
    assert float(np.abs(found[0][0] - found[1][0]).mean()) > 0.002, "nothing was painted"
