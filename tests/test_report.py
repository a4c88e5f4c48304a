"""Figures: what is in them, and that nothing is lost when they cannot be written."""

import math
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from impasto import report
from impasto.errors import OptionError, OutputError
from impasto.report import (
    SHEET_FORMATS,
    Heading,
    check_figure,
    plot_grid,
    plot_input,
    plot_losses,
    plot_pairs,
    plot_preparation,
    plot_sheet,
    shorten,
    text_width,
    tile_maps,
)

MAGIC = {".png": b"\x89PNG\r\n", ".svg": b"<?xml", ".pdf": b"%PDF"}


def rows(count: int = 6) -> list[dict[str, Any]]:
    """A trace of two levels with falling losses."""
    return [
        {
            "evaluation": number + 1,
            "level": int(number >= count // 2),
            "width": 32 if number < count // 2 else 64,
            "height": 24 if number < count // 2 else 48,
            "loss": 10.0 / (number + 1),
            "content": 0.1 * number,
            "style": 5.0 / (number + 1),
            "tv": 0.0,
        }
        for number in range(count)
    ]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures that were saved, to look into."""
    found: list[Figure] = []
    save = Figure.savefig

    def watched(self: Figure, *args: Any, **options: Any) -> None:
        found.append(self)
        save(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", watched)
    return found


@pytest.mark.parametrize("extension", MAGIC)
def test_figures_come_in_every_format(tmp_path: Path, extension: str) -> None:
    """The extension, in either case, decides the format; the same figure is the same file."""
    one, other = tmp_path / f"a{extension}", tmp_path / f"b{extension.upper()}"
    plot_losses(rows(), one)
    plot_losses(rows(), other)
    assert one.read_bytes().startswith(MAGIC[extension])
    assert one.read_bytes() == other.read_bytes()
    assert sorted(tmp_path.iterdir()) == [one, other]


def test_loss_curves_show_the_terms_that_are_there(tmp_path: Path, drawn: list[Figure]) -> None:
    """Each term above zero is a curve with its values; a term that is not used is left out."""
    plot_losses(rows(), tmp_path / "plot.png")
    (axes,) = drawn[0].axes
    curves = {line.get_label(): line for line in axes.lines if line.get_label() in rows()[0]}
    assert set(curves) == {"loss", "content", "style"}
    x, y = curves["loss"].get_data()
    np.testing.assert_allclose(np.asarray(x), [1, 2, 3, 4, 5, 6])
    np.testing.assert_allclose(np.asarray(y), [10 / n for n in range(1, 7)])
    assert axes.get_yscale() == "log"
    assert [text.get_text().strip() for text in axes.texts] == ["32 × 24", "64 × 48"]


def test_loss_curves_survive_values_that_are_not_finite(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    """A fault in the run is a gap in the curve, not a fault of the figure."""
    trace = rows()
    trace[2]["loss"], trace[3]["loss"] = math.nan, math.inf
    plot_losses(trace, tmp_path / "plot.png")
    (axes,) = drawn[0].axes
    y = np.asarray(next(line for line in axes.lines if line.get_label() == "loss").get_ydata())
    assert np.isnan(y).tolist() == [False, False, True, True, False, False]
    plot_losses(trace[2:3], tmp_path / "nothing.png")
    assert (tmp_path / "nothing.png").stat().st_size > 0


def test_grids_place_each_picture_under_its_labels(tmp_path: Path, drawn: list[Figure]) -> None:
    """Rows and columns of colour and grey pictures keep their place; gaps stay empty."""
    red = np.zeros((8, 12, 3), np.float32)
    red[..., 0] = 1
    grey = np.full((8, 12), 0.5, np.float32)
    plot_grid(
        [[red, None], [grey, red]],
        tmp_path / "grid.png",
        rows=["one", "two"],
        columns=["left", "right"],
        title="all",
    )
    axes = np.array(drawn[0].axes).reshape(2, 2)
    assert [[len(a.images) for a in row] for row in axes] == [[1, 0], [1, 1]]
    np.testing.assert_array_equal(axes[0, 0].images[0].get_array(), red)
    np.testing.assert_array_equal(axes[1, 0].images[0].get_array(), grey)
    assert [a.get_title() for a in axes[0]] == ["left", "right"]
    assert [a.get_ylabel() for a in axes[:, 0]] == ["one", "two"]
    pixels = np.asarray(Image.open(tmp_path / "grid.png").convert("RGB"))
    assert (pixels == [255, 0, 0]).all(axis=2).sum() > 1000
    assert (pixels == [128, 128, 128]).all(axis=2).sum() > 1000


def test_pictures_of_a_grid_have_labels_of_their_own(tmp_path: Path, drawn: list[Figure]) -> None:
    """A label for each picture stands above it, in every row, also in one that is not full."""
    grey = np.full((8, 12), 0.5, np.float32)
    plot_grid([[grey, grey], [grey]], tmp_path / "grid.png", labels=[["a", "b"], ["c"]])
    assert [axes.get_title() for axes in drawn[0].axes] == ["a", "b", "c", ""]


@pytest.mark.parametrize("name", ["plot.jpg", "plot", "plot.png.txt"])
def test_other_extensions_are_refused(tmp_path: Path, name: str) -> None:
    """A figure in a format that figures do not come in is refused in one line."""
    with pytest.raises(OptionError, match=r"figures end in \.png, \.svg, \.pdf") as caught:
        check_figure(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_existing_figures_are_kept(tmp_path: Path) -> None:
    """A file that exists is replaced only when told to."""
    path = tmp_path / "plot.png"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already; choose another name, or use"):
        plot_losses(rows(), path)
    assert path.read_bytes() == b"mine"
    plot_losses(rows(), path, overwrite=True)
    assert path.read_bytes().startswith(MAGIC[".png"])


def test_missing_folders_are_named(tmp_path: Path) -> None:
    """A folder that does not exist is said before the work."""
    with pytest.raises(OutputError, match="no does not exist; create it first"):
        plot_grid([[np.zeros((2, 2), np.float32)]], tmp_path / "no" / "plot.png")


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up, the old figure stays as it was and no fragment beside it."""
    path = tmp_path / "plot.png"
    path.write_bytes(b"mine")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"plot\.png: the disk is full"):
        plot_losses(rows(), path, overwrite=True)
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_figure_that_appears_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that someone else writes during the drawing is not replaced."""
    path = tmp_path / "plot.png"
    save = Figure.savefig

    def slow(self: Figure, *args: Any, **options: Any) -> None:
        save(self, *args, **options)
        path.write_bytes(b"theirs")

    monkeypatch.setattr(Figure, "savefig", slow)
    with pytest.raises(OutputError, match="exists"):
        plot_losses(rows(), path)
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_the_strongest_maps_are_tiled() -> None:
    """The maps with the largest means are laid out in that order, each scaled to its own top."""
    rng = np.random.default_rng(0)
    strength = np.array([0.1, 5.0, 0.0, 2.0, 9.0])
    maps = (rng.uniform(0.5, 1, (5, 4, 6)) * strength[:, None, None]).astype(np.float32)
    sheet = tile_maps(maps, 4)
    assert sheet.shape == (4 * 2 + 1, 6 * 2 + 1)
    places = [(0, 0), (0, 7), (5, 0), (5, 7)]
    for channel, (top, left) in zip([4, 1, 3, 0], places, strict=True):
        tile = sheet[top : top + 4, left : left + 6]
        np.testing.assert_allclose(tile, maps[channel] / maps[channel].max(), rtol=1e-6)
    assert (sheet[4] == 1).all()
    assert (sheet[:, 6] == 1).all()


def test_silent_and_few_maps_are_tiled_too() -> None:
    """A map that never fires is black, not NaN, and fewer maps than asked for are all shown."""
    sheet = tile_maps(np.zeros((2, 3, 3), np.float32), 16)
    assert sheet.shape == (3, 7)
    assert np.isfinite(sheet).all()
    assert not sheet[:, :3].any()


def outcome(width: int = 0, height: int = 0, reason: str | None = None) -> dict[str, Any]:
    """What became of a file; a kept one is of one green, half of it dark."""
    kept = reason is None
    return {
        "reason": reason,
        "width": width,
        "height": height,
        "sharpness": 300.0 if width else None,
        "color": (0.6, -0.1, 0.1) if kept else None,
        "hues": tuple(0.1 if 120 <= 10 * n < 150 else 0.0 for n in range(36)) if kept else (),
        "lightness": tuple(0.5 if n in (5, 12) else 0.0 for n in range(20)) if kept else (),
    }


def heights(axes: Any) -> list[float]:
    """How high the bars of a chart are."""
    return [bar.get_height() for bar in axes.patches]


def test_preparations_are_counted(tmp_path: Path, drawn: list[Figure]) -> None:
    """Each chart shows every file that it can, under its limits, and the figure is as large with
    one file as with many."""
    files = [outcome(600, 400), outcome(300, 400), outcome(60, 40, "tiny"), outcome(900, 900)]
    files += [outcome(reason="not a picture")] * 2
    plot_preparation(files, tmp_path / "many.png", title="many", min_side=256, min_sharpness=60)
    counts, sides, shapes, sharp, light, _, strip, *_ = drawn[0].axes
    assert [label.get_text() for label in counts.get_yticklabels()] == [
        "kept",
        "not a picture",
        "tiny",
    ]
    assert [bar.get_width() for bar in counts.containers[0]] == [3, 2, 1]
    for axes in (sides, shapes, sharp):
        assert sum(heights(axes)) == 4
    assert [float(np.asarray(axes.lines[0].get_xdata())[0]) for axes in (sides, sharp)] == [256, 60]
    assert sum(heights(light)) == pytest.approx(1)
    assert strip.images[0].get_array().shape == (1, 3, 3)  # pyright: ignore
    green = np.asarray(strip.images[0].get_array())[0, 0]
    assert green[1] > green[0] > green[2]
    (wheel,) = (axes for axes in drawn[0].findobj() if type(axes).__name__ == "PolarAxes")
    angles = [bar.get_x() for bar in wheel.patches if bar.get_height() > 0]  # pyright: ignore
    assert len(angles) == 3
    assert 2.0 < min(angles) < max(angles) < 2.7
    for name, some in (("one", files[:1]), ("none", []), ("dropped", files[4:])):
        plot_preparation(some, tmp_path / f"{name}.png", min_side=256, min_sharpness=60)
    assert {Image.open(path).size for path in tmp_path.iterdir()} == {(2200, 1520)}


@pytest.mark.parametrize("sides", [(300, 310), (450, 900), (333, 333), (1100, 2000), (40, 30_000)])
def test_every_axis_of_sizes_can_be_read(
    sides: tuple[int, int], tmp_path: Path, drawn: list[Figure]
) -> None:
    """However near or far apart the sizes, at least three numbers stand along their axis, with
    room between them."""
    plot_preparation([outcome(side, side) for side in sides], tmp_path / "sizes.png")
    axes = drawn[0].axes[1]
    places = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert len(places) >= 3
    assert all(one.x1 + 3 < other.x0 for one, other in pairwise(places))
    shown = [float(label.get_text().replace(",", "")) for label in axes.get_xticklabels()]
    assert shown == pytest.approx(list(axes.get_xticks()))
    assert axes.get_xlim()[0] <= shown[0] < shown[-1] <= axes.get_xlim()[1]


@pytest.mark.parametrize("count", [1, 4, 5, 13, 25])
def test_pairs_of_all_shapes_find_their_places(
    tmp_path: Path, drawn: list[Figure], count: int
) -> None:
    """Pictures keep their shapes, lie inside the figure and over no other, whatever their shapes
    and number; captions are shown as they are, cut where too long."""
    shapes = (30, 40), (60, 20), (10, 90), (40, 40)
    rows = [
        [np.full((*shapes[(n + k) % 4], 3), 0.5, np.float32) for k in range(3)]
        for n in range(count)
    ]
    captions = [(f"$x_{n}$ <b>", "long " * 20, "") for n in range(count)]
    plot_pairs(rows, tmp_path / "p.png", columns=("a", "b", "c"), captions=captions, title="pairs")
    width, height = drawn[0].get_size_inches()
    boxes = [axes.get_position() for axes in drawn[0].axes]
    assert len(boxes) == 3 * count
    for box, picture in zip(boxes, (p for row in rows for p in row), strict=True):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert max(box.x1, box.y1) <= 1
        shape = box.height * height / (box.width * width)
        assert shape == pytest.approx(picture.shape[0] / picture.shape[1])
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            apart = min(one.x1, other.x1) - max(one.x0, other.x0) < 1e-9
            assert apart or min(one.y1, other.y1) - max(one.y0, other.y0) < 1e-9
    words = [text.get_text() for text in drawn[0].texts]
    assert "$x_0$ <b>" in words
    assert sum(word.endswith("…") and len(word) <= 30 for word in words) == count


def test_inputs_share_one_scale_of_colours(tmp_path: Path, drawn: list[Figure]) -> None:
    """Every plane is drawn over the same range, as far below 0 as above, beside the picture and
    above the maps of the layers."""
    picture = np.random.default_rng(0).random((12, 16, 3), np.float32)
    planes = {"one": picture[..., 0] * 200 - 120, "two": picture[..., 1] * 10}
    maps = {f"relu{n}_1": picture[..., 2] for n in range(1, 4)}
    plot_input(picture, planes, maps, tmp_path / "input.png")
    shown = [axes for axes in drawn[0].axes if axes.get_title()]
    titles = [axes.get_title() for axes in shown]
    assert titles == ["the picture", "one", "two", "relu1_1", "relu2_1", "relu3_1"]
    reach = float(np.abs(planes["one"]).max())
    for axes in shown[1:3]:
        assert axes.images[0].get_clim() == pytest.approx((-reach, reach))
    np.testing.assert_array_equal(shown[2].images[0].get_array(), planes["two"])


# --- sheets --------------------------------------------------------------------------------------

LONG = "The Great Wave off Kanagawa, by Katsushika Hokusai, about 1831"


def flat(width: int, height: int, shade: int = 90) -> np.ndarray:
    """A picture of one grey."""
    return np.full((height, width, 3), shade, np.uint8)


def sheet_of(path: Path, cells: list[list[Any]], labels: list[str], **options: Any) -> None:
    """A sheet whose rows and columns are called after a list of labels, with pictures."""
    rows = [Heading(labels[i % len(labels)], [flat(30, 20)]) for i in range(len(cells))]
    columns = [Heading(labels[j % len(labels)], [flat(24, 40)]) for j in range(len(cells[0]))]
    plot_sheet(cells, path, rows=rows, columns=columns, **options)


@pytest.mark.parametrize("side", [8, 96, 256])
@pytest.mark.parametrize("count", [2, 9])
def test_labels_of_sheets_are_not_clipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, count: int
) -> None:
    """Long names, formulas and foreign letters lie whole within the sheet and over no other
    label."""
    seen: list[Figure] = []
    text = Figure.text

    def watched(self: Figure, *args: Any, **options: Any) -> Any:
        seen.append(self)
        return text(self, *args, **options)

    monkeypatch.setattr(Figure, "text", watched)
    labels = [LONG, "$x^2$ _a_ {b", "W" * 60, "京都", "a", ""]
    cells = [[flat(side, side * 3 // 4) for _ in range(count)] for _ in range(count)]
    fixed = [Heading(LONG, [flat(40, 30)]), Heading("b", [flat(9, 40)])]
    sheet_of(tmp_path / "sheet.png", cells, labels, fixed=fixed)
    figure = seen[0]
    with Image.open(tmp_path / "sheet.png") as picture:
        width, height = picture.size
    boxes = [t.get_window_extent() for t in figure.texts if t.get_text()]
    assert len(boxes) >= 2 * count
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[place + 1 :])


@settings(deadline=None)
@given(st.text(max_size=40), st.integers(1, 40))
def test_names_are_shortened_in_the_middle(text: str, most: int) -> None:
    """What is too long keeps as much of both ends as fits, with an ellipsis between them."""
    short = shorten(text, lambda words: len(words) <= most)
    if len(text) <= most:
        assert short == text
    elif most >= 3:
        assert len(short) == most
        before, _, after = short.partition("…")
        assert text.startswith(before)
        assert text.endswith(short[len(before) + 1 :])
        assert abs(len(before) - len(short[len(before) + 1 :])) <= 1 or "…" in text
        assert after is not None


def test_widths_of_words_are_what_is_drawn(tmp_path: Path) -> None:
    """The width that a label is taken to have is that of its ink, up to a letter's side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = Figure(figsize=(8, 1), dpi=100)
    drawn = figure.text(0.01, 0.5, LONG[:40], fontsize=20 * 72 / 100, parse_math=False)
    FigureCanvasAgg(figure).draw()
    assert drawn.get_window_extent().width == pytest.approx(text_width(LONG[:40], 20), rel=0.05)


