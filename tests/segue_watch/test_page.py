"""The page of cameras: clients that send half a request, or odd ones, cost nobody else anything."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest

from segue.events.table import Event, EventTable
from segue.jobs.values import ForegroundJob, Model, VideoSource
from segue.types import Frame, ObjectInfo, Segmentation
from segue_watch import camera as camera_module
from segue_watch.camera import Camera
from segue_watch.drawn import Change
from segue_watch.web.page import MAX_CONNECTIONS, CameraPage
from segue_web.server.slow_clients import PatientProtocol
from tests.events.stored import ask


def ignore(*_: str | Event) -> None: ...


@pytest.fixture
def saved() -> list[Change]:
    """The changes that were sent to the page."""
    return []


@pytest.fixture
def port(saved: list[Change]) -> Iterator[int]:
    job = ForegroundJob(source=VideoSource(place="0"), model=Model(name="median"))
    yard = Camera("yard", job, ignore, ignore)
    with CameraPage([yard], 0, lambda _, change: saved.append(change)) as page:
        yield urlsplit(page.address).port or 0


@contextmanager
def client(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection


def answer(port: int, request: bytes) -> bytes:
    """The first line of the answer, or nothing if the connection is closed."""
    with client(port) as connection:
        try:
            connection.sendall(request)
            return connection.makefile("rb").readline()
        except ConnectionError:
            return b""


def health(port: int) -> bytes:
    return answer(port, b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")


def hurry(monkeypatch: pytest.MonkeyPatch, **limits: float) -> None:
    """Give clients less time."""
    for name, seconds in (limits | {"look_seconds": 0.05}).items():
        monkeypatch.setattr(PatientProtocol, name, seconds)


HEAD = b"POST /zones/yard HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
HALVES = (b"", b"POST /zo", HEAD, HEAD + b"Content-Length: 100\r\n\r\n[")


@pytest.mark.parametrize("half", HALVES)
def test_half_sent_requests_take_no_place_from_others(port: int, half: bytes) -> None:
    before = threading.active_count()
    with ExitStack() as stack:
        for _ in range(120):
            with suppress(ConnectionError):
                stack.enter_context(client(port)).sendall(half)
            assert threading.active_count() - before <= 2 * MAX_CONNECTIONS, "each has a file"
        for _ in range(3):
            assert health(port) == b"HTTP/1.1 200 OK\r\n"


def test_the_rest_of_a_request_is_waited_for_so_long(
    port: int, monkeypatch: pytest.MonkeyPatch, saved: list[Change]
) -> None:
    hurry(monkeypatch, head_seconds=0.3, body_seconds=0.3)
    with ExitStack() as stack:
        clients = [stack.enter_context(client(port)) for _ in HALVES]
        for each, half in zip(clients, HALVES, strict=True):
            each.sendall(half)
        for each in clients:
            with suppress(ConnectionError):
                while each.recv(1000):
                    pass
    assert saved == []


def test_a_head_that_drips_in_for_ever_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch, head_seconds=0.3)
    wait = threading.Event()
    with client(port) as each, pytest.raises(ConnectionError):  # noqa: PT012
        each.sendall(HEAD[:-2])
        for _ in range(1000):
            each.sendall(b"a")
            wait.wait(0.02)


def test_a_client_that_does_not_read_its_answer_is_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch, answer_seconds=0.3)
    monkeypatch.setattr(Camera, "numbered_image", lambda _: (1, bytes(50_000_000)))
    with client(port) as each:
        each.sendall(b"GET /image/yard.jpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        taken = len(each.recv(1))  # it is being sent
        threading.Event().wait(1)  # longer than it has
        with suppress(ConnectionError):
            while part := each.recv(1 << 20):
                taken += len(part)
        assert taken < 50_000_000


ODD = {
    "long length": HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n[]",
    "negative length": HEAD + b"Content-Length: -5\r\n\r\n[]",
    "large body": HEAD + b"Content-Length: 70000\r\n\r\n[",
    "no length": HEAD + b"\r\n",
    "chunked": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
    "no JSON": HEAD + b"Content-Length: 3\r\n\r\n\xff\xfe[",
    "deep": HEAD + b"Content-Length: 60000\r\n\r\n" + b"[" * 60000,
    "number": HEAD + b"Content-Length: 5000\r\n\r\n" + b"9" * 5000,
    "no HTTP": b"POST \x16\x03\x01 FTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("request_", ODD.values(), ids=ODD)
def test_odd_requests_are_refused_without_a_traceback(
    port: int, capfd: pytest.CaptureFixture[str], saved: list[Change], request_: bytes
) -> None:
    with client(port) as each:
        each.sendall(request_)
        assert b"400" in each.recv(1000), "an answer to what is no HTTP has no first line"
    assert saved == []
    assert health(port) == b"HTTP/1.1 200 OK\r\n"
    assert capfd.readouterr().err == ""


def test_a_client_that_resets_its_connection_leaves_no_traceback(
    port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked, go_on = threading.Semaphore(0), threading.Event()

    def image(_: Camera) -> tuple[int, bytes]:
        asked.release()
        go_on.wait(10)
        return 1, bytes(10_000_000)

    monkeypatch.setattr(Camera, "numbered_image", image)
    for request in (*HALVES, b"GET /image/yard.jpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"):
        with client(port) as each:
            each.sendall(request)
            if request.startswith(b"GET"):
                asked.acquire()
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    go_on.set()
    assert health(port) == b"HTTP/1.1 200 OK\r\n"
    assert capfd.readouterr().err == ""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The folder of images of a camera, of which a table of before the store names two."""
    folder = tmp_path / "yard"
    folder.mkdir()
    (folder / "00001-enter-1.jpg").write_bytes(b"image")
    (folder / "00001-enter-1.mp4").write_bytes(bytes(range(100)))
    (folder / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "yard.csv.job.json").write_bytes(b"secret")
    written = EventTable(tmp_path / "yard.csv")
    names = {"snapshot": "00001-enter-1.jpg", "clip": "00001-enter-1.mp4"}
    written.add(asdict(Event("enter", 1, 0, 0.0, 0, 0, 9, 9, 81, 0.0, 81)) | names)
    written.add(asdict(Event("enter", 2, 0, 0.0, 0, 0, 9, 9, 81, 0.0, 81)))  # without an image
    written.close()
    return folder


