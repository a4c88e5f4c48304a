"""Pairs of photos and paintings, drawn at random and repainted small: what suits what?

`draw_pairs` draws them, a `Trial` runs them one after the other and can go on where it was
interrupted: a result says itself, in its metadata, what made it.
"""

from __future__ import annotations

import json
import operator
import os
import random
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import impasto
from impasto.collect.manifest import MANIFEST_NAME, Entry, read_manifest
from impasto.devices import Networks
from impasto.errors import ImageError, InputError, OptionError, OutputError, RunError, one_line
from impasto.images import (
    Bitmap,
    check_place,
    fit_within,
    folded_name,
    glance,
    make_folder,
    read_image,
    remove_parts,
    resize_image,
    write_image,
    write_whole,
)
from impasto.options import StyleOptions
from impasto.page import Page, Provenance, Shown, render_page
from impasto.prepare import find_pictures
from impasto.report import plot_pairs
from impasto.run import Stylization, stylization
from impasto.samples import describe_sample, sample_names
from impasto.sources import describe_source, is_built_in, read_source
from impasto.styles import describe, style_names

RECORD_NAME = "trial.json"
PAGE_NAME = "index.html"
TABLE_STEM = "table"
PICTURES_NAME = "pictures"
PREVIEW_SIDE = 256
"""Long side of results where the options name none, px."""

MAX_PAIRS = 200
"""Most pairs of one trial: what one figure can show."""

_COLUMNS = ("content", "style", "result")
_VERSION = 1
_LOOK_SIDE = 64

# They decide how a result is computed, not what it shows.
_INCIDENTAL = ("memory", "threads", "device")


@dataclass(frozen=True)
class Pair:
    """A photo, a painting, and the name of the file that is made of them.

    Attributes:
        content: a path, or `sample:NAME`.
        style: a path, or `style:NAME`.
        result: inside the output folder.
    """

    content: str
    style: str
    result: str


@dataclass(frozen=True)
class Tried:
    """What came of a pair.

    Attributes:
        pair: which.
        fault: why it was skipped, in one line; empty where there is a result.
        again: a former trial had made it with the same settings.
        seconds: what it took.
    """

    pair: Pair
    fault: str = ""
    again: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Step:
    """How far a trial is.

    Attributes:
        done: pairs, with the part of the one at hand that is done.
        total: pairs in all.
        pair: the one at hand.
        tried: what came of it, once it is finished.
    """

    done: float
    total: int
    pair: Pair
    tried: Tried | None = None


def list_sources(text: str, *, recursive: bool = False) -> list[str]:
    """The pictures that a name stands for.

    Args:
        text: a folder, whose pictures are meant; a picture file; `style:NAME` or `sample:NAME`;
            `style:all` or `sample:all`.
        recursive: of a folder, take the pictures in its folders too.

    Raises:
        InputError: there is none.
    """
    kind, _, name = text.partition(":")
    if is_built_in(text):
        names, say = {
            "style": (style_names(), describe),
            "sample": (sample_names(), describe_sample),
        }[kind]
        if name == "all":
            return [f"{kind}:{one}" for one in names]
        say(name)  # an unknown one is refused
        return [text]
    path = Path(text)
    if not text.strip():
        raise InputError("the name of a folder of pictures is empty; give one, or . for here")
    if path.is_file():
        return [text]
    found = find_pictures(path, recursive=recursive)
    if not found:
        hint = "" if recursive else ", or add --recursive for those in its folders"
        raise InputError(f"{text}: holds no pictures; name a folder that does{hint}")
    return [str(path / name) for name in found]


def draw_pairs(
    contents: Sequence[str],
    styles: Sequence[str],
    count: int,
    seed: int,
    *,
    is_usable: Callable[[str], bool] = lambda _: True,
    are_same: Callable[[str, str], bool] = operator.eq,
) -> list[tuple[str, str]]:
    """Draws pairs at random, none twice, so that each picture gets its turn as often as any other.

    The first pairs of a long draw are those of a short one.

    Args:
        contents: photos, none twice.
        styles: paintings, none twice.
        count: how many pairs; fewer come where there are no more.
        seed: another one draws other pairs.
        is_usable: whether one of them can be read at all; asked of those only that are drawn, and
            the others are drawn in place of what cannot.
        are_same: whether a photo and a painting are one picture, which makes no pair.
    """
    chance = random.Random(seed)
    contents, styles = list(contents), list(styles)
    seen = dict.fromkeys(contents, 0), dict.fromkeys(styles, 0)
    partners: dict[str, set[str]] = {content: set() for content in contents}
    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        choices = [c for c in contents if len(partners[c]) < len(styles)]
        if not choices:
            break
        content = _least(chance, choices, seen[0])
        if not is_usable(content):
            contents.remove(content)
            continue
        style = _least(chance, [s for s in styles if s not in partners[content]], seen[1])
        if not is_usable(style):
            styles.remove(style)
            continue
        partners[content].add(style)
        if not are_same(content, style):
            seen[0][content] += 1
            seen[1][style] += 1
            pairs.append((content, style))
    return pairs


