"""Paper sizes, and how many pixels a print of them takes."""

from __future__ import annotations

import re
from typing import NamedTuple

MM_PER_INCH = 25.4

# ISO 216 and ANSI/ASME Y14.1, in mm.
_NAMED = {
    "a0": (841, 1189),
    "a1": (594, 841),
    "a2": (420, 594),
    "a3": (297, 420),
    "a4": (210, 297),
    "a5": (148, 210),
    "a6": (105, 148),
    "letter": (215.9, 279.4),
    "legal": (215.9, 355.6),
    "tabloid": (279.4, 431.8),
}
_UNITS = {"mm": 1.0, "cm": 10.0, "in": MM_PER_INCH}
_CUSTOM = re.compile(r"(\d+(?:\.\d*)?)\s*[x×]\s*(\d+(?:\.\d*)?)\s*(mm|cm|in)")


class Paper(NamedTuple):
    """A sheet, in mm, in no particular orientation."""

    short: float
    long: float

    def pixels(self, dpi: float) -> tuple[int, int]:
        """The short and the long side in pixels, at so many per inch."""
        short, long = (max(1, round(side / MM_PER_INCH * dpi)) for side in self)
        return short, long


def named_papers() -> dict[str, Paper]:
    """The sheets that have a name."""
    return {name: Paper(*sides) for name, sides in _NAMED.items()}


def parse_paper(text: str) -> Paper:
    """The sheet of a name such as `a3`, or of a size such as `300x200mm`, `30x20cm` or `12x8in`.

    Raises:
        ValueError: not of that form, or a side not within 5 mm to 20 m.
    """
    words = text.strip().lower()
    if words in _NAMED:
        return Paper(*_NAMED[words])
    match = _CUSTOM.fullmatch(words)
    if not match:
        raise ValueError(
            f"'{text[:40]}' is no paper size; write one of {', '.join(_NAMED)}, or a size with its "
            "unit such as 300x200mm"
        )
    sides = sorted(float(match[i]) * _UNITS[match[3]] for i in (1, 2))
    if not 5 <= sides[0] <= sides[1] <= 20_000:
        raise ValueError(f"'{text[:40]}': the sides of a sheet lie in 5 mm to 20 m")
    return Paper(*sides)


def print_size(
    paper: Paper, dpi: float, width: int, height: int, *, fill: bool
) -> tuple[int, int, tuple[int, int, int, int]]:
    """How a picture goes onto a sheet that is turned the picture's way.

    Args:
        paper: the sheet.
        dpi: pixels per inch of the print.
        width: of the picture, px.
        height: of the picture, px.
        fill: cut what is beyond the sheet's proportions off, on both sides alike, so that the print
            covers the sheet; otherwise the whole picture is printed within it.

    Returns:
        Width and height of the print in pixels, and what part of the picture it shows: left, top,
        right and bottom in the picture's pixels.
    """
    short, long = paper.pixels(dpi)
    across, down = (long, short) if width >= height else (short, long)
    if not fill:
        scale = min(across / width, down / height)
        return (
            max(1, min(across, round(width * scale))),
            max(1, min(down, round(height * scale))),
            (0, 0, width, height),
        )
    scale = max(across / width, down / height)
    shown = min(width, max(1, round(across / scale))), min(height, max(1, round(down / scale)))
    left, top = (width - shown[0]) // 2, (height - shown[1]) // 2
    return across, down, (left, top, left + shown[0], top + shown[1])
