"""The page of several cameras, with what other programs ask: their health and their metrics."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs

from segue.errors import SegueError
from segue.events.retention import NAME, Marks
from segue.sinks.rotation import PART
from segue.utils.inputs import parse_json, whole_number
from segue_watch.cameras import Camera, metrics, process_state, states_of
from segue_watch.history import Query, counts_of, events_of

LOOPBACK = ("127.0.0.1", "localhost")
"""Names of this machine; with others a foreign address could point here (DNS rebinding)."""

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

_CHUNK = 1 << 18
"""Bytes of a clip that are read at once."""

MOST_BARS = 366
"""Hours or days that counts may be asked for."""

MAX_BYTES = 1 << 16
"""Longest list of zones that a page may send."""

MAX_CONNECTIONS = 40
"""Clients at a time; each has a thread and a file of the process, which cameras need, too."""

HEAD_SECONDS, BODY_SECONDS, BODY_RATE = 10.0, 20.0, 16_384
"""Time for the head of a request, and for its body, with a second more for so many bytes."""

ANSWER_SECONDS = 60.0
"""Time for making an answer, and for its client to read it."""

LOOK_SECONDS = 0.1
"""How often connections are looked at whose time is over."""

Save = Callable[[str, list[str]], None]
"""Takes the name of a camera and its zones; raises SegueError if these mean nothing."""


class _Server(ThreadingHTTPServer):
    """A server with a time for each head, body and answer.

    Where ``MAX_CONNECTIONS`` are open, the one that has been waited for the longest makes room for a new
    one; those whose request is complete stay.
    """

    daemon_threads = True
    request_queue_size = 128  # with fewer, many clients at once wait for a second

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", port), handler)
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

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            full = len(self._ends) >= MAX_CONNECTIONS
            if full and self._begins:
                self._drop(min(self._begins, key=lambda each: self._begins[each]))
            elif full:
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
    """Serves this machine: ``/`` for people, ``/health`` (200 or 503) and ``/metrics`` for programs.

    Args:
        cameras: what is shown; those of the moment that an iteration gives.
        port: 0 takes a free one.
        save: takes zones that are drawn on the page; None refuses them.

    Raises:
        SegueError: the port is taken.
    """

    def __init__(self, cameras: Iterable[Camera], port: int, save: Save | None = None) -> None:
        def of_name(name: str) -> Camera | None:
            return next((camera for camera in cameras if camera.name == name), None)

        class Handler(BaseHTTPRequestHandler):
            server: _Server

            def do_GET(self) -> None:
                self.server.wait_for(self.connection, ANSWER_SECONDS, owes=False)
                if self.headers.get("Host", "").partition(":")[0] not in LOOPBACK:
                    self._answer(403, "text/plain", b"this page is for this machine")
                    return
                path, _, question = self.path.partition("?")
                try:
                    if path == "/":
                        self._answer(200, "text/html", (_STATIC / "watch.html").read_bytes())
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
                        query = Query.parse(question)
                        found = events_of({camera.name: camera.archive for camera in cameras}, query)
                        self._answer_json({"events": found, "more": len(found) == query.limit})
                    elif path == "/counts":
                        self._answer_json(self._counts(question))
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

            def _counts(self, question: str) -> object:
                given = parse_qs(question, max_num_fields=100)
                number = whole_number(given.get("number", ["24"])[0])
                if number is None or not 0 < number <= MOST_BARS:
                    raise SegueError(f"counts: ask for 1 to {MOST_BARS} of them")
                by_day = given.get("by") == ["day"]
                archives = {camera.name: camera.archive for camera in cameras}
                return {"counts": counts_of(archives, Query.parse(question), by_day=by_day, number=number)}

            def _send_file(self, name: str, part: str, file: str) -> None:
                """Send an image or a clip of an event, or the part of it that a player asks for."""
                camera = of_name(name)
                places = camera.archive if camera is not None else []
                folder = next((place.folder for place in places if place.part == part), None)
                try:
                    stream = (folder or Path()).joinpath(file).open("rb") if folder else None
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
                own = f"http://{self.headers.get('Host', '')}"
                if (
                    self.headers.get("Host", "").partition(":")[0] not in LOOPBACK
                    or self.headers.get("Origin", own) != own
                    or self.headers.get_content_type() != "application/json"  # no form of another page
                ):
                    self._answer(403, "text/plain", b"only the page of this machine may change anything")
                    return
                size = whole_number(self.headers.get("Content-Length", ""))
                if camera is None or what not in ("zones", "marks"):
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
                    if what == "zones":
                        save_zones(camera, given)
                    else:
                        save_mark(camera, given)
                except (SegueError, ValueError) as error:
                    self._answer(400, "text/plain; charset=utf-8", str(error).encode())
                else:
                    self._answer(204, "text/plain", b"")

            def _answer_none(self) -> None:
                self._answer(404, "text/plain", b"there is no such thing")

            def _answer_json(self, values: object, status: int = 200) -> None:
                self._answer(status, "application/json", json.dumps(values).encode())

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self._end_head()
                self.wfile.write(body)

            def _end_head(self) -> None:
                for header, value in _HEADERS.items():
                    self.send_header(header, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        def save_zones(camera: Camera, zones: object) -> None:
            if save is None:
                raise SegueError("zones cannot be saved here")
            if not isinstance(zones, list) or not all(isinstance(zone, str) for zone in zones):
                raise SegueError("zones: give a list of texts such as door=5%,10% 50%,10% 50%,90%")
            save(camera.name, zones)

        def save_mark(camera: Camera, given: object) -> None:
            """Note that an event is reviewed or kept."""
            values = given if isinstance(given, dict) else {}
            image, clip, part = (values.get(key) for key in ("snapshot", "clip", "part"))
            reviewed, kept = (values.get(key) for key in ("reviewed", "kept"))
            folder = next((place.folder for place in camera.archive if place.part == part), None)
            names = isinstance(image, str) and re.fullmatch(NAME, image) and isinstance(clip, str)
            if folder is None or not names or not isinstance(reviewed, bool) or not isinstance(kept, bool):
                raise SegueError("marks: give part, snapshot and clip of an event, reviewed and kept")
            if not (folder / str(image)).is_file():
                raise SegueError("this event has no image any more")
            clip = str(clip) if re.fullmatch(NAME, str(clip)) else ""
            Marks(folder).change(str(image), clip, reviewed=reviewed, kept=kept)

        try:
            self._server = _Server(port, Handler)
        except OSError as error:
            raise SegueError(f"port {port}: {error.strerror}; give another --port") from None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(LOOK_SECONDS,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
