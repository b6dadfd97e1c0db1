"""Exports keep what lies on top, write each object, and never share a name or a hidden folder."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from segue.formats.reading import read_labels
from segue.masks.splines import KeyedShape, ShapeKey, shape_runs
from segue.utils.files import PartialFile, claim
from segue_web.annotate import AnnotateBackend
from segue_web.exports import claimed_path, export_formats, write_export
from segue_web.project.annotations import FrameAnnotation
from segue_web.project.importing import effects, store
from segue_web.project.project import Project
from segue_web.snapshot import snapshot
from segue_web.video import Video
from segue_web.viewing import read_results
from tests.needs import needs
from tests.segue_web.videos import numbered, write_video
from tests.sinks.test_exr import read as read_exr
from tests.waiting import wait_for

COUNT, SIZE = 12, (48, 64)
ON_TOP = [name for name, one in export_formats().items() if one.holds is not None and one.holds.layers]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Video]:
    path = write_video(tmp_path_factory.mktemp("video") / "video.mp4", numbered(COUNT))
    with closing(Video(path)) as video:
        yield video


def filled(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


HAND, TABLE = filled(0, 40, 10, 42), filled(8, 48, 10, 42)
"""They share 1,024 pixels."""


@pytest.fixture
def project(video: Video, tmp_path: Path) -> Iterator[Project]:
    """A hand, the first object, that lies on a table, the second one."""
    with closing(Project(tmp_path / "project", video.describe(), video.size)) as project:
        with project.change("draw"):
            hand, table = project.add_object("hand"), project.add_object("table")
            for index in range(4):
                planes = {hand: HAND, table: TABLE}
                project.put(index, {i: (plane, FrameAnnotation("given")) for i, plane in planes.items()})
            project.move_object(hand, None)
        assert (project_mask(project, 0) == 1)[HAND].all()
        yield project


def project_mask(project: Project, index: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    for i in project.masks(index):
        mask[project.plane(index, i)] = i
    return mask


def exported(video: Video, project: Project, form: str, target: Path) -> Path:
    for _ in write_export(video, snapshot(project, video), form, target):
        pass
    return target


@pytest.mark.parametrize("form", ON_TOP)
def test_no_pixel_changes_its_owner_by_export_and_import(
    form: str, video: Video, project: Project, tmp_path: Path
) -> None:
    target = exported(video, project, form, tmp_path / f"out{export_formats()[form].suffix}")
    labels = read_labels(target, video)
    for index in range(4):
        found = [labels.names[i] for i in labels.masks[index]]
        assert found == ["table", "hand"], "from below"
        mask = labels.mask(index)
        (hand,) = (i for i, name in labels.names.items() if name == "hand")
        assert np.array_equal(mask == hand, HAND)
    with closing(Project(tmp_path / "other", video.describe(), video.size)) as other:
        with other.change("import"):
            store(other, labels, effects(other, labels))
        rows = {row["name"]: row["id"] for row in other.objects()}
        for index in range(4):
            assert np.array_equal(project_mask(other, index) == rows["hand"], HAND)


def test_cvat_gets_the_higher_level_for_what_lies_above(
    video: Video, project: Project, tmp_path: Path
) -> None:
    root = ET.parse(exported(video, project, "cvat", tmp_path / "out.xml")).getroot()
    levels = {(track.get("label"), mask.get("z_order")) for track in root.iter("track") for mask in track}
    assert levels == {("hand", "2"), ("table", "1")}
    assert {track.get("group_id") for track in root.iter("track")} == {"1", "2"}


def test_a_project_is_viewed_as_its_page_shows_it(video: Video, project: Project) -> None:
    shown = read_results(project.folder, video)
    assert np.array_equal(shown.mask(0), project_mask(project, 0))
    assert {i: shown.names[i] for i in sorted(shown.names)} == {1: "hand", 2: "table"}


NAMES = ("cat", "cat", "cat_1", "Cat", "ca\u0301t", "cát", "cat_2", "///", "___")


def test_each_object_has_a_file_and_a_layer(video: Video, tmp_path: Path) -> None:
    needs("OpenEXR")
    with closing(Project(tmp_path / "project", video.describe(), video.size)) as project:
        with project.change("draw"):
            for place, name in enumerate(NAMES):
                i = project.add_object(name)
                plane = filled(2 * place, 2 * place + 2, place, place + 5)
                project.put(0, {i: (plane, FrameAnnotation("given"))})
        taken = snapshot(project, video, each=True, first=0, last=0)
        assert len([*write_export(video, taken, "coco", tmp_path / "each")]) == len(NAMES)
        files = [path.stem for path in (tmp_path / "each").iterdir()]
        assert len({name.casefold() for name in files}) == len(NAMES)
        assert "cat_1" in files, "a name that one object has alone is its name"
        ids = [json.loads(path.read_text())["objects"][0]["id"] for path in (tmp_path / "each").iterdir()]
        assert sorted(ids) == [*range(1, len(NAMES) + 1)]
        for _ in write_export(video, snapshot(project, video, first=0, last=0), "exr", tmp_path / "exr"):
            pass
        for place, name in enumerate(files):
            alpha = read_exr(tmp_path / "exr" / "00000.exr", name)[..., 3]
            assert np.count_nonzero(alpha) == 10, place


def test_two_exports_at_once_have_names_of_their_own(video: Video, project: Project, tmp_path: Path) -> None:
    exports, taken = tmp_path / "exports", snapshot(project, video)
    with claimed_path(exports, "film", "png") as first, claimed_path(exports, "film", "png") as second:
        assert [first.name, second.name] == ["film-png", "film-png-2"]
        one, two = write_export(video, taken, "png", first), write_export(video, taken, "png", second)
        assert [*islice(one, 4)] == [*islice(two, 6)][:4]
        with closing(AnnotateBackend(video, tmp_path / "page")) as page:
            page.exports.rmdir() if page.exports.exists() else None
        assert [len([*one]), len([*two])] == [COUNT - 4, COUNT - 6]
    for folder in (first, second):
        assert len([*folder.glob("*.png")]) == COUNT
    with claimed_path(exports, "film", "png") as third:
        assert third.name == "film-png-3"
    assert sorted(path.name for path in exports.iterdir()) == ["film-png", "film-png-2"]


def test_the_start_of_a_page_leaves_a_running_export_alone(
    video: Video, project: Project, tmp_path: Path
) -> None:
    exports, taken = tmp_path / "p" / "exports", snapshot(project, video)
    with claimed_path(exports, "film", "png") as target:
        steps = write_export(video, taken, "png", target)
        assert len([*islice(steps, 4)]) == 4
        AnnotateBackend(Video(video.path), tmp_path / "p").close()
        assert len([*steps]) == COUNT - 4
    assert len([*target.glob("*.png")]) == COUNT


HOLD = """
import sys, time
from pathlib import Path
from segue.utils.files import PartialFile, claim
target = Path(sys.argv[1])
claimed = claim(target)
PartialFile(target).path.mkdir()
print("claimed", flush=True)
time.sleep(600)
"""


def test_a_claim_of_another_process_ends_with_it(tmp_path: Path) -> None:
    target = tmp_path / "film-png"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(target)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline().strip() == b"claimed"
            assert claim(target) is None
        finally:
            holder.kill()
    free = wait_for(lambda: claim(target))
    assert free.path == target
    free.release()
    assert [*tmp_path.iterdir()] == [], "what the killed process left is removed"


def square(x: float) -> ShapeKey:
    corners = ((x, 5.0), (x + 10, 5.0), (x + 10, 20.0), (x, 20.0))
    return ShapeKey(tuple((a, b, 0.0, 0.0, 0.0, 0.0) for a, b in corners))


@pytest.mark.parametrize("last", [6, COUNT - 1])
def test_shapes_end_where_the_exported_frames_end(last: int, video: Video, tmp_path: Path) -> None:
    shape = KeyedShape({0: square(3.0), COUNT - 1: square(36.0)})
    with closing(Project(tmp_path / "project", video.describe(), video.size)) as project:
        with project.change("draw"):
            i = project.add_object("box")
            project.set_shape(None, i, shape)
            for index in range(COUNT):
                runs = shape_runs([shape], index, SIZE)
                project.replace_mask(index, i, runs, FrameAnnotation("interpolated", 1.0, 165))
        taken = snapshot(project, video, first=2, last=last)
        taken.shapes = {i: [shape]}
        for _ in write_export(video, taken, "cvat", tmp_path / "out.xml"):
            pass
    (track,) = ET.parse(tmp_path / "out.xml").getroot().iter("track")
    ends = [int(polygon.get("frame")) for polygon in track if polygon.get("outside") == "1"]
    assert ends == ([last + 1] if last < COUNT - 1 else [])
    labels = read_labels(tmp_path / "out.xml", video)
    assert sorted(labels.masks) == [*range(2, last + 1)]


def test_partial_files_of_an_export_have_a_token(tmp_path: Path) -> None:
    names = {PartialFile(tmp_path / "film").path.name for _ in range(4)}
    assert len(names) == 4
