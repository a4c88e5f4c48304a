"""The documentation says what is so."""

import inspect
import re
import shlex
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import numpy as np
import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from impasto.cli import app, main
from impasto.cli.flags import given
from impasto.collect.options import FORMATS, LICENSES, CollectOptions
from impasto.images import read_image
from impasto.options import (
    CONTENT_LOSSES,
    PRESETS,
    STYLE_LOSSES,
    PrepareOptions,
    StyleOptions,
    make_options,
)
from impasto.styles import style_names
from impasto.training_options import TrainingOptions
from impasto.video_options import VideoOptions
from impasto.web.config import StudioOptions, load_options

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
HOW = DOCS / "how-it-works.md"
OPTIONS = DOCS / "options.md"
PREPARE = DOCS / "prepare.md"
STUDIO = DOCS / "studio.md"
NETWORKS = DOCS / "networks.md"
VIDEO = DOCS / "video.md"
TRAINING = NETWORKS.read_text("utf-8").partition("\n## Train your own\n")[2].partition("\n## ")[0]
MAKE_PICTURES = DOCS / "make_pictures.sh"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)|src=\"([^\"]+)\"")
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


def relative(path: Path) -> str:
    """A path as a person would write it, counted from the repository's root."""
    return path.relative_to(ROOT).as_posix()


def commands_in(text: str) -> list[str]:
    """Every `impasto …` command line of a text, with continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", text)
    found = re.findall(r"^(?:\$ )?(?:\./)?(?:scripts/)?(impasto .*)$", joined, re.MULTILINE)
    return [line.strip() for line in found]


def fenced_commands(page: Path) -> list[str]:
    """The command lines in a page's code blocks."""
    blocks = FENCE.findall(page.read_text(encoding="utf-8"))
    return [line for _, body in blocks for line in commands_in(body)]


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives a page's headings."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """Where a page's links and pictures lead, code blocks left out."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [one or other for one, other in LINK.findall(text)]


@cache
def options_table(page: Path = OPTIONS) -> dict[str, list[str]]:
    """Option → the cells of its first row in a page: default, range, what it does."""
    rows: dict[str, list[str]] = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if match := re.fullmatch(r"`--([a-z-]+)`(?:, `-\w`)?", cells[0]):
            rows.setdefault(match[1], cells[1:])
    return rows


def expected_range(info: FieldInfo) -> str | None:
    """The range of a number or the choices of a word, as the page writes it; `None`: in words."""
    annotation: Any = info.annotation
    if annotation is bool:
        return "on or off"
    members = get_args(annotation)
    if members and all(isinstance(member, str) for member in members):
        return ", ".join(f"`{member}`" for member in members)
    bounds = {type(mark): mark for mark in info.metadata}
    if Gt in bounds:
        low = f"above {bounds[Gt].gt}"
    elif Ge in bounds:
        low = f"{bounds[Ge].ge}"
    else:
        return None
    if Le in bounds:
        high = f"{float(bounds[Le].le):.0e}".replace("e+", "e")
        high = high if bounds[Le].le > 1e9 else f"{bounds[Le].le}"
        return f"{low} to {high}"
    if Lt in bounds:
        high = "2⁶³ − 1" if bounds[Lt].lt == 2**63 else f"below {bounds[Lt].lt}"
        return f"{low} to {high}"
    return f"{low} or more" if Ge in bounds else low


@pytest.mark.parametrize("name", StyleOptions.model_fields)
def test_every_option_is_explained(name: str) -> None:
    """Each option has a row whose default and range are those that the model really has."""
    flag = name.replace("_", "-")
    assert flag in options_table(), f"docs/options.md has no row for `--{flag}`"
    default, limits, words = options_table()[flag]
    info = StyleOptions.model_fields[name]
    value = StyleOptions().model_dump()[name]
    if value is None or value == ():
        assert "`" not in default, f"--{flag}: not set by default, the page says {default}"
    else:
        given_by_hand = make_options({name: default.strip("`")}).model_dump()[name]
        assert given_by_hand == value, f"--{flag}: the default is {value}, the page says {default}"
    expected = expected_range(info)
    assert expected is None or limits == expected, f"--{flag}: allowed is {expected}"
    assert len(words) > 20


