"""Bands of lamps on mains, before a rolling shutter, are neither a cut nor another light."""

from __future__ import annotations

import numpy as np
import pytest

from segue.sessions import SessionState
from segue.sessions.foreground.camera.scene_events import SceneEvents
from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.foreground.stages.base import Change
from tests.sessions.foreground.scenes import Bytes, Place, overlap, square_mask, video, wall, with_squares

SIZE = (96, 128)
SCENE = wall(5, *SIZE)


def bands(image: Bytes, time: int, *, axis: int = 0, speed: float = 0.35, depth: float = 0.14) -> Bytes:
    """An image in bands along its rows (axis 0) or columns, with the noise of a sensor."""
    along = np.arange(image.shape[axis]).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    gain = 1 + depth * np.sin(2 * np.pi * (along / 64 + time * speed))
    noise = np.random.default_rng(time).integers(-3, 4, image.shape)
    return np.clip(image * gain + noise, 0, 255).astype(np.uint8)


def events_of(images: list[Bytes]) -> list[tuple[Change, bool]]:
    events = SceneEvents()
    return [(events.update(image), events.changes) for image in images]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("speed", [0.02, 0.2, 0.35, 0.5])
@pytest.mark.parametrize("depth", [0.14, 0.25])
def test_bands_are_no_event(axis: int, speed: float, depth: float) -> None:
    images = [bands(SCENE, time, axis=axis, speed=speed, depth=depth) for time in range(60)]
    assert set(events_of(images)) == {(Change.none, False)}


@pytest.mark.parametrize("cut", [1, 2, 3, 30])
def test_another_scene_in_bands_is_one(cut: int) -> None:
    other = wall(9, *SIZE)
    images = [bands(SCENE if time < cut else other, time) for time in range(cut + 40)]
    found = [time for time, (event, _) in enumerate(events_of(images)) if event is not Change.none]
    assert len(found) == 1
    assert found[0] >= cut


def test_a_lamp_that_lights_some_rows_once_is_another_light() -> None:
    lit = SCENE.astype(float)
    lit[:60] *= np.linspace(1.9, 1.3, 60)[:, None, None]
    lamp = np.clip(lit, 0, 255).astype(np.uint8)
    found = events_of([bands(SCENE if time < 30 else lamp, time, depth=0.0) for time in range(60)])
    assert any(event is not Change.none or changes for event, changes in found[30:])


def test_an_object_in_flickering_light_is_found_and_a_session_resumes() -> None:
    places: list[Place | None] = [None if time < 30 else (30, 3 * (time - 30)) for time in range(65)]
    frames = video(
        [
            bands(SCENE if place is None else with_squares(SCENE, [place]), time)
            for time, place in enumerate(places)
        ]
    )
    session = ForegroundSession("median", device="cpu")
    results = [session.step(frame) for frame in frames[:40]]
    state: SessionState = session.state()
    session.reset()
    session.restore(state)
    results += [session.step(frame) for frame in frames[40:]]
    found = [result for result in (*results, *session.finish()) if result is not None]
    assert len(found) == len(frames)
    overlaps = [
        overlap(result.mask, square_mask(SIZE, [place]))
        for result, place in zip(found, places, strict=True)
        if place is not None and place[1] > 20
    ]
    assert np.mean(overlaps) > 0.5
