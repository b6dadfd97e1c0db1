"""Labels of foreground data sets come as label values of CDnet2014."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.datasets.foreground.labels import (
    StaticAs,
    read_binary_labels,
    read_grey,
    read_lasiesta_labels,
)
from segue.errors import DatasetError
from tests.datasets.foreground_videos import save

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_grey_values_are_those_of_the_palette_not_its_indices(tmp_path: Path) -> None:
    indices = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    indices.putpalette([255, 255, 255, 50, 50, 50, 170, 170, 170])
    indices.save(tmp_path / "labels.png")
    assert read_grey(tmp_path / "labels.png").tolist() == [[255, 50, 170]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_black_and_white_is_the_same_in_every_kind_of_image(tmp_path: Path, mode: str) -> None:
    values = np.zeros((5, 9), np.uint8)
    values[1:3, 2:7] = 255
    Image.fromarray(values).convert(mode).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_grey(tmp_path / "mask.png"), values)


def test_binary_labels_are_what_is_not_black_or_one_grey_value(tmp_path: Path) -> None:
    path = save(tmp_path / "gt.png", np.array([[0, 1, 128, 255]], np.uint8))
    assert read_binary_labels(path).tolist() == [[0, 255, 255, 255]]
    assert read_binary_labels(path, positive=128).tolist() == [[0, 0, 255, 0]]


@pytest.mark.parametrize(("static_as", "still"), [("foreground", 255), ("background", 0), ("ignore", 170)])
def test_colours_of_lasiesta_are_objects_outlines_and_objects_that_stay(
    tmp_path: Path, static_as: StaticAs, still: int
) -> None:
    colours = [(0, 0, 0), (255, 0, 0), (0, 255, 0), (255, 255, 0), (255, 255, 255), (128, 128, 128)]
    path = save(tmp_path / "gt.png", np.array([colours], np.uint8))
    assert read_lasiesta_labels(path, static_as).tolist() == [[0, 255, 255, 255, still, 170]]


@pytest.mark.parametrize("name", ["gt.png", "ROI.bmp"])
def test_a_damaged_image_is_named(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, LEVELS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DatasetError, match=name):
        read_grey(path)


def test_labels_of_16_bits_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "gt.png", LEVELS)
    assert read_grey(path).dtype == np.uint8
    Image.fromarray(np.full((4, 4), 300, np.uint16)).save(path)
    with pytest.raises(DatasetError):
        read_grey(path)
