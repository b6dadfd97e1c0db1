"""Send events to receivers, each in its own thread, and retry until they have arrived."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

from segue.errors import ArgumentError, SinkError
from segue.events.receivers.base import Delivery, EventReceiver, ReceiverContext
from segue.events.receivers.mqtt import GOODBYE, MqttReceiver
from segue.events.store.queues import MemoryQueue, MessageQueue, StoreQueue, Waiting, with_id
from segue.events.store.queues import begin_receivers as begin_receivers
from segue.events.store.store import EventStore
from segue.events.targets import check_targets, entry_of
from segue.utils.threads import context_thread
from segue.video.sources.addresses import public_address
from segue.video.sources.live import Reconnect

MAX_RETRY_SECONDS = 60.0
"""Longest timeout of a try; it starts with that of :class:`Reconnect` and doubles with each failure."""

LAST_SECONDS = 2.0
"""Seconds that the end of a camera's run waits for messages; the next run sends the rest. With
:data:`GOODBYE` a run ends within five seconds, before `docker stop` kills it."""

FILE_SECONDS = 60.0
"""Seconds for which a finished run over a file waits for messages, since no later run sends them."""

QUIET = 60.0
"""Seconds before the same warning is repeated after a recovery; smaller values flood the log."""

RETRY_SECONDS = 1.0
"""Seconds between two tries to read a store."""


class NotifyWarning(UserWarning):
    """A receiver of events cannot be reached, or did not get all events; the store still has them."""


class Notifier:
    """Sends messages to a receiver, in a thread and in order, and retries until each has arrived.

    The address is ``http(s)://``, ``mqtt://HOST/TOPIC`` or ``mqtts://``, with ``USER:PASSWORD@`` where
    needed, ``apprise+`` and an address of Apprise, whose services get a text and the image, or that of an
    installed receiver. Each message has an ``id``, the same when it is sent again: receivers know duplicates
    by it.

    Args:
        address: the receiver.
        queue: messages to send, such as the events of a store; None queues those of :meth:`send` in memory.
        patience: waits between tries.
        images: folder of the images of events, for services that show them.
        context: further arguments of the receiver.

    Raises:
        SinkError: it is no such address, or its package is missing.
    """

    def __init__(
        self,
        address: str,
        queue: MessageQueue | None = None,
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
        self._queue: MessageQueue = queue or self._memory  # type: ignore[assignment]
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
        """Number of messages so far, including those of an earlier run."""
        return self._delivered + self.undelivered

    @property
    def undelivered(self) -> int:
        """Number of messages that have not arrived yet."""
        return self._queue.num_waiting

    @property
    def num_unsaved(self) -> int:
        """Number of messages that wait in memory only, because the file cannot be written."""
        return self._queue.num_unsaved

    @property
    def problem(self) -> str:
        """Reason why messages cannot wait in their file; empty without a problem."""
        return self._queue.problem

    def send(self, values: Mapping[str, Any]) -> None:
        """Queue a message.

        Args:
            values: the message, as JSON values.
        """
        if self._memory is None:
            raise ArgumentError("this notifier sends what its queue has")
        self._memory.append(with_id(values))
        self.wake()

    def wake(self) -> None:
        """Check the queue for new messages."""
        with self._changed:
            self._changed.notify_all()

    def announce(self, online: bool) -> None:
        """Report whether the camera gives frames; with MQTT, retained in TOPIC/availability.

        Args:
            online: whether it does.
        """
        self.receiver.announce(online)

    def stop(self) -> None:
        """Stop sending; messages that wait in a file stay for the next run."""
        self.end_by(time.monotonic())

    def close(
        self,
        limit: float = LAST_SECONDS,
        report: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Wait until all messages have arrived, for a limited time.

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
        """End at a moment, or as soon as all have arrived; does not wait, see :meth:`close`.

        Args:
            moment: seconds of ``time.monotonic()``.
        """
        with self._changed:
            self._ends, self._failures, self._refused_until = moment, 0, 0.0
            self._changed.notify_all()

    @property
    def _seconds_left(self) -> float:
        """Seconds until the end."""
        return float("inf") if self._ends is None else self._ends - time.monotonic()

    def _work(self) -> None:
        try:
            while self._seconds_left > 0 and (message := self._next()) is not None:
                self._try(message)
        finally:
            self.receiver.close()
            self._queue.close()

    def _next(self) -> Waiting | None:
        """Wait for the next message; None at the end."""
        with self._changed:
            while True:
                message, retry_time = self._first()
                if message is not None or (
                    self._ends is not None and (retry_time is None or self._seconds_left <= 0)
                ):
                    return message
                seconds = min(
                    self._seconds_left, float("inf") if retry_time is None else retry_time - time.monotonic()
                )
                self._changed.wait(None if seconds == float("inf") else max(0.0, seconds))

    def _first(self) -> tuple[Waiting | None, float | None]:
        """Next message, or the time of the next try; (None, None) if the queue is empty."""
        message = self._queue.first()
        self._warn_of_queue()
        if message is None and self._queue.problem and (self._queue.num_waiting or self._ends is None):
            return None, time.monotonic() + RETRY_SECONDS
        if message is not None and message.refused and time.monotonic() < self._refused_until:
            return None, self._refused_until
        return message, None

    def _warn_of_queue(self) -> None:
        """Warn if messages cannot be written to the disk."""
        if self._queue.problem:
            self._warn_repeated("file", f"{self._queue.problem}; messages are sent from memory")
        else:
            self._well.add("file")

    def _try(self, waiting: Waiting) -> None:
        timeout = min(MAX_RETRY_SECONDS, self._patience.timeout * 2.0 ** min(self._failures, 10))
        try:
            delivery = self.receiver.send(waiting.message, max(0.1, min(timeout, self._seconds_left)))
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
        """Wait, at most until the end of the run changes."""
        ends = self._ends
        with self._changed:
            self._changed.wait_for(lambda: self._ends != ends, max(0.0, min(seconds, self._seconds_left)))

    def _warn_repeated(self, what: str, text: str) -> None:
        last_time = self._warned.get(what)
        if last_time is None or (what in self._well and time.monotonic() - last_time > QUIET):
            self._warned[what] = time.monotonic()
            self._warn(text)
        self._well.discard(what)

    def _warn(self, text: str) -> None:
        warnings.warn(f"{self._public_address}: {text}", NotifyWarning, stacklevel=4)


def open_receiver(context: ReceiverContext, patience: Reconnect) -> EventReceiver:
    """Open the receiver of an address; raises SinkError."""
    entry = entry_of(context.address)
    if entry.open is MqttReceiver:
        return MqttReceiver(context, patience)
    receiver: EventReceiver = entry.open(context)
    return receiver


class Notifiers:
    """Sends the events of a store to several targets, each in its own thread.

    Args:
        targets: texts as :meth:`NotifyTarget.parse` reads them.
        store: the events, and the last one delivered to each target.
        images: folder of the images of events.
        patience: waits between tries.
        online: whether the camera gives frames already.
        page: returns the address of the cameras' page, for links to visits; empty for none.
        size: returns height and width of the image of events' boxes, if known.

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
        """Number of messages so far, including those of an earlier run."""
        return sum(each.total for each in self._notifiers)

    @property
    def undelivered(self) -> int:
        """Number of messages that have not arrived yet."""
        return sum(each.undelivered for each in self._notifiers)

    @property
    def num_unsaved(self) -> int:
        """Number of messages that wait in memory only, because the file cannot be written."""
        return sum(each.num_unsaved for each in self._notifiers)

    @property
    def problem(self) -> str:
        """Reason why messages cannot wait in a file; empty without a problem."""
        return next((each.problem for each in self._notifiers if each.problem), "")

    def wake(self) -> None:
        """Check the queues for new messages."""
        for each in self._notifiers:
            each.wake()

    def announce(self, online: bool) -> None:
        """Report whether the camera gives frames, see :meth:`Notifier.announce`."""
        for each in self._notifiers:
            each.announce(online)

    def arm(self, armed: bool) -> None:
        """Turn alerts of new events on or off, and inform all receivers."""
        self._store.arm(armed)
        for each in [*self._notifiers]:
            each.receiver.show_armed(armed)

    def stop(self) -> None:
        """Stop sending; messages that wait stay for the next run."""
        for each in self._notifiers:
            each.stop()

    def close(self, limit: float = LAST_SECONDS, report: Callable[[int], None] = lambda _: None) -> int:
        """Wait until all messages have arrived, for a limited time; see :meth:`Notifier.close`."""
        end, total = time.monotonic() + limit, self.total
        for each in self._notifiers:
            each.end_by(end)
        for each in self._notifiers:
            each.close(max(0.0, end - time.monotonic()), lambda _: report(total - self.undelivered))
        return self.undelivered
