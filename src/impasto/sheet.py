"""Contact sheets: photos × styles, or one or two options over ranges, small and side by side.

`lay_out` says which cells there are. `make_cells` makes them, each the same bytes as a run of its
own, into a folder beside `sheet.json`, and draws them all into one labelled picture. What the cells
have in common is done once: pictures are read and brought to size, networks loaded, and what style
losses need to know of the paintings found out. A sheet that was interrupted is gone on with by
making it again: cells that are there already, made with the same settings, stay as they are.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import impasto
from impasto.devices import Networks, network_key
from impasto.errors import ImageError, OptionError, OutputError, RunError, one_line
from impasto.images import (
    Bitmap,
    ImageSource,
    check_place,
    fit_within,
    make_folder,
    output_error,
    read_image,
    resize_image,
    takes_files,
    write_whole,
)
from impasto.inputs import painting_size, read_painting
from impasto.optimize import Progress
from impasto.options import StyleOptions, make_options
from impasto.pairing import resolve
from impasto.report import SHEET_FORMATS, Heading, plot_sheet
from impasto.run import Stylization, stylization
from impasto.sources import Loaded, describe_source, find_source, is_built_in, read_source

SHEET_SIZE = 256
"""Long side of a cell, px, where none is given."""

MAX_PER_AXIS = 200
"""Most rows, and most columns, of a sheet."""

RECORD_NAME = "sheet.json"
"""The file that tells a sheet's folder from any other."""

_NOT_VARIED = {
    "print": "cells are previews; make one a print with impasto sheet promote",
    "print_fit": "acts on prints alone, and cells are previews",
    "dpi": "acts on prints alone, and cells are previews",
    "preview": "cells are previews already",
    "regions": "acts on masks, and a sheet takes none",
    "aspect": "acts on textures, and cells have the shape of their photo",
    "tileable": "acts on textures, and cells are of a photo",
}


@dataclass(frozen=True)
class Variation:
    """An option over several values.

    Attributes:
        option: its name in `StyleOptions`.
        values: as texts for `make_options`, at least two.
    """

    option: str
    values: tuple[str, ...]

    @property
    def flag(self) -> str:
        """The option's name on the command line, without dashes before it."""
        return self.option.replace("_", "-")


@dataclass(frozen=True)
class Axis:
    """What the rows, or the columns, of a sheet differ in.

    Attributes:
        name: `photo`, `style` or an option's flag.
        labels: one for each row or column, all different.
    """

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet.

    Attributes:
        row: from 0.
        column: from 0.
        file: its name in the sheet's folder.
        photo: which of the sheet's photos.
        style: which of the sheet's styles.
        varied: option → its value here, as it was given.
        options: all of them.
    """

    row: int
    column: int
    file: str
    photo: int
    style: int
    varied: dict[str, str]
    options: StyleOptions


@dataclass(frozen=True)
class Sheet:
    """What there is to make.

    Attributes:
        rows: what rows differ in.
        columns: what columns differ in.
        cells: row by row.
        photos: label → photo.
        styles: label → the paintings that are blended, most often one.
        start: a third image that every cell starts from, or `None`.
    """

    rows: Axis
    columns: Axis
    cells: tuple[Cell, ...]
    photos: dict[str, ImageSource]
    styles: dict[str, tuple[ImageSource, ...]]
    start: ImageSource | None = None


@dataclass(frozen=True)
class Made:
    """A cell that is finished.

    Attributes:
        cell: which one.
        kept: it was there already, with the same settings.
        seconds: what it took; `None`: not known.
        evaluations: how many it took.
        loss: that of the picture.
        fault: why there is none: its run failed; empty otherwise.
        warnings: what its run warned of, a line each.
    """

    cell: Cell
    kept: bool
    seconds: float | None = None
    evaluations: int | None = None
    loss: float | None = None
    fault: str = ""
    warnings: tuple[str, ...] = ()


class CellRecord(BaseModel):
    """A cell in `sheet.json`; rows and columns count from 1, as `impasto sheet promote` does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: int = Field(ge=1)
    column: int = Field(ge=1)
    file: str
    varied: dict[str, str] = {}
    made: bool = False
    seconds: float | None = None
    evaluations: int | None = None
    loss: float | None = None
    fault: str = ""


