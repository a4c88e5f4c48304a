"""Passwords, cookies, and what tells the studio's own pages from other sites'."""

import asyncio
import base64
import contextlib
import hashlib
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from impasto.errors import OptionError, OutputError
from impasto.web.config import load_options
from impasto.web.limits import MAX_KEYS, Limiter, Slots, address_key
from impasto.web.passwords import Passwords, hash_password
from impasto.web.security import (
    CSRF_HEADER,
    Guard,
    Refused,
    Visitor,
    bearer,
    host_name,
    load_secret,
)
from impasto.web.signing_in import ALL_TRIES, TRIES, SignIn

TOKEN = "a-token-drawn-at-random"


def _write(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o600)
    return file


def _make_guard(tmp_path: Path, password: str | None = None, **given: Any) -> Guard:
    if password is not None:
        given["password_file"] = str(_write(tmp_path / "password", password))
    options = load_options(given, environment={})
    return Guard(options, Passwords(options.password_file, options.token_file), b"k" * 32)


# --- passwords and tokens ------------------------------------------------------------------------


def test_hash_is_scrypt() -> None:
    """A hashed password is what scrypt makes of it with the numbers in the line."""
    line = hash_password("correct horse", b"0123456789abcdef")
    kind, n, r, p, salt, digest = line.split("$")
    assert kind == "scrypt"
    assert base64.b64decode(salt) == b"0123456789abcdef"
    derived = hashlib.scrypt(
        b"correct horse",
        salt=b"0123456789abcdef",
        n=int(n),
        r=int(r),
        p=int(p),
        maxmem=2**28,
        dklen=32,
    )
    assert base64.b64decode(digest) == derived
    assert int(n) * int(r) * 128 >= 2**25


@pytest.mark.parametrize("hashed", [False, True])
def test_password_file(tmp_path: Path, hashed: bool) -> None:
    """A password file may hold the password or its hash; only the password itself then fits."""
    said = "ünder the bridge "
    line = hash_password(said) if hashed else said
    passwords = Passwords(_write(tmp_path / "password", f"{line}\nnot this"), None)
    assert passwords.is_password(said)
    for wrong in "", said.strip(), line if hashed else "not this", "x" * 5000:
        assert not passwords.is_password(wrong)


def test_tokens(tmp_path: Path) -> None:
    """A token file holds a token a line; comments and empty lines are none."""
    file = _write(tmp_path / "tokens", f"# class 7b\n\n{TOKEN}\n  another-token-of-mine  \n")
    passwords = Passwords(None, file)
    assert passwords.is_token(TOKEN)
    assert passwords.is_token("another-token-of-mine")
    assert not passwords.is_token("# class 7b")
    assert not passwords.is_token("")
    assert not passwords.is_password("")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("password", "", "is empty"),
        ("password", "\nlater", "is empty"),
        ("password", "scrypt$32768$8$3$AAAA", "damaged hash"),
        ("password", "scrypt$1000000$8$3$AAAA$AAAA", "damaged hash"),
        ("password", "x" * 2000, "longer than"),
        ("tokens", "# none", "holds no token"),
        ("tokens", "short", "shorter than 16"),
    ],
)
def test_useless_secrets_are_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    """A file of secrets that cannot be meant is refused in one line that names it."""
    file = _write(tmp_path / name, text)
    with pytest.raises(OptionError, match=words) as caught:
        Passwords(*((file, None) if name == "password" else (None, file)))
    assert str(file) in str(caught.value)


def test_readable_password_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A password file that everybody can read is told of, with the remedy."""
    file = _write(tmp_path / "password", "secret words")
    file.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        Passwords(file, None)
    assert "chmod 600" in caplog.text
    assert "secret words" not in caplog.text


# --- visitors ------------------------------------------------------------------------------------


def test_cookie_comes_back(tmp_path: Path) -> None:
    """A cookie brings back the visitor it was made for, signed in or not."""
    guard = _make_guard(tmp_path, "pass words")
    visitor = guard.new_visitor()
    assert not visitor.signed_in
    assert guard.from_cookie(guard.cookie(visitor)) == visitor
    inside = Visitor(visitor.owner, signed_in=True)
    assert guard.from_cookie(guard.cookie(inside)) == inside


@pytest.mark.parametrize(("days", "signed_in"), [(-500, True), (399, True), (401, False)])
def test_clocks_change_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: float, signed_in: bool
) -> None:
    """A cookie from before the clock was set back or forth is still its visitor's."""
    guard = _make_guard(tmp_path, "pass words")
    cookie, then = guard.cookie(Visitor("owner", signed_in=True)), time.time()
    monkeypatch.setattr(time, "time", lambda: then + days * 86400)
    assert guard.from_cookie(cookie) == Visitor("owner", signed_in=signed_in)


