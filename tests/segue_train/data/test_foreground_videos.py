"""Samples of videos: a background without movers, and moving cameras brought to rest."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from segue.datasets.foreground.folder import open_plain
from segue.datasets.foreground.labels import MOTION, SHADOW, STATIC, UNKNOWN
from segue.errors import DatasetError
from segue_train.data.footage import gather
from segue_train.data.foreground.material import fill_pool, gather_foreground
from segue_train.data.foreground.samples import UNLIT
from segue_train.data.foreground.videos import MovingCameras, StillCameras
from tests.clips import Bytes
from tests.datasets.foreground_videos import save
from tests.segue_train.making import write_all, write_video

OFFSETS = (-2, -1, 0)
SIZE = (48, 64)


def save_video(root: Path, name: str, numbers: range, shadow: bool = True) -> None:
    """A white square of 10 pixels that moves by 4 pixels a frame over grey, with a dark stripe below."""
    for k, number in enumerate(numbers):
        frame, labels = np.full((60, 90, 3), 100, np.uint8), np.zeros((60, 90), np.uint8)
        frame[20:30, 4 * k : 4 * k + 10], labels[20:30, 4 * k : 4 * k + 10] = 250, MOTION
        if shadow:
            frame[31:34, 4 * k : 4 * k + 10], labels[31:34, 4 * k : 4 * k + 10] = 60, SHADOW
        save(root / name / "input" / f"in{number:06d}.png", frame)
        save(root / name / "groundtruth" / f"gt{number:06d}.png", labels)


def test_shadows_that_are_not_labelled_are_no_example_of_their_absence(tmp_path: Path) -> None:
    save_video(tmp_path, "walk", range(1, 15), shadow=False)
    maker = StillCameras(list(open_plain(tmp_path)), OFFSETS, SIZE, shadows=False)
    assert set(np.unique(maker.samples(np.random.default_rng(0))[0].labels)) <= {UNLIT, UNKNOWN, MOTION}


def test_a_gap_in_the_numbers_separates_scenes(tmp_path: Path) -> None:
    save_video(tmp_path, "a", range(1, 4))
    save_video(tmp_path, "a", range(10, 14))
    save_video(tmp_path, "a", range(20, 21))
    maker = StillCameras(list(open_plain(tmp_path)), OFFSETS, SIZE, shadows=True)
    assert [(run.first, run.last) for run in maker.runs] == [(0, 2), (3, 6)]
    save_video(tmp_path / "short", "a", range(1, 2))
    with pytest.raises(DatasetError):
        StillCameras(list(open_plain(tmp_path / "short")), OFFSETS, SIZE, shadows=True)


def panned(frames: int) -> Bytes:
    """A camera that pans over an image of many corners, (T, H, W, 3)."""
    coarse = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(cv2.resize(coarse, (450, 300), interpolation=cv2.INTER_NEAREST), (0, 0), 1)
    return np.stack([image[k : k + 120, 2 * k : 2 * k + 160] for k in range(frames)])


def test_frames_of_a_moving_camera_are_warped_onto_the_current_one(tmp_path: Path) -> None:
    frames = panned(26)
    masks = np.zeros(frames.shape[:3], np.uint8)
    masks[:, 50:70, 60:90] = 1
    videos = gather([str(write_video(tmp_path, "pan", frames, masks))], report=print).videos
    maker = MovingCameras(videos, OFFSETS, SIZE)
    unmoved = np.abs(np.diff(frames.astype(int), axis=0)).mean()
    for seed in range(3):
        (sample,) = maker.samples(np.random.default_rng(seed))
        for other in (*sample.window[:-1], sample.background[..., 3:6]):
            assert np.abs(other.astype(int) - sample.window[-1]).mean() < unmoved / 2
        assert set(np.unique(sample.labels)) <= {UNLIT, UNKNOWN, MOTION}


def test_frames_without_a_common_scene_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 24, 32, 3), dtype=np.uint8)
    folder = write_video(tmp_path, "noise", noise, np.ones(noise.shape[:3], np.uint8))
    maker = MovingCameras(gather([str(folder)], report=print).videos, OFFSETS, SIZE)
    with pytest.raises(DatasetError):
        maker.samples(np.random.default_rng(0))


@pytest.mark.usefixtures("small_shards")
def test_a_pool_is_filled_from_clips_and_videos(tmp_path: Path) -> None:
    videos, stills = write_all(tmp_path)
    save_video(tmp_path / "videos", "walk", range(1, 9))
    save_video(tmp_path / "videos", "held", range(1, 9))
    folders = [str(videos), str(stills), f"isd={tmp_path / 'videos'}"]
    footage, still_cameras = gather_foreground(folders, exclude=["held", "boat"], report=print)
    assert [video.name for videos in still_cameras.values() for video in videos] == ["walk"]
    assert [video.name for video in footage.videos] == ["kite"]
    folder = tmp_path / "pool"
    pool = fill_pool(
        folder, footage, still_cameras, OFFSETS, SIZE, samples=16, seed=1, workers=0, report=print
    )
    assert len(pool) == 16 + 4
    assert {value for sample in (pool[i] for i in range(16, 20)) for value in np.unique(sample.labels)} <= {
        STATIC,
        SHADOW,
        UNKNOWN,
        MOTION,
    }


def test_unknown_names_and_empty_data_are_refused(tmp_path: Path) -> None:
    save_video(tmp_path, "walk", range(1, 9))
    with pytest.raises(DatasetError):
        gather_foreground([f"isd={tmp_path}"], exclude=["wak"], report=print)
    material = gather_foreground([f"isd={tmp_path}"], exclude=["walk"], report=print)
    with pytest.raises(DatasetError):
        fill_pool(tmp_path / "p", *material, OFFSETS, SIZE, samples=0, seed=0, workers=0, report=print)
