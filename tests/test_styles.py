import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from PIL import Image

from impasto import styles
from impasto.errors import OptionError
from impasto.styles.canvas import Canvas, blur, oklab, ramp, srgb
from impasto.styles.strokes import Brush, Paint, lay, trace

SIDE = 192
ONE_PER_FAMILY = (
    "agate",
    "coral",
    "deco-fans",
    "linocut",
    "marbling",
    "mosaic",
    "pastel",
    "pointillism",
    "waves",
)
ALL_BUT_MOST_SLOW = [
    pytest.param(name, marks=[] if name in ONE_PER_FAMILY else pytest.mark.slow)
    for name in styles.style_names()
]


@cache
def drawn(name: str, width: int = SIDE, height: int = SIDE, seed: int = 0) -> np.ndarray:
    """A style, drawn once for all tests and protected against writing."""
    picture = styles.draw_style(name, width, height, seed)
    picture.flags.writeable = False
    return picture


def box_means(picture: np.ndarray, side: int) -> np.ndarray:
    """Pillow's own box filter, channel by channel: `(3, side, side)`."""
    return np.stack(
        [
            np.asarray(Image.fromarray(channel).resize((side, side), Image.Resampling.BOX))
            for channel in picture
        ]
    )


def test_every_style_has_one_line_and_the_demo_style_exists():
    """Every listed style has a one-line description, and the demo style is one of them."""
    names = styles.style_names()
    assert names == sorted(names)
    assert len(names) >= 24
    assert styles.DEMO_STYLE in names
    for name in names:
        assert styles.describe(name)
        assert "\n" not in styles.describe(name)


@pytest.mark.parametrize("name", styles.style_names())
def test_style_is_a_picture(name: str):
    """Every style is a float32 picture of the asked shape in [0, 1], with lights and darks."""
    picture = drawn(name)
    assert picture.shape == (3, SIDE, SIDE)
    assert picture.dtype == np.float32
    assert picture.flags.c_contiguous
    assert picture.min() >= 0
    assert picture.max() <= 1
    low, high = np.quantile(picture.mean(0), [0.02, 0.98])
    assert high - low > 0.25


@pytest.mark.parametrize("name", styles.style_names())
def test_texture_everywhere(name: str):
    """No part of a style is flat: each of 8 × 8 blocks varies, so Gram matrices see strokes."""
    side = SIDE // 8
    blocks = drawn(name).reshape(3, 8, side, 8, side)
    deviation = blocks.std(axis=(2, 4)).max(0)
    assert deviation.min() > 0.03


def look(picture: np.ndarray) -> np.ndarray:
    """Colour and texture as a point: the square roots of a colour histogram's shares (Hellinger's
    distance, 0 to 1), and the logarithms of the contrast at four scales, across and down."""
    bins = np.minimum((picture * 4).astype(int), 3)
    counts = np.bincount((bins[0] * 16 + bins[1] * 4 + bins[2]).ravel(), minlength=64)
    numbers = [np.sqrt(counts / counts.sum() / 2)]
    for side in (SIDE, SIDE // 2, SIDE // 4, SIDE // 8):
        grey = box_means(picture, side).mean(0)
        numbers.append(np.array([0.1 * np.log(np.diff(grey, axis=a).std()) for a in (0, 1)]))
    return np.concatenate(numbers)


def test_no_two_styles_look_alike():
    """Every two styles differ in colour or texture, by more than two drawings of one style."""
    names = styles.style_names()
    looks = np.stack([look(drawn(name)) for name in names])
    distance = np.linalg.norm(looks[:, None] - looks[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    one, other = np.unravel_index(distance.argmin(), distance.shape)
    assert distance.min() > 0.2, (names[one], names[other])
    again = look(drawn("marbling", seed=1))
    assert np.linalg.norm(again - looks[names.index("marbling")]) < 0.2


@pytest.mark.parametrize("name", ONE_PER_FAMILY)
def test_same_seed_same_bytes(name: str):
    """The same name, size and seed give the same bytes, so that runs can be repeated."""
    assert styles.draw_style(name, SIDE, SIDE).tobytes() == drawn(name).tobytes()


@pytest.mark.parametrize("name", ONE_PER_FAMILY)
def test_another_seed_another_picture(name: str):
    """Another seed gives another composition, not the same one with other noise."""
    one, two = box_means(drawn(name), 16), box_means(drawn(name, seed=1), 16)
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] < 0.9


@pytest.mark.parametrize("name", ALL_BUT_MOST_SLOW)
def test_same_composition_at_every_size(name: str):
    """A large drawing, shrunk, is the small drawing: a preview shows what a print will be."""
    small, large = drawn(name, 64, 64), drawn(name, 512, 512)
    # the means of 4 px blocks leave out how each size resolves its finest grain
    agreement = np.corrcoef(box_means(small, 16).ravel(), box_means(large, 16).ravel())[0, 1]
    assert agreement > 0.97


@pytest.mark.parametrize("name", ALL_BUT_MOST_SLOW)
def test_wide_and_tiny_pictures(name: str):
    """A single pixel and the narrowest strips are drawn like any other size."""
    assert drawn(name, 1, 1).shape == (3, 1, 1)
    for width, height in ((8, 128), (128, 8)):
        strip = drawn(name, width, height)
        assert strip.shape == (3, height, width)
        assert np.isfinite(strip).all()
        assert strip.std() > 0.03


@pytest.mark.parametrize("size", [(9, 9), (1, 16), (16, 1), (31, 17), (100, 7)])
def test_odd_sizes(size: tuple[int, int]):
    """Sizes that do not divide evenly come out exactly as asked."""
    width, height = size
    assert drawn("mosaic", width, height).shape == (3, height, width)


@pytest.mark.parametrize(
    ("width", "height", "words"),
    [
        (0, 10, "1 to"),
        (10, -1, "1 to"),
        (8193, 8193, "1 to"),
        (8192, 4096, "megapixels"),
        (1, 300, "times the short one"),
    ],
)
def test_impossible_sizes_are_refused(width: int, height: int, words: str):
    """A size out of bounds is refused in one line that names the size and the limit."""
    with pytest.raises(OptionError, match=words) as caught:
        styles.draw_style("mosaic", width, height)
    assert f"{width} × {height}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_negative_seed_is_refused():
    """A negative seed is refused in one line instead of failing inside the generator."""
    with pytest.raises(OptionError, match="seed must be 0 or more, not -1"):
        styles.draw_style("mosaic", 8, 8, seed=-1)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("", ""), ("Night-Sky", "'night-sky'"), ("night_sky", "'night-sky'"), ("zzz", "")],
)
def test_unknown_style_says_where_the_choices_are(name: str, meant: str):
    """An unknown name is refused in one line that says where all are and which one is close."""
    for call in (styles.describe, lambda n: styles.draw_style(n, 8, 8)):
        with pytest.raises(OptionError, match="`impasto styles` lists all") as caught:
            call(name)
        assert "\n" not in str(caught.value)
        assert ("did you mean" in str(caught.value)) == bool(meant)
        assert meant in str(caught.value)


