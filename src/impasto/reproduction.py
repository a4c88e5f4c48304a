"""A run prepared again from the record that its picture carries."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import impasto
from impasto.errors import ImageError, OptionError
from impasto.options import make_options
from impasto.run import SETTINGS_VERSION, Stylization, stylization
from impasto.sources import describe_source, is_built_in


def from_settings(
    settings: Mapping[str, Any], changes: Mapping[str, Any] | None = None
) -> tuple[Stylization, list[str]]:
    """Prepares the run that made a picture again.

    Args:
        settings: the record that the picture carries.
        changes: options to replace.

    Returns:
        The run, and a line for each input or version that differs from what the record says.

    Raises:
        ImageError: an input is gone, or was not a file.
        OptionError: the record is not one of impasto's or of a later version.
    """
    recorded, styles = settings.get("options"), settings.get("styles")
    if (
        settings.get("version") != SETTINGS_VERSION
        or not isinstance(recorded, Mapping)
        or not isinstance(styles, list)
    ):
        raise OptionError(
            "the picture's settings are not of a version that this impasto can read "
            f"({SETTINGS_VERSION}); use the version that made it, or stylize with the originals"
        )
    changes = changes or {}
    kept = dict(recorded)
    # Recorded levels end at the recorded size: either of the two, given anew, replaces both.
    if "size" in changes:
        kept.pop("levels", None)
        kept.pop("print", None)
    if {"print", "dpi"} & set(changes):
        kept.pop("levels", None)
        kept.pop("size", None)
    if make_options({"levels": changes.get("levels", "auto")}).levels:
        kept.pop("size", None)
        kept.pop("print", None)
    options = make_options({**kept, **changes})
    warnings = []
    if settings.get("impasto") != impasto.__version__:
        warnings.append(
            f"the picture was made by impasto {settings.get('impasto')}, this is "
            f"{impasto.__version__}"
        )
    if settings.get("torch") != torch.__version__:
        warnings.append(
            f"the picture was made with torch {settings.get('torch')}, this is "
            f"{torch.__version__}; small differences may follow"
        )
    start = settings.get("start")
    if isinstance(start, Mapping) and options.start != "image":
        start = None
    if start is None and options.start == "image":
        raise OptionError(
            "--start image: the picture was made without one; run stylize with --start-image FILE"
        )
    inputs = [settings.get("content"), *styles, start]
    for entry in inputs:
        if entry is None:
            continue
        path = entry.get("path") if isinstance(entry, Mapping) else None
        if not path or not isinstance(path, str):
            raise ImageError(
                "the picture was made from a picture in memory, which its settings cannot name; "
                "run stylize with the original again"
            )
        if not is_built_in(path) and _is_special(path):
            # Reading a pipe or a device may never end, and a foreign record can name any.
            raise ImageError(
                f"{path}: is a pipe or a device now, not the picture that was used; run stylize "
                "with the original again"
            )
        if not is_built_in(path) and not os.path.lexists(path):
            raise ImageError(
                f"{path}: is gone, and the picture was made from it; put it back, or run stylize "
                "with it where it is now"
            )
        now = describe_source(path)
        if now and now["sha256"] not in ("", entry.get("sha256")):
            warnings.append(f"{path}: has changed since the picture was made")
    paths = [entry and entry["path"] for entry in inputs]
    run = stylization(paths[0], paths[1:-1], options, start=paths[-1])
    if run.weights_sha256 != settings.get("weights_sha256"):
        warnings.append(f"the weights of {options.model} are others than the picture's")
    return run, warnings


def _is_special(path: str) -> bool:
    try:
        kind = Path(path).stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(kind) and not stat.S_ISDIR(kind)
