"""Trials of pairs: the draw, what is made of it, going on, and the page and table."""

import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from impasto.cli import main
from impasto.collect.manifest import Entry, write_manifest
from impasto.errors import InputError, OptionError, OutputError, RunError
from impasto.features import Features
from impasto.images import read_image
from impasto.page import Page, Provenance, Shown, render_page
from impasto.run import Picture, stylize
from impasto.samples import sample_names
from impasto.styles import style_names
from impasto.trial import PAGE_NAME, RECORD_NAME, Trial, draw_pairs, list_sources
from impasto.weights import Weights
from stand_ins import options_of, soft_picture

Capture = pytest.CaptureFixture[str]
Failing = Callable[[int, type[BaseException]], None]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's file system")
QUICK = ["--size", "32", "--evaluations", "2", "--single-level"]
HOSTILE = "</td><script>alert(\"1\")</script><img src=x onerror='evil()'>&amp;\x1b[31m"


def draw(path: Path, seed: int, width: int = 40, height: int = 30) -> str:
    """A soft picture in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(soft_picture(width, height, seed)).save(path)
    return str(path)


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Four photos in a folder of their own."""
    return [draw(tmp_path / "photos" / f"photo{n}.png", n) for n in range(4)]


@pytest.fixture
def paintings(tmp_path: Path) -> list[str]:
    """Three paintings in a folder of their own, one of them upright."""
    sizes = (36, 36), (30, 44), (44, 30)
    return [draw(tmp_path / "art" / f"art{n}.png", 9 + n, *size) for n, size in enumerate(sizes)]


def trial(
    contents: list[str], styles: list[str], output: Path, count: int = 3, **changes: Any
) -> Trial:
    """A trial of a tiny, quick run."""
    flags = {name: changes.pop(name) for name in ("seed", "overwrite") if name in changes}
    return Trial(contents, styles, output, options_of(**changes), count=count, **flags)


def run(work: Trial) -> Trial:
    """The trial after its end."""
    for _ in work:
        pass
    work.finish()
    return work


