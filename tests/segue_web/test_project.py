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

from segue.errors import SegueError, SinkError, SourceError
from segue.masks import write_index_mask
from segue_web import project as project_module
from segue_web.project import Mark, Project
from segue_web.store import LATER_COLUMNS, UPLOAD, StaleError

SIZE = (20, 30)
FILM = {"name": "film", "width": 30, "height": 20, "frames": 50}


def plane(x: int, width: int = 8) -> np.ndarray:
    mask = np.zeros(SIZE, np.bool_)
    mask[4:14, x : x + width] = True
    return mask


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "p", FILM, SIZE)


def give(project: Project, frame: int, number: int, mask: np.ndarray, kind: str = "given") -> None:
    with project.change("click"):
        project.put(frame, {number: (mask, Mark(kind, 0.5 if kind == "tracked" else 1.0))})


def new(project: Project) -> int:
    with project.change("new"):
        return project.add_object()


def reopened(project: Project) -> Project:
    project.close()
    return Project(project.folder, FILM, SIZE)


def test_all_is_there_after_it_was_opened_again(project: Project) -> None:
    number = new(project)
    with project.change("click"):
        project.put(3, {number: (plane(2), Mark("given"))})
        project.set_prompt(3, number, {"points": [[4, 5, True]], "box": None})
    with project.change("name"):
        project.set_object(
            number, name="Koi", locked=1, category="fish", group="left", attributes={"pose": "up"}
        )
    project.set_settings({"theme": "dark"})

    again = reopened(project)

    assert again.objects() == [
        {
            "id": 1,
            "name": "Koi",
            "colour": project_module.COLOURS[0],
            "visible": True,
            "locked": True,
            "category": "fish",
            "group": "left",
            "attributes": {"pose": "up"},
        }
    ]
    assert np.array_equal(again.mask(3), plane(2).astype(np.uint8))
    assert again.marks(3) == {1: Mark("given", 1.0, 80)}
    assert again.prompts(3) == {1: {"points": [[4, 5, True]], "box": None}}
    assert again.settings() == {"theme": "dark"}
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


def test_a_new_change_after_undo_ends_the_redo(project: Project) -> None:
    number = new(project)
    give(project, 1, number, plane(2))
    project.undo()
    give(project, 1, number, plane(9))

    assert project.history() == {"undo": "click", "redo": None}
    assert project.undo(redo=True) is None


def test_frames_of_one_tracking_are_undone_together(project: Project) -> None:
    number = new(project)
    entry = None
    for frame in range(5):
        with project.change("track", entry=entry):
            project.put(frame, {number: (plane(frame), Mark("tracked", 0.7))})
        entry = project.last_entry

    assert project.undo() is not None
    assert project.frames_of([number], "tracked") == []
    assert project.undo(redo=True) is not None
    assert project.frames_of([number], "tracked") == [0, 1, 2, 3, 4]


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


def test_an_edit_on_a_frame_that_changed_is_refused(project: Project) -> None:
    number = new(project)
    seen = project.frame_revision(5)
    give(project, 5, number, plane(1))

    with pytest.raises(StaleError, match="frame 5 was changed in another window"):
        project.check_fresh(5, seen)
    project.check_fresh(6, 0)
    project.check_fresh(5, project.frame_revision(5))


def test_a_second_process_is_kept_out(project: Project) -> None:
    with pytest.raises(SegueError, match="is open in another process"):
        Project(project.folder, FILM, SIZE)
    project.close()
    Project(project.folder, FILM, SIZE).close()


def test_a_project_of_another_film_is_refused(project: Project) -> None:
    project.close()
    with pytest.raises(SegueError, match=r"of another film \(film, frames 50, not 51\)"):
        Project(project.folder, {**FILM, "frames": 51}, SIZE)


def test_a_full_disk_changes_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    number = new(project)
    give(project, 1, number, plane(2))

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(project, "_set", full)
    with pytest.raises(SinkError, match="disk is full"):
        give(project, 1, number, plane(9))

    assert np.array_equal(project.mask(1), plane(2).astype(np.uint8))
    assert project.history()["undo"] == "click"
    monkeypatch.undo()
    give(project, 1, number, plane(9))
    assert np.array_equal(project.mask(1) > 0, plane(9))


