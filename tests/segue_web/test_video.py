"""Frames by index are those that a source gives one after the other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from segue.errors import SourceError
from segue.utils.cancel import CancelToken
from segue.video import open_source
from segue.video.decoding import frame_index
from segue.video.decoding.readers import LoadCancelledError, SourceImage
from segue.video.sources.images import write_image
from segue.video.sources.opening import open_reader
from segue_web.video import Video
from tests.segue_web.conftest import ServeHere
from tests.segue_web.videos import SAMPLE, numbered, write_video


@pytest.fixture
def constant(tmp_path: Path) -> Path:
    return write_video(tmp_path / "constant.mp4", numbered(40))


@pytest.fixture
def varying(tmp_path: Path) -> Path:
    ticks = np.cumsum([0, *[40 + 17 * (i % 5) for i in range(39)]]).tolist()
    return write_video(tmp_path / "varying.mkv", numbered(40), ticks=ticks, form="matroska")


@pytest.mark.parametrize("kind", ["constant", "varying"])
def test_any_order_gives_the_frames_of_the_source(kind: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(kind)
    expected = list(open_source(path))
    video = Video(path)

    assert video.count == len(expected) == 40
    for index in [0, 39, 3, 4, 5, 38, 12, 11, 13, 0, 25]:
        frame = video.frame(index)
        assert np.array_equal(frame.image, expected[index].image), index
        assert frame.time == pytest.approx(expected[index].time, abs=1e-6)


def test_a_long_video_without_an_index_is_announced_and_read_through(
    varying: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [frame.image for frame in open_source(varying)]
    monkeypatch.setattr(frame_index, "LONG_BYTES", 0)

    video = Video(varying)

    assert "reading it once" in capsys.readouterr().err
    assert video.count == 40
    assert np.array_equal(video.frame(31).image, expected[31])


def test_another_process_that_gets_the_index_shows_the_same_frames(varying: Path) -> None:
    expected = [frame.image for frame in open_source(varying)]
    index = Video(varying).index
    assert index is not None

    other = Video(varying, index)

    assert other.count == 40
    assert Video(varying, replace(index, stamps=index.stamps[:7])).count == 7, "it finds none of its own"
    assert all(np.array_equal(frame.image, expected[frame.index]) for frame in other.walk(0, 39))


@pytest.mark.parametrize("kind", ["constant", "varying"])
def test_going_back_decodes_no_frame_twice(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = request.getfixturevalue(kind)
    expected = [frame.image for frame in open_source(path)]
    video = Video(path)
    loaded: list[int] = []
    load = video._reader.load

    def counted(index: int, cancel: CancelToken | None) -> SourceImage:
        loaded.append(index)
        return load(index, cancel)

    monkeypatch.setattr(video._reader, "load", counted)
    for index in range(30, 15, -1):
        assert np.array_equal(video.frame(index).image, expected[index]), index
    video.close()  # what is decoded ahead is there
    assert len(loaded) == len(set(loaded))
    assert min(loaded) < 15, "frames before are decoded while one goes back"
    loaded.clear()
    video = Video(path)
    monkeypatch.setattr(video._reader, "load", counted)
    load = video._reader.__class__.load.__get__(video._reader)
    for index in range(3, 12):
        assert np.array_equal(video.frame(index).image, expected[index]), index
    assert max(loaded) < 12, "nor is a frame ahead decoded"
    assert len(loaded) == len(set(loaded))


def test_frames_that_are_kept_take_a_bounded_room(constant: Path) -> None:
    video = Video(constant, kept_bytes=5 * 48 * 64 * 3 // 2)
    for index in (39, 3, 4, 22):
        video.frame(index)
        assert index in video._decoded
        assert len(video._decoded) <= 5


def test_near_is_the_key_frame_before(constant: Path) -> None:
    video = Video(constant)
    assert video.index is not None
    keys = [entry.index for entry in video.index.entries]
    assert keys[1] <= 12

    near = video.jpeg(keys[1] + 3, near=True)

    assert near == video.jpeg(keys[1])
    image = cv2.imdecode(np.frombuffer(near, np.uint8), cv2.IMREAD_COLOR)
    assert abs(image[..., ::-1].astype(int) - video.frame(keys[1]).image).mean() < 8


def test_a_small_image_is_the_frame_itself(tmp_path: Path) -> None:
    video = Video(write_video(tmp_path / "v.mp4", numbered(15)))

    small = cv2.imdecode(np.frombuffer(video.jpeg(13, max_width=32), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]

    assert small.shape == (24, 32, 3)
    expected = cv2.resize(video.frame(13).image, (32, 24), interpolation=cv2.INTER_AREA)
    assert abs(small.astype(int) - expected).mean() < 8


def test_two_people_who_go_through_a_film_get_each_frame(constant: Path) -> None:
    expected = [frame.image for frame in open_source(constant)]
    video = Video(constant, kept_bytes=12 * 48 * 64 * 3 // 2)

    def goes_through(order: range) -> list[int]:
        return [i for i in order if not np.array_equal(video.frame(i).image, expected[i])]

    with ThreadPoolExecutor(4) as people:
        orders = range(40), range(39, -1, -1), range(0, 40, 7), range(38, 0, -5)
        assert [*people.map(goes_through, orders)] == [[], [], [], []]
    video.close()


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "libvpx-vp9", "libx265"])
def test_frames_that_no_other_needs_are_passed_over_and_the_next_ones_are_the_same(
    codec: str, tmp_path: Path
) -> None:
    path = tmp_path / "film.mkv"
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, width=128, height=96, pix_fmt="yuv420p")
        stream.options = {"g": "60", "bf": "3", "x265-params": "log-level=none"}
        for image in numbered(70, (96, 128)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    expected = [frame.image for frame in open_source(path)]
    reader = open_reader(path)
    assert reader.count == 70
    for index in (55, 56, 20, 43, 44, 69, 1, 33, 37):
        assert np.array_equal(reader.load(index).load(), expected[index]), index
    reader.close()


class CancelledAfter(CancelToken):
    """A token that is cancelled after it was looked at so many times."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __getattribute__(self, name: str) -> Any:
        if name != "cancelled":
            return super().__getattribute__(name)
        self.looks -= 1
        return self.looks < 0


