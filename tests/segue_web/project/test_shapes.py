"""Shapes with keys become masks between their keys, in steps that can be taken back."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from segue.errors import PromptError, SegueError
from segue.formats.reading import read_labels
from segue.masks.measure import iou
from segue_web.annotate import AnnotateBackend
from segue_web.exports import snapshot, write_export
from segue_web.project.annotations import FrameAnnotation
from segue_web.project.importing import effects
from segue_web.server.conflicts import ConflictError
from segue_web.server.worker import Tools
from segue_web.video import Video
from tests.segue_web.test_annotate import SEEN, Ask, DirectWorker, request
from tests.segue_web.videos import numbered, write_video

COUNT, SIZE = 12, (120, 160)
SQUARE = [(20, 20), (50, 20), (50, 50), (20, 50)]


def corners(x: float, y: float = 0) -> list[tuple[float, ...]]:
    """The square moved, with handles that are not there."""
    return [(a + x, b + y, 0, 0, 0, 0) for a, b in SQUARE]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A texture that moves by 2 pixels a frame to the right."""
    noise = np.random.default_rng(3).integers(0, 255, (30, 60, 3)).astype(np.uint8)
    texture = cv2.resize(noise, (240, 120), interpolation=cv2.INTER_CUBIC)
    frames = [texture[:, 60 - 2 * index : 220 - 2 * index] for index in range(COUNT)]
    return write_video(tmp_path_factory.mktemp("video") / "video.mp4", np.stack(frames))


@pytest.fixture
def backend(path: Path, tmp_path: Path) -> Iterator[AnnotateBackend]:
    worker = DirectWorker(Tools(path, None, ("", None), "", None))
    with closing(AnnotateBackend(Video(path), tmp_path / "p", worker=worker)) as backend:
        yield backend


@pytest.fixture
def ask(backend: AnnotateBackend) -> Ask:
    seen = {"seen": SEEN}

    def run(op: str, **fields: Any) -> dict[str, Any]:
        return asyncio.run(
            backend.handle(request(op, **(seen if op not in ("undo", "look") else {}) | fields))
        )

    return run


@pytest.fixture
def square(ask: Ask) -> Ask:
    """Shape 1 of object 1 goes from frame 2 to frame 6, 8 pixels to the right."""
    assert ask("draw_shape", frame=2, object=None, points=SQUARE) == {"object": 1, "shape": 1}
    ask("shape_key", shape=1, frame=6, corners=corners(8))
    return ask


def left(backend: AnnotateBackend, frame: int) -> int | None:
    """The first column of object 1 on a frame."""
    columns = backend.project.plane(frame, 1).any(axis=0)
    return int(columns.argmax()) if columns.any() else None


def kinds(backend: AnnotateBackend) -> dict[int, str]:
    return {frame: mark.kind for frame, mark in backend.project.marks_of(1).items()}


def test_masks_between_keys_follow_the_corners(backend: AnnotateBackend, square: Ask) -> None:
    between = dict.fromkeys((3, 4, 5), "interpolated")
    assert kinds(backend) == {2: "given", **between, 6: "given"}
    assert [left(backend, frame) for frame in range(2, 7)] == [20, 22, 24, 26, 28]
    [shape] = square("look", frames=[3])["frames"][0]["shapes"].values()
    assert shape == {"corners": [list(each) for each in corners(2)], "on": True, "key": False}
    assert backend.project.shapes() == [
        {"id": 1, "object": 1, "hole": False, "keys": [[2, "linear", True], [6, "linear", True]]}
    ]
    assert square("undo")["label"] == "shape key"
    assert kinds(backend) == {2: "given"}
    square("undo", redo=True)
    assert left(backend, 4) == 24


def test_a_key_that_is_removed_or_moved_changes_the_frames_around(
    backend: AnnotateBackend, square: Ask
) -> None:
    square("shape_key", shape=1, frame=4, corners=corners(0))
    assert [left(backend, frame) for frame in range(2, 7)] == [20, 20, 20, 24, 28]
    square("remove_key", shape=1, frame=4)
    assert kinds(backend)[4] == "interpolated"
    assert left(backend, 4) == 24
    square("remove_key", shape=1, frame=6)
    assert kinds(backend) == {2: "given"}
    square("remove_key", shape=1, frame=2)
    assert (backend.project.shapes(), kinds(backend)) == ([], {})
    with pytest.raises(ConflictError, match="shape no longer exists"):
        square("remove_key", shape=1, frame=2)


