"""Projects that an older segue wrote are opened by this one, with all that they hold."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from segue.errors import SegueError
from segue.masks import encode_rle
from segue.sessions.videos.provenance import MadeFrom
from segue_web.project.annotations import Correction, FrameAnnotation
from segue_web.project.migrations import (
    MIGRATIONS,
    add_shielding,
    migrate,
    note_revisions,
    stored_version,
    tables,
)
from segue_web.project.project import Project
from segue_web.project.store import Progress, Store

SIZE = (20, 30)
VIDEO = {"name": "a.mp4", "width": 30, "height": 20, "frames": 9}
MASK = np.zeros(SIZE, np.bool_)
MASK[3:8, 4:14] = True

# What segue wrote on these days, as in its history.
OBJECTS = """CREATE TABLE objects (id INTEGER PRIMARY KEY, name TEXT NOT NULL, colour TEXT NOT NULL,
    visible INTEGER NOT NULL, locked INTEGER NOT NULL, category TEXT NOT NULL DEFAULT '',
    team TEXT NOT NULL DEFAULT '', attributes TEXT NOT NULL DEFAULT ''"""
MARKS = """CREATE TABLE marks (frame INTEGER, object INTEGER, kind TEXT NOT NULL, score REAL NOT NULL,
    area INTEGER NOT NULL, """
OTHERS = """CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE prompts (frame INTEGER, object INTEGER, data TEXT NOT NULL, PRIMARY KEY (frame, object));
CREATE TABLE history (id INTEGER PRIMARY KEY, label TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT 0);
CREATE TABLE steps (id INTEGER PRIMARY KEY, entry INTEGER NOT NULL, tbl TEXT NOT NULL, key TEXT NOT NULL,
    before TEXT);
CREATE INDEX steps_of_entry ON steps (entry);
CREATE INDEX steps_of_row ON steps (tbl, key);
"""
LABEL_SCHEMA = "CREATE TABLE label_schema (id INTEGER PRIMARY KEY, data TEXT NOT NULL);"
PEOPLE = """CREATE TABLE comments (id INTEGER PRIMARY KEY, object INTEGER, frame INTEGER, text TEXT NOT NULL,
    user TEXT NOT NULL, resolved TEXT NOT NULL);
ALTER TABLE marks ADD COLUMN user TEXT NOT NULL DEFAULT '';
ALTER TABLE marks ADD COLUMN reviewer TEXT NOT NULL DEFAULT '';
ALTER TABLE history ADD COLUMN user TEXT NOT NULL DEFAULT '';
"""
KEY = "PRIMARY KEY (frame, object));"
FIRST_MARKS = f"{MARKS} weight REAL, agreement REAL, mask TEXT NOT NULL DEFAULT '', {KEY}"
REVIEW_MARKS = f"{MARKS} mask TEXT NOT NULL DEFAULT '', reviewed INTEGER NOT NULL DEFAULT 0, {KEY}"
REVIEW_OBJECTS = f"{OBJECTS}, frame_attributes TEXT NOT NULL DEFAULT '');"
REPLACED = """ALTER TABLE marks ADD COLUMN previous TEXT NOT NULL DEFAULT '';
ALTER TABLE marks ADD COLUMN agreement REAL;
"""

OLDER = {
    "2026-11-23, with an agreement of two trackings": (1, f"{OBJECTS});{FIRST_MARKS}{OTHERS}"),
    "2026-11-24": (1, f"{OBJECTS});{MARKS} mask TEXT NOT NULL DEFAULT '', {KEY}{OTHERS}"),
    "2026-11-27": (2, REVIEW_OBJECTS + REVIEW_MARKS + OTHERS + LABEL_SCHEMA),
    "2026-11-29": (3, REVIEW_OBJECTS + REVIEW_MARKS + OTHERS + LABEL_SCHEMA + PEOPLE),
    "2026-11-30": (4, REVIEW_OBJECTS + REVIEW_MARKS + OTHERS + LABEL_SCHEMA + PEOPLE + REPLACED),
}
"""Version and tables of projects that bear no number."""


def write_older(folder: Path, script: str) -> None:
    """A project with one tracked mask, which a step of the history made of a smaller one."""
    folder.mkdir()
    before = {"frame": 2, "object": 1, "kind": "tracked", "score": 0.5, "area": 0, "mask": ""}
    values = {"format": 2, "film": json.dumps(VIDEO), "revision": 7, "settings": "{}", "last": 1}
    with closing(sqlite3.connect(folder / "project.db")) as database, database:
        database.executescript(script)
        database.executemany("INSERT INTO meta VALUES (?, ?)", values.items())
        database.execute(
            "INSERT INTO objects (id, name, colour, visible, locked) VALUES (1, 'Ann', '#ff0000', 1, 0)"
        )
        mark = (2, 1, "tracked", 0.75, int(MASK.sum()), encode_rle(MASK)["counts"])
        database.execute(
            "INSERT INTO marks (frame, object, kind, score, area, mask) VALUES (?, ?, ?, ?, ?, ?)", mark
        )
        if "weight REAL" in script:
            database.execute("UPDATE marks SET weight=0.5, agreement=0.25")
            before |= {"weight": 0.5, "agreement": 0.125}
        database.execute("INSERT INTO history (id, label) VALUES (1, 'tracking')")
        database.execute(
            "INSERT INTO steps (entry, tbl, key, before) VALUES (1, 'marks', '[2, 1]', ?)",
            (json.dumps(before),),
        )


@pytest.mark.parametrize("day", OLDER)
def test_a_project_of_an_older_segue_opens_with_all_that_it_holds(day: str, tmp_path: Path) -> None:
    version, script = OLDER[day]
    folder = tmp_path / "p"
    write_older(folder, script)
    with closing(sqlite3.connect(folder / "project.db")) as database:
        assert stored_version(database) == version
    assert Store.progress(folder) == Progress(9, 1, 0, 1), "also before it is opened for work"
    assert Store.people_of(folder) == []

    project = Project(folder, VIDEO, SIZE)
    [found] = project.objects()
    assert (found["name"], found["frame_attributes"], found["group"]) == ("Ann", {}, "")
    np.testing.assert_array_equal(project.plane(2, 1), MASK)
    mark = project.marks(2)[1]
    assert (mark.kind, mark.score, mark.reviewed, mark.user) == ("tracked", 0.75, False, "")
    assert mark.agreement is None, "nothing waits for a judgement"
    assert project.replaced_masks(2) == {}
    assert project.comments() == []
    assert project.noted("queue") is None

    assert [row["time"] for row in project.changes()] == [None]
    assert project.undo() is not None
    assert project.marks(2)[1].score == 0.5
    assert project.marks(2)[1].agreement is None
    assert project.undo(redo=True) is not None
    with project.change("review"):
        assert project.set_reviewed(1, [2], True) == 1
    with project.change("new object"):
        assert project.add_object() == 2
    assert [row["id"] for row in project.objects()] == [1, 2], "the new one is on top"
    project.close()
    with closing(sqlite3.connect(folder / "project.db")) as database:
        assert stored_version(database) == len(MIGRATIONS)
    project = Project(folder, VIDEO, SIZE)
    assert project.marks(2)[1].reviewed
    project.close()


def test_a_project_of_a_newer_segue_and_one_before_masks_of_their_own_are_refused_as_they_are(
    tmp_path: Path,
) -> None:
    write_older(tmp_path / "newer", OLDER["2026-11-30"][1])
    write_older(tmp_path / "first", OLDER["2026-11-24"][1])
    Project(tmp_path / "newer", VIDEO, SIZE).close()
    newer, first = tmp_path / "newer" / "project.db", tmp_path / "first" / "project.db"
    with closing(sqlite3.connect(newer)) as database, database:
        database.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    with closing(sqlite3.connect(first)) as database, database:
        database.execute("UPDATE meta SET value='1' WHERE key='format'")
    for path, message in ((newer, "newer segue .* update segue"), (first, "another version of segue")):
        with closing(sqlite3.connect(path)) as database:
            before = [*database.iterdump()]
        with pytest.raises(SegueError, match=message):
            Project(path.parent, VIDEO, SIZE)
        with closing(sqlite3.connect(path)) as database:
            assert [*database.iterdump()] == before


def test_a_database_of_another_program_gets_no_tables(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "project.db")) as database, database:
        database.execute("CREATE TABLE songs (id INTEGER)")
    with pytest.raises(SegueError, match="not a project"):
        Project(tmp_path, VIDEO, SIZE)
    with closing(sqlite3.connect(tmp_path / "project.db")) as database:
        assert [name for (name,) in database.execute("SELECT name FROM sqlite_master")] == ["songs"]


@pytest.mark.parametrize("stop", range(len(MIGRATIONS)))
def test_a_migration_that_is_interrupted_is_done_whole_the_next_time(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_older(tmp_path / "p", OLDER["2026-11-24"][1])

    def killed(_: object) -> None:
        raise SegueError("killed")

    with monkeypatch.context() as patch:
        migrations = (*MIGRATIONS[: max(stop, 1)], killed, *MIGRATIONS[max(stop, 1) + 1 :])
        patch.setattr("segue_web.project.migrations.MIGRATIONS", migrations)
        with pytest.raises(SegueError, match="killed"):
            Project(tmp_path / "p", VIDEO, SIZE)
    project = Project(tmp_path / "p", VIDEO, SIZE)
    np.testing.assert_array_equal(project.plane(2, 1), MASK)
    project.close()


def test_sources_of_masks_are_migrated_as_carried(tmp_path: Path) -> None:
    """Earlier projects had one list, without what had only kept a mask as it was."""
    project = Project(tmp_path / "p", VIDEO, SIZE)
    with project.change("click"):
        project.put(2, {project.add_object(): (MASK, FrameAnnotation("given"))})
        project.correct(2, 1, Correction())
    [(_, revision)] = project.sources(1)
    for score in (0.4, 0.5):  # a step of the history has the first
        with project.change("tracking"):
            mark = FrameAnnotation("tracked", score, made_from=json.dumps([[2, revision]]))
            project.put(3, {1: (MASK if score == 0.4 else ~MASK, mark)})
    project.close()
    with closing(sqlite3.connect(tmp_path / "p" / "project.db")) as database, database:
        database.execute(f"PRAGMA user_version={MIGRATIONS.index(add_shielding)}")
    project = Project(tmp_path / "p", VIDEO, SIZE)
    assert project.made_from(3, 1) == MadeFrom(((2, revision),))
    project.undo()
    assert project.made_from(3, 1) == MadeFrom(((2, revision),))
    project.close()


@pytest.mark.parametrize(
    ("older", "earlier", "untracked"),
    [
        ({"untracked": ["back"], "earlier": {"back": "m"}, "revision": 3}, {"back": "m"}, ("back",)),
        ({"untracked": ["forward", "back"], "earlier": {}}, {}, ("forward", "back")),
        ({"untracked": [], "revision": 3}, {}, ()),
        (
            {"untracked": ["forward", "back"], "earlier": {"forward": "m", "back": "n"}, "revision": 3},
            {"forward": "m", "back": "n"},
            ("forward", "back"),
        ),
    ],
)
def test_corrections_keep_what_is_untracked(
    older: dict[str, object], earlier: dict[str, str], untracked: tuple[str, ...], tmp_path: Path
) -> None:
    project = Project(tmp_path / "p", VIDEO, SIZE)
    with project.change("click"):
        project.put(2, {project.add_object(): (MASK, FrameAnnotation("given"))})
        project.correct(2, 1, Correction(((1, 2, True),)))
    with project.change("clear"):
        project.clear(2, 1)  # the history has the correction
    project.undo()
    project.undo(redo=True)
    data = json.dumps({"points": [[1, 2, True]], "box": None, "on": "", "off": "", "mends": False} | older)
    project.close()
    with closing(sqlite3.connect(tmp_path / "p" / "project.db")) as database, database:
        database.execute(
            "UPDATE steps SET before=json_set(before, '$.data', ?) WHERE tbl='prompts' AND before!=''",
            (data,),
        )
        database.execute(f"PRAGMA user_version={MIGRATIONS.index(note_revisions)}")
    project = Project(tmp_path / "p", VIDEO, SIZE)
    project.undo()
    correction = project.correction(2, 1)
    assert correction is not None
    assert (correction.earlier, correction.untracked) == (earlier, untracked)
    assert correction.points == ((1, 2, True),)
    project.close()
    with closing(sqlite3.connect(tmp_path / "p" / "project.db")) as database, database:
        database.execute("UPDATE prompts SET data=?", (data,))
        database.execute(f"PRAGMA user_version={MIGRATIONS.index(note_revisions)}")
    project = Project(tmp_path / "p", VIDEO, SIZE)
    assert project.correction(2, 1) == correction
    assert project.sources(1) == [(2, correction.revision)]
    project.close()


def test_the_migrations_alone_say_which_tables_there_are() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        assert migrate(database) == 0
        assert migrate(database) == len(MIGRATIONS)
    assert tables()["marks"][:2] == ("frame", "object")
    assert {"meta", "objects", "comments", "label_schema"} <= {*tables()}
