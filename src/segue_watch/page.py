"""The page of several cameras, with what other programs ask: their health and their metrics."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from ssl import SSLContext
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segue.errors import SegueError
from segue.events.archive import EventArchive
from segue.events.marks import EVENT_FILE, NAME, Mark, Marks
from segue.sinks.rotation import PART
from segue.utils.access import LOOPBACK
from segue.utils.inputs import parse_json, whole_number
from segue_watch.access import COOKIE, SESSION, Access, TooManyTriesError, Visit, Visitors, token_of
from segue_watch.cameras import Camera, metrics, process_state, states_of
from segue_watch.drawn import Change, ConflictError, DrawnOption
from segue_watch.history import History, Query, edges_of

_STATIC = Path(str(cast(ModuleSpec, find_spec("segue_web")).origin)).parent / "static"
"""Pages and scripts of all pages; that of cameras shares parts with the others, and needs no extra."""

_PARTS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_PART = re.compile(r"/static/([a-z]+(\.[a-z]+))")
_FILE = re.compile(rf"/files/([A-Za-z0-9_-]+)/(?:({PART})/)?({NAME})")
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="segue", charset="UTF-8"'}

KEEP_SECONDS = 90 * 86_400
"""Time for which a browser keeps the token of a link."""

_CHUNK = 1 << 18
"""Bytes of a clip that are read at once."""

MAX_BYTES = 1 << 16
"""Longest change that a page may send."""

MAX_CONNECTIONS = 40
"""Clients at a time; each has a thread and a file of the process, which cameras need, too."""

HEAD_SECONDS, BODY_SECONDS, BODY_RATE = 10.0, 20.0, 16_384
"""Time for the head of a request, and for its body, with a second more for so many bytes."""

ANSWER_SECONDS = 60.0
"""Time for making an answer, and for its client to read it."""

LOOK_SECONDS = 0.1
"""How often connections are looked at whose time is over."""

_DRAWN: Mapping[str, DrawnOption] = {"zones": "zone", "ignored": "ignore", "heights": "min-height"}
"""Options that the page changes, by the addresses to which it sends them."""

Save = Callable[[str, Change], None]
"""Takes the name of a camera and a change of what is drawn; SegueError if it means nothing or comes late."""


class MarkChange(BaseModel):
    """One mark of an event as a page sets it; those that others have made meanwhile stay.

    Attributes:
        part: name of the part of the run, or nothing.
        snapshot: name of the image.
        clip: name of the clip, or another text without one.
        mark: which mark.
        value: whether it is set.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    part: str
    snapshot: str = Field(pattern=f"^(?:{NAME})$")
    clip: str
    mark: Mark
    value: bool


