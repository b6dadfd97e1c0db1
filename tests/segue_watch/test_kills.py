"""``segue watch`` is killed while somebody reviews: what was answered is there, and the review goes on."""

from __future__ import annotations

import json
import os
import threading
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

pytest.importorskip("starlette")

from segue.events.marks import Marks
from tests.cli.forked import Forked
from tests.cli.mjpeg import mjpeg_camera
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
        marks: whether an image is reviewed, as far as the page has answered.
        answers: marks that it has answered.
        failures: those that it has not.
        lock: held while one is sent.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.marks: dict[str, bool] = {}
        self.answers = self.failures = 0
        self.lock, self._ends = threading.Lock(), threading.Event()
        self._folder, self._port = folder, port
        self._thread = threading.Thread(target=self._review)
        self._thread.start()

    def end(self) -> None:
        self._ends.set()
        self._thread.join(60)

    def _review(self) -> None:
        value = False
        while not self._ends.wait(0.01):
            value = not value
            for path in sorted(self._folder.glob("*-enter-*.jpg"))[:5]:
                with self.lock:
                    self._mark(path.name, value)

    def _mark(self, image: str, value: bool) -> None:
        body = {"part": "", "clips": {image: ""}, "mark": "reviewed", "value": value}
        self.marks.pop(image, None)  # until it is answered, either may be
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("POST", "/marks/gate", json.dumps(body), {"Content-Type": "application/json"})
            status = connection.getresponse().status
        except (OSError, HTTPException):
            self.failures += 1
            return
        finally:
            connection.close()
        assert status == 200
        self.marks[image], self.answers = value, self.answers + 1


def test_marks_and_ids_outlive_kills_while_another_browser_reviews(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "out" / "gate"
    with mjpeg_camera() as address:
        (tmp_path / "cameras.toml").write_text(TEXT.replace("ADDRESS", address))
        reviewer = Reviewer(folder, port)
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
                    marks = Marks(folder)
                    assert reviewer.marks == {
                        image: marks.of(image).get("reviewed", False) for image in reviewer.marks
                    }
        finally:
            reviewer.end()
            if process is not None:
                process.kill()
    entered = [row["object"] for row in rows(tmp_path / "out" / "gate.csv") if row["event"] == "enter"]
    assert len(entered) == len({*entered}) > KILLS, "ids go on"
