"""What counts as an impulse, when it rains, and which pieces are drops."""

from __future__ import annotations

import numpy as np
import pytest

from segue.arrays import Float32Array
from segue.sessions.precipitation import (
    CELLS_FROM,
    CELLS_UNTIL,
    MEMORY,
    Precipitation,
    _median,
    _shares,
)
from tests.sessions.scenes import Bytes

SIZE = (96, 128)  # six by eight parts of 16 by 16 pixels


def flat(level: int) -> Bytes:
    return np.full((*SIZE, 3), level, np.uint8)


def with_dots(level: int, cells: int, bright: int = 200, dots: int = 1) -> Bytes:
    """Single pixels in the first so many parts of the picture, row by row."""
    picture = flat(level)
    for cell in range(cells):
        row, column = divmod(cell, 8)
        for dot in range(dots):
            picture[16 * row + 4, 16 * column + 2 + 4 * dot] = bright
    return picture


def test_the_median_of_five_is_the_middle_one_of_each_pixel() -> None:
    stack = np.random.default_rng(0).integers(0, 256, (5, 30, 40, 3)).astype(np.uint8)
    assert np.array_equal(_median(list(stack)), np.median(stack, axis=0))


def test_shares_are_of_small_pieces_in_each_part() -> None:
    levels = np.zeros(SIZE, np.uint8)
    levels[4, 4] = 26
    levels[4, 20:22] = 26
    levels[20, 4] = 25  # not beyond the limit
    found = _shares(levels)
    assert (found.shape, found.dtype) == ((6, 8), np.float32)
    assert found[0, 0] == pytest.approx(1 / 256)
    assert found[0, 1] == pytest.approx(2 / 256)
    assert np.count_nonzero(found) == 2


@pytest.mark.parametrize(("side", "counts"), [(4, True), (5, False)])
def test_what_is_wide_is_no_impulse(side: int, counts: bool) -> None:
    """A twentieth of 96 pixels: a filter of five pixels."""
    levels = np.zeros(SIZE, np.uint8)
    levels[33 : 33 + side, 33 : 33 + side] = 100
    assert _shares(levels)[2, 2] == pytest.approx(side**2 / 256 if counts else 0)


@pytest.mark.parametrize(("cells", "falls"), [(16, True), (15, False)])
def test_it_begins_in_a_third_of_the_parts(cells: int, falls: bool) -> None:
    """0.33 of 48 parts are 15.84."""
    assert CELLS_FROM == 0.33
    watch = Precipitation()
    for picture in (flat(60), with_dots(60, cells), flat(60)):
        watch.look(picture, None, None)
    assert watch.falls == falls


@pytest.mark.parametrize(("cells", "falls"), [(32, True), (31, False)])
def test_on_the_second_frame_two_thirds_of_the_parts_may_be_rain(cells: int, falls: bool) -> None:
    watch = Precipitation()
    watch.look(flat(60), None, None)
    assert not watch.falls
    watch.look(with_dots(60, cells, bright=20), None, None)
    assert watch.falls == falls, "what is darker may have been rain on the first frame"


@pytest.mark.parametrize(("cells", "falls"), [(10, True), (9, False)])
def test_it_ends_in_a_fifth_of_the_parts(cells: int, falls: bool) -> None:
    """0.2 of 48 parts are 9.6, in which four pixels of 256 are impulses on every fourth frame."""
    assert CELLS_UNTIL == 0.2
    watch = Precipitation()
    for t in range(140):
        many = 48 if t < 20 else cells
        watch.look(flat(60) if t % 4 else with_dots(60, many, dots=4), None, None)
        assert watch.falls or t < 6 or t > 20
    assert watch.falls == falls


def test_each_dark_impulse_takes_three_bright_ones_off() -> None:
    for bright, falls in ((4, True), (3, False)):
        dark = with_dots(60, 48, bright=0, dots=1)
        picture = np.where(np.roll(with_dots(0, 48, 140, bright), 6, 0) > 0, 200, dark).astype(np.uint8)
        watch = Precipitation()
        for each in (flat(60), picture, flat(60)):
            watch.look(each, None, None)
        assert watch.falls == falls, bright


def test_counts_are_means_over_the_first_frames_and_then_of_the_last() -> None:
    watch = Precipitation()
    levels: list[float] = []
    for t in range(2 * MEMORY + 11):
        watch.look(with_dots(60, 48) if t == 1 else flat(60), None, None)
        if watch._bright is not None:
            levels.append(float(watch._bright[0, 0]) * 256)
    assert levels[:4] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4], rel=1e-4)
    assert levels[MEMORY - 1] == pytest.approx(1 / MEMORY, rel=1e-3)
    assert levels[MEMORY] == pytest.approx((1 - 1 / MEMORY) / MEMORY, rel=1e-3)
    assert levels[MEMORY + 9] == pytest.approx((1 - 1 / MEMORY) ** 10 / MEMORY, rel=1e-3)


def raining(watch: Precipitation, picture: Bytes, hidden: np.ndarray | None = None) -> Bytes:
    """A frame after four of a plain scene, while it rains."""
    for _ in range(4):
        watch.look(flat(60), None, None)
    watch._bright, watch._seen = np.ones((6, 8), np.float32), 9
    watch.falls = True
    return watch.look(picture, flat(60), hidden)