class AxisRecord(BaseModel):
    """Rows or columns in `sheet.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    axis: str
    labels: list[str]


class SheetRecord(BaseModel):
    """`sheet.json`: what a folder's cells are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    impasto: str
    rows: AxisRecord
    columns: AxisRecord
    image: str
    cells: list[CellRecord]


def parse_variation(text: str) -> Variation:
    """An option over values: `pooling=max,average`, `style-weight=2,8,32`, or ranges.

    `0..1/5` is five values from 0 to 1 with equal differences, `1..100/3log` three with equal
    ratios, to six digits; for options that count, to whole numbers. Values that have commas of
    their own are separated by semicolons.

    Raises:
        OptionError: it is not of that form, there is no such option, or it has a single value.
    """
    name, equals, listed = text.partition("=")
    option = name.strip().removeprefix("--").replace("-", "_")
    if not equals:
        raise OptionError(
            f"--vary {text}: write OPTION=VALUE,VALUE,… or OPTION=FIRST..LAST/COUNT, such as "
            "style-weight=2,8,32"
        )
    if option not in StyleOptions.model_fields:
        known = [field.replace("_", "-") for field in StyleOptions.model_fields]
        near = get_close_matches(option.replace("_", "-"), known, n=1)
        meant = f"did you mean {near[0]}?" if near else "see impasto stylize --help"
        raise OptionError(f"--vary {text}: there is no option {name.strip()}; {meant}")
    if option in _NOT_VARIED:
        raise OptionError(f"--vary {text}: {_NOT_VARIED[option]}")
    flag = option.replace("_", "-")
    whole = StyleOptions.model_fields[option].annotation is int
    values: list[str] = []
    for part in listed.split(";" if ";" in listed else ","):
        values += _range(part.strip(), text, whole) or [part.strip()]
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise OptionError(f"--vary {text}: has {twice[0]} more than once; leave one out")
    if len(values) < 2:
        raise OptionError(
            f"--vary {text}: has a single value; give several, or use --{flag} {listed}"
        )
    return Variation(option, tuple(values))


def _range(part: str, text: str, whole: bool) -> list[str]:
    """The values of a range; empty where `part` is none."""
    number = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
    if not re.match(rf"{number}\.\.", part):
        return []
    match = re.fullmatch(rf"({number})\.\.({number})/(\d+)(log)?", part)
    if match is None:
        raise OptionError(
            f"--vary {text}: '{part}' is no range; write FIRST..LAST/COUNT or "
            "FIRST..LAST/COUNTlog, such as 0..1/5 or 1..100/3log"
        )
    first, last, logarithmic = float(match[1]), float(match[2]), match[4] is not None
    # Compared as text first: int() refuses numbers of thousands of digits.
    count = int(match[3]) if len(match[3]) < 6 else MAX_PER_AXIS + 1
    if not 2 <= count <= MAX_PER_AXIS:
        raise OptionError(
            f"--vary {text}: '{part}' has {match[3]} values; a range has 2 to {MAX_PER_AXIS}"
        )
    if not np.isfinite([first, last]).all() or (logarithmic and not min(first, last) > 0):
        wanted = "above 0" if logarithmic else "finite"
        raise OptionError(f"--vary {text}: both ends of '{part}' must be {wanted}")
    between = np.geomspace if logarithmic else np.linspace
    found = [float(value) for value in between(first, last, count)]
    if whole:
        return [str(round(value)) for value in found]
    # The ends as they were written.
    return [match[1], *(f"{value:.6g}" for value in found[1:-1]), match[2]]


