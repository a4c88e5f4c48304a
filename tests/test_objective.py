"""The objective against its formula spelled out in NumPy, and its gradient by differences."""

import gc
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto import objective as objective_module
from impasto.features import Features
from impasto.losses import STYLE_LOSSES, TV_LOSSES
from impasto.matting import MattingTerm
from impasto.moments import moments_of
from impasto.objective import Objective, PixelLoss
from impasto.targets import Painting, Region, RegionTargets, Targets, make_targets
from stand_ins import narrow_weights

CONTENT = {"relu2_2": 1.0, "relu3_1": 0.5}
STYLE = {"relu1_1": 0.7, "relu2_1": 1.0, "relu3_1": 2.0}


def random_picture(height: int, width: int, seed: int) -> Tensor:
    """Noise `(1, 3, H, W)` in float64, inside [0.1, 0.9]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64) * 0.8 + 0.1


def prepare(
    features: Features,
    *,
    content_layers: Mapping[str, float] = CONTENT,
    style_layers: Mapping[str, float] = STYLE,
    size: tuple[int, int] = (10, 12),
    **options: Any,
) -> tuple[Objective, Targets]:
    """An objective for a noise photo and a noise painting with a mask."""
    generator = torch.Generator().manual_seed(5)
    mask = torch.rand(14, 9, generator=generator, dtype=torch.float64)
    masked = Painting(random_picture(14, 9, seed=3), mask)
    targets = make_targets(
        features,
        random_picture(*size, seed=1),
        [Region([Painting(random_picture(11, 13, seed=2)), masked], [2.0, 1.0])],
        height=10,
        width=12,
        content_layers=content_layers,
        style_layers=style_layers,
    )
    made = Objective(
        features, targets, content_layers=content_layers, style_layers=style_layers, **options
    )
    return made, targets


def assert_gradient_is_right(
    objective: Objective, picture: Tensor, *, step: float, checks: int = 25, tolerance: float = 1e-6
) -> None:
    """Central differences along random directions and pixels agree with the gradient.

    Args:
        objective: in float64.
        picture: where to look.
        step: of the differences; small enough to cross no kink of a ReLU.
        checks: how many directions.
        tolerance: allowed error, as a share of the gradient's norm.
    """
    terms, gradient = objective.evaluate(picture)
    assert gradient.shape == picture.shape
    assert terms == objective.terms(picture)
    rng = np.random.default_rng(0)
    for number in range(checks):
        direction = torch.zeros_like(picture)
        if number % 2:
            direction.view(-1)[rng.integers(picture.numel())] = 1
        else:
            direction += torch.from_numpy(rng.normal(size=picture.shape))
        ahead = objective.terms(picture + step * direction).loss
        behind = objective.terms(picture - step * direction).loss
        slope = float((gradient * direction).sum())
        size = float(gradient.norm() * direction.norm())
        assert slope == pytest.approx((ahead - behind) / (2 * step), abs=tolerance * size)


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(
    ("pooling", "padding", "tv"),
    [("max", "replicate", "l1"), ("average", "zero", "squared"), ("l2", "replicate", "l1")],
)
def test_image_gradient_is_that_of_central_differences(
    style_loss: str, normalize: bool, pooling: str, padding: str, tv: str
) -> None:
    """For every loss, pooling, padding and smoothness term the picture's gradient is exact."""
    features = Features(narrow_weights(), pooling=pooling, padding=padding, dtype=torch.float64)
    objective, _ = prepare(
        features,
        style_loss=style_loss,
        normalize=normalize,
        content_weight=1.3,
        style_weight=0.7,
        tv_weight=0.4,
        tv=tv,
    )
    picture = random_picture(10, 12, seed=4)
    if style_loss == "wasserstein2":
        # Its covariances are singular here: roots of rounding noise blur smaller differences.
        assert_gradient_is_right(objective, picture, step=1e-5, tolerance=1e-3)
    else:
        assert_gradient_is_right(objective, picture, step=1e-6)


def test_image_gradient_of_the_real_network_is_right() -> None:
    """Through VGG19 itself, in float64 and with the default layers, the gradient is exact."""
    features = Features("vgg19", dtype=torch.float64)
    objective, _ = prepare(
        features,
        content_layers={"relu4_2": 1.0},
        style_layers=dict.fromkeys(["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"], 1.0),
        size=(20, 20),
    )
    assert_gradient_is_right(objective, random_picture(20, 20, seed=6), step=1e-8, checks=6)


