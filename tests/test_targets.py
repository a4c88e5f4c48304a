"""Targets of a level: sizes, masks and blends against NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter
from torch import Tensor

from impasto.features import Features
from impasto.moments import moments_of
from impasto.targets import Painting, Region, Targets, level_size, make_targets, resize
from stand_ins import narrow_weights


@pytest.fixture
def features() -> Features:
    """A narrow network in float64."""
    return Features(narrow_weights(), dtype=torch.float64)


def random_picture(height: int, width: int, seed: int) -> Tensor:
    """Noise `(1, 3, H, W)` in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)


def targets_of(features: Features, paintings: list[Painting], shares: list[float]) -> Targets:
    """Style targets at 16 px."""
    return make_targets(
        features,
        None,
        [Region(paintings, shares)],
        height=16,
        width=16,
        content_layers=(),
        style_layers=("relu1_1", "relu2_1", "relu3_1"),
    )


@given(width=st.integers(1, 5000), height=st.integers(1, 5000), side=st.integers(1, 5000))
def test_level_sizes_keep_the_shape(width: int, height: int, side: int) -> None:
    """The long side is the one asked for, the short one right to half a pixel, none below 1."""
    found = level_size(width, height, side)
    assert max(found) == side
    assert min(found) >= 1
    exact = width * side / max(width, height), height * side / max(width, height)
    for one, wanted in zip(found, exact, strict=True):
        assert abs(one - wanted) <= 0.5 + 1e-9 or (one == 1 and wanted < 1)


def test_resizing_to_the_same_size_changes_nothing() -> None:
    """At its own size a picture is passed on as it is; flat colour stays flat at any size."""
    picture = random_picture(7, 9, 0)
    assert torch.equal(resize(picture, 7, 9), picture)
    flat = torch.full((1, 3, 7, 9), 0.3, dtype=torch.float64)
    for size in [(3, 4), (15, 20), (1, 1)]:
        np.testing.assert_allclose(resize(flat, *size), 0.3, rtol=1e-12)


def test_content_targets_are_the_photos_features(features: Features) -> None:
    """The content target of a layer is what the network finds in the photo there."""
    photo = random_picture(12, 16, 1)
    targets = make_targets(
        features,
        photo,
        [],
        height=12,
        width=16,
        content_layers=["relu2_1"],
        style_layers=["relu1_1"],
    )
    assert torch.equal(targets.content["relu2_1"], features.extract(photo, ["relu2_1"])["relu2_1"])
    assert targets.regions == ()
    assert not targets.content["relu2_1"].requires_grad


def test_paintings_come_to_the_levels_size(features: Features) -> None:
    """A painting at any size is brought to the level's long side before its style is taken."""
    painting = random_picture(48, 40, 2)
    targets = targets_of(features, [Painting(painting)], [1])
    small = resize(painting, 16, 13).clamp(0, 1)
    for name, target in targets.regions[0].style.items():
        expected = moments_of(features.extract(small, [name])[name])
        torch.testing.assert_close(target.gram, expected.gram)
        torch.testing.assert_close(target.mean, expected.mean)


def smooth(mask: np.ndarray) -> np.ndarray:
    """The mean over each 3 × 3 neighbourhood, as far as it lies within."""
    sums = uniform_filter(mask, 3, mode="constant")
    return sums / uniform_filter(np.ones_like(mask), 3, mode="constant")


def halve(mask: np.ndarray) -> np.ndarray:
    """The mean over each 2 × 2 window."""
    height, width = mask.shape
    return mask.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))


def spread_by_hand(mask: np.ndarray) -> dict[str, np.ndarray]:
    """A mask at the first layer of each block of VGG19, by SciPy."""
    found = {"relu1_1": smooth(mask)}
    found["relu2_1"] = smooth(halve(smooth(found["relu1_1"])))
    found["relu3_1"] = smooth(halve(smooth(found["relu2_1"])))
    return found


def test_masks_weigh_positions_by_what_they_see(features: Features) -> None:
    """A mask goes through the network's geometry: a mean for each convolution and each pooling."""
    painting = random_picture(16, 16, 3)
    mask = np.random.default_rng(4).uniform(size=(16, 16))
    targets = targets_of(features, [Painting(painting, torch.from_numpy(mask))], [1])
    for name, weights in spread_by_hand(mask).items():
        found = features.extract(painting, [name])[name][0].flatten(1).numpy()
        weight = weights.ravel()
        expected = (found * weight) @ found.T / weight.sum()
        np.testing.assert_allclose(targets.regions[0].style[name].gram, expected, rtol=1e-10)


def test_an_even_mask_is_no_mask(features: Features) -> None:
    """A mask that weighs all alike, however lightly, gives the moments without a mask."""
    painting = random_picture(20, 15, 5)
    plain = targets_of(features, [Painting(painting)], [1])
    even = targets_of(features, [Painting(painting, torch.full((20, 15), 0.2))], [1])
    for name in plain.regions[0].style:
        torch.testing.assert_close(
            even.regions[0].style[name].gram, plain.regions[0].style[name].gram
        )


def test_blends_follow_the_shares(features: Features) -> None:
    """The target of a blend is the paintings' own targets in the proportion of their shares."""
    paintings = [Painting(random_picture(16, 16, seed)) for seed in (6, 7)]
    alone = [targets_of(features, [painting], [1]).regions[0].style for painting in paintings]
    for shares in ([1.0, 3.0], [0.5, 0.0], [10.0, 10.0]):
        mixed = targets_of(features, paintings, shares).regions[0].style
        for name in mixed:
            expected = sum(
                share / sum(shares) * style[name].gram
                for share, style in zip(shares, alone, strict=True)
            )
            assert isinstance(expected, Tensor)
            torch.testing.assert_close(mixed[name].gram, expected)


def test_targets_take_smaller_tiles_where_memory_runs_out(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photo and painting that do not fit whole are seen in tiles, and the targets say in which."""
    extract, room = Features.extract, [5000]

    def cramped(self: Features, seen: Tensor, layers: list[str]) -> dict[str, Tensor]:
        if seen.shape[-2] * seen.shape[-1] > room[0]:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return extract(self, seen, layers)

    def make(tile_pixels: int | None) -> Targets:
        return make_targets(
            features,
            random_picture(97, 131, 1),
            [Region([Painting(random_picture(50, 61, 2))], [1.0])],
            height=97,
            width=131,
            content_layers=["relu2_2"],
            style_layers=["relu1_1", "relu3_1"],
            tile_pixels=tile_pixels,
        )

    monkeypatch.setattr(Features, "extract", cramped)
    found = make(None)
    assert found.tile_pixels is not None
    assert found.tile_pixels <= 5000
    again = make(found.tile_pixels)
    assert torch.equal(found.content["relu2_2"], again.content["relu2_2"])
    one, other = (made.regions[0].style["relu3_1"].second for made in (found, again))
    assert torch.equal(one, other)
    room[0] = 0
    with pytest.raises(RuntimeError, match="can't allocate"):
        make(None)