@pytest.mark.parametrize("name", PrepareOptions.model_fields)
def test_every_option_of_preparing_is_explained(name: str) -> None:
    """Each option of `impasto prepare` has a row with the default and range it really has."""
    shown, limits, words = options_table(PREPARE)[name.replace("_", "-")]
    default: Any = shown.strip("`")
    value = getattr(PrepareOptions(), name)
    others: dict[str, Any] = {"crop": "center"} if name == "aspect" else {}
    if isinstance(value, bool):
        assert default == ("on" if value else "off")
    else:
        default = int(default) if isinstance(value, int) else default
        given_by_hand = PrepareOptions(**{name: default}, **others)
        assert given_by_hand.shape == PrepareOptions(**others).shape
        assert name == "aspect" or getattr(given_by_hand, name) == value
    expected = expected_range(PrepareOptions.model_fields[name])
    assert expected is None or limits == expected
    assert len(words) > 20


def test_no_row_explains_a_setting_that_is_gone() -> None:
    """The page of the studio names no setting that `serve` does not have."""
    known = {flag.replace("-", "_") for flag in options_table(STUDIO)}
    assert known == set(StudioOptions.model_fields)


def test_no_row_explains_an_option_that_is_gone() -> None:
    """The page of options names no flag that `stylize` does not have."""
    from impasto.cli.running import Output

    known = {*StyleOptions.model_fields, *(f.name for f in fields(Output))}
    known |= {"start_image", "mask", "style_mask", "fine_style"}
    assert {flag.replace("-", "_") for flag in options_table()} == known


@pytest.mark.parametrize("name", CollectOptions.model_fields)
def test_every_option_of_collections_is_explained(name: str) -> None:
    """Each option of `impasto collect` has a row with its real default."""
    flag = f"`--{name.replace('_', '-')}`"
    rows = (DOCS / "collect.md").read_text("utf-8").splitlines()
    (row,) = (r for r in rows if r.startswith("|") and flag in r.split(" | ")[0])
    names, shown = (cell.strip("| ") for cell in row.split(" | ")[:2])
    defaults = dict(zip(names.split(", "), shown.split(", "), strict=False))
    default = CollectOptions().model_dump(mode="json")[name]
    said = defaults.get(flag, shown).strip("`")
    if isinstance(default, bool):
        wanted = {"on" if default else "off"}
    elif default is None or default == "":
        wanted = {"none", "all", "any"}
    else:
        wanted = {f"{default:g}" if isinstance(default, float) else str(default)}
    assert said in wanted


@pytest.mark.parametrize("name", StudioOptions.model_fields)
def test_every_setting_of_the_studio_is_explained(name: str) -> None:
    """Each setting of `impasto serve` has a row with the default and range it really has."""
    shown, limits, words = options_table(STUDIO)[name.replace("_", "-")]
    default, info = shown.strip("`"), StudioOptions.model_fields[name]
    value = getattr(load_options({}, environment={}), name)
    if isinstance(value, bool):
        assert default == ("on" if value else "off")
    elif value is None or value == () or name == "data":
        assert "`" not in shown
    else:
        assert getattr(load_options({name: default}, environment={}), name) == value
    expected = expected_range(info)
    assert limits.startswith("from ") or expected is None or limits == expected
    assert len(words) > 20


@pytest.mark.parametrize("name", TrainingOptions.model_fields)
def test_every_option_of_training_is_explained(name: str) -> None:
    """Each option of `impasto train` has a row with the default and range it really has."""
    _, shown, limits, words = rows_of_flags(TRAINING)[f"--{name.replace('_', '-')}"]
    value, default = getattr(TrainingOptions(), name), shown.strip("`")
    if value is None:
        assert "`" not in shown
    else:
        assert getattr(TrainingOptions.model_validate({name: default}), name) == value
    expected = expected_range(TrainingOptions.model_fields[name])
    assert expected is None or limits == expected.replace("1e+06", "1e6").replace(
        "1000000.0", "1e6"
    )
    assert len(words) > 13


