"""A folder of pictures as it comes → a folder of pictures that are ready to use.

Each picture is turned upright, converted to sRGB, cut or fitted, resized to one size or several and
written anew; what is broken, blurred, tiny or there twice is left out, with the reason. The source
folder is only read.

The output folder holds the pictures (in a folder for each size, where there are several), their
`manifest.jsonl` where the source has one, and `prepared.jsonl`: a line about the run, then one for
each file that was looked at. A line is written before the pictures that it tells of, so that
whatever ends a run, the next one knows which pictures are its own, and goes on. The folder mirrors
its source: results whose picture has gone from there, or is no longer kept, go too, as far as they
are still what a run wrote.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, InstanceOf, ValidationError

from impasto.collect.manifest import MANIFEST_NAME, Entry, read_manifest
from impasto.color import srgb_to_oklab
from impasto.errors import ImageError, InputError, OptionError, OutputError, TooLargeError, one_line
from impasto.images import (
    SNIFF_BYTES,
    Bitmap,
    check_place,
    crop_box,
    crop_image,
    encode_image,
    fit_within,
    folded_name,
    glance,
    make_folder,
    output_error,
    read_reduced,
    recognise,
    remove_parts,
    resize_image,
    write_whole,
)
from impasto.options import MAX_SIDE, PrepareOptions

JOURNAL_NAME = "prepared.jsonl"
REPORT_NAME = "report.json"
FIGURE_NAME = "report.png"
_VERSION = 1

MEASURE_SIDE = 512
"""Long side in px to which pictures are shrunk before sharpness and colours are measured."""

SHARPNESS_BLOCKS = 8
"""Rows and columns of blocks in which sharpness is measured."""

HUE_BINS = 36
LIGHTNESS_BINS = 20

Reason = Literal[
    "not a picture", "unreadable", "broken", "too large", "tiny", "blurred", "duplicate"
]
"""Why a file was left out."""

# Luma of sRGB: ITU-R BT.709-6, section 3.2.
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


class Written(BaseModel):
    """A picture that was written: its name inside the output folder, size in px, bytes, SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # File names need not be valid text, which pydantic's own strings must be.
    file: InstanceOf[str]
    width: int
    height: int
    bytes: int
    sha256: str


