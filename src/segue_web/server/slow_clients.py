"""The protocol of our servers: who sends half a request is not waited for, and takes nobody's place."""

from __future__ import annotations

import asyncio
from typing import Any

import h11

from segue.utils.extras import requires_extra

with requires_extra("web"):
    from uvicorn.protocols.http.h11_impl import H11Protocol


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with a time for each head and body.

    Where ``limit_concurrency`` connections are open, the one that has been waited for the longest makes room
    for a new one; those whose request is complete stay.
    """

    head_seconds = 10.0
    """The head of a request has so long to come, from the beginning of its connection."""

    body_seconds = 20.0
    """A body has so long to come, and a second more for each ``body_rate`` bytes of it."""

    body_rate = 16_384

    look_seconds = 0.5
    """A connection is looked at so often."""

    waits_since: float | None = None
    """Time of the loop since which the client owes bytes of a head or body; None while it owes nothing."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._seen: tuple[Any, Any] = (None, None)
        self._bytes = 0
        self._look()
        most = self.config.limit_concurrency
        if most is None or len(self.connections) <= most or self._made_room():
            # Uvicorn refuses by the number of tasks, which those of dropped connections are still among.
            self.limit_concurrency = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._notice(len(data))

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, unless an answer has begun already."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()
        if self.cycle is not None:
            self.cycle.disconnected = True  # its answer goes nowhere

    def shutdown(self) -> None:
        """End when the server does: half a body is not waited for."""
        self._notice()
        if self._seen[0] is h11.SEND_BODY and self.waits_since is not None:
            self._drop()
        else:
            super().shutdown()

    def _notice(self, come: int = 0) -> None:
        """See whether another head or body is waited for than before, or none; so many bytes have come."""
        # While we do not read, the client owes nothing.
        state = None if self.flow.read_paused else self.conn.their_state
        if state not in (h11.IDLE, h11.SEND_BODY):
            self.waits_since = None
        elif self.waits_since is None or self._seen != (state, self.cycle):
            self.waits_since, self._bytes = self.loop.time(), come
        else:
            self._bytes += come
        self._seen = (state, self.cycle)

    def _look(self) -> None:
        if self.transport.is_closing() or self.transport.get_protocol() is not self:  # a socket of a page
            return
        self._notice()
        if self.waits_since is not None:
            is_body = self._seen[0] is h11.SEND_BODY
            limit = self.body_seconds + self._bytes / self.body_rate if is_body else self.head_seconds
            if self.loop.time() - self.waits_since > limit:
                self._drop()
                return
        self.loop.call_later(self.look_seconds, self._look)

    def _made_room(self) -> bool:
        """Drop the connection that has been waited for the longest, if any is waited for."""
        others = [each for each in self.connections if isinstance(each, PatientProtocol) and each is not self]
        waiting = [each for each in others if each.waits_since is not None]
        if waiting:
            min(waiting, key=lambda each: each.waits_since or 0.0)._drop()
        return bool(waiting)

    def _drop(self) -> None:
        self.connections.discard(self)
        self.transport.abort()