def test_cookies_cannot_be_made_or_changed(tmp_path: Path) -> None:
    """A cookie with one character changed, of another studio, or no cookie at all is nobody's."""
    guard = _make_guard(tmp_path)
    cookie = guard.cookie(guard.new_visitor())
    other = Guard(guard.options, guard.passwords, b"other key" * 4)
    assert other.from_cookie(cookie) is None
    for at in range(0, len(cookie) - 1, 3):
        changed = cookie[:at] + ("A" if cookie[at] != "A" else "B") + cookie[at + 1 :]
        assert guard.from_cookie(changed) is None
    for text in None, "", "x", cookie * 20, cookie[:-4]:
        assert guard.from_cookie(text) is None


def test_new_password_signs_out(tmp_path: Path) -> None:
    """A changed password signs everybody out, and leaves them what is theirs."""
    first = _make_guard(tmp_path, "the first")
    cookie = first.cookie(Visitor("owner", signed_in=True))
    again = _make_guard(tmp_path, "the first")
    assert again.from_cookie(cookie) == Visitor("owner", signed_in=True)
    second = _make_guard(tmp_path, "the second")
    assert second.from_cookie(cookie) == Visitor("owner", signed_in=False)


def test_owners_are_unguessable(tmp_path: Path) -> None:
    """Owners have 128 random bits; those of programs follow from their token and the key alone."""
    guard = _make_guard(tmp_path)
    assert len({guard.new_visitor().owner for _ in range(100)}) == 100
    assert len(base64.urlsafe_b64decode(guard.new_visitor().owner + "==")) == 16
    owner = guard.from_secret(TOKEN).owner
    assert owner == guard.from_secret(TOKEN).owner
    assert owner != guard.from_secret(TOKEN + "x").owner
    assert owner != Guard(guard.options, guard.passwords, b"x" * 32).from_secret(TOKEN).owner


def test_csrf_is_bound_to_the_owner(tmp_path: Path) -> None:
    """One visitor's value lets no other visitor change anything."""
    guard = _make_guard(tmp_path)
    mine, other = guard.new_visitor(), guard.new_visitor()
    guard.check_csrf(mine, {CSRF_HEADER.lower(): guard.csrf(mine.owner)})
    for said in guard.csrf(other.owner), "", mine.owner, "ü":
        with pytest.raises(Refused) as caught:
            guard.check_csrf(mine, {CSRF_HEADER.lower(): said})
        assert (caught.value.status, caught.value.code) == (403, "csrf")
    with pytest.raises(Refused):
        guard.check_csrf(mine, {})


# --- where requests come from --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "ok"),
    [
        ("127.0.0.1:8765", True),
        ("localhost:1", True),
        ("LOCALHOST", True),
        ("[::1]:8765", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("10.0.0.4:8765", False),
        ("", False),
        ("evil.example@127.0.0.1", False),
        ("127.0.0.1/evil", False),
        ("127.0.0.1:port", False),
    ],
)
def test_hosts_of_a_local_studio(tmp_path: Path, host: str, ok: bool) -> None:
    """A studio for this computer alone answers to loopback names only."""
    guard = _make_guard(tmp_path)
    if ok:
        guard.check_host(host)
    else:
        with pytest.raises(Refused, match="not known under this name"):
            guard.check_host(host)


@pytest.mark.parametrize(
    ("host", "ok"),
    [
        ("10.0.0.4:8765", True),
        ("Studio.Example.org", True),
        ("studio.example.org.:443", True),
        ("localhost", True),
        ("evil.example", False),
        ("studio.example.org.evil.example", False),
    ],
)
def test_hosts_of_an_open_studio(tmp_path: Path, host: str, ok: bool) -> None:
    """A studio for others answers to addresses and to its own names, not to other sites'."""
    guard = _make_guard(tmp_path, "pass", host="0.0.0.0", names="studio.example.org")
    if ok:
        guard.check_host(host)
    else:
        with pytest.raises(Refused):
            guard.check_host(host)


@pytest.mark.parametrize(
    ("headers", "method", "ok"),
    [
        ({}, "POST", True),
        ({"sec-fetch-site": "same-origin", "origin": "http://h:1", "host": "h:1"}, "POST", True),
        ({"origin": "https://h", "host": "h"}, "POST", True),
        ({"sec-fetch-site": "none"}, "GET", True),
        ({"sec-fetch-site": "cross-site"}, "GET", False),
        ({"sec-fetch-site": "same-site"}, "POST", False),
        ({"origin": "http://evil.example", "host": "h"}, "POST", False),
        ({"origin": "http://h:2", "host": "h:1"}, "POST", False),
        ({"origin": "null", "host": "h"}, "DELETE", False),
        ({"origin": "http://[::1", "host": "h"}, "POST", False),
    ],
)
def test_other_sites_are_refused(
    tmp_path: Path, headers: dict[str, str], method: str, ok: bool
) -> None:
    """What the browser says comes from another site, port or sandbox is refused."""
    guard = _make_guard(tmp_path)
    if ok:
        guard.check_site(headers, method)
    else:
        with pytest.raises(Refused) as caught:
            guard.check_site(headers, method)
        assert caught.value.status == 403


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", None),
        ("Bearer ", None),
        ("", None),
        ("Bearer " + "x" * 3000, None),
    ],
)
def test_bearer(header: str, said: str | None) -> None:
    """Only a bearer header of sensible length says a token."""
    assert bearer({"authorization": header}) == said


