"""Cuts, light switches and pauses are told apart from what moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from segue.sessions.changes import Change, ChangeWatch, exposure, relit
from tests.sessions.scenes import Bytes, square_mask, wall, with_squares


def changes(pictures: Sequence[Bytes], times: Sequence[float] | None = None) -> list[Change]:
    watch = ChangeWatch()
    stamps = [t / 25 for t in range(len(pictures))] if times is None else times
    return [watch.look(picture, time) for picture, time in zip(pictures, stamps, strict=True)]


def test_a_cut_is_another_scene() -> None:
    assert changes([wall(0), wall(0), wall(1, light=1.4), wall(1, light=1.4)]) == [
        Change.none,
        Change.none,
        Change.scene,
        Change.none,
    ]


@pytest.mark.parametrize("light", [0.4, 1.6])
def test_a_switched_lamp_is_the_same_scene_in_another_light(light: float) -> None:
    assert changes([wall(0), wall(0, light=light), wall(0, light=light)])[1:] == [Change.light, Change.none]


def test_a_lamp_in_a_corner_is_light_too() -> None:
    across = np.linspace(0.9, 2.0, 128)[None, :, None]
    lit = np.clip(wall(0) * across, 0, 255).astype(np.uint8)
    assert changes([wall(0), lit])[1] is Change.light


def test_something_large_that_moves_is_no_change() -> None:
    pictures = [with_squares(wall(0), [(20, 4 * t)], side=60) for t in range(20)]
    assert set(changes(pictures)) == {Change.none}


def test_a_pause_is_longer_than_the_usual_distance() -> None:
    same = [wall(0)] * 5
    assert changes(same, [0, 0.1, 0.2, 5.2, 5.3]) == [Change.none] * 3 + [Change.pause, Change.none]
    assert changes(same, [0, 3.0, 6.0, 9.0, 12.0]) == [Change.none] * 5, "a picture every three seconds"
    assert changes(same, [0, 0.1, 0.2, 0.0, 0.1])[3] is Change.pause, "a clock that was set back"


def test_a_pause_that_ends_in_another_scene_is_another_scene() -> None:
    assert changes([wall(0), wall(0), wall(5)], [0, 0.1, 60])[2] is Change.scene


def test_another_size_is_not_compared() -> None:
    assert changes([wall(0), wall(1, 50, 60), wall(1, 50, 60)]) == [Change.none] * 3


def test_exposure_is_measured_for_each_channel_and_ignores_what_moves() -> None:
    gains = (1.3, 0.8, 1.1)
    lit = np.clip(wall(0) * np.array(gains), 0, 255).astype(np.uint8)
    found = exposure(with_squares(lit, [(10, 10)], side=40), wall(0))
    assert found is not None
    assert np.allclose(found, gains, rtol=0.04)


def test_small_differences_of_exposure_are_left_to_the_model() -> None:
    assert exposure(wall(0, light=1.05), wall(0)) is None
    assert exposure(wall(0), wall(0)) is None
    assert exposure(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)) is None


def test_behind_a_person_the_background_is_relit_and_elsewhere_it_is_the_frame() -> None:
    place = [(40, 50)]
    frame = with_squares(wall(0, light=0.5), place)
    hidden = square_mask((96, 128), place, side=20)
    found = relit(wall(0), frame, hidden)
    assert np.array_equal(found[~hidden], frame[~hidden])
    error = np.abs(found[hidden].astype(int) - wall(0, light=0.5)[hidden])
    assert error.mean() < 4
    everywhere = np.ones_like(hidden)
    assert np.array_equal(relit(wall(0), frame, everywhere), frame)


def test_it_goes_on_from_a_saved_state() -> None:
    first, second = ChangeWatch(), ChangeWatch()
    second.restore(first.state())
    assert second.look(wall(0), 0.0) is Change.none
    for t in range(3):
        first.look(wall(0), t / 10)
    second.restore(first.state())
    assert second.look(wall(4), 0.3) is Change.scene
    second.restore(first.state())
    assert second.look(wall(0), 9.0) is Change.pause


def test_a_camera_that_becomes_slower_is_not_paused_for_ever() -> None:
    """From 25 frames a second to one in three seconds: the first gaps are pauses, the later ones its rate."""
    times = [*(t / 25 for t in range(50)), *(2 + 3.0 * (t + 1) for t in range(20))]
    found = changes([wall(0)] * 70, times)
    assert found[50] is Change.pause
    assert found.count(Change.pause) <= 3
    assert set(found[53:]) == {Change.none}


def test_single_pauses_stay_pauses() -> None:
    times, now = [], 0.0
    for t in range(60):
        now += 5.0 if t % 10 == 9 else 0.04
        times.append(now)
    assert [t for t, found in enumerate(changes([wall(0)] * 60, times)) if found is Change.pause] == [
        9, 19, 29, 39, 49, 59,
    ]  # fmt: skip
