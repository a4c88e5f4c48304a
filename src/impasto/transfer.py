"""From picture files and options to a picture that a transfer network repaints in one pass.

`repaint` does it in one call, in seconds where an optimised run takes minutes. What is read, cut,
coloured and masked is as in `impasto.run`; options that only a run of evaluations can heed are
refused. The picture carries the settings that made it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

import impasto
from impasto.bare import HEEDED, check_heeded, network_for
from impasto.errors import ImageError, OptionError
from impasto.images import Bitmap, ImageSource
from impasto.inputs import painting_size, read_inputs, read_painting
from impasto.options import StyleOptions, make_options
from impasto.pairing import resolve
from impasto.regions import largest_scale
from impasto.repainting import (
    SEEN_SIDE,
    Repainter,
    repainted,
    style_sources,
)
from impasto.reproduction import without_idle
from impasto.run import SETTINGS_VERSION, Picture, record_of
from impasto.sources import Loaded, describe_source, is_built_in, split_label


class Repaintings:
    """Repaints pictures one after the other with the same networks, each of which is read once."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str, bool], Repainter] = {}

    def of(self, name: str, options: StyleOptions) -> Repainter:
        """The network of a name or file, as options want it; see `Repainter`."""
        key = (os.fspath(name), options.device, options.precision, options.fast_convolution)
        if key not in self._kept:
            name, device, precision, fast = key
            self._kept[key] = Repainter(name, device=device, precision=precision, fast=fast)
        return self._kept[key]


class Repainting:
    """A picture that is to be repainted in one pass.

    Args:
        content: the photo, as `stylization` takes it.
        styles: paintings, or names of styles that the network knows; several are blended.
        options: how.
        network: `styles`, `any` or a file; by default `styles` where all styles are built in.
        masks: of the photo's regions, as `stylization` takes them.
        style_masks: of the paintings, likewise.
        networks: where to look for the network first.
        noise: standard deviation of the noise that the photo is given, see `impasto.noise`; by
            default as the network wants it.

    Attributes:
        settings: the record that the picture will carry.
        warnings: lines for the user.

    Raises:
        OptionError: an option that a network cannot heed, or a style that it does not know.
        WeightsError: the network is missing or damaged.
    """

    def __init__(
        self,
        content: ImageSource | Loaded,
        styles: Sequence[ImageSource | Loaded],
        options: StyleOptions | None = None,
        *,
        network: str | None = None,
        masks: Sequence[ImageSource] = (),
        style_masks: Sequence[ImageSource | None] = (),
        networks: Repaintings | None = None,
        noise: float | None = None,
    ) -> None:
        self.options = options = StyleOptions() if options is None else options
        check_heeded(options)
        if content is None:
            raise OptionError("a transfer network needs a photo; give one")
        if not styles:
            raise OptionError("there is no painting: give one, or the name of a built-in style")
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self.warnings: list[str] = []
        networks = networks or Repaintings()
        name = network_for(styles) if network is None else network
        self._repainter = networks.of(name, options)
        self._content, self._sources = content, list(styles)
        self._read = style_sources(self._repainter, styles, options)
        self._masks, self._style_masks = list(masks), list(style_masks)
        if not self._repainter.knows_pictures:
            scales = {options.style_scale, *(one.scale for one in options.regions)}
            if scales - {((1.0,),), None}:
                self.warnings.append(
                    f"--style-scale: has no effect, since the network {self._repainter.name} knows "
                    "its styles at one size only; --network any sees paintings at any"
                )
            if self._style_masks:
                raise OptionError(
                    f"--style-mask: the network {self._repainter.name} sees no paintings; leave it "
                    "out, or choose --network any"
                )
        self.settings = record_of(options, content, styles, None)
        self.settings["masks"] = [describe_source(mask) for mask in self._masks]
        self.settings["style_masks"] = [describe_source(mask) for mask in self._style_masks]
        self._noise = self._repainter.network.noise if noise is None else noise
        self.settings["fast"] = {**self._repainter.record, "noise": self._noise}

    @property
    def _seen_side(self) -> int:
        """Size of a run that reads paintings larger than the network sees them, px."""
        if not self._repainter.knows_pictures:
            return 0
        return math.ceil(SEEN_SIDE * largest_scale(self.options, self.options.regions))

    @property
    def network(self) -> str:
        """Its network: `styles`, `any` or a file."""
        return self._repainter.name

    def loaded_styles(self) -> list[Any]:
        """Its styles with their paintings read, where these are needed, for several photos.

        Raises:
            ImageError: a painting cannot be read.
        """
        if any(isinstance(one, Loaded) for one in self._read):
            return self._sources  # known by their names
        chosen = resolve(self.options, len(self._sources), len(self._masks))
        side = max(self._seen_side, painting_size(self.options, chosen))
        return [
            Loaded(read_painting(one, self.options.max_pixels, side), describe_source(one) or {})
            for one in self._sources
        ]

    def result(self) -> Picture:
        """The picture.

        Raises:
            ImageError: a picture cannot be read.
            OptionError: options that do not fit the pictures or each other.
            RunError: memory ran out.
        """
        inputs = read_inputs(
            *(self._content, self._read, self.options),
            masks=self._masks,
            style_masks=self._style_masks,
            seen=self._seen_side,
        )
        coloring = inputs.coloring
        made = repainted(self._repainter, inputs, self._sources, self._noise)
        picture = Bitmap(made[0].numpy())
        pixels = coloring.finished(picture.pixels)
        photo, dpi = coloring.photo, None
        if photo is not None:
            dpi = photo.dpi
        if self.options.print is not None or self.options.dpi is not None:
            dpi = self.options.print_dpi
        alpha = None if photo is None else photo.alpha
        return Picture(Bitmap(pixels, alpha, 8, dpi), self.settings)


