"""Results as files to take away: in other formats, for paper, and all of them in one archive."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import sys
import time
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import quote
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from impasto.errors import ImageError, ImpastoError, OptionError, OutputError, RunError
from impasto.images import read_image, write_image
from impasto.options import MAX_SIDE
from impasto.paper import MM_PER_INCH, parse_paper
from impasto.web.apart import give_way, run_apart

Format = Literal["png", "jpeg", "webp", "tiff"]
Orientation = Literal["auto", "portrait", "landscape"]

MEDIA_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "tiff": "image/tiff",
}
ENDINGS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}
_CHUNK = 1 << 18
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
_ZIP_FIRST, _ZIP_LAST = 315_532_800, 4_354_819_198
"""The times that a ZIP entry can have: 1980-01-01 00:00:00 to 2107-12-31 23:59:58, in seconds since
1970 (APPNOTE.TXT 4.4.6, the MS-DOS date)."""

LEFT_OUT = "left out.txt"
"""File of an archive that names what is not in it."""

_FAULTS: dict[int, type[ImpastoError]] = {3: ImageError, 4: OutputError}
"""What the exit status of the process that makes a file means, beside 0."""

_PNG = b"\x89PNG\r\n\x1a\n"


def paper_dpi(width: int, height: int, paper: str, orientation: Orientation) -> float:
    """Pixels per inch at which a picture fills as much of a sheet as it can without being cut.

    Args:
        width: of the picture, px.
        height: of the picture, px.
        paper: a name such as `a3`, or a size such as `300x200mm`.
        orientation: of the sheet; `auto` turns it the picture's way.

    Raises:
        OptionError: there is no such paper.
    """
    try:
        sheet = parse_paper(paper)
    except ValueError as error:
        raise OptionError(f"--paper: {error}") from None
    wide = orientation == "landscape" or (orientation == "auto" and width >= height)
    across, down = (sheet.long, sheet.short) if wide else (sheet.short, sheet.long)
    return max(width / across, height / down) * MM_PER_INCH


async def make_download(
    master: Path, target: Path, *, bits: Literal[8, 16], quality: int, dpi: float | None
) -> None:
    """Writes a result in another form, with its settings inside, in a process of its own: all of
    it lies in memory then, which is gigabytes for a large print.

    Args:
        master: the result in full.
        target: the file to write; its ending is the format.
        bits: per channel.
        quality: of JPEG and WebP, 1 to 100.
        dpi: print resolution; `None`: that of the master.

    Raises:
        ImageError: it cannot be read.
        OutputError: it cannot be written so.
        RunError: the process died, as where memory ran out.
    """
    resolution = "" if dpi is None else repr(dpi)
    ended = await run_apart(
        *(__name__, str(master), str(target), str(bits), str(quality), resolution)
    )
    if ended.status:
        raise _FAULTS.get(ended.status, RunError)(ended.said)


def main() -> None:
    """Writes a result in another form: what `make_download` gives it."""
    give_way()
    master, target, bits, quality, dpi = sys.argv[1:]
    try:
        bitmap = read_image(Path(master), max_pixels=MAX_SIDE * MAX_SIDE)
        write_image(
            bitmap,
            Path(target),
            bits=16 if bits == "16" else 8,
            quality=int(quality),
            dpi=float(dpi) if dpi else None,
        )
    except ImpastoError as error:
        print(error, file=sys.stderr)
        found = (status for status, kind in _FAULTS.items() if isinstance(error, kind))
        sys.exit(next(found, 1))


def file_name(label: str, job: str, ending: str, paper: str = "") -> str:
    """What a download is called: its label and sheet, as far as every file system takes them."""

    def plain(words: str) -> str:
        taken = "".join(c if c.isalnum() or c in " -_()" else " " for c in words)
        return " ".join(taken.split())[:80].rstrip()

    stem = plain(label) or f"impasto-{job[:6]}"
    return _undevised(f"{stem} ({plain(paper)})" if paper else stem) + ending


def _undevised(stem: str) -> str:
    """A name that means no device to Windows, in whatever letters it is written.

    Source: Microsoft, Naming Files, Paths, and Namespaces.
    """
    folded = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().strip()
    return f"impasto {stem}" if _DEVICE.fullmatch(folded) else stem


def disposition(name: str) -> str:
    """A `Content-Disposition` header of a file to save (RFC 6266, RFC 8187)."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip()
    if ascii_name.startswith(".") or not ascii_name:
        ascii_name = f"impasto{Path(name).suffix}"
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"


class _Pipe(io.RawIOBase):
    """What an archive writes and the network takes."""

    def __init__(self) -> None:
        self._parts = list[bytes]()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # pyright: ignore[reportArgumentType]
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        """What has been written since."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def zip_stream(files: Iterable[tuple[str, float, Path]]) -> Iterator[bytes]:
    """A ZIP archive piece by piece, which never lies anywhere as a whole.

    Pictures are compressed already, so they are stored as they are. One that is gone or damaged is
    left out, and named in the file `LEFT_OUT` at the end.

    Args:
        files: name, time (seconds since 1970) and path of each PNG file; names that come twice are
            numbered.
    """
    pipe, taken, left_out = _Pipe(), {LEFT_OUT}, list[str]()
    with ZipFile(pipe, "w", ZIP_STORED) as archive:
        for name, when, path in files:
            source = _opened_whole(path)
            if source is None:
                left_out.append(name)
                continue
            entry = _entry(_free_name(name, taken), when)
            with source, archive.open(entry, "w", force_zip64=True) as into:
                while chunk := source.read(_CHUNK):
                    into.write(chunk)
                    yield pipe.take()
        if left_out:
            why = "The files of these pictures are gone or damaged; run their jobs again:"
            archive.writestr(_entry(LEFT_OUT, time.time()), "\n".join([why, *left_out, ""]))
    yield pipe.take()


def _entry(name: str, when: float) -> ZipInfo:
    entry = ZipInfo(name, time.gmtime(min(max(when, _ZIP_FIRST), _ZIP_LAST))[:6])
    entry.external_attr = 0o644 << 16
    return entry


def _opened_whole(path: Path) -> BinaryIO | None:
    """A file, opened; none where it is gone or a damaged PNG: what is sent cannot be taken back."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
        file = opened.enter_context(path.open("rb"))
        # Of films only the record knows how long they are.
        if path.suffix != ".png" or is_whole(file):
            file.seek(0)
            opened.pop_all()
            return file
    return None


def is_whole(file: BinaryIO) -> bool:
    """Whether a PNG file has all its chunks, none of them damaged; nothing is decoded.

    Source: PNG, third edition, 5.2 to 5.5: signature, chunks of length, type, data and check sum.

    Raises:
        OSError: it cannot be read.
    """
    if file.read(len(_PNG)) != _PNG:
        return False
    kind = b""
    while kind != b"IEND":
        head = file.read(8)
        if len(head) < 8:
            return False
        left, kind = struct.unpack(">I4s", head)
        found = zlib.crc32(kind)
        while left and (piece := file.read(min(left, _CHUNK))):
            found = zlib.crc32(piece, found)
            left -= len(piece)
        if left or file.read(4) != struct.pack(">I", found):
            return False
    return True


def _free_name(name: str, taken: set[str]) -> str:
    stem, ending = Path(name).stem, Path(name).suffix
    number = 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem} {number}{ending}"
    taken.add(name.casefold())
    return name


if __name__ == "__main__":
    main()
