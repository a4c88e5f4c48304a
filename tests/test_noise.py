"""Noise is what its formula says, the same wherever a picture is cut, and lets networks paint flat
skies without a weave."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.ndimage import map_coordinates, uniform_filter

from impasto import noise as module
from impasto.bare import repaint as bare_repaint
from impasto.errors import OptionError
from impasto.images import Bitmap
from impasto.networks import read_network
from impasto.noise import BAND, noise, roughened
from impasto.options import StyleOptions
from impasto.sources import Loaded
from impasto.transfer import from_fast_settings, repaint
from small_networks import write_any, write_styles

SEEN = {"path": "photo.png", "sha256": "0"}


def grey(height: int, width: int, value: float = 0.5) -> NDArray[np.float32]:
    """A flat picture."""
    return np.full((3, height, width), value, np.float32)


def test_deviation_and_colours() -> None:
    """Three independent sizes have a variance of one each, half of it common to the colours."""
    found = noise(1400, 1500, seed=3).astype(np.float64)
    covariance = np.cov(found.reshape(3, -1))
    expected = 1.5 * (np.eye(3) + 1)
    assert np.abs(covariance - expected).max() < 0.12
    assert np.abs(found.mean((1, 2))).max() < 0.06


@pytest.mark.parametrize(("amount", "most"), [(0.05, 0.08), (0.1, 0.1)])
def test_no_more_than_enough(amount: float, most: float) -> None:
    """Networks that want much noise get no more of it in flat parts than strokes need."""
    picture = grey(64, 64)
    added = roughened(picture, amount) - picture
    found = most * noise(64, 64)
    inside = np.abs(found) < 0.4
    assert np.abs(added - found)[inside].max() < 1e-5


@pytest.mark.parametrize("spacing", module.SPACINGS)
def test_each_size_is_a_cubic_spline(spacing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the values of its lattice the noise is SciPy's B-spline of degree three."""
    monkeypatch.setattr(module, "SPACINGS", (spacing,))
    height, width = 3 * spacing + 1, 4 * spacing + 1
    values = module._values(0, 4 + 3, 5 + 3, 0).astype(np.float64)

    def along(count: int) -> NDArray[np.float64]:
        places = (np.arange(count) + 0.5) / spacing
        basis = BSpline.basis_element(np.arange(-2, 3), extrapolate=False)
        return np.nan_to_num(basis(places[:, None] - np.arange(-1, 7)[None]))

    def unit() -> float:
        ways = along(spacing)
        return float(np.sqrt(np.square(ways).sum(1).mean()))

    down, right = along(height)[:, :7] / unit(), along(width)[:, :8] / unit()
    expected = np.einsum("yi,xj,cij->cyx", down, right, values)
    assert np.abs(noise(height, width) - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("top", "height", "width"), [(0, 1, 1), (1, 9, 61), (13, 40, 33), (70, 1, 5)]
)
def test_a_part_has_the_noise_of_the_whole(top: int, height: int, width: int) -> None:
    """Any rows and any width of it, so that tiles have no seams and sizes do not matter."""
    whole = noise(80, 61, seed=2)
    part = noise(height, width, top=top, seed=2)
    assert np.array_equal(part, whole[:, top : top + height, :width])


def test_roughened() -> None:
    """The amount scales it, the range is kept, the picture given is not changed, and bands of rows
    do not show."""
    picture = np.random.default_rng(0).random((3, 2 * BAND + 7, 20), dtype=np.float32)
    before = picture.copy()
    found = roughened(picture, 0.1, seed=5, even=True)
    expected = np.clip(picture + np.float32(0.1) * noise(2 * BAND + 7, 20, seed=5), 0, 1)
    assert np.array_equal(found, expected)
    assert np.array_equal(picture, before)
    assert roughened(picture, 0.0) is picture
    assert not np.array_equal(found, roughened(picture, 0.1, seed=6, even=True))


