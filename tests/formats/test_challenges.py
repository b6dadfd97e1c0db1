"""Files of the MOT Challenge, of MOTS and archives of numpy, as other programs write them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from segue.errors import SegueError
from segue.formats.reading import read_labels, skipped_text
from segue.masks import encode_rle

SIZE = (48, 64)
VIDEO: Any = SimpleNamespace(
    size=SIZE, count=4, names=None, name="0002", fps=10.0, time=lambda index: index / 10
)


def filled(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def line(frame: int, track: int, kind: int, mask: np.ndarray, size: tuple[int, int] = SIZE) -> str:
    return f"{frame} {track} {kind} {size[0]} {size[1]} {encode_rle(mask)['counts']}\n"


def test_ground_truth_of_the_mot_challenge_is_boxes(tmp_path: Path) -> None:
    (tmp_path / "gt.txt").write_text(
        "1,3,11,6,10,20,1,1,0.8\n2,3,12.5,6,10,20,1,1,1\n\n2,9,1,1,5,5,0.25,-1,-1,-1\n"
    )
    labels = read_labels(tmp_path / "gt.txt", VIDEO)
    assert (labels.ids, [*labels.names]) == ({3: 3, 9: 9}, [3, 9])
    assert np.array_equal(labels.planes(0)[3], filled(5, 25, 10, 20))
    assert labels.score(1, 9) == 0.25
    (tmp_path / "gt.txt").write_text("9,3,11,6,10,20,1,1,0.8\n")
    with pytest.raises(SegueError, match="line 1: frame 9 is none of the video"):
        read_labels(tmp_path / "gt.txt", VIDEO)


def test_mots_counts_the_objects_of_each_class_and_has_ignored_regions(tmp_path: Path) -> None:
    car, person = filled(0, 10, 0, 20), filled(20, 40, 30, 50)
    text = line(1, 1001, 1, car) + line(1, 2001, 2, person) + line(2, 10000, 10, car)
    (tmp_path / "0002.txt").write_text(text)
    labels = read_labels(tmp_path / "0002.txt", VIDEO)
    assert sorted(labels.names.values()) == ["car", "pedestrian"]
    assert skipped_text(labels) == "1 ignored regions"
    assert sorted(int(plane.sum()) for plane in labels.planes(0).values()) == [200, 400]
    (tmp_path / "0001.txt").write_text(line(1, 1007, 1, person))
    assert sorted(read_labels(tmp_path, VIDEO).names.values()) == ["car", "pedestrian"], "by its name"
    with pytest.raises(SegueError, match="several videos"):
        read_labels(tmp_path, SimpleNamespace(**{**vars(VIDEO), "name": "other"}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["1 1001 1 48 64 no\x00runs\n", "1 1001 1 48 64 1\nabc\n", "1 1001 1 50 64 0\n", "1 1001 1 48 64 PP\n"],
)
def test_damaged_lines_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(SegueError):
        read_labels(tmp_path / "a.txt", VIDEO)


@pytest.mark.parametrize(
    ("masks", "frames", "message"),
    [
        (np.zeros((2, 48, 60), np.uint8), [0, 1], "60x48"),
        (np.zeros((5, *SIZE), np.uint8), range(5), "5 images"),
        (np.zeros((1, *SIZE), np.uint8), [7], "frame 7"),
        (np.zeros((1, *SIZE), np.float32), [0], "uint8 or uint16"),
        (np.zeros((2, *SIZE), np.uint8), [0], "as many frames"),
    ],
)
def test_an_archive_that_is_not_of_the_video_is_refused(
    masks: np.ndarray, frames: Any, message: str, tmp_path: Path
) -> None:
    np.savez_compressed(tmp_path / "a.npz", masks=masks, frames=np.array([*frames], np.int64))
    with pytest.raises(SegueError, match=message):
        read_labels(tmp_path / "a.npz", VIDEO)


def test_pickled_arrays_of_an_archive_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", masks=np.array([{"a": 1}], object), frames=np.zeros(1, np.int64))
    with pytest.raises(SegueError):
        read_labels(tmp_path / "a.npz", VIDEO)
