"""Readers of DAVIS-style folders and of still images with masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from segue.datasets.davis import DavisFolder, ImageMaskFolder
from segue.datasets.files import read_index_mask
from segue.errors import DatasetError

Array = npt.NDArray[np.uint8]

SQUARE = np.zeros((8, 10), np.uint8)
SQUARE[2:6, 3:7] = 1


def save_palette(path: Path, mask: Array) -> None:
    """Palette PNG whose colours say nothing about the ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask)
    image.putpalette(list(range(255, -1, -1)) * 3)
    assert image.mode == "P"
    image.save(path)


def save_image(path: Path, pixels: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def davis_root(
    root: Path, names: tuple[str, ...] = ("bear", "camel"), level: str = "480p", frames: int = 3
) -> Path:
    """A small data set: random images, one object; file names without leading zeros."""
    rng = np.random.default_rng(0)
    for name in names:
        for i in range(9, 9 + frames):
            image = rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)
            save_image(root / "JPEGImages" / level / name / f"{i}.png", image)
            save_palette(root / "Annotations" / level / name / f"{i}.png", SQUARE)
    return root


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
    with pytest.raises(DatasetError):
        DavisFolder(tmp_path, resolution="1080p")


def test_a_split_file_or_a_list_chooses_the_sequences_and_their_order(tmp_path: Path) -> None:
    davis_root(tmp_path, ("bear", "camel", "goat"))
    (tmp_path / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "ImageSets" / "2017" / "val.txt").write_text("goat\nbear\n")
    assert DavisFolder(tmp_path, "val").names == ("goat", "bear")
    assert DavisFolder(tmp_path, ["camel", "bear"]).names == ("camel", "bear")
    with pytest.raises(DatasetError):
        DavisFolder(tmp_path, "val", year=2016)


@pytest.mark.parametrize("line", ["../bear", "a/b", "..", "/bear", "a\\b"])
def test_a_split_cannot_name_folders_elsewhere(tmp_path: Path, line: str) -> None:
    davis_root(tmp_path, ("bear",))
    (tmp_path / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "ImageSets" / "2017" / "val.txt").write_text(f"bear\n{line}\n")
    with pytest.raises(DatasetError, match="names no sequence"):
        DavisFolder(tmp_path, "val")


def test_images_are_rgb_and_masks_palette_indices(tmp_path: Path) -> None:
    davis_root(tmp_path, ("bear",))
    red = np.zeros((8, 10, 3), np.uint8)
    red[..., 0] = 200
    save_image(tmp_path / "JPEGImages" / "480p" / "bear" / "9.png", red)
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
        save_image(tmp_path / "Annotations" / "480p" / "bear" / f"{i}.png", mask)
    bear = DavisFolder(tmp_path)["bear"]
    assert bear.binary
    np.testing.assert_array_equal([bear.read_mask(i) for i in range(3)], [SQUARE * 0, SQUARE, SQUARE])


def test_a_truncated_image_is_an_error_and_not_half_grey(tmp_path: Path) -> None:
    path = tmp_path / "JPEGImages" / "bear" / "9.jpg"
    save_image(path, np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    save_palette(tmp_path / "Annotations" / "bear" / "9.png", np.ones((64, 64), np.uint8))
    assert DavisFolder(tmp_path)["bear"].read_image(0).shape == (64, 64, 3)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DatasetError):
        DavisFolder(tmp_path)["bear"].read_image(0)


def test_masks_that_are_no_8_bit_indices_are_refused(tmp_path: Path) -> None:
    save_image(tmp_path / "index.png", SQUARE)
    np.testing.assert_array_equal(read_index_mask(tmp_path / "index.png"), SQUARE)
    save_image(tmp_path / "colour.png", np.random.default_rng(2).integers(0, 256, (8, 10, 3), dtype=np.uint8))
    Image.fromarray(SQUARE.astype(np.uint16) * 300).save(tmp_path / "deep.png")
    for name in ("colour.png", "deep.png"):
        with pytest.raises(DatasetError):
            read_index_mask(tmp_path / name)


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("JPEGImages", "JPEGImages"),
        ("JPEGImages/480p/camel", "camel"),
        ("Annotations/480p/bear/10.png", "sequence bear: frame 1 "),
        ("JPEGImages/480p/bear/11.png", r"sequence bear: .* 11\.png"),
    ],
)
def test_missing_files_of_davis_are_named(tmp_path: Path, gone: str, named: str) -> None:
    davis_root(tmp_path)
    (tmp_path / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=named):
        DavisFolder(tmp_path, ["bear", "camel"])["bear"].read_mask(1)


def test_still_images_need_a_mask_each_and_the_other_way_round(tmp_path: Path) -> None:
    images, masks = tmp_path / "images", tmp_path / "masks"
    for i in (2, 10):
        save_image(images / f"{i}.jpg", np.full((8, 10, 3), 7 * i, np.uint8))
        save_palette(masks / f"{i}.png", SQUARE * np.uint8(i if i == 2 else 255))
    folder = ImageMaskFolder(images, masks)
    assert [folder.read_image(i)[0, 0, 0] for i in range(2)] == [14, 70]
    np.testing.assert_array_equal([folder.read_mask(i) for i in range(2)], [SQUARE * 2, SQUARE])
    (masks / "10.png").unlink()
    with pytest.raises(DatasetError):
        ImageMaskFolder(images, masks)
    (images / "10.jpg").unlink()
    (images / "2.jpg").rename(images / "3.jpg")
    with pytest.raises(DatasetError):
        ImageMaskFolder(images, masks)
