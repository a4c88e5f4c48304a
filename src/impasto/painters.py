"""What paints the frames of a clip: the optimiser, or a transfer network.

A painter knows nothing of clips. It is asked for one frame at a time, with what earlier results say
of it, and holds its own to that where it can be trusted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from impasto.clips import Frame
from impasto.devices import Networks, format_of, pick_device
from impasto.flow import Plane
from impasto.images import Bitmap
from impasto.inputs import painting_size, read_painting
from impasto.memory import memory_budget
from impasto.options import StyleOptions
from impasto.pairing import resolve
from impasto.paths import check_plain
from impasto.repainting import network_for
from impasto.run import Hold, stylization
from impasto.sources import Loaded, describe_source, split_label
from impasto.temporal import Expected
from impasto.transfer import Repainting, Repaintings, check_heeded

REACH = (1, 2, 4)
"""How many frames back the optimiser's frames are held to, the nearest first. A network's are held
to the last one only: each more would take as long as its own work."""

HOLD_UNIT = 10.0
"""A network's frames are half their own and half what is expected at this `hold`."""

SOFT_BORDER = 1.5
"""Deviation of the soft border of what is trusted, px."""

NEW_BORDER = 3.0
"""Deviation of the blur of the border between what is expected and what is new, px."""

LEAST_TRUSTED = 0.05
"""Part of a frame that must be trusted for its colours to tell those of the rest."""

MOST_STRETCH = 2.0
"""Most that the contrast of what is new gains: brushwork on a clear sky, which has next to none of
its own, would tear all else to black and white."""

FINE, AROUND = 1.5, 8.0
"""Deviations, px: of the blur that leaves out the fine parts of a picture, and of the neighbourhood
that their contrast is taken from."""

MOST_GAIN = 1.25
"""Most that they gain with a frame."""

TRIAL_SIDE = 32
"""Side of the grey frame that a network is tried with, px."""


@dataclass(frozen=True)
class Task:
    """What a painter is asked for: one frame.

    Attributes:
        frame: to repaint.
        shares: of the styles in it; none: as the painter's options have them.
        expected: what earlier results say of it; `None` where a scene begins.
        masks: the frame's own; `None` where none of the painter's moves.
        start: what may be begun with, `(3, H, W)` in [0, 1]; `None`: what is expected.
    """

    frame: Frame
    shares: tuple[float, ...] = ()
    expected: Expected | None = None
    masks: Sequence[Any] | None = None
    start: Plane | None = None


class Painter(Protocol):
    """What paints the frames.

    Attributes:
        reach: how many frames back a frame is held to, the nearest first.
        quick: whether flow is to be searched quickly.
        masks: of regions of all frames: pictures, or clips and folders of pictures that follow the
            clip.
    """

    reach: tuple[int, ...]
    quick: bool
    masks: Sequence[Any]

    def record(self) -> dict[str, Any]:
        """Plain data that its results depend on."""
        ...

    def paint(self, task: Task) -> Plane:
        """A frame repainted, `(3, H, W)` in [0, 1]."""
        ...


class _Painting:
    """What both painters know of a painting, and do alike.

    Args:
        styles: paintings, or names of styles.
        options: for each frame.
        masks: of regions of all frames; see `Painter.masks`.
        style_masks: of the paintings.
    """

    def __init__(
        self,
        styles: Sequence[Any],
        options: StyleOptions,
        masks: Sequence[Any],
        style_masks: Sequence[Any],
    ) -> None:
        if options.threads is not None:
            # From now on, so that records name them.
            torch.set_num_threads(options.threads)
        for mask in style_masks:
            if isinstance(mask, str | os.PathLike):  # each frame reads it anew
                check_plain(split_label(mask)[0], "--style-mask")
        self._styles, self._options = list(styles), options
        self.masks: Sequence[Any] = list(masks)
        self._style_masks = list(style_masks)

    def _load_styles(self) -> None:
        """Reads the paintings once for all frames."""
        options = self._options
        side = painting_size(options, resolve(options, len(self._styles), len(self.masks)))
        self._styles = [
            Loaded(read_painting(one, options.max_pixels, side), describe_source(one) or {})
            for one in self._styles
        ]

    def _sources(self) -> dict[str, Any]:
        """The part of a record that says what is painted with."""
        return {
            "styles": [describe_source(style) for style in self._styles],
            "masks": [describe_source(mask) for mask in self.masks],
            "style_masks": [describe_source(mask) for mask in self._style_masks],
            "threads": torch.get_num_threads(),
        }

    def _options_of(self, task: Task, **changes: Any) -> StyleOptions:
        """The options of one frame."""
        changes["size"] = max(task.frame.pixels.shape[1:])
        if task.shares:
            changes["style_weights"] = task.shares
        return self._options.model_copy(update=changes)

    def _masks_of(self, task: Task) -> Sequence[Any]:
        return self.masks if task.masks is None else task.masks


