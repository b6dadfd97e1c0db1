"""Readers of YouTube-VIS annotations and results: what is there is found, what is wrong is named."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.datasets.instances import decode_clip
from segue.datasets.ytvis import CocoImages, YTVISDataset, read_results
from segue.errors import DatasetError
from segue.masks import encode_rle

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

HEIGHT, WIDTH = 4, 6


def square(x: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[1:3, x : x + 2] = True
    return mask


def content() -> dict[str, Any]:
    """Two videos; in the first a moving square that is away on frame 1, and one that is there only then."""
    videos = [
        {
            "id": number,
            "height": HEIGHT,
            "width": WIDTH,
            "length": 3,
            "file_names": [f"{name}/{t:05d}.jpg" for t in range(3)],
        }
        for number, name in ((4, "pond"), (2, "street"))
    ]
    first = {
        "id": 1,
        "video_id": 4,
        "category_id": 3,
        "iscrowd": 0,
        "segmentations": [encode_rle(square(0)), None, encode_rle(square(2))],
        "areas": [4, None, 6.0],
    }
    second = {
        "id": 2,
        "video_id": 4,
        "category_id": 1,
        "iscrowd": 1,
        "segmentations": [None, [[2, 1, 4, 1, 4, 3, 2, 3]], None],
        "areas": [None, 4.0, None],
    }
    return {
        "info": {"year": 2021},
        "videos": videos,
        "categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "koi"}],
        "annotations": [first, second],
    }


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def write_images(folder: Path) -> None:
    for name in ("pond", "street"):
        for t in range(3):
            path = folder / name / f"{t:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((HEIGHT, WIDTH, 3), 10 * t, np.uint8)).save(path)


@pytest.fixture
def dataset(tmp_path: Path) -> YTVISDataset:
    return YTVISDataset(write(tmp_path / "train.json", content()))


def test_videos_and_categories_come_in_the_order_of_the_file(dataset: YTVISDataset) -> None:
    assert [(video.id, video.name, len(video), video.size) for video in dataset] == [
        (4, "pond", 3, (HEIGHT, WIDTH)),
        (2, "street", 3, (HEIGHT, WIDTH)),
    ]
    assert dataset.categories == {1: "person", 3: "koi"}
    assert dataset.video(2).frame_names == ("00000", "00001", "00002")
    assert dataset.annotated


def test_instances_of_a_clip_are_those_that_are_visible_on_it(dataset: YTVISDataset) -> None:
    clip = dataset.instances(dataset.video(4), [2, 1])
    assert clip.ids.tolist() == [1, 2]
    assert clip.labels.tolist() == [3, 1]
    assert clip.crowd.tolist() == [False, True]
    assert clip.visible.tolist() == [[True, False], [False, True]]
    np.testing.assert_array_equal(clip.masks[0], [square(2), np.zeros_like(square(2))])
    np.testing.assert_array_equal(clip.masks[1, 1], square(2))
    np.testing.assert_array_equal(clip.boxes[0], [[2, 1, 4, 3], [0, 0, 0, 0]])
    assert dataset.instances(dataset.video(4), [0]).ids.tolist() == [1]
    assert dataset.instances(dataset.video(2), [0]).masks.shape == (0, 1, HEIGHT, WIDTH)


def test_masks_that_would_not_fit_are_not_decoded(
    dataset: YTVISDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = dataset.video(4)
    monkeypatch.setattr("segue.datasets.instances.MAX_CLIP_BYTES", 2 * 3 * HEIGHT * WIDTH - 1)
    assert decode_clip(dataset.annotations(video), range(2), video.size).ids.tolist() == [1, 2]
    with pytest.raises(DatasetError):
        decode_clip(dataset.annotations(video), range(3), video.size)


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("train.json", "train/JPEGImages"),
        ("train/instances.json", "train/JPEGImages"),
        ("annotations_train.json", "train"),
        ("annotations/instances_train_sub.json", "train/JPEGImages"),
        ("instances.json", "JPEGImages"),
    ],
)
def test_published_layouts_are_found(tmp_path: Path, annotations: str, images: str) -> None:
    write(tmp_path / annotations, content())
    write_images(tmp_path / images)
    dataset = YTVISDataset.open(tmp_path, "train")
    assert dataset.read_image(dataset.video(2), 1).shape == (HEIGHT, WIDTH, 3)


def test_a_file_finds_the_images_beside_it(tmp_path: Path) -> None:
    file = write(tmp_path / "val/instances.json", content())
    assert YTVISDataset.open(file).images is None
    write_images(tmp_path / "val")
    opened = YTVISDataset.open(file)
    assert opened.read_image(opened.video(4), 2).mean() == pytest.approx(20, abs=2)


def test_a_test_set_without_annotations_can_be_read(tmp_path: Path) -> None:
    dataset = YTVISDataset(write(tmp_path / "test.json", {**content(), "annotations": None}))
    assert not dataset.annotated
    assert dataset.annotations(dataset.videos[0]) == ()


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/secret.jpg", "a/../../secret.jpg", "C:\\secret.jpg"])
def test_a_image_outside_of_its_folder_is_not_read(tmp_path: Path, name: str) -> None:
    value = content()
    value["videos"][0]["file_names"][0] = name
    (tmp_path / "JPEGImages").mkdir()
    dataset = YTVISDataset(write(tmp_path / "train.json", value), tmp_path / "JPEGImages")
    with pytest.raises(DatasetError, match=re.escape(repr(name))):
        dataset.read_image(dataset.videos[0], 0)


def test_a_image_of_another_size_is_refused_and_without_a_folder_each_is(
    tmp_path: Path, dataset: YTVISDataset
) -> None:
    write_images(tmp_path)
    Image.fromarray(np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8)).save(tmp_path / "pond" / "00001.jpg")
    images = YTVISDataset(dataset.path, tmp_path)
    assert images.read_image(images.videos[0], 0).shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(DatasetError):
        images.read_image(images.videos[0], 1)
    with pytest.raises(DatasetError):
        dataset.read_image(dataset.videos[0], 0)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("videos", 1, "id"), 4, r"videos\[1\]: id 4"),
        (("videos", 0, "length"), 2, r"videos\[0\]: length"),
        (("videos", 0, "width"), 10**9, r"videos\[0\]: size"),
        (("videos", 0, "height"), "4", r"videos\[0\]\.height"),
        (("videos", 0, "file_names", 1), 7, r"videos\[0\]\.file_names\[1\]"),
        (("videos",), {}, "videos"),
        (("categories", 1, "id"), 1, r"categories\[1\]: id 1"),
        (("categories", 1, "id"), 8, "annotations of categories"),
        (("annotations", 1, "id"), 1, r"annotations\[1\]: id 1"),
        (("annotations", 1, "id"), 0, r"annotations\[1\]\.id"),
        (("annotations", 1, "video_id"), 9, r"annotations\[1\]: .*video"),
        (("annotations", 0, "areas"), [1.0], r"annotations\[0\]: 1 areas"),
        (("annotations", 0, "areas", 2), -1, r"annotations\[0\]\.areas\[2\]"),
        (("annotations", 0, "segmentations"), [], r"annotations\[0\]: 0 segmentations"),
        (("annotations", 0, "segmentations", 2), 5, r"annotations\[0\]\.segmentations\[2\]"),
        (("annotations", 0), "x", r"annotations\[0\]"),
    ],
)
def test_invalid_entries_of_the_file_are_named(
    tmp_path: Path, place: tuple[Any, ...], value: Any, message: str
) -> None:
    whole = content()
    part: Any = whole
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    with pytest.raises(DatasetError, match=r"train\.json: " + message):
        YTVISDataset(write(tmp_path / "train.json", whole))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"info": [1 2]}',
        '{"videos" []}',
        "{1: []}",
        '{"videos": []} x',
        '{"videos": [NaN]}',
        pytest.param('{"videos": ' + "[" * 100_000, id="deep"),
        "7",
        "{}",
        "[]",
    ],
)
def test_a_text_that_is_no_annotation_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(DatasetError, match=r"train\.json"):
        YTVISDataset(tmp_path / "train.json")


def result(**changes: Any) -> dict[str, Any]:
    masks = [encode_rle(square(1)), None, None]
    return {"video_id": 4, "category_id": 3, "score": 0.5, "segmentations": masks, **changes}


def test_results_are_grouped_by_video_in_the_order_of_the_file(tmp_path: Path, dataset: YTVISDataset) -> None:
    entries = [result(score=0.1, extra="x"), result(video_id=2, score=1), result(score=0.3)]
    found = read_results(write(tmp_path / "results.json", entries), dataset)
    assert {number: [item.score for item in items] for number, items in found.items()} == {
        4: [0.1, 0.3],
        2: [1],
    }
    np.testing.assert_array_equal(found[4][0].masks.decode(0), square(1))


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ([result(), result(video_id=5)], "entry 1: no video 5"),
        ([result(), result(score="0.5")], r"entry 1\.score"),
        ([result(), result(score=None)], r"entry 1\.score"),
        ([result(), result(category_id=1.5)], r"entry 1\.category_id"),
        ([result(), result(segmentations=None)], r"entry 1\.segmentations"),
        (
            [result(), result(segmentations=[{"size": [HEIGHT, WIDTH], "counts": [24]}])],
            r"entry 1: segmentations\[0\]",
        ),
        (
            [result(), result(segmentations=[None, {"size": [1, 1], "counts": "1"}])],
            r"entry 1: segmentations\[1\]",
        ),
        ([result(), {"video_id": 4}], r"entry 1\.category_id"),
        ([result(), None], "entry 1"),
        ([], "no result"),
        ({"results": [1]}, "list of results"),
    ],
)
def test_a_wrong_result_is_named_by_its_place(
    tmp_path: Path, dataset: YTVISDataset, value: Any, place: str
) -> None:
    path = write(tmp_path / "results.json", value)
    with pytest.raises(DatasetError, match=place):
        read_results(path, dataset)


def test_archives_must_hold_one_json_file(tmp_path: Path, dataset: YTVISDataset) -> None:
    path = tmp_path / "results.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", json.dumps([result()]))
    assert len(read_results(path, dataset)[4]) == 1
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b.json", "[]")
    with pytest.raises(DatasetError):
        read_results(path, dataset)


def test_damaged_and_huge_archives_are_refused(
    tmp_path: Path, dataset: YTVISDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.zip"
    path.write_bytes(b"PK no archive")
    with pytest.raises(DatasetError):
        read_results(path, dataset)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("results.json", json.dumps([result()] * 100))
    assert len(read_results(path, dataset)[4]) == 100
    monkeypatch.setattr("segue.utils.json_files.MAX_BYTES", 5000)
    with pytest.raises(DatasetError):
        read_results(path, dataset)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        pytest.param(lambda d: read_results(d.path.parent / "got.json", d), r"got\.json", id="results"),
        pytest.param(lambda d: YTVISDataset(d.path, d.path.parent / "gone"), "gone", id="images"),
        pytest.param(lambda d: YTVISDataset.open(d.path.parent, "valid"), r"valid\.json", id="split"),
    ],
)
def test_missing_files_are_named(
    dataset: YTVISDataset, call: Callable[[YTVISDataset], object], name: str
) -> None:
    with pytest.raises(DatasetError, match=name):
        call(dataset)


@pytest.mark.parametrize("missing", [{}, {"segmentation": []}, {"segmentation": None}])
def test_a_box_of_coco_without_a_segmentation_is_the_area(tmp_path: Path, missing: dict[str, Any]) -> None:
    item = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "area": 4,
        "bbox": [1, 1, 2, 2],
        **missing,
    }
    images = [{"id": 1, "height": 4, "width": 6, "file_name": "a.jpg"}]
    content = {"images": images, "categories": [{"id": 1, "name": "cat"}], "annotations": [item]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    dataset = CocoImages(tmp_path / "a.json")
    (found,) = dataset.instances(dataset.videos[0], [0]).masks[:, 0]
    assert np.argwhere(found).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
