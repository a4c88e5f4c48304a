"""The process that makes quick previews: one pass of a transfer network over a small photo.

It is there while previews are asked for. Networks, style vectors and small pictures stay loaded. It
sees of uploads what the reader has made of them, and of masks the files themselves. A sheet of many
styles is made tile by tile, so that who waits for a single picture need not wait for all of it.

Orders, each with an `id` of its own:
`{"do": "paint", "photo": [source, path], "styles": [[source, path], …], "masks": [path, …],
"style_masks": [path or null, …], "options": {…}, "side": px}` and
`{"do": "sheet", "photo": …, "styles": …}`.
Answers: `{"id": n, "jpeg": base64}` or `{"id": n, "fault": {"code": …, "message": …}}`.
"""

from __future__ import annotations

import base64
import math
import os
import threading
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.blueprint import SEEN_SIDE
from impasto.errors import ImpastoError, OptionError, WeightsError, one_line
from impasto.framing import cut, visible
from impasto.images import Bitmap, encode_image, fit_within, read_image, resize_image
from impasto.inputs import as_tensor, read_inputs
from impasto.noise import roughened
from impasto.options import StyleOptions, make_options
from impasto.paper import parse_paper
from impasto.repainting import Repainter, repainted, style_sources
from impasto.sources import Loaded, split_label
from impasto.styles import draw_style
from impasto.web import child
from impasto.web.config import ANY_STYLE, BUILT_IN_STYLES

TILE = 192
"""Side of a tile of a sheet, px."""

COLUMNS = 6
"""Tiles in a row of a sheet."""

WIDEST = 1.5
"""A tile's photo is cut to this proportion before it is painted, and to a square afterwards."""

LARGEST = 1024
"""Long side at which photos and masks are kept, px."""

QUALITY = 85
NICENESS = 2
"""What it takes off its priority: it goes after the server, and before painters."""

KEPT_PICTURES = 24

MAX_SCALE = 1.4
"""Largest scale of a painting: looking at a larger one takes longer than anybody would wait."""

PAINTING_SIDE = math.ceil(SEEN_SIDE * MAX_SCALE)
"""Long side at which paintings are kept, px: the network for any style sees none larger."""


def main() -> None:
    """Makes previews until the server is gone, or wants no more of them."""
    line, settings = child.begin()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    if settings["threads"] is not None:
        torch.set_num_threads(settings["threads"])
    previewer = Previewer(Path(settings["networks"]))
    line.tell({"ready": True})
    work = _Work(line, previewer)
    threading.Thread(target=work.listen, daemon=True).start()
    work.go()


class _Work:
    """What has been ordered: a single picture and a tile of a sheet by turns."""

    def __init__(self, line: child.Line, previewer: Previewer) -> None:
        self._line, self._previewer = line, previewer
        self._paint = deque[dict[str, Any]]()
        self._sheets = deque[tuple[int, Iterator[bytes | None]]]()
        self._there, self._over = threading.Condition(), False

    def listen(self) -> None:
        """Takes orders, in a thread of its own."""
        for order in self._line.orders():
            with self._there:
                if order["do"] == "sheet":
                    sheet = self._previewer.sheet(order["photo"], order["styles"])
                    self._sheets.append((order["id"], sheet))
                else:
                    self._paint.append(order)
                self._there.notify()
        with self._there:
            self._over = True
            self._there.notify()

    def go(self) -> None:
        """Does what was ordered until no more can come."""
        while True:
            with self._there:
                self._there.wait_for(lambda: self._over or self._paint or self._sheets)
                if self._over:
                    return
                order = self._paint.popleft() if self._paint else None
                sheet = self._sheets[0] if self._sheets else None
            if order is not None:
                self._answer(order["id"], lambda order=order: self._previewer.paint(order))
            if sheet is not None and self._answer(sheet[0], lambda made=sheet[1]: next(made)):
                self._sheets.popleft()

    def _answer(self, number: int, make: Callable[[], bytes | None]) -> bool:
        """Makes a picture, or one tile more of it; whether that was all."""
        try:
            made = make()
        except ImpastoError as error:
            code = "option" if isinstance(error, OptionError) else "unavailable"
            self._fail(number, code, str(error))
        except Exception:
            # Whatever one picture is like, others shall have theirs.
            traceback.print_exc()
            self._fail(number, "unavailable", "the preview could not be made")
        else:
            if made is None:
                return False
            self._line.tell({"id": number, "jpeg": base64.b64encode(made).decode()})
        return True

    def _fail(self, number: int, code: str, message: str) -> None:
        fault = {"code": code, "message": one_line(message)[:300]}
        self._line.tell({"id": number, "fault": fault})


