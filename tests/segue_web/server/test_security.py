"""What every server of segue refuses: annotate, view, live, watch and serve."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")
from starlette.testclient import TestClient

from segue.jobs.observer import Observer
from segue.jobs.values import ForegroundJob, Model, VideoSource
from segue_watch.camera import Camera
from segue_watch.web.live import LiveCameras
from segue_watch.web.page import CameraRoutes
from segue_web.access.authentication import SESSION, Authenticator
from segue_web.access.table import Access
from segue_web.access.tries import MAX_TRIES
from segue_web.server.kit import application, for_programs
from segue_web.server.live import LivePage
from segue_web.server.server import Backend, make_app
from segue_web.services.label_studio import make_app as make_service
from segue_web.services.media import Media
from segue_web.video import Video
from segue_web.viewing import ViewBackend
from tests.segue_web.services.images import assistant
from tests.segue_web.videos import numbered, write_video

TOKEN = "a-secret-of-this-test-alone-1234"
HOST = "http://127.0.0.1:8123"


@dataclass
class Served:
    """A server, and how somebody asks it.

    Attributes:
        app: its application.
        path: what it answers.
        change: where changes are sent to.
        in_path: whether paths begin with the secret.
        for_pages: whether browsers may ask.
    """

    app: Any
    path: str
    change: str
    in_path: bool = False
    for_pages: bool = True
    addresses: dict[str, TestClient] = field(default_factory=dict)

    def get(self, secret: str = TOKEN, sender: str = "198.51.100.7", **headers: str) -> Any:
        """Ask with a secret."""
        return self._ask("GET", self.path, secret, sender, headers)

    def post(self, secret: str = TOKEN, sender: str = "198.51.100.7", **headers: str) -> Any:
        """Send a change with a secret."""
        return self._ask("POST", self.change, secret, sender, headers)

    def _ask(self, method: str, path: str, secret: str, sender: str, headers: dict[str, str]) -> Any:
        client = TestClient(
            self.app, HOST, client=(sender, 5), raise_server_exceptions=False, follow_redirects=False
        )
        heads = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.in_path:
            path = f"/{secret}{path}" if secret else path
        elif secret:
            heads["token"] = secret
        return client.request(method, path, headers=heads, content=b"{}" if method == "POST" else None)


def backend_of(kind: type[Backend], folder: Path) -> Backend:
    """A backend that is not asked for anything."""
    backend = kind.__new__(kind)
    backend.video = Video(write_video(folder / "video.mp4", numbered(2)))
    backend.send = lambda _: None
    backend._requests = {}
    backend.open = backend.close = lambda: None  # type: ignore[method-assign]
    return backend


def annotate(folder: Path) -> Served:
    return Served(make_app(backend_of(Backend, folder), TOKEN), "/frame/0.jpg", "/import/a.png", in_path=True)


def view(folder: Path) -> Served:
    return Served(make_app(backend_of(ViewBackend, folder), TOKEN), "/", "/import/a.png", in_path=True)


def live(_: Path) -> Served:
    page = LivePage(Observer())
    page._server._listener.close()
    return Served(page.make_app(TOKEN), "/", "/ws", in_path=True)


def watch(_: Path) -> Served:
    job = ForegroundJob(source=VideoSource(place="0"), model=Model(name="median"))
    yard = Camera("yard", job, lambda *_: None, lambda _: None)
    app = application(
        CameraRoutes([yard], None, LiveCameras([yard])).table(), Authenticator(Access(token=TOKEN))
    )
    return Served(app, "/process", "/zones/yard")


def serve(_: Path) -> Served:
    app = for_programs(make_service(assistant(), Media()), TOKEN)
    return Served(app, "/health", "/predict", for_pages=False)


@pytest.fixture(params=[annotate, view, live, watch, serve], ids=lambda make: make.__name__)
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Served:
    make: Callable[[Path], Served] = request.param
    return make(tmp_path)


def test_requests_without_the_secret_are_refused(served: Served) -> None:
    assert served.get().status_code == 200
    for wrong in ("", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper()):
        assert served.get(wrong).status_code in (401, 403), wrong
        assert served.post(wrong).status_code in (401, 403), wrong


def test_secrets_cannot_be_tried_out_and_others_are_not_locked_out(served: Served) -> None:
    statuses = [served.get(f"guess-{number}").status_code for number in range(MAX_TRIES + 2)]
    assert statuses[-2:] == [429, 429]
    assert {*statuses[:-2]} <= {401, 403}
    assert served.get(sender="203.0.113.9").status_code == 200
    # A secret that segue made cannot be guessed: its page goes on. One that a person chose could be.
    assert served.get().status_code == (200 if served.in_path else 429)


def test_one_wrong_secret_again_and_again_locks_nobody_out(served: Served) -> None:
    """As of a page that was left open."""
    assert {served.get("of-yesterday").status_code for _ in range(3 * MAX_TRIES)} <= {401, 403}
    assert served.get().status_code == 200


def test_requests_of_foreign_pages_do_not_count_as_tries(served: Served) -> None:
    for number in range(2 * MAX_TRIES):
        image = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}
        assert served.get(f"guess-{number}", **image).status_code == 403
    assert served.get().status_code == 200


def test_a_foreign_page_can_neither_ask_nor_send(served: Served) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9", "http://["):
        assert served.get(origin=origin).status_code == 403, origin
        assert served.post(origin=origin, content_type="application/json").status_code == 403, origin
    if served.for_pages:
        assert served.post(content_type="text/plain").status_code == 403, "forms of others can send this"
        assert served.get(origin=HOST).status_code == 200
    else:
        assert served.get(origin=HOST).status_code == 403
        assert served.get(sec_fetch_site="same-origin").status_code == 403


def test_odd_names_of_the_machine_are_no_defect(served: Served) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example:8123", "[", "", "x" * 5000):
        status = served.get(host=host).status_code
        assert status == (403 if served.in_path else 200), host


def test_odd_credentials_are_no_defect(served: Served) -> None:
    basic = base64.b64encode(b"\xff\xfe:\x00").decode()
    for odd in (f"Basic {basic}", "Basic %%%", "Bearer", "Digest x", "Basic " + "A" * 5000):
        assert served.get("", authorization=odd).status_code in (401, 403), odd
    for cookie in (f"{SESSION}=token.9.9", f"{SESSION}=x", f"{SESSION}=token.{'9' * 5000}.0", "=;;\x7f="):
        assert served.get("", cookie=cookie).status_code in (401, 403), cookie
        assert served.get(cookie=cookie).status_code == 200, cookie


def test_every_answer_has_the_headers_that_protect_it(served: Served) -> None:
    answers = [served.get(), served.get("wrong"), served.post(origin="http://evil.example"), served.post()]
    for answer in answers:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"]


def test_no_secret_is_in_a_cookie(served: Served) -> None:
    cookie = served.get().headers.get("set-cookie", "")
    assert TOKEN not in cookie
    assert cookie == "" if served.in_path else "HttpOnly" in cookie
