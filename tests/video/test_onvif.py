"""Cameras that are asked for single images by ONVIF."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice, pairwise
from threading import Thread
from typing import Any
from urllib.request import parse_http_list, parse_keqv_list

import pytest

from segue.errors import LoginRefusedError, SourceError
from segue.video import Reconnect, open_source
from segue.video.sources.onvif import OnvifCamera
from tests.cli.mjpeg import JPEGS

USER, PASSWORD = "an&na", "p:ss/word"
NOW = datetime.now(UTC) - timedelta(days=400)
"""The time that the camera has."""

CLOCK = """<UTCDateTime>
<Time><Hour>{0.hour}</Hour><Minute>{0.minute}</Minute><Second>{0.second}</Second></Time>
<Date><Year>{0.year}</Year><Month>{0.month}</Month><Day>{0.day}</Day></Date></UTCDateTime>"""


class Camera(ThreadingHTTPServer):
    """Wants WS-UsernameToken, for images HTTP digest; it knows another address of itself."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.images, self.refused, self.profiles = 0, 0, list[str]()
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"onvif://an%26na:p%3Ass%2Fword@127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Camera

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        place = f"http://192.168.77.1:{self.server.server_port}"
        if "GetSystemDateAndTime" in text:
            self._answer(CLOCK.format(NOW))
        elif not self._knows(text):
            self.server.refused += 1
            self._answer("<Fault><Subcode>ter:NotAuthorized</Subcode></Fault>".replace("ter:", ""), 400)
        elif "GetCapabilities" in text:
            self._answer(f"<Media><XAddr>{place}/media</XAddr></Media>")
        elif "GetProfiles" in text:
            self._answer('<Profiles token="main"/><Profiles token="sub"/>')
        else:
            self.server.profiles += re.findall("<ProfileToken>(.*)</ProfileToken>", text)
            self._answer(f"<MediaUri><Uri>{place}/now.jpg?a=1</Uri></MediaUri>")

    def _knows(self, text: str) -> bool:
        found = re.search(r"#PasswordDigest\">(.*?)<.*?Base64Binary\">(.*?)<.*?Created>(.*?)<", text)
        if found is None or "<w:Username>an&amp;na<" not in text:
            return False
        digest, nonce, created = found.groups()
        wanted = hashlib.sha1(base64.b64decode(nonce) + created.encode() + PASSWORD.encode()).digest()
        late = abs(datetime.fromisoformat(created) - NOW)
        return base64.b64decode(digest) == wanted and late < timedelta(minutes=5)

    def do_GET(self) -> None:
        kind, _, rest = self.headers.get("Authorization", "").partition(" ")
        if kind != "Digest" or not self._is_right(parse_keqv_list(parse_http_list(rest))):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Digest realm="camera", nonce="abc", qop="auth"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = JPEGS[self.server.images % len(JPEGS)]
        self.server.images += 1
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _is_right(self, given: dict[str, str]) -> bool:
        def md5(*parts: str) -> str:
            return hashlib.md5(":".join(parts).encode()).hexdigest()

        mine, asked = md5(USER, "camera", PASSWORD), md5("GET", self.path)
        between = given["nonce"], given["nc"], given["cnonce"], given["qop"]
        return given["username"] == USER and given["response"] == md5(mine, *between, asked)

    def _answer(self, body: str, status: int = 200) -> None:
        text = f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>{body}</s:Body></s:Envelope>'
        self.send_response(status)
        self.send_header("Content-Type", "application/soap+xml")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def camera() -> Iterator[Camera]:
    server = Camera()
    yield server
    server.shutdown()
    server.server_close()


def test_images_are_asked_for_again_and_again(camera: Camera) -> None:
    with open_source(camera.address, fps=50) as source:
        frames = [*islice(source, 3)]
    assert [frame.size for frame in frames] == [(96, 128)] * 3
    assert all(before.time < after.time for before, after in pairwise(frames))
    assert camera.images >= 3
    assert camera.profiles == ["main"], "it is asked once where the images are"


def test_a_profile_may_be_named(camera: Camera) -> None:
    assert OnvifCamera(f"{camera.address}?profile=sub", "gate", 5.0).image() == JPEGS[0]
    assert camera.profiles == ["sub"]


@pytest.mark.parametrize(("old", "new"), [("p%3Ass", "wrong"), ("an%26na", "bert")])
def test_a_wrong_password_is_said_without_it(camera: Camera, old: str, new: str) -> None:
    with pytest.raises(SourceError, match="refuses user and password") as refused:
        OnvifCamera(camera.address.replace(old, new), "gate", 5.0).image()
    assert new not in str(refused.value)


def test_a_refused_login_is_not_tried_again_at_once(camera: Camera) -> None:
    address = camera.address.replace("p%3Ass", "wrong")
    with (
        pytest.raises(LoginRefusedError),
        open_source(address, reconnect=Reconnect(first_delay=0.01)) as source,
    ):
        next(iter(source))
    assert camera.refused == 1


def test_a_camera_that_does_not_answer_is_tried_again_and_given_up() -> None:
    source = open_source("onvif://me:secret@127.0.0.1:9/", reconnect=Reconnect(tries=2, first_delay=0.01))
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:9") as lost, source:
        next(iter(source))
    assert "secret" not in str(lost.value)
