"""What happens to the image as a whole takes as long at few frames a second as at many."""

from __future__ import annotations

import numpy as np
import pytest

from segue.sessions import ForegroundSession
from segue.sessions.foreground.camera.scene_events import MIN_REST, REST, SceneEvents
from segue.sessions.foreground.masks import ForegroundMasks
from segue.types import Frame
from tests.sessions.foreground.scenes import wall

SIZE = (120, 160)
LAMP_AT, IN_VIEW = 8.0, 2.2
"""Seconds: when a lamp goes on and somebody enters, and for how long that one is in view."""


def lamp_and_person(fps: int) -> list[tuple[Frame, np.ndarray]]:
    """Frames, and where the person is; the lamp lights one side of the image more than the other."""
    scene, rng = wall(3, *SIZE).astype(np.float32), np.random.default_rng(0)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    lamp = 1 + 1.5 * np.exp(-((columns - 45) ** 2 + (rows - 30) ** 2) / (2 * 55.0**2))[..., None]
    frames = []
    for index in range(int((LAMP_AT + IN_VIEW + 3) * fps)):
        time, person = index / fps, np.zeros(SIZE, np.bool_)
        image = scene.copy()
        if 0 <= time - LAMP_AT < IN_VIEW:
            left = round(10 + (time - LAMP_AT) / IN_VIEW * 120)
            person[50:95, left : left + 18] = True
            image[person] = (200, 60, 50)
        image = image * lamp + 12 if time >= LAMP_AT else image
        noisy = np.clip(image + rng.integers(-3, 4, image.shape), 0, 255).astype(np.uint8)
        frames.append((Frame(index, time, noisy), person))
    return frames


def test_a_person_who_enters_as_a_lamp_is_switched_on_is_found_at_five_frames_a_second() -> None:
    session = ForegroundSession("mustan-lite", device="cpu", masks=ForegroundMasks(objects=True))
    hits, ids = [], set[int]()
    for frame, person in lamp_and_person(5):
        result = session.step(frame)
        assert result is not None
        ids |= {item.id for item in result.objects if item.area}
        if person.any():
            hits.append(bool((result.mask[person] > 0).mean() > 0.3))
    assert sum(hits[4:]) >= 4, "blind for .8 s at most"
    assert ids


@pytest.mark.parametrize(("fps", "rest"), [(60, REST), (25, REST), (12.5, 6), (5, MIN_REST), (0.2, MIN_REST)])
def test_a_rest_has_as_many_frames_as_half_a_second(fps: float, rest: int) -> None:
    events, image = SceneEvents(), wall(0)
    for index in range(40):
        events.update(image, time=index / fps)
    assert events.rest == rest


def test_a_long_gap_between_frames_does_not_shorten_the_rest() -> None:
    events, image = SceneEvents(), wall(0)
    for time in [*np.arange(40) / 25, 60.0, *(61 + np.arange(10) / 25)]:
        events.update(image, time=float(time))
    assert events.rest >= REST - 2