def test_listing_styles_loads_nothing_heavy():
    """Listing the styles, as help texts do, loads neither torch nor pyvips nor the painters."""
    code = (
        "import sys; from impasto import styles; styles.style_names(); "
        "print([m for m in ('torch', 'pyvips', 'impasto.styles.oil') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_oklab_matches_published_pairs():
    """White, and the sRGB primaries, have the Oklab coordinates that other software gives."""
    # CSS Color 4, sample values for the sRGB primaries, rounded to three places
    expected = [[1, 0, 0], [0.628, 0.225, 0.126], [0.866, -0.234, 0.179], [0.452, -0.032, -0.312]]
    got = oklab(["#ffffff", "#ff0000", "#00ff00", "#0000ff"])
    np.testing.assert_allclose(got, expected, atol=1e-3)


def test_colors_survive_the_round_trip():
    """Hexadecimal colours come back from Oklab unchanged, and a ramp starts and ends on its own."""
    codes = ["#0a1136", "#f6cf4a", "#808080", "#000000", "#ffffff"]
    expected = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in codes]
    np.testing.assert_allclose(srgb(oklab(codes)), expected, atol=2e-3)
    np.testing.assert_allclose(srgb(ramp(codes, [0.0, 0.5, 1.0])), expected[::2], atol=2e-3)


def test_noise_has_unit_deviation_and_ignores_the_size():
    """Noise is about standard normal, and is the same function whatever the number of pixels."""
    pictures = [Canvas(side, side, 1.0, np.random.default_rng(3)).noise(12) for side in (100, 300)]
    assert abs(pictures[1].std() - 1) < 0.15
    # the centre of every third pixel of the large one is the centre of a pixel of the small one
    np.testing.assert_allclose(pictures[1][1::3, 1::3], pictures[0], atol=2e-3)


def test_light_is_the_slope():
    """On a plane the light is the plane's slope towards it, whatever the number of pixels."""
    for side in (64, 256):
        canvas = Canvas(side, side, 1.0, np.random.default_rng(0))
        x, y = canvas.grid()
        slope = canvas.light(0.5 * x - 0.25 * y, softness=0.0, angle=0.0)
        np.testing.assert_allclose(slope, -0.5, atol=1e-3)


def test_blur_matches_scipy():
    """The blur is the Gaussian that SciPy computes, away from the border."""
    ndimage = pytest.importorskip("scipy.ndimage")
    picture = np.random.default_rng(5).random((48, 40), np.float32)
    expected = ndimage.gaussian_filter(picture, 2.0)
    np.testing.assert_allclose(
        blur(picture, 2.0)[12:-12, 12:-12], expected[12:-12, 12:-12], atol=6e-3
    )


def test_strokes_follow_the_flow_and_later_ones_cover():
    """A stroke fills its own ribbon and nothing else, and the last one laid lies on top."""
    canvas = Canvas(120, 120, 1.0, np.random.default_rng(0))
    paint = Paint(np.zeros((120, 120, 3), np.float32), np.zeros((120, 120), np.float32))
    starts = np.array([[0.5, 0.5], [0.5, 0.5]], np.float32)
    length = np.array([0.6, 0.6], np.float32)
    paths = trace(starts, length, lambda x, _: np.where(np.arange(len(x)) == 0, 0.0, np.pi / 2))
    np.testing.assert_allclose(paths[0, [0, -1]], [[0.2, 0.5], [0.8, 0.5]], atol=1e-5)
    np.testing.assert_allclose(paths[1, [0, -1]], [[0.5, 0.2], [0.5, 0.8]], atol=1e-5)
    color = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    brush = Brush(ragged=0.0, dry=0.0, round=0.0)
    lay(canvas, paint, paths, np.array([0.1, 0.1]), color, brush, streak=0.0)
    np.testing.assert_allclose(paint.color[60, 60], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(paint.color[60, 35], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(paint.color[35, 60], [0, 1, 0], atol=1e-6)
    covered = paint.color.any(-1).mean()
    # two bars of 0.6 × 0.1 that share a square of 0.1 × 0.1; the ends are trimmed a little
    assert covered == pytest.approx(2 * 0.06 - 0.01, abs=0.012)
    assert paint.height[60, 60] > 0
    assert not paint.height[10].any()
