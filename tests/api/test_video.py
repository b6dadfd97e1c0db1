"""Prompts on any frame of a video, and masks in both directions from them."""

from __future__ import annotations

import json
import pickle
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import segue
from segue.errors import CheckpointError, PromptError, SegueError, SourceError
from segue.masks import read_index_mask
from segue.masks.pieces import Pieces
from segue.models.stcn import STCNLite
from segue.prompt_types import BoxPrompt, RemovePrompt
from segue.sessions import TrackSession
from segue.types import Segmentation
from tests import nearest_mask
from tests.clips import clip
from tests.lite import lively_lite
from tests.video.making import write_video

FRAMES, MASKS = clip(5, 8, 48, 64, 2)
IMAGES = list(FRAMES)


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


@pytest.fixture
def video(lite: STCNLite) -> segue.Video:
    return segue.Video(IMAGES, model=lite, device="cpu")


def masks_of(results: list[Segmentation]) -> dict[int, np.ndarray]:
    return {result.index: result.mask for result in results}


def test_a_prompt_in_the_middle_is_followed_both_ways_as_track_does(
    video: segue.Video, lite: STCNLite
) -> None:
    expected = list(segue.track(IMAGES, {3: MASKS[3]}, model=lite, device="cpu", reverse=True))
    video.add(3, MASKS[3])
    order = [result.index for result in video.propagate()]
    assert order == [3, 4, 5, 6, 7, 2, 1, 0]
    for result, other in zip(video, expected, strict=True):
        assert (result.index, result.time) == (other.index, other.time)
        np.testing.assert_array_equal(result.mask, other.mask)
        if result.index != 3:  # there the mask is a person's, and its score 1
            assert result.objects == other.objects


def test_each_object_is_followed_from_its_own_first_prompt(video: segue.Video, lite: STCNLite) -> None:
    video.add(1, masks={1: MASKS[1] == 1})
    video.add(5, masks={2: MASKS[5] == 2})
    results = list(video.propagate())
    assert [result.index for result in results] == [5, 6, 7, 4, 3, 2, 1, 0]  # when both are tracked
    session = TrackSession(lite, device="cpu")  # what goes back from frame 5 has seen frame 1 as well
    session.step(segue.Frame(1, 0.04, IMAGES[1]), [segue.MaskPrompt(1, MASKS[1] == 1)], predict=False)
    session.step(segue.Frame(5, 0.2, IMAGES[5]), [segue.MaskPrompt(2, MASKS[5] == 2)])
    back = {i: session.step(segue.Frame(i, i / 25, IMAGES[i])).mask for i in (4, 3, 2)}
    for index in (4, 3, 2):
        assert video[index].ids == (1, 2)
        np.testing.assert_array_equal(video[index].mask == 2, back[index] == 2)


def test_a_correction_counts_on_both_sides_and_stays(video: segue.Video) -> None:
    video.add(0, MASKS[0])
    before = masks_of(list(video.propagate()))
    corrected = video.add(6, masks={2: MASKS[6] == 2})
    assert np.array_equal(corrected.mask == 2, MASKS[6] == 2)
    after = masks_of(list(video.propagate()))
    assert any(not np.array_equal(after[i], before[i]) for i in (3, 4, 5)), "known before it is reached"
    assert np.array_equal(after[6] == 2, MASKS[6] == 2)
    assert np.array_equal(video[6].mask, after[6])


def test_a_part_between_two_frames_is_tracked_alone(video: segue.Video) -> None:
    video.add(1, MASKS[1])
    list(video.propagate())
    before = masks_of(list(video))
    video.add(6, MASKS[6])
    assert [result.index for result in video.propagate(6, 3)] == [6, 5, 4, 3]
    assert [result.index for result in video.propagate(1, 2)] == [1, 2]
    assert np.array_equal(video[7].mask, before[7])
    with pytest.raises(PromptError, match="prompted frames are 1, 6"):
        video.propagate(4)


