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

from impasto.options import PRESETS, StyleOptions
from impasto.samples import sample_names
from impasto.styles import style_names

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "src/impasto/web/static"
WEB = ROOT / "src/impasto/web"
LANGUAGES = ("en", "de")
TOOLS = (ROOT / ".venv/browser", ROOT / "tests/browser")
"""Folders whose node_modules may hold TypeScript; `scripts/setup dev` fills the first."""


def _texts(language: str) -> dict[str, Any]:
    return json.loads((STATIC / f"texts/{language}.json").read_text())


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
    english, german = (dict(_leaves(_texts(language))) for language in LANGUAGES)
    assert english.keys() == german.keys()
    for key, text in english.items():
        if not key.endswith((".one", ".other")):
            assert sorted(re.findall(r"{\w+}", text)) == sorted(
                re.findall(r"{\w+}", german[key])
            ), key
        assert german[key].strip(), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_option_has_words(language: str) -> None:
    """Every option and each of its choices can be named and explained in each language."""
    words = _texts(language)
    for name, field in StyleOptions.model_fields.items():
        assert _has(words, f"options.{name}.name"), name
        assert _has(words, f"options.{name}.help"), name
        if name != "preset":
            for choice in _choices(field):
                assert _has(words, f"choices.{name}.{choice}"), f"{name} {choice}"
    assert set(words["options"]) == set(StyleOptions.model_fields)
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
            assert "style" not in names
            assert not any(name.startswith("on") for name in names)
            if tag == "script":
                assert (STATIC / str(names["src"]).removeprefix("/static/")).is_file()
            if tag == "link":
                assert (STATIC / str(names["href"]).removeprefix("/static/")).is_file()

    Page().feed((STATIC / "index.html").read_text())


def test_imports_find_their_modules() -> None:
    """Every module that a script imports is there under that very name."""
    for script in STATIC.glob("js/*.js"):
        for name in re.findall(r"""(?:from|import\()\s*"\./([\w.-]+)\"""", script.read_text()):
            assert (STATIC / "js" / name).is_file(), f"{script.name}: {name}"


def _compiler() -> Path:
    for folder in TOOLS:
        found = folder / "node_modules/typescript/bin/tsc"
        if found.is_file():
            return found
    pytest.skip("TypeScript is not installed; scripts/setup dev does where npm can reach it")


def test_types_hold() -> None:
    """The scripts' JSDoc types agree with each other and with the browser's interfaces."""
    node = Path(sys.prefix) / "bin/node"
    if not node.exists():
        pytest.skip("node is not installed; scripts/setup dev installs it")
    checked = subprocess.run(
        [node, _compiler(), "--project", ROOT / "tests/browser/tsconfig.json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"},
    )
    assert checked.returncode == 0, checked.stdout
