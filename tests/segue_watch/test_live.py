"""The sockets of the page of cameras: states and newest images, for those who may look."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from segue.jobs.values import ForegroundJob, Model, VideoSource
from segue.types import Frame, Segmentation
from segue_watch import camera as camera_module
from segue_watch.camera import Camera
from segue_watch.web import live
from segue_watch.web.page import CameraPage
from segue_web.access.encryption import encryption
from segue_web.access.table import Access
from segue_web.server import guard
from segue_web.server.hub import FULL
from tests.waiting import wait_for

TOKEN, LOOK = "token-of-everything", "token-for-looking"


def ignore(*_: object) -> None: ...


def camera(name: str, events: Path | None = None) -> Camera:
    job = ForegroundJob(source=VideoSource(place="0"), model=Model(name="median"), events=events)
    return Camera(name, job, ignore, ignore)


def show(shown: Camera, value: int) -> None:
    """Give a camera a frame of one colour."""
    image, mask = np.full((300, 400, 3), value, np.uint8), np.zeros((300, 400), np.uint8)
    shown.frame(Frame(value, 0.0, image), Segmentation(value, 0.0, mask, ()), "")


def open_socket(page: CameraPage, origin: str = "", token: str = "", **options: Any) -> Any:
    """Open a socket as a browser does; a context manager."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = page.address.replace("http", "ws", 1)
    return connect(
        f"{address}ws",
        origin=Origin(origin or page.address[:-1]),
        additional_headers=headers,
        proxy=None,
        **options,
    )


class Viewer:
    """A page behind an open socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self._number = 0

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Answer to a request."""
        self._number += 1
        self.socket.send(json.dumps({"id": self._number, "op": op, **fields}))
        while True:
            message = json.loads(self.socket.recv(30))
            if message.get("id") == self._number:
                return dict(message)
            self.events.append(message)

    def images(self, **fields: Any) -> list[tuple[str, int, int, int]]:
        """Name, number, width and brightness of new images."""
        answer, images, start = self.ask("images", **fields), [], 0
        data = self.socket.recv(30) if answer.get("data") else b""
        assert isinstance(data, bytes)
        for head in answer["images"]:
            coded = np.frombuffer(data, np.uint8, head["bytes"], start)
            start += head["bytes"]
            image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
            images.append((head["camera"], head["frame"], image.shape[1], round(float(image.mean()))))
        assert start == len(data)
        return sorted(images)

    def event(self) -> dict[str, Any]:
        """Next event."""
        return dict(self.events.pop(0) if self.events else json.loads(self.socket.recv(30)))


@contextmanager
def viewing(page: CameraPage, token: str = "", **options: Any) -> Iterator[Viewer]:
    """A page that is open for a while."""
    with open_socket(page, token=token, **options) as socket:
        yield Viewer(socket)


@pytest.fixture
def gate(tmp_path: Path) -> Camera:
    return camera("gate", tmp_path / "gate.csv")


@pytest.fixture
def page(gate: Camera) -> Iterator[CameraPage]:
    with CameraPage([gate], 0) as page:
        gate.on_frame = page.changed
        yield page


@pytest.fixture
def viewer(page: CameraPage) -> Iterator[Viewer]:
    with viewing(page) as viewer:
        yield viewer


