"""What has come to a stand stays foreground."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segue.sessions.empty_scene import Scene
from segue.sessions.stationary import StationaryObjects
from segue.types import Image

SCENE = np.full((40, 60, 3), 90, np.uint8)
CAR = slice(10, 30), slice(15, 45)


def with_car(levels: int = 200) -> Image:
    image = SCENE.copy()
    image[CAR] = levels
    return image


def probabilities(share: float) -> npt.NDArray[np.float32]:
    """A network that is sure of the left ``share`` of the car and has lost the rest."""
    found = np.zeros(SCENE.shape[:2], np.float32)
    rows, columns = CAR
    found[rows, columns.start : columns.start + round(share * (columns.stop - columns.start))] = 0.9
    return found


def after(image: Image, share: float, *, scene: Image = SCENE, frames: int = 3) -> float:
    """Share of the car that is foreground in the end: found whole at first, then only ``share`` of it."""
    watch, known = StationaryObjects(0.3), Scene.of(scene, 1)
    watch.retain(with_car(), known, probabilities(1.0))
    for _ in range(frames):
        found = watch.retain(image, known, probabilities(share))
    return float((found[CAR] > 0.5).mean())


def test_parts_that_the_network_loses_are_held_where_nothing_has_changed() -> None:
    assert after(with_car(), 0.6) == 1


def test_what_looks_like_the_empty_scene_is_not_held() -> None:
    assert after(with_car(), 0.6, scene=with_car()) < 0.7


def test_a_watch_that_was_saved_goes_on_identically() -> None:
    watch, other, known = (
        StationaryObjects(0.3),
        StationaryObjects(0.3),
        Scene.of(SCENE, 1),
    )
    watch.retain(with_car(), known, probabilities(1.0))
    other.restore(watch.state())
    again = [one.retain(with_car(), known, probabilities(0.7)) for one in (watch, other)]
    assert np.array_equal(*again)
    assert (again[0][CAR] > 0.5).all()
