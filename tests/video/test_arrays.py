"""Arrays, tensors and iterators as a source."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from segue.errors import SourceError
from segue.masks.files import MAX_PIXELS
from segue.types import Frame
from segue.video import open_source
from segue.video.decoding.readers import as_frame
from tests.video.making import drawn_image, write_video


@pytest.mark.parametrize("make", [np.stack, lambda images: torch.from_numpy(np.stack(images))])
def test_one_array_or_tensor_holds_a_whole_video(make: object) -> None:
    source = open_source(make([drawn_image(i) for i in range(4)]))
    assert source.frame_count == 4
    assert [int(frame.image.mean()) for frame in source] == [int(drawn_image(i).mean()) for i in range(4)]


@pytest.mark.parametrize("make", [np.stack, lambda images: torch.from_numpy(np.stack(images)), list])
def test_arrays_with_their_channels_first_are_the_same_video(make: object) -> None:
    images = [drawn_image(i) for i in range(3)]
    source = open_source(make([np.moveaxis(image, -1, 0) for image in images]), layout="tchw")
    assert source.size == (48, 64)
    for frame, image in zip(source, images, strict=True):
        np.testing.assert_array_equal(frame.image, image)
    with pytest.raises(SourceError):
        open_source(0, layout="tchw")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_video(tmp_path / "clip.mp4", [drawn_image(i) for i in range(4)])
    return tmp_path / "clip.mp4"


def test_an_open_capture_of_opencv_is_a_source(clip: Path) -> None:
    capture = cv2.VideoCapture(str(clip))
    expected = [frame.image for frame in open_source(clip)]
    assert capture.read()[0]  # a frame that the program has taken itself
    source = open_source(capture)
    assert source.fps == pytest.approx(capture.get(cv2.CAP_PROP_FPS))
    found = [frame.image for frame in source]
    assert len(found) == 3
    assert np.abs(found[0].astype(int) - expected[1]).mean() < 3  # another decoder rounds otherwise
    with pytest.raises(SourceError):
        open_source(cv2.VideoCapture("none.mp4"))


def test_file_objects_are_sources(clip: Path) -> None:
    expected = [frame.image for frame in open_source(clip)]
    for open_file in (lambda: clip.open("rb"), lambda: io.BytesIO(clip.read_bytes())):
        with open_file() as file:
            source = open_source(file)
        for _ in range(2):
            found = [frame.image for frame in source]
            assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    buffer = io.BytesIO()
    Image.fromarray(drawn_image(0)).save(buffer, "PNG")
    buffer.seek(0)
    (frame,) = open_source(buffer)
    np.testing.assert_array_equal(frame.image, drawn_image(0))
    with pytest.raises(SourceError):
        open_source(io.StringIO("text"))
    with pytest.raises(SourceError):
        open_source(io.BytesIO(b"no video" * 50))


def test_a_pil_image_is_a_video_of_one_frame() -> None:
    image = drawn_image(0)
    (frame,) = open_source(Image.fromarray(image))
    np.testing.assert_array_equal(frame.image, image)


def test_an_iterator_is_read_once_in_the_thread_of_the_caller() -> None:
    source = open_source(drawn_image(i) for i in range(3))
    assert source.frame_count is None
    assert source.size is None
    assert len(list(source)) == 3
    assert source.size == (48, 64)
    with pytest.raises(SourceError):
        iter(source)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (np.zeros((4, 5, 3), np.float32), "uint8, not float32; scale to 0..255"),
        (np.zeros((4, 5, 3), np.int64), "uint8, not int64"),
        (np.zeros((3, 40, 50), np.uint8), r"\(3, 40, 50\); give layout=.tchw"),
        (np.zeros((4, 5, 7), np.uint8), r"\(H, W, 3\), not \(4, 5, 7\)"),
        (np.zeros((0, 5, 3), np.uint8), "5x0 are refused"),
        ("text", "not str"),
    ],
)
def test_a_wrong_array_is_an_error_that_names_the_frame(value: object, hint: str) -> None:
    with pytest.raises(SourceError, match=f"frame 1: .*{hint}"):
        list(open_source([drawn_image(0), value]))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([drawn_image(0), drawn_image(0, (20, 30))], r"frame 1 is 30x20, .* 64x48"),
        ([], "no frames"),
        (np.zeros((0, 4, 4, 3), np.uint8), "no frames"),
        (None, "give a path"),
        (3.5, "give a path"),
        (b"video.mp4", "give a path"),
        ({"a": 1}, "give a path"),
        (True, "give a path"),
        (drawn_image(0), "put one image in a list"),
    ],
)
def test_arrays_that_are_no_videos_are_refused(value: object, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        list(open_source(value))


@pytest.mark.parametrize(
    "arguments", [{"max_size": 0}, {"fps": 0}, {"fps": float("nan")}, {"on_damage": "ignore"}]
)
def test_arguments_that_cannot_be_meant_are_refused_by_name(arguments: dict[str, object]) -> None:
    with pytest.raises(SourceError, match=next(iter(arguments))):
        open_source([drawn_image(0)], **arguments)


def test_closing_ends_the_iteration_under_way_and_allows_another() -> None:
    source = open_source([drawn_image(0)] * 3)
    frames = iter(source)
    next(frames)
    source.close()
    assert list(frames) == []
    assert len(list(source)) == 3


def test_a_frame_of_more_pixels_than_any_image_may_have_is_refused() -> None:
    height = 1 << 14
    as_large = np.broadcast_to(np.uint8(7), (height, MAX_PIXELS // height, 3))
    larger = np.broadcast_to(np.uint8(7), (height, MAX_PIXELS // height + 1, 3))
    assert as_frame(Frame(0, 0.0, as_large)).image is as_large
    for image in (larger, Frame(0, 0.0, larger)):
        with pytest.raises(SourceError, match="are refused"):
            as_frame(image)
