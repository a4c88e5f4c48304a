"""From picture files to a saved picture: sources, transparency, settings, and doing it again."""

import hashlib
import io
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import impasto
from impasto.errors import ImageError, ImpastoError, OptionError, WeightsError
from impasto.images import Bitmap, read_image, resize_image
from impasto.matting import MattingTerm
from impasto.objective import Objective, Terms
from impasto.optimize import Progress
from impasto.options import make_options
from impasto.run import feature_maps, network_input, stylization, stylize
from impasto.samples import sample_path
from impasto.sources import BUILT_IN_SIDE
from impasto.styles import draw_style
from impasto.targets import resize
from impasto.weights import Weights
from stand_ins import finish, options_of, pixels_of, soft_picture

Maker = Callable[..., Path]


def test_every_kind_of_source_gives_the_same_bytes(files: tuple[Path, Path]) -> None:
    """A path, a text, the file's bytes, a PIL image, arrays and a `Bitmap` are one picture."""
    photo, painting = files
    array = np.asarray(Image.open(photo))
    sources: list[Any] = [
        photo,
        str(photo),
        photo.read_bytes(),
        bytearray(photo.read_bytes()),
        Image.open(photo),
        array,
        array.astype(np.float64) / 255,
        array.astype(np.uint16) * 257,
        read_image(photo),
    ]
    expected = stylize(photo, painting, options_of())
    assert expected.pixels.shape == (18, 24, 3)
    for source in sources:
        assert pixels_of(stylize(source, painting, options_of())) == pixels_of(expected)
        assert pixels_of(stylize(photo, [Image.open(painting)], options_of())) == pixels_of(
            expected
        )
    memory = memoryview(painting.read_bytes())
    assert pixels_of(stylize(photo, memory, options_of())) == pixels_of(expected)


def test_the_painting_is_matched(files: tuple[Path, Path]) -> None:
    """The loss falls, the progress is told, and the result is in [0, 1] at the size asked for."""
    losses: list[float] = []
    picture = stylize(
        *files,
        options_of(evaluations=15),
        on_progress=lambda step: losses.append(step.terms.loss),
    )
    assert len(losses) == 15
    assert min(losses) < 0.7 * losses[0]
    assert picture.progress is not None
    assert picture.progress.best_loss == min(losses)
    assert picture.pixels.min() >= 0
    assert picture.pixels.max() <= 1


@pytest.mark.parametrize(("size", "expected"), [(20, (20, 15)), (80, (80, 60)), (1, (1, 1))])
def test_the_long_side_is_the_size(
    files: tuple[Path, Path], size: int, expected: tuple[int, int]
) -> None:
    """Photos are shrunk or enlarged so that the long side has the size asked for."""
    run = stylization(*files, options_of(size=size))
    assert (run.width, run.height) == expected
    bitmap = run.result.bitmap
    assert (bitmap.width, bitmap.height) == expected


def test_before_the_first_evaluation_the_result_is_the_start(files: tuple[Path, Path]) -> None:
    """A run that has not begun answers with its start: the photo at the run's size."""
    run = stylization(*files, options_of())
    expected = resize_image(read_image(files[0]), 24, 18)
    np.testing.assert_array_equal(run.result.bitmap.pixels, expected.pixels)
    assert run.result.progress is None


def test_results_share_no_memory_with_the_run(files: tuple[Path, Path]) -> None:
    """Whoever paints over a result changes neither the run nor its later results."""
    runs = [stylization(*files, options_of()) for _ in range(2)]
    for step in range(3):
        runs[0].result.bitmap.pixels[:] = 0.5
        pixels = [run.result.bitmap.pixels for run in runs]
        np.testing.assert_array_equal(*pixels, err_msg=f"{step}")
        assert np.ptp(pixels[0]) > 0
        for run in runs:
            next(run)


def test_a_closed_run_keeps_its_result(files: tuple[Path, Path]) -> None:
    """After `close` there is no more progress, and the best picture so far is still there."""
    run = stylization(*files, options_of(evaluations=50))
    last = [next(run) for _ in range(3)][-1]
    run.close()
    assert list(run) == []
    np.testing.assert_array_equal(run.result.bitmap.pixels, last.picture[0].numpy())
    assert run.result.settings["result"]["evaluations"] == 3