def test_points_correct_the_mask_of_a_frame(video: segue.Video) -> None:
    video.add(0, MASKS[0])
    list(video.propagate())
    mask = video[4].mask == 2
    y, x = (int(places[len(places) // 2]) for places in mask.nonzero())
    assert mask[y, x]
    shown = video.add(4, points=[(x, y)], labels=[0], id=2)
    assert shown.mask[y, x] != 2
    assert np.array_equal(shown.mask == 1, video[4].mask == 1)
    with pytest.raises(PromptError):
        video.add(4, points=[(x, y)], labels=[0], id=7)  # nothing is known of it to correct


def test_objects_that_overlap_keep_their_masks(video: segue.Video) -> None:
    """Each is tracked as if it were alone."""
    large = np.zeros(MASKS[0].shape, bool)
    large[8:40, 10:50] = True
    small = np.zeros_like(large)
    small[16:30, 20:36] = True
    video.add(0, masks={1: large})
    alone = {i: mask == 1 for i, mask in masks_of(list(video.propagate())).items()}
    video.add(0, masks={2: small})
    both = list(video.propagate())
    for result in both:
        assert result.ids == (1, 2)
        hidden = result.mask == 2
        assert np.array_equal(result.mask == 1, alone[result.index] & ~hidden)


def test_objects_and_prompts_are_removed(video: segue.Video) -> None:
    video.add(0, MASKS[0])
    video.add(4, [BoxPrompt(2, (10, 10, 40, 40), fill=True, label="dog")])
    list(video.propagate())
    assert [item.label for item in video[7].objects] == [None, "dog"]
    video.remove(2, 4)
    assert video.prompted == (0,)
    assert video.ids == (1, 2)
    video.add(0, [RemovePrompt(2)])
    assert video.ids == (1,)
    assert all(result.ids == (1,) for result in video)
    with pytest.raises(PromptError):
        video.remove(2)
    video.reset()
    assert (video.ids, list(video)) == ((), [])


def test_results_are_written_with_the_names_of_the_video(
    video: segue.Video, lite: STCNLite, tmp_path: Path
) -> None:
    video.add(2, MASKS[2])
    with pytest.raises(SegueError, match="propagate"):
        video.save(tmp_path / "out")
    list(video.propagate())
    written = video.save(tmp_path / "out", formats=["png", "overlay"])
    for result in video:
        stored = read_index_mask(written["png"] / f"{result.index:05d}.png")
        assert np.array_equal(stored, result.mask)


def test_a_part_of_a_file_keeps_its_indices(lite: STCNLite, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", IMAGES)
    with segue.Video(segue.open_source(path, start=2, end=7, stride=2), model=lite, device="cpu") as video:
        assert len(video) == 3
        video.add(4, MASKS[4])
        list(video.propagate())
        assert [result.index for result in video] == [2, 4, 6]
        with pytest.raises(SourceError):
            video.add(3, MASKS[3])


def test_frames_that_come_once_are_refused(lite: STCNLite) -> None:
    with pytest.raises(SourceError, match=r"segue\.track"):
        segue.Video(iter(IMAGES), model=lite, device="cpu")


def test_memory_does_not_hold_the_video(lite: STCNLite, tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", IMAGES * 6)
    video = segue.Video(path, model=lite, device="cpu")
    video.add(10, MASKS[0])
    last = 6 * len(IMAGES) - 1
    for result in video.propagate():  # up to the last frame, then back from frame 9
        if result.index == 15:
            tracemalloc.start()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0 < kept < (last - 15 + 10) * FRAMES[0].nbytes / 2, "half of the images of the last frames"


def test_a_video_of_one_frame_is_saved_and_shown(lite: STCNLite, tmp_path: Path) -> None:
    still = segue.Video(IMAGES[:1], model=lite, device="cpu")
    still.add(0, MASKS[0])
    for _ in range(2):
        assert [result.index for result in still] == [0]
        still.save(tmp_path / "out", overwrite=True)
        np.testing.assert_array_equal(read_index_mask(tmp_path / "out/masks/00000.png"), MASKS[0])
        still.show().save(tmp_path / "page.html")
        assert [result.index for result in still.propagate()] == [0]


def test_an_object_that_is_removed_while_it_is_tracked_stays_away(video: segue.Video) -> None:
    video.add(2, MASKS[2])
    tracking = video.propagate()
    next(tracking)
    video.remove(1)
    video.add(7, masks={1: MASKS[7] == 2, 3: MASKS[7] == 1})
    shown = {result.index: result for result in tracking}
    assert 1 not in shown[5].ids
    assert (shown[7].ids, shown[0].ids) == ((1, 2, 3), (2,))
    assert all(video[index].ids == (2,) for index in range(7)), "what has the id now is not tracked yet"
    tracked = {result.index: result for result in video.propagate()}
    assert tracked[5].ids == (1, 2, 3)
    for number in video.ids:
        video.remove(number)
    assert not any(result.objects for result in map(video.__getitem__, range(8)))


def test_all_objects_may_be_removed_while_they_are_tracked(video: segue.Video) -> None:
    video.add(2, MASKS[2])
    tracking = video.propagate()
    next(tracking)
    video.reset()
    assert not any(result.objects for result in tracking)
    video.add(4, masks={1: MASKS[4] == 1})
    tracking = video.propagate(4, 6)
    video.remove(1, 4)
    assert list(tracking) == []
    assert video[5].objects == ()


def test_a_second_thread_is_refused(lite: STCNLite) -> None:
    reading, going_on = threading.Event(), threading.Event()
    video = segue.Video(IMAGES, model=lite, device="cpu")
    walk = video.source.walk

    def waiting(start: int, stop: int) -> Iterator[segue.Frame]:
        reading.set()
        assert going_on.wait(60)
        return walk(start, stop)

    video.source.walk = waiting  # type: ignore[method-assign]
    video.add(0, MASKS[0])
    tracking = video.propagate()
    results: list[Segmentation] = []
    worker = threading.Thread(target=lambda: results.extend(tracking))
    worker.start()
    assert reading.wait(60)
    uses: list[Callable[[], object]] = [
        lambda: next(tracking),
        video.propagate,
        lambda: video.add(1, MASKS[1]),
        lambda: video.remove(1),
        lambda: video[0],
        video.reset,
    ]
    try:
        for use in uses:
            with pytest.raises(SegueError, match="another thread uses it"):
                use()
    finally:
        going_on.set()
        worker.join()
    assert [result.index for result in results] == list(range(8))


def test_a_mask_that_is_only_confirmed_changes_no_other_frame(video: segue.Video) -> None:
    video.add(0, MASKS[0])
    before = masks_of(list(video.propagate()))
    video.add(4, masks={2: before[4] == 2})
    after = {result.index: result.mask for result in video.propagate()}
    assert sorted(after) == list(range(8)), "every frame is given, also those that stay"
    for index, mask in before.items():
        np.testing.assert_array_equal(after[index], mask)


def test_a_correction_leaves_what_is_far_from_it(video: segue.Video) -> None:
    video.add(0, MASKS[0])
    before = masks_of(list(video.propagate()))
    mask = before[4] == 2
    rows, columns = np.nonzero(mask)
    cut = mask.copy()
    cut[rows.min() : rows.min() + 3, columns.min() : columns.min() + 3] = False
    video.add(4, masks={2: cut})
    for result in video.propagate(4, 6):
        differs = result.mask != before[result.index]
        pieces = Pieces.of(differs)
        beside = np.zeros_like(differs)
        top, left = max(rows.min() - 14, 0), max(columns.min() - 14, 0)
        beside[top : rows.min() + 18, left : columns.min() + 18] = True
        assert (pieces.count(beside)[1:] > 0).all(), "each difference touches the region around the cut"


def test_a_state_goes_on_in_another_video(video: segue.Video, lite: STCNLite) -> None:
    video.add(0, MASKS[0])
    first = next(iter(video.propagate()))
    video.add(5, masks={2: MASKS[5] == 2})
    state = json.loads(json.dumps(video.state()))
    other = segue.Video(IMAGES, model=lite, device="cpu")
    other.restore(state)
    assert other.ids == video.ids
    assert other.prompted == (0, 5)
    assert other[first.index] == video[first.index]
    for one, two in zip(video.propagate(), other.propagate(), strict=True):
        assert one == two


def test_a_video_is_saved_restored_and_pickled(lite: STCNLite, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", IMAGES)
    with segue.Video(path, model=lite, device="cpu", stride=2) as video:
        video.add(0, MASKS[0])
        list(video.propagate())
        video.add(4, masks={2: MASKS[4] == 2})
        video.save_state(tmp_path / "video.state")
        fresh = segue.Video(path, model=lite, device="cpu", stride=2)
        fresh.restore(str(tmp_path / "video.state"))
        copied = pickle.loads(pickle.dumps(video))
        assert repr(copied) == repr(video)
        for one, *others in zip(video.propagate(), fresh.propagate(), copied.propagate(), strict=True):
            assert all(other == one for other in others)
        with pytest.raises(CheckpointError, match="network"):
            segue.Video(path, device="cpu", stride=2).restore(tmp_path / "video.state")
        with pytest.raises(CheckpointError, match="frames"):
            segue.Video(path, model=lite, device="cpu").restore(tmp_path / "video.state")


def test_a_state_of_another_video_or_a_damaged_one_is_refused(video: segue.Video, lite: STCNLite) -> None:
    video.add(0, MASKS[0])
    state = json.loads(json.dumps(video.state()))
    shorter = segue.Video(IMAGES[:5], model=lite, device="cpu")
    with pytest.raises(CheckpointError, match=r"frames is \[0, 7, 8\], this video's is \[0, 4, 5\]"):
        shorter.restore(state)
    with pytest.raises(CheckpointError, match="JSON text"):
        video.restore(json.dumps(state))
    counts = state["prompted"]["0"]["1"][1]
    for damaged in (counts[:-1], counts + "a", "", "\x80"):
        state["prompted"]["0"]["1"][1] = damaged
        with pytest.raises(CheckpointError, match="no state of a video"):
            video.restore(state)
    state["prompted"]["0"]["1"][1] = counts
    for damage in ({"prompted": {}}, {"revision": float("inf")}):
        with pytest.raises(CheckpointError, match="no state of a video"):
            video.restore(state | damage)
    assert video.prompted == (0,), "what was there stays"


def test_a_state_of_an_earlier_version_knows_nothing_of_what_was_unsure(video: segue.Video) -> None:
    video.add(0, MASKS[0])
    list(video.propagate())
    state = json.loads(json.dumps(video.state()))
    assert all(objects[i][3] is not None for objects in state["tracked"].values() for i in objects)
    earlier = json.loads(json.dumps(state))
    for objects in earlier["tracked"].values():
        objects["1"] = objects["1"][:2]
        objects["2"] = objects["2"][:3] if objects["2"][2] else objects["2"][:2]
    results = masks_of(list(video))
    video.restore(earlier)
    for index, mask in results.items():
        np.testing.assert_array_equal(video[index].mask, mask)
    video.add(5, masks={2: MASKS[5] == 2})
    assert len(list(video.propagate())) >= 8
    state["tracked"]["3"]["1"][3] += "1"
    with pytest.raises(CheckpointError, match="no state of a video"):
        video.restore(state)


def test_a_click_that_agrees_keeps_the_score(video: segue.Video) -> None:
    video.add(0, MASKS[0])
    before = masks_of(list(video.propagate()))
    tracked = {item.id: item.score for item in video[4].objects}
    assert tracked[2] < 1
    y, x = np.argwhere(before[4] == 2)[0]
    result = video.add(4, id=2, points=(float(x), float(y)))
    assert {item.id: item.score for item in result.objects} == tracked
    np.testing.assert_array_equal(result.mask, before[4])


def test_a_part_starts_where_one_object_of_two_is_removed() -> None:
    """Each of them is tracked by a session of its own, as they overlap."""
    network, cell = nearest_mask.NearestMask(), nearest_mask.mask_of([0], 0)
    for start, stop in ((2, 0), (2, 6)):
        video = segue.Video(nearest_mask.images(7), model=network, device="cpu")
        for index in (0, 2):
            video.add(index, masks={1: cell, 2: cell})
        video.add(2, [RemovePrompt(1)])
        if stop > start:
            video.add(5, masks={1: cell})
        list(video.propagate(start, stop))
        frames = range(min(start, stop) + 1, max(start, stop))
        for index in frames:
            whole = nearest_mask.whole_masks(video[index])
            assert np.array_equal(whole[2] & cell, cell)
            assert (1 in whole) is (stop < start or index >= 5)


def test_a_state_is_not_written_over_the_video(lite: STCNLite, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", IMAGES)
    before = path.read_bytes()
    with segue.Video(path, model=lite, device="cpu") as video:
        video.add(0, MASKS[0])
        with pytest.raises(SegueError, match="the frames come from there"):
            video.save_state(path)
    assert path.read_bytes() == before