@pytest.mark.parametrize("size", [(2 * BAND + 13, 75), (40, 300), (9, 5), (1, 1)])
def test_most_noise_is_where_a_picture_is_flat(size: tuple[int, int]) -> None:
    """As SciPy's filters and interpolation have it: a deviation of brightness over three by three
    blocks decides, smoothly, and bands of rows do not show."""
    random = np.random.default_rng(6)
    height, width = size
    picture = grey(height, width, 0.2)
    picture[:, :, width // 2 :] += 0.6 * random.random((3, height, width - width // 2))
    added = roughened(picture, 0.004, seed=1) - picture.astype(np.float64)

    bright = np.pad(picture.mean(0), ((0, -height % 8), (0, -width % 8)), mode="edge")
    blocks = bright.astype(np.float64).reshape(-(-height // 8), 8, -1, 8)
    mean = uniform_filter(blocks.mean((1, 3)), 3, mode="nearest")
    square = uniform_filter((blocks**2).mean((1, 3)), 3, mode="nearest")
    flat = uniform_filter(1 / (1 + (square - mean**2) / module.DETAIL**2), 3, mode="nearest")
    places = np.indices(size) / 8 + 0.5 / 8 - 0.5
    expected = 1 + (module.MOST - 1) * map_coordinates(flat, places, order=1, mode="nearest")
    assert np.abs(added - 0.004 * expected * noise(height, width, seed=1)).max() < 1e-5
    if width > 60:
        assert expected[0, 0] > 0.95 * module.MOST
        assert expected[0, -1] < 0.5 * module.MOST


def test_a_flat_photo_without_a_weave(tmp_path: Path) -> None:
    """What a network paints of one colour repeats every eight pixels; with noise it does not."""
    weave, free = write_styles(tmp_path / "0.net"), write_styles(tmp_path / "1.net", noise=0.08)
    options = StyleOptions(size=128)
    seen = Loaded(Bitmap(grey(96, 128)), SEEN)
    rows: list[float] = []
    for path in weave, free:
        found = repaint(seen, "two", options, network=str(path)).bitmap.pixels  # pyright: ignore
        middle = found[:, 32:64, 32:96]
        moved = found[:, 40:72, 40:104]
        rows.append(float(np.abs(middle - moved).max()))
    assert rows[0] < 1e-5
    assert rows[1] > 0.01


@pytest.mark.parametrize("kind", ["styles", "any"])
@pytest.mark.parametrize("strength", [0.15, 0.7, 1.0])
def test_onnxruntime_paints_the_same(kind: str, strength: float, tmp_path: Path) -> None:
    """The noise is the same without torch, at any strength."""
    random = np.random.default_rng(1)
    photo, painting = (random.random((3, 40 + 8 * n, 52), dtype=np.float32) for n in range(2))
    write = write_any if kind == "any" else write_styles
    network = str(write(tmp_path / "net.safetensors", noise=0.06))
    style = Loaded(Bitmap(painting), SEEN) if kind == "any" else "two"
    options = StyleOptions(size=52, strength=strength)
    seen = Loaded(Bitmap(photo), SEEN)
    expected = repaint(seen, style, options, network=network)  # pyright: ignore
    found = bare_repaint(seen, [style], options, network=network)
    assert np.abs(found.bitmap.pixels - expected.bitmap.pixels).max() < 2e-4
    for settings in expected.settings, found.settings:
        assert settings["fast"]["noise"] == 0.06


def test_little_strength_is_little_noise(tmp_path: Path) -> None:
    """At a strength near none the photo is left as it is, noise and all."""
    network = str(write_styles(tmp_path / "net.safetensors", noise=0.1))
    photo = np.random.default_rng(4).random((3, 30, 40), dtype=np.float32)
    seen = Loaded(Bitmap(photo), SEEN)
    options = StyleOptions(size=40, strength=0.001)
    found = repaint(seen, "one", options, network=network)  # pyright: ignore
    assert np.abs(found.bitmap.pixels - photo).max() < 0.01


def test_a_picture_is_made_again_with_its_noise(tmp_path: Path, make_png) -> None:
    """A picture's settings say how much noise there was: one from before there was any is made
    again without; what is no amount is refused."""
    network = tmp_path / "net.safetensors"
    write_styles(network, noise=0.08)
    photo = str(make_png("photo.png", 40, 30))
    made = repaint(photo, "two", StyleOptions(size=40), network=str(network))
    again = from_fast_settings(made.settings).result()
    assert np.array_equal(again.bitmap.pixels, made.bitmap.pixels)
    fast = {key: value for key, value in made.settings["fast"].items() if key != "noise"}
    old = from_fast_settings({**made.settings, "fast": fast}).result()
    write_styles(tmp_path / "plain.safetensors")
    plain = repaint(
        photo, "two", StyleOptions(size=40), network=str(tmp_path / "plain.safetensors")
    )
    assert np.array_equal(old.bitmap.pixels, plain.bitmap.pixels)
    with pytest.raises(OptionError, match="noise"):
        from_fast_settings({**made.settings, "fast": {**fast, "noise": "much"}})


def test_a_network_keeps_its_noise(tmp_path: Path) -> None:
    """The file says it, and files that do not say it want none."""
    assert read_network(write_styles(tmp_path / "a.net", noise=0.07)).noise == 0.07
    assert read_network(write_styles(tmp_path / "b.net")).noise == 0.0
