"""Regions: which painting where, against NumPy, SciPy and single runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.linalg import sqrtm
from torch import Tensor

from impasto.checkpoint import Bookmark
from impasto.cli import main
from impasto.color import srgb_to_oklab
from impasto.errors import ImageError, OptionError
from impasto.features import Features
from impasto.losses import between, wasserstein2_loss
from impasto.moments import Moments, moments_of
from impasto.optimize import level_objective, optimize
from impasto.options import RegionOptions, make_options
from impasto.pairing import resolve
from impasto.regions import kept_mask, regions_of
from impasto.reproduction import from_settings, resume
from impasto.run import stylization
from impasto.starts import start_picture
from impasto.targets import Painting, Region, spread
from stand_ins import finish, narrow_weights, options_of, pixels_of

Maker = Callable[..., Path]


def random_picture(height: int, width: int, seed: int) -> Tensor:
    """Noise `(1, 3, H, W)` in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)


def half(height: int, width: int, *, soft: float = 0.0) -> Tensor:
    """A mask `(H, W)` of the left half, with an edge `soft` pixels wide."""
    across = torch.arange(width, dtype=torch.float64) + 0.5 - width / 2
    edge = (0.5 - across / soft).clamp(0, 1) if soft else (across < 0).double()
    return edge.expand(height, width).clone()


# --- what belongs where ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "paintings", "masks", "wanted"),
    [
        ("", 2, 0, [(1, 2)]),
        ("", 1, 3, [(1,), (1,), (1,)]),
        ("", 2, 2, [(1,), (2,)]),
        ("", 3, 2, [(1,), (2,), (3,)]),
        ("2;1", 2, 2, [(2,), (1,)]),
        ("1+2;keep", 2, 1, [(1, 2), ()]),
        ("strength=0.5;strength=1", 2, 2, [(1,), (2,)]),
    ],
)
def test_masks_find_their_paintings(
    text: str, paintings: int, masks: int, wanted: list[tuple[int, ...]]
) -> None:
    """A mask gets the painting of its number, or those that are named for it."""
    found = resolve(make_options({"regions": text}), paintings, masks)
    assert [one.styles for one in found] == wanted


@pytest.mark.parametrize(
    ("values", "paintings", "masks", "fault"),
    [
        ({}, 3, 1, "--mask: 1 masks for 3 paintings"),
        ({}, 2, 3, "--mask: 3 masks for 2 paintings"),
        ({"regions": "1;2"}, 2, 0, "--regions: 2 regions for 0 masks"),
        ({"regions": "1;1;1"}, 1, 1, "--regions: 3 regions for 1 masks"),
        ({"regions": "3"}, 2, 1, "--regions: region 1 names painting 3"),
        ({"regions": "1"}, 2, 1, "--regions: painting 2 is in no region"),
        ({"style_scale": "1,2"}, 3, 0, "--style-scale: 2 scales for 3 paintings"),
        ({"style_weights": (1, 2, 3)}, 2, 0, "--style-weights: 3 shares for 2 paintings"),
        (
            {"regions": [RegionOptions(styles=(1,), scale=((1.0,), (2.0,)))]},
            *(1, 1, "--regions: region 1 has 2 scales for 1 painting"),
        ),
    ],
)
def test_what_does_not_fit_is_one_line(
    values: dict[str, Any], paintings: int, masks: int, fault: str
) -> None:
    """Numbers of masks, paintings, scales and regions that do not fit are refused by name."""
    with pytest.raises(OptionError, match=f"^{fault}") as caught:
        resolve(make_options(values), paintings, masks)
    assert "\n" not in str(caught.value)


