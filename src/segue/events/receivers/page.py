"""Events for the program that shows a run: a page, a terminal or Python."""

from __future__ import annotations

from segue.entries.events import EventSinkEntry
from segue.events.receivers.base import SENT, Delivery, FileReceiver, ReceiverContext
from segue.events.store.records import RecordedEvent


class PageReceiver(FileReceiver):
    """Passes each event to the page once it is written, or if the disk is full."""

    def __init__(self, context: ReceiverContext) -> None:
        assert context.tell is not None
        self._tell, self._waiting = context.tell, list[RecordedEvent]()

    def send(self, message: RecordedEvent, timeout: float) -> Delivery:
        self._tell(message.event)
        return SENT


def _open(context: ReceiverContext) -> PageReceiver | None:
    return None if context.tell is None else PageReceiver(context)


ENTRIES = (EventSinkEntry("page", _open, part=True, rank=50),)
