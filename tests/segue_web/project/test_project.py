"""What is saved of a project, what undo gives back, and what a kill leaves."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from segue.errors import PromptError, SegueError, SinkError, SourceError
from segue.formats.labels import held_at
from segue.formats.schema import LabelSchema, schema_of
from segue.masks import Edge
from segue.sessions.videos.provenance import MadeFrom
from segue_web.colours import colour_of
from segue_web.project.annotations import Correction, FrameAnnotation
from segue_web.project.objects import with_values
from segue_web.project.project import Project
from segue_web.project.store import Store, acting
from segue_web.server.conflicts import ConflictError
from tests.segue_web.limited_files import files_limited_to

SIZE = (20, 30)
VIDEO = {"name": "video", "width": 30, "height": 20, "frames": 50}


def plane(x: int, width: int = 8) -> np.ndarray:
    mask = np.zeros(SIZE, np.bool_)
    mask[4:14, x : x + width] = True
    return mask


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "p", VIDEO, SIZE)


def give(project: Project, frame: int, number: int, mask: np.ndarray, kind: str = "given") -> None:
    with project.change("click"):
        project.put(frame, {number: (mask, FrameAnnotation(kind, 0.5 if kind == "tracked" else 1.0))})


def new(project: Project) -> int:
    with project.change("new"):
        return project.add_object()


def reopened(project: Project) -> Project:
    project.close()
    return Project(project.folder, VIDEO, SIZE)


def test_a_reopened_project_has_all_its_data(project: Project) -> None:
    number = new(project)
    with project.change("click"):
        project.put(3, {number: (plane(2), FrameAnnotation("given"))})
        project.correct(3, number, Correction(((4, 5, True),)))
    with project.change("name"):
        project.set_object(
            number, name="Koi", locked=1, category="fish", group="left", attributes={"pose": "up"}
        )
        project.set_object(number, edge=Edge(grow=-2, feather=1.5))
    project.note("settings", {"theme": "dark"})

    again = reopened(project)

    assert again.objects() == [
        {
            "id": 1,
            "name": "Koi",
            "colour": colour_of(1),
            "visible": True,
            "locked": True,
            "category": "fish",
            "group": "left",
            "attributes": {"pose": "up"},
            "frame_attributes": {},
            "edge": {"grow": -2, "width": 0, "feather": 1.5, "detail": False},
        }
    ]
    assert again.edges() == {1: Edge(grow=-2, feather=1.5)}
    assert np.array_equal(again.mask(3), plane(2).astype(np.uint8))
    assert again.marks(3) == {1: FrameAnnotation("given", 1.0, 80)}
    assert again.prompts(3) == {1: {"points": [[4, 5, True]], "box": None}}
    assert again.noted("settings") == {"theme": "dark"}
    assert again.frames_of([1]) == [3]


def test_undo_and_redo_go_through_every_step_and_survive(project: Project) -> None:
    first = new(project)
    give(project, 3, first, plane(2))
    give(project, 3, first, plane(12))
    with project.change("remove"):
        project.remove_object(first)
    states = [(project.mask(3) > 0).sum(axis=0).argmax() * int(bool(project.objects()))]

    project = reopened(project)
    seen = []
    while (done := project.undo()) is not None:
        seen.append((done[0], sorted(done[1].frames), int((project.mask(3) > 0).any(axis=0).argmax())))
    assert seen == [("remove", [3], 12), ("click", [3], 2), ("click", [3], 0), ("new", [], 0)]
    assert states == [0]
    assert project.objects() == []

    project = reopened(project)
    labels = []
    while (done := project.undo(redo=True)) is not None:
        labels.append(done[0])
    assert labels == ["new", "click", "click", "remove"]
    assert project.objects() == []
    project.undo()
    assert np.array_equal(project.mask(3), plane(12).astype(np.uint8))


def test_a_corrected_mask_changes_by_a_person_alone(project: Project) -> None:
    one, two = new(project), new(project)
    give(project, 1, one, plane(4))
    give(project, 1, one, plane(15), "tracked")
    for kind in ("tracked", "imported", "given"):
        give(project, 1, two, plane(8), kind)
        assert np.array_equal(project.plane(1, one), plane(4))
        assert np.array_equal(project.plane(1, two), plane(8))
    with project.change("remove"):
        project.remove_object(two)
    assert np.array_equal(project.plane(1, one), plane(4))


def test_objects_overlap_and_later_ones_lie_on_top(project: Project) -> None:
    one, two = new(project), new(project)
    give(project, 1, two, plane(8))
    give(project, 1, one, plane(4))

    assert project.marks(1)[one].area == project.marks(1)[two].area == 80
    assert np.array_equal(project.mask(1) == two, plane(8))
    assert np.array_equal(project.mask(1) == one, plane(4, 4))
    assert np.array_equal(project.mask(1, [one]) == one, plane(4))
    again = reopened(project)
    assert np.array_equal(again.plane(1, one), plane(4))


def test_a_second_process_is_kept_out(project: Project) -> None:
    with pytest.raises(SegueError):
        Project(project.folder, VIDEO, SIZE)
    project.close()
    Project(project.folder, VIDEO, SIZE).close()


def test_a_project_of_another_video_is_refused(project: Project) -> None:
    project.close()
    with pytest.raises(SegueError, match="frames 50"):
        Project(project.folder, {**VIDEO, "frames": 51}, SIZE)


def test_a_full_disk_changes_nothing(project: Project) -> None:
    number = new(project)
    give(project, 1, number, plane(2))

    with files_limited_to(0), pytest.raises(SinkError):
        give(project, 1, number, plane(9))

    assert np.array_equal(project.mask(1), plane(2).astype(np.uint8))
    assert project.history()["undo"] == "click"
    give(project, 1, number, plane(9))
    assert np.array_equal(project.mask(1) > 0, plane(9))


@pytest.mark.parametrize("counts", ["", "xyz", "0" * 100, "`" * 40])
def test_a_project_from_elsewhere_cannot_break_the_decoder(project: Project, counts: str) -> None:
    give(project, 1, new(project), plane(2))
    project.close()
    with sqlite3.connect(project.folder / "project.db") as database:
        database.execute("UPDATE marks SET mask=?", (counts,))

    with pytest.raises(SourceError):
        Project(project.folder, VIDEO, SIZE).mask(1)


def test_an_empty_database_is_not_begun_anew(project: Project) -> None:
    project.close()
    for path in project.folder.glob("project.db*"):
        path.unlink()
    (project.folder / "project.db").touch()

    with pytest.raises(SegueError, match="--copy-to"):
        Project(project.folder, VIDEO, SIZE)
    assert (project.folder / "project.db").stat().st_size == 0


def test_an_open_project_is_copied_with_all_that_is_saved(project: Project, tmp_path: Path) -> None:
    give(project, 1, new(project), plane(2))

    Project.copy(project.folder, tmp_path / "copy")

    copied = Project(tmp_path / "copy", VIDEO, SIZE)
    assert np.array_equal(copied.plane(1, 1), plane(2))
    assert copied.undo() is not None
    assert np.array_equal(project.plane(1, 1), plane(2))
    with pytest.raises(SinkError):
        Project.copy(project.folder, tmp_path / "copy")
    with pytest.raises(SegueError):
        Project.copy(tmp_path / "nothing", tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.skipif(os.name == "nt", reason="has no modes of files")
def test_a_project_is_read_by_its_user_alone(project: Project, tmp_path: Path) -> None:
    new(project)
    Store.copy(project.folder, tmp_path / "copy")
    files = [*project.folder.glob("project.db*"), tmp_path / "copy" / "project.db"]
    assert len(files) > 2
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    (project.folder / "project.db").chmod(0o660)  # of a group that works on it
    reopened(project).close()
    assert (project.folder / "project.db").stat().st_mode & 0o777 == 0o660


def test_a_damaged_database_is_one_clear_line(project: Project) -> None:
    project.close()
    for path in project.folder.glob("project.db*"):
        path.write_bytes(b"no database" * 400)

    with pytest.raises(SegueError, match=r"project\.db"):
        Project(project.folder, VIDEO, SIZE)


@pytest.mark.parametrize("table", ["meta", "objects", "marks", "prompts", "history", "steps"])
def test_a_project_without_one_of_its_tables_is_refused_when_it_opens(project: Project, table: str) -> None:
    give(project, 1, new(project), plane(2))
    project.close()
    with sqlite3.connect(project.folder / "project.db") as database:
        database.execute(f"DROP TABLE {table}")
    with pytest.raises(SegueError, match=r"project\.db"):
        Project(project.folder, VIDEO, SIZE)


@pytest.mark.parametrize("key", ["film", "settings", "revision", "last", "format"])
def test_a_project_with_a_damaged_value_is_one_line(project: Project, key: str) -> None:
    project.close()
    with sqlite3.connect(project.folder / "project.db") as database:
        database.execute("UPDATE meta SET value='[' WHERE key=?", (key,))
    with pytest.raises(SegueError):
        Project(project.folder, VIDEO, SIZE)


def test_a_lock_file_says_nothing_by_its_content_and_a_folder_in_its_place_is_reported(
    project: Project,
) -> None:
    project.close()
    lock = project.folder / "project.lock"
    lock.write_bytes(b"garbage")
    Project(project.folder, VIDEO, SIZE).close()
    lock.unlink(missing_ok=True)
    lock.mkdir()
    with pytest.raises(SinkError):
        Project(project.folder, VIDEO, SIZE)


def test_a_limit_of_the_size_of_files_is_one_line(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        project = Project(folder, VIDEO, SIZE)
        try:
            for _ in range(2000):
                with project.change("add"):
                    project.add_object("x" * 80)
        finally:
            project.close()

    for limit in (4096, 200_000):
        with files_limited_to(limit), pytest.raises(SinkError) as caught:
            fill(tmp_path / str(limit))
        assert str(tmp_path / str(limit)) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_no_file_is_removed_when_it_opens(project: Project) -> None:
    give(project, 1, new(project), plane(2))
    (project.folder / "masks").mkdir()
    (project.folder / "masks" / "000001-0123456789abcdef.png").write_bytes(b"of an earlier version")
    (project.folder / "notes.txt").write_text("mine")

    again = reopened(project)

    assert {path.name for path in project.folder.iterdir()} >= {"notes.txt", "masks"}
    assert len(list((project.folder / "masks").iterdir())) == 1
    assert np.array_equal(again.mask(1), plane(2).astype(np.uint8))


def test_an_interrupted_tracking_is_known(project: Project) -> None:
    tracking = {"direction": "forward", "start": 7, "stop": 49, "done": 7, "total": 49}
    project.note("tracking", tracking)

    again = reopened(project)

    assert again.noted("tracking") == tracking
    again.note("tracking", None)
    assert again.noted("tracking") is None


def _write_for_ever(folder: Path, sender: object) -> None:
    project = Project(folder, VIDEO, SIZE)
    with project.change("new"):
        project.add_object()
    for turn in range(10**6):
        for frame in range(50):
            with project.change("track"):
                project.put(frame, {1: (plane((frame + turn) % 20), FrameAnnotation("tracked"))})
            sender.send((turn, frame))  # type: ignore[attr-defined]


@pytest.mark.parametrize("seen", [1, 73])
def test_a_kill_loses_no_more_than_the_frame_in_work(tmp_path: Path, seen: int) -> None:
    # A fork could wait for ever for a lock that a thread of another test holds.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_write_for_ever, args=(tmp_path / "p", theirs))
    process.start()
    for _ in range(seen):
        turn, _ = ours.recv()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()

    project = Project(tmp_path / "p", VIDEO, SIZE)
    assert len(project.frames_of([1], "tracked")) >= min(seen, 50)
    for index in range(min(seen, 50)):
        found = int((project.mask(index) > 0).any(axis=0).argmax())
        assert found in {(index + t) % 20 for t in (turn - 1, turn, turn + 1)}
        assert project.marks(index)[1].area == 80
    assert project.undo() is not None


def test_a_merged_object_is_part_of_the_other_and_comes_back_with_undo(project: Project) -> None:
    with project.change("set up"):
        one, two = project.add_object(), project.add_object()
        project.put(
            0, {one: (plane(2), FrameAnnotation("given")), two: (plane(14), FrameAnnotation("tracked", 0.5))}
        )
        project.correct(0, one, Correction(((3.0, 5.0, True),)))
        project.put(1, {two: (plane(14), FrameAnnotation("given"))})
        project.correct(1, two, Correction(((15.0, 5.0, True),)))
        project.put(2, {one: (plane(2), FrameAnnotation("tracked", 0.75))})

    with project.change("merge"):
        project.merge_object(two, one)

    assert [row["id"] for row in project.objects()] == [one]
    assert np.array_equal(project.plane(0, one), plane(2) | plane(14))
    assert project.marks(0)[one] == FrameAnnotation("given", 0.5, 160)
    assert project.prompts(0) == {}
    assert np.array_equal(project.plane(1, one), plane(14))
    assert project.prompts(1) == {one: {"points": [[15.0, 5.0, True]], "box": None}}
    assert project.marks(2)[one] == FrameAnnotation("tracked", 0.75, 80)

    project.undo()
    assert [row["id"] for row in project.objects()] == [one, two]
    assert np.array_equal(project.plane(0, one), plane(2))
    assert np.array_equal(project.plane(0, two), plane(14))
    assert project.prompts(0) == {one: {"points": [[3.0, 5.0, True]], "box": None}}


def test_a_mask_that_moves_to_another_object_keeps_what_it_was_made_from(project: Project) -> None:
    number = new(project)
    for frame in (2, 6):
        with project.change("click"):
            project.put(frame, {number: (plane(2), FrameAnnotation("given"))})
            project.correct(frame, number, Correction())
    sources = project.sources(number)
    made_from = MadeFrom((sources[1],), (sources[1],))
    mark = FrameAnnotation("tracked", 0.5, unsure="", made_from=json.dumps(made_from))
    with project.change("tracking"):
        project.put(7, {number: (plane(2), mark)})
    with project.change("split"):
        split = project.split_object(number, 5)
    assert project.sources(split) == sources[1:]
    assert project.made_from(7, split) == made_from
    with project.change("merge"):
        project.merge_object(split, number)
    assert project.made_from(7, number) == made_from
    with project.change("clear"):
        project.clear(6, number)
    assert project.uncorrected_masks(number) == {}


def test_an_object_is_split_at_a_frame(project: Project) -> None:
    with project.change("set up"):
        one = project.add_object("bus")
        project.set_object(one, category="vehicle", group="left", attributes={"colour": "red"})
        for frame in range(4):
            project.put(frame, {one: (plane(2 * frame), FrameAnnotation("tracked", 0.5))})
        project.put(3, {one: (np.zeros(SIZE, np.bool_), FrameAnnotation("given"))})
        project.correct(2, one, Correction(((5.0, 5.0, True),)))

    with pytest.raises(PromptError):
        project.split_object(one, 0)
    with project.change("split"):
        new = project.split_object(one, 2)

    assert {frame: list(project.marks(frame)) for frame in range(4)} == {
        0: [one],
        1: [one],
        2: [new],
        3: [new],
    }
    assert np.array_equal(project.plane(2, new), plane(4))
    assert project.marks(3)[new] == FrameAnnotation("given")
    assert project.prompts(2) == {new: {"points": [[5.0, 5.0, True]], "box": None}}
    rows = {row["id"]: row for row in project.objects()}
    assert [rows[new][key] for key in ("category", "group", "attributes")] == [
        "vehicle",
        "left",
        {"colour": "red"},
    ]
    project.undo()
    assert list(project.marks_of(one)) == [0, 1, 2, 3]


def test_both_parts_of_an_object_lie_below_what_lay_in_front_of_it(project: Project) -> None:
    behind, split, in_front = new(project), new(project), new(project)
    with project.change("set up"):
        for frame in range(2):
            project.put(frame, dict.fromkeys((split, in_front), (plane(2), FrameAnnotation("tracked"))))
    with project.change("split"):
        part = project.split_object(split, 1)
    order = [row["id"] for row in project.objects()]
    assert (order[0], order[-1]) == (behind, in_front)
    assert project.mask(1).max() == in_front
    assert part in order[1:3]


def held(project: Project, name: str, *frames: int) -> list[str | None]:
    points = project.objects()[0]["frame_attributes"].get(name, {})
    return [held_at(points, frame) for frame in frames]


def test_an_attribute_of_a_frame_holds_until_it_changes(project: Project) -> None:
    number = new(project)
    for frame, value in ((10, "true"), (20, "false")):
        with project.change("attribute"):
            project.set_frame_attributes(number, frame, {"occluded": value})
    assert held(project, "occluded", 0, 10, 19, 20, 49) == [None, "true", "true", "false", "false"]
    with project.change("attribute"):
        project.set_frame_attributes(number, 15, {"occluded": "true"})
        project.set_frame_attributes(number, 5, {"occluded": "true"})
    assert project.objects()[0]["frame_attributes"] == {"occluded": {5: "true", 20: "false"}}
    project = reopened(project)
    with project.change("attribute"):
        project.set_frame_attributes(number, 20, {"occluded": None})
    assert held(project, "occluded", 4, 49) == [None, "true"]
    project.undo()
    project.undo()
    assert held(project, "occluded", 5, 10, 20) == [None, "true", "false"]
    project.close()


def test_values_of_some_frames_leave_those_of_others_as_they_are() -> None:
    assert with_values({}, {3: "a", 5: "a", 7: "b"}) == {3: "a", 7: "b"}
    assert with_values({0: "x", 6: "y"}, {3: "a"}) == {0: "x", 3: "a", 4: "x", 6: "y"}
    assert with_values({5: "true"}, {2: "", 3: ""}) == {5: "true"}
    assert with_values({2: "a", 3: "b"}, {2: "b"}) == {2: "b"}


def test_a_schema_is_saved_and_undone(project: Project) -> None:
    schema = schema_of({"classes": [{"name": "fish", "key": "f"}]})
    events: list[dict[str, object]] = []
    project.send = events.append
    with project.change("label schema"):
        project.set_schema(schema)
    assert events[-1]["schema"] == schema.as_json()
    project = reopened(project)
    assert project.schema == schema
    project.undo()
    assert not project.schema
    project.undo(redo=True)
    assert project.schema == schema
    project.close()


def test_a_review_is_undone_and_ends_with_a_new_mask(project: Project) -> None:
    number = new(project)
    for frame in (3, 4):
        give(project, frame, number, plane(2), "tracked")
    with project.change("review"):
        assert project.set_reviewed(number, range(10), True) == 2
    assert [row[5] for row in project.timeline()] == [1, 1]
    give(project, 3, number, plane(5), "tracked")
    assert [mark.reviewed for mark in project.marks_of(number).values()] == [True, True]
    np.testing.assert_array_equal(project.plane(3, number), plane(2), "tracking replaces no reviewed mask")
    give(project, 3, number, plane(5))
    assert [mark.reviewed for mark in project.marks_of(number).values()] == [False, True]
    for _ in range(2):  # the tracking has changed nothing
        project.undo()
    assert [mark.reviewed for mark in project.marks_of(number).values()] == [False, False]
    project.close()


def test_objects_lie_on_one_another_in_an_order_that_can_be_changed(project: Project) -> None:
    one, two, three = new(project), new(project), new(project)
    for number in (one, two, three):
        give(project, 1, number, plane(2))

    def order() -> list[int]:
        return [row["id"] for row in project.objects()]

    assert order() == [one, two, three]
    assert set(np.unique(project.mask(1))) == {0, three}
    with project.change("order of objects"):
        project.move_object(one, None)
    assert order() == [two, three, one]
    assert set(np.unique(project.mask(1))) == {0, one}
    with project.change("order of objects"):
        project.move_object(three, two)
    assert order() == [three, two, one]
    project.undo()
    assert order() == [two, three, one]
    assert [row["objects"] for row in project.changes()][:1] == [["Object 3"]]
    four = new(project)
    assert order() == [two, three, one, four], "a new one is on top"
    project = reopened(project)
    assert order() == [two, three, one, four]
    for _ in range(120):  # more often than there are numbers between two
        with project.change("order of objects"):
            project.move_object(project.objects()[2]["id"], project.objects()[1]["id"])
    assert sorted(order()) == [one, two, three, four]
    before = order()
    with project.change("order of objects"):
        project.move_object(before[2], before[1])
    assert order() == [before[0], before[2], before[1], before[3]]
    with project.change("order of objects"):
        project.move_object(before[2], before[2])
    assert order() == [before[0], before[2], before[1], before[3]], "one that is put below itself"
    with pytest.raises(ConflictError, match="there is no object 77"), project.change("order of objects"):
        project.move_object(one, 77)


def test_the_newest_changes_name_objects_frames_and_time(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue_web.project.store.time", lambda: 1_790_000_000.5)
    one, two = new(project), new(project)
    give(project, 3, one, plane(2))
    with project.change("tracking"):
        for frame in range(4, 8):
            project.put(frame, {number: (plane(2), FrameAnnotation("tracked")) for number in (one, two)})
    with project.change("comment"):
        project.add_comment("too large", two, 5)
    with project.change("label schema"):
        project.set_schema(LabelSchema().with_classes(["koi"]))
    with project.change("removal of an object"):
        project.remove_object(one)

    def told() -> list[tuple[str, list[str], tuple[int, int] | None]]:
        assert {row["time"] for row in project.changes()} == {1_790_000_000.5}
        return [(row["label"], row["objects"], row["frames"]) for row in project.changes()][:5]

    assert told() == [
        ("removal of an object", ["Object 1"], (3, 7)),
        ("label schema", [], None),
        ("comment", ["Object 2"], (5, 5)),
        ("tracking", ["Object 1", "Object 2"], (4, 7)),
        ("click", ["Object 1"], (3, 3)),
    ]
    project.undo()
    assert told()[0] == ("removal of an object", ["Object 1"], (3, 7))
    assert project.changes()[0]["undone"]


def test_every_change_stands_with_its_person(project: Project) -> None:
    number = new(project)
    with acting("Ann"):
        give(project, 3, number, plane(2))
        give(project, 4, number, plane(2))
    with acting("Ben"), project.change("review"):
        project.set_reviewed(number, [3], True)

    assert (project.marks(3)[number].user, project.marks(3)[number].reviewer) == ("Ann", "Ben")
    assert [(row["label"], row["user"]) for row in project.changes()][:2] == [
        ("review", "Ben"),
        ("click", "Ann"),
    ]
    assert project.history()["users"]["undo"] == "Ben"
    wanted = [
        {"user": "Ann", "masks": 2, "reviewed": 0, "comments": 0},
        {"user": "Ben", "masks": 0, "reviewed": 1, "comments": 0},
    ]
    assert project.people() == wanted == Store.people_of(project.folder)
    project.undo()
    assert project.marks(3)[number].reviewer == ""
    assert project.marks(3)[number].user == "Ann"


def test_comments_are_resolved_undone_and_follow_their_object(project: Project) -> None:
    number = new(project)
    for frame in (2, 8):
        give(project, frame, number, plane(2))
    with acting("Ann"), project.change("comment"):
        first = project.add_comment("too large", number, 2)
        later = project.add_comment("is this a dog?", number, 8)
        whole = project.add_comment("blurred", None, 8)
    with acting("Ben"), project.change("resolved comment"):
        project.resolve_comment(first, True)

    about = {
        row["id"]: (row["object"], row["frame"], row["user"], row["resolved"]) for row in project.comments()
    }
    assert about == {first: (1, 2, "Ann", "Ben"), later: (1, 8, "Ann", ""), whole: (None, 8, "Ann", "")}
    project.undo()
    assert not any(row["resolved"] for row in project.comments())
    with project.change("split"):
        split = project.split_object(number, 5)
    assert {row["id"]: row["object"] for row in project.comments()} == {first: 1, later: split, whole: None}
    with project.change("removal of an object"):
        project.remove_object(split)
    assert [row["id"] for row in project.comments()] == [first, whole]
    project.undo()
    project = reopened(project)
    assert [row["text"] for row in project.comments()] == ["too large", "is this a dog?", "blurred"]
    with pytest.raises(ConflictError, match="no longer exists"), project.change("resolved comment"):
        project.resolve_comment(77, True)


def test_a_correction_keeps_the_mask_that_each_side_agrees_with_until_that_is_tracked(
    project: Project,
) -> None:
    number = new(project)
    for frame in (3, 4, 5):
        give(project, frame, number, plane(2), "tracked")
    for value in (5, 7):  # two corrections before anything is tracked
        with project.change("click"):
            project.put(4, {number: (plane(value), FrameAnnotation("given"))})
            project.correct(4, number, Correction())
    said = project.correction(4, number)
    assert said is not None
    for side in ("forward", "back"):
        np.testing.assert_array_equal(project.decode_mask(4, said.earlier[side]), plane(2))
    with project.change("tracking"):
        tracked = {number: (plane(6), FrameAnnotation("tracked", 0.5))}
        project.put(5, tracked)
        project.note_tracked(5, tracked, {number: project.sources(number)}, 4, "forward")
    with project.change("click"):
        project.put(4, {number: (plane(1), FrameAnnotation("given"))})
        project.correct(4, number, Correction())
    said = project.correction(4, number)
    assert said is not None
    np.testing.assert_array_equal(project.decode_mask(4, said.earlier["forward"]), plane(7))
    np.testing.assert_array_equal(project.decode_mask(4, said.earlier["back"]), plane(2))
    project.close()


def test_a_first_mask_agrees_with_no_other_frame(project: Project) -> None:
    number = new(project)
    for value in (2, 3):
        with project.change("click"):
            project.put(4, {number: (plane(value), FrameAnnotation("given"))})
            project.correct(4, number, Correction())
    said = project.correction(4, number)
    assert said is not None
    assert said.earlier == {}
    project.close()


def test_a_change_that_was_refused_is_refused_after_a_restart_too(project: Project) -> None:
    number = new(project)
    give(project, 3, number, plane(2))
    seen = project.revision
    give(project, 3, number, plane(9))
    for _ in range(2):
        with pytest.raises(ConflictError, match="frame 3 was changed"):
            project.check_edit(3, seen, number)
        with pytest.raises(ConflictError, match="was changed"):
            project.check_objects([number], seen, range(3, 4))
        project = reopened(project)
    project.check_edit(3, project.revision, number)
    project.check_objects([number], project.revision)
    project.check_properties(number, project.revision, ["name"])


def test_a_program_that_knows_an_earlier_format_alone_does_not_open_what_this_one_saved(
    project: Project,
) -> None:
    """It checks the format, not the version of the tables, and would lose layers and edges."""
    project.close()
    with sqlite3.connect(project.folder / "project.db") as database:
        database.execute("UPDATE meta SET value='2' WHERE key='format'")
    Project(project.folder, VIDEO, SIZE).close()
    with sqlite3.connect(project.folder / "project.db") as database:
        assert database.execute("SELECT value FROM meta WHERE key='format'").fetchone() == ("3",)