def lay_out(
    photos: Sequence[ImageSource],
    styles: Sequence[ImageSource],
    values: Mapping[str, Any] | None = None,
    *,
    vary: Sequence[str] = (),
    start: ImageSource | None = None,
    blend: bool = False,
) -> Sheet:
    """The cells of a sheet.

    It has one or two axes: photos and styles where there are several of them, and each option that
    is varied, in this order. The first axis is the rows and the second the columns; a single one is
    the columns, but for photos alone, which are rows.

    Args:
        photos: as for `stylize`.
        styles: paintings, likewise.
        values: options of all cells, for `make_options`; a `size` of `SHEET_SIZE` by default.
        vary: up to two options over values, as `parse_variation` reads them.
        start: a third image for all cells to start from.
        blend: all styles are blended in every cell, by `style_weights`, and make no axis.

    Raises:
        OptionError: too many axes or none, something twice, or a value that is not allowed.
    """
    shared = dict(values or {})
    variations = [parse_variation(text) for text in vary]
    if not photos or not styles:
        raise OptionError(f"there is no {'style' if photos else 'photo'}: give one or several")
    named_photos = _labelled("photo", [find_source(photo) for photo in photos])
    named_styles = _labelled("style", [find_source(style) for style in styles])
    blends = {label: (source,) for label, source in named_styles.items()}
    if blend:
        blends = {" + ".join(named_styles): tuple(named_styles.values())}
    elif shared.get("style_weights") or any(v.option == "style_weights" for v in variations):
        raise OptionError("--style-weights: acts on blends; add --blend, or leave it out")
    twice = {v.option for v in variations} & {*shared, *(["start"] if start is not None else [])}
    if twice or len({v.option for v in variations}) < len(variations):
        flag = (sorted(twice) or [variations[0].option])[0].replace("_", "-")
        raise OptionError(f"--vary {flag}: --{flag} is given beside it; leave one of them out")
    if start is not None:
        shared["start"] = "image"
    given = {*shared, *(variation.option for variation in variations)}
    if not given & {"size", "levels"}:
        shared["size"] = SHEET_SIZE
    indices = [("photo", list(range(len(photos)))), ("style", list(range(len(blends))))]
    axes: list[tuple[str, list[Any]]] = [axis for axis in indices if len(axis[1]) > 1]
    axes += [(variation.flag, list(variation.values)) for variation in variations]
    if not axes:
        raise OptionError("a sheet of one cell: give several photos or styles, or --vary an option")
    if len(axes) > 2:
        several = [f"{len(found)} {name}s" for name, found in indices if len(found) > 1]
        several += [f"--vary {variation.flag}" for variation in variations]
        raise OptionError(
            f"{', '.join(several)}: that is {len(axes)} axes, and a sheet has two; leave one out"
            + ("" if blend or len(blends) == 1 else ", or add --blend")
        )
    if len(axes) == 1:
        other = indices[1] if axes[0][0] == "photo" else indices[0]
        axes.insert(int(axes[0][0] == "photo"), other)
    for name, found in axes:
        if len(found) > MAX_PER_AXIS:
            raise OptionError(f"{len(found)} values of {name}: a sheet has {MAX_PER_AXIS} at most")
    labels = {"photo": list(named_photos), "style": list(blends)}
    rows, columns = (Axis(name, tuple(labels.get(name, found))) for name, found in axes)
    cells = _cells(axes, labels, shared, variations)
    if start is None and any(cell.options.start == "image" for cell in cells):
        raise OptionError("--start image: name the picture with --start-image FILE")
    return Sheet(rows, columns, cells, named_photos, blends, start)


def _cells(
    axes: Sequence[tuple[str, list[Any]]],
    labels: Mapping[str, list[str]],
    shared: Mapping[str, Any],
    variations: Sequence[Variation],
) -> tuple[Cell, ...]:
    cells: list[Cell] = []
    taken: Counter[str] = Counter()
    seen: dict[tuple[int, int, str], dict[str, str]] = {}
    (down, ups), (across, overs) = axes
    for (row, up), (column, over) in product(enumerate(ups), enumerate(overs)):
        at = {down: up, across: over}
        varied = {v.option: at[v.flag] for v in variations}
        options = make_options({**shared, **{name: _value(name, varied[name]) for name in varied}})
        photo, style = at.get("photo", 0), at.get("style", 0)
        same = seen.setdefault((photo, style, options.model_dump_json()), varied)
        if same is not varied:
            name = next(name for name in varied if varied[name] != same[name])
            raise OptionError(
                f"--vary {name.replace('_', '-')}: {same[name]} and {varied[name]} give the same "
                "picture; leave one out"
            )
        parts = [labels["photo"][photo], labels["style"][style]]
        parts += [f"{v.flag}-{varied[v.option]}" for v in variations]
        stem = "-".join(_slug(part) for part in parts)
        # Some file systems do not tell capitals from small letters.
        taken[stem.casefold()] += 1
        number = taken[stem.casefold()]
        file = f"{stem}.png" if number == 1 else f"{stem}~{number}.png"
        cells.append(Cell(row, column, file, photo, style, varied, options))
    return tuple(cells)