def test_loss_is_the_formula() -> None:
    """`α Σ w·mean((F−P)²)/mean(P²) + β Σ w·mean((G−A)²)/mean(A²) + γ·tv`, in NumPy."""
    features = Features(narrow_weights(), dtype=torch.float64)
    picture, photo, painting = (random_picture(10, 12, seed=seed) for seed in (7, 8, 9))
    names = {*CONTENT, *STYLE}
    f, p, s = (
        {name: value[0].numpy() for name, value in features.extract(image, names).items()}
        for image in (picture, photo, painting)
    )

    def gram(maps: Any) -> Any:
        return np.einsum("ihw,jhw->ij", maps, maps) / maps[0].size

    content = {n: np.square(f[n] - p[n]).mean() for n in CONTENT}
    style = {n: np.square(gram(f[n]) - gram(s[n])).mean() for n in STYLE}
    across, down = np.diff(picture.numpy(), axis=3), np.diff(picture.numpy(), axis=2)
    tv = np.abs(across).mean() + np.abs(down).mean()
    for normalize in (True, False):
        if normalize:
            content_units = {n: np.square(p[n]).mean() for n in CONTENT}
            style_units = {n: np.square(gram(s[n])).mean() for n in STYLE}
        else:
            content_units, style_units = dict.fromkeys(CONTENT, 1.0), dict.fromkeys(STYLE, 1.0)
        targets = make_targets(
            features,
            photo,
            [Region([Painting(painting)], [1.0])],
            height=10,
            width=12,
            content_layers=CONTENT,
            style_layers=STYLE,
        )
        objective = Objective(
            features,
            targets,
            content_layers=CONTENT,
            style_layers=STYLE,
            normalize=normalize,
            content_weight=2.0,
            style_weight=3.0,
            tv_weight=0.5,
        )
        terms = objective.terms(picture)
        for name in CONTENT:
            expected = content[name] / content_units[name]
            assert terms.layers[f"content:{name}"] == pytest.approx(expected)
        for name in STYLE:
            assert terms.layers[f"style:{name}"] == pytest.approx(style[name] / style_units[name])
        wanted = sum(w * content[n] / content_units[n] for n, w in CONTENT.items())
        assert terms.content == pytest.approx(wanted)
        wanted = sum(w * style[n] / style_units[n] for n, w in STYLE.items())
        assert terms.style == pytest.approx(wanted)
        assert terms.tv == pytest.approx(tv)
        assert terms.loss == pytest.approx(2 * terms.content + 3 * terms.style + 0.5 * terms.tv)


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_normalised_terms_are_one_for_an_empty_layer(style_loss: str) -> None:
    """With `normalize` each term is 1 where the picture causes no activation at all."""
    weights = narrow_weights()
    features = Features(weights, dtype=torch.float64)
    objective, _ = prepare(features, style_loss=style_loss)
    for name, tensor in weights.tensors.items():
        # Far below zero, every ReLU is silent.
        if name.endswith("bias"):
            tensor.fill_(-1e6)
    objective.features = Features(weights, dtype=torch.float64)
    layers = objective.terms(random_picture(10, 12, seed=10)).layers
    assert len(layers) == len(CONTENT) + len(STYLE)
    for name, value in layers.items():
        assert value == pytest.approx(1, rel=1e-6), name


def test_the_photo_has_no_content_loss_and_the_painting_no_style_loss() -> None:
    """Each term is zero exactly where its own picture is met."""
    features = Features(narrow_weights(), dtype=torch.float64)
    photo, painting = random_picture(12, 12, seed=11), random_picture(12, 12, seed=12)
    targets = make_targets(
        features,
        photo,
        [Region([Painting(painting)], [1.0])],
        height=12,
        width=12,
        content_layers=CONTENT,
        style_layers=STYLE,
    )
    objective = Objective(features, targets, content_layers=CONTENT, style_layers=STYLE)
    assert objective.terms(photo).content == 0
    assert objective.terms(photo).style > 1e-4
    assert objective.terms(painting).style == pytest.approx(0, abs=1e-20)
    assert objective.terms(painting).content > 1e-4


def test_the_picture_can_be_held_to_a_photos_colours() -> None:
    """The term that keeps a photograph counts with its weight in its unit, in loss and gradient."""
    features = Features(narrow_weights(), dtype=torch.float64)
    term, picture = MattingTerm(random_picture(10, 12, seed=1)), random_picture(10, 12, seed=12)
    objective, _ = prepare(features, pixel_losses=[PixelLoss("photoreal", term, 3.0)])
    terms, plain = objective.terms(picture), prepare(features)[0].terms(picture)
    value = term.evaluate(picture) / term.blank()
    assert terms.layers["photoreal"] == pytest.approx(value, rel=1e-12)
    assert terms.loss == pytest.approx(plain.loss + 3 * value, rel=1e-12)
    assert_gradient_is_right(objective, picture, step=1e-6)


@pytest.mark.parametrize("change", [{"content_weight": 0.0}, {"style_weight": 0.0}])
def test_a_weight_of_zero_removes_its_term(change: dict[str, Any]) -> None:
    """A term with weight 0 is neither computed nor reported, and the rest is what it was."""
    features = Features(narrow_weights(), dtype=torch.float64)
    picture = random_picture(10, 12, seed=13)
    whole = prepare(features)[0].terms(picture)
    part = prepare(features, **change)[0].terms(picture)
    (gone,) = (name.removesuffix("_weight") for name in change)
    kept = {"content": "style", "style": "content"}[gone]
    assert getattr(part, gone) == 0
    assert part.loss == getattr(part, kept) == getattr(whole, kept)
    assert not any(name.startswith(gone) for name in part.layers)


