"""Clips of stcn-lite: the same for the same seed, with the ids they promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.errors import DatasetError
from segue_train.data.clips import (
    ClipBatches,
    ClipSampler,
    ClipShape,
)
from segue_train.data.footage import gather
from tests.segue_train.making import write_all

SHAPE = ClipShape(batch=2, frames=3, side=48, objects=2)


def plan(progress: float, rng: np.random.Generator) -> tuple[ClipShape, float, int]:
    return SHAPE, 0.5, 2


@pytest.fixture
def sampler(tmp_path: Path) -> ClipSampler:
    material = gather(map(str, write_all(tmp_path)), report=print)
    return ClipSampler(material.videos, material.stills)


def test_without_videos_and_still_images_there_is_no_sampler() -> None:
    with pytest.raises(DatasetError):
        ClipSampler([], [])


def test_videos_alone_are_still_images_too(tmp_path: Path) -> None:
    videos = gather([str(write_all(tmp_path)[0])], report=print).videos
    sampler = ClipSampler(videos, [])
    assert len(sampler.stills) == sum(map(len, videos))
    image, mask = sampler.stills[-1].read(0)
    expected = videos[-1].read(len(videos[-1]) - 1)
    assert np.array_equal(image, expected[0])
    assert np.array_equal(mask, expected[1])
    drawn = sampler.draw(np.random.default_rng(0), False, 1, ClipShape(1, 3, 48, 1))
    assert len(drawn.frames) == 3


def test_stills_without_any_object_are_refused(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(2):
        Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / "masks" / f"{number}.png")
    stills = gather([str(tmp_path)], report=print).stills
    with pytest.raises(DatasetError):
        ClipBatches(10, 0, ClipSampler([], stills), plan)[0]
