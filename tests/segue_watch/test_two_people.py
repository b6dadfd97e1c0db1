"""Two people send each change of the page of cameras at the same moment, 200 times: nothing is lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette")

from segue.events.scene.scenery import SceneryRecord
from segue_watch.camera import Camera
from segue_watch.configuration import read_cameras
from segue_watch.drawn import Change, save_change
from segue_watch.web.live import LiveCameras
from segue_watch.web.page import CameraPage, CameraRoutes
from tests.events.stored import ask, store_of
from tests.segue_watch.test_history import event

TEXT = """
[cameras.gate]
source = "rtsp://127.0.0.1:9/none"
model = "median"
"""

IMAGE = "00001-enter-1.jpg"

Send = Callable[..., list[tuple[int, Any]]]


@pytest.fixture(params=[10, pytest.param(200, marks=pytest.mark.slow)])
def rounds(request: pytest.FixtureRequest) -> int:
    """How often they send each change."""
    return int(request.param)


@pytest.fixture
def gate(tmp_path: Path) -> Camera:
    (tmp_path / "cameras.toml").write_text(TEXT)
    (tmp_path / "gate").mkdir()
    store_of(tmp_path / "gate.db", [event(1) | {"snapshot": IMAGE}]).close()
    job = read_cameras(tmp_path / "cameras.toml", tmp_path)["gate"]
    return Camera("gate", job, lambda *_: None, lambda _: None)


@pytest.fixture
def send(gate: Camera, tmp_path: Path) -> Iterator[Send]:
    """Sends changes at one moment, each of a person; gives statuses and answers."""
    lock, start = threading.Lock(), threading.Barrier(2)

    def save(name: str, change: Change) -> None:
        with lock:
            gate.change(save_change(tmp_path / "cameras.toml", tmp_path, name, change, gate.check))

    def person(port: int, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        start.wait(60)
        connection.request("POST", f"/{path}/gate", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json else text

    with CameraPage([gate], 0, save) as page, ThreadPoolExecutor(2) as people:
        port = urlsplit(page.address).port or 0
        yield lambda path, *bodies: [*people.map(lambda body: person(port, path, body), bodies)]


def region(name: str, number: int) -> str:
    return f"{name}=0%,0% {number % 90 + 1}%,0% 50%,{number % 80 + 1}%"


KINDS: dict[str, tuple[Callable[[Camera], tuple[str, ...]], Callable[[int, int], str]]] = {
    "zones": (lambda gate: gate.job.zones, lambda who, number: region("ab"[who], number)),
    "ignored": (lambda gate: gate.job.ignore, lambda who, number: region("ab"[who], number)),
    "lines": (lambda gate: gate.job.zones, lambda who, number: f"{'ab'[who]}=0%,0% {number % 90 + 1}%,9%"),
    "heights": (lambda gate: gate.job.min_height, lambda who, number: f"{100 + who}:{number % 50 + 5}"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_both_draw_and_of_two_who_change_one_thing_the_second_is_told(
    kind: str, gate: Camera, send: Send, rounds: int
) -> None:
    texts, make = KINDS[kind]
    path = "zones" if kind == "lines" else kind
    for number in range(rounds):
        first, second = make(0, number), make(1, number)
        added = send(path, {"previous": None, "new": first}, {"previous": None, "new": second})
        assert [status for status, _ in added] == [204, 204], added
        assert {*texts(gate)} == {first, second}
        others = make(0, number + 7), make(0, number + 3)
        answers = send(path, *({"previous": first, "new": other} for other in others))
        assert sorted(status for status, _ in answers) == [204, 409], answers
        winner = [status for status, _ in answers].index(204)
        assert {*texts(gate)} == {others[winner], second}
        assert {*answers[1 - winner][1]["current"]} == {others[winner], second}
        removals = send(path, *({"previous": others[winner], "new": None} for _ in "ab"))
        assert sorted(status for status, _ in removals) == [204, 409], removals
        assert send(path, *({"previous": second, "new": None} for _ in "ab")) != []
        assert texts(gate) == ()


def test_marks_of_both_are_set(send: Send, tmp_path: Path, rounds: int) -> None:
    for number in range(rounds):
        value = number % 2 == 0
        body = {"visits": [1], "value": value}
        answers = send("marks", body | {"mark": "kept"}, body | {"mark": "reviewed"})
        assert [status for status, _ in answers] == [200, 200]
        assert ask(tmp_path / "gate.csv", "select kept, reviewed from visits") == [(value, value)]
        both = {"kept": value, "reviewed": value, "by": ""}
        assert both in [marks["1"] for _, marks in answers], "the second knows both"


def test_the_last_of_two_people_to_arm_or_disarm_wins(gate: Camera, send: Send, rounds: int) -> None:
    for _ in range(rounds):
        answers = send("armed", {"armed": True}, {"armed": False})
        assert [status for status, _ in answers] == [204, 204]
        now = gate.armed
        assert now is gate.armed
        assert send("armed", *({"armed": not now} for _ in "ab")) != []
        assert gate.armed is not now


def test_a_place_that_is_scene_is_taken_back_by_one(gate: Camera, send: Send, rounds: int) -> None:
    scenery = gate.memory.scenery
    for _ in range(rounds):
        scenery.restore(SceneryRecord(places=((0.1, 0.1, 0.2, 0.3), (0.5, 0.5, 0.7, 0.7))))
        first, second = (place.number for place in scenery.places)
        answers = send("scene", {"number": first}, {"number": first})
        assert sorted(status for status, _ in answers) == [204, 400], answers
        assert [place.number for place in scenery.places] == [second]
    assert len(scenery.record().taken_back) == 1, "that of the last round: each began with what was saved"


def test_every_change_of_the_page_is_driven() -> None:
    routes = CameraRoutes([], None, LiveCameras([])).table()
    posts = {route.split("/")[1] for route in routes if route.startswith("POST ")}
    assert posts == {"marks", "scene", "armed", *KINDS} - {"lines"}
