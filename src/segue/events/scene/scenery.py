"""Places with recurring motion, such as a branch or a flag, which belong to the scene."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import AfterValidator, BaseModel, Field

from segue.masks import measure
from segue.types import Box, Segmentation

TIMES, WINDOW = 4, 300.0
"""Number of objects at one place within some seconds after which the place is scene."""

_MIN_FRAMES = 3
"""Minimum number of frames with such an object; a fast object is on fewer, and seems static."""

_MAX_SECONDS = 60.0
"""Maximum seconds for which such an object is present; longer ones are real."""

_STAYS = 0.5
"""Share of the object inside its largest box at entry, exit and in between: parts of a flag appear one
after the other, a passer-by leaves that box."""

_SAME_PLACE = 0.25
"""Minimum overlap of the boxes of two objects at one place."""

_INSIDE = 0.7
"""Minimum share of an object inside the place that it belongs to."""

_MARGIN = 0.1
"""Margin of a place around its boxes, as a share of their sides."""

_MAX_AREA = 0.2
"""Maximum share of the image that a place covers."""

_FORGET_SECONDS = 3600.0
"""Seconds without an object after which a place is watched again."""


MAX_PLACES = 1000
"""Maximum number of places read from a file."""


def _checked_box(box: Box) -> Box:
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise ValueError("a place lies outside the image")
    return box


_SavedBoxes = Annotated[
    tuple[Annotated[Box, AfterValidator(_checked_box)], ...], Field(max_length=MAX_PLACES)
]


class SceneryRecord(BaseModel, frozen=True, extra="forbid"):
    """Saved places of a camera.

    Attributes:
        places: scene places, as shares of the image.
        numbers: the number of each, which is given once.
        taken_back: rejected places.
        last: the last number that was given.
    """

    places: _SavedBoxes = ()
    numbers: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=MAX_PLACES)] = ()
    last: Annotated[int, Field(ge=0)] = 0
    taken_back: _SavedBoxes = ()


class ScenePlace(NamedTuple):
    """A place with recurring motion.

    Attributes:
        number: number for rejecting it.
        box: its sides as shares of the image, as in ``Box``.
    """

    number: int
    box: Box


@dataclass(slots=True)
class _Place:
    box: Box
    last: float  # when something was there


@dataclass(slots=True)
class _Track:
    """An object since it entered; first, last and largest box, in shares of the image."""

    first: Box
    box: Box
    largest: Box
    since: float
    last: float
    moves: bool = False
    frames: int = 0
    place: int | None = None  # to which it belongs as long as it stays in it


class Scenery:
    """Removes objects from results at places with recurring motion.

    Four objects in five minutes that come and go at one place without moving make it scene: a branch, a
    flag, a lamp. An object that appears inside the place counts only after it leaves it; objects from
    elsewhere count everywhere. After an hour without any, a place is watched again. Any thread may list and
    reject places. Places stay from run to run, see :meth:`restart`.

    Args:
        on_new: called with a line about each new place.
    """

    def __init__(self, on_new: Callable[[str], object] = lambda _: None) -> None:
        self._on_new = on_new
        self._lock = threading.Lock()
        self._last_number = 0
        self._places: dict[int, _Place] = {}
        self._refused: list[Box] = []  # that somebody has taken back
        self._tracks: dict[int, _Track] = {}
        self._departures: deque[tuple[float, Box]] = deque()
        self._begins = False  # a run whose times are others

    def restart(self) -> None:
        """Begin another run: its times start over, places stay."""
        with self._lock:
            self._tracks = {}
            self._departures.clear()
            self._begins = True

    def record(self) -> SceneryRecord:
        """State for a later process."""
        with self._lock:
            boxes = tuple(place.box for place in self._places.values())
            refused = tuple(self._refused)
            return SceneryRecord(
                places=boxes, numbers=(*self._places,), taken_back=refused, last=self._last_number
            )

    def restore(self, record: SceneryRecord) -> None:
        """Restore the state of an earlier process."""
        self.restart()
        with self._lock:
            numbers = record.numbers  # places of before have none
            if len({*numbers}) != len(record.places):
                first = max(self._last_number, record.last) + 1
                numbers = tuple(range(first, first + len(record.places)))
            self._places = {
                number: _Place(box, 0.0) for number, box in zip(numbers, record.places, strict=True)
            }
            self._last_number = max((self._last_number, record.last, *numbers))
            self._refused = [*record.taken_back]

    def forget(self) -> None:
        """Remove all places, as for another source; their numbers are not reused."""
        self.restart()
        with self._lock:
            self._places, self._refused = {}, []

    @property
    def places(self) -> list[ScenePlace]:
        """Current places with recurring motion."""
        with self._lock:
            return [ScenePlace(number, place.box) for number, place in self._places.items()]

    def reject(self, number: int) -> bool:
        """Watch a place again, permanently; returns whether the number exists."""
        with self._lock:
            place = self._places.pop(number, None)
            if place is not None:
                self._refused.append(place.box)
                self._departures = deque(
                    each for each in self._departures if _overlap(each[1], place.box) == 0
                )
            return place is not None

    def update(self, result: Segmentation) -> Segmentation:
        """Remove the objects of the scene from a result."""
        with self._lock:
            return self._see(result)

    def _see(self, result: Segmentation) -> Segmentation:
        if self._begins:
            self._begins = False
            for place in self._places.values():
                place.last = result.time
        if not (result.objects or self._tracks):
            return result
        for number, place in [*self._places.items()]:
            if result.time - place.last > _FORGET_SECONDS:
                del self._places[number]
        height, width = result.mask.shape
        boxes = {
            number: (x0 / width, y0 / height, x1 / width, y1 / height)
            for number, (x0, y0, x1, y1) in (
                (number, extent.box) for number, extent in measure(result.mask).items()
            )
        }
        for number in self._tracks.keys() - {*result.ids, *boxes}:
            self._leave(self._tracks.pop(number))
        for number, box in boxes.items():
            self._move(number, box, result.time)
        hidden = {number for number, track in self._tracks.items() if track.place in self._places}
        if not hidden:
            return result
        mask = np.where(np.isin(result.mask, [*hidden]), 0, result.mask).astype(result.mask.dtype)
        return replace(
            result, mask=mask, objects=tuple(each for each in result.objects if each.id not in hidden)
        )

    def _move(self, number: int, box: Box, time: float) -> None:
        track = self._tracks.get(number)
        if track is None:
            track = self._tracks[number] = _Track(box, box, box, time, time)
            track.place = next(
                (each for each, place in self._places.items() if _inside(box, place.box) >= _INSIDE), None
            )
        track.box, track.last, track.frames = box, time, track.frames + 1
        small, large = sorted((track.largest, box), key=_area)
        track.moves |= _inside(small, large) < _STAYS
        track.largest = large
        if track.place is not None and (place := self._places.get(track.place)) is not None:
            place.last = time
            if _inside(box, place.box) < _INSIDE:  # it comes out: it is an object
                track.place = None

    def _leave(self, track: _Track) -> None:
        """End a track, after which its place may become scene."""
        stays = track.last - track.since > _MAX_SECONDS
        largest = track.largest
        moves = track.moves or min(_inside(box, largest) for box in (track.first, track.box)) < _STAYS
        if track.place is not None or stays or moves or track.frames < _MIN_FRAMES:
            return
        now = track.last
        self._departures.append((now, largest))
        while self._departures[0][0] < now - WINDOW:
            self._departures.popleft()
        boxes = [box for _, box in self._departures if _overlap(box, largest) >= _SAME_PLACE]
        if len(boxes) < TIMES or any(_overlap(largest, box) > 0 for box in self._refused):
            return
        box = _enclosing(boxes)
        if (box[2] - box[0]) * (box[3] - box[1]) > _MAX_AREA:
            return
        self._last_number = number = self._last_number + 1
        self._places[number] = _Place(box, now)
        self._departures = deque(each for each in self._departures if each[1] not in boxes)
        where = ", ".join(f"{100 * side:.0f}%" for side in box[:2])
        self._on_new(
            f"objects appear and disappear repeatedly at {where}: it is now scene and causes no events"
        )


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _common(one: Box, other: Box) -> float:
    return _area(
        (
            max(one[0], other[0]),
            max(one[1], other[1]),
            min(one[2], other[2]),
            min(one[3], other[3]),
        )
    )


def _overlap(one: Box, other: Box) -> float:
    common = _common(one, other)
    return common / (_area(one) + _area(other) - common) if common else 0.0


def _inside(box: Box, place: Box) -> float:
    return _common(box, place) / _area(box) if _area(box) else 0.0


def _enclosing(boxes: list[Box]) -> Box:
    """Box around several boxes, with a margin, within the image."""
    x0, y0 = (min(box[side] for box in boxes) for side in (0, 1))
    x1, y1 = (max(box[side] for box in boxes) for side in (2, 3))
    across, down = _MARGIN * (x1 - x0), _MARGIN * (y1 - y0)
    return max(0.0, x0 - across), max(0.0, y0 - down), min(1.0, x1 + across), min(1.0, y1 + down)
