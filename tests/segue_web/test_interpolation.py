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
from hypothesis import given
from hypothesis import strategies as st

from segue.errors import PromptError
from segue.masks import encode_rle
from segue_web import messages
from segue_web.annotate import AnnotateBackend
from segue_web.exports import export_job, snapshot
from segue_web.film import Film
from segue_web.interpolation import filled, interpolated, matched
from segue_web.label_files import read_complete_labels
from tests.segue_web.films import numbered, write_film

SQUARE = np.array([(10, 10), (30, 10), (30, 30), (10, 30)], np.float64)
PENTAGON = np.array([(0, 10), (5, 0), (10, 10), (10, 20), (0, 20)], np.float64)


@given(turn=st.integers(0, 3), back=st.booleans(), by=st.tuples(st.floats(-50, 50), st.floats(-50, 50)))
def test_a_polygon_that_only_moves_keeps_its_form_wherever_it_was_begun(
    turn: int, back: bool, by: tuple[float, float]
) -> None:
    moved = np.roll(SQUARE + by, turn, axis=0)
    half = interpolated(SQUARE, moved[::-1] if back else moved, 0.5)
    assert np.allclose(half, SQUARE + np.array(by) / 2, atol=1e-9)


def test_a_polygon_of_more_corners_gives_both_as_they_were_drawn() -> None:
    wide = np.array([(40, 40), (60, 40), (60, 60), (40, 60)], np.float64)
    one, two = matched(PENTAGON, wide)
    assert one.shape == two.shape
    for drawn, found in ((PENTAGON, one), (wide, two)):
        assert all(np.abs(found - corner).sum(1).min() < 1e-6 for corner in drawn), "every corner is there"
        assert np.array_equal(filled(drawn, (80, 80)), filled(found, (80, 80)))
    half = filled(interpolated(PENTAGON, wide, 0.5), (80, 80))
    ys, xs = np.nonzero(half)
    assert abs(xs.mean() - 27.5) < 1.5, "half way"
    assert abs(ys.mean() - 31.3) < 2
    assert filled(PENTAGON, (80, 80)).sum() < half.sum() < filled(wide, (80, 80)).sum(), "and no bow tie"


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[AnnotateBackend]:
    backend = AnnotateBackend(Film(write_film(tmp_path / "film.mp4", numbered(12))), tmp_path / "p")
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
    ask("redo")

    assert draw(ask, 4, 40)["frames"] == 2
    assert [left_of(backend, i) for i in range(2, 7)] == [10, 25, 40, 35, 30]
    ask("forget", frame=4, object=1, hidden=False)
    assert kinds(backend) == "..giiig....."
    assert left_of(backend, 4) == 20
    ask("forget", frame=6, object=1, hidden=False)
    assert kinds(backend) == "..g........."


def test_what_was_corrected_between_two_polygons_stays(backend: AnnotateBackend, ask: Ask) -> None:
    stroke = np.zeros(backend.film.size, np.bool_)
    stroke[40:44, 50:60] = True
    draw(ask, 2, 10, None)
    draw(ask, 6, 30)
    ask("stroke", frame=3, object=1, add=True, counts=encode_rle(stroke)["counts"])
    corrected = backend.project.mask(3)
    assert corrected[41, 55] == 1
    ask("stroke", frame=6, object=1, add=True, counts=encode_rle(stroke)["counts"])
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
    with pytest.raises(PromptError, match="no pixel"):
        ask("polygon", frame=0, object=None, corners=[(900, 900), (950, 900), (950, 950)])
    assert backend.project.objects() == []
    draw(ask, 0, 10, None)
    monkeypatch.setattr("segue_web.edits.MOST_INTERPOLATED", 5)
    with pytest.raises(PromptError, match="10 frames are more than 5 to interpolate"):
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


def strip(backend: AnnotateBackend, left: int, right: int) -> str:
    """Run lengths of a strip across the polygons of :func:`draw`."""
    stroke = np.zeros(backend.film.size, np.bool_)
    stroke[8:11, left:right] = True
    return encode_rle(stroke)["counts"]


def test_polygons_are_read_once_for_each_change(backend: AnnotateBackend, ask: Ask) -> None:
    draw(ask, 2, 10, None)
    draw(ask, 6, 30)
    statements: list[str] = []
    backend.project._db.set_trace_callback(statements.append)
    for _ in range(3):
        ask("look", frames=[*range(12)])
    read = [text for text in statements if "FROM prompts" in text and "WHERE frame=" not in text]
    assert len(read) <= 1
    draw(ask, 8, 40)
    assert [len(item["polygons"]) for item in ask("look", frames=[8])["frames"]] == [1]
    ask("undo")
    ask("undo")
    (shown,) = ask("look", frames=[6])["frames"]
    assert shown["polygons"][1]["kind"] == "near", "the polygons that were undone are forgotten"


def test_pages_hear_that_a_polygon_is_shown_on_all_frames(backend: AnnotateBackend, ask: Ask) -> None:
    events: list[dict[str, Any]] = []
    backend.send = events.append
    draw(ask, 2, 10, None)
    ask("stroke", frame=3, object=1, add=True, counts=strip(backend, 0, 5))
    ask("undo")
    ask("undo")
    assert [event.get("polygons", False) for event in events] == [True, False, False, True]


def test_cvat_gets_polygons_with_their_keyframes_and_masks_elsewhere(
    backend: AnnotateBackend, ask: Ask, tmp_path: Path
) -> None:
    draw(ask, 2, 10, None)
    draw(ask, 6, 30)
    ask("stroke", frame=4, object=1, add=True, counts=strip(backend, 0, 5))
    ask("stroke", frame=3, object=None, add=True, counts=strip(backend, 0, 20))  # lies over the polygon
    ask("object", object=1, attributes={"pose": "sits"})
    path = tmp_path / "a.xml"
    list(export_job(SimpleNamespace(film=backend.film), snapshot(backend.project, None), "cvat", path))  # type: ignore[arg-type]

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

    labels = read_complete_labels(path, backend.film)
    assert labels.attributes == {1: {"pose": "sits"}}
    for index in range(2, 8):
        assert np.array_equal(labels.mask(index, backend.film.size), backend.project.mask(index)), index


def test_polygons_that_cover_each_other_go_to_cvat_as_they_lie(
    backend: AnnotateBackend, ask: Ask, tmp_path: Path
) -> None:
    draw(ask, 2, 10, None)
    draw(ask, 2, 15, None)  # over the first one
    draw(ask, 4, 15, 2)
    draw(ask, 4, 10, 1)  # over the second one
    path = tmp_path / "a.xml"
    list(export_job(SimpleNamespace(film=backend.film), snapshot(backend.project, None), "cvat", path))  # type: ignore[arg-type]
    labels = read_complete_labels(path, backend.film)
    for index in range(2, 5):
        assert np.array_equal(labels.mask(index, backend.film.size), backend.project.mask(index)), index
    tags = [
        (shape.tag, shape.get("frame")) for shape in ET.parse(path).getroot().iter() if shape.get("frame")
    ]
    assert ("polygon", "2") in tags
