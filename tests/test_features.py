"""VGG features against Keras' own networks, plain torch and closed forms."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.errors import OptionError, WeightsError
from impasto.features import Features, canonical_layer, layers_of
from impasto.images import read_image, resize_image
from impasto.samples import sample_path
from impasto.weights import TORCHVISION, Weights, load_weights
from stand_ins import narrow_weights

VGG19 = [f"relu{b}_{i}" for b, n in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, n + 1)]
VGG16 = [f"relu{b}_{i}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, n + 1)]
NAMES = {"vgg16": VGG16, "vgg19": VGG19}


def keras_name(name: str) -> str:
    """`relu4_2` as Keras calls it."""
    return f"block{name[4]}_conv{name[6]}"


def random_picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Uniform noise `(1, 3, H, W)` in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module", params=["vgg16", "vgg19"])
def weights(request: pytest.FixtureRequest) -> Weights:
    """The real weights of both networks."""
    try:
        return load_weights(request.param)
    except WeightsError as error:
        if request.param == "vgg16":
            pytest.skip(str(error))
        raise


# Keras and the newest NumPy disagree on a keyword.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def keras_model(weights: Weights) -> Any:
    """Keras' own network of the same architecture, with our weights, answering every layer."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras: Any = pytest.importorskip("keras")
    make = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}
    model = make[weights.architecture](include_top=False, weights=None, input_shape=(None, None, 3))
    for name in NAMES[weights.architecture]:
        ours = weights.tensors[f"conv{name[4:]}.weight"], weights.tensors[f"conv{name[4:]}.bias"]
        kernel = ours[0].permute(2, 3, 1, 0).numpy()
        model.get_layer(keras_name(name)).set_weights([kernel, ours[1].numpy()])
    return model


