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

from segue.errors import SegueError, SinkError
from segue.masks import read_index_mask
from segue_web import project as project_module
from segue_web.project import Mark, Project
from segue_web.store import LATER_COLUMNS, StaleError

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


def test_masks_are_ordinary_index_pictures(project: Project) -> None:
    give(project, 3, new(project), plane(2))

    path = project.mask_file(3)

    assert path is not None
    assert np.array_equal(read_index_mask(path), plane(2))


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
    assert project.masked_frames() == []
    assert project.undo(redo=True) is not None
    assert project.masked_frames() == [0, 1, 2, 3, 4]


def test_what_a_person_gave_is_not_replaced_nor_covered_by_the_tracker(project: Project) -> None:
    one, two = new(project), new(project)
    give(project, 1, one, plane(4))
    give(project, 1, one, plane(15), "tracked")
    give(project, 1, two, plane(8), "tracked")

    assert np.array_equal(project.mask(1) == one, plane(4))
    assert np.array_equal(project.mask(1) == two, plane(12, 4))
    assert project.marks(1)[two].area == 40


def test_a_locked_object_loses_no_pixel(project: Project) -> None:
    one, two = new(project), new(project)
    give(project, 1, one, plane(4))
    with project.change("lock"):
        project.set_object(one, locked=1)
    give(project, 1, two, plane(8))

    assert np.array_equal(project.mask(1) == one, plane(4))


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
        raise SinkError("masks: cannot be written (the disk is full; free some space)")

    monkeypatch.setattr(project_module, "write_complete", full)
    with pytest.raises(SinkError, match="disk is full"):
        give(project, 1, number, plane(9))

    assert np.array_equal(project.mask(1), plane(2).astype(np.uint8))
    assert project.history()["undo"] == "click"
    monkeypatch.undo()
    give(project, 1, number, plane(9))
    assert np.array_equal(project.mask(1) > 0, plane(9))


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/passwd", "0.png", "000001-zzzzzzzzzzzzzzzz.png"])
def test_a_project_from_elsewhere_cannot_name_other_files(project: Project, name: str) -> None:
    give(project, 1, new(project), plane(2))
    project.close()
    with sqlite3.connect(project.folder / "project.db") as database:
        database.execute("UPDATE frames SET file=?", (name,))

    with pytest.raises(SegueError, match="no mask of it"):
        Project(project.folder, FILM, SIZE).mask(1)


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


def test_files_that_nothing_names_are_removed_when_it_opens(project: Project) -> None:
    give(project, 1, new(project), plane(2))
    (project.masks / f"000001-{'0' * 16}.png").write_bytes(b"of a killed change")
    (project.masks / "notes.txt").write_text("mine")

    again = reopened(project)

    assert sorted(path.suffix for path in again.masks.iterdir()) == [".png", ".txt"]
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
    assert len(project.masked_frames()) >= min(seen, 50)
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
