"""Exported networks against torch's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from impasto.blueprint import IDENTITY, Shape
from impasto.errors import OptionError, OutputError, RunError, WeightsError
from impasto.exporting import export_network
from impasto.images import fit_within
from impasto.network_files import read_network_file
from impasto.networks import VGG, Network, mix, read_network
from impasto.portable import portable
from small_networks import write_any, write_styles

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SIZES = [(16, 16), (64, 48), (15, 9), (3, 40), (77, 130)]


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random network that knows three styles."""
    return write_styles(tmp_path_factory.mktemp("styles") / "styles.safetensors")


@pytest.fixture(scope="module")
def any_style(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random network for any style."""
    return write_any(tmp_path_factory.mktemp("any") / "any.safetensors")


def opened(path: Path) -> Any:
    """The exported network in onnxruntime."""
    data = portable(read_network_file(path, "np")).SerializeToString()
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def noise(*shape: int) -> np.ndarray:
    """Random numbers in [0, 1]."""
    return np.random.default_rng(sum(shape)).random(shape, np.float32)


def strength(value: float) -> np.ndarray:
    """The input of that name."""
    return np.array([value], np.float32)


SCALE = np.array([0.2], np.float32)


def seen(picture: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """A picture brought to a height and width by torch."""
    return torch.nn.functional.interpolate(
        torch.from_numpy(picture), size=size, mode="bilinear", antialias=True
    )


@pytest.mark.parametrize("size", SIZES)
def test_known_styles_are_as_torch_has_them(styles: Path, size: tuple[int, int]) -> None:
    """A blend of styles at any size is what torch makes of the mean of their vectors."""
    network, photo = read_network(styles), noise(1, 3, *size)
    shares = np.array([[2, 0, 6]], np.float32)
    feeds = {"photo": photo, "style": shares, "strength": strength(1)}
    (picture,) = opened(styles).run(["picture"], feeds)
    vector = mix([network.vector_of_name(name) for name in network.names], [0.25, 0, 0.75])
    with torch.no_grad():
        expected = network.transfer(torch.from_numpy(photo), vector).numpy()
    assert picture.shape == photo.shape
    np.testing.assert_allclose(picture, expected, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_paintings_are_seen_as_torch_sees_them(any_style: Path, size: tuple[int, int]) -> None:
    """The style of a painting, and the photo in it, are what torch makes of both."""
    network, photo, painting = read_network(any_style), noise(1, 3, *size), noise(1, 3, 50, 37)
    zeros = np.zeros((1, network.transfer.shape.vector), np.float32)
    session = opened(any_style)
    feeds = {"photo": photo, "painting": painting, "scale": SCALE, "vector": zeros}
    feeds["strength"] = strength(1)
    picture, used = session.run(["picture", "vector_used"], feeds)
    vector = network.vector_of_picture(seen(painting, (64, 47)))
    with torch.no_grad():
        expected = network.transfer(torch.from_numpy(photo), vector).numpy()
    np.testing.assert_allclose(used, vector.numpy(), atol=1e-4)
    np.testing.assert_allclose(picture, expected, atol=1e-4)
    again = feeds | {"painting": noise(1, 3, 1, 1), "vector": used}
    np.testing.assert_allclose(session.run(["picture"], again)[0], picture, atol=1e-6)


def test_strength_goes_from_the_photo_to_the_style(styles: Path, any_style: Path) -> None:
    """At 0 the photo stays as it is; below a quarter it shows through; above, vectors are mixed."""
    photo, painting = noise(1, 3, 40, 56), noise(1, 3, 32, 48)
    for path in styles, any_style:
        network, session = read_network(path), opened(path)
        feeds: dict[str, Any] = {"photo": photo, "style": np.array([[0, 1, 0]], np.float32)}
        if network.table is None:
            zeros = np.zeros((1, network.transfer.shape.vector), np.float32)
            feeds = {"photo": photo, "painting": painting, "scale": SCALE, "vector": zeros}
            views = seen(photo, (229, 320)), seen(painting, (43, 64))
            ends = [network.vector_of_picture(view) for view in views]
        else:
            ends = [network.vector_of_name(name) for name in (IDENTITY, network.names[1])]
        for value, shown in (0.0, 0.0), (0.1, 0.4), (0.25, 1.0), (0.7, 1.0):
            (picture,) = session.run(["picture"], feeds | {"strength": strength(value)})
            with torch.no_grad():
                painted = network.transfer(torch.from_numpy(photo), mix(ends, [1 - value, value]))
            expected = (1 - shown) * photo + shown * painted.numpy()
            np.testing.assert_allclose(picture, expected, atol=1e-4)
            assert shown or np.array_equal(picture, photo)


@pytest.mark.parametrize("size", [(90, 100), (70, 33), (65, 64)])
def test_large_paintings_are_seen_small(any_style: Path, size: tuple[int, int]) -> None:
    """A painting is reduced as torch reduces it, its borders included."""
    painting = noise(1, 3, *size)
    zeros = np.zeros((1, read_network(any_style).transfer.shape.vector), np.float32)
    feeds = {"photo": noise(1, 3, 16, 16), "painting": painting, "scale": SCALE, "vector": zeros}
    (used,) = opened(any_style).run(["vector_used"], feeds | {"strength": strength(1)})
    width, height = fit_within(size[1], size[0], 64)
    expected = read_network(any_style).vector_of_picture(seen(painting, (height, width)))
    np.testing.assert_allclose(used, expected.numpy(), atol=1e-4)


def test_large_photos_are_seen_small(any_style: Path) -> None:
    """What a photo's own style is predicted from is reduced inside the graph to a long side of
    320 px, as torch's smooth reduction does it."""
    photo = np.repeat(np.repeat(noise(1, 3, 40, 100), 6, axis=2), 6, axis=3)
    network = read_network(any_style)
    zeros = np.zeros((1, network.transfer.shape.vector), np.float32)
    feeds = {"photo": photo, "painting": noise(1, 3, 32, 48), "scale": SCALE, "vector": zeros}
    picture, used = opened(any_style).run(None, feeds | {"strength": strength(0.5)})
    own = network.vector_of_picture(seen(photo, (128, 320)))
    with torch.no_grad():
        vector = mix([own, torch.from_numpy(used)], [0.5, 0.5])
        expected = network.transfer(torch.from_numpy(photo), vector).numpy()
    np.testing.assert_allclose(picture, expected, atol=1e-4)


def test_files_say_what_they_hold(styles: Path, tmp_path: Path) -> None:
    """One file of half-precision kernels carries names, shape, card and the digest of its source;
    onnx's own checker finds no fault."""
    path = tmp_path / "net.onnx"
    assert export_network(styles, path) <= 1e-4
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    record = read_record(session)
    assert record["names"] == ["one", "two", "three"]
    assert record["kind"] == "styles"
    assert record["card"] == {"seed": 7}
    assert record["source_sha256"] == read_network(styles).sha256
    assert Shape(*map(_tuple, record["shape"].values())) == read_network_file(styles, "np").shape
    assert [one.shape for one in session.get_inputs()] == [[1, 3, "H", "W"], [1, 3], [1]]
    assert list(tmp_path.iterdir()) == [path]


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def read_record(session: Any) -> dict[str, Any]:
    """The record inside a file."""
    import json

    return json.loads(session.get_modelmeta().custom_metadata_map["impasto"])


def test_equal_networks_make_equal_files(any_style: Path, tmp_path: Path) -> None:
    """The same network gives the same bytes, little more than its own."""
    one, two = tmp_path / "one.onnx", tmp_path / "two.onnx"
    export_network(any_style, one)
    export_network(any_style, two)
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_size < 1.1 * any_style.stat().st_size


def test_nothing_is_written_that_differs(
    styles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose results are not torch's never gets its name."""
    other = read_network(styles)
    with torch.no_grad():
        other.transfer.bias.add_(0.01)
    monkeypatch.setattr("impasto.exporting.read_network", lambda _: other)
    with pytest.raises(RunError, match=r"differ from torch's by 0\.00"):
        export_network(styles, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_bad_files_are_refused_in_one_line(styles: Path, tmp_path: Path) -> None:
    """What exists, has another extension or is no network is named, with the remedy."""
    path = tmp_path / "net.onnx"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        export_network(styles, path)
    assert path.read_bytes() == b"mine"
    export_network(styles, path, overwrite=True)
    with pytest.raises(OptionError, match=r"ends in \.onnx"):
        export_network(styles, tmp_path / "net.pb")
    for read in (
        lambda file: read_network_file(file, "np"),
        lambda file: export_network(file, tmp_path / "other.onnx"),
    ):
        with pytest.raises(WeightsError, match="is an exported network"):
            read(path)
        with pytest.raises(WeightsError, match="No such file"):
            read(tmp_path / "none.safetensors")


def test_a_network_without_a_part_is_damaged(tmp_path: Path) -> None:
    """A tensor that is missing is a fault of the file."""
    from dataclasses import replace

    parts = read_network_file(write_styles(tmp_path / "net.safetensors"), "np")
    less = {name: value for name, value in parts.tensors.items() if "kernels.3" not in name}
    with pytest.raises(WeightsError, match=r"damaged.*kernels\.3"):
        portable(replace(parts, tensors=less))


def test_small_stand_ins_are_networks(styles: Path, any_style: Path) -> None:
    """The networks of these tests are of the two kinds that there are."""
    found: list[Network] = [read_network(path) for path in (styles, any_style)]
    assert found[0].table is not None
    assert isinstance(found[1].eyes, VGG)
