"""What darkens the ground and keeps its colours is shadow, where the network finds that more probable."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.segmenters.base import SegmenterInput
from segue.sessions.foreground.segmenters.subtractors import BackgroundDifference
from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.foreground.stages.shadows import without_shadows
from segue.utils.arrays import Float32Array
from tests.sessions.foreground.scenes import Bytes, video, wall

SCENE = np.clip(wall().astype(np.int16) + 60, 0, 255).astype(np.uint8)
PLACE = np.zeros(SCENE.shape[:2], bool)
PLACE[30:50, 40:80] = True


def lit(shares: tuple[float, float, float]) -> Bytes:
    """The scene with so much of its red, green and blue light at the place."""
    return np.where(PLACE[..., None], SCENE * np.float32(shares), SCENE).astype(np.uint8)


def found(foreground: float, shadow: float) -> Float32Array:
    """Probabilities at the place; nothing elsewhere."""
    return np.stack([PLACE * np.float32(foreground), PLACE * np.float32(shadow)])


def test_a_shadow_is_no_foreground_and_stays_shadow() -> None:
    maps = without_shadows(found(0.6, 0.7), 0.3, lit((0.5, 0.5, 0.5)), SCENE)
    assert not maps[0].any()
    assert (maps[1] == found(0.6, 0.7)[1]).all()


@pytest.mark.parametrize(
    ("shares", "foreground", "shadow"),
    [
        ((0.5, 0.5, 0.5), 0.7, 0.6),
        ((0.95, 0.95, 0.95), 0.6, 0.7),
        ((1.4, 1.4, 1.4), 0.6, 0.7),
        ((0.4, 0.5, 0.7), 0.6, 0.7),
        ((0.5, 0.5, 0.5), 0.2, 0.7),
    ],
    ids=[
        "foreground is more probable",
        "hardly darker",
        "brighter",
        "another colour",
        "no foreground",
    ],
)
def test_pixels_without_shadow_are_unchanged(
    shares: tuple[float, float, float], foreground: float, shadow: float
) -> None:
    maps = found(foreground, shadow)
    assert np.array_equal(without_shadows(maps, 0.3, lit(shares), SCENE), maps)


def test_regions_too_dark_for_a_shadow_are_foreground() -> None:
    maps = without_shadows(found(0.1, 0.7), 0.3, lit((0.2, 0.2, 0.2)), SCENE)
    assert np.allclose(maps[0], PLACE * 0.8)
    assert not maps[1].any()
    night = (SCENE // 8).astype(np.uint8)  # nothing can be told of its darkest parts
    assert np.array_equal(without_shadows(found(0.1, 0.7), 0.3, night // 8, night), found(0.1, 0.7))


class Undecided(BackgroundDifference):
    """A difference to the background that takes all of it for foreground, and more so for shadow."""

    channels = 2

    def __init__(self, suppresses: bool) -> None:
        super().__init__()
        self.stages = ("shadows",) if suppresses else ()

    def step(
        self, frame: SegmenterInput, context: Mapping[int, SegmenterInput], scene: Scene
    ) -> Float32Array:
        maps = super().step(frame, context, scene)
        return np.concatenate([0.6 * maps, 0.8 * maps]).astype(np.float32)


@pytest.mark.parametrize("suppresses", [True, False])
def test_a_session_shows_no_shadow(suppresses: bool) -> None:
    session = ForegroundSession(Undecided(suppresses), without=["align"])
    for frame in video([SCENE] * 10 + [lit((0.5, 0.5, 0.5))] * 3):
        result = session.step(frame)
    assert result is not None
    share = (result.mask[PLACE] > 0).mean()
    assert share < 0.1 if suppresses else share > 0.9
