#!/usr/bin/env python
"""Joins transfer networks of one training, or of trainings that began alike: the mean of all.

    python scripts/mean_of_networks.py ONE TWO … -o MEAN.safetensors --noise 0.02

Weights of networks that are near to each other can be averaged (Wortsman et al., *Model Soups*,
ICML 2022); others give nothing of use. The card is that of the first one, with the digests of all
(`mean_of`) and the cards of the rest (`others`).
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from impasto.errors import ImpastoError, OptionError
from impasto.networks import Network, read_network, write_network


def mean_of(networks: Sequence[Network], noise: float | None = None) -> Network:
    """The mean of networks of one kind.

    Args:
        networks: at least two; VGG19 is that of the first, and must be the same in all.
        noise: that photos are to be given, a standard deviation; by default that of the first.

    Raises:
        OptionError: they do not belong together, or there is no such noise.
    """
    first, *others = copy.deepcopy(list(networks))
    if not others:
        raise OptionError("one network is its own mean; name two or more")
    if noise is not None and not 0 <= noise <= 1:
        raise OptionError(f"--noise {noise:g}: must lie in 0 to 1")
    for other in others:
        if (
            other.transfer.shape != first.transfer.shape
            or other.names != first.names
            or getattr(other.predictor, "hidden", None) != getattr(first.predictor, "hidden", None)
        ):
            raise OptionError("the networks differ in shape or styles; name networks of one kind")
        if first.eyes is not None and other.eyes is not None:
            pairs = zip(first.eyes.parameters(), other.eyes.parameters(), strict=True)
            if not all(torch.equal(one, another) for one, another in pairs):
                raise OptionError("the networks have other weights of VGG19; name others")
    for name in ("transfer", "table", "predictor"):
        parts: list[nn.Module | None] = [getattr(one, name) for one in (first, *others)]
        if parts[0] is not None:
            states = [{**part.state_dict()} for part in parts if part is not None]
            mean = {key: torch.stack([s[key] for s in states]).mean(0) for key in states[0]}
            parts[0].load_state_dict(mean)
    card = {
        **first.card,
        "mean_of": [network.sha256 for network in networks],
        "others": [dict(network.card) for network in others],
    }
    return Network(
        first.transfer,
        first.table,
        first.predictor,
        first.eyes,
        card,
        noise=first.noise if noise is None else noise,
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("networks", nargs="+", type=Path, help="networks of one kind")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the network to write")
    parser.add_argument("--noise", type=float, help="in photos; by default the first network's")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    given = parser.parse_args()
    try:
        found = mean_of([read_network(path) for path in given.networks], given.noise)
        write_network(found, given.output, overwrite=given.overwrite)
    except ImpastoError as error:
        sys.exit(f"mean_of_networks: {error}")


if __name__ == "__main__":
    main()
