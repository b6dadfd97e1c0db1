"""Light that runs over a dark scene is no foreground; objects in the dark are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.foreground.stages.lights import brightness, without_lights
from segue.utils.arrays import Float32Array
from tests.sessions.foreground.scenes import Bytes, wall

SIZE = (120, 160)
CENTRE = (80, 60)
DARK = wall(height=120, width=160, light=0.4)


def noisy(image: Float32Array, seed: int = 1) -> Bytes:
    noise = np.random.default_rng(seed).normal(0, 4, image.shape)
    return np.asarray(np.clip(image + noise, 0, 255), np.uint8)


def spot(blur: float, centre: tuple[int, int] = CENTRE) -> Float32Array:
    """An ellipse with a border as soft as that, (H, W), at most 1."""
    light = np.zeros(SIZE, np.float32)
    cv2.ellipse(light, centre, (18, 11), 0, 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(light, (0, 0), blur), np.float32)


def lit(scene: Bytes, blur: float, added: float = 60.0, centre: tuple[int, int] = CENTRE) -> Float32Array:
    light = spot(blur, centre)[..., None]
    return np.asarray(scene * (1 + light) + added * light, np.float32)


def left_of(image: Float32Array, scene: Bytes, blur: float = 5.0, level: float = 0.6) -> float:
    """What stays of a piece in the middle of the spot, as a share of it."""
    found = np.where(spot(blur) > level, np.float32(0.9), np.float32(0.1))
    kept = without_lights(found, 0.3, noisy(image), brightness(scene))
    assert (kept <= found).all()
    return float((kept > 0.3).sum() / (found > 0.3).sum())


@pytest.mark.parametrize("level", [0.5, 0.8])
def test_light_on_a_dark_scene_is_taken_out(level: float) -> None:
    assert left_of(lit(DARK, 5.0), DARK, level=level) == 0


def test_a_region_with_darker_parts_is_no_light() -> None:
    image = lit(DARK, 5.0)
    image[58:64, 66:94] = 2
    assert left_of(image, DARK) == 1


def test_in_daylight_nothing_is_taken_for_light() -> None:
    day = wall(height=120, width=160, light=1.2)
    assert left_of(lit(day, 5.0), day) == 1


def test_only_the_light_goes_and_nothing_is_copied_without_one() -> None:
    image = lit(DARK, 5.0)
    image[10:30, 10:40] = 180
    found = np.where(spot(5.0) > 0.6, np.float32(0.9), np.float32(0))
    found[10:30, 10:40] = 0.7
    kept = without_lights(found, 0.3, noisy(image), brightness(DARK))
    assert (kept > 0).sum() == 600
    assert (kept[10:30, 10:40] == np.float32(0.7)).all()
    assert without_lights(kept, 0.3, noisy(image), brightness(DARK)) is kept


def test_a_session_finds_an_object_in_the_dark_and_no_light() -> None:
    session = ForegroundSession("mustan-lite", without=["align"], device="cpu")
    lights, objects = [], []
    for time in range(40):
        at = (30 + 3 * (time - 20), 90)
        image = lit(DARK, 4.0, 90.0, at) if time >= 20 else DARK.astype(np.float32)
        if time >= 20:
            image[20:40, 2 * time : 2 * time + 24] = 140
        result = session.step(noisy(image, time))
        assert result is not None
        if time >= 22:
            lights.append((result.mask[60:] > 0).mean())
            objects.append((result.mask[22:38, 2 * time + 2 : 2 * time + 22] > 0).mean())
    assert max(lights) == 0
    assert min(objects) > 0.6
