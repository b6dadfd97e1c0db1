"""Reader of Something-Else: boxes of people, as published, and files that mean harm."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.datasets import SomethingElseFolder
from segue.errors import DatasetError


def label(
    x1: float, y1: float, x2: float, y2: float, category: str = "cup", name: str = "object 0"
) -> dict[str, Any]:
    """A label as the published file has it."""
    box = {"x1": x1, "x2": x2, "y1": y1, "y2": y2}
    return {"box2d": box, "category": category, "gt_annotation": name, "standard_category": "0000"}


def hand(x1: float, y1: float, x2: float, y2: float) -> dict[str, Any]:
    """A hand, of which all have one name."""
    return label(x1, y1, x2, y2, "hand", "object hand")


def frame(video: str, number: int, *labels: dict[str, Any]) -> dict[str, Any]:
    """A frame as the published file has it."""
    path = f"{video}/{number:04d}.jpg"
    return {
        "name": path,
        "labels": list(labels),
        "gt_placeholders": ["cup"],
        "nr_instances": len(labels),
        "split": "80perc_106",
        "task_index": 823,
        "url": f"https://example.invalid/{path}",
    }


def store(root: Path, annotations: object, *, images: bool = True) -> Path:
    """A folder in the published layout, with images of 30x20 pixels."""
    root.mkdir(exist_ok=True)
    (root / "videos").mkdir(exist_ok=True)
    (root / "annotations.json").write_text(json.dumps(annotations))
    if images and isinstance(annotations, dict):
        for video, frames in annotations.items():
            (root / "videos" / video).mkdir(exist_ok=True)
            for i in range(len(frames)):
                Image.fromarray(np.full((20, 30, 3), i, np.uint8)).save(
                    root / "videos" / video / f"{i + 1:04d}.jpg"
                )
    return root


def test_boxes_are_read_as_they_were_published(tmp_path: Path) -> None:
    # The numbers are those that the README of the data set gives for video 2.
    first = {
        "gt_placeholders": ["pillow"],
        "labels": [
            {
                "box2d": {
                    "x1": 97.64950730138266,
                    "x2": 427,
                    "y1": 11.889318166856967,
                    "y2": 239.92858832368972,
                },
                "category": "pillow",
            },
            {
                "box2d": {
                    "x1": 210.1160330781122,
                    "x2": 345.4329005999551,
                    "y1": 78.65516045335991,
                    "y2": 209.68758889799403,
                },
                "category": "hand",
            },
        ],
        "name": "2/0001.jpg",
        "nr_instances": 2,
    }
    root = store(tmp_path / "data", {"2": [first]}, images=False)
    (root / "videos" / "2").mkdir()
    Image.fromarray(np.zeros((240, 427, 3), np.uint8)).save(root / "videos" / "2" / "0001.jpg")
    video = SomethingElseFolder(root)["2"]
    assert video.labels == {1: "pillow", 2: "hand"}
    assert video.read_boxes(0)[1] == (97.64950730138266, 11.889318166856967, 427.0, 239.92858832368972)
    mask = video.read_mask(0)
    assert mask.shape == (240, 427)
    # As the report cuts them: rows 78 to 208 and columns 210 to 344 are the hand's, which covers the pillow.
    assert (mask[78:209, 210:345] == 2).all()
    assert np.count_nonzero(mask == 2) == 131 * 135
    assert np.count_nonzero(mask) == (239 - 11) * (427 - 97)


def test_videos_come_in_natural_order_and_can_be_chosen(tmp_path: Path) -> None:
    frames = {name: [frame(name, 1, label(1, 1, 9, 9))] for name in ("151201", "13", "2")}
    root = store(tmp_path / "data", frames)
    assert SomethingElseFolder(root).names == ("2", "13", "151201")
    assert SomethingElseFolder(root, ["13"]).names == ("13",)
    for call in (lambda name: SomethingElseFolder(root, [name]), SomethingElseFolder(root).__getitem__):
        assert call("13")
        with pytest.raises(DatasetError, match="99"):
            call("99")


def test_a_video_begins_with_its_first_box(tmp_path: Path) -> None:
    frames = [frame("1", 1), frame("1", 2, label(1, 1, 9, 9)), frame("1", 3)]
    video = SomethingElseFolder(store(tmp_path / "data", {"1": frames}))["1"]
    assert len(video) == 2
    assert video.frames[0].name == "0002.jpg"
    assert not video.read_mask(1).any()
    with pytest.raises(DatasetError):
        SomethingElseFolder(store(tmp_path / "none", {"1": [frame("1", 1)]}))


@pytest.mark.parametrize(
    "name",
    [
        "1/../../secret.jpg",
        "../secret.jpg",
        "/etc/secret.jpg",
        "1/a/b.jpg",
        "2/0001.jpg",
        "1\\..\\s.jpg",
        "1/C:s.jpg",
        "1/..",
        "1/",
        "1",
        "",
        "1/0001.jpg\0.png",
        "1/passwd",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    root = store(tmp_path / "data", {"1": [frame("1", 1, label(1, 1, 9, 9)) | {"name": name}]})
    (tmp_path / "secret.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match=re.escape(repr(name))):
        SomethingElseFolder(root)


@pytest.mark.parametrize("video", ["..", ".", "../data", "/", "a/b", "C:"])
def test_a_video_whose_name_leads_elsewhere_is_no_video(tmp_path: Path, video: str) -> None:
    annotations = {video: [frame(video, 1, label(1, 1, 9, 9))]}
    root = store(tmp_path / "data", annotations, images=False)
    with pytest.raises(DatasetError):
        SomethingElseFolder(root)
    with pytest.raises(DatasetError):
        SomethingElseFolder(root, [video])


@pytest.mark.parametrize("gone", ["videos", "annotations.json", "videos/1/0002.jpg"])
def test_missing_files_are_named(tmp_path: Path, gone: str) -> None:
    root = store(tmp_path / "data", {"1": [frame("1", 1, label(1, 1, 9, 9)), frame("1", 2)]})
    (root / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=Path(gone).name):
        SomethingElseFolder(root)


def test_at_most_254_boxes_are_read(tmp_path: Path) -> None:
    boxes = [label(1, 1, 9, 9, name=f"object {number}") for number in range(255)]
    root = store(tmp_path / "data", {"1": [frame("1", 1, *boxes[:254])]})
    assert len(SomethingElseFolder(root)["1"].labels) == 254
    root = store(tmp_path / "more", {"1": [frame("1", 1, *boxes)]})
    with pytest.raises(DatasetError):
        SomethingElseFolder(root)["1"]
