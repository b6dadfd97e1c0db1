"""Replayed clicks on tracked masks are ideal, and errors have the right kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.accuracy import corrections
from benchmarks.accuracy.corrections import (
    ByVideo,
    Case,
    Click,
    Track,
    by_page,
    completed,
    replayed,
    report_tracks,
    tracked_on,
)
from segue.datasets.davis import DavisFolder
from segue.datasets.davis import Sequence as Video
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array
from tests.segue_web.here import WorkerHere


def case(truth: BoolArray, tracked: BoolArray) -> Case:
    image = np.zeros((*truth.shape, 3), np.uint8)
    return Case("video/1/1", "development", image, truth.astype(np.uint8), tracked.astype(np.float32))


def squares(*places: tuple[int, int, int, int]) -> BoolArray:
    mask = np.zeros((80, 100), np.bool_)
    for x0, y0, x1, y1 in places:
        mask[y0:y1, x0:x1] = True
    return mask


def moving_square(folder: Path, frames: int) -> tuple[Video, UInt8Array]:
    """A video of a square that moves to the right, as DAVIS has them, and its last image."""
    for kind in ("JPEGImages", "Annotations"):
        (folder / kind / "video").mkdir(parents=True)
    for index in range(frames):
        mask = squares((20 + index, 20, 60 + index, 60)).astype(np.uint8)
        image = np.where(mask[..., None] == 1, np.uint8([200, 60, 40]), np.uint8(90))
        cv2.imwrite(str(folder / "JPEGImages/video" / f"{index:05}.jpg"), image)
        cv2.imwrite(str(folder / "Annotations/video" / f"{index:05}.png"), mask)
    return DavisFolder(folder)["video"], image


BODY = (20, 20, 60, 60)


class Painter:
    """Mends the errors that are clicked, in order of the clicks, and keeps those."""

    def __init__(self) -> None:
        self.clicks: list[Click] = []

    def __call__(self, _: Any, mask: Float32Array, clicks: Sequence[Click]) -> Float32Array:
        x, y, inside = clicks[-1]
        self.clicks.append(clicks[-1])
        mended = mask.copy()
        mended[int(y) - 9 : int(y) + 10, int(x) - 9 : int(x) + 10] = inside
        return mended


def test_the_largest_error_is_clicked_first_and_j_is_that_of_the_mask() -> None:
    truth = squares(BODY)
    tracked = squares((20, 20, 60, 41), (80, 10, 92, 22))  # a part lost and something taken
    way = Painter()
    outcome = replayed(lambda _: None, way, case(truth, tracked))  # type: ignore[arg-type, return-value]
    assert outcome.kind == "lost"
    assert [inside for *_, inside in way.clicks][:1] == [True]
    x, y, _ = way.clicks[0]
    assert 45 <= y <= 55
    assert 25 <= x <= 55
    assert len(outcome.reached) == corrections.CLICKS + 1
    assert outcome.reached[0] == (truth & tracked).sum() / (truth | tracked).sum()


def test_kinds_of_errors() -> None:
    truth = squares(BODY)
    kinds = {
        "border": squares((20, 20, 58, 60)),
        "lost": squares((20, 20, 40, 60)),
        "taken": squares(BODY, (70, 20, 95, 60)),
    }
    for kind, tracked in kinds.items():
        outcome = replayed(lambda _: None, Painter(), case(truth, tracked))  # type: ignore[arg-type, return-value]
        assert outcome.kind == kind


def test_only_visible_errors_are_worth_correcting() -> None:
    truth = squares(BODY).astype(np.uint8)
    assert not corrections.worth_correcting(truth.astype(np.float32), truth)
    assert not corrections.worth_correcting(np.zeros(truth.shape, np.float32), truth)
    assert corrections.worth_correcting(squares((20, 20, 40, 60)).astype(np.float32), truth)


def test_tracks_go_on_from_a_corrected_frame_in_both_directions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, image = moving_square(tmp_path, 5)
    truth = squares((22, 20, 62, 60))
    wrong = Case("sets/video/2/1", "development", image, truth.astype(np.uint8), truth.astype(np.float32))
    monkeypatch.setattr(corrections, "cases_of", lambda *_: [wrong])
    tracks = tracked_on(video, "sets/video", "development", "stcn-lite", frames=1, after=2, truth=True)
    assert [(each.way, each.video) for each in tracks] == [
        (way, "sets/video") for way in ("on", "forward", "back")
    ]
    assert all(0.5 < each.before <= 1 and 0.5 < each.reached <= 1 for each in tracks)


def test_a_task_ends_when_all_frames_have_the_aim(tmp_path: Path) -> None:
    video, _ = moving_square(tmp_path, 4)
    by_video = ByVideo(video, "stcn-lite")
    task = completed(video, "sets/video", "development", by_video, aim=0.999, most=3, truth=True)
    assert task.clicks == 3
    assert sum(j == 1 for j in task.reached) == 3, "each true mask mends its own frame"
    by_video = ByVideo(video, "stcn-lite")
    assert completed(video, "sets/video", "development", by_video, aim=0.1, most=3).clicks == 0


@pytest.mark.slow
def test_a_task_is_done_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segue_web.annotate.Worker", WorkerHere)
    video, _ = moving_square(tmp_path, 3)
    task = completed(video, "sets/video", "development", by_page(video, "stcn-lite"), aim=0.999, most=1)
    assert (task.clicks, task.tracked) == (1, 2)
    assert min(task.reached) > 0.5


def test_the_gain_is_the_mean_over_videos(capsys: pytest.CaptureFixture[str]) -> None:
    report_tracks(
        [
            Track("sets/one/on/4/1", "development", ((0.5, 0.6),)),
            Track("sets/one/on/8/1", "development", ((0.5, 0.6),)),
            Track("sets/two/on/4/1", "left out", ((0.5, 0.46), (0.5, 0.46))),
        ]
    )
    rows = {line.split("|")[1].strip(): line for line in capsys.readouterr().out.splitlines()}
    assert "| 2 | 3 | 0.500 | 0.530 | +0.030 | 1 | 0.50, 0.50 |" in rows["on, all"]
    assert "| 1 | 2 | 0.500 | 0.600 | +0.100 | 0 | 0.00, 1.00 |" in rows["on, development"]
