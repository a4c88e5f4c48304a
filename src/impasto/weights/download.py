"""Downloads one large file so that it is either whole and verified or not there.

The bytes gather in `NAME.part`, which survives Ctrl-C and a lost connection and is resumed with
an HTTP range request (RFC 9110, section 14); only a file with the right digest gets its name.
"""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import OutputError, WeightsError
from impasto.weights.variants import Digest

if TYPE_CHECKING:
    import httpx2

_RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Transfer:
    """How far a download has come.

    Attributes:
        received: bytes on disk so far, those of an earlier, interrupted run included.
        total: bytes of the whole file; None where the server does not say.
    """

    received: int
    total: int | None


class _TryNextError(Exception):
    """This address will not give the file; the message says why."""


def download(
    urls: Sequence[str],
    destination: Path,
    digest: Digest,
    *,
    size: int | None = None,
    progress: Callable[[Transfer], None] | None = None,
    attempts: int = 4,
    backoff: float = 1.0,
    timeout: float = 30.0,
) -> None:
    """Fetches a file and publishes it under its name only once its digest is right.

    Args:
        urls: addresses of the same file, tried in turn.
        destination: where the file goes; its folder is made if need be.
        digest: what the file must hash to.
        size: bytes that the file must have, where known.
        progress: called after every chunk.
        attempts: tries in a row without a single new byte before an address is given up.
        backoff: seconds before the second try; doubled for every further one.
        timeout: seconds without any answer after which a connection counts as lost.

    Raises:
        WeightsError: no address gave the right file; a wrong file is deleted, a partial one
            kept for the next run.
        OutputError: the file cannot be written; the partial file is deleted, to free the disk.
    """
    import httpx2

    part = destination.with_name(f"{destination.name}.part")
    faults: list[str] = []
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with httpx2.Client(
            follow_redirects=True,
            timeout=timeout,
            # A compressed answer could not be resumed by byte position.
            headers={"Accept-Encoding": "identity", "User-Agent": "impasto"},
        ) as client:
            for url in urls:
                try:
                    resumed = _length(part) > 0
                    _fetch(client, url, part, size, progress, attempts, backoff)
                    # The beginning may stem from an older state of the file.
                    if resumed and not digest.matches(_hash(part, digest)):
                        _discard(part)
                        _fetch(client, url, part, size, progress, attempts, backoff)
                    if not digest.matches(found := _hash(part, digest)):
                        _discard(part)
                        raise _TryNextError(
                            f"gave another file ({digest.algorithm} {found[:8]}…, not {digest})"
                        )
                except _TryNextError as fault:
                    faults.append(f"{url}: {fault}")
                    continue
                part.replace(destination)
                _validator_path(part).unlink(missing_ok=True)
                return
    except OSError as error:
        _discard(part)
        raise OutputError(
            f"{destination}: cannot be written ({error.strerror or error}); free space and "
            "try again"
        ) from error
    raise WeightsError(
        f"cannot download {destination.name}: {'; '.join(faults)}; try again later, or fetch "
        "the file yourself and use: impasto weights add"
    )


def _fetch(
    client: "httpx2.Client",
    url: str,
    part: Path,
    size: int | None,
    progress: Callable[[Transfer], None] | None,
    attempts: int,
    backoff: float,
) -> None:
    import httpx2

    failures = 0
    furthest = _length(part)
    while True:
        try:
            _transfer(client, url, part, size, progress)
            return
        except httpx2.HTTPStatusError as error:
            fault = f"HTTP status {error.response.status_code}"
            if error.response.status_code not in _RETRIED_STATUS:
                raise _TryNextError(fault) from error
        except httpx2.TransportError as error:
            fault = str(error) or type(error).__name__
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise _TryNextError(str(error)) from error
        # A weak line that moves on is no failure; a server that always breaks at one place is.
        if _length(part) > furthest:
            furthest = _length(part)
            failures = 0
        failures += 1
        if failures >= attempts:
            raise _TryNextError(fault)
        time.sleep(backoff * 2 ** (failures - 1))


def _transfer(
    client: "httpx2.Client",
    url: str,
    part: Path,
    size: int | None,
    progress: Callable[[Transfer], None] | None,
) -> None:
    """Receives the rest of the file, or all of it where the server cannot resume."""
    validator = _validator_path(part)
    offset = _length(part)
    headers = {}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator.exists():
            headers["If-Range"] = validator.read_text(encoding="ascii")
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416:
            if re.fullmatch(rf"bytes \*/{offset}", response.headers.get("Content-Range", "")):
                return
            _discard(part)
            raise _restart(response)
        response.raise_for_status()
        if response.status_code == 206:
            span = re.fullmatch(
                r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "")
            )
            if span is None or int(span[1]) != offset:
                _discard(part)
                raise _restart(response)
            total = None if span[2] == "*" else int(span[2])
        else:
            offset = 0
            length = response.headers.get("Content-Length")
            total = int(length) if length is not None and length.isdecimal() else None
        if size is not None and total is not None and total != size:
            _discard(part)
            raise _TryNextError(f"offers {total} bytes where the file has {size}")
        _remember(response.headers, validator)
        with part.open("ab" if offset else "wb") as file:
            # As they come: chunks of a set size would lose what a broken connection left over.
            for chunk in response.iter_raw():
                file.write(chunk)
                offset += len(chunk)
                if progress is not None:
                    progress(Transfer(offset, total))


def _restart(response: "httpx2.Response") -> Exception:
    import httpx2

    return httpx2.RemoteProtocolError(
        "the server could not resume the download", request=response.request
    )


def _hash(part: Path, digest: Digest) -> str:
    with part.open("rb") as file:
        return hashlib.file_digest(file, digest.algorithm).hexdigest()


def _remember(headers: "httpx2.Headers", validator: Path) -> None:
    """Keeps what If-Range needs: a strong ETag, or else the date of the last change."""
    etag = headers.get("ETag", "")
    value = etag if etag.startswith('"') else headers.get("Last-Modified", "")
    if value.isascii() and value:
        validator.write_text(value, encoding="ascii")
    else:
        validator.unlink(missing_ok=True)


def _validator_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.validator")


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _validator_path(part).unlink(missing_ok=True)
