"""Table of events for people and programs, CSV or JSON, which segue never reads back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from operator import attrgetter

from segue.entries.events import EventSinkEntry
from segue.errors import SinkError
from segue.events.receivers.base import SENT, Delivery, FileReceiver, ReceiverContext
from segue.events.store.records import RecordedEvent
from segue.events.store.store import EventStore
from segue.events.table import EventTable
from segue.utils.files import PartialFile, writing


class TableReceiver(FileReceiver):
    """Writes events of a live run at once; otherwise the file appears when it is complete.

    Rows that a crash left out are written at the next start.
    """

    def __init__(self, context: ReceiverContext) -> None:
        assert context.store is not None
        self._store: EventStore = context.store
        self._part, self._live = context.part, context.options.live
        self._append = context.options.append
        self._table: EventTable | None = None
        self._last_seq = 0  # the last event in it
        self._waiting: list[RecordedEvent] = []
        self._file = PartialFile(context.table)
        self._file.prepare()

    def send(self, message: RecordedEvent, timeout: float) -> Delivery:
        self._waiting.append(message)
        return SENT

    def begin(self) -> None:
        """Begin the table of a live run at its first result."""
        if self._table is not None or not self._live:
            return
        self._file.discard()
        state = self._store.begin_part(self._part, self._file.final.name)
        with writing(self._file.final):
            exists = self._append and self._file.final.exists()
            self._table = EventTable(self._file.final, append=exists)
            waiting = {each.seq for each in self._waiting}
            missing = []
            if exists:
                with suppress(SinkError):  # the store cannot be read
                    missing = self._store.of_part(self._part, state.written)
            rows = [asdict(each.event) for each in missing if each.is_event and each.seq not in waiting]
            self._table.add_missing(rows, state.position)

    def flush(self) -> None:
        if self._table is None or self._store.num_unsaved:  # no row is in the table that the store may lose
            return
        for each in self._waiting:
            self._table.add(asdict(each.event))
            self._last_seq = each.seq
        self._waiting.clear()
        with writing(self._file.final):
            self._table.flush()
        if self._last_seq:
            self._store.note_written(self._part, self._table.position, self._last_seq)

    @property
    def num_waiting(self) -> int:
        """Number of rows that are not in the file yet."""
        return len(self._waiting) + (0 if self._table is None else self._table.num_waiting)

    def close(self) -> None:
        try:
            with writing(self._file.final):
                if self._table is not None:
                    self.flush()
                    self._table.close()
                    return
                table = EventTable(self._file.path, self._file.final.suffix)
                for each in sorted(self._waiting, key=attrgetter("event.time")):
                    table.add(asdict(each.event))
                table.close()
            self._file.commit()
        finally:
            self._file.discard()

    def abort(self) -> None:
        """Remove an incomplete file; rows of a live run stay, in a complete file."""
        if self._table is not None:
            with suppress(OSError, SinkError):
                self.flush()
            with suppress(OSError, SinkError):
                self._table.close()
        self._file.discard()


ENTRIES = (EventSinkEntry("table", TableReceiver, part=True, rank=30),)
