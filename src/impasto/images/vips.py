"""Arrays, metadata and errors as libvips has them."""

import errno
import os
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from impasto.errors import one_line

_LOSSES = (
    "premature end",
    "bad Huffman code",
    "bad arithmetic code",
    "instead of RST",
    "Inconsistent progression",
)
"""What libjpeg says of lost contents (libjpeg-turbo, jerror.h)."""


def vips_from_array(array: NDArray[Any], *, cmyk: bool = False) -> pyvips.Image:
    """A libvips picture over an `(H, W)` or `(H, W, B)` array, with its interpretation set."""
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    height, width, bands = array.shape if array.ndim == 3 else (*array.shape, 1)
    format, gray, color = {
        "uint8": ("uchar", "b-w", "srgb"),
        "uint16": ("ushort", "grey16", "rgb16"),
        "float32": ("float", "b-w", "srgb"),
        "float64": ("double", "b-w", "srgb"),
    }[array.dtype.name]
    contents = np.ascontiguousarray(array).data.cast("B")
    image = pyvips.Image.new_from_memory(contents, width, height, bands, format)
    interpretation = "cmyk" if cmyk else gray if bands < 3 else color
    return image.copy(interpretation=interpretation)


def blob(image: pyvips.Image, key: str) -> bytes | None:
    """The binary metadata `key` of a picture; None where it has none."""
    if not image.get_typeof(key):
        return None
    value: Any = image.get(key)
    return bytes(value) if isinstance(value, bytes) else None


def set_blob(image: pyvips.Image, key: str, data: bytes) -> None:
    """Attach binary metadata to a picture."""
    image.set_type(pyvips.GValue.blob_type, key, data)  # pyright: ignore[reportArgumentType]


def detail(error: pyvips.Error) -> str:
    """The reason libvips gives, in brackets; empty where it gives none."""
    # The first line names only the operation; TIFF and AVIF log each seek past a cut file's end.
    lines = [line.strip() for line in str(error).splitlines()[1:]]
    told = [line for line in lines if line and not line.startswith("source: bad seek")]
    return f" ({one_line(told[0])})" if told else ""


def tells_of_damage(error: BaseException | None) -> bool:
    """Whether a decoder's warning says that contents are lost; others are about oddities, such as
    bytes between the parts of a file, that change no pixel."""
    return any(words in str(error) for words in _LOSSES)


def system_error(error: pyvips.Error) -> OSError | None:
    """The fault of the operating system behind an error; None where there is none."""
    # libvips gives no number, only the system's own words for it.
    numbers = {os.strerror(number): number for number in errno.errorcode}
    for line in str(error).splitlines():
        words = line.strip().removeprefix("system error: ")
        if words in numbers and words != line.strip():
            return OSError(numbers[words], words)
    return None