@pytest.mark.parametrize("counts", ["", "xyz", "0" * 100, "`" * 40])
def test_a_project_from_elsewhere_cannot_break_the_decoder(project: Project, counts: str) -> None:
    give(project, 1, new(project), plane(2))
    project.close()
    with sqlite3.connect(project.folder / "project.db") as database:
        database.execute("UPDATE marks SET mask=?", (counts,))

    with pytest.raises(SourceError, match="frame 1"):
        Project(project.folder, FILM, SIZE).mask(1)


def in_format_1(project: Project, file: str = "000001-0123456789abcdef.png") -> None:
    """Turn a closed project into one of format 1, with the index masks of frame 1 in a file."""
    masks = project.folder / "masks"
    masks.mkdir()
    mask = np.zeros(SIZE, np.uint8)
    mask[plane(4)] = 1
    mask[plane(8)] = 2
    write_index_mask(masks / "000001-0123456789abcdef.png", mask)
    with sqlite3.connect(project.folder / "project.db") as database:
        database.execute("CREATE TABLE frames (frame INTEGER PRIMARY KEY, file TEXT NOT NULL)")
        database.execute("INSERT INTO frames VALUES (1, ?)", (file,))
        database.execute("ALTER TABLE marks DROP COLUMN mask")
        database.execute("UPDATE meta SET value='1' WHERE key='format'")


def test_a_project_of_format_1_keeps_its_masks_and_files(project: Project) -> None:
    for x in (4, 8):
        give(project, 1, new(project), plane(x))
    project.close()
    in_format_1(project)

    opened = Project(project.folder, FILM, SIZE)

    assert np.array_equal(opened.plane(1, 1), plane(4, 4))
    assert np.array_equal(opened.plane(1, 2), plane(8))
    assert len(list((project.folder / "masks").iterdir())) == 1
    assert np.array_equal(reopened(opened).plane(1, 2), plane(8))


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/passwd"])
def test_a_project_of_format_1_cannot_name_other_files(project: Project, name: str) -> None:
    give(project, 1, new(project), plane(2))
    project.close()
    in_format_1(project, name)

    with pytest.raises(SegueError, match="frame 1"):
        Project(project.folder, FILM, SIZE)


def test_masks_without_a_database_are_left_alone(project: Project) -> None:
    give(project, 1, new(project), plane(2))
    project.close()
    in_format_1(project)
    for path in project.folder.glob("project.db*"):
        path.unlink()

    with pytest.raises(SegueError, match=r"project\.db"):
        Project(project.folder, FILM, SIZE)
    assert [path.name for path in project.folder.glob("masks/*")] == ["000001-0123456789abcdef.png"]


def test_an_empty_database_is_not_begun_anew(project: Project) -> None:
    project.close()
    for path in project.folder.glob("project.db*"):
        path.unlink()
    (project.folder / "project.db").touch()

    with pytest.raises(SegueError, match="--copy-to"):
        Project(project.folder, FILM, SIZE)
    assert (project.folder / "project.db").stat().st_size == 0


