"""Queues of messages for receivers: in memory, or events of a store."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from urllib.parse import quote

from segue.errors import SinkError
from segue.events.receivers.base import Message
from segue.events.rules import UNKNOWN
from segue.events.store.records import RecordedEvent
from segue.events.store.store import EventStore
from segue.events.targets import NotifyTarget

SAVE_SECONDS = 0.2
"""Minimum seconds between two saves of a receiver's progress while messages wait."""

READ_BATCH = 500
"""Number of waiting events read at once."""


def with_id(values: Mapping[str, Any]) -> Message:
    """Create a message with an id that is derived from its values."""
    id = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]
    return Message({"id": id, **values})


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits: its number, and how often it was refused."""

    number: int
    message: Message
    refused: int = 0


class MemoryQueue:
    """Messages of a program, in memory."""

    problem = ""

    def __init__(self) -> None:
        self._waiting = deque[Waiting]()
        self._refused = deque[Waiting]()
        self._count = 0

    def append(self, message: Message) -> None:
        """Add a message."""
        self._count += 1
        self._waiting.append(Waiting(self._count, message))

    @property
    def num_waiting(self) -> int:
        """Number of messages that wait; refused ones come last."""
        return len(self._waiting) + len(self._refused)

    num_unsaved = num_waiting
    """Number of waiting messages that are lost when the process ends."""

    def first(self) -> Waiting | None:
        """Next message to send."""
        return next(iter(self._waiting or self._refused), None)

    def remove(self, waiting: Waiting) -> None:
        """Remove a message that has arrived."""
        (self._refused if waiting.refused else self._waiting).popleft()

    def postpone(self, waiting: Waiting) -> None:
        """Move a refused message to the end."""
        self.remove(waiting)
        self._refused.append(replace(waiting, refused=waiting.refused + 1))

    def close(self) -> None:
        pass


class StoreQueue:
    """Queue of the events of a store that a target has not received.

    Args:
        store: the events.
        key: of the receiver in the store.
        target: which of them are meant.
        page: returns the address of the cameras' page, for links to visits; empty for none.
    """

    def __init__(
        self, store: EventStore, key: str, target: NotifyTarget, page: Callable[[], str] = str
    ) -> None:
        self._store, self._key, self._target, self._page = store.share(), key, target, page
        self._lock = threading.RLock()
        self._delivered, self._within, self._deferred = _position(store, key)
        self._pending: list[RecordedEvent] = []  # of the event after the last one that is done with
        self._ahead = deque[RecordedEvent]()
        self._counted, self._num_pending = self._delivered, 0
        self._within_first = self._within  # of the first events that are counted
        self._saved_time = 0.0
        self.problem = ""

    @property
    def num_waiting(self) -> int:
        with self._lock:
            self._count()
            return self._num_pending + len(self._deferred)

    def _count(self) -> None:
        """Count the events since the last call."""
        try:
            while batch := self._store.after(self._counted, READ_BATCH):
                for recorded in batch:
                    pending = [
                        each for each in self._deliveries_of(recorded) if each.seq > self._within_first
                    ]
                    self._num_pending += len(pending)
                    self._within_first = 0 if pending else self._within_first
                    self._counted = recorded.seq
        except SinkError as error:
            self.problem = str(error)

    @property
    def num_unsaved(self) -> int:
        return min(self.num_waiting, self._store.num_unsaved)

    def first(self) -> Waiting | None:
        with self._lock:
            try:
                first = self._first()
            except SinkError as error:
                self.problem = str(error)
                return None
            self.problem = self._store.problem
            return first

    def _first(self) -> Waiting | None:
        untried = (seq for seq, tries in self._deferred.items() if not tries)  # of a receiver that is back
        if (seq := next(untried, None)) is not None:
            return self._deferred_event(seq)
        while not self._pending:
            if not self._ahead:
                self._ahead.extend(self._store.after(self._delivered, READ_BATCH))
            if not self._ahead:
                break
            recorded = self._ahead[0]
            self._pending = [each for each in self._deliveries_of(recorded) if each.seq > self._within]
            if not self._pending:
                self._mark_done(recorded.seq)
        if self._pending:
            return Waiting(self._pending[0].seq, self._message(self._pending[0]))
        if not self._deferred:
            return None
        return self._deferred_event(min(self._deferred, key=lambda seq: (self._deferred[seq], seq)))

    def _deferred_event(self, seq: int) -> Waiting | None:
        recorded, tries = self._store.find(seq), self._deferred[seq]
        # One that waited while the receiver was not given has not passed the filter yet.
        if recorded is None or not (tries or self._is_addressed(recorded)):
            self._forget(seq)
            return self._first()
        return Waiting(seq, self._message(recorded), tries)

    def _is_addressed(self, recorded: RecordedEvent) -> bool:
        visit = self._store.events_of(recorded.visit)
        return any(recorded in due for due in self._target.deliveries(visit))

    def _deliveries_of(self, recorded: RecordedEvent) -> list[RecordedEvent]:
        return self._target.due(recorded, lambda each: self._store.events_of(each.visit))

    def _message(self, recorded: RecordedEvent) -> Message:
        """Create the message of an event; its id depends on the event only."""
        message = with_id(recorded.values)
        rule = self._target.rule_of(recorded, lambda each: self._store.events_of(each.visit))
        more: dict[str, Any] = {}
        if (page := self._page()) and recorded.event.object and recorded.event.source:
            place = f"{quote(recorded.event.source, safe='')}/{recorded.visit}"
            more["link"] = f"{page.rstrip('/')}/#visit/{place}"
        names = ("priority", "picture", "title", "text")
        more |= {name: value for name in names if (value := getattr(rule, name))}
        if self._target.is_alert and recorded.event.object:  # the class may have become known later
            labels = [each.event.label for each in self._store.events_of(recorded.visit)]
            classes = [label for label in labels if label not in (None, UNKNOWN)]
            more |= {"label": classes[-1]} if classes else {}
        return Message({**message.values, **more}, recorded.visit)

    def _mark_done(self, seq: int) -> None:
        """Mark an event and all before it as done."""
        self._ahead.popleft()
        self._delivered, self._within = seq, 0
        if self._counted < seq:
            self._counted, self._within_first = seq, 0
        self._store.note_delivered(self._key, seq, 0)

    def remove(self, waiting: Waiting) -> None:
        with self._lock:
            if waiting.number in self._deferred:
                self._forget(waiting.number)
            else:
                self._advance()
            now = time.monotonic()
            if not self._pending and (now - self._saved_time >= SAVE_SECONDS or not self.num_waiting):
                self._saved_time = now
                self._save()

    def postpone(self, waiting: Waiting) -> None:
        with self._lock:
            if waiting.number not in self._deferred:
                self._advance()
            tries = self._deferred[waiting.number] = waiting.refused + 1
            self._store.change(
                "insert or replace into deferred (receiver, seq, tries) values (?, ?, ?)",
                *(self._key, waiting.number, tries),
            )
            self._save()

    def _advance(self) -> None:
        """Mark the first pending event as done."""
        self._count()
        self._num_pending -= 1
        done = self._pending.pop(0)
        if self._pending:
            self._within = done.seq
            self._store.note_delivered(self._key, self._delivered, done.seq)
        else:
            self._mark_done(self._ahead[0].seq)

    def _forget(self, seq: int) -> None:
        del self._deferred[seq]
        self._store.change("delete from deferred where receiver = ? and seq = ?", self._key, seq)

    def _save(self) -> None:
        try:
            self._store.flush()
        except SinkError as error:
            self.problem = str(error)

    def close(self) -> None:
        self._save()
        self._store.close()


MessageQueue: TypeAlias = MemoryQueue | StoreQueue


def _position(store: EventStore, key: str) -> tuple[int, int, dict[int, int]]:
    """Last event that a receiver has got, and its deferred ones; a new receiver starts now."""
    try:
        rows = store.read("select delivered, within from receivers where key = ?", key)
        deferred = dict(
            store.read("select seq, tries from deferred where receiver = ? order by seq", key) if rows else ()
        )
    except SinkError:
        rows, deferred = [], {}
    delivered, within = rows[0] if rows else (store.last, 0)
    return delivered, within, deferred


def begin_receivers(store: EventStore, targets: Sequence[NotifyTarget]) -> None:
    """Register the receivers of a run.

    Messages for a receiver that was removed wait until it is configured again; it gets no events of the
    meantime.
    """
    last = store.last
    keys = [target.key for target in targets]
    marks = ", ".join("?" * len(keys))
    if keys:  # messages of before the store, whose first receiver had no key
        store.change("update or ignore deferred set receiver = ? where receiver = ''", keys[0])
        store.change("delete from receivers where key = ''")
    store.change(
        "insert or ignore into deferred (receiver, seq) select receivers.key, seq from receivers, events"
        f" where active = 1 and key not in ({marks}) and seq > delivered and kind != 'class'",
        *keys,
    )
    store.change(f"update receivers set active = 0, within = 0 where key not in ({marks})", *keys)
    for key in keys:
        store.change("insert or ignore into receivers (key, delivered) values (?, ?)", key, last)
        store.change("update receivers set delivered = ?, active = 1 where key = ? and active = 0", last, key)
