"""A second, enlarged look at small pieces of foreground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from segue.models.base import Features, ForegroundCapabilities
from segue.sessions.empty_scene import Scene
from segue.sessions.second_look import (
    BORDER,
    FAINT,
    LASTS,
    SHARE,
    TWICE,
    Box,
    SecondLook,
    enlarged,
    part_of,
    small_pieces,
    windows_around,
)
from segue.sessions.segmenters import NetworkSegmenter

Maps = npt.NDArray[np.float32]

SIZE = (80, 112)
SMALL = (slice(20, 26), slice(40, 46))
LARGE = (slice(40, 70), slice(60, 100))


def probabilities() -> Maps:
    """Foreground and shadow with a faint small piece and a large one."""
    maps = np.zeros((2, *SIZE), np.float32)
    maps[0][SMALL], maps[0][LARGE] = 0.1, 0.9
    return maps


def found_in(foreground: Maps, lasting: Maps | None = None) -> npt.NDArray[np.bool_]:
    """Where a picture is looked at again, whose pieces have all lasted, or those of another one."""
    return small_pieces(foreground >= FAINT, (foreground if lasting is None else lasting) >= FAINT)[0]


def test_small_faint_pieces_are_looked_at_again_and_large_ones_are_not() -> None:
    where = found_in(probabilities()[0])
    assert where[SMALL].all()
    assert where[16:30, 36:50].all(), "grown by a border of four pixels"
    assert not where[15].any()
    assert not where[LARGE].any()
    assert not found_in(probabilities()[0], np.zeros(SIZE, np.float32)).any(), "nothing has lasted"


def test_a_large_piece_beside_a_small_one_stays() -> None:
    foreground = probabilities()[0]
    foreground[50:53, 102:105] = 0.5  # two pixels beside the large piece
    where = found_in(foreground)
    assert where[50:53, 100:105].all()
    assert not where[LARGE].any()


def bright(windows: list[Box]) -> Maps:
    """A second look that is sure everywhere."""
    top, bottom, left, right = windows[0]
    return np.full((len(windows), 2, TWICE * (bottom - top), TWICE * (right - left)), 0.7, np.float32)


def test_two_looks_are_averaged_where_small_pieces_last() -> None:
    second, maps = SecondLook(), probabilities()
    for _ in range(LASTS):
        assert second.combine(maps, bright) is maps
    found, where = second.combine(maps, bright), found_in(maps[0])
    assert found[:, where] == pytest.approx((maps[:, where] + 0.7) / 2)
    assert (found[:, ~where] == maps[:, ~where]).all()
    second.restart()
    assert second.combine(maps, bright) is maps


@pytest.mark.parametrize(("step", "seen"), [(3, True), (20, False)], ids=["far car", "insect"])
def test_what_moves_slowly_lasts_and_what_jumps_does_not(step: int, *, seen: bool) -> None:
    second = SecondLook()
    for frame in range(LASTS + 1):
        maps = np.zeros((2, *SIZE), np.float32)
        maps[0, 40:44, 8 + step * frame : 12 + step * frame] = 0.1
        result = second.combine(maps, bright)
    assert (result is not maps) == seen


def test_pieces_have_their_turns_and_what_was_seen_counts_until_the_next_one() -> None:
    second, maps, looks = SecondLook(), np.zeros((1, 120, 160), np.float32), []

    def look(windows: list[Box]) -> Maps:
        looks.append(windows)
        side = TWICE * (windows[0][1] - windows[0][0])
        return np.full((len(windows), 1, side, side), 0.7, np.float32)

    places = [(slice(20, 24), slice(column, column + 4)) for column in (20, 80, 140)]
    for place in places:
        maps[0][place] = 0.1
    found = [second.combine(maps, look) for _ in range(LASTS + 4)][LASTS:]
    area = sum((bottom - top) * (right - left) for top, bottom, left, right in looks[-1])
    assert area <= SHARE * maps[0].size
    assert len(looks[0]) == 1, "one window alone is within the share here"
    assert (found[0][0][places[0]] == pytest.approx(0.4)) != (found[0][0][places[2]] == pytest.approx(0.4))
    assert len({window for windows in looks for window in windows}) == len(places)
    assert all(found[-1][0][place] == pytest.approx(0.4) for place in places)


@given(
    places=st.lists(st.tuples(st.integers(0, 66), st.integers(0, 86)), max_size=5),
    size=st.tuples(st.integers(70, 100), st.integers(90, 120)),
)
def test_windows_are_bounded_and_show_pieces_with_what_is_around_them(
    places: list[tuple[int, int]], size: tuple[int, int]
) -> None:
    boxes = [(row, row + 4, column, column + 4) for row, column in places]
    windows = windows_around(boxes, size)
    assert bool(windows) == bool(boxes)
    assert len({(bottom - top, right - left) for top, bottom, left, right in windows}) <= 1
    if len(windows) > 1:
        assert sum((d[1] - d[0]) * (d[3] - d[2]) for d in windows) <= SHARE * size[0] * size[1]
    for top, bottom, left, right in windows:
        assert 0 <= top < bottom <= size[0]
        assert 0 <= left < right <= size[1]
    if boxes:
        inside = np.zeros(size, bool)
        inside[part_of(windows[0])] = True
        row, column = places[0]
        rows = slice(max(0, row - BORDER), row + 4 + BORDER)
        assert inside[rows, max(0, column - BORDER) : column + 4 + BORDER].all(), "the first in turn"


def test_pieces_that_lie_together_share_a_window() -> None:
    assert len(windows_around([(100, 104, 100, 104), (106, 110, 106, 110)], (240, 320))) == 1
    assert len(windows_around([(100, 104, 100, 104), (10, 14, 206, 210)], (240, 320))) == 2


class Farsighted(nn.Module):
    """Sees what fills squares of eight by eight pixels, and smaller things only faintly."""

    context = ((-3, "past"),)
    current = "now"
    background: str | None = "scene"
    channels = 1
    threshold = 0.3
    size_multiple = 8
    capabilities = ForegroundCapabilities(looks_twice=True)

    def __init__(self) -> None:
        super().__init__()
        self.scenes: list[tuple[int, ...]] = []
        self.value = nn.Parameter(torch.zeros(1))

    def encode(self, frames: Tensor, role: str) -> Features:
        if role == "scene":
            self.scenes.append(tuple(frames.shape[-2:]))
        return (frames,)

    def decode(
        self,
        current: Features,
        context: Sequence[Features],
        background: Features | None,
        size: tuple[int, int],
    ) -> Tensor:
        assert background is not None
        assert context[0][0].shape == current[0].shape == background[0].shape
        differs = (current[0] - background[0]).abs().mean(1, keepdim=True).gt(0.2).float()
        full = -F.max_pool2d(-F.pad(differs, (0, 7, 0, 7)), 8, 1)
        found = F.max_pool2d(F.pad(full, (7, 0, 7, 0)), 8, 1)
        return 6 * found + 1.5 * differs - 3


def picture(*, with_thing: bool) -> npt.NDArray[np.uint8]:
    """A grey scene, with a bright thing of six by six pixels."""
    image = np.full((*SIZE, 3), 90, np.uint8)
    if with_thing:
        image[SMALL] = 220
    return image


def last_of(network: Farsighted, *, unsteady: bool = False) -> Maps:
    """Foreground on the last of some frames with the small thing."""
    scene, segmenter = Scene.of(picture(with_thing=False)), NetworkSegmenter(network, device="cpu")
    for _ in range(LASTS + 1):
        segmenter.unsteady = unsteady
        maps = segmenter.step(picture(with_thing=True), scene)
    assert maps is not None
    return maps


def test_a_small_thing_that_is_only_seen_enlarged_is_found() -> None:
    network = Farsighted().eval()
    thing = last_of(network)[0] > network.threshold
    assert thing[SMALL].all()
    assert thing.sum() <= 8 * 8
    assert (last_of(network, unsteady=True) < network.threshold).all()
    network.capabilities = ForegroundCapabilities()
    assert (last_of(network) < network.threshold).all()


def test_a_part_is_enlarged_with_its_colours() -> None:
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    assert enlarged(image, (16, 48, 32, 112)).shape == (64, 160, 3)
    assert enlarged(image[..., 0], (16, 48, 32, 112)).shape == (64, 160)
    flat = np.full((32, 32, 3), (10, 20, 30), np.uint8)
    assert (enlarged(flat, (0, 32, 0, 32)) == (10, 20, 30)).all()


def test_a_session_that_goes_on_looks_twice_at_once() -> None:
    scene, thing = Scene.of(picture(with_thing=False)), picture(with_thing=True)
    before = NetworkSegmenter(Farsighted().eval(), device="cpu")
    for _ in range(LASTS):
        before.step(thing, scene)
    after = NetworkSegmenter(Farsighted().eval(), device="cpu")
    after.restore(before.state())
    expected, found = before.step(thing, scene), after.step(thing, scene)
    assert expected is not None
    assert found is not None
    assert (found == expected).all()
    assert found.max() > Farsighted.threshold
