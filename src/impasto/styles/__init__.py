"""Built-in style pictures: paintings, prints and textiles that the program draws by itself.

They serve wherever a painting is asked for, at any size, without a licence to mind: each is drawn
anew from a name, a size and a seed. Composition and texture are relative to the picture's area, so
a small drawing looks like a large one seen from further away.
"""

import zlib
from difflib import get_close_matches
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from impasto.errors import OptionError

DEMO_STYLE = "night-sky"
"""The style that changes a photo most strikingly."""

MAX_SIDE = 8192
MAX_PIXELS = 4096 * 4096
MAX_RATIO = 16

# name: module, function, description
_STYLES = {
    "agate": ("mineral", "agate", "fine bands of amethyst, blue and rust round crystal hearts"),
    "art-nouveau": (
        "ornament",
        "art_nouveau",
        "curling tresses of green, rose and plum edged in gold",
    ),
    "aurora": ("oil", "aurora", "green and magenta curtains of light over a black sky"),
    "batik": ("thread", "batik", "cream flowers and dots on brown and indigo, veined by cracks"),
    "birch-wood": ("oil", "birch_wood", "white trunks among dabs of gold and crimson leaves"),
    "palette-knife": ("oil", "palette_knife", "slabs of coral, cream and turquoise, drawn flat"),
    "brushwork": ("ink", "brushwork", "sweeps of black, vermilion and indigo on gilded paper"),
    "coral": ("growth", "coral", "winding ridges of rose and apricot over turquoise depths"),
    "deco-fans": ("ornament", "deco_fans", "rayed fans of brass, teal, ivory and black lacquer"),
    "drip": ("fluid", "drip", "flung skeins of black, white and ochre enamel on canvas"),
    "embroidery": ("thread", "embroidery", "satin stitches of silk in winding ribbons of colour"),
    "engraving": ("ink", "engraving", "swelling burin lines and cross-hatching in dark inks"),
    "facets": ("pieces", "facets", "cubist planes in earth colours with blue and rust"),
    "frost": ("growth", "frost", "ferns of ice that branch over deep blue and dusk"),
    "harvest": ("oil", "harvest", "short hot strokes of ochre and orange over violet shadows"),
    "ikat": ("thread", "ikat", "feathered lozenges of madder, indigo and saffron silk"),
    "ink-wash": ("ink", "ink_wash", "mountains in mist, dry-brushed ink with a breath of red"),
    "kintsugi": ("mineral", "kintsugi", "crackled celadon and oxblood sherds, seamed with gold"),
    "lava": ("mineral", "lava", "ropy black crust over cracks that glow red to white"),
    "linocut": ("ink", "linocut", "black gouge marks over teal, vermilion and ochre blocks"),
    "marbling": ("fluid", "marbling", "combed and curled veins of floating colour"),
    "mosaic": ("pieces", "mosaic", "tesserae of gold, lapis and marble in circling rows"),
    "night-sky": ("oil", "night_sky", "blue impasto swirls with stars in yellow haloes"),
    "paper-cut": ("ornament", "paper_cut", "leaves and stars scissored from painted paper"),
    "pastel": ("thread", "pastel", "hatched soft chalks on dark toothed paper"),
    "plumage": ("growth", "plumage", "overlapping feathers, bronze and green round blue eyes"),
    "pointillism": ("oil", "pointillism", "dots of pure colour beside their complements"),
    "risograph": ("prints", "risograph", "halftone dots of pink, blue and yellow, out of register"),
    "scratchboard": ("ink", "scratchboard", "hatching scraped out of black down to coloured foil"),
    "stained-glass": ("pieces", "stained_glass", "streaked jewel-coloured panes in lead"),
    "water-garden": ("oil", "water_garden", "broken dabs of pond green, violet and pink blossom"),
    "watercolor": ("fluid", "watercolor", "wet washes with granulation and dark drying edges"),
    "waves": ("prints", "waves", "striped Prussian blues under clawed foam and a peach sky"),
}


def style_names() -> list[str]:
    """Names of the built-in styles, in alphabetical order."""
    return sorted(_STYLES)


def describe(name: str) -> str:
    """One line that says what the style looks like.

    Raises:
        OptionError: there is no such style.
    """
    return _look_up(name)[2]


def draw_style(name: str, width: int, height: int, seed: int = 0) -> NDArray[np.float32]:
    """Draws a built-in style.

    Args:
        name: one of `style_names()`.
        width: width in pixels.
        height: height in pixels.
        seed: another seed gives another picture of the same kind; the same gives the same bytes.

    Returns:
        sRGB picture `(3, height, width)` in [0, 1].

    Raises:
        OptionError: the name is unknown, the size is out of bounds or the seed is negative.
    """
    module, function, _ = _look_up(name)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise OptionError(
            f"a style cannot be drawn at {width} × {height} px; each side must have 1 to "
            f"{MAX_SIDE} px"
        )
    if width * height > MAX_PIXELS:
        raise OptionError(
            f"a style cannot be drawn at {width} × {height} px; choose at most "
            f"{MAX_PIXELS // 1_000_000} megapixels"
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise OptionError(
            f"a style cannot be drawn at {width} × {height} px; the long side may be at most "
            f"{MAX_RATIO} times the short one"
        )
    if seed < 0:
        raise OptionError(f"seed must be 0 or more, not {seed}")

    from impasto.styles.canvas import Canvas, shrink

    # strokes and seams are drawn larger and shrunk, which smooths their edges; a huge picture has
    # pixels enough, and a tiny one must not lose what is finer than its pixels
    unit = (width * height) ** 0.5
    scale = min(max(1.5 * unit, 640), max(unit, 2048)) / unit
    canvas = Canvas(
        max(1, round(width * scale)),
        max(1, round(height * scale)),
        width / height,
        np.random.default_rng([zlib.crc32(name.encode()), seed]),
    )
    draw = getattr(import_module(f"impasto.styles.{module}"), function)
    picture = shrink(np.clip(draw(canvas), 0, 1).astype(np.float32), width, height)
    return np.ascontiguousarray(np.clip(picture, 0, 1).transpose(2, 0, 1))


def _look_up(name: str) -> tuple[str, str, str]:
    if name not in _STYLES:
        close = get_close_matches(name.lower().replace("_", "-"), _STYLES, 1)
        meant = f"did you mean {close[0]!r}? " if close else ""
        raise OptionError(
            f"no built-in style is called {name!r}; {meant}`impasto styles` lists all "
            f"{len(_STYLES)}"
        )
    return _STYLES[name]
