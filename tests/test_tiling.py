"""Tiles: they cover a picture once, and what they see is what the whole picture shows."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.features import Features, layers_of, stride_of
from impasto.losses import STYLE_LOSSES, TV_LOSSES
from impasto.moments import moments_of
from impasto.objective import Objective
from impasto.targets import Painting, Region, make_targets
from impasto.tiling import plan_tiles, smallest_limit
from stand_ins import narrow_weights

LAYERS = {"relu1_1": 0.5, "relu2_1": 1.0, "relu3_1": 2.0}


def random_picture(height: int, width: int, seed: int) -> Tensor:
    """Noise `(1, 3, H, W)` in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)


def relative(one: Tensor, other: Tensor) -> float:
    """Distance of two tensors over the second one's norm."""
    return float((one - other).norm() / other.norm())


@given(
    height=st.integers(1, 700),
    width=st.integers(1, 700),
    halo=st.integers(0, 80),
    stride=st.sampled_from([1, 2, 4, 8, 16]),
    limit=st.integers(1, 300_000),
)
@settings(deadline=None)
def test_cores_cover_a_picture_once(
    height: int, width: int, halo: int, stride: int, limit: int
) -> None:
    """Every pixel and every position of every layer lies in one core, within a halo's margin."""
    tiles = plan_tiles(height, width, halo=halo, stride=stride, limit=limit)
    room = max(limit, smallest_limit(halo=halo, stride=stride))
    pixels = torch.zeros(height, width, dtype=torch.int32)
    strides = [2**i for i in range(5) if 2**i <= stride]
    maps = {s: torch.zeros(max(1, height // s), max(1, width // s)) for s in strides}
    for tile in tiles:
        top, bottom, left, right = tile.core
        pixels[top:bottom, left:right] += 1
        above, below, before, after = tile.area
        assert (below - above) * (after - before) <= room
        assert above == 0 or (above % stride == 0 and top - above >= halo)
        assert before == 0 or (before % stride == 0 and left - before >= halo)
        assert below == height or (below % stride == 0 and below - bottom >= halo)
        assert after == width or (after % stride == 0 and after - right >= halo)
        for s, seen in maps.items():
            seen[tile.place(s)] += 1
            own = tile.own(s)
            assert own[0].start >= 0
            assert own[1].stop <= max(1, (after - before) // s)
    assert torch.equal(pixels, torch.ones_like(pixels))
    assert all(torch.equal(seen, torch.ones_like(seen)) for seen in maps.values())


def test_a_picture_within_the_limit_is_one_tile() -> None:
    """Where all fits there is one tile without a halo; where not, several within the limit."""
    (tile,) = plan_tiles(100, 200, halo=16, stride=4, limit=20_000)
    assert tile.core == tile.area == (0, 100, 0, 200)
    assert len(plan_tiles(100, 200, halo=16, stride=4, limit=19_999)) == 2


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_the_reach_is_what_a_position_sees(architecture: str) -> None:
    """A layer's halo is exactly how far a change of one pixel is felt, in every layer."""
    weights = narrow_weights(architecture, width=2)
    # Nothing hides behind a maximum or a ReLU.
    positive = {name: tensor.abs() for name, tensor in weights.tensors.items()}
    weights = replace(weights, tensors=positive)
    features = Features(weights, pooling="average", dtype=torch.float64)
    for layer in layers_of(architecture):
        if layer.stride > 8:
            continue
        halo, stride = features.reach([layer.name])
        assert stride == stride_of(layer.name) == layer.stride
        side = 2 * halo + 3 * stride
        side += -side % stride
        middle = side // stride // 2
        picture = random_picture(side, side, 1).requires_grad_()
        value = features.extract(picture, [layer.name])[layer.name][0, :, middle, middle]
        (slope,) = torch.autograd.grad(value.sum(), picture)
        rows = slope.abs().sum((0, 1, 3)).nonzero().flatten()
        assert int(rows.min()) == middle * stride - halo
        assert int(rows.max()) == (middle + 1) * stride + halo - 1


def both(
    style_loss: str, size: tuple[int, int], limit: int, **options: object
) -> tuple[Objective, Objective, Tensor]:
    """The same objective whole and in tiles, and a picture to try them on."""
    pooling = str(options.pop("pooling", "max"))
    features = Features(narrow_weights(), pooling=pooling, dtype=torch.float64)
    mask = torch.rand(40, 30, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    masked = Painting(random_picture(40, 30, 3), mask)
    made = []
    for pixels in (None, limit):
        targets = make_targets(
            features,
            random_picture(*size, 1),
            [Region([Painting(random_picture(50, 61, 2)), masked], [1.0, 2.0])],
            height=size[0],
            width=size[1],
            content_layers=["relu2_2"],
            style_layers=LAYERS,
            tile_pixels=pixels,
        )
        made.append(
            Objective(
                features,
                targets,
                content_layers={"relu2_2": 1.0},
                style_layers=LAYERS,
                style_loss=style_loss,
                tv_weight=0.5,
                tile_pixels=pixels,
                **options,  # pyright: ignore[reportArgumentType]
            )
        )
    return made[0], made[1], random_picture(*size, 4)


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
@pytest.mark.parametrize(
    ("size", "pooling", "tv", "limit"),
    [
        ((97, 131), "max", "l1", 6000),
        ((64, 200), "average", "squared", 4000),
        ((121, 90), "l2", "l1", 3000),
    ],
)
def test_tiled_equals_whole(
    style_loss: str, size: tuple[int, int], pooling: str, tv: str, limit: int
) -> None:
    """In float64, terms and gradient of the tiled objective are those of the whole to 1e-9."""
    whole, tiled, picture = both(style_loss, size, limit, pooling=pooling, tv=tv)
    assert len(tiled.tiles(*size)) > 1
    expected, wanted = whole.evaluate(picture)
    terms, gradient = tiled.evaluate(picture)
    assert relative(gradient, wanted) <= 1e-9
    assert terms.loss == pytest.approx(expected.loss, rel=1e-12)
    assert terms.layers == pytest.approx(expected.layers, rel=1e-9)
    assert tiled.terms(picture).loss == pytest.approx(expected.loss, rel=1e-12)


@given(height=st.integers(1, 90), width=st.integers(1, 90), limit=st.integers(1, 4000))
@settings(deadline=None, max_examples=25)
def test_tiled_equals_whole_at_any_size(height: int, width: int, limit: int) -> None:
    """Sizes that no stride divides, thin pictures and single pixels too."""
    whole, tiled, picture = both("gram", (height, width), limit)
    expected, wanted = whole.evaluate(picture)
    terms, gradient = tiled.evaluate(picture)
    assert float((gradient - wanted).norm()) <= 1e-9 * float(wanted.norm())
    assert terms.loss == pytest.approx(expected.loss, rel=1e-10)


@pytest.mark.slow
def test_the_real_network_in_tiles_equals_the_whole() -> None:
    """VGG19 with the default layers, in float64: the gradient is that of the whole to 1e-9."""
    features = Features("vgg19", dtype=torch.float64)
    style: Mapping[str, float] = {f"relu{block}_1": 0.2 for block in (1, 2, 3, 4, 5)}
    photo, painting = random_picture(225, 230, 1), random_picture(120, 100, 2)
    results = []
    for limit in (None, 1):
        targets = make_targets(
            features,
            photo,
            [Region([Painting(painting)], [1.0])],
            height=225,
            width=230,
            content_layers=["relu4_2"],
            style_layers=style,
            tile_pixels=limit,
        )
        objective = Objective(
            features,
            targets,
            content_layers={"relu4_2": 1.0},
            style_layers=style,
            style_loss="gram",
            tv_weight=1.0,
            tile_pixels=limit,
        )
        results.append((len(objective.tiles(225, 230)), *objective.evaluate(photo * 0.9)))
    (one, expected, wanted), (several, terms, gradient) = results
    assert one == 1
    assert several == 2
    assert relative(gradient, wanted) <= 1e-9
    assert terms.loss == pytest.approx(expected.loss, rel=1e-10)


@pytest.mark.parametrize("tv", TV_LOSSES)
def test_strips_of_rows_add_up_to_the_smoothness_term(tv: str) -> None:
    """A picture cut into strips, each with the first row of the next, has the same variation."""
    picture = random_picture(11, 7, 1)
    cuts = [(0, 4), (4, 5), (5, 11)]
    parts = [
        TV_LOSSES[tv](picture[..., top : min(11, bottom + 1), :], 11, below=bottom < 11)
        for top, bottom in cuts
    ]
    assert float(sum(parts)) == pytest.approx(float(TV_LOSSES[tv](picture)), rel=1e-12)


def test_memory_that_runs_out_makes_tiles_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the network cannot hold the picture at once, the same gradient comes from tiles."""
    whole, _, picture = both("gram", (97, 131), 1)
    expected, wanted = whole.evaluate(picture)
    extract, sizes = Features.extract, list[int]()

    def cramped(self: Features, seen: Tensor, layers: list[str]) -> dict[str, Tensor]:
        sizes.append(seen.shape[-2] * seen.shape[-1])
        if sizes[-1] > 5000:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return extract(self, seen, layers)

    monkeypatch.setattr(Features, "extract", cramped)
    terms, gradient = whole.evaluate(picture)
    assert sizes[0] == 97 * 131
    assert sizes[-1] <= 5000
    assert terms.loss == pytest.approx(expected.loss, rel=1e-12)
    assert relative(gradient, wanted) <= 1e-9


def test_memory_that_never_suffices_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When even the smallest tiles do not fit, the allocator's own error comes out."""
    whole, _, picture = both("gram", (97, 131), 1)

    def exhausted(*_: object) -> dict[str, Tensor]:
        raise MemoryError

    monkeypatch.setattr(Features, "extract", exhausted)
    with pytest.raises(MemoryError):
        whole.evaluate(picture)


def test_features_of_huge_photos_are_kept_compactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a size, a tiled photo's features take half the memory; terms and gradient stay."""
    features = Features(narrow_weights())
    picture, photo = (random_picture(97, 131, seed).float() for seed in (1, 2))
    results = []
    for above in (10**9, 0):
        monkeypatch.setattr("impasto.targets.COMPACT_ABOVE", above)
        targets = make_targets(
            features,
            photo,
            [],
            height=97,
            width=131,
            content_layers=["relu2_2"],
            style_layers=(),
            tile_pixels=4000,
        )
        objective = Objective(
            features,
            targets,
            content_layers={"relu2_2": 1.0},
            style_layers={},
            tile_pixels=4000,
        )
        results.append((targets.content["relu2_2"].dtype, *objective.evaluate(picture)))
    (full, expected, wanted), (half, terms, gradient) = results
    assert (full, half) == (torch.float32, torch.float16)
    assert terms.loss == pytest.approx(expected.loss, rel=1e-3)
    assert relative(gradient, wanted) <= 2e-3


def test_moments_of_tiles_add_up() -> None:
    """The moments of a painting seen in tiles are those of the painting seen whole."""
    features = Features(narrow_weights(), dtype=torch.float64)
    painting = random_picture(97, 131, 1)
    tiled = (
        make_targets(
            features,
            None,
            [Region([Painting(painting)], [1.0])],
            height=97,
            width=131,
            content_layers=(),
            style_layers=LAYERS,
            tile_pixels=4000,
        )
        .regions[0]
        .style
    )
    for name, found in features.extract(painting, LAYERS).items():
        moments = moments_of(found)
        assert relative(tiled[name].mean, moments.mean) <= 1e-12
        assert relative(tiled[name].gram, moments.gram) <= 1e-12
