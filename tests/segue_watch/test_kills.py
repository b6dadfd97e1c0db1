"""``segue watch`` is killed while somebody reviews: what was answered is there, and the review goes on."""

from __future__ import annotations

import json
import os
import threading
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from tests.cli.forked import Forked
from tests.cli.mjpeg import mjpeg_camera
from tests.events.stored import ask
from tests.ports import free_port
from tests.segue_watch.test_camera_day import forked, wait_for_events
from tests.segue_watch.test_cameras import rows
from tests.segue_watch.test_restarts import TEXT
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

KILLS = 2


class Reviewer:
    """Marks all events as reviewed, and takes it back, again and again, as the page does.

    Attributes:
        marks: whether a visit is reviewed, by its number, as far as the page has answered.
        answers: marks that it has answered.
        failures: those that it has not.
        lock: held while one is sent.
    """

    def __init__(self, port: int) -> None:
        self.marks: dict[int, bool] = {}
        self.answers = self.failures = 0
        self.lock, self._ends = threading.Lock(), threading.Event()
        self._port = port
        self._thread = threading.Thread(target=self._review)
        self._thread.start()

    def end(self) -> None:
        self._ends.set()
        self._thread.join(60)

    def _review(self) -> None:
        value = False
        while not self._ends.wait(0.01):
            value = not value
            for number in self._visits():
                with self.lock:
                    self._mark(number, value)

    def _visits(self) -> list[int]:
        """The first visits that the page lists."""
        answer = self._ask("GET", "/visits?limit=200")
        numbers = [] if answer is None else [int(each["place"].split("/")[1]) for each in answer["visits"]]
        return sorted(numbers)[:5]

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        except (OSError, HTTPException):
            self.failures += 1
            return None
        finally:
            connection.close()
        assert response.status == 200, text
        return json.loads(text)

    def _mark(self, number: int, value: bool) -> None:
        self.marks.pop(number, None)  # until it is answered, either may be
        answer = self._ask("POST", "/marks/gate", {"visits": [number], "mark": "reviewed", "value": value})
        if answer is not None:
            assert answer[str(number)]["reviewed"] is value
            self.marks[number], self.answers = value, self.answers + 1


def test_marks_and_ids_outlive_kills_while_another_browser_reviews(tmp_path: Path) -> None:
    port = free_port()
    with mjpeg_camera() as address:
        (tmp_path / "cameras.toml").write_text(TEXT.replace("ADDRESS", address))
        reviewer = Reviewer(port)
        process: Forked | None = None
        try:
            for _ in range(KILLS + 1):
                process = forked(tmp_path / "cameras.toml", port)
                answers, failures = reviewer.answers, reviewer.failures
                wait_for_events(process, port, 3)
                wait_for(lambda answers=answers: reviewer.answers >= answers + 20)  # type: ignore[misc]
                process.kill()
                process.wait(10)
                wait_for(lambda failures=failures: reviewer.failures > failures)  # type: ignore[misc]
                with reviewer.lock:
                    rows_of_visits = ask(tmp_path / "out" / "gate.csv", "select id, reviewed from visits")
                    marks = {number: bool(mark) for number, mark in rows_of_visits}
                    assert reviewer.marks == {number: marks[number] for number in reviewer.marks}
        finally:
            reviewer.end()
            if process is not None:
                process.kill()
    entered = [row["object"] for row in rows(tmp_path / "out" / "gate.csv") if row["event"] == "enter"]
    assert len(entered) == len({*entered}) > KILLS, "ids go on"
