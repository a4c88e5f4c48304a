"""The folder of kept pictures: each once, of near-duplicates the best, with their manifest.

Whoever removes a picture from the folder does not want it: neither it nor what shows the same comes
again, and the manifest is without it, until the file is put back.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedRandom
from pathlib import Path

import numpy as np

from impasto.collect.embedded import complete
from impasto.collect.fetching import Answer
from impasto.collect.filters import refuse_seen
from impasto.collect.found import Credit
from impasto.collect.journal import Journal
from impasto.collect.licenses import attribution
from impasto.collect.likeness import Likeness, likeness, near, same
from impasto.collect.manifest import Entry, append_manifest, write_manifest
from impasto.collect.options import CollectOptions
from impasto.errors import ImageError
from impasto.images import glance, remove_parts, write_whole

_LOOK_SIDE = 256
_MANIFEST_SECONDS = 10.0
"""Least time between two removals of lines from the manifest."""
_DELETED = "deleted from the folder"
_EXTENSIONS = {"jpeg": "jpg", "tiff": "tif"}


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that has been received and looked at.

    Attributes:
        format: by `Glance.format`.
        width: pixels, upright.
        height: pixels, upright.
        like: what to compare it by.
        credit: what its page and it itself say.
        refused: why a filter leaves it out; empty where none does.
    """

    format: str
    width: int
    height: int
    like: Likeness
    credit: Credit
    refused: str


@dataclass(frozen=True)
class Place:
    """What is to become of a picture.

    Attributes:
        name: of its file, which is in the folder; empty where it is not kept.
        reason: why it is not kept.
        rivals: numbers of the kept pictures whose place it takes.
    """

    name: str = ""
    reason: str = ""
    rivals: tuple[int, ...] = ()


def look(data: bytes, said: Credit, options: CollectOptions) -> Picture:
    """Decodes a picture and measures what filters and comparison need.

    Args:
        data: the file.
        said: what its page says about it.
        options: the filters, and the largest picture to decode.

    Raises:
        ImageError: it is damaged, too large or no picture.
    """
    seen = glance(data, _LOOK_SIDE, max_pixels=int(options.max_megapixels * 1e6))
    credit = complete(said, seen)
    refused = refuse_seen(seen, credit.license, options)
    like = likeness(seen.small.pixels, seen.width / seen.height)
    return Picture(seen.format, seen.width, seen.height, like, credit, refused)


def _arrival(answer: Answer) -> datetime:
    """When the last bytes of an answer came: it may have waited on disk, for another run even."""
    assert answer.body is not None
    return datetime.fromtimestamp(answer.body.stat().st_mtime, UTC).replace(microsecond=0)


