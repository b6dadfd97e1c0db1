"""Trackings of a page: one runs, others are queued, and all survive restarts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from segue.errors import PromptError, SegueError
from segue_web.project.annotations import MarkedMask
from segue_web.project.memory import TrackingMemory, prune_memories
from segue_web.project.project import Project, Send
from segue_web.project.queue import TrackingQueue, way_of
from segue_web.project.store import acting, actor
from segue_web.project.tracking import (
    Direction,
    InterruptedTracking,
    TrackedFrame,
    begin_plan,
    has_last_masks,
    interrupted,
    planned,
    previous_masks,
    resumed,
    store_tracked,
    track_job,
)
from segue_web.server import messages
from segue_web.server.job_runner import Job, JobRunner
from segue_web.server.server import Run
from segue_web.server.worker import ClosedError, Worker
from segue_web.video import Video

Beginning = tuple[InterruptedTracking, int | None]
"""A tracking that starts or continues, and the id under which it was queued, if any."""


class Trackings:
    """Handles tracking requests of a page, and saves results."""

    def __init__(self, video: Video, project: Project, run: Run, worker: Worker, send: Send) -> None:
        self._video, self._project, self._run, self._worker, self._send = video, project, run, worker, send
        self._queue = TrackingQueue(project)
        self.runner = JobRunner("tracking", send, self._keep, self._ended)
        self._requeue()  # what ran when the program ended

    async def track(
        self,
        direction: Direction,
        frame: messages.Index,
        resume: bool = False,
        first: messages.Index = 0,
        last: messages.Index | None = None,
        objects: messages.Numbers | None = None,
        due: bool = False,
        whose: messages.ShortText | None = None,
    ) -> dict[str, Any]:
        """Track unlocked objects from the nearest corrected frame, or queue it if another tracking runs.

        With ``due``, those that were corrected on that frame and not tracked from there yet take part.
        ``resume`` goes on with the held trackings of ``whose``, by default of the person who asks.
        """
        if resume:
            return await self._resume(actor() if whose is None else whose)
        plan = partial(planned, self._project, self._video, direction, frame, first, last, objects, due)

        def anew() -> Beginning:
            new = replace(plan(), user=actor())
            return InterruptedTracking(new, new.begin), None

        if not self.runner.busy:
            return await self._begin(anew)
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
                    "this is already being tracked" if is_tracked else "this tracking is already queued"
                )
            number = self._queue.add(replace(planned, objects=objects))
            self._queue.release(planned.user, replaces_rest=True)
            return number

        queued = await self._run(add)
        await self.go_on()  # where the one that ran has ended before this one was in the queue
        await self._tell()
        return {"queued": queued}

    async def _resume(self, user: str) -> dict[str, Any]:
        """Resume the paused trackings of a person."""

        def release() -> int:
            self._queue.release(user)
            for one in self._queue.waiting:
                if one.plan.user == user:
                    return one.id
            raise PromptError("there is no interrupted tracking to resume")

        queued = await self._run(release)
        began = await self.go_on()
        await self._tell()
        return began or ({"queued": queued} if self.runner.busy else {})

    async def go_on(self) -> dict[str, Any]:
        """Start the next active tracking if none runs; answers as :meth:`_begin`.

        One that cannot begin waits no more, and all pages hear why.
        """
        while not self.runner.busy:
            try:
                return await self._begin(self._next)
            except ClosedError:
                raise
            except SegueError as failed:
                self._send({"event": "failed", "error": f"the next tracking could not start: {failed}"})
                if not isinstance(failed, PromptError):
                    break
        return {}

    async def stop(self, next: bool = False, run: messages.ShortText | None = None) -> None:
        """Stop the running tracking and pause those of its person; start the next of another person.

        With ``next`` it is over, and nothing is held. ``run`` identifies the one that a person sees; another
        one that has begun meanwhile is not stopped.
        """
        self.runner.check_run(run)
        await self.runner.stop("next" if next else "stopped")

    async def move(self, waiting: messages.Index, place: messages.Index | None = None) -> None:
        """Move a queued tracking to a place in the queue; None removes it."""

        def move() -> None:
            self._queue.move(waiting, place)
            self._prune_memories()

        await self._run(move)
        await self._tell()

    def page_state(self) -> dict[str, Any]:
        """Queued trackings, for pages."""
        on_hold = self._queue.on_hold
        return {"queue": [one.for_page(on_hold) for one in self._queue.waiting]}

    def refuse_tracked(self, what: str, *objects: int | None) -> None:
        """Raise SegueError if one of these objects is being tracked."""
        job = self.runner.job
        tracked = set() if job is None or job.plan is None else set(job.plan.objects)
        if tracked & set(objects):
            raise SegueError(f"cannot {what} while it is tracked; stop the tracking first (Escape)")

    def _next(self) -> Beginning | None:
        """Next active queued tracking; in the project's thread."""
        one = self._queue.next()
        if one is None:
            return None
        try:
            goes_on = one.tracking.is_started and has_last_masks(self._project, one.tracking)
            make = resumed if goes_on else self._replanned
            return make(self._project, one.tracking), one.id
        except PromptError:
            self._queue.move(one.id, None)
            raise

    def _replanned(self, project: Project, tracking: InterruptedTracking) -> InterruptedTracking:
        """Plan a queued tracking, or one whose masks are gone, from the current corrections."""
        plan = tracking.plan
        # One between two corrections starts at the first of them, and lies behind it.
        frame = plan.begin + (plan.direction == "between")
        new = planned(project, self._video, plan.direction, frame, plan.first, plan.last, plan.objects)
        return InterruptedTracking(replace(new, user=plan.user), new.begin)

    async def _begin(self, make: Callable[[], Beginning | None]) -> dict[str, Any]:
        """Start the tracking returned by ``make``; the answer is empty if there is none."""

        def begin() -> tuple[InterruptedTracking, Any, Any] | None:
            selected = make()
            if selected is None:
                return None
            tracking, waited = selected
            plan, layers = begin_plan(self._project, tracking)
            tracking = replace(tracking, plan=plan)
            previous = previous_masks(self._project, plan)
            with self._project.noting():
                self._project.note("tracking", tracking.as_json())
                if waited is None:
                    self._queue.release(plan.user, replaces_rest=True)
                else:
                    self._queue.move(waited, None)
                self._queue.take_out(plan)
            self._prune_memories()
            self._project.hold(plan.objects)
            return tracking, layers, previous

        with self.runner.beginning("track"):
            beginning = await self._run(begin)
            if beginning is None:
                return {}
            tracking, layers, previous = beginning
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

    async def _keep(self, job: Job, value: tuple[int, TrackedFrame]) -> None:
        job.computed += value[1].is_computed
        await self._run(partial(self._save, job, *value))

    def _save(self, job: Job, index: int, tracked: Mapping[int, MarkedMask]) -> None:
        """Save a tracked frame in the tracking's own history step, while that is the last."""
        project = self._project
        plan = job.plan
        assert plan is not None
        alive = {i: tracked[i] for i in project.unlocked(tracked)}
        entry = job.entry if project.is_open(job.entry) else None
        step = project.change("tracking", entry=entry, of=plan.objects)
        with acting(plan.user), step as changed:
            store_tracked(project, plan, index, alive)
            project.note("tracking", InterruptedTracking(plan, index, job.done).as_json())
        job.entry = changed.entry or job.entry

    async def _ended(self, job: Job, how: str, error: SegueError | None) -> None:
        """Start the next tracking in the queue, of another person if this one was stopped or failed."""
        with suppress(ClosedError):  # what could not be noted goes on the next time
            await self._note_end(how, error)

    async def _note_end(self, how: str, error: SegueError | None) -> None:
        is_over = how in ("done", "next") or isinstance(error, PromptError)

        def note() -> None:
            self._project.hold(())
            if is_over:
                self._project.note("tracking", None)
            else:
                self._requeue(hold=True)
            self._prune_memories()

        try:
            await self._run(note)
        except ClosedError:
            raise
        except SegueError as failed:
            if error is None:
                self._send({"event": "failed", "error": str(failed)})
        else:
            await self.go_on()
        await self._tell()

    def _requeue(self, *, hold: bool = False) -> None:
        """Queue the rest of the tracking that ran as the next one."""
        tracking = interrupted(self._project)
        if tracking is None:
            return
        with self._project.noting():
            self._queue.put_first(tracking)
            if hold:
                self._queue.hold(tracking.plan.user)
            self._project.note("tracking", None)

    def _prune_memories(self) -> None:
        """Remove the states of trackings that neither run nor are queued."""
        trackings = [interrupted(self._project), *(one.tracking for one in self._queue.waiting)]
        runs = {tracking.plan.run for tracking in trackings if tracking is not None}
        prune_memories(self._project.folder, runs)

    async def _tell(self) -> None:
        """Notify pages of the queue, resumable trackings, and undo steps."""

        def tell() -> None:
            state = {**self.page_state(), "history": self._project.history()}
            # From the project's thread, as changes are: pages would take an older history for the newest.
            self._project.send({"event": "queue", **state})

        await self._run(tell)