def _value(option: str, text: str) -> Any:
    return tuple(text.split(",")) if option == "style_weights" else text


def _labelled(kind: str, sources: Sequence[ImageSource]) -> dict[str, ImageSource]:
    """Sources by labels: the names of files, with as much of their folders as tells them apart.

    Raises:
        OptionError: one is there twice.
    """
    paths: list[tuple[str, ...]] = []
    for number, source in enumerate(sources, start=1):
        if is_built_in(source):
            paths.append((str(source).partition(":")[2],))
        elif isinstance(source, str | os.PathLike):
            path = Path(os.path.abspath(source))  # noqa: PTH100  a link keeps its name
            paths.append((*path.parts[:-1], path.name, path.stem))
        else:
            paths.append((f"{kind} {number}",))
    spelled = [s if isinstance(s, str | os.PathLike) else id(s) for s in sources]
    for place, path in enumerate(paths):
        before = [i for i in range(place) if paths[i] == path and len(path) > 1]
        before += [i for i in range(place) if spelled[i] == spelled[place]]
        if before:
            shown = one_line(str(sources[place]))
            raise OptionError(f"--{kind} {shown}: is given twice; leave one out")
    labels = [one_line(path[-1]) for path in paths]
    for depth in range(2, max(map(len, paths)) + 1):
        many = Counter(labels)
        # A name with its extension, then with ever more folders before it.
        for place, path in enumerate(paths):
            if many[labels[place]] > 1 and len(path) > 1:
                labels[place] = one_line("/".join(path[-depth:-1]))
    for place, label in enumerate(labels):
        if label in labels[:place]:
            # A file that is called like a built-in picture.
            labels[place] = one_line(str(sources[place]))
    return dict(zip(labels, sources, strict=True))


def _slug(label: str) -> str:
    """A label as a part of a file name, in any file system, 60 bytes at most."""
    plain = re.sub(r"[^\w.+=]+", "-", label).strip("-.") or "picture"
    return plain.encode(errors="ignore")[:60].decode(errors="ignore")


def make_cells(
    sheet: Sheet,
    folder: str | os.PathLike[str],
    *,
    image: str = "sheet.png",
    quality: int = 92,
    overwrite: bool = False,
    on_progress: Callable[[Cell, Progress], None] | None = None,
) -> Iterator[Made]:
    """Makes the cells of a sheet, and when all are there draws them into one picture.

    All is checked before any work: every picture, every cell's options, and what the folder holds.

    Args:
        sheet: what `lay_out` made.
        folder: where the cells go; made where it does not exist. One with files in it is used only
            if it holds a sheet already.
        image: name of the labelled picture in that folder: a picture's extension, .pdf or .svg.
        quality: of that picture as JPEG or WebP, 1 to 100.
        overwrite: make cells anew that are there with other settings.
        on_progress: called after every evaluation of a cell.

    Yields:
        Each cell when it is finished: first those that were there, then by painting, so that what
        is found out about one serves all its cells. A cell whose run fails is told, and the others
        go on; the picture has an empty place for it.

    Raises:
        InputError: a picture cannot be read, or an option does not fit.
        OutputError: the folder holds other files, or something cannot be written.
    """
    place = Path(folder)
    shared = _Shared(sheet)
    before = _check_folder(place, image, quality, sheet, overwrite)
    known = {} if before is None else {cell.file: cell for cell in before.cells}
    there: list[Made] = []
    for cell in sheet.cells:
        run = shared.prepare(cell)
        if _is_there(place / cell.file, run, overwrite):
            old = known.get(cell.file)
            if old is None:
                there.append(Made(cell, True))
            else:
                there.append(Made(cell, True, old.seconds, old.evaluations, old.loss))
    return _make(sheet, place, (image, quality), shared, there, on_progress)


