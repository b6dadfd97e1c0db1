"""Windows from videos: which frames they show, and that what changes them leaves the labels true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segue.datasets.foreground.cdnet import open_cdnet
from segue.datasets.foreground.folder import ForegroundSequence
from segue.errors import DatasetError
from segue_train.data.foreground import videos as foreground_videos
from segue_train.data.foreground.material import gather_videos
from segue_train.data.foreground.videos import Crop, WindowBatches, WindowSampler
from tests.datasets.foreground_videos import save
from tests.segue_train.scenes import save_scene

SIZE = (32, 40)
OFFSETS = (-3, 0, 3)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cdnet")
    save_scene(root, "baseline", "yard")
    save_scene(root, "baseline", "office")
    save_scene(root, "shadow", "cubicle")
    return root


@pytest.fixture(scope="module")
def videos(root: Path) -> list[ForegroundSequence]:
    return list(open_cdnet(root))


def whole(shape: tuple[int, int]) -> Crop:
    """All of an image at its size."""
    return Crop((slice(None), slice(None)), False, shape)


def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave images as they are."""
    monkeypatch.setattr(foreground_videos, "augment", lambda rng, sample: sample)
    monkeypatch.setattr(foreground_videos, "draw_crop", lambda rng, shape, size, scale: whole(shape))


def test_videos_that_were_rendered_bring_depth_and_others_none(
    videos: list[ForegroundSequence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(monkeypatch)
    folder = save_scene(tmp_path, "train", "scene")
    for number in range(1, 10):
        ramp = np.linspace(1000, 3000, 48 * 64).reshape(48, 64) + 10 * number
        save(folder / "depth" / f"d{number:06d}.png", ramp.astype(np.uint16))
    rendered = list(open_cdnet(tmp_path))
    both = [
        WindowSampler(group, OFFSETS, (48, 64), background=False, depth=True) for group in (videos, rendered)
    ]
    batch = WindowBatches(1, 0, both, batch=2)[0]
    without, given = batch["depth"].numpy()
    assert not without.any()
    assert given[0, 0] < 3
    assert given[-1, -1] == 255
    assert (np.diff(given.astype(int).ravel()) >= 0).all()


def test_a_batch_depends_on_seed_and_number_alone(videos: list[ForegroundSequence]) -> None:
    samplers = [WindowSampler(videos[:1], OFFSETS, SIZE, background=False) for _ in range(2)]
    batches, again = (WindowBatches(4, 5, samplers, batch=3) for _ in range(2))
    assert len(batches) == 4
    shapes = {name: tuple(value.shape) for name, value in batches[1].items()}
    assert shapes == {"window": (3, 3, 3, 32, 40), "background": (3, 3, 32, 40), "labels": (3, 32, 40)}
    for name, value in again[1].items():
        assert torch.equal(value, batches[1][name])
    assert not torch.equal(batches[0]["window"], batches[1]["window"])
    with pytest.raises(IndexError):
        batches[4]


@pytest.mark.parametrize(
    ("data", "exclude", "message"),
    [
        ("FOLDER/nothing", [], "give LAYOUT=FOLDER"),
        ("FOLDER", ["baseline", "shadow"], "no videos to train on"),
        ("what=FOLDER", [], "one of cdnet, foreground, hofam, isd"),
        ("cdnet=FOLDER", ["kitchen"], "no scene or category kitchen"),
        ("cdnet=FOLDER", ["baseline", "shadow"], "no videos to train on"),
    ],
)
def test_data_that_do_not_fit_are_refused(root: Path, data: str, exclude: list[str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        gather_videos([data.replace("FOLDER", str(root))], exclude=exclude)