class Album:
    """The kept pictures of one folder.

    Args:
        folder: where they are.
        journal: what knows them.
        options: whether near-duplicates are kept.
    """

    def __init__(self, folder: Path, journal: Journal, options: CollectOptions) -> None:
        self._folder, self._journal, self._options = folder, journal, options
        self._numbers, hashes = journal.all_hashes()
        self._hashes = np.stack(hashes) if hashes else np.empty((0, 0), np.uint64)
        self._deleted: set[int] = set()
        self._added: list[Entry] = []
        self._superseded: list[str] = []
        self._outdated, self._manifest_due = False, 0.0

    def __len__(self) -> int:
        return len(self._numbers) - len(self._deleted)

    def tidy(self) -> int:
        """Brings folder, journal and manifest in line, after a kill or somebody's choice.

        Returns:
            How many pictures are in the folder that were not there, by the journal, before: fewer
            than none where files have been removed from it.
        """
        for name in self._journal.dropped_files():
            (self._folder / name).unlink(missing_ok=True)
        remove_parts(self._folder)
        more = 0
        with self._journal as journal:
            for number, file, url, was_gone in journal.standing():
                gone = not (self._folder / file).is_file()
                if gone:
                    self._deleted.add(number)
                if gone != was_gone:
                    more += -1 if gone else 1
                    journal.delete(number, gone=gone)
                    outcome = ("deleted", _DELETED) if gone else ("kept", "")
                    journal.change_outcome(url, *outcome)
        self.write_manifest()
        return more

    def place(self, picture: Picture, answer: Answer) -> Place:
        """Puts a picture into the folder, if it is to be there, before the journal says so.

        Raises:
            OutputError: it cannot be written.
        """
        if picture.refused:
            return Place(reason=picture.refused)
        if self._journal.has_file(answer.sha256):
            return Place(reason="the same file again")
        extension = _EXTENSIONS.get(picture.format, picture.format)
        # Made of the contents: the same picture has the same name after a kill.
        path = self._folder / f"{answer.sha256[:20]}.{extension}"
        rivals = self._rivals(picture)
        worth = picture.width * picture.height, bool(picture.credit.license), answer.size
        if not self._deleted.isdisjoint(rivals):
            return Place(reason=f"shows what was {_DELETED}")
        for number in rivals:
            entry, _ = self._journal.picture(number)
            if (entry.width * entry.height, bool(entry.license), entry.bytes) >= worth:
                # A killed run may have put it there before it knew the better one.
                path.unlink(missing_ok=True)
                return Place(reason="a near-duplicate of a better one")
        body = answer.body
        assert body is not None

        def copy(file: BufferedRandom) -> None:
            with body.open("rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)

        write_whole(path, copy, overwrite=True)
        return Place(path.name, rivals=rivals)

    def enter(
        self, picture: Picture, place: Place, answer: Answer, url: str, page: str
    ) -> list[str]:
        """Puts down a placed picture in the journal, within a transaction.

        Returns:
            Addresses of the pictures whose place it took.
        """
        replaced = []
        for number in place.rivals:
            entry, _ = self._journal.picture(number)
            self._journal.drop(number)
            self._superseded.append(entry.file)
            replaced.append(entry.url)
            self._remove(number)
        credit = picture.credit
        line = credit.attribution or attribution(
            credit.title, credit.author, credit.license, credit.license_url, page or url
        )
        entry = Entry(
            file=place.name,
            url=url,
            page=page,
            title=credit.title,
            author=credit.author,
            license=credit.license,
            license_url=credit.license_url,
            attribution=line,
            fetched_at=_arrival(answer),
            sha256=answer.sha256,
            width=picture.width,
            height=picture.height,
            bytes=answer.size,
            format=picture.format,
            phash=picture.like.phash,
        )
        self._insert(self._journal.keep(entry, picture.like), picture.like)
        self._added.append(entry)
        return replaced

    def credit(self, url: str, said: Credit, page: str) -> None:
        """Puts down what pages say about a kept picture now, within a transaction.

        Args:
            url: the address that it came from.
            said: by all pages together; the file's own metadata complete it.
            page: the one that shows it.
        """
        found = self._journal.entry(url)
        if found is None:
            return
        number, entry = found
        try:
            seen = glance(
                (self._folder / entry.file).read_bytes(),
                _LOOK_SIDE,
                max_pixels=int(self._options.max_megapixels * 1e6),
            )
        except (OSError, ImageError):
            # Somebody has removed or changed it; what was known of it stays.
            return
        credit = complete(said, seen)
        line = credit.attribution or attribution(
            credit.title, credit.author, credit.license, credit.license_url, page or url
        )
        names = ("title", "author", "license", "license_url")
        facts = {name: getattr(credit, name) for name in names}
        changed = entry.model_copy(update={**facts, "page": page, "attribution": line})
        self._journal.change_entry(number, changed)
        self._outdated = True

    def settle(self) -> None:
        """To be called after each transaction: tells the manifest of new pictures, and removes
        files whose place better ones took.

        Raises:
            OutputError: the manifest cannot be written.
        """
        append_manifest(self._folder, self._added)
        self._added.clear()
        for name in self._superseded:
            (self._folder / name).unlink(missing_ok=True)
            self._outdated = True
        self._superseded.clear()
        if self._outdated and time.monotonic() >= self._manifest_due:
            self.write_manifest()

    def write_manifest(self) -> None:
        """Writes the manifest as the journal has it.

        Raises:
            OutputError: it cannot be written.
        """
        write_manifest(self._folder, self._journal.entries())
        self._outdated, self._manifest_due = False, time.monotonic() + _MANIFEST_SECONDS

    def _rivals(self, picture: Picture) -> tuple[int, ...]:
        """Numbers of the kept pictures that show the same."""
        if self._options.duplicates == "all" or not self._numbers:
            return ()
        places = near(picture.like.hashes, self._hashes[: len(self._numbers)])
        numbers = (self._numbers[place] for place in places)
        return tuple(n for n in numbers if same(picture.like, self._journal.picture(n)[1]))

    def _insert(self, number: int, like: Likeness) -> None:
        count = len(self._numbers)
        if count == len(self._hashes):
            grown = np.empty((max(64, 2 * count), len(like.hashes)), np.uint64)
            grown[:count] = self._hashes.reshape(count, len(like.hashes))
            self._hashes = grown
        self._hashes[count] = like.hashes
        self._numbers.append(number)

    def _remove(self, number: int) -> None:
        place, last = self._numbers.index(number), len(self._numbers) - 1
        self._hashes[place] = self._hashes[last]
        self._numbers[place] = self._numbers[last]
        self._numbers.pop()
