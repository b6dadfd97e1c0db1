"""Arrays, tensors and iterators as a source."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segue.errors import SourceError
from segue.types import Frame
from segue.video import open_source
from segue.video.readers import as_frame
from tests.video.making import picture


def test_a_list_of_arrays_gives_its_pictures_with_regular_times() -> None:
    with open_source([picture(i) for i in range(3)], fps=10) as source:
        frames = list(source)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.1, 0.2])
    assert [frame.image[0, 0, 0] for frame in frames] == [picture(i)[0, 0, 0] for i in range(3)]
    assert (source.size, source.original_size, source.frame_count, source.fps) == ((48, 64), (48, 64), 3, 10)


@pytest.mark.parametrize("make", [np.stack, lambda pictures: torch.from_numpy(np.stack(pictures))])
def test_one_array_or_tensor_holds_a_whole_video(make: object) -> None:
    source = open_source(make([picture(i) for i in range(4)]))
    assert source.frame_count == 4
    assert [int(frame.image.mean()) for frame in source] == [int(picture(i).mean()) for i in range(4)]


def test_grey_becomes_three_channels_and_alpha_is_dropped() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    rgba = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(next(iter(open_source([grey]))).image, np.stack([grey] * 3, axis=2))
    assert np.array_equal(next(iter(open_source([rgba]))).image, rgba[..., :3])


def test_an_iterator_is_read_once_in_the_thread_of_the_caller() -> None:
    source = open_source(picture(i) for i in range(3))
    assert source.frame_count is None
    assert source.size is None
    assert len(list(source)) == 3
    assert source.size == (48, 64)
    with pytest.raises(SourceError, match="only once"):
        iter(source)


def test_an_iterator_without_end_is_read_no_further_than_asked() -> None:
    taken: list[int] = []

    def endless() -> object:
        while True:
            taken.append(1)
            yield picture(0)

    assert len(list(open_source(endless(), end=2))) == 2
    assert len(taken) == 2


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (np.zeros((4, 5, 3), np.float32), "uint8, not float32; scale to 0..255"),
        (np.zeros((4, 5, 3), np.int64), "uint8, not int64"),
        (np.zeros((3, 40, 50), np.uint8), r"\(3, 40, 50\); move the channels last"),
        (np.zeros((4, 5, 7), np.uint8), r"\(H, W, 3\), not \(4, 5, 7\)"),
        (np.zeros((0, 5, 3), np.uint8), "5x0 are refused"),
        ("text", "not str"),
    ],
)
def test_a_wrong_array_is_an_error_that_names_the_frame(value: object, hint: str) -> None:
    with pytest.raises(SourceError, match=f"frame 1: .*{hint}"):
        list(open_source([picture(0), value]))


def test_pictures_of_another_size_are_an_error_that_tells_both_sizes() -> None:
    with pytest.raises(SourceError, match="frame 1 is 30x20, the frames before it are 64x48"):
        list(open_source([picture(0), picture(0, (20, 30))]))


@pytest.mark.parametrize("nothing", [[], np.zeros((0, 4, 4, 3), np.uint8)])
def test_no_pictures_are_an_error(nothing: object) -> None:
    with pytest.raises(SourceError, match="no frames"):
        open_source(nothing)


@pytest.mark.parametrize("value", [None, 3.5, b"film.mp4", {"a": 1}, True])
def test_what_has_no_frames_is_refused(value: object) -> None:
    with pytest.raises(SourceError, match="give a path"):
        open_source(value)


def test_the_picture_of_a_frame_is_looked_at() -> None:
    rgb = picture(0)
    frame = Frame(7, 0.5, rgb)
    assert as_frame(frame) is frame
    others = [rgb[..., 0], np.dstack([rgb, rgb[..., :1]]), torch.from_numpy(rgb)]
    for other, expected in zip(others, (np.repeat(rgb[..., :1], 3, 2), rgb, rgb), strict=True):
        taken = as_frame(Frame(7, 0.5, other))  # type: ignore[arg-type]
        assert (taken.index, taken.time, type(taken.image)) == (7, 0.5, np.ndarray)
        assert np.array_equal(taken.image, expected)
    with pytest.raises(SourceError, match="frame 7: expected uint8, not float64; scale to"):
        as_frame(Frame(7, 0.5, rgb / 255))
    with pytest.raises(SourceError, match=r"frame 7: expected a picture .* move the channels last"):
        as_frame(Frame(7, 0.5, rgb.transpose(2, 0, 1)))


def test_a_single_picture_is_no_video() -> None:
    with pytest.raises(SourceError, match="put one picture in a list"):
        open_source(picture(0))


@pytest.mark.parametrize(
    "arguments", [{"max_size": 0}, {"fps": 0}, {"fps": float("nan")}, {"on_damage": "ignore"}]
)
def test_arguments_that_cannot_be_meant_are_refused_by_name(arguments: dict[str, object]) -> None:
    with pytest.raises(SourceError, match=next(iter(arguments))):
        open_source([picture(0)], **arguments)


def test_max_size_bounds_the_longer_side_by_averaging() -> None:
    checks = np.zeros((40, 80, 3), np.uint8)
    checks[::2] = 200
    source = open_source([checks], max_size=20)
    image = next(iter(source)).image
    assert source.size == image.shape[:2] == (10, 20)
    assert source.original_size == (40, 80)
    assert (image == 100).all()


def test_max_size_never_enlarges() -> None:
    assert open_source([picture(0)], max_size=500).size == (48, 64)


def test_closing_ends_the_iteration_under_way_and_allows_another() -> None:
    source = open_source([picture(0)] * 3)
    frames = iter(source)
    next(frames)
    source.close()
    assert list(frames) == []
    assert len(list(source)) == 3
