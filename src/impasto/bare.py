"""From picture files to a repainted picture by a transfer network, without torch.

What needs torch — masks, large pictures, another device — is left to others; `needs_torch` tells.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import impasto
from impasto.blueprint import FADE, SEEN_SIDE
from impasto.color import Palette
from impasto.coloring import Coloring, Part, counted, in_paintings_colors, in_photos_colors
from impasto.errors import ImageError, OptionError
from impasto.framing import cut, frame, no_larger, visible
from impasto.images import Bitmap, resize_image
from impasto.noise import roughened
from impasto.options import StyleOptions
from impasto.pairing import resolve
from impasto.runtime import MAX_PIXELS, UNASKED_PIXELS, PortableNetwork, mix, open_network
from impasto.sources import Loaded, describe_source, find_source, read_source
from impasto.trained import SHIPPED, network_path

Pixels = NDArray[np.float32]

HEEDED = frozenset(
    {
        *("size", "print", "print_fit", "dpi", "max_pixels", "style_weights"),
        *("style_scale", "strength", "regions", "color", "color_strength", "color_method"),
        *("color_space", "device", "precision", "threads", "fast_convolution"),
    }
)
"""Options that a transfer network heeds."""


@dataclass(frozen=True, eq=False)
class Repainting:
    """A finished picture.

    Attributes:
        bitmap: its pixels, alpha and print resolution.
        settings: what made it, as plain data.
        warnings: lines for the user.
    """

    bitmap: Bitmap
    settings: dict[str, Any]
    warnings: list[str] = field(default_factory=list)


class NeedsTorchError(OptionError):
    """What is asked for is beyond onnxruntime.

    Args:
        what: in the words of the option.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: is beyond --runtime onnx; use --runtime torch")
        self.what = what


def needs_torch(
    options: StyleOptions, width: int = 1, height: int = 1, *, asked: bool = True
) -> str | None:
    """What is asked for that only torch can do, in the words of the option; `None`: nothing.

    Args:
        options: of the run.
        width: of the result, px.
        height: likewise.
        asked: whether onnxruntime was asked for; else larger pictures are left to torch, which
            takes less memory.
    """
    if options.device not in ("auto", "cpu"):
        return f"--device {options.device}"
    if options.precision not in ("auto", "float32"):
        return f"--precision {options.precision}"
    if options.regions:
        return "--regions"
    most = MAX_PIXELS if asked else UNASKED_PIXELS
    if width * height > most:
        return f"a picture of {width} x {height} px, more than {most // 10**6} million"
    return None


def check_heeded(options: StyleOptions) -> None:
    """Refuses options that only a run of evaluations can heed.

    Raises:
        OptionError: in the words of the option.
    """
    names = ["preset", *(name for name in StyleOptions.model_fields if name not in HEEDED)]
    for name in names:
        value = getattr(options, name)
        if value != StyleOptions.model_fields[name].get_default():
            flag = f"--preset {value}" if name == "preset" else f"--{name.replace('_', '-')}"
            raise OptionError(
                f"{flag}: a transfer network cannot heed it; leave it out, or leave --fast out"
            )


def network_for(sources: Sequence[Any]) -> str:
    """The shipped network for some styles: `styles` where all of them are built in, else `any`."""
    found = [find_source(source) for source in sources]
    built_in = [isinstance(one, str) and one.startswith("style:") for one in found]
    return "styles" if built_in and all(built_in) else "any"


def known_style(source: Any, names: Sequence[str], network: str) -> str:
    """The style of a network's table that a source means: by its name, or by that of its file.

    Args:
        source: as `impasto.sources.read_source` takes it, or `Loaded`.
        names: of the styles that the network knows.
        network: its name, for words.

    Raises:
        OptionError: there is none.
    """
    found = source.record["path"] if isinstance(source, Loaded) else find_source(source)
    text = os.fspath(found) if isinstance(found, str | os.PathLike) else ""
    for name in text, text.removeprefix("style:"), Path(text).stem:
        if name in names:
            return name
    raise OptionError(
        f"{text or 'a picture in memory'}: the network {network} does not know this style; choose "
        f"--network any, or one of its own: {', '.join(names)}"
    )


