"""What the alignment is made of: each part beside the number that its definition gives."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from segue.arrays import Float32Array
from segue.sessions.align import (
    STICKY,
    Aligner,
    Matrix,
    _doubled,
    _halved,
    _View,
    _well_matched,
    difference,
    half_grey,
    normalised,
    shift,
    support,
    warped,
)
from tests.sessions.scenes import wall

IDENTITY = np.eye(2, 3, dtype=np.float32)


def moved(right: float, down: float = 0.0) -> Matrix:
    return np.array([[1, 0, right], [0, 1, down]], np.float32)


def noise(height: int, width: int, seed: int = 0) -> Float32Array:
    return np.random.default_rng(seed).normal(0, 1, (height, width)).astype(np.float32)


def test_a_half_picture_has_means_of_two_by_two_pixels_without_an_odd_row_or_column() -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 11, 3)).astype(np.uint8)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:6, :10]
    means = grey.reshape(3, 2, 5, 2).mean(axis=(1, 3))
    found = half_grey(image)
    assert (found.shape, found.dtype) == ((3, 5), np.uint8)
    assert np.abs(found - means).max() <= 0.5
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    assert half_grey(red)[0, 0] == round(0.299 * 200), "the picture is RGB"


@pytest.mark.parametrize(("sigma", "wave"), [(8.0, 32), (2.0, 8), (None, 32)])
def test_a_wave_keeps_the_part_that_its_surroundings_do_not_have(sigma: float | None, wave: int) -> None:
    """A Gaussian leaves exp(-2 (pi sigma / wave)²) of a wave, and the mean of its square is half of 1."""
    given = {} if sigma is None else {"sigma": sigma}
    x = np.arange(12 * wave, dtype=np.float32)
    grey = np.tile(100 + 50 * np.sin(2 * np.pi * x / wave), (12 * wave, 1)).astype(np.float32)
    left = 50 * (1 - np.exp(-2 * (np.pi * (sigma or 8.0) / wave) ** 2))
    found = normalised(grey, **given)
    middle = found[6 * wave, 4 * wave : 8 * wave]
    assert found.dtype == np.float32
    assert middle.max() == pytest.approx(left / (left / np.sqrt(2) + 8), rel=0.01)
    assert abs(middle.mean()) < 0.01


def test_the_same_movement_at_twice_the_size_moves_the_centres_of_pixels_alike() -> None:
    turned = cv2.getRotationMatrix2D((3, 7), 5, 1.02).astype(np.float32)
    place = np.array([11.0, 4.0, 1.0])
    there = turned @ place
    whole = np.array([2 * 11 + 0.5, 2 * 4 + 0.5, 1])  # its centre, where pixels are half as large
    np.testing.assert_allclose(_doubled(turned) @ whole, 2 * there + 0.5, atol=1e-4)
    np.testing.assert_allclose(_halved(_doubled(turned)), turned, atol=1e-5)


@pytest.mark.parametrize(("right", "down"), [(5, 0), (0, -4), (-3, 6)])
def test_a_shift_is_found_and_the_pictures_stay(right: int, down: int) -> None:
    large = cv2.GaussianBlur(noise(120, 140), (0, 0), 2.0)
    one, other = large[20:100, 20:120].copy(), large[20 - down : 100 - down, 20 - right : 120 - right].copy()
    before = one.copy(), other.copy()
    matrix = shift(one, other)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, moved(right, down), atol=0.2)
    assert np.array_equal(one, before[0])
    assert np.array_equal(other, before[1])


def test_a_difference_is_a_mean_of_what_both_show_and_one_pixel_counts_no_more_than_one() -> None:
    zero = np.zeros((20, 30), np.float32)
    assert difference(zero, zero + np.float32(0.25), IDENTITY) == pytest.approx(0.25)
    half = zero.copy()
    half[:, 15:] = 7
    assert difference(zero, half, IDENTITY) == pytest.approx(0.5)
    ramp = np.tile(np.arange(30, dtype=np.float32) / 20, (20, 1))
    assert difference(ramp, ramp - np.float32(0.1), moved(2)) == pytest.approx(0, abs=1e-6)
    assert difference(zero, zero, moved(99)) == 1.0, "they show nothing in common"


def cells(values: Any) -> Float32Array:
    """Six by eight parts of ten by ten pixels."""
    return np.kron(np.asarray(values, np.float32), np.ones((10, 10), np.float32))


@pytest.mark.parametrize(
    ("still", "led", "share"),
    [
        # of 48 parts; fewer than half that differ count as half of them
        ({(0, 0): 0.5}, {}, 1 / 24),
        ({(0, 0): 0.21}, {}, 1 / 24),
        ({(0, 0): 0.19}, {}, 0),
        ({(0, 0): 0.5}, {(0, 0): 0.44}, 1 / 24),
        ({(0, 0): 0.5}, {(0, 0): 0.46}, 0),
        ({}, {(0, 0): 0.5}, 0),
        ({(r, c): 0.5 for r in range(5) for c in range(6)}, {}, 1),
        ({(r, c): 0.5 for r in range(5) for c in range(6)}, {(0, c): 0.5 for c in range(6)}, 24 / 30),
        ({(r, 7): 0.5 for r in range(6)}, {}, 0),  # the last column is not seen any more
        ({(r, 6): 0.5 for r in range(6)}, {}, 6 / 24),
    ],
)
def test_support_counts_the_parts_that_a_movement_explains(
    still: dict[tuple[int, int], float], led: dict[tuple[int, int], float], share: float
) -> None:
    """What is led is not seen in the last column, as after a way of a whole part to the right."""
    one, other = np.zeros((60, 80), np.float32), np.zeros((60, 80), np.float32)
    residuals = {"still": still, "led": led}

    def residual(
        first: Float32Array, second: Float32Array, matrix: Any
    ) -> tuple[Float32Array, np.ndarray[Any, np.dtype[np.bool_]]]:
        assert first is one
        assert second is other
        name = "still" if np.array_equal(matrix, IDENTITY) else "led"
        values, shown = np.zeros((6, 8)), np.ones((60, 80), bool)
        for place, value in residuals[name].items():
            values[place] = value
        if name == "led":
            shown[:, 70:] = False
        return cells(values), shown

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segue.sessions.align._residual", residual)
        assert support(one, other, moved(10)) == pytest.approx(share)


def test_the_fifth_that_fits_worst_and_its_surroundings_are_left_out() -> None:
    reference, view = np.zeros((30, 40), np.float32), np.random.default_rng(2).random((30, 40))
    values = view.astype(np.float32)
    limit = np.sort(values, axis=None)[round(0.8 * values.size)]
    bad = np.pad(values > limit, 1)
    near = np.zeros((30, 40), bool)
    for down in range(3):
        for right in range(3):
            near |= bad[down : down + 30, right : right + 40]
    assert np.array_equal(_well_matched(reference, values, IDENTITY), np.where(near, 0, 255))
    shown = _well_matched(reference, np.zeros_like(reference), moved(5))
    assert (shown[:, 6:34] == 255).all(), "where pictures fit, and what lies beside what is not seen"
    assert not shown[:, :5].any()


def test_what_a_picture_does_not_show_is_the_value_for_outside() -> None:
    grey = np.full((20, 30), 5.0, np.float32)
    found = warped(grey, moved(4), cv2.BORDER_CONSTANT, -7.0)
    assert (found[:, :26] == 5).all()
    assert (found[:, 26:] == -7).all()
    assert (warped(grey, moved(4), cv2.BORDER_CONSTANT)[:, 26:] == 0).all()
    there = warped(grey, moved(4), cv2.BORDER_CONSTANT, -7.0, flags=cv2.INTER_LINEAR)
    assert (there[:, :4] == -7).all()
    assert (there[:, 4:] == 5).all()


def test_a_view_is_begun_with_at_half_of_its_size_unless_that_is_too_small() -> None:
    view = _View.of(noise(64, 71))
    assert view.small.shape == (32, 35)
    means = view.local[:, :70].reshape(32, 2, 35, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(view.small, means, atol=1e-5)
    small = _View.of(noise(63, 90))
    assert small.small is small.local


class Watched(Aligner):
    """Notes the frames that are compared, and finds what it is given."""

    def __init__(self, moves: frozenset[int] = frozenset()) -> None:
        self.looked: list[int] = []
        self.moves = moves
        super().__init__()

    def _movement(self, reference: _View, view: _View) -> Matrix | None:
        frame = self._seen - 1
        self.looked.append(frame)
        if frame in self.moves:
            self._since = 0
        return None


def test_a_still_camera_is_looked_at_on_every_fourth_frame_and_while_the_reference_is_made() -> None:
    watched, image = Watched(), wall(1, 64, 80)
    for _ in range(90):
        assert watched.find(image) is None
    kept = range(0, 60, 5)
    assert watched.looked == [t for t in range(1, 90) if t < 12 or t % 4 == 0 or t in kept]
    assert len(watched._kept) == 12


def test_after_a_clear_movement_every_frame_is_looked_at_for_a_while() -> None:
    watched, image = Watched(frozenset({64})), wall(1, 64, 80)
    for _ in range(140):
        watched.find(image)
    last = [t for t in watched.looked if t >= 60]
    assert last == [60, *range(64, 64 + STICKY), *range(116, 140, 4)]


def test_the_reference_is_the_median_of_the_frames_that_are_kept() -> None:
    watched, levels = Watched(), [10, 200, 70, 90, 30]
    for t in range(21):
        watched.find(np.full((64, 80, 3), levels[t // 5], np.uint8))
        assert watched._reference is not None
        shown = {0: 10, 1: 10, 2: 70, 3: 80, 4: 70}[t // 5]
        assert watched._reference.grey.mean() == pytest.approx(shown), t


@pytest.mark.parametrize(
    ("right", "since", "is_found", "left"),
    [
        (0.7, STICKY, False, STICKY),  # 1.4 pixels of the frame
        (0.7, STICKY - 1, True, STICKY - 1),
        (1.0, STICKY, True, 0),
        (3.0, 7, True, 0),
        (7.9, STICKY, True, 0),  # a fifth of the width of 40
        (8.1, STICKY, False, STICKY),
        (8.1, 3, False, 3),
    ],
)
def test_a_movement_counts_from_a_pixel_and_a_half_to_a_fifth_of_the_width(
    right: float, since: int, is_found: bool, left: int
) -> None:
    large = cv2.GaussianBlur(noise(60, 100, 4), (0, 0), 2.5) * 400
    reference = _View.of(np.ascontiguousarray(large[10:50, 20:60]))
    seen = warped(large, moved(right), cv2.BORDER_REPLICATE, flags=cv2.INTER_LINEAR)[10:50, 20:60]
    view = _View.of(np.ascontiguousarray(seen))
    aligner = Aligner()
    aligner._since = since
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aligner, "_search", lambda *_: moved(right))
        found = aligner._movement(reference, view)
    assert (found is not None) == is_found
    assert aligner._since == left
    if found is not None:
        assert np.array_equal(found, moved(right))


def test_a_movement_that_makes_the_difference_no_smaller_is_none() -> None:
    view = _View.of(noise(40, 40))
    aligner = Aligner()
    aligner._since = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aligner, "_search", lambda *_: moved(3))
        assert aligner._movement(view, view) is None
