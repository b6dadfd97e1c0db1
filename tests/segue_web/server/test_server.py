"""The server lets nobody in but its own page, and stays up whatever it is sent."""

from __future__ import annotations

import asyncio
import hmac
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from segue.errors import SegueError
from segue_web.annotate import AnnotateBackend
from segue_web.exports import remove_unfinished
from segue_web.server import messages
from segue_web.server.server import _zipped, make_app
from segue_web.video import Video
from tests.segue_web.limited_files import files_limited_to
from tests.segue_web.videos import numbered, write_video
from tests.waiting import wait_for

TOKEN = "s3cret-of-this-run"
HOST = "http://127.0.0.1:8123"


class Failing(AnnotateBackend):
    """A backend that fails when it is asked to."""

    def __init__(self, video: Video, folder: Path) -> None:
        super().__init__(video, folder / "project")
        self.folder, self.taken, self.uploads = folder, list[bytes](), list[Path]()

    async def _stop_export(self) -> None:
        raise SegueError("nothing is computed")

    async def _prepare(self, frame: messages.Index) -> None:
        raise RuntimeError("a defect")

    def _settings(self, values: messages.Settings) -> None:
        self.send({"event": "changed", "revision": 7})

    async def import_file(self, name: str, path: Path, number: int | None = None) -> dict[str, Any]:
        self.taken.append(path.read_bytes())
        self.uploads.append(path)
        return {"upload": name}

    def export_file(self, name: str, place: str | None = None) -> Path | None:
        return {"masks.json": self.folder / "masks.json", "masks": self.folder / "masks"}.get(name)


@pytest.fixture
def backend(tmp_path: Path) -> Failing:
    (tmp_path / "masks.json").write_text("[]")
    return Failing(Video(write_video(tmp_path / "video.mp4", numbered(4))), tmp_path)


@pytest.fixture
def client(backend: Failing) -> Iterator[TestClient]:
    with TestClient(make_app(backend, TOKEN), base_url=HOST, raise_server_exceptions=False) as client:
        yield client


def connect(client: TestClient, token: str = TOKEN, **headers: str) -> Any:
    return client.websocket_connect(
        f"/{token}/ws", headers={"host": "127.0.0.1:8123", "origin": HOST} | headers
    )


def test_the_page_and_its_parts_are_served(client: TestClient) -> None:
    page = client.get(f"/{TOKEN}/")

    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    for name, kind in (("app.js", "text/javascript"), ("app.css", "text/css"), ("icon.svg", "image/svg+xml")):
        part = client.get(f"/{TOKEN}/static/{name}")
        assert part.status_code == 200
        assert part.headers["content-type"].startswith(kind)
        assert part.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"/{TOKEN}/frame/3.jpg").content[:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    "path", ["/", "/wrong/", "/wrong/static/app.js", "/wrong/frame/0.jpg", f"/{TOKEN[:-1]}/"]
)
def test_without_the_secret_nothing_is_answered(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8123", ""])
def test_another_name_of_this_machine_is_refused(client: TestClient, host: str) -> None:
    assert client.get(f"/{TOKEN}/", headers={"host": host}).status_code == 403


def test_a_foreign_page_cannot_ask_nor_send(client: TestClient) -> None:
    evil = {"origin": "http://evil.example"}

    assert client.get(f"/{TOKEN}/frame/0.jpg", headers=evil).status_code == 403
    assert client.post(f"/{TOKEN}/import/a.png", content=b"x", headers=evil).status_code == 403
    assert client.post(f"/{TOKEN}/import/a.png", content=b"x").status_code == 403


def test_a_page_hears_whether_we_know_its_secret_before_it_sends_it(client: TestClient) -> None:
    challenge = "0123456789abcdef" * 2

    answer = client.get(f"/proof/{challenge}")

    assert answer.text == hmac.new(TOKEN.encode(), challenge.encode(), "sha256").hexdigest()
    assert client.get(f"/proof/{challenge}", headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get("/proof/short").status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"host": "evil.example"}, {"token": "wrong"}],
)
def test_a_foreign_socket_is_closed(client: TestClient, wrong: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect), connect(client, **wrong):
        pass


