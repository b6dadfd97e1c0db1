"""The limits between the kinds of changes of the whole picture."""

from __future__ import annotations

import numpy as np
import pytest

from segue.arrays import Float32Array
from segue.sessions import changes
from segue.sessions.changes import (
    SHOWN,
    Change,
    SceneChangeDetector,
    difference,
    exposure,
    is_shown,
    panned,
    reduced,
    relit,
    shown_share,
    structure,
)
from tests.sessions.scenes import Bytes, wall

SIZE = (24, 32)


def flat(level: float, height: int = 24, width: int = 32) -> Float32Array:
    return np.full((height, width, 3), level, np.float32)


def board(amplitude: float, mean: float = 100.0) -> Float32Array:
    """A chessboard of single pixels: its local variance is the square of the amplitude."""
    signs = 1 - 2 * (np.indices(SIZE).sum(axis=0) % 2)
    return np.repeat((mean + amplitude * signs)[..., None], 3, 2).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((90, 160), (18, 32)),
        ((160, 90), (32, 18)),
        ((10, 20), (10, 20)),
        ((400, 4), (32, 1)),
        ((4, 400), (1, 32)),
    ],
)
def test_pictures_are_reduced_to_a_longer_side_of_32(size: tuple[int, int], small: tuple[int, int]) -> None:
    found = reduced(np.zeros((*size, 3), np.uint8))
    assert (found.shape, found.dtype) == ((*small, 3), np.float32)


def test_a_reduced_picture_has_the_means_of_its_parts() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    means = image.reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(reduced(image) - means).max() <= 0.5


@pytest.mark.parametrize(
    ("jumped", "by", "touched", "other", "found"),
    [
        # columns of 32: 55 % are 17.6, 75 % are 24
        (18, 17, 25, 9, Change.light),
        (17, 17, 25, 9, Change.none),
        (18, 17, 24, 9, Change.none),
        (18, 16, 25, 9, Change.none),
        (18, 17, 25, 8, Change.none),
        (18, -17, 25, -9, Change.light),
    ],
)
def test_half_must_have_jumped_and_three_quarters_changed(
    jumped: int, by: int, touched: int, other: int, found: Change
) -> None:
    """One channel is enough."""
    now = flat(100)
    now[:, :touched, 1] += other
    now[:, :jumped, 1] = 100 + by
    assert difference(now, flat(100)) is found


@pytest.mark.parametrize(
    ("amplitude", "kept", "altered"), [(0.5, False, True), (0.6, True, False), (-10.0, False, True)]
)
def test_structure_is_kept_where_surroundings_agree_by_half(
    amplitude: float, kept: bool, altered: bool
) -> None:
    """With a level of noise on top: 10 a / sqrt(101 (a² + 1)) is 0.445 for 0.5 and 0.512 for 0.6."""
    inside = (slice(6, -6), slice(6, -6))
    same, others = structure(board(10), board(amplitude))
    assert same[inside].all() == kept == same[inside].any()
    assert others[inside].all() == altered == others[inside].any()


@pytest.mark.parametrize(("amplitude", "textured"), [(1.9, False), (2.1, True)])
def test_what_is_plain_in_both_has_no_structure(amplitude: float, textured: bool) -> None:
    inside = (slice(6, -6), slice(6, -6))
    for one, other in ((board(amplitude), flat(100)), (flat(100), board(amplitude))):
        same, others = structure(one, other)
        assert not same[inside].any()
        assert others[inside].all() == textured == others[inside].any()


def test_another_structure_on_half_of_a_picture_that_jumped_is_another_scene() -> None:
    before, after = board(10, 60), board(10, 100)
    assert difference(after, before) is Change.light
    for columns, found in ((14, Change.light), (19, Change.scene)):
        now = after.copy()
        now[:, :columns] = board(-10, 100)[:, :columns]
        assert difference(now, before) is found, columns


def test_more_than_half_lit_with_its_structure_is_another_light() -> None:
    for columns, found in ((17, Change.light), (15, Change.none)):
        now = board(10, 60)
        now[:, :columns] += 40
        assert difference(now, board(10, 60)) is found, columns


@pytest.mark.parametrize(
    ("times", "pauses"),
    [
        ([0, 0.125, 0.25, 2.25, 2.375], []),  # a gap of two seconds
        ([0, 0.125, 0.25, 2.375, 2.5], [3]),
        ([0, 0.5, 1.0, 6.0], []),  # ten times the usual distance
        ([0, 0.5, 1.0, 6.25], [3]),
        ([0, 1, 3, 13.5], []),  # usually 0.9 + 0.2 seconds now
        ([0, 1, 3, 14.5], [3]),
        ([1, 2, 2], []),
        ([1, 2, 1.75], [2]),
        ([0, 0.125, 3, 6, 9, 12], [2, 3, 4]),  # after three in a row it is the usual distance
        ([0, 0.125, 3, 6, 6.125, 9, 12, 12.125, 16], [2, 3, 5, 6, 8]),
        ([0, 0.125, 3, 6, 9, 12, 50, 90, 130, 170], [2, 3, 4, 6, 7, 8]),
    ],
)
def test_a_pause_is_longer_than_two_seconds_and_ten_usual_distances(
    times: list[float], pauses: list[int]
) -> None:
    watch = SceneChangeDetector()
    found = [watch.look(np.zeros((8, 8, 3), np.uint8), time) for time in times]
    assert [t for t, change in enumerate(found) if change is Change.pause] == pauses
    assert set(found) <= {Change.none, Change.pause}


