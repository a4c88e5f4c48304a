"""The pictures of a run repainted by a transfer network, in one pass for each region."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.bare import known_style
from impasto.bare import network_for as network_for
from impasto.blueprint import FADE, IDENTITY, LEAST_SIDE, MAX_SEEN_SIDE, RIM, SEEN_SIDE
from impasto.color import Palette
from impasto.coloring import counted, in_paintings_colors, in_photos_colors
from impasto.devices import pick_device, pick_precision
from impasto.errors import OptionError, RunError, is_out_of_memory
from impasto.images import Bitmap, fit_within
from impasto.inputs import Inputs, as_tensor
from impasto.networks import Network, mix
from impasto.noise import roughened
from impasto.onepass import OnePass, mirrored
from impasto.options import StyleOptions
from impasto.pairing import resolve
from impasto.regions import covers_of, kept_mask, scales_of, shares_of
from impasto.sources import Loaded
from impasto.targets import Painting
from impasto.trained import SHIPPED, load_network


class Repainter:
    """A transfer network ready for the pictures of several runs.

    Args:
        name: `styles`, `any`, or a network's file.
        device: as the option.
        precision: as the option; `auto` is float16 on NVIDIA GPUs, float32 elsewhere.
        fast: as the option `fast_convolution`.

    Raises:
        OptionError: this machine has no such device, or it does not know the format.
        WeightsError: the network is missing or damaged.
    """

    def __init__(
        self,
        name: str = "any",
        *,
        device: str = "auto",
        precision: str = "auto",
        fast: bool = True,
    ) -> None:
        self.network: Network = load_network(name)
        self.name = name if name in SHIPPED else str(Path(name).absolute())
        self.device = pick_device(device)
        if precision == "auto":
            # One pass needs digits more than range.
            precision = "float16" if self.device.type == "cuda" else "float32"
        self.dtype = pick_precision(precision, self.device)
        self._one = OnePass(self.network.transfer, device=self.device, dtype=self.dtype, fast=fast)
        self._vectors: dict[bytes, Tensor] = {}

    @property
    def knows_pictures(self) -> bool:
        """Whether it takes pictures of styles rather than names."""
        return self.network.table is None

    @property
    def record(self) -> dict[str, Any]:
        """What the settings of a picture say of the network."""
        return {
            "name": self.name,
            "sha256": self.network.sha256,
            "precision": str(self.dtype).removeprefix("torch."),
        }

    def style_name(self, source: Any) -> str:
        """The style of its table that a source means: by its name, or by that of its file.

        Raises:
            OptionError: there is none.
        """
        return known_style(source, self.network.names, self.name)

    def vector_of(self, painting: Painting) -> Tensor:
        """The style vector `(1, V)` of a painting, seen at its scale.

        What is transparent or masked counts as the mean of what is not, and is cut off where it
        surrounds that.
        """
        picture = painting.picture
        if painting.weight is not None:
            seen = painting.weight > 0.5 * painting.weight.max()
            rows, columns = seen.any(1).nonzero()[:, 0], seen.any(0).nonzero()[:, 0]
            top, bottom = int(rows[0]), int(rows[-1]) + 1
            left, right = int(columns[0]), int(columns[-1]) + 1
            picture, seen = picture[..., top:bottom, left:right], seen[top:bottom, left:right]
            mean = picture[0][:, seen].mean(1)
            picture = torch.where(seen, picture, mean[None, :, None, None])
        return self._seen(picture, painting.scale)

    def identity_of(self, photo: Tensor) -> Tensor:
        """The style vector `(1, V)` that leaves a photo as it is."""
        if not self.knows_pictures:
            return self.network.vector_of_name(IDENTITY)
        return self._seen(_extended(photo), 1.0)

    def _seen(self, picture: Tensor, scale: float) -> Tensor:
        side = min(MAX_SEEN_SIDE, max(1, round(SEEN_SIDE * scale)))
        width, height = fit_within(picture.shape[-1], picture.shape[-2], side)
        # VGG halves the sides three times, which leaves nothing of thinner pictures.
        size = max(height, LEAST_SIDE), max(width, LEAST_SIDE)
        picture = F.interpolate(picture.float().cpu(), size, mode="bilinear", antialias=True)
        picture = picture.clamp(0, 1)
        # Every photo of a folder has the same paintings.
        key = hashlib.sha256(picture.contiguous().numpy().data).digest()
        if key not in self._vectors:
            if len(self._vectors) > 64:
                self._vectors.clear()
            self._vectors[key] = self.network.vector_of_picture(picture)
        return self._vectors[key]

    def repaint(self, photo: Tensor, vector: Tensor) -> Tensor:
        """A photo `(1, 3, H, W)` in [0, 1] in the style of a vector `(1, V)`, on the CPU.

        Raises:
            RunError: memory ran out.
        """
        try:
            return self._one(photo, vector, RIM).float().cpu().contiguous()
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise RunError("memory ran out; choose a smaller --size") from None
            raise


def _extended(photo: Tensor) -> Tensor:
    """A photo with the mirrored rim that networks see."""
    rows, columns = (mirrored(side, RIM) for side in photo.shape[-2:])
    return photo[..., rows, :][..., columns]


def _palette(painting: Painting, share: float) -> Palette:
    weight = None if painting.weight is None else painting.weight.numpy()
    return Palette(painting.picture[0].float().cpu().numpy(), weight, share)


def style_sources(repainter: Repainter, sources: Sequence[Any], options: StyleOptions) -> list[Any]:
    """What to read as paintings: where a network knows its styles by name, nothing, unless colours
    are to come from them.

    Raises:
        OptionError: a style that the network does not know.
    """
    if repainter.knows_pictures:
        return list(sources)
    names = [repainter.style_name(source) for source in sources]
    colors = {options.color, *(one.color for one in options.regions)}
    if "only" in colors:
        return list(sources)
    grey = torch.full((3, 8, 8), 0.5).numpy()
    return [Loaded(Bitmap(grey), {"path": name, "sha256": ""}) for name in names]


def repainted(
    repainter: Repainter, inputs: Inputs, sources: Sequence[Any], noise: float | None = None
) -> Tensor:
    """The photo of a run as a network repaints it, `(1, 3, H, W)` in [0, 1]; its colours are still
    to be finished by the run's `Coloring`.

    Args:
        repainter: with the network.
        inputs: the pictures of the run.
        sources: what `read_inputs` was given as paintings.
        noise: standard deviation of the noise that the photo is given, see `impasto.noise`; by
            default as the network wants it.

    Raises:
        OptionError: there is no photo, or a style that the network does not know.
        RunError: memory ran out.
    """
    noise = repainter.network.noise if noise is None else noise
    photo, options, seen = inputs.photo, inputs.options, inputs.coloring.photo
    if photo is None or seen is None:
        raise OptionError("a transfer network needs a photo; use impasto texture for textures")
    chosen = resolve(options, len(inputs.paintings), len(inputs.masks))
    covers = covers_of(chosen, inputs.masks)
    kept = kept_mask(options, len(inputs.paintings), inputs.masks)
    result = None if kept is None else kept * photo
    for one, cover in zip(chosen, covers, strict=True):
        if one.keep:
            continue
        strength = options.strength if one.strength is None else one.strength
        painted = photo
        if strength > 0 and (one.color or options.color) != "only":
            vectors, shares, palettes = [], [], []
            for number, share, scales in zip(
                one.styles, shares_of(options, one), scales_of(options, one), strict=True
            ):
                for scale in scales:
                    origin = sources[inputs.origins[number - 1]]
                    painting = inputs.paintings[number - 1]._replace(scale=scale)
                    if repainter.knows_pictures:
                        vectors.append(repainter.vector_of(painting))
                        palettes.append(_palette(painting, share / len(scales)))
                    else:
                        name = repainter.style_name(origin)
                        vectors.append(repainter.network.vector_of_name(name))
                    shares.append(share / len(scales))
            vector = mix(vectors, shares)
            rough = torch.from_numpy(roughened(photo[0].numpy(), noise * strength))[None]
            if strength < 1:
                vector = mix([repainter.identity_of(rough), vector], [1 - strength, strength])
            painted = repainter.repaint(rough, vector)
            if strength < FADE:
                painted = photo + (strength / FADE) * (painted - photo)
            if palettes:
                mask = counted(seen, None if cover is None else cover.numpy())
                pixels = in_paintings_colors(painted[0].numpy(), palettes, strength, mask)
                painted = torch.from_numpy(pixels)[None]
        if cover is None:
            result = painted
            break
        result = cover * painted if result is None else result.add_(cover * painted)
    assert result is not None
    result = result.clamp(0, 1)
    if repainter.knows_pictures:
        return result
    return as_tensor(in_photos_colors(Bitmap(result[0].numpy()), inputs.coloring))
