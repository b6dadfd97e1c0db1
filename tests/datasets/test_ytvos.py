"""Reader of YouTube-VOS."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.datasets.ytvos import YtvosFolder, YtvosObject, read_categories
from segue.errors import DatasetError

SQUARE = np.zeros((8, 10), np.uint8)
SQUARE[2:6, 3:7] = 3

CAT: dict[str, Any] = {"category": "cat", "frames": ["00000", "00005"]}
DOG: dict[str, Any] = {"category": "dog", "frames": ["00005"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Video ``0a`` with a cat and a dog, video ``f-b`` with a cat; every fifth frame is annotated."""
    for video in ("0a", "f-b"):
        for kind in ("JPEGImages", "Annotations"):
            (tmp_path / kind / video).mkdir(parents=True)
        for i in range(11):
            Image.fromarray(np.full((8, 10, 3), 9 * i, np.uint8)).save(
                tmp_path / "JPEGImages" / video / f"{i:05d}.jpg"
            )
        for i in (0, 5, 10):
            Image.fromarray(SQUARE).save(tmp_path / "Annotations" / video / f"{i:05d}.png")
    describe(tmp_path, {"0a": {"objects": {"3": DOG, "1": CAT}}, "f-b": {"objects": {"1": CAT}}})
    return tmp_path


def describe(root: Path, videos: object) -> None:
    (root / "meta.json").write_text(json.dumps({"videos": videos, "info": "more"}))


def test_videos_objects_and_frames_are_those_of_the_description(root: Path) -> None:
    folder = YtvosFolder(root)
    assert folder.names == ("0a", "f-b")
    video = folder["0a"]
    assert video.objects == (YtvosObject(1, "cat", "00000"), YtvosObject(3, "dog", "00005"))
    assert len(video.frames) == 11
    assert list(video.annotations) == ["00000", "00005", "00010"]
    np.testing.assert_array_equal(video.read_mask("00005"), SQUARE)
    assert (video.read_image("00010") == 90).all()


def test_videos_can_be_chosen_and_the_description_can_lie_elsewhere(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (root / "meta.json").rename(tmp_path / "other" / "meta.json")
    folder = YtvosFolder(root, meta=tmp_path / "other" / "meta.json", videos=["f-b"])
    assert [video.name for video in folder] == ["f-b"]


@pytest.mark.parametrize("name", ["../0a", "/etc", "..", "a/b", "", "a\\b", ".hidden", "0a\n"])
def test_names_that_leave_their_folder_are_refused(root: Path, name: str) -> None:
    video, frame = {"objects": {"1": CAT}}, {"category": "cat", "frames": [name]}
    for videos in ({name: video}, {"0a": {"objects": {"1": frame}}}):
        describe(root, videos)
        with pytest.raises(DatasetError, match=r"meta\.json: "):
            YtvosFolder(root)


@pytest.mark.parametrize(
    ("gone", "call", "named"),
    [
        ("meta.json", YtvosFolder, r"meta\.json"),
        ("Annotations/0a/00005.png", YtvosFolder, r"video 0a: .* 3 \(00005\)"),
        ("JPEGImages/0a/00010.jpg", YtvosFolder, r"video 0a: .* 00010"),
        pytest.param("", lambda root: YtvosFolder(root)["0c"], "video 0c", id="a video"),
        pytest.param("", lambda root: YtvosFolder(root, videos=["0c"]), "video 0c", id="chosen"),
        pytest.param(
            "", lambda root: YtvosFolder(root)["0a"].read_mask("00001"), "0a: .* 00001", id="a mask"
        ),
    ],
)
def test_files_that_are_missing_are_named(
    root: Path, gone: str, call: Callable[[Path], object], named: str
) -> None:
    assert YtvosFolder(root).names == ("0a", "f-b")
    if gone:
        (root / gone).unlink()
    with pytest.raises(DatasetError, match=named):
        call(root)


def test_a_description_of_no_video_is_refused(root: Path) -> None:
    assert YtvosFolder(root).names == ("0a", "f-b")
    describe(root, {})
    with pytest.raises(DatasetError):
        YtvosFolder(root)


def test_categories_come_from_a_description_or_a_list(root: Path, tmp_path: Path) -> None:
    assert read_categories(root / "meta.json") == {"cat", "dog"}
    (tmp_path / "seen.txt").write_text("cat\n\ngiant panda\n")
    assert read_categories(tmp_path / "seen.txt") == {"cat", "giant panda"}
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DatasetError):
        read_categories(tmp_path / "empty.txt")
    with pytest.raises(DatasetError):
        read_categories(tmp_path / "none.txt")
