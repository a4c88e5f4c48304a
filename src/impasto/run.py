"""From picture files and options to a finished, saved picture.

`stylize` does it in one call. `stylization` prepares the same run and is iterated for its
`Progress`; its `result` is the best picture so far at any moment. A picture that is saved carries
the settings that made it. A run that is not finished can be put into a file with
`Stylization.checkpoint`, from which `impasto.reproduction.resume` takes it up again.
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import impasto
from impasto import grain
from impasto.checkpoint import Bookmark, Checkpoint, write_checkpoint
from impasto.coloring import Coloring, Part
from impasto.devices import Networks, format_of
from impasto.errors import ImageError, OptionError
from impasto.features import Features
from impasto.images import (
    DEFAULT_MAX_PIXELS,
    Bitmap,
    ImageSource,
    encode_image,
    fit_within,
    resize_image,
    write_image,
)
from impasto.levels import (
    allotment,
    budget_for,
    plan_levels,
    preview_options,
    whole_strides,
)
from impasto.masks import fit_mask, read_mask
from impasto.matting import as_photograph
from impasto.memory import Budget, Limit, memory_budget
from impasto.optimize import (
    Progress,
    climb,
    optimize,
    progress_at,
)
from impasto.options import MAX_SIDE, RegionOptions, StyleOptions, parse_aspect
from impasto.paper import parse_paper, print_size
from impasto.places import check_place, levels_left
from impasto.planning import Plan, make_plan
from impasto.regions import (
    covers_of,
    kept_mask,
    kept_part,
    largest_scale,
    regions_of,
    resolve,
    scales_of,
    shares_of,
)
from impasto.sources import Loaded, describe_source, is_built_in, read_source, split_label
from impasto.starts import start_picture
from impasto.targets import Kept, Painting, level_size

SETTINGS_VERSION = 1
"""Version of the record that pictures carry."""


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """A finished picture. In a notebook it shows itself.

    Attributes:
        bitmap: its pixels, alpha and print resolution.
        settings: what made it, as plain data; saved inside the file.
        progress: the last evaluation of the run.
    """

    bitmap: Bitmap
    settings: dict[str, Any]
    progress: Progress | None = None

    def __repr__(self) -> str:
        return f"<Picture, {self.bitmap.width} x {self.bitmap.height} px>"

    @property
    def pixels(self) -> NDArray[np.float32]:
        """`(H, W, 3)`, sRGB in [0, 1]."""
        return np.ascontiguousarray(self.bitmap.pixels.transpose(1, 2, 0))

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        bits: Literal[8, 16] = 8,
        quality: int = 92,
        overwrite: bool = False,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        """Writes the picture with its settings inside.

        Args:
            path: the format follows from the extension.
            bits: 8 or 16 per channel (16: PNG and TIFF).
            quality: of JPEG, WebP and the like, 1 to 100.
            overwrite: replace an existing file.
            announce: called with the SHA-256 of the file, as hexadecimal digits, just before it
                appears.

        Raises:
            OptionError: the format cannot hold what is asked.
            OutputError: the file exists or cannot be written.
        """
        write_image(
            self.bitmap,
            path,
            bits=bits,
            quality=quality,
            overwrite=overwrite,
            settings=self.settings,
            announce=announce,
        )

    def _repr_png_(self) -> bytes:
        return encode_image(self.bitmap, "png")


class Stylization:
    """A prepared run: an iterator of `Progress` whose `result` may be taken at any moment.

    Attributes:
        options: how it is made.
        last: the last evaluation; `None` before the first.
        warnings: what a person should know before it begins, a line each: that it needs more memory
            than it may take, or, where it was resumed, what may change its result.
        notes: the plain data that was put into the checkpoint that the run was resumed from.
        attachment: the bytes that were.

    Args:
        features: the network.
        coloring: the photo at the result's size, or none, and what becomes of colours.
        paintings: what to paint in the style of, as the network sees it.
        start: the start picture, `(1, 3, H, W)` in [0, 1], likewise.
        options: everything else.
        settings: the record that the result will carry.
        memory: bytes that the process may hold; `None`: no limit.
        coarse: a smaller picture of a run to go on from, `(1, 3, h, w)` in [0, 1], or `None`.
        limits: what lack of memory forced on the run when it was made before.
        masks: of the regions, `(H, W)` in [0, 1], at the result's size.
    """

    def __init__(
        self,
        features: Features,
        coloring: Coloring,
        paintings: Sequence[Painting],
        start: Tensor,
        options: StyleOptions,
        settings: dict[str, Any],
        memory: int | None = None,
        coarse: Tensor | None = None,
        limits: Iterable[Limit] = (),
        masks: Sequence[Tensor] = (),
    ) -> None:
        self.options = options
        self.last: Progress | None = None
        self.warnings: list[str] = []
        self.notes: dict[str, Any] = {}
        self.attachment = b""
        self._coloring, self._start, self._settings = coloring, start, settings
        self._photo = None if coloring.seen is None else _tensor(coloring.seen)
        content = coloring.photo
        self._dpi = None if content is None else content.dpi
        if options.print is not None or options.dpi is not None:
            self._dpi = options.print_dpi
        self._paintings, self._features, self._memory = paintings, features, memory
        self._coarse, self._masks = coarse, masks
        self._bookmark = Bookmark(limits=list(limits))
        self._digest, self._checkpoints = "", set[str]()
        self._progress = optimize(
            *(features, self._photo, paintings, start, options),
            masks=masks,
            memory=memory,
            coarse=coarse,
            bookmark=self._bookmark,
        )

    @property
    def inputs(self) -> list[str]:
        """Paths of the picture files that the run was made from."""
        record = self._settings
        entries = [record["content"], *record["styles"], record["start"], record["coarse"]]
        entries += [*record.get("masks", ()), *record.get("style_masks", ()), record.get("fine")]
        paths = [entry["path"] for entry in entries if entry is not None]
        return [split_label(path)[0] for path in paths if path and not is_built_in(path)]

    def plan(self) -> Plan:
        """What the run will take, or what is left of it, from a probe of a second or less."""
        above = 0 if self._coarse is None else max(self._coarse.shape[-2:])
        options, place = self.options, self._bookmark.place
        levels = plan_levels(options, self.width, self.height, above)
        if place is not None:
            levels = levels_left(place)
            if options.time_limit is not None:
                left = max(1e-9, options.time_limit - place.standing.elapsed)
                options = options.model_copy(update={"time_limit": left})
        return make_plan(
            *(self._features, options, levels, self._budget),
            photo=self._photo is not None,
            paintings=len(self._paintings),
        )

    @property
    def _budget(self) -> Budget:
        memory = self._memory or memory_budget(self._features.device)
        return budget_for(memory, self._features, self._paintings, self._masks)

    @property
    def _kept(self) -> Kept | None:
        return kept_part(self.options, self._photo, len(self._paintings), self._masks)

    @property
    def settings(self) -> dict[str, Any]:
        """The record that the result will carry, but for how the run came out."""
        return self._record()

    @property
    def weights_sha256(self) -> str:
        """Digest of the network's weights."""
        return self._settings["weights_sha256"]

    @property
    def precision(self) -> str:
        """The network's number format: `float32`, `bfloat16` or `float16`."""
        return self._settings["precision"]

    @property
    def width(self) -> int:
        """Width of the result, px."""
        return self._start.shape[-1]

    @property
    def height(self) -> int:
        """Height of the result, px."""
        return self._start.shape[-2]

    def __iter__(self) -> Iterator[Progress]:
        """The run itself, so that `for progress in stylization(…)` works."""
        return self

    def __next__(self) -> Progress:
        """Evaluates once more.

        Raises:
            OptionError: a layer that the network has not.
            RunError: the loss is not finite even at the start, or memory ran out.
        """
        self.last = next(self._progress)
        return self.last

    def count_from(self, began: float) -> None:
        """Lets the run's time, and its limit, begin at a moment of `time.monotonic` before its
        first evaluation; by default when it began to be prepared."""
        self._bookmark.began = began

    def close(self) -> None:
        """Cancels the run; `result` still answers."""
        self._progress.close()  # pyright: ignore[reportAttributeAccessIssue]

    def checkpoint(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        notes: Mapping[str, Any] | None = None,
        attachment: bytes = b"",
    ) -> None:
        """Writes all that the rest of the run follows from, for `resume`.

        It may be called between two evaluations, after `close`, and after an evaluation that was
        broken off or failed; what is written is the place after the last evaluation told. A file
        that this run wrote, or was resumed from, is replaced; it appears whole or not at all.

        Args:
            path: by convention with the extension `.ckpt`.
            overwrite: replace any other existing file.
            notes: plain data to give back with `resume`; must be JSON.
            attachment: bytes to give back, for what is too long for notes.

        Raises:
            OutputError: the file exists or cannot be written, or the disk is full.
        """
        own = os.path.realpath(path)
        checkpoint = Checkpoint(
            settings=self._record(),
            machine={**_machine(self._features), "memory": self._memory},
            pictures_sha256=self.pictures_sha256,
            place=self._bookmark.place,
            notes=dict(notes or {}),
            attachment=attachment,
        )
        write_checkpoint(path, checkpoint, overwrite=overwrite or own in self._checkpoints)
        self._checkpoints.add(own)

    def go_on_from(self, checkpoint: Checkpoint, path: str | os.PathLike[str]) -> None:
        """Takes up the place of a checkpoint; `impasto.reproduction.resume` has found that it fits.

        Args:
            checkpoint: what was read.
            path: where it was read; `checkpoint` may write there.

        Raises:
            ValueError: no run with these pictures and options stands there.
        """
        if checkpoint.place is not None:
            check_place(checkpoint.place, self._start, self.options)
            self.last = progress_at(
                *(checkpoint.place, self._start, self.options),
                None if self._memory is None else self._budget,
                self._kept,
            )
            self._bookmark.place = checkpoint.place
        self.notes, self.attachment = checkpoint.notes, checkpoint.attachment
        self._checkpoints.add(os.path.realpath(path))
        for name, now in _machine(self._features).items():
            if checkpoint.machine.get(name) != now:
                self.warnings.append(
                    f"the run was begun with {name} {checkpoint.machine.get(name)}, this is {now}; "
                    "small differences may follow"
                )

    def _record(self) -> dict[str, Any]:
        """The settings, with what lack of memory has forced on the run so far, if anything."""
        limits = [limit.model_dump(exclude_none=True) for limit in self._bookmark.limits]
        return {**self._settings, **({"limits": limits} if limits else {})}

    @property
    def pictures_sha256(self) -> str:
        """Digest of the photo, paintings and start picture as they were prepared."""
        if not self._digest:
            digest = hashlib.sha256()
            masks = [*(painting.weight for painting in self._paintings), *self._masks]
            pictures = [painting.picture for painting in self._paintings]
            photo = self._coloring.photo
            if photo is not None and photo is not self._coloring.seen:
                # Its colours come back in the end.
                pictures.append(_tensor(photo))
            for tensor in [self._photo, self._start, self._coarse, *pictures, *masks]:
                if tensor is not None:
                    digest.update(f"{tuple(tensor.shape)}".encode())
                    digest.update(tensor.cpu().contiguous().numpy().data)
            self._digest = digest.hexdigest()
        return self._digest

    @property
    def result(self) -> Picture:
        """The best picture so far, at the full size; before the first evaluation, the start."""
        if self.last is not None:
            picture = self.last.picture
        elif self._coarse is not None:
            picture = climb(self._coarse, self._start, self.options, self._kept)
        else:
            picture = self._start.clamp(0, 1)
        settings = self._record()
        if self.last is not None:
            terms = self.last.best_terms
            settings["result"] = {
                "evaluations": self.last.done,
                "loss": terms.loss,
                "content": terms.content,
                "style": terms.style,
                "tv": terms.tv,
            }
        return Picture(self._finished(picture), settings, self.last)

    def shown(self, progress: Progress) -> Bitmap:
        """The picture of an evaluation as a result: with the photo's own edges where these are to
        be kept, in its final colours and with transparency."""
        return self._finished(progress.picture)

    def _finished(self, picture: Tensor) -> Bitmap:
        picture = picture.detach().float().cpu()
        if self._photo is not None and self.options.photoreal_weight > 0:
            picture = as_photograph(picture, self._photo)
            if self._kept is not None:
                # Its edges are those of its mask.
                picture = self._kept.put_into(picture)
        photo = self._coloring.photo
        pixels = self._coloring.finished(picture[0].numpy())
        return Bitmap(pixels, None if photo is None else photo.alpha, 8, self._dpi)


