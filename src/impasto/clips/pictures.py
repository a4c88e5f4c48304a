"""Numbered pictures in a folder, taken for the frames of a clip."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pyvips

from impasto.clips.facts import Facts
from impasto.errors import ImageError, OptionError, one_line
from impasto.images import SNIFF_BYTES, Bitmap, is_picture, read_image

DEFAULT_RATE = Fraction(25)
"""Frames per second of a folder that says nothing of it."""

_NUMBER = re.compile(r"([0-9]+)\.[^.]+")


@dataclass(frozen=True)
class PictureFolder:
    """Pictures in the order of the last number in their names, all of one size.

    Attributes:
        path: of the folder.
        names: of the pictures.
        duration: of each, seconds.
        facts: of the clip.
        max_pixels: most pixels of a picture.
    """

    path: Path
    names: tuple[str, ...]
    duration: Fraction
    facts: Facts
    max_pixels: int

    def read(self, number: int) -> Bitmap:
        """A picture of the folder.

        Raises:
            ImageError: it is damaged, or of another size than the first.
        """
        bitmap = read_image(self.path / self.names[number], max_pixels=self.max_pixels)
        if (bitmap.width, bitmap.height) != (self.facts.width, self.facts.height):
            raise ImageError(
                f"{one_line(str(self.path / self.names[number]))}: is {bitmap.width} x "
                f"{bitmap.height} px, but {self.names[0]} is {self.facts.width} x "
                f"{self.facts.height} px; give all pictures of a folder one size"
            )
        return bitmap


def open_folder(path: Path, rate: Fraction, max_pixels: int) -> PictureFolder:
    """Looks at a folder: the names of its pictures, and the first of them.

    Args:
        path: of the folder.
        rate: pictures per second.
        max_pixels: most pixels of a picture.

    Raises:
        ImageError: it holds no numbered pictures, or the first cannot be read.
        OptionError: it holds two rows of pictures.
    """
    names = _numbered(path)
    if not names:
        raise ImageError(
            f"{one_line(str(path))}: is a folder without numbered pictures; name a clip, or a "
            "folder of pictures such as 0001.png"
        )
    first = read_image(path / names[0], max_pixels=max_pixels)
    deep = _is_deep(path / names[0])
    alpha = first.alpha is not None
    form = ("rgba" if alpha else "rgb") + (("64le" if alpha else "48le") if deep else "")
    facts = Facts(
        first.width,
        first.height,
        1 / rate,
        rate=rate,
        frames=len(names),
        duration=float(len(names) / rate),
        bits=16 if deep else 8,
        pixel_format="rgb24" if form == "rgb" else form,
        matrix=0,
        full_range=True,
        range_known=True,
        alpha=alpha,
    )
    return PictureFolder(path, names, 1 / rate, facts, max_pixels)


def folder_identity(path: Path) -> dict[str, object]:
    """What tells a folder of pictures from others: its path, the number of its pictures, and the
    digest of their names and contents, so that a copy elsewhere is the same clip. Contents are read
    once in a process."""
    rows = []
    for name in _numbered(path):
        status = (path / name).stat()
        rows.append((name, status.st_size, status.st_mtime_ns))
    digest = _digest_of(path.absolute(), tuple(rows))
    return {"path": str(path.absolute()), "pictures": len(rows), "sha256": digest}


@functools.lru_cache(maxsize=8)
def _digest_of(path: Path, rows: tuple[tuple[str, int, int], ...]) -> str:
    """The digest of the names and contents of files in a folder, which are told apart by their
    sizes and times of change."""
    whole = hashlib.sha256()
    for name, _, _ in rows:
        with (path / name).open("rb") as file:
            own = hashlib.file_digest(file, "sha256")
        whole.update(f"{name}\0{own.hexdigest()}\n".encode())
    return whole.hexdigest()


def _numbered(path: Path) -> tuple[str, ...]:
    found: dict[int, str] = {}
    try:
        for one in sorted(path.iterdir()):
            number = _NUMBER.search(one.name)
            if number is None or one.name.startswith(".") or not one.is_file():
                continue
            with one.open("rb") as file:
                if not is_picture(file.read(SNIFF_BYTES)):
                    continue
            place = int(number[1])
            if place in found:
                raise OptionError(
                    f"{one_line(str(path))}: {found[place]} and {one.name} have one number; keep "
                    "the pictures of one clip in a folder"
                )
            found[place] = one.name
    except OSError as error:
        reason = error.strerror or error
        raise ImageError(f"{one_line(str(path))}: {reason}; check the folder") from None
    return tuple(found[place] for place in sorted(found))


def _is_deep(path: Path) -> bool:
    """Whether a picture has more than 8 bits per channel."""
    try:
        with path.open("rb", buffering=0) as file:
            # By descriptor, since libvips takes brackets in a file name for options.
            source = pyvips.Source.new_from_descriptor(file.fileno())
            return pyvips.Image.new_from_source(source, "").format not in ("uchar", "char")
    except (OSError, pyvips.Error):
        return False