def _least(chance: random.Random, choices: Sequence[str], seen: Mapping[str, int]) -> str:
    """One of those that have been seen least often."""
    least = min(seen[choice] for choice in choices)
    return chance.choice([choice for choice in choices if seen[choice] == least])


class Trial:
    """Pairs on their way to results; iterate over it for a `Step` after each evaluation.

    It may be broken off at any point; a new `Trial` of the same pairs and options goes on with the
    first pair that has no result. `finish` writes the record and the small pictures, `lay_out` the
    table and the page that show them.

    Attributes:
        pairs: what was drawn.
        left_out: why pictures that were drawn cannot be read; others were drawn in their place.
        tried: what came of those that have been seen to.
        output: the folder of results.
        options: how they are made.

    Args:
        contents: photos, as `list_sources` gives them.
        styles: paintings, likewise.
        output: the folder of results, which need not be there.
        options: how; the defaults at `PREVIEW_SIDE` if not given.
        count: how many pairs to draw.
        seed: of the draw.
        overwrite: replace files of the same names.

    Raises:
        InputError: there are no pictures that make a pair, or a manifest beside them is damaged.
        OptionError: the count is out of range.
        OutputError: the folder holds other files of these names.
    """

    def __init__(
        self,
        contents: Sequence[str],
        styles: Sequence[str],
        output: str | os.PathLike[str],
        options: StyleOptions | None = None,
        *,
        count: int = 12,
        seed: int = 0,
        overwrite: bool = False,
    ) -> None:
        if not 1 <= count <= MAX_PAIRS:
            raise OptionError(f"--count {count}: must lie in 1 to {MAX_PAIRS}")
        if not contents or not styles:
            raise InputError("there are no pictures to draw from; name folders that hold some")
        contents, styles = list(dict.fromkeys(contents)), list(dict.fromkeys(styles))
        self.output = Path(output)
        self.options = StyleOptions(size=PREVIEW_SIDE) if options is None else options
        self.seed, self.tried = seed, list[Tried]()
        self._overwrite = overwrite
        self._labels = _labels([*contents, *styles])
        self._networks = Networks()
        self._records: dict[str, dict[str, Any] | None] = {}
        self._usable: dict[str, bool] = {}
        self.left_out: list[str] = []
        drawn = draw_pairs(
            *(contents, styles, count, seed), is_usable=self._is_usable, are_same=self._are_same
        )
        if not drawn:
            why = self.left_out[0] if self.left_out else "each would be a picture with itself"
            raise InputError(f"no pair can be drawn: {why}")
        self.pairs = self._named(drawn)
        self._manifests: dict[Path, dict[str, Entry]] = {}
        self._credits = {name: self._credit(name) for name in self.sources}
        self._check_free()

    @property
    def sources(self) -> list[str]:
        """Every photo and painting drawn, once."""
        return list(dict.fromkeys(name for p in self.pairs for name in (p.content, p.style)))

    def credit(self, source: str) -> Provenance:
        """Whose one of `sources` is."""
        return self._credits[source]

    def thumbnail(self, source: str) -> str:
        """Name, inside the output folder, of the small copy of a source, with `/` between."""
        return f"{PICTURES_NAME}/{self._labels[source]}.jpg"

    def _is_usable(self, source: str) -> bool:
        if source not in self._usable:
            try:
                if not is_built_in(source):
                    data, name = _contents(source), one_line(source)
                    glance(data, _LOOK_SIDE, max_pixels=self.options.max_pixels, name=name)
                self._usable[source] = True
            except ImageError as error:
                self.left_out.append(str(error))
                self._usable[source] = False
        return self._usable[source]

    def _are_same(self, content: str, style: str) -> bool:
        return _identity(self._record(content)) == _identity(self._record(style))

    def _record(self, source: str) -> dict[str, Any] | None:
        if source not in self._records:
            self._records[source] = describe_source(source)
        return self._records[source]

    def _named(self, drawn: Sequence[tuple[str, str]]) -> list[Pair]:
        pairs: list[Pair] = []
        taken: set[str] = set()
        for content, style in drawn:
            stem = f"{self._labels[content]}-{self._labels[style]}"
            if folded_name(stem) in taken:
                stem = f"{stem}-{_mark(content)}-{_mark(style)}"
            taken.add(folded_name(stem))
            pairs.append(Pair(content, style, f"{stem}.png"))
        return pairs

    def _credit(self, source: str) -> Provenance:
        kind, _, name = source.partition(":")
        if is_built_in(source):
            if kind == "sample":
                return Provenance(name, describe_sample(name))
            return Provenance(name, f"{describe(name)} (drawn by impasto)")
        path = Path(source)
        if path.parent not in self._manifests:
            there = os.path.lexists(path.parent / MANIFEST_NAME)
            entries = read_manifest(path.parent) if there else []
            self._manifests[path.parent] = {entry.file: entry for entry in entries}
        entry = self._manifests[path.parent].get(path.name)
        if entry is None:
            return Provenance(path.name)
        text = entry.attribution or ", ".join(
            part for part in (entry.title, entry.author, entry.license) if part
        )
        page = entry.page or entry.url
        return Provenance(entry.title or path.name, text, entry.license, entry.license_url, page)

    def _check_free(self) -> None:
        """Refuses, before any work, results that would replace other files."""
        if self._overwrite or not self.output.is_dir():
            return
        if not self._is_mine():
            small = [self.thumbnail(source) for source in self.sources]
            tables = [f"{TABLE_STEM}{extension}" for extension in (".png", ".svg", ".pdf")]
            for name in (RECORD_NAME, PAGE_NAME, *tables, *small):
                if (self.output / name).parent.is_dir():
                    check_place(self.output / name)
        for pair in self.pairs:
            path = self.output / pair.result
            if os.path.lexists(path) and not self._stands(pair):
                raise OutputError(
                    f"{path}: exists already and was made with other settings; choose another "
                    "folder with --output, or use --overwrite"
                )

    def _is_mine(self) -> bool:
        """Whether an earlier trial left its record in the output folder."""
        try:
            record = json.loads((self.output / RECORD_NAME).read_bytes())
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(record, dict) and {"impasto", "pairs"} <= record.keys()

    def _stands(self, pair: Pair) -> bool:
        """Whether the result is there and was made of the same pictures with the same options."""
        try:
            settings = read_image(self.output / pair.result).settings
        except ImageError:
            return False
        if settings is None:
            return False
        wanted = self.options.model_dump(mode="json")
        recorded = settings.get("options")
        if not isinstance(recorded, dict):
            return False
        for name in _INCIDENTAL:
            recorded = {**recorded, name: wanted[name]}
        sources = [settings.get("content"), *_as_list(settings.get("styles"))]
        made_of = [_identity(entry) for entry in sources]
        expected = [_identity(self._record(name)) for name in (pair.content, pair.style)]
        return recorded == wanted and made_of == expected

    def __iter__(self) -> Iterator[Step]:
        """Sees to one pair after the other.

        A picture that cannot be read, and a run that fails, cost their pair alone.

        Raises:
            OptionError, WeightsError: no pair can be run so.
            OutputError: a result cannot be written; those before it stay.
        """
        self.tried = []
        make_folder(self.output)
        if self._is_mine() or any((self.output / pair.result).is_file() for pair in self.pairs):
            for folder in (self.output, self.output / PICTURES_NAME):
                remove_parts(folder)
        total = len(self.pairs)
        for number, pair in enumerate(self.pairs):
            began = time.monotonic()
            fault, again = "", self._stands(pair)
            if not again:
                yield Step(number, total, pair)
                try:
                    run = self._run(pair)
                    for progress in run:
                        yield Step(number + progress.share, total, pair)
                except (ImageError, RunError) as error:
                    fault = str(error)
                else:
                    path = self.output / pair.result
                    run.result.save(path, overwrite=self._overwrite)
            seconds = round(time.monotonic() - began, 3)
            tried = Tried(pair, fault, again, seconds)
            self.tried.append(tried)
            yield Step(number + 1, total, pair, tried)

    def _run(self, pair: Pair) -> Stylization:
        return stylization(pair.content, pair.style, self.options, networks=self._networks)

    def finish(self) -> dict[str, Any]:
        """Writes the record and the small copies of photos and paintings; gives the record.

        Raises:
            OutputError: they cannot be written.
        """
        record = {
            "version": _VERSION,
            "impasto": impasto.__version__,
            "seed": self.seed,
            "options": self.options.model_dump(mode="json"),
            "drawn": len(self.pairs),
            "left_out": self.left_out,
            "pairs": [
                {
                    **asdict(tried.pair),
                    "result": "" if tried.fault else tried.pair.result,
                    "fault": tried.fault,
                    "seconds": tried.seconds,
                    "again": tried.again,
                    "content_credit": asdict(self.credit(tried.pair.content)),
                    "style_credit": asdict(self.credit(tried.pair.style)),
                }
                for tried in self.tried
            ],
        }
        text = json.dumps(record, indent=2) + "\n"
        write_whole(self.output / RECORD_NAME, text.encode(), overwrite=True)
        make_folder(self.output / PICTURES_NAME)
        for source in self._shown():
            write_image(self._small(source), self.output / self.thumbnail(source), overwrite=True)
        return record

    def _shown(self) -> list[str]:
        done = [tried.pair for tried in self.tried if not tried.fault]
        return list(dict.fromkeys(name for pair in done for name in (pair.content, pair.style)))

    def _small(self, source: str) -> Bitmap:
        bitmap = read_source(source, self.options.max_pixels, self.options.size)
        width, height = fit_within(bitmap.width, bitmap.height, self.options.size, enlarge=False)
        small = resize_image(bitmap, width, height)
        return Bitmap(small.pixels, small.alpha)

    def lay_out(self, table: Literal["png", "svg", "pdf"] = "png") -> None:
        """Draws the table and writes the web page of what has a result, from what `finish` left in
        the output folder.

        Args:
            table: format of the table's figure.

        Raises:
            ImageError: a result or a small picture is gone.
            OutputError: they cannot be written.
        """
        done = [tried.pair for tried in self.tried if not tried.fault]
        rows = [self._row(pair) for pair in done]
        if rows:
            plot_pairs(
                [[pixels for _, pixels in row] for row in rows],
                self.output / f"{TABLE_STEM}.{table}",
                columns=_COLUMNS,
                captions=[
                    (*(one_line(shown.provenance.title) for shown, _ in row[:2]), "")
                    for row in rows
                ],
                overwrite=True,
            )
        faults = [f"{t.pair.content} with {t.pair.style}: {t.fault}" for t in self.tried if t.fault]
        page = Page(
            title=f"{len(rows)} {'pair' if len(rows) == 1 else 'pairs'} of photo and painting",
            lead="Drawn at random and repainted by impasto. Each result carries all its settings: "
            "impasto reproduce FILE makes it again, impasto continue FILE --size 1024 a larger "
            "one.",
            columns=_COLUMNS,
            rows=[[shown for shown, _ in row] for row in rows],
            settings=self._settings(),
            notes=faults + self.left_out,
            notes_title="Skipped",
        )
        write_whole(self.output / PAGE_NAME, render_page(page).encode(), overwrite=True)

    def _row(self, pair: Pair) -> list[tuple[Shown, NDArray[np.float32]]]:
        """Photo, painting and result: how the page shows them, and their pixels `(H, W, 3)`."""
        content, style = self.credit(pair.content), self.credit(pair.style)
        row = []
        for file, alt, provenance in (
            (self.thumbnail(pair.content), f"photo: {content.title}", content),
            (self.thumbnail(pair.style), f"painting: {style.title}", style),
            (
                pair.result,
                f"{content.title}, repainted in the style of {style.title}",
                Provenance(pair.result),
            ),
        ):
            pixels = read_image(self.output / file).on_white().transpose(1, 2, 0)
            height, width = pixels.shape[:2]
            row.append((Shown(file, alt, width, height, provenance), np.ascontiguousarray(pixels)))
        return row

    def _settings(self) -> dict[str, str]:
        """What makes these results differ from those of the defaults, in the words of the flags."""
        plain = StyleOptions().model_dump(mode="json")
        shown = {"impasto": impasto.__version__, "--seed": str(self.seed)}
        for name, value in self.options.model_dump(mode="json").items():
            if name != "seed" and (value != plain[name] or name in ("size", "preset")):
                shown[f"--{name.replace('_', '-')}"] = str(value)
        return shown