@given(
    arrays(np.float64, (2, 5, 7), elements=st.floats(0, 1)),
    st.sampled_from(["1;2", "1;keep", "keep;2+1", "1;2;1", "2;1;keep"]),
)
@settings(deadline=None, max_examples=60)
def test_regions_and_what_is_kept_are_the_whole(values: np.ndarray, text: str) -> None:
    """However masks overlap, each pixel belongs to regions and to the photo by 1 in all."""
    paintings = [Painting(random_picture(4, 4, seed)) for seed in (1, 2)]
    if "2" not in text:
        paintings = paintings[:1]
    masks = list(torch.from_numpy(values))
    options = make_options({"regions": text})
    regions = regions_of(options, paintings, masks)
    total = sum((r.mask for r in regions if r.mask is not None), torch.zeros(5, 7))
    kept = kept_mask(options, len(paintings), masks)
    total = total + (0 if kept is None else kept)
    np.testing.assert_allclose(total.numpy(), 1, atol=2e-3)
    assert all(float(r.mask.min()) >= 0 for r in regions if r.mask is not None)


@given(arrays(np.float64, (23, 18), elements=st.floats(0, 1)))
@settings(deadline=None, max_examples=30)
def test_masks_stay_complementary_at_every_layer(values: np.ndarray) -> None:
    """A mask and its complement weigh every position of every layer by 1 in all: no gap."""
    features = Features(narrow_weights(), dtype=torch.float64)
    layers = ["relu1_1", "relu2_2", "relu3_1", "relu4_2", "relu5_1"]
    mask = torch.from_numpy(values)
    one, other = spread(mask, layers, features), spread(1 - mask, layers, features)
    for name in layers:
        np.testing.assert_allclose((one[name] + other[name]).numpy(), 1, atol=1e-12)


# --- the objective --------------------------------------------------------------------------------

LAYERS = {"relu1_1": 0.5, "relu3_1": 1.0}


def regional(**values: Any) -> Any:
    """Options of an objective without content and smoothness."""
    plain = {"content_weight": 0.0, "style_weight": 1.0, "tv_weight": 0.0, "start": "noise"}
    return options_of(**{**plain, "style_layers": LAYERS, **values})


def test_a_region_is_matched_by_its_own_sums() -> None:
    """The style term is each region's share times its own Gram error, by NumPy."""
    features = Features(narrow_weights(), dtype=torch.float64)
    picture = random_picture(24, 32, 1)
    paintings = [random_picture(24, 32, seed) for seed in (2, 3)]
    masks = [half(24, 32, soft=9), 1 - half(24, 32, soft=9)]
    options = regional(style_loss="gram", normalize=False)
    objective = level_objective(
        features, None, [Painting(p) for p in paintings], options, 32, 24, masks=masks
    )
    wanted = 0.0
    for mask, painting in zip(masks, paintings, strict=True):
        weights = spread(mask, LAYERS, features)
        for name, layer_weight in LAYERS.items():
            f, s = (
                features.extract(p, [name])[name][0].flatten(1).numpy() for p in (picture, painting)
            )
            w = weights[name].flatten().numpy()
            error = (f * w) @ f.T / w.sum() - s @ s.T / s.shape[1]
            wanted += layer_weight * float(mask.mean()) * np.square(error).mean()
    assert objective.terms(picture).style == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    "style_loss", ["gram", "wasserstein2", "sliced", "histogram", "nearest", "gram=1,sliced=0.5"]
)
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_gradients_of_regions_are_those_of_differences(style_loss: str, strength: float) -> None:
    """With soft masks, a kept part, scales and strengths the gradient is that of the loss."""
    features = Features(narrow_weights(), dtype=torch.float64)
    masks = [half(20, 28, soft=7) * 0.8, (1 - half(20, 28)) * torch.linspace(0, 1, 20)[:, None]]
    options = regional(
        style_loss=style_loss,
        strength=strength,
        style_scale="0.5+1,1.5",
        content_weight=0.3,
        content_layers="relu2_1",
        content_loss="features=1,self-similarity=0.3,laplacian=0.2",
    )
    objective = level_objective(
        features,
        random_picture(20, 28, 5),
        [Painting(random_picture(22, 30, 2)), Painting(random_picture(30, 22, 3))],
        *(options, 28, 20),
        masks=masks,
    )
    picture = random_picture(20, 28, 4) * 0.8 + 0.1
    _, gradient = objective.evaluate(picture)
    generator = torch.Generator().manual_seed(1)
    for _ in range(6):
        # The fraction of a step that crosses no rank, neighbour or ReLU.
        way = torch.randn(picture.shape, generator=generator, dtype=torch.float64)
        step = 1e-7
        ahead = objective.terms(picture + step * way).loss
        behind = objective.terms(picture - step * way).loss
        slope = float((gradient * way).sum())
        size = float(gradient.norm() * way.norm())
        assert slope == pytest.approx((ahead - behind) / (2 * step), abs=2e-4 * size)


