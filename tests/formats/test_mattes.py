"""Mattes, which are black and white videos, and lists of classes beside masks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import segue
from segue.errors import PromptError, SegueError
from segue.formats.reading import read_labels
from segue.masks import write_index_mask
from tests.video.making import write_video

SIZE = (48, 64)
VIDEO: Any = SimpleNamespace(size=SIZE, count=5, names=None, name="v", fps=25.0, time=lambda i: i / 25)


def mask(index: int) -> np.ndarray:
    plane = np.zeros(SIZE, np.bool_)
    plane[10:30, 8 + 4 * index : 28 + 4 * index] = True
    return plane


def matte(path: Path, count: int = 5) -> Path:
    write_video(path, [np.repeat(np.uint8(255) * mask(i)[..., None], 3, 2) for i in range(count)])
    return path


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_a_matte_gives_a_mask_for_each_frame(tmp_path: Path) -> None:
    labels = read_labels(matte(tmp_path / "matte.mp4"), VIDEO)
    assert labels.names == {1: "Object 1"}
    assert sorted(labels.masks) == [0, 1, 2, 3, 4]
    assert all(iou(labels.mask(i) > 0, mask(i)) > 0.95 for i in range(5))


def test_a_matte_of_another_length_or_in_colour_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SegueError, match="3 frames"):
        read_labels(matte(tmp_path / "short.mp4", 3), VIDEO)
    red = np.zeros((*SIZE, 3), np.uint8)
    red[:, :32] = (230, 20, 20)
    write_video(tmp_path / "red.mp4", [red] * 5)
    with pytest.raises(SegueError, match="colour"):
        read_labels(tmp_path / "red.mp4", VIDEO)


def test_a_prompt_takes_the_frame_of_a_matte(tmp_path: Path) -> None:
    images = [np.full((*SIZE, 3), 90, np.uint8) + np.uint8(100) * mask(i)[..., None] for i in range(5)]
    file = matte(tmp_path / "matte.mp4")
    results = list(segue.track(images, {2: file}, device="cpu"))
    assert iou(results[2].mask > 0, mask(2)) > 0.95
    with pytest.raises(PromptError, match="5 frames"):
        list(segue.track(images[:3], file, device="cpu"))


def test_a_folder_as_a_mask_is_told_from_a_file(tmp_path: Path) -> None:
    images = [np.zeros((*SIZE, 3), np.uint8)] * 2
    with pytest.raises(PromptError, match="folder"):
        list(segue.track(images, tmp_path, device="cpu"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("background\ncar\nbus\n", {1: "car", 2: "bus"}),
        ("car\nbus\n", {1: "car", 2: "bus"}),
        ("__ignore__\n_background_\ncar\nbus\n", {1: "car", 2: "bus"}),
        ("car\n", {1: "car", 2: "Object 2"}),
    ],
)
def test_classes_beside_masks_name_their_values(tmp_path: Path, text: str, expected: dict[int, str]) -> None:
    for index in range(5):
        write_index_mask(tmp_path / f"{index:05d}.png", mask(index) + np.uint8(1) * (mask(index) & mask(4)))
    (tmp_path / "classes.txt").write_text(text)
    labels = read_labels(tmp_path, VIDEO)
    assert labels.names == expected
    assert labels.class_of == {number: name for number, name in expected.items() if " " not in name}
