"""Schema migrations of project databases, one per version."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cache

from segue.errors import SegueError
from segue.utils.database import Migration, VersionError
from segue.utils.database import migrate as migrate_tables

_TEXT = "TEXT NOT NULL DEFAULT ''"


def _begin(database: sqlite3.Connection) -> None:
    # The column ``team`` holds the group of an object: GROUP is a word of SQL, and saved projects say team.
    for statement in (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        f"""CREATE TABLE objects (id INTEGER PRIMARY KEY, name TEXT NOT NULL, colour TEXT NOT NULL,
            visible INTEGER NOT NULL, locked INTEGER NOT NULL, category {_TEXT}, team {_TEXT},
            attributes {_TEXT})""",
        f"""CREATE TABLE marks (frame INTEGER, object INTEGER, kind TEXT NOT NULL, score REAL NOT NULL,
            area INTEGER NOT NULL, mask {_TEXT}, PRIMARY KEY (frame, object))""",
        """CREATE TABLE prompts (frame INTEGER, object INTEGER, data TEXT NOT NULL,
            PRIMARY KEY (frame, object))""",
        """CREATE TABLE history (id INTEGER PRIMARY KEY, label TEXT NOT NULL,
            undone INTEGER NOT NULL DEFAULT 0)""",
        """CREATE TABLE steps (id INTEGER PRIMARY KEY, entry INTEGER NOT NULL, tbl TEXT NOT NULL,
            key TEXT NOT NULL, before TEXT)""",
        "CREATE INDEX steps_of_entry ON steps (entry)",
        "CREATE INDEX steps_of_row ON steps (tbl, key)",
    ):
        database.execute(statement)


def _add_schema_and_review(database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE label_schema (id INTEGER PRIMARY KEY, data TEXT NOT NULL)")
    _add_columns(database, "objects", frame_attributes=_TEXT)
    _add_columns(database, "marks", reviewed="INTEGER NOT NULL DEFAULT 0")


def _add_people(database: sqlite3.Connection) -> None:
    database.execute(
        """CREATE TABLE comments (id INTEGER PRIMARY KEY, object INTEGER, frame INTEGER, text TEXT NOT NULL,
            user TEXT NOT NULL, resolved TEXT NOT NULL)"""
    )
    _add_columns(database, "marks", user=_TEXT, reviewer=_TEXT)
    _add_columns(database, "history", user=_TEXT)


def _add_replaced_masks(database: sqlite3.Connection) -> None:
    """Add masks replaced by trackings as JSON, with their IoU."""
    _add_columns(database, "marks", previous=_TEXT)
    if "agreement" in _columns(database, "marks"):  # the first projects had the IoU of two trackings there
        database.execute("UPDATE marks SET agreement=NULL")
        database.execute("UPDATE steps SET before=json_remove(before, '$.agreement') WHERE tbl='marks'")
    else:
        _add_columns(database, "marks", agreement="REAL")


def _add_notes(database: sqlite3.Connection) -> None:
    for key in ("tracking", "queue", "source", "defined", "schema_change"):
        database.execute("INSERT OR IGNORE INTO meta VALUES (?, 'null')", (key,))


def _add_time(database: sqlite3.Connection) -> None:
    _add_columns(database, "history", time="REAL")  # seconds since 1970


def _add_layers(database: sqlite3.Connection) -> None:
    """Add layer order, which was the order of ids."""
    _add_columns(database, "objects", layer="REAL NOT NULL DEFAULT 0")
    database.execute("UPDATE objects SET layer=id")
    database.execute(
        """UPDATE steps SET before=json_set(before, '$.layer', json_extract(key, '$[0]'))
            WHERE tbl='objects' AND before IS NOT NULL"""
    )


def _add_edges(database: sqlite3.Connection) -> None:
    """Add soft edges as JSON; empty without one."""
    _add_columns(database, "objects", edge=_TEXT)


def _add_shapes(database: sqlite3.Connection) -> None:
    """Add keyed shapes as JSON."""
    database.execute(
        "CREATE TABLE shapes (id INTEGER PRIMARY KEY, object INTEGER NOT NULL, data TEXT NOT NULL)"
    )


def _add_places(database: sqlite3.Connection) -> None:
    """Add image positions of comments."""
    _add_columns(database, "comments", x="REAL", y="REAL")


def _add_unsure(database: sqlite3.Connection) -> None:
    """Add unsure pixels of tracked masks as run lengths; empty if unknown."""
    _add_columns(database, "marks", unsure=_TEXT)


def _add_sources(database: sqlite3.Connection) -> None:
    """Add sources of tracked masks as JSON; empty if unknown."""
    if "made_from" not in _columns(database, "marks"):
        _add_columns(database, "marks", made_from=_TEXT)


def _add_last_ids(database: sqlite3.Connection) -> None:
    """Add the largest ids ever used, including undone ones."""
    for table, kind in (("comments", "comment"), ("shapes", "shape")):
        database.execute(
            f"""INSERT OR IGNORE INTO meta SELECT 'last_{kind}', coalesce(max(id), 0) FROM (
                SELECT id FROM {table} UNION ALL
                SELECT json_extract(key, '$[0]') FROM steps WHERE tbl='{table}')"""
        )
    database.execute("INSERT OR IGNORE INTO meta SELECT 'last_entry', coalesce(max(id), 0) FROM history")


def add_shielding(database: sqlite3.Connection) -> None:
    """Split the sources of masks into carried and shielding ones."""
    database.execute("UPDATE marks SET made_from='[' || made_from || ', []]' WHERE made_from!=''")
    database.execute(
        """UPDATE steps SET before=json_set(
            before, '$.made_from', '[' || json_extract(before, '$.made_from') || ', []]')
            WHERE tbl='marks' AND json_extract(before, '$.made_from')!=''"""
    )


def note_revisions(database: sqlite3.Connection) -> None:
    """Convert corrections to revisions of masks instead of untracked flags."""
    rows = database.execute("SELECT frame, object, data FROM prompts").fetchall()
    for frame, number, data in rows:
        values = (_with_revisions(data), frame, number)
        database.execute("UPDATE prompts SET data=? WHERE frame=? AND object=?", values)
    sql = "SELECT id, json_extract(before, '$.data') FROM steps WHERE tbl='prompts' AND before IS NOT NULL"
    for step, data in database.execute(sql).fetchall():
        changed = "UPDATE steps SET before=json_set(before, '$.data', ?) WHERE id=?"
        database.execute(changed, (_with_revisions(data), step))


def _with_revisions(data: str) -> str:
    """Convert a correction's JSON to revisions; numbers below 1 are masks known to neighbours."""
    noted = json.loads(data)
    untracked, earlier = noted.pop("untracked", ()), noted.pop("earlier", {})
    revision = noted.get("revision", 0) or 1
    numbers = {side: -place for place, side in enumerate(earlier)}
    tracked = {side: numbers.get(side, revision) for side in ("forward", "back")}
    tracked = {side: number for side, number in tracked.items() if side in numbers or side not in untracked}
    versions = {numbers[side]: mask for side, mask in earlier.items()}
    noted |= {"revision": revision, "first": noted.get("revision", 0)}
    return json.dumps(noted | {"tracked": tracked, "versions": versions})


