"""Cancel a run by Ctrl-C, by a signal, or by the calling program."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from segue.utils.system import stop_signals

LOOK_SECONDS = 0.05
"""Seconds between two checks of a waiting thread whether to stop."""

ONE_REQUEST_SECONDS = 1.0
"""Signals within so many seconds are one request: a cluster sends SIGTERM to every process of a job, and a
parent process passes its own on. Ctrl-C is pressed twice on purpose, and counts twice."""


class Cancelled(KeyboardInterrupt):
    """Raised when a run was cancelled between two frames."""


class CancelToken:
    """Cancels the loops of a run, from any thread or signal handler; cannot be undone.

    A loop checks :attr:`cancelled` after each frame, saves, and ends.

    Attributes:
        cancelled: whether the run should stop.
        by_signal: whether Ctrl-C or another signal, not the program, cancelled the run.
        cancel_time: time of the cancellation by ``time.monotonic()``; None before it.

    Example:
        >>> token = segue.jobs.CancelToken()
        >>> threading.Timer(60, token.cancel).start()
        >>> segue.jobs.run(job, cancel=token)  # raises RunCancelledError after a minute
    """

    def __init__(self) -> None:
        # No lock anywhere: a handler of signals runs between two steps of a thread that may hold it.
        self.cancelled = self.by_signal = False
        self.cancel_time: float | None = None
        self._callbacks: list[Callable[[], None]] = []

    @property
    def by_program(self) -> bool:
        """Whether the program, not a signal, cancelled the run."""
        return self.cancelled and not self.by_signal

    def cancel(self) -> None:
        """Stop the run after the current frame."""
        self.cancel_time = self.cancel_time or time.monotonic()
        self.cancelled = True
        # Taken one by one: a signal may come in the middle of a call, and calls this again.
        while self._callbacks:
            with suppress(IndexError):
                self._callbacks.pop()()

    def wait(self, seconds: float) -> bool:
        """Sleep until the time is over or the run is cancelled.

        Args:
            seconds: maximum time.

        Returns:
            True if the run is cancelled.
        """
        end = time.monotonic() + seconds
        while not self.cancelled and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))
        return self.cancelled

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call a function once on cancellation, in the cancelling thread, or now if cancelled.

        Args:
            callback: function without arguments; it must be quick and must not take a lock, because that
                thread may be in a signal handler.
        """
        self._callbacks.append(callback)
        if self.cancelled:
            self.cancel()

    def forget(self, callback: Callable[[], None]) -> None:
        """Remove a function of :meth:`on_cancel`.

        Args:
            callback: the function; unknown ones are ignored.
        """
        with suppress(ValueError):
            self._callbacks.remove(callback)


@contextmanager
def cancelled_with(*tokens: CancelToken) -> Iterator[CancelToken]:
    """Token that is cancelled with the first of several others, inside the block.

    Yields:
        The token.
    """
    linked = CancelToken()
    for token in tokens:
        token.on_cancel(linked.cancel)
    try:
        yield linked
    finally:
        for token in tokens:
            token.forget(linked.cancel)


@contextmanager
def cancel_on_signals(
    token: CancelToken | None = None, *, one_request_seconds: float = ONE_REQUEST_SECONDS
) -> Iterator[CancelToken]:
    """Cancel a token on the first Ctrl-C, SIGTERM, SIGHUP or Ctrl-Break; interrupt on the second.

    Within ``one_request_seconds`` only Ctrl-C after Ctrl-C is a second one. Ignored signals, as under
    nohup, stay ignored; outside the main thread nothing changes.

    Yields:
        The token.
    """
    token = token or CancelToken()
    if threading.current_thread() is not threading.main_thread():
        yield token
        return

    requests: list[tuple[int, float]] = []

    def ask(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not requests:
            requests.append((number, now))
            token.by_signal = True
            token.cancel()
            return
        first, then = requests[0]
        if number == first == signal.SIGINT or now - then >= one_request_seconds:
            signal.default_int_handler(number, frame)

    numbers = [number for number in stop_signals() if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, ask)
    try:
        yield token
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def call_after(number: signal.Signals, seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Call a function in a thread some seconds after a signal, unless the block has ended.

    Handlers of signals run between two steps of Python; this thread also hears of a signal while the main
    thread is inside a long call. The signal must have a handler; outside the main thread nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, sender = socket.socketpair()
    sender.setblocking(False)
    ended = threading.Event()

    def listen() -> None:
        while not ended.is_set():
            if number in heard.recv(16):
                if not ended.wait(seconds):
                    act()
                return

    previous = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        ended.set()
        sender.send(b"\0")  # processes that were forked may hold it open
        listener.join()
        heard.close()
        sender.close()


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt on signals to stop, for code without a token.

    Signals that are ignored or handled stay so, and so do all outside the main thread.
    """
    deadly: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        deadly = [number for number in stop_signals() if signal.getsignal(number) == signal.SIG_DFL]
    for number in deadly:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in deadly:
            signal.signal(number, signal.SIG_DFL)
