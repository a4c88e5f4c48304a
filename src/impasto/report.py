"""Figures: loss curves, grids of labelled pictures. Plain data in, files out; no engine."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.color import oklab_to_srgb
from impasto.errors import OptionError
from impasto.images import (
    Bitmap,
    check_place,
    fit_within,
    resize_image,
    write_image,
    write_whole,
)

FIGURE_FORMATS = (".png", ".svg", ".pdf")

SHEET_FORMATS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf", ".svg")

_INK = "#222222"
_FAINT = "#777777"
_TERMS = {"loss": "#222222", "content": "#2563a8", "style": "#c2410c", "tv": "#4d7c0f"}


def check_figure(path: Path, *, overwrite: bool = False) -> None:
    """Refuses, before the work, a figure that could not be written.

    Raises:
        OptionError: the extension is not one of `FIGURE_FORMATS`.
        OutputError: the file exists, or its folder does not or may not be written.
    """
    if path.suffix.lower() not in FIGURE_FORMATS:
        raise OptionError(f"{path}: figures end in {', '.join(FIGURE_FORMATS)}; rename it")
    check_place(path, overwrite=overwrite)


def plot_losses(rows: Sequence[Mapping[str, Any]], path: Path, *, overwrite: bool = False) -> None:
    """Draws the loss and its terms against evaluations, on a logarithmic axis.

    Args:
        rows: lines of a trace, with `evaluation`, `level`, `width`, `height` and the terms.
        path: PNG, SVG or PDF.
        overwrite: replace an existing file.

    Raises:
        OptionError, OutputError: see `check_figure`.
    """
    check_figure(path, overwrite=overwrite)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    evaluations = [row["evaluation"] for row in rows]
    for name, color in _TERMS.items():
        values = np.array([row[name] for row in rows], float)
        values[~(np.isfinite(values) & (values > 0))] = np.nan
        if not np.isnan(values).all():
            width = 2.0 if name == "loss" else 1.2
            axes.plot(evaluations, values, color=color, label=name, linewidth=width)
    axes.set_yscale("log")
    # The labels of levels begin half an evaluation before them: inside, even of a single one.
    axes.set_xlim(evaluations[0] - 0.5, evaluations[-1] + 0.5)
    top = axes.get_ylim()[1]
    for before, row in zip([None, *rows], rows, strict=False):
        if before is None or before["level"] != row["level"]:
            if before is not None:
                axes.axvline(row["evaluation"] - 0.5, color="#bbbbbb", linewidth=0.8)
            size = f" {row['width']} × {row['height']}"
            axes.text(row["evaluation"] - 0.5, top, size, fontsize=8, va="bottom", color="#666666")
    axes.set_xlabel("evaluation")
    axes.set_ylabel("loss (weighted sum) and its terms (without weights)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    _save(figure, path, overwrite)


def plot_training(
    rows: Sequence[Sequence[float]],
    validations: Sequence[Sequence[float]],
    path: Path,
    *,
    overwrite: bool = False,
) -> None:
    """Draws the losses of a training against its steps, on a logarithmic axis.

    Args:
        rows: step, loss, content, style and smoothness, in order.
        validations: likewise; drawn as dots.
        path: PNG, SVG or PDF.
        overwrite: replace an existing file.

    Raises:
        OptionError, OutputError: see `check_figure`.
    """
    check_figure(path, overwrite=overwrite)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for place, (name, color) in enumerate(_TERMS.items(), start=1):
        said = {"tv": "smoothness"}.get(name, name)
        for points, look in (
            (rows, {"label": said, "linewidth": 2.0 if name == "loss" else 1.0}),
            (validations, {"linestyle": "none", "marker": "o", "markersize": 4}),
        ):
            values = np.array([row[place] for row in points], float)
            values[~(np.isfinite(values) & (values > 0))] = np.nan
            if not np.isnan(values).all():
                axes.plot([row[0] for row in points], values, color=color, **look)
    axes.set_yscale("log")
    axes.set_xlabel("step (dots: validation)")
    axes.set_ylabel("loss (weighted sum) and its terms (without weights)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    _save(figure, path, overwrite)


def plot_grid(
    cells: Sequence[Sequence[NDArray[np.float32] | None]],
    path: Path,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    labels: Sequence[Sequence[str]] = (),
    title: str = "",
    cell: float = 2.2,
    overwrite: bool = False,
) -> None:
    """Lays labelled pictures out in rows and columns.

    Args:
        cells: pictures `(H, W, 3)` or grey `(H, W)` in [0, 1], row by row; `None` stays empty.
        path: PNG, SVG or PDF.
        rows: a label for each row.
        columns: a label for each column.
        labels: a label for each picture, row by row, in place of those of the columns.
        title: above everything.
        cell: width of a cell, inches (200 dots each in PNG).
        overwrite: replace an existing file.

    Raises:
        OptionError, OutputError: see `check_figure`.
    """
    check_figure(path, overwrite=overwrite)
    from matplotlib.figure import Figure

    across = max(len(row) for row in cells)
    shapes = [picture.shape for row in cells for picture in row if picture is not None]
    # Cells grow no taller than this for thin pictures: Matplotlib draws 65,535 dots at most.
    aspect = min(max((shape[0] / shape[1] for shape in shapes), default=1.0), 4.0)
    figure = Figure(
        figsize=(cell * across + 0.3 * bool(rows), (cell * aspect + 0.05) * len(cells) + 0.4),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)  # pyright: ignore
    grid = figure.subplots(len(cells), across, squeeze=False)
    for i, row in enumerate(cells):
        for j in range(across):
            axes = grid[i][j]
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            picture = row[j] if j < len(row) else None
            if picture is not None:
                axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="none")
            above = labels[i] if labels else columns if i == 0 else ()
            if j < len(above):
                axes.set_title(above[j], fontsize=9, color=_INK)
            if j == 0 and i < len(rows):
                axes.set_ylabel(rows[i], fontsize=9, color=_INK)
    if title:
        figure.suptitle(title, fontsize=11, color=_INK)
    _save(figure, path, overwrite)


def plot_input(
    picture: NDArray[np.float32],
    planes: Mapping[str, NDArray[np.float32]],
    maps: Mapping[str, NDArray[np.float32]],
    path: Path,
    *,
    overwrite: bool = False,
) -> None:
    """Draws what a network is given of a picture, and what its layers make of that.

    Args:
        picture: `(H, W, 3)` in [0, 1].
        planes: name → what enters the network, `(H, W)`, around 0.
        maps: layer → its feature maps as one grey picture in [0, 1]; at least one.
        path: PNG, SVG or PDF.
        overwrite: replace an existing file.

    Raises:
        OptionError, OutputError: see `check_figure`.
    """
    check_figure(path, overwrite=overwrite)
    from matplotlib.figure import Figure

    aspect = min(max(picture.shape[0] / picture.shape[1], 0.2), 4.0)
    width, above, below = 10.0, len(planes) + 1, len(maps)
    # Room for the bar beside the planes, which share its colours.
    heights = ((width - 0.9) / above * aspect + 0.35, width / below * aspect + 0.35)
    figure = Figure(figsize=(width, sum(heights) + 0.2), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.05, wspace=0.01, hspace=0.02)  # pyright: ignore
    upper, lower = np.ravel(np.asarray(figure.subfigures(2, 1, height_ratios=heights)))
    top = upper.subplots(1, above, squeeze=False)[0]
    _show(top[0], "the picture", picture)
    reach = max(float(np.abs(plane).max()) for plane in planes.values())
    for axes, (name, plane) in zip(top[1:], planes.items(), strict=True):
        _show(axes, name, plane, cmap="PuOr_r", vmin=-reach, vmax=reach)
    drawn = top[-1].images[0]
    bar = upper.colorbar(drawn, ax=list(top), fraction=0.03, pad=0.01, shrink=0.8)
    bar.ax.tick_params(labelsize=7, colors="#555555", length=2)
    bar.outline.set_visible(False)
    bottom = lower.subplots(1, below, squeeze=False)[0]
    for axes, (name, sheet) in zip(bottom, maps.items(), strict=True):
        _show(axes, name, sheet, cmap="gray", vmin=0, vmax=1)
    _save(figure, path, overwrite)


def _show(axes: Any, title: str, picture: NDArray[np.float32], **options: Any) -> Any:
    axes.set_axis_off()
    axes.set_title(title, fontsize=9, color=_INK)
    return axes.imshow(picture, interpolation="none", **options)


def plot_pairs(
    rows: Sequence[Sequence[NDArray[np.float32]]],
    path: Path,
    *,
    columns: Sequence[str],
    captions: Sequence[Sequence[str]] = (),
    title: str = "",
    cell: float = 1.6,
    overwrite: bool = False,
) -> None:
    """Lays rows of pictures of any shapes out in one to three blocks side by side.

    Each row is as high as its first pictures need, at least a square for the others; what is taller
    becomes narrower.

    Args:
        rows: as many pictures each, `(H, W, 3)` in [0, 1].
        path: PNG, SVG or PDF.
        columns: what each column of a block shows.
        captions: words beneath each picture; cut where they are too long.
        title: above everything.
        cell: width of a cell, inches (200 dots each in PNG).
        overwrite: replace an existing file.

    Raises:
        OptionError, OutputError: see `check_figure`.
    """
    check_figure(path, overwrite=overwrite)
    from matplotlib.figure import Figure

    across = len(columns)
    blocks = 1 if len(rows) <= 4 else 2 if len(rows) <= 24 else 3
    down = math.ceil(len(rows) / blocks)
    lines = [rows[i * blocks : (i + 1) * blocks] for i in range(down)]
    heights = [cell * _row_aspect(line) for line in lines]
    gap, between, margin, words = 0.06, 0.3, 0.25, 0.24 if captions else 0.08
    top = margin + 0.22 + (0.3 if title else 0)
    width = 2 * margin + blocks * (across * (cell + gap) - gap) + (blocks - 1) * between
    height = top + sum(heights) + down * words + margin
    figure = Figure(figsize=(width, height))

    def left(block: int, column: int) -> float:
        return margin + block * (across * (cell + gap) - gap + between) + column * (cell + gap)

    def write(x: float, y: float, text: str, size: float, **options: Any) -> None:
        options = {"ha": "center", "va": "top", "color": _INK, **options}
        figure.text(x / width, 1 - y / height, text, fontsize=size, parse_math=False, **options)

    if title:
        write(margin, margin, title, 11, ha="left", weight="bold")
    for block in range(blocks):
        for column, name in enumerate(columns):
            write(left(block, column) + cell / 2, top - 0.06, name, 8.5, va="bottom")
    y = top
    for number, line in enumerate(lines):
        for block, row in enumerate(line):
            for column, picture in enumerate(row):
                scale = min(cell / picture.shape[1], heights[number] / picture.shape[0])
                w, h = picture.shape[1] * scale, picture.shape[0] * scale
                x = left(block, column) + (cell - w) / 2
                bottom = y + (heights[number] + h) / 2
                axes = figure.add_axes((x / width, 1 - bottom / height, w / width, h / height))
                axes.set_axis_off()
                # Enlarged smoothly: squares of single pixels would look like strokes.
                axes.imshow(picture, interpolation="antialiased", aspect="auto")
                if captions:
                    text = _cut_to(captions[number * blocks + block][column], 30)
                    middle = left(block, column) + cell / 2
                    write(middle, bottom + 0.04, text, 6, color="#555555")
        y += heights[number] + words
    _save(figure, path, overwrite)


def _row_aspect(line: Sequence[Sequence[NDArray[np.float32]]]) -> float:
    """Height of a line of the table, in widths of a cell."""
    aspects = [[picture.shape[0] / picture.shape[1] for picture in row] for row in line]
    tallest = max(max(row) for row in aspects)
    return min(tallest, max(1.0, *(row[0] for row in aspects)), 1.5)


def _cut_to(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


_KEPT, _DROPPED = "#2563a8", "#d97745"
_SHAPES = {1 / 2: "1:2", 2 / 3: "2:3", 1: "1:1", 3 / 2: "3:2", 2: "2:1"}


def plot_preparation(
    outcomes: Sequence[Mapping[str, Any]],
    path: Path,
    *,
    title: str = "",
    min_side: float = 0,
    min_sharpness: float = 0,
    overwrite: bool = False,
) -> None:
    """Draws what became of a folder of pictures: counts, sizes, shapes, sharpness and colours.

    Args:
        outcomes: what `impasto.prepare.Outcome` holds, one for each file.
        path: PNG, SVG or PDF.
        title: above everything.
        min_side: the least short side that was kept, px; 0: any.
        min_sharpness: the least sharpness that was kept; 0: any.
        overwrite: replace an existing file.

    Raises:
        OptionError, OutputError: see `check_figure`.
    """
    check_figure(path, overwrite=overwrite)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # pyright: ignore
    grid = figure.add_gridspec(3, 6, height_ratios=(1, 1, 0.28))
    counts, sides, shapes = (figure.add_subplot(grid[0, 2 * i : 2 * i + 2]) for i in range(3))
    sharp, light = (figure.add_subplot(grid[1, 2 * i : 2 * i + 2]) for i in (0, 2))
    frame = figure.add_subplot(grid[1, 2:4])
    _plain(frame, "Colour by hue")
    frame.set_xticks([])
    frame.set_yticks([])
    wheel = frame.inset_axes((0, 0, 1, 1), projection="polar")
    strip = figure.add_subplot(grid[2, :])
    kept = [outcome for outcome in outcomes if outcome["reason"] is None]
    left_out = [outcome for outcome in outcomes if outcome["reason"] is not None]

    _draw_counts(counts, outcomes)
    measured = [[o for o in group if o["width"]] for group in (kept, left_out)]
    short = [[min(o["width"], o["height"]) for o in group] for group in measured]
    _draw_spread(sides, short, "Shorter side, px", limit=min_side)
    ratios = [[min(max(o["width"] / o["height"], 1 / 3), 3) for o in g] for g in measured]
    _draw_spread(shapes, ratios, "Shape, width : height", edges=np.geomspace(1 / 3.1, 3.1, 26))
    shapes.set_xticks(list(_SHAPES), list(_SHAPES.values()))
    sharpness = [[max(o["sharpness"] or 0, 1) for o in group] for group in measured]
    _draw_spread(sharp, sharpness, "Sharpness", limit=min_sharpness)

    colored = [outcome for outcome in kept if outcome["color"] is not None]
    if colored:
        _draw_hues(wheel, [o["hues"] for o in colored])
        _draw_lightness(light, [o["lightness"] for o in colored])
        _draw_colors(strip, [o["color"] for o in colored])
    else:
        for axes in (frame, wheel, light, strip):
            axes.set_visible(False)
    if title:
        figure.suptitle(title, fontsize=13, color=_INK, x=0.012, ha="left", weight="bold")
    _save(figure, path, overwrite)


def _plain(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=10, color=_INK, loc="left")
    axes.spines[:].set_visible(False)
    axes.tick_params(labelsize=8, colors="#555555", length=0)


def _draw_counts(axes: Any, outcomes: Sequence[Mapping[str, Any]]) -> None:
    reasons = [outcome["reason"] or "kept" for outcome in outcomes]
    dropped = sorted({r for r in reasons if r != "kept"}, key=lambda r: (-reasons.count(r), r))
    names = ["kept", *dropped]
    numbers = [reasons.count(name) for name in names]
    bars = axes.barh(range(len(names)), numbers, color=[_KEPT, *[_DROPPED] * len(dropped)])
    axes.bar_label(bars, [f"{n:,}" for n in numbers], padding=4, fontsize=9, color=_INK)
    _plain(axes, "What became of the files")
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks([])
    # Room for the numbers, and bars that stay thin where there are few.
    axes.set_xlim(0, max(numbers) * 1.22 or 1)
    axes.set_ylim(max(len(names), 5) - 0.4, -0.6)


def _draw_spread(
    axes: Any,
    groups: Sequence[Sequence[float]],
    title: str,
    *,
    edges: NDArray[np.float64] | None = None,
    limit: float = 0,
) -> None:
    """A histogram of what was kept and, on top of it, left out, over a logarithmic axis."""
    _plain(axes, title)
    axes.set_xscale("log")
    axes.minorticks_off()
    values = [value for group in groups for value in group]
    if edges is None:
        edges = _edges([*values, limit or 1.0] if limit or not values else values, limit)
    axes.hist(groups, edges, stacked=True, color=[_KEPT, _DROPPED], rwidth=0.86)
    axes.set_xlim(edges[0], edges[-1])
    axes.yaxis.get_major_locator().set_params(integer=True, nbins=4)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    if title.startswith("Shape"):
        return
    ticks = _log_ticks(edges[0], edges[-1])
    axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
    if limit and values:
        axes.axvline(limit, color=_INK, linewidth=1, linestyle=(0, (3, 2)))


_DIGITS = (1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers of 1 to a million on a logarithmic axis, as coarse as three of them allow."""
    ticks: list[float] = []
    for digits in _DIGITS:
        ticks = [n * 10**e for e in range(6) for n in digits if low <= n * 10**e <= high]
        if len(ticks) >= 3:
            break
    return ticks


