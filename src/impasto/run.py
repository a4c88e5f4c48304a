"""From picture files and options to a finished, saved picture.

`stylize` does it in one call. `stylization` prepares the same run and is iterated for its
`Progress`; its `result` is the best picture so far at any moment. A picture that is saved carries
the settings that made it. A run that is not finished can be put into a file with
`Stylization.checkpoint`, from which `impasto.reproduction.resume` takes it up again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from torch import Tensor

import impasto
from impasto import grain
from impasto.checkpoint import Bookmark, Checkpoint, write_checkpoint
from impasto.coloring import Coloring
from impasto.devices import Networks, format_of
from impasto.errors import OptionError
from impasto.features import Features
from impasto.framing import visible
from impasto.images import (
    DEFAULT_MAX_PIXELS,
    Bitmap,
    ImageSource,
    encode_image,
    fit_within,
    resize_image,
    write_image,
)
from impasto.inputs import as_tensor, check_side, read_inputs
from impasto.levels import allotment, budget_for, plan_levels
from impasto.matting import as_photograph
from impasto.memory import Budget, Limit, memory_budget
from impasto.optimize import Progress, climb, optimize, progress_at
from impasto.options import StyleOptions
from impasto.pairing import resolve
from impasto.pixel_terms import Held
from impasto.places import check_place, levels_left
from impasto.planning import Plan, make_plan
from impasto.regions import kept_part, regions_of, scales_of
from impasto.repainting import Repainter, network_for, repainted
from impasto.sources import Loaded, describe_source, is_built_in, read_source, split_label
from impasto.starts import start_picture
from impasto.targets import Kept, Painting, level_size, resize

SETTINGS_VERSION = 1
"""Version of the record that pictures carry."""


class Change(BaseModel):
    """A strength that a run took on while it went on.

    Attributes:
        after: evaluations that had been made before it.
        strength: as the option.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    after: int = Field(ge=0)
    strength: float = Field(ge=0, le=1)


CHANGES = TypeAdapter(list[Change])
"""Reads the `strengths` of a record."""


