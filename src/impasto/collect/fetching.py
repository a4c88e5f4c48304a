"""Asks for one address and keeps the answer on disk until it has been dealt with.

An answer that is there is not asked for again, whichever process received it. Of one that was cut
off, only the rest is asked for where the server can tell whether it is still the same (RFC 9110,
sections 13.1.5 and 14.2). Redirects are not followed here: where they lead is an address like any
other, with its own host, rules and checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import httpcore2
import httpx2

from impasto.collect.addresses import Guard, PrivateAddressError
from impasto.collect.answers import Answer, Beginning, Shelf
from impasto.collect.connections import Connect, GuardedTransport, Watch
from impasto.collect.options import CollectOptions
from impasto.collect.politeness import Budget
from impasto.errors import one_line

PAGE_BYTES = 10 * 10**6
"""Most bytes of a page, feed, record or style sheet, unpacked."""
_DRAIN = 1 << 16
"""Bytes of an answer without use that are read so that its connection can serve again."""
_CONNECT_SECONDS = 15.0
_SETTLED_SECONDS = 60.0
"""Age at which a date of change tells two versions apart, whatever the clocks (RFC 9110, section
8.8.2.2)."""
_KEPT_HEADERS = (
    "content-type",
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "x-robots-tag",
    "tdm-reservation",
)
_PACKINGS = ("", "identity", "gzip", "x-gzip", "deflate")
_ACCEPTED = {
    "picture": "image/avif,image/webp,image/*;q=0.9,*/*;q=0.5",
    "api": "application/json,application/ld+json;q=0.9,*/*;q=0.5",
}


class Fetcher:
    """Asks for addresses, one call a request; may be used from several threads.

    Args:
        shelf: where answers wait.
        options: how to ask.
        budget: what may be received in all.
        guard: whom may be asked.
        watch: how long; its signal ends every request.
        connect: opens connections; that of the system by default.
    """

    def __init__(
        self,
        shelf: Shelf,
        options: CollectOptions,
        budget: Budget,
        guard: Guard,
        watch: Watch,
        connect: Connect | None = None,
    ) -> None:
        self._shelf = shelf
        self._budget, self._watch = budget, watch
        self._transport = GuardedTransport(guard, watch, connect)
        self._headers = {
            "User-Agent": options.user_agent,
            "Accept-Encoding": "gzip, deflate",
            "Accept-Language": "en,*;q=0.5",
        }
        if "@" in options.contact and " " not in options.contact:
            self._headers["From"] = options.contact

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def fetch(
        self,
        url: str,
        kind: str,
        *,
        limit: int,
        seconds: float,
        rules: bool = False,
        etag: str = "",
        modified: str = "",
    ) -> Answer:
        """Sends one GET request and receives the answer, or what is still missing of it.

        Args:
            url: what to ask for.
            kind: what is expected: `picture`, `api` or anything else.
            limit: most bytes of contents.
            seconds: most time for all of it.
            rules: it is a robots.txt: of longer contents the first `limit` bytes are taken, which
                otherwise are a fault, and a packing that cannot be undone is one.
            etag: of contents that are known already; the server may answer 304.
            modified: when they last changed, in the server's words.

        Raises:
            BudgetSpentError: the answer is too much for the budget.
            Stopped: the watch's signal came.
            OutputError: the answer cannot be kept.
        """
        there = self._shelf.recall(url)
        if isinstance(there, Answer):
            return there
        headers = {**self._headers, "Accept": _ACCEPTED.get(kind, "text/html,*/*;q=0.8")}
        # A server may say anything; a request can only repeat plain text.
        known = {"If-None-Match": etag, "If-Modified-Since": modified}
        if there is not None:
            known = {"Range": f"bytes={there.size}-", "If-Range": there.validator}
            headers["Accept-Encoding"] = "identity"
        headers |= {k: v for k, v in known.items() if v and v.isascii() and v.isprintable()}
        self._watch.begin(seconds)
        timeout = {
            "connect": min(_CONNECT_SECONDS, seconds),
            "read": seconds,
            "write": seconds,
            "pool": seconds,
        }
        try:
            request = httpx2.Request("GET", url, headers=headers, extensions={"timeout": timeout})
            response = self._transport.handle_request(request)
            try:
                return self._receive(url, response, limit, there, rules=rules)
            finally:
                response.close()
        except PrivateAddressError as error:
            return Answer(fault=str(error), refused=True)
        except httpcore2.TimeoutException as error:
            return Answer(fault=str(error) or "no answer in time", again=True)
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            reason = one_line(str(error)) or type(error).__name__
            return Answer(fault=f"the connection failed ({reason})", again=True)
        except (httpx2.DecodingError, httpx2.InvalidURL) as error:
            return Answer(fault=f"the answer is broken ({one_line(str(error))})")

    def _receive(
        self,
        url: str,
        response: httpx2.Response,
        limit: int,
        there: Beginning | None,
        *,
        rules: bool,
    ) -> Answer:
        packing = response.headers.get("content-encoding", "").strip().lower()
        if packing == "x-gzip":
            # Another name of the same (RFC 9110, section 8.4.1.3).
            response.headers["content-encoding"] = "gzip"
        headers = {
            name: value[:2000] for name in _KEPT_HEADERS if (value := response.headers.get(name))
        }
        status = response.status_code
        declared = response.headers.get("content-length", "")
        length = int(declared) if declared.isascii() and declared.isdecimal() else 0
        partial = there is not None and status == 206
        total = _total(response, there) if partial else length
        misfit = Answer(fault="the rest that came does not fit the beginning", again=True)
        if there is not None and (status == 416 or total is None):
            self._shelf.forget(url)
            return misfit
        if status != 200 and not partial:
            if length <= _DRAIN:
                self._drain(url, response)
            return Answer(status, headers)
        too_large = Answer(200, headers, fault=f"is larger than {limit / 1e6:g} MB")
        if rules:
            # More than that is not asked of the budget, nor waited for.
            length = min(length, limit)
        elif max(length, total or 0) > limit:
            return too_large
        if packing.count(","):
            return Answer(status, headers, fault="is packed more than once")
        if rules and packing not in _PACKINGS:
            return Answer(status, headers, fault="is packed in an unknown way")
        if there is not None and partial:
            place = self._shelf.append(url, there, headers)
        else:
            # A packed length says nothing of the contents.
            total = 0 if _is_packed(response.headers) else length
            known, before = _validator(response.headers), self._budget.pending(url)
            place = self._shelf.write(url, headers, known, total, before)
        # What states its length is counted before it comes: either it fits the budget, and then no
        # other answer can take its share, or nothing of it is taken.
        self._budget.take(url, length)
        counted, told = length, 0
        end, fits = _end(response, total or 0) if partial else None, True
        try:
            with place as writing:
                for chunk in response.iter_bytes():
                    self._watch.left()
                    received = response.num_bytes_downloaded
                    if received > counted:
                        self._budget.take(url, received - counted)
                        counted = received
                    if end is not None and writing.size + len(chunk) > end:
                        fits = False
                        break
                    if writing.size + len(chunk) > limit:
                        if not rules:
                            return too_large
                        writing.add(chunk[: limit - writing.size], received - told)
                        return writing.finish()
                    writing.add(chunk, received - told)
                    told = received
                if fits and partial and writing.size < (total or 0):
                    return Answer(fault="the answer ended too early", again=True)
                if fits:
                    return writing.finish()
            self._shelf.forget(url)
            return misfit
        finally:
            self._budget.give_back(url, counted - min(counted, response.num_bytes_downloaded))

    def _drain(self, url: str, response: httpx2.Response) -> None:
        for chunk in response.iter_raw():
            self._budget.take(url, len(chunk))
            if response.num_bytes_downloaded > _DRAIN:
                return


def _validator(headers: Mapping[str, str]) -> str:
    """What tells whether the rest of an answer, asked for later, belongs to it; empty where nothing
    does, or where a rest cannot be had (RFC 9110, section 13.1.5)."""
    if _is_packed(headers) or headers.get("accept-ranges", "").lower() == "none":
        return ""
    etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
    if etag:
        usable = etag.startswith('"') and etag.isascii() and etag.isprintable()
        return etag if usable and len(etag) <= 2000 else ""
    try:
        changed, now = (parsedate_to_datetime(t) for t in (modified, headers.get("date", "")))
        return modified if (now - changed).total_seconds() >= _SETTLED_SECONDS else ""
    except (ValueError, TypeError, OverflowError):
        return ""


def _is_packed(headers: Mapping[str, str]) -> bool:
    return headers.get("content-encoding", "identity").lower() != "identity"


def _total(response: httpx2.Response, there: Beginning | None) -> int | None:
    """Length of the whole of which a partial answer is the rest, 0 where nobody says it; `None`
    where it is not the rest of what is there."""
    told = response.headers.get("content-range", "")
    match = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", told.strip())
    if there is None or match is None or int(match[1]) != there.size:
        return None
    etag = response.headers.get("etag", "")
    if _is_packed(response.headers) or (
        etag and etag != there.validator and there.validator[0] == '"'
    ):
        return None
    total = 0 if match[2] == "*" else int(match[2])
    return None if there.length and total not in (0, there.length) else total or there.length


def _end(response: httpx2.Response, total: int) -> int:
    """Length of the whole up to the end of the part that an answer states to be; see `_total`."""
    told = response.headers["content-range"]
    stated = int(told.rpartition("/")[0].rpartition("-")[2]) + 1
    return min(stated, total or stated)