@pytest.mark.parametrize("name", VideoOptions.model_fields)
def test_every_option_of_clips_is_explained(name: str) -> None:
    """Each option of `impasto video` has a row with the default and range it really has."""
    shown, limits, words = options_table(VIDEO)[name.replace("_", "-")]
    value, default = getattr(VideoOptions(), name), shown.strip("`")
    if value is None or value == ():
        assert "`" not in shown
    elif isinstance(value, bool):
        assert default == ("on" if value else "off")
    else:
        others: dict[str, Any] = {"at": (0,)} if name == "fade" else {}
        assert getattr(VideoOptions(**{name: default}, **others), name) == value
    expected = expected_range(VideoOptions.model_fields[name])
    assert expected is None or limits == expected.replace("1000000.0", "1e6")
    assert len(words) > 20


GATHERING = {
    "train": TRAINING,
    "collect": (DOCS / "collect.md").read_text("utf-8"),
    "prepare": PREPARE.read_text("utf-8").partition("\n## Trying")[0],
    "try": PREPARE.read_text("utf-8").partition("\n## Trying")[2],
    "video": VIDEO.read_text("utf-8"),
    "live": (DOCS / "live.md").read_text("utf-8"),
}


def rows_of_flags(text: str) -> dict[str, list[str]]:
    """Flag, long or short → the cells of the row that has it in its first one."""
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if line.startswith("| `-"):
            for flag in re.findall(r"`(--?[a-z-]+)`", cells[0]):
                assert flag not in rows, f"two rows for {flag}"
                rows[flag] = cells
    return rows


@pytest.mark.parametrize("command", GATHERING)
def test_every_flag_of_gathering_has_a_row(command: str) -> None:
    """Each flag of `impasto collect`, `prepare`, `try`, `train`, `video` and `live` has one row in
    the page of its command, short form and words to choose from included, and its real default; no
    row has a flag that is not there. What `try`, `video` and `live` share with `stylize` is in the
    page of options."""
    rows = rows_of_flags(GATHERING[command])
    known: set[str] = set()
    for argument in app[command].assemble_argument_collection():
        names = [name for name in argument.names if name.startswith("-")]
        flags = [name for name in names if not name.startswith("--no-")]
        known.update(flags)
        sharing = command in ("video", "live") or (command == "try" and argument.keys)
        shared = flags and sharing and flags[0].removeprefix("--")
        if not flags or (shared in options_table() and flags[0] not in rows):
            continue
        cells = rows.get(flags[0], [])
        assert cells, f"the page of `impasto {command}` has no row for {flags[0]}"
        assert all(flag in rows and rows[flag] is cells for flag in flags), f"{flags}: apart"
        assert len(cells[-1]) > 20, f"{flags[0]}: says little"
        parts = get_args(argument.hint)
        for choice in (*parts, *(inner for part in parts for inner in get_args(part))):
            if isinstance(choice, str):
                assert f"`{choice}`" in " ".join(cells), f"{flags[0]}: does not name {choice}"
        # Those of options models are None here; other tests compare theirs.
        default: Any = argument.field_info.default
        if default is False:
            assert cells[1] == "off"
        elif isinstance(default, str | int):
            assert cells[1].strip("`") == str(default)
        elif default is inspect.Parameter.empty:
            assert cells[1] == "must be given"
    assert set(rows) <= known


@pytest.mark.parametrize(("flag", "words"), [("--formats", FORMATS), ("--license", LICENSES)])
def test_words_to_choose_from_are_all_named(flag: str, words: tuple[str, ...]) -> None:
    """The rows of formats and licences name each that is known, and no other."""
    said = rows_of_flags(GATHERING["collect"])[flag][-1]
    named = re.findall(r"`([a-z0-9-]+)`", said.partition(":")[2].partition(".")[0])
    assert named == list(words)