@pytest.mark.parametrize("style_loss", ["wasserstein2", "sliced", "histogram", "nearest"])
def test_tiles_of_regions_are_the_whole(style_loss: str) -> None:
    """Masks, strengths and every loss that looks further than sums: tiled equals whole."""
    features = Features(narrow_weights(), dtype=torch.float64)
    photo, picture = random_picture(150, 170, 5), random_picture(150, 170, 4)
    results = []
    for limit in (None, 9000):
        objective = level_objective(
            features,
            photo,
            [Painting(random_picture(60, 80, 2)), Painting(random_picture(70, 50, 3))],
            regional(
                style_loss=style_loss,
                strength=0.7,
                content_weight=1.0,
                content_loss="features,self-similarity",
            ),
            *(170, 150),
            masks=[half(150, 170, soft=30) * 0.9, 1 - half(150, 170, soft=30)],
            tile_pixels=limit,
        )
        results.append((len(objective.tiles(150, 170)), *objective.evaluate(picture)))
    (one, whole, wanted), (many, terms, gradient) = results
    assert (one, many > 1) == (1, True)
    assert terms.loss == pytest.approx(whole.loss, rel=1e-9)
    assert float((gradient - wanted).norm()) <= 1e-9 * float(wanted.norm())


def test_what_is_kept_does_not_move() -> None:
    """Where the photo stays, the gradient is zero and the picture that counts is the photo."""
    features = Features(narrow_weights(), dtype=torch.float64)
    photo = random_picture(16, 24, 1)
    mask = half(16, 24)
    objective = level_objective(
        features, photo, [Painting(random_picture(16, 16, 2))], regional(), 24, 16, masks=[mask]
    )
    picture = random_picture(16, 24, 3)
    _, gradient = objective.evaluate(picture)
    assert not bool(gradient[..., 12:].any())
    assert bool(gradient[..., :12].any())
    mixed = torch.cat([picture[..., :12], photo[..., 12:]], dim=-1)
    assert objective.terms(picture).loss == objective.terms(mixed).loss


# --- strength -------------------------------------------------------------------------------------


