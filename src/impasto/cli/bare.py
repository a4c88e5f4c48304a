"""`impasto stylize --fast` without torch, by the exported form of a network."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from impasto import cli
from impasto.cli.running import Output, check_apart
from impasto.errors import OptionError, WeightsError
from impasto.options import StyleOptions


def network_file(name: str) -> Path:
    """The file of a network: one that comes with impasto, `styles` or `any`, or one by its path.

    Raises:
        WeightsError: it did not come with this impasto.
    """
    if name not in ("styles", "any"):
        return Path(name)
    path = Path(str(files("impasto"))) / "trained" / f"{name}.safetensors"
    if not path.is_file():
        raise WeightsError(
            f"--network {name}: did not come with this impasto; install it whole, or name a "
            "network's file"
        )
    return path


def is_possible(options: StyleOptions) -> bool:
    """Whether a run can do without torch, as far as its options tell: the packages are there, and
    nothing else is asked for."""
    from impasto.bare import needs_torch

    side = options.size
    there = all(find_spec(name) is not None for name in ("onnx", "onnxruntime"))
    return there and needs_torch(options, side, side) is None


def repaint_bare(
    content: str,
    styles: Sequence[str],
    options: StyleOptions,
    path: Path,
    output: Output,
    network: str | None = None,
) -> int:
    """Repaints one photo, writes it and reports.

    Args:
        content: the photo.
        styles: paintings, or names of styles.
        options: of the run.
        path: where the picture goes.
        output: what else is wanted; `impasto.cli.running.check` has been called.
        network: `styles`, `any` or a file; by default the one that suits the styles.

    Returns:
        The exit code.
    """
    from impasto.bare import inputs_of, network_for, repaint
    from impasto.images import check_output, write_image

    began = time.monotonic() if cli.started is None else cli.started
    idle = {"trace": None, "snapshots": None, "plot": None, "checkpoint": None}
    for name, default in idle.items():
        if getattr(output, name) != default:
            raise OptionError(f"--{name}: acts only without --fast; leave one of them out")
    bits = cast("Any", output.bits)
    check_output(path, bits=bits, overwrite=output.overwrite)
    check_apart({"--output": path}, inputs_of(content, styles))
    name = network or network_for(styles, options.color)
    shipped = name if name in ("styles", "any") else ""
    found = repaint(content, styles, network_file(name), options, name=shipped)
    write_image(
        *(found.bitmap, path),
        bits=bits or 8,
        quality=output.quality,
        overwrite=output.overwrite,
        settings=found.settings,
    )
    seconds = time.monotonic() - began
    width, height = found.bitmap.width, found.bitmap.height
    if output.json:
        summary = {
            "output": str(path),
            "width": width,
            "height": height,
            "seconds": round(seconds, 3),
            "settings": found.settings,
        }
        print(json.dumps(summary))
    elif not output.quiet:
        print(f"{path} ({width} x {height} px, {seconds:.1f} s)")
    return 0
