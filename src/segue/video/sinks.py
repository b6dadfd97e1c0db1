"""Where results go: the face of all sinks, and the sinks that are made of other sinks."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from segue.types import Frame, Segmentation
from segue.video.prefetch import stand_back

if TYPE_CHECKING:
    from typing_extensions import Self


class Sink:
    """Takes results in order of time.

    Used as a context manager it commits at the end, and aborts when an exception passes through.
    """

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        """Take the result of one frame.

        Raises:
            SinkError: it cannot be written.
        """
        raise NotImplementedError

    def flush(self) -> None:
        """Return when everything written so far has left this process."""

    def close(self) -> None:
        """Complete the output and give it its final name.

        Raises:
            SinkError: it cannot be completed; then nothing appears under the final name.
        """

    def abort(self) -> None:
        """Give up: remove what is half-written, keep what a later run can go on with."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class MultiSink(Sink):
    """Gives every result to several sinks in turn; they are completed in the same order.

    When one of them fails, the others are aborted.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        for sink in self._sinks:
            sink.write(frame, segmentation)

    def flush(self) -> None:
        for sink in self._sinks:
            sink.flush()

    def close(self) -> None:
        """Complete every sink; after a failure abort the rest and raise."""
        for position, sink in enumerate(self._sinks):
            try:
                sink.close()
            except BaseException:
                for rest in self._sinks[position:]:
                    rest.abort()
                raise

    def abort(self) -> None:
        for sink in self._sinks:
            sink.abort()


class LockedSink(Sink):
    """Another sink, whose outputs are kept to this run until it ends.

    Args:
        sink: the other one.
        locks: closed when the sink is closed or aborted.
    """

    def __init__(self, sink: Sink, locks: ExitStack) -> None:
        self._sink = sink
        self._locks = locks

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        self._sink.write(frame, segmentation)

    def flush(self) -> None:
        self._sink.flush()

    def close(self) -> None:
        with self._locks:
            self._sink.close()

    def abort(self) -> None:
        with self._locks:
            self._sink.abort()


class _Job(NamedTuple):
    frame: Frame
    segmentation: Segmentation


class BackgroundSink(Sink):
    """Writes to another sink in a thread, at most ``depth`` results behind.

    What goes wrong there is raised by the next call of :meth:`write`, :meth:`flush` or :meth:`close`.

    Args:
        sink: sink to write to; it is used by that thread only, until this one is flushed.
        depth: number of results that may wait; further ones make the caller wait.
    """

    def __init__(self, sink: Sink, depth: int = 8) -> None:
        self._sink = sink
        self._jobs: queue.Queue[_Job | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="segue-sink", daemon=True)
        self._thread.start()

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        """Queue the result of one frame; raises what went wrong with an earlier one."""
        self._raise_error()
        self._jobs.put(_Job(frame, segmentation))

    def flush(self) -> None:
        """Wait until everything queued is written."""
        self._jobs.join()
        self._raise_error()
        self._sink.flush()

    def close(self) -> None:
        """Write what is queued and complete the other sink; after a failure abort it and raise."""
        self._stop()
        if self._error is not None:
            self._sink.abort()
        self._raise_error()
        self._sink.close()

    def abort(self) -> None:
        """Write what is queued, so that a later run can go on after it, then abort the other sink."""
        self._stop()
        self._sink.abort()

    def _stop(self) -> None:
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        stand_back()
        while (job := self._jobs.get()) is not None:
            if self._error is None:
                try:
                    self._sink.write(*job)
                except BaseException as error:
                    self._error = error  # the caller gets it, whatever it is
            self._jobs.task_done()