def _labels(sources: Sequence[str]) -> dict[str, str]:
    """Source → a short name for files; those that would be the same are told apart by a mark that
    depends on the whole name alone."""
    stems = {source: _stem(source) for source in dict.fromkeys(sources)}
    counts = Counter(folded_name(stem) for stem in stems.values())
    return {
        source: stem if counts[folded_name(stem)] == 1 else f"{stem}-{_mark(source)}"
        for source, stem in stems.items()
    }


def _stem(source: str) -> str:
    """A name's plain part: valid text without signs that move cursors, of at most 80 bytes."""
    name = source.partition(":")[2] if is_built_in(source) else Path(source).stem
    plain = "".join(c if c.isprintable() else "_" for c in name)
    return plain.encode()[:80].decode(errors="ignore").strip(". ") or "picture"


def _mark(text: str) -> str:
    return f"{zlib.crc32(os.fsencode(text)):08x}"


def _identity(entry: Any) -> Any:
    """What of a recorded source tells it from others: the digest of a file, a built-in's name."""
    if not isinstance(entry, Mapping):
        return None
    return entry.get("sha256") or entry.get("path")


def _contents(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        fault = getattr(error, "strerror", None) or error
        raise ImageError(f"{one_line(path)}: cannot be read ({fault}); check the file") from None


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
