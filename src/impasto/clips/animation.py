"""Animated GIF and WebP, read frame after frame."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyvips
from numpy.typing import NDArray

from impasto.clips import webp
from impasto.clips.facts import Facts
from impasto.errors import ImageError, one_line

MILLISECOND = Fraction(1, 1000)


def is_animation(head: bytes) -> bool:
    """Whether a file that begins so is a GIF or a WebP picture."""
    return head[:6] in (b"GIF87a", b"GIF89a") or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def animation_facts(path: Path) -> tuple[Facts, list[Fraction]]:
    """What an animation is, and how long each of its frames is shown, in seconds.

    Raises:
        ImageError: it cannot be read.
    """
    film = webp.look(path)
    if film is not None:
        delays = [piece.duration for piece in film.pieces]
        return _facts(film.width, film.height, delays, alpha=film.alpha, loop=film.loop)
    image = _opened(path)
    known = {name: cast("Any", image.get(name)) for name in image.get_fields()}
    height = int(known.get("page-height", image.height))
    count = image.height // height
    delays = ([int(delay) for delay in known.get("delay", ())] + [100] * count)[:count]
    loop = int(known.get("loop", 0))
    return _facts(image.width, height, delays, alpha=bool(image.hasalpha()), loop=loop)


def _facts(
    width: int, height: int, delays: list[int], *, alpha: bool, loop: int
) -> tuple[Facts, list[Fraction]]:
    # Players show frames without a duration for a tenth of a second, and so does this.
    durations = [Fraction(delay if delay > 0 else 100, 1000) for delay in delays]
    total = sum(durations, Fraction(0))
    facts = Facts(
        *(width, height, MILLISECOND),
        rate=len(delays) / total,
        frames=len(delays),
        duration=float(total),
        pixel_format="rgba" if alpha else "rgb24",
        full_range=True,
        range_known=True,
        alpha=alpha,
        loop=loop,
    )
    return facts, durations


def animation_frames(path: Path, facts: Facts) -> Iterator[NDArray[np.uint8]]:
    """The frames of an animation, `(H, W, 3)` or with alpha `(H, W, 4)`, as they are decoded; fewer
    than there should be where it is damaged.

    Raises:
        ImageError: not even the first can be read.
    """
    film = webp.look(path)
    rows = _pages(path, facts) if film is None else webp.frames(path, film)
    given = False
    try:
        for values in rows:
            yield values
            given = True
    except pyvips.Error as error:
        if not given:
            raise _unreadable(path, error) from None


def _pages(path: Path, facts: Facts) -> Iterator[NDArray[np.uint8]]:
    """The frames of a GIF, or the only one of a WebP that does not move."""
    image = _opened(path)
    region = pyvips.Region.new(image)
    shape = (facts.height, facts.width, image.bands)
    for number in range(image.height // facts.height):
        data = region.fetch(0, number * facts.height, facts.width, facts.height)
        values = np.frombuffer(data, np.uint8).reshape(shape)
        yield values if values.shape[2] >= 3 else np.repeat(values[..., :1], 3, 2)


def _opened(path: Path) -> pyvips.Image:
    try:
        with path.open("rb", buffering=0) as file:
            # By descriptor: names may be no UTF-8, and brackets in them would be options.
            source = pyvips.Source.new_from_descriptor(file.fileno())
            image = pyvips.Image.new_from_source(source, "", n=-1, access="sequential")
        return image if image.bands >= 3 else image.colourspace("srgb")
    except OSError as error:
        reason = error.strerror or error
        raise ImageError(f"{one_line(str(path))}: {reason}; name a clip that can be read") from None
    except pyvips.Error as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: pyvips.Error) -> ImageError:
    lines = (error.detail or str(error)).strip().splitlines()
    # After the name of the decoder.
    reason = lines[-1].partition(": ")[2].strip() or lines[-1].strip()
    return ImageError(
        f"{one_line(str(path))}: cannot be read ({one_line(reason[:80])}); it is damaged or of an "
        "unknown kind, so take another copy"
    )
