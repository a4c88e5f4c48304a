"""The folder in which impasto keeps for later runs what is slow to make or to fetch."""

import os
from pathlib import Path

import platformdirs

from impasto.errors import WeightsError

CACHE_VARIABLE = "IMPASTO_CACHE"


def cache_folder(kind: str) -> Path:
    """Gives a folder of the cache: `$IMPASTO_CACHE/KIND`, or the system's place. It need not exist.

    Raises:
        WeightsError: there is no such place, or it may not be looked into.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    remedy = f"set {CACHE_VARIABLE} to a folder of your own"
    try:
        base = Path(chosen) if chosen else platformdirs.user_cache_path("impasto", appauthor=False)
    except RuntimeError:
        raise WeightsError(f"no home folder is known to keep {kind} in; {remedy}") from None
    try:
        # A path inside, so that a folder that may not be entered is found out too.
        (base / kind / "any").exists()
    except OSError as error:
        raise WeightsError(f"{base}: cannot be used ({error.strerror}); {remedy}") from None
    return base / kind
