"""The films of the foreground benchmarks, and how methods are scored on them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from segue.datasets.labels import MOTION, SHADOW, UNKNOWN
from segue.sessions.empty_scene import Scene
from segue.sessions.foreground import ForegroundSession
from segue.sessions.foreground_masks import ForegroundMasks
from segue.sessions.segmenters import Maps
from segue.sessions.subtractors import BackgroundDifference
from segue.types import Image
from tests.sessions.scenes import overlap, square_mask, wall, with_squares

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import foreground_checks as checks
import foreground_clips as clips
import foreground_events as happenings
import foreground_false_events as false_events
import foreground_scores as scores
from foreground_methods import session
from foreground_scenes import rendered_scenes
from foreground_scores import group_table, score, score_table, shadow_table
from segue.arrays import UInt8Array

SIZE = (96, 128)


def shots() -> Iterator[clips.Shot]:
    """A square that crosses a room again and again."""
    for t in range(310):
        place = [(30, 5 * (t % 40) - 40)]
        yield with_squares(wall(), place), np.where(square_mask(SIZE, place), MOTION, 0).astype(np.uint8)


FILM = clips.Film("room", np.ones(SIZE, bool), shots)


def test_a_method_is_scored_on_every_labelled_frame() -> None:
    found = score(FILM, session("median", without=["align"]))
    assert found.counts.tp + found.counts.fp + found.counts.fn + found.counts.tn == 310 * 96 * 128
    assert found.counts.measures()["F"] > 0.8
    assert "| median | 0." in score_table({"median": {"room": found}})


class Shady(BackgroundDifference):
    """Calls the upper half of the picture shadow."""

    channels = 2

    def step(self, image: Image, scene: Scene, plane: UInt8Array | None = None) -> Maps | None:
        maps = super().step(image, scene, plane)
        assert maps is not None
        shadow = np.zeros_like(maps[0])
        shadow[: len(shadow) // 2] = 1
        return np.stack([maps[0], shadow])


def test_shadow_is_scored_where_it_is_known() -> None:
    def shaded() -> Iterator[clips.Shot]:
        for _ in range(4):
            labels = np.zeros(SIZE, np.uint8)
            labels[24:72] = SHADOW
            labels[:12] = UNKNOWN
            yield wall(), labels

    film = clips.Film("shade", np.ones(SIZE, bool), shaded)
    found = score(film, ForegroundSession(Shady(), masks=ForegroundMasks(shadows=True)))
    width = SIZE[1]
    assert (found.shadow.tp, found.shadow.fp, found.shadow.fn) == (96 * width, 48 * width, 96 * width)
    plain = score(FILM, session("median", without=["align"]))
    table = shadow_table({"shady": {"room": plain, "shade": found}})
    assert table.splitlines()[2:] == [f"| shade | {2 * 96 / (2 * 96 + 48 + 96):.3f} |"]


def test_rendered_rooms_are_made_once_and_are_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []

    def render(command: list[str], **_: object) -> None:
        runs.append(command)
        room = tmp_path / "train/room-0"
        for kind, suffix in (("input", "jpg"), ("groundtruth", "png")):
            (room / kind).mkdir(parents=True)
            for i in range(1, 4):
                value = 90 if kind == "input" else 0
                picture = np.full((48, 64, 3) if kind == "input" else (48, 64), value, np.uint8)
                name = f"in{i:06d}" if kind == "input" else f"gt{i:06d}"
                PIL.Image.fromarray(picture).save(room / kind / f"{name}.{suffix}")
        PIL.Image.fromarray(np.full((48, 64), 255, np.uint8)).save(room / "ROI.bmp")
        (room / "temporalROI.txt").write_text("1 3")
        (tmp_path / "index.csv").write_text("split,name\n")

    monkeypatch.setattr("foreground_scenes.subprocess.run", render)
    for _ in range(2):
        groups = rendered_scenes(tmp_path)
    assert len(runs) == 1
    assert [len(list(film.shots())) for film in groups["rendered"]] == [3]
    found = {"median": {film.name: score(film, session("median")) for film in groups["rendered"]}}
    assert "| **rendered** | 0.000 |" in group_table(found, groups)


def test_in_a_shaken_film_the_labels_move_with_the_frames() -> None:
    compared = 0
    for image, labels in clips.shaken(FILM).shots():
        assert labels is not None
        if (labels == MOTION).sum() > 300 and not (labels == UNKNOWN).any():
            assert overlap(image[..., 0] > 200, labels == MOTION) > 0.85
            compared += 1
    assert compared > 3
    pictures = [image for image, _ in clips.shaken(FILM).shots()]
    assert all(not np.array_equal(one, other) for one, other in itertools.pairwise(pictures))


EVENTS = list(happenings.events([FILM]))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_events_have_frames_and_labels_that_belong_together(event: happenings.Event) -> None:
    played = list(event.film.frames())
    assert [frame.index for frame, _ in played] == list(range(len(played)))
    assert 0 <= event.at < len(played)
    for frame, labels in played:
        assert labels is not None
        assert frame.size == labels.shape


def test_there_is_no_truth_where_somebody_has_always_been() -> None:
    event = happenings.left(FILM, leaves=10)
    for index, (_, labels) in enumerate(event.film.shots()):
        assert labels is not None
        assert (labels == MOTION).sum() == 0
        assert (labels == UNKNOWN).any() == (index < 10)


def test_what_happens_is_in_the_pictures() -> None:
    def pictures(event: happenings.Event) -> list[np.ndarray]:
        return [image for image, _ in event.film.shots()]

    dark = pictures(happenings.switched(FILM))
    assert dark[happenings.BEFORE + 1].mean() < 0.7 * dark[happenings.BEFORE - 1].mean()
    assert {image.shape[0] for image in pictures(happenings.resized(FILM))} == {96, 48, 144}
    waves, still = pictures(happenings.waving(FILM)), pictures(happenings.empty(FILM))
    near, far = (np.abs(waves[7].astype(int) - still[7])[:, part].mean() for part in (np.s_[:50], np.s_[80:]))
    assert near > 3 * far
    missing = len(pictures(happenings.dropped(FILM)))
    assert missing == happenings.BEFORE + happenings.AFTER


def test_a_check_passes_on_the_right_side_of_its_limit() -> None:
    most, least = (checks.Check("a", "b", 0.5, limit, least) for limit, least in ((0.6, False), (0.6, True)))
    assert (most.passed, least.passed) == (True, False)
    assert not checks.Check("a", "b", float("nan"), 0.6).passed
    assert "| a | b | 0.5000 | ≥ 0.6 | **fail** |" in checks.table([least])


def test_a_model_that_sees_everything_everywhere_fails() -> None:
    class Flood(BackgroundDifference):
        def step(self, image: Image, scene: Scene, plane: UInt8Array | None = None) -> Maps | None:
            return np.ones((1, *image.shape[:2]), np.float32)

    found = checks.check_event(happenings.empty(FILM), ForegroundSession(Flood()))
    assert [item.passed for item in found] == [False, False]


def test_the_running_median_passes_where_it_is_strong() -> None:
    for event in (happenings.switched(FILM), happenings.resized(FILM), happenings.left(FILM)):
        for item in checks.check_event(event, session("median")):
            assert item.passed, item


def test_kept_scores_are_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "scores.json"
    short = clips.Film("short", FILM.roi, lambda: itertools.islice(shots(), 12))
    other = clips.Film("other", FILM.roi, lambda: itertools.islice(shots(), 15))
    options = scores.parse(["--data", "nowhere", "--methods", "median", "--keep", str(place)])
    measured: list[str] = []

    def counting(film: clips.Film, model: ForegroundSession) -> scores.Score:
        measured.append(film.name)
        return score(film, model)

    monkeypatch.setattr(scores, "score", counting)
    first = scores.run([short], options, scores.Kept(place, scores.settings(options)))
    again = scores.run([short, other], options, scores.Kept(place, scores.settings(options)))
    assert measured == ["short", "other"]
    assert again["median"]["short"] == first["median"]["short"]
    options.frames = 60
    with pytest.raises(SystemExit, match="was made with"):
        scores.Kept(place, scores.settings(options))


def following() -> ForegroundSession:
    return ForegroundSession(BackgroundDifference(), without=["align"], masks=ForegroundMasks(objects=True))


def test_events_are_counted_where_somebody_comes_and_nowhere_else() -> None:
    pictures = [image for image, _ in itertools.islice(shots(), 80)]
    assert len(false_events.false_events(pictures, 10.0, following())) == 2
    assert false_events.false_events([wall()] * 20, 10.0, following()) == []


def test_objects_count_as_found_where_those_with_events_cover_them() -> None:
    film = clips.Film("room", FILM.roi, lambda: itertools.islice(shots(), 80))
    assert false_events.recall(film, following()) == false_events.Recall(objects=2, found=2, others=0)

    def elsewhere() -> Iterator[clips.Shot]:
        for picture, labels in film.shots():
            assert labels is not None
            yield picture, np.roll(labels, 40, axis=0)

    missed = false_events.recall(clips.Film("elsewhere", FILM.roi, elsewhere), following())
    assert (missed.objects, missed.found, missed.others) == (2, 0, 2)
