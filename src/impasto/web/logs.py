"""The studio's log on standard error: lines to read, or a JSON object a line.

No line holds a password, token, cookie, file name of a visitor or the part of an address after the
question mark; visitors are told apart by a few digits of a keyed hash.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Literal

from impasto.errors import one_line

log = logging.getLogger("impasto.studio")


def event(name: str, level: int = logging.INFO, **facts: Any) -> None:
    """Logs that something happened, with plain facts about it."""
    if log.isEnabledFor(level):
        log.log(level, name, extra={"facts": facts})


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", {})
        said = " ".join(f"{name}={value}" for name, value in facts.items() if value is not None)
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        line = one_line(f"{when} {level}{record.getMessage()} {said}".rstrip())
        return (
            line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"
        )


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{when}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info is not None:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def start_logging(form: Literal["text", "json"]) -> None:
    """Sends what the studio and its server log to standard error in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    for name, level in ("impasto", logging.INFO), ("uvicorn", logging.WARNING):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