def test_what_moves_is_the_share_that_is_not_as_it_was() -> None:
    watch, before = SceneChangeDetector(), np.full((24, 32, 3), 100, np.uint8)
    now = before.copy()
    now[:, :8, 2] = 109
    now[:, 8:, 0] = 108
    watch.look(before, 0)
    assert watch.moving == 0
    watch.look(now, 0.04)
    assert watch.moving == 0.25
    watch.look(now[:12], 0.08)
    assert watch.moving == 0, "another size is not compared"
    watch.look(now, 0.12)
    watch.restart()
    watch.look(before, 0.16)
    assert watch.moving == 0


def lit(level: int, height: int = 10, width: int = 10) -> Bytes:
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize(
    ("image", "background", "gain"),
    [
        (lit(130), lit(100), 1.3),
        (lit(108), lit(100), None),  # log 1.08 is 0.077
        (lit(109), lit(100), 1.09),
        (lit(92), lit(100), 0.92),
        (lit(93), lit(100), None),
        (lit(34), lit(17), 2.0),
        (lit(34), lit(16), None),  # too dark to measure by
        (lit(249), lit(100), 2.49),
        (lit(250), lit(100), None),  # too bright
        (lit(200), lit(20), 4.0),
        (lit(20), lit(200), 0.25),
        (lit(130, 4, 4), lit(100, 4, 4), None),  # too few pixels
        (lit(130, 1, 17), lit(100, 1, 17), 1.3),
    ],
)
def test_exposure_is_a_gain_of_what_is_neither_black_nor_white(
    image: Bytes, background: Bytes, gain: float | None
) -> None:
    found = exposure(image, background)
    assert found == (None if gain is None else pytest.approx((gain,) * 3))


def test_the_exposure_of_each_channel_is_a_median_and_one_that_differs_is_enough() -> None:
    image = lit(100)
    image[..., 2] = 150
    image[0] = 180  # a tenth of the picture
    assert exposure(image, lit(100)) == pytest.approx((1.0, 1.0, 1.5))


def test_the_share_of_a_scene_that_is_shown_is_of_what_has_a_structure() -> None:
    scene = board(10)
    assert shown_share(scene, scene) == 1
    assert shown_share(scene + np.float32(8), scene) == 1
    assert shown_share(scene + np.float32(9), scene) == 0
    assert shown_share(flat(100), flat(100)) == 0, "nothing has a structure"
    assert shown_share(scene[:12], scene) == 0, "another size"
    part = scene.copy()
    part[:, 16:] = board(-10)[:, 16:]
    assert shown_share(part, scene) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(("beyond", "seen"), [(0.0, False), (1e-6, True)])
def test_a_scene_is_seen_from_a_share_on(beyond: float, seen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "shown_share", lambda *_: SHOWN + beyond)
    assert is_shown(wall(0), wall(1)) == seen
    assert not is_shown(None, wall(1))


@pytest.mark.parametrize(("left", "pans"), [(0, False), (20, True), (48, True), (80, False)])
def test_a_camera_has_panned_where_pictures_fit_when_one_is_moved(left: int, pans: bool) -> None:
    """Of pictures of 128 columns; a picture of which no half is seen tells nothing."""
    wide = wall(3, 96, 300)
    one, other = (reduced(np.ascontiguousarray(wide[:, x : x + 128])) for x in (left, 0))
    assert panned(one, other) == pans
    assert panned(other, one) == pans


def test_pictures_of_few_rows_tell_no_pan() -> None:
    wide = reduced(wall(3, 30, 128))
    assert wide.shape[0] == 8
    one, other = wide[:, :-6], wide[:, 6:]
    assert panned(one, other)
    assert not panned(one[:7], other[:7])


def test_what_is_hidden_is_relit_as_its_surroundings_are() -> None:
    hidden = np.zeros((64, 96), bool)
    hidden[20:40, 30:50] = True
    background = np.full((64, 96, 3), 80, np.uint8)
    image = np.full((64, 96, 3), 120, np.uint8)
    image[hidden] = 250
    found = relit(background, image, hidden)
    assert (found == 120).all()
    assert (image[hidden] == 250).all()
    bright = relit(background * np.uint8(3), image, hidden)
    assert (bright == 120).all()
    assert (relit(np.zeros_like(background), image, hidden)[hidden] == 0).all()
    for none in (hidden & False, hidden | True):
        same = relit(background, image, none)
        assert np.array_equal(same, image)
        assert same is not image


def test_light_that_falls_from_one_side_is_taken_from_that_side() -> None:
    """The gain is a mean of what is seen within a sixteenth of the longer side."""
    hidden = np.zeros((64, 160), bool)
    hidden[10:54, 60:100] = True
    background = np.full((64, 160, 3), 100, np.uint8)
    image = background.copy()
    image[:, 80:] = 150
    found = relit(background, image, hidden)
    assert abs(int(found[32, 62, 0]) - 100) <= 4
    assert abs(int(found[32, 97, 0]) - 150) <= 4
    assert 118 < found[32, 80, 0] < 132