class OptimizerPainter(_Painting):
    """Paints by the optimiser.

    Args:
        styles: one painting or several, as `run.stylize` takes them.
        options: for each frame.
        hold: weight of the distance from what is expected.
        follow: evaluations of frames that something is expected of.
        masks: of regions of all frames; see `Painter.masks`.
        style_masks: of the paintings.

    Attributes:
        memory: bytes that the process may hold; at first the options', or what is free now.
    """

    def __init__(
        self,
        styles: Sequence[Any],
        options: StyleOptions,
        hold: float,
        follow: int,
        masks: Sequence[Any] = (),
        style_masks: Sequence[Any] = (),
    ) -> None:
        super().__init__(styles, options, masks, style_masks)
        self.reach: tuple[int, ...] = REACH
        self.quick = False
        self._hold, self._follow = hold, follow
        self._load_styles()
        self._networks = Networks()
        self.memory = options.memory or memory_budget(pick_device(options.device))

    def record(self) -> dict[str, Any]:
        """See `Painter.record`."""
        features = self._networks.of(self._options)
        return {
            "engine": "optimizer",
            "weights_sha256": features.sha256,
            "device": features.device.type,
            "precision": format_of(features),
            "options": self._options.model_dump(mode="json"),
            "hold": self._hold,
            "follow": self._follow,
            **self._sources(),
        }

    def paint(self, task: Task) -> Plane:
        """See `Painter.paint`."""
        frame, expected = task.frame, task.expected
        changes: dict[str, Any] = {}
        held, start = None, task.start
        if expected is not None:
            held = Hold(expected.pixels, expected.trust, self._hold)
            start = begun(frame.pixels, expected) if start is None else start
        if start is not None:
            changes = {"levels": (), "single_level": True, "evaluations": self._follow}
        run = stylization(
            *(Bitmap(frame.pixels, frame.alpha), self._styles),
            self._options_of(task, **changes),
            start=None if start is None else Bitmap(start),
            masks=self._masks_of(task),
            style_masks=self._style_masks,
            memory=self.memory,
            networks=self._networks,
            held=held,
        )
        for _ in run:
            pass
        return run.result.bitmap.pixels


