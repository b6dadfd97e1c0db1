"""Objects drawn over pictures."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from scipy import ndimage

from segue.masks import DAVIS_PALETTE, overlay
from segue.masks.drawing import _widest_point, attention_strip


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((120, 160), np.uint8)
    mask[20:90, 20:90] = 1
    mask[30:100, 90:150] = 2
    return mask


def test_the_background_and_the_given_picture_stay_as_they_are(image: np.ndarray, mask: np.ndarray) -> None:
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


def test_outlines_run_along_the_inner_rim_in_the_bright_colour(image: np.ndarray, mask: np.ndarray) -> None:
    drawn = overlay(image, mask, alpha=0.0, ids=False)
    red, green = (drawn == (255, 0, 0)).all(axis=2), (drawn == (0, 255, 0)).all(axis=2)
    rim = np.zeros(mask.shape, bool)
    rim[20:90, 20:90] = True
    rim[21:89, 21:89] = False
    assert np.array_equal(red & (mask == 1), rim)
    assert green[30:100, 90].all()  # the rim between two objects belongs to both
    assert not green[:, :90].any()


@pytest.mark.parametrize(("height", "width"), [(120, 1), (360, 2), (720, 3)])
def test_outlines_are_wider_in_larger_pictures(height: int, width: int) -> None:
    mask = np.zeros((height, height + 40), np.uint8)
    mask[20:100, 20:100] = 1
    drawn = overlay(np.zeros((*mask.shape, 3), np.uint8), mask, alpha=0.0, ids=False)
    assert np.flatnonzero(drawn[60].any(axis=1)).tolist() == [
        *range(20, 20 + width),
        *range(100 - width, 100),
    ]


def test_letters_grow_with_the_picture_and_stand_in_the_middle_of_the_object() -> None:
    heights = []
    for side in (100, 240, 960):
        mask = np.ones((side, side), np.uint8)
        drawn = overlay(np.full((side, side, 3), 100, np.uint8), mask, alpha=0.0, outlines=False)[..., 0]
        rows, columns = np.nonzero(drawn > 150)
        heights.append(int(np.ptp(rows)) + 1)
        middle = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
        assert np.abs(np.subtract(middle, side / 2)).max() <= 2 + side / 100
        dark = np.argwhere(drawn < 50)
        assert (dark.min(0) < (rows.min(), columns.min())).all(), "a halo goes around them"
        assert (dark.max(0) > (rows.max(), columns.max())).all()
        assert (drawn != 100).mean() < 0.1
    small, middling, large = heights
    assert 7 <= small <= 12, "letters smaller than this cannot be read"
    assert small < middling < large
    assert large == pytest.approx(960 / 480 * 22, abs=5), "22 pixels at scale 1 of the font"


def test_ids_are_written_inside_their_objects(image: np.ndarray, mask: np.ndarray) -> None:
    plain = overlay(image, mask, ids=False)
    changed = (overlay(image, mask) != plain).any(axis=2)
    for number in (1, 2):
        assert changed[mask == number].sum() > 20
    assert not changed[mask == 0].any()


def test_the_id_of_a_ring_is_on_the_ring_and_not_in_its_hole() -> None:
    mask = np.zeros((200, 200), np.uint8)
    mask[20:180, 20:180] = 1
    mask[30:170, 30:140] = 0  # thin on three sides, thick at the right
    black = np.zeros((200, 200, 3), np.uint8)
    rows, columns = np.nonzero(overlay(black, mask, alpha=0.0, outlines=False).any(axis=2))
    assert 140 <= columns.mean() < 180
    assert 20 <= rows.mean() < 180


def test_the_widest_point_does_not_depend_on_the_last_digit_of_a_root(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenCV gives equal distances another last digit with the place in memory, and films differed by it."""
    mask = np.zeros((40, 90), np.uint8)
    mask[5:30, 5:30] = mask[5:30, 50:75] = 1  # two pieces of one width
    exact = cv2.distanceTransform

    def rounded(*arguments: Any) -> Any:
        distance = np.array(exact(*arguments))
        later = distance[:, 45:]
        later[later == later.max()] = np.nextafter(later.max(), np.float32(99))
        return distance

    first = _widest_point(mask, 1, (0, 0, 90, 40))
    monkeypatch.setattr(cv2, "distanceTransform", rounded)
    assert _widest_point(mask, 1, (0, 0, 90, 40)) == first == (17, 17)


