"""`impasto compare`: the table, JSON and CSV, and faults in one line."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from impasto.cli import main
from impasto.quality import compare
from impasto.weights import Weights

Capture = pytest.CaptureFixture[str]
QUICK = ["--size", "32", "--evaluations", "2", "--single-level", "--quiet"]


@pytest.fixture
def results(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    narrow: Weights,
    make_png: Callable[..., Path],
    capsys: Capture,
) -> list[str]:
    """Two results of the same photo and painting in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    pair = [make_png("photo.png", 40, 30, 1).name, make_png("painting.png", 36, 36, 2).name]
    for name, weight in ("strong.png", "100"), ("weak.png", "0.1"):
        assert main(["stylize", *pair, *QUICK, "--style-weight", weight, "-o", name]) == 0
    capsys.readouterr()
    return ["strong.png", "weak.png"]


def test_the_table_has_a_row_for_each_picture(results: list[str], capsys: Capture) -> None:
    """Photo and painting come from the settings; every number is the one that Python gives, and
    the table fits into 80 columns."""
    assert main(["compare", *results, "--between"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert all(len(line) <= 80 for line in lines if not line.startswith("at "))
    found = compare(results, between=True)
    for row in found.pictures:
        m = row.measures
        precise = [m.style_gram, m.style_wasserstein2, m.content, m.structure, m.color, m.chroma]
        numbers = [f"{number:.3f}" for number in [*precise, m.edges]]
        numbers += [f"{number:.2f}" for number in (m.noise, m.border)]
        assert [row.picture, *numbers] in [line.split() for line in lines]
    assert found.between is not None
    apart = f"{found.between[0][1]:.3f}"
    assert ["1", "strong.png", "0.000", apart] in [line.split() for line in lines]
    assert "at 32 px with vgg19; style at relu1_2" in out


def test_measures_that_lack_something_show_a_dash(
    results: list[str], make_png: Callable[..., Path], capsys: Capture
) -> None:
    """A picture without settings has dashes and a note on standard error; flags fill them."""
    plain = make_png("plain.png", 32, 24, 5).name
    assert main(["compare", plain]) == 0
    out, err = capsys.readouterr()
    assert [plain, *"–" * 9] in [line.split() for line in out.splitlines()]
    assert err.startswith("note: plain.png: holds no settings; name its photo and paintings")
    flags = ["--content", "photo.png", "--style", "painting.png", "--style", "photo.png"]
    assert main(["compare", plain, *flags, "--style-weights", "2,1", "--json"]) == 0
    out, err = capsys.readouterr()
    (row,) = json.loads(out)["pictures"]
    assert row["styles"] == ["painting.png", "photo.png"]
    assert None not in row["measures"].values()
    assert err == ""


def test_json_holds_every_number(results: list[str], capsys: Capture) -> None:
    """JSON is the whole comparison as Python has it, with layers, names and sizes."""
    assert main(["compare", *results, "--json", "--size", "24", "--between"]) == 0
    found = compare(results, size=24, between=True)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(found.record()))
    assert found.size == 24


def test_csv_holds_the_same_numbers(results: list[str], capsys: Capture) -> None:
    """The file has a row per picture and a column per measure, and is not overwritten unasked."""
    assert main(["compare", *results, "-o", "numbers.csv"]) == 0
    with Path("numbers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, expected in zip(rows, compare(results).pictures, strict=True):
        assert row["picture"] == expected.picture
        assert (row["width"], row["height"], row["size"]) == ("32", "24", "32")
        for name in ("style_gram", "content", "edges", "noise", "border_steps"):
            assert float(row[name]) == getattr(expected.measures, name)
    capsys.readouterr()
    assert main(["compare", *results, "-o", "numbers.csv"]) == 1
    assert "numbers.csv: exists already" in capsys.readouterr().err
    assert main(["compare", *results, "-o", "numbers.csv", "--overwrite"]) == 0


def test_pictures_of_the_same_name_show_their_folders(results: list[str], capsys: Capture) -> None:
    """Names are short where that tells pictures apart, and whole where it does not."""
    Path("b").mkdir()
    Path("weak.png").rename("b/strong.png")
    assert main(["compare", "strong.png", "b/strong.png"]) == 0
    assert "b/strong.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.png"], "none.png: no such file; check the path"),
        ([], "PICTURES is missing; see impasto compare --help"),
        (["strong.png", "-o", "x.png"], "--output x.png: numbers are written as .csv"),
        (["strong.png", "--style-weights", "a,b"], "--style-weights 'a,b': give numbers"),
        (["strong.png", "--style-weights", "2,1"], "--style-weights: 2 shares for 0 paintings"),
        (["strong.png", "--content", "none.png"], "none.png: no such file"),
        (["strong.png", "--size", "0"], "--size 0: must lie in 1 to 32768"),
        (["strong.png", "--max-pixels", "10"], "strong.png"),
        (["strong.png", "--layers", "relu1_1"], "--layers: impasto compare has no such option"),
    ],
)
def test_faults_are_one_line(
    results: list[str], arguments: list[str], message: str, capsys: Capture
) -> None:
    """Bad input ends with code 2 and one line that names it."""
    assert main(["compare", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