class _Server(ThreadingHTTPServer):
    """A server with a time for each head, body and answer.

    Where ``MAX_CONNECTIONS`` are open, the one that has been waited for the longest makes room for a new
    one; those whose request is complete stay.
    """

    daemon_threads = True
    request_queue_size = 128  # with fewer, many clients at once wait for a second

    def __init__(
        self, host: str, port: int, handler: type[BaseHTTPRequestHandler], encryption: SSLContext | None
    ) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), handler)
        self._encryption = encryption
        self._lock = threading.Lock()
        self._ends: dict[socket.socket, float] = {}  # when the time of a connection is over
        self._begins: dict[socket.socket, float] = {}  # of those that owe us a part of their request

    def wait_for(self, connection: socket.socket, seconds: float, *, owes: bool) -> None:
        """Give a connection some seconds more; it ``owes`` a part of its request, or we an answer."""
        with self._lock:
            if connection in self._ends:
                self._ends[connection] = time.monotonic() + seconds
                if not owes:
                    self._begins.pop(connection, None)

    def get_request(self) -> tuple[socket.socket, Any]:
        request, address = super().get_request()
        if self._encryption is not None:  # the thread of the request shakes hands, by the time of its head
            request = self._encryption.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        return request, address

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            full = len(self._ends) >= MAX_CONNECTIONS
            if full and self._begins:
                self._drop(min(self._begins, key=lambda each: self._begins[each]))
            elif full:
                if self._encryption is None:
                    with suppress(OSError):
                        request.sendall(b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
                request.close()
                return
            self._begins[request] = time.monotonic()
            self._ends[request] = time.monotonic() + HEAD_SECONDS
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._ends.pop(request, None)
            self._begins.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        now = time.monotonic()
        with self._lock:
            for connection in [each for each, end in self._ends.items() if end < now]:
                self._drop(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that goes away is no defect
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        super().server_close()
        with self._lock:
            for connection in [*self._ends]:
                self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        """End a connection; its thread, which reads or writes, finds it closed."""
        self._ends.pop(connection, None)
        self._begins.pop(connection, None)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


class CameraPage(AbstractContextManager["CameraPage"]):
    """Serves ``/`` for people, ``/health`` (200 or 503) and ``/metrics`` for programs.

    Args:
        cameras: what is shown; those of the moment that an iteration gives.
        port: 0 takes a free one.
        save: takes what is drawn on the page for a camera; None refuses it.
        host: where it listens; by default it is for this machine.
        access: who may look; without a table all of this machine.
        encryption: how it encrypts; None uses HTTP.

    Attributes:
        visitors: tells who asks; its ``access`` may change.

    Raises:
        SegueError: the port is taken.
    """

    def __init__(
        self,
        cameras: Iterable[Camera],
        port: int,
        save: Save | None = None,
        *,
        host: str = "127.0.0.1",
        access: Access = Access(),  # noqa: B008  it cannot be changed
        encryption: SSLContext | None = None,
    ) -> None:
        visitors = self.visitors = Visitors(access)
        self._host, self._scheme = host, "http" if encryption is None else "https"

        history = History()

        def archives() -> dict[str, EventArchive]:
            present = {camera.name: camera.archive for camera in cameras}
            return {name: archive for name, archive in present.items() if archive is not None}

        def of_name(name: str) -> Camera | None:
            return next((camera for camera in cameras if camera.name == name), None)

        class Handler(BaseHTTPRequestHandler):
            server: _Server
            cookies: tuple[str, ...] = ()
            """What the browser is to keep."""

            def do_GET(self) -> None:
                self.server.wait_for(self.connection, ANSWER_SECONDS, owes=False)
                path, _, question = self.path.partition("?")
                visit = self._visit(question, tells_health=path == "/health")
                may = visit.may
                if may is None:
                    return
                try:
                    if path == "/" and token_of(question):  # a link; the address loses it
                        if visit.keep:
                            self._keep(COOKIE, token_of(question))
                        self._answer(303, "text/plain", b"", {"Location": "./"})
                    elif path == "/":
                        page = (_STATIC / "watch.html").read_bytes()
                        if may == "look":
                            page = page.replace(b'data-mode="watch"', b'data-mode="watch" data-look')
                        self._answer(200, "text/html", page)
                    elif path == "/health":
                        states = states_of(cameras)
                        status = 200 if all(state["well"] for state in states.values()) else 503
                        self._answer_json(states, status)
                    elif path == "/states":  # as for /health, for the page, which shows who is not well
                        self._answer_json(states_of(cameras))
                    elif path == "/metrics":
                        text = metrics(states_of(cameras))
                        self._answer(200, "text/plain; version=0.0.4", text.encode())
                    elif path == "/process":
                        self._answer_json(process_state())
                    elif path == "/events":
                        answer = history.events(archives(), Query.parse(question))
                        following = None if answer.next is None else str(answer.next)
                        problems = answer.problems
                        self._answer_json({"events": answer.events, "next": following, "problems": problems})
                    elif path == "/counts":
                        edges = edges_of(question)
                        counts, problems = history.counts(archives(), Query.parse(question), edges)
                        self._answer_json({"counts": counts, "problems": problems})
                    elif match := _PART.fullmatch(path):
                        part = _STATIC / match[1]
                        known = match[2] in _PARTS and part.is_file()
                        self._answer(
                            200, _PARTS[match[2]], part.read_bytes()
                        ) if known else self._answer_none()
                    elif match := _FILE.fullmatch(path):
                        self._send_file(match[1], match[2] or "", match[3])
                    else:
                        camera = of_name(path.removeprefix("/image/").removesuffix(".jpg"))
                        image = b"" if camera is None else camera.image()
                        self._answer(200 if image else 404, "image/jpeg", image)
                except SegueError as error:
                    self._answer(400, "text/plain; charset=utf-8", str(error).encode())

            def _visit(self, question: str = "", *, tells_health: bool = False) -> Visit:
                """What the sender of this request may do; where that is nothing, it is answered."""
                at_home = self.headers.get("Host", "").partition(":")[0] in LOOPBACK
                if visitors.access.is_open and not at_home:
                    self._answer(403, "text/plain", b"this page is for this machine")
                    return Visit(None)
                try:
                    visit = visitors.visit(self.headers, question, self.client_address[0])
                except TooManyTriesError:
                    self._answer(429, "text/plain", b"too many wrong passwords; wait a minute")
                    return Visit(None)
                if visit.session:
                    self._keep(SESSION, visit.session)
                if visit.may is None and tells_health:  # programs that watch this one learn no more than that
                    well = all(camera.well for camera in cameras)
                    self._answer(200 if well else 503, "text/plain", b"")
                elif visit.may is None:
                    self._answer(401, "text/plain", b"give a user and password, or a token", _CHALLENGE)
                return visit

            def _keep(self, name: str, value: str) -> None:
                """Let the browser keep a cookie, with the head of the answer."""
                cookie: SimpleCookie = SimpleCookie({name: value})
                cookie[name].update({"httponly": "1", "samesite": "Lax", "max-age": str(KEEP_SECONDS)})
                if encryption is not None or self.headers.get("X-Forwarded-Proto") == "https":
                    cookie[name]["secure"] = "1"
                self.cookies = (*self.cookies, cookie[name].OutputString())

            def _send_file(self, name: str, part: str, file: str) -> None:
                """Send an image or a clip of an event, or the part of it that a player asks for."""
                camera = of_name(name)
                archive = None if camera is None else camera.archive
                folder = None if archive is None else archive.part(part).folder
                try:
                    stream = None if folder is None else (folder / file).open("rb")
                except OSError:
                    stream = None
                if stream is None:
                    self._answer_none()
                    return
                with stream:
                    size = os.fstat(stream.fileno()).st_size
                    first, last, status = 0, size - 1, 200
                    if asked := _RANGE.fullmatch(self.headers.get("Range", "")):
                        first = int(asked[1])
                        last = min(last, int(asked[2] or last))
                        status = 206 if first <= last else 416
                    self.send_response(status)
                    self.send_header("Content-Type", "video/mp4" if file.endswith(".mp4") else "image/jpeg")
                    self.send_header("Accept-Ranges", "bytes")
                    self.send_header("Content-Length", str(last + 1 - first if status < 400 else 0))
                    if status != 200:
                        self.send_header(
                            "Content-Range",
                            f"bytes {first}-{last}/{size}" if status == 206 else f"bytes */{size}",
                        )
                    self._end_head()
                    stream.seek(first)
                    left = last + 1 - first if status < 400 else 0
                    while left > 0 and (block := stream.read(min(_CHUNK, left))):
                        self.server.wait_for(self.connection, ANSWER_SECONDS, owes=False)
                        self.wfile.write(block)
                        left -= len(block)

            def do_POST(self) -> None:
                what, _, name = self.path.removeprefix("/").partition("/")
                camera = of_name(name)
                origin = self.headers.get("Origin")
                if (
                    (origin is not None and urlsplit(origin).netloc != self.headers.get("Host", ""))
                    or self.headers.get_content_type() != "application/json"  # no form of another page
                ):
                    self._answer(403, "text/plain", b"only this page may change anything")
                    return
                may = self._visit().may
                if may == "look":
                    self._answer(403, "text/plain", b"this link is for looking")
                if may != "change":
                    return
                size = whole_number(self.headers.get("Content-Length", ""))
                if camera is None or what not in (*_DRAWN, "marks"):
                    self._answer_none()
                    return
                if size is None or not 0 <= size <= MAX_BYTES:
                    self._answer(400, "text/plain", b"the length of the request is missing, or too large")
                    return
                self.server.wait_for(self.connection, BODY_SECONDS + size / BODY_RATE, owes=True)
                body = self.rfile.read(size)
                self.server.wait_for(self.connection, ANSWER_SECONDS, owes=False)
                try:
                    if len(body) < size:
                        raise SegueError("the request is not complete")
                    given = parse_json(body.decode())
                    if what == "marks":
                        self._answer_json(save_mark(camera, given))
                        return
                    save_drawn(camera, _DRAWN[what], given)
                except ConflictError as error:
                    self._answer(409, "text/plain; charset=utf-8", str(error).encode())
                except (SegueError, ValueError) as error:
                    self._answer(400, "text/plain; charset=utf-8", str(error).encode())
                else:
                    self._answer(204, "text/plain", b"")

            def _answer_none(self) -> None:
                self._answer(404, "text/plain", b"there is no such thing")

            def _answer_json(self, values: object, status: int = 200) -> None:
                self._answer(status, "application/json", json.dumps(values).encode())

            def _answer(
                self, status: int, kind: str, body: bytes, further: Mapping[str, str] = MappingProxyType({})
            ) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                for header, value in further.items():
                    self.send_header(header, value)
                self.send_header("Content-Length", str(len(body)))
                self._end_head()
                self.wfile.write(body)

            def _end_head(self) -> None:
                for header, value in _HEADERS.items():
                    self.send_header(header, value)
                for cookie in self.cookies:
                    self.send_header("Set-Cookie", cookie)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        def save_drawn(camera: Camera, option: DrawnOption, values: object) -> None:
            if save is None:
                raise SegueError("zones cannot be saved here")
            save(camera.name, Change.parse(option, values))

        def save_mark(camera: Camera, given: object) -> dict[str, bool]:
            """Set one mark of an event; gives all of them as they are now, with those of others."""
            try:
                change = MarkChange.model_validate(given)
            except ValidationError:
                raise SegueError("marks: give part, snapshot and clip of an event, mark and value") from None
            folder = None if camera.archive is None else camera.archive.part(change.part).folder
            if folder is None:
                raise SegueError("marks: there is no such event")
            clip = change.clip if EVENT_FILE.fullmatch(change.clip) else ""
            return Marks(folder).change(change.snapshot, change.mark, change.value, clip)

        try:
            self._server = _Server(host, port, Handler, encryption)
        except OSError as error:
            place = f"port {port}" if host in LOOPBACK else f"{host}, port {port}"
            raise SegueError(f"{place}: {error.strerror or error}; give another --port") from None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(LOOK_SECONDS,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where the page is."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._scheme}://{host}:{self._server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
