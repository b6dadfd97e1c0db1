"""Geometry and colour of augmented clips."""

from __future__ import annotations

import numpy as np
import pytest

from segue_train import photo, warp
from segue_train.photo import FILL, Jitter, Labelled
from segue_train.warp import Motion
from tests.clips import clip

STILL = Motion(0, 0, 0, 0)


@pytest.fixture
def item() -> Labelled:
    frames, masks = clip(5, 1, 48, 64, 2)
    return Labelled(frames[0], masks[0])


def test_a_walk_begins_at_rest_and_stays_there_without_motion() -> None:
    path = warp.walk(np.random.default_rng(0), STILL, 4, (16, 16), 32)
    assert len(path) == 4
    for matrix in path:
        np.testing.assert_allclose(matrix, np.eye(3), atol=1e-12)


def test_a_motion_turns_around_its_centre() -> None:
    matrix = Motion(20, 0.2, 5, 0).draw(np.random.default_rng(1), (10, 30), 64)
    np.testing.assert_allclose(matrix @ [10, 30, 1], [10, 30, 1], atol=1e-9)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_crop_brings_its_centre_to_the_middle_at_its_scale(mirrored: bool) -> None:
    matrix = warp.crop_matrix((20, 12), 2, 32, mirrored)
    np.testing.assert_allclose(matrix @ [20, 12, 1], [16, 16, 1])
    sign = -1 if mirrored else 1
    np.testing.assert_allclose(matrix @ [21, 13, 1], [16 + 2 * sign, 18, 1])


def test_a_mask_keeps_its_values_and_is_empty_outside(item: Labelled) -> None:
    matrix = Motion(25, 0.2, 5, 0.3).draw(np.random.default_rng(2), (32, 24), 64)
    field = warp.displacement(np.random.default_rng(0), 64, 2.0)
    for warped in (
        warp.apply(item.mask, matrix, 64, mask=True),
        warp.apply(item.mask, matrix, 64, field, mask=True),
    ):
        assert set(np.unique(warped)) <= {0, 1, 2}
    assert not warp.apply(item.mask, warp.crop_matrix((500, 500), 1, 64, False), 64, mask=True).any()


def test_a_displacement_of_nothing_changes_nothing(item: Labelled) -> None:
    matrix = warp.crop_matrix((32, 24), 1, 48, False)
    field = np.zeros((48, 48, 2), np.float32)
    np.testing.assert_array_equal(
        warp.apply(item.mask, matrix, 48, field, mask=True), warp.apply(item.mask, matrix, 48, mask=True)
    )


def test_no_jitter_is_no_change(item: Labelled) -> None:
    np.testing.assert_array_equal(
        warp.apply_colour(item.picture, warp.colour_jitter(np.random.default_rng(0), 0)), item.picture
    )
    np.testing.assert_array_equal(Jitter(0, 0, 0).draw(np.random.default_rng(0))(item.picture), item.picture)


def test_an_affine_warp_turns_picture_and_mask_alike_and_fills_with_grey(item: Labelled) -> None:
    rotation = photo.affine(180, 1, 0, (48, 64))
    turned = photo.warp_affine(item, rotation, picture=0, mask=0)
    np.testing.assert_array_equal(turned.picture, item.picture[::-1, ::-1])
    np.testing.assert_array_equal(turned.mask, item.mask[::-1, ::-1])
    shrunk = photo.warp_affine(item, photo.affine(0, 0.5, 0, (48, 64)), picture=0, mask=0)
    assert tuple(shrunk.picture[0, 0]) == FILL
    assert shrunk.mask[0, 0] == 0


def test_a_spline_warp_moves_pixels_a_little_and_invents_no_label(item: Labelled) -> None:
    warped = photo.warp_spline(np.random.default_rng(0), item)
    assert set(np.unique(warped.mask)) <= {0, 1, 2}
    assert 0 < (warped.mask != item.mask).mean() < 0.2


def test_a_spline_through_points_that_stay_changes_nothing(
    item: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo, "SPLINE_SPREAD", 0)
    warped = photo.warp_spline(np.random.default_rng(0), item)
    np.testing.assert_array_equal(warped.picture, item.picture)
    np.testing.assert_array_equal(warped.mask, item.mask)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (64, 48), (50, 50)])
def test_the_short_side_gets_its_length(height: int, width: int) -> None:
    blank = Labelled(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8))
    resized = photo.resize_short_side(blank, 32)
    assert (
        resized.picture.shape[:2]
        == resized.mask.shape
        == (height * 32 // min(height, width), width * 32 // min(height, width))
    )


def test_a_crop_larger_than_the_picture_shows_all_of_it_on_grey(item: Labelled) -> None:
    cropped = photo.random_crop(
        np.random.default_rng(0), Labelled(item.picture[:, :48], item.mask[:, :48]), 48
    )
    np.testing.assert_array_equal(cropped.mask, item.mask[:, :48])
    padded = photo.random_crop(np.random.default_rng(0), item, 144)
    assert (padded.mask > 0).sum() == (item.mask > 0).sum()
    assert (padded.picture == FILL).all(-1).sum() >= 144 * 144 - 48 * 64


@pytest.mark.parametrize("size", [(48, 64), (10, 400)])
def test_a_window_lies_inside_and_shows_enough(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows, columns = photo.draw_window(rng, size, 0.36)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        assert 0 <= rows.start <= rows.stop <= size[0]
        assert 0 <= columns.start <= columns.stop <= size[1]
        assert 0.7 < width / height < 1.4
        if size == (48, 64):
            assert height * width >= 0.34 * 48 * 64
