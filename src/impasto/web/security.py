"""Who asks, and whether they may: cookies, tokens, and what tells the studio's own pages from
other sites'.

A browser gets a signed cookie with an id that nobody can guess, and sees what belongs to that id
alone. What changes something must come from the studio's own pages: the browser says where a
request comes from (Fetch Metadata, Origin), and a value that only those pages can read must come
back in a header. The Host header must be a name of the studio, so that no other site's name can be
made to point to it (DNS rebinding).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import os
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from itsdangerous import BadSignature, URLSafeTimedSerializer

from impasto.errors import OutputError
from impasto.web.config import StudioOptions, is_loopback
from impasto.web.passwords import MAX_LENGTH, Passwords

COOKIE_AGE = 400 * 24 * 3600
"""Seconds that a browser keeps the cookie: the most that browsers allow (RFC 6265bis). Each visit
renews it."""

CSRF_HEADER = "X-Impasto-CSRF"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; "
    "script-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer."""


@dataclass(frozen=True)
class Visitor:
    """Who asks.

    Attributes:
        owner: the id that their pictures and jobs belong to.
        signed_in: they have said the password or a token, or none is wanted.
        program: they said it with this very request (`Authorization`), as no other site can make a
            browser do; nothing else has to prove where the request comes from.
    """

    owner: str
    signed_in: bool
    program: bool = False


class Refused(Exception):  # noqa: N818  not an error of the program
    """A request that is not answered.

    Attributes:
        status: of HTTP.
        code: a name for programs and translations.
        message: one plain line.
        wait: seconds after which to try again; `None`: there is no use.
    """

    def __init__(self, status: int, code: str, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.wait = status, code, message, wait


def load_secret(file: Path) -> bytes:
    """The key that signs cookies, drawn the first time.

    Raises:
        OutputError: it cannot be read or written.
    """
    try:
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            secret = file.read_bytes()
        else:
            secret = secrets.token_bytes(32)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(secret)
                stream.flush()
                os.fsync(stream.fileno())
    except OSError as error:
        raise OutputError(f"{file}: {error.strerror}; check the data folder") from error
    if len(secret) < 32:
        # A full disk or a power cut: whoever had a cookie gets a new one.
        raise OutputError(f"{file}: is cut short; delete it, which signs all visitors out")
    return secret


class Guard:
    """Tells visitors apart, and the studio's own pages from other sites'.

    Args:
        options: the settings.
        passwords: what visitors may sign in with.
        secret: the key that signs.

    Attributes:
        cookie_name: what the cookie is called.
    """

    def __init__(self, options: StudioOptions, passwords: Passwords, secret: bytes) -> None:
        self.options, self.passwords = options, passwords
        self._secret = secret
        self._cookies = URLSafeTimedSerializer(
            secret, salt="impasto.owner", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._pass = self._keyed("password", passwords.stated)
        self._names = _names(options)
        # Cookies know no ports: two studios of one computer must not take each other's.
        self.cookie_name = f"impasto-{self._keyed('cookie', b'')[:8]}"

    # --- visitors --------------------------------------------------------------------------------

    def from_cookie(self, cookie: str | None) -> Visitor | None:
        """The visitor of a cookie; `None` where it is not the studio's own.

        Whatever its date, a cookie that the studio signed says who it is: clocks are set back and
        forth. One too old for a browser to have kept only signs nobody in any more.
        """
        if not cookie or len(cookie) > 500:
            return None
        try:
            content, when = self._cookies.loads(cookie, return_timestamp=True)
            owner, signed = str(content["o"]), str(content["s"])
            fresh = time.time() - when.timestamp() <= COOKIE_AGE
        except (BadSignature, KeyError, TypeError, ValueError, OverflowError):
            return None
        known = fresh and hmac.compare_digest(signed, self._pass)
        return Visitor(owner, not self.passwords.wanted or known)

    def new_visitor(self) -> Visitor:
        """A visitor with an id that is drawn at random: 128 bits."""
        return Visitor(secrets.token_urlsafe(16), not self.passwords.wanted)

    def from_secret(self, said: str) -> Visitor:
        """The visitor that a program is which signed in with this token or password."""
        return Visitor(self._keyed("owner", said.encode()), signed_in=True, program=True)

    def cookie(self, visitor: Visitor) -> str:
        """What the visitor's browser is to keep."""
        signed = self._pass if visitor.signed_in and self.passwords.wanted else ""
        text = self._cookies.dumps({"o": visitor.owner, "s": signed})
        return text.decode() if isinstance(text, bytes) else text

    def csrf(self, owner: str) -> str:
        """What the studio's own pages send back with each request that changes something."""
        return self._keyed("csrf", owner.encode())

    def _keyed(self, purpose: str, content: bytes) -> str:
        digest = hmac.digest(self._secret, purpose.encode() + b"\0" + content, "sha256")
        return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()

    def mark(self, said: str) -> str:
        """A keyed hash of what was said to sign in, to remember it by."""
        return self._keyed("said", said.encode())

    # --- where a request comes from --------------------------------------------------------------

    def check_host(self, host: str) -> None:
        """Refuses a Host header that is no name of the studio.

        Raises:
            Refused: with the remedy.
        """
        name = host_name(host)
        if name is not None and (name in self._names or is_loopback(name)):
            return
        if name is not None and not self.options.is_local and _is_address(name):
            # Rebinding needs a name: an address cannot be made to point elsewhere.
            return
        raise Refused(
            421,
            "wrong_host",
            "the studio is not known under this name; open it by the address that its host gave",
        )

    def check_site(self, headers: Mapping[str, str], method: str) -> None:
        """Refuses what another site makes a browser ask.

        Args:
            headers: of the request, by lower-case name.
            method: of the request.

        Raises:
            Refused: it comes from another site.
        """
        site = headers.get("sec-fetch-site")
        if site not in (None, "same-origin", "none"):
            raise Refused(403, "cross_site", "another site sent this request; use the studio's own")
        origin = headers.get("origin")
        if origin is None or method in SAFE_METHODS:
            return
        # Behind a proxy that speaks https the scheme differs; the place does not.
        if _place(origin) != headers.get("host", "").lower():
            raise Refused(403, "cross_site", "another site sent this request; use the studio's own")

    def check_csrf(self, visitor: Visitor, headers: Mapping[str, str]) -> None:
        """Refuses a change without the value that only the studio's own pages can read.

        Raises:
            Refused: it is missing or another visitor's.
        """
        said = headers.get(CSRF_HEADER.lower(), "")
        if not hmac.compare_digest(said.encode(), self.csrf(visitor.owner).encode()):
            raise Refused(
                403, "csrf", f"the header {CSRF_HEADER} is missing or old; load the page anew"
            )


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token or password of an `Authorization: Bearer` header (RFC 6750)."""
    scheme, _, said = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not said.strip() or len(said) > MAX_LENGTH:
        return None
    return said.strip()


def host_name(host: str) -> str | None:
    """The name in a Host header, without port, in lower case; `None` where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        name, _ = parts.hostname, parts.port
    except ValueError:
        return None
    if not name or parts.path or parts.query or parts.fragment or "@" in host:
        return None
    return name.removesuffix(".")


def _place(origin: str) -> str | None:
    """Host and port of an Origin header, in lower case; `None` where it cannot be read."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _names(options: StudioOptions) -> frozenset[str]:
    names = {options.host.lower(), *options.names}
    if not options.is_local:
        own = socket.gethostname().lower()
        names |= {own, own.partition(".")[0], f"{own.partition('.')[0]}.local"}
    return frozenset(names)