@pytest.fixture
def served(archive: Path) -> Iterator[str]:
    job = ForegroundJob(
        source=VideoSource(place="0"), model=Model(name="median"), events=archive.with_suffix(".csv")
    )
    with CameraPage([Camera("yard", job, ignore, ignore)], 0) as page:
        yield page.address


def fetched(address: str, **headers: str) -> tuple[int, bytes, str]:
    try:
        with urlopen(Request(address, headers=headers), timeout=10) as reply:
            return reply.status, reply.read(), reply.headers.get("Content-Range", "")
    except HTTPError as error:
        with error:
            return error.code, error.read(), error.headers.get("Content-Range", "")


def test_a_player_gets_the_part_of_a_clip_that_it_asks_for(served: str) -> None:
    clip = f"{served}files/yard/00001-enter-1.mp4"
    assert fetched(clip) == (200, bytes(range(100)), "")
    assert fetched(clip, Range="bytes=10-19") == (206, bytes(range(10, 20)), "bytes 10-19/100")
    assert fetched(clip, Range="bytes=90-") == (206, bytes(range(90, 100)), "bytes 90-99/100")
    assert fetched(clip, Range="bytes=90-9999")[1] == bytes(range(90, 100))
    assert fetched(clip, Range="bytes=200-300") == (416, b"", "bytes */100")
    assert fetched(f"{served}files/yard/00001-enter-1.jpg")[1] == b"image"


@pytest.mark.parametrize(
    "path",
    [
        "files/yard/secret.jpg",
        "files/yard/../yard.csv.job.json",
        "files/yard/%2e%2e/yard.csv.job.json",
        "files/other/00001-enter-1.jpg",
        "files/yard/20261121T205300Z/00001-enter-1.jpg",
        "static/../page.py",
        "static/index.html",
        "static/none.js",
        "nothing",
    ],
)
def test_other_files_of_the_folder_are_not_served(served: str, path: str) -> None:
    assert fetched(served + path)[0] == 404


def test_scripts_of_the_page_are_sent_with_their_types(served: str) -> None:
    for name, kind in (
        ("watch.js", "text/javascript"),
        ("app.css", "text/css"),
        ("icon.svg", "image/svg+xml"),
    ):
        with urlopen(f"{served}static/{name}", timeout=10) as reply:
            assert reply.headers.get_content_type() == kind


