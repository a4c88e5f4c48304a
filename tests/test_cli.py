"""The command line, end to end at tiny sizes: files, output, exit codes, one line per fault."""

import contextlib
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto import __version__, styles
from impasto.cli import main
from impasto.errors import ImageError
from impasto.features import layers_of
from impasto.images import read_image
from impasto.objective import Objective, Terms
from impasto.options import PRESETS, StyleOptions, make_options
from impasto.styles import draw_style, style_names
from impasto.weights import Weights
from real_runs import ENDLESS, start, stop_midway, wait_until_under_way

Maker = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
Failing = Callable[[int, type[BaseException]], None]
QUICK = ["--size", "32", "--evaluations", "2"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder of its own, 80 columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def files(make_png: Maker) -> list[str]:
    """A photo and a painting in the current folder."""
    return [make_png("photo.png", 40, 30, 1).name, make_png("painting.png", 36, 36, 2).name]


def names(folder: Path) -> set[str]:
    """Everything in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """`python -m impasto` in a process of its own."""
    command = [sys.executable, "-m", "impasto", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, **options
    )


# --- every command -------------------------------------------------------------------------------


def test_stylize_writes_a_picture_beside_the_photo(
    files: list[str], folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """Without `--output` the result goes beside the photo under a name that is not taken yet."""
    (folder / "album").mkdir()
    photo = Path(files[0]).rename(folder / "album" / "photo.png")
    for expected in ("photo-painting.png", "photo-painting-2.png", "photo-painting-3.png"):
        assert main(["stylize", str(photo), files[1], *QUICK]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{photo.parent / expected} (32 x 24 px, 2 evaluations, ")
        assert Image.open(photo.parent / expected).size == (32, 24)
    assert names(folder / "album") == {
        *("photo.png", "photo-painting.png", "photo-painting-2.png", "photo-painting-3.png")
    }


def test_stylize_with_the_real_network(files: list[str], folder: Path, capsys: Capture) -> None:
    """Several paintings, the default network and defaults: a picture with its settings inside."""
    arguments = ["stylize", *files, "style:mosaic", "--style-weights", "2,1", *QUICK]
    assert main([*arguments, "-o", "out.png"]) == 0
    settings = read_image(folder / "out.png").settings
    assert settings is not None
    assert settings["options"]["style_weights"] == [2.0, 1.0]
    assert [Path(entry["path"]).name for entry in settings["styles"]] == [
        "painting.png",
        "style:mosaic",
    ]
    before = np.asarray(Image.open(files[0]).resize((32, 24))).astype(float)
    assert np.abs(np.asarray(Image.open("out.png")) - before).mean() > 1


def test_names_of_built_in_pictures_make_file_names(
    folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """A bundled photo's result goes to the current folder, named after photo and style."""
    assert main(["stylize", "sample:cat", "style:linocut", *QUICK, "--quiet"]) == 0
    assert names(folder) == {"cat-linocut.png"}


def test_demo_needs_nothing(folder: Path, narrow: Weights, capsys: Capture) -> None:
    """`demo` makes a picture from what comes with the package."""
    assert main(["demo", *QUICK]) == 0
    assert names(folder) == {"impasto-demo.png"}
    assert "impasto-demo.png (32 x " in capsys.readouterr().out


def test_reproduce_gives_the_same_bytes(
    files: list[str], folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """`reproduce` makes the same file from the settings inside it, and takes changes."""
    flags = ["--start", "noise", "--seed", "4", "--levels", "12:2,32:3", "--tv-weight", "0.1"]
    assert main(["stylize", *files, *flags, "-o", "one.png"]) == 0
    assert main(["reproduce", "one.png"]) == 0
    assert (folder / "one-again.png").read_bytes() == (folder / "one.png").read_bytes()
    assert main(["reproduce", "one.png", "--seed", "5", "-o", "other.png"]) == 0
    assert (folder / "other.png").read_bytes() != (folder / "one.png").read_bytes()
    settings = read_image(folder / "other.png").settings
    assert settings is not None
    expected = make_options({"start": "noise", "seed": 5, "levels": "12:2,32:3", "tv_weight": 0.1})
    assert make_options(settings["options"]) == expected
    capsys.readouterr()
    Image.open(files[1]).rotate(90).save(files[1])
    assert main(["reproduce", "one.png", "-o", "changed.png", "--quiet"]) == 0
    err = capsys.readouterr().err
    assert err.endswith("painting.png: has changed since the picture was made\n")
    assert err.count("\n") == 1


def test_reconstruct_content_finds_the_photo_again(
    files: list[str], folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """From noise, a shallow layer's features give back something close to the photo."""
    arguments = ["reconstruct", "content", files[0], "--layer", "relu1_1", "--size", "24"]
    assert main([*arguments, "--evaluations", "60"]) == 0
    assert names(folder) >= {"photo-relu1_1.png"}
    photo = np.asarray(Image.open(files[0]).resize((24, 18), Image.Resampling.LANCZOS))
    found = np.asarray(Image.open("photo-relu1_1.png"))
    assert np.corrcoef(found.ravel(), photo.ravel())[0, 1] > 0.5
    settings = read_image("photo-relu1_1.png").settings
    assert settings is not None
    assert settings["styles"] == []
    assert settings["options"]["style_weight"] == 0


def test_reconstruct_style_makes_a_texture(
    files: list[str], folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """From noise, a painting's statistics make a texture in its shape."""
    arguments = ["reconstruct", "style", files[1], "--layers", "relu1_1=2,block2_conv1", *QUICK]
    assert main(arguments) == 0
    assert Image.open("painting-texture.png").size == (32, 32)
    settings = read_image("painting-texture.png").settings
    assert settings is not None
    assert settings["content"] is None
    assert settings["options"]["style_layers"] == "relu1_1=2,relu2_1=1"


def test_reconstruct_figure_shows_every_layer(
    files: list[str], folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """The figure holds content and style, under both poolings, for every layer named."""
    layers = ["--content-layers", "relu1_1,relu2_1", "--style-layers", "relu1_1,relu2_1"]
    arguments = ["reconstruct", "figure", *files, "-o", "figure.svg", *layers]
    assert main([*arguments, "--size", "16", "--evaluations", "1"]) == 0
    out = capsys.readouterr()
    assert out.out == "figure.svg\n"
    assert out.err.count("\n") == 8
    assert (folder / "figure.svg").read_text().count("<image ") == 8
    assert main([*arguments, "--quiet"]) == 1
    assert capsys.readouterr().err == (
        "impasto: figure.svg: exists already; choose another name, or use --overwrite\n"
    )


@pytest.mark.parametrize(
    ("at", "fault", "code", "words"),
    [
        (3, KeyboardInterrupt, 130, "\nstopped early; "),
        (2, MemoryError, 1, "; "),
    ],
)
def test_reconstruct_figure_keeps_what_is_finished(
    files: list[str],
    folder: Path,
    narrow: Weights,
    capsys: Capture,
    failing: Failing,
    at: int,
    fault: type[BaseException],
    code: int,
    words: str,
) -> None:
    """Ctrl-C, or memory that runs out, during one of eight pictures leaves a figure of those that
    are finished."""
    failing(at, fault)
    layers = ["--content-layers", "relu1_1,relu2_1", "--style-layers", "relu1_1,relu2_1"]
    arguments = ["reconstruct", "figure", *files, "-o", "figure.svg", *layers, "--size", "16"]
    assert main([*arguments, "--evaluations", "1"]) == code
    out, err = capsys.readouterr()
    assert f"{err}{out}".endswith(f"{words}what was finished is in figure.svg\n")
    assert (folder / "figure.svg").read_text().count("<image ") == at - 1


@pytest.mark.parametrize("command", ["figure", "model"])
def test_figures_do_not_replace_the_pictures_they_read(
    command: str, files: list[str], narrow: Weights, capsys: Capture
) -> None:
    """Even with --overwrite a figure is not written over a picture that the command reads."""
    before = Path(files[0]).read_bytes()
    arguments = {
        "figure": ["reconstruct", "figure", *files],
        "model": ["model", "vgg19", "--picture", files[0]],
    }[command]
    assert main([*arguments, "-o", files[0], "--overwrite"]) == 2
    assert "is a picture that this run reads" in capsys.readouterr().err
    assert Path(files[0]).read_bytes() == before


def test_reproduce_keeps_format_and_depth(
    files: list[str], folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """A 16-bit TIFF is made again as a 16-bit TIFF, with the same pixels."""
    assert main(["stylize", *files, *QUICK, "--bits", "16", "-o", "out.tif"]) == 0
    assert main(["reproduce", "out.tif"]) == 0
    old, new = read_image("out.tif"), read_image("out-again.tif")
    assert old.bits == new.bits == 16
    assert np.array_equal(old.pixels, new.pixels)


def test_reproduce_writes_what_a_renamed_file_can_hold(
    files: list[str], folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """A 16-bit picture under a name for 8 bits is made again in 8, with a word about it."""
    assert main(["stylize", *files, *QUICK, "--bits", "16", "-o", "out.png"]) == 0
    (folder / "out.png").rename("out.jpg")
    assert main(["reproduce", "out.jpg"]) == 0
    err = capsys.readouterr().err.splitlines()
    assert "impasto: warning: out-again.jpg: written with 8 bits, the most it holds" in err
    assert read_image("out-again.jpg").bits == 8


def test_reproduce_at_another_size_lets_recorded_levels_go(
    files: list[str], narrow: Weights, capsys: Capture
) -> None:
    """Levels belong to their size: a new size takes automatic ones, new levels bring their size."""
    assert main(["stylize", *files, "--levels", "16:0,32:1", "-o", "out.png"]) == 0
    assert main(["reproduce", "out.png", "--size", "48", "--evaluations", "1", "-o", "a.png"]) == 0
    assert Image.open("a.png").width == 48
    assert main(["reproduce", "out.png", "--levels", "16:1,40:1", "-o", "b.png"]) == 0
    assert Image.open("b.png").width == 40


def test_a_helpful_word_for_likely_slips(files: list[str], capsys: Capture) -> None:
    """A slip in a style's name, a web address and a missing painting say what to do."""
    assert main(["stylize", files[0], "style:nigt-sky"]) == 2
    assert "night-sky" in capsys.readouterr().err
    assert main(["stylize", "https://example.org/a.jpg", files[1]]) == 2
    assert "download the picture" in capsys.readouterr().err
    assert main(["stylize", files[0]]) == 2
    assert capsys.readouterr().err == "impasto: STYLES is missing; see impasto stylize --help\n"
    assert main(["info", "a.png"]) == 2
    assert capsys.readouterr().err == "impasto: 'a.png' is too much; see impasto info --help\n"


@pytest.mark.parametrize(
    ("command", "shown", "hidden"),
    [
        (["reconstruct", "content"], "(default: noise)", "(default: recolored)"),
        (["reconstruct", "style"], "(default: gram)", "(default: wasserstein2)"),
        (["reproduce"], "Style layers", "(default: 512)"),
        (["demo"], "impasto-demo.png", "--style-weights"),
    ],
)
def test_help_shows_the_commands_own_defaults(
    command: list[str], shown: str, hidden: str, capsys: Capture
) -> None:
    """A command's help shows what holds for that command, not for `stylize`."""
    main([*command, "--help"])
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert shown in out
    assert hidden not in out


def test_reconstruct_figure_finds_faults_before_it_works(
    files: list[str], narrow: Weights, capsys: Capture
) -> None:
    """A painting that cannot be read, or a layer that is not there, stops it before any picture."""
    arguments = ["reconstruct", "figure", files[0], "gone.png", "-o", "figure.svg"]
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("impasto: gone.png: ")
    assert err.count("\n") == 1


def test_model_takes_the_limit_that_it_names(
    files: list[str], folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """`model --picture` refuses a picture beyond --max-pixels and takes it when that is raised."""
    arguments = ["model", "vgg19", "--picture", files[0], "-o", "maps.png", "--layers", "relu1_1"]
    assert main([*arguments, "--max-pixels", "10"]) == 2
    assert "--max-pixels" in capsys.readouterr().err
    assert main([*arguments, "--max-pixels", "-5"]) == 2
    assert capsys.readouterr().err == "impasto: --max-pixels -5: must be at least 1\n"
    assert main([*arguments, "--max-pixels", "1000000"]) == 0
    assert (folder / "maps.png").exists()


def test_styles_are_listed_and_drawn(folder: Path, capsys: Capture) -> None:
    """`styles` and `styles list` name every style; `styles draw` draws one, its seed deciding."""
    for command in ["styles", "list"], ["styles"]:
        assert main(command) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == [f"style:{name}" for name in style_names()]
    assert main(["styles", "draw", "mosaic", "--size", "40", "--seed", "3"]) == 0
    assert capsys.readouterr().out.endswith("mosaic.png\n")
    expected = draw_style("mosaic", 40, 40, 3).transpose(1, 2, 0)
    np.testing.assert_allclose(
        np.asarray(Image.open("mosaic.png")) / 255, expected, atol=0.51 / 255
    )
    assert main(["styles", "draw", "style:mosaic", "--size", "8"]) == 0
    assert names(folder) == {"mosaic.png", "mosaic-2.png"}
    sizes = []
    for quality in ("95", "30"):
        assert main(["styles", "draw", "mosaic", "-o", f"{quality}.jpg", "--quality", quality]) == 0
        sizes.append((folder / f"{quality}.jpg").stat().st_size)
    assert sizes[0] > 2 * sizes[1]


def test_all_styles_on_one_sheet(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`styles sheet` draws every style on one figure, and replaces none unasked."""
    monkeypatch.setattr(styles, "style_names", lambda: ["linocut", "mosaic", "waves"])
    assert main(["styles", "sheet", "--seed", "2"]) == 0
    assert capsys.readouterr().out.endswith("styles.png\n")
    sheet = np.asarray(Image.open("styles.png").convert("RGB")) / 255
    # three pictures in a square of two by two: the last quarter is paper
    quarters = [half for row in np.array_split(sheet, 2) for half in np.array_split(row, 2, 1)]
    assert [bool(quarter.std() > 0.05) for quarter in quarters] == [True, True, True, False]
    drawn = draw_style("linocut", 320, 320, 2)
    near = np.abs(quarters[0].mean((0, 1)) - drawn.mean((1, 2))).max()
    assert near < 0.25
    assert main(["styles", "sheet", "-o", "styles.png"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["styles", "sheet"]) == 0
    assert names(folder) == {"styles.png", "styles-2.png"}


def test_model_shows_layers(capsys: Capture) -> None:
    """`model` prints each layer with both names, as a table and as JSON."""
    assert main(["model", "vgg16"]) == 0
    table = capsys.readouterr().out
    assert main(["model", "vgg16", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    for layer, entry in zip(layers_of("vgg16"), listed, strict=True):
        assert re.search(rf"{layer.name} +{layer.keras} +{layer.channels} ", table)
        assert (entry["name"], entry["stride"]) == (layer.name, layer.stride)
    assert "14,714,688 parameters" in table
    assert max(map(len, table.splitlines())) <= 80


def test_model_draws_what_enters_the_network(
    files: list[str], narrow: Weights, capsys: Capture
) -> None:
    """`model --picture --input` names each channel with what is taken from it, above the maps."""
    arguments = ["model", "vgg19", "--picture", files[0], "-o", "input.svg", "--size", "32"]
    assert main([*arguments, "--input", "--layers", "relu1_1,relu2_1"]) == 0
    assert capsys.readouterr().out == "input.svg\n"
    drawn = Path("input.svg").read_text("utf-8")
    for title in ("blue · 4 − 1.9", "green · 4 − 2", "red · 4 − 2.1", "relu1_1", "relu2_1"):
        assert f"<!-- {title} -->" in drawn


def test_model_draws_what_layers_see(
    files: list[str], folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """`model --picture` draws the picture and a sheet of maps for each layer."""
    arguments = ["model", "vgg19", "--picture", files[0], "-o", "maps.svg", "--size", "32"]
    assert main([*arguments, "--layers", "relu1_1,block3_conv1", "--maps", "4"]) == 0
    assert capsys.readouterr().out == "maps.svg\n"
    assert (folder / "maps.svg").read_text().count("<image ") == 3


def test_presets_show_what_they_set(capsys: Capture) -> None:
    """`presets` names each preset with its source, and its flags can be copied as they stand."""
    assert main(["presets"]) == 0
    shown = capsys.readouterr().out
    assert main(["presets", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed) == set(PRESETS)
    for name, preset in PRESETS.items():
        assert f"{name}: {preset.title}" in shown
        assert preset.citation in shown
        assert listed[name]["citation"] == preset.citation


def test_info_says_what_a_bug_report_needs(capsys: Capture) -> None:
    """`info` shows versions, threads and the weights at hand, in words and as JSON."""
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["impasto"] == __version__
    assert facts["torch"] == torch.__version__
    assert facts["threads"] == torch.get_num_threads()
    assert isinstance(facts["weights"], list)
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    assert all(shown.count(f"{name} ") >= 1 for name in facts)


def test_version_and_help(capsys: Capture) -> None:
    """`--version` is the version; the help of `stylize` has every option with its meaning."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__
    assert main(["stylize", "--help"]) == 0
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    for name, field in StyleOptions.model_fields.items():
        assert f"--{name.replace('_', '-')}" in shown
        assert field.description is not None
        assert field.description.split()[0] in shown
    for flag in ("--output", "--trace", "--snapshots", "--plot", "--json", "--quiet"):
        assert flag in shown


# --- what is shown and written -------------------------------------------------------------------


def test_json_summary_is_complete(
    files: list[str], folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """`--json` prints one JSON object and nothing else."""
    arguments = ["stylize", *files, "--levels", "16:2,32:3", "--json", "-o", "out.png"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert err == ""
    assert (summary["output"], summary["width"], summary["height"]) == ("out.png", 32, 24)
    assert summary["evaluations"] == 5
    assert summary["levels"] == [[16, 12, 2], [32, 24, 3]]
    assert summary["interrupted"] is False
    assert summary["seconds"] >= 0
    settings = read_image(folder / "out.png").settings
    assert settings is not None
    assert summary["settings"] == settings
    assert summary["loss"] == settings["result"]["loss"]


def test_trace_has_a_line_for_each_evaluation(
    files: list[str], folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """Each line of the trace is JSON; the loss is the weighted sum of its terms."""
    weights = {"content": 0.5, "style": 3.0, "tv": 0.25}
    flags = [word for name, value in weights.items() for word in (f"--{name}-weight", str(value))]
    arguments = ["stylize", *files, *flags, "--levels", "16:3,32:4", "--trace", "trace.jsonl"]
    assert main([*arguments, "--quiet"]) == 0
    rows = [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()]
    assert [row["evaluation"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert [row["level"] for row in rows] == [0] * 3 + [1] * 4
    assert [(row["width"], row["height"]) for row in (rows[0], rows[-1])] == [(16, 12), (32, 24)]
    elapsed = [row["elapsed_s"] for row in rows]
    assert elapsed == sorted(elapsed)
    for row in rows:
        total = sum(weight * row[name] for name, weight in weights.items())
        assert row["loss"] == pytest.approx(total, rel=1e-5)
        assert row["tv"] > 0
        options = StyleOptions()
        style = sum(w * row["layers"][f"style:{n}"] for n, w in options.style_layers.items())
        assert row["style"] == pytest.approx(style, rel=1e-5)


def test_faults_in_the_trace_are_still_json(
    files: list[str], folder: Path, narrow: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss that is not finite is null in the trace, which strict readers accept."""
    evaluate, count = Objective.evaluate, [0]

    def faulty(self: Objective, picture: torch.Tensor) -> tuple[Terms, torch.Tensor]:
        count[0] += 1
        terms, gradient = evaluate(self, picture)
        if count[0] == 3:
            bad = float("nan")
            return Terms(bad, bad, bad, 0.0, {"style:relu1_1": float("inf")}), gradient
        return terms, gradient

    monkeypatch.setattr(Objective, "evaluate", faulty)
    arguments = ["stylize", *files, "--levels", "32:5", "--trace", "t.jsonl", "--plot", "p.png"]
    assert main([*arguments, "--quiet"]) == 0

    def strict(word: str) -> Any:
        raise ValueError(word)

    lines = (folder / "t.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=strict) for line in lines]
    assert [row["loss"] is None for row in rows] == [False, False, True, False, False]
    assert rows[2]["layers"] == {"style:relu1_1": None}
    assert (folder / "p.png").stat().st_size > 0


def test_snapshots_show_the_picture_forming(
    files: list[str], folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """Snapshots are written at full size every so many evaluations, in a folder that is made."""
    arguments = ["stylize", *files, "--levels", "16:3,32:4", "--snapshots", "new/steps"]
    assert main([*arguments, "--every", "3", "-o", "out.png", "--quiet"]) == 0
    assert names(folder / "new" / "steps") == {"000001.png", "000004.png", "000007.png"}
    for path in (folder / "new" / "steps").iterdir():
        assert Image.open(path).size == (32, 24)
    last = np.asarray(Image.open(folder / "new" / "steps" / "000007.png"))
    np.testing.assert_array_equal(last, np.asarray(Image.open("out.png")))


def test_plot_is_drawn(files: list[str], folder: Path, narrow: Weights) -> None:
    """`--plot` draws the loss curves."""
    assert main(["stylize", *files, *QUICK, "--plot", "loss.pdf", "-o", "out.png", "-q"]) == 0
    assert (folder / "loss.pdf").read_bytes().startswith(b"%PDF")


def test_quiet_prints_nothing(files: list[str], narrow: Weights, capsys: Capture) -> None:
    """With `--quiet` a run that succeeds says nothing at all."""
    assert main(["stylize", *files, *QUICK, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_progress_goes_to_standard_error(
    files: list[str], narrow: Weights, capsys: Capture
) -> None:
    """Where standard error is no terminal, each level is one plain line; the result is on out."""
    assert main(["stylize", *files, "--levels", "16:2,32:2", "-o", "out.png"]) == 0
    out, err = capsys.readouterr()
    plan, first, second = err.splitlines()
    assert re.fullmatch(r"plan: 16 x 12, 32 x 24 px; about \d+ s and \d\.\d GB", plan)
    assert re.fullmatch(r"level 1 of 2: 16 x 12 px, about \d+ s left", first)
    assert re.fullmatch(r"level 2 of 2: 32 x 24 px, about \d+ s left", second)
    assert out.count("\n") == 1


def test_a_bar_is_drawn_on_a_terminal(
    files: list[str], narrow: Weights, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal a bar shows size and loss, and the result line stays clean."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert main(["stylize", *files, *QUICK, "-o", "out.png"]) == 0
    out, err = capsys.readouterr()
    assert "32 x 24" in err
    assert "loss" in err
    assert out.startswith("out.png (32 x 24 px")
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("name", "flags", "kind"),
    [
        ("out.jpg", ["--quality", "60"], "JPEG"),
        ("out.webp", [], "WEBP"),
        ("out.tif", ["--bits", "16"], "TIFF"),
    ],
)
def test_the_extension_decides_the_format(
    files: list[str], folder: Path, narrow: Weights, name: str, flags: list[str], kind: str
) -> None:
    """Results come in the format of their extension, settings inside."""
    assert main(["stylize", *files, *QUICK, "-o", name, *flags, "-q"]) == 0
    if kind != "TIFF":
        assert Image.open(name).format == kind
    bitmap = read_image(folder / name)
    assert bitmap.settings is not None
    assert bitmap.bits == (16 if "--bits" in flags else 8)


def test_nothing_is_overwritten_unless_asked(
    files: list[str], folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """Output, trace, snapshots and figure that exist stop the run before it begins."""
    (folder / "steps").mkdir()
    existing = {
        "--output": "out.png",
        "--trace": "trace.jsonl",
        "--plot": "plot.png",
        "--snapshots": "steps/000001.png",
    }
    for name in existing.values():
        (folder / name).write_bytes(b"mine")
    for flag, name in existing.items():
        given = "steps" if flag == "--snapshots" else name
        assert main(["stylize", *files, *QUICK, flag, given]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"impasto: {given}: ")
        assert "--overwrite" in err
        assert err.count("\n") == 1
        assert (folder / name).read_bytes() == b"mine"
    assert names(folder) == {*files, "out.png", "trace.jsonl", "plot.png", "steps"}
    flags = [word for flag, name in existing.items() for word in (flag, name.partition("/")[0])]
    assert main(["stylize", *files, *QUICK, *flags, "--overwrite", "-q"]) == 0
    assert all((folder / name).read_bytes() != b"mine" for name in existing.values())


# --- faults --------------------------------------------------------------------------------------


def make_bad_files(folder: Path) -> None:
    """Files that are no pictures, or not the ones they seem."""
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("not a picture")
    (folder / "page.jpg").write_text("<!doctype html><html></html>")
    (folder / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "cut.png").write_bytes((folder / "photo.png").read_bytes()[:200])
    (folder / "a folder").mkdir()
    Image.new("RGBA", (9, 9), (1, 2, 3, 0)).save(folder / "ghost.png")


FIGURE = ["reconstruct", "figure", "photo.png", "painting.png"]
PAIR = ["stylize", "photo.png", "painting.png"]
BAD: list[tuple[list[str], int]] = [
    (["paint"], 2),
    (["stylize"], 2),
    (["stylize", "photo.png"], 2),
    (["stylize", "gone.png", "painting.png"], 2),
    (["stylize", "photo.png", "gone.png"], 2),
    (["stylize", "photo.png", "a\nb.png"], 2),
    (["stylize", "empty.png", "painting.png"], 2),
    (["stylize", "text.png", "painting.png"], 2),
    (["stylize", "page.jpg", "painting.png"], 2),
    (["stylize", "drawing.svg", "painting.png"], 2),
    (["stylize", "cut.png", "painting.png"], 2),
    (["stylize", "a folder", "painting.png"], 2),
    (["stylize", "photo.png", "ghost.png"], 2),
    (["stylize", "sample:dog", "painting.png"], 2),
    (["stylize", "photo.png", "style:monet"], 2),
    ([*PAIR, "--size"], 2),
    ([*PAIR, "--size", "0"], 2),
    ([*PAIR, "--size", "big"], 2),
    ([*PAIR, "--size", "99999999999999999999"], 2),
    ([*PAIR, "--sise", "64"], 2),
    ([*PAIR, "--content-weight", "-1"], 2),
    ([*PAIR, "--style-weight", "nan"], 2),
    ([*PAIR, "--style-weights", "1,2"], 2),
    ([*PAIR, "--style-weights", "some"], 2),
    ([*PAIR, "--style-weights", ","], 2),
    ([*PAIR, "--style-weights", "0"], 2),
    ([*PAIR, "--content-layers", "conv4_2"], 2),
    ([*PAIR, "--content-layers", "relu4_9"], 2),
    ([*PAIR, "--style-layers", "relu1_1=\n"], 2),
    ([*PAIR, "--model", "vgg11"], 2),
    ([*PAIR, "--model", "vgg19:nothing"], 2),
    ([*PAIR, "--tv", "l3"], 2),
    ([*PAIR, "--preset", "monet"], 2),
    ([*PAIR, "--levels", "64"], 2),
    ([*PAIR, "--levels", "64:3", "--size", "65"], 2),
    ([*PAIR, "--start", "image"], 2),
    ([*PAIR, "--start", "noise", "--start-image", "photo.png"], 2),
    ([*PAIR, "--start-image", "gone.png"], 2),
    ([*PAIR, "--max-pixels", "100"], 2),
    ([*PAIR, "--max-pixels", "-5"], 2),
    ([*PAIR, "--seed", "-1"], 2),
    ([*PAIR, "--threads", "0"], 2),
    ([*PAIR, "--time-limit", "inf"], 2),
    ([*PAIR, "--bits", "12"], 2),
    ([*PAIR, "--bits", "16", "--output", "out.jpg"], 2),
    ([*PAIR, "--quality", "0"], 2),
    ([*PAIR, "--every", "0"], 2),
    ([*PAIR, "--every", "3"], 2),
    ([*PAIR, "--checkpoint-every", "5"], 2),
    ([*PAIR, "--checkpoint", "photo.png"], 2),
    ([*PAIR, "--print-fit", "fill"], 2),
    ([*PAIR, "--print-fit", "fill", "--size", "64", "--checkpoint", "photo.png"], 2),
    ([*PAIR, "--levels", "64:3", "--evaluations", "3"], 2),
    ([*PAIR, "--levels", "64:3", "--single-level"], 2),
    ([*PAIR, "--print", "a0", "--dpi", "9999"], 2),
    (["plan", "photo.png", "painting.png", "--print", "1x1mm", "--dpi", "1"], 2),
    (["resume", "photo.png"], 2),
    (["continue", "photo.png", "--print", "a3"], 2),
    ([*PAIR, "--output", "out.gif"], 2),
    ([*PAIR, "--output", "out"], 2),
    ([*PAIR, "--output", "no/such/folder/out.png"], 1),
    ([*PAIR, "--output", "photo.png"], 1),
    ([*PAIR, "--trace", "no/such/folder/t.jsonl"], 1),
    ([*PAIR, "--trace", "a folder", "--overwrite"], 1),
    ([*PAIR, "--snapshots", "photo.png"], 1),
    ([*PAIR, "--plot", "plot.bmp"], 2),
    ([*PAIR, "--plot", "no/plot.png"], 1),
    (["reproduce", "gone.png"], 2),
    (["reproduce", "photo.png"], 2),
    (["reconstruct", "content", "gone.png"], 2),
    (["reconstruct", "content", "photo.png", "--layer", "deep"], 2),
    (["reconstruct", "style", "gone.png"], 2),
    (["reconstruct", "style", "painting.png", "--start", "content"], 2),
    (FIGURE, 2),
    ([*FIGURE, "-o", "f.gif"], 2),
    ([*FIGURE, "-o", "f.png", "--content-layers", "relu1_1"], 2),
    ([*FIGURE, "-o", "f.png", "--content-layers", "", "--style-layers", ","], 2),
    ([*FIGURE, "-o", "f.png", "--content-layers", "x", "--style-layers", "relu1_1"], 2),
    (["styles", "draw", "monet"], 2),
    (["styles", "draw", "mosaic", "--size", "0"], 2),
    (["styles", "draw", "mosaic", "-o", "photo.png"], 1),
    (["styles", "draw", "mosaic", "-o", "new.jpg", "--quality", "0"], 2),
    (["styles", "sheet", "-o", "sheet.jpg"], 2),
    (["styles", "sheet", "-o", "photo.png"], 1),
    (["styles", "sheets"], 2),
    (["model", "alexnet"], 2),
    (["model", "vgg19", "--picture", "photo.png"], 2),
    (["model", "vgg19", "--input"], 2),
    (["model", "vgg19", "--picture", "gone.png", "-o", "m.png"], 2),
    (["model", "vgg19", "--picture", "photo.png", "-o", "m.png", "--maps", "0"], 2),
    (["model", "vgg19", "--picture", "photo.png", "-o", "m.png", "--layers", "x"], 2),
    (["model", "vgg19", "--picture", "photo.png", "-o", "m.png", "--size", "0"], 2),
    (["weights", "verify", "vgg19:nothing"], 2),
]


@pytest.mark.parametrize(
    ("arguments", "code"), [pytest.param(*case, id=repr(" ".join(case[0]))) for case in BAD]
)
def test_every_fault_is_one_line(
    files: list[str], folder: Path, capsys: Capture, arguments: list[str], code: int
) -> None:
    """Bad input ends in exactly one line on standard error, the right code, and no new file."""
    make_bad_files(folder)
    before = names(folder)
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("impasto: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert len(err) < 400
    assert names(folder) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["continue", "photo.png", "--preview"], "--preview: impasto continue has no such option"),
        (["resume", "x.ckpt", "--size=9"], "--size: impasto resume has no such option; see"),
        (["reproduce", "photo.png", "--no-preset"], "--no-preset: impasto reproduce has no such"),
        (["styles", "draw", "ink", "--bits", "8"], "--bits: impasto styles draw has no such"),
        (["stylize", "a.png", "b.png", "--sise", "9"], "no such option; did you mean --size?"),
        (["stylize", "a.png", "b.png", "-x"], "-x: impasto stylize has no such option; see"),
    ],
)
def test_an_option_of_another_command_is_no_slip(
    capsys: Capture, arguments: list[str], words: str
) -> None:
    """An option that the command lacks is named as that; only what no command has may be a slip."""
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert ("did you mean" in err) == ("did you mean" in words)
    assert err.count("\n") == 1


def test_bad_input_leaves_no_traceback_in_a_process() -> None:
    """As a program too: code 2, one line, nothing else."""
    done = python("stylize", "gone.png", "style:mosaic")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "impasto: gone.png: no such file; check the path\n"


def test_a_run_that_fails_keeps_what_it_reached(
    files: list[str],
    folder: Path,
    narrow: Weights,
    capsys: Capture,
    failing: Failing,
) -> None:
    """When memory runs out midway, the best picture so far is written and the line says where."""
    failing(3, MemoryError)
    assert main(["stylize", *files, "--levels", "32:9", "-o", "out.png", "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "impasto: out of memory at 32 x 24 px; choose a smaller --size, or say with --memory how "
        "much there is; "
        "the best picture so far is in out.png\n"
    )
    settings = read_image(folder / "out.png").settings
    assert settings is not None
    assert settings["result"]["evaluations"] == 2


def test_ctrl_c_keeps_the_best_picture(
    files: list[str],
    folder: Path,
    narrow: Weights,
    capsys: Capture,
    failing: Failing,
) -> None:
    """Ctrl-C ends with code 130, the picture, trace and figure written, and a word about it."""
    failing(6, KeyboardInterrupt)
    arguments = ["stylize", *files, "--levels", "16:3,32:9", "-o", "out.png"]
    assert main([*arguments, "--trace", "t.jsonl", "--plot", "p.png"]) == 130
    out = capsys.readouterr().out
    assert out.startswith("stopped early; the best picture so far is out.png (32 x 24 px, 5 ")
    assert len((folder / "t.jsonl").read_text().splitlines()) == 5
    assert names(folder) == {*files, "out.png", "t.jsonl", "p.png"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_process_keeps_the_best_picture(
    files: list[str], folder: Path, number: signal.Signals
) -> None:
    """A real process that is interrupted, asked to end or left by its terminal writes its picture
    and leaves 130."""
    flags = ["--size", "48", "--tolerance", "0", "--json", "-o", "out.png"]
    code, out, err = stop_midway(number, "stylize", *files, *flags)
    assert code == 130, err
    assert err == ""
    summary = json.loads(out)
    assert summary["interrupted"] is True
    assert summary["evaluations"] >= 2
    assert summary["settings"] == read_image(folder / "out.png").settings
    assert names(folder) == {*files, "out.png", "t.jsonl"}


@pytest.mark.skipif(sys.platform != "linux", reason="makes a terminal its own")
def test_a_terminal_that_is_closed_keeps_the_best_picture(files: list[str], folder: Path) -> None:
    """When the window of a run with a bar is closed, the picture is written, though nobody reads
    what is said any more."""
    import fcntl
    import termios

    ours, theirs = os.openpty()
    flags = ["--size", "48", "-o", "out.png"]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
    with start(
        *("stylize", *files, *flags, *ENDLESS),
        **streams,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        os.close(theirs)
        wait_until_under_way(process)
        os.close(ours)
        try:
            process.wait(timeout=600)
        finally:
            process.kill()
    settings = read_image(folder / "out.png").settings
    assert settings is not None
    assert settings["result"]["evaluations"] >= 2
    assert names(folder) == {*files, "out.png", "t.jsonl"}


def test_with_nohup_a_closed_terminal_is_no_end(
    files: list[str], narrow: Weights, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the signal of a closed terminal is ignored, as under `nohup`, the run goes on."""
    evaluate = Objective.evaluate

    def closed(self: Objective, picture: torch.Tensor) -> tuple[Terms, torch.Tensor]:
        signal.raise_signal(signal.SIGHUP)
        return evaluate(self, picture)

    monkeypatch.setattr(Objective, "evaluate", closed)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["stylize", *files, *QUICK, "-o", "out.png", "-q"]) == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_reader_that_goes_away_is_no_fault() -> None:
    """When the reader of a pipe has gone, the program ends without a word."""
    command = [sys.executable, "-m", "impasto", "styles", "list"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=600
    )
    os.close(write)
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_file_names_need_not_be_text(files: list[str], folder: Path) -> None:
    """A photo whose name is no valid text is repainted, and its result is printed somehow."""
    odd = os.fsencode(folder) + b"/\xff\xfe photo.png"
    os.rename(os.fsencode(files[0]), odd)  # noqa: PTH104  bytes, which pathlib does not take
    command = [os.fsencode(sys.executable), b"-m", b"impasto", b"stylize", odd, b"painting.png"]
    done = subprocess.run(
        [*command, b"--size", b"16", b"--evaluations", b"1", b"-o", b"\xff.png"],
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / os.fsdecode(b"\xff.png")).is_file()
    assert b"(16 x 12 px" in done.stdout


def test_long_names_are_cut(make_png: Maker, folder: Path, narrow: Weights) -> None:
    """Long names in any script are cut to what file systems hold, between letters."""
    photo, painting = make_png("照片" * 40 + ".png", 9, 9), make_png("油画" * 40 + ".png", 9, 9)
    assert main(["stylize", photo.name, painting.name, *QUICK, "-q"]) == 0
    (made,) = names(folder) - {photo.name, painting.name}
    assert made.startswith("照片照片")
    assert len(made.encode()) < 255


def test_ctrl_c_while_libvips_tells_of_something() -> None:
    """A key pressed while libvips calls Python back, where an exception is lost, interrupts."""
    from impasto.cli.running import one_interrupt

    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    contents = io.BytesIO()
    image.save(contents, "JPEG")
    data = bytearray(contents.getvalue())
    data[-400:-300] = bytes(100)  # libvips says what it thinks of that
    pressed: list[int] = []

    def press(_: logging.LogRecord) -> bool:
        if not pressed:
            pressed.append(1)
            signal.raise_signal(signal.SIGINT)
        return False

    def run() -> None:
        with one_interrupt():
            with contextlib.suppress(ImageError):
                read_image(bytes(data))
            assert pressed
            until = time.monotonic() + 20
            while time.monotonic() < until:
                time.sleep(0.01)

    logger = logging.getLogger("pyvips")
    level = logger.level
    logger.addFilter(press)
    logger.setLevel(logging.DEBUG)
    try:
        with pytest.raises(KeyboardInterrupt):
            run()
    finally:
        logger.removeFilter(press)
        logger.setLevel(level)
