"""Trackings that wait for their turn, kept with the project: a restart goes on with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from segue.errors import PromptError
from segue_web.project.project import Project

MAX_WAITING = 200
"""Trackings that may wait at once."""

SPEC_KEYS = ("direction", "start", "first", "last", "objects", "user")
"""What is kept of a planned tracking; the rest is planned anew when its turn has come."""


def is_same_way(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two planned trackings give the same frames, of whatever objects."""
    begin = other.get("begin", other["start"])  # one that was gone on with
    return begin == one["start"] and all(one[key] == other[key] for key in ("direction", "first", "last"))


def objects_of(spec: dict[str, Any], other_specs: Iterable[dict[str, Any]]) -> set[int]:
    """The objects that other trackings give on the frames of a planned one."""
    return {number for other in other_specs if is_same_way(spec, other) for number in other["objects"]}


class TrackingQueue:
    """The waiting trackings of a project, the next one first; used in the project's thread."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @property
    def waiting(self) -> list[dict[str, Any]]:
        """Each waiting tracking: its id, direction, start, range and objects."""
        return list(self._noted["waiting"])

    def add(self, spec: dict[str, Any]) -> int:
        """Have a planned tracking wait; returns its id."""
        noted, selected = self._noted, {key: spec[key] for key in SPEC_KEYS}
        if len(noted["waiting"]) >= MAX_WAITING:
            raise PromptError(f"{MAX_WAITING} trackings wait already; let some of them end first")
        number = noted["last"] + 1
        waiting = [*noted["waiting"], {"id": number, **selected}]
        self._project.note("queue", noted | {"waiting": waiting, "last": number})
        return int(number)

    def take_out(self, spec: dict[str, Any]) -> None:
        """Have the objects of a tracking that begins wait for the same frames no more."""
        waiting = []
        for one in self.waiting:
            if is_same_way(one, spec):
                one = one | {"objects": [i for i in one["objects"] if i not in spec["objects"]]}
            waiting += [one] if one["objects"] else []
        if waiting != self.waiting:
            self._project.note("queue", self._noted | {"waiting": waiting})

    def move(self, number: int, place: int | None) -> None:
        """Move a waiting tracking to a place, 0 is the next one; None takes it out."""
        noted = self._noted
        entry = next((one for one in noted["waiting"] if one["id"] == number), None)
        if entry is None:
            raise PromptError("this tracking does not wait any more")
        other_entries = [one for one in noted["waiting"] if one is not entry]
        if place is not None:
            other_entries.insert(place, entry)
        self._project.note("queue", noted | {"waiting": other_entries})

    def next(self) -> dict[str, Any] | None:
        """The next tracking, with its objects that may change, or None; those without any are taken out."""
        for one in self.waiting:
            if objects := self._project.unlocked(one["objects"]):
                return one | {"objects": objects}
            self.move(one["id"], None)
        return None

    @property
    def paused(self) -> bool:
        """Whether a person has stopped the trackings, so that none begins by itself."""
        return bool(self._noted["paused"])

    def pause(self, paused: bool) -> None:
        """Have no tracking begin by itself, or have them begin again."""
        if paused != self.paused:
            self._project.note("queue", self._noted | {"paused": paused})

    @property
    def _noted(self) -> dict[str, Any]:
        return {"waiting": [], "last": 0, "paused": False} | (self._project.noted("queue") or {})