def repaint(
    content: Any,
    sources: Sequence[Any],
    options: StyleOptions | None = None,
    *,
    network: str | None = None,
    asked: bool = True,
) -> Repainting:
    """Repaints a photo by a transfer network.

    Args:
        content: the photo, as `impasto.sources.read_source` takes it.
        sources: paintings, likewise, or names of styles that the network knows; several are
            blended.
        options: everything else.
        network: `styles`, `any`, or a file, exported or in impasto's own format; by default
            `styles` where all styles are built in, else `any`.
        asked: whether onnxruntime was asked for; else what torch does better is left to it:
            larger pictures, and flat photos for networks without noise, of which rounding makes a
            pattern here.

    Raises:
        NeedsTorchError: for such pictures, and for all that is beyond onnxruntime.
        ImageError: a picture cannot be read.
        OptionError: options that do not fit, or a style that the network does not know.
        WeightsError: the network's file is missing or damaged.
        RunError: onnxruntime failed.
    """
    options = options or StyleOptions()
    check_heeded(options)
    if not sources:
        raise OptionError("there is no painting: give one, or the name of a style")
    resolve(options, len(sources), 0)
    shares = tuple(options.style_weights) or (1.0,) * len(sources)
    photo = read_source(content, options.max_pixels, options.size)
    width, height, shown = frame((photo.width, photo.height), options)
    missing = needs_torch(options, width, height, asked=asked)
    if missing is not None:
        raise NeedsTorchError(missing)
    photo = visible(resize_image(cut(photo, shown), width, height))
    name = network_for(sources) if network is None else network
    opened = open_network(network_path(name), options.threads)
    if not asked and not opened.noise and _is_flat(photo.pixels):
        raise NeedsTorchError("a flat photo")
    known: list[Pixels] = []
    if not opened.takes_pictures:
        names = [known_style(source, opened.names, name) for source in sources]
        known = [opened.style_of_name(one) for one in names]
    coloring = _coloring(photo, sources, shares, options, read=not known)
    seen = coloring.seen
    assert seen is not None
    painted = seen.pixels
    if options.strength > 0 and options.color != "only":
        styles = known or _vectors(opened, coloring, options)
        rough = roughened(painted, opened.noise * options.strength)
        made = opened.repaint(rough, mix(styles, shares), options.strength)
        # Where the network fades into what it was given, it is to be the photo without noise.
        rest = max(0.0, 1 - options.strength / FADE)
        painted = np.asarray(made + np.float32(rest) * (painted - rough), np.float32)
        if not known:
            palettes = _palettes(coloring)
            painted = in_paintings_colors(
                np.clip(painted, 0, 1), palettes, options.strength, counted(seen)
            )
    picture = Bitmap(np.clip(painted, 0, 1))
    if known:
        picture = in_photos_colors(picture, coloring)
    dpi = photo.dpi
    if options.print is not None or options.dpi is not None:
        dpi = options.print_dpi
    pixels = coloring.finished(picture.pixels)
    settings = _record(content, sources, options, opened, name)
    warnings = []
    if known and options.style_scale != ((1.0,),):
        warnings.append(
            f"--style-scale: has no effect, since the network {name} knows its styles at one size "
            "only; --network any sees paintings at any"
        )
    return Repainting(Bitmap(pixels, photo.alpha, 8, dpi), settings, warnings)


def _is_flat(pixels: Pixels) -> bool:
    """Whether a picture has one colour, up to a step of 8 bits."""
    return float(pixels.std((1, 2)).max()) < 1 / 255


def _coloring(
    photo: Bitmap,
    sources: Sequence[Any],
    shares: Sequence[float],
    options: StyleOptions,
    *,
    read: bool,
) -> Coloring:
    """Whose colours the result has. Paintings are read where that or the network needs them, and
    grey stands for those of which it knows the style."""
    strength = options.color_strength
    if options.color == "only":
        strength *= options.strength
    paintings = [Bitmap(np.full((3, 8, 8), 0.5, np.float32))] * len(sources)
    if read or options.color == "only":
        paintings = [_painting(source, options) for source in sources]
    part = Part(options.color, strength, tuple(range(len(paintings))), tuple(shares))
    return Coloring(photo, paintings, [part], options.color_method, options.color_space)


def _painting(source: Any, options: StyleOptions) -> Bitmap:
    # As large as runs look at, so that it is the same picture with torch and without.
    largest = max(max(scales) for scales in options.style_scale)
    side = math.ceil(largest * max(SEEN_SIDE, options.size))
    bitmap = no_larger(read_source(source, options.max_pixels, side), 2 * side)
    if bitmap.alpha is not None and float(bitmap.alpha.max()) < 1 / 255:
        name = source if isinstance(source, str | os.PathLike) else "the painting"
        raise ImageError(
            f"{name}: is fully transparent, so there is no style in it; choose another"
        )
    return bitmap


def _vectors(network: PortableNetwork, coloring: Coloring, options: StyleOptions) -> list[Pixels]:
    """The style of each painting, seen at its scales."""
    paintings = coloring.painted_with(coloring.parts[0])
    scales = options.style_scale * (len(paintings) if len(options.style_scale) == 1 else 1)
    return [
        mix([network.style_of_picture(_shown(one), scale) for scale in several], [1] * len(several))
        for one, several in zip(paintings, scales, strict=True)
    ]


def _palettes(coloring: Coloring) -> list[Palette]:
    """The colours of the paintings, as the network sees them."""
    part = coloring.parts[0]
    return [
        Palette(one.pixels, one.alpha, share)
        for one, share in zip(coloring.painted_with(part), part.shares, strict=True)
    ]


def _shown(painting: Bitmap) -> Pixels:
    """A painting as styles are predicted from it: what is transparent counts as the mean of what is
    not, and is cut off where it surrounds that."""
    if painting.alpha is None:
        return painting.pixels
    seen = painting.alpha > 0.5 * painting.alpha.max()
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    pixels, seen = visible(painting).pixels[:, *part], seen[part]
    return np.where(seen, pixels, pixels[:, seen].mean(1)[:, None, None])


def _record(
    content: Any,
    sources: Sequence[Any],
    options: StyleOptions,
    network: PortableNetwork,
    name: str,
) -> dict[str, Any]:
    """What the picture says of how it was made."""
    import onnxruntime

    return {
        "version": 1,
        "impasto": impasto.__version__,
        "onnxruntime": onnxruntime.__version__,
        "options": options.model_dump(mode="json", exclude={"preset"}) | {"preset": options.preset},
        "content": describe_source(content),
        "styles": [describe_source(source) for source in sources],
        "start": None,
        "masks": [],
        "style_masks": [],
        "fast": {
            "name": name if name in SHIPPED else str(Path(name).absolute()),
            "sha256": network.record["source_sha256"],
            "precision": "float32",
            "noise": network.noise,
            "runtime": "onnx",
        },
    }