def rgba(colors: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> Image.Image:
    """A picture with transparency."""
    return Image.fromarray(np.concatenate([colors, alpha[..., None]], axis=2))


def half_transparent(width: int, height: int) -> NDArray[np.uint8]:
    """Alpha: nothing at the left, a ramp, everything at the right."""
    ramp = np.clip(np.linspace(-255, 510, width), 0, 255)
    return np.tile(ramp, (height, 1)).astype(np.uint8)


def test_the_photos_transparency_is_kept(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The written picture has the photo's alpha channel, at its new size."""
    alpha = half_transparent(40, 30)
    source = tmp_path / "cut.png"
    rgba(soft_picture(40, 30), alpha).save(source)
    stylize(source, files[1], options_of()).save(tmp_path / "out.png")
    written = np.asarray(Image.open(tmp_path / "out.png"))
    assert written.shape == (18, 24, 4)
    expected = resize_image(read_image(source), 24, 18).alpha
    assert expected is not None
    np.testing.assert_allclose(written[..., 3] / 255, expected, atol=0.5 / 255 + 1e-6)
    assert written[..., 3].min() == 0
    assert written[..., 3].max() == 255


@pytest.mark.parametrize("role", ["content", "style"])
@pytest.mark.parametrize("start", ["content", "recolored", "style-colors"])
def test_invisible_colors_do_not_matter(
    files: tuple[Path, Path], tmp_path: Path, role: str, start: str
) -> None:
    """Pictures that differ only where they are fully transparent give the same bytes."""
    alpha = half_transparent(40, 36)
    results = []
    for seed in (3, 4):
        colors = soft_picture(40, 36)
        hidden = np.random.default_rng(seed).integers(0, 256, colors.shape, np.uint8)
        path = tmp_path / f"hidden-{seed}.png"
        rgba(np.where(alpha[..., None] == 0, hidden, colors), alpha).save(path)
        pair = (path, files[1]) if role == "content" else (files[0], path)
        results.append(pixels_of(stylize(*pair, options_of(start=start))))
    assert results[0] == results[1]


def test_a_fully_transparent_painting_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A painting of which nothing can be seen has no style, and the line says so."""
    path = tmp_path / "ghost.png"
    rgba(soft_picture(9, 9), np.zeros((9, 9), np.uint8)).save(path)
    with pytest.raises(ImageError, match=r"ghost\.png: is fully transparent") as caught:
        stylize(files[0], path, options_of())
    assert "\n" not in str(caught.value)


def test_a_fully_transparent_photo_is_harmless(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A photo of which nothing can be seen runs on even grey and stays invisible."""
    path = tmp_path / "ghost.png"
    rgba(soft_picture(20, 20), np.zeros((20, 20), np.uint8)).save(path)
    picture = stylize(path, files[1], options_of())
    assert picture.bitmap.alpha is not None
    assert not picture.bitmap.alpha.any()
    assert np.isfinite(picture.pixels).all()


def test_sixteen_bits_go_in_and_out(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A 16-bit photo is read in full, and `bits=16` writes the result to 1/65535."""
    fine = (soft_picture(24, 18).astype(np.uint16) * 257) ^ 0x55
    one = stylize(fine, files[1], options_of(evaluations=0))
    np.testing.assert_allclose(one.pixels, fine / 65535, atol=1e-7)
    one.save(tmp_path / "deep.png", bits=16)
    np.testing.assert_allclose(
        read_image(tmp_path / "deep.png").pixels, one.bitmap.pixels, atol=0.51 / 65535
    )
    one.save(tmp_path / "plain.png")
    assert read_image(tmp_path / "plain.png").bits == 8


def test_portrait_photos_stand_upright(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A photo that its EXIF data turns is turned once: the result is upright and tall."""
    upright = Image.fromarray(soft_picture(30, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = tmp_path / "phone.png"
    upright.transpose(Image.Transpose.ROTATE_90).save(lying, exif=exif)
    assert Image.open(lying).size == (40, 30)
    turned = stylize(lying, files[1], options_of())
    assert turned.pixels.shape == (24, 18, 3)
    assert pixels_of(turned) == pixels_of(stylize(upright, files[1], options_of()))
    turned.save(tmp_path / "out.png")
    written = Image.open(tmp_path / "out.png")
    assert written.size == (18, 24)
    assert written.getexif().get(0x0112, 1) == 1


def test_print_resolution_is_kept(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The photo's dots per inch go into the result."""
    Image.open(files[0]).save(tmp_path / "print.png", dpi=(300, 300))
    stylize(tmp_path / "print.png", files[1], options_of()).save(tmp_path / "out.png")
    assert Image.open(tmp_path / "out.png").info["dpi"] == pytest.approx((300, 300), rel=1e-3)


def test_built_in_pictures_have_names(files: tuple[Path, Path]) -> None:
    """`sample:` and `style:` name the pictures that come with the package, in either role."""
    drawn = Bitmap(draw_style("mosaic", BUILT_IN_SIDE, BUILT_IN_SIDE))
    by_name = stylize("sample:cat", "style:mosaic", options_of())
    assert pixels_of(by_name) == pixels_of(stylize(sample_path("cat"), drawn, options_of()))
    assert by_name.settings["content"] == {"path": "sample:cat", "sha256": ""}
    assert by_name.settings["styles"] == [{"path": "style:mosaic", "sha256": ""}]
    assert stylize("cat", "mosaic", options_of()).settings == by_name.settings


@pytest.mark.parametrize(
    ("content", "style", "words"),
    [
        ("sample:dog", "style:mosaic", "'dog'"),
        ("sample:cat", "style:monet", "'monet'"),
        ("gone.jpg", "style:mosaic", r"gone\.jpg: no such file"),
        ("sample:cat", "gone.jpg", r"gone\.jpg: no such file"),
        ("sample:cat\0", "style:mosaic", "sample"),
        ("a\0b", "style:mosaic", "cannot be opened"),
    ],
)
def test_missing_pictures_are_one_line(
    narrow: Weights, content: str, style: str, words: str
) -> None:
    """A picture or name that does not exist is one line that names it."""
    with pytest.raises(ImpastoError, match=words) as caught:
        stylize(content, style, options_of())
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_missing_painting_is_said(files: tuple[Path, Path]) -> None:
    """Without a painting only the content can be matched, so style needs the weight 0."""
    with pytest.raises(OptionError, match="there is no painting"):
        stylization(files[0], [], options_of())
    picture = stylize(files[0], [], options_of(style_weight=0.0, start="noise", evaluations=10))
    assert picture.progress is not None
    assert picture.progress.terms.style == 0
    with pytest.raises(OptionError, match="give a photo or a painting"):
        stylization(None, [], options_of(style_weight=0.0, start="noise"))


def test_a_print_has_the_papers_size_and_resolution(files: tuple[Path, Path]) -> None:
    """A 4:3 photo goes inside a sheet in its own shape, or is cut to fill it; the file says dpi."""
    inside = stylization(*files, make_options({"print": "51x26mm", "dpi": 25.4})).result
    assert (inside.bitmap.width, inside.bitmap.height, inside.bitmap.dpi) == (35, 26, 25.4)
    filled = make_options({"print": "51x26mm", "dpi": 25.4, "print_fit": "fill"})
    result = stylization(*files, filled).result
    assert (result.bitmap.width, result.bitmap.height) == (51, 26)
    photo = read_image(files[0])
    cut = Bitmap(photo.pixels[:, 5:25])
    wanted = resize_image(cut, 51, 26).pixels.transpose(1, 2, 0)
    plain = make_options(filled.model_dump(exclude={"size"}) | {"start": "content"})
    np.testing.assert_array_equal(stylization(*files, plain).result.pixels, wanted)


def test_a_photograph_keeps_the_photos_edges(files: tuple[Path, Path]) -> None:
    """A photo-real result is, around each pixel, an affine function of the photo's colours, which
    holds the picture on its way to it too, at a level's size; what else is shown is the same."""
    values = {"levels": "20:4,40:6", "size": 40, "start": "noise"}
    plain = finish(stylization(*files, options_of(**values)))
    run = stylization(*files, options_of(**values, photoreal_weight=10.0))
    found = finish(run)
    assert run.last is not None
    photo = resize_image(read_image(files[0]), 40, 30)
    term = MattingTerm(torch.from_numpy(photo.pixels)[None].double())

    def foreign(pixels: NDArray[np.float32]) -> float:
        return term.evaluate(torch.from_numpy(pixels.transpose(2, 0, 1))[None].double())

    held = run.last.picture[0].permute(1, 2, 0).numpy()
    assert foreign(held) < 0.5 * foreign(plain.pixels)
    assert foreign(found.pixels) < 0.5 * foreign(held)
    np.testing.assert_array_equal(run.shown(run.last).pixels, found.bitmap.pixels)


def test_a_photograph_needs_a_photo(files: tuple[Path, Path]) -> None:
    """Where there is no photo, the option that keeps one is refused by name."""
    with pytest.raises(OptionError, match=r"--photoreal-weight: there is no photo"):
        stylization(None, files[1], options_of(photoreal_weight=1.0, start="noise"))


def test_large_levels_are_anchored(files: tuple[Path, Path]) -> None:
    """A level above the limit looks, when shrunk, like the level below it, and finer itself."""
    options = options_of(size=48, levels="24:6,48:6", anchor_above=30, content_layers="relu4_1")
    last: dict[int, Progress] = {}
    for progress in stylization(*files, options):
        last[progress.level] = progress
    assert [level.anchored for level in last[1].levels] == [False, True]
    assert set(last[1].terms.layers) == {"style:relu1_1", "style:relu2_1", "style:relu3_1"}
    assert last[0].terms.anchor == 0
    shrunk = resize(last[1].best, *last[0].best.shape[-2:])
    assert float((shrunk - last[0].best).square().mean().sqrt()) < 0.05
    assert last[1].best_loss < last[1].terms.loss or last[1].evaluation == 6


def test_a_time_limit_counts_from_the_beginning(files: tuple[Path, Path]) -> None:
    """Time that went before the first evaluation is part of the limit: too much leaves one for
    each level."""
    options = options_of(size=24, levels="12:50,24:50", time_limit=1000.0)
    run = stylization(*files, options)
    run.count_from(time.monotonic() - 2000)
    finish(run)
    assert run.last is not None
    assert run.last.done == 2
    assert run.last.elapsed > 2000


def test_bounded_memory_is_recorded(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the budget bounds a run, the picture tells it, so that it can be made again alike."""
    assert stylize(*files, options_of()).settings["options"]["memory"] is None
    monkeypatch.setattr("impasto.run.memory_budget", lambda _: 10**6)
    assert stylize(*files, options_of(history=9)).settings["options"]["memory"] == 10**6


def test_a_texture_takes_the_paintings_shape(files: tuple[Path, Path], make_png: Maker) -> None:
    """Without a photo the result has the shape of the first painting, and nothing of a photo."""
    tall = make_png("tall.png", 20, 40, 5)
    picture = finish(stylization(None, [tall, files[1]], options_of(start="noise")))
    assert picture.pixels.shape == (24, 12, 3)
    assert picture.settings["content"] is None
    with pytest.raises(OptionError, match="--start content: there is no photo"):
        stylization(None, tall, options_of(start="content"))


def test_shares_must_fit(files: tuple[Path, Path]) -> None:
    """Shares that do not fit the paintings are refused before any picture is read."""
    with pytest.raises(OptionError, match="--style-weights: 3 shares for 2 paintings"):
        stylization("gone.png", ["gone.png"] * 2, options_of(style_weights=(1, 1, 1)))


def test_shares_choose_between_paintings(files: tuple[Path, Path], make_png: Maker) -> None:
    """A share of 0 leaves a painting out; another proportion makes another picture."""
    other = make_png("other.png", 30, 33, 6)
    alone = stylize(*files, options_of())
    both = [files[1], other]
    left_out = stylize(files[0], both, options_of(style_weights=(2, 0)))
    mixed = stylize(files[0], both, options_of(style_weights=(1, 1)))
    np.testing.assert_allclose(left_out.pixels, alone.pixels, atol=1e-4)
    assert np.abs(mixed.pixels - alone.pixels).max() > 1e-2


def test_a_third_picture_to_start_from(files: tuple[Path, Path], make_png: Maker) -> None:
    """A start picture is used, at the run's size, whatever the option said."""
    third = make_png("third.png", 31, 17, 7)
    run = stylization(*files, options_of(), start=third)
    assert run.options.start == "image"
    expected = resize_image(read_image(third), 24, 18)
    np.testing.assert_allclose(run.result.bitmap.pixels, expected.pixels, atol=1e-6)
    with pytest.raises(OptionError, match="--start image: name the picture"):
        stylization(*files, options_of(start="image"))


def test_large_pictures_need_permission(files: tuple[Path, Path]) -> None:
    """`max_pixels` bounds what is decoded, for the photo and the painting."""
    for limit, name in [(1199, "photo"), (1250, "painting")]:
        with pytest.raises(ImageError, match=f"{name}.png: .* --max-pixels"):
            stylization(*files, options_of(max_pixels=limit))


def test_settings_say_what_made_the_picture(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The written file carries options, inputs with digests, versions and the result's loss."""
    options = options_of(tv_weight=0.125, seed=5)
    picture = stylize(*files, options)
    picture.save(tmp_path / "out.png")
    found = read_image(tmp_path / "out.png").settings
    assert found == picture.settings
    assert found is not None
    assert make_options(found["options"]) == options
    assert found["impasto"] == impasto.__version__
    assert found["torch"] == torch.__version__
    assert found["weights_sha256"] == "0" * 64
    digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
    assert found["content"] == {"path": str(files[0].absolute()), "sha256": digest}
    assert [entry["path"] for entry in found["styles"]] == [str(files[1].absolute())]
    assert found["start"] is None
    assert picture.progress is not None
    assert found["result"]["loss"] == picture.progress.best_loss
    assert found["result"]["evaluations"] == 3


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="pipes have no names elsewhere")
def test_a_pipe_is_read_once(files: tuple[Path, Path]) -> None:
    """A photo that another program writes into a pipe is read like its file."""
    reader, writer = os.pipe()
    try:
        os.write(writer, files[0].read_bytes())
        os.close(writer)
        piped = stylization(f"/dev/fd/{reader}", files[1], options_of())
    finally:
        os.close(reader)
    plain = stylization(*files, options_of())
    np.testing.assert_array_equal(piped.result.pixels, plain.result.pixels)


def test_a_fault_in_the_end_leaves_sound_settings(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings tell the terms of the picture that was kept, not those of a last, failed step."""
    evaluate, seen = Objective.evaluate, list[Terms]()

    def faulty(self: Objective, picture: torch.Tensor) -> tuple[Terms, torch.Tensor]:
        terms, gradient = evaluate(self, picture)
        if len(seen) == 3:
            terms = Terms(math.nan, math.nan, math.nan, math.nan)
        seen.append(terms)
        return terms, gradient

    monkeypatch.setattr(Objective, "evaluate", faulty)
    picture = stylize(*files, options_of(evaluations=4))
    picture.save(tmp_path / "out.png")
    best = min(seen[:3], key=lambda terms: terms.loss)
    expected = {"loss": best.loss, "content": best.content, "style": best.style, "tv": best.tv}
    assert picture.settings["result"] == {"evaluations": 4, **expected}


def test_notebooks_show_the_picture(files: tuple[Path, Path]) -> None:
    """In a notebook a result shows itself as a PNG of its pixels, and its repr stays short."""
    picture = stylize(*files, options_of())
    shown = np.asarray(Image.open(io.BytesIO(picture._repr_png_())).convert("RGB"))
    np.testing.assert_allclose(shown / 255, picture.pixels, atol=0.51 / 255)
    assert len(repr(picture.progress)) < 5000


def test_threads_are_set(files: tuple[Path, Path]) -> None:
    """The option sets the number of CPU threads."""
    before = torch.get_num_threads()
    try:
        stylization(*files, options_of(threads=2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_unknown_weights_are_one_line(make_png: Maker) -> None:
    """Weights that are not on this machine are one line with their name."""
    with pytest.raises(WeightsError, match="vgg19:nothing") as caught:
        stylize(make_png("a.png", 9, 9), make_png("b.png", 9, 9), options_of(model="vgg19:nothing"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [True, False])
def test_too_little_memory_is_told(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    """A run that cannot keep to its memory says in one line how much it takes at least."""
    monkeypatch.setattr("impasto.run.memory_budget", lambda _: 10**7)
    run = stylization(*files, options_of(**({"memory": "20MB"} if given else {})))
    (warning,) = run.warnings
    assert "takes at least 0.65 GB" in warning
    assert warning.startswith("--memory: ") == given
    assert ("0.02 GB" if given else "0.01 GB") in warning
    assert "\n" not in warning
    assert stylization(*files, options_of(memory="2GB")).warnings == []


def test_network_input_is_the_papers_recipe(make_png: Callable[..., Path]) -> None:
    """What enters VGG is 255 times the colours less ImageNet's means, blue first."""
    path = make_png("small.png", 32, 24)
    shown, planes = network_input(path, size=32)
    pixels = np.asarray(Image.open(path)).astype(float)
    np.testing.assert_allclose(shown, pixels / 255, atol=1e-6)
    assert list(planes) == ["blue · 255 − 103.939", "green · 255 − 116.779", "red · 255 − 123.68"]
    expected = pixels[..., ::-1] - [103.939, 116.779, 123.68]
    np.testing.assert_allclose(np.stack(list(planes.values()), 2), expected, atol=1e-3)


def test_feature_maps_are_those_of_the_network(files: tuple[Path, Path]) -> None:
    """`feature_maps` gives the picture as the network saw it, and maps that are ≥ 0."""
    shown, maps = feature_maps(files[0], ["relu1_1", "block3_conv2"], size=32)
    assert shown.shape == (24, 32, 3)
    assert {name: found.shape for name, found in maps.items()} == {
        "relu1_1": (4, 24, 32),
        "relu3_2": (6, 6, 8),
    }
    assert all(found.min() >= 0 and found.max() > 0 for found in maps.values())


@pytest.mark.slow
def test_a_real_run_repaints_a_photo(tmp_path: Path) -> None:
    """With VGG19 at 128 px, thirty evaluations leave less than a third of the loss.

    The photo stays recognisable: its large forms correlate with the result.
    """
    course = {"size": 128, "evaluations": 30, "single_level": True, "start": "content"}
    losses_of = {"content_weight": 1.0, "style_weight": 4.0, "style_loss": "gram", "tv_weight": 0.0}
    losses: list[float] = []
    picture = stylize(
        "sample:cat",
        "style:mosaic",
        make_options({**course, **losses_of}),
        on_progress=lambda step: losses.append(step.terms.loss),
    )
    assert len(losses) == 30
    assert min(losses) < losses[0] / 3
    photo = resize_image(read_image(sample_path("cat")), 128, picture.bitmap.height)
    small = [
        resize_image(Bitmap(pixels), 16, 11).pixels.mean(axis=0).ravel()
        for pixels in (photo.pixels, picture.bitmap.pixels)
    ]
    assert np.corrcoef(small)[0, 1] > 0.6
    change = np.abs(photo.pixels - picture.bitmap.pixels).mean()
    assert change > 0.03
    picture.save(tmp_path / "out.jpg", quality=90)
    assert read_image(tmp_path / "out.jpg").settings == picture.settings


def test_default_runs_give_the_same_bytes(tmp_path: Path) -> None:
    """VGG19 on two threads writes the same file in two processes, as the documentation promises."""
    program = (
        "import sys; from impasto import StyleOptions, stylize; "
        "options = StyleOptions(size=96, evaluations=6, threads=2, device='cpu'); "
        "stylize('sample:cat', 'style:mosaic', options).save(sys.argv[1])"
    )
    files = [tmp_path / "one.png", tmp_path / "two.png"]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    for file in files:
        command = [sys.executable, "-c", program, str(file)]
        subprocess.run(command, check=True, timeout=300, env=environment)
    assert files[0].read_bytes() == files[1].read_bytes()
