"""What lies under a name: pipes and devices, which may never end, are no files."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal

from impasto.errors import ImageError, one_line


def special(path: str | os.PathLike[str]) -> Literal["pipe", "socket", "device"] | None:
    """What a name leads to where that is neither a file nor a folder: `pipe`, `socket` or
    `device`; `None` for those, and where there is nothing."""
    try:
        kind = Path(path).stat().st_mode
    except (OSError, ValueError):
        return None
    if stat.S_ISREG(kind) or stat.S_ISDIR(kind):
        return None
    if stat.S_ISFIFO(kind):
        return "pipe"
    return "socket" if stat.S_ISSOCK(kind) else "device"


def check_plain(path: str | os.PathLike[str], flag: str = "") -> None:
    """Refuses to read from anything but a file or a folder: what is read several times, or from its
    middle, can be nothing else.

    Args:
        path: to read; it need not be there.
        flag: that names it, for words.

    Raises:
        ImageError: it is a pipe, a socket or a device.
    """
    if special(path) is not None:
        name = one_line(os.fspath(path))
        where = f"{flag} {name}" if flag else name
        raise ImageError(f"{where}: is a pipe or a device; save it to a file first")