def test_a_drop_is_as_its_surroundings_were_and_so_is_its_rim() -> None:
    picture = flat(60)
    picture[20:23, 30:33] = 90
    picture[19, 30:33] = 70  # the rim, fainter than the limit
    picture[60:63, 70:73] = 72  # as faint
    picture[80:83, 70:73, 1] = 73  # one channel is enough
    picture[40:43, 70:73] = 10  # darker
    found = raining(Precipitation(), picture)
    assert (found[18:25, 28:36] == 60).all()
    assert (found[60:63, 70:73] == 72).all()
    assert (found[79:84, 69:74] == 60).all()
    assert (found[40:43, 70:73] == 10).all()


@pytest.mark.parametrize(("width", "drop"), [(7, True), (8, False)])
def test_what_is_large_is_no_drop(width: int, drop: bool) -> None:
    """0.004 of 96 by 128 pixels are 49.2."""
    picture = flat(60)
    picture[20:27, 30 : 30 + width] = 200
    found = raining(Precipitation(), picture)
    assert (found == 60).all() == drop
    if not drop:
        assert np.array_equal(found, picture)


def test_objects_that_are_known_are_no_drops() -> None:
    picture, hidden = flat(60), np.zeros(SIZE, bool)
    picture[20:24, 30:34] = picture[50:54, 60:64] = 200
    hidden[23, 33] = True
    found = raining(Precipitation(), picture, hidden)
    assert (found[20:24, 30:34] == 200).all()
    assert (found[50:54, 60:64] == 60).all()


def test_as_long_as_nothing_is_known_the_frame_stays() -> None:
    watch, picture = Precipitation(), flat(60)
    picture[20, 30] = 200
    assert raining(watch, picture) is not picture
    assert watch.look(picture, None, None) is picture
    watch.restart()
    assert watch.look(picture, flat(60), None) is picture
    assert not watch.falls


def test_few_frames_of_the_past_are_taken_again() -> None:
    """Of three frames the median of five counts the first two of them twice."""
    watch = Precipitation()
    for level in (60, 60):
        watch.look(flat(level), None, None)
    watch._bright, watch._seen, watch.falls = np.ones((6, 8), np.float32), 9, True
    picture = flat(60)
    picture[20:23, 30:33] = 120
    assert (watch.look(picture, flat(0), None) == 60).all()


def pieces(*shown: tuple[int, int, int, int], level: float = 0.8) -> Float32Array:
    """Top, left, height, width."""
    found = np.zeros(SIZE, np.float32)
    for top, left, height, width in shown:
        found[top : top + height, left : left + width] = level
    return found


def test_a_small_piece_must_have_been_there_for_three_frames() -> None:
    watch, small = Precipitation(), pieces((20, 20, 5, 5))
    watch.falls = True
    kept = [bool(watch.lasting(small, 0.5).any()) for _ in range(6)]
    assert kept == [False, False, False, True, True, True]
    assert not watch.lasting(pieces((60, 60, 5, 5)), 0.5).any()
    assert not watch.lasting(small, 0.5).any(), "it was away for a frame"


@pytest.mark.parametrize(("level", "kept"), [(0.5, True), (0.49, False)])
def test_what_lasts_is_at_the_threshold_at_least(level: float, kept: bool) -> None:
    watch, small = Precipitation(), pieces((20, 20, 5, 5), level=level)
    watch.falls = False
    for _ in range(4):
        assert watch.lasting(small, 0.5) is small
    watch.falls = True
    sure = pieces((20, 20, 5, 5))
    assert watch.lasting(sure, 0.5).any() == kept


@pytest.mark.parametrize(("side", "kept"), [(7, False), (8, True)])
def test_a_large_piece_is_there_at_once(side: int, kept: bool) -> None:
    watch = Precipitation()
    watch.falls = True
    assert watch.lasting(pieces((20, 20, side, side)), 0.5).any() == kept


@pytest.mark.parametrize(("left", "kept"), [(22, True), (23, False)])
def test_half_of_a_piece_must_be_old(left: int, kept: bool) -> None:
    """It goes to the right by two or three of its five columns."""
    watch = Precipitation()
    for _ in range(4):
        watch.lasting(pieces((20, 20, 5, 5)), 0.5)
    watch.falls = True
    wide = pieces((20, left, 5, 6 if left == 22 else 5))
    assert watch.lasting(wide, 0.5).any() == kept


def test_pieces_that_lie_close_together_are_one() -> None:
    watch = Precipitation()
    watch.falls = True
    for gap, kept in ((6, True), (7, False)):
        both = pieces((20, 20, 6, 6), (20, 26 + gap, 6, 6))
        assert watch.lasting(both, 0.5).any() == kept, gap
    far = pieces((20, 20, 9, 9), (70, 90, 3, 3))
    found = watch.lasting(far, 0.5)
    assert (found[20:29, 20:29] == np.float32(0.8)).all()
    assert not found[70:73, 90:93].any()


def test_frames_on_which_a_pixel_was_foreground_are_counted_to_255() -> None:
    watch, small = Precipitation(), pieces((20, 20, 5, 5))
    for _ in range(300):
        watch.lasting(small, 0.5)
    assert watch._streak is not None
    assert watch._streak[22, 22] == 255
    assert watch._streak[0, 0] == 0