@dataclass(frozen=True, eq=False)
class Hold:
    """A result that another one is to stay close to, such as that of the frame before.

    Attributes:
        pixels: float32 `(3, H, W)` in [0, 1], in final colours.
        trust: float32 `(H, W)` in [0, 1]: how much that counts at each pixel.
        weight: of the distance in the objective.
    """

    pixels: NDArray[np.float32]
    trust: NDArray[np.float32]
    weight: float


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
        held: a picture to stay close to where it is trusted.
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
        held: Held | None = None,
    ) -> None:
        self.options = options
        self.last: Progress | None = None
        self.warnings: list[str] = []
        self.notes: dict[str, Any] = {}
        self.attachment = b""
        self._coloring, self._start, self._settings = coloring, start, settings
        self._photo = None if coloring.seen is None else as_tensor(coloring.seen)
        content = coloring.photo
        self._dpi = None if content is None else content.dpi
        if options.print is not None or options.dpi is not None:
            self._dpi = options.print_dpi
        self._paintings, self._features, self._memory = paintings, features, memory
        self._coarse, self._masks, self._held = coarse, masks, held
        self._bookmark = Bookmark(limits=list(limits))
        self._digest, self._checkpoints = "", set[str]()
        self._changes: list[Change] = []
        self._ahead: list[Change] = []
        self._closed = False
        self._small: Coloring | None = None
        self._progress = self._optimize()

    def _optimize(self, *, afresh: bool = False) -> Iterator[Progress]:
        return optimize(
            *(self._features, self._photo, self._paintings, self._start, self.options),
            masks=self._masks,
            memory=self._memory,
            coarse=self._coarse,
            bookmark=self._bookmark,
            afresh=afresh,
            held=self._held,
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
        return self._kept_of(self._coloring)

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
            NotFiniteError: the loss is not finite even at the start.
            RunError: memory ran out.
        """
        if self._ahead and self._ahead[0].after <= self._done and not self._closed:
            # In this order an interrupt in between costs no change; twice is as good as once.
            self._take_on(self._ahead[0])
            del self._ahead[0]
        self.last = next(self._progress)
        return self.last

    @property
    def _done(self) -> int:
        return 0 if self.last is None else self.last.done

    def change(self, *, strength: float) -> None:
        """Gives the run another strength from its next evaluation on.

        The pictures and the best picture so far stay; what the picture has to match, and so the
        loss, becomes another, and the minimiser begins anew with it. Regions with a strength of
        their own keep it. The settings of the result say what changed when, and a checkpoint keeps
        it.

        Args:
            strength: as the option.

        Raises:
            OptionError: it is out of range, or there is no photo to stay close to or nothing to
                paint.
        """
        if not 0 <= strength <= 1:
            raise OptionError(f"--strength {strength:g}: must lie in 0 to 1")
        options = self.options.model_copy(update={"strength": strength})
        chosen = resolve(options, len(self._paintings), len(self._masks))
        if self._photo is None and strength < 1:
            raise OptionError("--strength: there is no photo to stay close to; leave it out")
        if all((one.color or options.color) == "only" or one.keep for one in chosen):
            raise OptionError("--strength: --color only paints nothing; run it again instead")
        self.follow([Change(after=self._done, strength=strength)])

    @property
    def strength(self) -> float:
        """The strength that the next evaluation has."""
        due = [change for change in self._ahead if change.after <= self._done]
        return due[0].strength if due else self.options.strength

    def follow(self, changes: Iterable[Change]) -> None:
        """Has the run take on strengths when so many evaluations are made, such as those of a run
        that it repeats; in place of all that it was to take on."""
        self._ahead = sorted(changes, key=lambda change: change.after)

    def _take_on(self, change: Change) -> None:
        self._progress.close()  # pyright: ignore[reportAttributeAccessIssue]
        self._changes = [c for c in self._changes if c.after < change.after] + [change]
        self.options = self.options.model_copy(update={"strength": change.strength})
        self._progress = self._optimize(afresh=True)

    def count_from(self, began: float) -> None:
        """Lets the run's time, and its limit, begin at a moment of `time.monotonic` before its
        first evaluation; by default when it began to be prepared."""
        self._bookmark.began = began

    def close(self) -> None:
        """Cancels the run; `result` still answers."""
        self._closed = True
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
        self._ahead = CHANGES.validate_python(checkpoint.settings.get("strengths", []))
        while self._ahead and self._ahead[0].after < self._done:
            # Those after the last evaluation are still to be taken on.
            self._take_on(self._ahead.pop(0))
        self._progress = self._optimize()
        self.notes, self.attachment = checkpoint.notes, checkpoint.attachment
        self._checkpoints.add(os.path.realpath(path))
        for name, now in _machine(self._features).items():
            if checkpoint.machine.get(name) != now:
                self.warnings.append(
                    f"the run was begun with {name} {checkpoint.machine.get(name)}, this is {now}; "
                    "small differences may follow"
                )

    def _record(self) -> dict[str, Any]:
        """The settings, with what lack of memory has forced on the run so far, and the strengths
        that it has taken on or is to take on, if any."""
        limits = [limit.model_dump(exclude_none=True) for limit in self._bookmark.limits]
        # Where several came after one evaluation, or one is being taken on, the last counts.
        last = {change.after: change for change in (*self._changes, *self._ahead)}
        changes = [change.model_dump() for change in last.values()]
        found = {"limits": limits, "strengths": changes}
        return {**self._settings, **{name: value for name, value in found.items() if value}}

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
                pictures.append(as_tensor(photo))
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
        # What no evaluation followed has made nothing.
        changes = [c.model_dump() for c in self._changes if c.after < self._done]
        settings.pop("strengths", None)
        if changes:
            settings["strengths"] = changes
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

    def glimpse(self, side: int) -> Bitmap:
        """The best picture so far in its final colours, small: never larger than the level that
        it comes from, and so without the photo's detail that a coarse level lacks.

        It costs as much as its size, not the result's. Where colours or edges are the photo's,
        they come from the photo at this size.

        Args:
            side: longest side, px.
        """
        if self.last is not None:
            picture = self.last.best
        else:
            picture = self._start if self._coarse is None else self._coarse
        side = min(side, max(picture.shape[-2:]))
        width, height = level_size(self.width, self.height, side)
        picture = resize(picture.detach().float(), height, width).clamp(0, 1).cpu()
        coloring = self._coloring_at(width, height)
        kept = self._kept_of(coloring)
        if kept is not None:
            picture = kept.put_into(picture)
        return self._finished(picture, coloring)

    def _coloring_at(self, width: int, height: int) -> Coloring:
        """The coloring with the photo at a size; the last one is kept."""
        found, photo = self._small or self._coloring, self._coloring.photo
        if photo is None or (width, height) == (self.width, self.height):
            return self._coloring
        if found.photo is None or (found.photo.width, found.photo.height) != (width, height):
            found = replace(self._coloring, photo=resize_image(photo, width, height))
            self._small = found
        return found

    def _kept_of(self, coloring: Coloring) -> Kept | None:
        """What stays as it is in the photo, at the size that a coloring has it."""
        photo = None if coloring.seen is None else as_tensor(coloring.seen)
        return kept_part(self.options, photo, len(self._paintings), self._masks)

    def _finished(self, picture: Tensor, coloring: Coloring | None = None) -> Bitmap:
        """The picture of a run, at the size of the coloring's photo, as it is shown."""
        coloring = coloring or self._coloring
        picture = picture.detach().float().cpu()
        if coloring.seen is not None and self.options.photoreal_weight > 0:
            photo = as_tensor(coloring.seen)
            picture = as_photograph(picture, photo)
            kept = self._kept_of(coloring)
            if kept is not None:
                # Its edges are those of its mask.
                picture = kept.put_into(picture)
        photo = coloring.photo
        pixels = coloring.finished(picture[0].numpy())
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
    refine: str | None = None,
    memory: int | None = None,
    limits: Iterable[Limit] = (),
    networks: Networks | None = None,
    held: Hold | None = None,
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
        refine: start from what a transfer network makes of the pictures: `auto`, or its name or
            file, as `impasto.transfer.repaint` takes them.
        memory: bytes that the process may hold where the options do not say; by default a share of
            what is free. It is recorded only where it has a say in the result.
        limits: what lack of memory forced on the run when it was made before.
        networks: where to look for the network first; by default it is loaded for this run.
        held: a result that this one is to stay close to; no record and no checkpoint knows of it.

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
    settings = record_of(options, content, sources, start)
    settings["coarse"] = describe_source(coarse)
    settings["masks"] = [describe_source(mask) for mask in masks]
    settings["style_masks"] = [describe_source(mask) for mask in style_masks]
    settings["fine"] = describe_source(fine)
    if refine is not None:
        _check_refined(options, start, coarse)
    inputs = read_inputs(
        *(content, sources, options),
        start=start,
        masks=masks,
        style_masks=style_masks,
        fine=fine,
        coarse=coarse,
    )
    options, paintings, covers = inputs.options, inputs.paintings, inputs.masks
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if refine is not None:
        repainter = Repainter(
            network_for(sources) if refine == "auto" else refine,
            device=options.device,
            fast=options.fast_convolution,
        )
        first = repainted(repainter, inputs, sources)
        settings["refine"] = repainter.record
    else:
        first = start_picture(
            *(options.start, inputs.width, inputs.height),
            content=inputs.photo,
            regions=regions_of(options, paintings, covers),
            image=inputs.start,
            seed=options.seed,
        )
    features = (networks or Networks()).of(options, grain.LAYERS if fine else ())
    settings["weights_sha256"] = features.sha256
    settings["precision"] = format_of(features)
    memory = options.memory or memory or memory_budget(features.device)
    if inputs.fine is not None:
        largest = _largest_scales(options, len(paintings), len(covers))
        paintings = [
            grain.with_grain(features, one, inputs.fine, options, scale=largest[i], memory=memory)
            for i, one in enumerate(paintings)
        ]
    lower = inputs.coarse
    above = 0 if lower is None else max(lower.shape[-2:])
    levels = plan_levels(options, inputs.width, inputs.height, above)
    budget = budget_for(memory, features, paintings, covers)
    shares = [allotment(level, options, budget) for level in levels]
    if any(share.bounded for share in shares):
        # Tiles and histories depend on it, and rounding on them.
        settings["options"]["memory"] = memory
    run = Stylization(
        *(features, inputs.coloring, paintings, first, options, settings, memory),
        coarse=lower,
        limits=limits,
        masks=covers,
        held=None if held is None else _held(held, inputs.coloring),
    )
    run.count_from(began)
    least = max((share.expected for share in shares), default=0)
    if least > memory:
        run.warnings.append(_too_little(memory, least, given=options.memory is not None))
    return run


def _check_refined(options: StyleOptions, start: Any, coarse: Any) -> None:
    """Refuses another picture to start from beside a network's.

    Raises:
        OptionError: there is one.
    """
    if start is not None or options.start != StyleOptions.model_fields["start"].default:
        flag = "--start-image" if start is not None else f"--start {options.start}"
        raise OptionError(f"{flag} and --refine exclude each other; leave one out")
    if coarse is not None:
        raise OptionError("--refine: the run goes on from a picture already; leave it out")


def _held(held: Hold, coloring: Coloring) -> Held:
    """A result in the colours that the run works in."""
    pixels = coloring.faded(held.pixels)
    trust = torch.from_numpy(np.ascontiguousarray(held.trust))
    return Held(torch.from_numpy(np.ascontiguousarray(pixels))[None], trust, held.weight)


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
    refine: str | None = None,
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
        refine: start from what a transfer network makes of it; see `stylization`.
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
        refine=refine,
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
    bitmap = visible(
        resize_image(bitmap, *fit_within(bitmap.width, bitmap.height, check_side(size)))
    )
    features = Features(model, layers=layers)
    with torch.no_grad():
        found = features.extract(as_tensor(bitmap), layers)
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
    bitmap = visible(
        resize_image(bitmap, *fit_within(bitmap.width, bitmap.height, check_side(size)))
    )
    features = Features(model, layers=())
    planes = features.preprocess(as_tensor(bitmap))[0].numpy()
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


def _largest_scales(options: StyleOptions, paintings: int, masks: int) -> list[float]:
    """For each painting the largest scale at which any region has it."""
    found = [0.0] * paintings
    for one in resolve(options, paintings, masks):
        for number, scales in zip(one.styles, scales_of(options, one), strict=True):
            found[number - 1] = max(found[number - 1], *scales)
    return found


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


def record_of(
    options: StyleOptions, content: Any, styles: Sequence[Any], start: Any
) -> dict[str, Any]:
    """The settings of a picture as far as they are known from its options and sources."""
    return {
        "version": SETTINGS_VERSION,
        "impasto": impasto.__version__,
        "torch": torch.__version__,
        "options": options.model_dump(mode="json", exclude={"preset"}) | {"preset": options.preset},
        "content": describe_source(content),
        "styles": [describe_source(style) for style in styles],
        "start": describe_source(start),
    }