def hold_by_person(database: sqlite3.Connection) -> None:
    """Record held trackings per person; a stopped tracking also waits."""
    rows = database.execute("SELECT key, value FROM meta WHERE key IN ('queue', 'tracking')")
    noted = {key: json.loads(value) for key, value in rows}
    queue, tracking = noted["queue"], noted["tracking"]
    if queue is None:
        return
    is_paused, last = queue.pop("paused", False), queue["last"]
    waiting = [{"stop": one["start"], "total": 0, "done": 0} | one for one in queue["waiting"]]
    if is_paused and tracking is not None:
        last += 1
        waiting.insert(0, {"id": last, **tracking})
        tracking = None
    on_hold = sorted({one.get("user", "") for one in waiting}) if is_paused else []
    for key, value in (
        ("queue", {"waiting": waiting, "last": last, "held": on_hold}),
        ("tracking", tracking),
    ):
        database.execute("UPDATE meta SET value=? WHERE key=?", (json.dumps(value), key))


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _begin,
    _add_schema_and_review,
    _add_people,
    _add_replaced_masks,
    _add_notes,
    _add_time,
    _add_layers,
    _add_edges,
    _add_shapes,
    _add_places,
    _add_unsure,
    hold_by_person,
    _add_sources,
    _add_last_ids,
    add_shielding,
    note_revisions,
)
"""Functions that migrate tables to version 1, 2 and so on; the last one is the current version."""

WITH_REVIEW, WITH_PEOPLE = 2, 3
"""First versions with the review of masks, and with their authors."""

_FIRST_COLUMNS = (("objects", "id"), ("marks", "reviewed"), ("marks", "reviewer"), ("marks", "previous"))
"""A column that came with each of the migrations of projects without a number."""


def stored_version(database: sqlite3.Connection) -> int:
    """Number of the last migration of a project; 0 for an empty database."""
    [number] = database.execute("PRAGMA user_version").fetchone()
    if number:
        return int(number)
    return sum(column in _columns(database, table) for table, column in _FIRST_COLUMNS)


def migrate(database: sqlite3.Connection) -> int:
    """Migrate a project inside a transaction; return the earlier version.

    Raises SegueError where it is no project, or a newer segue has saved it.
    """
    steps = {number: Migration(number + 1, make) for number, make in enumerate(MIGRATIONS)}
    version = stored_version(database)
    try:
        return migrate_tables(database, steps, version)
    except VersionError as error:
        if version > len(MIGRATIONS):
            raise SegueError(f"{error}; update segue") from None
        raise SegueError(f"damaged or not a project ({error})") from None


@cache
def tables() -> Mapping[str, tuple[str, ...]]:
    """Current columns of each table, key columns first."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        migrate(database)
        names = database.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
        return {name: _columns(database, name) for (name,) in names}


def _columns(database: sqlite3.Connection, table: str) -> tuple[str, ...]:
    return tuple(row[1] for row in database.execute(f"PRAGMA table_info({table})"))


def _add_columns(database: sqlite3.Connection, table: str, **columns: str) -> None:
    for name, kind in columns.items():
        database.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