def with_average_pooling(model: Any) -> Any:
    """A Keras network of the same layers and weights whose poolings take the mean."""
    import keras

    def swap(layer: Any) -> Any:
        if isinstance(layer, keras.layers.MaxPooling2D):
            return keras.layers.AveragePooling2D(2, 2, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    copy: Any = keras.models.clone_model(model, clone_function=swap)
    copy.set_weights(model.get_weights())
    return copy


def keras_features(model: Any, names: list[str], picture: Tensor) -> dict[str, NDArray[np.float32]]:
    """What Keras finds in a picture, with Keras' own preprocessing, as `(1, C, h, w)`."""
    import keras

    pixels = keras.applications.vgg19.preprocess_input(
        (picture * 255).permute(0, 2, 3, 1).numpy().astype(np.float32)
    )
    outputs = [model.get_layer(keras_name(name)).output for name in names]
    found = keras.Model(model.input, outputs)(pixels, training=False)
    return {
        name: value.detach().numpy().transpose(0, 3, 1, 2)
        for name, value in zip(names, found, strict=True)
    }


def assert_layers_agree(ours: dict[str, Tensor], theirs: dict[str, Any], names: list[str]) -> None:
    """Every layer agrees to a ten-thousandth of its own size."""
    assert list(ours) == names
    for name in names:
        expected = np.asarray(theirs[name])
        assert ours[name].shape == expected.shape
        error = np.linalg.norm(ours[name].numpy() - expected) / np.linalg.norm(expected)
        assert error < 1e-4, name


@pytest.mark.parametrize("size", [(48, 40), (35, 51)])
def test_max_pooling_matches_keras(
    weights: Weights, keras_model: Any, size: tuple[int, int]
) -> None:
    """Every layer of VGG16 and VGG19 is the one Keras computes, at even and odd sizes."""
    names, picture = NAMES[weights.architecture], random_picture(*size)
    ours = Features(weights, padding="zero").extract(picture.float(), names)
    assert_layers_agree(ours, keras_features(keras_model, names, picture), names)


def test_average_pooling_matches_keras(weights: Weights, keras_model: Any) -> None:
    """With average pooling and no rescaling, every layer is that of Keras' layers likewise."""
    names, picture = NAMES[weights.architecture], random_picture(38, 45)
    ours = Features(weights, padding="zero", pooling="average", rescale=False)
    theirs = keras_features(with_average_pooling(keras_model), names, picture)
    assert_layers_agree(ours.extract(picture.float(), names), theirs, names)


def plain_torch(
    weights: Weights, names: list[str], picture: Tensor, pool: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """The network spelled out: Caffe's input, zero padding, ReLU, a pooling between blocks."""
    mean = torch.tensor([103.939, 116.779, 123.68], dtype=torch.float64)
    x = 255 * picture[:, [2, 1, 0]] - mean[None, :, None, None]
    found: dict[str, Tensor] = {}
    for name in names:
        if name[4:] in ("2_1", "3_1", "4_1", "5_1"):
            x = pool(x)
        convolution = torch.nn.Conv2d(x.shape[1], 1, 3, padding=1, dtype=torch.float64)
        convolution.weight.data = weights.tensors[f"conv{name[4:]}.weight"].double()
        convolution.bias = torch.nn.Parameter(weights.tensors[f"conv{name[4:]}.bias"].double())
        x = convolution(x).detach().clamp_min(0)
        found[name] = x
    return found


@pytest.mark.parametrize(
    ("pooling", "rescale", "pool"),
    [
        ("max", True, lambda x: torch.nn.functional.max_pool2d(x, 2)),
        ("average", False, lambda x: torch.nn.functional.avg_pool2d(x, 2)),
        ("average", True, lambda x: 1.4 * torch.nn.functional.avg_pool2d(x, 2)),
        ("l2", False, lambda x: torch.nn.functional.lp_pool2d(x, 2, 2) / 2),
        ("l2", True, lambda x: 1.3 * torch.nn.functional.lp_pool2d(x, 2, 2) / 2),
    ],
)
def test_every_pooling_matches_plain_torch(
    weights: Weights, pooling: str, rescale: bool, pool: Callable[[Tensor], Tensor]
) -> None:
    """Each pooling, with its rescaling factor at each pooling or without, is its definition."""
    names, picture = NAMES[weights.architecture], random_picture(33, 47)
    features = Features(weights, pooling=pooling, rescale=rescale, padding="zero")
    theirs = plain_torch(weights, names, picture, pool)
    assert_layers_agree(features.extract(picture.float(), names), theirs, names)


@pytest.mark.parametrize("pooling", ["average", "l2"])
def test_rescaling_keeps_the_scale_of_deep_activations(pooling: str) -> None:
    """On a photo, a rescaled pooling leaves the deepest activations as large as max pooling."""
    photo = resize_image(read_image(sample_path("coffee")), 128, 96)
    picture = torch.from_numpy(np.ascontiguousarray(photo.pixels))[None]
    size = []
    for kind, rescale in [("max", True), (pooling, True), (pooling, False)]:
        features = Features("vgg19", pooling=kind, rescale=rescale)
        found = features.extract(picture, ["relu5_1"])["relu5_1"]
        size.append(float(found.square().mean().sqrt()))
    assert 0.7 < size[1] / size[0] < 1.4
    assert size[2] / size[0] < 0.5


def test_preprocessing_follows_the_weights() -> None:
    """Torchvision's weights get RGB in [0, 1], normalised; Caffe's BGR in 0–255 minus the mean."""
    picture = random_picture(2, 3)
    values = picture.numpy()
    modern = narrow_weights(
        channel_order="rgb", scale=1.0, mean=TORCHVISION.mean, std=TORCHVISION.std
    )
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(
        Features(modern, dtype=torch.float64).preprocess(picture),
        (values - mean[:, None, None]) / std[:, None, None],
    )
    caffe = Features("vgg19", dtype=torch.float64).preprocess(picture)
    mean = np.array([103.939, 116.779, 123.68])
    np.testing.assert_allclose(caffe, 255 * values[:, ::-1] - mean[:, None, None])


def test_replicate_padding_repeats_the_border() -> None:
    """The first convolution sees the edge pixels again beyond the border."""
    weights = narrow_weights()
    picture = random_picture(6, 5)
    features = Features(weights, dtype=torch.float64)
    seen = np.pad(features.preprocess(picture).numpy(), [(0, 0), (0, 0), (1, 1), (1, 1)], "edge")
    kernel, bias = weights.tensors["conv1_1.weight"], weights.tensors["conv1_1.bias"]
    windows = np.lib.stride_tricks.sliding_window_view(seen, (3, 3), axis=(2, 3))
    expected = np.einsum("bchwij,ocij->bohw", windows, kernel) + bias.numpy()[:, None, None]
    found = features.extract(picture, ["relu1_1"])["relu1_1"]
    np.testing.assert_allclose(found, expected.clip(0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["relu1_1", "relu2_2", "relu3_1"])
def test_padding_changes_the_border_alone(name: str) -> None:
    """Features whose receptive field lies inside the picture do not depend on the padding."""
    picture = random_picture(64, 64)
    weights = narrow_weights()
    one, other = (
        Features(weights, padding=padding, dtype=torch.float64).extract(picture, [name])[name]
        for padding in ("replicate", "zero")
    )
    layer = next(layer for layer in layers_of("vgg19") if layer.name == name)
    margin = -(-layer.receptive_field // (2 * layer.stride))
    inside = (..., slice(margin, -margin), slice(margin, -margin))
    assert one[inside].numel() > 0
    torch.testing.assert_close(one[inside], other[inside], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (9, 7), (1, 40), (33, 2), (17, 31)])
def test_small_and_odd_pictures_have_features(pooling: str, height: int, width: int) -> None:
    """Sides are halved and rounded down at each pooling, but one position always stays."""
    features = Features(narrow_weights(), pooling=pooling, dtype=torch.float64)
    picture = random_picture(height, width).requires_grad_()
    found = features.extract(picture, VGG19)
    for layer in layers_of("vgg19"):
        shape = max(1, height // layer.stride), max(1, width // layer.stride)
        assert found[layer.name].shape[-2:] == shape, layer.name
    (gradient,) = torch.autograd.grad(found["relu5_4"].sum(), picture)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("pooling", ["average", "l2"])
def test_flat_pooling_of_thin_pictures_keeps_means(pooling: str) -> None:
    """A picture one pixel high is pooled along its length alone, so its level does not drop."""
    passing = narrow_weights(channel_order="rgb", scale=1.0, mean=(0, 0, 0), std=(1, 1, 1))
    for name, tensor in passing.tensors.items():
        tensor.zero_()
        if name.endswith("weight"):
            for channel in range(tensor.shape[0]):
                tensor[channel, channel % tensor.shape[1], 1, 1] = 1
    features = Features(passing, pooling=pooling, rescale=False, dtype=torch.float64)
    flat = torch.full((1, 3, 1, 37), 0.5, dtype=torch.float64)
    for name, found in features.extract(flat, ["relu2_1", "relu4_1", "relu5_1"]).items():
        np.testing.assert_allclose(found, 0.5, rtol=1e-6, err_msg=name)


def test_both_naming_schemes_mean_the_same_layers() -> None:
    """`block4_conv2` and `relu4_2` are one layer, and each network has exactly its own."""
    for architecture, names in NAMES.items():
        layers = layers_of(architecture)
        assert [layer.name for layer in layers] == names
        assert [layer.keras for layer in layers] == [keras_name(name) for name in names]
        for name in names:
            assert canonical_layer(name, architecture) == name
            assert canonical_layer(f" {keras_name(name)} ", architecture) == name
    features = Features(narrow_weights(), dtype=torch.float64)
    found = features.extract(random_picture(8, 8), ["block2_conv1", "relu2_1", "relu1_2"])
    assert list(found) == ["relu1_2", "relu2_1"]


@pytest.mark.parametrize(
    "name", ["relu3_4", "relu1_3", "relu6_1", "relu0_1", "relu1_0", "conv4_2", "", "relu4"]
)
def test_unknown_layers_are_one_line(name: str) -> None:
    """A layer that VGG16 has not is named in one line that says which there are."""
    features = Features(narrow_weights("vgg16"))
    with pytest.raises(OptionError, match="vgg16 has no such layer") as caught:
        features.extract(torch.rand(1, 3, 8, 8), ["relu1_1", name])
    assert f"'{name}'" in str(caught.value)
    assert "relu5_3" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parameters_are_the_papers() -> None:
    """Layer tables add up: 14.7 and 20.0 million parameters (Simonyan & Zisserman's trunks)."""
    assert sum(layer.parameters for layer in layers_of("vgg16")) == 14_714_688
    assert sum(layer.parameters for layer in layers_of("vgg19")) == 20_024_384


@pytest.mark.parametrize(("wanted", "expected"), [(["relu3_1", "relu1_1"], 5), ([], 0)])
def test_nothing_deeper_than_needed_is_run(
    wanted: list[str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Convolutions stop at the deepest wanted layer, and none run when none is wanted."""
    features = Features(narrow_weights())
    calls, convolution = [], torch.nn.functional.conv2d

    def counted(*args: Any, **options: Any) -> Tensor:
        calls.append(1)
        return convolution(*args, **options)

    monkeypatch.setattr(torch.nn.functional, "conv2d", counted)
    features.extract(torch.rand(1, 3, 16, 16), wanted)
    assert len(calls) == expected


def test_deeper_layers_need_not_be_there() -> None:
    """A network told which layers it will be asked for takes nothing of the deeper ones."""
    weights = narrow_weights()
    picture = random_picture(12, 9)
    whole = Features(weights, dtype=torch.float64).extract(picture, ["relu1_2", "relu2_1"])
    for name in list(weights.tensors):
        if name >= "conv2_2":
            del weights.tensors[name]
    part = Features(weights, layers=["block2_conv1", "relu1_2"], dtype=torch.float64)
    found = part.extract(picture, ["relu1_2", "relu2_1"])
    assert all(torch.equal(found[name], whole[name]) for name in whole)
    with pytest.raises(OptionError, match="no such layer"):
        Features(weights, layers=["relu9_1"])


def test_maxima_that_are_tied_have_torchs_gradient() -> None:
    """On flat colour, where all of a pooling's inputs are maxima, the gradient is torch's own."""
    weights = narrow_weights()
    names = VGG19[:9]
    flat = torch.full((1, 3, 13, 18), 0.6, dtype=torch.float64)
    gradients = []
    x = flat.clone().requires_grad_()
    features = Features(weights, padding="zero", dtype=torch.float64)
    (gradient,) = torch.autograd.grad(features.extract(x, names)["relu4_1"].sum(), x)
    gradients.append(gradient)
    x = flat.clone().requires_grad_()
    seen = features.preprocess(x)
    for name in names:
        if name in ("relu2_1", "relu3_1", "relu4_1"):
            seen = torch.nn.functional.max_pool2d(seen, 2)
        kernel, bias = (weights.tensors[f"conv{name[4:]}.{part}"] for part in ("weight", "bias"))
        seen = torch.nn.functional.conv2d(seen, kernel, bias, padding=1).relu()
    (gradient,) = torch.autograd.grad(seen.sum(), x)
    gradients.append(gradient)
    assert bool(gradients[0].any())
    torch.testing.assert_close(gradients[0], gradients[1])


def always_active(architecture: str) -> Features:
    """A network of positive kernels: no ReLU ever cuts a path from a pixel to a feature."""
    weights = narrow_weights(architecture, width=1)
    for name, tensor in weights.tensors.items():
        tensor.copy_(tensor.abs() / 10 + 0.1 if name.endswith("weight") else torch.ones(()))
    return Features(weights, pooling="average", rescale=False)


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_receptive_fields_and_strides_are_those_of_gradients(architecture: str) -> None:
    """One position's gradient covers exactly the stated square, and moves by the stated stride."""
    features = always_active(architecture)
    picture = random_picture(288, 288).float().requires_grad_()
    found = features.extract(picture, NAMES[architecture])
    for layer in layers_of(architecture):
        values = found[layer.name]
        spans = []
        for shift in (0, 1):
            middle = 136 // layer.stride
            position = values[0, :, middle, middle + shift].sum()
            (gradient,) = torch.autograd.grad(position, picture, retain_graph=True)
            rows, columns = torch.nonzero(gradient[0].abs().sum(0), as_tuple=True)
            assert int(rows.max() - rows.min()) + 1 == layer.receptive_field, layer.name
            assert int(columns.max() - columns.min()) + 1 == layer.receptive_field, layer.name
            spans.append(int(columns.min()))
        assert spans[1] - spans[0] == layer.stride, layer.name


def test_captured_features_are_not_overwritten() -> None:
    """A layer captured on the way stays what it is when deeper layers are computed from it."""
    features = Features(narrow_weights(), dtype=torch.float64)
    picture = random_picture(16, 16)
    alone = features.extract(picture, ["relu2_2"])["relu2_2"]
    together = features.extract(picture, VGG19)["relu2_2"]
    torch.testing.assert_close(alone, together, rtol=0, atol=0)


def test_gradients_are_those_of_central_differences() -> None:
    """The gradient through the whole network with every pooling is the numerical one."""
    for pooling in ("max", "average", "l2"):
        features = Features(narrow_weights(width=2), pooling=pooling, dtype=torch.float64)

        def deepest(picture: Tensor, features: Features = features) -> Tensor:
            return features.extract(picture, ["relu5_1"])["relu5_1"].sum()

        picture = random_picture(7, 5, seed=3).requires_grad_()
        assert torch.autograd.gradcheck(deepest, picture, eps=1e-6, atol=1e-6, rtol=1e-4)
