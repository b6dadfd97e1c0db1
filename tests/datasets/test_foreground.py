"""Readers of videos with foreground labels."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.datasets.foreground.cdnet import (
    FOLDS,
    VIDEOS,
    only_frames,
    open_cdnet,
    read_training_frames,
    unseen_folds,
)
from segue.datasets.foreground.folder import open_plain
from segue.datasets.foreground.sets import (
    open_hofam,
    open_limu,
    open_sbi,
    read_flow,
)
from segue.errors import DatasetError
from tests.datasets.foreground_videos import Array, drawn_image, save, save_cdnet_video
from tests.segue_train.scenes import save_scene

EMPTY = np.zeros((6, 8), np.uint8)


def square(value: int = 255) -> Array:
    labels = EMPTY.copy()
    labels[2:4, 3:6] = value
    return labels


def save_cdnet(root: Path) -> None:
    save_cdnet_video(root / "baseline" / "highway", {470: EMPTY, 471: square(), 472: square(50)})
    save_cdnet_video(root / "shadow" / "backdoor", {9: square(), 10: square(170), 11: square(85)})


@pytest.mark.parametrize("level", ["", "dataset"])
def test_cdnet_gives_its_videos_with_and_without_the_upper_level(tmp_path: Path, level: str) -> None:
    save_cdnet(tmp_path / level)
    videos = open_cdnet(tmp_path)
    assert videos.keys == ("baseline/highway", "shadow/backdoor")
    video = videos["highway"]
    assert (video.name, video.category, len(video), video.size) == ("highway", "baseline", 3, (6, 8))
    assert video.numbers == (470, 471, 472)
    assert video.temporal_roi == (470, 472)
    assert video.read_image(1).shape == (6, 8, 3)
    np.testing.assert_array_equal(video.read_labels(2), square(50))
    assert video.read_roi().all()


def test_frames_outside_the_temporal_region_are_not_scored(tmp_path: Path) -> None:
    labels = dict.fromkeys(range(1, 9), EMPTY)
    save_cdnet_video(tmp_path / "baseline" / "office", labels, temporal="3 6")
    video = open_cdnet(tmp_path)["office"]
    assert video.scored == (3, 4, 5, 6)
    assert list(video.labels) == list(range(8))


def test_images_and_labels_belong_together_by_number_not_by_place(tmp_path: Path) -> None:
    save_cdnet_video(tmp_path / "room", {1: EMPTY, 2: square(), 3: EMPTY, 10: square()})
    (tmp_path / "room" / "input" / "in000001.jpg").unlink()
    (tmp_path / "room" / "groundtruth" / "gt000003.png").unlink()
    video = open_plain(tmp_path)["room"]
    assert video.numbers == (2, 3, 10)
    assert list(video.labels) == [0, 2]
    assert video.scored == (1, 2, 10), "labels count without their images too"
    np.testing.assert_array_equal(video.read_labels(2), square())
    with pytest.raises(DatasetError):
        video.read_labels(1)


def test_videos_can_be_chosen_by_category_name_or_both(tmp_path: Path) -> None:
    save_cdnet(tmp_path)
    videos = open_cdnet(tmp_path)
    assert videos.select(["shadow"]).keys == ("shadow/backdoor",)
    assert videos.select(["backdoor", "baseline/highway"]).keys == videos.keys
    with pytest.raises(DatasetError, match="PTZ, sofa"):
        videos.select(["sofa", "baseline", "PTZ"])


def test_a_name_that_two_categories_have_needs_its_category(tmp_path: Path) -> None:
    for category in ("day", "night"):
        save_cdnet_video(tmp_path / category / "street", {1: EMPTY})
    videos = open_cdnet(tmp_path)
    assert videos["night/street"].category == "night"
    with pytest.raises(DatasetError, match="day/street, night/street"):
        videos["street"]


@pytest.mark.parametrize(
    ("part", "text", "named"),
    [
        *(
            pytest.param(part, None, part, id=f"no {part}")
            for part in ("ROI.bmp", "temporalROI.txt", "input", "groundtruth")
        ),
        *(
            pytest.param("temporalROI.txt", text, r"temporalROI\.txt", id=f"region {text}")
            for text in ("", "470", "470 1700 3", "a b", "12 9", "-1 4", "1" * 30 + " 5")
        ),
        pytest.param("input/cover.jpg", "", r"cover\.jpg: ", id="image without a number"),
        pytest.param("input/copy471.jpg", "", "both of frame 471", id="two images of a number"),
    ],
)
def test_missing_and_invalid_files_of_a_cdnet_video_are_named(
    tmp_path: Path, part: str, text: str | None, named: str
) -> None:
    save_cdnet(tmp_path)
    assert open_cdnet(tmp_path)["highway"].scored
    path = tmp_path / "baseline" / "highway" / part
    if text is None:
        path.rename(tmp_path / part)
    else:
        path.write_text(text)
    with pytest.raises(DatasetError, match=f"highway.*{named}"):
        open_cdnet(tmp_path)


def test_a_folder_without_videos_is_an_error_that_points_to_the_check(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="segue data check"):
        open_cdnet(tmp_path)
    with pytest.raises(DatasetError):
        open_cdnet(tmp_path / "gone")


def test_sbi_is_matched_by_number_whatever_the_names_look_like(tmp_path: Path) -> None:
    save(tmp_path / "Board" / "input" / "Board_0.png", drawn_image())
    save(tmp_path / "Board" / "input" / "Board_7.png", drawn_image())
    save(tmp_path / "Board" / "groundtruth" / "gt000007.png", square(1))
    save(tmp_path / "CAVIAR2_a" / "input" / "in000003.jpg", drawn_image())
    save(tmp_path / "CAVIAR2_a" / "groundtruth" / "gt3.png", square(128))
    save(tmp_path / "notes" / "input" / "in000003.jpg", drawn_image())
    videos = open_sbi(tmp_path)
    assert videos.keys == ("Board", "CAVIAR2")
    assert list(videos["Board"].labels) == [1]
    np.testing.assert_array_equal(videos["Board"].read_labels(1), square(255))
    np.testing.assert_array_equal(videos["CAVIAR2"].read_labels(0), square(170))


def test_a_video_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    for name in ("Board", "CAVIAR2_a", "Board_a"):
        save(tmp_path / name / "input" / "in1.png", drawn_image())
        save(tmp_path / name / "groundtruth" / "gt1.png", square())
        if name != "Board_a":
            assert name.removesuffix("_a") in open_sbi(tmp_path).keys
    with pytest.raises(DatasetError):
        open_sbi(tmp_path)


def test_limu_is_read_as_its_manifest_says(tmp_path: Path) -> None:
    save(tmp_path / "LightSwitch" / "input" / "0001.png", drawn_image())
    save(tmp_path / "LightSwitch" / "groundtruth" / "0001.png", square())
    assert open_limu(tmp_path).keys == ("LightSwitch",)
    save(tmp_path / "images" / "f12_a.png", drawn_image())
    save(tmp_path / "truth" / "f12_b.png", square(200))
    manifest = tmp_path / "my.json"
    entry = {"frames_glob": "images/*", "gt_glob": "truth/*", "number": "f([0-9]+)_", "positive": 200}
    manifest.write_text(json.dumps({"Room": entry}), encoding="utf-8")
    video = open_limu(tmp_path, manifest)["Room"]
    assert video.numbers == (12,)
    np.testing.assert_array_equal(video.read_labels(0), square())


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"frames_glob": "../secret/*", "gt_glob": "gt/*"}, "must stay inside"),
        ({"frames_glob": "/etc/*", "gt_glob": "gt/*"}, "must stay inside"),
        ({"frames_glob": "a/*", "gt_glob": "C:\\gt\\*"}, "must stay inside"),
        ({"frames_glob": "a/*", "gt_glob": "b/*", "number": "("}, "no regular expression"),
        ({"frames_glob": "a/*", "gt_glob": "b/*", "number": "[0-9]+"}, "must have one group"),
        ({"frames_glob": "a/*"}, "Field required"),
        ({"frames_glob": "a/*", "gt_glob": "b/*", "positive": 256}, "less than or equal to 255"),
    ],
)
def test_a_manifest_that_does_not_fit_is_an_error(
    tmp_path: Path, entry: dict[str, object], reason: str
) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"Room": entry}), encoding="utf-8")
    with pytest.raises(DatasetError, match=reason):
        open_limu(tmp_path, manifest)


def test_composites_of_hofam_are_frame_flow_and_truth_side_by_side(tmp_path: Path) -> None:
    panels = [drawn_image(level=30), drawn_image(level=60), np.stack([square(200)] * 3, axis=2)]
    panels[2][0, 0] = (255, 255, 0)  # a coloured rim is no foreground
    path = save(tmp_path / "demo" / "test_000155.png", np.hstack(panels))
    video = open_hofam(tmp_path / "demo")["demo"]
    assert video.numbers == (155,)
    assert (video.read_image(0) == 30).all()
    assert (read_flow(path) == 60).all()
    np.testing.assert_array_equal(video.read_labels(0), square())
    assert video.read_roi().shape == (6, 8)
    save(path, drawn_image((6, 16)))  # no three panels
    with pytest.raises(DatasetError):
        open_hofam(tmp_path / "demo")["demo"].read_image(0)


def test_training_frames_are_read_by_video(tmp_path: Path) -> None:
    path = tmp_path / "lists.json"
    path.write_text(json.dumps({"PTZ": {"zoom": {"200": [1, 2, 3], "25": [2]}}}), encoding="utf-8")
    assert read_training_frames(path, 25) == {"PTZ/zoom": {2}}
    with pytest.raises(DatasetError):
        read_training_frames(path, 50)
    path.write_text('{"PTZ": [1]}', encoding="utf-8")
    with pytest.raises(DatasetError):
        read_training_frames(path, 25)


@pytest.mark.parametrize("path", ["published", pytest.param("shared", marks=pytest.mark.shared)])
def test_the_published_lists_hold_200_and_25_frames_of_every_video(
    path: str, request: pytest.FixtureRequest
) -> None:
    if path == "shared":
        folder = request.getfixturevalue("shared")
        path = str(folder / "data/foreground/cdnet2014/train_frame_lists.json")
        assert read_training_frames(path, 25) == read_training_frames("published", 25)
    keys = {f"{category}/{name}" for category, names in VIDEOS.items() for name in names}
    for count in (200, 25):
        frames = read_training_frames(path, count)
        assert frames.keys() == keys
        assert {len(numbers) for numbers in frames.values()} == {count}


def test_of_a_video_only_the_frames_of_a_list_are_labelled(tmp_path: Path) -> None:
    save_scene(tmp_path / "cdnet", "PTZ", "zoom", frames=5)
    (video,) = open_cdnet(tmp_path / "cdnet")
    lists = tmp_path / "lists.json"
    lists.write_text(json.dumps({"PTZ": {"zoom": {"200": [2, 4, 9], "25": [9]}}}), encoding="utf-8")
    some = only_frames(video, lists, 200)
    assert list(some.truths) == [2, 4]
    assert some.frames == video.frames
    assert list(some.labels) == [1, 3]
    for path in (lists, "published"):
        with pytest.raises(DatasetError, match="PTZ/zoom"):
            only_frames(video, path, 25)


def draw_folds(seed: int) -> dict[str, int]:
    """Deal the videos to folds of nearly equal size, each with videos of every category."""
    generator = random.Random(seed)
    dealt = [
        f"{category}/{video}"
        for category, videos in VIDEOS.items()
        for video in sorted(videos, key=lambda _: generator.random())
    ]
    return {key: i % FOLDS for i, key in enumerate(dealt)}


def test_the_folds_that_are_shipped_are_those_of_seed_0() -> None:
    assert unseen_folds() == draw_folds(0)


@pytest.mark.shared
def test_real_frames_labels_and_regions_fit_together(shared: Path) -> None:
    for video in open_cdnet(shared / "data/foreground/cdnet2014"):
        labels = video.read_labels(150)
        assert len(video) == len(video.scored) == 300
        assert video.read_image(150).shape[:2] == labels.shape == video.read_roi().shape
        assert set(np.unique(labels)) <= {0, 50, 85, 170, 255}
        with Image.open(video.labels[150]) as stored:
            np.testing.assert_array_equal(labels, np.array(stored), "the index is the grey value")
