"""Newest changes of a project, for display."""

from __future__ import annotations

import sqlite3
from typing import Any

NEWEST = 12
"""Number of listed changes."""


def newest_changes(database: sqlite3.Connection) -> list[dict[str, Any]]:
    """Newest steps of the history, newest first.

    Each has its label, user, time (seconds since 1970; None in steps of an earlier segue), names of objects,
    first and last frame (None without a frame), and whether it is undone.
    """
    sql = "SELECT id, label, user, time, undone FROM history ORDER BY id DESC LIMIT ?"
    return [
        {
            "label": row["label"],
            "user": row["user"],
            "time": row["time"],
            "undone": bool(row["undone"]),
            "objects": _objects_of(database, row["id"]),
            "frames": _frames_of(database, row["id"]),
        }
        for row in database.execute(sql, (NEWEST,)).fetchall()
    ]


_TOUCHED = """SELECT tbl, key,
    CASE tbl WHEN 'objects' THEN json_extract(key, '$[0]')
             WHEN 'comments' THEN (SELECT object FROM comments WHERE id=json_extract(key, '$[0]'))
             WHEN 'label_schema' THEN NULL ELSE json_extract(key, '$[1]') END AS object,
    CASE tbl WHEN 'comments' THEN (SELECT frame FROM comments WHERE id=json_extract(key, '$[0]'))
             WHEN 'marks' THEN json_extract(key, '$[0]')
             WHEN 'prompts' THEN json_extract(key, '$[0]') END AS frame
    FROM steps WHERE entry=?"""
"""Object and frame of each row that a step has changed."""


def _objects_of(database: sqlite3.Connection, entry: int) -> list[str]:
    """Names of the objects of a step, including removed ones."""
    # Of a removed object a step has the name: the one that removed it, or that was undone.
    sql = f"""SELECT coalesce((SELECT name FROM objects WHERE id=object),
        (SELECT json_extract(before, '$.name') FROM steps WHERE tbl='objects' AND before IS NOT NULL
            AND key='[' || object || ']' ORDER BY id DESC LIMIT 1), 'Object ' || object)
        FROM (SELECT DISTINCT object FROM ({_TOUCHED}) WHERE object IS NOT NULL ORDER BY object)"""
    return [str(name) for (name,) in database.execute(sql, (entry,))]


def _frames_of(database: sqlite3.Connection, entry: int) -> tuple[int, int] | None:
    first, last = database.execute(f"SELECT min(frame), max(frame) FROM ({_TOUCHED})", (entry,)).fetchone()
    return None if first is None else (first, last)
