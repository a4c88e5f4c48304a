"""impasto repaints a photo in the style of a painting.

    from impasto import StyleOptions, stylize

    picture = stylize("photo.jpg", "painting.jpg", StyleOptions(size=768))
    picture.save("repainted.png")

Names load when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from impasto.errors import ImpastoError
    from impasto.optimize import Progress
    from impasto.options import PRESETS, RegionOptions, StyleOptions
    from impasto.quality import compare, style_distance
    from impasto.reproduction import resume
    from impasto.run import Picture, Stylization, stylization, stylize
    from impasto.transfer import repaint

__all__ = [
    "PRESETS",
    "ImpastoError",
    "Picture",
    "Progress",
    "RegionOptions",
    "StyleOptions",
    "Stylization",
    "compare",
    "repaint",
    "resume",
    "style_distance",
    "stylization",
    "stylize",
]

_HOMES = {
    "PRESETS": "options",
    "ImpastoError": "errors",
    "Picture": "run",
    "Progress": "optimize",
    "RegionOptions": "options",
    "StyleOptions": "options",
    "Stylization": "run",
    "compare": "quality",
    "repaint": "transfer",
    "resume": "reproduction",
    "style_distance": "quality",
    "stylization": "run",
    "stylize": "run",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"impasto.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'impasto' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