def stylization(
    content: ImageSource | Loaded | None,
    style: ImageSource | Loaded | Sequence[ImageSource | Loaded],
    options: StyleOptions | None = None,
    *,
    start: ImageSource | Loaded | None = None,
    masks: Sequence[ImageSource] = (),
    style_masks: Sequence[ImageSource | None] = (),
    fine: ImageSource | None = None,
    coarse: ImageSource | None = None,
    memory: int | None = None,
    limits: Iterable[Limit] = (),
    networks: Networks | None = None,
) -> Stylization:
    """Prepares a run; iterate over it to make the picture form.

    `options.threads`, where given, sets PyTorch's threads for the whole process.

    Args:
        content: the photo: a path, `sample:NAME` for a bundled photo, `style:NAME` for a built-in
            style picture, the bytes of a file, a PIL image, an array or a `Bitmap`. `None` leaves
            the content term out: the result is a texture in the painting's shape.
        style: one painting or several, likewise; none only where the style weight is 0.
        options: how; the defaults if not given.
        start: a third image to start from; implies `start="image"`.
        masks: of the photo's regions: grey pictures of any size, white where the region is, or
            label pictures as `FILE#rrggbb` with the colour that is meant. Which paintings each gets
            follows from `options.regions`; without, each painting has its mask.
        style_masks: for each painting a mask of the part that lends its style, or `None`.
        fine: a painting that lends all others its fine texture.
        coarse: a smaller result of the same pictures to go on from, such as a preview: only levels
            that are larger are worked at.
        memory: bytes that the process may hold where the options do not say; by default a share of
            what is free. It is recorded only where it has a say in the result.
        limits: what lack of memory forced on the run when it was made before.
        networks: where to look for the network first; by default it is loaded for this run.

    Raises:
        ImageError: a picture cannot be read.
        OptionError: options that do not fit the pictures or each other.
        WeightsError: the network's weights cannot be loaded.
    """
    began = time.monotonic()
    options = StyleOptions() if options is None else options
    if not isinstance(options, StyleOptions):
        raise OptionError(
            f"options: give a StyleOptions, such as StyleOptions(size=512), not a "
            f"{type(options).__name__}"
        )
    several = isinstance(style, Sequence) and not isinstance(
        style, str | bytes | bytearray | memoryview
    )
    sources: list[Any] = list(cast("Sequence[Any]", style)) if several else [style]
    if start is not None and options.start != "image":
        options = options.model_copy(update={"start": "image"})
    for name, given in ("masks", masks), ("style_masks", style_masks):
        if not isinstance(given, list | tuple):
            raise OptionError(f"{name}: give a list, not a {type(given).__name__}")
    settings = _record(options, content, sources, start)
    settings["coarse"] = describe_source(coarse)
    settings["masks"] = [describe_source(mask) for mask in masks]
    settings["style_masks"] = [describe_source(mask) for mask in style_masks]
    settings["fine"] = describe_source(fine)
    if content is None and options.photoreal_weight > 0:
        raise OptionError(
            "--photoreal-weight: there is no photo whose edges could be kept; leave it and "
            "--preset photo-real out"
        )
    if not sources and options.style_weight > 0:
        raise OptionError(
            "there is no painting: give one, or leave style out with --style-weight 0"
        )
    chosen = resolve(options, len(sources), len(masks))
    if all((one.color or options.color) == "only" or one.keep for one in chosen):
        for flag, given in ("--fine-style", fine), ("--photoreal-weight", options.photoreal_weight):
            if given:
                raise OptionError(f"{flag}: --color only paints nothing; leave one of them out")
    _check_photo(options, chosen, content)
    if style_masks and len(style_masks) != len(sources):
        raise OptionError(
            f"--style-mask: {len(style_masks)} masks for {len(sources)} paintings; give one for "
            "each, - for none"
        )
    photo = None if content is None else read_source(content, options.max_pixels, options.size)
    large = painting_size(options, chosen)
    styles = [read_painting(source, options.max_pixels, large) for source in sources]
    shown_in = photo or (styles[0] if styles else None)
    if shown_in is None:
        raise OptionError("give a photo or a painting to work from")
    shape = (shown_in.width, shown_in.height)
    if options.aspect is not None:
        # As many pixels as make rounding nothing; only the proportion counts.
        across, down = parse_aspect(options.aspect)
        shape = fit_within(round(across / down * 1e6), 10**6, 10**6)
    width, height, shown = _shape(shape, options)
    if options.preview:
        if coarse is not None:
            raise OptionError("--preview: the run goes on from a preview already; leave it out")
        options = preview_options(options, width, height)
        width, height, shown = _shape(shape, options)
    small = None if coarse is None else _lower(coarse, options, width, height)
    if photo is not None:
        photo = _visible(resize_image(_cut(photo, shown), width, height))
    style_covers = [
        None if mask is None else read_mask(mask, options.max_pixels)
        for mask in style_masks or [None] * len(sources)
    ]
    left, top, right, bottom = shown
    box = (left / shape[0], top / shape[1], right / shape[0], bottom / shape[1])
    covers = [_cover(mask, options, width, height, box) for mask in masks]
    palettes = [_covered(one, mask) for one, mask in zip(styles, style_covers, strict=True)]
    apart = _colors_apart(options, chosen, bool(covers))
    if apart:
        parts = _parts(options, chosen, covers_of(chosen, covers))
        options = _recolored_apart(options, chosen)
    else:
        parts = [_whole_part(options, len(sources), kept_mask(options, len(sources), covers))]
    coloring = Coloring(photo, palettes, parts, options.color_method, options.color_space)
    painted = [part for part in parts if not apart or part.color != "only"]
    paintings = [
        _painting(replace(styles[i], pixels=colored.pixels), sources[i], style_covers[i])
        for part in painted
        for i, colored in zip(part.paintings, coloring.painted_with(part), strict=True)
    ]
    lower = None
    if small is not None:
        lower = _tensor(replace(small, pixels=coloring.taken_up(small.pixels)))
    third = None
    if start is not None:
        image = read_source(start, options.max_pixels, options.size)
        if (image.width, image.height) == shape:
            image = _cut(image, shown)
        image = _visible(resize_image(image, width, height))
        third = _tensor(replace(image, pixels=coloring.faded(image.pixels)))
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    first = start_picture(
        options.start,
        width,
        height,
        content=None if coloring.seen is None else _tensor(coloring.seen),
        regions=regions_of(options, paintings, covers),
        image=third,
        seed=options.seed,
    )
    features = (networks or Networks()).of(options, grain.LAYERS if fine else ())
    settings["weights_sha256"] = features.sha256
    settings["precision"] = format_of(features)
    memory = options.memory or memory or memory_budget(features.device)
    if fine is not None:
        lender = _painting(read_source(fine, options.max_pixels, options.size), fine, None)
        largest = _largest_scales(options, len(paintings), len(covers))
        paintings = [
            grain.with_grain(features, one, lender, options, scale=largest[i], memory=memory)
            for i, one in enumerate(paintings)
        ]
    levels = plan_levels(options, width, height, 0 if lower is None else max(lower.shape[-2:]))
    budget = budget_for(memory, features, paintings, covers)
    shares = [allotment(level, options, budget) for level in levels]
    if any(share.bounded for share in shares):
        # Tiles and histories depend on it, and rounding on them.
        settings["options"]["memory"] = memory
    run = Stylization(
        *(features, coloring, paintings, first, options, settings, memory, lower, limits, covers)
    )
    run.count_from(began)
    least = max((share.expected for share in shares), default=0)
    if least > memory:
        run.warnings.append(_too_little(memory, least, given=options.memory is not None))
    return run


