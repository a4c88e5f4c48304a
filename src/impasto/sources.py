"""Where pictures come from: files, bytes and arrays, bundled photos and built-in styles."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from impasto.errors import ImageError
from impasto.images import Bitmap, read_image
from impasto.samples import sample_names, sample_path
from impasto.styles import draw_style, style_names

BUILT_IN_SIDE = 768
"""Side in px at which built-in styles are drawn for a run."""

_WORD, _LIKE = re.compile(r"[A-Za-z_ -]{3,40}"), 0.7
"""What may be the name of a built-in picture, and how like it a misspelt one is."""

_LABEL = re.compile(r"(.+)#([0-9a-fA-F]{6})")

LARGE_SIDE = 1536
"""Side in px at which they are drawn for a run that is larger than this."""


def find_source(source: Any) -> Any:
    """The source that a plain name means: `style:NAME` or `sample:NAME` where the text is the name
    of a built-in picture and no file is called so; anything else unchanged.
    """
    if isinstance(source, str) and not os.path.lexists(source):
        for kind, names in ("style", style_names()), ("sample", sample_names()):
            if source in names:
                return f"{kind}:{source}"
    return source


@dataclass(frozen=True, eq=False)
class Loaded:
    """A picture that has been read already, so that several runs can share it.

    Attributes:
        bitmap: the picture as it was read, or already no larger than the runs look at.
        record: what `describe_source` says of where it was read.
    """

    bitmap: Bitmap
    record: dict[str, Any]


def is_built_in(source: Any) -> bool:
    """Whether a source names a picture that comes with the package, as `find_source` reads it."""
    found = find_source(source)
    return isinstance(found, str) and found.startswith(("sample:", "style:"))


def read_source(source: Any, max_pixels: int, size: int = BUILT_IN_SIDE) -> Bitmap:
    """The picture of a source.

    Args:
        source: a path, `sample:NAME` for a bundled photo, `style:NAME` for a built-in style
            picture, the plain NAME of either where no file is called so, the bytes of a file, a
            PIL image, an array, a `Bitmap`, or what is `Loaded`.
        max_pixels: largest picture file to read, in pixels.
        size: long side of the run's result, px, which built-in styles are drawn for.

    Raises:
        ImageError: the picture cannot be read, or there is none of that name.
    """
    if isinstance(source, Loaded):
        return source.bitmap
    if isinstance(source, str) and not source:
        raise ImageError("the name of a picture is empty; name a file")
    source = find_source(source)
    if not is_built_in(source):
        check_meant(source)
        return read_image(source, max_pixels=max_pixels)
    kind, _, name = source.partition(":")
    if kind == "sample":
        return read_image(sample_path(name))
    side = LARGE_SIDE if size > LARGE_SIDE else BUILT_IN_SIDE
    return Bitmap(draw_style(name, side, side))


def check_meant(source: Any) -> None:
    """Refuses a text that is no file's name and nearly a built-in picture's.

    Raises:
        ImageError: it is, with the name that is meant.
    """
    if not isinstance(source, str) or not _WORD.fullmatch(source) or os.path.lexists(source):
        return
    names = [*style_names(), *sample_names()]
    near = get_close_matches(re.sub("[_ ]", "-", source.lower()), names, 1, _LIKE)
    if near and near[0] != source:
        raise ImageError(
            f"{source}: no such file, nor a built-in picture of that name; did you mean {near[0]}?"
        )


def split_label(source: Any) -> tuple[Any, tuple[int, int, int] | None]:
    """A mask's picture and the colour that is meant in it: `labels.png#ff0000`.

    A file whose very name is that is meant itself.
    """
    if not isinstance(source, str) or os.path.lexists(source):
        return source, None
    match = _LABEL.fullmatch(source)
    if match is None:
        return source, None
    red, green, blue = (int(match[2][i : i + 2], 16) for i in (0, 2, 4))
    return match[1], (red, green, blue)


def describe_source(source: Any) -> dict[str, Any] | None:
    """The record of a source: its absolute path, empty for one in memory, and its SHA-256, empty
    where there is none to take; `None` for no source.
    """
    source = find_source(source)
    if source is None:
        return None
    if isinstance(source, Loaded):
        return source.record
    if is_built_in(source):
        return {"path": source, "sha256": ""}
    if isinstance(source, str | os.PathLike):
        file, label = split_label(source)
        path = Path(file).absolute()
        ending = "" if label is None else str(source)[-7:]
        try:
            return {"path": f"{path}{ending}", "sha256": _file_sha256(path)}
        except (OSError, ValueError):
            # read_image names the fault, in the words for pictures.
            return {"path": f"{path}{ending}", "sha256": ""}
    if isinstance(source, bytes | bytearray | memoryview):
        return {"path": "", "sha256": hashlib.sha256(bytes(source)).hexdigest()}
    return {"path": "", "sha256": ""}


def _file_sha256(path: Path) -> str:
    if not path.is_file():
        # A pipe can be read only once, and read_image has to.
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
