"""Figures: loss curves, grids of labelled pictures. Plain data in, files out; no engine."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.errors import OptionError
from impasto.images import check_place, write_whole

FIGURE_FORMATS = (".png", ".svg", ".pdf")

_INK = "#222222"
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
