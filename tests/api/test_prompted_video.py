"""``segue.Video`` with a network that takes clicks: as our predictor, and as the release up to rounding."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.errors import CheckpointError, PromptError
from segue.models.sam2 import SAM2, SAM2Schedule, Settings, VideoPredictor, VideoResult
from segue.prompt_types import MaskPrompt
from segue.state import SessionState
from segue.types import Segmentation
from segue.weights import Prepared, prepare
from tests.clips import clip
from tests.golden_arrays import load_golden
from tests.models.sam2_videos import info_of, mask_of

SIDE = 64
FRAMES, MASKS = clip(7, 5, 48, 72, 2)
IMAGES = list(FRAMES)
ON = (50.0, 17.0)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def network(sam2_network: SAM2) -> Prepared[SAM2]:
    return prepare(sam2_network, device="cpu")


@pytest.fixture
def video(network: Prepared[SAM2]) -> segue.Video:
    """Corrected frames count, as with ``add_all_frames_to_correct_as_cond`` of the release."""
    schedule = SAM2Schedule(short_side=SIDE, keep_corrections=True)
    return segue.Video(IMAGES, model=network, schedule=schedule)


@pytest.fixture
def predictor(network: Prepared[SAM2]) -> VideoPredictor:
    return VideoPredictor(network.network, FRAMES, settings=Settings(keep_corrections=True), side=SIDE)


def same(result: Segmentation, expected: VideoResult) -> bool:
    """Whether a result has the masks, the log-odds and the scores of our predictor, bit for bit."""
    order = sorted(range(len(expected.ids)), key=lambda k: expected.ids[k])
    records = [expected.records[k] for k in order]
    assert all(record is not None for record in records)
    assert result.ids == tuple(sorted(expected.ids))
    visible = np.array([item.area > 0 for item in result.objects])
    scores = np.array([float(record.expected) for record in records if record is not None], np.float32)
    return (
        np.array_equal(result.logits, expected.logits[order].numpy())
        and np.array_equal(result.masks, expected.masks[order])
        and np.array_equal(
            np.array([item.score for item in result.objects], np.float32)[visible], scores[visible]
        )
    )


def passes(predictor: VideoPredictor) -> list[VideoResult]:
    """The loop of the notebook: to the end of the video, and from its prompts to the beginning."""
    return [*predictor.propagate(), *list(predictor.propagate(reverse=True))[1:]]


def test_clicks_a_box_and_a_correction_give_what_the_predictor_gives(
    video: segue.Video, predictor: VideoPredictor
) -> None:
    assert same(video.add(2, points=[ON], labels=[1]), predictor.click(2, 1, [ON], [1]))
    clicks = [(26.0, 34.0), (40.0, 8.0)]
    for count in (1, 2):  # the notebook repeats the clicks of a frame
        points, labels = clicks[:count], [1, 0][:count]
        assert same(video.add(2, id=4, points=points, labels=labels), predictor.click(2, 4, points, labels))
    third = [(30.0, 30.0)]
    assert same(video.add(2, id=4, points=third), predictor.click(2, 4, third, [1], add=True))
    box = (40.0, 10.0, 62.0, 27.0)
    assert same(video.add(2, id=9, box=box), predictor.click(2, 9, box=box))
    results, expected = list(video.propagate()), passes(predictor)
    assert [result.index for result in results] == [2, 3, 4, 1, 0]
    assert all(map(same, results, expected))
    beside = [(60.0, 40.0)]
    corrected = video.add(3, points=beside, labels=[0])
    assert same(corrected, predictor.click(3, 1, beside, [0]))
    before = {result.index: result for result in results}
    results, expected = list(video.propagate()), passes(predictor)
    assert all(map(same, results, expected))
    after = {result.index: result for result in results}
    assert np.array_equal(after[3].masks[0], corrected.masks[0]), "the correction stays"
    assert corrected.masks[0].any()
    assert not np.array_equal(after[4].logits, before[4].logits)
    assert all(same(video[row.frame], row) for row in expected), "also when a frame is looked up"


def test_a_click_that_is_taken_back_counts_again(video: segue.Video, predictor: VideoPredictor) -> None:
    assert same(video.add(2, points=[ON]), predictor.click(2, 1, [ON], [1]))
    for label in (0, 1):
        clicked = video.add(2, points=[ON], labels=[label])
        assert same(clicked, predictor.click(2, 1, [ON], [label], add=True))


def test_a_mask_and_parts_give_what_the_predictor_gives(
    video: segue.Video, predictor: VideoPredictor
) -> None:
    mask = MASKS[0] == 1
    assert same(video.add(0, masks={2: mask}), predictor.mask(0, 2, mask))
    parts = [(0, 1), (3, 2), (4, 4)]
    for start, stop in parts:
        run = predictor.propagate(start, reverse=stop < start, frames=abs(stop - start))
        assert all(map(same, video.propagate(start, stop), run))
    assert same(video.add(4, id=2, points=[(60.0, 40.0)]), predictor.click(4, 2, [(60.0, 40.0)]))
    video.remove(2, 4)
    predictor.unprompt(4, 2)
    assert all(map(same, video.propagate(), passes(predictor)))


def test_masks_that_overlap_are_given_whole(video: segue.Video, predictor: VideoPredictor) -> None:
    large = np.zeros(FRAMES.shape[1:3], bool)
    large[8:40, 10:50] = True
    small = np.zeros_like(large)
    small[16:30, 20:36] = True
    result = video.add(0, masks={1: large, 2: small})
    predictor.mask(0, 1, large)
    assert same(result, predictor.mask(0, 2, small))
    assert (result.masks[0] & result.masks[1]).any()
    results = [next(iter(video.propagate(0, 1))), next(video.propagate(1, 1))]
    expected = list(predictor.propagate(0, frames=1))
    assert all(starmap(same, zip(results, expected, strict=True)))


@pytest.mark.slow
def test_the_schedule_of_the_release_forgets_corrections_in_a_new_pass(network: Prepared[SAM2]) -> None:
    video = segue.Video(IMAGES, model=network, schedule=SAM2Schedule(short_side=SIDE))
    predictor = VideoPredictor(network.network, FRAMES, side=SIDE)
    video.add(2, points=[ON])
    predictor.click(2, 1, [ON])
    first = list(video.propagate()), passes(predictor)
    video.add(1, points=[(60.0, 40.0)])
    predictor.click(1, 1, [(60.0, 40.0)])
    again = list(video.propagate()), passes(predictor)
    for results, expected in (first, again):
        assert [result.index for result in results] == [row.frame for row in expected]
        assert all(starmap(same, zip(results, expected, strict=True)))
    assert video.prompted == (2,)


@pytest.mark.slow
def test_objects_enter_and_leave_while_others_are_tracked(video: segue.Video) -> None:
    video.add(0, masks={1: MASKS[0] == 1})
    tracking = video.propagate()
    next(tracking)
    video.add(3, masks={2: MASKS[3] == 2})
    seen = {result.index: result.ids for result in tracking}
    assert (seen[2], seen[3], seen[4]) == ((1,), (1, 2), (1,)), "what is new joins the next pass"
    assert video[3].ids == (1, 2)
    seen = {result.index: result.ids for result in video.propagate()}
    assert set(seen.values()) == {(1, 2)}
    tracking = video.propagate()
    next(tracking)
    video.remove(1)
    assert {result.ids for result in tracking} == {(2,)}
    video.reset()
    assert (video.ids, list(video)) == ((), [])


def test_labels_and_wrong_prompts(video: segue.Video) -> None:
    result = video.add(0, [MaskPrompt(1, MASKS[0] == 1, label="dog")])
    assert [item.label for item in result.objects] == ["dog"]
    assert {item.label for each in video.propagate() for item in each.objects} == {"dog"}
    with pytest.raises(PromptError, match="positive"):
        video.add(3, [segue.PointPrompt(5, (), (ON,))])
    assert video.ids == (1,)
    with pytest.raises(PromptError, match="no prompt"):
        video.remove(1, 4)


@pytest.mark.slow
def test_a_state_in_json_gives_the_network_the_masks_of_prompted_frames(
    video: segue.Video, predictor: VideoPredictor, network: Prepared[SAM2]
) -> None:
    video.add(2, points=[ON])
    list(video.propagate())
    video.add(4, id=2, box=(40, 10, 62, 27))
    state = json.loads(json.dumps(video.state()))
    other = segue.Video(IMAGES, model=network, schedule=SAM2Schedule(short_side=SIDE, keep_corrections=True))
    other.restore(state)
    assert (other.ids, other.prompted) == ((1, 2), (2, 4))
    for index in range(len(IMAGES)):
        assert np.array_equal(other[index].masks, video[index].masks)
    predictor.mask(2, 1, video[2].masks[0])
    predictor.mask(4, 2, video[4].masks[1])
    results = list(other.propagate())
    assert all(starmap(same, zip(results, passes(predictor), strict=True)))


def test_a_video_goes_on_after_a_restart_with_all_that_the_network_remembers(
    video: segue.Video, network: Prepared[SAM2], tmp_path: Path
) -> None:
    video.add(2, points=[ON])
    list(video.propagate())
    video.add(3, points=[(60.0, 40.0)], labels=[0])
    video.save_state(tmp_path / "video.state")
    schedule = SAM2Schedule(short_side=SIDE, keep_corrections=True)
    other = segue.Video(IMAGES, model=network, schedule=schedule)
    other.restore(tmp_path / "video.state")
    for index in range(len(IMAGES)):
        assert np.array_equal(other[index].logits, video[index].logits)
    steps: list[Callable[[segue.Video], list[Segmentation]]] = [
        lambda one: [one.add(3, points=[(20.0, 15.0)], labels=[0])],
        lambda one: [one.add(4, id=2, box=(40, 10, 62, 27))],
        lambda one: list(one.propagate()),
    ]
    for step in steps:
        for expected, result in zip(step(video), step(other), strict=True):
            assert result == expected
            assert np.array_equal(result.logits, expected.logits)
    before = other.state()
    (tmp_path / "video.state").write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError):
        other.restore(tmp_path / "video.state")
    video.save_state(tmp_path / "damaged.state")
    damaged = SessionState.load(tmp_path / "damaged.state")
    del damaged.tensors[next(iter(damaged.tensors))]
    with pytest.raises(CheckpointError):
        other.restore(damaged)
    assert other.state() == before, "what was there stays"


def test_a_click_after_a_restart_from_json_keeps_all_other_objects(
    video: segue.Video, network: Prepared[SAM2], tmp_path: Path
) -> None:
    video.add(2, masks={1: MASKS[2] == 1, 2: MASKS[2] == 2})
    list(video.propagate())
    other = segue.Video(IMAGES, model=network, schedule=SAM2Schedule(short_side=SIDE, keep_corrections=True))
    other.restore(json.loads(json.dumps(video.state())))
    result = other.add(3, id=1, points=[ON])
    assert result.ids == (1, 2)
    np.testing.assert_array_equal(result.masks[1], video[3].masks[1])
    written = other.save(tmp_path / "video.json", formats="coco")
    tracks = {row["track_id"] for row in json.loads(written["coco"].read_text())["annotations"]}
    assert tracks == {1, 2}
    other.remove(1, 3)
    assert 2 in other[3].ids


def test_a_correction_alone_is_nothing_to_start_from_with_the_schedule_of_the_release(
    network: Prepared[SAM2],
) -> None:
    video = segue.Video(IMAGES, model=network, schedule=SAM2Schedule(short_side=SIDE))
    video.add(2, points=[ON])
    list(video.propagate())
    video.add(1, points=[(60.0, 40.0)])
    video.remove(1, 2)
    with pytest.raises(PromptError, match="prompted frames are 1"):
        video.propagate()


def test_a_prompter_makes_masks_of_clicks(network: Prepared[SAM2]) -> None:
    schedule = SAM2Schedule(short_side=SIDE)
    video = segue.Video(IMAGES, model=network, schedule=schedule, prompter=segue.Prompter)
    result = video.add(0, box=(8, 20, 44, 44))
    assert set(np.unique(result.logits > 0).tolist()) == {False, True}
    assert np.ptp(np.abs(result.logits)) < 1e-3, "a mask, without probabilities of the network"


CASES = {
    "sam2_video_prompts": "click two refine_first box box_points mask",
    "sam2_video_edit": "enter reverse correct correct_cond plain holes",
    "sam2_video_long": "late_start near_cond stride",
}


QUICK = ("click", "correct")
"""Those that each run of the tests takes."""


def settings_of(info: dict[str, Any]) -> dict[str, Any]:
    from tests.models.sam2_videos import settings_of

    return vars(settings_of(info["settings"]))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "case"),
    [
        pytest.param(file, case, marks=() if case in QUICK else pytest.mark.slow)
        for file, each in CASES.items()
        for case in each.split()
    ],
)
def test_the_steps_of_the_release_give_its_golden_masks(
    network: Prepared[SAM2], shared: Path, file: str, case: str
) -> None:
    golden = load_golden(file, shared / "golden")
    info = info_of(golden, case)
    frames, masks = clip(*info["clip"])
    schedule = SAM2Schedule(short_side=256, **settings_of(info))
    video = segue.Video(list(frames), model=network, schedule=schedule)
    results: list[Segmentation] = []
    for step in info["steps"]:
        index, number = step.get("frame"), step.get("obj")
        if step["do"] == "points":
            points = {"points": step["points"], "labels": step["labels"]} if "points" in step else {}
            results.append(video.add(index, id=number, box=step.get("box"), **points))
        elif step["do"] == "mask":
            results.append(video.add(index, masks={number: mask_of(step["mask"], masks)}))
        else:
            start = step.get("start", min(video.prompted))
            stop = step.get("stop", 0 if step.get("reverse") else len(frames) - 1)
            results += video.propagate(start, stop)
    assert [result.index for result in results] == golden[f"{case}/frame"].tolist()
    expected = np.unpackbits(golden[f"{case}/mask"], axis=-1)[..., : frames.shape[2]].astype(bool)
    for n, result in enumerate(results):
        for k, number in enumerate(golden[f"{case}/ids"][n].tolist()):
            if number in result.ids:
                mask = result.masks[result.ids.index(number)]
                assert (mask != expected[n, k]).mean() <= 0.003, (case, result.index, number)
