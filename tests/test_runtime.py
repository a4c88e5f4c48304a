"""Pictures repainted without torch: the same as with it, in a process that never loads it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from impasto import transfer
from impasto.bare import needs_torch, network_for, repaint
from impasto.blueprint import IDENTITY
from impasto.cli import main
from impasto.color import Palette, color_statistics, fade_colors, keep_colors, recolor
from impasto.coloring import in_paintings_colors
from impasto.errors import OptionError, WeightsError
from impasto.exporting import export_network
from impasto.images import Bitmap, read_image, resize_image, write_image
from impasto.network_files import METADATA, read_network_file
from impasto.networks import mix, read_network
from impasto.options import StyleOptions, make_options
from impasto.runtime import PortableNetwork, open_network, portable_file
from small_networks import painted_by, with_rim, write_any, write_styles

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

STEP = 1 / 255
"""Of a picture of 8 bits."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that knows three styles."""
    return write_styles(tmp_path_factory.mktemp("nets") / "three.safetensors")


@pytest.fixture(scope="module")
def any_style(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for any style."""
    return write_any(tmp_path_factory.mktemp("nets") / "free.safetensors")


def by_torch(path: Path, photo: Bitmap, style: Any, strength: float = 1.0) -> np.ndarray:
    """What torch makes of a photo: `style` is a list of names and shares, or of pictures."""
    network = read_network(path)
    picture = torch.from_numpy(photo.pixels)[None]

    def seen(pixels: torch.Tensor) -> torch.Tensor:
        height, width = pixels.shape[2:]
        longest = max(height, width)
        size = [(2 * side * 320 + longest) // (2 * longest) for side in (height, width)]
        return torch.nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)

    if network.table is not None:
        vectors = [network.vector_of_name(name) for name, _ in style]
        own = network.vector_of_name(IDENTITY)
    else:
        found = [torch.from_numpy(one.pixels)[None] for one, _ in style]
        vectors = [network.vector_of_picture(seen(one)) for one in found]
        own = network.vector_of_picture(seen(with_rim(picture)))
    vector = mix(vectors, [share for _, share in style])
    made = painted_by(network.transfer, picture, mix([vector, own], [strength, 1 - strength]))
    return (picture + min(1, 4 * strength) * (made - picture))[0].numpy()


def run_alone(
    arguments: list[str], env: Mapping[str, str] | None = None
) -> tuple[int, list[str], str]:
    """The exit code of the command line in a process of its own, its modules and what it said.

    Args:
        arguments: of the command line.
        env: the whole environment; by default this process's.
    """
    script = (
        "import sys\nfrom impasto.cli import main\n"
        f"code = main({arguments!r})\nprint(' '.join(sys.modules))\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=os.environ if env is None else env,
    )
    lines = done.stdout.splitlines()
    return done.returncode, lines[-1].split() if lines else [], done.stderr


def test_a_picture_without_torch(
    styles: Path, tmp_path: Path, make_png: Callable[..., Path]
) -> None:
    """From photo to written picture no torch is loaded, and what is written is torch's picture to
    within a step of 8 bits, with its settings."""
    photo, out = make_png("photo.png", 60, 44), tmp_path / "out.png"
    arguments = ["stylize", str(photo), "two", "--fast", "--runtime", "onnx", "--size", "48"]
    arguments += ["--network", str(styles), "-o", str(out)]
    for again in [], ["--overwrite"]:  # the second time from the cache
        code, modules, said = run_alone([*arguments, *again])
        assert code == 0, said
        assert "onnxruntime" in modules
        assert not {"torch", "ssl"} & set(modules), "neither it nor the network is needed"
    assert "onnx" not in modules, "what is in the cache needs no package that makes it"
    small = resize_image(read_image(photo), 48, 35)
    expected = by_torch(styles, small, [("two", 1)])
    found = read_image(out)
    assert np.abs(found.pixels - expected).max() <= 1.01 * STEP
    assert found.settings is not None
    assert found.settings["fast"]["sha256"] == read_network(styles).sha256
    assert found.settings["fast"]["runtime"] == "onnx"
    assert found.settings["options"]["size"] == 48


@pytest.mark.parametrize("command", ["stylize", "export"])
def test_onnxruntime_reports_nothing(
    styles: Path, tmp_path: Path, make_png: Callable[..., Path], command: str
) -> None:
    """Neither painting nor exporting leaves what onnxruntime sends to Microsoft: no identifier of
    the machine and no database of reports is in the home folder."""
    arguments = ["export", str(styles), "-o", str(tmp_path / "three.onnx")]
    if command == "stylize":
        arguments = ["stylize", str(make_png("photo.png", 24, 20)), "two", "--fast", "--runtime"]
        arguments += ["onnx", "--network", str(styles), "-o", str(tmp_path / "out.png")]
    # Of all else, such as that this is a test, onnxruntime may make that it reports nothing.
    names = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "IMPASTO_CACHE")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    home = tmp_path / "home"
    home.mkdir()
    code, modules, said = run_alone(arguments, {**kept, "HOME": str(home)})
    assert code == 0, said
    assert "onnxruntime" in modules
    assert list(home.rglob("*")) == []


@pytest.mark.parametrize("strength", [0.0, 0.15, 0.6, 1.0])
def test_strengths_and_blends_are_torchs(
    styles: Path, any_style: Path, make_png: Callable[..., Path], strength: float
) -> None:
    """Blends by shares, at any strength, by names and by pictures, are those of torch."""
    photo, one, two = (make_png(f"{n}.png", 52, 40 + n, n) for n in range(3))
    options = StyleOptions(size=52, strength=strength, style_weights=(3, 1))
    seen = [read_image(one), read_image(two)]
    for path, given, style in (
        (styles, ["three", "one"], [("three", 3), ("one", 1)]),
        (any_style, [one, two], list(zip(seen, (3, 1), strict=True))),
    ):
        found = repaint(photo, given, options, network=str(path)).bitmap
        expected = by_torch(path, read_image(photo), style, strength).clip(0, 1)
        if path == any_style:
            palettes = [Palette(seen[i].pixels, None, share) for i, share in enumerate((3, 1))]
            expected = in_paintings_colors(expected, palettes, strength)
        np.testing.assert_allclose(found.pixels, expected.clip(0, 1), atol=1e-4)


def test_transparency_and_resolution_stay(styles: Path, tmp_path: Path) -> None:
    """Alpha and print resolution of the photo are those of the result."""
    rng = np.random.default_rng(5)
    alpha = np.linspace(0, 1, 40 * 30, dtype=np.float32).reshape(30, 40)
    write_image(Bitmap(rng.random((3, 30, 40), np.float32), alpha, 8, 150), tmp_path / "p.png")
    found = repaint(tmp_path / "p.png", ["one"], StyleOptions(size=40), network=str(styles)).bitmap
    assert found.alpha is not None
    assert found.dpi == pytest.approx(150, abs=0.1)
    np.testing.assert_allclose(found.alpha, alpha, atol=0.6 * STEP)


def test_colours_stay_the_photos(styles: Path, make_png: Callable[..., Path]) -> None:
    """With --color luminance the network sees lightness alone; the photo's colours come back."""
    photo = read_image(make_png("photo.png", 48, 36))
    options = StyleOptions(size=48, color="luminance")
    found = repaint(photo, ["one"], options, network=str(styles)).bitmap.pixels
    grey = Bitmap(recolor(photo.pixels, fade_colors(1.0)))
    painted = by_torch(styles, grey, [("one", 1)])
    np.testing.assert_allclose(found, keep_colors(painted, photo.pixels, 1.0), atol=1e-3)


def test_the_cache_holds_what_was_exported(styles: Path, cache: Path) -> None:
    """A network is exported once; the file in the cache is found again by the network's digest."""
    first = portable_file(styles)
    assert first.parent == cache / "networks"
    assert first.name.startswith(read_network(styles).sha256)
    made = first.stat().st_mtime_ns
    assert portable_file(styles) == first
    assert first.stat().st_mtime_ns == made
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_exported_files_run_themselves(
    styles: Path, tmp_path: Path, make_png: Callable[..., Path]
) -> None:
    """A file that `impasto export` wrote gives the picture of the network it was made from."""
    photo, net = make_png("photo.png", 40, 40), tmp_path / "net.onnx"
    assert main(["export", str(styles), "-o", str(net)]) == 0
    options = StyleOptions(size=40)
    one, two = (
        repaint(photo, ["two"], options, network=str(path)).bitmap.pixels for path in (styles, net)
    )
    np.testing.assert_array_equal(one, two)


def test_what_needs_torch_is_refused(styles: Path, make_png: Callable[..., Path]) -> None:
    """What onnxruntime cannot do, and what no network heeds, is said in the words of the option."""
    photo = make_png("photo.png", 40, 40)
    for values, message in (
        ({"size": 2100}, "2100 x 2100 px.*--runtime torch"),
        ({"device": "mps"}, "--device mps"),
        ({"precision": "float16"}, "--precision float16"),
        ({"evaluations": 5}, "--evaluations"),
        ({"preset": "gatys"}, "--preset"),
        ({"style_weights": (1, 2)}, "--style-weights"),
    ):
        with pytest.raises(OptionError, match=message):
            repaint(photo, ["one"], make_options(values), network=str(styles))
    with pytest.raises(OptionError, match=r"four: the network .* does not know.*one, two, three"):
        repaint(photo, ["four"], network=str(styles))
    with pytest.raises(OptionError, match="no painting"):
        repaint(photo, [], network=str(styles))


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    """A missing, damaged or foreign ONNX file is named in one line."""
    import onnx
    from onnx import helper

    (tmp_path / "bad.onnx").write_bytes(b"\0\1\2")
    value = helper.make_tensor_value_info("x", 1, [1])
    out = helper.make_tensor_value_info("y", 1, [1])
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [value], [out])
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "other.onnx")
    for name, message in (
        ("none.onnx", "No such file"),
        ("bad.onnx", "no ONNX file"),
        ("other.onnx", "no network of impasto"),
    ):
        with pytest.raises(WeightsError, match=message):
            PortableNetwork(tmp_path / name)


