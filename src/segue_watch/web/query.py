"""Queries for events and visits, parsed from addresses of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qs

from segue.errors import SegueError
from segue.events.store.schema import SPAN

MAX_EVENTS = 200
"""Maximum number of events in an answer."""

MAX_EDGES = 366
"""Maximum number of hours or days to count."""


class Place(NamedTuple):
    """Camera and number of an event or visit."""

    camera: str
    number: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """Parse the ``place`` of an event or visit; raises ValueError."""
        camera, number = text.split("/")
        return cls(camera, _number(number))

    def __str__(self) -> str:
        return f"{self.camera}/{self.number}"


@dataclass(frozen=True, slots=True)
class Query:
    """Filters for events or visits; empty fields select all.

    Attributes:
        cameras: names of cameras.
        zones: names of zones and lines.
        labels: classes.
        kinds: such as ``enter``.
        after, before: seconds of the epoch.
        behind, behind_moment: only entries after a place; for other cameras, after its time.
        cursor: number by camera; only later entries.
        unreviewed: only unreviewed visits.
        words: texts in the name of the camera, the object, its class, its zones or its events.
        place: place of a single visit.
        earlier_place: the same as links of before the store have it: its moment, camera, and part.
        limit: events or visits at most.
    """

    cameras: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    after: float = 0.0
    before: float = math.inf
    behind: Place | None = None
    behind_moment: float = math.inf
    cursor: Mapping[str, int] | None = None
    unreviewed: bool = False
    words: tuple[str, ...] = ()
    place: Place | None = None
    earlier_place: tuple[float, str] | None = None
    limit: int = 60

    @classmethod
    def parse(cls, text: str) -> Query:
        """Parse the query string of an address; raises SegueError."""
        try:
            fields = parse_qs(text, max_num_fields=100)
            limit = min(MAX_EVENTS, max(1, int(fields.get("limit", ["60"])[0][:9])))
            start_time = _moment(fields.get("after", ["0"])[0])
            limits = fields.get("before", ["inf"])
            stop_time = min((_moment(each) for each in limits if "/" not in each), default=math.inf)
            behind = next((Place.parse(each) for each in limits if "/" in each), None)
            cursor = None if "cursor" not in fields else _cursor(fields["cursor"][0])
            place, earlier = _place(fields["place"][0]) if "place" in fields else (None, None)
        except ValueError as error:
            raise SegueError(f"invalid query: {error}") from None
        cameras, zones, labels, kinds = (
            frozenset(fields.get(word, ())) for word in ("camera", "zone", "label", "event")
        )
        return cls(
            *(cameras, zones, labels, kinds, start_time, stop_time, behind),
            cursor=cursor,
            unreviewed="unreviewed" in fields,
            words=tuple(" ".join(fields.get("search", ())).casefold().split()),
            place=place,
            earlier_place=earlier,
            limit=limit,
        )

    def asks_for(self, camera: str) -> bool:
        """Whether the query may select anything of a camera."""
        if self.place is not None or self.earlier_place is not None:
            one = self.place.camera if self.place is not None else (self.earlier_place or (0.0, ""))[1]
            return camera == one
        return not self.cameras or camera in self.cameras


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise ValueError(f"{text[:20]!r} is no number of an event")
    return int(text)


def _moment(text: str) -> float:
    moment = float(text)
    if math.isnan(moment) or moment == -math.inf:
        raise ValueError(f"{text[:20]!r} is no time")
    return moment


def _cursor(text: str) -> dict[str, int]:
    """Parse the ``next`` of an answer."""
    pairs = [each.rpartition(":") for each in text.split(",")]
    if not all(camera for camera, _, _ in pairs):
        raise ValueError("the cursor is none of an answer")
    return {camera: _number(number) for camera, _, number in pairs}


def _place(text: str) -> tuple[Place | None, tuple[float, str] | None]:
    if text.count("/") == 3:
        moment, camera, _, _ = text.split("/")
        if not math.isfinite(float(moment)):
            raise ValueError(f"{moment[:20]!r} is no time")
        return None, (float(moment), camera)
    return Place.parse(text), None


def edges_of(text: str) -> list[float]:
    """Parse the start times of hours or days to count, from the query string of an address.

    The client chooses the time zone: `edges=1764370800,1764374400`.

    Raises:
        SegueError: the text has no valid times.
    """
    try:
        edges = [int(word[:12]) for word in parse_qs(text, max_num_fields=100)["edges"][0].split(",")]
    except (KeyError, ValueError):
        raise SegueError("counts: give edges=SECONDS,SECONDS,... of the epoch") from None
    if len(edges) > MAX_EDGES or any(edge % SPAN for edge in edges) or sorted({*edges}) != edges:
        raise SegueError(
            f"counts: give at most {MAX_EDGES} edges, each later than the one before, at quarters of an hour"
        )
    return [float(edge) for edge in edges]
