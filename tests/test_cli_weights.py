"""`impasto weights`: the commands, by their output."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from impasto.cli.weights import app
from impasto.errors import WeightsError
from impasto.weights import architecture, load_weights, tensor_shapes
from impasto.weights.variants import VARIANTS


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps every test's cache in a folder of its own, and the output 80 columns wide."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "cache" / "weights"


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a narrow VGG16."""
    monkeypatch.setattr(architecture, "BLOCK_WIDTHS", (2, 2, 3, 3, 3))
    tensors = {name: torch.ones(shape) for name, shape in tensor_shapes("vgg16").items()}
    save_file(tensors, tmp_path / "own.safetensors")
    return tmp_path / "own.safetensors"


def run(*words: str) -> None:
    """Runs a command as the shell would give it, without leaving Python."""
    app(list(words), exit_on_error=False, result_action="return_value")


def test_list_fits_80_columns_and_names_every_variant(capsys: pytest.CaptureFixture[str]) -> None:
    """At 80 columns, every variant's name, state, size and licence stay readable."""
    run("list")
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for variant in VARIANTS:
        assert variant.id in out
        assert str(variant.digest)[:15] in out
    assert "574.7 MB" in out
    assert "downloadable" in out
    assert "Simonyan" in out


def test_list_json_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON carries full addresses and digests, for other programs."""
    run("list", "--json")
    listings = {entry["id"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert set(listings) == {variant.id for variant in VARIANTS}
    assert listings["vgg19:oxford-8bit"]["default"] is True
    assert listings["vgg19:torchvision"]["source"].startswith("https://download.pytorch.org/")
    assert len(listings["vgg19:torchvision"]["digest"]) == len("sha256:") + 64


def test_a_file_can_be_added_verified_listed_and_removed(
    network: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands work together on a file of the user's own."""
    run("add", "vgg16", str(network), "--name", "mine", "--preprocessing", "torchvision")
    assert load_weights("vgg16:mine").preprocessing.channel_order == "rgb"
    run("verify", "vgg16:mine")
    assert "vgg16:mine: sound" in capsys.readouterr().out
    run("list")
    assert "installed, added" in capsys.readouterr().out
    run("remove", "vgg16:mine")
    assert "removed" in capsys.readouterr().out
    assert list(cache.iterdir()) == []


def test_verify_fails_on_damage(
    network: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`verify` says which weights are damaged and ends with the exit code of bad input."""
    run("add", "vgg16", str(network), "--preprocessing", "caffe")
    file = cache / "vgg16.own.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="damaged weights: vgg16:own") as error:
        run("verify", "vgg16:own")
    assert error.value.exit_code == 2
    assert "vgg16:own: DAMAGED" in capsys.readouterr().out


def test_get_prepares_packaged_weights(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`get vgg19` converts the package's weights beforehand, without a network."""
    run("get", "vgg19")
    assert "vgg19:oxford-8bit is ready" in capsys.readouterr().out
    assert [path.name for path in cache.iterdir()] == ["vgg19.oxford-8bit.safetensors"]


def test_faults_leave_as_errors_of_impasto() -> None:
    """Unknown names reach the caller as one-line errors, not as a traceback of another kind."""
    with pytest.raises(WeightsError, match="unknown weights vgg16:nothing; there are vgg16:"):
        run("get", "vgg16:nothing")
    with pytest.raises(WeightsError, match="no such file"):
        run("add", "vgg16", "/nothing.pth")
