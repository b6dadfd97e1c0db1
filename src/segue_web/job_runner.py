"""Background jobs of a project: one tracking or export at a time, with its progress."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from segue.errors import SegueError
from segue_web.exports import remove_unfinished
from segue_web.project import MarkedMask
from segue_web.server import Send
from segue_web.shared import SharedProject
from segue_web.worker import DEFECT, Worker


@dataclass
class Job:
    """A tracking or an export, in ``total`` steps.

    Attributes:
        what: direction of a tracking, or ``export``.
        row: number of a tracking in the project; 0 for an export.
        entry: the last entry of a tracking in the history.
        target: file or folder of an export.
        since: when its first step came; networks are loaded by then.
    """

    what: str
    total: int
    done: int = 0
    row: int = 0
    entry: int | None = None
    target: Path | None = None
    since: float | None = None

    @property
    def progress(self) -> dict[str, Any]:
        """Steps done, in total, and a second; the rate is 0 until it can be measured."""
        rate = 0.0
        if self.since is not None and self.done > 1:
            rate = (self.done - 1) / max(time.monotonic() - self.since, 1e-3)
        return {"what": self.what, "done": self.done, "total": self.total, "rate": round(rate, 2)}


class JobRunner:
    """Begins and ends jobs of a worker, saves what they give, and tells all pages how far they are.

    Attributes:
        job: what is computed now, if anything.
    """

    def __init__(self, shared: SharedProject, worker: Worker, send: Send) -> None:
        self.job: Job | None = None
        self._shared, self._worker, self._send = shared, worker, send
        self._begins = False  # whether a request to compute is between its check and its job
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """End the process of the worker; a tracking that runs can be resumed."""
        self._closed = True
        self._worker.close()

    def refuse_while_running(self, what: str) -> None:
        """Raise SegueError while something is computed."""
        if self.job is not None or self._begins:
            raise SegueError(f"cannot {what} while something is computed; stop it first (Escape)")

    @contextmanager
    def beginning(self, what: str) -> Iterator[None]:
        """Let no other computation begin until this one has a job, or has failed."""
        self.refuse_while_running(what)
        self._begins = True
        try:
            yield
        finally:
            self._begins = False

    def begin(self, job: Job, make: Callable[..., Iterator[Any]], *arguments: Any) -> None:
        """Begin a job; see :meth:`segue_web.worker.Worker.begin`."""
        self.job = job
        try:
            self._worker.begin(make, *arguments)
        except BaseException:
            self.job = None
            raise
        self._progress()

    async def stop(self) -> None:
        """End the job; what it has given so far stays."""
        self._worker.stop()
        await self._end(self.job, "stopped")

    def on_step(self, value: Any, error: str | None) -> None:
        """Take a step of the job; None is its end."""
        job = self.job
        if job is None:
            return
        if value is None:
            self._spawn(self._finish(job, error))
            return
        job.since = job.since or time.monotonic()
        if not job.row:
            job.done = value
            self._worker.taken()
            self._progress()
        else:
            job.done += 1
            self._spawn(self.keep(job, *value))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that nobody waits for; if it fails, the job ends and all pages are notified."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._look_at)

    def _look_at(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() or self._closed else task.exception()
        if error is None:
            return
        traceback.print_exception(error)
        self._worker.stop()
        self.job = None
        self._send({"event": "ended", "state": "stopped", "error": DEFECT, "interrupted": None})

    async def keep(self, job: Job, index: int, tracked: dict[int, MarkedMask]) -> None:
        """Save a tracked frame, in the tracking's own step of the history while that is the last."""
        project, done = self._shared.project, job.done

        def keep() -> None:
            if self.job is not job:
                return
            alive = {i: tracked[i] for i in project.unlocked(tracked)}
            with self._shared.change("track", job.entry if job.entry == project.last_entry else None):
                project.put(index, alive)
            job.entry = project.last_entry
            project.note_job(job.row, done=done, at=index)

        try:
            await self._shared.run(keep)
            self._worker.taken()
        except SegueError as error:
            self._worker.stop()
            await self._finish(job, str(error))
        self._progress()

    async def _finish(self, job: Job, error: str | None) -> None:
        await self._shared.run(lambda: None)  # the frames before are saved first
        if self.job is not job:  # somebody stopped it meanwhile
            return
        await self._end(job, "stopped" if error else "done", error)
        if job.target is not None and error is not None:
            remove_unfinished(job.target.parent, job.target)
        elif job.target is not None:
            self._send({"event": "exported", "name": job.target.name, "path": str(job.target)})

    async def _end(self, job: Job | None, state: str, error: str | None = None) -> None:
        self.job = None
        interrupted = None
        if job is not None and job.row:
            try:
                await self._shared.run(partial(self._shared.project.note_job, job.row, state=state))
            except SegueError as failed:
                error = error or str(failed)
            if state == "stopped":
                interrupted = {"done": job.done, "total": job.total, "direction": job.what}
        self._send({"event": "ended", "state": state, "error": error, "interrupted": interrupted})

    def _progress(self) -> None:
        job = self.job
        if job is not None:
            self._send({"event": "progress", **job.progress})
