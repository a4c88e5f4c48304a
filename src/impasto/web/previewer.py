"""The process that makes quick previews: one pass of a transfer network over a small photo.

It is there while previews are asked for. Networks, style vectors and small pictures stay loaded. It
sees of uploads what the reader has made of them, and of masks the files themselves. A sheet of many
styles is made tile by tile, so that who waits for a single picture need not wait for all of it.

Orders, each with an `id` of its own:
`{"do": "paint", "photo": [source, path], "styles": [[source, path], …], "masks": [path, …],
"options": {…}, "side": px}` and `{"do": "sheet", "photo": …, "styles": …}`.
Answers: `{"id": n, "jpeg": base64}` or `{"id": n, "fault": {"code": …, "message": …}}`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.color import Palette, fit_colors, recolor
from impasto.errors import ImpastoError, OptionError, WeightsError, is_out_of_memory, one_line
from impasto.images import Bitmap, encode_image, fit_within, read_image, resize_image
from impasto.inputs import Inputs, as_tensor, read_inputs, visible
from impasto.networks import IDENTITY, Network, mix, read_network
from impasto.options import RegionOptions, StyleOptions, make_options
from impasto.pairing import resolve
from impasto.paper import parse_paper
from impasto.regions import covers_of, shares_of
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

PAINTING_SIDE = 384
"""Long side at which the network for any style sees a painting, px."""

LARGEST = 1024
"""Long side at which photos and masks are kept, px."""

QUALITY = 85
NICENESS = 2
"""What it takes off its priority: it goes after the server, and before painters."""

KEPT_PICTURES, KEPT_VECTORS = 24, 256

_FADE = 4.0
"""Below one part in so many of the strength, the picture fades into the photo."""

_NOWHERE: dict[str, Any] = {"path": "", "sha256": ""}
_T = TypeVar("_T")


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
        except Exception as error:
            traceback.print_exc()
            if not is_out_of_memory(error) and not isinstance(error, ValueError | OSError):
                raise
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
        self._networks = dict[str, Network | None]()
        self._pictures = OrderedDict[Any, Bitmap]()
        self._vectors = OrderedDict[Any, Tensor]()

    @torch.inference_mode()
    def paint(self, order: dict[str, Any]) -> bytes:
        """One picture, as its options have it: a JPEG file.

        Raises:
            ImpastoError: it cannot be made.
        """
        options = make_options(order["options"])
        source, path = order["photo"]
        styles: list[tuple[str, str]] = order["styles"]
        sources = [source for source, _ in styles]
        chosen = resolve(options, len(sources), len(order["masks"]))
        inputs = read_inputs(
            Loaded(self._picture(source, path, LARGEST), _NOWHERE),
            [Loaded(self._picture(*one, PAINTING_SIDE), _NOWHERE) for one in styles],
            _small(options, order["side"]),
            masks=[self._mask(path) for path in order["masks"]],
        )
        photo = inputs.photo
        assert photo is not None
        if all((one.color or options.color) == "only" or one.keep for one in chosen):
            return _jpeg(inputs.coloring.finished(photo[0].numpy()))
        network = self._network_for(sources)
        vectors = [self._vector(network, *style) for style in styles]
        painted = torch.zeros_like(photo)
        left = torch.ones_like(photo[:, :1])
        for one, cover in zip(chosen, covers_of(chosen, inputs.masks), strict=True):
            if one.keep or (one.color or options.color) == "only":
                continue
            vector = mix([vectors[number - 1] for number in one.styles], shares_of(options, one))
            strength = options.strength if one.strength is None else one.strength
            result = self._repaint(network, photo, vector, strength)
            if (one.color or options.color) == "match":
                result = _matched(result, photo, cover, options, one)
            share = torch.ones_like(left) if cover is None else cover[None, None]
            painted += share * result
            left = left - share
        return self._finish(inputs, painted + left.clamp_min(0) * photo)

    def _finish(self, inputs: Inputs, picture: Tensor) -> bytes:
        pixels = inputs.coloring.finished(picture[0].clamp(0, 1).numpy())
        alpha = None if inputs.coloring.photo is None else inputs.coloring.photo.alpha
        if alpha is not None:
            pixels = pixels * alpha + (1 - alpha)
        return _jpeg(pixels)

    @torch.inference_mode()
    def sheet(
        self, photo: Sequence[str], styles: Sequence[Sequence[str]]
    ) -> Iterator[bytes | None]:
        """A sheet with a tile for each style, in rows of `COLUMNS`: a JPEG file, after a `None` for
        each tile.

        Raises:
            ImpastoError: it cannot be made.
        """
        with torch.inference_mode():
            seen = _cut(visible(self._picture(photo[0], photo[1], LARGEST)), WIDEST)
            scale = TILE / min(seen.width, seen.height)
            sides = (max(TILE, round(scale * side)) for side in (seen.width, seen.height))
            small = as_tensor(resize_image(seen, *sides))
        rows = -(-len(styles) // COLUMNS)
        whole = np.ones((3, rows * TILE, min(len(styles), COLUMNS) * TILE), np.float32)
        top, left = ((side - TILE) // 2 for side in small.shape[-2:])
        for place, (source, path) in enumerate(styles):
            with torch.inference_mode():
                network = self._network_for([source])
                found = network.transfer(small, self._vector(network, source, path))
            tile = found[0, :, top : top + TILE, left : left + TILE].numpy()
            row, column = divmod(place, COLUMNS)
            down, right = row * TILE, column * TILE
            whole[:, down : down + TILE, right : right + TILE] = tile
            yield None
        yield _jpeg(whole)

    def _repaint(self, network: Network, photo: Tensor, vector: Tensor, strength: float) -> Tensor:
        """A photo in a style, as far as its strength goes: at 0 the photo itself."""
        identity = self._identity(network, photo)
        mixed = torch.lerp(identity, vector, strength)
        share = min(1.0, _FADE * strength)
        return torch.lerp(photo, network.transfer(photo, mixed), share)

    def _identity(self, network: Network, photo: Tensor) -> Tensor:
        if network.table is not None:
            return network.vector_of_name(IDENTITY)
        key = hashlib.blake2b(photo.numpy().tobytes()).digest()
        return _kept(self._vectors, key, KEPT_VECTORS, lambda: network.vector_of_picture(photo))

    def _network_for(self, sources: Sequence[str]) -> Network:
        """A network that knows all these styles, the smaller one where it does.

        Raises:
            WeightsError: there is none.
        """
        names = [source.removeprefix("style:") for source in sources]
        table = self._network(BUILT_IN_STYLES)
        if table is not None and set(names) <= set(table.names):
            return table
        found = self._network(ANY_STYLE)
        if found is None:
            raise WeightsError("there is no network for these styles; choose built-in ones")
        return found

    def _network(self, name: str) -> Network | None:
        if name not in self._networks:
            file = self._folder / name
            self._networks[name] = read_network(file) if file.is_file() else None
        return self._networks[name]

    def _vector(self, network: Network, source: str, path: str) -> Tensor:
        if network.table is not None:
            return network.vector_of_name(source.removeprefix("style:"))
        return _kept(
            *(self._vectors, source, KEPT_VECTORS),
            lambda: network.vector_of_picture(
                as_tensor(visible(self._picture(source, path, PAINTING_SIDE)))
            ),
        )

    def _picture(self, source: str, path: str, side: int) -> Bitmap:
        """A picture, its long side `side` px at the most."""

        def read() -> Bitmap:
            if source.startswith("style:") and not Path(path).exists():
                return Bitmap(draw_style(source.partition(":")[2], PAINTING_SIDE, PAINTING_SIDE))
            found = read_image(path)
            if max(found.width, found.height) <= side:
                return found
            return resize_image(found, *fit_within(found.width, found.height, side))

        return _kept(self._pictures, (path, side), KEPT_PICTURES, read)

    def _mask(self, path: str) -> Any:
        # Where a colour of it is meant, shrinking would make others.
        return path if split_label(path)[1] is not None else self._picture("", path, LARGEST)


def _kept(store: OrderedDict[Any, _T], key: Any, most: int, make: Callable[[], _T]) -> _T:
    """What a store has under a key, made where it is missing; it keeps those asked for last."""
    if key not in store:
        store[key] = make()
        if len(store) > most:
            store.popitem(last=False)
    store.move_to_end(key)
    return store[key]


def _small(options: StyleOptions, side: int) -> StyleOptions:
    """The options of a run that is no larger than a preview, on the same sheet."""
    changes: dict[str, Any] = {"size": side, "preview": False, "levels": ()}
    if options.print is not None:
        sheet = parse_paper(options.print)
        _, long = sheet.pixels(options.print_dpi)
        changes["dpi"] = options.print_dpi * side / long
    return options.model_copy(update=changes)


def _matched(
    result: Tensor, photo: Tensor, cover: Tensor | None, options: StyleOptions, one: RegionOptions
) -> Tensor:
    """A region in the photo's colours: networks know paintings in their own colours alone."""
    mask = None if cover is None else cover.numpy()
    pixels, own = result[0].numpy(), photo[0].numpy()
    change = fit_colors(
        *(Palette(pixels, mask), [Palette(own, mask)]),
        method=options.color_method,
        space=options.color_space,
    )
    given = options.color_strength if one.color_strength is None else one.color_strength
    return torch.from_numpy(recolor(pixels, replace(change, strength=given)))[None]


def _cut(bitmap: Bitmap, most: float) -> Bitmap:
    """The middle of a picture, its sides in a proportion of `most` at the most."""
    height, width = bitmap.pixels.shape[1:]
    high, wide = min(height, round(most * width)), min(width, round(most * height))
    top, left = (height - high) // 2, (width - wide) // 2
    return Bitmap(bitmap.pixels[:, top : top + high, left : left + wide])


def _jpeg(pixels: NDArray[np.float32]) -> bytes:
    return encode_image(Bitmap(np.ascontiguousarray(pixels)), "jpeg", quality=QUALITY)


if __name__ == "__main__":
    main()
