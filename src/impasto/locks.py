"""Locks on folders, so that two runs do not write the same files at once."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO

from impasto.errors import OutputError, one_line
from impasto.images import make_folder, output_error

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK_NAME = ".impasto-lock"
"""The file in the folder that is locked."""

TURN_NAME = ".impasto-turn"
"""Likewise, by those who take turns at beginning."""


class FolderLock:
    """A lock that one run at a time can have, and that ends with its process, however that ends.

    Where the system knows no such locks, everyone has it.

    Args:
        folder: made when the lock is taken.
        name: of the file that is locked.
    """

    def __init__(self, folder: Path, name: str = LOCK_NAME) -> None:
        self._folder, self._name = folder, name
        self._file: IO[bytes] | None = None

    def take(self, *, wait: bool = False) -> None:
        """Takes the lock; nothing happens if this run has it already.

        Args:
            wait: until the run that has it gives it back.

        Raises:
            OutputError: another run has it, or the folder cannot be written.
        """
        path = self._folder / self._name
        while self._file is None:
            make_folder(self._folder)
            try:
                file = path.open("ab")
            except FileNotFoundError:  # another run has just removed its folder
                continue
            except OSError as error:
                raise output_error(one_line(str(path)), error) from None
            if not _locked(file, wait):
                file.close()
                raise OutputError(
                    f"{one_line(str(self._folder))}: another run is at work on these frames; wait "
                    "for it to end, or choose another --output"
                )
            # Another run may have deleted the file between the two steps.
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    self._file = file
            if self._file is None:
                file.close()

    def give(self, *, remove: bool = False) -> None:
        """Gives the lock back, if this run has it.

        Args:
            remove: delete its file, and the folder if nothing else is in it.
        """
        if self._file is None:
            return
        if remove:
            with contextlib.suppress(OSError):
                (self._folder / self._name).unlink(missing_ok=True)
                self._folder.rmdir()
        self._file.close()
        self._file = None


def _locked(file: IO[bytes], wait: bool) -> bool:
    """Locks a file, unless another process has, or as soon as none has."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # some network file systems know no locks
        return True
    return True
