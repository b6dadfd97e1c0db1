"""Foreground averaged along the motion of the pixels, where the frames after each one are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.video_scenes import LearntBackground, VideoPart, VideoScenes
from segue.sessions.foreground.camera.changes import Change
from segue.sessions.foreground.segmenters.base import Segmenter, SegmenterInput
from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.foreground.stages import average as module
from segue.sessions.foreground.stages.average import REACH, MotionAverage
from segue.sessions.foreground.stages.base import WorkFrame
from segue.sessions.foreground.stages.follow import PAST
from segue.state import SessionState
from segue.types import Frame, Image, Segmentation
from segue.utils.arrays import Float32Array
from tests.sessions.foreground.scenes import video, wall

SIZE = 72, 96
SIDE = 32
GROUND = wall(1, *SIZE)
THING = wall(2, SIDE, SIDE, light=1.5)


def place(time: int) -> tuple[slice, slice]:
    return slice(20, 20 + SIDE), slice(10 + time, 10 + time + SIDE)


def drawn_image(time: int) -> Image:
    """A textured square goes right by one pixel a frame."""
    shown = GROUND.copy()
    shown[place(time)] = THING
    return shown


def truth(time: int) -> Float32Array:
    maps = np.zeros((1, *SIZE), np.float32)
    maps[0][place(time)] = 0.9
    return maps


def found(time: int, maps: Float32Array, *, image: Image | None = None) -> WorkFrame:
    image = drawn_image(time) if image is None else image
    return WorkFrame(time, time / 25, SIZE, image, SegmenterInput(image), maps=maps)


def averaged(frames: Iterable[WorkFrame], average: MotionAverage | None = None) -> list[WorkFrame]:
    """Frames as a session passes them through the stage."""
    average, background, given = average or MotionAverage(), Background(), []
    for frame in frames:
        average.after_segment(frame, background)
        given.append(frame)
        if len(given) > REACH:
            average.postprocess(given[-1 - REACH], background)
    for frame in given[-REACH:]:
        average.postprocess(frame, background)
    return given


def test_objects_lost_on_some_frames_are_found_at_their_new_places() -> None:
    frames = [found(t, truth(t) * (t not in (9, 10, 11))) for t in range(22)]
    means = averaged(frames)
    assert [each.index for each in means] == list(range(22))
    inside = [float((each.maps[0][place(t)] > 0.3).mean()) for t, each in enumerate(means)]
    outside = [float(((each.maps[0] > 0.3) & (truth(t)[0] == 0)).mean()) for t, each in enumerate(means)]
    assert min(inside[9:12]) > 0.85, "on frame 10 nothing was found"
    assert min(inside) > 0.8
    assert max(outside) < 0.03


def test_foreground_on_a_single_frame_is_removed() -> None:
    maps = [np.zeros((1, *SIZE), np.float32) for _ in range(20)]
    maps[8][0, 50:60, 60:70] = 1
    means = averaged(found(t, each, image=GROUND) for t, each in enumerate(maps))
    assert max(float(each.maps.max()) for each in means) < 0.1


def test_shadow_is_not_averaged() -> None:
    maps = [np.concatenate([truth(t) * (t != 6), np.full((1, *SIZE), 0.3, np.float32)]) for t in range(12)]
    means = averaged(found(t, each) for t, each in enumerate(maps))
    assert all(np.array_equal(each.maps[1], one[1]) for each, one in zip(means, maps, strict=True))


def test_large_images_are_followed_reduced_and_keep_their_outlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHORT_SIDE", SIZE[0] // 2)
    average = MotionAverage()
    means = averaged([found(t, truth(t) * (t not in (9, 10))) for t in range(20)], average)
    assert [each.maps.shape for each in means] == [(1, *SIZE)] * 20
    inside = [float((each.maps[0][place(t)] > 0.3).mean()) for t, each in enumerate(means)]
    assert min(inside[9:11]) > 0.8
    assert means[5].maps.max() <= 1
    assert np.abs(means[3].maps[0] - truth(3)[0]).mean() < 0.03


class Flickers(Segmenter):
    """Finds what is far from the scene, on two frames of three; it looks at the empty scene."""

    name, uses_background = "flickers", True

    def step(
        self, frame: SegmenterInput, context: Mapping[int, SegmenterInput], scene: Scene
    ) -> Float32Array:
        apart = cv2.absdiff(frame.image, scene.image).max(axis=2)[None] > 25
        return np.asarray(apart * 0.9 * (int(np.argmax(apart.any(axis=(0, 1)))) % 3 > 0), np.float32)


def scenes(cut: int | None = None) -> VideoScenes:
    known = VideoScenes.of(Scene.of(GROUND))
    if cut is not None:
        known.learnt.append(VideoPart(cut, Change.scene.value, Scene.of(wall(7, *SIZE)).planes))
    return known


def session(known: VideoScenes, *, of_this_video: bool = True, warm_up: int = 0) -> ForegroundSession:
    background = LearntBackground(known, of_this_video=of_this_video)
    return ForegroundSession(
        Flickers(), background=background, short_side=None, without=["align"], warm_up=warm_up
    )


def results(taker: ForegroundSession, frames: Iterable[Frame]) -> list[Segmentation]:
    given = [result for frame in frames if (result := taker.step(frame)) is not None]
    return [*given, *taker.finish()]


WALK = video([drawn_image(t) for t in range(30)])


def test_the_second_of_two_passes_knows_the_frames_after_each_one() -> None:
    taker = session(scenes())
    assert taker.lag == REACH + 2 * max(PAST), "results are late by so much while the camera pans"
    assert [taker.step(frame) is None for frame in WALK[: REACH + 1]] == [True] * REACH + [False]
    masks = results(session(scenes()), WALK)
    assert [each.index for each in masks] == list(range(30))
    assert min(float((each.mask[place(t)] == 1).mean()) for t, each in enumerate(masks)) > 0.8


def test_a_scene_that_is_known_from_another_video_answers_at_once() -> None:
    taker = session(scenes(), of_this_video=False)
    assert taker.lag == 0
    assert all(taker.step(frame) is not None for frame in WALK[:5])


@pytest.mark.parametrize("stop", [7, 25])
def test_frames_waiting_for_later_ones_are_saved(tmp_path: Path, stop: int) -> None:
    frames = [*WALK[:20], *video([wall(7, *SIZE)] * 32)[20:]]
    expected = results(session(scenes(20), warm_up=2), frames)
    first = session(scenes(20), warm_up=2)
    given = [result for frame in frames[:stop] if (result := first.step(frame)) is not None]
    first.state().save(tmp_path / "state.safetensors")
    second = session(scenes(20), warm_up=2)
    second.restore(SessionState.load(tmp_path / "state.safetensors"))
    both = [*given, *results(second, frames[stop:])]
    assert [each.index for each in both] == [each.index for each in expected]
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(both, expected, strict=True))
    assert not expected[1].mask.any(), "the second frame still warms up"
    assert expected[2].mask.any()


def test_the_image_that_explains_a_result_comes_with_it() -> None:
    taker = session(scenes())
    taker.explain()
    shown = []
    for frame in WALK[:20]:
        if (result := taker.step(frame)) is not None:
            shown.append((result.index, taker.explanation))
    for result in taker.finish():
        shown.append((result.index, taker.explanation))
    for index, strip in shown:
        assert strip is not None
        assert np.array_equal(strip[: SIZE[0], : SIZE[1]], drawn_image(index))
