"""Import events, marks, messages and scenes of versions without a store, at the first start."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from heapq import merge
from pathlib import Path
from typing import Any

from segue.errors import SinkError
from segue.events.archive import EVENT_FILE, PENDING, EventArchive, EventPart
from segue.events.store.notices import warn_on_change
from segue.events.store.records import FIRST, LAST, PART_NUMBER, RecordedEvent, insert_event, moment_of
from segue.events.store.store import MARK_NAMES, EventStore
from segue.events.table import UNKNOWN, Event, event_of, numbered_events
from segue.utils.files import reason_of
from segue.utils.inputs import parse_json
from segue.utils.notices import warn_caller

DELETED, LOST = "deleted", "lost"
"""Values in earlier tables in place of the name of a file that is deleted, or was never completed."""

_DONE = "imported"
_PENDING_NAME = re.compile(rf"\.(?P<clip>.*){re.escape(PENDING)}")
_OLD_MARKS, _OLD_JOURNAL = "marks.json", ".deleted"


class ImportWarning(UserWarning):
    """Lines of an older table are invalid, or its marks cannot be read; the message names the file."""


def import_archive(store: EventStore, archive: EventArchive) -> None:
    """Import tables that the store lacks, with images, marks and messages.

    All files stay as they are, but for hidden ones, which go. A table of which a line is no event is taken
    in without that line, with a warning.

    Args:
        store: store of the camera.
        archive: place of its tables and images.

    Raises:
        SinkError: a file cannot be read, or is no table of events.
    """
    try:
        settings = store.settings()
    except SinkError as error:  # as on a full disk, where alarms are to leave all the same
        if not store.last and any(part.table.exists() for part in archive.parts()):
            warn_caller(f"{error}; events of before are in their tables alone", ImportWarning)
        return
    done = set(json.loads(settings.get(_DONE, "[]")))
    parts = [part for part in archive.parts() if part.name not in done]
    imported_names = {name for (name,) in store.read("select name from parts")}
    new = [part for part in parts if part.name not in imported_names and part.table.exists()]
    if new:
        _import_tables(store, new)
        _import_scene(store, archive.table)
        _import_messages(store, archive.table)
    unread = [part for part in new if part.folder is not None and not _import_marks(store, part)]
    done |= {part.name for part in new} - {part.name for part in unread}
    if new:
        store.set(imported=json.dumps(sorted(done)), unread=json.dumps([part.name for part in unread]))
        store.flush()


def retry_marks_import(store: EventStore, archive: EventArchive) -> str:
    """Import marks that could not be read before; returns the remaining problem, or nothing."""
    unread = json.loads(store.settings().get("unread", "[]"))
    remaining, problem = [], ""
    for name in unread:
        part = archive.part(name)
        try:
            _read_marks(store, part)
        except (OSError, ValueError) as error:
            remaining.append(name)
            problem = problem or _problem_of(part, error)
    if remaining != unread:
        store.set(unread=json.dumps(remaining))
        store.flush()
    return problem


def unread_parts(store: EventStore) -> list[str]:
    """Parts with unreadable marks: nothing is deleted there, and no event can be marked."""
    return [str(name) for name in json.loads(store.settings().get("unread", "[]"))]


def _import_tables(store: EventStore, parts: list[EventPart]) -> None:
    for part in parts:
        store.begin_part(part.name, part.table.name)
    store.flush()
    visits: dict[int, tuple[int, set[str]]] = {}
    invalid_lines: dict[Path, list[int]] = {}
    with store.changing() as base:
        last = int(base.execute("select coalesce(max(seq), 0) from events").fetchone()[0])
        files = {part.name: _files_of(part) for part in parts}
        # Runs with and without --rotate may have taken turns; a table is in the order in which it was told.
        rows = merge(*(_rows(part, invalid_lines) for part in parts), key=lambda row: row[0])
        for seq, (moment, part, event) in enumerate(rows, max(last, store.last) + 1):
            visit, classes = visits.get(event.object, (seq, set()))
            if event.event in FIRST or event.object not in visits:
                visit, classes = seq, set()
            recorded = RecordedEvent(seq, visit, event, frozenset(classes), part.name)
            insert_event(base, recorded, None, moment)
            classes.add(event.label or UNKNOWN)
            visits[event.object] = visit, classes
            if event.event in LAST:
                del visits[event.object]
            _import_media(base, part.name, event, files[part.name], moment)
            last = seq
        base.execute("update visits set ended = last where ended is null and object = 0")
        for part in parts:
            base.execute(
                "update parts set position = ?, written = ? where name = ?",
                (_length(part.table), last, part.name),
            )
    store.reload()
    store.reserve(max((_number_of(name) for each in files.values() for name in each), default=0))
    for table, lines in invalid_lines.items():
        listed = ", ".join(map(str, lines[:5])) + (", ..." if len(lines) > 5 else "")
        warn_caller(
            f"{table}: {len(lines)} lines are no events (line {listed}); they stay in the file, and the "
            "others are known",
            ImportWarning,
        )


def _rows(part: EventPart, invalid_lines: dict[Path, list[int]]) -> Iterator[tuple[float, EventPart, Event]]:
    moment = 0.0
    try:
        for number, row in numbered_events(part.table):
            try:
                event = None if row is None else event_of(row)
            except (ValueError, TypeError, KeyError, OverflowError):
                event = None
            if event is None:
                invalid_lines.setdefault(part.table, []).append(number)
                continue
            moment = moment_of(event.at) or moment
            yield moment, part, event
    except OSError as error:
        raise SinkError(f"{part.table}: cannot be read ({reason_of(error)})") from None


def _length(table: Path) -> int:
    size = table.stat().st_size
    if table.suffix.lower() == ".json":
        with table.open("rb") as file:
            file.seek(max(0, size - 3))
            return size - 3 if file.read() == b"\n]\n" else size
    return size


def _files_of(part: EventPart) -> dict[str, tuple[str, int, float]]:
    """State, size and time of the images and clips in a folder."""
    files: dict[str, tuple[str, int, float]] = {}
    if part.folder is None or not part.folder.is_dir():
        return files
    for word, names in _journal(part.folder).items():
        files |= dict.fromkeys(names, (word, 0, 0.0))
    with os.scandir(part.folder) as entries:
        for entry in entries:
            about = entry.stat(follow_symlinks=False)
            if EVENT_FILE.fullmatch(entry.name):
                files[entry.name] = "complete", about.st_size, about.st_mtime
            elif (match := _PENDING_NAME.fullmatch(entry.name)) and match["clip"] not in files:
                files[match["clip"]] = "pending", 0, about.st_mtime
    return files


def _import_media(
    base: sqlite3.Connection,
    part: str,
    event: Event,
    files: dict[str, tuple[str, int, float]],
    moment: float,
) -> None:
    for name in (event.snapshot, event.clip):
        if EVENT_FILE.fullmatch(name):
            state, size, created = files.get(name, ("lost", 0, moment))
            base.execute(
                "insert or ignore into media (part, name, bytes, state, created)"
                f" values ({PART_NUMBER}, ?, ?, ?, ?)",
                (part, name, size, state, created or moment),
            )


def _journal(folder: Path) -> dict[str, list[str]]:
    """Names of files that were deleted or lost after the table was written."""
    words: dict[str, list[str]] = {}
    with suppress(OSError):
        for line in (folder / _OLD_JOURNAL).read_text("utf-8", "replace").split("\n")[1:]:
            name, _, word = line.partition(" ")
            if EVENT_FILE.fullmatch(name) and word in ("", DELETED, LOST):
                words.setdefault(word or DELETED, []).append(name)
        (folder / _OLD_JOURNAL).unlink()
    return words


def _number_of(name: str) -> int:
    return int(name.partition("-")[0])


def _import_marks(store: EventStore, part: EventPart) -> bool:
    """Import the marks of a folder; returns whether they could be read."""
    try:
        _read_marks(store, part)
    except (OSError, ValueError) as error:
        warn_on_change(f"marks of {store.path}", _problem_of(part, error))
        return False
    return True


def _problem_of(part: EventPart, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    path = (part.folder or Path()) / _OLD_MARKS
    return (
        f"{path}: cannot be read ({reason}); mend or remove the file; until then nothing is deleted there, "
        "and no event can be marked"
    )


def _read_marks(store: EventStore, part: EventPart) -> None:
    path = (part.folder or Path()) / _OLD_MARKS
    if not path.exists() and not path.is_symlink():
        return
    marks = _parsed(path.read_bytes())
    with store.changing() as base:
        for image, mark in marks.items():
            base.execute(
                "update visits set reviewed = max(reviewed, ?), kept = max(kept, ?),"
                " reviewer = iif(? != '', ?, reviewer), note = iif(? != '', ?, note)"
                " where id in (select visit from events join parts on parts.id = events.part"
                " where parts.name = ? and snapshot = ?)",
                (
                    *(mark.get("reviewed", False), mark.get("kept", False)),
                    *(2 * (mark.get("by", ""),)),
                    *(2 * (str(mark.get("note", "")),)),
                    *(part.name, image),
                ),
            )


def _parsed(data: bytes) -> dict[str, dict[str, Any]]:
    """Parse a file of marks; ValueError if it is invalid."""
    marks = parse_json(data.decode())
    if not isinstance(marks, dict):
        raise ValueError("is no table of marks")
    for name, mark in marks.items():
        flags = [mark.get(key, False) for key in MARK_NAMES] if isinstance(mark, dict) else [None]
        if not EVENT_FILE.fullmatch(name) or not all(isinstance(flag, bool) for flag in flags):
            raise ValueError(f"means nothing at {name!r}")
        if not isinstance(mark.get("by", ""), str):
            raise ValueError(f"names nobody at {name!r}")
    return marks


def _import_scene(store: EventStore, table: Path) -> None:
    """Import the scene; the next run sets its source."""
    path = table.with_name(f".{table.name}.scene")
    with suppress(OSError):
        store.set(scene=path.read_text("utf-8", "replace"))
        path.unlink()


def _import_messages(store: EventStore, table: Path) -> None:
    """Import waiting messages by the keys of their receivers; the first receiver had no key."""
    queue = table.with_name(f".{table.name}.undelivered")
    for path in sorted(table.parent.glob(f"{queue.name}*")):
        key = path.name.removeprefix(queue.name).removeprefix("-")
        if not re.fullmatch(r"[0-9a-f]{0,12}", key):
            continue
        with suppress(sqlite3.Error, OSError):
            with closing(sqlite3.connect(path)) as base:
                bodies = [
                    parse_json(bytes(body).decode())
                    for (body,) in base.execute("select body from messages order by number")
                ]
            with store.changing() as base:
                for body in bodies:
                    base.execute(
                        "insert or ignore into deferred (receiver, seq) select ?, seq from events"
                        " where kind = ? and object = ? and at = ? and zone = ? order by seq desc limit 1",
                        (key, *(body.get(name) for name in ("event", "object", "at", "zone"))),
                    )
                base.execute(
                    "insert or ignore into receivers (key, delivered) values (?, ?)", (key, store.last)
                )
            path.unlink()
            for end in ("-wal", "-shm"):
                path.with_name(f"{path.name}{end}").unlink(missing_ok=True)
