"""A correction changes other frames only near what it changed on its own."""

from __future__ import annotations

import numpy as np
import pytest

from segue.flow.change_regions import ChangeRegion
from segue.utils.arrays import BoolArray

HEIGHT, WIDTH, STEP = 96, 160, 3


def image(shift: int) -> np.ndarray:
    """A textured scene that moves to the right."""
    texture = np.random.default_rng(0).integers(0, 256, (HEIGHT // 4, WIDTH // 4 + 30, 3)).astype(np.uint8)
    large = texture.repeat(4, 0).repeat(4, 1)
    return np.ascontiguousarray(large[:, 100 - shift : 100 - shift + WIDTH])


def square(left: int, top: int, side: int = 12) -> BoolArray:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def test_a_change_is_followed_and_others_are_left_out() -> None:
    region = ChangeRegion(image(0), square(40, 40))
    previous = np.zeros((HEIGHT, WIDTH), np.uint8)
    for frame in range(1, 9):
        region.advance(image(STEP * frame))
        moved, elsewhere = square(40 + STEP * frame, 40), square(130, 70)
        new = previous.copy()
        new[moved | elsewhere] = 1
        limited = region.limit(previous, new)
        np.testing.assert_array_equal(limited > 0, moved)


def test_pixels_removed_by_a_correction_stay_removed() -> None:
    previous = square(40, 40, 24).astype(np.uint8)
    region = ChangeRegion(image(0), square(52, 52))
    region.advance(image(0))
    new = previous * ~square(52, 52)
    np.testing.assert_array_equal(region.limit(previous, new), new)


def test_a_lost_object_that_was_found_again_is_followed_where_flow_alone_loses_it() -> None:
    still = image(0)
    region = ChangeRegion(still, square(20, 40, 24))
    nothing = np.zeros((HEIGHT, WIDTH), np.uint8)
    for left in range(20, 110, 6):  # the scene stands still, and so does its flow
        region.advance(still)
        found = square(left, 40, 24).astype(np.uint8)
        np.testing.assert_array_equal(region.limit(nothing, found), found)


def test_an_outline_that_trembles_does_not_carry_the_region_along() -> None:
    still = image(0)
    region = ChangeRegion(still, square(40, 40))
    previous = np.zeros((HEIGHT, WIDTH), np.uint8)
    previous[30:60, 60:120] = 1
    for width in (1, 2):
        region.advance(still)
        new = previous.copy()
        new[30 - width : 30, 40:120] = 1  # a thin line from the region to far beyond
        region.limit(previous, new)
    far = previous.copy()
    far[26:30, 110:120] = 1
    np.testing.assert_array_equal(region.limit(previous, far), previous)


def test_another_correction_on_the_way_counts_from_there() -> None:
    region = ChangeRegion(image(0), square(40, 40))
    previous = np.zeros((HEIGHT, WIDTH), np.uint8)
    new = square(120, 20).astype(np.uint8)
    np.testing.assert_array_equal(region.limit(previous, new), previous)
    region.extend(square(120, 20))
    np.testing.assert_array_equal(region.limit(previous, new), new)


@pytest.mark.parametrize("size", [(8, 8), (480, 20), (1080, 1920)])
def test_images_of_any_size_are_limited(size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    changed = np.zeros(size, np.bool_)
    changed[: size[0] // 2] = True
    region = ChangeRegion(frame, changed)
    region.advance(frame)
    assert region.limit(np.zeros(size, np.uint8), changed.astype(np.uint8)).any()


def test_a_restored_region_continues_identically() -> None:
    region = ChangeRegion(image(0), square(40, 40))
    region.advance(image(3))
    state = region.state()
    other = ChangeRegion(image(0), square(0, 0))
    other.restore(state)
    previous = np.zeros((HEIGHT, WIDTH), np.uint8)
    new = (square(46, 40) | square(120, 20)).astype(np.uint8)
    for each in (region, other):
        each.advance(image(6))
    np.testing.assert_array_equal(region.limit(previous, new), other.limit(previous, new))


def moved_square(
    *, before: float, now: float, nearest: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks before and after a correction, each not sure of a share of the square, and what is taken."""
    region = ChangeRegion(image(0), square(40, 40))
    region.advance(image(0))
    previous, new = np.zeros((HEIGHT, WIDTH), np.uint8), square(40, 40).astype(np.uint8)
    unsure = []
    for share in (before, now):
        plane = np.zeros((HEIGHT, WIDTH), np.bool_)
        plane[40 : 40 + round(12 * share), 40:52] = True
        unsure.append(plane)
    return previous, new, region.limit(previous, new, (unsure[0], unsure[1]), () if nearest else (1,))


@pytest.mark.parametrize(
    ("before", "now", "nearest", "is_new"),
    [
        (0, 0, True, True),
        (0, 0.6, True, False),  # less sure
        (0.6, 0, True, True),
        (0, 0, False, False),  # another corrected frame is nearer
        (0.6, 0, False, True),  # and less sure than this
        (0.6, 0.6, False, False),
    ],
)
def test_a_mask_is_replaced_where_the_new_one_is_nearer_or_surer(
    before: float, now: float, nearest: bool, is_new: bool
) -> None:
    previous, new, limited = moved_square(before=before, now=now, nearest=nearest)
    np.testing.assert_array_equal(limited, new if is_new else previous)


def test_a_large_difference_that_hardly_touches_the_region_is_left_out() -> None:
    still = image(0)
    region = ChangeRegion(still, square(20, 40))
    region.advance(still)
    previous = np.zeros((HEIGHT, WIDTH), np.uint8)
    new = previous.copy()
    new[10:90, 34:150] = 1  # begins beside the square
    np.testing.assert_array_equal(region.limit(previous, new), previous)