def _edges(values: Sequence[float], limit: float) -> NDArray[np.float64]:
    """Bins of one width on a logarithmic axis around some values; one of them begins at `limit`."""
    low, high = math.log10(min(values)), math.log10(max(values))
    step = max((high - low) / 24, 0.03)
    origin = math.log10(limit) if limit else low
    first, last = math.floor((low - origin) / step), math.floor((high - origin) / step) + 1
    # Few values get a bar of their own, not the whole width.
    free = max(2, 14 - (last - first)) // 2
    first, last = first - free, last + free
    return np.power(10.0, origin + step * np.arange(first, last + 1), dtype=np.float64)


def _draw_hues(axes: Any, hues: Sequence[Sequence[float]]) -> None:
    """OKLab chroma by hue, in the colours meant: lightness 0.72, chroma 0.12."""
    _plain(axes, "")
    axes.set_xticks([])
    axes.set_yticks([])
    mean = np.mean(np.asarray(hues, float), axis=0)
    angles = (np.arange(len(mean)) + 0.5) * 2 * np.pi / len(mean)
    lab = np.stack([np.full(len(mean), 0.72), 0.12 * np.cos(angles), 0.12 * np.sin(angles)])
    colors = np.clip(oklab_to_srgb(lab), 0, 1).T
    hole = 0.35 * max(float(mean.max()), 1e-12)
    axes.bar(angles, mean, width=2 * np.pi / len(mean) * 0.94, bottom=hole, color=colors)
    axes.set_ylim(0, hole + float(mean.max()) * 1.02 or 1)


