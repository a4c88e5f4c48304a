"""The one thing that every picture becomes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.errors import ImageError


@dataclass(frozen=True, eq=False)
class Bitmap:
    """A decoded picture.

    Attributes:
        pixels: float32 `(3, H, W)`, sRGB in [0, 1], upright.
        alpha: float32 `(H, W)` in [0, 1], 1 opaque; None when the picture has no transparency.
            Straight: `pixels` are not multiplied by it.
        bits: bits per channel of the source, 8 or 16; also what `write_image` writes by default.
        dpi: print resolution in pixels per inch; None when unknown, as it is taken to be where a
            file says 72.
        settings: the record that impasto stored in the file, or None.

    Raises:
        ImageError: the arrays do not have these shapes.
    """

    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32] | None = None
    bits: int = 8
    dpi: float | None = None
    settings: dict[str, Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if len(shape) != 3 or shape[0] != 3 or 0 in shape:
            raise ImageError(f"a Bitmap's pixels have the shape (3, H, W), not {shape}")
        if self.alpha is not None and self.alpha.shape != shape[1:]:
            raise ImageError(
                f"a Bitmap's alpha has the shape {shape[1:]} of its pixels, not {self.alpha.shape}"
            )

    def on_white(self) -> NDArray[np.float32]:
        """The pixels `(3, H, W)` as they look on white, where the picture is transparent."""
        if self.alpha is None:
            return self.pixels
        return self.pixels * self.alpha + (1 - self.alpha)

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.pixels.shape[2]

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.pixels.shape[1]
