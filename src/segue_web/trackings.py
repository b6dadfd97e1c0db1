"""Trackings of a page: one runs, others wait for their turn, and both go on after a restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from segue.errors import PromptError, SegueError
from segue_web.project.memory import TrackingMemory, forget
from segue_web.project.project import MarkedMask, Project, Send
from segue_web.project.queue import TrackingQueue, way_of
from segue_web.project.store import acting, actor
from segue_web.project.tracking import (
    Direction,
    InterruptedTracking,
    begun,
    interrupted,
    planned,
    previous_masks,
    resumed,
    track_job,
)
from segue_web.server import messages
from segue_web.server.job_runner import Job, JobRunner
from segue_web.server.server import Run
from segue_web.server.worker import ClosedError, Worker
from segue_web.video import Video

Beginning = tuple[InterruptedTracking, int | None]
"""What begins or goes on, and the id with which it waited, if it did."""


class Trackings:
    """Answers what a page asks of trackings, and saves what they give."""

    def __init__(self, video: Video, project: Project, run: Run, worker: Worker, send: Send) -> None:
        self._video, self._project, self._run, self._worker, self._send = video, project, run, worker, send
        self._queue = TrackingQueue(project)
        self.runner = JobRunner("tracking", send, self._keep, self._ended)

    async def track(
        self,
        direction: Direction,
        frame: messages.Index,
        resume: bool = False,
        first: messages.Index = 0,
        last: messages.Index | None = None,
        objects: messages.Numbers | None = None,
        due: bool = False,
    ) -> dict[str, Any]:
        """Follow unlocked objects from the nearest corrected frame; while another tracking runs, wait for it.

        With ``due``, those that were corrected on that frame and not tracked from there yet take part.
        ``resume`` goes on with the interrupted tracking, or with those that wait.
        """
        plan = partial(planned, self._project, self._video, direction, frame, first, last, objects, due)

        def anew() -> Beginning:
            new = replace(plan(), user=actor())
            return InterruptedTracking(new, new.begin), None

        if not self.runner.busy:
            return await self._begin(self._resumed if resume else anew)
        if resume:
            raise SegueError("something is tracked already")
        job = self.runner.job

        def add() -> int:
            planned = replace(plan(), user=actor())
            way = way_of(planned)
            running = None if job is None else job.plan
            tracked = set(running.objects) if running is not None and way_of(running) == way else set()
            waiting = self._queue.objects_on(way)
            objects = tuple(i for i in planned.objects if i not in tracked | waiting)
            if not objects:
                is_tracked = not tracked.isdisjoint(planned.objects)
                raise PromptError(
                    "this is being tracked already" if is_tracked else "this tracking waits already"
                )
            return self._queue.add(replace(planned, objects=objects))

        queued = await self._run(add)
        await self._begin_waiting()  # where the one that ran has ended before this one was in the queue
        await self._tell()
        return {"queued": queued}

    async def _begin_waiting(self) -> None:
        """Begin the next tracking that waits if none runs, unless a person has stopped the one before."""
        waits = await self._run(lambda: bool(self._queue.waiting) and not self._queue.paused)
        if waits and not self.runner.busy:
            with suppress(SegueError):  # another one has begun, or this one cannot
                await self._begin(self._next)

    async def stop(self, next: bool = False, run: messages.ShortText | None = None) -> None:
        """Stop the tracking that runs; those that wait go on waiting, unless ``next`` has one begin.

        ``run`` identifies the one that a person sees; another one that has begun meanwhile is not stopped.
        """
        self.runner.check_run(run)
        await self.runner.stop("next" if next else "stopped")

    async def move(self, waiting: messages.Index, place: messages.Index | None = None) -> None:
        """Move a waiting tracking to a place in the queue; None takes it out."""
        await self._run(lambda: self._queue.move(waiting, place))
        await self._tell()

    async def drop(self) -> None:
        """Forget the interrupted tracking; what it has given stays."""
        if self.runner.busy:
            raise SegueError("this tracking runs; stop it first (Escape)")
        await self._run(self._forget)
        await self._tell()

    def known(self) -> dict[str, Any]:
        """What a page shows besides the tracking that runs: an interrupted one, and those that wait."""
        tracking = interrupted(self._project)
        return {
            "interrupted": None if tracking is None else tracking.as_json(),
            "queue": [one.as_json() for one in self._queue.waiting],
        }

    async def go_on(self) -> None:
        """Go on where the program ended in the midst of a tracking that nobody had stopped."""

        def needs_start() -> bool:
            left = self._project.noted("tracking") is not None or bool(self._queue.waiting)
            return left and not self._queue.paused

        if await self._run(needs_start) and not self.runner.busy:
            with suppress(SegueError):  # then it is offered, as one that was stopped
                await self._begin(self._resumed)

    def refuse_tracked(self, what: str, *objects: int | None) -> None:
        """Raise SegueError if one of these objects is being tracked."""
        job = self.runner.job
        tracked = set() if job is None or job.plan is None else set(job.plan.objects)
        if tracked & set(objects):
            raise SegueError(f"cannot {what} while it is tracked; stop the tracking first (Escape)")

    def _resumed(self) -> Beginning:
        """The interrupted tracking, or the next one that waits; in the project's thread."""
        return self._next() if self._project.noted("tracking") is None else (resumed(self._project), None)

    def _next(self) -> Beginning:
        one = self._queue.next()
        if one is None:
            raise PromptError("there is no interrupted tracking to resume")
        # One between two corrections starts at the first of them, and lies behind it.
        frame = one.start + (one.direction == "between")
        try:
            plan = planned(self._project, self._video, one.direction, frame, one.first, one.last, one.objects)
        except PromptError:
            self._queue.move(one.id, None)
            raise
        return InterruptedTracking(replace(plan, user=one.user), plan.begin), one.id

    async def _begin(self, make: Callable[[], Beginning]) -> dict[str, Any]:
        def begin() -> tuple[InterruptedTracking, Any, Any]:
            tracking, waited = make()
            plan, layers = begun(self._project, tracking)
            tracking = replace(tracking, plan=plan)
            previous = previous_masks(self._project, plan)
            self._project.note("tracking", tracking.as_json())
            if waited is not None:
                self._queue.move(waited, None)
            self._queue.take_out(plan)
            self._queue.pause(False)
            self._project.hold(plan.objects)
            return tracking, layers, previous

        with self.runner.beginning("track"):
            tracking, layers, previous = await self._run(begin)
            plan = tracking.plan
            stored_range = range(plan.first, plan.last + 1)
            memory = TrackingMemory(self._project.folder, plan.run)
            steps = self._worker.steps(
                track_job,
                layers,
                plan.begin,
                plan.stop,
                [*plan.objects],
                stored_range,
                previous,
                memory,
                tracking.start,
            )
            self.runner.begin(Job(plan.direction, plan.total, plan=plan, user=plan.user, run=plan.run), steps)
        await self._tell()
        return {"start": tracking.start, "stop": plan.stop}

    async def _keep(self, job: Job, value: tuple[int, Mapping[int, MarkedMask]]) -> None:
        await self._run(partial(self._save, job, *value))

    def _save(self, job: Job, index: int, tracked: Mapping[int, MarkedMask]) -> None:
        """Save a tracked frame, in the tracking's own step of the history while that is the last."""
        project = self._project
        plan = job.plan
        assert plan is not None
        alive = {i: tracked[i] for i in project.unlocked(tracked)}
        entry = job.entry if job.entry == project.last_entry else None
        step = project.change("tracking", entry=entry, of=plan.objects)
        with acting(plan.user), step:
            project.put(index, alive)
            project.note_tracked(index, alive)
            project.note("tracking", InterruptedTracking(plan, index, job.done).as_json())
        job.entry = project.last_entry

    async def _ended(self, job: Job, how: str, error: SegueError | None) -> None:
        """Begin the next tracking, unless a person stopped this one, or something else than it is wrong."""
        with suppress(ClosedError):  # what could not be noted goes on the next time
            await self._note_end(how, error)

    async def _note_end(self, how: str, error: SegueError | None) -> None:
        goes_on = how in ("done", "next") or isinstance(error, PromptError)

        def note() -> bool:
            self._project.hold(())
            self._queue.pause(not goes_on)
            if goes_on:
                self._forget()
            return goes_on and bool(self._queue.waiting)

        begins = False
        try:
            begins = await self._run(note)
        except ClosedError:
            raise
        except SegueError as failed:
            if error is None:
                self._send({"event": "failed", "error": str(failed)})
        while begins and not self.runner.busy:
            try:
                await self._begin(self._next)
            except ClosedError:
                raise
            except SegueError as failed:
                self._send({"event": "failed", "error": f"the next tracking did not begin: {failed}"})
                begins = isinstance(failed, PromptError) and await self._run(
                    lambda: bool(self._queue.waiting)
                )
        await self._tell()

    def _forget(self) -> None:
        """Note that no tracking is left to be resumed."""
        self._project.note("tracking", None)
        forget(self._project.folder)

    async def _tell(self) -> None:
        """Tell all pages what waits, what can be resumed, and what can be undone."""

        def tell() -> None:
            state = {**self.known(), "history": self._project.history()}
            if self.runner.job is not None:
                state["interrupted"] = None
            # From the project's thread, as changes are: pages would take an older history for the newest.
            self._project.send({"event": "queue", **state})

        await self._run(tell)