def post(served: str, **values: object) -> tuple[int, dict[str, Any]]:
    """Set a mark of a visit; gives the status and the marks then."""
    visit = values.pop("visit", 1)
    change = {"visits": [visit], "mark": "kept", "value": True}
    head = {"Content-Type": "application/json"}
    request = Request(f"{served}marks/yard", json.dumps(change | values).encode(), head)
    try:
        with urlopen(request, timeout=10) as reply:
            return reply.status, json.load(reply)[str(visit)]
    except HTTPError as error:
        with error:
            return error.code, {}


def kept(archive: Path) -> list[int]:
    return [number for (number,) in ask(archive.with_suffix(".csv"), "select id from visits where kept = 1")]


def test_marks_are_taken_of_visits_that_there_are_and_nothing_else(served: str, archive: Path) -> None:
    assert post(served) == (200, {"reviewed": False, "kept": True, "by": ""})
    assert kept(archive) == [1]
    assert post(served, value=False) == (200, {"reviewed": False, "kept": False, "by": ""})
    assert kept(archive) == []
    for odd in (
        {"visits": [99]},
        {"visits": ["1"]},
        {"visits": [-1]},
        {"visits": [1 << 70]},
        {"visits": [1.5]},
        {"visits": []},
        {"visits": None},
        {"value": 1},
        {"mark": "starred"},
        {"part": "x"},
        {"reviewed": True},
    ):
        assert post(served, **odd)[0] == 400
    assert kept(archive) == []


def test_a_visit_without_images_is_reviewed_and_kept_too(served: str, archive: Path) -> None:
    assert post(served, visit=2, mark="reviewed") == (200, {"reviewed": True, "kept": False, "by": ""})
    (archive / "00001-enter-1.jpg").unlink()
    assert post(served, visit=1)[1]["kept"]
    assert kept(archive) == [1]


def test_a_mark_of_one_person_takes_back_none_of_another(served: str, archive: Path) -> None:
    """Both have loaded the visit without marks, and each sets one, at the same moment."""
    for value in (True, False) * 5:
        start = threading.Barrier(2)

        def person(mark: str, value: bool = value, start: threading.Barrier = start) -> tuple[int, bool]:
            start.wait(30)
            status, marks = post(served, mark=mark, value=value)
            return status, marks[mark]

        with ThreadPoolExecutor(2) as people:
            assert [*people.map(person, ("reviewed", "kept"))] == [(200, value)] * 2
        rows = ask(archive.with_suffix(".csv"), "select reviewed, kept from visits where id = 1")
        assert rows == [(value, value)]


def test_a_person_learns_what_another_has_marked(served: str) -> None:
    assert post(served, mark="kept")[1] == {"reviewed": False, "kept": True, "by": ""}
    assert post(served, mark="reviewed")[1] == {"reviewed": True, "kept": True, "by": ""}


@pytest.mark.filterwarnings("ignore::segue.events.store.importing.ImportWarning")
def test_a_mark_is_refused_where_the_file_of_marks_of_before_is_damaged(served: str, archive: Path) -> None:
    (archive / "marks.json").write_text('{"00001-enter-1.jpg": {"kept": true}')
    assert post(served, mark="reviewed") == (400, {})
    assert (archive / "marks.json").read_text() == '{"00001-enter-1.jpg": {"kept": true}'
    assert len(json.loads(fetched(f"{served}events")[1])["events"]) == 2


def test_images_of_all_parts_are_sent(served: str, archive: Path) -> None:
    part = archive / "20261121T205300Z"
    part.mkdir()
    (part / "00002-enter-2.jpg").write_bytes(b"of a part")
    address = f"{served}files/yard/20261121T205300Z/00002-enter-2.jpg"
    assert fetched(address)[1] == b"of a part"


