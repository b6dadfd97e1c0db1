"""Queue of waiting trackings, stored with the project."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from segue.errors import PromptError
from segue_web.project.project import Project
from segue_web.project.tracking import Direction, InterruptedTracking, TrackingPlan

MAX_WAITING = 200
"""Trackings that may wait at once."""


@dataclass(frozen=True, slots=True)
class WaitingTracking:
    """A waiting tracking: a new one, planned when it starts, or the rest of an interrupted one."""

    id: int
    tracking: InterruptedTracking

    @classmethod
    def of(cls, noted: Mapping[str, Any]) -> WaitingTracking:
        """Read a stored tracking."""
        return cls(noted["id"], InterruptedTracking.of(noted))

    def as_json(self) -> dict[str, Any]:
        """Values to store."""
        return {"id": self.id, **self.tracking.as_json()}

    @property
    def plan(self) -> TrackingPlan:
        """Plan of the tracking."""
        return self.tracking.plan

    def for_page(self, on_hold: Collection[str]) -> dict[str, Any]:
        """Values for pages; ``done`` is None before it starts."""
        plan, is_started = self.plan, self.tracking.is_started
        return {
            "id": self.id,
            "direction": plan.direction,
            "start": plan.begin,
            "objects": [*plan.objects],
            "user": plan.user,
            "held": plan.user in on_hold,
            "done": self.tracking.done if is_started else None,
            "total": plan.total,
        }


def way_of(plan: TrackingPlan) -> tuple[Direction, int, int, int]:
    """Key of the frames of a plan."""
    return plan.direction, plan.begin, plan.first, plan.last


class TrackingQueue:
    """Waiting trackings of a project, next one first; used in the project's thread.

    Those of a person who has stopped one are held: none of them begins until that person goes on.
    """

    def __init__(self, project: Project) -> None:
        self._project = project

    @property
    def waiting(self) -> list[WaitingTracking]:
        """Waiting trackings in order."""
        return [WaitingTracking.of(noted) for noted in self._noted["waiting"]]

    @property
    def on_hold(self) -> list[str]:
        """People whose trackings are paused."""
        return list(self._noted["held"])

    def objects_on(self, way: tuple[Direction, int, int, int]) -> set[int]:
        """Objects of active waiting trackings on the frames of a plan."""
        on_hold = self.on_hold
        ready = [one.plan for one in self.waiting if one.plan.user not in on_hold]
        return {number for plan in ready if way_of(plan) == way for number in plan.objects}

    def add(self, plan: TrackingPlan) -> int:
        """Queue a tracking in place of paused ones of the same frames; returns its id."""
        if len(self.waiting) >= MAX_WAITING:
            raise PromptError(f"the queue already has {MAX_WAITING} trackings; wait until some have finished")
        self.take_out(plan)
        number = self._next_id
        entry = WaitingTracking(number, InterruptedTracking(plan, plan.begin))
        self._note(waiting=[*self.waiting, entry], last=number)
        return number

    def put_first(self, tracking: InterruptedTracking) -> None:
        """Queue the rest of a tracking as the next one."""
        number = self._next_id
        self._note(waiting=[WaitingTracking(number, tracking), *self.waiting], last=number)

    def take_out(self, plan: TrackingPlan) -> None:
        """Remove a tracking's objects from waiting trackings of the same frames."""
        way = way_of(plan)
        waiting = [_without(one, plan.objects) if way_of(one.plan) == way else one for one in self.waiting]
        self._note(waiting=[one for one in waiting if one.plan.objects])

    def move(self, number: int, place: int | None) -> None:
        """Move a waiting tracking to a place, 0 for the next; None removes it."""
        waiting = self.waiting
        entry = next((one for one in waiting if one.id == number), None)
        if entry is None:
            raise PromptError("this tracking is no longer queued")
        waiting.remove(entry)
        if place is not None:
            waiting.insert(place, entry)
        self._note(waiting=waiting)

    def next(self) -> WaitingTracking | None:
        """Next active tracking, or None; those with only locked objects are removed."""
        on_hold = self.on_hold
        for one in self.waiting:
            if one.plan.user in on_hold:
                continue
            if self._project.unlocked(one.plan.objects):
                return one
            self.move(one.id, None)
        return None

    def hold(self, user: str) -> None:
        """Pause the trackings of a person."""
        if user not in self.on_hold:
            self._note(held=[*self.on_hold, user])

    def release(self, user: str, *, replaces_rest: bool = False) -> None:
        """Resume the trackings of a person.

        With ``replaces_rest`` another one takes the place of the one that the person has stopped.
        """
        if user not in self.on_hold:
            return
        waiting = self.waiting
        if replaces_rest:
            waiting = [one for one in waiting if one.plan.user != user or not one.tracking.is_started]
        self._note(waiting=waiting, held=[name for name in self.on_hold if name != user])

    @property
    def _next_id(self) -> int:
        return int(self._noted["last"]) + 1

    def _note(self, waiting: Iterable[WaitingTracking] | None = None, **values: Any) -> None:
        if waiting is not None:
            values["waiting"] = [one.as_json() for one in waiting]
        self._project.note("queue", self._noted | values)

    @property
    def _noted(self) -> dict[str, Any]:
        return {"waiting": [], "last": 0, "held": []} | (self._project.noted("queue") or {})


def _without(entry: WaitingTracking, objects: Collection[int]) -> WaitingTracking:
    plan = replace(entry.plan, objects=tuple(i for i in entry.plan.objects if i not in objects))
    return replace(entry, tracking=replace(entry.tracking, plan=plan))
