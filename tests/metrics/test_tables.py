"""J and F of many objects at once equal those of each pair alone."""

from __future__ import annotations

import numpy as np
import pytest

from segue.metrics.measures import (
    count_pairs,
)


@pytest.mark.parametrize(("proposals", "objects"), [(1, 1), (1, 3), (20, 3), (200, 200)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
@pytest.mark.parametrize("shape", [(0,), (1,), (4000,), (60, 70), (3, 20, 50)])
@pytest.mark.parametrize("noisy", [False, True])
def test_pairs_of_ids_are_counted_in_noise_and_in_smooth_masks_of_any_shape(
    proposals: int, objects: int, dtype: type[np.integer], shape: tuple[int, ...], noisy: bool
) -> None:
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, highest + 1, shape) for highest in (proposals, objects)]
    if not noisy:
        masks = [np.sort(mask, axis=None).reshape(shape) for mask in masks]
    expected = np.zeros((proposals + 1, objects + 1), np.int64)
    np.add.at(expected, (masks[0], masks[1]), 1)
    found = count_pairs(masks[0].astype(dtype), masks[1].astype(dtype), proposals, objects)
    np.testing.assert_array_equal(found, expected, strict=True)
