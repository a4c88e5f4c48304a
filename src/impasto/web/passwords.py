"""Passwords and tokens: how they are kept, and how what a visitor says is compared with them.

Passwords are compared as scrypt hashes (RFC 7914; N = 2^15, r = 8, p = 3, as the OWASP Password
Storage Cheat Sheet advises), which take 32 MiB and tenths of a second, so that guessing is slow.
Tokens have been drawn at random and cannot be guessed: SHA-256 does for them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from impasto.errors import OptionError

MAX_LENGTH = 1024
"""Longest password or token, in bytes of UTF-8."""

LEAST_TOKEN = 16
"""Fewest characters of a token."""

_N, _R, _P = 2**15, 8, 3
_MAX_MEMORY = 2**28
_HASH = re.compile(r"scrypt\$(\d{1,9})\$(\d{1,3})\$(\d{1,3})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)")

_log = logging.getLogger("impasto.studio")


def hash_password(password: str, salt: bytes | None = None) -> str:
    """A line for a password file: `scrypt$N$r$p$SALT$HASH`, the last two in base64."""
    salt = secrets.token_bytes(16) if salt is None else salt
    return "$".join(
        ["scrypt", str(_N), str(_R), str(_P)]
        + [base64.b64encode(part).decode() for part in (salt, _derive(password, salt, _N, _R, _P))]
    )


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY, dklen=32)


@dataclass(frozen=True)
class _Hash:
    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    def fits(self, password: str) -> bool:
        return hmac.compare_digest(
            _derive(password, self.salt, self.n, self.r, self.p), self.digest
        )


class Passwords:
    """What visitors may sign in with.

    Args:
        password_file: its first line is the password, or a hash of it; `None`: there is none.
        token_file: a token a line; empty lines and those that begin with # do not count.

    Raises:
        OptionError: a file cannot be read, is empty, or holds what cannot be meant.
    """

    def __init__(self, password_file: Path | None, token_file: Path | None) -> None:
        self._hash: _Hash | None = None
        self._stated = ""
        if password_file is not None:
            self._stated = _first_line(password_file)
            self._hash = _parse(self._stated, password_file)
        lines = _lines(token_file) if token_file is not None else []
        tokens = [line.strip() for line in lines if line.strip() and line.strip()[0] != "#"]
        if token_file is not None and not tokens:
            raise OptionError(f"{token_file}: holds no token; write one a line")
        if any(len(token) < LEAST_TOKEN for token in tokens):
            raise OptionError(
                f"{token_file}: a token is shorter than {LEAST_TOKEN} characters; draw longer ones "
                "at random"
            )
        self._tokens = [hashlib.sha256(token.encode()).digest() for token in tokens]

    @property
    def wanted(self) -> bool:
        """Whether there is anything to sign in with."""
        return self._hash is not None or bool(self._tokens)

    @property
    def stated(self) -> bytes:
        """Changes with the password and the tokens, so that who signed in with older ones is
        signed out. Never leaves the process but through a keyed hash.
        """
        return hashlib.sha256(self._stated.encode() + b"".join(self._tokens)).digest()

    def is_token(self, said: str) -> bool:
        """Whether this is one of the tokens; takes the same time for every wrong one."""
        digest = hashlib.sha256(said.encode()).digest()
        found = 0
        for token in self._tokens:
            found |= hmac.compare_digest(digest, token)
        return bool(found)

    def is_password(self, said: str) -> bool:
        """Whether this is the password; takes tenths of a second."""
        if self._hash is None or len(said.encode()) > MAX_LENGTH:
            return False
        return self._hash.fits(said)


def _parse(line: str, file: Path) -> _Hash:
    if not line.startswith("scrypt$"):
        salt = secrets.token_bytes(16)
        return _Hash(_N, _R, _P, salt, _derive(line, salt, _N, _R, _P))
    match = _HASH.fullmatch(line)
    try:
        if match is None:
            raise ValueError
        n, r, p = (int(match[i]) for i in (1, 2, 3))
        salt, digest = (base64.b64decode(match[i], validate=True) for i in (4, 5))
        hashlib.scrypt(b"", salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY, dklen=32)
    except (ValueError, MemoryError, OverflowError, binascii.Error):
        raise OptionError(
            f"{file}: holds a damaged hash; make it anew with impasto serve --hash-password"
        ) from None
    return _Hash(n, r, p, salt, digest)


def _first_line(file: Path) -> str:
    lines = _lines(file)
    line = lines[0] if lines else ""
    if not line.strip():
        raise OptionError(f"{file}: is empty; write the password into its first line")
    if len(line.encode()) > MAX_LENGTH:
        raise OptionError(f"{file}: the password is longer than {MAX_LENGTH} bytes; shorten it")
    return line


def _lines(file: Path) -> list[str]:
    try:
        if file.stat().st_size > 2**20:
            raise OptionError(f"{file}: is larger than 1 MB, no file of passwords; name another")
        lines = file.read_text(encoding="utf-8").splitlines()
        open_to_all = stat.S_ISREG(file.stat().st_mode) and file.stat().st_mode & stat.S_IROTH
    except UnicodeDecodeError:
        raise OptionError(f"{file}: is no text in UTF-8; write it anew") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"{file}: cannot be read ({reason}); name another file") from None
    if open_to_all:
        _log.warning("%s: everybody on this computer can read it; chmod 600 it", file)
    return lines
