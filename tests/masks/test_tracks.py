"""Masks of a track from files: every form is understood, nothing damaged reaches pycocotools."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segue.errors import DatasetError
from segue.masks import encode_rle
from segue.masks.rle import check_size
from segue.masks.tracks import RleTrack

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLIPS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=3, max_dims=3, max_side=14))
laws = settings(deadline=None, max_examples=80, derandomize=True)


def parse(*entries: Any, size: tuple[int, int] = (2, 3), **options: Any) -> RleTrack:
    return RleTrack.parse(entries, size, **options)


def runs(mask: npt.NDArray[np.bool_]) -> list[int]:
    """Uncompressed run lengths by going down the columns."""
    lengths, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            lengths.append(0)
            value = not value
        lengths[-1] += 1
    return lengths


@laws
@given(CLIPS)
def test_lists_and_strings_of_run_lengths_are_the_same_masks(masks: npt.NDArray[np.bool_]) -> None:
    size = masks.shape[1:]
    for entries in (
        [encode_rle(mask) for mask in masks],
        [{"size": list(size), "counts": runs(mask)} for mask in masks],
    ):
        track = RleTrack.parse(entries, size)
        decoded = [track.decode(t) for t in range(len(masks))]
        assert np.array_equal(decoded, masks)
        assert {mask.dtype for mask in decoded} == {np.dtype(np.bool_)}
        assert np.array_equal(track.areas, masks.sum(axis=(1, 2)))


@laws
@given(CLIPS)
def test_boxes_are_tight(masks: npt.NDArray[np.bool_]) -> None:
    track = RleTrack.parse([encode_rle(mask) for mask in masks], masks.shape[1:])
    for t, mask in enumerate(masks):
        rows, columns = np.nonzero(mask)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else (0, 0, 0, 0)
        found = track.box(t)
        assert tuple(found) == box
        assert found.dtype == np.float32


@laws
@given(CLIPS, st.data())
def test_a_string_that_was_changed_is_refused_or_is_another_sound_mask(
    masks: npt.NDArray[np.bool_], data: st.DataObject
) -> None:
    rle = encode_rle(masks[0])
    place = data.draw(st.integers(0, len(rle["counts"]) - 1))
    other = data.draw(st.characters(min_codepoint=1, max_codepoint=127))
    changed = {**rle, "counts": rle["counts"][:place] + other + rle["counts"][place + 1 :]}
    try:
        track = RleTrack.parse([changed], masks.shape[1:])
    except DatasetError:
        return
    assert track.decode(0).sum() == track.areas[0]


@laws
@given(CLIPS)
def test_a_string_that_was_cut_off_is_refused(masks: npt.NDArray[np.bool_]) -> None:
    rle = encode_rle(masks[0])
    with pytest.raises(DatasetError, match=r"segmentations\[1\]: "):
        RleTrack.parse([rle, {**rle, "counts": rle["counts"][:-1]}], masks.shape[1:])


def test_polygons_are_filled_together() -> None:
    left, right = [0, 0, 2, 0, 2, 4, 0, 4], [4, 1, 6, 1, 6, 3, 4, 3]
    track = parse([left, right], size=(4, 6))
    expected = np.zeros((4, 6), np.bool_)
    expected[:, :2] = expected[1:3, 4:] = True
    assert np.array_equal(track.decode(0), expected)


def test_a_polygon_of_two_corners_has_no_pixels() -> None:
    assert parse([[0, 0, 2, 2]]).areas[0] == 0


def test_an_empty_run_inside_a_mask_is_as_if_it_was_not_there() -> None:
    track = parse({"size": [2, 3], "counts": [1, 2, 0, 1, 0, 0, 2]})
    assert track.counts == parse({"size": [2, 3], "counts": [1, 3, 2]}).counts


def test_an_absent_mask_cannot_be_had_as_run_length() -> None:
    with pytest.raises(DatasetError):
        parse(None).rle(0)


@pytest.mark.parametrize(
    "entry",
    [
        {"size": [2, 3], "counts": [2, 3]},
        {"size": [2, 3], "counts": [7, -1]},
        {"size": [2, 3], "counts": [6.0]},
        {"size": [2, 3], "counts": ["6"]},
        {"size": [2, 3], "counts": [1, [5]]},
        {"size": [2, 3], "counts": [2**70]},
        {"size": [2, 3], "counts": []},
        {"size": [2, 3], "counts": 6},
        {"size": [2, 3], "counts": ""},
        {"size": [2, 3], "counts": "5"},
        {"size": [2, 3], "counts": "6\x7f"},
        {"size": [2, 3], "counts": "6é"},
        {"size": [2, 3], "counts": "6\ud800"},
        {"size": [2, 3], "counts": "6P"},
        {"size": [2, 3], "counts": "PPPPPPP0"},
        {"size": [3, 2], "counts": "6"},
        {"size": [2, 3]},
        7,
        [7],
        [[0, 0, 1]],
        [[0, 0, 1, "1", 1, 0]],
        [[0, 0, 1, float("nan"), 1, 0]],
        [[0, 0, 1, 1e9, 1, 0]],
        [[0, 0, 3, 2] * 50],
    ],
)
def test_a_damaged_entry_is_refused_with_its_frame(entry: Any) -> None:
    with pytest.raises(DatasetError, match=r"segmentations\[1\]: "):
        parse(None, entry)


@pytest.mark.parametrize("size", [(0, 4), (4, -1), (2.0, 4), ("2", 4), (2**14, 2**13)])
def test_sizes_that_no_video_has_are_refused(size: tuple[Any, Any]) -> None:
    with pytest.raises(DatasetError):
        check_size(*size)
