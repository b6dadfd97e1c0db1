"""Readers of DAVIS-style folders and of still images with masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segue.datasets.davis import DavisFolder, ImageMaskFolder
from segue.datasets.files import read_index_mask
from segue.errors import DatasetError
from segue.naming import natural_key

Array = npt.NDArray[np.uint8]

SQUARE = np.zeros((8, 10), np.uint8)
SQUARE[2:6, 3:7] = 1


def save_palette(path: Path, mask: Array) -> None:
    """Palette PNG whose colours say nothing about the ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(mask)
    picture.putpalette(list(range(255, -1, -1)) * 3)
    assert picture.mode == "P"
    picture.save(path)


def save_picture(path: Path, pixels: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def davis_root(
    root: Path, names: tuple[str, ...] = ("bear", "camel"), level: str = "480p", frames: int = 3
) -> Path:
    """A small data set: random pictures, one object; file names without leading zeros."""
    rng = np.random.default_rng(0)
    for name in names:
        for i in range(9, 9 + frames):
            picture = rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)
            save_picture(root / "JPEGImages" / level / name / f"{i}.png", picture)
            save_palette(root / "Annotations" / level / name / f"{i}.png", SQUARE)
    return root


def counts(shared: Path) -> dict[str, dict[str, dict[str, object]]]:
    path = shared / "data" / "vos" / "sequences.json"
    if not path.is_file():
        pytest.skip(f"no real sequences at {path.parent}")
    found: dict[str, dict[str, dict[str, object]]] = json.loads(path.read_text())
    return found


def test_real_folders_have_the_documented_sequences_frames_sizes_and_labels(shared: Path) -> None:
    for folder, sequences in counts(shared).items():
        davis = DavisFolder(shared / "data" / "vos" / folder)
        assert set(davis.names) == set(sequences)
        for sequence in davis:
            expected = sequences[sequence.name]
            assert len(sequence) == expected["frames"]
            assert len(sequence.annotations) == expected["annotated"]
            first = next(iter(sequence.annotations))
            assert sequence.read_image(first).shape == (expected["height"], expected["width"], 3)
            assert sequence.read_mask(first).shape == (expected["height"], expected["width"])
            assert sequence.binary == (expected["labels"] == [0, 255])


def test_labels_of_real_palette_masks_are_the_documented_ones(shared: Path) -> None:
    for folder in ("composite2obj_240p", "davis2017_multiobject", "vipseg_demo_240p"):
        expected = counts(shared)[folder]
        for sequence in DavisFolder(shared / "data" / "vos" / folder):
            labels = {
                value for i in sequence.annotations for value in np.unique(sequence.read_mask(i)).tolist()
            }
            assert sorted(labels) == expected[sequence.name]["labels"]


def test_real_still_images_pair_with_their_masks(shared: Path) -> None:
    root = shared / "data" / "static"
    if not root.is_dir():
        pytest.skip(f"no still images at {root}")
    folder = ImageMaskFolder(root / "images", root / "masks")
    assert len(folder) == 451
    for i in range(0, 451, 50):
        assert folder.read_image(i).shape[:2] == folder.read_mask(i).shape
        assert folder.read_mask(i).any()


@pytest.mark.parametrize("level", ["480p", "Full-Resolution", "."])
def test_sequences_are_found_with_and_without_a_resolution_level(tmp_path: Path, level: str) -> None:
    davis = DavisFolder(davis_root(tmp_path, level=level))
    assert davis.names == ("bear", "camel")
    assert [len(sequence) for sequence in davis] == [3, 3]


def test_the_resolution_can_be_chosen(tmp_path: Path) -> None:
    davis_root(tmp_path, level="480p")
    davis_root(tmp_path, ("goat",), level="Full-Resolution")
    assert DavisFolder(tmp_path).names == ("bear", "camel")
    (tmp_path / "JPEGImages" / "480p").rename(tmp_path / "elsewhere")
    assert DavisFolder(tmp_path).names == ("goat",)
    assert DavisFolder(tmp_path, resolution="Full-Resolution").names == ("goat",)
    with pytest.raises(DatasetError, match="no resolution 1080p"):
        DavisFolder(tmp_path, resolution="1080p")


def test_frames_come_in_natural_order(tmp_path: Path) -> None:
    bear = DavisFolder(davis_root(tmp_path))["bear"]
    assert [path.name for path in bear.frames] == ["9.png", "10.png", "11.png"]
    assert list(bear.annotations) == [0, 1, 2]