def test_a_shape_is_off_and_on_again(backend: AnnotateBackend, square: Ask) -> None:
    square("shape_key", shape=1, frame=3, on=False)
    square("shape_key", shape=1, frame=5, on=True)
    assert [left(backend, frame) for frame in range(2, 7)] == [20, None, None, 26, 28]
    assert backend.project.marks(4)[1].area == 0, "which is said, too"


def test_smooth_keys_are_no_straight_line(backend: AnnotateBackend, square: Ask) -> None:
    square("shape_key", shape=1, frame=10, corners=corners(40))
    for frame in (2, 6):
        square("shape_key", shape=1, frame=frame, motion="smooth")
    assert left(backend, 8) < 20 + (8 + 40) / 2
    assert [left(backend, frame) for frame in (2, 6, 10)] == [20, 28, 60]


def test_painted_masks_stay_until_a_key_is_set_on_their_frame(backend: AnnotateBackend, square: Ask) -> None:
    stroke = {"path": [(100, 100)], "width": 9, "add": True}
    square("stroke", frame=4, object=1, **stroke)
    painted = backend.project.plane(4, 1)
    square("shape_key", shape=1, frame=6, corners=corners(20))
    assert np.array_equal(backend.project.plane(4, 1), painted)
    assert left(backend, 5) == 35
    square("shape_key", shape=1, frame=4)
    assert left(backend, 4) == 30
    assert not backend.project.plane(4, 1)[100, 100]


def test_corners_are_added_removed_and_bent_in_all_keys(backend: AnnotateBackend, square: Ask) -> None:
    square("shape_corner", shape=1, corner=3, change="add")
    [shape] = square("look", frames=[6])["frames"][0]["shapes"].values()
    assert shape["corners"][4][:2] == [28, 35], "between the last one and the first one"
    area = backend.project.marks(4)[1].area
    square("shape_corner", shape=1, corner=1, change="bend")
    bent = backend.project.marks(4)[1].area
    assert bent != area
    square("shape_corner", shape=1, corner=1, change="bend")
    assert backend.project.marks(4)[1].area == area
    for _ in range(2):
        square("shape_corner", shape=1, corner=0, change="remove")
    with pytest.raises(PromptError, match="three corners"):
        square("shape_corner", shape=1, corner=0, change="remove")


def test_a_hole_is_cut_and_a_shape_is_removed(backend: AnnotateBackend, square: Ask) -> None:
    hole = [(30, 30), (40, 30), (40, 40), (30, 40)]
    assert square("draw_shape", frame=2, object=1, points=hole, hole=True)["shape"] == 2
    assert backend.project.marks(2)[1].area == 30 * 30 - 10 * 10
    square("remove_shape", shape=2)
    assert backend.project.marks(2)[1].area == 30 * 30
    square("remove_shape", shape=1)
    assert kinds(backend) == {}


def test_corners_go_with_the_surface(backend: AnnotateBackend, square: Ask) -> None:
    square("remove_key", shape=1, frame=6)
    assert square("track_plane", shape=1, frame=2, last=9) == {"last": 9, "lost": False}
    assert [left(backend, frame) for frame in (4, 9)] == [24, 34]
    assert [key[:2] for key in backend.project.shapes()[0]["keys"]] == [[2, "plane"], [9, "linear"]]
    # What a key on the way has else is spread over the frames.
    square("shape_key", shape=1, frame=9, corners=corners(14, 7))
    assert np.argmax(backend.project.plane(9, 1).any(axis=1)) == 27
    assert 22 <= np.argmax(backend.project.plane(5, 1).any(axis=1)) <= 24