def test_a_layer_of_weight_zero_is_left_out() -> None:
    """A layer with weight 0 does not count, and the network is not run down to it."""
    features = Features(narrow_weights(), dtype=torch.float64)
    objective, _ = prepare(features, style_layers={"relu1_1": 1.0, "relu5_1": 0.0})
    assert set(objective.terms(random_picture(10, 12, seed=14)).layers) == {
        "content:relu2_2",
        "content:relu3_1",
        "style:relu1_1",
    }


def test_without_content_and_style_only_smoothness_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With both weights 0 the network is not run; without smoothness too, the gradient is 0."""
    features = Features(narrow_weights(), dtype=torch.float64)
    objective, _ = prepare(features, content_weight=0.0, style_weight=0.0, tv_weight=2.0)
    monkeypatch.setattr(torch.nn.functional, "conv2d", None)
    picture = random_picture(10, 12, seed=15)
    terms, gradient = objective.evaluate(picture)
    assert terms.loss == pytest.approx(2 * float(TV_LOSSES["l1"](picture)))
    assert bool(gradient.any())
    objective.tv_weight = 0.0
    terms, gradient = objective.evaluate(picture)
    assert terms.loss == 0
    assert not gradient.any()


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_targets_without_activation_do_no_harm(style_loss: str) -> None:
    """A target that no channel answers to leaves normalised losses and gradients finite."""
    features = Features(narrow_weights(), dtype=torch.float64)
    objective, targets = prepare(features)
    silent = Targets(
        {name: torch.zeros_like(value) for name, value in targets.content.items()},
        (
            RegionTargets(
                {
                    name: moments_of(torch.zeros(1, m.first.shape[0], 2, 2, dtype=torch.float64))
                    for name, m in targets.regions[0].style.items()
                }
            ),
        ),
    )
    objective = Objective(
        features, silent, content_layers=CONTENT, style_layers=STYLE, style_loss=style_loss
    )
    terms, gradient = objective.evaluate(random_picture(10, 12, seed=16))
    assert np.isfinite(terms.loss)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 17)])
@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_thin_pictures_have_the_right_gradient(size: tuple[int, int], style_loss: str) -> None:
    """Pictures of a pixel, a row or a column are matched like any other."""
    features = Features(narrow_weights(), dtype=torch.float64)
    objective, _ = prepare(features, size=size, style_loss=style_loss, tv_weight=1.0)
    picture = random_picture(*size, seed=18)
    assert_gradient_is_right(objective, picture, step=1e-5, checks=8, tolerance=2e-3)


def test_evaluating_leaves_the_picture_alone() -> None:
    """The picture given is neither changed nor tied to a graph, within `no_grad` too."""
    features = Features(narrow_weights(), dtype=torch.float64)
    objective, _ = prepare(features, tv_weight=1.0)
    picture = random_picture(10, 12, seed=17)
    before = picture.clone()
    with torch.no_grad():
        _, gradient = objective.evaluate(picture)
    assert bool(gradient.any())
    assert not gradient.requires_grad
    assert torch.equal(picture, before)
    assert not picture.requires_grad


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_objectives_that_share_a_network_are_as_without(style_loss: str, normalize: bool) -> None:
    """What an earlier objective has found out about a style changes no bit of a later one, whether
    that has the same target, another one or another loss."""
    weights = narrow_weights()
    shared, others = Features(weights), [name for name in STYLE_LOSSES if name != style_loss]
    picture = random_picture(20, 24, seed=31).float()
    for seed, name in (1, style_loss), (2, style_loss), (2, others[0]), (1, style_loss):
        found = []
        for features in (shared, Features(weights)):
            targets = make_targets(
                *(features, random_picture(20, 24, seed=30).float()),
                [Region([Painting(random_picture(18, 22, seed=seed).float())], [1.0])],
                height=20,
                width=24,
                content_layers=CONTENT,
                style_layers=STYLE,
            )
            objective = Objective(
                *(features, targets),
                content_layers=CONTENT,
                style_layers=STYLE,
                style_loss=name,
                normalize=normalize,
            )
            found.append(objective.evaluate(picture))
        (terms, gradient), (expected, slope) = found
        assert terms == expected
        assert torch.equal(gradient, slope)


def test_what_is_found_out_about_styles_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many paintings only the last ones' findings stay, and none outlives its network."""
    monkeypatch.setattr(objective_module, "KEPT_TERMS", 3)
    features = Features(narrow_weights())
    before = len(objective_module._TERMS)
    for seed in range(4):
        target = moments_of(random_picture(4, 4, seed=seed).float())
        objective_module._blank_of(features, "gram", target)
        assert len(objective_module._TERMS[features]) <= 3
    assert len(objective_module._TERMS) == before + 1
    del features
    gc.collect()
    assert len(objective_module._TERMS) == before
