"""Contact sheets: which cells there are, that each is the run it stands for, and going on."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from impasto import devices, inputs, losses, objective, run, sheet
from impasto.cli import main
from impasto.errors import ImageError, OptionError, OutputError, RunError
from impasto.features import Features
from impasto.images import read_image
from impasto.objective import Objective
from impasto.options import StyleOptions
from impasto.sheet import (
    MAX_PER_AXIS,
    Made,
    Sheet,
    find_cell,
    lay_out,
    make_cells,
    parse_variation,
    read_sheet,
)
from impasto.sources import Loaded
from impasto.weights import Weights
from stand_ins import finish

Maker = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
Failing = Callable[[int, type[BaseException]], None]
QUICK = {"size": 24, "evaluations": 2, "single_level": True}
FLAGS = ["--size", "24", "--evaluations", "2", "--single-level"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder of its own, 80 columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def album(narrow: Weights, make_png: Maker) -> tuple[list[str], list[str]]:
    """Two photos of different shapes and two paintings; the network is a narrow one."""
    photos = [make_png("cat.png", 40, 30, 1).name, make_png("dog.png", 28, 42, 2).name]
    return photos, [make_png("oil.png", 36, 36, 3).name, make_png("ink.png", 30, 44, 4).name]


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows by one with every evaluation."""
    found: list[None] = []
    evaluate = Objective.evaluate

    def counted(self: Objective, picture: Any) -> Any:
        found.append(None)
        return evaluate(self, picture)

    monkeypatch.setattr(Objective, "evaluate", counted)
    return found


def make(planned: Sheet, where: str = "out", **options: Any) -> list[Made]:
    """Makes all cells."""
    return list(make_cells(planned, where, **options))