def _draw_lightness(axes: Any, shares: Sequence[Sequence[float]]) -> None:
    _plain(axes, "Lightness")
    axes.set_yticks([])
    axes.set_xticks([0.04, 0.96], ["dark", "light"])
    axes.set_xlim(0, 1)
    mean = np.mean(np.asarray(shares, float), axis=0)
    places = (np.arange(len(mean)) + 0.5) / len(mean)
    greys = oklab_to_srgb(np.stack([places, np.zeros_like(places), np.zeros_like(places)])).T
    axes.bar(places, mean, 0.88 / len(mean), color=np.clip(greys, 0, 1), ec="#bbbbbb", lw=0.5)


def _draw_colors(axes: Any, colors: Sequence[Sequence[float]]) -> None:
    """A stripe for each picture in its mean colour, by hue from red to blue."""
    _plain(axes, "Mean colour of each picture kept")
    axes.set_xticks([])
    axes.set_yticks([])
    lab = np.asarray(colors, float)
    order = np.lexsort((lab[:, 0], np.arctan2(lab[:, 2], lab[:, 1]) % (2 * np.pi)))
    stripes = np.clip(oklab_to_srgb(lab[order].T), 0, 1).T[None]
    axes.imshow(stripes, aspect="auto", interpolation="none")


@dataclass(frozen=True, eq=False)
class Heading:
    """What stands before a row or above a column of a sheet.

    Attributes:
        label: what it is called.
        pictures: `(H, W, 3)` of bytes: what it is, if it is pictures.
        kind: what the label is a value of; may be empty.
    """

    label: str
    pictures: Sequence[NDArray[np.uint8]] = ()
    kind: str = ""


