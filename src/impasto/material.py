"""What a network is trained with: the pictures of folders, and styles."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.errors import InputError, OptionError
from impasto.networks import IDENTITY
from impasto.prepare import find_pictures
from impasto.sources import check_meant, describe_source, find_source, is_built_in
from impasto.styles import style_names


@dataclass(frozen=True)
class Folder:
    """Pictures of a folder.

    Attributes:
        path: of the folder.
        names: of the files in it, in order.
        weight: how often one of them is drawn compared with one of another folder.
        recursive: whether those in its folders are among them.
    """

    path: str
    names: tuple[str, ...]
    weight: float = 1.0
    recursive: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of the names."""
        return hashlib.sha256("\0".join(self.names).encode(errors="surrogatepass")).hexdigest()

    def files(self, begin: int = 0, end: int | None = None) -> list[Path]:
        """Some of the files."""
        return [Path(self.path) / name for name in self.names[begin:end]]

    def held(self, count: int) -> int:
        """How many of the first pictures serve to judge by."""
        return max(1, min(count, len(self.names) // 4))


@dataclass(frozen=True)
class Material:
    """What a network is trained with.

    Attributes:
        photos: the photos.
        styles: sources of the styles of a network that knows some, in order.
        paintings: folders of paintings for one that takes any style; none where there are styles.
    """

    photos: Folder
    styles: tuple[str, ...] = ()
    paintings: tuple[Folder, ...] = ()

    @property
    def names(self) -> list[str]:
        """What the styles are called."""
        return [name_of(source) for source in self.styles]

    @property
    def record(self) -> dict[str, Any]:
        """Where all of it is, and by what to know it again."""
        folders = (self.photos, *self.paintings)
        return {
            "photos": self.photos.path,
            "recursive": self.photos.recursive,
            "paintings": [[folder.path, folder.weight] for folder in self.paintings],
            "styles": list(self.styles),
            "digests": [folder.digest for folder in folders]
            + [str((describe_source(source) or {}).get("sha256")) for source in self.styles],
        }


def name_of(source: str) -> str:
    """What a style is called: a built-in one by its name, a file by that without its ending."""
    found = find_source(source)
    return found.partition(":")[2] if is_built_in(source) else Path(source).stem


def gather(
    styles: Sequence[str],
    photos: str | os.PathLike[str],
    paintings: Sequence[str] = (),
    *,
    recursive: bool = False,
) -> Material:
    """Looks up what a training asks for.

    Args:
        styles: names of built-in styles, `all` of them, or picture files.
        photos: a folder.
        paintings: folders, each with `=WEIGHT` behind it or without, for a network that takes any
            style.
        recursive: take the pictures in the folders' folders too.

    Raises:
        OptionError: both styles and paintings, or neither; a style twice; a weight that is none.
        InputError: a folder without enough pictures.
    """
    if bool(styles) == bool(paintings):
        fault = "--any and styles exclude each other" if styles else "no style to learn"
        raise OptionError(f"{fault}; name styles, 'all', or folders of paintings by --any")
    found: list[str] = []
    for style in styles:
        found += [f"style:{name}" for name in style_names()] if style == "all" else [style]
    for source in found:
        check_meant(source)
    sources = [find_source(source) for source in found]
    sources = [s if is_built_in(s) else os.path.abspath(s) for s in sources]  # noqa: PTH100
    for source in sources:
        name = name_of(source)
        if name == IDENTITY:
            raise OptionError(f"{source}: '{IDENTITY}' means the photo itself; rename the file")
        if [name_of(other) for other in sources].count(name) > 1:
            raise OptionError(f"'{name}': two styles are called so; name it once, or rename a file")
        if is_built_in(source) and not source.startswith("style:"):
            raise OptionError(f"{source}: is a photo; name a style or a file")
    folders = []
    for text in paintings:
        path, weight = _weighted(text)
        folders.append(_folder(path, weight, recursive))
    return Material(_folder(os.fspath(photos), 1.0, recursive), tuple(sources), tuple(folders))


def gather_again(record: Mapping[str, Any]) -> Material:
    """The material that a record tells of, as it is now.

    Raises:
        InputError: a folder is gone.
    """
    recursive = bool(record["recursive"])
    folders = [_folder(path, weight, recursive) for path, weight in record["paintings"]]
    photos = _folder(record["photos"], 1.0, recursive)
    return Material(photos, tuple(record["styles"]), tuple(folders))


def _weighted(text: str) -> tuple[str, float]:
    path, _, weight = text.rpartition("=")
    if not path or os.path.lexists(text):
        return text, 1.0
    try:
        value = float(weight)
    except ValueError:
        return text, 1.0
    if not 0 < value <= 1e6:
        raise OptionError(f"--any {text}: the weight must lie above 0 and below a million")
    return path, value


def _folder(path: str, weight: float, recursive: bool) -> Folder:
    if not path.strip():
        raise InputError("the name of a folder of pictures is empty; give one, or . for here")
    names = find_pictures(Path(path), recursive=recursive)
    if len(names) < 2:
        hint = "" if recursive else ", or add --recursive for those in its folders"
        count = "no pictures" if not names else "a single picture"
        raise InputError(f"{path}: holds {count}; two at least are needed{hint}")
    where = os.path.abspath(path)  # noqa: PTH100  a link keeps its own name
    return Folder(where, tuple(names), weight, recursive)