def test_the_network_follows_from_the_styles() -> None:
    """Built-in styles have a network of their own; any painting among them needs the other."""
    assert network_for(["night-sky", "style:stained-glass"]) == "styles"
    assert network_for(["night-sky", "painting.jpg"]) == "any"


def test_the_summary_is_json(
    styles: Path, tmp_path: Path, make_png: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A program learns the size, the time and the settings of what was written."""
    photo, out = make_png("photo.png", 40, 30), tmp_path / "out.jpg"
    arguments = ["stylize", str(photo), "one", "--fast", "--runtime", "onnx", "--json"]
    assert main([*arguments, "--network", str(styles), "-o", str(out), "--size", "40"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["width"], summary["height"]) == (40, 30)
    assert summary["output"] == str(out)


def test_export_is_of_the_same_bytes(styles: Path, tmp_path: Path) -> None:
    """What the cache holds is what `impasto export` writes."""
    export_network(styles, tmp_path / "net.onnx")
    assert portable_file(styles).read_bytes() == (tmp_path / "net.onnx").read_bytes()


def test_gpus_are_left_to_torch(
    styles: Path,
    tmp_path: Path,
    make_png: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where NVIDIA's driver is at work, torch has the picture unless the CPU or onnxruntime was
    asked for; convolutions that no network's runtime heeds are no reason to refuse one."""
    driver = tmp_path / "version"
    driver.touch()
    photo = make_png("photo.png", 40, 30)
    monkeypatch.setattr("impasto.cli.fast.NVIDIA", driver)
    monkeypatch.setattr("impasto.devices.torch.cuda.is_available", lambda: False)
    for number, (words, runtime) in enumerate(
        (
            ([], None),
            (["--device", "cpu"], "onnx"),
            (["--runtime", "onnx"], "onnx"),
            (["--device", "cpu", "--no-fast-convolution"], "onnx"),
        )
    ):
        out = tmp_path / f"{number}.png"
        arguments = ["stylize", str(photo), "one", "--fast", "-q", "--size", "40", *words]
        assert main([*arguments, "--network", str(styles), "-o", str(out)]) == 0
        settings = read_image(out).settings
        assert settings is not None
        assert settings["fast"].get("runtime") == runtime, words


def test_large_pictures_are_left_to_torch(
    styles: Path,
    tmp_path: Path,
    make_png: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where nothing is said, onnxruntime makes what it can, and torch the rest: what counts are the
    pixels of the result, so that a long strip is not large."""
    monkeypatch.setattr("impasto.cli.fast.NVIDIA", tmp_path / "no driver")
    strip, square = make_png("strip.png", 40, 2), make_png("square.png", 20, 20)
    for photo, size, runtime in (strip, 40, "onnx"), (strip, 2001, "onnx"), (square, 1025, None):
        out = tmp_path / f"{size}.png"
        arguments = ["stylize", str(photo), "one", "--fast", "-q", "--size", str(size)]
        assert main([*arguments, "--network", str(styles), "-o", str(out)]) == 0
        settings = read_image(out).settings
        assert settings is not None
        assert settings["fast"].get("runtime") == runtime


@pytest.mark.parametrize(
    ("photo_size", "painting_size", "scale", "strength"),
    [((40, 30), (1000, 5), 0.06, 1.0), ((40, 1), (40, 30), 1.0, 0.5)],
)
def test_thin_pictures_have_a_style(
    any_style: Path,
    make_png: Callable[..., Path],
    photo_size: tuple[int, int],
    painting_size: tuple[int, int],
    scale: float,
    strength: float,
) -> None:
    """Paintings and photos of few rows are seen widened, by torch as by onnxruntime."""
    photo, painting = make_png("photo.png", *photo_size, 1), make_png("p.png", *painting_size, 2)
    options = make_options({"size": 40, "style_scale": scale, "strength": strength})
    one = repaint(photo, [painting], options, network=str(any_style)).bitmap.pixels
    other = transfer.repaint(photo, painting, options, network=str(any_style)).bitmap.pixels
    np.testing.assert_allclose(one, other, atol=STEP / 4)


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_a_cut_outs_invisible_pixels_have_no_say_in_colours(
    any_style: Path, tmp_path: Path, make_png: Callable[..., Path], runtime: str
) -> None:
    """What can be seen of a photo has the mean and the covariance of its painting's colours,
    however much of the photo cannot be seen."""
    photo, painting = read_image(make_png("p.png", 48, 48, 1)), make_png("painting.png", 40, 40, 2)
    alpha = np.zeros((48, 48), np.float32)
    alpha[8:24, 8:24] = 1
    write_image(Bitmap(photo.pixels, alpha), tmp_path / "cut-out.png")
    run = repaint if runtime == "onnx" else transfer.repaint
    options = StyleOptions(size=48)
    found = run(tmp_path / "cut-out.png", [painting], options, network=str(any_style)).bitmap
    wanted = color_statistics(read_image(painting).pixels)
    have = color_statistics(found.pixels, alpha)
    assert np.abs(have.mean - wanted.mean).max() < 0.03
    assert np.sqrt(np.diag(have.covariance)) == pytest.approx(
        np.sqrt(np.diag(wanted.covariance)), rel=0.15
    )


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_photos_are_turned_as_their_camera_says(
    styles: Path, tmp_path: Path, make_png: Callable[..., Path], runtime: str
) -> None:
    """A photo that is to be turned by its EXIF orientation gives the picture of the turned one."""
    from PIL import Image

    upright = Image.open(make_png("upright.png", 32, 24, 1))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right
    turned = tmp_path / "turned.png"
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    pictures = []
    for photo in tmp_path / "upright.png", turned:
        out = tmp_path / f"{photo.stem}-out.png"
        arguments = ["stylize", str(photo), "two", "--fast", "--runtime", runtime, "--size", "32"]
        assert main([*arguments, "--network", str(styles), "-o", str(out), "-q"]) == 0
        pictures.append(read_image(out).pixels)
    assert pictures[0].shape == (3, 24, 32)
    np.testing.assert_array_equal(*pictures)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_flat_photos_without_noise_are_left_to_torch(noise: float, tmp_path: Path) -> None:
    """Where nothing is said, a photo of one colour is torch's, which keeps it of one colour; one
    that gets noise is onnxruntime's, as others are."""
    styles = write_styles(tmp_path / "net.safetensors", noise=noise)
    orange = np.array([0.9, 0.5, 0.1], np.float32)
    flat = np.broadcast_to(orange[:, None, None], (3, 30, 40)).copy()
    write_image(Bitmap(flat), tmp_path / "flat.png")
    out = tmp_path / "out.png"
    arguments = ["stylize", str(tmp_path / "flat.png"), "one", "--fast", "-q", "--size", "40"]
    assert main([*arguments, "--network", str(styles), "-o", str(out)]) == 0
    found = read_image(out)
    assert found.settings is not None
    assert found.settings["fast"].get("runtime") == ("onnx" if noise else None)
    assert (found.pixels.std((1, 2)).max() < 2 * STEP) == (not noise)


def test_pictures_above_a_million_pixels_need_asking() -> None:
    """Unasked, onnxruntime takes a million pixels; asked, four."""
    options = StyleOptions(size=1100)
    assert needs_torch(options, 1100, 1100) is None
    assert "more than 1 million" in str(needs_torch(options, 1100, 1100, asked=False))
    assert needs_torch(options, 1024, 1024, asked=False) is None


def test_a_cache_that_cannot_be_used_is_done_without(
    styles: Path, tmp_path: Path, make_png: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that is a file, or whose network is damaged, changes nothing of the picture."""
    photo, options = make_png("photo.png", 40, 30), StyleOptions(size=40)
    first = repaint(photo, ["one"], options, network=str(styles)).bitmap.pixels
    portable_file(styles).write_bytes(b"damaged")
    again = repaint(photo, ["one"], options, network=str(styles)).bitmap.pixels
    np.testing.assert_array_equal(again, first)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "file"))
    again = repaint(photo, ["one"], options, network=str(styles)).bitmap.pixels
    np.testing.assert_array_equal(again, first)


def test_pictures_of_exported_networks_are_made_again(
    styles: Path,
    tmp_path: Path,
    make_png: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`reproduce` runs an exported network again by onnxruntime, to the byte; what is too large for
    that is torch's with a warning, or refused in one line where torch cannot run the file."""
    photo, net = make_png("photo.png", 40, 30), tmp_path / "net.onnx"
    export_network(styles, net)
    for network, out in (net, tmp_path / "one.png"), (styles, tmp_path / "two.png"):
        arguments = ["stylize", str(photo), "one", "--fast", "--size", "40", "--runtime", "onnx"]
        assert main([*arguments, "--network", str(network), "-o", str(out)]) == 0
        assert main(["reproduce", str(out)]) == 0
        assert out.with_name(f"{out.stem}-again.png").read_bytes() == out.read_bytes()
    assert capsys.readouterr().err == ""
    large = ["--size", "2400", "-o", str(tmp_path / "large.png")]
    assert main(["reproduce", str(tmp_path / "one.png"), *large]) == 2
    said = capsys.readouterr().err
    assert "only onnxruntime runs" in said
    assert "--runtime" not in said
    assert main(["reproduce", str(tmp_path / "two.png"), *large]) == 0
    assert "was made by onnxruntime" in capsys.readouterr().err
    settings = read_image(tmp_path / "large.png").settings
    assert settings is not None
    assert "runtime" not in settings["fast"]


def test_an_onnxruntime_that_cannot_be_loaded_is_named(
    styles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a library that onnxruntime needs is missing, that is said, of painting and of exports,
    and not that the network were damaged."""

    def broken() -> None:
        raise ImportError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr("impasto.runtime.load_onnxruntime", broken)
    monkeypatch.setattr("impasto.exporting.load_onnxruntime", broken)
    words = r"onnxruntime cannot be loaded \(libgomp[^)]*\); install it anew"
    with pytest.raises(OptionError, match=rf"{words}, or use --runtime torch"):
        open_network(styles)
    with pytest.raises(OptionError, match=words):
        export_network(styles, tmp_path / "three.onnx")
    assert not (tmp_path / "three.onnx").exists()


def test_exported_networks_are_onnxruntimes_alone(
    styles: Path,
    tmp_path: Path,
    make_png: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An exported network runs beside a GPU and without the package that exports; where it cannot
    run, one line says that only onnxruntime runs it, and no word that it is damaged."""
    photo, net, out = str(make_png("photo.png", 40, 30)), tmp_path / "net.onnx", tmp_path / "o.png"
    export_network(styles, net)
    driver = tmp_path / "version"
    driver.touch()
    monkeypatch.setattr("impasto.cli.fast.NVIDIA", driver)
    for module in ("impasto.cli.fast", "impasto.runtime"):
        monkeypatch.setattr(
            f"{module}.find_spec", lambda name: None if name == "onnx" else find_spec(name)
        )
    begin = ["stylize", photo, "one", "--network", str(net), "-o", str(out)]
    assert main([*begin, "--fast", "--size", "40"]) == 0
    settings = read_image(out).settings
    assert settings is not None
    assert settings["fast"]["runtime"] == "onnx"
    capsys.readouterr()
    folder = ["stylize", str(tmp_path), *begin[2:]]
    for arguments, words in (
        ([*begin, "--fast", "--runtime", "torch"], f"--runtime torch: is beyond {net}, which only"),
        ([*begin, "--fast", "--size", "2400"], f"more than 4 million: is beyond {net}, which only"),
        ([*begin, "--fast", "--mask", photo], f"--mask: is beyond {net}, which only onnxruntime"),
        ([*begin, "--fast", "--device", "mps"], f"--device mps: is beyond {net}, which only"),
        ([*folder, "--fast"], f"a folder: is beyond {net}, which only onnxruntime runs"),
        (["network", str(net)], "is an exported network, which only stylize --fast runs"),
        (["export", str(net), "-o", str(tmp_path / "x.onnx")], "is an exported network, which"),
    ):
        assert main([*arguments, *([] if arguments[0] == "network" else ["--overwrite"])]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert "damaged" not in said
        assert said.count("\n") == 1
    with pytest.raises(WeightsError, match="is an exported network"):
        read_network_file(net, "np")
    monkeypatch.setattr("impasto.cli.fast.find_spec", lambda _: None)
    assert main([*begin, "--fast", "--overwrite"]) == 2
    assert "only onnxruntime runs; install that" in capsys.readouterr().err


def test_what_the_cache_has_needs_no_exporter(
    styles: Path, tmp_path: Path, make_png: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package onnx, torch has a network's first picture; once its exported form is in
    the cache, onnxruntime alone will do."""
    photo = str(make_png("photo.png", 40, 30))
    monkeypatch.setattr("impasto.cli.fast.NVIDIA", tmp_path / "no driver")
    monkeypatch.setattr(
        "impasto.runtime.find_spec", lambda name: None if name == "onnx" else find_spec(name)
    )
    for runtime in None, "onnx":
        out = tmp_path / f"{runtime}.png"
        arguments = ["stylize", photo, "one", "--fast", "-q", "--size", "40"]
        assert main([*arguments, "--network", str(styles), "-o", str(out)]) == 0
        settings = read_image(out).settings
        assert settings is not None
        assert settings["fast"].get("runtime") == runtime
        portable_file(styles)


def test_foreign_records_are_not_trusted(styles: Path, tmp_path: Path) -> None:
    """A record that lacks what every exported network says is named in one line."""
    import onnx

    model = onnx.load_model_from_string(portable_file(styles).read_bytes())
    (entry,) = (one for one in model.metadata_props if one.key == METADATA)
    record = json.loads(entry.value)
    for name, value in (
        ("names", None),
        ("names", ["one", 2]),
        ("kind", "other"),
        ("vector", "many"),
        ("source_sha256", None),
    ):
        entry.value = json.dumps({**record, name: value})
        with pytest.raises(WeightsError, match="its record is not whole"):
            PortableNetwork(model.SerializeToString())
