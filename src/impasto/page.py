"""Web pages of results: one file of HTML beside its pictures. Plain data in, text out; no engine.

A page loads nothing but those pictures: no scripts, fonts or styles from elsewhere. All text in it
may come from strangers, so every piece is escaped, and only web addresses become links.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from urllib.parse import quote, urlsplit

from impasto.errors import one_line

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --quiet: #666; --paper: #fff; --line: #ddd; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eee; --quiet: #aaa; --paper: #161616; --line: #3a3a3a; }
}
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, dl { margin: 0 0 1rem; }
a { color: inherit; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th { text-align: left; font-weight: 600; padding: .25rem .5rem; }
td { padding: .5rem; vertical-align: top; border-top: 1px solid var(--line); }
figure { margin: 0; }
img { display: block; width: 100%; height: auto; border-radius: 2px; }
figcaption { font-size: .8rem; line-height: 1.35; margin-top: .35rem; }
small, .quiet { color: var(--quiet); font-size: .8rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .875rem; }
dt { color: var(--quiet); }
dd { margin: 0; }
code { font: .875em/1.4 ui-monospace, monospace; }
@media (max-width: 40rem) {
  body { padding: .75rem; }
  td, th { padding: .25rem; }
}
"""


@dataclass(frozen=True)
class Provenance:
    """Whose a picture is, as a page says it.

    Attributes:
        title: of the picture; its file's name where it has none.
        text: the line to print beneath it: title, author, licence; empty where nothing is known.
        license: its short name, such as `by-sa`; empty where none is known.
        license_url: where the licence can be read, or empty.
        page: where the picture was found, or empty.
    """

    title: str
    text: str = ""
    license: str = ""
    license_url: str = ""
    page: str = ""


@dataclass(frozen=True)
class Shown:
    """A picture on a page.

    Attributes:
        file: relative to the page, with `/` between folders.
        alt: what it shows, for those who cannot see it.
        width: px.
        height: px.
        provenance: whose it is; its title stands beneath it.
    """

    file: str
    alt: str
    width: int
    height: int
    provenance: Provenance


@dataclass(frozen=True)
class Page:
    """All that stands on a page of a table.

    Attributes:
        title: the heading.
        lead: one sentence beneath it.
        columns: what each column shows.
        rows: as many pictures each.
        settings: name → value, in this order.
        notes: lines that follow, under `notes_title`; none: no such section.
        notes_title: their heading.
    """

    title: str
    lead: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Shown]]
    settings: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    notes_title: str = ""


def render_page(page: Page) -> str:
    """The page as HTML, valid for any text in it."""
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in page.columns)
    body = "\n".join(
        "<tr>\n" + "\n".join(f"<td>{_figure(shown)}</td>" for shown in row) + "\n</tr>"
        for row in page.rows
    )
    settings = "\n".join(
        f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in page.settings.items()
    )
    notes = "\n".join(f"<li>{_text(note)}</li>" for note in page.notes)
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" content="script-src \'none\'; '
        "object-src 'none'; base-uri 'none'; form-action 'none'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{_text(page.title)}</title>",
        f"<style>{_STYLE}</style>",
        "</head>",
        "<body>",
        "<main>",
        f"<h1>{_text(page.title)}</h1>",
        f'<p class="quiet">{_text(page.lead)}</p>',
    ]
    if page.rows:
        parts += ["<table>", f"<thead><tr>{head}</tr></thead>", "<tbody>", body, "</tbody>"]
        parts += ["</table>"]
    if page.notes:
        parts += [f"<h2>{_text(page.notes_title)}</h2>", f"<ul>\n{notes}\n</ul>"]
    if page.settings:
        parts += ["<h2>Settings</h2>", f"<dl>\n{settings}\n</dl>"]
    return "\n".join([*parts, "</main>", "</body>", "</html>", ""])


def _figure(shown: Shown) -> str:
    said = shown.provenance
    words = [_text(said.title)]
    if said.text:
        words.append(f"<small>{_link(said.text, said.page)}</small>")
    if said.license or said.license_url:
        words.append(f"<small>{_link(said.license or 'licence', said.license_url)}</small>")
    # File names need not be valid text.
    source = quote(os.fsencode(shown.file))
    return (
        f'<figure><img src="{source}" alt="{_text(shown.alt)}" width="{shown.width}" '
        f'height="{shown.height}" loading="lazy">'
        f"<figcaption>{'<br>'.join(words)}</figcaption></figure>"
    )


def _link(words: str, address: str) -> str:
    """Words that lead to an address, if that is one of the web."""
    try:
        scheme = urlsplit(address).scheme.lower()
    except ValueError:
        scheme = ""
    if scheme not in ("http", "https"):
        return _text(words)
    return f'<a href="{_text(address)}" rel="noreferrer">{_text(words)}</a>'


def _text(words: str) -> str:
    """Words as they may stand between tags and in attributes."""
    return escape(one_line(" ".join(words.split())), quote=True)