def names(folder: Path) -> set[str]:
    """Everything in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


# --- axes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("style-weight=2,8,32", ("2", "8", "32")),
        ("--style_weight= 2 , 8", ("2", "8")),
        ("pooling=max,average", ("max", "average")),
        ("tv-weight=0..1/5", ("0", "0.25", "0.5", "0.75", "1")),
        ("tv-weight=1..0/3", ("1", "0.5", "0")),
        ("style-weight=1..100/3log", ("1", "10", "100")),
        ("style-weight=0,1..4/3log", ("0", "1", "2", "4")),
        ("evaluations=10..100/3log", ("10", "32", "100")),
        ("tv-weight=-1..1e0/2", ("-1", "1e0")),
        ("style-layers=relu1_1=1,relu2_1=2;relu4_1", ("relu1_1=1,relu2_1=2", "relu4_1")),
    ],
)
def test_variations_are_lists_and_ranges(text: str, values: tuple[str, ...]) -> None:
    """Listed values stay as they are written; ranges are even in differences or in ratios."""
    assert parse_variation(text).values == values


numbers = st.floats(1e-3, 1e6).map(lambda x: float(f"{x:.6g}"))


@settings(deadline=None)
@given(numbers, numbers, st.integers(2, MAX_PER_AXIS), st.booleans())
def test_ranges_are_even(first: float, last: float, count: int, log: bool) -> None:
    """A range begins and ends with the numbers given, and its steps are equal to six digits."""
    text = f"tv-weight={first!r}..{last!r}/{count}{'log' if log else ''}"
    # Where they lie closer together, six digits do not tell the values apart.
    assume(abs(first - last) > 1e-2 * max(first, last))
    values = [float(value) for value in parse_variation(text).values]
    assert len(values) == count
    assert (values[0], values[-1]) == (first, last)
    exact = [
        first * (last / first) ** (i / (count - 1))
        if log
        else first + (last - first) * i / (count - 1)
        for i in range(count)
    ]
    np.testing.assert_allclose(values, exact, rtol=1e-5)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_variation_or_refused(text: str) -> None:
    """Whatever follows --vary gives several values or one line that names it."""
    for written in (text, f"style-weight={text}"):
        try:
            told = ""
            assert len(parse_variation(written).values) >= 2
        except OptionError as error:
            told = str(error)
        assert told == "" or told.startswith("--vary ")
        assert "\n" not in told


@pytest.mark.parametrize(
    ("photos", "styles", "vary", "rows", "columns"),
    [
        ("ab", "xyz", [], ("photo", "ab"), ("style", "xyz")),
        ("ab", "x", [], ("photo", "ab"), ("style", "x")),
        ("a", "xy", [], ("photo", "a"), ("style", "xy")),
        ("a", "x", ["tv-weight=1,2"], ("photo", "a"), ("tv-weight", "12")),
        ("ab", "x", ["tv-weight=1,2"], ("photo", "ab"), ("tv-weight", "12")),
        ("a", "xy", ["tv-weight=1,2"], ("style", "xy"), ("tv-weight", "12")),
        ("a", "x", ["tv-weight=1,2", "seed=3,4"], ("tv-weight", "12"), ("seed", "34")),
    ],
)
def test_axes_follow_from_what_there_is_several_of(
    photos: str, styles: str, vary: list[str], rows: tuple[str, str], columns: tuple[str, str]
) -> None:
    """Photos, styles and varied options, in this order, are the rows and then the columns."""
    planned = lay_out(list(photos), list(styles), vary=vary)
    for axis, (name, labels) in (planned.rows, rows), (planned.columns, columns):
        assert (axis.name, axis.labels) == (name, tuple(labels))
    places = [(cell.row, cell.column) for cell in planned.cells]
    assert places == [(i, j) for i in range(len(rows[1])) for j in range(len(columns[1]))]
    assert {cell.options.size for cell in planned.cells} == {256}
    for cell in planned.cells:
        at = {rows[0]: rows[1][cell.row], columns[0]: columns[1][cell.column]}
        assert cell.options.tv_weight == float(at.get("tv-weight", 1))
        assert cell.options.seed == int(at.get("seed", 0))
        assert (photos[cell.photo], styles[cell.style]) == (
            at.get("photo", photos[0]),
            at.get("style", styles[0]),
        )


def test_sizes_and_levels_replace_the_sheets_own_size() -> None:
    """Cells are 256 px, unless a size or levels say otherwise, for all or one by one."""
    sizes = [
        [c.options.size for c in lay_out("a", "xy", values, vary=vary).cells[:2]]
        for values, vary in [
            ({}, []),
            ({"size": 64}, []),
            ({"levels": "32:1,48:1"}, []),
        ]
    ]
    assert sizes == [[256, 256], [64, 64], [48, 48]]
    varied = lay_out("a", "x", vary=["size=32..64/3"])
    assert [cell.options.size for cell in varied.cells] == [32, 48, 64]


def test_labels_and_files_tell_everything_apart() -> None:
    """Names of files are the labels, with as much more of the path as tells them apart; no two
    cells share a file, even where capitals do not count."""
    planned = lay_out(
        ["one/cat.png", "two/cat.png", "two/cat.jpg", "sample:cat", b"bytes"],
        ["A b.png", "a?b.png", "x" * 300],
    )
    assert planned.rows.labels == ("one/cat.png", "two/cat.png", "cat.jpg", "cat", "photo 5")
    assert planned.columns.labels == ("A b", "a?b", "x" * 300)
    files = [cell.file for cell in planned.cells]
    assert len({file.casefold() for file in files}) == 15
    assert files[0] == "one-cat.png-A-b.png"
    assert all(re.fullmatch(r"[\w.~-]+\.png", file) and len(file) < 200 for file in files)


@pytest.mark.parametrize(
    ("photos", "styles", "values", "vary", "fault"),
    [
        ("ab", "xy", {}, ["seed=1,2"], "2 photos, 2 styles, --vary seed: that is 3 axes"),
        ("a", "x", {}, ["seed=1,2", "tv=l1,squared", "dpi=1"], "--vary dpi=1: acts on prints"),
        ("a", "x", {}, ["seed=1,2"] * 2, "--vary seed: --seed is given beside it"),
        ("a", "x", {"seed": 3}, ["seed=1,2"], "--vary seed: --seed is given beside it"),
        ("a", "x", {}, [], "a sheet of one cell"),
        ("", "x", {}, [], "there is no photo"),
        ("a", "", {}, [], "there is no style"),
        ("aba", "x", {}, [], "--photo a: is given twice"),
        (["cat", "sample:cat"], "x", {}, [], "--photo sample:cat: is given twice"),
        ("a", ["x", "./x"], {}, [], "--style ./x: is given twice"),
        ("a", "x", {}, ["colour=1,2"], "--vary colour=1,2: there is no option colour; "),
        ("a", "x", {}, ["style-wieght=1,2"], "did you mean style-weight?"),
        ("a", "x", {}, ["seed"], "--vary seed: write OPTION=VALUE"),
        ("a", "x", {}, ["seed=1"], "has a single value; give several, or use --seed 1"),
        ("a", "x", {}, ["seed=1,1"], "has 1 more than once"),
        ("a", "x", {}, ["style-weight=2,2.0"], "--vary style-weight: 2 and 2.0 give the same"),
        ("a", "x", {}, ["tv-weight=1..2"], "'1..2' is no range"),
        ("a", "x", {}, ["tv-weight=0..2/3log"], "both ends of '0..2/3log' must be above 0"),
        ("a", "x", {}, ["tv-weight=0..2/1"], "a range has 2 to 200"),
        ("a", "x", {}, [f"tv-weight=0..2/{'9' * 5000}"], "a range has 2 to 200"),
        ("a", "x", {}, [f"seed={','.join(map(str, range(201)))}"], "201 values of seed"),
        ("a", "x", {}, ["tv-weight=0,1,2,3,4,5,-6"], "--tv-weight: '-6' is not allowed"),
        ("a", "x", {}, ["pooling=max,"], "--pooling: '' is not allowed"),
        ("a", "x", {}, ["preview=on,off"], "cells are previews already"),
        ("a", "xy", {"style_weights": ("1", "2")}, [], "--style-weights: acts on blends"),
        ("a", "x", {}, ["start=noise,image"], "--start image: name the picture"),
    ],
)
def test_what_makes_no_sheet_is_refused(
    photos: Any, styles: Any, values: dict[str, Any], vary: list[str], fault: str
) -> None:
    """Too many axes or none, something twice, and values that no cell can have are one line."""
    with pytest.raises(OptionError, match=re.escape(fault)) as caught:
        lay_out(list(photos), list(styles), values, vary=vary)
    assert "\n" not in str(caught.value)


# --- cells ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [
        FLAGS,
        ["--levels", "12:2,24:2", "--style-loss", "gram", "--no-normalize"],
        ["--size", "30", "--evaluations", "1", "--start", "noise", "--seed", "5"],
        ["--size", "14", "--evaluations", "1", "--style-scale", "2.5", "--strength", "0.5"],
        ["--size", "30", "--evaluations", "1", "--style-loss", "sliced=1,nearest=1"],
        ["--size", "30", "--evaluations", "1", "--color", "luminance"],
        ["--size", "30", "--evaluations", "1", "--preset", "photo-real"],
    ],
    ids=["plain", "levels", "noise", "scaled", "sampled", "coloured", "photo-real"],
)
def test_cells_are_the_files_of_single_runs(
    album: tuple[list[str], list[str]], folder: Path, flags: list[str], capsys: Capture
) -> None:
    """Every cell is byte for byte the picture that `impasto stylize` writes."""
    photos, styles = album
    assert main(["sheet", "--photo", *photos, "--style", *styles, "-o", "out", *flags]) == 0
    for photo in photos:
        for style in styles:
            assert main(["stylize", photo, style, *flags, "-o", "one.png", "--overwrite"]) == 0
            cell = folder / "out" / f"{Path(photo).stem}-{Path(style).stem}.png"
            assert cell.read_bytes() == (folder / "one.png").read_bytes()


@pytest.mark.parametrize(
    ("vary", "single"),
    [
        ("pooling=max,average", ["--pooling", "average"]),
        ("style-weight=8..800/3log", ["--style-weight", "800"]),
        ("style-loss=gram,mean-std,wasserstein2", ["--style-loss", "wasserstein2"]),
        ("size=24,20", ["--size", "20"]),
        ("content-layers=relu4_2;relu1_1=1,relu3_1=2", ["--content-layers=relu1_1=1,relu3_1=2"]),
        ("rescale=on,off", ["--no-rescale"]),
    ],
)
def test_varied_cells_are_the_files_of_single_runs(
    album: tuple[list[str], list[str]], folder: Path, vary: str, single: list[str]
) -> None:
    """The last value of a varied option gives what that option's flag gives."""
    (photo, _), (style, _) = album
    flags = [f for f in FLAGS if "size" not in vary or f not in ("--size", "24")]
    where = ["--photo", photo, "--style", style, "--vary", vary, "-o", "out", "--json"]
    assert main(["sheet", *where, *flags]) == 0
    assert main(["stylize", photo, style, *flags, *single, "-o", "one.png"]) == 0
    last = read_sheet("out").cells[-1]
    assert (folder / "out" / last.file).read_bytes() == (folder / "one.png").read_bytes()