@given(st.lists(st.integers(0, 10**6), min_size=1, unique=True))
def test_natural_order_of_numbered_files_is_the_order_of_their_numbers(numbers: list[int]) -> None:
    names = sorted((f"frame{i}.png" for i in numbers), key=natural_key)
    assert names == [f"frame{i}.png" for i in sorted(numbers)]


def test_a_split_file_or_a_list_chooses_the_sequences_and_their_order(tmp_path: Path) -> None:
    davis_root(tmp_path, ("bear", "camel", "goat"))
    (tmp_path / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "ImageSets" / "2017" / "val.txt").write_text("goat\nbear\n")
    assert DavisFolder(tmp_path, "val").names == ("goat", "bear")
    assert DavisFolder(tmp_path, ["camel", "bear"]).names == ("camel", "bear")
    with pytest.raises(DatasetError, match=r"2016.val\.txt does not exist"):
        DavisFolder(tmp_path, "val", year=2016)


def test_a_split_file_of_the_release_of_2016_lists_pictures_and_masks(tmp_path: Path) -> None:
    davis_root(tmp_path, ("bear", "camel", "goat"))
    (tmp_path / "ImageSets" / "480p").mkdir(parents=True)
    lines = [
        f"/JPEGImages/480p/{name}/{i}.jpg /Annotations/480p/{name}/{i}.png "
        for name in ("goat", "bear")
        for i in (9, 10)
    ]
    (tmp_path / "ImageSets" / "480p" / "val.txt").write_text("\n".join(lines))
    assert DavisFolder(tmp_path, "val", year=2016).names == ("goat", "bear")
    with pytest.raises(DatasetError, match="no split val"):
        DavisFolder(tmp_path, "val")


@pytest.mark.parametrize("line", ["../bear", "a/b", "..", "/bear", "a\\b"])
def test_a_split_cannot_name_folders_elsewhere(tmp_path: Path, line: str) -> None:
    davis_root(tmp_path, ("bear",))
    (tmp_path / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "ImageSets" / "2017" / "val.txt").write_text(f"bear\n{line}\n")
    with pytest.raises(DatasetError, match="names no sequence"):
        DavisFolder(tmp_path, "val")


def test_pictures_are_rgb_and_masks_palette_indices(tmp_path: Path) -> None:
    davis_root(tmp_path, ("bear",))
    red = np.zeros((8, 10, 3), np.uint8)
    red[..., 0] = 200
    save_picture(tmp_path / "JPEGImages" / "480p" / "bear" / "9.png", red)
    mask = SQUARE * np.uint8(3)
    mask[0] = 255
    save_palette(tmp_path / "Annotations" / "480p" / "bear" / "9.png", mask)
    bear = DavisFolder(tmp_path)["bear"]
    np.testing.assert_array_equal(bear.read_image(0), red)
    np.testing.assert_array_equal(bear.read_mask(0), mask)
    assert not bear.binary
    assert bear.read_mask(0).dtype == np.uint8


def test_masks_of_0_and_255_come_as_0_and_1_even_after_empty_ones(tmp_path: Path) -> None:
    davis_root(tmp_path, ("bear",))
    for i, mask in zip((9, 10, 11), (SQUARE * 0, SQUARE * 255, SQUARE * 255), strict=True):
        save_picture(tmp_path / "Annotations" / "480p" / "bear" / f"{i}.png", mask)
    bear = DavisFolder(tmp_path)["bear"]
    assert bear.binary
    np.testing.assert_array_equal([bear.read_mask(i) for i in range(3)], [SQUARE * 0, SQUARE, SQUARE])


def test_a_frame_with_only_void_left_stays_void_in_a_sequence_of_ids(tmp_path: Path) -> None:
    davis_root(tmp_path, ("bear",))
    save_palette(tmp_path / "Annotations" / "480p" / "bear" / "11.png", SQUARE * 255)
    np.testing.assert_array_equal(DavisFolder(tmp_path)["bear"].read_mask(2), SQUARE * 255)