@pytest.mark.parametrize("looks", [0, 1, 6, 13])
def test_the_next_call_continues_a_cancelled_decoding(looks: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.mp4", numbered(70), gap=70)
    expected = [frame.image for frame in open_source(path)]
    for later in (60, 30, 19, 12):  # on the way, or among frames that were passed over
        reader = open_reader(path)
        with pytest.raises(LoadCancelledError):
            reader.load(60, CancelledAfter(looks))
        for index in (later, later + 1):
            assert np.array_equal(reader.load(index).load(), expected[index]), index
        reader.close()


def test_a_frame_that_one_person_gives_up_is_decoded_for_another(
    constant: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [frame.image for frame in open_source(constant)]
    video = Video(constant)
    token, begun, go_on = CancelToken(), threading.Event(), threading.Event()
    load = video._reader.load

    def waits(index: int, cancel: CancelToken | None) -> SourceImage:
        begun.set()
        go_on.wait(60)
        return load(index, cancel)

    monkeypatch.setattr(video._reader, "load", waits)
    with ThreadPoolExecutor(2) as people:
        first = people.submit(video.jpeg, 30, cancel=token)
        assert begun.wait(60)
        second = people.submit(video.frame, 30)
        token.cancel()
        go_on.set()
        with pytest.raises(LoadCancelledError):
            first.result(60)
        assert np.array_equal(second.result(60).image, expected[30])
    video.close()


def test_a_folder_of_images_is_a_video(tmp_path: Path) -> None:
    for index, image in enumerate(numbered(3)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), image)

    video = Video(tmp_path)

    assert video.count == 3
    assert np.array_equal(video.frame(2).image, numbered(3)[2])


@pytest.mark.parametrize("content", [b"", b"no video at all", (SAMPLE / "video.mp4").read_bytes()[:3000]])
def test_invalid_videos_raise_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(content)

    with pytest.raises(SourceError, match=r"video\.mp4: [^\n]+$"):
        Video(path)


def test_the_page_takes_a_pattern_of_images_as_other_commands_do(
    serve_here: ServeHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    for i, image in enumerate(numbered(3)):
        write_image(folder / f"{i}.{'png' if i else 'jpg'}", image)
    monkeypatch.chdir(tmp_path)
    serve_here("annotate", "walk/*.png", "--device", "cpu")
    assert [path.name for path in Path("segue-out").iterdir()] == ["walk.project"]
    assert Video(Path("walk/*.png")).names == ("1", "2")
