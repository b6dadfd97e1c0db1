"""Background jobs of a project, one tracking and one export at a time, with progress."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from segue.errors import SegueError
from segue.utils.files import Claim, remove_partial
from segue_web.project.project import Send
from segue_web.project.tracking import ConditioningProgress, TrackingPlan
from segue_web.server.conflicts import ConflictError
from segue_web.server.hub import DEFECT


@dataclass
class Job:
    """A running tracking or export."""

    what: str  # direction of a tracking, or ``export``
    total: int
    done: int = 0
    computed: int = 0  # frames of a tracking that the network has seen
    plan: TrackingPlan | None = None
    entry: int | None = None  # the tracking's last step in the history
    claim: Claim | None = None  # of the path of an export
    user: str = ""  # who asked for it
    run: str = field(default_factory=lambda: uuid4().hex)  # identifies it
    since: float | None = None  # when its first step came: networks are loaded by then
    shown: ConditioningProgress | None = None  # what the tracker has seen so far, before its first step

    @property
    def target(self) -> Path | None:
        """Path of an export."""
        return None if self.claim is None else self.claim.path

    @property
    def progress(self) -> dict[str, Any]:
        """Steps done, in total, and per second; 0 while the rate is unknown."""
        rate = 0.0
        if self.since is not None and self.done > 1:
            rate = (self.done - 1) / max(time.monotonic() - self.since, 1e-3)
        objects = [] if self.plan is None else [*self.plan.objects]
        counts = {"done": self.done, "computed": self.computed, "total": self.total, "rate": round(rate, 2)}
        conditioning = None if self.shown is None else [self.shown.done, self.shown.total]
        about = {"what": self.what, "user": self.user, "run": self.run, "passes": self.passes}
        return {**about, **counts, "objects": objects, "shown": conditioning}

    @property
    def passes(self) -> int:
        """Passes per frame, as overlapping objects are tracked separately."""
        return 1 if self.plan is None else self.plan.passes


async def _ignore(*_: Any) -> None: ...


Ended = Callable[[Job, str, SegueError | None], Awaitable[None]]
"""Called at the end of a job with its outcome, ``done`` or one of :meth:`JobRunner.stop`, and its error."""


class JobRunner:
    """Runs jobs of one kind, one at a time, and reports progress to all pages."""

    def __init__(
        self,
        kind: Literal["tracking", "export"],
        send: Send,
        keep: Callable[[Job, Any], Awaitable[None]] = _ignore,
        ended: Ended = _ignore,
    ) -> None:
        self.job: Job | None = None
        self._kind, self._send, self._keep, self._on_ended = kind, send, keep, ended
        self._begins = False  # whether a request to compute is between its check and its job
        self._task: asyncio.Future[None] | None = None

    def close(self) -> None:
        """End the job; a tracking can be resumed."""
        if self.job is not None and self._task is not None:
            self._task.cancel()

    @property
    def busy(self) -> bool:
        """Whether a job runs or is starting."""
        return self.job is not None or self._begins

    @contextmanager
    def beginning(self, what: str) -> Iterator[None]:
        """Block other computations until this one has started or failed."""
        if self.busy:
            raise SegueError(f"cannot {what} while another {self._kind} runs; stop it first")
        self._begins = True
        try:
            yield
        finally:
            self._begins = False

    def check_run(self, run: str | None) -> None:
        """Raise an error if another job than the given one runs; None: if any runs."""
        if run is not None and self.job is not None and self.job.run != run:
            whose = f" of {self.job.user}" if self.job.user else ""
            raise ConflictError(
                f"this {self._kind} has ended; another one{whose} is running and was not stopped"
            )

    def begin(self, job: Job, steps: AsyncGenerator[Any, None]) -> None:
        """Start a job; each step is a tracked or exported frame."""
        self.job = job
        self._progress(job)
        self._task = asyncio.ensure_future(self._work(job, steps))

    async def stop(self, how: str = "stopped") -> None:
        """Stop the job; finished steps stay."""
        job = self.job
        self.close()
        if job is not None:
            await self._end(job, how)

    async def _work(self, job: Job, steps: AsyncGenerator[Any, None]) -> None:
        """Save the steps of a job, and report its end to all pages."""
        error = None
        try:
            async with aclosing(steps):
                async for value in steps:
                    if isinstance(value, ConditioningProgress):
                        job.shown = value
                        self._progress(job)
                        continue
                    job.since = job.since or time.monotonic()
                    job.done += 1
                    await self._keep(job, value)
                    self._progress(job)
        except SegueError as failed:
            error = failed
        except Exception as failed:
            traceback.print_exception(failed)
            error = SegueError(DEFECT)
        if job.target is not None and error is not None:
            remove_partial(job.target.parent, job.target)
        await self._end(job, "stopped" if error else "done", error)
        if job.target is not None and error is None:
            self._send({"event": "exported", "name": job.target.name, "path": str(job.target)})

    async def _end(self, job: Job, how: str, error: SegueError | None = None) -> None:
        self.job = None
        if job.claim is not None:
            job.claim.release()
        state, text = "done" if how == "done" else "stopped", None if error is None else str(error)
        self._send({"event": "ended", "job": self._kind, "state": state, "error": text})
        await self._on_ended(job, how, error)

    def _progress(self, job: Job) -> None:
        self._send({"event": "progress", "job": self._kind, **job.progress})