def test_images_of_all_cameras_come_at_the_width_of_tiles_encoded_once(
    gate: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, encode = list[int](), cv2.imencode

    def count(*arguments: Any) -> Any:
        encoded.append(arguments[1].shape[1])
        return encode(*arguments)

    monkeypatch.setattr(camera_module.cv2, "imencode", count)
    cameras = [gate, camera("yard")]
    with CameraPage(cameras, 0) as page, viewing(page) as one, viewing(page) as two:
        for number, value in ((1, 50), (2, 90)):
            for each in cameras:
                show(each, value)
            for viewer, width in ((one, 150), (two, 120)):
                seen = dict.fromkeys(("gate", "yard"), number - 1)
                found = viewer.images(width=width, seen=seen)
                assert found == [("gate", number, 160, value), ("yard", number, 160, value)]
        assert encoded == [160] * 4
        assert one.images(width=9999, seen={}) == [("gate", 2, 400, 90), ("yard", 2, 400, 90)]
        assert one.images(camera="yard", seen={"yard": 1}) == [("yard", 2, 400, 90)]


def test_a_request_waits_for_the_next_frame(viewer: Viewer, gate: Camera) -> None:
    show(gate, 50)
    threading.Timer(0.3, show, (gate, 90)).start()
    assert viewer.images(camera="gate", seen={"gate": 1}) == [("gate", 2, 400, 90)]


def test_a_camera_without_a_new_frame_is_an_empty_answer(
    viewer: Viewer, gate: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "NEXT_SECONDS", 0.1)
    assert viewer.images(seen={}) == [], "before the first frame"
    show(gate, 50)
    assert viewer.images(seen={"gate": 1}) == []
    assert viewer.images(camera="nobody", seen={}) == []


def test_pages_hear_of_states_regularly_and_at_once_of_changes(
    page: CameraPage, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert viewer.event()["states"]["gate"]["armed"]
    monkeypatch.setattr(live, "STATES_SECONDS", 1000.0)
    viewer.event()  # that was still due
    head = {"Content-Type": "application/json"}
    urlopen(Request(f"{page.address}armed/gate", b'{"armed": false}', head), timeout=30).close()
    assert not viewer.event()["states"]["gate"]["armed"]
    assert not viewer.ask("states")["states"]["gate"]["armed"]


def test_states_go_on_after_an_error(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[Camera]()

    def fail(camera: Camera) -> None:
        asked.append(camera)
        raise ZeroDivisionError

    viewer.event()
    with monkeypatch.context() as patch:
        patch.setattr(Camera, "state", fail)
        assert "internal error" in viewer.ask("states")["error"]
        wait_for(lambda: len(asked) > 1)
    viewer.events.clear()
    assert "gate" in viewer.event()["states"]


@pytest.mark.parametrize(
    "fields",
    [
        {"op": "arm"},
        {"op": "images"},
        {"op": "images", "seen": {"gate": -1}},
        {"op": "images", "seen": {}, "width": "wide"},
        {"op": "states", "seen": {}},
    ],
)
def test_an_invalid_request_is_refused_in_one_line(viewer: Viewer, fields: dict[str, Any]) -> None:
    assert viewer.ask(**fields)["error"].startswith("the request is not valid: ")
    assert "gate" in viewer.ask("states")["states"], "and the page goes on"


def test_a_page_that_asks_for_everything_at_once_is_answered_a_few_at_a_time(
    page: CameraPage, viewer: Viewer, gate: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, most, asked = 0, 0, Camera.numbered_image

    def slowly(camera: Camera, width: int | None = None) -> tuple[int, bytes]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        threading.Event().wait(0.01)
        at_once -= 1
        return asked(camera, width)

    show(gate, 50)
    monkeypatch.setattr(Camera, "numbered_image", slowly)
    for number in range(60):
        viewer.socket.send(json.dumps({"id": number, "op": "images", "seen": {}}))
    texts = [message for message in (viewer.socket.recv(30) for _ in range(120)) if isinstance(message, str)]
    answers = [message for message in map(json.loads, texts) if "id" in message]
    assert {answer["id"] for answer in answers} <= set(range(60))
    assert most <= live.MAX_REQUESTS


def test_who_may_look_may_open_a_socket_until_that_is_revoked(
    gate: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "CHECK_SECONDS", 0.2)
    with CameraPage([gate], 0, access=Access((), TOKEN, LOOK)) as page:
        for token in ("", "wrong"):
            with pytest.raises(InvalidStatus) as refused, open_socket(page, token=token):
                pass
            assert refused.value.response.status_code == 401
        with viewing(page, TOKEN) as changing, viewing(page, LOOK) as looking:
            assert "gate" in looking.ask("states")["states"]
            page.authenticator.access = replace(page.authenticator.access, look="")
            with pytest.raises(ConnectionClosed) as closed:
                all(iter(looking.socket.recv, None))
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == guard.FORBIDDEN
            assert "gate" in changing.ask("states")["states"], "another one stays"


def test_open_pages_leave_connections_for_programs(page: CameraPage, gate: Camera) -> None:
    show(gate, 50)
    with ExitStack() as pages:
        viewers = list[Viewer]()
        with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012  one is too many
            for _ in range(60):
                viewers.append(Viewer(pages.enter_context(open_socket(page))))
                viewers[-1].ask("states")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == FULL
        viewer = viewers[-2]
        assert "gate" in viewer.ask("states")["states"]
        assert urlopen(f"{page.address}health", timeout=30).status == 200


def test_another_website_opens_no_socket(page: CameraPage) -> None:
    with pytest.raises(InvalidStatus) as refused, open_socket(page, "http://evil.example"):
        pass
    assert refused.value.response.status_code == 403


def test_a_socket_is_encrypted_where_the_page_is(gate: Camera, tmp_path: Path) -> None:
    key, pem = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    words += [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(pem),
    ]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    context = encryption("127.0.0.1", pem, key, plain_http=False)
    trusting = ssl.create_default_context(cafile=str(pem))
    with CameraPage([gate], 0, encryption=context) as page, viewing(page, ssl=trusting) as viewer:
        show(gate, 70)
        assert viewer.images(seen={}) == [("gate", 1, 400, 70)]