def _make(
    sheet: Sheet,
    folder: Path,
    drawn: tuple[str, int],
    shared: _Shared,
    there: list[Made],
    on_progress: Callable[[Cell, Progress], None] | None,
) -> Iterator[Made]:
    make_folder(folder)
    image, quality = drawn
    made = {one.cell.file: one for one in there}
    _write_record(sheet, folder, image, made)
    yield from there
    for cell in _ordered(sheet.cells):
        if cell.file in made:
            continue
        began = time.monotonic()
        run = shared.prepare(cell)
        try:
            for progress in run:
                if on_progress is not None:
                    on_progress(cell, progress)
            run.result.save(folder / cell.file, overwrite=True)
            count, loss = (run.last.done, run.last.best_loss) if run.last else (None, None)
            seconds = round(time.monotonic() - began, 3)
            one = Made(cell, False, seconds, count, loss, warnings=tuple(run.warnings))
        except RunError as error:
            one = Made(cell, False, fault=str(error), warnings=tuple(run.warnings))
        made[cell.file] = one
        _write_record(sheet, folder, image, made)
        yield one
    _draw(sheet, folder / image, quality, shared, made)


def _ordered(cells: Sequence[Cell]) -> list[Cell]:
    """Cells with the same network together, and among them those with the same painting."""
    networks: dict[Any, int] = {}
    for cell in cells:
        networks.setdefault(network_key(cell.options), len(networks))
    return sorted(cells, key=lambda cell: (networks[network_key(cell.options)], cell.style))


class _Shared:
    """What the cells of a sheet have in common: pictures as their runs look at them, networks.

    Raises:
        ImageError: a picture cannot be read.
    """

    def __init__(self, sheet: Sheet) -> None:
        self._sheet, self._networks = sheet, Networks()
        self._pictures: dict[tuple[Any, ...], Loaded] = {}
        self._photos, self._styles = list(sheet.photos.values()), list(sheet.styles.values())
        for cell in sheet.cells:
            self.pictures(cell)

    def pictures(self, cell: Cell) -> tuple[Loaded, list[Loaded], Loaded | None]:
        """A cell's photo, paintings and start picture, each read once for each size."""
        options, start = cell.options, self._sheet.start
        paintings = self._styles[cell.style]
        large = painting_size(options, resolve(options, len(paintings), 0))

        def photo(source: ImageSource) -> Bitmap:
            bitmap = read_source(source, options.max_pixels, options.size)
            return resize_image(bitmap, *fit_within(bitmap.width, bitmap.height, options.size))

        def painting(source: ImageSource) -> Bitmap:
            return read_painting(source, options.max_pixels, large)

        def third(source: ImageSource) -> Bitmap:
            return read_source(source, options.max_pixels, options.size)

        return (
            self._once(self._photos[cell.photo], photo, options.size, options.max_pixels),
            [self._once(one, painting, large, options.max_pixels) for one in paintings],
            None if start is None else self._once(start, third, options.size, options.max_pixels),
        )

    def _once(
        self, source: ImageSource, read: Callable[[ImageSource], Bitmap], *size: int
    ) -> Loaded:
        key = (id(source), read.__name__, *size)
        if key not in self._pictures:
            self._pictures[key] = Loaded(read(source), describe_source(source) or {})
        return self._pictures[key]

    def prepare(self, cell: Cell) -> Stylization:
        """The run of a cell.

        Raises:
            InputError: its options do not fit its pictures or the network.
        """
        photo, paintings, start = self.pictures(cell)
        return stylization(photo, paintings, cell.options, start=start, networks=self._networks)


