"""Detections of other programs become results, and results become theirs."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from pycocotools import mask as coco_mask

import segue
from segue.errors import DatasetError, PromptError
from segue.prompt_types import MaskPrompt
from segue.types import ObjectInfo, Segmentation

SIZE = (6, 8)
LEFT = np.zeros(SIZE, bool)
LEFT[1:5, 0:4] = True
RIGHT = np.zeros(SIZE, bool)
RIGHT[2:6, 3:8] = True
EXPECTED = np.where(RIGHT, 2, np.where(LEFT, 1, 0)).astype(np.uint8)
"""The right one is the surer, and has the pixels of both."""

OBJECTS = (
    ObjectInfo(1, "dog", 0.6, (0, 1, 4, 5), 13),
    ObjectInfo(2, "cat", 0.9, (3, 2, 8, 6), 20),
)


def detections(**others: object) -> SimpleNamespace:
    """As ``supervision.Detections`` holds them."""
    found = {
        "xyxy": np.array([[0, 1, 4, 5], [3, 2, 8, 6]], np.float32),
        "mask": np.stack([LEFT, RIGHT]),
        "confidence": np.array([0.6, 0.9]),
        "class_id": np.array([16, 15]),
        "tracker_id": None,
        "data": {"class_name": np.array(["dog", "cat"])},
    }
    return SimpleNamespace(**{**found, **others})


def test_detections_become_one_result() -> None:
    assert Segmentation.from_supervision(detections()) == Segmentation(0, 0.0, EXPECTED, OBJECTS)
    named = Segmentation.from_supervision(
        detections(tracker_id=np.array([7, 300]), data={}), index=3, time=0.1
    )
    assert (named.index, named.time, named.ids) == (3, 0.1, (7, 300))
    assert [item.label for item in named.objects] == ["16", "15"]
    assert named.mask.dtype == np.uint16
    assert set(np.unique(named.mask)) == {0, 7, 300}


def test_boxes_alone_are_filled_and_need_the_size() -> None:
    boxes = detections(mask=None)
    assert Segmentation.from_supervision(boxes, SIZE) == Segmentation.from_supervision(detections())
    with pytest.raises(PromptError):
        Segmentation.from_supervision(boxes)


@pytest.mark.parametrize("ids", [[1, 1], [0, 1], [1, 70000]])
def test_ids_that_cannot_be_are_refused(ids: list[int]) -> None:
    with pytest.raises(PromptError):
        Segmentation.from_supervision(detections(tracker_id=np.array(ids)))


def test_results_of_coco_become_one_result() -> None:
    """The run lengths are pycocotools' own; a box of whole pixels, as a polygon, covers them."""
    run_lengths = coco_mask.encode(np.asfortranarray(LEFT.astype(np.uint8)))
    records = [
        {"category_id": 18, "score": 0.6, "segmentation": run_lengths},
        {"category_id": 17, "score": 0.9, "segmentation": [[3, 2, 8, 2, 8, 6, 3, 6]]},
    ]
    found = Segmentation.from_coco(records, SIZE, names={17: "cat", 18: "dog"})
    assert found == Segmentation(0, 0.0, EXPECTED, OBJECTS)
    boxes = [
        {"category_id": 18, "score": 0.6, "bbox": [0, 1, 4, 4]},
        {**records[1], "segmentation": None, "bbox": [3, 2, 5, 4]},
    ]
    unnamed = Segmentation.from_coco(boxes, SIZE)
    assert np.array_equal(unnamed.mask, EXPECTED)
    assert [item.label for item in unnamed.objects] == ["18", "17"]
    partly = Segmentation.from_coco(boxes, SIZE, names={17: "cat"})
    assert [item.label for item in partly.objects] == ["18", "cat"]


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(PromptError):
        Segmentation.from_supervision(detections(), (6, 9))


def test_damaged_run_lengths_are_refused() -> None:
    with pytest.raises(DatasetError):
        Segmentation.from_coco(
            [{"category_id": 1, "segmentation": {"size": list(SIZE), "counts": "11"}}], SIZE
        )
    other = coco_mask.encode(np.zeros((4, 4), np.uint8, order="F"))
    with pytest.raises(DatasetError):
        Segmentation.from_coco([{"category_id": 1, "segmentation": other}], SIZE)