def test_host_name_forms() -> None:
    """Names in Host headers are read without port, brackets and final dot."""
    assert host_name("[::1]:80") == "::1"
    assert host_name("Example.ORG.:80") == "example.org"
    assert host_name("[::1") is None


def test_secret_is_kept_private(tmp_path: Path) -> None:
    """The signing key is drawn once, for this user's eyes alone; a cut one is not signed with."""
    file = tmp_path / "secret.key"
    secret = load_secret(file)
    assert len(secret) == 32
    assert load_secret(file) == secret
    assert file.stat().st_mode & 0o077 == 0
    file.write_bytes(b"cut")
    with pytest.raises(OutputError, match="cut short"):
        load_secret(file)


# --- limits --------------------------------------------------------------------------------------


def test_one_guesser_locks_nobody_else_out(tmp_path: Path) -> None:
    """However often one address guesses, the right password lets in from another one."""
    guard = _make_guard(tmp_path, "the right one")
    sign_in = SignIn(guard.passwords, guard)
    # However slow the machine: what is spent does not come back here.
    sign_in._tries.rate = 1e-9

    async def guess() -> bool:
        refused = 0
        for _ in range(ALL_TRIES + 20):
            try:
                assert not await sign_in.is_right("wrong", "203.0.113.9")
            except Refused:
                refused += 1
        assert refused == ALL_TRIES + 20 - TRIES
        return await sign_in.is_right("the right one", "198.51.100.7")

    assert asyncio.run(guess())


def test_guessing_from_many_addresses_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong passwords are counted over all addresses too, and who is then refused may try later."""
    guard = _make_guard(tmp_path, "the right one")
    sign_in = SignIn(guard.passwords, guard)
    monkeypatch.setattr(sign_in._all, "rate", 1e-9)
    monkeypatch.setattr(guard.passwords, "is_password", lambda said: said == "the right one")

    async def guess() -> int:
        compared = 0
        for number in range(ALL_TRIES + 5):
            with contextlib.suppress(Refused):
                await sign_in.is_right("wrong", f"10.0.0.{number}")
                compared += 1
        for _ in range(TRIES + 1):
            with pytest.raises(Refused):
                await sign_in.is_right("the right one", "198.51.100.7")
        sign_in._all.give_back("")
        assert await sign_in.is_right("the right one", "198.51.100.7")
        return compared

    assert asyncio.run(guess()) == ALL_TRIES


def test_limiter_holds_the_rate() -> None:
    """A burst passes, then as many as the rate allows, and each key has its own."""
    now = [0.0]
    limiter = Limiter(2.0, 3, clock=lambda: now[0])
    assert [limiter.take("a") for _ in range(3)] == [0, 0, 0]
    assert limiter.take("a") == pytest.approx(0.5)
    assert limiter.take("b") == 0
    now[0] = 0.5
    assert limiter.take("a") == 0
    assert limiter.take("a") > 0
    limiter.give_back("a")
    assert limiter.take("a") == 0
    now[0] = 1000.0
    assert sum(limiter.take("a") == 0 for _ in range(10)) == 3


def test_limiter_forgets() -> None:
    """However many addresses ask, no more than a fixed number is remembered."""
    limiter = Limiter(1.0, 1)
    for number in range(MAX_KEYS + 500):
        limiter.take(str(number))
    assert len(limiter._buckets) == MAX_KEYS


def test_slots() -> None:
    """Slots end for one key before they end for all, and come back."""
    slots = Slots(2, 3)
    assert [slots.take("a") for _ in range(3)] == [True, True, False]
    assert [slots.take(key) for key in "bc"] == [True, False]
    slots.leave("a")
    assert slots.take("c")
    assert slots.taken == 3


def test_addresses_of_one_household() -> None:
    """Addresses of one IPv6 network count as one; IPv4 ones count each, however written."""
    assert address_key("2001:db8:1:2::5") == address_key("2001:db8:1:2:aa::9")
    assert address_key("2001:db8:1:2::5") != address_key("2001:db8:1:3::5")
    assert address_key("::ffff:10.0.0.4") == address_key("10.0.0.4") != address_key("10.0.0.5")
