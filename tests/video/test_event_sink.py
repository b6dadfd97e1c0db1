"""Tables of objects that come and go."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import SinkError
from segue.types import Frame, ObjectInfo, Segmentation
from segue.video import EventSink

HEADER = ["event", "object", "frame", "time", "x0", "y0", "x1", "y1", "area", "seconds", "largest"]


def result(index: int, boxes: Mapping[int, tuple[int, int, int, int]], hidden: tuple[int, ...] = ()) -> Any:
    """Frame and result with an object in each box (x0, y0, x1, y1); hidden ones are listed only."""
    mask = np.zeros((20, 30), np.uint8)
    for number, (x0, y0, x1, y1) in boxes.items():
        mask[y0:y1, x0:x1] = number
    objects = tuple(ObjectInfo(number) for number in sorted({*boxes, *hidden}))
    frame = Frame(index, index / 10, np.zeros((20, 30, 3), np.uint8))
    return frame, Segmentation(index, index / 10, mask, objects)


def write(path: Path, *results: Any, size: tuple[int, int] | None = None) -> None:
    with EventSink(path, size=size) as sink:
        for frame, segmentation in results:
            sink.write(frame, segmentation)


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def test_an_object_enters_and_leaves(tmp_path: Path) -> None:
    write(
        tmp_path / "events.csv",
        result(0, {}),
        *(result(t, {4: (t, 2, t + 5, 8)}) for t in range(1, 6)),
        result(6, {}, hidden=(4,)),
        result(7, {4: (7, 2, 9, 4)}),
        result(8, {}),
    )
    assert rows(tmp_path / "events.csv") == [
        HEADER,
        ["enter", "4", "1", "0.1", "1.0", "2.0", "6.0", "8.0", "30", "0.0", "30"],
        ["leave", "4", "7", "0.7", "7.0", "2.0", "9.0", "4.0", "4", "0.6", "30"],
    ]


def test_what_is_there_to_the_end_has_an_end(tmp_path: Path) -> None:
    write(tmp_path / "events.json", *(result(t, {1: (0, 0, 4, 4), 2: (9, 9, 12, 12)}) for t in range(3)))
    events = json.loads((tmp_path / "events.json").read_text())
    assert [(event["event"], event["object"]) for event in events] == [
        ("enter", 1),
        ("enter", 2),
        ("end", 1),
        ("end", 2),
    ]
    assert list(events[0]) == HEADER
    assert events[2] == {**events[0], "event": "end", "frame": 2, "time": 0.2, "seconds": 0.2}


def test_what_only_flickers_is_no_event(tmp_path: Path) -> None:
    write(tmp_path / "events.json", result(0, {1: (0, 0, 4, 4)}), result(1, {1: (0, 0, 4, 4)}), result(2, {}))
    assert json.loads((tmp_path / "events.json").read_text()) == []
    write(tmp_path / "events.csv")
    assert rows(tmp_path / "events.csv") == [HEADER]


def test_boxes_can_refer_to_another_size(tmp_path: Path) -> None:
    write(tmp_path / "events.json", *(result(t, {1: (2, 4, 6, 8)}) for t in range(3)), size=(40, 60))
    first = json.loads((tmp_path / "events.json").read_text())[0]
    assert [first[name] for name in ("x0", "y0", "x1", "y1", "area")] == [4, 8, 12, 16, 64]


def test_the_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    sink = EventSink(path)
    sink.write(*result(0, {1: (0, 0, 4, 4)}))
    sink.flush()
    assert not path.exists()
    sink.abort()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SinkError, match=r"events\.txt: events go to a file ending in \.csv or \.json"):
        EventSink(tmp_path / "events.txt")
