"""Background jobs of a project: one tracking or export at a time, with its progress."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from segue.errors import SegueError
from segue_web.exports import remove_unfinished
from segue_web.project.memory import forget
from segue_web.project.project import MarkedMask, Project, Send
from segue_web.server.server import DEFECT, Run


@dataclass
class Job:
    """A tracking, whose rest is noted in the project, or an export."""

    what: str  # direction of a tracking, or ``export``
    total: int
    done: int = 0
    tracking: dict[str, Any] | None = None  # as :func:`segue_web.project.tracking.planned` gives it
    entry: int | None = None  # the tracking's last step in the history
    target: Path | None = None
    since: float | None = None  # when its first step came: networks are loaded by then

    @property
    def progress(self) -> dict[str, Any]:
        """Steps done, in total, and a second; the rate is 0 until it can be measured."""
        rate = 0.0
        if self.since is not None and self.done > 1:
            rate = (self.done - 1) / max(time.monotonic() - self.since, 1e-3)
        return {"what": self.what, "done": self.done, "total": self.total, "rate": round(rate, 2)}


class JobRunner:
    """Begins and ends jobs, saves what they give, and tells all pages how far they are."""

    def __init__(self, project: Project, run: Run, send: Send) -> None:
        self.job: Job | None = None
        self._project, self._run, self._send = project, run, send
        self._begins = False  # whether a request to compute is between its check and its job
        self._task: asyncio.Future[None] | None = None

    def close(self) -> None:
        """End the job without a note of it: a tracking can be resumed."""
        if self.job is not None and self._task is not None:
            self._task.cancel()

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

    def begin(self, job: Job, steps: AsyncGenerator[Any, None]) -> None:
        """Begin a job, whose steps are a tracked or an exported frame each."""
        self.job = job
        self._progress(job)
        self._task = asyncio.ensure_future(self._work(job, steps))

    async def stop(self) -> None:
        """End the job; what it has given so far stays."""
        self.close()
        await self._end(self.job, "stopped")

    async def _work(self, job: Job, steps: AsyncGenerator[Any, None]) -> None:
        """Save the steps of a job, and tell all pages how it ends."""
        error = None
        try:
            async with aclosing(steps):
                async for value in steps:
                    job.since = job.since or time.monotonic()
                    job.done += 1
                    if job.tracking:
                        await self._run(partial(self._keep, job, job.tracking, *value))
                    self._progress(job)
        except SegueError as failed:
            error = str(failed)
        except Exception as failed:
            traceback.print_exception(failed)
            error = DEFECT
        if job.target is not None and error is not None:
            remove_unfinished(job.target.parent, job.target)
        await self._end(job, "stopped" if error else "done", error)
        if job.target is not None and error is None:
            self._send({"event": "exported", "name": job.target.name, "path": str(job.target)})

    def _keep(self, job: Job, tracking: dict[str, Any], index: int, tracked: dict[int, MarkedMask]) -> None:
        """Save a tracked frame, in the tracking's own step of the history while that is the last."""
        project = self._project
        alive = {i: tracked[i] for i in project.unlocked(tracked)}
        with project.change("tracking", entry=job.entry if job.entry == project.last_entry else None):
            project.put(index, alive)
            project.note_tracked(index, alive)
            project.note("tracking", tracking | {"start": index, "done": job.done})
        job.entry = project.last_entry

    def _forget_tracking(self) -> None:
        """Note that no tracking is left to be resumed."""
        self._project.note("tracking", None)
        forget(self._project.folder)

    async def _end(self, job: Job | None, state: str, error: str | None = None) -> None:
        self.job = None
        if job is not None and job.tracking and state == "done":
            try:
                await self._run(self._forget_tracking)
            except SegueError as failed:
                error = error or str(failed)
        self._send({"event": "ended", "state": state, "error": error})

    def _progress(self, job: Job) -> None:
        self._send({"event": "progress", **job.progress})
