"""Objects drawn over images."""

from __future__ import annotations

import numpy as np
import pytest

from segue.masks import DAVIS_PALETTE, overlay
from segue.masks.drawing import attention_strip


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((120, 160), np.uint8)
    mask[20:90, 20:90] = 1
    mask[30:100, 90:150] = 2
    return mask


def test_the_background_and_the_given_picture_stay_as_they_are(image: np.ndarray, mask: np.ndarray) -> None:
    before = image.copy()
    drawn = overlay(image, mask, ids=False)
    assert np.array_equal(image, before)
    assert np.array_equal(drawn[mask == 0], image[mask == 0])


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5, 1.0])
def test_the_tint_is_the_weighted_mean_with_the_palette(
    image: np.ndarray, mask: np.ndarray, alpha: float
) -> None:
    drawn = overlay(image, mask, alpha=alpha, outlines=False, ids=False)
    expected = image * (1 - alpha) + DAVIS_PALETTE[mask] * alpha
    inside = mask > 0
    assert np.abs(drawn[inside] - expected[inside]).max() <= 0.5 + 1e-6


def test_sizes_that_differ_are_reported(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"\(120, 160\) and mask of \(3, 4\)"):
        overlay(image, np.zeros((3, 4), np.uint8))


def test_a_strip_has_a_picture_for_each_object_in_the_order_of_ids() -> None:
    picture = np.full((48, 64, 3), 90, np.uint8)
    mask = np.zeros((96, 128), np.uint8)
    mask[:20, :20], mask[60:, 60:] = 7, 2
    maps = np.zeros((2, 6, 8), np.float32)
    maps[0, 1, 1] = maps[1, 4, 6] = 1.0
    strip = attention_strip(picture, mask, maps, [7, 2])
    assert strip.shape == (48, 192, 3)
    second, seventh = strip[:, 64:128].astype(int), strip[:, 128:].astype(int)
    for shown, (row, column) in ((second, (36, 52)), (seventh, (12, 12))):
        rows, columns = np.nonzero(np.abs(shown[3:-3, 3:-3] - 90).sum(2) > 30)
        middle = rows.mean() + 3, columns.mean() + 3
        assert max(abs(middle[0] - row), abs(middle[1] - column)) < 4
        assert len(rows) < 48 * 64 / 2
    assert not (second[0, 0] == seventh[0, 0]).all()  # rims in the colours of the objects
