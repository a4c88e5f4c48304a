"""The mean of networks, as the shipped ones were made, is that of all their numbers."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from impasto.network_files import read_network_file
from impasto.networks import read_network, write_network
from small_networks import write_any, write_styles

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("mean_of_networks")


def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    """Runs it as the command line would."""
    monkeypatch.setattr(sys, "argv", ["mean_of_networks", *map(str, arguments)])
    script.main()


def other(path: Path, factor: float) -> Path:
    """A copy of a network whose numbers are others, but not those of VGG19."""
    network = read_network(path)
    for part in network.transfer, network.table, network.predictor:
        for parameter in part.parameters() if part is not None else ():
            parameter.mul_(factor)
    copy = path.with_name(f"other-{path.name}")
    write_network(network, copy)
    return copy


@pytest.mark.parametrize("write", [write_styles, write_any])
def test_numbers_are_means_and_the_card_says_so(
    write: Callable[[Path], Path],
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Every number is the mean of two, VGG19 stays, and the noise is that which is asked for."""
    one = write(tmp_path / "net.safetensors")
    two = other(one, 0.5)
    run(script, monkeypatch, one, two, "-o", tmp_path / "mean.safetensors", "--noise", "0.02")
    first, second, mean = (
        read_network_file(path, "np") for path in (one, two, tmp_path / "mean.safetensors")
    )
    for name, value in mean.tensors.items():
        wanted = (first.tensors[name].astype(np.float64) + second.tensors[name]) / 2
        np.testing.assert_allclose(value, wanted, rtol=2**-11, atol=2**-25)
        if name.startswith("eyes"):
            assert np.array_equal(value, first.tensors[name])
    assert mean.noise == 0.02
    assert mean.styles == first.styles
    assert mean.card["seed"] == first.card["seed"]
    assert mean.card["mean_of"] == [first.sha256, second.sha256]
    assert mean.card["others"] == [second.card]


def test_what_does_not_belong_together_is_one_line(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Networks of other kinds, too few of them, and files that exist are refused."""
    one = write_styles(tmp_path / "one.safetensors")
    another = write_styles(tmp_path / "another.safetensors", ("a", "b"))
    some = write_any(tmp_path / "some.safetensors")
    out = tmp_path / "mean.safetensors"
    for arguments, fault in (
        ([one], "name two or more"),
        ([one, another], "differ in shape or styles"),
        ([one, some], "differ in shape or styles"),
        ([one, tmp_path / "gone"], "No such file"),
        ([one, one, "--noise", "nan"], "must lie in 0 to 1"),
    ):
        with pytest.raises(SystemExit, match=fault):
            run(script, monkeypatch, *arguments, "-o", out)
    assert not out.exists()
    with pytest.raises(SystemExit, match="exists already"):
        run(script, monkeypatch, one, one, "-o", one)