_SHEET_PIXELS = 64_000_000
_SHEET_SIDE = 16_000
"""Larger sheets show smaller cells: no side may be longer than WebP's 16,383 px, and the whole is
held in memory several times."""

_DOTS = 100.0
"""Pixels per inch of a sheet's figure: the ratio of pixels to points of its labels."""


def plot_sheet(
    cells: Sequence[Sequence[NDArray[np.uint8] | None]],
    path: Path,
    *,
    rows: Sequence[Heading],
    columns: Sequence[Heading],
    fixed: Sequence[Heading] = (),
    quality: int = 92,
    overwrite: bool = False,
) -> None:
    """Draws a contact sheet: pictures in rows and columns, pixel by pixel, with numbered headings.

    Labels that are too long for their place lose their middle. Rows are as high as their highest
    picture and columns as wide as their widest, so that no picture changes its shape.

    Args:
        cells: `(H, W, 3)` of bytes, row by row; `None`: there is none.
        path: its extension is one of `SHEET_FORMATS`.
        rows: a heading for each row.
        columns: a heading for each column.
        fixed: what all cells have in common, for the corner.
        quality: of JPEG and WebP, 1 to 100.
        overwrite: replace an existing file.

    Raises:
        OptionError: the extension is not one of these.
        OutputError: the file exists or cannot be written.
    """
    if path.suffix.lower() not in SHEET_FORMATS:
        raise OptionError(f"{path}: sheets end in {', '.join(SHEET_FORMATS)}; rename it")
    side = max((max(c.shape[:2]) for row in cells for c in row if c is not None), default=96)
    plan = _SheetPlan(cells, rows, columns, fixed, side)
    while max(plan.width, plan.height) > _SHEET_SIDE or plan.width * plan.height > _SHEET_PIXELS:
        side = side * 9 // 10
        plan = _SheetPlan(cells, rows, columns, fixed, side)
    canvas, texts = plan.compose()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(plan.width / _DOTS, plan.height / _DOTS), dpi=_DOTS)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(canvas, interpolation="none", aspect="auto")
    for text in texts:
        where = text.x / plan.width, 1 - text.y / plan.height
        # A dollar sign begins no formula, and there may be no glyph for every letter.
        figure.text(
            *(*where, text.words),
            fontsize=text.size * 72 / _DOTS,
            color=text.color,
            ha="center",
            va="center",
            parse_math=False,
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        if path.suffix.lower() in FIGURE_FORMATS[1:]:
            _save(figure, path, overwrite)
            return
        drawing = FigureCanvasAgg(figure)
        drawing.draw()
    seen = np.asarray(drawing.buffer_rgba())[..., :3]
    pixels = np.ascontiguousarray(seen.transpose(2, 0, 1), np.float32)
    np.divide(pixels, 255, out=pixels)
    write_image(Bitmap(pixels), path, quality=quality, overwrite=overwrite)


@dataclass(frozen=True)
class _Text:
    """Words with their middle at `x` and `y`, in px from the left and the top; `size` in px."""

    words: str
    x: float
    y: float
    size: float
    color: str = _INK


class _SheetPlan:
    """Where everything of a sheet is, in px.

    Args:
        cells: as for `plot_sheet`.
        rows: likewise.
        columns: likewise.
        fixed: likewise.
        side: long side of the cells.
    """

    def __init__(
        self,
        cells: Sequence[Sequence[NDArray[np.uint8] | None]],
        rows: Sequence[Heading],
        columns: Sequence[Heading],
        fixed: Sequence[Heading],
        side: int,
    ) -> None:
        self._cells, self._rows, self._columns = cells, rows, columns
        self._fixed, self._side = fixed, side
        # The more there is, the smaller it is seen: larger letters then.
        many = max(len(rows), len(columns))
        self._font = max(11.0, side * min(0.11, max(0.065, 0.065 * math.sqrt(many / 5))))
        self._line = round(1.45 * self._font)
        self._gap = max(4, round(side / 32))
        shapes = [
            [self._shown(side, *c.shape[:2]) if c is not None else None for c in row]
            for row in cells
        ]
        least = max(96, round(5 * self._font))
        columns_of = zip(*shapes, strict=True)
        self._widths = [max([least, *(s[1] for s in col if s)]) for col in columns_of]
        self._heights = [max([2 * self._line, *(s[0] for s in row if s)]) for row in shapes]
        self._left = max(least, round(0.6 * side), round(8 * self._font))
        lines = 2 if any(heading.kind for heading in columns) else 1
        above = [self._highest(h, w) for h, w in zip(columns, self._widths, strict=True)]
        above += [self._highest(h, self._common_width) for h in fixed]
        self._top = max(above) + lines * self._line + self._gap
        self.width = 2 * self._gap + self._left + sum(w + self._gap for w in self._widths)
        self.height = self._gap + self._top + sum(h + self._gap for h in self._heights)
        self._canvas = np.zeros((0, 0, 3), np.uint8)
        self._texts: list[_Text] = []

    @property
    def _common_width(self) -> int:
        """Of one of the headings in the corner."""
        count = len(self._fixed)
        return (self._left - self._gap * (count - 1)) // max(1, count)

    def _highest(self, heading: Heading, width: int) -> int:
        """Height of a heading's pictures above a column: half a cell's at the most."""
        count = len(heading.pictures)
        each = (width - self._gap * (count - 1)) // max(1, count)
        room = max(64, self._side // 2)
        return max(
            (self._fitted(p.shape[1], p.shape[0], each, room)[1] for p in heading.pictures),
            default=0,
        )

    @staticmethod
    def _shown(side: int, height: int, width: int) -> tuple[int, int]:
        across, down = fit_within(width, height, side, enlarge=False)
        return down, across

    def compose(self) -> tuple[NDArray[np.uint8], list[_Text]]:
        """The pictures on a white canvas `(H, W, 3)`, and the words to go on it."""
        self._canvas = np.full((self.height, self.width, 3), 255, np.uint8)
        self._texts = []
        gap = self._gap
        # What is common to all, beside each other in the corner.
        width = self._common_width
        for place, heading in enumerate(self._fixed):
            self._head(heading, gap + place * (width + gap), gap, width, self._top - gap, "")
        x = gap + self._left + gap
        for number, (heading, width) in enumerate(zip(self._columns, self._widths, strict=True), 1):
            self._head(heading, x, gap, width, self._top - gap, f"{number} · ")
            x += width + gap
        y = gap + self._top
        for number, (heading, height) in enumerate(zip(self._rows, self._heights, strict=True), 1):
            self._head(heading, gap, y, self._left, height, f"{number} · ", middle=True)
            x = gap + self._left + gap
            for picture, width in zip(self._cells[number - 1], self._widths, strict=True):
                if picture is None:
                    self._canvas[y : y + height, x : x + width] = 242
                    self._texts.append(
                        _Text("none", x + width / 2, y + height / 2, self._font, _FAINT)
                    )
                else:
                    self._paste(picture, x, y, width, height)
                x += width + gap
            y += height + gap
        return self._canvas, self._texts

    def _head(
        self,
        heading: Heading,
        left: int,
        top: int,
        width: int,
        height: int,
        number: str,
        *,
        middle: bool = False,
    ) -> None:
        """A heading in a box: its pictures side by side, and beneath them its words."""
        lines = [("", number + heading.kind, 0.8 * self._font, _FAINT)] if heading.kind else []
        lines.append(("" if heading.kind else number, heading.label, self._font, _INK))
        below = len(lines) * self._line
        room = height - below
        count = len(heading.pictures)
        if count and room >= 16:
            each = (width - self._gap * (count - 1)) // count
            shapes = [self._fitted(p.shape[1], p.shape[0], each, room) for p in heading.pictures]
            highest = max(down for _, down in shapes)
            above = (height - below - highest) // 2 if middle else room - highest
            for place, picture in enumerate(heading.pictures):
                x = left + place * (each + self._gap)
                self._paste(picture, x, top + above, each, highest)
            y = top + above + highest
        else:
            y = top + (room // 2 if middle else room)
        for before, words, size, color in lines:

            def fits(text: str, before: str = before, size: float = size) -> bool:
                return text_width(before + text, size) <= width

            shown = before + shorten(words, fits)
            self._texts.append(_Text(shown, left + width / 2, y + self._line / 2, size, color))
            y += self._line

    @staticmethod
    def _fitted(width: int, height: int, across: int, down: int) -> tuple[int, int]:
        """The largest size of a picture in a box that is not larger than the picture."""
        scale = min(across / width, down / height, 1.0)
        return max(1, int(width * scale)), max(1, int(height * scale))

    def _paste(
        self, picture: NDArray[np.uint8], left: int, top: int, width: int, height: int
    ) -> None:
        """Puts a picture into the middle of a box; what is too large is made smaller."""
        across, down = self._fitted(
            picture.shape[1], picture.shape[0], min(width, self._side), min(height, self._side)
        )
        if (across, down) != (picture.shape[1], picture.shape[0]):
            planes = picture.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
            small = resize_image(Bitmap(planes), across, down)
            picture = np.round(255 * small.pixels.transpose(1, 2, 0)).astype(np.uint8)
        y, x = top + (height - down) // 2, left + (width - across) // 2
        self._canvas[y : y + down, x : x + across] = picture


def shorten(text: str, fits: Callable[[str], bool]) -> str:
    """A text that fits, without as much of its middle as it takes.

    Args:
        text: what is to be shown.
        fits: whether a text is short enough; of what is left, a first letter at the least.
    """
    if fits(text):
        return text
    for kept in range(len(text) - 1, 1, -1):
        shorter = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        if fits(shorter):
            return shorter
    return f"{text[:1]}…"


def text_width(text: str, size: float) -> float:
    """Width in px of a text in letters of `size` px."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        # A point of its 72 per inch stands for a pixel here.
        font = FontProperties(size=size)
        width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return width


def tile_maps(maps: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The strongest feature maps of a layer, each scaled to [0, 1], as one near-square picture.

    Args:
        maps: `(C, H, W)`, ≥ 0.
        count: how many to show, those with the largest mean.
    """
    chosen = np.argsort(-maps.mean(axis=(1, 2)), kind="stable")[:count]
    side = math.ceil(math.sqrt(len(chosen)))
    height, width = maps.shape[1:]
    gap = max(1, width // 32)
    rows = math.ceil(len(chosen) / side)
    sheet = np.ones((rows * (height + gap) - gap, side * (width + gap) - gap), np.float32)
    for place, channel in enumerate(chosen):
        top, left = place // side * (height + gap), place % side * (width + gap)
        values = maps[channel]
        sheet[top : top + height, left : left + width] = values / max(float(values.max()), 1e-12)
    return sheet


def _save(figure: Any, path: Path, overwrite: bool) -> None:
    from matplotlib import rc_context

    # Without a date, and with ids that are not random in SVG, the same figure is the same file.
    kind = path.suffix.lower()
    dated = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[kind]
    data = io.BytesIO()
    with rc_context({"svg.hashsalt": "impasto"}):
        figure.savefig(
            data,
            format=kind[1:],
            dpi=200,
            metadata={**dated, "Title" if kind != ".png" else "Software": "impasto"},
        )
    write_whole(path, data.getvalue(), overwrite=overwrite)
