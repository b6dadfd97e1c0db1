"""A camera of this machine that shows MJPEG by HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

from tests.cli.test_foreground import IMAGES

JPEGS = [cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]))[1].tobytes() for image in IMAGES]


class _Camera(BaseHTTPRequestHandler):
    """Shows a square that crosses a room, again and again, as MJPEG with 250 frames a second.

    Whoever asks for ``snapshot.jpg`` gets the next image alone.
    """

    asked = 0
    pause = 0.004

    def do_GET(self) -> None:
        if self.path.endswith("snapshot.jpg"):
            jpeg = JPEGS[_Camera.asked % len(JPEGS)]
            _Camera.asked += 1
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(jpeg)))
            self.end_headers()
            self.wfile.write(jpeg)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
        self.end_headers()
        try:
            while True:
                for jpeg in JPEGS:
                    head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                    self.wfile.write(head + jpeg + b"\r\n")
                    time.sleep(self.pause)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def mjpeg_camera(pause: float = _Camera.pause, port: int = 0) -> Iterator[str]:
    """The address of the camera, which any number of programs may watch; it pauses after each image."""
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Camera", (_Camera,), {"pause": pause}))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/gate"
    server.shutdown()
    server.server_close()
