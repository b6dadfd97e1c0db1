"""Labels of foreground data sets come as label values of CDnet2014."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.datasets.foreground_sets import open_lasiesta
from segue.datasets.labels import (
    StaticAs,
    read_binary_labels,
    read_grey,
    read_lasiesta_labels,
    read_region,
    read_sbi_labels,
)
from segue.errors import DatasetError
from tests.datasets.foreground_videos import bitmap_with_two_colours, save

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_grey_values_are_those_of_the_palette_not_its_indices(tmp_path: Path) -> None:
    indices = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    indices.putpalette([255, 255, 255, 50, 50, 50, 170, 170, 170])
    indices.save(tmp_path / "labels.png")
    assert read_grey(tmp_path / "labels.png").tolist() == [[255, 50, 170]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_black_and_white_is_the_same_in_every_kind_of_picture(tmp_path: Path, mode: str) -> None:
    values = np.zeros((5, 9), np.uint8)
    values[1:3, 2:7] = 255
    Image.fromarray(values).convert(mode).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_grey(tmp_path / "mask.png"), values)


def test_a_region_of_8_bits_with_a_table_of_two_colours_is_read_as_it_looks(tmp_path: Path) -> None:
    inside = np.zeros((7, 11), np.bool_)
    inside[2:5, 3:10] = True
    (tmp_path / "ROI.bmp").write_bytes(bitmap_with_two_colours(inside))
    np.testing.assert_array_equal(read_region(tmp_path / "ROI.bmp", inside.shape), inside)


@pytest.mark.shared
def test_a_region_whose_first_palette_entry_is_white_is_inside_everywhere(shared: Path) -> None:
    region = shared / "data/foreground/cdnet2014/baseline/highway/ROI.bmp"
    assert read_region(region, (240, 320)).all()


def test_every_value_but_black_is_inside(tmp_path: Path) -> None:
    region = read_region(save(tmp_path / "ROI.bmp", LEVELS), LEVELS.shape)
    np.testing.assert_array_equal(region, LEVELS > 0)


def test_a_region_of_another_size_is_cropped_or_extended_at_the_right_and_at_the_bottom(
    tmp_path: Path,
) -> None:
    path = save(tmp_path / "ROI.bmp", np.full((4, 6), 255, np.uint8))
    assert read_region(path, (3, 5)).shape == (3, 5)
    larger = read_region(path, (5, 9))
    assert larger[:4, :6].all()
    assert larger.sum() == 24


def test_binary_labels_are_what_is_not_black_or_one_grey_value(tmp_path: Path) -> None:
    path = save(tmp_path / "gt.png", np.array([[0, 1, 128, 255]], np.uint8))
    assert read_binary_labels(path).tolist() == [[0, 255, 255, 255]]
    assert read_binary_labels(path, positive=128).tolist() == [[0, 0, 255, 0]]


def test_sbi_masks_have_1_or_255_for_foreground_and_a_void_range_between(tmp_path: Path) -> None:
    labels = read_sbi_labels(save(tmp_path / "gt.png", LEVELS)).ravel()
    assert np.flatnonzero(labels == 255).tolist() == [1, 255]
    assert np.flatnonzero(labels == 170).tolist() == list(range(64, 205))
    assert np.count_nonzero(labels == 0) == 256 - 2 - 141


@pytest.mark.parametrize(("static_as", "still"), [("foreground", 255), ("background", 0), ("ignore", 170)])
def test_colours_of_lasiesta_are_objects_outlines_and_objects_that_stay(
    tmp_path: Path, static_as: StaticAs, still: int
) -> None:
    colours = [(0, 0, 0), (255, 0, 0), (0, 255, 0), (255, 255, 0), (255, 255, 255), (128, 128, 128)]
    path = save(tmp_path / "gt.png", np.array([colours], np.uint8))
    assert read_lasiesta_labels(path, static_as).tolist() == [[0, 255, 255, 255, still, 170]]


def test_an_unknown_choice_for_still_objects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="static_as is 'moving'"):
        open_lasiesta(tmp_path, "moving")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["gt.png", "ROI.bmp"])
def test_a_damaged_picture_is_named(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, LEVELS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DatasetError, match=f"{name} is not a readable picture"):
        read_grey(path)


def test_labels_of_16_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 300, np.uint16)).save(tmp_path / "gt.png")
    with pytest.raises(DatasetError, match="8 bits a pixel"):
        read_grey(tmp_path / "gt.png")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.png: no such file"):
        read_grey(tmp_path / "gone.png")
