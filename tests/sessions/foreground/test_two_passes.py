"""Two passes over a video: what the first one learns, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segue
from segue.errors import CheckpointError, PromptError, SegueError, SourceError
from segue.sessions import SessionState
from segue.sessions.foreground.background import video_scenes
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.video_scenes import LearntBackground, VideoScenes
from segue.sessions.foreground.segmenters.base import Segmenter
from segue.sessions.foreground.segmenters.subtractors import BackgroundDifference
from segue.sessions.foreground.two_passes import TwoPasses
from segue.types import Image
from tests.sessions.foreground.scenes import overlap, square_mask, video, wall, with_squares
from tests.sessions.foreground.test_camera import PAN, TRUTH

SIZE = (96, 128)
STANDS, LEAVES = (30, 20), 30


def waits_and_leaves(count: int = 45) -> list[Image]:
    """A square that stands for two thirds of the video, and then goes out to the right."""
    path = [(30, 20 if t < LEAVES else 20 + 12 * (t - LEAVES)) for t in range(count)]
    return [with_squares(wall(), [place]) for place in path]


def passes(
    images: list[Image], model: Segmenter | None = None, *, without: Sequence[str] = ("align",)
) -> TwoPasses:
    """Two passes over images, which may change in between."""
    background = LearntBackground(VideoScenes())
    segmenter = model or BackgroundDifference()
    return TwoPasses(segmenter, lambda: video(images), background, short_side=None, without=without)


def learnt(images: list[Image], without: Sequence[str] = ("align",)) -> TwoPasses:
    made = passes(images, without=without)
    assert list(made.learning()) == list(range(1, len(images) + 1))
    return made


def masks(source: object, **options: object) -> list[np.ndarray]:
    results = segue.foreground(source, model="median", without=["align"], **options)  # type: ignore[arg-type]
    return [result.mask == 1 for result in results]


def test_a_long_standing_object_that_leaves_is_found_from_the_first_frame_on() -> None:
    images, truth = waits_and_leaves(), square_mask(SIZE, [STANDS])
    assert overlap(masks(images)[20], truth) < 0.1  # by one pass not
    found = masks(images, passes=2)
    assert len(found) == len(images)
    assert overlap(found[0], truth) > 0.8
    assert overlap(found[20], truth) > 0.8
    assert not found[-1].any()


def test_an_object_that_enters_and_stays_is_no_ghost() -> None:
    """The other way round: the scene that is seen less often is the true one again."""
    images = waits_and_leaves()[::-1]
    found = masks(images, passes=2)
    assert overlap(found[-1], square_mask(SIZE, [STANDS])) > 0.8
    assert not found[0].any()


def test_changing_occluders_are_not_the_background() -> None:
    rng = np.random.default_rng(1)
    images = []
    for t in range(40):
        image = wall().copy()
        if t % 4:  # three quarters of the time
            image[20:60, 30:90] = rng.integers(0, 255, (40, 60, 3))
        images.append(image)
    scene = Scene(learnt(images).scenes.learnt[0].planes)
    assert np.abs(scene.image.astype(int) - wall()).max() <= 2


def test_each_part_between_cuts_has_a_scene_of_its_own() -> None:
    other = np.ascontiguousarray(wall()[::-1, ::-1] // 2 + np.uint8(90))
    other[::2] //= 3
    first = learnt([wall()] * 20 + [other] * 20)
    assert len(first.scenes.learnt) == 2
    assert [first.scenes.number_at(index) for index in (0, 19, 20, 39)] == [0, 0, 1, 1]
    for part, image in zip(first.scenes.learnt, (wall(), other), strict=True):
        assert np.array_equal(Scene(part.planes).image, image)


def darkening(frames: int) -> list[Image]:
    return [wall(light=light) for light in np.linspace(1, 0.3, frames)]


def test_a_scene_that_has_become_dark_has_another_background_and_the_frames_between_have_no_part_in_it() -> (
    None
):
    first = learnt([wall()] * 30 + darkening(20) + [wall(light=0.3)] * 40)
    assert [part.change for part in first.scenes.learnt] == ["none", "light"]
    assert first.scenes.number_at(30) == 0
    assert first.scenes.number_at(50) == 1
    assert first.scenes.count == 1  # the scene is the same
    for part, light in zip(first.scenes.learnt, (1.0, 0.3), strict=True):
        found = Scene(part.planes).image.astype(int)
        assert np.abs(found - wall(light=light)).mean() <= 2


def test_dusk_goes_on_with_the_background_that_follows_the_light() -> None:
    assert len(learnt(darkening(90)).scenes.learnt) == 1


@pytest.mark.parametrize(
    "images",
    [[wall()], [wall()] * 5, [np.zeros_like(wall())] * 5, [np.zeros((3, 2, 3), np.uint8)] * 2],
    ids=["one frame", "one image", "black", "tiny"],
)
def test_videos_of_nothing_give_empty_masks(images: list[Image]) -> None:
    found = masks(images, passes=2)
    assert len(found) == len(images)
    assert not any(mask.any() for mask in found)


@pytest.mark.parametrize("length", [6, 11, 13])
def test_a_video_of_another_length_is_reported(length: int) -> None:
    images = waits_and_leaves(12)
    made = learnt(images)
    images[:] = [*images, wall()][:length]
    with pytest.raises(SourceError):
        list(made.second())


def test_a_first_pass_goes_on_from_its_state_to_the_same_scenes(tmp_path: Path) -> None:
    images, stops = waits_and_leaves(), (1, 13, 34)
    whole = passes(images, without=[])
    for number in whole.learning():
        if number in stops:
            whole.state().save(tmp_path / f"{number}.safetensors")
    for stop in stops:
        again = passes(images, without=[])
        again.restore(SessionState.load(tmp_path / f"{stop}.safetensors"))
        assert list(again.learning()) == list(range(stop + 1, 46))
        assert np.array_equal(again.scenes.learnt[0].planes, whole.scenes.learnt[0].planes)


def test_scenes_on_disk_give_the_same_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = [wall(seed) for seed in (1, 2, 3)]
    images = [with_squares(room, [(30, 4 * time)]) for room in rooms for time in range(15)]
    expected = masks(images, passes=2)
    monkeypatch.setattr(video_scenes, "IN_MEMORY", 0)
    found = learnt(images).scenes.learnt
    assert len(found) == 3
    assert not any(part.planes.flags.owndata for part in found)
    assert all(map(np.array_equal, masks(images, passes=2), expected))


def test_learnt_scenes_are_saved_and_taken(tmp_path: Path) -> None:
    images = waits_and_leaves()
    first = segue.foreground(images, model="median", without=["align"], passes=2)
    two = [result.mask for result in first]
    scenes = first.session.scenes
    assert scenes is not None
    scenes.save(tmp_path / "scene.safetensors")
    known = VideoScenes.load(tmp_path / "scene.safetensors")
    one = [result.mask for result in segue.foreground(images, model="median", without=["align"], scene=known)]
    assert np.array_equal(known.learnt[0].planes, scenes.learnt[0].planes)
    # The second of two passes averages over the frames after each one as well.
    assert np.mean([(a == b).mean() for a, b in zip(one, two, strict=True)]) > 0.99
    with pytest.raises(PromptError):
        list(segue.foreground([np.zeros((128, 96, 3), np.uint8)], model="median", scene=known))


def test_a_file_that_holds_no_scene_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "scene.safetensors"
    SessionState({}, {}).save(path)
    with pytest.raises(CheckpointError):
        VideoScenes.load(path)


@pytest.mark.parametrize(
    ("source", "options", "named"),
    [
        (iter, {}, "only once"),
        (list, {"model": "mog2"}, "mog2"),
        (list, {"scene": wall()}, "scene"),
        (list, {"passes": 3}, "passes is 3"),
    ],
    ids=["a stream", "a method without background", "a scene beside", "three"],
)
def test_two_passes_are_refused_for_unsuitable_sources(
    source: Callable[[list[Image]], Any], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(SegueError, match=named):
        segue.foreground(source(waits_and_leaves(3)), **{"model": "median", "passes": 2, **options})


def test_moving_objects_are_found_while_the_camera_pans() -> None:
    images = [frame.image for frame in PAN]
    found = [result.mask == 1 for result in segue.foreground(images, model="median", passes=2)]
    good = [overlap(mask, true) for mask, true in zip(found, TRUTH, strict=True)]
    assert np.mean(good[15:28]) > 0.6
    assert max((mask & ~true).mean() for mask, true in zip(found, TRUTH, strict=True)) < 0.05


def test_the_camera_rests_pans_and_rests() -> None:
    """Each time a part begins; frames at rest are compared with a background, others with those before."""
    images = [frame.image for frame in PAN]
    parts = learnt([images[0]] * 60 + images[1:30] + [images[29]] * 61).scenes.learnt
    assert [part.pans for part in parts] == [False, True, False]
    assert [part.change for part in parts] == ["none", "none", "scene"]
    assert 40 < parts[1].first <= 60
    assert 89 < parts[2].first < 120
    assert np.array_equal(Scene(parts[0].planes).image, images[0])
    assert np.array_equal(Scene(parts[2].planes).image, images[29])


def test_a_source_is_closed_where_the_first_pass_fails() -> None:
    with pytest.raises(SourceError):
        next(segue.foreground([], model="median", passes=2))


def test_scenes_are_counted_and_a_preset_that_comes_back_has_the_frames_of_both_visits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Somebody stands before the first preset throughout the second visit, and nobody during the first."""
    person = with_squares(wall(), [STANDS])
    with caplog.at_level("INFO", logger="segue"):
        made = learnt([wall()] * 30 + [wall(9)] * 30 + [person] * 30)
    scenes = made.scenes
    assert "3 scenes in 90 frames" in caplog.text
    assert made.summary == "first pass: 3 scenes in 90 frames"
    assert learnt([wall()] * 3).summary == "", "one scene is what everybody expects"
    assert [part.change for part in scenes.learnt] == ["none", "scene", "back"]
    assert np.abs(Scene(scenes.learnt[-1].planes).image.astype(int) - wall()).max() <= 2
