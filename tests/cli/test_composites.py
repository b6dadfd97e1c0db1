"""``segue data composites``: what it writes is read as the composites of HOFAM's release are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segue.datasets.foreground.cdnet import open_cdnet
from segue.datasets.foreground.sets import is_hofam, open_hofam, read_flow
from segue.flow import FlowImages
from tests.cli.running import Command
from tests.segue_train.scenes import save_scene


def test_frame_flow_and_truth_stand_side_by_side(command: Command, tmp_path: Path) -> None:
    save_scene(tmp_path / "cdnet", "baseline", "yard", frames=9, size=(256, 256))
    outcome = command("data", "composites", tmp_path / "cdnet", "--kind", "cdnet", "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("9 images of 1 videos")
    assert is_hofam(tmp_path / "out")
    (source,), (video,) = open_cdnet(tmp_path / "cdnet"), open_hofam(tmp_path / "out")
    assert video.frames[0].name == "baseline-yard_000001.png"
    assert len(video) == 9
    for i in (0, 6):
        np.testing.assert_array_equal(video.read_image(i), source.read_image(i))
        np.testing.assert_array_equal(video.read_labels(i), source.read_labels(i))
    flow = FlowImages()
    earlier = [source.read_image(6 - gap) for gap in flow.gaps]
    np.testing.assert_array_equal(read_flow(video.frames[6]), flow(source.read_image(6), earlier))
    assert (
        "is not empty" in command("data", "composites", tmp_path / "cdnet", "-o", tmp_path / "out").complaint
    )


def test_some_frames_of_some_videos_at_another_size(command: Command, tmp_path: Path) -> None:
    for name in ("yard", "road"):
        save_scene(tmp_path / "cdnet", "baseline", name, frames=9)
    words = ("data", "composites", tmp_path / "cdnet", "--kind", "cdnet", "-o", tmp_path / "out")
    outcome = command(*words, "--sequence", "baseline/road", "--frames", 3)
    assert outcome.code == 0, outcome.err
    names = [path.name for path in sorted((tmp_path / "out").iterdir())]
    assert names == [f"baseline-road_00000{number}.png" for number in (1, 5, 9)]
    (video,) = open_hofam(tmp_path / "out")
    assert video.read_image(1).shape == (256, 256, 3)
    assert set(np.unique(video.read_labels(1))) == {0, 255}
    elsewhere = ("data", "composites", tmp_path / "cdnet", "--kind", "cdnet", "-o", tmp_path / "other")
    assert "has no video goat" in command(*elsewhere, "--sequence", "goat").complaint
    assert "no foreground labels" in command(*elsewhere[:4], "davis", *elsewhere[5:]).complaint
