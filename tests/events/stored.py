"""What the store of a camera says, for tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from segue.events.archive import EventArchive
from segue.events.store.importing import import_archive
from segue.events.store.store import EventStore
from segue.events.table import Row, event_of


def ask(table: Path, question: str, *values: object) -> list[Any]:
    """The rows that a question selects of the store beside a table, as in the last transaction."""
    store = EventStore.open(table.with_suffix(".db"))
    try:
        store.flush()
        return store.read(question, *values)
    finally:
        store.close()


def state_of(table: Path, name: str, part: str = "") -> str:
    """What the store says of an image or clip; nothing where it does not know it."""
    rows = ask(
        table,
        "select state from media join parts on parts.id = part where media.name = ? and parts.name = ?",
        *(name, part),
    )
    return rows[0][0] if rows else ""


def clip_states(table: Path, part: str = "") -> list[str]:
    """The state of the clip of each event."""
    return [
        state
        for (state,) in ask(
            table,
            "select media.state from events join parts on parts.id = events.part"
            " left join media on media.part = events.part and media.name = clip"
            " where parts.name = ? and kind != 'class' order by seq",
            part,
        )
    ]


def store_of(path: Path, rows: Iterable[Row], images: Path | None = None) -> EventStore:
    """A store in memory or a file with events, as a run would have recorded them."""
    store = EventStore.open(path)
    store.begin_part("", path.with_suffix(".csv").name)
    for row in rows:
        recorded = store.record(event_of(row))
        store.put(recorded)
        for name in (recorded.event.snapshot, recorded.event.clip):
            if name and images is not None:
                file = images / name
                store.set_media("", name, "complete", file.stat().st_size if file.exists() else 0)
    store.flush()
    return store


def imported(table: Path, images: Path | None = None) -> EventStore:
    """The store of a camera that begins with a table of a version before the store."""
    archive = EventArchive(table, images)
    store = EventStore.open(archive.store)
    import_archive(store, archive)
    return store
