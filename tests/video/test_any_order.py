"""Frames of a source in any order, and backwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import SourceError
from segue.types import Frame
from segue.video import Source, open_source
from segue.video.sources.images import write_image
from tests.video.making import drawn_image, write_video

IMAGES = [drawn_image(i) for i in range(12)]


@pytest.fixture(params=["file", "folder", "list"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "list":
        return IMAGES
    if request.param == "file":
        return write_video(tmp_path / "v.mp4", IMAGES)
    for number, image in enumerate(IMAGES):
        write_image(tmp_path / "v" / f"{number:03d}.png", image)
    return tmp_path / "v"


def same(one: Frame, other: Frame) -> bool:
    near = abs(one.time - other.time) < 1e-9
    return near and one.index == other.index and np.array_equal(one.image, other.image)


@pytest.mark.parametrize(
    "part", [{}, {"start": 3, "end": 10}, {"start": 1, "stride": 3}, {"end": 0.6}, {"max_size": 20}]
)
def test_a_frame_is_the_one_of_an_iteration(place: Any, part: dict[str, Any]) -> None:
    source = open_source(place, **part)
    frames = list(source)
    assert source.times == pytest.approx({frame.index: frame.time for frame in frames}, abs=1e-9)
    for frame in frames[::-2]:
        assert same(source.frame(frame.index), frame)
    with pytest.raises(SourceError):
        source.frame(12)


@pytest.mark.parametrize("stride", [1, 3])
def test_frames_come_backwards_in_parts(place: Any, stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(place, start=1, stride=stride)
    frames = list(source)
    held: list[int] = []
    part = Source.part

    def noted(self: Source, start: int, end: int) -> Source:
        chosen = part(self, start, end)
        held.append(len(list(part(self, start, end))))
        return chosen

    monkeypatch.setattr("segue.video.sources.source.CHUNK_BYTES", 2 * IMAGES[0].nbytes)
    monkeypatch.setattr(Source, "part", noted)
    back = list(source.walk(frames[-1].index, frames[0].index))
    assert all(same(one, other) for one, other in zip(back, frames[::-1], strict=True))
    assert max(held) == 2
    middle = list(source.walk(frames[1].index, frames[2].index))
    assert [frame.index for frame in middle] == [frames[1].index, frames[2].index]


def test_iterators_have_no_random_access() -> None:
    source = open_source(iter(IMAGES))
    with pytest.raises(SourceError):
        source.times  # noqa: B018  a property that raises
    with pytest.raises(SourceError):
        source.frame(0)
