"""A broker of MQTT 3.1.1 in this process, for machines without mosquitto."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import BinaryIO

from tests.ports import free_port

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PING, DISCONNECT = 1, 3, 4, 8, 10, 12, 14
BAD_LOGIN = 5


@dataclass
class _Session:
    """What a client has subscribed to, and what it has not confirmed."""

    filters: set[str] = field(default_factory=set)
    waiting: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    client: _Client | None = None


class MemoryBroker:
    """Keeps retained messages, and what subscribers that are away have not got, also while it is down.

    Args:
        refuses: refuses all logins.

    Attributes:
        deaf: whether it loses messages, as a connection that is broken and does not know it.
        num_unheard: number of these messages.
    """

    def __init__(self, *, refuses: bool = False) -> None:
        self.port, self.refuses = free_port(), refuses
        self.retained: dict[str, bytes] = {}
        self.sessions: dict[str, _Session] = {}
        self.lock = threading.RLock()
        self.deaf, self.num_unheard = False, 0
        self._server: _Server | None = None

    @property
    def address(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}/cameras/front%20yard"

    def start(self) -> None:
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            with self.lock:
                clients = [each.client for each in self.sessions.values() if each.client is not None]
            for each in clients:
                each.drop()

    def publish(self, topic: str, body: bytes, *, retain: bool = False) -> None:
        with self.lock:
            if retain and body:
                self.retained[topic] = body
            elif retain:
                self.retained.pop(topic, None)
            for session in self.sessions.values():
                if any(matches(each, topic) for each in session.filters):
                    self.send(session, topic, body)

    def send(self, session: _Session, topic: str, body: bytes, *, retained: bool = False) -> None:
        number = next(session.numbers)
        session.waiting[number] = topic, body
        if session.client is not None:
            session.client.give(number, topic, body, retained=retained)


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic is one of a filter."""
    parts, names = pattern.split("/"), topic.split("/")
    for part, name in itertools.zip_longest(parts, names):
        if part == "#":
            return True
        if part is None or name is None or part not in ("+", name):
            return False
    return True


class _Server(ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        super().__init__(("127.0.0.1", broker.port), _Client)


class _Client(StreamRequestHandler):
    server: _Server
    rfile: BinaryIO

    def handle(self) -> None:
        self.writing, broker = threading.Lock(), self.server.broker
        self.will: tuple[str, bytes, bool] | None = None
        self.session: _Session | None = None
        with suppress(OSError, EOFError):
            while self._take(broker):
                pass
        with broker.lock:
            if self.session is not None and self.session.client is self:
                self.session.client = None
        if self.will is not None:
            topic, body, retain = self.will
            broker.publish(topic, body, retain=retain)

    def drop(self) -> None:
        """Break the connection."""
        self.will = None
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def give(self, number: int, topic: str, body: bytes, *, retained: bool) -> None:
        name = topic.encode()
        data = len(name).to_bytes(2, "big") + name + number.to_bytes(2, "big") + body
        with suppress(OSError):
            self._send(PUBLISH << 4 | 2 | retained, data)

    def _take(self, broker: MemoryBroker) -> bool:
        """Take a packet; tells whether others may follow."""
        kind, flags, data = self._packet()
        if kind == CONNECT:
            return self._connect(broker, data)
        if kind == PUBLISH and broker.deaf:
            broker.num_unheard += 1
        elif kind == PUBLISH:
            topic, rest = _text(data)
            if flags & 6:
                self._send(PUBACK << 4, rest[:2])
                rest = rest[2:]
            broker.publish(topic, rest, retain=bool(flags & 1))
        elif kind == PUBACK and self.session is not None:
            with broker.lock:
                self.session.waiting.pop(int.from_bytes(data, "big"), None)
        elif kind == SUBSCRIBE and self.session is not None:
            filters = [*_filters(data[2:])]
            with broker.lock:
                self.session.filters.update(filters)
                self._send(9 << 4, data[:2] + bytes([1] * len(filters)))
                for topic, body in broker.retained.items():
                    if any(matches(each, topic) for each in filters):
                        broker.send(self.session, topic, body, retained=True)
        elif kind == PING:
            self._send(13 << 4, b"")
        elif kind == DISCONNECT:
            self.will = None
            return False
        return True

    def _connect(self, broker: MemoryBroker, data: bytes) -> bool:
        _, rest = _text(data)
        flags, rest = rest[1], rest[4:]
        name, rest = _text(rest)
        name = name or f"anonymous {id(self)}"
        if flags & 4:
            topic, rest = _text(rest)
            size = int.from_bytes(rest[:2], "big")
            self.will = topic, rest[2 : 2 + size], bool(flags & 32)
        if broker.refuses:
            self.will = None
            self._send(2 << 4, bytes([0, BAD_LOGIN]))
            return False
        with broker.lock:
            if flags & 2:
                broker.sessions.pop(name, None)
            known = name in broker.sessions
            self.session = broker.sessions.setdefault(name, _Session())
            self.session.client = self
            self._send(2 << 4, bytes([known, 0]))
            for number, (topic, body) in [*self.session.waiting.items()]:
                self.give(number, topic, body, retained=False)
        return True

    def _packet(self) -> tuple[int, int, bytes]:
        first = self._read(1)[0]
        size = shift = 0
        while True:
            (byte,) = self._read(1)
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return first >> 4, first & 15, self._read(size)

    def _read(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def _send(self, first: int, data: bytes) -> None:
        size, rest = bytearray(), len(data)
        while True:
            rest, byte = divmod(rest, 128)
            size.append(byte | (128 if rest else 0))
            if not rest:
                break
        with self.writing:
            self.wfile.write(bytes([first]) + bytes(size) + data)


def _text(data: bytes) -> tuple[str, bytes]:
    size = int.from_bytes(data[:2], "big")
    return data[2 : 2 + size].decode(), data[2 + size :]


def _filters(data: bytes) -> Iterable[str]:
    while data:
        name, data = _text(data)
        data = data[1:]
        yield name