def gaussian(seed: int, channels: int = 6) -> Moments:
    """Moments of random features with correlations."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    rows = torch.randn(channels, 400, generator=generator, dtype=torch.float64)
    return moments_of((mix @ rows + mix[:, :1])[None, :, None])


@pytest.mark.parametrize("strength", [0.0, 0.25, 0.5, 1.0])
def test_strength_goes_the_shortest_way(strength: float) -> None:
    """Under Wasserstein-2 the target lies on the geodesic: by SciPy's matrix root, and at
    `strength` of the distance."""
    origin, target = gaussian(1), gaussian(2)
    found = between("wasserstein2", origin, target, strength)
    s0, s1 = origin.covariance.numpy(), target.covariance.numpy()
    root = np.real(sqrtm(s0))
    inverse = np.linalg.inv(root)
    way = inverse @ np.real(sqrtm(root @ s1 @ root)) @ inverse
    mixed = (1 - strength) * np.eye(6) + strength * way
    np.testing.assert_allclose(found.covariance.numpy(), mixed @ s0 @ mixed, rtol=1e-7, atol=1e-9)
    whole = float(wasserstein2_loss(target)(origin))
    part = float(wasserstein2_loss(origin)(found))
    assert part == pytest.approx(strength**2 * whole, rel=1e-6, abs=1e-9 * whole)


def test_no_strength_is_the_photo(files: tuple[Path, Path]) -> None:
    """At 0 the result is the photo to within rounding, by default settings but size."""
    run = stylization(*files, make_options({"size": 24, "evaluations": 6, "strength": 0}))
    finish(run)
    photo = stylization(*files, options_of(evaluations=0)).result
    np.testing.assert_allclose(run.result.pixels, photo.pixels, atol=1 / 255)


def test_more_strength_changes_more(files: tuple[Path, Path]) -> None:
    """The way from the photo grows with the dial."""
    photo = stylization(*files, options_of(evaluations=0)).result.pixels
    ways = []
    for strength in (0.0, 0.3, 0.6, 1.0):
        options = make_options({"size": 24, "evaluations": 12, "strength": strength})
        ways.append(float(np.abs(finish(stylization(*files, options)).pixels - photo).mean()))
    assert ways == sorted(ways)
    assert ways[-1] > 2 * ways[1]


def test_strength_needs_a_photo(files: tuple[Path, Path]) -> None:
    """A texture has nothing to stay close to."""
    with pytest.raises(OptionError, match=r"^--strength: there is no photo"):
        stylization(None, files[1], options_of(strength=0.5, start="noise"))


# --- starts ---------------------------------------------------------------------------------------


def test_each_region_starts_in_its_own_colors() -> None:
    """The recoloured start has, inside each mask, its painting's mean colour."""
    photo = (random_picture(40, 40, 1) * 0.2 + 0.4).float()
    red, blue = (random_picture(30, 30, s).float() * 0.2 for s in (2, 3))
    red[:, 0] += 0.6
    blue[:, 2] += 0.6
    masks = [half(40, 40).float(), 1 - half(40, 40).float()]
    regions = [
        Region([Painting(p)], [1.0], mask) for p, mask in zip((red, blue), masks, strict=True)
    ]
    start = start_picture("recolored", 40, 40, content=photo, regions=regions)
    for painting, columns in (red, slice(0, 20)), (blue, slice(20, 40)):
        found = start[0, :, :, columns].flatten(1).mean(1)
        torch.testing.assert_close(found, painting[0].flatten(1).mean(1), atol=0.02, rtol=0)


# --- whole runs -----------------------------------------------------------------------------------


@pytest.fixture
def masked(files: tuple[Path, Path], make_png: Maker, tmp_path: Path) -> tuple[Path, ...]:
    """A photo, two paintings and two masks of other sizes than the photo's."""
    third = make_png("third.png", 30, 40, 8)
    ramp = np.linspace(0, 255, 50).astype(np.uint8)
    Image.fromarray(np.tile(ramp, (20, 1))).save(tmp_path / "right.png")
    Image.fromarray(255 - np.tile(ramp, (20, 1))).save(tmp_path / "left.png")
    return (*files, third, tmp_path / "left.png", tmp_path / "right.png")


def test_masked_runs_are_made_again(masked: tuple[Path, ...], tmp_path: Path) -> None:
    """Settings with masks, style masks, scales and strengths reproduce the same picture."""
    photo, one, other, left, right = masked
    options = options_of(
        regions="1,strength=0.5;2,scale=0.5+1", style_scale="1", content_weight=0.5
    )
    run = stylization(photo, [one, other], options, masks=[left, right], style_masks=[None, right])
    picture = finish(run)
    assert picture.settings["options"]["regions"][1]["scale"] == "0.5+1"
    again, warnings = from_settings(picture.settings)
    assert warnings == []
    assert pixels_of(finish(again)) == pixels_of(picture)
    picture.save(tmp_path / "made.png")
    left.unlink()
    with pytest.raises(ImageError, match=r"left\.png: is gone"):
        from_settings(picture.settings)


def test_masked_runs_go_on(masked: tuple[Path, ...], tmp_path: Path) -> None:
    """A run with masks that is interrupted ends in the same bytes."""
    photo, one, _, left, _ = masked
    options = options_of(evaluations=6, strength=0.8)
    whole = pixels_of(finish(stylization(photo, one, options, masks=[left])))
    run = stylization(photo, one, options, masks=[left])
    for _ in range(3):
        next(run)
    run.checkpoint(tmp_path / "run.ckpt")
    run.close()
    again = resume(tmp_path / "run.ckpt")
    assert pixels_of(again.result) == pixels_of(run.result)
    assert pixels_of(finish(again)) == whole


