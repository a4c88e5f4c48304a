"""Built-in styles as runs see them, drawn once and kept in the data folder.

Drawing one takes seconds. Whoever chooses one looks at it first, which keeps it, and then need not
wait for it after pressing Start.
"""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from impasto import __version__
from impasto.errors import OutputError
from impasto.images import Bitmap, write_whole
from impasto.sources import BUILT_IN_SIDE, Loaded, describe_source
from impasto.styles import draw_style
from impasto.web.storage import Storage


def drawn(storage: Storage, name: str) -> Loaded:
    """A built-in style at `BUILT_IN_SIDE`, to the bit as a run would draw it.

    Args:
        storage: where it is kept; where that fails it is drawn all the same.
        name: of the style.
    """
    place = storage.drawn(f"{name}-{__version__}.npy")
    pixels = _kept(place)
    if pixels is None:
        pixels = draw_style(name, BUILT_IN_SIDE, BUILT_IN_SIDE)
        with contextlib.suppress(OutputError):
            write_whole(place, functools.partial(np.save, arr=pixels), overwrite=True)
    source = f"style:{name}"
    return Loaded(Bitmap(pixels), describe_source(source) or {})


def _kept(place: Path) -> NDArray[np.float32] | None:
    try:
        pixels = np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    shape = (3, BUILT_IN_SIDE, BUILT_IN_SIDE)
    return pixels if pixels.shape == shape and pixels.dtype == np.float32 else None