def test_the_widest_point_is_the_farthest_from_the_rim() -> None:
    """A strip that is steeper than a diagonal, where distances in steps of pixels come out too long."""
    rows, columns = np.mgrid[:120, :200]
    disc = np.hypot(rows - 60, columns - 165) < 20
    strip = np.abs(2 * (columns - 60) - (rows - 60)) < np.sqrt(5) * 19.4
    mask = np.where(disc | strip, 4, 0).astype(np.uint8)
    column, row = _widest_point(mask, 4, (0, 0, 200, 120))
    apart = ndimage.distance_transform_edt(np.pad(mask == 4, 1))[1:-1, 1:-1]
    assert apart[row, column] == pytest.approx(apart.max(), abs=1e-3)


def test_captions_make_the_text_longer(image: np.ndarray, mask: np.ndarray) -> None:
    short, long = overlay(image, mask), overlay(image, mask, captions={1: "giraffe"})
    plain = overlay(image, mask, ids=False)
    assert (long != plain).sum() > 2 * (short != plain).sum()


def test_many_ids_and_wide_types_are_drawn(image: np.ndarray) -> None:
    mask = (np.arange(120 * 160).reshape(120, 160) % 300).astype(np.uint16)
    drawn = overlay(image, mask, alpha=1.0, outlines=False, ids=False)
    assert drawn[1, 96].tolist() == DAVIS_PALETTE[1].tolist()  # pixel 256 has id 256, which folds to 1


def test_text_at_the_border_stays_inside_a_tiny_picture() -> None:
    mask = np.zeros((5, 7), np.uint8)
    mask[4, 6] = 1
    assert overlay(np.zeros((5, 7, 3), np.uint8), mask).shape == (5, 7, 3)


def test_sizes_that_differ_are_reported(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"\(120, 160\) and mask of \(3, 4\)"):
        overlay(image, np.zeros((3, 4), np.uint8))


def test_a_strip_has_a_picture_for_each_object_in_the_order_of_ids() -> None:
    picture = np.full((48, 64, 3), 90, np.uint8)
    mask = np.zeros((96, 128), np.uint8)
    mask[:20, :20], mask[60:, 60:] = 7, 2
    maps = np.zeros((2, 6, 8), np.float32)
    maps[0, 1, 1] = maps[1, 4, 6] = 1.0
    strip = attention_strip(picture, mask, maps, [7, 2])
    assert strip.shape == (48, 192, 3)
    second, seventh = strip[:, 64:128].astype(int), strip[:, 128:].astype(int)
    for shown, (row, column) in ((second, (36, 52)), (seventh, (12, 12))):
        rows, columns = np.nonzero(np.abs(shown[3:-3, 3:-3] - 90).sum(2) > 30)
        middle = rows.mean() + 3, columns.mean() + 3
        assert max(abs(middle[0] - row), abs(middle[1] - column)) < 4
        assert len(rows) < 48 * 64 / 2
    assert not (second[0, 0] == seventh[0, 0]).all()  # rims in the colours of the objects


def test_a_strip_shows_what_is_attended_to_in_strong_colours_and_leaves_the_rest() -> None:
    picture = np.full((480, 512, 3), 90, np.uint8)
    maps = np.zeros((1, 480, 512), np.float32)
    maps[0, 200:280, 200:312] = 0.7  # the strongest of a map, whatever it is
    maps[0, 200:280, 400:500] = 0.7 / 4
    shown = attention_strip(picture, np.zeros((48, 51), np.uint8), maps, [3])[:, 512:]
    scale = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_TURBO).reshape(-1, 3)[:, ::-1]
    assert np.abs(shown[240, 256] - (0.2 * 90 + 0.8 * scale[255])).max() <= 1
    assert np.abs(shown[240, 450] - (0.6 * 90 + 0.4 * scale[63])).max() <= 2, "the weight is the root"
    assert (shown[100, 6:-6] == 90).all()
    rim = (shown == shown[0, 0]).all(axis=2)
    assert np.flatnonzero(rim[100]).tolist() == [*range(6), *range(506, 512)], "an eightieth of the side"
    assert np.flatnonzero(rim[:, 100]).tolist() == [*range(6), *range(474, 480)]
    small = attention_strip(picture[:80, :80], np.zeros((8, 8), np.uint8), maps[:, :80, :80], [3])[:, 80:]
    assert (small == small[0, 0]).all(axis=2)[40].sum() == 4, "two pixels at least"


def test_a_map_without_attention_changes_nothing_inside() -> None:
    picture = np.full((48, 64, 3), 90, np.uint8)
    strip = attention_strip(picture, np.zeros((48, 64), np.uint8), np.zeros((1, 6, 8), np.float32), [1])
    assert (strip[2:-2, 66:-2] == 90).all()