# --- the draw -----------------------------------------------------------------------------------


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 60), st.integers(0, 2**40))
@settings(max_examples=60, deadline=None)
def test_the_draw_is_fair(contents: int, styles: int, count: int, seed: int) -> None:
    """No pair comes twice, as many come as there are, and no picture is drawn twice more often than
    another one while that can be."""
    photos, paintings = [f"p{n}" for n in range(contents)], [f"a{n}" for n in range(styles)]
    pairs = draw_pairs(photos, paintings, count, seed)
    assert len(set(pairs)) == len(pairs) == min(count, contents * styles)
    assert set(pairs) <= set(product(photos, paintings))
    seen = Counter(content for content, _ in pairs)
    assert max(seen.values()) - min(seen[photo] for photo in photos) <= 1
    assert pairs == draw_pairs(photos, paintings, count, seed)
    assert pairs[: count // 2] == draw_pairs(photos, paintings, count // 2, seed)


def test_seeds_draw_different_pairs() -> None:
    """Every pair has its chance: over many seeds each comes first about equally often."""
    photos, paintings = ["a", "b", "c"], ["x", "y"]
    first = Counter(draw_pairs(photos, paintings, 1, seed)[0] for seed in range(1200))
    assert set(first) == set(product(photos, paintings))
    assert all(140 <= times <= 260 for times in first.values())


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 40), st.data())
@settings(max_examples=60, deadline=None)
def test_what_cannot_be_read_makes_no_pair(
    contents: int, styles: int, count: int, data: st.DataObject
) -> None:
    """In place of a picture that cannot be read, and of a pair of one picture with itself, another
    pair is drawn, as long as there are any."""
    photos = [f"p{n}" for n in range(contents)]
    paintings = [f"a{n}" for n in range(styles)] + photos[:2]
    bad = data.draw(st.sets(st.sampled_from([*photos, *paintings])))
    seed = data.draw(st.integers(0, 99))
    pairs = draw_pairs(photos, paintings, count, seed, is_usable=lambda name: name not in bad)
    possible = {(p, a) for p, a in product(photos, paintings) if p != a and not {p, a} & bad}
    assert set(pairs) <= possible
    assert len(set(pairs)) == len(pairs) == min(count, len(possible))
    fewer = draw_pairs(photos, paintings, count // 2, seed, is_usable=lambda name: name not in bad)
    assert pairs[: count // 2] == fewer


def test_names_stand_for_pictures(photos: list[str], tmp_path: Path) -> None:
    """A folder stands for the pictures in it, `all` for everything built in, a file for itself;
    what stands for nothing is one line."""
    folder = tmp_path / "photos"
    (folder / "notes.txt").write_text("no picture")
    (folder / "empty.png").write_bytes(b"")
    deep = draw(folder / "more" / "deep.png", 7)
    assert list_sources(str(folder)) == photos
    assert list_sources(str(folder), recursive=True) == [deep, *photos]
    assert list_sources(photos[1]) == [photos[1]]
    assert list_sources("style:all") == [f"style:{name}" for name in style_names()]
    assert list_sources("sample:all") == [f"sample:{name}" for name in sample_names()]
    assert list_sources("style:mosaic") == ["style:mosaic"]
    with pytest.raises(OptionError, match="no built-in style is called 'nope'"):
        list_sources("style:nope")
    with pytest.raises(InputError, match="no such folder"):
        list_sources(str(tmp_path / "gone"))
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="holds no pictures"):
        list_sources(str(tmp_path / "bare"))


# --- what is made -------------------------------------------------------------------------------


def test_results_are_those_of_stylize(
    photos: list[str], paintings: list[str], tmp_path: Path, narrow: Weights
) -> None:
    """Each result is to the byte what `stylize` makes of the pair, with the same settings inside,
    and photo and painting lie beside it in small."""
    work = run(trial(photos, paintings, tmp_path / "out", 4, start="noise"))
    assert len(work.pairs) == 4
    for pair in work.pairs:
        expected = stylize(pair.content, pair.style, work.options)
        expected.save(tmp_path / "expected.png", overwrite=True)
        path = tmp_path / "out" / pair.result
        assert path.read_bytes() == (tmp_path / "expected.png").read_bytes()
        assert pair.result == f"{Path(pair.content).stem}-{Path(pair.style).stem}.png"
        for source in (pair.content, pair.style):
            small = np.asarray(Image.open(tmp_path / "out" / work.thumbnail(source))).astype(int)
            assert max(small.shape) == 24
            whole = Image.open(source).resize(small.shape[1::-1], Image.Resampling.LANCZOS)
            assert np.abs(small - np.asarray(whole)).mean() < 6


def test_a_trial_goes_on(
    photos: list[str], paintings: list[str], tmp_path: Path, narrow: Weights, failing: Failing
) -> None:
    """Interrupted in the middle of a pair, and then made longer, a trial makes what is missing and
    nothing else, and ends with the pictures of an unbroken one."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(trial(photos, paintings, whole, 5))
    failing(8, KeyboardInterrupt)
    work = trial(photos, paintings, out, 3)
    with pytest.raises(KeyboardInterrupt):
        run(work)
    done = [tried.pair.result for tried in work.tried]
    assert len(done) == 2
    assert {path.name for path in out.iterdir()} == set(done)
    times = [(out / name).stat().st_mtime_ns for name in done]
    part = out / ".impasto-0123456789abcdef.part"
    part.write_bytes(b"half")
    work = run(trial(photos, paintings, out, 5, threads=1))
    assert not part.exists()
    assert [tried.again for tried in work.tried] == [True, True, False, False, False]
    assert [(out / name).stat().st_mtime_ns for name in done] == times
    for path in whole.rglob("*.*g"):
        with Image.open(path) as right, Image.open(out / path.relative_to(whole)) as found:
            assert np.array_equal(np.asarray(found), np.asarray(right))


def test_changed_pictures_and_settings_are_not_taken_for_done(
    photos: list[str], paintings: list[str], tmp_path: Path, narrow: Weights
) -> None:
    """A result of other options or of a picture that has changed since is refused before any work,
    and made anew with `overwrite`; other files of these names are refused, too."""
    out = tmp_path / "out"
    work = run(trial(photos[:1], paintings[:1], out))
    (pair,) = work.pairs
    before = (out / pair.result).read_bytes()
    with pytest.raises(OutputError, match="made with other settings"):
        trial(photos[:1], paintings[:1], out, style_weight=3)
    draw(Path(paintings[0]), 77)
    with pytest.raises(OutputError, match="made with other settings"):
        trial(photos[:1], paintings[:1], out)
    assert (out / pair.result).read_bytes() == before
    work = run(trial(photos[:1], paintings[:1], out, overwrite=True))
    assert [tried.again for tried in work.tried] == [False]
    assert (out / pair.result).read_bytes() != before
    for name in (PAGE_NAME, "table.png", "table.pdf", RECORD_NAME):
        other = tmp_path / f"other {name}"
        other.mkdir()
        (other / name).write_text("mine")
        with pytest.raises(OutputError, match=rf"{name}: exists already"):
            trial(photos[:1], paintings[:1], other)
        assert (other / name).read_text() == "mine"


def test_moved_pictures_stay_done(
    photos: list[str], paintings: list[str], tmp_path: Path, narrow: Weights
) -> None:
    """What counts are the pictures themselves, not where they lie."""
    run(trial(photos[:1], paintings[:1], tmp_path / "out"))
    Path(photos[0]).parent.rename(tmp_path / "moved")
    moved = str(tmp_path / "moved" / Path(photos[0]).name)
    work = run(trial([moved], paintings[:1], tmp_path / "out"))
    assert [tried.again for tried in work.tried] == [True]


def test_one_bad_pair_costs_itself_alone(
    photos: list[str],
    paintings: list[str],
    tmp_path: Path,
    narrow: Weights,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that fails is told with its reason; the others are made."""
    original = Trial._run

    def sometimes(self: Trial, pair: Any) -> Any:
        if pair.content == photos[2]:
            raise RunError("no finite loss")
        return original(self, pair)

    monkeypatch.setattr(Trial, "_run", sometimes)
    work = run(trial(photos, paintings[:1], tmp_path / "out", 4))
    faults = {tried.pair.content: tried.fault for tried in work.tried}
    assert faults[photos[2]] == "no finite loss"
    assert faults[photos[0]] == faults[photos[1]] == faults[photos[3]] == ""
    record = json.loads((tmp_path / "out" / RECORD_NAME).read_text("utf-8"))
    assert [bool(p["result"]) for p in record["pairs"]] == [not t.fault for t in work.tried]
    work.lay_out("svg")
    assert len(read((work.output / PAGE_NAME).read_text("utf-8")).all("img")) == 3 * 3
    assert (work.output / "table.svg").is_file()


def test_broken_pictures_do_not_count(
    photos: list[str],
    paintings: list[str],
    tmp_path: Path,
    narrow: Weights,
    capsys: Capture,
) -> None:
    """As many pairs are made as were asked for, though some of the pictures are damaged; those that
    were drawn in vain are told with their reason."""
    for broken in (photos[0], photos[2], paintings[1]):
        Path(broken).write_bytes(Path(broken).read_bytes()[:100])
    command = [
        "try",
        str(tmp_path / "photos"),
        "--styles",
        str(tmp_path / "art"),
        "-n",
        "4",
        *QUICK,
    ]
    assert main([*command, "-o", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "drew 4 pairs, made 4" in out
    record = json.loads((tmp_path / "out" / RECORD_NAME).read_text("utf-8"))
    assert {pair["content"] for pair in record["pairs"]} == {photos[1], photos[3]}
    assert {pair["style"] for pair in record["pairs"]} == {paintings[0], paintings[2]}
    assert not any(pair["fault"] for pair in record["pairs"])
    assert [fault.split(": ")[0] for fault in sorted(record["left_out"])] == sorted(
        [photos[0], photos[2], paintings[1]]
    )
    reader = read((tmp_path / "out" / PAGE_NAME).read_text("utf-8"))
    for fault in record["left_out"]:
        assert f"left out {fault}" in out
        assert fault in reader.text


def test_no_picture_meets_itself(tmp_path: Path) -> None:
    """Where photos and paintings overlap, by name, by a link or by their contents, no picture is
    paired with itself."""
    folder = tmp_path / "both"
    both = [draw(folder / f"{n}.png", n) for n in range(3)]
    copy = tmp_path / "art" / "copy.png"
    copy.parent.mkdir()
    copy.write_bytes(Path(both[0]).read_bytes())
    (tmp_path / "art" / "link.png").symlink_to(both[1])
    work = trial(both, [*both, str(copy), str(copy.with_name("link.png"))], tmp_path / "out", 99)
    assert len(work.pairs) == 3 * 5 - 3 - 2
    for pair in work.pairs:
        assert Path(pair.content).read_bytes() != Path(pair.style).read_bytes()
    with pytest.raises(InputError, match="each would be a picture with itself"):
        trial(both[:1], [both[0], str(copy)], tmp_path / "out")


def test_the_network_is_loaded_once(
    photos: list[str],
    paintings: list[str],
    tmp_path: Path,
    narrow: Weights,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All pairs of a trial share one network."""
    load, loaded = Features.__init__, list[None]()

    def loading(self: Features, *args: Any, **options: Any) -> None:
        loaded.append(None)
        load(self, *args, **options)

    monkeypatch.setattr(Features, "__init__", loading)
    run(trial(photos, paintings, tmp_path / "out", 4))
    assert len(loaded) == 1


def test_names_that_would_meet_are_told_apart(tmp_path: Path, narrow: Weights) -> None:
    """Pictures of the same name in different folders or formats, and names that only meet when put
    together, get results of their own."""
    contents = [draw(tmp_path / "a" / "x.png", 1), draw(tmp_path / "b" / "X.gif", 2)]
    contents += [draw(tmp_path / "a" / "x-y.png", 3), draw(tmp_path / "a" / "q.png", 4)]
    styles = [draw(tmp_path / "s" / "z.png", 5), draw(tmp_path / "s" / "y-z.png", 6)]
    styles += [draw(tmp_path / "s" / "q.png", 7)]
    work = run(trial(contents, styles, tmp_path / "out", 12))
    results = [pair.result for pair in work.pairs]
    assert len({name.casefold() for name in results}) == 12
    assert len({work.thumbnail(source).casefold() for source in work.sources}) == 7
    for pair in work.pairs:
        made = read_image(tmp_path / "out" / pair.result).settings
        assert made is not None
        assert [made["content"]["path"], made["styles"][0]["path"]] == [pair.content, pair.style]
    again = trial(contents, styles, tmp_path / "out", 12)
    assert [pair.result for pair in again.pairs] == results


@pytest.mark.parametrize("count", [0, -1, 201])
def test_counts_out_of_range_are_refused(photos: list[str], tmp_path: Path, count: int) -> None:
    """The number of pairs lies in a range; what is outside is one line."""
    with pytest.raises(OptionError, match=f"--count {count}: must lie in 1 to 200"):
        Trial(photos, photos, tmp_path / "out", count=count)


# --- the page -----------------------------------------------------------------------------------

VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Reads a page strictly: tags must close in order, text stands outside tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes a tag."""
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Checks that the tag is the one last opened."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Notes text."""
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every such tag."""
        return [attributes for name, attributes in self.tags if name == tag]


def read(text: str) -> Reader:
    """A page that has been read to its end."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_pages_escape_whatever_strangers_wrote() -> None:
    """Hostile words in every place are words: no tag, script, attribute or dangerous link comes of
    them, and the tags stay balanced."""
    plain = Page(
        "T", "L", ["a", "b"], [[Shown("x.png", "A", 3, 2, Provenance("C", "R", "by", "http://l"))]]
    )
    hostile_words = Provenance(HOSTILE, HOSTILE, HOSTILE, "http://l", "javascript:x")
    hostile = Page(
        HOSTILE,
        HOSTILE,
        [HOSTILE, HOSTILE],
        [[Shown(HOSTILE, HOSTILE, 3, 2, hostile_words)]],
        {HOSTILE: HOSTILE},
        [HOSTILE],
        HOSTILE,
    )
    reader = read(render_page(hostile))
    kinds = {name for name, _ in read(render_page(plain)).tags}
    assert {name for name, _ in reader.tags} == kinds | {"h2", "ul", "li", "dl", "dt", "dd"}
    assert "script" not in kinds
    for _, attributes in reader.tags:
        assert not any(name.startswith("on") for name in attributes)
    (picture,) = reader.all("img")
    assert os.fsdecode(unquote_to_bytes(str(picture["src"]))) == HOSTILE
    assert picture["alt"] == " ".join(HOSTILE.split()).replace("\x1b", "\\x1b")
    shown = "".join(reader.text)
    assert shown.count('<script>alert("1")</script>') == 12
    assert "\x1b" not in render_page(hostile)


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//evil",
        "http://[",
        "",
    ],
)
def test_only_web_addresses_become_links(address: str) -> None:
    """An address that is not of the web stays text."""
    shown = Shown("x.png", "A", 3, 2, Provenance("C", "credit", "by", address, address))
    reader = read(render_page(Page("T", "L", ["a"], [[shown]])))
    assert reader.all("a") == []
    assert "credit" in reader.text
    words = Provenance("C", "credit", "by", 'https://l/?a=1&b="2', "http://p")
    good = Shown("x.png", "A", 3, 2, words)
    found = read(render_page(Page("T", "L", ["a"], [[good]]))).all("a")
    assert [link["href"] for link in found] == ["http://p", 'https://l/?a=1&b="2']


def entry(name: str, **values: str) -> Entry:
    """A line of a manifest."""
    plain = {"url": "https://example.org/x", "fetched_at": "2026-01-02T03:04:05Z"}
    numbers = {"width": 40, "height": 30, "bytes": 9}
    hashes = {"sha256": "0" * 64, "phash": "0" * 16, "format": "png"}
    return Entry.model_validate({"file": name, **plain, **numbers, **hashes, **values})


def test_the_command_line_makes_table_page_and_record(
    photos: list[str],
    paintings: list[str],
    tmp_path: Path,
    narrow: Weights,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`impasto try` makes the pairs, the table, and a page whose pictures are there, with words for
    those who cannot see them, settings, and the attributions of the manifests; `-n` more adds to
    them, and what is skipped is told."""
    monkeypatch.chdir(tmp_path)
    link = "https://creativecommons.org/licenses/by-sa/4.0/"
    known = {"author": "Ann", "license": "by-sa", "license_url": link, "page": "https://p.org/1"}
    lines = [
        entry(
            Path(name).name, title=HOSTILE, attribution=f"{HOSTILE} by Ann, CC BY-SA 4.0", **known
        )
        for name in paintings
    ]
    write_manifest(tmp_path / "art", lines)
    assert main(["try", "photos", "--styles", "art", "-n", "2", "--seed", "3", *QUICK]) == 0
    out = capsys.readouterr().out
    assert out.startswith("found 4 photos and 3 paintings, drew 2 pairs, made 2\n")
    assert main(["try", "photos", "--styles", "art", "-n", "99", "--seed", "3", *QUICK]) == 0
    out = capsys.readouterr().out
    assert "drew 12 pairs, made 10; 2 were done before" in out
    assert "there are no more than 12 different pairs" in out
    folder = tmp_path / "photos-tried"
    reader = read((folder / PAGE_NAME).read_text("utf-8"))
    images = reader.all("img")
    assert len(images) == 36
    for image in images:
        path = folder / os.fsdecode(unquote_to_bytes(str(image["src"])))
        with Image.open(path) as picture:
            assert picture.size == (int(str(image["width"])), int(str(image["height"])))
        assert len(str(image["alt"])) > 8
    addresses = {link["href"] for link in reader.all("a")}
    assert addresses == {"https://p.org/1", known["license_url"]}
    assert sum("by Ann, CC BY-SA 4.0" in text for text in reader.text) == 12
    settings = [text for text in reader.text if text.startswith("--")]
    assert {"--seed", "--size", "--evaluations", "--single-level"} <= set(settings)
    assert not reader.all("script")
    assert not reader.all("link")
    names = {path.name for path in folder.iterdir()}
    assert {"table.png", PAGE_NAME, RECORD_NAME, "pictures"} < names
    with Image.open(folder / "table.png") as figure:
        assert figure.width > figure.height / 2
    assert main(["try", "photos", "--styles", "art", "--json", "--seed", "3", *QUICK]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [record["contents"], record["styles"], record["drawn"]] == [4, 3, 12]
    assert all(pair["again"] for pair in record["pairs"])
    assert record["pairs"][0]["style_credit"]["license"] == "by-sa"


def test_built_in_pictures_and_defaults(
    tmp_path: Path, narrow: Weights, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `--styles` every built-in style is meant, and results have 256 px unless told."""
    monkeypatch.chdir(tmp_path)
    command = ["try", "sample:all", "-n", "1", "--evaluations", "0", "-q", "--table", "pdf"]
    assert main(command) == 0
    assert capsys.readouterr() == ("", "")
    record = json.loads((tmp_path / "all-tried" / RECORD_NAME).read_text("utf-8"))
    (pair,) = record["pairs"]
    assert pair["content"].startswith("sample:")
    assert pair["style"].startswith("style:")
    assert "drawn by impasto" in pair["style_credit"]["text"]
    assert max(Image.open(tmp_path / "all-tried" / pair["result"]).size) == 256
    assert (tmp_path / "all-tried" / "table.pdf").read_bytes().startswith(b"%PDF")


def test_ctrl_c_shows_what_is_done(
    photos: list[str],
    paintings: list[str],
    tmp_path: Path,
    narrow: Weights,
    failing: Failing,
    capsys: Capture,
) -> None:
    """After Ctrl-C table and page show the pairs that are done, and the exit code is 130."""
    failing(4, KeyboardInterrupt)
    command = ["try", str(tmp_path / "photos"), "--styles", str(tmp_path / "art"), *QUICK]
    assert main([*command, "-o", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().out.startswith("stopped early, 11 left for the same command")
    reader = read((tmp_path / "out" / PAGE_NAME).read_text("utf-8"))
    assert len(reader.all("img")) == 3
    assert (tmp_path / "out" / "table.png").exists()


def test_a_ctrl_c_that_a_library_swallows_counts(
    photos: list[str],
    paintings: list[str],
    tmp_path: Path,
    narrow: Weights,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    """Ctrl-C counts wherever it comes, and before the first result leaves an old page alone."""
    from impasto import trial

    out, command = tmp_path / "out", ["try", str(tmp_path / "photos"), *QUICK]
    command += ["--styles", str(tmp_path / "art"), "-o", str(out)]
    save = Picture.save

    def interrupted(*values: Any, **options: Any) -> Any:
        # As C libraries do with what is raised in their callbacks.
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return save(*values, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Picture, "save", interrupted)
        assert main(command) == 130
    assert capsys.readouterr().out.startswith("stopped early, 11 left for the same command")
    page = (out / PAGE_NAME).read_bytes()

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trial, "make_folder", interrupt)
    assert main(command) == 130
    assert capsys.readouterr().err.endswith("impasto: interrupted\n")
    assert (out / PAGE_NAME).read_bytes() == page


def test_when_nothing_could_be_made(
    tmp_path: Path, narrow: Weights, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every pair is skipped, the page says why, there is no table, and the exit code is 1;
    where none can be drawn, one line says why, and the exit code is 2."""
    monkeypatch.chdir(tmp_path)
    path, style = Path(draw(tmp_path / "photos" / "a.png", 1)), draw(tmp_path / "art.png", 2)

    def fail(*_: Any) -> Any:
        raise RunError("no finite loss")

    monkeypatch.setattr(Trial, "_run", fail)
    assert main(["try", "photos", "--styles", style, *QUICK]) == 1
    assert f"skipped photos/a.png with {style}: no finite loss" in capsys.readouterr().out
    reader = read((tmp_path / "photos-tried" / PAGE_NAME).read_text("utf-8"))
    assert reader.all("table") == []
    assert any("no finite loss" in text for text in reader.text)
    assert not (tmp_path / "photos-tried" / "table.png").exists()
    path.write_bytes(path.read_bytes()[:60])
    assert main(["try", "photos", "--styles", style, "-o", "new", *QUICK]) == 2
    err = capsys.readouterr().err
    assert "no pair can be drawn: photos/a.png: PNG" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "new").exists()


@LINUX
def test_names_that_are_no_text(tmp_path: Path, narrow: Weights, capsys: Capture) -> None:
    """Pictures with names of any bytes are drawn, named on the page and recorded."""
    for number, name in enumerate((b"\xff\xfe.png", b"new\nline.png", b"%s{}<b>$x$.png")):
        draw(tmp_path / "photos" / os.fsdecode(name), number)
    folder = str(tmp_path / "photos")
    style = draw(tmp_path / "art.png", 9)
    assert main(["try", folder, "--styles", style, *QUICK]) == 0
    assert "made 3" in capsys.readouterr().out
    reader = read((tmp_path / "photos-tried" / PAGE_NAME).read_text("utf-8"))
    for image in reader.all("img"):
        path = unquote_to_bytes(str(image["src"]))
        assert os.path.exists(os.path.join(os.fsencode(f"{folder}-tried"), path))  # noqa: PTH110, PTH118
    assert any("\\udcff\\udcfe.png" in text for text in reader.text)
    assert main(["try", folder, "--styles", style, *QUICK]) == 0
    assert "3 were done before" in capsys.readouterr().out


def test_options_without_effect_or_sense_are_refused(photos: list[str], capsys: Capture) -> None:
    """Options that belong to other commands or exclude each other are one line."""
    folder = str(Path(photos[0]).parent)
    for flags, word in (
        (["--preview"], "no such option"),
        (["--levels", "32:2", "--evaluations", "3"], "exclude each other"),
        (["--size", "0"], "--size: '0' is not allowed"),
        (["-n", "0"], "--count 0"),
        (["--styles", "style:nope"], "no built-in style"),
    ):
        assert main(["try", folder, *flags]) == 2
        err = capsys.readouterr().err
        assert word in err
        assert err.count("\n") == 1


def test_empty_names_and_broken_numbers_are_refused(
    photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """An empty name is not the current folder, and half a pair is none."""
    monkeypatch.chdir(Path(photos[0]).parent)
    out = str(tmp_path / "out")
    for words, fault in (
        (["", "-o", out], "is empty"),
        ([".", "-o", ""], "-o: the name is empty"),
        ([".", "--styles", "", "-o", out], "is empty"),
        ([".", "-n", "1.5", "-o", out], "-n 1.5: must be a whole number"),
        ([".", "--evaluations", "0.5", "-o", out], "--evaluations 0.5: must be a whole number"),
    ):
        assert main(["try", *words]) == 2
        assert fault in capsys.readouterr().err
    assert not Path(out).exists()