def repaint(
    content: ImageSource,
    style: ImageSource | Sequence[ImageSource],
    options: StyleOptions | None = None,
    *,
    network: str | None = None,
    masks: Sequence[ImageSource] = (),
    style_masks: Sequence[ImageSource | None] = (),
    networks: Repaintings | None = None,
) -> Picture:
    """Repaints a photo in one pass of a transfer network.

    Args:
        content: the photo, as `stylize` takes it.
        style: a painting or a built-in style, or several, likewise; for a network that knows its
            styles, their names.
        options: how; those of the objective and of its course are refused.
        network: `styles`, `any` or a file; by default `styles` where all styles are built in, else
            `any`.
        masks: of the photo's regions; see `stylization`.
        style_masks: of the paintings; see `stylization`.
        networks: give the same to repaint several photos with a network that is read once.

    Returns:
        The picture; `save` writes it.

    Raises:
        ImpastoError: anything that `impasto.errors` lists.
    """
    several = isinstance(style, Sequence) and not isinstance(
        style, str | bytes | bytearray | memoryview
    )
    sources: list[Any] = list(style) if several else [style]  # pyright: ignore
    return Repainting(
        *(content, sources, options),
        network=network,
        masks=masks,
        style_masks=style_masks,
        networks=networks,
    ).result()


def recorded_options(
    settings: Mapping[str, Any], changes: Mapping[str, Any] | None = None
) -> StyleOptions:
    """The options of a record with `fast`.

    Args:
        settings: the record that the picture carries.
        changes: options to replace.

    Raises:
        OptionError: the record is not one of impasto's or of a later version.
    """
    recorded, fast = settings.get("options"), settings.get("fast")
    content, styles = settings.get("content"), settings.get("styles")
    if (
        settings.get("version") != SETTINGS_VERSION
        or not isinstance(recorded, Mapping)
        or not isinstance(fast, Mapping)
        or not isinstance(content, Mapping)
        or not isinstance(styles, list)
    ):
        raise OptionError(
            "the picture's settings are damaged or of a later version; use the version that made "
            "it, or stylize with the originals"
        )
    changes = dict(changes or {})
    kept = {name: value for name, value in recorded.items() if name in HEEDED}
    if "size" in changes:
        kept.pop("print", None)
    if "print" in changes or kept.get("print"):
        kept.pop("size", None)
    return make_options(without_idle({**kept, **changes}, changes))


def check_record(settings: Mapping[str, Any], *, known: bool) -> list[str]:
    """Looks at the pictures that a record with `fast` names.

    Args:
        settings: the record, once `recorded_options` has read it.
        known: whether its network knows its styles by name.

    Returns:
        What has changed since, lines for the user.

    Raises:
        ImageError: an input is gone, or was not a file.
    """
    content, styles = settings["content"], settings["styles"]
    masks, style_masks = settings.get("masks") or [], settings.get("style_masks") or []
    warnings = []
    for entry in (content, *styles, *masks, *style_masks):
        if entry is None:
            continue
        path = entry.get("path") if isinstance(entry, Mapping) else None
        if not path or not isinstance(path, str):
            raise ImageError(
                "the picture was made from a picture in memory, which its settings cannot name; "
                "run stylize with the original again"
            )
        file = split_label(path)[0]
        if is_built_in(path) or (entry in styles and known):
            continue
        if not os.path.isfile(file):  # noqa: PTH113
            raise ImageError(
                f"{file}: is gone, and the picture was made from it; put it back, or run stylize "
                "with it where it is now"
            )
        if (now := describe_source(path)) and now["sha256"] != entry.get("sha256"):
            warnings.append(f"{path}: has changed since the picture was made")
    if settings.get("impasto") != impasto.__version__:
        warnings.append(
            f"the picture was made by impasto {settings.get('impasto')}, this is "
            f"{impasto.__version__}"
        )
    return warnings


def from_fast_settings(
    settings: Mapping[str, Any], changes: Mapping[str, Any] | None = None
) -> Repainting:
    """Prepares the picture of a record with `fast` again.

    Args:
        settings: the record that the picture carries.
        changes: options to replace.

    Raises:
        ImageError: an input is gone, or was not a file.
        OptionError: the record is not one of impasto's or of a later version.
        WeightsError: the network is missing or damaged.
    """
    options = recorded_options(settings, changes)
    changes, fast = changes or {}, settings["fast"]
    content, styles = settings["content"], settings["styles"]
    masks, style_masks = settings.get("masks") or [], settings.get("style_masks") or []
    name, noise = str(fast.get("name")), fast.get("noise", 0.0)
    if type(noise) not in (int, float) or not 0 <= noise <= 1:
        raise OptionError(
            "the picture's settings are damaged: their noise is no number from 0 to 1"
        )
    found = Repaintings()
    warnings = check_record(settings, known=bool(found.of(name, options).network.names))
    again = Repainting(
        *(content["path"], [entry["path"] for entry in styles], options),
        network=name,
        masks=[entry["path"] for entry in masks],
        style_masks=[entry and entry["path"] for entry in style_masks],
        networks=found,
        noise=noise,
    )
    if again.settings["fast"]["sha256"] != fast.get("sha256"):
        warnings.append(f"the network {name} is another than the picture's")
    if again.settings["fast"]["precision"] != fast.get("precision") and "precision" not in changes:
        warnings.append(
            f"the picture was made in {fast.get('precision')}, this is "
            f"{again.settings['fast']['precision']}; small differences may follow"
        )
    again.warnings += warnings
    return again
