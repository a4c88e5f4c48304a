"""Puts a picture into a file: whole or not at all, and never over another one unasked."""

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import unicodedata
from collections.abc import Callable, Mapping
from io import BufferedRandom
from pathlib import Path
from typing import Any, Literal

import pyvips

from impasto.errors import OptionError, OutputError, one_line
from impasto.images.bitmap import Bitmap
from impasto.images.encoding import WRITERS, Writer, can_write, check_bits, encoder, known_writer
from impasto.paths import special


def write_image(
    bitmap: Bitmap,
    path: str | os.PathLike[str],
    *,
    bits: Literal[8, 16] | None = None,
    quality: int = 92,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
    dpi: float | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Write a picture; the extension of `path` chooses the format.

    An sRGB ICC profile is embedded. The file appears whole or not at all, with the permissions of
    the user's umask, and the same input gives the same bytes. PNG and TIFF are written as they
    are encoded, in strips, so that a large print takes no second copy of its pixels.

    Args:
        bitmap: the picture; values outside [0, 1] are clipped. JPEG, which holds no transparency,
            shows it on white.
        path: .png, .jpg, .jpeg, .webp, .tif, .tiff, .avif; .heic and .jxl where the installed
            libvips writes them.
        bits: bits per channel; 16 for PNG and TIFF only. None: those of `bitmap` where the format
            holds them, else 8.
        quality: 1 to 100, for JPEG, WebP, AVIF, HEIC and JPEG XL; PNG and TIFF lose nothing.
        overwrite: replace a file that exists.
        settings: record to store in the picture, which `read_image` returns as `Bitmap.settings`;
            must be JSON. None: that of `bitmap`.
        dpi: print resolution in pixels per inch. None: that of `bitmap`.
        announce: called with the SHA-256 of the file, as hexadecimal digits, just before it
            appears.

    Raises:
        OptionError: the extension is unknown, or bits, quality, dpi or settings cannot be used.
        OutputError: the file exists, its folder does not or may not be written, the picture is too
            large for the format, or the disk is full.
    """
    check_output(path, bits=bits, overwrite=overwrite)
    encode = encoder(
        bitmap, _writer_for(path), bits, quality, settings, dpi, one_line(os.fspath(path))
    )

    def fill(file: BufferedRandom) -> None:
        encode(pyvips.Target.new_to_descriptor(file.fileno()))

    write_whole(path, fill, overwrite=overwrite, announce=announce)


def check_output(
    path: str | os.PathLike[str], *, bits: Literal[8, 16] | None = None, overwrite: bool = False
) -> None:
    """Raise what `write_image` would raise for this path, before hours are spent on the picture.

    Raises:
        OptionError: the extension is unknown, or its format does not hold `bits`.
        OutputError: the file exists, or its folder does not or may not be written.
    """
    check_bits(_writer_for(path), bits)
    check_place(path, overwrite=overwrite)


def check_place(
    path: str | os.PathLike[str], *, overwrite: bool = False, line_by_line: bool = False
) -> None:
    """Raise what `write_whole` would raise for this path, of any kind of file.

    An empty file is made in its folder for a moment.

    Args:
        path: of the file.
        overwrite: replace a file that exists.
        line_by_line: it is written as it grows, so that a pipe or a device will do.

    Raises:
        OutputError: the file exists, is none, or its folder does not or may not be written.
    """
    name, target = one_line(os.fspath(path)), Path(path)
    try:
        if target.is_dir():
            raise OutputError(f"{name}: is a folder; name a file inside it")
        if not overwrite and (target.exists() or target.is_symlink()):
            raise _exists_error(name)
        if not line_by_line:
            _check_plain(path)
        folder = Path(os.path.realpath(path)).parent
        there = folder.is_dir()
        # A device is written itself; its folder takes no file.
        device = target.exists() and not target.is_file()
        writable = device or not there or takes_files(folder)
    except (OSError, ValueError) as error:
        raise output_error(name, error) from error
    if not there:
        raise OutputError(f"{name}: the folder {folder} does not exist; create it first")
    if not writable:
        raise OutputError(f"{name}: the folder {folder} may not be written; choose another one")


def _writer_for(path: str | os.PathLike[str]) -> Writer:
    extension = Path(path).suffix
    writer = known_writer(extension)
    if writer is None and os.path.isdir(path):  # noqa: PTH112
        raise OutputError(f"{one_line(os.fspath(path))}: is a folder; name a file inside it")
    if writer is None:
        fault = (
            f"{one_line(extension)} files cannot be written" if extension else "has no extension"
        )
        known = (e for w in WRITERS.values() if can_write(w) for e in w.extensions)
        raise OptionError(f"{one_line(os.fspath(path))}: {fault}; use one of {', '.join(known)}")
    return writer


def write_whole(
    path: str | os.PathLike[str],
    data: bytes | Callable[[BufferedRandom], None],
    *,
    overwrite: bool = False,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Write through a temporary file in the same folder, so that no half file ever has the name.

    Args:
        path: of the file.
        data: its contents, or a function that writes them into an open file.
        overwrite: replace a file that exists.
        announce: called with the SHA-256 of the file, as hexadecimal digits, just before it
            appears.

    Raises:
        OutputError: the file exists or is a pipe or a device, its folder does not exist or may not
            be written, or the disk is full.
    """
    name = one_line(os.fspath(path))
    try:
        _check_plain(path)
        # A link stays a link: what it points to is replaced.
        target = Path(os.path.realpath(path))
        temporary = target.with_name(f".impasto-{secrets.token_hex(8)}.part")
        try:
            with _open_part(temporary) as file:
                if callable(data):
                    data(file)
                else:
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
                if announce is not None:
                    file.seek(0)
                    announce(hashlib.file_digest(file, "sha256").hexdigest())
                if not temporary.exists():
                    _give_name(file, temporary)
            if overwrite:
                temporary.replace(target)
            else:
                _move_to_free_name(temporary, target)
            sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError as error:
        raise _exists_error(name) from error
    except (OSError, ValueError) as error:
        raise output_error(name, error) from error


def move_whole(made: Path, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Give a finished file of the same file system its name.

    Args:
        made: the file; it is gone afterwards.
        path: its name.
        overwrite: replace a file that exists.

    Raises:
        OutputError: the name is taken, or a pipe or a device has it, or the folder may not be
            written.
    """
    name = one_line(os.fspath(path))
    try:
        _check_plain(path)
        target = Path(os.path.realpath(path))
        if overwrite:
            made.replace(target)
        else:
            _move_to_free_name(made, target)
            made.unlink(missing_ok=True)
        sync_folder(target.parent)
    except FileExistsError as error:
        raise _exists_error(name) from error
    except (OSError, ValueError) as error:
        raise output_error(name, error) from error


def _check_plain(path: str | os.PathLike[str]) -> None:
    """Refuses what a renamed file would take the place of though it is none.

    Raises:
        OutputError: it is a pipe, a socket or a device.
    """
    what = special(path)
    if what is not None:
        raise OutputError(f"{one_line(os.fspath(path))}: is a {what}; name a file")


def remove_parts(folder: Path) -> None:
    """Removes what killed runs have left in a folder of the files that they were writing.

    Only for folders that one program at a time writes into.
    """
    for part in folder.glob(".impasto-*.part"):
        with contextlib.suppress(OSError):
            part.unlink()


def _open_part(temporary: Path) -> BufferedRandom:
    """A new file to write and read, with no name yet where the system can: nothing stays of it if
    the process is killed. Its permissions are those of the user's umask."""
    try:
        descriptor = os.open(temporary.parent, os.O_TMPFILE | os.O_RDWR, 0o666)
    except (AttributeError, OSError):
        # Only Linux knows O_TMPFILE, and not on every file system.
        return temporary.open("x+b")
    return os.fdopen(descriptor, "w+b")


def _give_name(file: BufferedRandom, temporary: Path) -> None:
    try:
        # A folder for the source, though its path is absolute, is what makes Python follow it.
        number = file.fileno()
        os.link(f"/proc/self/fd/{number}", temporary, src_dir_fd=number)
    except OSError:
        with temporary.open("xb") as copy:
            file.seek(0)
            shutil.copyfileobj(file, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())


def make_folder(folder: Path) -> None:
    """Makes a folder, and those that it lies in, where they are not there yet.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise output_error(one_line(str(folder)), error) from None


def folded_name(name: str) -> str:
    """A file's name as file systems see it that ignore case and composed letters: two that are the
    same here may be one file there."""
    return unicodedata.normalize("NFC", name).casefold()


def takes_files(folder: Path) -> bool:
    """Whether files can be made in a folder; one is, for a moment, without a name where the system
    can, so that nothing stays of it if the process is killed.

    Raises:
        OSError: another reason than that they cannot, such as a full disk.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    # Some folders, such as /proc, only seem writable.
    trial = folder / f".impasto-{secrets.token_hex(8)}.part"
    try:
        _open_part(trial).close()
    except (FileNotFoundError, PermissionError):
        return False
    finally:
        trial.unlink(missing_ok=True)
    return True


def sync_folder(folder: Path) -> None:
    """Has a folder's new entries written to the disk, where the system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _move_to_free_name(temporary: Path, target: Path) -> None:
    try:
        # Unlike a rename, linking fails if another program has just created the file.
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:
        # File systems without hard links (FAT, some network shares).
        if target.exists():
            raise FileExistsError(target) from None
        temporary.replace(target)


def _exists_error(name: str) -> OutputError:
    return OutputError(f"{name}: exists already; choose another name, or use --overwrite")


def output_error(name: str, error: OSError | ValueError) -> OutputError:
    """The fault of writing the file `name`, with its remedy."""
    code = error.errno if isinstance(error, OSError) else None
    fault = {
        errno.ENOSPC: "the disk is full; free some space",
        errno.EDQUOT: "the disk quota is used up; free some space",
        errno.EACCES: "its folder may not be written; choose another one",
        errno.EPERM: "its folder may not be written; choose another one",
        errno.EROFS: "its disk is read-only; choose another one",
        errno.ENOENT: "its folder does not exist; create it first",
        errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    }.get(code or 0)
    if fault is None:
        reason = one_line(str(getattr(error, "strerror", None) or error))
        fault = f"cannot be written ({reason}); choose another name or folder"
    return OutputError(f"{name}: {fault}")
