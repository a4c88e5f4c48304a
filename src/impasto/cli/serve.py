"""`impasto serve`: the studio, for a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli import say
from impasto.cli.flags import flags, given
from impasto.errors import OptionError
from impasto.web.config import StudioOptions, load_options

_flags = flags(StudioOptions)
if TYPE_CHECKING:
    Flags = Any
else:
    Flags = _flags
_NO_FLAGS = _flags()


def serve(
    *,
    config: Path | None = None,
    open: Annotated[bool, Parameter(negative="")] = False,
    hash_password: Annotated[bool, Parameter(negative="")] = False,
    options: Flags = _NO_FLAGS,
) -> int:
    """Open the studio for browsers, until Ctrl-C.

    Args:
        config: TOML file with settings by their names here, such as max-size = 2048; flags and
            IMPASTO_STUDIO_… variables win over it.
        open: Open it in this computer's browser.
        hash_password: Ask for a password, print the line to keep in a --password-file instead of
            it, and end.
    """
    if hash_password:
        print(_hashed())
        return 0
    chosen = load_options(given(options), config=config)
    from impasto.web.serving import serve

    def announce(address: str) -> None:
        print(f"The studio is open at {address}  (Ctrl-C closes it)", flush=True)
        if open:
            import webbrowser

            webbrowser.open(address)

    serve(chosen, announce)
    say("impasto: the studio is closed; what was under way goes on when it opens again")
    return 0


def _hashed() -> str:
    """The hash of a password that is typed twice, or of the first line of a pipe."""
    from impasto.web.passwords import hash_password

    if sys.stdin is not None and sys.stdin.isatty():
        from getpass import getpass

        password = getpass("Password: ")
        if getpass("Once more: ") != password:
            raise OptionError("--hash-password: the two differ; try again")
    else:
        password = sys.stdin.readline().rstrip("\r\n") if sys.stdin is not None else ""
    if not password:
        raise OptionError("--hash-password: the password is empty; choose one")
    return hash_password(password)
