"""Where and in which number format the networks of runs compute; networks that runs share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from impasto.errors import OptionError
from impasto.features import Features
from impasto.levels import matched_layers
from impasto.options import StyleOptions

KEPT_NETWORKS = 4
"""Most networks that `Networks` keeps; each takes 50 MB and more."""


def pick_device(name: str) -> torch.device:
    """The device of an option value; `auto` prefers CUDA, then Apple's MPS, then the CPU.

    Raises:
        OptionError: this machine or this build of torch has no such device.
    """
    available = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    if name == "auto":
        name = next(device for device, there in available.items() if there())
    if not available[name]():
        raise OptionError(f"--device {name}: not available here; use --device auto or cpu")
    return torch.device(name)


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """The network's number format of an option value; `auto` is bfloat16 on NVIDIA GPUs of compute
    capability 8.0 or more, where its products are as quick as any, and float32 elsewhere.

    Raises:
        OptionError: the device does not compute in that format.
    """
    modern = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    if name == "auto":
        name = "bfloat16" if modern else "float32"
    if name != "float32" and device.type == "mps":
        raise OptionError(
            f"--precision {name}: Apple's GPUs run in float32 only here; use --precision float32, "
            "or --device cpu"
        )
    if name == "bfloat16" and device.type == "cuda" and not modern:
        raise OptionError(
            "--precision bfloat16: this GPU is too old for it (compute capability below 8.0); use "
            "float16 or float32"
        )
    formats = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    return formats[name]


class Networks:
    """Networks that several runs share: each is loaded once, and the last few stay."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], Features] = {}

    def of(self, options: StyleOptions, more: Iterable[str] = ()) -> Features:
        """The network of a run, down to its deepest layer.

        Args:
            options: of the run.
            more: layers that it needs beside those that are matched.

        Raises:
            OptionError: a layer that the network has not, or a device that is not there.
            WeightsError: the network's weights cannot be loaded.
        """
        layers = {*matched_layers(options, anchored=False), *more}
        key = (*network_key(options), frozenset(layers))
        features = self._kept.pop(key, None)
        if features is None:
            device = pick_device(options.device)
            features = Features(
                options.model,
                pooling=options.pooling,
                rescale=options.rescale,
                padding=options.padding,
                layers=layers,
                device=device,
                dtype=pick_precision(options.precision, device),
                fast_convolution=options.fast_convolution,
            )
        self._kept[key] = features
        if len(self._kept) > KEPT_NETWORKS:
            del self._kept[next(iter(self._kept))]
        return features


def network_key(options: StyleOptions) -> tuple[Any, ...]:
    """What tells the network of one run from that of another."""
    layers = frozenset(matched_layers(options, anchored=False))
    network = (options.model, options.pooling, options.rescale, options.padding, layers)
    return (*network, options.device, options.precision, options.fast_convolution)


def format_of(features: Features) -> str:
    """The name of a network's number format, as `--precision` has it."""
    return str(features.dtype).removeprefix("torch.")
