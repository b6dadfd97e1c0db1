"""Frames from the middle of a video file are those of decoding it from its beginning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from segue.errors import SourceError
from segue.types import Frame
from segue.video import open_source
from tests.video.making import busy_images, write_video

COUNT = 100
GROUP = {"g": "20", "keyint_min": "20", "sc_threshold": "0", "crf": "30"}
CASES = {
    "b-frames": (".mp4", {**GROUP, "bf": "3"}, False),
    "variable rate": (".mp4", {**GROUP, "bf": "2"}, True),
    "matroska": (".mkv", {**GROUP, "bf": "2"}, True),
    "transport stream": (".ts", {**GROUP, "bf": "2"}, False),
    "open groups": (".mkv", {**GROUP, "bf": "3", "x264-params": "open-gop=1:keyint=20:min-keyint=20"}, False),
    "open groups in a stream": (".ts", {**GROUP, "bf": "3", "x264-params": "open-gop=1:keyint=20"}, False),
    "intra refresh": (".mp4", {**GROUP, "x264-params": "intra-refresh=1:keyint=20"}, False),
    "one group": (".mp4", {"g": "1000", "bf": "2"}, False),
}


@dataclass
class Decoded:
    """A video, and its frames as they are decoded from its beginning."""

    path: Path
    frames: list[Frame]


@pytest.fixture(scope="module", params=CASES)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Decoded:
    suffix, options, varies = CASES[request.param]
    times = None
    if varies:
        times = np.cumsum(np.random.default_rng(3).choice([0.04, 0.08, 0.1], COUNT)).tolist()
    path = tmp_path_factory.mktemp("videos") / f"video{suffix}"
    write_video(path, busy_images(COUNT, (48, 64)), times=times, fps=25, options=options)
    return Decoded(path, list(open_source(path)))


@pytest.mark.parametrize("start", [60, 79, 80, 81, 95, 99, "2.4s", "3.21s"])
def test_frames_from_the_middle_are_those_of_plain_decoding(video: Decoded, start: int | str) -> None:
    if isinstance(start, int):
        plain = video.frames[start:]
    else:
        plain = [frame for frame in video.frames if frame.time >= float(start.removesuffix("s")) - 1e-9]
    found = list(open_source(video.path, start=start))
    assert len(plain) > 0
    assert [(frame.index, frame.time) for frame in found] == [(frame.index, frame.time) for frame in plain]
    for one, other in zip(found, plain, strict=True):
        assert np.array_equal(one.image, other.image), one.index


def test_a_start_in_the_middle_does_not_decode_what_lies_long_before(tmp_path: Path) -> None:
    suffix, options, _ = CASES["b-frames"]
    path = write_video(tmp_path / f"video{suffix}", busy_images(COUNT, (48, 64)), fps=25, options=options)
    expected = list(open_source(path))
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    path.write_bytes(content)
    with pytest.raises(SourceError):  # what is damaged would be noticed
        list(open_source(path, on_damage="stop"))
    found = list(open_source(path, start=COUNT - 3, on_damage="stop"))
    assert [frame.index for frame in found] == [COUNT - 3, COUNT - 2, COUNT - 1]
    assert all(np.array_equal(frame.image, expected[frame.index].image) for frame in found)


def test_a_damaged_file_is_decoded_from_its_beginning(tmp_path: Path) -> None:
    suffix, options, _ = CASES["transport stream"]
    path = write_video(tmp_path / f"video{suffix}", busy_images(COUNT, (48, 64)), fps=25, options=options)
    content = bytearray(path.read_bytes())
    middle = len(content) // 3 // 188 * 188
    del content[middle : middle + 188 * 3]
    path.write_bytes(content)
    plain = [frame.index for frame in open_source(path, on_damage="hold", warn=lambda _: None)]
    sought = [frame.index for frame in open_source(path, start=70, on_damage="hold", warn=lambda _: None)]
    assert sought == plain[plain.index(70) :]
