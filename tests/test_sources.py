from pathlib import Path

import pytest
from PIL import Image

from impasto.cli import main
from impasto.samples import sample_names
from impasto.sources import describe_source, find_source, is_built_in, read_source
from impasto.styles import style_names

LIMIT = 1_000_000


def test_plain_names_mean_built_in_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where no file is called so, the name of a style or photo stands for it, and the record
    names it in full, so that it is the same picture in any folder."""
    monkeypatch.chdir(tmp_path)
    for kind, name in [("style", "mosaic"), ("sample", "cat")]:
        full = f"{kind}:{name}"
        assert find_source(name) == full
        assert is_built_in(name)
        assert is_built_in(full)
        assert describe_source(name) == {"path": full, "sha256": ""} == describe_source(full)
        assert (read_source(name, LIMIT).pixels == read_source(full, LIMIT).pixels).all()


def test_a_file_of_that_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file, even a broken link, that is called like a style is what its name means."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (3, 2), (255, 0, 0)).save("mosaic", "png")
    Path("cat").symlink_to("gone")
    assert find_source("mosaic") == "mosaic"
    assert not is_built_in("mosaic")
    assert read_source("mosaic", LIMIT).pixels.shape == (3, 2, 3)
    record = describe_source("mosaic")
    assert record is not None
    assert record["path"] == str(tmp_path / "mosaic")
    assert find_source("cat") == "cat"


@pytest.mark.parametrize(
    "source", ["mosaic.png", "./mosaic", "Mosaic", "mosaic ", "", "a\0b", Path("mosaic"), b"cat"]
)
def test_nothing_else_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: object):
    """Paths, other spellings and bytes are never taken for the name of a built-in picture."""
    monkeypatch.chdir(tmp_path)
    assert find_source(source) is source


def test_no_name_means_two_pictures():
    """No style is called like a photo, and none looks like a path or an option."""
    names = [*style_names(), *sample_names()]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalpha() and name[0] != "-" for name in names)


@pytest.mark.parametrize("flag", ["--mask", "--style-mask", "--fine-style", "--start-image"])
def test_an_empty_name_is_said_to_be_empty(
    files: tuple[Path, Path], flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A picture whose name is an empty text, such as an unset variable, is refused as that."""
    assert main(["stylize", *map(str, files), flag, ""]) == 2
    assert capsys.readouterr().err == "impasto: the name of a picture is empty; name a file\n"
