"""What of a data set is there and what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segue.datasets.check import check_data
from segue.errors import DatasetError
from segue.registry import DATASETS
from tests.datasets.foreground_videos import Array, drawn_image, save, save_cdnet_video

LABELS = np.zeros((6, 8), np.uint8)
LABELS[2:4, 3:6] = 255


def make_cdnet(root: Path) -> None:
    save_cdnet_video(root / "dataset" / "baseline" / "highway", {1: LABELS, 2: LABELS})


def make_isd(root: Path) -> None:
    save_cdnet_video(root / "train" / "0001", {1: LABELS})
    (root / "train" / "instances.json").write_text("{}", encoding="utf-8")
    (root / "index.csv").write_text("scene_id,split\n0001,train\n0002,test\n", encoding="utf-8")


def make_sbi(root: Path) -> None:
    save(root / "Board" / "input" / "in000001.png", drawn_image())
    save(root / "Board" / "groundtruth" / "gt000001.png", LABELS)


def make_lasiesta(root: Path) -> None:
    save(root / "I_SI_01" / "I_SI_01-1.bmp", drawn_image())
    save(root / "I_SI_01-GT" / "I_SI_01-GT_1.png", drawn_image())


def make_limu(root: Path) -> None:
    save(root / "LightSwitch" / "input" / "0001.png", drawn_image())
    save(root / "LightSwitch" / "groundtruth" / "0001.png", LABELS)


def make_davis(root: Path) -> None:
    for i in range(2):
        save(root / "JPEGImages" / "480p" / "bear" / f"{i:05d}.jpg", drawn_image())
        save(root / "Annotations" / "480p" / "bear" / f"{i:05d}.png", LABELS)
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("bear\ncamel\n", encoding="utf-8")


def make_ytvos(root: Path) -> None:
    save(root / "train" / "JPEGImages" / "003234408d" / "00000.jpg", drawn_image())
    save(root / "train" / "Annotations" / "003234408d" / "00000.png", LABELS)
    objects = {"objects": {"1": {"category": "bear", "frames": ["00000"]}}}
    meta = {"videos": {"003234408d": objects, "0043f083b5": objects, "../secret": objects}}
    (root / "train" / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def make_ytvis(root: Path) -> None:
    save(root / "train" / "JPEGImages" / "clip" / "00000.jpg", drawn_image())
    video = {"id": 1, "width": 8, "height": 6, "length": 2}
    video["file_names"] = ["clip/00000.jpg", "clip/00005.jpg"]  # type: ignore[assignment]
    values = {"videos": [video], "categories": [{"id": 1, "name": "bear"}], "annotations": []}
    (root / "train.json").write_text(json.dumps(values), encoding="utf-8")


MAKERS = {
    "davis": make_davis,
    "ytvos": make_ytvos,
    "ytvis": make_ytvis,
    "ovis": make_ytvis,
    "cdnet": make_cdnet,
    "isd": make_isd,
    "sbi": make_sbi,
    "lasiesta": make_lasiesta,
    "limu": make_limu,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_data_set_is_recognised_by_its_layout(tmp_path: Path, kind: str) -> None:
    root = tmp_path / kind
    root.mkdir()
    MAKERS[kind](root)
    check = check_data(root)
    assert check.kind == kind
    assert check.origin == DATASETS.find(kind)
    assert len(check.videos) == 1
    assert check.videos[0].frames > 0
    assert check == check_data(root, kind)


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("davis", ("camel",)),
        ("ytvos", ("train/0043f083b5",)),
        ("isd", ("test/0002",)),
        ("limu", ("CameraParameter", "Intersection")),
    ],
)
def test_videos_that_the_data_set_names_but_lacks_are_missing(
    tmp_path: Path, kind: str, missing: tuple[str, ...]
) -> None:
    MAKERS[kind](tmp_path)
    assert check_data(tmp_path, kind).missing == missing


def problems_of_cdnet(root: Path) -> str:
    (video,) = check_data(root, "cdnet").videos
    return "; ".join(video.problems)


def damage(path: Path, values: Array | None = None) -> None:
    if values is None:
        path.write_bytes(b"no image")
    else:
        save(path, values)


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("input/in000002.jpg", None, "1 images are not readable: in000002.jpg"),
        ("groundtruth/gt000001.png", None, "1 labels are not readable: gt000001.png"),
        ("groundtruth/gt000001.png", LABELS.T, "1 labels are not 8x6: gt000001.png"),
        ("ROI.bmp", LABELS[:, :7], "ROI.bmp is 7x6; it is cropped or extended"),
        ("groundtruth/gt000009.png", LABELS, "1 labels have no image: 9"),
        ("input/in000009.jpg", drawn_image(), "1 frames have no labels: 9"),
        ("temporalROI.txt", None, "it must hold two frame numbers"),
    ],
)
def test_problems_of_a_video_are_reported(
    tmp_path: Path, name: str, values: Array | None, problem: str
) -> None:
    make_cdnet(tmp_path)
    assert problems_of_cdnet(tmp_path) == ""
    damage(tmp_path / "dataset" / "baseline" / "highway" / name, values)
    assert problem in problems_of_cdnet(tmp_path)


def test_frames_of_the_temporal_region_without_labels_are_reported(tmp_path: Path) -> None:
    save_cdnet_video(tmp_path / "baseline" / "office", {1: LABELS}, temporal="1 6")
    assert "5 of the frames 1 to 6 that count have no labels" in problems_of_cdnet(tmp_path)


def test_frames_of_davis_without_masks_are_told_unless_only_the_first_one_is_given(tmp_path: Path) -> None:
    make_davis(tmp_path)
    save(tmp_path / "JPEGImages" / "480p" / "bear" / "00002.jpg", drawn_image())
    assert check_data(tmp_path).videos[0].problems == ("1 frames have no mask",)
    (tmp_path / "Annotations" / "480p" / "bear" / "00001.png").unlink()
    assert check_data(tmp_path).videos[0].problems == ()


def test_a_video_of_lasiesta_that_is_there_twice_is_reported(tmp_path: Path) -> None:
    make_lasiesta(tmp_path / "indoor")
    make_lasiesta(tmp_path / "copy")
    assert "there twice" in check_data(tmp_path).problems[0]


def test_a_damaged_description_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    make_ytvos(tmp_path)
    (tmp_path / "train" / "meta.json").write_text("{", encoding="utf-8")
    check = check_data(tmp_path)
    assert "meta.json is not valid JSON" in check.problems[0]
    assert check.videos == ()


def save_coco(root: Path, category: int) -> None:
    """One image with one instance of a category."""
    save(root / "train2017" / "000000000001.jpg", drawn_image())
    values = {
        "images": [{"id": 1, "width": 8, "height": 6, "file_name": "000000000001.jpg"}],
        "categories": [{"id": 1, "name": "bear"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": category,
                "segmentation": [[1, 1, 5, 1, 5, 4, 1, 4]],
                "area": 12,
                "iscrowd": 0,
            }
        ],
    }
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(values), encoding="utf-8")


def test_the_error_of_the_reader_of_a_data_set_is_reported(tmp_path: Path) -> None:
    make_ytvos(tmp_path / "vos")
    meta = tmp_path / "vos" / "train" / "meta.json"
    assert "/secret" in check_data(tmp_path / "vos").videos[0].problems[0]
    meta.write_text(meta.read_text("utf-8").replace("../secret", "secret"), encoding="utf-8")
    assert check_data(tmp_path / "vos").videos[0].problems == ()
    (tmp_path / "vos/train/Annotations/003234408d/00000.png").rename(
        tmp_path / "vos/train/Annotations/003234408d/00005.png"
    )
    (problem,) = check_data(tmp_path / "vos").videos[0].problems
    assert "00005" in problem
    save_coco(tmp_path / "whole", 1)
    assert check_data(tmp_path / "whole").problems == ()
    save_coco(tmp_path / "coco", 7)
    assert any(
        "categories that are not in the file: 7" in text for text in check_data(tmp_path / "coco").problems
    )


def test_layouts_of_ones_own_are_checked_by_their_names(tmp_path: Path) -> None:
    make_davis(tmp_path / "masks")
    save_cdnet_video(tmp_path / "videos" / "office", {1: LABELS})
    assert [video.name for video in check_data(tmp_path / "masks", "folder").videos] == ["bear"]
    assert [video.name for video in check_data(tmp_path / "videos", "foreground").videos] == ["office"]


def test_progress_is_reported_after_every_video(tmp_path: Path) -> None:
    make_davis(tmp_path)
    steps: list[tuple[int, int, str]] = []
    check_data(tmp_path, progress=lambda *step: steps.append(step))
    assert steps == [(1, 1, "bear")]


def test_everything_can_be_stored_as_json(tmp_path: Path) -> None:
    make_cdnet(tmp_path)
    values = json.loads(json.dumps(check_data(tmp_path).values()))
    assert values["kind"] == "cdnet"
    assert values["videos"][0] == {"name": "baseline/highway", "frames": 2, "labelled": 2, "problems": []}


def test_a_folder_of_no_known_layout_is_an_error_that_lists_the_layouts(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        check_data(tmp_path)
    with pytest.raises(DatasetError):
        check_data(tmp_path / "gone")
    make_davis(tmp_path)
    assert check_data(tmp_path, "davis").videos
    with pytest.raises(DatasetError):
        check_data(tmp_path, "none")
