"""The page of several cameras, with what other programs ask: their health and their metrics."""

from __future__ import annotations

import html
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from segue.errors import SegueError
from segue.utils.inputs import parse_json, whole_number
from segue_watch.cameras import Camera, metrics, states_of

LOOPBACK = ("127.0.0.1", "localhost")
"""Names of this machine; with others a foreign address could point here (DNS rebinding)."""

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>segue: cameras</title><style>
body { font: 15px system-ui, sans-serif; margin: 1rem; background: #16181c; color: #e8e8e8 }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem }
.view { position: relative } img { display: block; width: 100%; min-height: 8rem; background: #000 }
canvas { position: absolute; inset: 0; width: 100%; height: 100% } .drawing canvas { cursor: crosshair }
h2 { font-size: 1rem } .lost h2 { color: #ff8a80 } code { word-break: break-all }
section:not(.drawing) .draw { display: none } .drawing .add { display: none } .says { color: #ff8a80 }
</style><main><!--cameras--></main><script>
const pair = (zone) => ([x, y]) => zone.percent ? `${x}%,${y}%` : `${x},${y}`;
const textOf = (zone) => `${zone.name}=${zone.points.map(pair(zone)).join(" ")}`;
const make = (tag, text, click) => {
  const made = Object.assign(document.createElement(tag), { textContent: text });
  if (click) made.onclick = click;
  return made;
};
const cameras = [...document.querySelectorAll("section")].map((section) => {
  const name = section.dataset.camera, part = (what) => section.querySelector(what);
  const canvas = part("canvas"), context = canvas.getContext("2d");
  let zones = [], size = null, points = [], known = "";
  const shares = (zone) => zone.percent || !size ? zone.points.map(([x, y]) => [x / 100, y / 100])
    : zone.points.map(([x, y]) => [x / size[1], y / size[0]]);
  const line = (at, colour) => {
    context.beginPath();
    for (const [x, y] of at) context.lineTo(x * canvas.width, y * canvas.height);
    if (at.length > 2) context.closePath();
    context.strokeStyle = colour; context.lineWidth = 2; context.stroke();
    for (const [x, y] of at) context.strokeRect(x * canvas.width - 2, y * canvas.height - 2, 4, 4);
  };
  const draw = () => {
    [canvas.width, canvas.height] = [canvas.clientWidth, canvas.clientHeight];
    context.fillStyle = "#ffe066";
    for (const zone of zones) if (zone.percent || size) {
      line(shares(zone), "#ffe066");
      const [x, y] = shares(zone)[0];
      context.fillText(zone.name, x * canvas.width + 5, y * canvas.height + 12);
    }
    line(points, "#7dd3fc");
  };
  const save = async (list) => {
    const answer = await fetch(`zones/${name}`, { method: "POST", body: JSON.stringify(list.map(textOf)),
      headers: { "Content-Type": "application/json" } });
    part(".says").textContent = answer.ok ? "" : await answer.text();
    if (answer.ok) { points = []; section.classList.remove("drawing"); }
    await look();
  };
  const edit = (zone) => {
    points = zone ? shares(zone) : [];
    part(".name").value = zone ? zone.name : "";
    section.classList.add("drawing");
    draw();
  };
  canvas.onclick = ({ offsetX, offsetY }) => {
    if (!section.classList.contains("drawing")) return;
    points.push([offsetX / canvas.clientWidth, offsetY / canvas.clientHeight]);
    draw();
  };
  part(".add").onclick = () => edit(null);
  part(".back").onclick = () => { points.pop(); draw(); };
  part(".leave").onclick = () => { points = []; section.classList.remove("drawing"); draw(); };
  part(".save").onclick = () => {
    const percent = (share) => Math.round(share * 1000) / 10;
    const drawn = { name: part(".name").value, percent: true,
      points: points.map((point) => point.map(percent)) };
    return save([...zones.filter((zone) => zone.name !== drawn.name), drawn]);
  };
  const hear = (state) => {
    const word = state.well ? "online" : "lost";
    section.className = section.classList.contains("drawing") ? `${word} drawing` : word;
    part("h2").textContent = `${name}: ${word}`;
    part(".state").textContent = `${state.frames} frames, ${state.delay.toFixed(1)} s late, `
      + `${state.dropped} dropped, ${state.events} events, ${state.undelivered} not delivered ${state.error}`;
    [zones, size] = [state.zones, state.size];
    if (known !== (known = JSON.stringify(zones))) part("ul").replaceChildren(...zones.map((zone) => {
      const row = make("li", ""), others = () => zones.filter((other) => other.name !== zone.name);
      row.append(make("code", `--zone "${textOf(zone)}"`), make("button", "Edit", () => edit(zone)));
      row.append(make("button", "Remove", () => save(others())));
      return row;
    }));
    part("img").src = `image/${name}.jpg?${Date.now()}`;
    draw();
  };
  return { name, hear };
});
const look = async () => {
  const states = await (await fetch("health")).json();
  for (const camera of cameras) camera.hear(states[camera.name]);
};
look();
setInterval(() => look().catch(() => {}), 2000);
</script></html>"""

_CAMERA = """<section class="{state}" data-camera="{name}"><h2>{name}: {state}</h2>
<div class="view"><img src="image/{name}.jpg" alt="{name}"><canvas></canvas></div>
<p class="state">{frames} frames, {delay:.1f} s late, {dropped} dropped, {events} events, {undelivered}
not delivered {error}</p><ul></ul><button class="add">Draw a zone</button>
<span class="draw"><input class="name" placeholder="name" aria-label="name of the zone" maxlength="100">
<button class="save">Save</button> <button class="back">Undo</button> <button class="leave">Cancel</button>
Click its corners in the image; two points are a line.</span><p class="says" role="alert"></p></section>"""

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
        cameras: what is shown.
        port: 0 takes a free one.
        save: takes zones that are drawn on the page; None refuses them.

    Raises:
        SegueError: the port is taken.
    """

    def __init__(self, cameras: Sequence[Camera], port: int, save: Save | None = None) -> None:
        by_name = {camera.name: camera for camera in cameras}

        class Handler(BaseHTTPRequestHandler):
            server: _Server

            def do_GET(self) -> None:
                self.server.wait_for(self.connection, ANSWER_SECONDS, owes=False)
                if self.headers.get("Host", "").partition(":")[0] not in LOOPBACK:
                    self._answer(403, "text/plain", b"this page is for this machine")
                    return
                path = self.path.partition("?")[0]
                states = states_of([*by_name.values()])
                if path == "/health":
                    status = 200 if all(state["well"] for state in states.values()) else 503
                    self._answer(status, "application/json", json.dumps(states).encode())
                elif path == "/metrics":
                    self._answer(200, "text/plain; version=0.0.4", metrics(states).encode())
                elif path == "/":
                    shown = [
                        _CAMERA.format(
                            **{**state, "error": html.escape(state["error"])},
                            name=name,
                            state="online" if state["well"] else "lost",
                        )
                        for name, state in states.items()
                    ]
                    self._answer(200, "text/html", _PAGE.replace("<!--cameras-->", "".join(shown)).encode())
                else:
                    camera = by_name.get(path.removeprefix("/image/").removesuffix(".jpg"))
                    image = b"" if camera is None else camera.image()
                    self._answer(200 if image else 404, "image/jpeg", image)

            def do_POST(self) -> None:
                camera = by_name.get(self.path.removeprefix("/zones/"))
                own = f"http://{self.headers.get('Host', '')}"
                if (
                    self.headers.get("Host", "").partition(":")[0] not in LOOPBACK
                    or self.headers.get("Origin", own) != own
                    or self.headers.get_content_type() != "application/json"  # no form of another page
                ):
                    self._answer(403, "text/plain", b"zones are saved by the page of this machine alone")
                    return
                size = whole_number(self.headers.get("Content-Length", ""))
                if camera is None or save is None or size is None or not 0 <= size <= MAX_BYTES:
                    self._answer(404 if camera is None else 400, "text/plain", b"no such camera, or no zones")
                    return
                self.server.wait_for(self.connection, BODY_SECONDS + size / BODY_RATE, owes=True)
                body = self.rfile.read(size)
                self.server.wait_for(self.connection, ANSWER_SECONDS, owes=False)
                try:
                    if len(body) < size:
                        raise SegueError("zones: the request is not complete")
                    zones = parse_json(body.decode())
                    if not isinstance(zones, list) or not all(isinstance(zone, str) for zone in zones):
                        raise SegueError("zones: give a list of texts such as door=5%,10% 50%,10% 50%,90%")
                    save(camera.name, zones)
                except (SegueError, ValueError) as error:
                    self._answer(400, "text/plain; charset=utf-8", str(error).encode())
                else:
                    self._answer(204, "text/plain", b"")

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("X-Content-Type-Options", "nosniff")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

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
