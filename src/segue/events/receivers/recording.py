"""Events in the store of the camera."""

from __future__ import annotations

from segue.entries.events import EventSinkEntry
from segue.events.receivers.base import SENT, Delivery, FileReceiver, ReceiverContext
from segue.events.store.records import RecordedEvent


class StoreReceiver(FileReceiver):
    """Flushes the store; on a full disk events wait in memory."""

    def __init__(self, context: ReceiverContext) -> None:
        assert context.store is not None
        self._store = context.store

    def send(self, message: RecordedEvent, timeout: float) -> Delivery:
        return SENT  # it is in memory already

    def flush(self) -> None:
        self._store.flush()

    def close(self) -> None:
        self._store.flush()


ENTRIES = (EventSinkEntry("store", StoreReceiver, part=True, rank=20),)
