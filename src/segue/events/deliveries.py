"""Tell receivers of events as they happen, in a thread each, again until they have arrived."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from segue.errors import ArgumentError, SinkError
from segue.events.receivers.base import Delivery, EventReceiver, Message, ReceiverContext
from segue.events.receivers.mqtt import GOODBYE, MqttReceiver
from segue.events.rules import UNKNOWN
from segue.events.store.store import EventStore, RecordedEvent
from segue.events.targets import NotifyTarget, check_targets, entry_of
from segue.utils.threads import context_thread
from segue.video.sources.addresses import public_address
from segue.video.sources.live import Reconnect

MAX_RETRY_SECONDS = 60.0
"""Seconds after which a receiver is asked again; it begins with those of :class:`Reconnect`, and doubles."""

LAST_SECONDS = 2.0
"""Seconds that the end of a run of a camera waits for messages; the next run sends those that are left.
With :data:`GOODBYE` it ends within five, and `docker stop` does not kill it."""

FILE_SECONDS = 60.0
"""Seconds that the end of a run over a file waits for messages."""

QUIET = 60.0
"""Seconds in which the same thing is not warned of again, though it was well in between."""

SAVE_SECONDS = 0.2
"""How often it is noted what a receiver has got, while further messages wait."""

RETRY_SECONDS = 1.0
"""How often a store is asked again that cannot be read."""

READ_BATCH = 500
"""Events that are read at once of what waits."""


class NotifyWarning(UserWarning):
    """A receiver of events cannot be reached, or did not get all; the events are in their store."""


def with_id(values: Mapping[str, Any]) -> Message:
    """A message of values, with an id that follows from them."""
    id = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]
    return Message({"id": id, **values})


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits, by its number, and how often it was refused."""

    number: int
    message: Message
    refused: int = 0


class _Queue(Protocol):
    """What is to be sent to a receiver, in order; those that were refused come last."""

    problem: str

    @property
    def num_waiting(self) -> int:
        """Messages that wait."""

    @property
    def num_unsaved(self) -> int:
        """Of these, those that are lost when the process ends."""

    def first(self) -> Waiting | None:
        """The message whose turn it is."""

    def remove(self, waiting: Waiting) -> None:
        """Forget a message, which has arrived."""

    def postpone(self, waiting: Waiting) -> None:
        """Try the others first."""

    def close(self) -> None:
        """End; what waits stays for the next run, if there is a file."""


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
        return len(self._waiting) + len(self._refused)

    num_unsaved = num_waiting

    def first(self) -> Waiting | None:
        return next(iter(self._waiting or self._refused), None)

    def remove(self, waiting: Waiting) -> None:
        (self._refused if waiting.refused else self._waiting).popleft()

    def postpone(self, waiting: Waiting) -> None:
        self.remove(waiting)
        self._refused.append(replace(waiting, refused=waiting.refused + 1))

    def close(self) -> None:
        pass


class StoreQueue:
    """The events of a store that a target has not got yet: those after the last one that it has got.

    Args:
        store: the events.
        key: of the receiver in the store.
        target: which of them are meant.
        page: gives the address of the page of the cameras, for links to visits; empty for none.
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
        """Count what has come since the last time."""
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
                self._pass(recorded.seq)
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
        """An event as the receiver gets it; its id follows from the event alone."""
        message = with_id(recorded.values)
        rule = self._target.rule_of(recorded, lambda each: self._store.events_of(each.visit))
        more: dict[str, Any] = {}
        if (page := self._page()) and recorded.event.object and recorded.event.source:
            place = f"{quote(recorded.event.source, safe='')}/{recorded.visit}"
            more["link"] = f"{page.rstrip('/')}/#visit/{place}"
        more |= {name: value for name in ("priority", "title", "text") if (value := getattr(rule, name))}
        if self._target.is_alert and recorded.event.object:  # the class may have become known later
            labels = [each.event.label for each in self._store.events_of(recorded.visit)]
            known = [label for label in labels if label not in (None, UNKNOWN)]
            more |= {"label": known[-1]} if known else {}
        return Message({**message.values, **more}, recorded.visit)

    def _pass(self, seq: int) -> None:
        """Nothing is left of an event and those before it."""
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
        """The first event that is due is done with."""
        self._count()
        self._num_pending -= 1
        done = self._pending.pop(0)
        if self._pending:
            self._within = done.seq
            self._store.note_delivered(self._key, self._delivered, done.seq)
        else:
            self._pass(self._ahead[0].seq)

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


def _position(store: EventStore, key: str) -> tuple[int, int, dict[int, int]]:
    """The last event that a receiver has got, and those that wait beside it; one that is new begins now."""
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
    """Note which receivers there are from now on.

    What waits for one that is no longer given waits until it is given again; what happens meanwhile is not
    for it.
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


