"""Networks for clicks: the current one, available ones, and downloads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from segue.errors import DownloadError, PromptError, SegueError
from segue.registry import MODELS, PROMPTERS, Entry
from segue.utils.cancel import Cancelled
from segue.weights.download import cached, is_available
from segue.weights.loading import get
from segue_web.server import messages
from segue_web.server.worker import Worker

OFFERED = ("sam2-tiny", "SAM 2 tiny")
"""The prompter whose weights the page downloads, and its displayed name."""

PERIOD = 0.1
"""Seconds between two reports of a download."""


class Prompters:
    """Handles prompter requests of a page; ``send`` reaches all pages."""

    def __init__(
        self,
        name: str,
        worker: Worker,
        send: Callable[[dict[str, Any]], None],
        on_used: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._name, self._worker, self._send, self._on_used = name, worker, send, on_used
        self._progress: dict[str, int | None] | None = None
        self._cancelled = False

    def page_state(self) -> dict[str, Any]:
        """Current prompter, available ones, and the downloadable one with its progress."""
        names = [entry.name for entry in PROMPTERS if _is_available(entry.network)]
        name, title = OFFERED
        offer = None
        if name in PROMPTERS and name not in names:
            entry = _network(name)
            size = entry.remote.size if entry.remote is not None else None
            offer = {"name": name, "title": title, "size": size, "licence": entry.licence}
        choices = names if self._name in names else [self._name, *names]
        return {"used": self._name, "choices": choices, "offer": offer, "progress": self._progress}

    async def use(self, name: messages.LongText) -> None:
        """Switch to an installed prompter."""
        if name not in self.page_state()["choices"]:
            raise PromptError(f"prompter {name!r}: choose one of {', '.join(self.page_state()['choices'])}")
        await self._worker.use_prompter(name)
        self._name = name
        self._on_used(name)
        self._tell()

    async def download(self) -> dict[str, bool]:
        """Download, check and convert the weights of the offered prompter.

        Returns whether they are there; not where the download was cancelled.
        """
        name, title = OFFERED
        if self._progress is not None:
            raise SegueError(f"{title} is already being downloaded")
        entry, loop, last_notice = _network(name), asyncio.get_running_loop(), 0.0
        self._progress = {"done": 0, "total": None if entry.remote is None else entry.remote.size}
        self._cancelled = False
        self._tell()

        def report(done: int, total: int | None) -> None:
            nonlocal last_notice
            if self._cancelled:
                raise Cancelled
            if (done == total or time.monotonic() - last_notice >= PERIOD) and not loop.is_closed():
                last_notice = time.monotonic()
                loop.call_soon_threadsafe(progress, done, total)

        def progress(done: int, total: int | None) -> None:
            if self._progress is not None:
                self._progress = {"done": done, "total": total}
                self._tell()

        try:
            await asyncio.wrap_future(_in_thread(lambda: get(entry, report=report)))
        except Cancelled:
            return {"there": False}
        except SegueError as error:
            file = cached(entry)
            raise DownloadError(
                f"{title} could not be downloaded; try again to resume. Without a network connection, run "
                f"`segue weights get {name}` on another machine and copy {file.name} from there into "
                f"{file.parent}. SEGUE_MIRROR names a server to try first. Cause: {error}"
            ) from error
        finally:
            self._progress = None
            self._tell()
        return {"there": True}

    async def cancel(self) -> None:
        """Cancel the download; a later one resumes it."""
        self._cancelled = True

    def _tell(self) -> None:
        self._send({"event": "prompters", "prompters": self.page_state()})


def _network(prompter: str) -> Entry:
    network = PROMPTERS.find(prompter).network
    assert network is not None
    return MODELS.find(network)


def _is_available(network: str | None) -> bool:
    return network is None or is_available(MODELS.find(network))


def _in_thread(call: Callable[[], Path]) -> Future[Path]:
    """Run a call in a daemon thread; an interrupted download resumes next time."""
    future: Future[Path] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="segue-download").start()
    return future
