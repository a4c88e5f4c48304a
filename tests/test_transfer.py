"""Photos repainted in one pass, from files and options to pictures that carry their settings."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import impasto
from impasto.cli import main
from impasto.color import Palette
from impasto.coloring import in_paintings_colors
from impasto.errors import CheckpointError, ImpastoError, OptionError, WeightsError
from impasto.images import Bitmap, fit_within, read_image, resize_image, write_image, writing
from impasto.networks import IDENTITY, mix, read_network
from impasto.options import make_options
from impasto.reproduction import from_settings
from impasto.run import stylization
from impasto.trained import network_path
from impasto.transfer import Repainting, from_fast_settings, repaint
from small_networks import painted_by
from stand_ins import finish, options_of
from tiny_networks import any_file, table_file

Make = Callable[..., Path]


@pytest.fixture
def table(tmp_path: Path) -> str:
    """A network that knows night-sky and mosaic."""
    return str(table_file(tmp_path / "table.safetensors"))


@pytest.fixture
def free(tmp_path: Path) -> str:
    """A network for any style."""
    return str(any_file(tmp_path / "any.safetensors"))


def seen(path: Path) -> torch.Tensor:
    """A picture's pixels as a tensor."""
    return torch.from_numpy(np.ascontiguousarray(read_image(path).pixels))[None]


def painted(network: str, photo: torch.Tensor, *shares: tuple[str, float]) -> np.ndarray:
    """What the network itself makes of a photo in a blend of styles, `(3, H, W)`."""
    found = read_network(network)
    vector = mix([found.vector_of_name(name) for name, _ in shares], [s for _, s in shares])
    return painted_by(found.transfer, photo, vector)[0].numpy()


def fast(photo: Any, styles: Any, network: str, **options: Any) -> Bitmap:
    """The picture of one pass at 32 px."""
    return repaint(photo, styles, make_options({"size": 32, **options}), network=network).bitmap


def test_a_known_style_is_what_the_network_makes(make_png: Make, table: str) -> None:
    """The picture is the network's own, by the plain forward pass, at the size asked for."""
    photo = make_png("photo.png", 32, 24, 1)
    found = fast(photo, "night-sky", table)
    assert (found.width, found.height) == (32, 24)
    expected = painted(table, seen(photo), ("night-sky", 1))
    assert np.abs(found.pixels - expected).max() < 1e-5


def test_blends_are_means_of_vectors(make_png: Make, table: str) -> None:
    """Shares weigh the style vectors, so that a blend is one pass."""
    photo = make_png("photo.png", 32, 24, 1)
    found = fast(photo, ["night-sky", "style:mosaic"], table, style_weights=(3, 1))
    expected = painted(table, seen(photo), ("night-sky", 3), ("mosaic", 1))
    assert np.abs(found.pixels - expected).max() < 1e-5


def test_strength_leads_from_the_photo_to_the_style(make_png: Make, table: str) -> None:
    """At 0 the picture is the photo to the bit; up to a quarter it fades in; above, it is the pass
    of a blend with the style that leaves photos as they are."""
    path = make_png("photo.png", 32, 24, 1)
    photo = seen(path)
    assert np.array_equal(fast(path, "mosaic", table, strength=0).pixels, photo[0].numpy())
    blend = painted(table, photo, (IDENTITY, 0.4), ("mosaic", 0.6))
    assert np.abs(fast(path, "mosaic", table, strength=0.6).pixels - blend).max() < 1e-5
    weak = painted(table, photo, (IDENTITY, 0.9), ("mosaic", 0.1))
    expected = 0.6 * photo[0].numpy() + 0.4 * weak
    assert np.abs(fast(path, "mosaic", table, strength=0.1).pixels - expected).max() < 1e-5


