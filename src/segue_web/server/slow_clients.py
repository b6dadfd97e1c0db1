"""Server protocol with timeouts for slow clients."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import h11

from segue.utils.extras import requires_extra

with requires_extra("web"):
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol


class EncryptedConfig(uvicorn.Config):
    """Settings of a TLS server whose certificate may be renewed at any time."""

    encryption: ssl.SSLContext | None = None


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with timeouts for handshake, head, body, and reading the response.

    Where ``limit_concurrency`` connections are open, the one that has been waited for the longest makes room
    for a new one; those whose request is complete stay.
    """

    head_seconds = 10.0
    """Seconds in which the head of a request must arrive after its connection, also with encryption."""

    body_seconds = 20.0
    """Seconds in which a body must arrive, plus one for each ``body_rate`` bytes."""

    body_rate = 16_384

    answer_seconds = 60.0
    """Seconds in which a client must read each 64 KiB of an answer."""

    look_seconds = 0.5
    """Seconds between two checks of a connection."""

    waits_since: float | None = None
    """Time of the loop since which the client owes bytes of a head or body; None while it owes nothing."""

    _unread_since: float | None = None
    """Loop time since which the client has read nothing of the pending data."""

    _handshake: asyncio.Task[None] | None = None
    _early = b""
    """Data received before the encrypted connection was registered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._state: tuple[Any, Any] = (None, None)
        self._bytes = 0
        encryption = getattr(self.config, "encryption", None)
        self._connection = transport
        if encryption is None:
            super().connection_made(transport)
        else:
            transport.pause_reading()  # what comes belongs to the handshake
            self.transport = transport
            self.connections.add(self)
            self.waits_since = self.loop.time()
            self._handshake = self.loop.create_task(self._encrypt(transport, encryption))
        self._watch()
        limit = self.config.limit_concurrency
        if limit is None or len(self.connections) <= limit or self._made_room():
            # Uvicorn refuses by the number of tasks, which those of dropped connections are still among.
            self.limit_concurrency = None
        elif encryption is not None:
            self._drop()

    async def _encrypt(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        """Start TLS."""
        try:
            encrypted = await self.loop.start_tls(
                transport, self, context, server_side=True, ssl_handshake_timeout=self.head_seconds
            )
        except (OSError, asyncio.CancelledError):  # ssl.SSLError is an OSError
            encrypted = None
        if encrypted is None:
            self._drop()
            return
        super().connection_made(encrypted)
        self._handshake, early, self._early = None, self._early, b""
        if early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        if self._handshake is not None:
            self._early += data
            return
        super().data_received(data)
        self._notice(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._handshake is not None:
            self.connections.discard(self)
            return
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._unread_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse invalid HTTP, unless a response has started."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()
        if self.cycle is not None:
            self.cycle.disconnected = True  # its answer goes nowhere

    def shutdown(self) -> None:
        """Shut down with the server; unfinished bodies are dropped."""
        if self._handshake is not None:
            self._drop()
            return
        self._notice()
        if self._state[0] is h11.SEND_BODY and self.waits_since is not None:
            self._drop()
        else:
            super().shutdown()

    def _notice(self, num_bytes: int = 0) -> None:
        """Update the timeout after received bytes."""
        # While we do not read, the client owes nothing.
        state = None if self.flow.read_paused else self.conn.their_state
        if state not in (h11.IDLE, h11.SEND_BODY) or self._has_unread:
            self.waits_since = None
        elif self.waits_since is None or self._state != (state, self.cycle):
            self.waits_since, self._bytes = self.loop.time(), num_bytes
        else:
            self._bytes += num_bytes
        self._state = (state, self.cycle)

    @property
    def _has_unread(self) -> bool:
        """Whether output waits for the client."""
        return any(each.get_write_buffer_size() for each in (self.transport, self._connection))

    def _watch(self) -> None:
        """Disconnect the client after its timeout."""
        is_page = self.transport.get_protocol() is not self and self._handshake is None
        if is_page or (self.transport.is_closing() and not self._has_unread):
            return
        if self._handshake is None:
            self._notice()
        if self._is_late():
            self._drop()
        else:
            self.loop.call_later(self.look_seconds, self._watch)

    def _is_late(self) -> bool:
        now = self.loop.time()
        if not self._has_unread:
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since > self.answer_seconds:
            return True
        is_body = self._state[0] is h11.SEND_BODY
        limit = self.body_seconds + self._bytes / self.body_rate if is_body else self.head_seconds
        return self.waits_since is not None and now - self.waits_since > limit

    def _made_room(self) -> bool:
        """Disconnect the connection that has waited longest."""
        other_connections = [
            each for each in self.connections if isinstance(each, PatientProtocol) and each is not self
        ]
        waiting = [each for each in other_connections if each.waits_since is not None]
        if waiting:
            min(waiting, key=lambda each: each.waits_since or 0.0)._drop()
        return bool(waiting)

    def _drop(self) -> None:
        self.connections.discard(self)
        self.transport.abort()
