"""The studio's front end, as far as it can be checked without a browser."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from impasto.errors import OptionReason
from impasto.images import fit_within
from impasto.options import OPTION_GROUPS, PRESETS, StyleOptions, make_options
from impasto.paper import named_papers, parse_paper
from impasto.samples import sample_names
from impasto.styles import style_names
from impasto.web.entities import NOTE_CODES
from impasto.web.live import SIDES
from impasto.web.painter import LIVE_SIDE

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "src/impasto/web/static"
WEB = ROOT / "src/impasto/web"
LANGUAGES = tuple(json.loads((STATIC / "texts/languages.json").read_text()))
TOOLS = (ROOT / ".venv/browser", ROOT / "tests/browser")
"""Folders whose node_modules may hold TypeScript; `scripts/setup dev` fills the first."""


def _texts(language: str) -> dict[str, Any]:
    """All words of a language: those of every page, and those that come later."""
    always = json.loads((STATIC / f"texts/{language}.json").read_text())
    later = json.loads((STATIC / f"texts/later/{language}.json").read_text())
    assert not always.keys() & later.keys()
    return always | later


def _leaves(part: dict[str, Any], name: str = "") -> Iterator[tuple[str, str]]:
    for key, value in part.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{name}{key}.")
        else:
            yield f"{name}{key}", value


def _has(words: dict[str, Any], key: str) -> bool:
    found: Any = words
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return bool(found)


def test_languages_say_the_same_things() -> None:
    """Every text stands in every language, with the same values to fill in."""
    files = {file.stem for file in (STATIC / "texts").glob("*.json")} - {"languages"}
    assert files == set(LANGUAGES) >= {"en", "de"}
    english = dict(_leaves(_texts("en")))
    for language in LANGUAGES:
        others = dict(_leaves(_texts(language)))
        assert english.keys() == others.keys()
        for key, text in english.items():
            if not key.endswith((".one", ".other")):
                assert sorted(re.findall(r"{\w+}", text)) == sorted(
                    re.findall(r"{\w+}", others[key])
                ), key
            assert others[key].strip(), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_option_has_words(language: str) -> None:
    """Every option and each of its choices can be named and explained in each language."""
    words = _texts(language)
    for name, field in StyleOptions.model_fields.items():
        assert _has(words, f"options.{name}.name"), name
        assert _has(words, f"help.{name}"), name
        if name != "preset":
            for choice in _choices(field):
                assert _has(words, f"choices.{name}.{choice}"), f"{name} {choice}"
    assert set(words["options"]) == set(words["help"]) == set(StyleOptions.model_fields)
    assert set(words["groups"]) == set(OPTION_GROUPS)
    assert set(words["presets"]) == set(PRESETS)
    assert set(words["styles"]) == set(style_names())
    assert set(words["samples"]) == set(sample_names())


def _choices(field: FieldInfo) -> tuple[str, ...]:
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def test_scripts_use_words_that_exist() -> None:
    """No script asks for a text that no language has."""
    words = _texts("en")
    for script in STATIC.glob("js/*.js"):
        for key in re.findall(r"""\bt\(\s*"([\w.]+)\"""", script.read_text()):
            assert _has(words, key), f"{script.name}: {key}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_has_words(language: str) -> None:
    """Whatever code the server refuses with can be said in the page's language."""
    words = _texts(language)["errors"]
    code = re.compile(
        r'(?:Refused\(\s*\d+,|refusal\(\s*\d+,|\b_?[Ff]ault\()\s*"([a-z_]+)"|^ +code = "(\w+)"',
        re.M,
    )
    found = {
        name
        for module in WEB.rglob("*.py")
        for pair in code.findall(module.read_text())
        for name in pair
        if name
    }
    assert {"signin", "too_large", "queue_full", "missing"} <= found
    assert sorted(found - set(words)) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_faults_of_options_are_told_by_reason(language: str) -> None:
    """What is usually wrong with an option is told in the page's language, with the names that
    options have there; what is rare is told in the server's words.
    """
    words = _texts(language)
    assert sorted(words["reasons"]) == sorted(get_args(OptionReason))
    script = """
        const { faultWords, loadLaterWords } = await load("words");
        await loadLaterWords();
        return given.map((fault) => faultWords(fault));
    """
    given = [
        {"reason": "excludes", "field": "print", "values": {"other": "levels"}},
        {"reason": "too_large", "field": "size", "values": {"limit": 40960}},
        {"reason": "not_one_of", "field": "tv", "values": {"choices": "l1, squared"}},
        {"reason": None, "field": "size", "values": {}},
        {"reason": "of a later server", "field": "size", "values": {}},
    ]
    given = [{"code": "option", "message": "in English", **one} for one in given]
    both, limit, choice, rare, later = _run_script(script, given, language)
    names = {name: words["options"][name]["name"] for name in StyleOptions.model_fields}
    assert names["print"] in both
    assert names["levels"] in both
    assert names["size"] in limit
    assert re.search(r"40.960", limit)
    assert "l1, squared" in choice
    assert not any("English" in one or "{" in one for one in (both, limit, choice))
    assert "in English" in rare
    assert "in English" in later