class Outcome(BaseModel):
    """What became of a file.

    Attributes:
        file: its name inside the source folder.
        sha256: of its contents; empty where they were not read.
        reason: why it was left out; `None`: it was kept.
        detail: the same in words, for a person; empty where it was kept.
        width: of the picture, upright, px; 0 where it was not decoded.
        height: likewise.
        sharpness: see `sharpness`; `None` where it was not decoded.
        color: mean OKLab colour; `None` where it was not kept, like what follows.
        hues: how much colour of each hue there is: mean OKLab chroma by hue, `HUE_BINS` of them
            from 0°, which is a pinkish red, on to yellow, green and blue.
        lightness: share of the pixels by OKLab lightness, `LIGHTNESS_BINS` of them from black.
        written: the pictures made of it, by rising size.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: InstanceOf[str]
    sha256: str = ""
    reason: Reason | None = None
    detail: InstanceOf[str] = ""
    width: int = 0
    height: int = 0
    sharpness: float | None = None
    color: tuple[float, float, float] | None = None
    hues: tuple[float, ...] = ()
    lightness: tuple[float, ...] = ()
    written: tuple[Written, ...] = ()


@dataclass(frozen=True)
class Step:
    """One file more that has been seen to.

    Attributes:
        done: how many, this one included.
        total: how many there are.
        outcome: what became of it.
        again: a former run had done it, so there was nothing to do.
    """

    done: int
    total: int
    outcome: Outcome
    again: bool


def sharpness(bitmap: Bitmap) -> float:
    """How sharp a picture is where it is sharpest, 0 or more.

    The picture is shrunk to `MEASURE_SIDE` px (a smaller one stays as it is) and laid on white. In
    each of 8 × 8 blocks the variance of the Laplacian of its luma, in units of 1/255, is taken (J.
    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR
    2000); the answer is their 90th percentile, so that a sharp face before a soft background counts
    as sharp. A picture of less than 3 px across has no Laplacian; its answer is 0.
    """
    return _sharpness(_measured(bitmap))


def _sharpness(pixels: NDArray[np.float32]) -> float:
    luma = np.tensordot(_LUMA, pixels, axes=1) * 255
    if min(luma.shape) < 3:
        return 0.0
    inner = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner
    blocks = [
        float(block.var(dtype=np.float64))
        for band in np.array_split(laplacian, SHARPNESS_BLOCKS, axis=0)
        for block in np.array_split(band, SHARPNESS_BLOCKS, axis=1)
        if block.size
    ]
    return float(np.percentile(blocks, 90))


def _measured(bitmap: Bitmap) -> NDArray[np.float32]:
    """A small copy `(3, h, w)` on white, in which the picture is measured."""
    size = fit_within(bitmap.width, bitmap.height, MEASURE_SIDE, enlarge=False)
    return resize_image(bitmap, *size).on_white()


def _colors(pixels: NDArray[np.float32]) -> dict[str, Any]:
    lightness, a, b = srgb_to_oklab(pixels).reshape(3, -1)
    hues, _ = np.histogram(
        np.arctan2(b, a) % (2 * np.pi), HUE_BINS, (0, 2 * np.pi), weights=np.hypot(a, b)
    )
    shares, _ = np.histogram(np.clip(lightness, 0, 1), LIGHTNESS_BINS, (0, 1))
    count = lightness.size
    return {
        "color": tuple(
            round(float(plane.mean(dtype=np.float64)), 4) for plane in (lightness, a, b)
        ),
        "hues": tuple(round(float(value) / count, 5) for value in hues),
        "lightness": tuple(round(float(value) / count, 5) for value in shares),
    }


def find_files(folder: Path, *, recursive: bool = False) -> list[str]:
    """Names of the files in a folder, in the order of their bytes; hidden ones are passed over, and
    so is what an earlier preparation wrote about its results.

    Links to files are files. Links to folders are not followed: they may lead in circles.

    Args:
        folder: where to look.
        recursive: in its folders too; names are then paths inside it.

    Raises:
        InputError: the folder cannot be listed.
    """
    found: list[str] = []
    try:
        if not folder.is_dir():
            there = "is a file" if folder.exists() else "no such folder"
            raise InputError(f"{folder}: {there}; name a folder of pictures")
        for place, folders, files in os.walk(folder, onerror=_raise):
            inside = os.path.relpath(place, folder)
            folders[:] = [name for name in folders if recursive and not name.startswith(".")]
            if JOURNAL_NAME in files:
                files = [n for n in files if n not in (JOURNAL_NAME, REPORT_NAME, FIGURE_NAME)]
            found += [os.path.normpath(os.path.join(inside, name)) for name in files]  # noqa: PTH118
    except (OSError, ValueError) as error:
        fault = getattr(error, "strerror", None) or str(error)
        where = os.fsdecode(getattr(error, "filename", None) or folder)
        raise InputError(f"{where}: cannot be listed ({fault}); check its permissions") from None
    shown = (name for name in found if not Path(name).name.startswith("."))
    return sorted(shown, key=os.fsencode)


def find_pictures(folder: Path, *, recursive: bool = False) -> list[str]:
    """Names of the files in a folder that begin like pictures; whether they are whole shows later.

    Raises:
        InputError: see `find_files`.
    """
    found = []
    for name in find_files(folder, recursive=recursive):
        with contextlib.suppress(ImageError, OSError, ValueError):
            with _open_regular(folder / name) as stream:
                recognise(stream.read(SNIFF_BYTES), name)
            found.append(name)
    return found


def _raise(error: OSError) -> None:
    raise error


class Preparation:
    """A folder on its way into another one; iterate over it for a `Step` after each file.

    It may be stopped between two steps, or broken off; what is done stays done, and a new
    `Preparation` of the same folders goes on. `finish` then says what came of it.

    Attributes:
        source: the folder that is read.
        output: the folder that is written.
        options: how.
        files: names of the files to look at.
        outcomes: what became of those that have been seen to, in their order.
        removed: names of results that went because their picture has gone, or is no longer kept.

    Args:
        source: a folder of pictures.
        output: another one, which need not be there.
        options: how; the defaults if not given.
        recursive: look into the source's folders too.
        overwrite: replace files in the output folder that no former run of the same kind wrote.

    Raises:
        InputError: the source cannot be listed, holds no files, or its manifest is damaged.
        OptionError: one folder lies inside the other.
        OutputError: the output folder cannot be made, or holds what may not be replaced.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        output: str | os.PathLike[str],
        options: PrepareOptions | None = None,
        *,
        recursive: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.source, self.output = Path(source), Path(output)
        self.options = PrepareOptions() if options is None else options
        self.outcomes: list[Outcome] = []
        self.removed: list[str] = []
        self._overwrite = overwrite
        self.files = find_files(self.source, recursive=recursive)
        self._entries = self._attributions()
        self.files = [name for name in self.files if Path(name).name != MANIFEST_NAME]
        if not self.files:
            hint = "" if recursive else ", or add --recursive for those in its folders"
            raise InputError(f"{self.source}: holds no files; name a folder of pictures{hint}")
        self._check_apart()
        self._header = {
            "version": _VERSION,
            # Relative, so that both folders may move together.
            "source": os.path.relpath(os.path.realpath(source), os.path.realpath(output)),
            "options": self.options.model_dump(mode="json"),
        }
        self._known = self._former()
        self._names = self._choose_names()
        self._check_free()

    def _attributions(self) -> dict[str, Entry]:
        """File → its line in the manifest of its folder, where that has one."""
        found = {}
        for name in self.files:
            if Path(name).name == MANIFEST_NAME:
                inside = Path(name).parent
                for entry in read_manifest(self.source / inside):
                    found[str(inside / entry.file)] = entry
        return found

    def _check_apart(self) -> None:
        source, output = Path(os.path.realpath(self.source)), Path(os.path.realpath(self.output))
        if source == output or source in output.parents:
            raise OptionError(
                f"--output {self.output}: lies inside {self.source}, which is only read; choose a "
                "folder outside it"
            )
        if output in source.parents:
            raise OptionError(
                f"--output {self.output}: {self.source} lies inside it; choose a folder of its own"
            )

    # --- what a former run left --------------------------------------------------------------

    def _former(self) -> dict[str, Outcome]:
        """File → what a former run of the same kind said of it last.

        Raises:
            OutputError: the run was of another kind, and nothing may be replaced.
        """
        path = self.output / JOURNAL_NAME
        try:
            lines = path.read_bytes().split(b"\n")
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            raise output_error(str(path), error) from None
        header = _json_object(lines[0])
        if header != self._header:
            if self._overwrite:
                return {}
            if header is None:
                raise OutputError(
                    f"{path}: is damaged; choose another folder with --output, or replace what is "
                    "there with --overwrite"
                )
            raise OutputError(
                f"{self.output}: was prepared from other pictures or with other options; choose "
                "another folder with --output, or replace what is there with --overwrite"
            )
        known = {}
        for line in lines[1:]:
            # A line that was cut short tells of pictures that were not written.
            with contextlib.suppress(ValidationError):
                outcome = Outcome.model_validate(_json_object(line))
                if all(_is_inside(written.file) for written in outcome.written):
                    known[outcome.file] = outcome
        return known

    def _choose_names(self) -> dict[str, str]:
        """File → name of its results without extension; that of a former run, where there is one.

        Two files that differ by their extensions alone (or by what some file systems do not tell
        apart) get a number.
        """
        extension = f".{self.options.format}"
        names = {
            file: _without_size(outcome.written[-1].file, self.options).removesuffix(extension)
            for file, outcome in self._known.items()
            if outcome.written
        }
        taken = {folded_name(name) for name in names.values()}
        if extension == Path(FIGURE_NAME).suffix:
            taken.add(Path(FIGURE_NAME).stem)
        for file in self.files:
            if file in names:
                continue
            stem, number = Path(file).with_suffix(""), 1
            name = _shortened(stem, extension)
            while folded_name(name) in taken:
                number += 1
                name = _shortened(stem, f"-{number}{extension}", keep=len(extension))
            taken.add(folded_name(name))
            names[file] = name
        return names

    def _outputs(self, file: str) -> list[str]:
        """Names of a file's results inside the output folder, by rising size."""
        name = f"{self._names[file]}.{self.options.format}"
        sides = self.options.size
        return [name] if len(sides) == 1 else [str(Path(str(side)) / name) for side in sides]

    def _check_free(self) -> None:
        """Refuses, before any work, results that would replace other files."""
        try:
            there = self.output
            while not there.exists() and there != there.parent:
                there = there.parent
            if not there.is_dir():
                which = "" if there == self.output else f"{there} "
                raise OutputError(f"{self.output}: {which}is no folder; choose another place")
        except (OSError, ValueError) as error:
            raise output_error(str(self.output), error) from None
        if self.output.is_dir():
            mine = (self.output / JOURNAL_NAME).is_file()
            folders = {Path(name).parent for file in self.files for name in self._outputs(file)}
            manifests = sorted(str(folder / MANIFEST_NAME) for folder in folders)
            for name in (JOURNAL_NAME, REPORT_NAME, FIGURE_NAME, *manifests):
                if (self.output / name).parent.is_dir():
                    check_place(self.output / name, overwrite=self._overwrite or mine)
        if self._overwrite:
            return
        for file in self.files:
            known = self._known.get(file)
            before = () if known is None else {written.file for written in known.written}
            for name in self._outputs(file):
                if name not in before and os.path.lexists(self.output / name):
                    raise OutputError(
                        f"{self.output / name}: exists already and no former run wrote it; choose "
                        "another folder with --output, or use --overwrite"
                    )

    # --- the work ----------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Step]:
        """Sees to one file after the other.

        Raises:
            OutputError: a result cannot be written; what was written before stays.
        """
        self.outcomes, self.removed = [], []
        digests: dict[str, str] = {}
        make_folder(self.output)
        if (self.output / JOURNAL_NAME).is_file():
            outputs = {(self.output / n).parent for file in self.files for n in self._outputs(file)}
            for folder in {self.output, *outputs}:
                remove_parts(folder)
        with _Journal(self.output / JOURNAL_NAME, self._header, fresh=not self._known) as journal:
            # Without --recursive some files are not looked at that are there all the same.
            for file, known in self._known.items():
                if known.written and not os.path.lexists(self.source / file):
                    self.removed += self._discard(known)
                    journal.write(Outcome(file=file))
            for file in self.files:
                outcome, again = self._see_to(file, digests, journal)
                self.outcomes.append(outcome)
                yield Step(len(self.outcomes), len(self.files), outcome, again)

    def _see_to(
        self, file: str, digests: dict[str, str], journal: _Journal
    ) -> tuple[Outcome, bool]:
        known = self._known.get(file)
        outcome = self._identified(file, digests)
        if outcome.reason is None:
            if known is not None and known.sha256 == outcome.sha256 and self._stands(known):
                return known, True
            outcome, contents = self._judged(outcome)
            if outcome.reason is None:
                if known is not None:
                    # Not to be taken for what is about to be told of.
                    self._discard(known, outcome.written)
                # Told before they are there: see the top of this module.
                journal.write(outcome)
                for written, data in zip(outcome.written, contents, strict=True):
                    self._put(written, data, known)
                return outcome, False
        if outcome.reason == "unreadable" and known is not None and known.written:
            # It may be read again; until then the results are those of the picture it was.
            return outcome, False
        if known is not None:
            self.removed += self._discard(known)
        if outcome != known:
            journal.write(outcome)
        return outcome, outcome == known

    def _discard(self, known: Outcome, but: Sequence[Written] = ()) -> list[str]:
        """Removes what a former run made of a file, where it is still that; gives the names.

        Args:
            known: what that run said.
            but: results that stay.
        """
        removed = []
        for written in known.written:
            path = self.output / written.file
            if written in but or not path.is_file():
                continue
            try:
                with path.open("rb") as stream:
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
                if digest == written.sha256:
                    path.unlink()
                    removed.append(written.file)
            except OSError as error:
                raise output_error(str(path), error) from None
        return removed

    def _identified(self, file: str, digests: dict[str, str]) -> Outcome:
        """What a file's first bytes and its digest tell."""
        path = self.source / file
        name = one_line(file)
        try:
            with _open_regular(path) as stream:
                head = stream.read(SNIFF_BYTES)
                recognise(head, name)
                stream.seek(0)
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except ImageError as error:
            return Outcome(file=file, reason="not a picture", detail=str(error))
        except (OSError, ValueError) as error:
            fault = one_line(str(getattr(error, "strerror", None) or error))
            return Outcome(file=file, reason="unreadable", detail=f"{name}: {fault}")
        first = digests.setdefault(digest, file)
        if first != file:
            detail = f"{name}: is the same file as {one_line(first)}"
            return Outcome(file=file, sha256=digest, reason="duplicate", detail=detail)
        return Outcome(file=file, sha256=digest)

    def _stands(self, known: Outcome) -> bool:
        """Whether all that a former run made of a file is still there, and no less than a picture:
        what somebody has retouched since is left to them."""
        if known.reason == "duplicate":
            return False
        for written in known.written:
            path = self.output / written.file
            if not path.is_file() or _is_spoilt(path, {written.sha256}):
                return False
        return True

    def _judged(self, outcome: Outcome) -> tuple[Outcome, list[bytes]]:
        """A picture's measures, and its results where it is kept."""
        options, name = self.options, one_line(outcome.file)

        def dropped(reason: Reason, detail: str) -> tuple[Outcome, list[bytes]]:
            return outcome.model_copy(update={"reason": reason, "detail": detail}), []

        try:
            bitmap, size = read_reduced(
                self.source / outcome.file,
                self._largest(),
                of_short=options.crop != "none",
                max_pixels=options.max_pixels,
                name=name,
            )
        except TooLargeError as error:
            return dropped("too large", str(error))
        except ImageError as error:
            return dropped("broken", str(error))
        # Print resolution and settings were those of the picture as it came.
        bitmap = replace(bitmap, dpi=None, settings=None)
        small = _measured(bitmap)
        sharp = round(_sharpness(small), 1)
        known = {"width": size[0], "height": size[1], "sharpness": sharp}
        outcome = outcome.model_copy(update=known)
        short = min(size)
        if short < options.min_side:
            return dropped(
                "tiny", f"{name}: its shorter side has {short} px, less than {options.min_side}"
            )
        if sharp < options.min_sharpness:
            return dropped(
                "blurred",
                f"{name}: its sharpness is {sharp:g}, less than {options.min_sharpness:g}",
            )
        if options.crop != "none" and options.shape is not None:
            bitmap = crop_image(bitmap, crop_box(bitmap, options.shape, options.crop))
        made = [self._sized(bitmap, size, side) for side in options.size]
        contents = [
            encode_image(one, options.format, bits=options.bits, quality=options.quality)
            for one in made
        ]
        written = tuple(
            Written(
                file=file,
                width=one.width,
                height=one.height,
                bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
            for file, one, data in zip(self._outputs(outcome.file), made, contents, strict=True)
        )
        return outcome.model_copy(update={**_colors(small), "written": written}), contents

    def _largest(self) -> int:
        """The longest side, px, that is wanted of a picture."""
        # Rounding to 8 bits on the way would be seen in 16.
        exact = MAX_SIDE if self.options.bits == 16 else 0
        return max(*self.options.size, MEASURE_SIDE, exact)

    def _sized(self, bitmap: Bitmap, size: tuple[int, int], side: int) -> Bitmap:
        """One result, of a picture that has been cut and maybe reduced, and had this size."""
        shape = self.options.shape
        if shape is None:
            # From the size in the file: that of what was reduced is rounded.
            return resize_image(bitmap, *fit_within(*size, side, enlarge=self.options.enlarge))
        if not self.options.enlarge:
            side = min(side, max(bitmap.width, bitmap.height))
        # From the shape itself, so that all results have exactly the same sides.
        longest = max(shape)
        return resize_image(bitmap, *(max(1, round(part * side / longest)) for part in shape))

    def _put(self, written: Written, data: bytes, known: Outcome | None) -> None:
        path = self.output / written.file
        make_folder(path.parent)
        mine = {w.sha256 for w in known.written if w.file == written.file} if known else set()
        mine.add(written.sha256)
        replaceable = self._overwrite
        if not replaceable and os.path.lexists(path):
            former = known is not None and any(w.file == written.file for w in known.written)
            with contextlib.suppress(OSError):
                own = hashlib.sha256(path.read_bytes()).hexdigest() in mine
                replaceable = own or (former and _is_spoilt(path, mine))
        write_whole(path, data, overwrite=replaceable)

    # --- what came of it ---------------------------------------------------------------------

    def finish(self) -> dict[str, Any]:
        """Writes manifests and `report.json` for what has been seen to; gives the report.

        Raises:
            OutputError: they cannot be written.
        """
        kept = [outcome for outcome in self.outcomes if outcome.reason is None]
        self._write_manifests(kept)
        report = {
            **self._header,
            "found": len(self.files),
            "seen": len(self.outcomes),
            "kept": len(kept),
            "dropped": count_reasons(self.outcomes),
            "smaller_than_size": sum(
                max(outcome.width, outcome.height) < max(self.options.size) for outcome in kept
            ),
            "attributed": sum(outcome.file in self._entries for outcome in kept),
            "removed": self.removed,
            "short_side": _quartiles([min(o.width, o.height) for o in kept]),
            "aspect": _quartiles([o.width / o.height for o in kept]),
            "sharpness": _quartiles([o.sharpness or 0.0 for o in kept]),
            "files": [
                {"file": o.file, "reason": o.reason, "detail": o.detail}
                for o in self.outcomes
                if o.reason is not None
            ],
        }
        text = json.dumps(report, indent=2) + "\n"
        write_whole(self.output / REPORT_NAME, text.encode(), overwrite=True)
        return report

    def _write_manifests(self, kept: list[Outcome]) -> None:
        """Carries attributions over: to each folder of results a manifest of what is in it.

        Lines of results that this run has not seen to, because it was interrupted or did not look
        into their folder, stay as they were.
        """
        lines: dict[Path, dict[str, str]] = {}
        for outcome in kept:
            entry = self._entries.get(outcome.file)
            for written in outcome.written:
                path = Path(written.file)
                record = entry and {
                    **entry.model_dump(mode="json"),
                    **written.model_dump(),
                    "file": path.name,
                    "format": _FORMAT_NAMES.get(self.options.format, self.options.format),
                    "source": outcome.file,
                    "source_sha256": outcome.sha256,
                }
                line = json.dumps(record) + "\n" if record else ""
                lines.setdefault(path.parent, {})[path.name] = line
        known = (written.file for outcome in self._known.values() for written in outcome.written)
        for folder in {*lines, *(Path(file).parent for file in known)}:
            self._write_manifest(self.output / folder, lines.get(folder, {}))

    def _write_manifest(self, folder: Path, lines: dict[str, str]) -> None:
        """Writes a folder's manifest; removes it where there is nothing to say.

        Args:
            folder: of results.
            lines: file → its line; empty where nothing is known of it.
        """
        path = folder / MANIFEST_NAME
        try:
            former = path.read_bytes().split(b"\n") if path.is_file() else []
            for line in former:
                name = (_json_object(line) or {}).get("file")
                if isinstance(name, str) and _is_inside(name) and (folder / name).is_file():
                    lines.setdefault(name, line.decode() + "\n")
            text = "".join(lines.values())
            if text:
                write_whole(path, text.encode(), overwrite=True)
            elif former:
                path.unlink()
        except (OSError, ValueError) as error:
            raise output_error(str(path), error) from None


def _quartiles(values: list[float]) -> list[float]:
    """Least, quartiles and largest of some numbers; empty where there are none."""
    return (
        [round(float(q), 3) for q in np.percentile(values, [0, 25, 50, 75, 100])] if values else []
    )


_FORMAT_NAMES = {"jpg": "jpeg"}


def count_reasons(outcomes: list[Outcome]) -> dict[str, int]:
    """How many files were left out for each reason, the most frequent first."""
    reasons = [outcome.reason for outcome in outcomes if outcome.reason is not None]
    counts = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


class _Journal:
    """Appends lines to the record of a run, in one write each."""

    def __init__(self, path: Path, header: dict[str, Any], *, fresh: bool) -> None:
        self._path = path
        first = (json.dumps(header) + "\n").encode()
        if fresh:
            write_whole(path, first, overwrite=True)
        try:
            self._file = path.open("ab", buffering=0)
            # What a killed run left of a line must not spoil the next one.
            if not path.read_bytes().endswith(b"\n"):
                self._file.write(b"\n")
        except (OSError, ValueError) as error:
            raise output_error(str(path), error) from None

    def __enter__(self) -> _Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, outcome: Outcome) -> None:
        """Adds a line.

        Raises:
            OutputError: it cannot be written.
        """
        data = (json.dumps(outcome.model_dump()) + "\n").encode()
        try:
            if self._file.write(data) < len(data):
                raise OSError(28, "No space left on device")
        except OSError as error:
            raise output_error(str(self._path), error) from None


