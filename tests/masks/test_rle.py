"""Run lengths, areas, boxes and sizes of index masks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from segue.masks import (
    decode_rle,
    encode_objects,
    encode_rle,
    resize_mask,
    rle_area,
)
from segue.masks.rle import rle_box

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MASKS = arrays.arrays(
    st.sampled_from([np.uint8, np.uint16, np.int64]),
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.integers(0, 4),
)


def test_run_lengths_are_those_of_the_coco_format() -> None:
    """Runs down the columns, first of zeros: 1 zero, 2 ones, 1 zero, each as one character 48 + value."""
    rle = encode_rle(np.array([[0, 1], [1, 0]], bool))
    assert rle == {"size": [2, 2], "counts": "121"}
    assert json.loads(json.dumps(rle)) == rle


@settings(deadline=None, max_examples=50)
@given(MASKS)
def test_a_decoded_mask_is_the_encoded_one(mask: np.ndarray) -> None:
    for number, rle in encode_objects(mask, range(1, 5)).items():
        assert np.array_equal(decode_rle(rle), mask == number)
        assert rle_area(rle) == np.count_nonzero(mask == number)


@settings(deadline=None, max_examples=200)
@given(MASKS, st.integers(1, 40))
def test_run_lengths_areas_and_boxes_are_those_of_pycocotools(mask: np.ndarray, times: int) -> None:
    mask = np.repeat(mask, times, axis=0)  # longer runs have numbers of several characters
    wanted = coco_mask.encode(np.asfortranarray(mask != 0).view(np.uint8))
    rle = encode_rle(mask)
    assert rle["counts"].encode() == wanted["counts"]
    assert rle_area(rle) == coco_mask.area(wanted)
    x, y, width, height = coco_mask.toBbox(wanted)
    assert rle_box(rle) == ((x, y, x + width, y + height) if mask.any() else None)


@settings(deadline=None, max_examples=50)
@given(MASKS, st.integers(0, 30), st.integers(0, 30))
def test_enlarging_and_reducing_gives_the_mask_back(
    mask: np.ndarray, more_rows: int, more_columns: int
) -> None:
    large = resize_mask(mask, (mask.shape[0] + more_rows, mask.shape[1] + more_columns))
    assert np.array_equal(resize_mask(large, mask.shape), mask)
    assert large.dtype == mask.dtype
