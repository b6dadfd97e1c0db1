"""The page of a run: the newest frame for who looks, nothing for nobody, and the run never waits."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
from fastapi.testclient import TestClient
from PIL import Image as PillowImage
from starlette.websockets import WebSocketDisconnect

from segue.cancel import CancelToken
from segue.errors import SegueError
from segue.jobs import run
from segue.jobs.observer import Observer
from segue.jobs.values import ForegroundJob, ForegroundOptions, Model, Outputs, VideoSource
from segue.masks import decode_rle
from segue.types import Frame, ObjectInfo, Segmentation
from segue.video import live as cameras
from segue.video import open_source
from segue.video.events import Event
from segue.video.zones import Zone
from segue_web import live
from segue_web.live import LivePage
from tests.segue_web.chromium import launched
from tests.sessions.scenes import wall, with_squares

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


def ask(socket: Any) -> tuple[dict[str, Any], np.ndarray | None]:
    """What a page gets: the news, and the image where there is one."""
    socket.send_text("next")
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
        news, image = ask(one)
        assert image is not None
        assert abs(float(image[50].mean()) - 119) < 3
        assert news["run"]["done"] == 120
        assert "about" not in news
        assert ask(one)[1] is None, "nothing new"
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
        ((number, event),) = ask(socket)[0]["events"]
        assert (number, event["event"], event["direction"]) == (live.EVENTS + 6, "cross", "left")
        assert ask(socket)[0]["events"] == []


@pytest.mark.parametrize(
    ("error", "message"),
    [(None, "The run is done."), (SegueError("camera 0: lost"), "The run has ended: camera 0: lost")],
)
def test_pages_hear_how_the_run_has_ended_with_its_last_frame(
    page: LivePage,
    client: TestClient,
    error: SegueError | None,
    message: str,
) -> None:
    page.patience = page.farewell = WAIT
    with connect(client) as socket:
        socket.send_text("next")
        page.frame(*drawn_image(3), "")
        ending = threading.Thread(target=page.__exit__, args=(type(error) if error else None, error, None))
        ending.start()
        received = [json.loads(socket.receive_text())]
        assert socket.receive_bytes()[:2] == b"\xff\xd8"
        if not received[0]["ended"]:  # the frame was on its way before the end
            socket.send_text("next")
            received.append(json.loads(socket.receive_text()))
    ending.join()
    assert received[-1]["ended"] == message


def test_only_so_many_pages_are_open_at_once(page: LivePage, client: TestClient) -> None:
    page.most_pages = 1
    page.frame(*drawn_image(0), "")
    with connect(client) as socket:
        ask(socket)
        with pytest.raises(WebSocketDisconnect), connect(client):
            pass
    with connect(client) as socket:
        assert ask(socket)[1] is not None, "a page that is closed makes room"


class Camera:
    """A square that goes down the image; it waits before each frame until somebody allows some."""

    allowed = threading.Semaphore(0)
    given = 0

    def __init__(self, _: int) -> None: ...

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def read(self) -> tuple[bool, object]:
        cls = type(self)
        cls.allowed.acquire(timeout=WAIT)
        cls.given += 1
        place = (10 + 2 * cls.given, 10 * cls.given - 60)
        return True, np.ascontiguousarray(with_squares(wall(), [place])[..., ::-1])

    def release(self) -> None: ...


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[Camera]:
    class Ours(Camera):
        allowed = threading.Semaphore(0)

    monkeypatch.setattr(cameras.cv2, "VideoCapture", Ours)
    return Ours


@pytest.fixture
def watch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], tuple[str, Any]]]:
    """Starts a run on the camera with its page; gives the address, and what ends the run."""
    token = CancelToken()
    errors: list[BaseException] = []

    def carry_out() -> None:
        job = ForegroundJob(
            source=VideoSource(place="0", when_late="all"),
            model=Model(name="median"),
            outputs=Outputs(folder=tmp_path / "out", formats=("png", "events")),
            options=ForegroundOptions(objects=True),
            events=tmp_path / "events.csv",
            zones=("door=0,0 127,0 127,95 0,95",),
            device="cpu",
        )
        try:
            with LivePage(Observer()) as page:
                run(job, page, token)
        except BaseException as error:
            errors.append(error)
            raise

    thread = threading.Thread(target=carry_out)

    def start() -> tuple[str, Any]:
        thread.start()
        printed, until = "", time.monotonic() + WAIT
        while "http://" not in printed and time.monotonic() < until:
            time.sleep(0.02)
            printed += capsys.readouterr().out
        return printed.split()[-1], token.cancel

    yield start
    token.cancel()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert errors == []


def test_a_camera_is_watched_in_the_browser(
    watch: Callable[[], tuple[str, Any]], camera: type[Camera], tmp_path: Path
) -> None:
    from tests.segue_web.pages.page import check_accessibility, playwright

    for _ in range(4):
        camera.allowed.release()
    address, end = watch()
    with launched() as chromium:
        page = chromium.new_page(viewport={"width": 1000, "height": 700}, reduced_motion="reduce")
        expect, limit = playwright.expect, 1000 * WAIT
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        expect(page.locator("#frames")).to_contain_text("4 frames", timeout=limit)
        blank = page.locator("#canvas").screenshot()
        for _ in range(9):
            camera.allowed.release()
        expect(page.locator("#frames")).to_contain_text("13 frames", timeout=limit)
        expect(page.locator("#events li").first).to_contain_text("is in door", timeout=limit)
        expect(page.locator("#events li", has_text="has come")).not_to_have_count(0, timeout=limit)
        expect(page.locator("#rate")).to_contain_text("frames/s")
        expect(page.locator("#age")).to_contain_text("s late")
        masked = page.locator("#canvas").screenshot()
        assert masked != blank
        page.keyboard.press("h")
        page.keyboard.press("z")
        expect(page.locator("#masks")).to_have_attribute("aria-pressed", "false")
        assert page.locator("#canvas").screenshot() != masked
        page.keyboard.press("n")
        for share in ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.1, 0.9)):
            box = page.locator("#canvas").bounding_box()
            position = {"x": share[0] * box["width"], "y": share[1] * box["height"]}
            page.locator("#canvas").click(position=position)
        page.locator("#zone-back").click()
        page.locator("#zone-name").fill("way in")
        drawn = page.locator("#zone-text").text_content()
        zone = Zone.parse(drawn.removeprefix('--zone "').removesuffix('"'))
        assert (zone.name, len(zone.points)) == ("way in", 3)
        (x0, y0), (x1, y1), (x2, y2) = zone.points
        assert (y0, x1) == (y1, x2)
        assert x1 - x0 > 20 < y2 - y1
        check_accessibility(page)
        page.locator("#draw").click()
        expect(page.locator("#age")).to_contain_text("no new frame for", timeout=limit)
        page.set_viewport_size({"width": 390, "height": 760})
        check_accessibility(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        end()
        camera.allowed.release()
        expect(page.locator("#hint")).to_have_text("The run is done.", timeout=limit)
        assert problems == []
    assert "zone-enter" in (tmp_path / "events.csv").read_text()
