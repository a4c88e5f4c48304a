"""Asks for one address and keeps the answer on disk until it has been dealt with.

An answer that has come whole is remembered under its address, so that a process that is killed
before it has looked at it need not ask again. Redirects are not followed here: where they lead is
an address like any other, with its own host, rules and checks.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpcore2
import httpx2

from impasto.collect.addresses import Guard, PrivateAddressError
from impasto.collect.connections import Connect, GuardedTransport, Watch
from impasto.collect.options import CollectOptions
from impasto.collect.politeness import Budget
from impasto.errors import one_line

PAGE_BYTES = 10 * 10**6
"""Most bytes of a page, feed, record or style sheet, unpacked."""
_DRAIN = 1 << 16
"""Bytes of an answer without use that are read so that its connection can serve again."""
_CONNECT_SECONDS = 15.0
_KEPT_HEADERS = (
    "content-type",
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "x-robots-tag",
    "tdm-reservation",
)
_ACCEPTED = {
    "picture": "image/avif,image/webp,image/*;q=0.9,*/*;q=0.5",
    "api": "application/json,application/ld+json;q=0.9,*/*;q=0.5",
}


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        status: of HTTP; 0 where there was no answer.
        headers: the fields that matter here, by their names in lower case.
        body: the file that holds the contents, unpacked; `None` but for status 200.
        sha256: of the contents.
        size: of the contents, bytes.
        fault: why there are no contents; empty where there are, and for other statuses.
        again: another try may help.
        refused: the request was not made, because of where it would have gone.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: Path | None = None
    sha256: str = ""
    size: int = 0
    fault: str = ""
    again: bool = False
    refused: bool = False


class Fetcher:
    """Asks for addresses, one call a request; may be used from several threads.

    Args:
        folder: where answers wait; it belongs to this program.
        options: how to ask.
        budget: what may be received in all.
        guard: whom may be asked.
        watch: how long; its signal ends every request.
        connect: opens connections; that of the system by default.
    """

    def __init__(
        self,
        folder: Path,
        options: CollectOptions,
        budget: Budget,
        guard: Guard,
        watch: Watch,
        connect: Connect | None = None,
    ) -> None:
        self._folder, self._options, self._budget, self._watch = folder, options, budget, watch
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

    def recall(self, url: str) -> Answer | None:
        """The answer that an earlier, interrupted run received whole; `None` for none."""
        record, body = self._files(url)
        try:
            values = json.loads(record.read_bytes())
            with body.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != values["sha256"]:
                    return None
            return Answer(**{**values, "body": body})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def forget(self, url: str) -> None:
        """Removes the answer of an address that has been dealt with."""
        for path in self._files(url):
            path.unlink(missing_ok=True)

    def fetch(
        self,
        url: str,
        kind: str,
        *,
        limit: int,
        seconds: float,
        etag: str = "",
        modified: str = "",
    ) -> Answer:
        """Sends one GET request and receives the answer.

        Args:
            url: what to ask for.
            kind: what is expected: `picture`, `api` or anything else.
            limit: most bytes of contents.
            seconds: most time for all of it.
            etag: of contents that are known already; the server may answer 304.
            modified: when they last changed, in the server's words.

        Raises:
            BudgetSpentError: the answer is too much for the budget.
            Stopped: the watch's signal came.
            OutputError: the answer cannot be kept.
        """
        headers = {**self._headers, "Accept": _ACCEPTED.get(kind, "text/html,*/*;q=0.8")}
        # A server may say anything; a request can only repeat plain text.
        known = {"If-None-Match": etag, "If-Modified-Since": modified}
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
                return self._receive(url, response, limit)
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

    def _receive(self, url: str, response: httpx2.Response, limit: int) -> Answer:
        headers = {
            name: value[:2000] for name in _KEPT_HEADERS if (value := response.headers.get(name))
        }
        status = response.status_code
        declared = response.headers.get("content-length", "")
        length = int(declared) if declared.isascii() and declared.isdecimal() else 0
        if status != 200:
            if length <= _DRAIN:
                self._drain(response)
            return Answer(status, headers)
        too_large = f"is larger than {limit / 1e6:g} MB"
        if length > limit:
            return Answer(status, headers, fault=too_large)
        if response.headers.get("content-encoding", "").count(","):
            return Answer(status, headers, fault="is packed more than once")
        record, body = self._files(url)
        part = body.with_suffix(".part")
        digest, size, counted = hashlib.sha256(), 0, 0
        try:
            with part.open("wb") as file:
                for chunk in response.iter_bytes():
                    self._watch.left()
                    self._budget.take(response.num_bytes_downloaded - counted)
                    counted = response.num_bytes_downloaded
                    size += len(chunk)
                    if size > limit:
                        return Answer(status, headers, fault=too_large)
                    digest.update(chunk)
                    file.write(chunk)
            answer = Answer(status, headers, body, digest.hexdigest(), size)
            part.replace(body)
            # The record comes last: it says that the contents are whole.
            part.write_text(json.dumps({**asdict(answer), "body": ""}))
            part.replace(record)
        finally:
            part.unlink(missing_ok=True)
        return answer

    def _drain(self, response: httpx2.Response) -> None:
        for chunk in response.iter_raw():
            self._budget.take(len(chunk))
            if response.num_bytes_downloaded > _DRAIN:
                return

    def _files(self, url: str) -> tuple[Path, Path]:
        name = hashlib.sha256(url.encode()).hexdigest()[:40]
        return self._folder / f"{name}.json", self._folder / f"{name}.body"
