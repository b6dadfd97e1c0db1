"""Rate limits for wrong passwords and tokens."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from typing import Literal, NamedTuple

MAX_TRIES, TRY_SECONDS = 10, 60.0
"""Wrong passwords and tokens that somebody may send in so many seconds."""

MAX_SENDERS = 1000
"""Senders whose wrong passwords and tokens are counted."""


class _Try(NamedTuple):
    """A sent credential and its time; wrong, or still unchecked."""

    time: float
    is_wrong: bool = False


class Tries:
    """Counts wrong credentials by client; repeats of one count once.

    Args:
        limit: wrong ones that a sender may send.
        seconds: time in which they count.
    """

    def __init__(self, limit: int = MAX_TRIES, seconds: float = TRY_SECONDS) -> None:
        self.limit, self.seconds = limit, seconds
        self._lock = threading.Lock()
        self._key = secrets.token_bytes(32)
        self._tries: OrderedDict[str, dict[bytes, _Try]] = OrderedDict()

    def begin(self, sender: str, secret: str) -> Literal["new", "wrong", "refused"]:
        """Count a credential before it is checked.

        Args:
            sender: address of the sender.
            secret: sent credential.

        Returns:
            ``new`` where it is to be checked, and :meth:`end` to be called; ``wrong`` where it was wrong a
            moment ago; ``refused`` where too many were wrong.
        """
        digest, now = self._digest(secret), time.monotonic()
        with self._lock:
            tries = self._tries.setdefault(sender, {})
            self._tries.move_to_end(sender)
            for each in [each for each, one in tries.items() if one.time <= now - self.seconds]:
                del tries[each]
            while len(self._tries) > MAX_SENDERS:
                self._tries.popitem(last=False)
            if (one := tries.get(digest)) is not None:
                return "wrong" if one.is_wrong else "new"  # else another thread is just checking it
            if len(tries) >= self.limit:
                return "refused"
            tries[digest] = _Try(now)
            return "new"

    def end(self, sender: str, secret: str, *, right: bool) -> None:
        """Record the outcome of a check; correct credentials no longer count."""
        digest = self._digest(secret)
        with self._lock:
            tries = self._tries.get(sender, {})
            if right:
                tries.pop(digest, None)
            elif digest in tries:
                tries[digest] = _Try(tries[digest].time, is_wrong=True)

    def _digest(self, secret: str) -> bytes:
        return hashlib.blake2b(secret.encode(errors="replace"), key=self._key, digest_size=16).digest()