def test_nothing_is_decoded_before_it_is_asked_for(tmp_path: Path) -> None:
    davis_root(tmp_path, ("bear",))
    picture, mask = (tmp_path / name / "480p" / "bear" / "10.png" for name in ("JPEGImages", "Annotations"))
    picture.write_bytes(b"no picture")
    bear = DavisFolder(tmp_path)["bear"]
    with pytest.raises(DatasetError, match=r"10\.png is not a readable picture"):
        bear.read_image(1)
    with pytest.raises(DatasetError, match=r"10\.png is not a readable picture"):
        bear.read_mask(1)
    mask.write_bytes(mask.read_bytes()[:-30])
    with pytest.raises(DatasetError, match=r"10\.png: not a readable mask"):
        bear.read_mask(1)


def test_a_truncated_picture_is_an_error_and_not_half_grey(tmp_path: Path) -> None:
    path = tmp_path / "JPEGImages" / "bear" / "9.jpg"
    save_picture(path, np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:-500])
    save_palette(tmp_path / "Annotations" / "bear" / "9.png", np.ones((64, 64), np.uint8))
    with pytest.raises(DatasetError, match=r"9\.jpg is not a readable picture"):
        DavisFolder(tmp_path)["bear"].read_image(0)


def test_grey_masks_stored_as_rgb_or_one_bit_are_read(tmp_path: Path) -> None:
    save_picture(tmp_path / "rgb.png", np.repeat(SQUARE[..., None] * np.uint8(255), 3, axis=2))
    np.testing.assert_array_equal(read_index_mask(tmp_path / "rgb.png"), SQUARE * 255)
    Image.fromarray(SQUARE.astype(np.bool_)).save(tmp_path / "bit.png")
    np.testing.assert_array_equal(read_index_mask(tmp_path / "bit.png"), SQUARE)


def test_masks_that_are_no_8_bit_indices_are_refused(tmp_path: Path) -> None:
    save_picture(
        tmp_path / "colour.png", np.random.default_rng(2).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    )
    with pytest.raises(DatasetError, match=r"colour\.png: a colour picture"):
        read_index_mask(tmp_path / "colour.png")
    Image.fromarray(SQUARE.astype(np.uint16) * 300).save(tmp_path / "deep.png")
    with pytest.raises(DatasetError, match=r"deep\.png has \d+ bits"):
        read_index_mask(tmp_path / "deep.png")


def test_a_mask_of_another_size_than_its_picture_is_refused_with_both_sizes(tmp_path: Path) -> None:
    davis_root(tmp_path, ("bear",))
    save_palette(tmp_path / "Annotations" / "480p" / "bear" / "10.png", SQUARE[:, 1:])
    with pytest.raises(DatasetError, match=r"is 9x8, .* 10x8"):
        DavisFolder(tmp_path)["bear"].read_mask(1)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no folder .*JPEGImages"):
        DavisFolder(tmp_path)
    davis_root(tmp_path)
    with pytest.raises(DatasetError, match=r"no folder .*goat"):
        DavisFolder(tmp_path, ["goat"])
    (tmp_path / "Annotations" / "480p" / "bear" / "10.png").unlink()
    with pytest.raises(DatasetError, match="sequence bear: frame 1 has no annotation"):
        DavisFolder(tmp_path)["bear"].read_mask(1)
    (tmp_path / "JPEGImages" / "480p" / "bear" / "11.png").unlink()
    with pytest.raises(DatasetError, match=r"sequence bear: .* lacks the picture of 11\.png"):
        DavisFolder(tmp_path)


def test_still_images_need_a_mask_each_and_the_other_way_round(tmp_path: Path) -> None:
    images, masks = tmp_path / "images", tmp_path / "masks"
    for i in (2, 10):
        save_picture(images / f"{i}.jpg", np.full((8, 10, 3), 7 * i, np.uint8))
        save_palette(masks / f"{i}.png", SQUARE * np.uint8(i if i == 2 else 255))
    folder = ImageMaskFolder(images, masks)
    assert [folder.read_image(i)[0, 0, 0] for i in range(2)] == [14, 70]
    np.testing.assert_array_equal([folder.read_mask(i) for i in range(2)], [SQUARE * 2, SQUARE])
    (masks / "10.png").unlink()
    with pytest.raises(DatasetError, match="lacks the mask of 10"):
        ImageMaskFolder(images, masks)
    (images / "10.jpg").unlink()
    (images / "2.jpg").rename(images / "3.jpg")
    with pytest.raises(DatasetError, match="lacks the"):
        ImageMaskFolder(images, masks)
