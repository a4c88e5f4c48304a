"""Tensors and their header from the bytes of a safetensors file, whatever the file is called.

The package opens files only by names that are UTF-8, which names on Linux need not be.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import safetensors


def tensors_of(
    data: bytes, framework: Literal["pt", "np"]
) -> tuple[dict[str, str], dict[str, Any]]:
    """What a safetensors file holds.

    Args:
        data: the whole file.
        framework: whose tensors are wanted.

    Returns:
        The header's texts by their keys, and the tensors by their names, in order: in memory of
        their own.

    Raises:
        safetensors.SafetensorError: the bytes are no such file, or damaged.
    """
    if framework == "pt":
        from safetensors.torch import load
    else:
        from safetensors.numpy import load
    try:
        tensors = dict(sorted(load(data).items()))
    except (KeyError, AssertionError, TypeError) as error:
        raise safetensors.SafetensorError(f"tensors of an unknown kind: {error}") from None
    # Sound from here on, or it would not have been loaded: eight bytes say how long the header is.
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]).get("__metadata__") or {}, tensors
