"""Tracking on the page is that of the Python API: same network, same memory, same masks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.errors import PromptError, SegueError
from segue.flow import change_regions
from segue.jobs import frame_loop
from segue.masks import encode_rle
from segue.sessions import TrackSession
from segue.sessions.videos.corrections import ConditioningFrame, Layer, propagate
from segue.sessions.videos.provenance import MadeFrom, StoredMask
from segue.types import Frame, ObjectInfo
from segue_web.project.annotations import Correction, FrameAnnotation
from segue_web.project.memory import TrackingMemory
from segue_web.project.project import Project
from segue_web.project.tracking import (
    ConditioningProgress,
    Direction,
    InterruptedTracking,
    TrackingPlan,
    begin_plan,
    corrected_frames,
    interrupted,
    planned,
    previous_masks,
    resumed,
    store_tracked,
    track_job,
)
from segue_web.video import Video
from tests.clips import clip
from tests.lite import lively_lite
from tests.segue_web.videos import write_video


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Video, np.ndarray]:
    frames, masks = clip(3, 7, 64, 96, 2)
    return Video(write_video(tmp_path_factory.mktemp("video") / "video.mp4", frames, gap=4)), masks


def corrected(mask: np.ndarray, *ids: int) -> ConditioningFrame:
    return ConditioningFrame(np.where(np.isin(mask, ids), mask, 0).astype(np.uint8), frozenset(ids))


def times(first: int, last: int) -> dict[int, float]:
    """Times of frames."""
    return {index: index / 25 for index in range(first, last + 1)}


def test_forwards_it_is_the_api(made: tuple[Video, np.ndarray]) -> None:
    video, masks = made
    network = lively_lite()
    expected = list(segue.track(video.path, {0: masks[0]}, model=network, device="cpu"))

    layer = TrackSession(network, device="cpu"), {0: corrected(masks[0], 1, 2)}
    found = [result for (result,) in propagate([Layer(*layer)], video.walk(0, 6), times(0, 6), 0)]

    assert [item.index for item in found] == [1, 2, 3, 4, 5, 6]
    for item in found:
        assert np.array_equal(item.mask, expected[item.index].mask)


def frames(steps: Iterable[Any]) -> list[tuple[int, Any]]:
    """The steps that give masks."""
    return [step for step in steps if not isinstance(step, ConditioningProgress)]


def test_backwards_it_is_a_session_that_sees_the_frames_in_reverse(
    made: tuple[Video, np.ndarray], tmp_path: Path
) -> None:
    video, masks = made
    network = lively_lite()
    session = TrackSession(network, device="cpu")
    session.step(video.frame(0), masks[0], predict=False)  # corrected as well: memory from the beginning
    expected = {5: session.step(video.frame(5), masks[5], predict=False).mask}
    expected |= {i: session.step(video.frame(i)).mask for i in (4, 3, 2)}

    given = {0: corrected(masks[0], 1, 2), 5: corrected(masks[5], 1, 2)}
    tools: Any = SimpleNamespace(network=network, video=video, device="cpu")
    shown_first, *steps = track_job(
        tools, [given], 5, 2, [1, 2], range(7), {}, TrackingMemory(tmp_path, "run"), None
    )

    assert (shown_first, steps.pop(0)) == (ConditioningProgress(0, 2), ConditioningProgress(1, 2)), (
        "frame 0 is seen before it starts"
    )
    found = dict(frames(steps))
    assert sorted(found) == [2, 3, 4]
    for index, objects in found.items():
        for number, (mask, _) in objects.items():
            np.testing.assert_array_equal(mask, expected[index] == number)


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
    plan = TrackingPlan("forward", 0, 3, 0, 3, (1, 2), 3)
    [doubted] = corrected_frames(project, plan)
    project.close()
    drawn = {i: ConditioningFrame(given.mask, given.checked) for i, given in doubted.items()}

    def scores(given: dict[int, ConditioningFrame]) -> list[dict[int, float]]:
        tools: Any = SimpleNamespace(network=lively_lite(), video=video, device="cpu")
        job = track_job(tools, [given], 0, 2, [1, 2], range(7), {}, TrackingMemory(tmp_path, "run"))
        steps = frames(job)
        return [{i: mark.score for i, (_, mark) in objects.items()} for _, objects in steps]

    assert doubted[0].expected == {1: 0.4}
    for with_doubt, without in zip(scores(doubted), scores(drawn), strict=True):
        assert with_doubt[1] == pytest.approx(without[1] ** 0.75 * 0.4**0.25)
        assert with_doubt[2] == without[2]


def test_without_a_corrected_frame_there_is_nothing_to_follow(made: tuple[Video, np.ndarray]) -> None:
    video, masks = made
    session = TrackSession(lively_lite(), device="cpu")
    with pytest.raises(PromptError):
        next(propagate([Layer(session, {0: corrected(masks[0], 1)})], video.walk(2, 4), times(2, 4), 2))
    empty = ConditioningFrame(np.zeros_like(masks[0]), frozenset({1}))
    with pytest.raises(PromptError):
        next(propagate([Layer(session, {0: empty})], video.walk(0, 4), times(0, 4), 0))


def test_the_video_is_read_once_and_not_kept(made: tuple[Video, np.ndarray]) -> None:
    read: list[int] = []

    class Counted(Video):
        def frame(self, index: int) -> Frame:
            read.append(index)
            return super().frame(index)

    video, masks = Counted(made[0].path), made[1]
    with torch.inference_mode():
        layer = TrackSession(lively_lite(), device="cpu"), {0: corrected(masks[0], 1, 2)}
        steps = propagate([Layer(*layer)], video.walk(0, 6), times(0, 6), 0)
        next(steps)

    assert read == [0, 1]


@pytest.mark.parametrize(("start", "stop", "break_at"), [(0, 6, 3), (5, 0, 2)], ids=["forward", "back"])
@pytest.mark.parametrize("every", [-1.0, 1000.0], ids=["after each frame", "never"])
def test_a_tracking_that_was_killed_goes_on_with_equal_masks(
    made: tuple[Video, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    start: int,
    stop: int,
    break_at: int,
    every: float,
) -> None:
    video, masks = made
    monkeypatch.setattr(frame_loop, "SAVE_EVERY_SECONDS", every)
    tools: Any = SimpleNamespace(network=lively_lite(), video=video, device="cpu")
    layers = [{start: corrected(masks[start], 1)}, {start: corrected(masks[start], 2)}]
    memory = TrackingMemory(tmp_path, "this one")
    (tmp_path / "other").mkdir()

    def steps(folder: TrackingMemory, given: int | None = None) -> Iterator[tuple[int, Any]]:
        return track_job(tools, layers, start, stop, [1, 2], range(7), {}, folder, given)

    whole = dict(frames(steps(TrackingMemory(tmp_path / "other", "other"))))
    running = steps(memory)
    assert next(running) == ConditioningProgress(0, 1)
    begun = dict(itertools.islice(running, break_at))
    next(running)  # computed ahead: the server never saved it
    running.close()
    assert memory.file.exists() == (every < 0)

    rest = dict(frames(steps(memory, given=[*begun][-1])))

    assert [*begun, *rest] == [*whole]
    for index, objects in whole.items():
        for number, (mask, mark) in (begun | rest)[index].items():
            np.testing.assert_array_equal(mask, objects[number][0])
            assert mark == objects[number][1]


@pytest.mark.parametrize("every", [-1.0, 1e9])
def test_a_tracking_that_carries_a_correction_goes_on_identically(
    made: tuple[Video, np.ndarray], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, every: float
) -> None:
    video, masks = made
    monkeypatch.setattr(frame_loop, "SAVE_EVERY_SECONDS", every)
    tools: Any = SimpleNamespace(network=lively_lite(), video=video, device="cpu")
    given = corrected(masks[0], 1, 2)
    earlier = given.mask.copy()
    rows, columns = np.nonzero(earlier == 1)
    earlier[rows.min() : rows.min() + 4, columns.min() : columns.max()] = 0
    layers = [{0: replace(given, changed=earlier != given.mask)}]
    of = MadeFrom(((0, 1),))
    previous = {
        index: [
            StoredMask((ObjectInfo(i, score=0.25), encode_rle(masks[index] == i)["counts"], None, None), of)
            for i in (1, 2)
        ]
        for index in range(1, 7)
    }

    def steps(folder: Path, given: int | None = None) -> Iterator[tuple[int, Any]]:
        folder.mkdir(exist_ok=True)
        memory = TrackingMemory(folder, "this one")
        return track_job(tools, layers, 0, 6, [1, 2], range(7), previous, memory, given)

    plain = dict(frames(track_job(tools, layers, 0, 6, [1, 2], range(7), {}, TrackingMemory(tmp_path, "no"))))
    whole = dict(frames(steps(tmp_path / "whole")))
    differs = [~np.array_equal(objects[2][0], plain[index][2][0]) for index, objects in whole.items()]
    assert any(differs), "objects far from the correction stay as they were"
    running = steps(tmp_path / "begun")
    next(running)
    begun = dict(itertools.islice(running, 3))
    next(running)
    running.close()
    rest = dict(frames(steps(tmp_path / "begun", given=[*begun][-1])))
    for index, objects in whole.items():
        for number, (mask, mark) in (begun | rest)[index].items():
            np.testing.assert_array_equal(mask, objects[number][0])
            assert mark == objects[number][1]
            if np.array_equal(mask, masks[index] == number):
                assert mark.score == 0.25, "a mask that stays keeps its score"


def test_frames_that_nothing_of_a_correction_reaches_are_not_computed(
    made: tuple[Video, np.ndarray], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    video, masks = made
    tools: Any = SimpleNamespace(network=lively_lite(), video=video, device="cpu")
    changed = np.zeros(video.size, np.bool_)
    changed[2, 2] = True  # less than the flow can follow
    layers = [{0: replace(corrected(masks[0], 1, 2), changed=changed)}]
    monkeypatch.setattr(change_regions, "PRESENT", 1.0)
    previous = {
        index: [
            StoredMask(
                (ObjectInfo(i, score=0.25), encode_rle(masks[index] == i)["counts"], None, None),
                MadeFrom(((0, 1),)),
            )
            for i in (1, 2)
        ]
        for index in range(1, 7)
        if index != 2  # which was never tracked
    }

    def steps(name: str) -> dict[int, Any]:
        memory = TrackingMemory(tmp_path, name)
        return dict(frames(track_job(tools, layers, 0, 6, [1, 2], range(7), previous, memory)))

    found = steps("a")
    assert [frame.is_computed for frame in found.values()] == [True, True, False, False, False, False]
    monkeypatch.setattr(change_regions.ChangeRegion, "is_gone", False)
    computed = steps("b")
    assert all(frame.is_computed for frame in computed.values())
    for index in range(1, 7):
        for number in (1, 2):
            np.testing.assert_array_equal(found[index][number][0], computed[index][number][0])
            assert found[index][number][1] == computed[index][number][1]


def test_a_tracking_carries_the_corrections_on_its_way(
    made: tuple[Video, np.ndarray], tmp_path: Path
) -> None:
    video, masks = made
    project = Project(tmp_path / "p", video.describe(), video.size)
    with project.change("click"):
        number = project.add_object()
        project.put(0, {number: (masks[0] == 1, FrameAnnotation("given"))})
        project.correct(0, number, Correction())
    plan, _ = begun_now(project, video, "forward", 0)
    for index in range(1, 7):
        with project.change("tracking"):
            tracked = {number: (masks[index] == 1, FrameAnnotation("tracked", 0.5))}
            store_tracked(project, plan, index, tracked)
    assert begun_now(project, video, "forward", 0)[1][0][0].changed is None, (
        "nothing was corrected since it was tracked"
    )
    assert previous_masks(project, begun_now(project, video, "forward", 0)[0]) == {}
    better = (masks[3] == 1) | (masks[3] == 2)
    with project.change("click"):
        project.put(3, {number: (better, FrameAnnotation("given"))})
        project.correct(3, number, Correction())
    with project.change("review"):
        project.set_reviewed(number, [5], True)
    for direction, index in (("forward", 4), ("back", 2)):
        plan, (layer,) = begun_now(project, video, direction, 3)
        assert sorted(layer) == [0, 3, 5], "what a person reviewed is memory, too"
        changed = layer[3].changed
        assert changed is not None
        np.testing.assert_array_equal(changed, better != (masks[3] == 1))
        assert sorted(previous_masks(project, plan)) == [1, 2, 4, 5, 6]
        with project.change("tracking"):
            tracked = {number: (masks[index] == 1, FrameAnnotation("tracked", 0.5))}
            store_tracked(project, plan, index, tracked)
        project.note("tracking", InterruptedTracking(plan, index, 1).as_json())
        again, (layer,) = begin_plan(project, resumed(project, noted(project)))
        assert layer[3].changed is not None, "resumed, it carries the same"
        assert again.run == plan.run
    assert begun_now(project, video, "forward", 3)[1][0][3].changed is None
    project.close()


def test_imported_masks_change_near_corrections_alone(made: tuple[Video, np.ndarray], tmp_path: Path) -> None:
    video, masks = made
    project = Project(tmp_path / "p", video.describe(), video.size)
    with project.change("import"):
        number = project.add_object()
        for index in range(7):
            project.put(index, {number: (masks[index] == 1, FrameAnnotation("imported", 0.9))})
    better = (masks[3] == 1) | (masks[3] == 2)
    with project.change("click"):
        project.put(3, {number: (better, FrameAnnotation("given"))})
        project.correct(3, number, Correction())
    plan, (layer,) = begun_now(project, video, "forward", 3)
    changed = layer[3].changed
    assert changed is not None
    np.testing.assert_array_equal(changed, better != (masks[3] == 1))
    previous = previous_masks(project, plan)
    assert sorted(previous) == [0, 1, 2, 4, 5, 6]
    assert previous[4][0].stored[0].score == 0, "a tracker may be less sure than a file"
    with project.change("tracking"):
        project.put(4, {number: (masks[4] == 1, FrameAnnotation("tracked", 0.5))})
        project.put(5, {number: (masks[5] == 2, FrameAnnotation("tracked", 0.5))})
    assert [project.marks(index)[number].kind for index in (4, 5)] == ["imported", "tracked"]
    assert [project.marks(index)[number].agreement is None for index in (4, 5)] == [True, False]
    project.close()


def noted(project: Project) -> InterruptedTracking:
    tracking = interrupted(project)
    assert tracking is not None
    return tracking


def begun_now(
    project: Project, video: Video, direction: Direction, frame: int
) -> tuple[TrackingPlan, list[dict[int, ConditioningFrame]]]:
    plan = planned(project, video, direction, frame)
    return begin_plan(project, InterruptedTracking(plan, plan.begin))


def test_a_plan_stays_as_it_is_and_is_noted_with_its_progress(
    made: tuple[Video, np.ndarray], tmp_path: Path
) -> None:
    video, masks = made
    project = Project(tmp_path / "p", video.describe(), video.size)
    with project.change("click"):
        project.put(0, {project.add_object(): (masks[0] == 1, FrameAnnotation("given"))})
    before = planned(project, video, "forward", 0)
    plan, _ = begin_plan(project, InterruptedTracking(before, before.begin))
    assert (before.run, before.shown, before.earlier) == ("", "", None), "another plan has begun"
    assert plan.run
    with pytest.raises(FrozenInstanceError):
        plan.stop = 2  # type: ignore[misc]
    project.note("tracking", InterruptedTracking(plan, 2, 2).as_json())
    assert noted(project) == InterruptedTracking(plan, 2, 2)
    assert resumed(project, noted(project)) == InterruptedTracking(replace(plan, total=4), 2)


def test_a_tracking_of_objects_that_overlap_a_little_begins_and_goes_on(
    made: tuple[Video, np.ndarray], tmp_path: Path
) -> None:
    """Their session is shown whole masks; those belong to what a tracking began with."""
    video, _ = made
    below, above = np.zeros((2, *video.size), np.bool_)
    below[4:24, 4:34] = above[4:24, 33:63] = True
    project = Project(tmp_path / "p", video.describe(), video.size)
    with project.change("draw"):
        one, two = project.add_object(), project.add_object()
        marks = {one: (below, FrameAnnotation("given")), two: (above, FrameAnnotation("given"))}
        project.put(0, marks)
    plan, (layer,) = begun_now(project, video, "forward", 0)
    assert [*layer[0].whole] == [one]
    project.note("tracking", InterruptedTracking(plan, 2, 2).as_json())
    again, _ = begin_plan(project, resumed(project, noted(project)))
    assert again.run == plan.run, "it goes on with its memory"
    below[4:8, 33] = False
    with project.change("draw"):
        project.put(0, {one: (below, FrameAnnotation("given"))})
    changed, _ = begin_plan(project, resumed(project, noted(project)))
    assert changed.run != plan.run, "the hidden part has changed"


def test_an_interrupted_tracking_that_an_older_segue_noted_goes_on(
    made: tuple[Video, np.ndarray], tmp_path: Path
) -> None:
    video, masks = made
    project = Project(tmp_path / "p", video.describe(), video.size)
    with project.change("click"):
        project.put(0, {project.add_object(): (masks[0] == 1, FrameAnnotation("given"))})
    older = {"direction": "forward", "start": 2, "stop": 6, "objects": [1], "first": 0, "last": 6}
    project.note("tracking", older | {"done": 2, "total": 6})
    plan, layers = begin_plan(project, resumed(project, noted(project)))
    assert (plan.begin, plan.stop, plan.total, plan.objects, plan.user) == (2, 6, 4, (1,), "")
    assert [sorted(layer) for layer in layers] == [[0, 2]]


def test_the_memory_of_another_tracking_or_of_frames_that_are_not_saved_does_not_count(
    made: tuple[Video, np.ndarray], tmp_path: Path
) -> None:
    video, masks = made
    session = TrackSession(lively_lite(), device="cpu")
    session.step(video.frame(0), masks[0])
    memory = TrackingMemory(tmp_path, "first")
    memory.save([session], 4)
    memory.publish()
    assert TrackingMemory(tmp_path, "second").restore([session], range(9)) is None
    assert memory.restore([session], range(4)) is None
    assert memory.restore([session], range(5)) == 4
    memory.file.write_bytes(b"damaged")
    with pytest.raises(SegueError):
        memory.restore([session], range(5))
    assert memory.restore([session], range(5)) is None  # resumed once more it begins anew


def test_corrections_after_an_interruption_begin_another_tracking(
    made: tuple[Video, np.ndarray], tmp_path: Path
) -> None:
    video, masks = made
    project = Project(tmp_path / "p", video.describe(), video.size)
    with project.change("click"):
        project.put(0, {project.add_object(): (masks[0] == 1, FrameAnnotation("given"))})
    plan, _ = begun_now(project, video, "forward", 0)
    with project.change("tracking"):
        project.put(1, {1: (masks[1] == 1, FrameAnnotation("tracked"))})
        project.put(2, {1: (masks[2] == 1, FrameAnnotation("tracked"))})
    project.note("tracking", InterruptedTracking(plan, 2, 2).as_json())

    again, layers = begin_plan(project, resumed(project, noted(project)))
    assert (again.run, again.begin, resumed(project, noted(project)).start) == (plan.run, 0, 2)
    assert [sorted(layer) for layer in layers] == [[0]]

    with project.change("click"):
        project.put(1, {1: (masks[1] == 2, FrameAnnotation("given"))})
    changed, layers = begin_plan(project, resumed(project, noted(project)))
    assert changed.run != plan.run
    assert changed.begin == 2
    assert [sorted(layer) for layer in layers] == [[0, 1, 2]]
    project.close()