def test_regions_have_their_styles(make_png: Make, tmp_path: Path, table: str) -> None:
    """Each mask has the pass of its style, a kept region is the photo, a soft border their mean."""
    path = make_png("photo.png", 32, 24, 1)
    grey = np.zeros((3, 24, 32), np.float32)
    grey[:, :, :10], grey[:, :, 10:20] = 1, 0.6
    write_image(Bitmap(grey), tmp_path / "mask.png", bits=16)
    options = make_options({"size": 32, "regions": "1;keep"})
    found = repaint(
        path, "mosaic", options, network=table, masks=[str(tmp_path / "mask.png")]
    ).bitmap.pixels
    photo = seen(path)
    cover = read_image(tmp_path / "mask.png").pixels[:1]
    expected = cover * painted(table, photo, ("mosaic", 1)) + (1 - cover) * photo[0].numpy()
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("color", ["luminance", "only"])
def test_colors_are_as_in_other_runs(make_png: Make, table: str, color: str) -> None:
    """The photo's colours come back with `luminance`: chroma is the photo's; with `only` the
    picture is that of a run of evaluations, which paints nothing either."""
    photo = make_png("photo.png", 32, 24, 1)
    found = fast(photo, "night-sky", table, color=color)
    if color == "only":
        run = stylization(photo, "night-sky", make_options({"size": 32, "color": "only"}))
        assert np.allclose(found.pixels, finish(run).bitmap.pixels, atol=1e-6)
        return
    from impasto.coloring import Coloring, Part

    part = Part("luminance", 1.0, (0,), (1.0,))
    coloring = Coloring(read_image(photo), [read_image(photo)], [part])
    assert coloring.seen is not None
    bare = painted(table, torch.from_numpy(coloring.seen.pixels)[None], ("night-sky", 1))
    assert np.abs(found.pixels - coloring.finished(bare)).max() < 1e-4


def test_match_gives_the_photos_colors(make_png: Make, table: str, free: str) -> None:
    """With `match`, mean colours are the photo's, whether the network sees paintings or not; where
    it does, so are their deviations."""
    from impasto.color import color_statistics, srgb_to_oklab

    photo, painting = make_png("photo.png", 32, 24, 1), make_png("painting.png", 40, 40, 2)
    photo_mean = srgb_to_oklab(read_image(photo).pixels).mean((1, 2))
    found = fast(photo, "night-sky", table, color="match").pixels
    assert np.abs(srgb_to_oklab(found).mean((1, 2)) - photo_mean).max() < 0.03
    wanted = color_statistics(read_image(photo).pixels)
    for color, is_photos in ("match", True), ("painting", False):
        have = color_statistics(fast(photo, painting, free, color=color).pixels)
        off = np.sqrt(np.diag(have.covariance)) - np.sqrt(np.diag(wanted.covariance))
        assert (np.abs(have.mean - wanted.mean).max() < 0.02) == is_photos
        assert (np.abs(off).max() < 0.02) == is_photos


