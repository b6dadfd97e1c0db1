"""Results in the form of ultralytics."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segue.errors import ArgumentError, SinkError
from segue.masks.rle import decode_rle, fill_polygons
from segue.types import ObjectInfo, Segmentation

MASK = np.zeros((20, 30), np.uint8)
MASK[2:10, 4:14] = 3
MASK[12:18, 20:28] = 7
OBJECTS = (
    ObjectInfo(3, "dog", 0.5, (4, 2, 14, 10), 80),
    ObjectInfo(5, "cat", 0.0),
    ObjectInfo(7, None, 0.25, (20, 12, 28, 18), 48),
)


@pytest.fixture
def result() -> Segmentation:
    return Segmentation(4, 0.5, MASK, OBJECTS)


def test_boxes_are_arrays_of_what_is_visible(result: Segmentation) -> None:
    boxes = result.boxes
    assert len(boxes) == 2
    assert boxes.xyxy.tolist() == [[4, 2, 14, 10], [20, 12, 28, 18]]
    assert boxes.xywh.tolist() == [[9, 6, 10, 8], [24, 15, 8, 6]]
    assert (boxes.ids.tolist(), boxes.scores.tolist()) == ([3, 7], [0.5, 0.25])
    assert result.names == {1: "dog", 2: "cat", 3: "object"}
    assert [result.names[number] for number in boxes.classes.tolist()] == ["dog", "object"]
    assert pickle.loads(pickle.dumps(boxes)).xyxy.tolist() == boxes.xyxy.tolist()
    empty = Segmentation(0, 0.0, np.zeros((3, 4), np.uint8)).boxes
    assert (len(empty), empty.xyxy.shape, empty.xywh.shape) == (0, (0, 4), (0, 4))


def test_classes_have_the_numbers_of_the_run(result: Segmentation) -> None:
    numbers = {"object": 4, "dog": 9}
    numbered = replace(result, _class_numbers=numbers)
    assert numbered.boxes.classes.tolist() == [9, 4]
    assert numbered.names == {4: "object", 9: "dog", 10: "cat"}
    assert replace(result, objects=OBJECTS[1:2], _class_numbers=numbers).names == numbered.names


def test_lines_of_text_are_those_of_the_format_yolo(result: Segmentation, tmp_path: Path) -> None:
    result.save_txt(tmp_path / "a.txt")
    first, second = (line.split() for line in (tmp_path / "a.txt").read_text().splitlines())
    assert (first[0], second[0]) == ("0", "2")
    corners = np.array(first[1:], float).reshape(-1, 2) * (30, 20)
    assert (corners.min(0) == (4.5, 2.5)).all()
    assert (corners.max(0) == (13.5, 9.5)).all()
    result.save_txt(str(tmp_path / "a.txt"), scores=True)
    scored = [line.split() for line in (tmp_path / "a.txt").read_text().splitlines()]
    assert scored == [[*first, "0.500000"], [*second, "0.250000"]]
    with pytest.raises(SinkError):
        result.save_txt(tmp_path / "a.txt" / "b.txt")


def test_json_and_polygons_give_the_masks_back(result: Segmentation) -> None:
    content = json.loads(result.to_json())
    assert content["index"] == 4
    assert [(item["id"], item["label"], item["class"]) for item in content["objects"]] == [
        (3, "dog", 1),
        (7, None, 3),
    ]
    for item in content["objects"]:
        counts = fill_polygons(item["polygons"], (20, 30)).decode()
        assert np.array_equal(decode_rle({"size": [20, 30], "counts": counts}), item["id"] == MASK)
    assert [len(parts) for parts in result.polygons] == [1, 0, 1]
    assert result.polygons[0][0].shape[1] == 2


def test_lines_are_as_wide_as_asked_for(result: Segmentation) -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    thin, wide = (result.plot(image, line_width=width, alpha=0.0) for width in (1, 3))
    assert (wide > 0).any(-1).sum() > (thin > 0).any(-1).sum()
    assert np.array_equal(thin, result.plot(image, alpha=0.0))
    for width in (0, -1, 1.5, "2"):
        with pytest.raises(ArgumentError, match="line_width"):
            result.plot(image, line_width=width)  # type: ignore[arg-type]
