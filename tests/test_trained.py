"""The networks that come with impasto: that they are what their cards say, and no larger."""

import hashlib
import re

import pytest

from impasto.blueprint import Shape
from impasto.networks import read_network
from impasto.styles import style_names
from impasto.trained import SHIPPED, network_path

MOST = {"styles": 4e6, "any": 16e6}
"""Bytes that a file may have."""


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_network_is_the_one_of_its_card(name: str) -> None:
    """The file is small, and the card beside it gives its digest, its size and its parameters."""
    path = network_path(name)
    data = path.read_bytes()
    assert len(data) <= MOST[name]
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert re.findall(r"SHA-256 `(\w+)`", card) == [hashlib.sha256(data).hexdigest()]
    assert f"`{path.name}`, {len(data) / 1e6:.1f} MB" in card
    network = read_network(path)
    assert network.transfer.shape == Shape()
    parameters = sum(p.numel() for p in network.transfer.parameters())
    assert f"{parameters:,} parameters" in card
    assert network.card["kind"] == name


def test_shipped_networks_know_what_they_should() -> None:
    """One knows every built-in style, in order; the other takes pictures."""
    network = read_network(network_path("styles"))
    assert network.names == style_names()
    assert network.predictor is None
    network = read_network(network_path("any"))
    assert network.names == []
    assert network.predictor is not None
    assert network.eyes is not None
