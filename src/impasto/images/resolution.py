"""Print resolution: what a file states, and whether it can be meant."""

import math

import pyvips

UNKNOWN_DPI = 72
"""What a file states when its print resolution is unknown (EXIF 2.3, tag XResolution)."""

MAX_DPI = 100_000
MM_PER_INCH = 25.4
CM_PER_INCH = 2.54

# Pixels per millimetre that libvips reports for most files that state none.
_VIPS_UNSTATED_RES = 1.0


def dpi_of(image: pyvips.Image) -> float | None:
    """Pixels per inch that a picture states; None when unknown."""
    if image.xres != _VIPS_UNSTATED_RES:
        return plausible_dpi(image.xres * MM_PER_INCH)
    # libvips leaves the EXIF resolution of WebP and AVIF as text: "300/1 (300, Rational, ...)".
    if not image.get_typeof("exif-ifd0-XResolution"):
        return None
    fraction = str(image.get("exif-ifd0-XResolution")).split()[0]
    numerator, _, denominator = fraction.partition("/")
    try:
        dpi = float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError):
        return None
    unit = (
        image.get("exif-ifd0-ResolutionUnit")
        if image.get_typeof("exif-ifd0-ResolutionUnit")
        else ""
    )
    return plausible_dpi(dpi * CM_PER_INCH if str(unit).startswith("3") else dpi)


def plausible_dpi(dpi: float) -> float | None:
    """`dpi`, rounded; None where it is impossible or the 72 that stands for unknown."""
    if not (math.isfinite(dpi) and 1 <= dpi <= MAX_DPI) or abs(dpi - UNKNOWN_DPI) < 0.1:
        return None
    # Two decimals undo PNG's rounding to whole pixels per metre.
    return round(dpi, 2)