def _too_little(memory: int, least: int, *, given: bool) -> str:
    have, need = f"{memory / 1e9:.2f} GB", f"{least / 1e9:.2f} GB"
    if given:
        return (
            f"--memory: the run takes at least {need}, more than {have}, and goes on all the same; "
            "a smaller --size takes less"
        )
    return (
        f"the run takes at least {need}, and only {have} may be taken of what is free; it goes on, "
        "but may run out of memory; a smaller --size takes less"
    )


def stylize(
    content: ImageSource,
    style: ImageSource | Sequence[ImageSource],
    options: StyleOptions | None = None,
    *,
    start: ImageSource | None = None,
    masks: Sequence[ImageSource] = (),
    style_masks: Sequence[ImageSource | None] = (),
    fine: ImageSource | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Picture:
    """Repaints a photo in the style of one or several paintings.

    Args:
        content: the photo: a path, `sample:NAME` for a bundled photo, `style:NAME` for a built-in
            style picture, the bytes of a file, a PIL image, an array or a `Bitmap`.
        style: one painting or several, likewise.
        options: how; the defaults if not given.
        start: a third image to start from.
        masks: of the photo's regions; see `stylization`.
        style_masks: of the paintings; see `stylization`.
        fine: a painting that lends all others its fine texture.
        on_progress: called after every evaluation.

    Returns:
        The picture; `save` writes it.

    Raises:
        ImpastoError: anything that `impasto.errors` lists.
    """
    run = stylization(
        *(content, style, options),
        start=start,
        masks=masks,
        style_masks=style_masks,
        fine=fine,
    )
    for progress in run:
        if on_progress is not None:
            on_progress(progress)
    return run.result


def feature_maps(
    picture: ImageSource,
    layers: Sequence[str],
    *,
    model: str = "vgg19",
    size: int = 256,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """What a network's layers see in a picture.

    Args:
        picture: as for `stylize`.
        layers: names in either scheme.
        model: `vgg16` or `vgg19`, with `:VARIANT` if wanted.
        size: long side to which the picture is brought, px.
        max_pixels: largest picture file to read, in pixels.

    Returns:
        The resized picture `(H, W, 3)`, and layer → feature maps `(C, h, w)`, ≥ 0.
    """
    bitmap = read_source(picture, max_pixels)
    bitmap = _visible(
        resize_image(bitmap, *fit_within(bitmap.width, bitmap.height, check_side(size)))
    )
    features = Features(model, layers=layers)
    with torch.no_grad():
        found = features.extract(_tensor(bitmap), layers)
    maps = {name: found[name][0].contiguous().numpy() for name in found}
    return np.ascontiguousarray(bitmap.pixels.transpose(1, 2, 0)), maps


def network_input(
    picture: ImageSource,
    *,
    model: str = "vgg19",
    size: int = 256,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """What a network is given of a picture.

    Args:
        picture: as for `stylize`.
        model: `vgg16` or `vgg19`, with `:VARIANT` if wanted.
        size: long side to which the picture is brought, px.
        max_pixels: largest picture file to read, in pixels.

    Returns:
        The resized picture `(H, W, 3)`, and the numbers that enter the first convolution, channel
        by channel in its order: formula → `(H, W)`.
    """
    bitmap = read_source(picture, max_pixels)
    bitmap = _visible(
        resize_image(bitmap, *fit_within(bitmap.width, bitmap.height, check_side(size)))
    )
    features = Features(model, layers=())
    planes = features.preprocess(_tensor(bitmap))[0].numpy()
    kind = features.preprocessing
    names = [
        f"{_CHANNELS[channel]}{'' if kind.scale == 1 else f' · {kind.scale:g}'} − {mean:g}"
        for channel, mean in zip(kind.channel_order, kind.mean, strict=True)
    ]
    if set(kind.std) != {1.0}:
        names = [f"({name}) / {std:g}" for name, std in zip(names, kind.std, strict=True)]
    shown = np.ascontiguousarray(bitmap.pixels.transpose(1, 2, 0))
    return shown, dict(zip(names, planes, strict=True))


_CHANNELS = {"r": "red", "g": "green", "b": "blue"}


def check_side(size: int) -> int:
    """A long side in px.

    Raises:
        OptionError: it is out of range.
    """
    if not 1 <= size <= MAX_SIDE:
        raise OptionError(f"--size {size}: must lie in 1 to {MAX_SIDE}")
    return size


def _tensor(bitmap: Bitmap) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(bitmap.pixels))[None]


def painting_size(options: StyleOptions, chosen: Sequence[RegionOptions]) -> int:
    """Long side of the largest result whose paintings a run's are, by their scales: px.

    Args:
        options: of the run.
        chosen: from `regions.resolve`.
    """
    return min(MAX_SIDE, math.ceil(largest_scale(options, chosen) * options.size))


def read_painting(source: Any, max_pixels: int, size: int) -> Bitmap:
    """A painting, no larger than a run looks at: twice that size.

    Raises:
        ImageError: it cannot be read.
    """
    return _no_larger(read_source(source, max_pixels, size), 2 * size)


def _no_larger(bitmap: Bitmap, side: int) -> Bitmap:
    if max(bitmap.width, bitmap.height) <= side:
        return bitmap
    return resize_image(bitmap, *fit_within(bitmap.width, bitmap.height, side))


_Box = tuple[int, int, int, int]


def _shape(shape: tuple[int, int], options: StyleOptions) -> tuple[int, int, _Box]:
    """Width and height of the result in px, and what part of a picture of some shape it shows."""
    if options.print is None:
        width, height = fit_within(*shape, options.size)
        shown = (0, 0, *shape)
    else:
        width, height, shown = print_size(
            parse_paper(options.print),
            options.print_dpi,
            *shape,
            fill=options.print_fit == "fill",
        )
    if options.tileable:
        width, height = whole_strides(width, height)
    return width, height, shown


def _lower(coarse: Any, options: StyleOptions, width: int, height: int) -> Bitmap:
    """The picture to go on from, without the colours of invisible pixels.

    Raises:
        ImageError: it cannot be read.
        OptionError: it is as large as the result, or of another shape.
    """
    bitmap = _visible(read_source(coarse, options.max_pixels))
    side = max(bitmap.width, bitmap.height)
    if side >= max(width, height):
        raise OptionError(
            f"the picture has {side} px already, and the result would have {max(width, height)}; "
            "give a larger --size or --print"
        )
    expected = level_size(width, height, side)
    # The sides of tileable pictures are rounded at every level.
    room = 16 if options.tileable else 2
    if max(abs(expected[0] - bitmap.width), abs(expected[1] - bitmap.height)) > room:
        raise OptionError(
            f"the picture has {bitmap.width} x {bitmap.height} px, which is not the shape of the "
            f"result, {width} x {height} px; continue it on the same sheet (--print, --print-fit), "
            "or run stylize anew"
        )
    return bitmap


def _cut(bitmap: Bitmap, shown: _Box) -> Bitmap:
    left, top, right, bottom = shown
    if (right - left, bottom - top) == (bitmap.width, bitmap.height):
        return bitmap
    alpha = None if bitmap.alpha is None else bitmap.alpha[top:bottom, left:right]
    return replace(bitmap, pixels=bitmap.pixels[:, top:bottom, left:right], alpha=alpha)


def _visible(bitmap: Bitmap) -> Bitmap:
    """Invisible pixels hold arbitrary colours (often black): the mean visible colour instead."""
    if bitmap.alpha is None or float(bitmap.alpha.min()) >= 1 / 255:
        return bitmap
    seen = bitmap.alpha >= 1 / 255
    mean = bitmap.pixels[:, seen].mean(axis=1) if seen.any() else np.full(3, 0.5, np.float32)
    pixels = np.where(seen, bitmap.pixels, mean[:, None, None]).astype(np.float32)
    return replace(bitmap, pixels=pixels)


def _check_photo(options: StyleOptions, chosen: Sequence[RegionOptions], content: Any) -> None:
    """Refuses what only a photo can give.

    Raises:
        OptionError: there is none.
    """
    if content is not None:
        for name in ("aspect", "tileable"):
            if getattr(options, name):
                raise OptionError(
                    f"--{name}: only for textures, and here is a photo; use impasto texture, or "
                    "leave it out"
                )
        return
    if options.strength < 1 or any(one.strength is not None and one.strength < 1 for one in chosen):
        raise OptionError("--strength: there is no photo to stay close to; leave it out")
    if any(one.keep for one in chosen):
        raise OptionError("--regions: there is no photo to keep; leave the region out")


def _cover(
    mask: ImageSource, options: StyleOptions, width: int, height: int, box: tuple[float, ...]
) -> Tensor:
    """A mask of the photo as it is cut and sized for the result, `(height, width)` in [0, 1].

    Raises:
        ImageError: it cannot be read, or nothing of its region is left.
    """
    cover = fit_mask(read_mask(mask, options.max_pixels), width, height, box)
    if float(cover.max()) < 1 / 255:
        name = split_label(mask)[0] if isinstance(mask, str | os.PathLike) else "the mask"
        raise ImageError(
            f"{name}: nothing of its region is left in the result; it is cut off by --print-fit "
            "fill, or too small at this size"
        )
    return torch.from_numpy(cover)


def _largest_scales(options: StyleOptions, paintings: int, masks: int) -> list[float]:
    """For each painting the largest scale at which any region has it."""
    found = [0.0] * paintings
    for one in resolve(options, paintings, masks):
        for number, scales in zip(one.styles, scales_of(options, one), strict=True):
            found[number - 1] = max(found[number - 1], *scales)
    return found


def _colors_apart(options: StyleOptions, chosen: Sequence[RegionOptions], masked: bool) -> bool:
    """Whether regions are coloured each for itself."""
    if not masked:
        return False
    colors = {one.color or options.color for one in chosen if not one.keep}
    return colors != {"painting"} and bool(colors)


def _parts(
    options: StyleOptions, chosen: Sequence[RegionOptions], covers: Sequence[Tensor | None]
) -> list[Part]:
    """The regions as parts of a `Coloring`."""
    return [
        Part(
            "painting" if one.keep else one.color or options.color,
            _color_strength(options, one),
            tuple(number - 1 for number in one.styles),
            shares_of(options, one),
            None if cover is None else cover.numpy(),
        )
        for one, cover in zip(chosen, covers, strict=True)
    ]


def _color_strength(options: StyleOptions, one: RegionOptions) -> float:
    """How far a region's colours go; where only they change, its strength is theirs."""
    given = options.color_strength if one.color_strength is None else one.color_strength
    if (one.color or options.color) == "only":
        given *= options.strength if one.strength is None else one.strength
    return given


def _recolored_apart(options: StyleOptions, chosen: Sequence[RegionOptions]) -> StyleOptions:
    """The options of a run whose regions have paintings of their own, each in its own colours, one
    region's after the other's. Where only colours change, nothing is painted."""
    regions: list[RegionOptions] = []
    first = 1
    for one in chosen:
        if one.keep or (one.color or options.color) == "only":
            regions.append(RegionOptions(keep=True))
            continue
        apart = {
            "styles": tuple(range(first, first + len(one.styles))),
            "shares": shares_of(options, one),
            "scale": scales_of(options, one),
        }
        first += len(one.styles)
        regions.append(one.model_copy(update=apart))
    changes: dict[str, Any] = {"style_weights": (), "style_scale": ((1.0,),), "color": "painting"}
    if first == 1:
        changes |= {"color": "only", "start": "content"}
    return options.model_copy(update={**changes, "regions": tuple(regions)})


def _whole_part(options: StyleOptions, paintings: int, kept: Tensor | None) -> Part:
    """All that is painted, as one part of a `Coloring`."""
    shares = tuple(options.style_weights) or (1.0,) * paintings
    mask = None if kept is None else (1 - kept).cpu().numpy()
    strength = _color_strength(options, RegionOptions())
    return Part(options.color, strength, tuple(range(paintings)), shares, mask)


def _covered(bitmap: Bitmap, mask: Bitmap | None) -> Bitmap:
    """A painting of which what its mask leaves out cannot be seen."""
    if mask is None:
        return bitmap
    cover = fit_mask(mask, bitmap.width, bitmap.height, (0, 0, 1, 1))
    return replace(bitmap, alpha=cover if bitmap.alpha is None else bitmap.alpha * cover)


def _painting(bitmap: Bitmap, source: Any, mask: Bitmap | None) -> Painting:
    if isinstance(source, Loaded):
        source = source.record["path"] or None
    name = source if isinstance(source, str | os.PathLike) else "the painting"
    if bitmap.alpha is not None and float(bitmap.alpha.max()) < 1 / 255:
        raise ImageError(
            f"{name}: is fully transparent, so there is no style in it; choose another"
        )
    weight = _covered(bitmap, mask).alpha
    if weight is not None and float(weight.max()) < 1 / 255:
        raise ImageError(f"{name}: nothing of it is visible in its --style-mask; check both")
    if weight is None:
        return Painting(_tensor(bitmap))
    return Painting(_tensor(_visible(bitmap)), torch.from_numpy(weight.copy()))


def _machine(features: Features) -> dict[str, Any]:
    """What else the last bits of a result depend on."""
    processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {
        "device": features.device.type,
        "precision": format_of(features),
        "processor": processor,
        "kernels": features.kernels,
        "threads": torch.get_num_threads(),
    }


def _record(
    options: StyleOptions, content: Any, styles: Sequence[Any], start: Any
) -> dict[str, Any]:
    return {
        "version": SETTINGS_VERSION,
        "impasto": impasto.__version__,
        "torch": torch.__version__,
        "options": options.model_dump(mode="json", exclude={"preset"}) | {"preset": options.preset},
        "content": describe_source(content),
        "styles": [describe_source(style) for style in styles],
        "start": describe_source(start),
    }
