"""Sinks that combine or wrap other sinks."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from segue.errors import SinkError
from segue.formats.base import Sink
from segue.types import Frame, Segmentation
from segue.utils.allocation import queue_depth
from segue.utils.notices import warn_caller
from segue.utils.system import lower_thread_priority
from segue.utils.threads import context_thread
from segue.video.decoding.readers import ConnectionChange


class MultiSink(Sink):
    """Sends every result to several sinks in order; they are closed in the same order.

    When one of them fails, the others are aborted.

    Args:
        sinks: the sinks.
        locks: released when the sinks end, also by a failure.
    """

    def __init__(self, sinks: Sequence[Sink], locks: ExitStack | None = None) -> None:
        self._sinks = tuple(sinks)
        self._locks = locks or ExitStack()

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        for sink in self._sinks:
            sink.write(frame, segmentation)

    def flush(self) -> None:
        for sink in self._sinks:
            sink.flush()

    def connection(self, change: ConnectionChange) -> None:
        for sink in self._sinks:
            sink.connection(change)

    def events(self, events: Sequence[Any], objects: Mapping[int, Any]) -> None:
        for sink in self._sinks:
            sink.events(events, objects)

    def close(self) -> None:
        self._end(Sink.close.__name__)

    def suspend(self) -> None:
        self._end(Sink.suspend.__name__)

    def _end(self, method: str) -> None:
        """End every sink by one of its methods; after a failure abort the rest and raise."""
        with self._locks:
            for position, sink in enumerate(self._sinks):
                try:
                    getattr(sink, method)()
                except BaseException:
                    for rest in self._sinks[position:]:
                        rest.abort()
                    raise

    def abort(self) -> None:
        with self._locks:
            for sink in self._sinks:
                sink.abort()


class ShowingWarning(UserWarning):
    """Frames of a camera are missing in a preview video; the message names it."""


class LenientSink(Sink):
    """Wraps a preview sink; its failures become warnings and missing frames."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._missing = 0

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        try:
            self._sink.write(frame, segmentation)
        except SinkError as error:
            self._missing += 1
            if self._missing == 1:
                self._warn(f"{error}; the run goes on, and frames that are missing there are counted")

    def flush(self) -> None:
        self._sink.flush()

    def connection(self, change: ConnectionChange) -> None:
        self._sink.connection(change)

    def events(self, events: Sequence[Any], objects: Mapping[int, Any]) -> None:
        self._sink.events(events, objects)

    def close(self) -> None:
        if self._missing > 1:
            self._warn(f"{self._missing} frames are missing in a video")
        try:
            self._sink.close()
        except SinkError as error:
            self._warn(str(error))

    def abort(self) -> None:
        self._sink.abort()

    def _warn(self, text: str) -> None:
        warn_caller(text, ShowingWarning)


class BackgroundSink(Sink):
    """Writes to another sink in a thread, at most ``depth`` results behind, fewer for large images.

    Errors in the thread are raised by the next :meth:`write`, :meth:`flush` or :meth:`close`.

    Args:
        sink: sink to write to; it is used by that thread only, until this one is flushed.
        depth: number of results that may wait; further ones make the caller wait.
    """

    def __init__(self, sink: Sink, depth: int = 8) -> None:
        self._sink, self._depth = sink, depth
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._ends = threading.Event()  # the caller writes what waits
        self._thread = context_thread(self._work, "segue-sink")
        try:
            self._thread.start()
        except BaseException:  # there are too many threads
            sink.abort()
            raise

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        """Queue a result; raises the error of an earlier one.

        Args:
            frame: the frame.
            segmentation: its result.
        """
        self._raise_error()
        self._jobs.maxsize = queue_depth(self._depth, frame.image.nbytes)
        self._jobs.put(partial(self._sink.write, frame, segmentation))

    def connection(self, change: ConnectionChange) -> None:
        """Queue a change of the connection; thread-safe.

        Args:
            change: the connection is lost or back.
        """
        self._jobs.put(partial(self._sink.connection, change))

    def events(self, events: Sequence[Any], objects: Mapping[int, Any]) -> None:
        """Queue events; thread-safe.

        Args:
            events: events of a frame, in order.
            objects: present objects by id.
        """
        self._jobs.put(partial(self._sink.events, events, objects))

    def flush(self) -> None:
        """Wait until everything queued is written."""
        self._jobs.join()
        self._raise_error()
        self._sink.flush()

    def close(self) -> None:
        """Write the queued results and complete the other sink; after a failure abort it and raise."""
        self._stop()
        if self._error is None:
            self._end(self._sink.close)
            return
        try:
            self._raise_error()
        finally:
            self.abort()

    def suspend(self) -> None:
        """Write the queued results and suspend the other sink; after a failure raise."""
        self._stop()
        self._raise_error()
        self._sink.suspend()

    def abort(self) -> None:
        """Write queued results, so that a later run can resume, then abort the other sink."""
        self._stop()
        self._end(self._sink.abort)

    def _end(self, how: Callable[[], None]) -> None:
        how()
        # The other one and the error may know who holds this one, and keep all that the run has opened.
        self._sink, self._error = Sink(), None

    def _stop(self) -> None:
        """Write queued results at the priority of the waiting caller."""
        self._ends.set()
        with suppress(queue.Full):  # then the thread does not wait for something to write
            self._jobs.put_nowait(None)
        self._thread.join()
        with suppress(queue.Empty):
            while True:
                self._run(self._jobs.get_nowait())

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        lower_thread_priority()
        while not self._ends.is_set():
            self._run(self._jobs.get())

    def _run(self, job: Callable[[], None] | None) -> None:
        """Run one queued action."""
        if job is not None and self._error is None:
            try:
                job()
            except BaseException as error:
                self._error = error  # the caller gets it, whatever it is
        self._jobs.task_done()