def _check_folder(
    folder: Path, image: str, quality: int, sheet: Sheet, overwrite: bool
) -> SheetRecord | None:
    """The record of the sheet that a folder holds, if it holds one.

    Raises:
        OptionError: the labelled picture's name or quality cannot be used.
        OutputError: the folder holds other files, or cannot be written.
    """
    if Path(image).name != image:
        raise OptionError(f"--sheet {image}: must be the name of a file, without a folder")
    if Path(image).suffix.lower() not in SHEET_FORMATS:
        raise OptionError(f"--sheet {image}: sheets end in {', '.join(SHEET_FORMATS)}; rename it")
    if image.casefold() in {cell.file.casefold() for cell in sheet.cells}:
        raise OptionError(f"--sheet {image}: is the name of a cell; choose another one")
    if not 1 <= quality <= 100:
        raise OptionError(f"--quality {quality}: must lie in 1 to 100")
    shown, before = one_line(str(folder)), None
    try:
        if folder.is_dir():
            if any(not entry.name.startswith(".") for entry in folder.iterdir()):
                if not (folder / RECORD_NAME).is_file():
                    raise OutputError(
                        f"{shown}: holds other files and no sheet; choose another folder"
                    )
                before = read_sheet(folder)
            again = overwrite or (before is not None and before.image == image)
            check_place(folder / image, overwrite=again)
            return before
        if os.path.lexists(folder):
            raise OutputError(f"{shown}: is no folder; choose another name")
        # It is made when all else is checked; until then, what is there must allow it.
        parent = next(p for p in Path(os.path.realpath(folder)).parents if p.exists())
        if not parent.is_dir() or not takes_files(parent):
            raise OutputError(f"{shown}: cannot be made in {parent}; choose another place")
    except (OSError, ValueError) as error:
        raise output_error(str(folder), error) from None
    return None


def read_sheet(folder: str | os.PathLike[str]) -> SheetRecord:
    """The record of a sheet.

    Raises:
        OptionError: the folder holds none, or one that is damaged or of another version.
    """
    path = Path(folder) / RECORD_NAME
    try:
        return SheetRecord.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise OptionError(
                f"{path}: is damaged, or of another version of impasto; choose another folder"
            ) from None
        raise OptionError(
            f"{folder}: holds no sheet; give a folder that impasto sheet has made"
        ) from None


def find_cell(folder: str | os.PathLike[str], row: int, column: int) -> Path:
    """The picture of a cell of a sheet.

    Args:
        folder: the sheet's.
        row: from 1.
        column: from 1.

    Raises:
        OptionError: the folder holds no sheet, or the sheet has no such cell, or not yet.
    """
    record = read_sheet(folder)
    down, across = len(record.rows.labels), len(record.columns.labels)
    for cell in record.cells:
        if (cell.row, cell.column) == (row, column):
            # A record that was tampered with names no file elsewhere.
            if not cell.made or Path(cell.file).name != cell.file:
                raise OptionError(
                    f"{folder}: the cell in row {row}, column {column} has not been made yet; go "
                    "on with the sheet first"
                )
            return Path(folder) / cell.file
    raise OptionError(
        f"{folder}: has no cell in row {row}, column {column}; there are {down} rows and {across} "
        "columns, counted from 1"
    )


def _is_there(path: Path, run: Stylization, overwrite: bool) -> bool:
    """Whether a cell has been made already, with the settings of its run.

    Raises:
        OutputError: something else has its name and may not be replaced.
    """
    if not os.path.lexists(path):
        return False
    if path.is_dir():
        raise OutputError(f"{path}: is a folder where a cell goes; choose another folder")
    difference = _difference(path, run)
    if difference and not overwrite:
        raise OutputError(f"{path}: {difference}; choose another folder, or add --overwrite")
    return not difference


def _difference(path: Path, run: Stylization) -> str:
    """In what a picture's settings are not those of a run, in words; empty: in nothing."""
    try:
        old = read_image(path).settings
    except ImageError:
        old = None
    recorded = None if old is None else old.get("options")
    if old is None or not isinstance(recorded, dict):
        return "is there already, and no picture of impasto's"
    new = json.loads(json.dumps(run.settings))
    for program in ("impasto", "torch"):
        if old.get(program) != new[program]:
            return f"was made with {program} {old.get(program)}, and this is {new[program]}"
    unset = {"memory"} if run.options.memory is None else set[str]()
    for name in sorted(({*new["options"], *recorded}) - unset):
        was, wanted = recorded.get(name), new["options"].get(name)
        if was != wanted:
            return f"was made with --{name.replace('_', '-')} {_shown(was)}, not {_shown(wanted)}"
    # What follows from a run, rather than leads to it.
    for name in sorted(({*new, *old}) - {"options", "result", "limits"}):
        was, wanted = old.get(name), new.get(name)
        if was == wanted and _is_known(wanted):
            continue
        if not (isinstance(was, list) and isinstance(wanted, list) and len(was) == len(wanted)):
            was, wanted = [was], [wanted]
        if not all(_is_same(one, other) for one, other in zip(was, wanted, strict=True)):
            what = {"content": "another photo", "styles": "another painting"}
            return f"was made with {what.get(name, f'another {name}')}"
    return ""


