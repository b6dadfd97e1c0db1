"""Tables of the store of a camera.

``seq`` orders all events and is unique. A visit has the number of its first event. ``moment`` and ``finish``
are
for display only: seconds of the epoch by the clock of that time.
"""

from __future__ import annotations

import sqlite3

from segue.utils.database import Migration

SPAN = 900
"""Interval of the counts in seconds; hours and days of all time zones begin at a multiple."""

_STATEMENTS = (
    "create table meta (key text primary key, value text not null) without rowid",
    # key: a digest of the address, without its password; scene: what the camera knows of its scene, as JSON
    "create table sources (id integer primary key, key text not null unique, scene text)",
    "create table runs (id integer primary key, source integer references sources, begun real, ended real)",
    # name: that of a part as of --rotate, or nothing; position: bytes of the table up to events.seq = written
    """create table parts (
        id integer primary key, name text not null unique, file text not null default '',
        position integer not null default 0, written integer not null default 0
    )""",
    # ended: the last event, or null while it goes on; kinds and zones: each between two ;
    """create table visits (
        id integer primary key, run integer references runs, object integer not null, label text,
        zones text not null default ';', kinds text not null default ';',
        moment real, finish real, last integer not null, ended integer,
        reviewed integer not null default 0, kept integer not null default 0,
        reviewer text not null default '', note text not null default ''
    )""",
    # earlier: the classes of the object before this event, each between two ;
    """create table events (
        seq integer primary key, visit integer not null references visits, part integer not null,
        run integer, kind text not null, object integer not null, frame integer, time real, moment real,
        x0 real, y0 real, x1 real, y1 real, area integer, seconds real, largest integer,
        label text, label_score real, earlier text not null default ';', zone text not null default '',
        direction text not null default '', at text not null default '', source text not null default '',
        snapshot text not null default '', clip text not null default ''
    )""",
    """create table media (
        part integer not null, name text not null, bytes integer not null default 0,
        state text not null default 'pending' check (state in ('pending', 'complete', 'lost', 'deleted')),
        created real not null, primary key (part, name)
    ) without rowid""",
    "create table event_zones (zone text, seq integer, primary key (zone, seq)) without rowid",
    """create table counts (
        span integer, kind text, zone text, label text, number integer not null,
        primary key (span, kind, zone, label)
    ) without rowid""",
    "create table choices (zone text, label text, primary key (zone, label)) without rowid",
    # delivered: the last event that is done with, but for those in deferred; within: see deliveries.py
    """create table receivers (
        key text primary key, delivered integer not null, within integer not null default 0,
        active integer not null default 1
    ) without rowid""",
    """create table deferred (
        receiver text not null, seq integer not null, tries integer not null default 0,
        primary key (receiver, seq)
    ) without rowid""",
    "create index events_of_visit on events (visit)",
    "create index events_by_moment on events (moment)",
    "create index events_by_label on events (label, seq)",
    "create index events_by_kind on events (kind, seq)",
    "create index events_of_clip on events (part, clip) where clip != ''",
    "create index visits_by_moment on visits (moment)",
    "create index visits_by_label on visits (label)",
    "create index visits_unreviewed on visits (id) where reviewed = 0",
    "create index visits_kept on visits (id) where kept = 1",
    "create index visits_open on visits (id) where ended is null",
    "create index media_by_age on media (state, created, bytes)",
)


def _begin(base: sqlite3.Connection) -> None:
    for statement in _STATEMENTS:
        base.execute(statement)


def _add_armed(base: sqlite3.Connection) -> None:
    base.execute("alter table events add column armed integer not null default 1")


MIGRATIONS = {0: Migration(1, _begin), 1: Migration(2, _add_armed)}
