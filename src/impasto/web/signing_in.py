"""Signing in: slowly where it is guessed at."""

from __future__ import annotations

from collections import OrderedDict

import anyio
import anyio.to_thread

from impasto.web.limits import Limiter, address_key
from impasto.web.passwords import Passwords
from impasto.web.security import Guard, Refused

TRIES, SECONDS_PER_TRY = 6, 20.0
"""Wrong passwords that an address may say at once, and the seconds until it may say one more."""

ALL_TRIES, ALL_SECONDS_PER_TRY = 60, 2.0
"""The same for all addresses together."""

_REMEMBERED = 200


class SignIn:
    """Compares what visitors say with the password and the tokens.

    Args:
        passwords: what is right.
        guard: hashes what was right, to remember it by.
    """

    def __init__(self, passwords: Passwords, guard: Guard) -> None:
        self._passwords, self._guard = passwords, guard
        self._tries = Limiter(1 / SECONDS_PER_TRY, TRIES)
        self._all = Limiter(1 / ALL_SECONDS_PER_TRY, ALL_TRIES)
        # Each comparison takes 32 MiB and a core.
        self._limit = anyio.CapacityLimiter(1)
        self._right = OrderedDict[str, None]()

    async def is_right(self, said: str, address: str) -> bool:
        """Whether this is the password or a token.

        Args:
            said: by the visitor.
            address: theirs.

        Raises:
            Refused: there were too many wrong ones from this address or altogether.
        """
        if self._passwords.is_token(said):
            return True
        mark = self._guard.mark(said)
        if mark in self._right:
            return True
        key = address_key(address)
        wait = self._tries.take(key)
        if not wait:
            # Who may not try spends nothing of what all have in common.
            wait = self._all.take("")
            if wait:
                self._tries.give_back(key)
        if wait:
            raise Refused(
                429, "throttled", "too many wrong passwords; wait a little and try again", wait
            )
        right = await anyio.to_thread.run_sync(
            self._passwords.is_password, said, limiter=self._limit
        )
        if right:
            self._tries.give_back(key)
            self._all.give_back("")
            self._right[mark] = None
            if len(self._right) > _REMEMBERED:
                self._right.popitem(last=False)
        return right