def _is_known(entry: Any) -> bool:
    """Whether equal entries of a record mean equal things: not so for pictures in memory."""
    entries = entry if isinstance(entry, list) else [entry]
    return all(not isinstance(e, dict) or any(e.values()) for e in entries)


def _is_same(old: Any, new: Any) -> bool:
    """Whether two entries of a record are the same picture, wherever its file lies now."""
    if isinstance(old, dict) and isinstance(new, dict) and new.get("sha256"):
        return old.get("sha256") == new["sha256"]
    return old == new and _is_known(new)


def _shown(value: Any) -> str:
    text = one_line(value if isinstance(value, str) else json.dumps(value))
    return text if len(text) <= 40 else f"{text[:39]}…"


def _write_record(sheet: Sheet, folder: Path, image: str, made: Mapping[str, Made]) -> None:
    def told(cell: Cell) -> CellRecord:
        one = made.get(cell.file)
        known = {} if one is None else {"seconds": one.seconds, "evaluations": one.evaluations}
        if one is not None:
            known |= {"loss": one.loss, "fault": one.fault, "made": not one.fault}
        place = {"row": cell.row + 1, "column": cell.column + 1}
        return CellRecord(**place, file=cell.file, varied=cell.varied, **known)

    record = SheetRecord(
        impasto=impasto.__version__,
        rows=AxisRecord(axis=sheet.rows.name, labels=list(sheet.rows.labels)),
        columns=AxisRecord(axis=sheet.columns.name, labels=list(sheet.columns.labels)),
        image=image,
        cells=[told(cell) for cell in sheet.cells],
    )
    data = record.model_dump_json(indent=1).encode() + b"\n"
    write_whole(folder / RECORD_NAME, data, overwrite=True)


def _draw(
    sheet: Sheet, path: Path, quality: int, shared: _Shared, made: Mapping[str, Made]
) -> None:
    """The labelled picture of a sheet."""
    grid: list[list[NDArray[np.uint8] | None]] = [
        [None] * len(sheet.columns.labels) for _ in sheet.rows.labels
    ]
    for cell in sheet.cells:
        if not made[cell.file].fault:
            grid[cell.row][cell.column] = _on_white(read_image(path.parent / cell.file))
    (first, last) = (sheet.cells[0], sheet.cells[-1])

    def headings(axis: Axis, cells: Sequence[Cell]) -> list[Heading]:
        found: list[Heading] = []
        for label, cell in zip(axis.labels, cells, strict=True):
            photo, paintings, _ = shared.pictures(cell)
            pictures = {"photo": [photo], "style": paintings}.get(axis.name, [])
            kind = "" if axis.name in ("photo", "style") else axis.name
            found.append(Heading(label, [_on_white(p.bitmap) for p in pictures], kind))
        return found

    axes = {sheet.rows.name, sheet.columns.name}
    fixed: list[Heading] = []
    photo, paintings, _ = shared.pictures(first)
    if "photo" not in axes:
        fixed.append(Heading(next(iter(sheet.photos)), [_on_white(photo.bitmap)]))
    if "style" not in axes:
        fixed.append(Heading(next(iter(sheet.styles)), [_on_white(p.bitmap) for p in paintings]))
    plot_sheet(
        *(grid, path),
        rows=headings(sheet.rows, [c for c in sheet.cells if c.column == last.column]),
        columns=headings(sheet.columns, [c for c in sheet.cells if c.row == 0]),
        fixed=fixed,
        quality=quality,
        overwrite=True,
    )


def _on_white(bitmap: Bitmap) -> NDArray[np.uint8]:
    """`(H, W, 3)`."""
    return np.round(255 * bitmap.on_white().transpose(1, 2, 0)).astype(np.uint8)