def test_an_open_project_is_copied_with_all_that_is_saved(project: Project, tmp_path: Path) -> None:
    give(project, 1, new(project), plane(2))

    Project.copy(project.folder, tmp_path / "copy")

    copied = Project(tmp_path / "copy", FILM, SIZE)
    assert np.array_equal(copied.plane(1, 1), plane(2))
    assert copied.undo() is not None
    assert np.array_equal(project.plane(1, 1), plane(2))
    with pytest.raises(SinkError, match="exists"):
        Project.copy(project.folder, tmp_path / "copy")
    with pytest.raises(SegueError, match="no project"):
        Project.copy(tmp_path / "nothing", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_project_from_before_classes_opens_and_its_steps_are_undone(project: Project) -> None:
    with project.change("new"):
        number = project.add_object("dog")
    with project.change("name"):
        project.set_object(number, name="cat")
    project.close()
    database = sqlite3.connect(project.folder / "project.db")
    for column in LATER_COLUMNS:
        database.execute(f"ALTER TABLE objects DROP COLUMN {column}")
    for row, before in database.execute("SELECT id, before FROM steps WHERE before IS NOT NULL").fetchall():
        old = {name: value for name, value in json.loads(before).items() if name not in LATER_COLUMNS}
        database.execute("UPDATE steps SET before=? WHERE id=?", (json.dumps(old), row))
    database.commit()
    database.close()
    opened = Project(project.folder, FILM, SIZE)
    assert (opened.objects()[0]["category"], opened.objects()[0]["attributes"]) == ("", {})
    opened.undo()
    assert (opened.objects()[0]["name"], opened.objects()[0]["category"]) == ("dog", "")


def test_a_damaged_database_is_one_clear_line(project: Project) -> None:
    project.close()
    for path in project.folder.glob("project.db*"):
        path.write_bytes(b"no database" * 400)

    with pytest.raises(SegueError, match=r"project\.db: damaged or not a project"):
        Project(project.folder, FILM, SIZE)


def test_no_file_but_an_upload_is_removed_when_it_opens(project: Project) -> None:
    give(project, 1, new(project), plane(2))
    names = {"notes.txt", "masks", f"{UPLOAD}1.zip"}
    (project.folder / "masks").mkdir()
    (project.folder / "masks" / "000001-0123456789abcdef.png").write_bytes(b"of an earlier version")
    (project.folder / "notes.txt").write_text("mine")
    (project.folder / f"{UPLOAD}1.zip").write_bytes(b"left by a kill")

    again = reopened(project)

    assert {path.name for path in project.folder.iterdir()} & names == {"notes.txt", "masks"}
    assert len(list((project.folder / "masks").iterdir())) == 1
    assert np.array_equal(again.mask(1), plane(2).astype(np.uint8))


def test_an_interrupted_tracking_is_known(project: Project) -> None:
    job = project.begin_job({"direction": "forward", "start": 0, "stop": 49}, 49)
    project.note_job(job, done=7, at=7)

    again = reopened(project)
    found = again.interrupted()

    assert found is not None
    assert (found["done"], found["total"], found["at"], found["spec"]["stop"]) == (7, 49, 7, 49)
    again.note_job(job, state="done")
    assert again.interrupted() is None


def _write_for_ever(folder: Path, sender: object) -> None:
    project = Project(folder, FILM, SIZE)
    with project.change("new"):
        project.add_object()
    for turn in range(10**6):
        for frame in range(50):
            with project.change("track"):
                project.put(frame, {1: (plane((frame + turn) % 20), Mark("tracked"))})
            sender.send((turn, frame))  # type: ignore[attr-defined]


@pytest.mark.parametrize("seen", [1, 20, 73])
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

    project = Project(tmp_path / "p", FILM, SIZE)
    assert len(project.frames_of([1], "tracked")) >= min(seen, 50)
    for index in range(min(seen, 50)):
        found = int((project.mask(index) > 0).any(axis=0).argmax())
        assert found in {(index + t) % 20 for t in (turn - 1, turn, turn + 1)}
        assert project.marks(index)[1].area == 80
    assert project.undo() is not None


def test_undo_tells_the_frames_of_which_only_marks_or_prompts_change(project: Project) -> None:
    number = new(project)
    give(project, 3, number, plane(2))
    with project.change("weigh"):
        project.put(3, {number: (plane(2), Mark("given", 0.25))})
    with project.change("point"):
        project.set_prompt(7, number, {"points": [[4, 5, True]], "box": None})

    for expected in ({7}, {3}):
        done = project.undo()
        assert done is not None
        assert done[1].frames == expected
        assert not done[1].objects
    assert project.marks(3)[number].score == 1.0
    done = project.undo(redo=True)
    assert done is not None
    assert done[1].frames == {3}