@pytest.mark.parametrize(
    "path",
    [
        "static/..%2Fserver.py",
        "static/%2e%2e/server.py",
        "static/../server.py",
        "static/%2Fetc%2Fpasswd",
        "exports/..%2Fvideo.mp4",
        "exports/%2e%2e%2fproject.db",
        "exports/../../etc/passwd",
        "frame/../../video.mp4",
        "frame/0.jpg%00.png",
    ],
)
def test_paths_outside_of_the_page_are_refused(client: TestClient, path: str) -> None:
    answer = client.get(f"/{TOKEN}/{path}")

    assert answer.status_code in (403, 404, 422)
    assert b"def serve" not in answer.content
    assert b"root:" not in answer.content


def test_an_export_is_handed_out_by_its_name(client: TestClient) -> None:
    assert client.get(f"/{TOKEN}/exports/masks.json").content == b"[]"
    assert client.get(f"/{TOKEN}/exports/other.json").status_code == 404


def test_a_folder_for_whose_archive_the_disk_has_no_room_is_told_so(
    client: TestClient, backend: Failing
) -> None:
    (backend.folder / "masks").mkdir()
    (backend.folder / "masks" / "00000.png").write_bytes(b"a mask")
    before = {path.name for path in backend.folder.iterdir()}
    with files_limited_to(0):
        answer = client.get(f"/{TOKEN}/exports/masks")
    assert answer.status_code == 507
    assert "masks.zip: " in answer.json()["error"]
    answer = client.get(f"/{TOKEN}/exports/masks")
    assert zipfile.ZipFile(io.BytesIO(answer.content)).read("masks/00000.png") == b"a mask"
    assert {path.name for path in backend.folder.iterdir()} == before, "no second copy stays"


def test_the_archive_of_a_folder_stays_while_it_is_sent_and_goes_at_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    (folder / "00000.png").write_bytes(b"a mask")
    with ExitStack() as stack:
        archives = [_zipped(folder, stack) for _ in range(2)]
        left = (tmp_path / ".masks.0123abcd.partial", tmp_path / ".masks.89abcdef.segue.partial")
        for path in left:  # of processes that were killed, also of an earlier version
            path.mkdir()
        remove_unfinished(tmp_path)  # another page starts
        assert all(zipfile.ZipFile(path).namelist() == ["masks/00000.png"] for path in archives)
        assert not any(path.exists() for path in left)
    assert [path.name for path in tmp_path.iterdir()] == ["masks"]


@pytest.mark.parametrize("index", ["4", "-1", "x", "99999999999999999999"])
def test_frames_that_are_not_there_are_told_so(client: TestClient, index: str) -> None:
    assert client.get(f"/{TOKEN}/frame/{index}.jpg").status_code in (404, 422)


MALFORMED = [
    "no json",
    "[]",
    "null",
    "{}",
    '{"id": 1}',
    '{"id": 1, "op": "launch"}',
    '{"id": "one", "op": "stop"}',
    '{"id": 1, "op": "stop", "more": 1}',
    '{"id": 1, "op": "look", "frames": [-1]}',
    f'{{"id": 1, "op": "look", "frames": {list(range(65))}}}',
    '{"id": 1, "op": "click", "frame": 0, "object": 0, "seen": 0}',
    '{"id": 1, "op": "click", "frame": 0, "object": 1, "seen": 0, "points": [[1e999, 0, true]]}',
    '{"id": 1, "op": "click", "frame": 0, "object": 1, "seen": 0, "points": [[1, 0]]}',
    '{"id": 1, "op": "object", "object": 1, "colour": "red; x"}',
    '{"id": 1, "op": "export", "format": "../../x"}',
    f'{{"id": 1, "op": "settings", "values": {{"a": "{"x" * 300}"}}}}',
    "[" * 20000,
]


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_a_message_that_is_none_gets_one_line_and_the_socket_stays(client: TestClient, text: str) -> None:
    with connect(client) as socket:
        socket.send_text(text)
        answer = json.loads(socket.receive_text())
        assert "\n" not in answer["error"]
        assert len(answer["error"]) < 300
        socket.send_text('{"id": 5, "op": "look", "frames": []}')
        assert json.loads(socket.receive_text()) == {"id": 5, "frames": []}