def test_what_no_mask_covers_stays(masked: tuple[Path, ...], tmp_path: Path) -> None:
    """Outside the only mask the result is the photo, pixel for pixel, at every level."""
    photo, one, *_ = masked
    hard = np.zeros((30, 40), np.uint8)
    hard[:, :20] = 255
    Image.fromarray(hard).save(tmp_path / "hard.png")
    options = make_options({"size": 40, "levels": "20:3,40:3"})
    run = stylization(photo, one, options, masks=[tmp_path / "hard.png"])
    pixels = finish(run).pixels
    before = np.asarray(Image.open(photo), np.float32) / 255
    np.testing.assert_allclose(pixels[:, 20:], before[:, 20:], atol=1e-6)
    assert float(np.abs(pixels[:, :20] - before[:, :20]).mean()) > 0.01


def test_masks_follow_the_sheet(masked: tuple[Path, ...], tmp_path: Path) -> None:
    """Where a print cuts the photo, its mask is cut alike."""
    photo, one, *_ = masked
    tall = np.zeros((30, 40), np.uint8)
    tall[:15] = 255
    Image.fromarray(tall).save(tmp_path / "upper.png")
    options = make_options(
        {"print": "40x10mm", "print_fit": "fill", "dpi": 25.4, "evaluations": 2, "start": "content"}
    )
    run = stylization(photo, one, options, masks=[tmp_path / "upper.png"])
    pixels = finish(run).pixels
    assert pixels.shape == (10, 40, 3)
    cut = np.asarray(Image.open(photo), np.float32)[10:20] / 255
    np.testing.assert_allclose(pixels[6:], cut[6:], atol=1e-6)


