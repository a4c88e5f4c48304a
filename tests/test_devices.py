"""The network in every number format, on every device that torch finds on this machine.

The reference is always float64 on the CPU. Where there is no GPU, what is particular to one is
tried with a stand-in for what torch would say of it.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto import objective as objective_module
from impasto.devices import pick_device, pick_precision
from impasto.errors import OptionError, is_out_of_memory
from impasto.features import Features
from impasto.images import read_image
from impasto.losses import STYLE_LOSSES
from impasto.moments import moments_of
from impasto.objective import Objective
from impasto.optimize import level_objective, optimize
from impasto.options import StyleOptions
from impasto.reproduction import from_settings, resume
from impasto.run import Picture, stylization, stylize
from impasto.targets import Painting
from impasto.weights import Weights, load_weights
from stand_ins import finish, linear_weights, narrow_weights, options_of

FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
DEVICES = ["cpu"]
if torch.cuda.is_available():
    DEVICES.append("cuda")
if torch.backends.mps.is_available():
    DEVICES.append("mps")


def cases() -> list[tuple[str, str]]:
    """Every device that is there, with each format that it computes in."""
    found = []
    for device in DEVICES:
        for precision in FORMATS:
            try:
                pick_precision(precision, torch.device(device))
            except OptionError:
                continue
            found.append((device, precision))
    return found


EACH = pytest.mark.parametrize(("device", "precision"), cases())
EACH_16 = pytest.mark.parametrize(("device", "precision"), [c for c in cases() if "16" in c[1]])

FEATURE_ERROR = {"float32": 1e-5, "bfloat16": 2e-2, "float16": 3e-3}
"""Largest error of a layer's features, as a share of their norm."""

GRADIENT_ERROR = {"float32": 1e-4, "bfloat16": 2e-2, "float16": 4e-3}
"""Largest error of the gradient of a linear network, as a share of its norm: measured were 5e-5,
5e-3 and 1.4e-3 at most."""

VGG19_ERROR = {"float32": 1e-4, "bfloat16": 8e-2, "float16": 3e-2}
"""The same of VGG19, where rounding also turns ReLUs and maxima: measured were 3e-5, 5e-2 and
1.7e-2."""

SHALLOW = "relu1_1,relu2_1,relu3_1"
"""Layers that look less far than these pictures reach."""

CUDA_WORDS = [
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 7.79 GiB of "
    "which 12.81 MiB is free.",
    "CUDA error: out of memory",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "MPS backend out of memory (MPS allocated: 9.05 GB, other allocations: 1.38 MB, max allowed: "
    "9.07 GB).",
]


