"""Empty scenes that a first pass learnt, and those of OpenCV's methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import CheckpointError
from segue.sessions.foreground.background import video_scenes
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.video_scenes import LearntBackground, VideoPart, VideoScenes
from segue.sessions.foreground.camera.changes import Change
from segue.sessions.foreground.camera.scene_events import KnownEvent
from segue.sessions.foreground.segmenters.base import SegmenterInput
from segue.sessions.foreground.segmenters.subtractors import BLIND, Subtractor
from tests.sessions.foreground.scenes import Bytes, wall, with_squares


def grey(level: int, height: int = 50, width: int = 8) -> Bytes:
    return np.full((height, width, 3), level, np.uint8)


def scenes(*levels: int, size: tuple[int, int] = (6, 8)) -> VideoScenes:
    """Each scene holds for ten frames; the second is another place, the third another light."""
    found = VideoScenes()
    changes = (Change.none, Change.scene, Change.light)
    for number, level in enumerate(levels):
        planes = Scene.of(grey(level, *size)).planes
        found.learnt.append(VideoPart(10 * number, changes[number].value, planes))
    return found


@pytest.mark.parametrize("own", [True, False])
def test_a_learnt_background_takes_its_scenes_where_they_begin(own: bool) -> None:
    background = LearntBackground(scenes(10, 20, 30), of_this_video=own)
    assert background.scene is None
    background.restart()
    assert background.scene is None
    background.fit((6, 8))
    said = [background.seek(index) for index in (0, 1, 10, 11, 20, 3)]
    changes = [Change.none, Change.none, Change.scene, Change.none, Change.light, Change.none]
    assert [each and each.change for each in said] == (changes if own else [None] * 6)
    assert background.scene is not None
    assert (background.scene.image == 10).all()
    background.apply_gain((2.0, 2.0, 2.0))
    background.update(grey(99, 6, 8))
    background.replace(grey(99, 6, 8))
    assert (background.scene.image == 20).all()
    assert background.seek(4) == (KnownEvent(Change.none, pans=False, changes=False) if own else None)
    assert (background.scene.image == 20).all(), "the same scene goes on in its light"
    background.seek(12)
    background.seek(4)
    assert (background.scene.image == 10).all()


def test_scenes_beyond_a_bound_lie_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(video_scenes, "IN_MEMORY", 3 * PLANES.nbytes)
    monkeypatch.setattr(video_scenes, "MAPPED", 4 * PLANES.nbytes)
    found = VideoScenes()
    for number in range(20):
        size = (6, 8) if number < 15 else (60, 80)  # the last ones are larger than what is mapped at once
        found.learnt.append(VideoPart(number, Change.none.value, Scene.of(grey(number, *size)).planes))
        found.keep(found.learnt[-1])
    found.state(copy=False).save(tmp_path / "scenes")
    for scenes in (found, VideoScenes.load(tmp_path / "scenes")):
        assert sum(part.planes.flags.owndata for part in scenes.learnt) == 3
        assert [int(Scene(part.planes).image.max()) for part in scenes.learnt] == [*range(20)]
        assert [part.first for part in scenes.learnt] == [*range(20)]


PLANES = np.zeros((21, 6, 8), np.uint8)


@pytest.mark.parametrize(
    ("firsts", "begun", "planes", "good"),
    [
        ([0, 7], ["none", "scene"], [PLANES] * 2, True),
        ([3], ["none"], [PLANES], True),
        ([], [], [], False),
        ([0, 0], ["none", "scene"], [PLANES] * 2, False),
        ([7, 0], ["none", "scene"], [PLANES] * 2, False),
        ([-1], ["none"], [PLANES], False),
        ([0.5], ["none"], [PLANES], False),
        ([True], ["none"], [PLANES], False),
        ([0], ["cut"], [PLANES], False),
        ([0], ["none"], [PLANES[:20]], False),
        ([0], ["none"], [PLANES[0]], False),
        ([0], ["none"], [PLANES.astype(np.float32)], False),
        ([0], ["none"], [PLANES[:, :0]], False),
        ([0], ["none"], [7], False),
    ],
)
def test_a_file_of_scenes_is_looked_at_before_it_is_believed(
    firsts: list[Any], begun: list[str], planes: list[Any], good: bool, tmp_path: Path
) -> None:
    made = VideoScenes()
    made.learnt = [VideoPart(*values) for values in zip(firsts, begun, planes, strict=True)]
    made.save(tmp_path / "scene.safetensors")
    if good:
        assert [part.first for part in VideoScenes.load(tmp_path / "scene.safetensors").learnt] == firsts
        return
    with pytest.raises(CheckpointError):
        VideoScenes.load(tmp_path / "scene.safetensors")


@pytest.mark.parametrize("method", ["mog2", "knn"])
def test_first_frames_of_a_subtractor_are_empty_and_median_is_filtered(method: Any) -> None:
    model, scene = Subtractor(method, history=20, median=1), Scene.of(wall())
    empty = []
    for t in range(9):
        image = with_squares(wall(), [(10, 10 * t)])
        maps = model.step(SegmenterInput(image), {}, scene)
        assert maps.shape == (2, 96, 128)
        empty.append(not maps.any())
    assert empty[:BLIND] == [True] * BLIND
    assert not any(empty[BLIND:])
    assert model.scene is not None
    assert np.abs(model.scene[60:].astype(int) - wall()[60:]).max() <= 3, "in the order of its colours"