def test_detections_of_other_libraries_are_tracked() -> None:
    """The instances of one frame go in as prompts, with their ids and labels."""
    from tests.plugin.package.segue_blobs.trackers import ColourMemory

    frame = np.zeros((*SIZE, 3), np.uint8)
    frame[LEFT], frame[RIGHT] = (200, 0, 0), (0, 200, 0)
    first = Segmentation.from_supervision(detections(tracker_id=np.array([4, 9])))
    results = list(segue.track([frame] * 3, {0: first.prompts}, model=ColourMemory(), device="cpu"))
    for result in results:
        assert np.array_equal(result.mask, first.mask)
        assert [(item.id, item.label) for item in result.objects] == [(4, "dog"), (9, "cat")]


@pytest.fixture
def supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, or what stands for it: its ``Detections`` hold what they are given."""
    if find_spec("supervision") is None:
        monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=SimpleNamespace))


@pytest.mark.usefixtures("supervision")
def test_results_go_into_supervision_and_back() -> None:
    result = Segmentation.from_supervision(detections(tracker_id=np.array([4, 9])))
    found = result.to_supervision()
    assert np.array_equal(found.xyxy, [[0, 1, 4, 5], [3, 2, 8, 6]])
    assert np.array_equal(found.tracker_id, [4, 9])
    again = Segmentation.from_supervision(found)
    assert np.array_equal(again.mask, result.mask)
    assert [(item.id, item.label) for item in again.objects] == [(4, "dog"), (9, "cat")]
    empty = Segmentation(0, 0.0, np.zeros(SIZE, np.uint8))
    assert Segmentation.from_supervision(empty.to_supervision()) == empty


@pytest.mark.usefixtures("supervision")
def test_a_class_keeps_its_number_for_a_run() -> None:
    """The one that files of results have: those of the network, then the next free ones."""
    from tests.plugin.package.segue_blobs.trackers import ColourMemory

    frames = [np.zeros((*SIZE, 3), np.uint8) for _ in range(3)]
    frames[0][LEFT] = frames[1][LEFT] = 200, 0, 0
    frames[1][RIGHT] = frames[2][RIGHT] = 0, 200, 0
    dog, cat = MaskPrompt(1, LEFT & ~RIGHT, label="dog"), MaskPrompt(2, RIGHT, label="cat")
    results = [*segue.track(frames, {0: [dog], 1: [cat]}, model=ColourMemory(), device="cpu")]
    numbers = [
        dict(zip(found.data["class_name"].tolist(), found.class_id.tolist(), strict=True))
        for found in (result.to_supervision() for result in results)
    ]
    assert numbers == [{"dog": 1}, {"dog": 1, "cat": 2}, {"cat": 2}]
    own = {"cat": 15}
    assert [result.to_supervision(own).class_id.tolist() for result in results] == [[16], [16, 15], [15]]


def test_empty_and_missing_segmentations_mean_the_box() -> None:
    box = {"category_id": 1, "bbox": [0, 1, 4, 4]}
    for more in ({}, {"segmentation": []}, {"segmentation": None}):
        assert np.array_equal(Segmentation.from_coco([{**box, **more}], SIZE).mask > 0, LEFT)
    turned = {**box, "bbox": [2, 2, 4, 2], "attributes": {"rotation": 90.0}}
    assert np.argwhere(Segmentation.from_coco([turned], SIZE).mask)[[0, -1]].tolist() == [[1, 3], [4, 4]]


def test_masks_of_sam_are_read_without_a_class() -> None:
    record = {"bbox": [0, 1, 4, 4], "predicted_iou": 0.75, "stability_score": 0.9, "area": 16}
    run_lengths = coco_mask.encode(np.asfortranarray(LEFT.astype(np.uint8)))
    for segmentation in (LEFT, run_lengths, {**run_lengths, "counts": run_lengths["counts"].decode()}):
        found = Segmentation.from_coco([{**record, "segmentation": segmentation}], SIZE)
        assert np.array_equal(found.mask, LEFT)
        assert found.objects == (ObjectInfo(1, None, 0.75, (0, 1, 4, 5), 16),)


def test_a_record_without_a_shape_is_named() -> None:
    with pytest.raises(DatasetError, match=r"record 2: .*bbox"):
        Segmentation.from_coco([{"bbox": [0, 1, 4, 4]}, {"category_id": 1}], SIZE)


def test_a_score_may_be_null() -> None:
    record = {"bbox": [1, 1, 3, 3], "score": None}
    result = segue.Segmentation.from_coco([record, {"bbox": [5, 5, 2, 2], "score": 0.5}], (10, 10))
    assert sorted(item.score for item in result.objects) == [0.5, 1.0]