@pytest.fixture(autouse=True)
def plain_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """On CUDA, float32 means all of its digits here."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def picture_of(height: int, width: int, seed: int) -> Tensor:
    """Soft noise `(1, 3, H, W)` in float64, inside [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(
        1, 3, height // 3 + 1, width // 3 + 1, generator=generator, dtype=torch.float64
    )
    return torch.nn.functional.interpolate(small, (height, width), mode="bilinear")


def make(
    device: str,
    dtype: torch.dtype,
    *,
    weights: Weights | None = None,
    tile_pixels: int | None = None,
    **values: Any,
) -> Objective:
    """The objective of one pair of pictures, 64 × 48 px, by default with a linear network."""
    pooling = "max" if weights else "average"
    weights = weights or linear_weights()
    features = Features(weights, pooling=pooling, device=device, dtype=dtype)
    options = options_of(content_layers="relu2_2,relu3_1", **{"tv_weight": 0.0, **values})
    return level_objective(
        features,
        picture_of(48, 64, 1).to(features.picture_dtype),
        [Painting(picture_of(50, 40, 2).to(features.picture_dtype))],
        options,
        64,
        48,
        tile_pixels=tile_pixels,
    )


def on(objective: Objective, picture: Tensor) -> Tensor:
    """A picture where an objective takes it."""
    return picture.to(objective.features.picture_dtype).to(objective.features.device)


def assert_same(one: Picture, other: Picture, device: str) -> None:
    """The same bytes on the CPU; GPUs do not always add in the same order."""
    np.testing.assert_allclose(
        one.pixels, other.pixels, rtol=0, atol=0 if device == "cpu" else 0.02
    )


def distance(one: Tensor, other: Tensor) -> float:
    """`|one − other| / |other|`."""
    other = other.cpu().double()
    return float((one.cpu().double() - other).norm() / other.norm())


@EACH
@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
@pytest.mark.parametrize("padding", ["replicate", "zero"])
def test_features_are_those_of_float64(
    device: str, precision: str, pooling: str, padding: str
) -> None:
    """Every layer answers in the chosen format, as near to float64 as the format allows."""
    names, picture = ["relu1_1", "relu2_2", "relu4_2", "relu5_1"], picture_of(37, 50, 3)
    kind: dict[str, Any] = {"pooling": pooling, "padding": padding}
    exact = Features(narrow_weights(), dtype=torch.float64, **kind).extract(picture, names)
    features = Features(narrow_weights(), device=device, dtype=FORMATS[precision], **kind)
    found = features.extract(picture.to(features.picture_dtype).to(device), names)
    for name in names:
        assert found[name].dtype == FORMATS[precision]
        if device != "mps":
            assert found[name].is_contiguous(memory_format=torch.channels_last)
        assert distance(found[name], exact[name]) < FEATURE_ERROR[precision], name


@EACH
def test_squares_of_l2_pooling_fit_every_format(device: str, precision: str) -> None:
    """Features whose squares are beyond float16 are pooled by their root mean square all the
    same."""
    large = linear_weights()
    large.tensors["conv1_1.weight"].mul_(3000)
    picture = picture_of(24, 24, 3)
    exact = Features(large, pooling="l2", dtype=torch.float64).extract(picture, ["relu2_1"])
    features = Features(large, pooling="l2", device=device, dtype=FORMATS[precision])
    found = features.extract(picture.to(features.picture_dtype).to(device), ["relu1_1", "relu2_1"])
    assert float(found["relu1_1"].max()) > 500
    assert distance(found["relu2_1"], exact["relu2_1"]) < FEATURE_ERROR[precision]


@EACH
@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_gradients_are_those_of_float64(device: str, precision: str, style_loss: str) -> None:
    """Loss and gradient of every style loss are float32 numbers near those of float64."""
    picture = picture_of(48, 64, 4)
    exact_terms, exact = make("cpu", torch.float64, style_loss=style_loss).evaluate(picture)
    objective = make(device, FORMATS[precision], style_loss=style_loss)
    terms, gradient = objective.evaluate(on(objective, picture))
    assert gradient.dtype == torch.float32
    assert distance(gradient, exact) < GRADIENT_ERROR[precision]
    assert terms.loss == pytest.approx(exact_terms.loss, rel=GRADIENT_ERROR[precision])
    assert terms == objective.terms(on(objective, picture))


@EACH
def test_gradients_of_the_real_network_are_those_of_float64(device: str, precision: str) -> None:
    """With VGG19 itself the picture's gradient points where float64's does."""
    picture, weights = picture_of(48, 64, 4), load_weights("vgg19")
    _, exact = make("cpu", torch.float64, weights=weights).evaluate(picture)
    objective = make(device, FORMATS[precision], weights=weights)
    _, gradient = objective.evaluate(on(objective, picture))
    assert distance(gradient, exact) < VGG19_ERROR[precision]


@EACH
def test_moments_are_summed_in_float32(device: str, precision: str) -> None:
    """Sums over a million positions keep float32's digits, whatever the features' format."""
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(1, 4, 1024, 1024, generator=generator).to(FORMATS[precision])
    weight = torch.rand(1024, 1024, generator=generator)
    for heavy in (None, weight):
        moments = moments_of(features.to(device), None if heavy is None else heavy.to(device))
        exact = moments_of(features.double(), heavy)
        for name in ("count", "first", "second"):
            found, expected = getattr(moments, name), getattr(exact, name)
            assert found.dtype == torch.float32
            assert distance(found, expected) < 2e-4, name


@EACH
def test_tiled_equals_whole(device: str, precision: str) -> None:
    """In tiles, a picture has the same terms and gradient up to the format's rounding."""
    whole = make(device, FORMATS[precision], style_layers=SHALLOW)
    tiled = make(device, FORMATS[precision], style_layers=SHALLOW, tile_pixels=2200)
    picture = on(whole, picture_of(48, 64, 5))
    assert len(tiled.tiles(48, 64)) > 1
    (terms, gradient), (expected_terms, expected) = (o.evaluate(picture) for o in (tiled, whole))
    assert terms.loss == pytest.approx(expected_terms.loss, rel=GRADIENT_ERROR[precision])
    assert distance(gradient, expected) < GRADIENT_ERROR[precision]


@EACH
def test_the_photo_itself_has_no_content_loss(device: str, precision: str) -> None:
    """What the photo's features are compared with is what the same network finds in it."""
    objective = make(device, FORMATS[precision])
    assert objective.terms(on(objective, picture_of(48, 64, 1))).content < 1e-12


@EACH
@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_slopes_of_any_size_survive(device: str, precision: str, factor: float) -> None:
    """Weights far from 1, like means over very many positions, cost the gradient no digits."""
    values: dict[str, Any] = {"content_weight": factor, "style_weight": factor}
    picture = picture_of(48, 64, 4)
    _, exact = make("cpu", torch.float64, **values).evaluate(picture)
    objective = make(device, FORMATS[precision], **values)
    _, gradient = objective.evaluate(on(objective, picture))
    assert distance(gradient, exact) < GRADIENT_ERROR[precision]


@pytest.mark.parametrize("tile_pixels", [None, 2200])
def test_slopes_that_are_too_large_go_down_smaller(
    monkeypatch: pytest.MonkeyPatch, tile_pixels: int | None
) -> None:
    """Where float16's slopes overflow they are computed again on a smaller scale, and where all
    scales overflow the gradient is not finite instead of wrong."""
    objective = make("cpu", torch.float16, style_layers=SHALLOW, tile_pixels=tile_pixels)
    picture = on(objective, picture_of(48, 64, 4))
    terms, expected = objective.evaluate(picture)
    monkeypatch.setattr(objective_module, "SLOPE_SIZE", 20)
    again, gradient = objective.evaluate(picture)
    assert again == terms
    assert distance(gradient, expected) < 1e-4
    monkeypatch.setattr(objective_module, "SLOPE_SIZE", 60)
    again, gradient = objective.evaluate(picture)
    assert again == terms
    assert not bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("style_loss", ["gram", "wasserstein2"])
def test_features_too_large_for_float16_are_told(style_loss: str) -> None:
    """Pictures that float16 cannot hold the features of end in one line, and a later point that it
    cannot is a loss that is not finite, which the optimiser knows what to do with."""
    large = linear_weights()
    large.tensors["conv3_1.weight"].mul_(1e6)
    with pytest.raises(OptionError, match=r"^--precision float16: .* use bfloat16"):
        make("cpu", torch.float16, weights=large, style_loss=style_loss)
    objective = make("cpu", torch.float16, style_loss=style_loss)
    objective.features = Features(large, dtype=torch.float16)
    picture = on(objective, picture_of(48, 64, 4))
    terms, gradient = objective.evaluate(picture)
    assert not math.isfinite(terms.loss)
    assert gradient.shape == picture.shape
    assert math.isfinite(make("cpu", torch.bfloat16, weights=large).terms(picture).loss)


@EACH_16
@pytest.mark.parametrize("style_loss", ["gram", "wasserstein2"])
def test_a_short_run_gets_as_far_as_float32(device: str, precision: str, style_loss: str) -> None:
    """After some evaluations the picture is as good as float32's, by float32's own loss."""
    options = options_of(
        size=48, evaluations=25, style_loss=style_loss, single_level=False, levels="24:8,48:25"
    )
    judge = Features(narrow_weights())
    photo, painting = picture_of(36, 48, 6).float(), picture_of(48, 48, 7).float()
    loss = {}
    for kind, where in (("float32", "cpu"), (precision, device)):
        features = Features(narrow_weights(), device=where, dtype=FORMATS[kind])
        *_, last = optimize(features, photo, [Painting(painting)], photo, options)
        picture = last.picture.cpu().float()
        objective = level_objective(judge, photo, [Painting(painting)], options, 48, 36)
        loss[kind] = objective.terms(picture).loss
    start = objective.terms(photo).loss
    assert loss["float32"] < 0.5 * start
    # Roundings of float32 itself move it by 6 %.
    assert loss[precision] < 1.15 * loss["float32"]


@EACH_16
def test_resumed_runs_end_in_the_same_bytes(
    files: tuple[Path, Path], tmp_path: Path, device: str, precision: str
) -> None:
    """A run in 16 bits that is interrupted and resumed ends as if it had gone on."""
    options = options_of(evaluations=6, precision=precision, device=device)
    whole = finish(stylization(*files, options))
    run = stylization(*files, options)
    for _ in range(3):
        next(run)
    run.checkpoint(tmp_path / "run.ckpt")
    run.close()
    resumed = resume(tmp_path / "run.ckpt")
    assert resumed.warnings == []
    assert resumed.precision == precision
    assert_same(finish(resumed), whole, device)


@EACH
def test_settings_carry_the_precision(
    files: tuple[Path, Path], tmp_path: Path, device: str, precision: str
) -> None:
    """A picture says in which format it was made, and is made in it again."""
    options = options_of(precision=precision, device=device)
    picture = stylize(*files, options)
    picture.save(tmp_path / "one.png")
    settings = read_image(tmp_path / "one.png").settings
    assert settings is not None
    assert settings["precision"] == settings["options"]["precision"] == precision
    run, warnings = from_settings(settings)
    assert warnings == []
    assert_same(finish(run), picture, device)


def test_another_precision_is_told(files: tuple[Path, Path], tmp_path: Path) -> None:
    """What `auto` chose on another machine is not silently replaced by this machine's choice."""
    run = stylization(*files, options_of(device="cpu"))
    settings = {**finish(run).settings, "precision": "bfloat16"}
    assert settings["options"]["precision"] == "auto"
    again, (warning,) = from_settings(settings)
    assert again.precision == "float32"
    assert "made in bfloat16, this is float32" in warning
    del settings["precision"]
    assert from_settings(settings)[1] == []
    one = stylization(*files, options_of(device="cpu", precision="bfloat16"))
    next(one)
    one.checkpoint(tmp_path / "run.ckpt")
    other = resume(tmp_path / "run.ckpt")
    assert other.warnings == []


@pytest.mark.parametrize(
    ("device", "capability", "expected"),
    [
        ("cpu", None, torch.float32),
        ("mps", None, torch.float32),
        ("cuda", (6, 1), torch.float32),
        ("cuda", (7, 5), torch.float32),
        ("cuda", (8, 0), torch.bfloat16),
        ("cuda", (8, 9), torch.bfloat16),
        ("cuda", (12, 0), torch.bfloat16),
    ],
)
def test_auto_picks_what_the_device_is_quick_with(
    device: str,
    capability: tuple[int, int] | None,
    expected: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`auto` is bfloat16 on NVIDIA GPUs that compute in it, and float32 everywhere else."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    assert StyleOptions().precision == "auto"
    assert pick_precision("auto", torch.device(device)) == expected
    assert pick_precision("float32", torch.device(device)) == torch.float32


@pytest.mark.parametrize(
    ("device", "precision"), [("mps", "bfloat16"), ("mps", "float16"), ("cuda", "bfloat16")]
)
def test_formats_that_a_device_lacks_are_one_line(
    device: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apple's GPUs take float32 alone and old NVIDIA GPUs no bfloat16; the line says what to do."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 5))
    with pytest.raises(OptionError, match=f"^--precision {precision}: .*float32") as caught:
        pick_precision(precision, torch.device(device))
    assert "\n" not in str(caught.value)
    if device == "cuda":
        assert pick_precision("float16", torch.device(device)) == torch.float16


def test_devices_that_are_not_there_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device this machine lacks is refused with the remedy; `auto` falls back to the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")
    for name in ("cuda", "mps"):
        with pytest.raises(OptionError, match=f"--device {name}: not available here"):
            pick_device(name)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("mps")


def test_compiled_kernels_are_for_float32_alone() -> None:
    """The CPU's own kernels, which know float32 only, are left out in any other format."""
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        assert not Features(narrow_weights(), dtype=dtype, fast_convolution=True).fast
    assert Features(narrow_weights(), fast_convolution=True).fast


def test_pictures_have_float32_whatever_the_network_has() -> None:
    """Pictures and what is computed of them keep float32, and float64 beside a float64 network."""
    for dtype in FORMATS.values():
        features = Features(narrow_weights(), dtype=dtype)
        assert features.picture_dtype == torch.float32
        picture = torch.rand(1, 3, 16, 16)
        run = optimize(
            features, picture, [Painting(picture.flip(-1))], picture, options_of(size=16)
        )
        step = next(run)
        assert step.best.dtype == step.picture.dtype == torch.float32
    assert Features(narrow_weights(), dtype=torch.float64).picture_dtype == torch.float64


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """A device that every machine has and that refuses most tensors of the CPU: torch's `meta`,
    whose tensors hold no numbers. Where one is asked for, it is 1."""
    to = torch.Tensor.to

    def moved(self: Tensor, *where: Any, **options: Any) -> Tensor:
        if self.is_meta and any(str(place) == "cpu" for place in where):
            self = torch.ones(self.shape, dtype=self.dtype)
        return to(self, *where, **options)

    monkeypatch.setattr(torch.Tensor, "to", moved)
    monkeypatch.setattr(torch.Tensor, "__float__", lambda _: 1.0)
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda _: True)
    return "meta"


@pytest.mark.parametrize(
    ("precision", "tile_pixels", "values"),
    [
        ("float32", 2200, {"style_loss": "gram", "tv": "squared", "anchor_above": 40}),
        ("bfloat16", None, {"style_loss": "wasserstein2", "pooling": "l2", "optimizer": "adam"}),
        ("float16", 2200, {"style_loss": "gram+mean-std", "pooling": "average"}),
    ],
    ids=["float32", "bfloat16", "float16"],
)
def test_runs_stay_on_their_device(
    elsewhere: str, precision: str, tile_pixels: int | None, values: dict[str, Any]
) -> None:
    """Pictures given on the CPU are brought to the device, and nothing is left behind."""
    values = {"levels": "24:3,48:4", "content_layers": "relu2_2", **values}
    options = options_of(size=48, style_layers=SHALLOW, tv_weight=1.0, **values)
    dtype, pooling = FORMATS[precision], options.pooling
    features = Features(narrow_weights(), device=elsewhere, dtype=dtype, pooling=pooling)
    photo, painting = torch.rand(1, 3, 36, 48), Painting(torch.rand(1, 3, 40, 40))
    masked = Painting(torch.rand(1, 3, 40, 40), torch.rand(40, 40))
    styles = [painting, masked]
    anchor = torch.rand(1, 3, 18, 24, device=elsewhere)
    for held in (None, anchor):
        objective = level_objective(
            *(features, photo, styles, options, 48, 36), anchor=held, tile_pixels=tile_pixels
        )
        _, gradient = objective.evaluate(torch.rand(1, 3, 36, 48, device=elsewhere))
        assert (gradient.device.type, gradient.dtype) == (elsewhere, torch.float32)
    *_, last = optimize(features, photo, styles, photo, options)
    assert last.picture.device.type == elsewhere


@pytest.mark.parametrize("words", CUDA_WORDS)
def test_a_full_gpu_is_recognised(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a GPU's memory runs out, tiles become smaller and the loss stays the same."""
    assert is_out_of_memory(torch.OutOfMemoryError(words))
    objective = make("cpu", torch.bfloat16, style_layers=SHALLOW)
    picture = on(objective, picture_of(48, 64, 4))
    expected = objective.evaluate(picture)[0]
    extract = Features.extract

    def full(self: Features, part: Tensor, *rest: Any) -> dict[str, Tensor]:
        if part.shape[-1] * part.shape[-2] > 2500:
            raise RuntimeError(words)
        return extract(self, part, *rest)

    monkeypatch.setattr(Features, "extract", full)
    terms, _ = objective.evaluate(picture)
    assert len(objective.tiles(48, 64)) > 1
    assert terms.loss == pytest.approx(expected.loss, rel=1e-2)
