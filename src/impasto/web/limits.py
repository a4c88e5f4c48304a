"""How often something may happen: token buckets, one for each visitor or address."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

MAX_KEYS = 20_000
"""Most visitors or addresses that are remembered; beyond, those not seen longest are forgotten."""


@dataclass
class _Bucket:
    left: float
    at: float


class Limiter:
    """A token bucket for each key: it holds `burst` tokens at the most and gains `rate` a second.

    Args:
        rate: tokens that come in a second.
        burst: most tokens that are saved up.
        clock: seconds that only grow.
    """

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate, self.burst, self._clock = rate, burst, clock
        self._buckets = OrderedDict[str, _Bucket]()

    def take(self, key: str, tokens: float = 1.0) -> float:
        """Takes tokens.

        Returns:
            0 where they were there; else the seconds until they will be, and nothing is taken.
        """
        bucket = self._bucket(key)
        if bucket.left >= tokens:
            bucket.left -= tokens
            return 0.0
        return (tokens - bucket.left) / self.rate

    def give_back(self, key: str, tokens: float = 1.0) -> None:
        """Returns tokens that turned out not to be due."""
        bucket = self._bucket(key)
        bucket.left = min(self.burst, bucket.left + tokens)

    def _bucket(self, key: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self.burst, now)
            if len(self._buckets) > MAX_KEYS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
            bucket.left = min(self.burst, bucket.left + (now - bucket.at) * self.rate)
            bucket.at = now
        return bucket


class Slots:
    """How many of something each key has under way, and all of them together.

    Args:
        each: most for one key.
        all: most for all keys.
    """

    def __init__(self, each: int, all: int) -> None:
        self.each, self.all = each, all
        self._taken = dict[str, int]()

    @property
    def taken(self) -> int:
        """How many are under way."""
        return sum(self._taken.values())

    def take(self, key: str) -> bool:
        """Whether there was a slot left, which is now taken."""
        mine = self._taken.get(key, 0)
        if mine >= self.each or self.taken >= self.all:
            return False
        self._taken[key] = mine + 1
        return True

    def leave(self, key: str) -> None:
        """Gives a slot back."""
        left = self._taken[key] - 1
        if left:
            self._taken[key] = left
        else:
            del self._taken[key]


class Unfinished:
    """How much that is not over each key has asked for, by what it asked for here.

    It is remembered in memory alone: with a new server the count begins anew.

    Args:
        most: for one key.
        left: which of these ids are not over.
    """

    def __init__(self, most: int, left: Callable[[Iterable[str]], list[str]]) -> None:
        self.most, self._left = most, left
        self._asked = OrderedDict[str, dict[str, None]]()
        self._lock = threading.Lock()

    def add(self, key: str, make: Callable[[], str]) -> bool:
        """Makes one more, where there is room for it. May be called in any thread.

        Args:
            key: who asks.
            make: does it, and gives its id.

        Returns:
            Whether there was room.
        """
        with self._lock:
            asked = self._asked.get(key, {})
            if len(asked) >= self.most:
                # Only now is it worth a look which of them are over.
                asked = dict.fromkeys(self._left(asked))
            if len(asked) >= self.most:
                return False
            asked[make()] = None
            self._asked[key] = asked
            self._asked.move_to_end(key)
            if len(self._asked) > MAX_KEYS:
                self._asked.popitem(last=False)
            return True


def address_key(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 network of an IPv6 one, which is
    what a single household is given (RFC 6177).
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
