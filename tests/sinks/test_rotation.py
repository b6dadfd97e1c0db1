"""Parts of an output of a source without an end."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.errors import SinkError
from segue.formats.base import Sink
from segue.sinks.rotation import RotatingSink, new_part, part_path, parts_of
from segue.types import Frame, Segmentation
from tests.events.test_sink import big


class Part(Sink):
    """Notes what happens to it."""

    def __init__(self, fails: str = "") -> None:
        self.history: list[str] = []
        self._fails = fails

    def write(self, frame: Frame, _: Segmentation) -> None:
        self._note("write")

    def close(self) -> None:
        self._note("close")

    def abort(self) -> None:
        self._note("abort")

    def _note(self, what: str) -> None:
        self.history.append(what)
        if what == self._fails:
            raise SinkError(f"{what}: the disk is full")


def rotated(first: Part, second: Part | None) -> None:
    """Two frames, one in each part; there is no second one where it cannot be opened."""

    def open_part(begin: float) -> Part:
        if begin and second is None:
            raise SinkError("no room for another part")
        return second if begin and second is not None else first

    with RotatingSink(open_part, 1.0) as sink:
        sink.write(*big(0, {}))
        sink.write(*big(10, {}))


def test_a_part_is_complete_where_the_next_one_cannot_be_opened() -> None:
    first = Part()
    with pytest.raises(SinkError, match="no room"):
        rotated(first, None)
    assert first.history == ["write", "close"], "its objects end in it"


def test_a_part_that_cannot_be_completed_is_aborted() -> None:
    first, second = Part("close"), Part()
    with pytest.raises(SinkError, match="close"):
        rotated(first, second)
    assert (first.history[-1], second.history) == ("abort", ["abort"])


@pytest.mark.parametrize("name", ["events.csv", "out"])
def test_parts_are_in_order_of_time_also_those_of_one_second(tmp_path: Path, name: str) -> None:
    made = []
    for time in [*["20261127T093000Z"] * 12, "20261127T093001Z"]:
        path = part_path(tmp_path / name, new_part([tmp_path / name], time))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        made.append(path)
    (tmp_path / "events-mine.csv").touch()
    assert parts_of(tmp_path / name) == made