@pytest.mark.parametrize("name", [*STYLE_LOSSES, *CONTENT_LOSSES])
def test_every_loss_is_explained(name: str) -> None:
    """Each loss has a formula, a source and a picture in the page of controls."""
    page = (DOCS / "controls.md").read_text(encoding="utf-8")
    rows = re.findall(rf"^\| `{re.escape(name)}` \| (.+) \| (.+) \|$", page, re.MULTILINE)
    assert rows, f"docs/controls.md has no row for the loss {name}"
    assert any(re.search(r"\d{4}|as above", source) for _, source in rows), f"{name}: no source"
    assert re.search(rf"pictures/controls/\w+-loss-{re.escape(name)}\.jpg", page)


def test_presets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """The list of presets in the docs is what `impasto presets` prints."""
    assert main(["presets"]) == 0
    printed = capsys.readouterr().out
    assert f"$ impasto presets\n{printed}" in OPTIONS.read_text(encoding="utf-8")
    assert all(f"`{name}`" in HOW.read_text(encoding="utf-8") for name in PRESETS)


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_layer_tables_are_shown_as_they_are(
    network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The layer tables in the docs are what `impasto model` prints."""
    assert main(["model", network]) == 0
    printed = capsys.readouterr().out
    assert f"$ impasto model {network}\n{printed}" in HOW.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    """Every picture and every link within the project exists, headings included."""
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = unquote(link).partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{relative(page)}: {link} does not exist"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{relative(page)}: {link} has no such heading"


COMMANDS = [
    (relative(page), line)
    for page in [*PAGES, MAKE_PICTURES]
    for line in (
        fenced_commands(page) if page.suffix == ".md" else commands_in(page.read_text("utf-8"))
    )
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_parse(page: str, line: str) -> None:
    """Every command line in the docs is one that the command line accepts, option values too."""
    words = shlex.split(line, comments=True)[1:]
    if not words or words == ["--help"]:
        return
    command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert callable(command)
    if "options" in bound.arguments:
        options = bound.arguments["options"]
        models: dict[str, Any] = {
            f"{model.__name__}Flags": model
            for model in (
                *(StyleOptions, PrepareOptions, CollectOptions, StudioOptions),
                TrainingOptions,
            )
        }
        models[type(options).__name__](**given(options))


def test_commands_were_found() -> None:
    """The search for command lines does find those of the page that explains everything."""
    assert sum(page == relative(HOW) for page, _ in COMMANDS) >= 10


def test_pictures_are_made_by_the_commands_beneath_them() -> None:
    """The script that remakes the pictures runs the page's own commands, in the page's order, and
    keeps every picture that the page shows and no other."""
    script = MAKE_PICTURES.read_text(encoding="utf-8")
    made = commands_in(script)
    shown = [line for line in fenced_commands(HOW) if re.search(r" --output \S+\.png$", line)]
    assert made == list(dict.fromkeys(shown))
    folder = DOCS / "pictures" / "how-it-works"
    on_page = {
        (HOW.parent / target).resolve()
        for _, target in PICTURE.findall(HOW.read_text(encoding="utf-8"))
        if target.startswith("pictures/")
    }
    assert on_page == set(folder.iterdir())
    kept = set(re.findall(r"^\s*keep \S+ \"?([\w$-]+\.jpg)", script, re.MULTILINE))
    assert {re.sub(r"\d{6}", "$number", path.name) for path in on_page} == kept


def test_pictures_are_small_and_private() -> None:
    """No picture of the docs weighs down a clone or carries metadata of the machine it was made
    on."""
    from PIL import Image

    files = list((DOCS / "pictures" / "how-it-works").iterdir())
    assert sum(path.stat().st_size for path in files) < 1_500_000
    for path in files:
        assert path.stat().st_size <= 150_000, f"{relative(path)} is too large"
        with Image.open(path) as picture:
            assert not picture.getexif()


def test_pictures_are_described() -> None:
    """Every picture of the docs has words for those who cannot see it."""
    for page in PAGES:
        for words, target in PICTURE.findall(page.read_text(encoding="utf-8")):
            assert words.strip(), f"{relative(page)}: {target} has no description"


def test_worked_example_of_the_gram_matrix() -> None:
    """The numbers of the worked example are those that NumPy finds."""
    text = HOW.read_text(encoding="utf-8")
    rows = re.findall(r"^(?:yellow|round ) = ([\d ]+)$", text, re.MULTILINE)
    first, second = (
        np.array([[float(n) for n in row.split()] for row in rows[i : i + 2]]) for i in (0, 2)
    )
    gram, wanted = (f @ f.T / f.shape[1] for f in (first, second))
    assert f"/ 4 = {gram[0, 0]}\n" in text
    assert f"/ 4 = {gram[0, 1]}\n" in text
    assert f"/ 4 = {gram[1, 1]}\n" in text
    assert np.array_equal(wanted, np.full((2, 2), 2.0))
    assert f"/ 4 = {np.square(gram - wanted).mean()}\n" in text


def test_keras_names_in_the_table() -> None:
    """The table of layer names pairs each paper name with Keras' name for the same tensor, and
    with its place in torchvision's VGG19."""
    from impasto.features import layers_of

    places, place, block = {}, 0, "1"
    for layer in layers_of("vgg19"):
        if layer.name[4] != block:
            block, place = layer.name[4], place + 1
        places[layer.name] = (layer.keras, place + 1)
        place += 2
    rows = re.findall(
        r"^\| `(relu\d_\d)` \| `(\w+)` \| `features\[(\d+)\]`", HOW.read_text("utf-8"), re.MULTILINE
    )
    assert len(rows) == 7
    for name, keras, index in rows:
        assert places[name] == (keras, int(index))


@pytest.mark.parametrize("path", sorted((DOCS / "pictures" / "gallery").glob("*.jpg")), ids=str)
def test_gallery_pictures_are_made_by_the_defaults(path: Path) -> None:
    """Each picture of the gallery carries the default options, but for its size, and the page names
    its size and pair."""
    settings = read_image(path).settings
    assert settings is not None
    options = make_options(settings["options"])
    # How many threads made it does not show.
    usual = {name: getattr(StyleOptions(), name) for name in ("threads", "size")}
    assert options.model_copy(update=usual) == StyleOptions()
    sources = settings["content"]["path"], *(style["path"] for style in settings["styles"])
    size = "" if options.size == usual["size"] else f" --size {options.size}"
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    place = page.index(f"pictures/gallery/{path.name}")
    section = page[page.rindex("\n## ", 0, place) :].partition("\n## ")[2].partition("\n## ")[0]
    named = f"`impasto stylize {' '.join(sources)}{size}`"
    assert named in section or named.replace(path.stem.partition("-")[2], "NAME") in section
    assert path.stem == "-".join(source.partition(":")[2] for source in sources)
    assert path.stat().st_size < 250_000


def test_the_gallery_shows_every_style() -> None:
    """The gallery has a drawing of every built-in style and a photo repainted in it, no others."""
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert re.findall(
        r"\(pictures/styles/([a-z-]+)\.jpg\)", page.partition("## All the styles")[2]
    ) == (style_names())
    assert {path.stem for path in (DOCS / "pictures" / "styles").iterdir()} == set(style_names())
    shown = re.findall(r"\(pictures/gallery/(\w+)-([a-z-]+)\.jpg\)", page)
    assert {style for _, style in shown} == set(style_names())
    files = {path.stem for path in (DOCS / "pictures" / "gallery").iterdir()}
    assert {f"{photo}-{style}" for photo, style in shown} == files