def test_blends_and_start_images_are_those_of_single_runs(
    album: tuple[list[str], list[str]], folder: Path
) -> None:
    """With --blend all paintings are mixed in every cell; --start-image begins every cell."""
    photos, styles = album
    shared = ["--style-weights", "3,1", "--start-image", "ink.png", *FLAGS]
    where = ["--photo", *photos, "--style", *styles, "--blend", "-o", "out"]
    assert main(["sheet", *where, *shared]) == 0
    assert main(["stylize", photos[1], *styles, *shared, "-o", "one.png"]) == 0
    cell = folder / "out" / read_sheet("out").cells[1].file
    assert cell.read_bytes() == (folder / "one.png").read_bytes()


def test_transparent_pictures_and_the_sheet_on_white(
    narrow: Weights, make_png: Maker, folder: Path
) -> None:
    """Transparency comes through as in single runs, and shows white on the sheet."""
    for name, seed in ("photo.png", 1), ("painting.png", 2):
        picture = Image.open(make_png(name, 40, 40, seed)).convert("RGBA")
        picture.paste((0, 0, 0, 0), (0, 0, 20, 40))
        picture.save(name)
    planned = lay_out(["photo.png"], ["painting.png"], QUICK, vary=["seed=1,2"])
    made = make(planned)
    single = finish(run.stylization("photo.png", "painting.png", made[0].cell.options))
    single.save("one.png")
    assert (folder / "out" / made[0].cell.file).read_bytes() == Path("one.png").read_bytes()
    Image.new("RGBA", (20, 20)).save("clear.png")
    planned = lay_out(["photo.png"], ["clear.png"], QUICK, vary=["seed=1,2"])
    with pytest.raises(ImageError, match=r"clear.png: is fully transparent"):
        make_cells(planned, "other")
    assert not Path("other").exists()


