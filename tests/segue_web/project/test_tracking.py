"""Tracking on the page is that of the Python API: same network, same memory, same masks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.errors import PromptError
from segue.sessions import TrackSession
from segue.types import Frame
from segue_web.project.project import FrameAnnotation, Project
from segue_web.project.tracking import Corrected, corrected_frames, follow, track_job
from segue_web.video import Video
from tests.clips import clip
from tests.lite import lively_lite
from tests.segue_web.videos import write_video


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Video, np.ndarray]:
    frames, masks = clip(3, 7, 64, 96, 2)
    return Video(write_video(tmp_path_factory.mktemp("video") / "video.mp4", frames, gap=4)), masks


def corrected(mask: np.ndarray, *ids: int) -> Corrected:
    return Corrected(np.where(np.isin(mask, ids), mask, 0).astype(np.uint8), frozenset(ids))


def test_forwards_it_is_the_api(made: tuple[Video, np.ndarray]) -> None:
    video, masks = made
    network = lively_lite()
    expected = list(segue.track(video.path, {0: masks[0]}, model=network, device="cpu"))

    found = list(follow(network, video, {0: corrected(masks[0], 1, 2)}, 0, 6, device="cpu"))

    assert [item.index for item in found] == [1, 2, 3, 4, 5, 6]
    for item in found:
        assert np.array_equal(item.mask, expected[item.index].mask)


def test_backwards_it_is_a_session_that_sees_the_frames_in_reverse(made: tuple[Video, np.ndarray]) -> None:
    video, masks = made
    network = lively_lite()
    session = TrackSession(network, device="cpu")
    session.step(video.frame(0), masks[0], predict=False)  # corrected as well: memory from the beginning
    expected = {5: session.step(video.frame(5), masks[5], predict=False).mask}
    expected |= {i: session.step(video.frame(i)).mask for i in (4, 3, 2)}

    given = {0: corrected(masks[0], 1, 2), 5: corrected(masks[5], 1, 2)}
    found = {item.index: item.mask for item in follow(network, video, given, 5, 2, device="cpu")}

    assert sorted(found) == [2, 3, 4]
    for index, mask in found.items():
        assert np.array_equal(mask, expected[index])


def test_tracks_on_the_page_count_what_the_prompter_doubts(
    made: tuple[Video, np.ndarray], tmp_path: Path
) -> None:
    video, masks = made
    project = Project(tmp_path / "p", video.describe(), video.size)
    with project.change("click"):
        for index in (0, 3):
            for number in (1, 2):
                number = number if index else project.add_object()
                mark = FrameAnnotation("given", 0.4 if number == 1 else 1.0)  # the second is drawn by hand
                project.put(index, {number: (masks[index] == number, mark)})
    spec = {"objects": [1, 2], "start": 0, "stop": 3}
    [doubted] = corrected_frames(project, spec)
    project.close()
    drawn = {i: Corrected(given.mask, given.known) for i, given in doubted.items()}

    def scores(given: dict[int, Corrected]) -> list[dict[int, float]]:
        tools: Any = SimpleNamespace(network=lively_lite(), video=video, device="cpu")
        steps = list(track_job(tools, [given], 0, 2, [1, 2], range(7)))
        return [{i: mark.score for i, (_, mark) in objects.items()} for _, objects in steps]

    assert doubted[0].expected == {1: 0.4}
    for with_doubt, without in zip(scores(doubted), scores(drawn), strict=True):
        assert with_doubt[1] == pytest.approx(without[1] ** 0.75 * 0.4**0.25)
        assert with_doubt[2] == without[2]


def test_without_a_corrected_frame_there_is_nothing_to_follow(made: tuple[Video, np.ndarray]) -> None:
    video, masks = made
    with pytest.raises(PromptError):
        next(follow(lively_lite(), video, {0: corrected(masks[0], 1)}, 2, 4, device="cpu"))
    empty = Corrected(np.zeros_like(masks[0]), frozenset({1}))
    with pytest.raises(PromptError):
        next(follow(lively_lite(), video, {0: empty}, 0, 4, device="cpu"))


def test_the_video_is_read_once_and_not_kept(made: tuple[Video, np.ndarray]) -> None:
    read: list[int] = []

    class Counted(Video):
        def frame(self, index: int) -> Frame:
            read.append(index)
            return super().frame(index)

    video, masks = Counted(made[0].path), made[1]
    with torch.inference_mode():
        steps = follow(lively_lite(), video, {0: corrected(masks[0], 1, 2)}, 0, 6, device="cpu")
        next(steps)

    assert read == [0, 1]