def test_style_masks_choose_what_lends_its_style(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A painting whose other half is masked out gives what its visible half alone gives."""
    left = np.zeros((36, 36, 3), np.uint8)
    rng = np.random.default_rng(3)
    left[:, :18] = rng.integers(0, 255, (36, 18, 3))
    other = left.copy()
    other[:, 18:] = 200
    mask = np.zeros((36, 36), np.uint8)
    mask[:, :14] = 255
    for name, pixels in ("one.png", left), ("other.png", other), ("mask.png", mask):
        Image.fromarray(pixels).save(tmp_path / name)
    # One convolution sees three pixels: nothing of the other half reaches what is visible.
    options = options_of(size=36, style_layers="relu1_1", start="content")
    made = [
        pixels_of(
            finish(
                stylization(
                    *(files[0], tmp_path / name, options), style_masks=[tmp_path / "mask.png"]
                )
            )
        )
        for name in ("one.png", "other.png")
    ]
    assert made[0] == made[1]


def test_brush_size_is_relative_to_the_result(files: tuple[Path, Path]) -> None:
    """`style_scale` 0.5 matches the painting at half the level's long side."""
    features = Features(narrow_weights(), dtype=torch.float64)
    painting = random_picture(60, 80, 1)
    small = random_picture(24, 32, 2)
    one = level_objective(
        features, None, [Painting(painting)], regional(style_scale="0.5"), 32, 24
    ).terms(small)
    other = level_objective(
        features, None, [Painting(painting, None)], regional(style_scale="1"), 16, 12
    )
    assert other.terms(small).loss == pytest.approx(one.loss, rel=1e-12)


def test_out_of_memory_with_regions_goes_on(files: tuple[Path, Path]) -> None:
    """The plain engine takes masks too: every level yields its evaluations."""
    features = Features(narrow_weights())
    photo = random_picture(24, 32, 1).float()
    options = options_of(size=32, levels="16:2,32:2")
    steps = list(
        optimize(
            features,
            photo,
            [Painting(random_picture(20, 20, 2).float())],
            photo,
            options,
            masks=[half(24, 32).float()],
            memory=10**9,
            bookmark=Bookmark(),
        )
    )
    assert [step.level for step in steps] == [0, 0, 1, 1]
    torch.testing.assert_close(steps[-1].picture[..., 16:], photo[..., 16:])


@pytest.mark.parametrize("rest", ["keep", "1,color=only", "2,color=luminance", "1+2,color=match"])
def test_regions_have_colours_of_their_own(
    masked: tuple[Path, ...], tmp_path: Path, rest: str
) -> None:
    """Beside a region in its painting's colours, another may keep the photo's or only take some;
    settings make it again, a checkpoint goes on."""
    photo, one, other, left, right = masked
    styles = [one, other] if "2" in rest else [one]
    options = options_of(regions=f"1;{rest}", evaluations=4)
    run = stylization(photo, styles, options, masks=[left, right])
    next(run)
    run.checkpoint(tmp_path / "run.ckpt")
    picture = finish(run)
    again, _ = from_settings(picture.settings)
    assert pixels_of(finish(again)) == pixels_of(picture)
    assert pixels_of(finish(resume(tmp_path / "run.ckpt"))) == pixels_of(picture)


def test_luminance_of_a_region_keeps_its_colours(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Inside a hard mask with `color=luminance` the result's OKLab colours are the photo's; beside
    it they are not."""
    hard = np.zeros((30, 40), np.uint8)
    hard[:, :20] = 255
    Image.fromarray(hard).save(tmp_path / "left.png")
    options = make_options(
        {"size": 40, "evaluations": 4, "single_level": True, "regions": "1,color=luminance;1"}
    )
    run = stylization(*files, options, masks=[tmp_path / "left.png"])
    pixels = finish(run).pixels.transpose(2, 0, 1)
    photo = np.asarray(Image.open(files[0]), np.float32).transpose(2, 0, 1) / 255
    way = np.linalg.norm(srgb_to_oklab(pixels)[1:] - srgb_to_oklab(photo)[1:], axis=0)
    assert float(way[:, :20].mean()) < 0.01
    assert float(way[:, 20:].mean()) > 0.02


def test_colours_of_all_regions_are_their_own_paintings(masked: tuple[Path, ...]) -> None:
    """`--color only` with masks gives each region the colours of its own painting, as if each had
    been told so, and its own share and strength of them."""
    photo, one, other, left, right = masked
    styles, masks = [one, other], [left, right]
    whole = stylization(photo, styles, options_of(color="only"), masks=masks).result
    told = options_of(regions="1,color=only;2,color=only")
    np.testing.assert_array_equal(
        whole.pixels, stylization(photo, styles, told, masks=masks).result.pixels
    )
    plain = stylization(photo, styles, options_of(color="only")).result
    assert float(np.abs(whole.pixels - plain.pixels).mean()) > 0.005
    half = options_of(color="only", regions="1,color-strength=0.5;2,color-strength=0.5")
    soft = stylization(photo, styles, half, masks=masks).result
    before = stylization(photo, styles, options_of(evaluations=0), masks=masks).result
    ways = [np.abs(p.pixels - before.pixels).mean() for p in (soft, whole)]
    assert 0.3 * ways[1] < ways[0] < 0.7 * ways[1]


def test_strength_of_colours_alone_is_a_strength(files: tuple[Path, Path]) -> None:
    """Where only colours change, `--strength` 0 leaves the photo as it is."""
    photo = stylization(*files, options_of(evaluations=0)).result
    none = stylization(*files, options_of(color="only", strength=0.0)).result
    np.testing.assert_allclose(none.pixels, photo.pixels, atol=1e-5)


def test_a_mask_of_which_nothing_is_left_is_refused(
    masked: tuple[Path, ...], tmp_path: Path
) -> None:
    """A region that is cut off by the sheet, or lost in shrinking, is refused in one line."""
    photo, one, *_ = masked
    strip = np.zeros((30, 40), np.uint8)
    strip[:3] = 255
    Image.fromarray(strip).save(tmp_path / "top.png")
    options = make_options({"print": "40x10mm", "print_fit": "fill", "dpi": 25.4})
    with pytest.raises(ImageError, match=r"top\.png: nothing of its region is left"):
        stylization(photo, one, options, masks=[tmp_path / "top.png"])
    dot = np.zeros((900, 900), np.uint8)
    dot[450, 450] = 255
    Image.fromarray(dot).save(tmp_path / "dot.png")
    with pytest.raises(ImageError, match=r"dot\.png: nothing of its region is left"):
        stylization(photo, one, options_of(), masks=[tmp_path / "dot.png"])


def test_masks_are_a_list(files: tuple[Path, Path]) -> None:
    """A single name or nothing in place of a list is refused, not taken letter by letter."""
    for masks in ("mask.png", None):
        with pytest.raises(OptionError, match="masks: give a list"):
            stylization(*files, options_of(), masks=masks)  # pyright: ignore[reportArgumentType]


def test_nearest_neighbours_come_from_paintings_by_their_shares() -> None:
    """Of a blend, the painting with nearly all of the share is nearly the only one matched."""
    features = Features(narrow_weights(), dtype=torch.float64)
    paintings = [Painting(random_picture(40, 40, 2)), Painting(random_picture(40, 40, 3) * 0.2)]
    picture = random_picture(40, 40, 4)
    values = []
    for styles, weights in (paintings, (1.0, 1000.0)), (paintings[1:], ()), (paintings, (1.0, 1.0)):
        options = regional(style_loss="nearest", style_layers="relu3_1", style_weights=weights)
        values.append(level_objective(features, None, styles, options, 40, 40).terms(picture).style)
    assert abs(values[0] - values[1]) < 0.3 * abs(values[2] - values[1])


def test_regions_that_only_change_colours_take_no_run(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    """Where no region is painted, nothing is evaluated."""
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(tmp_path / "all.png")
    options = options_of(regions="1,color=only")
    run = stylization(*files, options, masks=[tmp_path / "all.png"])
    assert list(run) == []
    whole = stylization(*files, options_of(color="only"))
    np.testing.assert_allclose(run.result.pixels, whole.result.pixels, atol=2e-3)


# --- the command line -----------------------------------------------------------------------------


def test_the_command_line_takes_masks(
    masked: tuple[Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--mask`, `--style-mask` and `--regions` together make what Python makes of them."""
    photo, one, other, left, right = map(str, masked)
    flags = ["--size", "24", "--evaluations", "2", "--single-level", "-q"]
    out = tmp_path / "out.png"
    code = main(
        [
            "stylize",
            photo,
            one,
            other,
            "--mask",
            left,
            "--mask",
            right,
            "--style-mask",
            "-",
            "--style-mask",
            left,
            "--regions",
            "2;1,strength=0.5",
            *flags,
            "-o",
            str(out),
        ]
    )
    assert code == 0, capsys.readouterr().err
    options = make_options(
        {"size": 24, "evaluations": 2, "single_level": True, "regions": "2;1,strength=0.5"}
    )
    run = stylization(photo, [one, other], options, masks=[left, right], style_masks=[None, left])
    finish(run).save(tmp_path / "python.png")
    wanted = np.asarray(Image.open(tmp_path / "python.png"))
    np.testing.assert_array_equal(np.asarray(Image.open(out)), wanted)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--mask", "none.png"], "none.png: no such file"),
        (["--mask", "left.png", "--mask", "left.png", "--regions", "1"], "--regions: 1 regions"),
        (["--style-mask", "left.png", "--style-mask", "-"], "--style-mask: 2 masks for 1"),
        (["--mask", "photo.png"], "photo.png: is coloured; give a grey mask"),
        (["--mask", "black.png"], "black.png: is black everywhere"),
        (["--mask", "labels.png#00ff00"], "labels.png: has nothing of the colour #00ff00; it has"),
        (["--mask", "photo.png#00ff00"], "photo.png: has too many colours"),
        (
            ["--mask", "left.png", "-o", "left.png", "--overwrite"],
            "is a picture that this run reads",
        ),
        (["--regions", "keep"], "--regions: 1 regions for 0 masks"),
    ],
)
def test_bad_masks_are_one_line(
    masked: tuple[Path, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    fault: str,
) -> None:
    """What is wrong with a mask is said in one line, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save("black.png")
    labels = np.zeros((20, 20, 3), np.uint8)
    labels[:, 10:] = (255, 0, 0)
    Image.fromarray(labels).save("labels.png")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["stylize", "photo.png", "painting.png", *arguments]) == 2
    said = capsys.readouterr().err
    assert fault in said
    assert said.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
