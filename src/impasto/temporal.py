"""What an earlier result says of the next frame: where everything has gone, and what is new.

A frame's result is held to those of some frames before it, moved along with the flow, where that
can be trusted; each pixel to the nearest frame that shows it (the long-term loss of Ruder,
Dosovitskiy & Brox, "Artistic Style Transfer for Videos", GCPR 2016, equations 8 and 9: what is
hidden for a moment comes back as it was). As the frames' masks exclude each other, their sum is one
picture with one mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from impasto.flow import Plane, look_up, match, warp

CUT_TRUST, CUT_ERROR = 0.3, 12.0
"""A frame begins a scene where less than this share of its pixels is found in the frame before and
that, moved along, differs by more than so much of 255; or by `CUT_ALWAYS`, whatever is found. In
the clips that were looked at, cuts had shares below 0.15 and quick motion above 0.45."""

CUT_ALWAYS = 40.0

CUT_CONTRAST, CUT_LEAST, CUT_GRAIN = 0.5, 3.0, 5
"""Dark and flat scenes differ by less. So a frame of which too little is found also begins one
where the difference is more than this part of its own contrast (the deviation of its brightness, or
of the other frame's if that is more), and more than so much of 255; both without grain: of means
over squares of so many px. At a tenth of their brightness, all cuts between the clips that were
looked at had a part above 0.5, and no neighbours had too little that was found."""

LIKE = 24.0
"""A pixel that the flow leads to a brightness more different than this, of 255, is not the same."""

LIKE_ENOUGH = 48.0
"""The same for networks' frames, which follow what is seen within a few frames in any case: let go
of, they flicker."""

SAME = 4.0
"""One that it leads to a brightness less different than this is, at a border of motion as well."""


@dataclass(frozen=True, eq=False)
class Expected:
    """What earlier results say of a frame.

    Attributes:
        pixels: `(3, H, W)` in [0, 1], everywhere: the nearest result moved along, and where that
            cannot be trusted but an earlier one can, that one.
        trust: `(H, W)`, 1 where one of them can be trusted, 0 elsewhere.
    """

    pixels: Plane
    trust: Plane


@dataclass(frozen=True, eq=False)
class Link:
    """How a frame follows from an earlier one.

    Attributes:
        flow: as `flow.Match` has it.
        trust: likewise, without pixels that look otherwise where the flow leads.
        cut: whether the two belong to different scenes, if one follows on the other.
    """

    flow: Plane
    trust: Plane
    cut: bool


def link(one: NDArray[np.uint8], earlier: NDArray[np.uint8], *, quick: bool = False) -> Link:
    """Follows a frame back to an earlier one.

    Args:
        one: luma `(H, W)` of the frame.
        earlier: of the earlier one.
        quick: as for `flow.flow_between`; and borders of motion are trusted where both frames look
            the same there, or what hardly moves would be let go for the tremor of such flow, and
            what looks otherwise only from `LIKE_ENOUGH` on is not.
    """
    found = match(one, earlier, quick=quick)
    error = np.abs(look_up(earlier.astype(np.float32), found.flow) - one)
    around = np.asarray(cv2.blur(error, (3, 3), borderType=cv2.BORDER_REPLICATE))
    mean = float(error.mean())
    cut = mean > CUT_ALWAYS
    if not cut and float(found.trust.mean()) < CUT_TRUST:
        cut = mean > CUT_ERROR or _another(one, earlier, found.flow)
    trust = found.trust * (around <= (LIKE_ENOUGH if quick else LIKE))
    if quick:
        trust = np.maximum(trust, found.agreed * (around <= SAME))
    return Link(found.flow, trust, cut)


def _another(one: NDArray[np.uint8], earlier: NDArray[np.uint8], flow: Plane) -> bool:
    """Whether a frame looks quite otherwise than an earlier one, moved along, whatever their
    contrast and grain."""
    side = (CUT_GRAIN, CUT_GRAIN)
    now, before = (
        np.asarray(cv2.blur(frame.astype(np.float32), side), np.float32) for frame in (one, earlier)
    )
    contrast = max(float(now.std()), float(before.std()))
    error = float(np.abs(look_up(before, flow) - now).mean())
    return error > max(CUT_LEAST, CUT_CONTRAST * contrast)


def expect(earlier: Sequence[tuple[Link, Plane]]) -> Expected:
    """What earlier results say of a frame.

    Args:
        earlier: the way to other frames of its scene, and their results `(3, H, W)`; the nearest
            first, one at least.
    """
    (nearest, result), *others = earlier
    pixels, trust = warp(result, nearest.flow), nearest.trust
    for way, result in others:
        new = way.trust > trust
        pixels = np.where(new, warp(result, way.flow), pixels)
        trust = np.maximum(trust, way.trust)
    return Expected(pixels, trust)