def test_masks_become_a_shape(backend: AnnotateBackend, ask: Ask) -> None:
    with backend.project.change("masks"):
        number = backend.project.add_object()
        for frame in range(10):
            plane = np.zeros(SIZE, np.uint8)
            places = np.array(SQUARE) + np.array([4 * frame, frame**2 // 4])
            cv2.fillPoly(plane, [places], 1)
            backend.project.put(frame, {number: (plane > 0, FrameAnnotation("tracked", 0.9))})
    before = {frame: backend.project.plane(frame, 1) for frame in range(10)}
    answer = ask("shape_of_masks", object=1, first=0, last=9, quality=0.9)
    assert (answer["corners"], answer["keys"] <= 4) == (4, True)
    fits = [iou(backend.project.plane(frame, 1), mask) for frame, mask in before.items()]
    assert min(fits) == pytest.approx(answer["least"])
    assert answer["least"] >= 0.88
    with pytest.raises(PromptError, match="has shapes"):
        ask("shape_of_masks", object=1, first=0, last=9)
    ask("undo")
    assert backend.project.shapes() == []
    assert all(np.array_equal(backend.project.plane(frame, 1), mask) for frame, mask in before.items())


def test_a_shape_is_changed_as_it_was_seen_and_never_where_it_is_locked(
    backend: AnnotateBackend, square: Ask
) -> None:
    seen = backend.project.revision
    square("shape_key", shape=1, frame=6, corners=corners(9), user="Ann")
    with pytest.raises(ConflictError, match="the shape was changed by Ann"):
        square("shape_key", shape=1, frame=6, corners=corners(10), seen=seen)
    square("object", object=1, locked=True)
    for op, fields in (("shape_key", {"frame": 6}), ("remove_shape", {}), ("remove_key", {"frame": 6})):
        with pytest.raises(SegueError, match="locked"):
            square(op, shape=1, **fields)


def exported_tracks(backend: AnnotateBackend, folder: Path) -> list[list[dict[str, str]]]:
    """Attributes of the shapes of each track of an export for CVAT."""
    target = folder / "cvat.xml"
    for _ in write_export(backend.video, snapshot(backend.project, backend.video), "cvat", target):
        pass
    tracks = ET.parse(target).getroot().findall("track")
    return [[{"tag": shape.tag, **shape.attrib} for shape in track] for track in tracks]


def test_shapes_go_to_cvat_and_come_back_with_their_keys(
    backend: AnnotateBackend, square: Ask, path: Path, tmp_path: Path
) -> None:
    square("shape_key", shape=1, frame=9, corners=corners(8, 6), on=False)
    [track] = exported_tracks(backend, tmp_path)
    assert [(each["tag"], each["frame"], each["outside"]) for each in track] == [
        ("polygon", "2", "0"),
        ("polygon", "6", "0"),
        ("polygon", "9", "1"),
    ]
    worker = DirectWorker(Tools(path, None, ("", None), "", None))
    with closing(AnnotateBackend(Video(path), tmp_path / "q", worker=worker)) as other:
        labels = read_labels(tmp_path / "cvat.xml", other.video)
        other.import_all(labels, effects(other.project, labels))
        for frame in range(COUNT):
            assert np.array_equal(other.project.plane(frame, 1), backend.project.plane(frame, 1)), frame
        [shape] = other.project.shapes()
        assert [key[0] for key in shape["keys"]] == [2, 6, 9]
        [again] = exported_tracks(other, tmp_path)
        assert again == track
        key = {"op": "shape_key", "shape": 1, "frame": 6, "corners": corners(0), "seen": SEEN}
        asyncio.run(other.handle(request(**key)))
        assert left(other, 4) == 20, "and are edited as those that were drawn here"


def test_smooth_shapes_have_a_key_on_each_frame_of_cvat(
    backend: AnnotateBackend, square: Ask, tmp_path: Path
) -> None:
    square("shape_key", shape=1, frame=2, motion="smooth")
    square("shape_corner", shape=1, corner=0, change="bend")
    [track] = exported_tracks(backend, tmp_path)
    assert [each["frame"] for each in track] == ["2", "3", "4", "5", "6", "7"]
    assert [each["outside"] for each in track] == ["0"] * 5 + ["1"]


def test_masks_that_a_person_painted_go_to_cvat_as_masks(
    backend: AnnotateBackend, square: Ask, tmp_path: Path
) -> None:
    square("stroke", frame=4, object=1, path=[(100, 100)], width=9, add=True)
    assert {shape["tag"] for track in exported_tracks(backend, tmp_path) for shape in track} == {"mask"}


def test_key_frames_of_cvat_become_keys(tmp_path: Path) -> None:
    """Case 43: a box that moves in a straight line, given on two frames, gone from frame 15 on."""
    video = Video(write_video(tmp_path / "v.mp4", numbered(20, (144, 192))))
    box = '<box frame="{}" outside="{}" occluded="0" keyframe="1" xtl="{}" ytl="{}" xbr="{}" ybr="{}"/>'
    shapes = "".join(
        box.format(frame, int(frame == 15), 10 + 6 * frame, 20 + 3 * frame, 58 + 6 * frame, 68 + 3 * frame)
        for frame in (0, 10, 15)
    )
    track = f'<track id="0" label="ball">{shapes}</track>'
    (tmp_path / "boxes.xml").write_text(f"<annotations><version>1.1</version>{track}</annotations>")
    labels = read_labels(tmp_path / "boxes.xml", video)
    [[shape]] = labels.shapes.values()
    assert [(frame, key.on) for frame, key in shape.keys.items()] == [(0, True), (10, True), (15, False)]
    at = shape.corners_at(5)
    assert at is not None
    assert at[:, :2].tolist() == [[40, 35], [88, 35], [88, 83], [40, 83]]
    assert sorted(labels.masks) == [*range(15)]
    video.close()


def test_shapes_go_with_their_object(backend: AnnotateBackend, square: Ask) -> None:
    square("remove", object=1)
    assert backend.project.shapes() == []
    square("undo")
    assert [shape["object"] for shape in backend.project.shapes()] == [1]


def test_a_shape_is_split_with_its_object(backend: AnnotateBackend, square: Ask) -> None:
    square("shape_key", shape=1, frame=4, corners=corners(2))
    masks = {frame: backend.project.plane(frame, 1) for frame in range(2, 7)}

    assert square("split", object=1, frame=5) == {"object": 2}

    keys = {shape["object"]: [key[0] for key in shape["keys"]] for shape in backend.project.shapes()}
    assert keys == {1: [2, 4], 2: [5, 6]}
    for number in (1, 2):
        assert backend.project.is_shaped(number), "the shapes make the masks that were there"
    for frame, mask in masks.items():
        assert np.array_equal(backend.project.plane(frame, 1 if frame < 5 else 2), mask)
    square("shape_key", shape=2, frame=6, corners=corners(40))
    assert backend.project.plane(6, 2).any(axis=0).argmax() == 60
    square("undo")
    square("undo")
    assert [shape["object"] for shape in backend.project.shapes()] == [1]


def test_a_surface_is_followed_in_both_parts(backend: AnnotateBackend, square: Ask) -> None:
    square("remove_key", shape=1, frame=6)
    square("track_plane", shape=1, frame=2, last=9)
    masks = {frame: backend.project.plane(frame, 1) for frame in range(2, 10)}

    square("split", object=1, frame=6)

    for number, frames in ((1, range(2, 6)), (2, range(6, 10))):
        [shape] = backend.project.shapes_of(number).values()
        assert shape.span == frames
        for frame in frames:
            outline = shape.outline(frame)
            assert outline is not None
            drawn = cv2.fillPoly(np.zeros(SIZE, np.uint8), [np.round(outline).astype(np.int32)], 1)
            assert iou(drawn == 1, masks[frame]) > 0.9


def test_shapes_are_merged_with_their_objects(backend: AnnotateBackend, square: Ask) -> None:
    square("draw_shape", frame=3, object=None, points=[(x + 60, y) for x, y in SQUARE])
    square("shape_key", shape=2, frame=8, corners=corners(70))
    painted = {"frame": 5, "object": 2, "add": True, "path": [(10, 100)], "width": 7}
    square("stroke", **painted)
    project = backend.project
    masks = {f: project.plane(f, 1) | project.plane(f, 2) for f in range(2, 9)}

    square("merge", object=2, into=1)

    assert [(shape["id"], shape["object"]) for shape in project.shapes()] == [(1, 1), (2, 1)]
    for frame, mask in masks.items():
        assert np.array_equal(project.plane(frame, 1), mask), frame
    assert project.marks(4)[1].kind == "interpolated"
    square("shape_key", shape=1, frame=6, corners=corners(20))
    assert project.plane(4, 1)[30, 40:60].all(), "a key moves what the shapes have made"
    assert np.array_equal(project.plane(5, 1), masks[5]), "what was painted stays"
    square("undo")
    square("undo")
    assert [(shape["id"], shape["object"]) for shape in project.shapes()] == [(1, 1), (2, 2)]
    assert project.is_shaped(1)


def test_a_hole_of_another_object_takes_nothing_away(backend: AnnotateBackend, square: Ask) -> None:
    square("draw_shape", frame=2, object=None, points=[(10, 10), (80, 10), (80, 80), (10, 80)])
    square("draw_shape", frame=2, object=2, points=[(15, 15), (60, 15), (60, 60), (15, 60)], hole=True)
    both = backend.project.plane(2, 1) | backend.project.plane(2, 2)

    square("merge", object=2, into=1)

    assert np.array_equal(backend.project.plane(2, 1), both)
    assert len(backend.project.shapes_of(1)) == 3
