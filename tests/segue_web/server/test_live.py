"""The page of a run: the newest frame for who looks, nothing for nobody, and the run never waits."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")
from PIL import Image as PillowImage
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from segue.errors import SegueError
from segue.events.sink import Event
from segue.events.zones import Zone
from segue.jobs.observer import Observer
from segue.masks import decode_rle
from segue.types import Frame, ObjectInfo, Segmentation
from segue.video import open_source
from segue_web.server import live
from segue_web.server.live import LivePage

TOKEN, HOST = "s3cret-of-this-run", "http://127.0.0.1:8123"
WAIT = 60.0  # seconds; a busy machine is no defect


def drawn_image(index: int, size: tuple[int, int] = (96, 128)) -> tuple[Frame, Segmentation]:
    """A grey frame as bright as its index, with an object on some of its pixels."""
    mask = np.zeros(size, np.uint8)
    mask[: size[0] // 4, : size[1] // 2] = 3
    frame = Frame(index, index / 25, np.full((*size, 3), index % 256, np.uint8))
    return frame, Segmentation(index, index / 25, mask, (ObjectInfo(3, "car"),))


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[LivePage]:
    """The page of a run that is ready; its own server is not started."""
    monkeypatch.setattr(live.LocalServer, "start", lambda _: None)
    with LivePage(Observer()) as made:
        made.patience = made.farewell = 0.1
        made.ready(open_source([np.zeros((96, 128, 3), np.uint8)]), (Zone.parse("door=1,2 30,2 30,40"),))
        made.begin("frames", 500)
        yield made


@pytest.fixture
def client(page: LivePage) -> Iterator[TestClient]:
    with TestClient(page.make_app(TOKEN), base_url=HOST) as client:
        yield client


def connect(client: TestClient) -> Any:
    return client.websocket_connect(f"/{TOKEN}/ws", headers={"host": "127.0.0.1:8123", "origin": HOST})


def request(**seen: Any) -> str:
    """Ask for the news since what a page has."""
    return json.dumps({"id": 1, "op": "next", **seen})


def ask(socket: Any, **seen: Any) -> tuple[dict[str, Any], np.ndarray | None]:
    """What a page gets: the news, and the image where there is one."""
    socket.send_text(request(**seen))
    news = json.loads(socket.receive_text())
    if "image" not in news:
        return news, None
    return news, np.asarray(PillowImage.open(io.BytesIO(socket.receive_bytes())))


def test_the_newest_frame_wins_and_is_compressed_once_for_all_pages(
    page: LivePage, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    original = live.measure

    def measured(mask: np.ndarray) -> Any:
        made.append(round(float(page._done.frame.image[50].mean())))
        return original(mask)

    monkeypatch.setattr(live, "measure", measured)
    for index in range(20):
        page.frame(*drawn_image(index), "")
    assert made == [], "nobody looks"
    with connect(client) as one, connect(client) as two:
        for socket in (one, two):
            news, image = ask(socket)
            assert image is not None
            assert image.shape == (96, 128, 3)
            assert abs(float(image[50].mean()) - 19) < 3
            assert news["about"]["zones"] == [
                {"name": "door", "points": [[1, 2], [30, 2], [30, 40]], "percent": False, "line": False}
            ]
            assert news["image"]["labels"] == {"3": "car"}
            assert news["run"]["total"] == 500
            found = decode_rle({"size": [96, 128], "counts": news["image"]["masks"]["3"]})
            assert np.array_equal(found, drawn_image(19)[1].mask == 3)
        for index in range(20, 120):  # the pages are slow: they see none of these but the last
            page.frame(*drawn_image(index), "")
        news, image = ask(one, image=news["image"]["number"], about=False)
        assert image is not None
        assert abs(float(image[50].mean()) - 119) < 3
        assert news["run"]["done"] == 120
        assert "about" not in news
        assert ask(one, image=news["image"]["number"])[1] is None, "nothing new"
    assert made == [19, 119]


def test_the_page_of_a_camera_whose_images_are_reduced_places_zones_by_the_camera(
    page: LivePage, client: TestClient
) -> None:
    page.ready(open_source([np.zeros((960, 1280, 3), np.uint8)], max_size=128), ())
    page.frame(*drawn_image(7), "")
    with connect(client) as socket:
        news, _ = ask(socket)
    assert news["image"]["full"] == [960, 1280]


def test_large_frames_are_reduced(page: LivePage, client: TestClient) -> None:
    page.ready(open_source([np.zeros((1080, 2560, 3), np.uint8)]), ())
    page.frame(*drawn_image(7, (1080, 2560)), "")
    with connect(client) as socket:
        news, image = ask(socket)
    assert image is not None
    assert image.shape == (540, 1280, 3)
    assert (news["image"]["size"], news["image"]["full"]) == ([540, 1280], [1080, 2560])
    assert decode_rle({"size": [540, 1280], "counts": news["image"]["masks"]["3"]}).sum() == 135 * 640


def test_a_page_gets_each_event_once_and_a_new_page_the_last_ones(page: LivePage, client: TestClient) -> None:
    for number in range(live.EVENTS + 5):
        page.event(Event("enter", number, number, number / 25, 1, 2, 3, 4, 9, 0.0, 9))
    with connect(client) as socket:
        events = ask(socket)[0]["events"]
        assert [event["object"] for _, event in events] == list(range(5, live.EVENTS + 5))
        page.event(Event("cross", 4, 9, 0.4, 1, 2, 3, 4, 9, 0.0, 9, zone="door", direction="left"))
        ((number, event),) = ask(socket, event=live.EVENTS + 5)[0]["events"]
        assert (number, event["event"], event["direction"]) == (live.EVENTS + 6, "cross", "left")
        assert ask(socket, event=number)[0]["events"] == []


@pytest.mark.parametrize(
    ("error", "message"),
    [(None, "The run finished."), (SegueError("camera 0: lost"), "The run has ended: camera 0: lost")],
)
def test_pages_hear_how_the_run_has_ended_with_its_last_frame(
    page: LivePage,
    client: TestClient,
    error: SegueError | None,
    message: str,
) -> None:
    page.patience = page.farewell = WAIT
    with connect(client) as socket:
        socket.send_text(request())
        page.frame(*drawn_image(3), "")
        ending = threading.Thread(target=page.__exit__, args=(type(error) if error else None, error, None))
        ending.start()
        received = [json.loads(socket.receive_text())]
        assert socket.receive_bytes()[:2] == b"\xff\xd8"
        if not received[0]["ended"]:  # the frame was on its way before the end
            socket.send_text(request(image=received[0]["image"]["number"]))
            received.append(json.loads(socket.receive_text()))
    ending.join()
    assert received[-1]["ended"] == message


def test_only_so_many_pages_are_open_at_once(page: LivePage, client: TestClient) -> None:
    page._hub.max_pages = 1
    page.frame(*drawn_image(0), "")
    with connect(client) as socket:
        ask(socket)
        with pytest.raises(WebSocketDisconnect), connect(client) as other:
            other.receive_text()
    with connect(client) as socket:
        assert ask(socket)[1] is not None, "a page that is closed makes room"