class Notifier:
    """Sends messages to a receiver, in a thread and in order, each until it has arrived; nobody waits for it.

    The address is ``http(s)://``, ``mqtt://HOST/TOPIC`` or ``mqtts://``, with ``USER:PASSWORD@`` where
    needed, ``apprise+`` and an address of Apprise, whose services get a text and the image, or that of an
    installed receiver. Each message has an ``id``, the same when it is sent again: receivers know duplicates
    by it.

    Args:
        address: the receiver.
        queue: what is sent, such as the events of a store; None takes what :meth:`send` gives, in memory.
        patience: waits between tries.
        images: folder of the images of events, for services that show them.
        context: what else the receiver is opened with.

    Raises:
        SinkError: it is no such address, or its package is missing.
    """

    def __init__(
        self,
        address: str,
        queue: _Queue | None = None,
        patience: Reconnect | None = None,
        images: Path | None = None,
        *,
        context: ReceiverContext | None = None,
    ) -> None:
        self._patience = patience or Reconnect()
        context = replace(context or ReceiverContext(), address=address, images=images)
        self.receiver = open_receiver(context, self._patience)
        self._public_address = public_address(address)
        self._memory = MemoryQueue() if queue is None else None
        self._queue: _Queue = queue or self._memory  # type: ignore[assignment]
        self._delivered = 0
        self._failures = self._refusals = 0  # in a row
        self._refused_until = 0.0  # refused messages are not tried before
        self._warned: dict[str, float] = {}  # of what, and when
        self._well: set[str] = set()  # what was well again since
        self._ends: float | None = None  # when the run ends without what has not arrived
        self._changed = threading.Condition()
        self._thread = context_thread(self._work, "segue-notify")
        self._thread.start()

    @property
    def total(self) -> int:
        """Messages so far, with those of an earlier run."""
        return self._delivered + self.undelivered

    @property
    def undelivered(self) -> int:
        """Messages that have not arrived yet."""
        return self._queue.num_waiting

    @property
    def num_unsaved(self) -> int:
        """Messages that wait in memory alone, as their file takes none."""
        return self._queue.num_unsaved

    @property
    def problem(self) -> str:
        """Why messages cannot wait in their file; empty where they can."""
        return self._queue.problem

    def send(self, values: Mapping[str, Any]) -> None:
        """Send values, soon.

        Args:
            values: the message, as JSON values.
        """
        if self._memory is None:
            raise ArgumentError("this notifier sends what its queue has")
        self._memory.append(with_id(values))
        self.wake()

    def wake(self) -> None:
        """Look whether there is something to send."""
        with self._changed:
            self._changed.notify_all()

    def announce(self, online: bool) -> None:
        """Say whether the camera gives frames: with MQTT in TOPIC/availability, which the broker keeps.

        Args:
            online: whether it does.
        """
        self.receiver.announce(online)

    def stop(self) -> None:
        """Send nothing more; what waits in a file stays there for the next run."""
        self.end_by(time.monotonic())

    def close(
        self,
        limit: float = LAST_SECONDS,
        report: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Wait until all has arrived, for some seconds at most.

        Args:
            limit: the seconds.
            report: called now and then with the number of messages that have arrived.

        Returns:
            The number of messages that have not arrived.
        """
        self.end_by(time.monotonic() + limit)
        while self._thread.is_alive() and (self._ends or 0.0) + GOODBYE > time.monotonic():
            report(self._delivered)
            self._thread.join(0.1)
        return self.undelivered

    def end_by(self, moment: float) -> None:
        """End at a moment, or as soon as all has arrived, without waiting for it; see :meth:`close`.

        Args:
            moment: seconds of ``time.monotonic()``.
        """
        with self._changed:
            self._ends, self._failures, self._refused_until = moment, 0, 0.0
            self._changed.notify_all()

    @property
    def _left(self) -> float:
        """Seconds until the end."""
        return float("inf") if self._ends is None else self._ends - time.monotonic()

    def _work(self) -> None:
        try:
            while self._left > 0 and (message := self._next()) is not None:
                self._try(message)
        finally:
            self.receiver.close()
            self._queue.close()

    def _next(self) -> Waiting | None:
        """The message whose turn it is, as soon as there is one; None at the end."""
        with self._changed:
            while True:
                message, retry_time = self._first()
                if message is not None or (
                    self._ends is not None and (retry_time is None or self._left <= 0)
                ):
                    return message
                seconds = min(
                    self._left, float("inf") if retry_time is None else retry_time - time.monotonic()
                )
                self._changed.wait(None if seconds == float("inf") else max(0.0, seconds))

    def _first(self) -> tuple[Waiting | None, float | None]:
        """The message whose turn it is, or None and the time to look again, or None and None."""
        message = self._queue.first()
        self._warn_of_queue()
        if message is None and self._queue.problem and (self._queue.num_waiting or self._ends is None):
            return None, time.monotonic() + RETRY_SECONDS
        if message is not None and message.refused and time.monotonic() < self._refused_until:
            return None, self._refused_until
        return message, None

    def _warn_of_queue(self) -> None:
        """Say that messages have no room on the disk."""
        if self._queue.problem:
            self._warn_repeated("file", f"{self._queue.problem}; messages are sent from memory")
        else:
            self._well.add("file")

    def _try(self, waiting: Waiting) -> None:
        timeout = min(MAX_RETRY_SECONDS, self._patience.timeout * 2.0 ** min(self._failures, 10))
        try:
            delivery = self.receiver.send(waiting.message, max(0.1, min(timeout, self._left)))
        except (OSError, ValueError, HTTPException) as error:
            reason = str(getattr(error, "reason", None) or error or type(error).__name__)
            delivery = Delivery("retry", reason)
        except Exception as error:  # a defect of a receiver of another package holds up no other event
            delivery = Delivery("refused", f"{type(error).__name__}: {error}")
        if delivery.outcome == "refused":  # the others do not wait for this one
            self._refusals += 1
            self._refused_until = time.monotonic() + self._patience.delay(self._refusals)
            self._warn_repeated("refused", f"not notified of an event ({delivery.reason}); it is tried again")
            self._queue.postpone(waiting)
        elif delivery.outcome == "retry":
            self._failures += 1
            self._warn_repeated(
                "receiver", f"not notified of an event ({delivery.reason}); it is tried again"
            )
            self._pause(self._patience.delay(self._failures))
        else:
            self._queue.remove(waiting)
            self._delivered += 1
            self._failures = 0
            self._well.add("receiver")
            if waiting.refused:
                self._refusals, self._refused_until = 0, 0.0
                self._well.add("refused")

    def _pause(self, seconds: float) -> None:
        """Wait, unless the end of the run changes."""
        ends = self._ends
        with self._changed:
            self._changed.wait_for(lambda: self._ends != ends, max(0.0, min(seconds, self._left)))

    def _warn_repeated(self, what: str, text: str) -> None:
        last_time = self._warned.get(what)
        if last_time is None or (what in self._well and time.monotonic() - last_time > QUIET):
            self._warned[what] = time.monotonic()
            self._warn(text)
        self._well.discard(what)

    def _warn(self, text: str) -> None:
        warnings.warn(f"{self._public_address}: {text}", NotifyWarning, stacklevel=4)


def open_receiver(context: ReceiverContext, patience: Reconnect) -> EventReceiver:
    """The receiver of an address; raises SinkError."""
    entry = entry_of(context.address)
    if entry.open is MqttReceiver:
        return MqttReceiver(context, patience)
    receiver: EventReceiver = entry.open(context)
    return receiver


class Notifiers:
    """Sends the events of a store to the targets that receive them, to each in a thread of its own.

    Args:
        targets: texts as :meth:`NotifyTarget.parse` reads them.
        store: the events, and what each target has got of them.
        images: folder of the images of events.
        patience: waits between tries.
        online: whether the camera gives frames already.
        page: gives the address of the page of the cameras, for links to visits; empty for none.
        size: gives height and width of the boxes of events, as far as they are known.

    Attributes:
        targets: each target with its receiver.

    Raises:
        SinkError: a text is no target, two targets are one address, or an address is invalid.
    """

    def __init__(
        self,
        targets: Sequence[str],
        store: EventStore,
        images: Path | None = None,
        patience: Reconnect | None = None,
        *,
        online: bool = True,
        page: Callable[[], str] = str,
        size: Callable[[], tuple[int, int] | None] = lambda: None,
    ) -> None:
        checked, self._store = check_targets(targets), store
        context = ReceiverContext(online=online, size=size, arm=self.arm, store=store)
        begin_receivers(store, checked)
        with suppress(SinkError):  # on a full disk
            store.flush()
        self._notifiers: list[Notifier] = []
        try:
            for target in checked:
                queue = StoreQueue(store, target.key, target, page)
                self._notifiers.append(Notifier(target.address, queue, patience, images, context=context))
        except BaseException:
            self.stop()
            raise
        receivers = [each.receiver for each in self._notifiers]
        self.targets = tuple(zip(checked, receivers, strict=True))
        for receiver in receivers:
            receiver.show_armed(store.armed)

    @property
    def total(self) -> int:
        """Messages so far, with those of an earlier run."""
        return sum(each.total for each in self._notifiers)

    @property
    def undelivered(self) -> int:
        """Messages that have not arrived yet."""
        return sum(each.undelivered for each in self._notifiers)

    @property
    def num_unsaved(self) -> int:
        """Messages that wait in memory alone, as their file takes none."""
        return sum(each.num_unsaved for each in self._notifiers)

    @property
    def problem(self) -> str:
        """Why messages cannot wait in a file; empty where they can."""
        return next((each.problem for each in self._notifiers if each.problem), "")

    def wake(self) -> None:
        """Look whether there is something to send."""
        for each in self._notifiers:
            each.wake()

    def announce(self, online: bool) -> None:
        """Say whether the camera gives frames, see :meth:`Notifier.announce`."""
        for each in self._notifiers:
            each.announce(online)

    def arm(self, armed: bool) -> None:
        """Have alerts sent of what happens from now on, or not, and tell all receivers."""
        self._store.arm(armed)
        for each in [*self._notifiers]:
            each.receiver.show_armed(armed)

    def stop(self) -> None:
        """Send nothing more; what waits stays for the next run."""
        for each in self._notifiers:
            each.stop()

    def close(self, limit: float = LAST_SECONDS, report: Callable[[int], None] = lambda _: None) -> int:
        """Wait until all has arrived, for some seconds at most; see :meth:`Notifier.close`."""
        end, total = time.monotonic() + limit, self.total
        for each in self._notifiers:
            each.end_by(end)
        for each in self._notifiers:
            each.close(max(0.0, end - time.monotonic()), lambda _: report(total - self.undelivered))
        return self.undelivered
