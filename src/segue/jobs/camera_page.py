"""The page of several cameras, with what other programs ask: their health and their metrics."""

from __future__ import annotations

import html
import json
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from segue.errors import SegueError
from segue.jobs.cameras import Camera, metrics

LOOPBACK = ("127.0.0.1", "localhost")
"""Names of this machine; with others a foreign address could point here (DNS rebinding)."""

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<title>segue: cameras</title><style>
body {{ font: 15px system-ui, sans-serif; margin: 1rem; background: #16181c; color: #e8e8e8 }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem }}
img {{ width: 100%; background: #000; aspect-ratio: 4 / 3; object-fit: contain }} h2 {{ font-size: 1rem }}
.lost h2 {{ color: #ff8a80 }}
</style><main>{cameras}</main></html>"""

_CAMERA = """<section class="{state}"><h2>{name}: {state}</h2><img src="image/{name}.jpg" alt="{name}">
<p>{frames} frames, {delay:.1f} s late, {dropped} dropped, {events} events, {undelivered} not delivered
<br>{error}</p></section>"""


class CameraPage(AbstractContextManager["CameraPage"]):
    """Serves this machine: ``/`` for people, ``/health`` (200 or 503) and ``/metrics`` for programs.

    Args:
        cameras: what is shown.
        port: 0 takes a free one.

    Raises:
        SegueError: the port is taken.
    """

    def __init__(self, cameras: Sequence[Camera], port: int) -> None:
        by_name = {camera.name: camera for camera in cameras}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.headers.get("Host", "").partition(":")[0] not in LOOPBACK:
                    self._answer(403, "text/plain", b"this page is for this machine")
                    return
                path = self.path.partition("?")[0]
                states = {name: camera.state() for name, camera in by_name.items()}
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
                    self._answer(200, "text/html", _PAGE.format(cameras="".join(shown)).encode())
                else:
                    camera = by_name.get(path.removeprefix("/image/").removesuffix(".jpg"))
                    image = b"" if camera is None else camera.image()
                    self._answer(200 if image else 404, "image/jpeg", image)

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
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError as error:
            raise SegueError(f"port {port}: {error.strerror}; give another --port") from None
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
