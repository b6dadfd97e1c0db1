"""Objects drawn over images."""

from __future__ import annotations

import numpy as np
import pytest

from segue.masks import DAVIS_PALETTE, overlay


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((120, 160), np.uint8)
    mask[20:90, 20:90] = 1
    mask[30:100, 90:150] = 2
    return mask


def test_the_background_and_the_given_image_stay_as_they_are(image: np.ndarray, mask: np.ndarray) -> None:
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
