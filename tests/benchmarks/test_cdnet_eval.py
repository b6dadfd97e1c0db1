"""The plain way of the benchmark counts what segue counts, so that times can be compared."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

from cdnet_eval import count, count_plainly, evaluate_plainly, make_frames
from segue.datasets.cdnet import open_cdnet
from tests.datasets.foreground_videos import save, save_cdnet_video


def test_both_ways_count_the_same_in_and_outside_a_region() -> None:
    results, labels = make_frames(3, 240, 320)
    roi = np.zeros((240, 320), np.bool_)
    roi[:, :250] = True
    found = count(results, labels, roi)
    assert found == count_plainly(results, labels, roi)
    assert found[0] > 0
    assert found[1] > 0


def test_both_ways_read_the_same_from_files(tmp_path: Path) -> None:
    results, labels = make_frames(2, 48, 64)
    save_cdnet_video(tmp_path / "data" / "baseline" / "office", dict(enumerate(labels, start=1)))
    for number, values in enumerate(results, start=1):
        save(tmp_path / "results" / f"bin{number:06d}.png", values)
    video = open_cdnet(tmp_path / "data")["office"]
    expected = count(results, labels, np.ones((48, 64), np.bool_))
    assert evaluate_plainly(video, tmp_path / "results") == list(expected)


@pytest.mark.parametrize("frames", [1, 4])
def test_made_up_frames_are_the_same_every_time(frames: int) -> None:
    for first, second in zip(make_frames(frames, 24, 32), make_frames(frames, 24, 32), strict=True):
        np.testing.assert_array_equal(first, second)