def test_a_painting_is_seen_at_its_scale(make_png: Make, free: str) -> None:
    """The style vector is predicted from the painting at 320 px times its scale."""
    path, painting = make_png("photo.png", 32, 24, 1), make_png("painting.png", 80, 60, 2)
    network = read_network(free)
    for scale in (0.25, 0.125):
        found = fast(path, painting, free, style_scale=scale).pixels
        side = round(320 * scale)
        smaller = torch.nn.functional.interpolate(
            seen(painting), (side * 3 // 4, side), mode="bilinear", antialias=True
        )
        with torch.no_grad():
            vector = network.vector_of_picture(smaller.clamp(0, 1))
            bare = painted_by(network.transfer, seen(path), vector)[0].numpy()
        expected = in_paintings_colors(bare, [Palette(read_image(painting).pixels)], 1.0)
        assert np.abs(found - expected).max() < 1e-4


def test_any_style_ends_in_the_paintings_colors(make_png: Make, free: str) -> None:
    """The mean colour of a picture of the any-style network is the painting's."""
    photo, painting = make_png("photo.png", 32, 24, 1), make_png("painting.png", 40, 40, 2)
    mean = read_image(painting).pixels.mean((1, 2))
    found = fast(photo, painting, free).pixels
    assert np.abs(found.mean((1, 2)) - mean).max() < 0.02


def test_alpha_and_resolution_are_kept(tmp_path: Path, make_png: Make, table: str) -> None:
    """A transparent photo gives a transparent picture with its resolution."""
    bitmap = read_image(make_png("photo.png", 32, 24, 1))
    alpha = np.linspace(0, 1, 24 * 32, dtype=np.float32).reshape(24, 32)
    write_image(Bitmap(bitmap.pixels, alpha), tmp_path / "clear.png", dpi=240)
    found = fast(tmp_path / "clear.png", "mosaic", table)
    assert found.alpha is not None
    assert np.abs(found.alpha - alpha).max() < 0.01
    assert found.dpi == pytest.approx(240, abs=0.1)


def test_settings_make_the_picture_again(make_png: Make, tmp_path: Path, table: str) -> None:
    """A picture names its network with its digest, is made again from its settings to the bit, and
    another network in its place is told."""
    photo = make_png("photo.png", 32, 24, 1)
    options = make_options({"size": 32, "strength": 0.7})
    picture = repaint(photo, ["mosaic", "night-sky"], options, network=table)
    assert picture.settings["fast"]["sha256"] == read_network(table).sha256
    settings = json.loads(json.dumps(picture.settings))
    again = from_fast_settings(settings)
    assert again.warnings == []
    assert np.array_equal(again.result().bitmap.pixels, picture.bitmap.pixels)
    table_file(Path(table), seed=5)
    assert "another than the picture's" in from_fast_settings(settings).warnings[0]
    Path(table).unlink()
    with pytest.raises(WeightsError, match=r"table\.safetensors"):
        from_fast_settings(settings)
    Path(photo).unlink()
    table_file(Path(table))
    with pytest.raises(ImpastoError, match="is gone"):
        from_fast_settings(settings)


def test_refining_starts_from_the_pass(files: tuple[Path, Path], table: str) -> None:
    """With `refine` the start of the run is the network's picture, its settings say so, and they
    make the same picture again."""
    photo, _ = files
    options = options_of(size=32, start="recolored", evaluations=0)
    start = finish(stylization(photo, "mosaic", options, refine=table))
    whole = read_image(photo)
    small = resize_image(whole, *fit_within(whole.width, whole.height, 32)).pixels
    expected = painted(table, torch.from_numpy(small)[None], ("mosaic", 1))
    assert np.abs(start.bitmap.pixels - expected).max() < 1e-5
    run = stylization(photo, "mosaic", options_of(size=32, start="recolored"), refine=table)
    picture = finish(run)
    assert picture.settings["refine"]["sha256"] == read_network(table).sha256
    again, warnings = from_settings(json.loads(json.dumps(picture.settings)))
    assert warnings == []
    assert np.array_equal(finish(again).bitmap.pixels, picture.bitmap.pixels)


def test_refining_starts_in_the_photos_colors(files: tuple[Path, Path], table: str) -> None:
    """With `match` the start of a refined run is the picture that one pass makes, in the photo's
    colours, though the network sees no painting."""
    photo, _ = files
    options = options_of(size=32, start="recolored", evaluations=0, color="match")
    start = finish(stylization(photo, "mosaic", options, refine=table)).bitmap.pixels
    np.testing.assert_allclose(start, fast(photo, "mosaic", table, color="match").pixels, atol=1e-5)
    assert np.abs(start - fast(photo, "mosaic", table).pixels).mean() > 0.02


def test_a_refined_run_resumes(files: tuple[Path, Path], tmp_path: Path, table: str) -> None:
    """A checkpoint of a refined run goes on to the same picture, and refuses another network."""
    photo, _ = files
    options = options_of(size=32, start="recolored", evaluations=4)
    whole = finish(stylization(photo, "mosaic", options, refine=table))
    run = stylization(photo, "mosaic", options, refine=table)
    for _ in range(2):
        next(run)
    run.checkpoint(tmp_path / "run.ckpt")
    assert np.array_equal(
        finish(impasto.resume(tmp_path / "run.ckpt")).bitmap.pixels, whole.bitmap.pixels
    )
    table_file(Path(table), seed=5)
    with pytest.raises(CheckpointError, match="network that the run's start"):
        impasto.resume(tmp_path / "run.ckpt")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"evaluations": 5}, "--evaluations: a transfer network cannot heed it"),
        ({"preset": "gatys"}, "--preset gatys: a transfer network cannot heed it"),
        ({"style_layers": "relu1_1"}, "--style-layers: a transfer network cannot heed it"),
        ({"start": "noise"}, "--start: a transfer network cannot heed it"),
    ],
)
def test_what_a_network_cannot_heed_is_refused(
    make_png: Make, table: str, options: dict[str, Any], said: str
) -> None:
    """Options of the objective and its course are refused in one line, before any work."""
    with pytest.raises(OptionError) as caught:
        repaint(make_png("photo.png", 32, 24), "mosaic", make_options(options), network=table)
    assert str(caught.value).startswith(said)


