"""``segue foreground`` from end to end."""

from __future__ import annotations

import csv
import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.api.foreground import foreground
from segue.masks import read_index_mask
from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.foreground.two_passes import TwoPasses
from tests.cli.conftest import AtFrame
from tests.cli.running import Command, Outcome, contents
from tests.sessions.foreground.scenes import square_mask, wall, with_squares
from tests.video.making import write_video

SIZE = (96, 128)
PATH = [(10 + 2 * t, 10 * t - 60) for t in range(24)]
IMAGES = [with_squares(wall(), [place]) for place in PATH]
ALL = tuple(
    word
    for name in ("png", "overlay", "cdnet", "coco", "ytvis", "npz", "events")
    for word in ("--format", name)
)


@pytest.fixture(scope="session")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short video of a square that crosses a room."""
    path = tmp_path_factory.mktemp("camera") / "camera.mp4"
    write_video(path, IMAGES, options={"qp": "4"})
    return path


@pytest.fixture
def find(command: Command, camera: Path, tmp_path: Path) -> Command:
    """Runs ``segue foreground`` on the video by the running median, into ``tmp_path / "out"``."""

    def run(*arguments: object, source: object = camera) -> Outcome:
        model = () if "--model" in arguments else ("--model", "median")
        output = () if "--output" in arguments else ("--output", tmp_path / "out")
        return command("foreground", source, *model, *output, "--device", "cpu", *arguments)

    return run


def test_a_video_becomes_masks_and_an_overlay(find: Command, camera: Path, tmp_path: Path) -> None:
    outcome = find()
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"overlay: {tmp_path / 'out' / 'overlay.mp4'}\npng: {tmp_path / 'out' / 'masks'}\n"
    for result in foreground(camera, model="median"):
        mask = read_index_mask(tmp_path / "out" / "masks" / f"{result.index:05d}.png")
        assert np.array_equal(mask, result.mask)
    truth = square_mask(SIZE, [PATH[15]])
    found = read_index_mask(tmp_path / "out" / "masks" / "00015.png") == 1
    assert (found & truth).sum() > 0.8 * (found | truth).sum()


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_events_tell_who_came_when_and_where(find: Command, tmp_path: Path) -> None:
    events = tmp_path / "events.csv"
    assert find("--events", events, "--format", "png").code == 0
    table = rows(events)
    long = [row for row in table if row["event"] != "enter" and int(row["largest"]) > 300]
    assert len(long) == 1
    assert float(long[0]["seconds"]) > 0.5
    assert find("--events", events).complaint == (
        f"error: {events}: exists already; give --overwrite or --resume, or another output\n"
    )


@pytest.mark.parametrize("index", [0, pytest.param(11, marks=pytest.mark.slow), 23])
def test_an_interrupted_run_goes_on_to_the_same_files(
    interrupt_at: AtFrame, find: Command, tmp_path: Path, index: int
) -> None:
    assert find(*ALL, "--output", tmp_path / "whole").code == 0
    with interrupt_at(ForegroundSession, index):
        outcome = find(*ALL)
    assert outcome.code == 130
    assert outcome.err == "interrupted; give the same command with --resume to go on\n"
    assert find(*ALL, "--resume").code == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_events_are_complete_when_a_run_is_interrupted(
    interrupt_at: AtFrame, find: Command, tmp_path: Path
) -> None:
    events = tmp_path / "events.csv"
    assert find("--passes", 1, "--events", tmp_path / "whole.csv", "--output", tmp_path / "whole").code == 0
    with interrupt_at(ForegroundSession, 20):
        outcome = find("--passes", 1, "--events", events)
    assert outcome.code == 130
    assert f"events: {events}" in outcome.out.splitlines()
    found = [row for row in rows(events) if row["event"] == "end"]
    assert found
    assert all(int(row["frame"]) <= 20 for row in found)
    assert find("--passes", 1, "--events", events, "--resume").code == 0
    assert events.read_text() == (tmp_path / "whole.csv").read_text()


def test_a_run_of_two_passes_goes_on_to_its_own_end_only(
    interrupt_at: AtFrame, find: Command, tmp_path: Path
) -> None:
    with interrupt_at(ForegroundSession, 11):
        assert find("--passes", 2).code == 130
    assert "end=None, now it is '16'" in find("--passes", 2, "--resume", "--end", 16).complaint


def test_a_model_that_cannot_be_saved_goes_through_the_video_again(
    interrupt_at: AtFrame, find: Command, tmp_path: Path
) -> None:
    arguments = ("--model", "mog2", *ALL)
    assert find(*arguments, "--output", tmp_path / "whole").code == 0
    with interrupt_at(ForegroundSession, 11):
        outcome = find(*arguments)
    assert outcome.err == "interrupted; give the same command with --resume to go through it again\n"
    assert find(*arguments, "--resume").code == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_empty_scene_that_was_given(find: Command, tmp_path: Path) -> None:
    Image.fromarray(wall()).save(tmp_path / "empty.png")
    assert find("--scene", tmp_path / "empty.png", "--events", tmp_path / "events.json").code == 0
    events = json.loads((tmp_path / "events.json").read_text())
    assert events[0]["event"] == "enter"
    assert events[0]["frame"] <= 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "mustan3"), "no network is called 'mustan3'"),
        (("--model", "knn", "--weights", "w.safetensors"), "knn has no weights; leave them out"),
        (("--objects", "--shadows"), "objects and shadows exclude each other"),
        (("--roi", "missing.png"), "missing.png: no such file or folder, given as --roi"),
        (("--scene", "missing.png"), "missing.png: no such file or folder, given as --scene"),
        (
            ("--model", "stcn-lite"),
            "stcn-lite is made to follow objects, not to find foreground; choose one of mustan-lite",
        ),
        (("--follow-camera", "always"), "follow_camera is for networks"),
        (("--depth", "."), "0 depth maps, none for frame 0"),
        (("--fps", 0), "fps is 0.0"),
        (("--fps", "nan"), "fps is nan, but must be a finite number"),
        (("--fps", "inf"), "fps is inf, but must be a finite number"),
        (("--background", "bg.jpg"), "bg.jpg: the background is written as .png"),
        (("--events", "events.txt"), "events go to a file ending in .csv or .json"),
        (("--short-side", -1), "short_side -1"),
        (
            ("--model", "difference", "--background", "bg.png"),
            "difference makes no image of the empty scene",
        ),
    ],
)
def test_invalid_options_are_reported_in_one_line(
    find: Command,
    tmp_path: Path,
    arguments: tuple[object, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in find(*arguments, "--format", "png", "--quiet").complaint


def interrupt_first_pass_at(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let Ctrl-C come while the first of two passes looks at this frame."""
    take: Callable[..., None] = TwoPasses.take

    def taking(learner: TwoPasses, frame: Any) -> None:
        take(learner, frame)
        if frame.index == count - 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(TwoPasses, "take", taking)


