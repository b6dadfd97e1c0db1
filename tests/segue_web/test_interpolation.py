"""Polygons between two that were drawn: corners, masks, and what a later change does to them."""

from __future__ import annotations

import asyncio
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from segue.errors import PromptError
from segue_web import messages
from segue_web.annotate import AnnotateBackend
from segue_web.exports import export_job, snapshot
from segue_web.label_files import read_labels
from segue_web.video import Video
from tests.segue_web.videos import numbered, write_video

SQUARE = np.array([(10, 10), (30, 10), (30, 30), (10, 30)], np.float64)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[AnnotateBackend]:
    backend = AnnotateBackend(Video(write_video(tmp_path / "video.mp4", numbered(12))), tmp_path / "p")
    yield backend
    backend.close()


Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(backend: AnnotateBackend) -> Ask:
    def run(op: str, **fields: Any) -> dict[str, Any]:
        if "frame" in fields:
            fields["seen"] = backend.project.frame_revision(fields["frame"])
        return asyncio.run(backend.handle(messages.parse(json.dumps({"id": 1, "op": op, **fields}))))

    return run


def draw(ask: Ask, frame: int, left: float, number: int | None = 1) -> dict[str, Any]:
    corners = (SQUARE - (10, 10)) / 2 + (left, 5)
    return ask("polygon", frame=frame, object=number, corners=corners.tolist())


def kinds(backend: AnnotateBackend) -> str:
    """The first letter of what is known of object 1 on each frame."""
    marks = [backend.project.marks(index).get(1) for index in range(12)]
    return "".join("." if mark is None else mark.kind[0] if mark.area else "-" for mark in marks)


def left_of(backend: AnnotateBackend, frame: int) -> int:
    return int(np.nonzero(backend.project.mask(frame) == 1)[1].min())


def test_two_polygons_fill_the_frames_between_them_in_one_step(backend: AnnotateBackend, ask: Ask) -> None:
    assert draw(ask, 2, 10, None) == {"object": 1, "frames": 0}
    assert draw(ask, 6, 30)["frames"] == 3
    assert kinds(backend) == "..giiig....."
    assert [left_of(backend, i) for i in range(2, 7)] == [10, 15, 20, 25, 30]
    ask("undo")
    assert kinds(backend) == "..g........."
    ask("undo", redo=True)

    assert draw(ask, 4, 40)["frames"] == 2
    assert [left_of(backend, i) for i in range(2, 7)] == [10, 25, 40, 35, 30]
    ask("forget", frame=4, object=1, hidden=False)
    assert kinds(backend) == "..giiig....."
    assert left_of(backend, 4) == 20
    ask("forget", frame=6, object=1, hidden=False)
    assert kinds(backend) == "..g........."


def test_what_was_corrected_between_two_polygons_stays(backend: AnnotateBackend, ask: Ask) -> None:
    stroke = [(50, 40), (60, 40), (60, 44), (50, 44)]
    draw(ask, 2, 10, None)
    draw(ask, 6, 30)
    ask("stroke", frame=3, object=1, add=True, path=stroke, width=None)
    corrected = backend.project.mask(3)
    assert corrected[41, 55] == 1
    ask("stroke", frame=6, object=1, add=True, path=stroke, width=None)
    draw(ask, 8, 30)
    assert kinds(backend) == "..ggiigig..."
    assert np.array_equal(backend.project.mask(3), corrected)
    assert left_of(backend, 7) == 30, "a polygon that was painted over is still interpolated from"
    assert backend.project.mask(7)[41, 55] == 0

    ask("forget", frame=5, object=1, hidden=True)
    assert kinds(backend) == "..gg.-gig...", "between two polygons the object was out of sight"


def test_a_page_is_given_the_polygon_to_move(ask: Ask) -> None:
    draw(ask, 2, 10, None)
    draw(ask, 6, 30)
    shown = [item["polygons"][1] for item in ask("look", frames=[2, 4, 9])["frames"]]
    assert [(item["kind"], item["corners"][0][0]) for item in shown] == [
        ("key", 10),
        ("between", 20),
        ("near", 30),
    ]


def test_polygons_that_cannot_be_are_refused(
    backend: AnnotateBackend, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PromptError):
        ask("polygon", frame=0, object=None, corners=[(900, 900), (950, 900), (950, 950)])
    assert backend.project.objects() == []
    draw(ask, 0, 10, None)
    monkeypatch.setattr("segue_web.edits.MOST_INTERPOLATED", 5)
    with pytest.raises(PromptError):
        draw(ask, 11, 30)
    assert kinds(backend) == "g..........."


def test_clearing_a_frame_between_far_polygons_leaves_what_lies_between_empty(
    backend: AnnotateBackend, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(ask, 0, 10, None)
    ask("forget", frame=5, object=1, hidden=True)
    draw(ask, 11, 30)
    monkeypatch.setattr("segue_web.edits.MOST_INTERPOLATED", 5)
    ask("forget", frame=5, object=1, hidden=False)
    assert kinds(backend) == "g..........g", "ten frames between are more than five"


def strip(left: int, right: int) -> list[tuple[int, int]]:
    """Corners of a strip across the polygons of :func:`draw`."""
    return [(left, 8), (right, 8), (right, 11), (left, 11)]


def test_cvat_gets_polygons_with_their_keyframes_and_masks_elsewhere(
    backend: AnnotateBackend, ask: Ask, tmp_path: Path
) -> None:
    draw(ask, 2, 10, None)
    draw(ask, 6, 30)
    ask("stroke", frame=4, object=1, add=True, path=strip(0, 5), width=None)
    ask("stroke", frame=3, object=None, add=True, path=strip(0, 20), width=None)  # lies over the polygon
    ask("object", object=1, attributes={"pose": "sits"})
    path = tmp_path / "a.xml"
    taken, tools = snapshot(backend.project, backend.video), SimpleNamespace(video=backend.video)
    list(export_job(tools, taken, "cvat", path))  # type: ignore[arg-type]

    root = ET.parse(path).getroot()
    polygons, *masks = root.findall("track")
    assert polygons.get("group_id") == "1"
    shapes = [
        tuple(int(shape.get(name, "")) for name in ("frame", "keyframe", "outside")) for shape in polygons
    ]
    assert shapes == [(2, 1, 0), (3, 0, 0), (4, 1, 1), (5, 1, 0), (6, 1, 0), (7, 1, 1)]
    assert {len(shape.get("points", "").split(";")) for shape in polygons} == {4}
    assert [shape.findtext("attribute") for shape in polygons] == ["sits"] * 6
    assert [(track.get("group_id"), track[0].tag, track[0].get("frame")) for track in masks] == [
        ("2", "mask", "3"),
        ("1", "mask", "4"),
    ]
    assert [label.findtext("type") for label in root.iter("label")] == ["any", "mask"]

    labels = read_labels(path, backend.video)
    assert labels.attributes == {1: {"pose": "sits"}}
    for index in range(2, 8):
        assert np.array_equal(labels.mask(index, backend.video.size), backend.project.mask(index)), index
