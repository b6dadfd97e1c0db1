"""Start, end and stride as people write them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.errors import SourceError
from segue.video import open_source, parse_position
from segue.video.sources.span import parse_duration
from tests.video.making import drawn_image


@pytest.mark.parametrize(
    ("text", "position"),
    [
        (7, 7),
        (7.0, 7.0),
        (np.int64(7), 7),
        (np.float32(7.5), 7.5),
        ("250", 250),
        ("12.5s", 12.5),
        ("12s", 12.0),
        ("12.5", 12.5),
        (".5", 0.5),
        ("1:30", 90.0),
        ("01:02:03.5", 3723.5),
    ],
)
def test_a_position_is_a_frame_or_a_time(text: object, position: float) -> None:
    parsed = parse_position(text)
    assert parsed == position
    assert type(parsed) is type(position)


@pytest.mark.parametrize(
    "text", ["", "abc", "-3", "1:2:3:4", "1:75x", -1, -0.5, float("nan"), float("inf"), True]
)
def test_nonsense_is_refused_with_the_name_of_the_argument(text: object) -> None:
    with pytest.raises(SourceError, match=r"^start "):
        parse_position(text, "start")


@pytest.mark.parametrize(
    "arguments",
    [{"start": 5, "end": 5}, {"start": "2s", "end": 1.5}, {"end": 0}, {"stride": 0}, {"stride": 1.5}],
)
def test_a_span_that_holds_nothing_is_refused_before_reading(arguments: dict[str, object]) -> None:
    with pytest.raises(SourceError):
        open_source([drawn_image(0)] * 9, **arguments)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(0, 50), st.one_of(st.none(), st.integers(1, 60)), st.integers(1, 9))
def test_frames_of_a_span_are_those_of_range(total: int, start: int, end: int | None, stride: int) -> None:
    if end is not None and end <= start:
        return
    expected = list(range(total))[start:end:stride]
    source = open_source([drawn_image(0, (2, 2))] * total, start=start, end=end, stride=stride)
    assert source.frame_count == len(expected)
    if expected:
        assert [frame.index for frame in source] == expected
    else:
        with pytest.raises(SourceError):
            list(source)


def test_times_select_frames_by_their_time_stamps() -> None:
    source = open_source([drawn_image(0)] * 50, start="0.5s", end=1.1, fps=10)
    assert [frame.index for frame in source] == [5, 6, 7, 8, 9, 10]
    assert source.frame_count == 6


@pytest.mark.parametrize(("end", "indices"), [(None, [3, 4, 5]), ("0.45s", [3, 4]), (5, [3, 4])])
def test_a_part_of_a_source_has_its_frames_within_the_span(end: object, indices: list[int]) -> None:
    source = open_source([drawn_image(0)] * 9, end=end, fps=10)
    assert [frame.index for frame in source.part(3, 6)] == indices


def test_a_duration_without_a_unit_is_in_seconds() -> None:
    assert [parse_duration(text) for text in ("45", "45s", "1.5min", "0:45")] == [45.0, 45.0, 90.0, 45.0]


def test_limits_may_be_counted_by_numpy() -> None:
    limits = {"start": np.int64(2), "end": np.int32(9), "stride": np.int64(3)}
    source = open_source([drawn_image(0)] * 9, **limits)
    assert [frame.index for frame in source] == [2, 5, 8]
