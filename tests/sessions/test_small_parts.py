"""Small parts of foreground sessions that treat all directions, borders and levels alike."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from segue.sessions.align import (
    _View,
    difference,
    half_grey,
    normalised,
    shift,
    support,
    to_frame,
    to_reference,
    warped,
)
from segue.sessions.background import MaskedMedian, _pieces, outline_contrasts
from segue.sessions.scene_estimation import _better

RNG = np.random.default_rng(5)
GREY = cv2.GaussianBlur(RNG.uniform(0, 255, (64, 96)).astype(np.float32), (0, 0), 2.0)


def test_contrast_is_that_of_the_surroundings_in_every_direction() -> None:
    assert np.allclose(normalised(GREY.T.copy()), normalised(GREY).T, atol=1e-4)
    assert np.allclose(normalised(GREY[::-1, ::-1].copy()), normalised(GREY)[::-1, ::-1], atol=1e-4)
    assert np.allclose(normalised(GREY + 40), normalised(GREY), atol=1e-3), "a lamp changes nothing"
    assert np.abs(normalised(np.full((64, 96), 7, np.float32))).max() < 1e-4
    detail = GREY - cv2.GaussianBlur(GREY, (0, 0), 4.0)
    expected = detail / (np.sqrt(cv2.GaussianBlur(detail**2, (0, 0), 4.0)) + 8)
    assert np.allclose(normalised(GREY, 4.0), expected, atol=1e-5)


def moved(right: int, down: int) -> Any:
    large = cv2.GaussianBlur(
        np.random.default_rng(6).uniform(0, 255, (128, 160)).astype(np.float32), (0, 0), 2.0
    )
    return np.ascontiguousarray(large[32 - down : 96 - down, 32 - right : 128 - right])


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -4), (-5, 2)])
def test_a_picture_that_was_shifted_is_found_and_brought_back(right: int, down: int) -> None:
    one, other = normalised(moved(0, 0)), normalised(moved(right, down))
    matrix = shift(one, other)
    assert np.allclose(matrix, [[1, 0, right], [0, 1, down]], atol=0.4)
    exact = np.array([[1, 0, right], [0, 1, down]], np.float32)
    still = np.eye(2, 3, dtype=np.float32)
    assert difference(one, other, exact) < 0.05 < 0.3 < difference(one, other, still)
    assert support(one, other, exact) > 0.9
    assert support(one, other, still) == 0
    assert difference(one, one, still) == 0
    back = to_frame(one, exact)
    inside = np.s_[8:-8, 8:-8]
    assert np.abs(back[inside] - other[inside]).mean() < 0.05


def test_only_parts_in_which_something_differs_speak_for_a_movement() -> None:
    one, other = normalised(moved(0, 0)), normalised(moved(3, 0))
    one[:, 60:], other[:, 60:] = 0, 0  # three of eight columns of parts show nothing
    exact = np.array([[1, 0, 3], [0, 1, 0]], np.float32)
    assert support(one, other, exact) > 0.9
    assert support(one, other, np.array([[1, 0, -3], [0, 1, 0]], np.float32)) < 0.1


def test_a_movement_that_leads_nowhere_explains_nothing() -> None:
    away = np.array([[1, 0, 500], [0, 1, 0]], np.float32)
    one = normalised(GREY)
    assert difference(one, one, away) == 1.0
    assert support(one, one, away) == 0


def test_what_a_frame_does_not_show_comes_from_the_filling() -> None:
    image = np.full((20, 30, 3), 50, np.uint8)
    fill = np.full((20, 30, 3), 200, np.uint8)
    matrix = np.array([[1, 0, 5], [0, 1, 0]], np.float32)  # a place of the reference lies 5 to the right
    found = to_reference(image, matrix, fill)
    assert (found[:, :24] == 50).all()
    assert (found[:, 26:] == 200).all()
    assert (fill == 200).all()
    constant = warped(GREY, matrix, cv2.BORDER_CONSTANT, -7.0)
    assert (constant[:, -4:] == -7).all()
    homography = np.vstack([matrix, [0, 0, 1]])
    assert np.allclose(
        warped(GREY, homography, cv2.BORDER_CONSTANT, -7.0)[:, :-6], constant[:, :-6], atol=1e-2
    )


@pytest.mark.parametrize(("size", "halves"), [((64, 64), True), ((63, 90), False), ((90, 63), False)])
def test_small_pictures_are_not_halved_once_more(size: tuple[int, int], halves: bool) -> None:
    view = _View.of(np.ascontiguousarray(np.resize(GREY, size)))
    assert view.local.shape == size
    assert (view.small is not view.local) == halves
    if halves:
        assert view.small.shape == (32, 32)
        assert view.small[0, 0] == pytest.approx(view.local[:2, :2].mean(), abs=1e-5)


@pytest.mark.parametrize("turn", range(4))
def test_pieces_are_whole_also_at_the_borders(turn: int) -> None:
    mask = np.zeros((40, 40), bool)
    mask[0:8, 10:18] = True
    mask[20:28, 5:13] = True
    mask[35, 35] = True  # too small
    mask = np.ascontiguousarray(np.rot90(mask, turn))
    found = np.zeros((40, 40), int)
    for where, piece in _pieces(mask):
        found[where] += piece
        rows, columns = where
        assert rows.start >= 0
        assert columns.start >= 0
        inside = np.argwhere(piece)
        edge = np.argwhere(mask[where] & piece)
        assert len(inside) == len(edge) == 64
        assert piece.shape[0] <= 8 + 2 * 4
    assert found.sum() == 128
    assert not (found[~mask]).any()


def test_the_outline_of_a_piece_is_as_clear_as_the_step_across_it() -> None:
    piece = np.zeros((30, 30), bool)
    piece[8:22, 8:22] = True
    pictures = [
        np.where(piece[..., None], 100 + step, 100).astype(np.uint8).repeat(3, 2) for step in (0, 40, 80)
    ]
    plain, some, more = outline_contrasts(piece, pictures) or []
    assert plain == 0
    assert more == pytest.approx(2 * some, rel=0.05)
    (turned,) = outline_contrasts(piece.T.copy(), [pictures[1].transpose(1, 0, 2).copy()]) or [0.0]
    assert turned == pytest.approx(some, rel=0.01)
    one = pictures[1].copy()
    one[..., :2] = 100  # of one colour alone
    assert (outline_contrasts(piece, [one]) or [0])[0] == pytest.approx(some, rel=0.01)
    assert outline_contrasts(np.ones((30, 30), bool), pictures) is None


def test_a_brighter_light_leaves_levels_in_their_range() -> None:
    background = MaskedMedian()
    for level in (100, 120, 240):
        background.replace(np.full((6, 8, 3), 100, np.uint8), trusted=False)
        background._frames[0][:] = level
        background.follow_light(np.full((6, 8, 3), 200, np.uint8))
        gain = (200 + 8) / (100 + 8)
        expected = min(255, round(level * gain + 200 - gain * 100))
        assert np.unique(background._frames[0]).tolist() == [expected]
        assert background.scene is not None
        assert (background.scene.picture == 200).all()
    background.follow_light(np.full((6, 8, 3), 3, np.uint8))
    assert background._frames[0].min() >= 0
    assert background.scene is not None
    assert (background.scene.picture == 3).all()


def test_an_odd_row_or_column_does_not_count() -> None:
    image = RNG.integers(0, 256, (41, 61, 3)).astype(np.uint8)
    other = image.copy()
    other[-1], other[:, -1] = 255 - other[-1], 255 - other[:, -1]
    assert half_grey(image).shape == (20, 30)
    assert np.array_equal(half_grey(image), half_grey(other))
    turned = half_grey(image.transpose(1, 0, 2).copy())
    assert np.allclose(turned.astype(int), half_grey(image).T.astype(int), atol=1)


def test_a_scene_is_taken_of_the_frame_in_which_a_region_fits_clearly_better() -> None:
    around = np.full((40, 40, 3), 100, np.uint8)
    region = np.zeros((40, 40), bool)
    region[10:26, 12:28] = True
    thing = np.where(region[..., None], np.uint8(160), around)
    support_ = np.ones((2, 40, 40), np.float32)
    assert _better(region, thing, [thing, around], support_) is around
    assert _better(region, around, [thing, around], support_) is None, "nothing is better than what is there"
    assert _better(region, around, [around, around], support_) is None
    faint = np.where(region[..., None], np.uint8(101), around)
    assert _better(region, faint, [faint, around], support_) is None, "not clearly better"
    support_[1] = 0.1
    assert _better(region, thing, [thing, around], support_) is None, "it was never there for long"
    assert _better(region, thing, [thing, around], np.zeros((2, 40, 40), np.float32)) is None
