"""A few small videos with something that moves, and runs of ``segue batch`` as a user starts them."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from segue import jobs
from segue.batch import Task, places
from tests.cli.forked import run_forked
from tests.needs import needs
from tests.video.making import write_video

Batch = Callable[..., "subprocess.CompletedProcess[str]"]
UseStore = Callable[[Any], None]
UseRun = Callable[[Callable[..., object]], None]


def video(path: Path, frames: int, seed: int = 0) -> Path:
    """A red square crosses a blurred pattern."""
    noise = np.random.default_rng(seed).integers(60, 120, (96, 128, 3), dtype=np.uint8)
    scene = cv2.GaussianBlur(noise, (0, 0), 3)
    images = []
    for time in range(frames):
        image = scene.copy()
        left = 5 + 2 * (time % 45)
        image[30:60, left : left + 25] = (220, 40, 30)
        images.append(image)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, images)


class Script:
    """Workers that end videos at once, as is written: changes or errors by name, then done."""

    def __init__(self, outcomes: Mapping[str, Sequence[dict[str, Any] | Exception]], room: int = 1) -> None:
        self.room, self.tries = room, 2
        self._outcomes = {name: list(items) for name, items in outcomes.items()}
        self.given: list[str] = []
        self.told: list[str] = []

    def submit(self, task: Task) -> Future[Task]:
        self.given.append(task.name)
        future: Future[Task] = Future()
        said = self._outcomes.get(task.name)
        done = {"state": "done", "frames": 8, "seconds": 2.0, "digest": "digest", "image": b"jpeg"}
        outcome = said.pop(0) if said else done
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(replace(task, **outcome))
        return future

    def interrupt(self) -> None:
        self.told.append("interrupt")

    def close(self) -> None:
        self.told.append("close")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with three videos of 6, 9 and 12 frames, one of them below another folder."""
    for number, name in enumerate(("a", "b", "inner/c")):
        video(tmp_path / "videos" / f"{name}.mp4", 6 + 3 * number, number)
    return tmp_path / "videos"


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """Runs the command in an empty folder."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return run_forked("batch", *arguments, folder=tmp_path)

    return run


@pytest.fixture(scope="session")
def store_port() -> Iterator[int]:
    """Port of an object store on the loopback address; a test removes what it puts there."""
    server = needs("moto.server")
    store = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    store.start()
    yield store.get_host_and_port()[1]
    store.stop()


@pytest.fixture
def store_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a client of the object store needs beside its address."""
    needs("s3fs")
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**keys, "AWS_MAX_ATTEMPTS": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def addresses_on(monkeypatch: pytest.MonkeyPatch) -> UseStore:
    """Gives all addresses a file system of the test."""

    def use(store: Any) -> None:
        monkeypatch.setattr(places, "_store", lambda place: (store, place.removeprefix("s3://")))

    return use


@pytest.fixture
def far_apart(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets nothing be renamed from one of some folders into another, as where they are on two disks."""

    def part(*disks: Path) -> None:
        replace = Path.replace

        def within(source: Path, target: Path) -> Path:
            if any(source.is_relative_to(disk) != target.is_relative_to(disk) for disk in disks):
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            return replace(source, target)

        monkeypatch.setattr(Path, "replace", within)

    return part


@pytest.fixture
def runs_of_jobs(monkeypatch: pytest.MonkeyPatch) -> UseRun:
    """Gives workers a function that stands for :func:`segue.jobs.run`."""
    return lambda run: monkeypatch.setattr(jobs, "run", run)


def results(folder: Path) -> dict[str, bytes]:
    """Every mask below a folder of results."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("0*.png"))}
