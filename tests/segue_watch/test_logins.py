"""A camera that refuses the password is left alone for minutes, so that it does not lock the account."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from segue.utils.cancel import CancelToken
from segue.video.sources.live import LOGIN_SECONDS
from segue_watch.cameras import Camera, CameraWarning
from segue_watch.configuration import read_cameras


@pytest.fixture
def refusing() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://user:wrong@127.0.0.1:{server.server_port}/stream.mjpeg"
    server.shutdown()
    server.server_close()


def test_a_camera_waits_for_minutes_after_a_refused_login(refusing: str, tmp_path: Path) -> None:
    pauses: list[float] = []

    class Recording(Camera):
        def _pause_for(self, seconds: float, stop: CancelToken) -> None:
            pauses.append(seconds)
            stop.cancel()

    path = tmp_path / "cameras.toml"
    path.write_text(f'[cameras.gate]\nsource = "{refusing}"\nmodel = "median"\ndevice = "cpu"\n')
    camera = Recording("gate", read_cameras(path, tmp_path)["gate"], lambda *_: None, lambda _: None)
    with pytest.warns(CameraWarning, match="gate: .*refuses user and password"):
        camera.watch(CancelToken())
    assert pauses == [LOGIN_SECONDS]
