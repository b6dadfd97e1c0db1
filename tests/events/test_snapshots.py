"""Images and clips of events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from segue.errors import SinkError
from segue.events import EventSink
from segue.events.images import snapshots as module
from segue.events.images.best_views import BETTER
from segue.events.images.snapshots import Snapshots, SnapshotWarning
from segue.types import Frame, ObjectInfo, Segmentation

FPS = 10


def seen(index: int, present: bool) -> tuple[Frame, Segmentation]:
    """A bright square that moves; the frame's brightness tells its index."""
    image, mask = np.full((64, 96, 3), 40 + index, np.uint8), np.zeros((64, 96), np.uint8)
    if present:
        mask[20:40, 10 + index : 30 + index] = 7
    image[mask > 0] = 230
    objects = (ObjectInfo(7),) if present else ()
    return Frame(index, index / FPS, image), Segmentation(index, index / FPS, mask, objects)


def record(folder: Path, frames: range, present: range, **options: Any) -> None:
    with EventSink(folder / "events.json", snapshots=Snapshots(folder / "seen", FPS, **options)) as sink:
        for index in frames:
            sink.write(*seen(index, index in present))


def images(path: Path) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    found = []
    while (read := video.read())[0]:
        found.append(read[1])
    return found


def test_each_event_has_a_image_with_its_object_and_a_clip_around_it(tmp_path: Path) -> None:
    record(tmp_path, range(100), range(40, 60))
    names = sorted(path.name for path in (tmp_path / "seen").iterdir())
    assert names == [
        "00001-enter-7.jpg",
        "00001-enter-7.mp4",
        "00002-leave-7.jpg",
    ]
    found = json.loads((tmp_path / "events.json").read_text())
    assert [event["snapshot"] for event in found] == ["00001-enter-7.jpg", "00002-leave-7.jpg"]
    assert [event["clip"] for event in found] == ["00001-enter-7.mp4"] * 2, "events of some seconds share it"
    still = cv2.imread(str(tmp_path / "seen/00001-enter-7.jpg"))
    assert abs(int(still[2, 2, 0]) - 80) < 4, "frame 40, where it came"
    for row, column in ((19, 60), (40, 60), (30, 49), (30, 70)):  # one pixel outside of each side
        blue, _, red = still[row, column].astype(int)
        assert red > blue + 60, "a box around it"
    clip = images(tmp_path / "seen/00001-enter-7.mp4")
    begin = 42 - module.SECONDS_BEFORE_EVENT * FPS  # the event is known on the third frame
    assert len(clip) == 60 - 42 + (module.SECONDS_BEFORE_EVENT + module.SECONDS_AFTER_EVENT) * FPS + 1
    assert abs(int(clip[0][2, 2, 0]) - (40 + begin)) < 4
    assert abs(int(clip[-1][2, 2, 0]) - (40 + 60 + module.SECONDS_AFTER_EVENT * FPS)) < 4


def test_a_clip_has_the_length_around_its_event_that_is_asked_for(tmp_path: Path) -> None:
    record(tmp_path, range(140), range(60, 66), before=5.0, after=6.0)
    (clip,) = (tmp_path / "seen").glob("*.mp4")
    shown = images(clip)
    assert abs(int(shown[0][2, 2, 0]) - (40 + 62 - 5 * FPS)) < 4  # the event is known on the third frame
    assert abs(int(shown[-1][2, 2, 0]) - (40 + 66 + 6 * FPS)) < 4


def test_a_busy_camera_encodes_few_frames_twice(tmp_path: Path) -> None:
    seconds, often = 44, 5  # frames from one object to the next
    folder = tmp_path / "seen"
    with EventSink(tmp_path / "events.json", snapshots=Snapshots(folder, FPS)) as sink:
        for index in range(seconds * FPS):
            frame, result = seen(index % 60, index % often < often - 1)
            ids = 1 + index // often
            objects = tuple(ObjectInfo(ids) for _ in result.objects)
            mask = (result.mask > 0).astype(np.uint8) * ids
            time = index / FPS
            sink.write(Frame(index, time, frame.image), Segmentation(index, time, mask, objects))
    clips = {path.read_bytes(): len(images(path)) for path in folder.glob("*.mp4")}
    assert len(list(folder.glob("*.jpg"))) > 60
    assert 1 < len(clips) < 4
    assert sum(clips.values()) < 1.4 * seconds * FPS


def test_images_in_the_folder_are_replaced_only_with_overwrite(tmp_path: Path) -> None:
    record(tmp_path, range(6), range(6))
    mine = tmp_path / "seen" / "mine.jpg"
    mine.touch()
    with pytest.raises(SinkError):
        Snapshots(tmp_path / "seen", FPS)
    old = [tmp_path / "seen" / name for name in ("00099-enter-7.mp4", ".00098-enter-7.mp4.0123abcd.partial")]
    for path in old:  # the second is of a run that was killed
        path.touch()
    (tmp_path / "events.json").unlink()
    record(tmp_path, range(6), range(6), replace=True)
    assert mine.exists()
    assert not any(path.exists() for path in old)


def test_a_live_source_drops_clips_rather_than_frames(tmp_path: Path) -> None:
    with pytest.warns(SnapshotWarning):
        record(tmp_path, range(6), range(6), live=True, waiting=0)
    assert sorted(path.suffix for path in (tmp_path / "seen").iterdir()) == [".jpg", ".jpg"]


def test_a_live_source_goes_on_where_images_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise SinkError(f"{path}: cannot be written (the disk is full; free some space)")

    monkeypatch.setattr(module, "write_complete", refuse)
    with pytest.raises(SinkError):
        record(tmp_path, range(6), range(6))
    with pytest.warns(SnapshotWarning, match=r"2 images or clips left out .*disk is full"):
        record(tmp_path, range(6), range(6), live=True, replace=True)
    assert [path.name for path in (tmp_path / "seen").iterdir()] == ["00001-enter-7.mp4"]
    assert (tmp_path / "events.json").exists()


def test_the_image_of_a_coming_shows_the_best_view_so_far(tmp_path: Path) -> None:
    """It comes from behind a door, 2 pixels more with each frame."""
    with EventSink(tmp_path / "events.json", snapshots=Snapshots(tmp_path / "seen", FPS)) as sink:
        for index in range(20):
            image, mask = np.full((64, 96, 3), 40 + index, np.uint8), np.zeros((64, 96), np.uint8)
            mask[10:50, 20 : 24 + 2 * index] = 7
            image[mask > 0] = 230
            result = Segmentation(index, index / FPS, mask, (ObjectInfo(7),))
            sink.write(Frame(index, index / FPS, image), result)
    still = cv2.imread(str(tmp_path / "seen/00001-enter-7.jpg"))
    shown = int((still[30, :, 1] > 200).sum())
    assert 2 * 19 + 4 >= shown > (2 * 19 + 4) / BETTER, "the first frame shows 4 pixels, the third 8"