def test_what_cells_have_in_common_is_done_once(
    album: tuple[list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures are read once, the network is loaded once, and a painting's part of the style
    losses is found once for each level, however many cells there are."""
    read: list[Any] = []
    loaded: list[None] = []
    terms: list[None] = []
    before, wasserstein2 = inputs.read_source, losses.STYLE_LOSSES["wasserstein2"]
    load = Features.__init__

    def reading(source: Any, *rest: Any) -> Any:
        if not isinstance(source, Loaded):
            read.append(source)
        return before(source, *rest)

    def loading(self: Features, *args: Any, **options: Any) -> None:
        loaded.append(None)
        load(self, *args, **options)

    def counted(target: Any) -> Any:
        terms.append(None)
        return wasserstein2(target)

    monkeypatch.setattr(sheet, "read_source", reading)
    monkeypatch.setattr(inputs, "read_source", reading)
    monkeypatch.setattr(Features, "__init__", loading)
    monkeypatch.setitem(objective.STYLE_LOSSES, "wasserstein2", counted)
    photos, styles = album
    made = make(lay_out(photos, styles, {"levels": "12:1,24:1", "style_layers": "relu1_1"}))
    assert len(made) == 4
    assert sorted(read) == sorted([*photos, *styles])
    assert len(loaded) == 1
    assert len(terms) == len(styles) * 2


def test_a_network_is_loaded_for_each_kind(
    album: tuple[list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells with the same network follow each other, whatever their places."""
    photos, styles = album
    planned = lay_out(photos, styles[:1], QUICK, vary=["pooling=max,average"])
    order = [made.cell.options.pooling for made in make_cells(planned, "out")]
    assert order == ["max", "max", "average", "average"]


def test_more_networks_than_are_kept(
    album: tuple[list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks that had to go are loaded again, for the same cells."""
    photos, styles = album
    planned = lay_out(photos, styles[:1], QUICK, vary=["pooling=max,average,l2"])
    make(planned)
    monkeypatch.setattr(devices, "KEPT_NETWORKS", 1)
    monkeypatch.setattr(objective, "KEPT_TERMS", 1)
    make(planned, "again")
    for cell in planned.cells:
        assert (Path("out") / cell.file).read_bytes() == (Path("again") / cell.file).read_bytes()


# --- going on ------------------------------------------------------------------------------------


def test_a_finished_sheet_is_kept(
    album: tuple[list[str], list[str]], folder: Path, evaluated: list[None], capsys: Capture
) -> None:
    """The same command again makes no cell again; a sheet that has grown makes what is new."""
    photos, styles = album
    command = ["sheet", "--photo", *photos, *FLAGS, "-o", "out", "--json", "--style"]
    assert main([*command, styles[0]]) == 0
    assert len(evaluated) == 2 * 2
    first = {name: (folder / "out" / name).stat().st_mtime_ns for name in names(folder / "out")}
    assert main([*command, styles[0]]) == 0
    assert len(evaluated) == 2 * 2
    for name in ("cat-oil.png", "dog-oil.png"):
        assert (folder / "out" / name).stat().st_mtime_ns == first[name]
    assert main([*command, *styles]) == 0
    assert len(evaluated) == 4 * 2
    summaries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(s["made"], s["kept"], s["cells"]) for s in summaries] == [
        (2, 0, 2),
        (0, 2, 2),
        (2, 2, 4),
    ]
    assert names(folder / "out") == {
        *("cat-oil.png", "dog-oil.png", "cat-ink.png", "dog-ink.png", "sheet.png", "sheet.json")
    }
    assert all(cell.made and (cell.seconds or 0) > 0 for cell in read_sheet("out").cells)


def test_photos_that_moved_are_the_same_photos(
    album: tuple[list[str], list[str]], evaluated: list[None], folder: Path
) -> None:
    """Cells go by what pictures hold, not by where they lie; another picture of the same name is
    another one."""
    photos, styles = album
    make(lay_out(photos, styles[:1], QUICK))
    Path("album").mkdir()
    moved = [str(Path(photo).rename(Path("album") / photo)) for photo in photos]
    assert all(made.kept for made in make(lay_out(moved, styles[:1], QUICK)))
    Image.open(moved[0]).rotate(180).save(moved[0])
    with pytest.raises(OutputError, match=r"cat-oil.png: was made with another photo; "):
        make_cells(lay_out(moved, styles[:1], QUICK), "out")


def test_pictures_in_memory_cannot_be_told(make_png: Maker, narrow: Weights) -> None:
    """A cell of a picture that was never a file is not taken for another one's."""
    array = np.asarray(Image.open(make_png("p.png", 40, 30)))
    planned = lay_out([array], [array[::-1]], QUICK, vary=["seed=1,2"])
    assert planned.rows.labels == ("photo 1",)
    assert not any(made.kept for made in make(planned))
    with pytest.raises(OutputError, match="was made with another photo"):
        make_cells(planned, "out")
    assert not any(made.kept for made in make(planned, overwrite=True))


def test_interrupted_in_a_cell(
    album: tuple[list[str], list[str]],
    folder: Path,
    evaluated: list[None],
    failing: Failing,
    capsys: Capture,
) -> None:
    """Ctrl-C keeps the finished cells and says how to go on; then only the others are made."""
    photos, styles = album
    command = ["sheet", "--photo", *photos, "--style", *styles, "-o", "out", *FLAGS]
    failing(6, KeyboardInterrupt)
    assert main(command) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == (
        "impasto: interrupted; 2 of 4 cells are in out; the same command again goes on"
    )
    assert len(evaluated) == 5
    kept = names(folder / "out")
    assert len([name for name in kept if name.endswith(".png")]) == 2
    assert "sheet.png" not in kept
    assert main(command) == 0
    assert len(evaluated) == 5 + 4
    assert "(4 cells, 2 of them from before, " in capsys.readouterr().out


def test_a_killed_process_leaves_whole_cells(
    make_png: Maker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kill -9 the folder holds whole cells and a record of them, and nothing else."""
    make_png("a.png", 40, 30, 1)
    command = [
        *(sys.executable, "-m", "impasto", "sheet", "--photo", "a.png", "--style", "style:mosaic"),
        *("--vary", "seed=0..199/200", "-o", "out", "--size", "32", "--evaluations", "1"),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        for _ in range(1200):
            if len(list(Path("out").glob("*.png"))) >= 3 or process.poll() is not None:
                break
            time.sleep(0.1)
        process.kill()
    found = names(folder / "out")
    assert 3 <= len(found) - 1 < 200
    assert {name for name in found if not re.fullmatch(r"a-mosaic-seed-\d+\.png", name)} == {
        "sheet.json"
    }
    for name in found - {"sheet.json"}:
        assert read_image(folder / "out" / name).settings is not None
    assert sum(cell.made for cell in read_sheet("out").cells) <= len(found) - 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"style_weight": 9}, "was made with --style-weight 8.0, not 9.0"),
        ({"evaluations": 3}, "was made with --evaluations 2, not 3"),
        ({"memory": "8GB"}, "was made with --memory null, not 8000000000"),
    ],
)
def test_other_settings_are_refused_unless_told(
    album: tuple[list[str], list[str]],
    change: dict[str, Any],
    fault: str,
    evaluated: list[None],
) -> None:
    """A cell with other settings stops the sheet before any work; --overwrite makes it anew."""
    photos, styles = album
    make(lay_out(photos, styles[:1], QUICK))
    again = lay_out(photos, styles[:1], {**QUICK, **change})
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    count = len(evaluated)
    with pytest.raises(OutputError, match=rf"cat-oil.png: {fault}; .* or add --overwrite"):
        make_cells(again, "out")
    assert before == {path: path.read_bytes() for path in Path("out").iterdir()}
    assert len(evaluated) == count
    assert [made.kept for made in make(again, overwrite=True)] == [False, False]


def test_other_versions_and_other_pictures_are_other_cells(
    album: tuple[list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell of another version of impasto, and what is no picture of impasto's, are refused."""
    photos, styles = album
    planned = lay_out(photos, styles[:1], QUICK)
    make(planned)
    with monkeypatch.context() as patched:
        patched.setattr("impasto.__version__", "99.0")
        with pytest.raises(OutputError, match=r"was made with impasto [\d.]+, and this is 99\.0"):
            make_cells(planned, "out")
    Image.new("RGB", (24, 18)).save("out/dog-oil.png")
    with pytest.raises(OutputError, match=r"dog-oil.png: is there already, and no picture of "):
        make_cells(planned, "out")


def test_other_folders_are_not_touched(
    album: tuple[list[str], list[str]], folder: Path, capsys: Capture
) -> None:
    """A folder with other files, one with a damaged record, and a file are refused as they are."""
    photos, styles = album
    planned = lay_out(photos, styles, QUICK)
    Path("holiday").mkdir()
    Path("holiday/notes.txt").write_text("x")
    with pytest.raises(OutputError, match="holiday: holds other files and no sheet"):
        make_cells(planned, "holiday")
    assert names(folder / "holiday") == {"notes.txt"}
    Path("holiday/sheet.json").write_text('{"version": 2}')
    with pytest.raises(OptionError, match="is damaged, or of another version"):
        make_cells(planned, "holiday")
    assert names(folder / "holiday") == {"notes.txt", "sheet.json"}
    with pytest.raises(OutputError, match=r"cat.png: is no folder"):
        make_cells(planned, "cat.png")
    with pytest.raises(OutputError, match="cannot be made in"):
        make_cells(planned, "cat.png/sheet")
    # What the file manager leaves there is nobody's.
    Path("empty").mkdir()
    Path("empty/.DS_Store").write_text("x")
    assert len(make(planned, "empty")) == 4
    Path("empty/mine.png").write_text("x")
    with pytest.raises(OutputError, match=r"mine.png: exists already"):
        make_cells(planned, "empty", image="mine.png")


def test_one_missing_file_among_many_stops_the_sheet(
    album: tuple[list[str], list[str]], folder: Path, evaluated: list[None], capsys: Capture
) -> None:
    """A picture that cannot be read is told by name before anything is made."""
    photos, styles = album
    where = ["--photo", *photos, "gone.png", "--style", *styles, "-o", "out"]
    assert main(["sheet", *where, *FLAGS]) == 2
    assert capsys.readouterr().err == "impasto: gone.png: no such file; check the path\n"
    assert evaluated == []
    assert not Path("out").exists()


def test_a_layer_that_the_network_has_not_stops_the_sheet(
    album: tuple[list[str], list[str]], evaluated: list[None]
) -> None:
    """What only the network can refuse is refused before anything is made, in any cell."""
    photos, styles = album
    planned = lay_out(photos, styles[:1], QUICK, vary=["style-layers=relu1_1,relu2_1,relu1_7"])
    with pytest.raises(OptionError, match="relu1_7"):
        make_cells(planned, "out")
    assert evaluated == []
    assert not Path("out").exists()


def test_a_cell_that_fails_leaves_the_others(
    album: tuple[list[str], list[str]], failing: Failing, capsys: Capture, folder: Path
) -> None:
    """A run without a finite loss is told, its place is empty, and the other cells are made."""

    class NotFiniteError(RunError):
        def __init__(self) -> None:
            super().__init__("the loss is not a finite number")

    photos, styles = album
    failing(3, NotFiniteError)
    command = ["sheet", "--photo", *photos, "--style", *styles, "-o", "out", *FLAGS]
    assert main(command) == 1
    out, err = capsys.readouterr()
    assert "sheet.png (3 of 4 cells, " in out
    assert err.splitlines()[-1] == "impasto: dog-oil.png: the loss is not a finite number"
    assert names(folder / "out") == {
        *("cat-oil.png", "cat-ink.png", "dog-ink.png", "sheet.png", "sheet.json")
    }
    with pytest.raises(OptionError, match="row 2, column 1 has not been made yet"):
        find_cell("out", 2, 1)
    # Once more, only that one.
    assert main(command) == 0
    assert find_cell("out", 2, 1) == Path("out/dog-oil.png")


# --- the picture ---------------------------------------------------------------------------------


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that are drawn into figures."""
    found: list[str] = []
    text = Figure.text

    def watched(self: Figure, x: float, y: float, words: str, **options: Any) -> Any:
        found.append(words)
        return text(self, x, y, words, **options)

    monkeypatch.setattr(Figure, "text", watched)
    return found


def test_the_sheet_shows_every_cell_and_label(
    album: tuple[list[str], list[str]], labels: list[str]
) -> None:
    """Every cell is on the sheet pixel by pixel, in its place, with numbered labels."""
    photos, styles = album
    values = {**QUICK, "size": 96}
    make(lay_out(photos, styles, values))
    assert labels == ["1 · oil", "2 · ink", "1 · cat", "2 · dog"]
    whole = np.asarray(Image.open("out/sheet.png").convert("RGB"))
    corners: dict[str, tuple[int, int]] = {}
    for cell in read_sheet("out").cells:
        picture = np.asarray(Image.open(f"out/{cell.file}"))
        height, width = picture.shape[:2]
        windows = np.lib.stride_tricks.sliding_window_view(whole, (height, width, 3))[:, :, 0]
        # A row of the picture narrows the search.
        rows = np.argwhere((windows[:, :, 0] == picture[0]).all(axis=(2, 3)))
        exact = [(y, x) for y, x in rows if (windows[y, x] == picture).all()]
        assert len(exact) == 1, cell.file
        corners[cell.file] = exact[0]
    assert corners["cat-oil.png"][0] == corners["cat-ink.png"][0] < corners["dog-oil.png"][0]
    assert corners["cat-oil.png"][1] < corners["cat-ink.png"][1]


def test_varied_options_are_named(album: tuple[list[str], list[str]], labels: list[str]) -> None:
    """A column of a varied option says option and value; what is the same in all is in the
    corner."""
    (photo, _), (style, _) = album
    make(lay_out([photo], [style], QUICK, vary=["seed=1,2", "style-weight=0.5,4"]))
    assert labels == [
        *("cat", "oil", "1 · style-weight", "0.5", "2 · style-weight", "4"),
        *("1 · seed", "1", "2 · seed", "2"),
    ]


@pytest.mark.parametrize(
    ("name", "magic"),
    [("s.jpg", b"\xff\xd8"), ("s.pdf", b"%PDF"), ("s.svg", b"<?xml"), ("s.webp", b"RIFF")],
)
def test_sheets_come_in_many_formats(
    album: tuple[list[str], list[str]], name: str, magic: bytes
) -> None:
    """The extension of --sheet decides the format; the same command replaces it."""
    photos, styles = album
    command = ["sheet", "--photo", *photos, "--style", styles[0], "-o", "out", "--sheet", name]
    for _ in range(2):
        assert main([*command, *FLAGS, "--quiet"]) == 0
        assert Path("out", name).read_bytes().startswith(magic)
    assert not Path("out/sheet.png").exists()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../s.png", "must be the name of a file, without a folder"),
        ("s.txt", "sheets end in .png, "),
        ("", "must be the name of a file|sheets end in"),
        ("sheet.json", "sheets end in .png, "),
        ("Cat-Oil.png", "is the name of a cell"),
    ],
)
def test_names_that_no_sheet_can_have(
    album: tuple[list[str], list[str]], name: str, fault: str
) -> None:
    """A sheet elsewhere, of no known format or in the place of a cell is refused at once."""
    photos, styles = album
    with pytest.raises(OptionError, match=fault):
        make_cells(lay_out(photos, styles, QUICK), "out", image=name)
    with pytest.raises(OptionError, match="--quality 0: must lie in 1 to 100"):
        make_cells(lay_out(photos, styles, QUICK), "out", image="s.jpg", quality=0)
    assert not Path("out").exists()


# --- the command ---------------------------------------------------------------------------------


def test_all_stands_for_what_is_built_in(narrow: Weights, capsys: Capture, folder: Path) -> None:
    """`all` is every bundled photo, or every built-in style, beside files."""
    flags = ["--size", "8", "--evaluations", "0", "--json"]
    assert main(["sheet", "--photo", "all", "--style", "style:facets", "-o", "a", *flags]) == 0
    assert read_sheet("a").rows.labels == ["astronaut", "cat", "coffee", "rocket"]


def test_a_terminal_sees_a_line_for_each_cell(
    album: tuple[list[str], list[str]], capsys: Capture
) -> None:
    """Without a terminal's bar, every cell is told with its place and the time left."""
    photos, styles = album
    command = ["sheet", "--photo", *photos, "--style", styles[0], "-o", "out", *FLAGS]
    assert main(command) == 0
    out, err = capsys.readouterr()
    first, last = err.splitlines()
    assert re.fullmatch(r"cell 1 of 2: cat-oil\.png, \d+ s, about \d+ s left", first)
    assert re.fullmatch(r"cell 2 of 2: dog-oil\.png, \d+ s", last)
    line, advice = out.splitlines()
    shown = re.escape(str(Path("out", "sheet.png")))
    assert re.fullmatch(rf"{shown} \(2 cells, \d+ s\)", line)
    assert advice.endswith("impasto sheet promote out ROW COLUMN --size 1024")
    assert main([*command, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_options_that_exclude_each_other_are_refused(
    album: tuple[list[str], list[str]], capsys: Capture
) -> None:
    """What stylize refuses together, a sheet refuses too, varied or not."""
    (photo, _), (style, _) = album
    where = ["sheet", "--photo", photo, "--style", style, "-o", "out"]
    for flags in (
        ["--vary", "evaluations=1,2", "--levels", "24:2"],
        ["--vary", "seed=1,2", "--levels", "24:2", "--single-level"],
        ["--vary", "seed=1,2", "--start", "noise", "--start-image", style],
        ["--vary", "start=noise,content", "--start-image", style],
        ["--vary", "seed=1,2", "--print", "a4"],
    ):
        assert main([*where, *flags]) == 2
        err = capsys.readouterr().err
        assert err.startswith("impasto: --")
        assert err.count("\n") == 1
    assert not Path("out").exists()


def test_a_cell_is_promoted(
    album: tuple[list[str], list[str]], folder: Path, capsys: Capture
) -> None:
    """By row and column or by its file, a cell goes on to a larger size as `continue` takes it."""
    photos, styles = album
    command = ["sheet", "--photo", *photos, "--style", *styles, "-o", "out", *FLAGS]
    assert main(command) == 0
    assert main(["sheet", "promote", "out", "2", "1", "--size", "48"]) == 0
    large = folder / "out" / "dog-oil-large.png"
    assert Image.open(large).size == (32, 48)
    assert main(["continue", "out/dog-oil.png", "--size", "48", "-o", "one.png"]) == 0
    assert (folder / "one.png").read_bytes() == large.read_bytes()
    assert main(["sheet", "promote", "out/dog-oil.png", "--size", "48", "-o", "two.png"]) == 0
    assert (folder / "two.png").read_bytes() == large.read_bytes()
    # It is in nobody's way.
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["kept"] == 4


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["out", "3", "1"], "out: has no cell in row 3, column 1; there are 2 rows and 2 columns"),
        (["out", "0", "1"], "out: has no cell in row 0, column 1"),
        (["out", "-1", "1"], "-1"),
        (["out", "1"], "out: name the cell's row and column too"),
        (["out"], "out: name the cell's row and column too"),
        (["out", "one", "1"], "one"),
        (["nowhere", "1", "1"], "nowhere: holds no sheet"),
        (["out/sheet.json", "--size", "48"], "sheet.json: "),
        (["out", "1", "1"], "name the size to go on to"),
        (["out", "1", "1", "--size", "24"], "has 24 px already"),
    ],
)
def test_what_cannot_be_promoted(
    album: tuple[list[str], list[str]], words: list[str], fault: str, capsys: Capture
) -> None:
    """Cells that are not there, folders without a sheet and missing sizes are one line each."""
    photos, styles = album
    assert main(["sheet", "--photo", *photos, "--style", *styles, "-o", "out", *FLAGS]) == 0
    capsys.readouterr()
    assert main(["sheet", "promote", *words]) == 2
    err = capsys.readouterr().err
    assert fault in err
    assert err.count("\n") == 1


def test_a_tampered_record_leads_nowhere_else(
    album: tuple[list[str], list[str]], make_png: Maker
) -> None:
    """A record that names a file outside its folder is not followed."""
    photos, styles = album
    make(lay_out(photos, styles, QUICK))
    record = Path("out/sheet.json")
    record.write_text(record.read_text().replace("cat-oil.png", "../cat.png"))
    with pytest.raises(OptionError, match="row 1, column 1"):
        find_cell("out", 1, 1)


def test_every_option_is_varied_or_says_why_not() -> None:
    """An option that a sheet refuses to vary exists, and has a reason that is no flag's name."""
    assert set(sheet._NOT_VARIED) < set(StyleOptions.model_fields)
    for name, reason in sheet._NOT_VARIED.items():
        with pytest.raises(OptionError, match=re.escape(reason)):
            parse_variation(f"{name}=1,2")