def _open_regular(path: Path) -> Any:
    """A file to read; what is no file, such as a pipe, which might never answer, is a fault.

    Raises:
        OSError: it is no file, or cannot be opened.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(0, "is no file but a pipe or a device")
    return path.open("rb")


def _is_spoilt(path: Path, digests: set[str]) -> bool:
    """Whether a file has none of these SHA-256 and is no whole picture any more, as after a power
    cut."""
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() not in digests:
            glance(data, MEASURE_SIDE, max_pixels=MAX_SIDE**2)
    except ImageError:
        return True
    except OSError as error:
        raise output_error(str(path), error) from None
    return False


def _json_object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_inside(name: str) -> bool:
    """Whether a name cannot lead out of the folder that it is looked up in."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _without_size(file: str, options: PrepareOptions) -> str:
    """A result's name without the folder of its size."""
    return file if len(options.size) == 1 else str(Path(*Path(file).parts[1:]))


def _shortened(stem: Path, ending: str, keep: int = 0) -> str:
    """A name that, with its ending, file systems take: they count 255 bytes.

    Args:
        stem: the name without ending.
        ending: what follows it.
        keep: characters of the ending that are added later.
    """
    room = 255 - len(os.fsencode(ending))
    name = stem.name
    while len(os.fsencode(name)) > room:
        name = name[:-1]
    return str(stem.with_name(name + ending[: len(ending) - keep] if keep else name))
