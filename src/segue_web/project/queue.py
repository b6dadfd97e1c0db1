"""Trackings that wait for their turn, kept with the project: a restart goes on with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from segue.errors import PromptError
from segue_web.project.project import Project
from segue_web.project.tracking import Direction, TrackingPlan

MAX_WAITING = 200
"""Trackings that may wait at once."""


@dataclass(frozen=True, slots=True)
class WaitingTracking:
    """What is kept of a plan that waits; the rest is planned anew when its turn has come."""

    id: int
    direction: Direction
    start: int
    first: int
    last: int
    objects: tuple[int, ...]
    user: str = ""  # earlier versions had none

    @classmethod
    def of(cls, noted: Mapping[str, Any]) -> WaitingTracking:
        """A noted one."""
        return cls(**{**noted, "objects": tuple(noted["objects"])})

    def as_json(self) -> dict[str, Any]:
        """What is noted of it."""
        return asdict(self) | {"objects": [*self.objects]}

    @property
    def way(self) -> tuple[Direction, int, int, int]:
        """What decides which frames it gives."""
        return self.direction, self.start, self.first, self.last


def way_of(plan: TrackingPlan) -> tuple[Direction, int, int, int]:
    """As :attr:`WaitingTracking.way`."""
    return plan.direction, plan.begin, plan.first, plan.last


class TrackingQueue:
    """The waiting trackings of a project, the next one first; used in the project's thread."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @property
    def waiting(self) -> list[WaitingTracking]:
        """The waiting trackings in their order."""
        return [WaitingTracking.of(noted) for noted in self._noted["waiting"]]

    def objects_on(self, way: tuple[Direction, int, int, int]) -> set[int]:
        """The objects that waiting trackings give on the frames of a way."""
        return {number for one in self.waiting if one.way == way for number in one.objects}

    def add(self, plan: TrackingPlan) -> int:
        """Have a planned tracking wait; returns its id."""
        waiting = self.waiting
        if len(waiting) >= MAX_WAITING:
            raise PromptError(f"{MAX_WAITING} trackings wait already; let some of them end first")
        number = int(self._noted["last"]) + 1
        self._note_waiting(
            [*waiting, WaitingTracking(number, *way_of(plan), plan.objects, plan.user)], number
        )
        return number

    def take_out(self, plan: TrackingPlan) -> None:
        """Have the objects of a tracking that begins wait for the same frames no more."""
        way, before = way_of(plan), self.waiting
        after = [
            replace(one, objects=tuple(i for i in one.objects if i not in plan.objects))
            if one.way == way
            else one
            for one in before
        ]
        after = [one for one in after if one.objects]
        if after != before:
            self._note_waiting(after)

    def move(self, number: int, place: int | None) -> None:
        """Move a waiting tracking to a place, 0 is the next one; None takes it out."""
        waiting = self.waiting
        entry = next((one for one in waiting if one.id == number), None)
        if entry is None:
            raise PromptError("this tracking does not wait any more")
        waiting.remove(entry)
        if place is not None:
            waiting.insert(place, entry)
        self._note_waiting(waiting)

    def next(self) -> WaitingTracking | None:
        """The next tracking, with its objects that may change, or None; those without any are taken out."""
        for one in self.waiting:
            if objects := self._project.unlocked(one.objects):
                return replace(one, objects=tuple(objects))
            self.move(one.id, None)
        return None

    @property
    def paused(self) -> bool:
        """Whether a person has stopped the trackings, so that none begins by itself."""
        return bool(self._noted["paused"])

    def pause(self, paused: bool) -> None:
        """Have no tracking begin by itself, or have them begin again."""
        if paused != self.paused:
            self._project.note("queue", self._noted | {"paused": paused})

    def _note_waiting(self, waiting: Iterable[WaitingTracking], last: int | None = None) -> None:
        noted = self._noted | {"waiting": [one.as_json() for one in waiting]}
        self._project.note("queue", noted if last is None else noted | {"last": last})

    @property
    def _noted(self) -> dict[str, Any]:
        return {"waiting": [], "last": 0, "paused": False} | (self._project.noted("queue") or {})
