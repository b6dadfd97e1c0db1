"""Videos with objects drawn over them: what stays of one that is closed, or had no room."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path

import av
import numpy as np
import pytest

from segue.errors import SinkError
from segue.formats.overlay import OverlayVideoSink
from segue.types import Frame, ObjectInfo, Segmentation
from tests.segue_web.limited_files import files_limited_to


def write(path: Path) -> weakref.ref[OverlayVideoSink]:
    """Write a video; gives its sink, which nobody holds."""
    mask = np.zeros((96, 128), np.uint8)
    mask[20:40, 30:60] = 1
    with OverlayVideoSink(path, 10) as sink:
        for index in range(12):
            image = np.random.default_rng(index).integers(0, 255, (96, 128, 3), np.uint8)
            sink.write(
                Frame(index, index / 10, image), Segmentation(index, index / 10, mask, (ObjectInfo(1),))
            )
    return weakref.ref(sink)


def test_an_encoder_is_freed_when_its_video_is_complete(tmp_path: Path) -> None:
    gc.disable()  # it takes 10 MB and more, and cameras write clips all day
    try:
        assert write(tmp_path / "clip.mp4")() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("size", "reorders"), [((96, 128), True), ((1442, 2560), False)])
def test_large_videos_have_no_b_frames_whose_images_would_wait_in_memory(
    tmp_path: Path, size: tuple[int, int], reorders: bool
) -> None:
    with OverlayVideoSink(tmp_path / "film.mp4", 10) as sink:
        for index in range(6):
            image = np.full((*size, 3), 40 * index, np.uint8)
            sink.write(
                Frame(index, index / 10, image), Segmentation(index, index / 10, np.zeros(size, np.uint8), ())
            )
    with av.open(tmp_path / "film.mp4") as video:
        packets = [packet for packet in video.demux() if packet.pts is not None]
    assert len(packets) == 6
    assert reorders == ([packet.pts for packet in packets] != sorted(packet.pts for packet in packets))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("room", [0, 20, 2000])
def test_a_full_disk_leaves_no_file_open(tmp_path: Path, room: int) -> None:
    with files_limited_to(room), pytest.raises(SinkError):
        write(tmp_path / "clip.mp4")
    held = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
    assert not [name for name in held if "clip.mp4" in name]
    assert [*tmp_path.iterdir()] == []
