"""Answers on disk, from their first byte until they have been dealt with.

Whatever ends a process, what has come of an answer is found again: one that is whole is not asked
for once more, and of one that was cut off the rest can be. Each answer has two files: its contents
as they come, and a course that says how far they are. The course has a checksum after each piece,
so that contents which a power cut has spoilt are told from those that are what came.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        status: of HTTP; 0 where there was no answer.
        headers: the fields that matter here, by their names in lower case.
        body: the file that holds the contents, unpacked; `None` but for status 200.
        sha256: of the contents.
        size: of the contents, bytes.
        fault: why there are no contents; empty where there are, and for other statuses.
        again: another try may help.
        refused: the request was not made, because of where it would have gone.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: Path | None = None
    sha256: str = ""
    size: int = 0
    fault: str = ""
    again: bool = False
    refused: bool = False


@dataclass(frozen=True)
class Beginning:
    """The first part of an answer, whose rest may be asked for.

    Attributes:
        headers: of the answer, as in `Answer`.
        validator: what `If-Range` needs; never empty.
        length: of the whole contents, bytes; 0 where it is unknown.
        size: bytes that are there.
        received: bytes that came so far, packed, of tries without use too.
        digest: SHA-256 of those that are there, to go on with.
        crc: CRC-32 of those.
    """

    headers: dict[str, str]
    validator: str
    length: int
    size: int
    received: int
    digest: Any
    crc: int


class Shelf:
    """The answers in one folder, each under its address; different ones from several threads.

    Args:
        folder: where they are; it belongs to this program.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, url: str) -> Answer | Beginning | None:
        """What has come of an answer; `None` where that is nothing, or of no use."""
        body, course = self._files(url)
        try:
            first, *lines = course.read_bytes().split(b"\n")
            start = json.loads(first)
            headers, validator, length = start["headers"], start["validator"], start["length"]
            # The last of the lines is empty, or was cut short.
            size, crc, received, *whole = lines[-2].split()
            size, digest = int(size), hashlib.sha256()
            if _read(body, size, digest) != int(crc):
                return None
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return None
        if whole or size == length:
            return Answer(200, headers, body, digest.hexdigest(), size)
        if not validator:
            return None
        return Beginning(headers, validator, length, size, int(received), digest, int(crc))

    def received(self) -> Iterator[tuple[str, int]]:
        """Addresses of the answers of which something is there, and the bytes that were received
        for each, packed, those of tries without use among them."""
        for course in list(self._folder.glob("*.course")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, IndexError):
                first, *lines = course.read_bytes().split(b"\n")
                start = json.loads(first)
                # The last of the lines is empty, or was cut short.
                told = lines[-2].split()[2] if len(lines) > 1 else start["received"]
                yield str(start["url"]), int(told)

    def holds(self, url: str) -> bool:
        """Whether anything has come of an answer."""
        return self._files(url)[1].exists()

    @contextlib.contextmanager
    def write(
        self,
        url: str,
        headers: dict[str, str],
        validator: str,
        length: int,
        received: int = 0,
    ) -> Iterator[Writing]:
        """Begins an answer, in place of what was there.

        Args:
            url: whose it is.
            headers: the fields to keep.
            validator: see `Beginning`; empty where the rest could not be asked for.
            length: see `Beginning`.
            received: bytes that came before this answer, of tries without use.

        Raises:
            OSError: it cannot be written.
        """
        body, course = self._files(url)
        course.unlink(missing_ok=True)
        start = {
            "url": url,
            "headers": headers,
            "validator": validator,
            "length": length,
            "received": received,
        }
        with body.open("wb") as file, course.open("wb") as told:
            told.write(json.dumps(start).encode() + b"\n")
            told.flush()
            yield Writing(body, file, told, headers, 0, received, hashlib.sha256(), 0)

    @contextlib.contextmanager
    def append(self, url: str, start: Beginning, headers: dict[str, str]) -> Iterator[Writing]:
        """Goes on with an answer.

        Args:
            url: whose it is.
            start: what is there of it, by `recall`.
            headers: what the answer with the rest said; counts beside what the first one did.

        Raises:
            OSError: it cannot be written.
        """
        body, course = self._files(url)
        with body.open("r+b") as file, course.open("ab") as told:
            # A kill may have left more than the course knows of.
            file.seek(start.size)
            file.truncate()
            # What it left of a line must not spoil the next one.
            told.write(b"\n%d %d %d\n" % (start.size, start.crc, start.received))
            known = {**start.headers, **headers}
            so_far = start.size, start.received, start.digest, start.crc
            yield Writing(body, file, told, known, *so_far)

    def forget(self, url: str) -> None:
        """Removes the answer of an address that has been dealt with."""
        for path in reversed(self._files(url)):
            path.unlink(missing_ok=True)

    def _files(self, url: str) -> tuple[Path, Path]:
        name = hashlib.sha256(url.encode()).hexdigest()[:40]
        return self._folder / f"{name}.body", self._folder / f"{name}.course"


class Writing:
    """An answer that is coming in; made by a `Shelf`.

    Attributes:
        size: bytes that have come.
    """

    def __init__(
        self,
        path: Path,
        file: BufferedIOBase,
        told: BufferedIOBase,
        headers: dict[str, str],
        size: int,
        received: int,
        digest: Any,
        crc: int,
    ) -> None:
        self._path, self._file, self._told, self._headers = path, file, told, headers
        self.size, self._received, self._digest, self._crc = size, received, digest, crc

    def add(self, data: bytes, received: int | None = None) -> None:
        """Puts down what has come; a process that is killed afterwards has not lost it.

        Args:
            data: the next bytes of the contents.
            received: bytes of the answer that came since the last call, where it is packed.

        Raises:
            OSError: it cannot be written.
        """
        self._file.write(data)
        self._file.flush()
        self.size += len(data)
        self._received += len(data) if received is None else received
        self._digest.update(data)
        self._crc = zlib.crc32(data, self._crc)
        self._tell(b"")

    def finish(self) -> Answer:
        """Puts down that all has come.

        Raises:
            OSError: it cannot be written.
        """
        self._tell(b" whole")
        return Answer(200, self._headers, self._path, self._digest.hexdigest(), self.size)

    def _tell(self, end: bytes) -> None:
        self._told.write(b"%d %d %d%b\n" % (self.size, self._crc, self._received, end))
        self._told.flush()


def _read(path: Path, size: int, digest: Any) -> int:
    """Feeds a digest with the first bytes of a file and gives their CRC-32; -1 where there are
    fewer."""
    crc = 0
    with path.open("rb") as file:
        while size > 0:
            data = file.read(min(size, 1 << 20))
            if not data:
                return -1
            digest.update(data)
            crc = zlib.crc32(data, crc)
            size -= len(data)
    return crc