def test_two_passes_go_on_after_an_interruption_in_either(
    interrupt_at: AtFrame, find: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find("--passes", 2, "--output", tmp_path / "whole").code == 0
    with monkeypatch.context() as patch:
        interrupt_first_pass_at(patch, 17)
        outcome = find("--passes", 2)
        assert outcome.code == 130
        assert "--resume" in outcome.err
    learnt: list[int] = []
    with monkeypatch.context() as patch:
        take: Callable[..., None] = TwoPasses.take
        patch.setattr(TwoPasses, "take", lambda self, frame: (learnt.append(frame.index), take(self, frame)))
        with interrupt_at(ForegroundSession, 16):  # some results are written, others wait for later frames
            assert find("--passes", 2, "--resume").code == 130
    assert learnt == list(range(17, 24))  # those before were not looked at again
    with monkeypatch.context() as patch:
        patch.setattr(TwoPasses, "take", None)  # nothing is left to be learnt
        outcome = find("--passes", 2, "--resume")
    assert outcome.code == 0, outcome.err
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_backgrounds_of_two_passes_are_saved_and_loaded(find: Command, tmp_path: Path) -> None:
    scene = tmp_path / "scene.safetensors"
    assert find("--passes", 2, "--background", scene, "--output", tmp_path / "two").code == 0
    outcome = find("--scene", scene)
    assert outcome.code == 0, outcome.err
    one, two = (sorted((tmp_path / name / "masks").glob("*.png")) for name in ("out", "two"))
    assert [path.name for path in one] == [path.name for path in two]
    # The second of two passes averages over the frames after each one as well.
    same = [
        np.mean(np.asarray(Image.open(a)) == np.asarray(Image.open(b))) for a, b in zip(one, two, strict=True)
    ]
    assert np.mean(same) > 0.98


def test_events_are_named_by_a_detector(
    find: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = tmp_path / "events.json"
    assert find("--name-events", "nanodet").complaint.endswith("add --events FILE\n")
    assert "motion knows no classes" in find("--name-events", "motion", "--events", events).complaint
    monkeypatch.setattr("segue.jobs.foreground.object_namer", lambda *_: lambda *_: ("square", 0.5))
    assert find("--name-events", "nanodet", "--events", events, "--format", "png").code == 0
    told = json.loads(events.read_text())
    assert {(event["label"], event["label_score"]) for event in told} == {("square", 0.5)}


def test_a_run_with_its_page_writes_what_a_run_without_it_does(find: Command, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    events = ("--events", tmp_path / "events.csv", "--zone", "floor=0,0 127,0 127,95 0,95")
    assert find(*events).code == 0
    outcome = find(*events, "--live", "--no-browser", "--overwrite", "--output", tmp_path / "seen")
    assert outcome.code == 0, outcome.err
    assert "the page is at http://127.0.0.1:" in outcome.out
    assert contents(tmp_path / "seen") == contents(tmp_path / "out")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        complaint = find("--live", "--port", number, "--output", tmp_path / "more").complaint
    assert complaint.startswith(f"error: port {number} cannot be used")