def test_unknown_styles_and_idle_scales_are_told(make_png: Make, table: str) -> None:
    """A style that is not in a network's table is named with those that are; a scale that it cannot
    heed is a warning."""
    photo = make_png("photo.png", 32, 24)
    with pytest.raises(OptionError, match=r"waves: the network .* own: night-sky, mosaic"):
        repaint(photo, "waves", network=table)
    one = Repainting(photo, ["mosaic"], make_options({"style_scale": 2}), network=table)
    assert "--style-scale: has no effect" in one.warnings[0]


def test_missing_networks_are_named(tmp_path: Path, make_png: Make) -> None:
    """A network that is not there, or none, is one line with its name."""
    (tmp_path / "text.safetensors").write_text("none")
    for name in "missing.safetensors", "text.safetensors":
        with pytest.raises(WeightsError, match=name):
            repaint(make_png("photo.png", 32, 24), "mosaic", network=str(tmp_path / name))
    with pytest.raises(WeightsError, match="the name is empty"):
        network_path(" ")


def test_the_command_repaints_and_reproduces(
    make_png: Make, tmp_path: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`stylize --fast` writes a picture that `reproduce` makes again to the byte; nothing is
    overwritten unasked."""
    photo, out = str(make_png("photo.png", 32, 24, 1)), tmp_path / "out.png"
    words = ["stylize", photo, "mosaic", "--fast", "--network", table, "--size", "32"]
    assert main([*words, "-o", str(out)]) == 0
    assert "32 x 24 px" in capsys.readouterr().out
    assert main([*words, "-o", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["reproduce", str(out)]) == 0
    assert (tmp_path / "out-again.png").read_bytes() == out.read_bytes()


def test_one_pass_is_not_continued(
    make_png: Make, tmp_path: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`continue` does not turn a picture of one pass into a run of evaluations: one line says what
    makes it larger, and that does."""
    photo, out = make_png("photo.png", 32, 24, 1), tmp_path / "out.png"
    picture = repaint(photo, "mosaic", make_options({"size": 32}), network=table)
    picture.save(out)
    for words in [], ["--size", "48"]:
        assert main(["continue", str(out), *words]) == 2
        said = capsys.readouterr().err
        assert "was made in one pass" in said
        assert "reproduce --size" in said
        assert said.count("\n") == 1
    with pytest.raises(OptionError, match="--refine"):
        from_settings(picture.settings)
    assert main(["reproduce", str(out), "--size", "48"]) == 0
    assert read_image(tmp_path / "out-again.png").width == 48


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--fast", "--refine"], "--fast and --refine exclude each other"),
        (["--network", "any"], "--network: acts only with --fast or --refine"),
        (["--runtime", "torch"], "--runtime: acts only with --fast"),
        (["--fast", "--trace", "run.jsonl"], "--trace: with --fast"),
        (["--fast", "--start-image", "a.png"], "--start-image: a transfer network cannot"),
        (["--refine", "--start", "noise"], "--start noise and --refine exclude each other"),
    ],
)
def test_flags_that_do_not_go_together(
    make_png: Make, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each pair is refused in one line."""
    assert main(["stylize", str(make_png("photo.png", 32, 24)), "mosaic", *flags]) == 2
    assert said in capsys.readouterr().err


def test_the_command_refines(files: tuple[Path, Path], tmp_path: Path, table: str) -> None:
    """`--refine` begins the command's run with the network's picture, which its settings name."""
    photo, out = files[0], tmp_path / "out.png"
    words = ["stylize", str(photo), "mosaic", "--refine", "--network", table, "--size", "32"]
    tiny = ["--single-level", "--evaluations", "0", "--content-layers", "relu2_1"]
    assert main([*words, *tiny, "-q", "-o", str(out)]) == 0
    found = read_image(out)
    whole = read_image(photo)
    small = resize_image(whole, *fit_within(whole.width, whole.height, 32)).pixels
    expected = painted(table, torch.from_numpy(small)[None], ("mosaic", 1))
    assert np.abs(found.pixels - expected).max() < 1.01 / 255
    assert found.settings is not None
    assert found.settings["refine"]["sha256"] == read_network(table).sha256


def test_the_command_heeds_masks_and_colors(make_png: Make, tmp_path: Path, table: str) -> None:
    """With `--fast`, masks, regions and colours of the command line are those of Python."""
    photo, mask, out = make_png("photo.png", 32, 24, 1), tmp_path / "mask.png", tmp_path / "out.png"
    grey = np.zeros((3, 24, 32), np.float32)
    grey[:, :, :16] = 1
    write_image(Bitmap(grey), mask)
    words = ["stylize", str(photo), "mosaic", "--fast", "--network", table, "--size", "32", "-q"]
    given = ["--mask", str(mask), "--regions", "1;keep", "--color", "luminance"]
    assert main([*words, *given, "-o", str(out)]) == 0
    options = make_options({"size": 32, "regions": "1;keep", "color": "luminance"})
    expected = repaint(photo, "mosaic", options, network=table, masks=[str(mask)]).bitmap.pixels
    found = read_image(out).pixels
    assert np.abs(found - expected).max() < 1.01 / 255
    assert np.abs(found[:, :, 20:] - read_image(photo).pixels[:, :, 20:]).max() < 1.01 / 255
    assert np.abs(found - fast(photo, "mosaic", table).pixels).mean() > 0.02


def test_a_folder_is_repainted(
    make_png: Make, tmp_path: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every photo of a folder gets its picture; what is done with the same settings is left as it
    is, what was done otherwise is no one's to overwrite, and a photo that cannot be read is named
    at the end while the others are made."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number, name in enumerate(["one.png", "two.png"]):
        make_png(name, 32, 24, number).rename(photos / name)
    (photos / "notes.txt").write_text("no picture")
    words = ["stylize", str(photos), "mosaic", "--fast", "--network", table, "--size", "32"]
    assert main(words) == 2
    assert "-o" in capsys.readouterr().err
    assert main([*words, "-o", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["one.png", "two.png"]
    assert "2 repainted" in capsys.readouterr().out
    expected = painted(table, seen(photos / "two.png"), ("mosaic", 1))
    assert np.abs(read_image(out / "two.png").pixels - expected).max() < 0.01
    before = (out / "one.png").stat().st_mtime_ns
    (photos / "three.jpg").write_bytes(b"\xff\xd8\xff damaged")
    assert main([*words, "-o", str(out)]) == 1
    told = capsys.readouterr()
    assert "2 done before, 1 with faults" in told.out
    assert "three.jpg" in told.err
    assert (out / "one.png").stat().st_mtime_ns == before
    (photos / "three.jpg").unlink()
    assert main([*words, "--strength", "0.5", "-o", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main([*words, "--strength", "0.5", "-o", str(out), "--overwrite"]) == 0


def test_photos_of_a_folder_that_are_no_files_are_named(
    make_png: Make, tmp_path: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A link to nowhere and a pipe that are called like photos are named at the end, the first of
    all too; folders are passed over."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    (photos / "more.jpg").mkdir(parents=True)
    make_png("p.png", 32, 24).rename(photos / "p.png")
    (photos / "gone.jpg").symlink_to("nowhere")
    os.mkfifo(photos / "pipe.jpg")
    words = ["stylize", str(photos), "mosaic", "--fast", "--network", table, "--size", "32"]
    assert main([*words, "-o", str(out)]) == 1
    told = capsys.readouterr()
    assert "1 repainted, 2 with faults" in told.out
    assert "gone.jpg: no such file" in told.err
    assert "pipe.jpg: is a pipe" in told.err
    assert [path.name for path in out.iterdir()] == ["p.png"]


def test_a_folder_never_replaces_what_it_reads(
    make_png: Make, tmp_path: Path, table: str, free: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Paintings, masks and photos in the folder of the results are left alone, --overwrite or not,
    and nothing is made."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    out.mkdir()
    make_png("p.png", 32, 24).rename(photos / "p.png")
    kept = out / "p.png"
    make_png("other.png", 32, 24, 5).rename(kept)
    before, painting = kept.read_bytes(), str(make_png("painting.png", 40, 30, 7))
    words = ["--fast", "--size", "32", "-o", str(out), "--overwrite"]
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "p.png").symlink_to(kept)
    for given in (
        [str(photos), str(kept), "--network", free],
        [str(photos), "mosaic", "--network", table, "--mask", str(kept), "--regions", "1;keep"],
        [str(photos), painting, "--network", free, "--mask", painting, "--style-mask", str(kept)],
        [str(linked), "mosaic", "--network", table],
    ):
        assert main(["stylize", *given, *words]) == 2, given
        assert f"{kept}: is a picture that this run reads" in capsys.readouterr().err
        assert kept.read_bytes() == before
        assert [path.name for path in out.iterdir()] == ["p.png"]


def test_a_folder_is_done_again_in_more_bits(make_png: Make, tmp_path: Path, table: str) -> None:
    """Results of 8 bits are not taken for those of 16 that are asked for now."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    make_png("p.png", 32, 24).rename(photos / "p.png")
    words = ["stylize", str(photos), "mosaic", "--fast", "--network", table, "--size", "32"]
    assert main([*words, "-o", str(out)]) == 0
    assert main([*words, "-o", str(out), "--bits", "16"]) == 1
    assert main([*words, "-o", str(out), "--bits", "16", "--overwrite"]) == 0
    assert read_image(out / "p.png").bits == 16
    made = (out / "p.png").stat().st_mtime_ns
    assert main([*words, "-o", str(out), "--bits", "16"]) == 0
    assert (out / "p.png").stat().st_mtime_ns == made


def test_shipped_names_mean_the_shipped_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder or file called as a shipped network does not take its place; with ./ it is meant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "styles").mkdir()
    (tmp_path / "any").write_text("mine")
    for name in "styles", "any":
        assert network_path(name).name == f"{name}.safetensors"
        assert network_path(f"./{name}") == Path(name)