def test_pictures_of_a_sheet_keep_their_shape(tmp_path: Path) -> None:
    """Wide, high and missing pictures stand in even rows and columns, pixel by pixel."""
    wide, high = flat(120, 20, 10), flat(20, 120, 60)
    sheet_of(tmp_path / "s.png", [[wide, high], [high, None]], ["a", "b"])
    found = np.asarray(Image.open(tmp_path / "s.png").convert("RGB"))
    ink = [(found == shade).all(axis=2) for shade in (10, 60, 242)]
    # Letters have greys of all kinds at their edges, but no such areas of them.
    assert ink[0].sum() == pytest.approx(120 * 20, abs=60)
    assert ink[1].sum() == pytest.approx(2 * 20 * 120, abs=60)
    rows = [np.flatnonzero(part.sum(axis=1) >= 20) for part in ink]
    assert rows[0][-1] - rows[0][0] == 19
    assert rows[1][-1] < found.shape[0]
    assert ink[2].sum() > 1000


def test_huge_sheets_show_smaller_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sheet that would be larger than can be held has smaller cells and is whole."""
    monkeypatch.setattr(report, "_SHEET_PIXELS", 500_000)
    sheet_of(tmp_path / "s.png", [[flat(256, 256)] * 6] * 6, ["a"])
    with Image.open(tmp_path / "s.png") as picture:
        assert 250_000 < picture.width * picture.height <= 500_000
        shades = np.asarray(picture.convert("L"))
    assert (shades == 90).mean() > 0.4


@pytest.mark.parametrize("extension", SHEET_FORMATS)
def test_sheets_come_in_every_format_they_name(tmp_path: Path, extension: str) -> None:
    """Every extension of a sheet can be written, over nothing that exists unless told."""
    path = tmp_path / f"s{extension}"
    for overwrite in (False, True):
        sheet_of(path, [[flat(64, 64)]], ["a"], overwrite=overwrite)
    with pytest.raises(OutputError, match="exists already"):
        sheet_of(path, [[flat(64, 64)]], ["a"])
    with pytest.raises(OptionError, match="sheets end in"):
        sheet_of(tmp_path / "s.bmp", [[flat(64, 64)]], ["a"])
