"""Samples of videos: a background without movers, and moving cameras brought to rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.datasets.foreground import open_plain
from segue.datasets.labels import MOTION, SHADOW, STATIC, UNKNOWN
from segue.errors import DatasetError
from segue_train import foreground_pool
from segue_train.foreground_material import fill_pool, gather_foreground
from segue_train.foreground_samples import UNLIT
from segue_train.foreground_videos import StillCameras
from tests.datasets.foreground_videos import save
from tests.segue_train.making import write_all

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
    with pytest.raises(DatasetError, match="no video with labelled frames"):
        StillCameras(list(open_plain(tmp_path / "short")), OFFSETS, SIZE, shadows=True)


def test_a_pool_is_filled_from_clips_and_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreground_pool, "SHARD", 4)
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
    with pytest.raises(DatasetError, match="no sequence wak to exclude"):
        gather_foreground([f"isd={tmp_path}"], exclude=["wak"], report=print)
    material = gather_foreground([f"isd={tmp_path}"], exclude=["walk"], report=print)
    with pytest.raises(DatasetError, match="nothing to draw samples from"):
        fill_pool(tmp_path / "p", *material, OFFSETS, SIZE, samples=0, seed=0, workers=0, report=print)
