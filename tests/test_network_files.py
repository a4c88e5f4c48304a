"""Files that are no transfer networks, or damaged ones, are named in one line, by every reader."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from impasto.cli import main
from impasto.errors import WeightsError
from impasto.network_files import read_network_file
from impasto.networks import read_network
from impasto.runtime import PortableNetwork, open_network, portable_file
from impasto.tensor_files import tensors_of
from small_networks import write_styles

READERS: tuple[Callable[[Path], Any], ...] = (
    read_network,
    lambda path: read_network_file(path, "np"),
    open_network,
)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("suffix", [".safetensors", ".onnx"])
def test_what_never_ends_is_not_read(
    read: Callable[[Path], Any], suffix: str, tmp_path: Path
) -> None:
    """A pipe, which would be waited for, and a folder are told apart from files."""
    pipe, folder = tmp_path / f"pipe{suffix}", tmp_path / f"folder{suffix}"
    os.mkfifo(pipe)
    folder.mkdir()
    with pytest.raises(WeightsError, match=r"pipe.*is no file, but a pipe or a device; name"):
        read(pipe)
    with pytest.raises(WeightsError, match=r"folder.*is a folder; name a network's file"):
        read(folder)
    with pytest.raises(WeightsError, match=r"gone.*No such file or directory; name a network's"):
        read(tmp_path / f"gone{suffix}")


@pytest.mark.skipif(sys.platform != "linux", reason="names are UTF-8 elsewhere")
@pytest.mark.parametrize("read", READERS)
def test_names_that_are_no_text(read: Callable[[Path], Any], tmp_path: Path) -> None:
    """A network is the same whatever bytes its file's name is made of."""
    path = write_styles(tmp_path / os.fsdecode(b"n\xfb.safetensors"))
    assert list(read(path).names) == ["one", "two", "three"]


def test_bytes_hold_what_the_library_reads(tmp_path: Path) -> None:
    """Header and tensors are those that the package safetensors finds in the file, and what it
    refuses is refused."""
    path = write_styles(tmp_path / "net.safetensors")
    data = path.read_bytes()
    for framework in ("pt", "np"):
        texts, tensors = tensors_of(data, framework)
        with safe_open(path, framework=framework) as file:
            assert texts == file.metadata()
            assert list(tensors) == sorted(file.keys())
            for name, value in tensors.items():
                assert value.dtype == file.get_tensor(name).dtype
                assert np.array_equal(value, file.get_tensor(name))
        for damaged in (
            b"",
            data[:7],
            data[:200],
            data[:-1],
            b"\xff" * 9,
            b"\2" + bytes(7) + b"[]",
        ):
            with pytest.raises(SafetensorError):
                tensors_of(damaged, framework)
    assert tensors_of(b"\2" + bytes(7) + b"{}", "np") == ({}, {})


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_damage(
    read: Callable[[Path], Any], value: float, tmp_path: Path
) -> None:
    """The network's file is to blame, not the picture that it would spoil."""
    path = write_styles(tmp_path / "net.safetensors")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    first = next(name for name in tensors if "kernels" in name)
    tensors[first].view(-1)[0] = value
    safetensors.torch.save_file(tensors, path, metadata)
    with pytest.raises(WeightsError, match=r"net\.safetensors: is a damaged network"):
        read(path)


def test_outputs_that_are_no_pictures(tmp_path: Path) -> None:
    """An exported network whose results have another shape, or are no numbers, is named."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_model_from_string(
        portable_file(write_styles(tmp_path / "net.safetensors")).read_bytes()
    )
    photo = np.full((3, 32, 32), 0.5, np.float32)
    style = np.eye(3, dtype=np.float32)[:1]
    for wrong in (
        np.zeros((1, 3, 4, 4), np.float32),
        np.array(["a", "b"], dtype=object),
        np.full((1, 3, 32, 32), np.nan, np.float32),
        np.zeros((1, 3, 32, 32), np.float64),
    ):
        graph = helper.make_graph(
            [helper.make_node("Constant", [], ["picture"], value=numpy_helper.from_array(wrong))],
            "other",
            list(model.graph.input),
            [
                helper.make_tensor_value_info(
                    "picture", helper.np_dtype_to_tensor_dtype(wrong.dtype), wrong.shape
                )
            ],
        )
        changed = helper.make_model(
            graph, opset_imports=list(model.opset_import), ir_version=model.ir_version
        )
        changed.metadata_props.extend(model.metadata_props)
        path = tmp_path / "odd.onnx"
        path.write_bytes(changed.SerializeToString())
        with pytest.raises(WeightsError, match=r"odd\.onnx: is a damaged network \(its picture"):
            PortableNetwork(path).repaint(photo, style)


def test_a_pipe_on_the_command_line(
    tmp_path: Path, make_png: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands end at once with one line."""
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    photo = str(make_png("photo.png", 20, 20))
    for arguments in (
        ["network", str(pipe)],
        ["stylize", photo, "one", "--fast", "--network", str(pipe), "-o", "out.png"],
        ["export", str(pipe), "-o", str(tmp_path / "out.onnx")],
    ):
        assert main(arguments) != 0
        said = capsys.readouterr().err
        assert "is no file, but a pipe or a device" in said
        assert said.count("\n") == 1


def test_halves_that_are_finite_are_numbers(tmp_path: Path) -> None:
    """The largest numbers of half precision are no damage."""
    path = write_styles(tmp_path / "net.safetensors")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["transfer.bias"][:] = torch.finfo(torch.float16).max
    safetensors.torch.save_file(tensors, path, metadata)
    assert float(read_network(path).transfer.bias[0]) == 65504
