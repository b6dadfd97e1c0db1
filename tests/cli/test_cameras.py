"""Cameras that run for weeks: what happens when the run, or what it talks to, starts again."""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.running import Command, Outcome
from tests.cli.test_foreground import IMAGES

JPEGS = [cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]))[1].tobytes() for image in IMAGES]


class _Camera(BaseHTTPRequestHandler):
    """Shows a square that crosses a room, again and again, as MJPEG with 50 frames a second."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
        self.end_headers()
        try:
            while True:
                for jpeg in JPEGS:
                    head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                    self.wfile.write(head + jpeg + b"\r\n")
                    time.sleep(0.02)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Camera)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/gate"
    server.shutdown()
    server.server_close()


@pytest.fixture
def watch(command: Command, camera: str, tmp_path: Path) -> Callable[..., Outcome]:
    """Runs ``segue foreground`` on three times that the square crosses the room."""

    def run(*arguments: object) -> Outcome:
        frames = ("--end", 3 * len(JPEGS), "--when-late", "all")
        given = (*frames, "--model", "median", "--device", "cpu", "--output", tmp_path / "out")
        return command("foreground", camera, *given, "--events", tmp_path / "events.csv", *arguments)

    return run


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return [*csv.DictReader(stream)]


def entered(table: list[dict[str, str]]) -> list[str]:
    return [row["object"] for row in table if row["event"] == "enter"]


def test_the_same_command_goes_on_after_an_earlier_run(watch: Callable[..., Outcome], tmp_path: Path) -> None:
    arguments = ("--append", "--snapshots", tmp_path / "seen")
    assert watch(*arguments).code == 0
    first, images = rows(tmp_path / "events.csv"), {path.name for path in (tmp_path / "seen").iterdir()}
    assert entered(first)
    assert watch(*arguments).code == 0
    both = rows(tmp_path / "events.csv")
    assert both[: len(first)] == first
    assert len(entered(both)) > len(entered(first))
    assert len({*entered(both)}) == len(entered(both)), "no id is given twice"
    assert images < {path.name for path in (tmp_path / "seen").iterdir()}
    assert len(list((tmp_path / "seen").glob("*.jpg"))) == len(both)
    assert len(list((tmp_path / "out").glob("*/overlay.mp4"))) == 2


def test_parts_of_a_later_run_go_on_with_the_ids(watch: Callable[..., Outcome], tmp_path: Path) -> None:
    for _ in range(2):
        assert watch("--rotate", "0.5s", "--format", "npz").code == 0
    tables = sorted(tmp_path.glob("events-*.csv"))
    found = [number for table in tables for number in entered(rows(table))]
    assert len(tables) >= 4
    assert len(found) == len({*found}) > 2


def test_without_being_told_nothing_is_replaced(watch: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("mine")
    assert "--overwrite or --append" in watch().complaint
    assert "no table of events" in watch("--append").complaint
    assert "exclude each other" in watch("--append", "--overwrite").complaint
    assert (tmp_path / "events.csv").read_text() == "mine"


def test_only_cameras_are_continued_by_append(command: Command, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((48, 64, 3), np.uint8))
    outcome = command("foreground", tmp_path / "1.png", "--append", "--output", tmp_path / "out")
    assert "has an end; --append is for cameras" in outcome.complaint