def test_events_and_counts_are_those_of_the_tables(served: str, archive: Path) -> None:
    """Hours and days come from whoever asks: no bar is that of a day where an hour was meant."""
    quarter = 900 * (time.time() // 900)
    written = EventTable(archive.with_suffix(".csv"))
    for number, back in enumerate((0, 0, 3600, 7200, 90_000), 1):
        at = datetime.fromtimestamp(quarter - back).astimezone().isoformat(timespec="milliseconds")
        written.add(asdict(Event("enter", number, 0, 0.0, 0, 0, 9, 9, 81, 0.0, 81, at=at)))
    written.flush()

    def counted(*back: int) -> list[int]:
        edges = ",".join(str(round(quarter - each)) for each in back)
        counts = json.loads(fetched(f"{served}counts?edges={edges}&camera=yard")[1])["counts"]
        return [each["events"].get("enter", 0) for each in counts]

    assert counted(7200, 3600, 0) == [1, 1, 2]
    assert counted(172_800, 86_400) == [1, 4]
    first = json.loads(fetched(f"{served}events?limit=2")[1])
    rest = json.loads(fetched(f"{served}events?limit=9&cursor={first['next']}")[1])
    assert [each["object"] for each in (*first["events"], *rest["events"])] == ["5", "4", "3", "2", "1"]
    assert (rest["next"], rest["problems"]) == (None, [])


@pytest.mark.parametrize(
    "question",
    [
        *("events?limit=x", "events?cursor=x", "counts", "counts?edges=7", "counts?edges=900&before=x"),
        *("visits?before=nan", "events?before=nan", "visits?place=inf/yard//1", "visits?place=yard/inf"),
        *("events?place=nan/yard//1", "visits?after=-inf", f"visits?place=yard/{'9' * 30}x"),
    ],
)
def test_questions_that_mean_nothing_are_refused(served: str, question: str) -> None:
    assert fetched(served + question)[0] == 400


def test_viewers_get_each_frame_as_it_comes_encoded_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded, encode = list[int](), camera_module.cv2.imencode

    def count(*arguments: Any) -> Any:
        encoded.append(1)
        return encode(*arguments)

    monkeypatch.setattr(camera_module.cv2, "imencode", count)
    job = ForegroundJob(source=VideoSource(place="0"), model=Model(name="median"))
    yard = Camera("yard", job, ignore, ignore)

    def show(value: int) -> None:
        image, mask = np.full((48, 64, 3), value, np.uint8), np.zeros((48, 64), np.uint8)
        yard.frame(Frame(value, 0.0, image), Segmentation(value, 0.0, mask, ()), "")

    def look(after: str) -> tuple[str, int]:
        with urlopen(f"{page.address}image/yard.jpg{after}", timeout=30) as response:
            image = cv2.imdecode(np.frombuffer(response.read(), np.uint8), cv2.IMREAD_COLOR)
            return response.headers["Frame"], round(float(np.asarray(image).mean()))

    with CameraPage([yard], 0) as page, ThreadPoolExecutor(4) as viewers:
        yard.on_frame = page.changed
        show(50)
        assert [*viewers.map(look, [""] * 4)] == [("1", 50)] * 4
        waiting = [viewers.submit(look, "?after=1") for _ in range(4)]
        assert not any(each.done() for each in waiting)
        show(90)
        assert [each.result(30) for each in waiting] == [("2", 90)] * 4
        assert look("?after=1") == ("2", 90), "who is late gets the newest one"
        begin = time.monotonic()
        assert look("?after=2") == ("2", 90), "a camera that gives nothing"
        assert time.monotonic() - begin > 1
    assert len(encoded) == 2


def test_a_place_that_is_scene_is_told_and_taken_back() -> None:
    job = ForegroundJob(source=VideoSource(place="0"), model=Model(name="median"))
    told: list[str] = []
    yard = Camera("yard", job, lambda _, text: told.append(text), ignore)
    for number in range(1, 6):
        for index in range(3):
            yard.memory.scenery.update(swaying(10 * number + index, number))
        yard.memory.scenery.update(swaying(10 * number + 5, 0))
    assert len(told) == 1
    assert "it is now scene" in told[0]
    with CameraPage([yard], 0) as page:
        [place] = json.loads(fetched(f"{page.address}states")[1])["yard"]["scene"]
        assert place["box"][0] < 0.1 < place["box"][2]
        bodies = ({"number": place["number"] + 1}, {"number": "1"}, [], {"number": place["number"]})
        assert [reject(page.address, body) for body in bodies] == [400, 400, 400, 204]
        assert json.loads(fetched(f"{page.address}states")[1])["yard"]["scene"] == []


def reject(address: str, body: object) -> int:
    """Ask for a place to be watched again; gives the status."""
    head = {"Content-Type": "application/json"}
    request = Request(f"{address}scene/yard", json.dumps(body).encode(), head)
    with suppress(HTTPError), urlopen(request, timeout=10) as reply:
        return int(reply.status)
    return 400


def swaying(index: int, number: int) -> Segmentation:
    """A result with an object at one place, or without one."""
    mask = np.zeros((50, 100), np.uint8)
    mask[5:15, 5:20] = number
    return Segmentation(index, float(index), mask, (ObjectInfo(number),) if number else ())