def test_pages_load_nothing_from_elsewhere() -> None:
    """No page needs another origin, an inline script or an inline style."""
    for file in [*STATIC.rglob("*.js"), *STATIC.rglob("*.css"), *STATIC.rglob("*.html")]:
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|(?<!:)//[a-z]+\.", text), file.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
        assert 'setAttribute("style"' not in text, file.name

    class Page(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            names = dict(attrs)
            assert tag != "style"
            # The server's header says it.
            assert names.get("name") != "referrer"
            assert "style" not in names
            assert not any(name.startswith("on") for name in names)
            if tag == "script":
                assert (STATIC / str(names["src"]).removeprefix("/static/")).is_file()
            if tag == "link":
                assert (STATIC / str(names["href"]).removeprefix("/static/")).is_file()

    Page().feed((STATIC / "index.html").read_text())


def test_files_are_chosen_in_one_way() -> None:
    """Every field for files names the kinds that the studio reads, HEIC not among them."""
    found = [file for file in STATIC.glob("js/*.js") if 'type: "file"' in file.read_text()]
    assert [file.name for file in found] == ["file-button.js"]
    (kinds,) = re.findall(r'const ACCEPT = "([^"]+)"', found[0].read_text())
    assert {"image/jpeg", "image/png"} <= set(kinds.split(","))
    assert not re.search(r"\*|hei[cf]", kinds)


def test_live_pictures_have_the_same_sizes_everywhere() -> None:
    """The page asks for the sizes that the server encodes, the last is what painters write."""
    script = (STATIC / "js/live-picture.js").read_text()
    (asked,) = re.findall(r"const SIDES = (\[[\d, ]+\])", script)
    assert tuple(json.loads(asked)) == SIDES
    assert SIDES[-1] == LIVE_SIDE


def test_imports_find_their_modules() -> None:
    """Every module that a script imports is there under that very name."""
    for script in STATIC.glob("js/*.js"):
        for name in re.findall(r"""(?:from|import\()\s*"\./([\w.-]+)\"""", script.read_text()):
            assert (STATIC / "js" / name).is_file(), f"{script.name}: {name}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_notes_of_a_job_have_words(language: str) -> None:
    """Whatever the painter may note of a job is said in the page's language, each otherwise."""
    notes = _texts(language)["notes"]
    assert sorted(notes) == sorted(NOTE_CODES)
    assert len(set(notes.values())) == len(notes)


def _node() -> Path:
    node = Path(sys.prefix) / "bin/node"
    if not node.exists():
        pytest.skip("node is not installed; scripts/setup dev installs it")
    return node


def _run_script(source: str, given: Any, language: str = "en") -> Any:
    """What a script returns that uses the front end's modules, run without a browser."""
    program = """
        import { readFileSync } from "node:fs";
        const [root, language, given] = process.argv.slice(1);
        globalThis.document = { documentElement: {} };
        globalThis.fetch = async (path) => {
          const text = readFileSync(root + path.slice("/static".length), "utf8");
          return { ok: true, json: async () => JSON.parse(text) };
        };
        const load = (name) => import(`file://${root}/js/${name}.js`);
        await (await load("words")).loadWords(language);
        const run = async (load, given) => {SOURCE};
        process.stdout.write(JSON.stringify(await run(load, JSON.parse(given))));
    """
    command = [_node(), "--no-warnings", "--input-type=module"]
    command += ["-e", program.replace("SOURCE", source), "--", STATIC, language, json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


_OFFERED = {
    "schema": StyleOptions.model_json_schema(),
    "presets": {name: {"options": dict(preset.values)} for name, preset in PRESETS.items()},
    "papers": [
        {"name": name, "width_mm": paper.short, "height_mm": paper.long}
        for name, paper in named_papers().items()
    ],
    "defaults": StyleOptions().model_dump(mode="json"),
}
"""What `/api/options` tells the front end."""


def _job(options: dict[str, Any], width: int, height: int, **more: Any) -> dict[str, Any]:
    request = {"photo": "sample:cat", "styles": ["style:waves"], "options": options}
    result = {"id": "R", "width": width, "height": height}
    job = {"id": "J", "label": "", "title": "", "strength": None}
    return {**job, "request": request, "result": result, **more}


@pytest.mark.parametrize(
    ("asked", "changed", "expected"),
    [({"strength": 0.4}, None, 0.4), ({"strength": 0.4}, 0.0, 0.0), ({}, None, 1.0)],
)
def test_strength_is_what_was_asked_last(
    asked: dict[str, float], changed: float | None, expected: float
) -> None:
    """A job's strength, and what goes on from it, is as asked for until it is changed."""
    script = """
        const { addressOf, largerRequest, strengthNow } = await load("job-request");
        const [job, options] = given;
        const larger = largerRequest(job, { options: { size: 1024 }, side: 1024 });
        return [strengthNow(job, options), addressOf(job, options), larger.options.strength];
    """
    job = _job(asked, 64, 48, strength=changed)
    now, address, larger = _run_script(script, [job, _OFFERED])
    assert now == expected
    assert (larger if larger is not None else 1.0) == expected
    assert (f"strength={expected:g}" in address) == (expected != 1)


def test_inherited_names_are_no_options() -> None:
    """Names that every object of JavaScript has are refused in an address like unknown ones."""
    script = """
        const { Settings } = await load("settings");
        const { readAddress } = await load("settings-address");
        const settings = new Settings(given);
        readAddress(settings, "?constructor=1&toString=2&preset=valueOf");
        return [settings.refused.map(([name]) => name), settings.given];
    """
    assert _run_script(script, _OFFERED) == [["constructor", "toString", "preset"], {}]


def test_regions_come_back_whole() -> None:
    """A job's regions, with what the page has no fields for, come back from its address."""
    script = """
        const { addressOf } = await load("job-request");
        const { Settings } = await load("settings");
        const { readAddress } = await load("settings-address");
        const [job, options, mangled] = given;
        const address = addressOf(job, options);
        const settings = new Settings(options);
        readAddress(settings, address.slice(2));
        const asked = settings.request().options;
        settings.paintings[0].share = 3;
        const later = settings.request().options.regions;
        readAddress(settings, mangled);
        return [asked, later, settings.refused.map(([name]) => name)];
    """
    regions = [
        {"styles": [1, 2], "shares": [5, 1], "strength": 0.5},
        {"styles": [2], "scale": [0.5, 1.0], "color": "match", "color_strength": 0.25},
        {"keep": True},
        {"styles": [1, 2], "shares": [1, 2]},
    ]
    job = _job({"style_weights": [1, 2], "regions": regions}, 64, 48)
    job["request"] |= {"styles": ["style:waves", "style:lava"], "masks": ["a", "b", "c"]}
    mangled = "region=a~1~~{&rest=1~~[3"
    asked, later, refused = _run_script(script, [job, _OFFERED, mangled])
    assert asked == job["request"]["options"]
    # Its own shares stay; those of the whole picture are followed.
    assert [one.get("shares") for one in later] == [[5, 1], None, None, [3, 2]]
    assert refused == ["regions", "regions"]


def test_titles_are_not_typed() -> None:
    """What a larger picture is called is typed only where somebody typed it."""
    script = """
        const { largerRequest } = await load("job-request");
        const { label, title } = largerRequest(given, { options: { size: 1024 }, side: 1024 });
        return [label, title];
    """
    for named in (["", "Lena · Glas"], ["for grandma", "Lena · Glas"]):
        job = _job({}, 64, 48, label=named[0], title=named[1])
        assert _run_script(script, job) == named


@pytest.mark.parametrize(
    ("options", "side"),
    [
        ({"size": 64, "color": "match", "style_scale": "0.5"}, 64),
        ({"levels": "32:2,64:3"}, 64),
        ({"preview": True, "size": 512}, 256),
        ({"print": "a6", "dpi": 100.0}, 583),
        ({"print": "a4", "print_fit": "fill"}, 3508),
        ({"print": "a6", "print_fit": "fill", "dpi": 72.0}, 420),
    ],
)
def test_larger_sizes_can_be_painted(options: dict[str, Any], side: int) -> None:
    """Every size offered for a finished picture is taken, is larger and has the same shape."""
    script = """
        const { largerRequest, largerSizes } = await load("job-request");
        const [job, options, most] = given;
        return largerSizes(job, options, most).map((one) => [one.side, largerRequest(job, one)]);
    """
    asked = make_options(options)
    fills = asked.print_fit == "fill"
    photo = (3000, 2000)
    sheet = parse_paper(options.get("print", "a4"))
    height = round(side * (sheet.short / sheet.long if fills else 2 / 3))
    found = _run_script(script, [_job(options, side, height), _OFFERED, 8192])
    names = {request["options"].get("print", offered) for offered, request in found}
    if not fills:
        sizes = {one for one in (512, 1024, 2048, 4096) if one > side}
        assert names == sizes | {
            name
            for name, paper in named_papers().items()
            if max(paper.pixels(min(options.get("dpi", 300), 8192 * 25.4 / paper.long))) > side
            and ("dpi" not in options or max(paper.pixels(options["dpi"])) <= 8192)
        }
    assert found
    for offered, request in found:
        larger = make_options(request["options"])
        assert larger.size == offered > side
        assert request["coarse"] == "R"
        if not larger.print or "dpi" in options:
            assert larger.dpi == (options.get("dpi") if larger.print else None)
        assert not larger.preview
        assert {name: request["options"].get(name) for name in ("color", "style_scale")} == {
            name: options.get(name) for name in ("color", "style_scale")
        }
        if fills:
            short, long = parse_paper(larger.print or "").pixels(larger.print_dpi)
            assert abs(short / long * side - height) <= 2
        else:
            assert larger.print_fit == "inside"
            assert fit_within(*photo, larger.size)[1] / larger.size == pytest.approx(
                height / side, abs=2 / side
            )


@pytest.mark.parametrize("beside", [{}, {"seed": 3}, {"strength": 0.7}])
def test_change_of_preset_keeps_what_was_set_beside_it(beside: dict[str, float]) -> None:
    """From one preset to another, one's own or not, goes what was set beside the first, and none
    of its own values.
    """
    script = """
        const { Settings } = await load("settings");
        const [offered, [from, to, beside]] = given;
        const settings = new Settings(offered);
        settings.take(from, "A");
        for (const [name, value] of Object.entries(beside)) settings.set(name, value);
        settings.exchange(from, to, "B");
        return [settings.own, settings.kept()];
    """
    builtin = {"preset": "gatys"}
    own = {"preset": "gatys", "strength": 0.6, "tv_weight": 2}
    other = {"preset": "keras", "style_scale": "0.5"}
    for before in (builtin, own):
        for after in ({"preset": "keras"}, other):
            chosen, kept = _run_script(script, [_OFFERED, [before, after, beside]])
            assert chosen == "B"
            assert kept == after | beside


@pytest.mark.parametrize("language", LANGUAGES)
def test_common_faults_have_a_sentence_of_their_own(language: str) -> None:
    """What often goes wrong is said in the page's language, without words of the command line."""
    script = """
        const { faultWords } = await load("words");
        return given.map((fault) => faultWords(fault));
    """
    english = [
        "out of memory at 9000 x 6000 px; choose a smaller --size, or say with --memory how much",
        "the loss is not a finite number at the start picture; lower the weights or use float32",
        "the disk is full; make room and run it again",
        "an unexpected fault, ValueError: axes don't match array",
        "the painter stopped 3 times at this job; the last time: it was killed (signal 9)",
        "label: String should have at most 120 characters",
        "the job is being cancelled, so it cannot be paused",
        "method Not Allowed",
        "the records of the studio are of version 99",
        "a picture that it needs has been deleted; choose it again",
        "photo.png: the file is cut off; get it again",
        "vgg19.bin: damaged; get it anew",
    ]
    codes = ["out_of_memory", "not_finite", "disk_full", "internal", "crashes"]
    codes += ["request", "state", "method", "records", "source", "unreadable", "input"]
    given = [
        {"code": code, "message": message} for code, message in zip(codes, english, strict=True)
    ]
    said = _run_script(script, given, language)
    assert len(set(said)) == len(given)
    for words, message in zip(said, english, strict=True):
        assert message not in words
        assert "--" not in words
    print_fit = {"code": "option", "message": "--print-fit fill: acts only with --print"}
    (words,) = _run_script(script, [print_fit], language)
    assert _texts(language)["options"]["print_fit"]["name"] in words
    assert "--" not in words


@pytest.mark.parametrize("status", [0, 503, 404])
def test_lost_jobs_are_followed_again(status: int) -> None:
    """A job is followed again once the server is back; one that it refuses is given up."""
    script = """
        const page = new EventTarget();
        for (const name of ["addEventListener", "removeEventListener", "dispatchEvent"]) {
          globalThis[name] = page[name].bind(page);
        }
        globalThis.location = { pathname: "/job/J" };
        const element = { append() {}, setAttribute() {}, replaceChildren() {} };
        globalThis.document = { createElement: () => ({ ...element }), body: element };
        globalThis.setTimeout = () => 0;
        const streams = [];
        globalThis.EventSource = class extends EventTarget {
          constructor(address) {
            super();
            streams.push([this, address]);
          }
          close() {}
        };
        globalThis.fetch = async () => {
          if (!given) throw new TypeError("not reached");
          return { ok: false, status: given, text: async () => "" };
        };
        const { watchJob } = await load("watch");
        const { reached } = await load("connection");
        const failed = [];
        watchJob("J", () => {}, (error) => failed.push(error.status));
        streams[0][0].dispatchEvent(new Event("error"));
        await new Promise(setImmediate);
        reached();
        return [streams.map(([, address]) => address), failed];
    """
    opened, failed = _run_script(script, status)
    refused = status == 404
    assert opened == ["/api/jobs/J/events"] * (1 if refused else 2)
    assert failed == ([404] if refused else [])


def _compiler() -> Path:
    for folder in TOOLS:
        found = folder / "node_modules/typescript/bin/tsc"
        if found.is_file():
            return found
    pytest.skip("TypeScript is not installed; scripts/setup dev does where npm can reach it")


def test_types_hold() -> None:
    """The scripts' JSDoc types agree with each other and with the browser's interfaces."""
    node = _node()
    checked = subprocess.run(
        [node, _compiler(), "--project", ROOT / "tests/browser/tsconfig.json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"},
    )
    assert checked.returncode == 0, checked.stdout