class NetworkPainter(_Painting):
    """Paints by a transfer network, one pass for each frame.

    A network's results flicker where its input hardly changes. So each one is blended with what
    earlier results say, where that can be trusted: with a share `s` of the network's own, a change
    between frames is `s` times that of the network, and what was painted fades over `1/s` frames,
    which keeps repeated resampling from blurring it. Pictures are blended and not the network's
    features: that costs little beside the network, works with masks and colours, and needs no
    other network.

    Args:
        styles: paintings, or names of styles that the network knows.
        options: for each frame.
        network: `styles`, `any` or a file; `None`: as `transfer.repaint` chooses.
        hold: how strongly frames are held together: the share of the network's own picture is
            `1 / (1 + hold / 10)`.
        masks: of regions of all frames; see `Painter.masks`.
        style_masks: of the paintings.
    """

    def __init__(
        self,
        styles: Sequence[Any],
        options: StyleOptions,
        network: str | None,
        hold: float,
        masks: Sequence[Any] = (),
        style_masks: Sequence[Any] = (),
    ) -> None:
        check_heeded(options)
        super().__init__(styles, options, masks, style_masks)
        self.reach: tuple[int, ...] = (1,)
        self.quick = True
        self._network = network_for(styles) if network is None else network
        self._networks = Repaintings()
        self.share = 1 / (1 + hold / HOLD_UNIT)
        repainter = self._networks.of(self._network, options)
        self._record = {**repainter.record, "device": repainter.device.type}
        if repainter.knows_pictures:
            self._load_styles()

    def record(self) -> dict[str, Any]:
        """See `Painter.record`."""
        return {
            "engine": "network",
            "network": self._record,
            "options": self._options.model_dump(mode="json"),
            "share": self.share,
            **self._sources(),
        }

    def try_out(self) -> None:
        """Paints a small grey frame, which finds whatever may be wrong with styles and options.

        Raises:
            ImpastoError: the network cannot paint so.
        """
        grey = np.full((3, TRIAL_SIDE, TRIAL_SIDE), 0.5, np.float32)
        self.paint(Task(Frame(0, Fraction(0), Fraction(0), grey)))

    def paint(self, task: Task) -> Plane:
        """See `Painter.paint`."""
        frame, expected = task.frame, task.expected
        made = Repainting(
            *(Bitmap(frame.pixels, frame.alpha), self._styles),
            self._options_of(task),
            network=self._network,
            masks=self._masks_of(task),
            style_masks=self._style_masks,
            networks=self._networks,
            # It would stand still while things move through it.
            noise=0.0,
        )
        own = made.result().bitmap.pixels
        if expected is None:
            return own
        return blended(own, expected, self.share)


def begun(frame: Plane, expected: Expected) -> Plane:
    """What a frame's painting begins with: what is expected of it, and where that cannot be
    trusted, as behind what moves and at the borders of a pan, the frame itself with the mean and
    deviation that its colours have got elsewhere, within bounds. Expected pixels are smeared there,
    and what is painted in few evaluations keeps the smears.

    Args:
        frame: `(3, H, W)` in [0, 1].
        expected: what earlier results say.
    """
    trusted = expected.trust > 0.5
    new = frame
    if trusted.mean() > LEAST_TRUSTED:
        here, there = (
            np.asarray(pixels[:, trusted], np.float64) for pixels in (frame, expected.pixels)
        )
        gain = np.minimum(there.std(1) / np.maximum(here.std(1), 1 / 255), MOST_STRETCH)
        offset = there.mean(1) - gain * here.mean(1)
        new = np.clip(gain[:, None, None] * frame + offset[:, None, None], 0, 1)
    soft = np.minimum(1, 2 * cv2.GaussianBlur(expected.trust, (0, 0), NEW_BORDER))
    return np.asarray(new + soft * (expected.pixels - new), np.float32)


def blended(own: Plane, expected: Expected, share: float) -> Plane:
    """A frame's picture with what is expected of it, where that can be trusted.

    A mean of pictures whose strokes lie a little apart has less contrast in its fine parts than
    either, and less with each frame. So there it gets as much as its own picture has.

    Args:
        own: `(3, H, W)` in [0, 1].
        expected: what earlier results say.
        share: of its own picture, from 0 to 1.
    """
    # The borders between what is trusted and what is not would show.
    soft = cv2.GaussianBlur(expected.trust, (0, 0), SOFT_BORDER)
    past = np.float32(1 - share) * np.asarray(soft, np.float32) * expected.trust
    found = np.asarray(own + past * (expected.pixels - own), np.float32)
    if share >= 1:
        return found
    wanted, fine = own - _smooth(own, FINE), found - _smooth(found, FINE)
    one, other = (
        _smooth(np.square(part).mean(0, keepdims=True), AROUND) for part in (wanted, fine)
    )
    gain = np.clip(np.sqrt(one / np.maximum(other, 1e-6)), 1, MOST_GAIN) - 1
    return np.asarray(np.clip(found + past / (1 - share) * gain * fine, 0, 1), np.float32)


def _smooth(planes: Plane, spread: float) -> Plane:
    """Planes `(C, H, W)`, each blurred by a Gaussian of that deviation, px."""
    return np.stack([np.asarray(cv2.GaussianBlur(one, (0, 0), spread)) for one in planes])