class Previewer:
    """Makes previews with the networks of a folder.

    Args:
        folder: holds `styles.safetensors`, which knows built-in styles, `any.safetensors`, which
            takes any, or both.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._networks = dict[str, Repainter | None]()
        self._pictures = OrderedDict[Any, Bitmap]()

    @torch.inference_mode()
    def paint(self, order: dict[str, Any]) -> bytes:
        """One picture, as its options have it: a JPEG file.

        Raises:
            ImpastoError: it cannot be made.
        """
        options = _small(make_options(order["options"]), order["side"])
        source, path = order["photo"]
        styles: list[tuple[str, str]] = order["styles"]
        names = [source for source, _ in styles]
        style_masks = [path and self._mask(path) for path in order["style_masks"]]
        # What a mask leaves of a painting only a network that sees it can tell.
        network = self._network_for(names, sees=any(style_masks))
        # A network that knows its styles needs no pictures of them.
        sources = [
            self._painting(*style) if isinstance(found, str) else found
            for found, style in zip(style_sources(network, names, options), styles, strict=True)
        ]
        photo = Loaded(self._picture(source, path, LARGEST), {"path": "", "sha256": ""})
        masks = [self._mask(path) for path in order["masks"]]
        inputs = read_inputs(
            *(photo, sources, options),
            masks=masks,
            style_masks=style_masks if network.knows_pictures else (),
            seen=PAINTING_SIDE,
        )
        picture = Bitmap(repainted(network, inputs, sources)[0].numpy())
        alpha = None if inputs.coloring.photo is None else inputs.coloring.photo.alpha
        finished = Bitmap(inputs.coloring.finished(picture.pixels), alpha)
        return _jpeg(finished.on_white())

    def sheet(
        self, photo: Sequence[str], styles: Sequence[Sequence[str]]
    ) -> Iterator[bytes | None]:
        """A sheet with a tile for each style, in rows of `COLUMNS`: a JPEG file, after a `None` for
        each tile.

        Raises:
            ImpastoError: it cannot be made.
        """
        source, path = photo
        seen = _cut(self._picture(source, path, LARGEST), WIDEST)
        scale = TILE / min(seen.width, seen.height)
        sides = (max(TILE, round(scale * side)) for side in (seen.width, seen.height))
        small = visible(resize_image(seen, *sides))
        rows = -(-len(styles) // COLUMNS)
        whole = np.ones((3, rows * TILE, min(len(styles), COLUMNS) * TILE), np.float32)
        top, left = ((side - TILE) // 2 for side in (small.height, small.width))
        for place, (source, path) in enumerate(styles):
            # Not around the loop: others have their turn between two tiles.
            with torch.inference_mode():
                found = self._tile(small, source, path)
            row, column = divmod(place, COLUMNS)
            down, right = row * TILE, column * TILE
            tile = replace(small, pixels=found[0].numpy()).on_white()
            tile = tile[:, top : top + TILE, left : left + TILE]
            whole[:, down : down + TILE, right : right + TILE] = tile
            yield None
        yield _jpeg(whole)

    def _tile(self, photo: Bitmap, source: str, path: str) -> Tensor:
        network = self._network_for([source])
        if network.knows_pictures:
            # In its painting's colours, as the easel and the job have it.
            painting = self._painting(source, path)
            options = make_options({"size": max(photo.width, photo.height)})
            inputs = read_inputs(Loaded(photo, {"path": "", "sha256": ""}), [painting], options)
            return repainted(network, inputs, [painting])
        vector = network.network.vector_of_name(source.removeprefix("style:"))
        rough = roughened(photo.pixels, network.network.noise)
        return network.repaint(as_tensor(Bitmap(rough)), vector)

    def _network_for(self, sources: Sequence[str], *, sees: bool = False) -> Repainter:
        """A network that knows all these styles, the smaller one where it does, or one that sees
        pictures of them, where there is one.

        Raises:
            WeightsError: there is none.
        """
        table = self._network(BUILT_IN_STYLES)
        names = {source.removeprefix("style:") for source in sources}
        if table is not None and not names <= set(table.network.names):
            table = None
        if table is not None and not sees:
            return table
        found = self._network(ANY_STYLE) or table
        if found is None:
            raise WeightsError("there is no network for these styles; choose built-in ones")
        return found

    def _network(self, name: str) -> Repainter | None:
        if name not in self._networks:
            file = self._folder / name
            made = Repainter(str(file), device="cpu") if file.is_file() else None
            self._networks[name] = made
        return self._networks[name]

    def _painting(self, source: str, path: str) -> Loaded:
        return Loaded(self._picture(source, path, PAINTING_SIDE), {"path": source, "sha256": ""})

    def _picture(self, source: str, path: str, side: int) -> Bitmap:
        """A picture, its long side `side` px at the most."""

        def read() -> Bitmap:
            if is_drawn:
                return Bitmap(draw_style(source.partition(":")[2], PAINTING_SIDE, PAINTING_SIDE))
            found = read_image(path)
            if max(found.width, found.height) <= side:
                return found
            return resize_image(found, *fit_within(found.width, found.height, side))

        # The file of a built-in style is a thumbnail, smaller and less exact, and may not be there.
        is_drawn = source.startswith("style:")
        kept, key = self._pictures, (source if is_drawn else path, side)
        if key not in kept:
            kept[key] = read()
            if len(kept) > KEPT_PICTURES:
                kept.popitem(last=False)
        kept.move_to_end(key)
        return kept[key]

    def _mask(self, path: str) -> Any:
        # Where a colour of it is meant, shrinking would make others.
        return path if split_label(path)[1] is not None else self._picture("", path, LARGEST)


def _small(options: StyleOptions, side: int) -> StyleOptions:
    """The options of a picture that is no larger than a preview, on the same sheet."""
    changes: dict[str, Any] = {
        "size": side,
        "style_scale": _bounded(options.style_scale),
        "regions": tuple(
            one.model_copy(update={"scale": one.scale and _bounded(one.scale)})
            for one in options.regions
        ),
    }
    if options.print is not None:
        _, long = parse_paper(options.print).pixels(options.print_dpi)
        changes["dpi"] = options.print_dpi * side / long
    return options.model_copy(update=changes)


def _bounded(scales: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(min(MAX_SCALE, scale) for scale in of_one) for of_one in scales)


def _cut(bitmap: Bitmap, most: float) -> Bitmap:
    """The middle of a picture, its sides in a proportion of `most` at the most."""
    height, width = bitmap.pixels.shape[1:]
    high, wide = min(height, round(most * width)), min(width, round(most * height))
    top, left = (height - high) // 2, (width - wide) // 2
    return cut(bitmap, (left, top, left + wide, top + high))


def _jpeg(pixels: NDArray[np.float32]) -> bytes:
    return encode_image(Bitmap(np.ascontiguousarray(pixels)), "jpeg", quality=QUALITY)


if __name__ == "__main__":
    main()