def test_a_message_beyond_the_limit_is_refused() -> None:
    with pytest.raises(SegueError):
        messages.parse(" " * (messages.MAX_BYTES + 1))


def test_errors_of_the_user_and_defects_are_told_apart(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    with connect(client) as socket:
        socket.send_text('{"id": 1, "op": "stop_export"}')
        assert json.loads(socket.receive_text()) == {"id": 1, "error": "nothing is computed", "stale": False}
        socket.send_text('{"id": 2, "op": "prepare", "frame": 1}')
        assert json.loads(socket.receive_text())["error"].startswith("internal error in segue;")
    assert "a defect" in capsys.readouterr().err


def test_every_page_hears_of_a_change(client: TestClient) -> None:
    with connect(client) as one, connect(client) as two:
        one.send_text('{"id": 1, "op": "settings", "values": {"theme": "dark"}}')
        assert json.loads(two.receive_text()) == {"event": "changed", "revision": 7}
        assert json.loads(one.receive_text()) == {"event": "changed", "revision": 7}
        assert json.loads(one.receive_text())["id"] == 1


def test_a_page_that_goes_before_it_is_greeted_shows_no_video(
    client: TestClient, backend: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, shown, goes = list[str](), list[int | None](), threading.Event()

    async def handle(request: messages.PageRequest) -> dict[str, Any]:
        calls.append("begun")
        while not goes.is_set():
            await asyncio.sleep(0.01)
        calls.append("ended")
        return {"video": {"number": 2}}

    monkeypatch.setattr(backend, "handle", handle)
    monkeypatch.setattr(backend, "joined", shown.append)
    with connect(client) as page:
        page.send_text('{"id": 1, "op": "hello"}')
        wait_for(lambda: calls == ["begun"])
    goes.set()
    wait_for(lambda: calls == ["begun", "ended"])
    with connect(client) as page:  # after what the answer of the first one leads to
        page.send_text('{"id": 1, "op": "hello"}')
        page.receive_text()
        assert shown == [2]


def test_an_upload_is_taken_in_and_removed(client: TestClient, backend: Failing) -> None:
    answer = client.post(f"/{TOKEN}/import/masks.zip", content=b"abc", headers={"origin": HOST})

    assert answer.json() == {"upload": "masks.zip"}
    assert backend.taken == [b"abc"]
    assert [path.name for path in backend.uploads] == ["upload.zip"]
    assert not backend.uploads[0].parent.exists()


def test_an_upload_beyond_the_limit_is_refused(backend: Failing) -> None:
    client = TestClient(make_app(backend, TOKEN, max_upload=10), base_url=HOST)
    answer = client.post(f"/{TOKEN}/import/masks.zip", content=b"a" * 11, headers={"origin": HOST})

    assert answer.status_code == 413
    assert backend.taken == []


def test_a_page_that_does_not_read_is_dropped_before_its_messages_fill_the_memory(backend: Failing) -> None:
    async def run() -> int:
        app = make_app(backend, TOKEN, most_waiting=1000)
        coming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        coming.put_nowait({"type": "websocket.connect"})
        accepted = asyncio.Event()

        async def send(message: Any) -> None:
            accepted.set()
            if message["type"] == "websocket.send":
                await asyncio.Event().wait()  # nobody reads

        headers = [(b"host", b"127.0.0.1:8123"), (b"origin", HOST.encode())]
        scope = {"type": "websocket", "path": f"/{TOKEN}/ws", "headers": headers, "query_string": b""}
        async with app.router.lifespan_context(app):
            talk = asyncio.create_task(app(scope, coming.get, send))
            await accepted.wait()
            sent = 0
            while not talk.done():
                backend.send({"event": "changed", "text": "x" * 90})
                sent += 1
                await asyncio.sleep(0)
            await talk
        return sent

    sent = asyncio.run(asyncio.wait_for(run(), 30))
    assert 8 < sent < 100, "some wait, others are not kept"
