"""Names of masks and annotated images are matched with the frames of a video."""

from __future__ import annotations

import pytest

from segue.errors import DatasetError
from segue.utils.naming import is_hidden, last_number, match_frames

FRAMES = [f"frame_{i:06d}" for i in range(10)]


@pytest.mark.parametrize(
    "name",
    [
        "frame_000003.png",
        r"D:\proj1\images\frame_000003.png",
        "/data/upload/2/1a2b3c4d-frame_000003.png",
        "frame_000003_png.rf.d1c6a9e2f0b34c1a8e7712345678abcd.jpg",
        "frame_000003.jpg.png",
        "video2/clip7_frame_3.json",
        "https://bucket.example/set5/frame_000003.png?X-Amz-Date=20260101T000000Z/9",
        "/data/local-files/?d=set5/frame%20000003.png",
    ],
)
def test_a_name_is_found_by_its_last_number_however_a_program_writes_it(name):
    assert match_frames([name], 10, FRAMES) == [3]
    assert match_frames([name], 10) == [3]


def test_names_of_the_images_come_before_numbers():
    assert match_frames(["b1.png", "a2.png"], 3, ["a2", "b1", "c3"]) == [1, 0]


def test_text_after_an_image_name_is_no_frame_number():
    assert match_frames(["frame_000003_mask_2.png", "frame_000005_mask_1.png"], 10, FRAMES) == [3, 5]
    assert match_frames(["cam_1_2.png"], 3, ["cam_1", "cam_10", "cam_2"]) == [0]


def test_accents_that_a_mac_writes_apart_are_the_same_name():
    assert match_frames(["fra\u0308me_b.png"], 3, ["fr\u00e4me_a", "fr\u00e4me_b", "fr\u00e4me_c"]) == [1]


def test_numbers_are_those_of_the_images_not_positions():
    assert match_frames(["mask_10.png"], 3, ["00005", "00010", "00015"]) == [1]


def test_names_without_matching_numbers_are_matched_in_order():
    assert match_frames(["mask_1.png", "mask_2.png", "mask_3.png"], 3) == [0, 1, 2]
    assert match_frames(["left.png", "right.png"], 2, ["x", "y"]) == [0, 1]


@pytest.mark.parametrize("names", [["mask_12.png"], ["mask.png"], ["a_3.png", "b_3.png"], ["9" * 3000]])
def test_names_of_no_frame_and_two_names_of_one_frame_are_refused(names):
    with pytest.raises(DatasetError, match=names[-1][-20:]):
        match_frames(names, 10)


@pytest.mark.parametrize(
    "name", ["._00000.png", "__MACOSX/masks/._00000.png", "masks/.DS_Store", "a\\Thumbs.db", ".hidden/a.png"]
)
def test_files_of_the_system_are_hidden(name):
    assert is_hidden(name)


@pytest.mark.parametrize("name", ["a.png", "./a.png", "../b/a.png", "MACOSX/a.png", "a.DS_Store"])
def test_ordinary_names_are_not_hidden(name):
    assert not is_hidden(name)


def test_a_name_without_a_number_has_none():
    assert last_number("left.png") is None
    assert last_number("00000.png") == 0