@pytest.mark.parametrize("how", ["--fast", "--refine"])
def test_empty_names_are_refused(
    make_png: Make, table: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty name, as of a variable that is not set, stands for no folder and no default."""
    photo = str(make_png("photo.png", 32, 24))
    for words, said in (
        ([photo, "mosaic", "--network", ""], "--network: the name is empty"),
        (["", "mosaic", "--network", table], "the name of a picture is empty"),
        ([photo, "", "--network", table], "the name of a picture is empty"),
        ([photo, "mosaic", "-o="], "-o: the name is empty"),
    ):
        named = ["-o", "out.png"] if words[-1] != "-o=" else []
        assert main(["stylize", *words, how, "--size", "32", *named]) != 0
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1


def test_a_folder_reads_its_paintings_once(
    make_png: Make,
    tmp_path: Path,
    free: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A painting that is missing is said once and nothing is made; else pictures are as those of
    single runs, and what may not be overwritten is not painted first."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number in range(2):
        make_png(f"{number}.png", 32, 24, number).rename(photos / f"{number}.png")
    painting = make_png("painting.png", 40, 30, 7)
    words = ["--fast", "--network", free, "--size", "32"]
    missing = ["stylize", str(photos), "gone.png", *words, "-o", str(out)]
    assert main(missing) == 2
    assert capsys.readouterr().err.count("gone.png") == 1
    assert not out.exists()
    assert main(["stylize", str(photos), str(painting), *words, "-o", str(out)]) == 0
    single = ["stylize", str(photos / "1.png"), str(painting), *words, "--runtime", "torch"]
    assert main([*single, "-o", str(tmp_path / "one.png")]) == 0
    assert (tmp_path / "one.png").read_bytes() == (out / "1.png").read_bytes()
    monkeypatch.setattr(Repainting, "result", lambda _: pytest.fail("was painted"))
    again = ["stylize", str(photos), str(painting), *words, "--strength", "0.5", "-o", str(out)]
    assert main(again) == 1
    assert capsys.readouterr().err.count("exists already") == 2


def test_a_folder_of_photos_wants_a_folder(
    make_png: Make,
    tmp_path: Path,
    free: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A picture's name is no folder for the results of many; without --fast the line says what
    takes a folder; and a full disk is told once, with how many photos are done."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(4):
        make_png(f"{number}.png", 32, 24, number).rename(photos / f"{number}.png")
    words = ["stylize", str(photos), str(make_png("painting.png", 40, 30, 7))]
    assert main([*words, "--fast", "--network", free, "-o", str(tmp_path / "x.png")]) == 2
    assert "x.png: is a picture's name, and" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()
    assert main([*words, "-o", str(tmp_path / "x.png")]) == 2
    assert "photos: is a folder; add --fast" in capsys.readouterr().err
    move = writing._move_to_free_name

    def full(temporary: Path, target: Path) -> None:
        if target.name != "0.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        move(temporary, target)

    monkeypatch.setattr(writing, "_move_to_free_name", full)
    fast = ["--fast", "--network", free, "--size", "32", "-o", str(tmp_path / "out")]
    assert main([*words, *fast]) == 1
    told = capsys.readouterr()
    assert told.err.count("the disk is full; free some space (1 of 4 photos are done)") == 1
    assert "1 repainted, 1 with faults, stopped early, the same command goes on" in told.out
