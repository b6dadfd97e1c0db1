"""Objects that stand: they stay as long as their pixels differ from the background before they came."""

from __future__ import annotations

import base64
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import cv2
import numpy as np
from pydantic import BaseModel, Field

from segue.events.scene.working import (
    MIN_CONTRAST,
    WORKING_SIDE,
    FloatArray,
    grown_mask,
    local_contrast,
    reduced_labels,
    reduced_mask,
    working_image,
)
from segue.masks import resize_mask
from segue.masks.rle import decode_rle, encode_rle, stored_mask
from segue.masks.values import MAX_ID
from segue.prompts.planes import tight_box
from segue.sessions.association import next_id
from segue.types import Frame, IndexMask, ObjectInfo, Segmentation
from segue.utils.arrays import BoolArray, id_type

STILL_SECONDS = 1.0
"""Seconds without motion after which an object stands."""

_MAX_GAP = 0.5
"""Maximum seconds out of view that do not restart this time."""

_MAX_SHIFT = 0.25
"""Maximum motion of a standing object in this time, as a share of its longer side."""

_CHECK_SECONDS = 1.0
"""Seconds between two checks whether an object is present."""

_LEARN_SECONDS, _LEARN_EVERY = 10.0, 0.5
"""Time constant of background updates where there is no object, and seconds between two updates."""

_FOLLOW_RATE = 0.05
"""Update rate of a standing object's image: light and people change slowly."""

_SLIDE = 2
"""Maximum shift of a held object between checks, in pixels of the working image."""

_MAX_GROWTH = 1.2
"""Times the size of an object that more of it may be found: it does not grow, but light changes."""

_SAME_OUTLINE = 0.9
"""Minimum overlap of an object's pixels between checks to count as unchanged."""

_MIN_DECIDED = 0.2
"""Share of the pixels of an object that must differ so much."""

_UNLIKE = 45.0
"""Difference in grey levels from both images of a place, from which on it shows something else."""

_MISSES = 3
"""Checks in a row after which an object is gone."""

_MISSES_UNLIKE = 30
"""The same if its place shows neither it nor its background, such as behind a person."""

_REUSE_SECONDS = 60.0
"""Seconds without an object in results after which another one with its id is not the same object."""

_SAME_PLACE = 0.3
"""Minimum overlap of an object with a standing one to be the same."""

_PART = 0.7
"""Minimum share of a new object inside a standing one to be a part of it."""

MAX_STANDING = 100
"""Objects that are read of a file."""

Verdict = float | None
"""Share of the pixels that show the object, not its background; None if they show neither."""


_Side = Annotated[int, Field(gt=0, le=WORKING_SIDE)]


class PixelRecord(BaseModel, frozen=True, extra="forbid"):
    """A part of a working image: height and width, and RGB as Base64."""

    size: tuple[_Side, _Side]
    rgb: str

    @classmethod
    def of(cls, image: FloatArray) -> PixelRecord:
        """Record an image (H, W, 3)."""
        levels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
        return cls(size=(image.shape[0], image.shape[1]), rgb=base64.b64encode(levels.tobytes()).decode())

    def image(self) -> FloatArray:
        """Decode the image (H, W, 3); ValueError if its size differs."""
        levels = np.frombuffer(base64.b64decode(self.rgb, validate=True), np.uint8)
        return levels.reshape(*self.size, 3).astype(np.float32)


class StandingRecord(BaseModel, frozen=True, extra="forbid"):
    """A standing object in the file of its camera.

    Attributes:
        id: its number.
        label: its class, if it has one.
        mask: run lengths of its pixels, at the size of results.
        corner: left and upper side of the part of the working image around it.
        inside: run lengths of its pixels there.
        background: the part without it.
        appearance: the part with it.
        light: mean of each channel around it.
    """

    id: Annotated[int, Field(gt=0, le=MAX_ID)]
    label: str | None
    mask: str
    corner: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
    inside: str
    background: PixelRecord
    appearance: PixelRecord
    light: tuple[float, float, float]


class ObjectsRecord(BaseModel, frozen=True, extra="forbid"):
    """Standing objects in the file of a camera.

    Attributes:
        size: height and width of results.
        background: the working image without objects.
        objects: standing objects.
    """

    size: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
    background: PixelRecord
    objects: Annotated[tuple[StandingRecord, ...], Field(max_length=MAX_STANDING)]


@dataclass(slots=True)
class _Track:
    """An object that results list.

    Attributes:
        anchor: its box when it began to stand still, as of the working image.
        since: when.
        last_time: when a result has shown it last.
        standing: its appearance and background, once it stands.
    """

    anchor: tuple[float, float, float, float]
    since: float
    last_time: float
    standing: _Standing | None = None


@dataclass(slots=True)
class _Standing:
    """A standing object, with the part of the working image around it.

    Attributes:
        info: the object in results.
        mask: its mask (H, W), at the size of results.
        place: the part of the image.
        inside: its mask in the part.
        background: the part without it.
        appearance: the part with it.
        ring: ring of pixels around it, for comparing the light.
        light: mean of each channel in the ring.
        size: its area in the working image when it stopped.
    """

    info: ObjectInfo
    mask: BoolArray
    place: tuple[slice, slice]
    inside: BoolArray
    background: FloatArray
    appearance: FloatArray
    ring: BoolArray
    light: FloatArray
    size: int
    misses: int = 0
    checked: float = -float("inf")

    @classmethod
    def of(cls, record: StandingRecord, size: tuple[int, int], working: tuple[int, ...]) -> _Standing:
        """Create an object from its record; ValueError if the record does not fit the images."""
        (x, y), (height, width) = record.corner, record.appearance.size
        mask, inside = _mask_of(record.mask, size), _mask_of(record.inside, (height, width))
        if y + height > working[0] or x + width > working[1] or record.background.size != (height, width):
            raise ValueError("an object lies outside the image")
        place = slice(y, y + height), slice(x, x + width)
        info = ObjectInfo(record.id, record.label, 1.0, tight_box(mask), int(mask.sum()))
        images = record.background.image(), record.appearance.image()
        light = np.array(record.light, np.float32)
        return cls(info, mask, place, inside, *images, _ring(inside), light, int(inside.sum()))

    def record(self, number: int) -> StandingRecord:
        """Record of the object, from which a later process continues."""
        return StandingRecord(
            id=number,
            label=self.info.label,
            mask=encode_rle(self.mask)["counts"],
            corner=(self.place[1].start, self.place[0].start),
            inside=encode_rle(self.inside)["counts"],
            background=PixelRecord.of(self.background),
            appearance=PixelRecord.of(self.appearance),
            light=(float(self.light[0]), float(self.light[1]), float(self.light[2])),
        )

    def verdict(self, image: FloatArray) -> Verdict:
        """Whether a working image shows it, and not its background."""
        part = image[self.place]
        gain = (part[self.ring].mean(0) + 1) / (self.light + 1) if self.ring.any() else np.ones(3)
        decided = self.inside & (_difference(self.appearance, self.background) >= MIN_CONTRAST)
        if np.count_nonzero(decided) < _MIN_DECIDED * np.count_nonzero(self.inside):
            return 0.0
        to_object = _difference(part, self.appearance * gain)
        to_background = _difference(part, self.background * gain)
        if np.median(np.minimum(to_object, to_background)[decided]) > _UNLIKE:
            return None
        return float((to_object < to_background)[decided].mean())

    def follow(self, image: FloatArray) -> None:
        """Take how it looks now."""
        self.appearance += _FOLLOW_RATE * (image[self.place] - self.appearance)


class _Match(NamedTuple):
    """Match of an object of a result: a standing object, or the hole that one has left."""

    number: int
    is_hole: bool


class StandingObjects:
    """Keeps standing objects in results until they leave, even if the background has absorbed them.

    A session learns what stays: after minutes a parked car is background, and when it goes its place is an
    object. Here an object that has stood for two seconds keeps its id while its pixels look more like it
    than like the background before it came, whatever the light; what a result finds at its place meanwhile
    is the same object, and what it finds there afterwards is the hole that it has left, and no object. It
    goes on in the next run of the camera, see :meth:`restart`.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget all, as of another source."""
        self._tracks: dict[int, _Track] = {}
        self._retained: dict[int, _Track] = {}  # that results do not list
        self._restored: dict[int, _Track] = {}  # of the run before, until somebody says which of them go on
        self._matches: dict[int, _Match] = {}
        self._background: FloatArray | None = None
        self._size: tuple[int, ...] | None = None  # of results
        self._learnt: float | None = None  # when

    @property
    def background(self) -> FloatArray | None:
        """The working image without objects; None before the first frame."""
        return self._background

    @property
    def ids(self) -> set[int]:
        """Ids of the standing objects."""
        tracks = {**self._restored, **self._tracks, **self._retained}
        return {number for number, track in tracks.items() if track.standing is not None}

    def restart(self) -> None:
        """Begin another run, with another clock; :meth:`resume` selects the objects that continue."""
        tracks = {**self._restored, **self._tracks, **self._retained}
        self._restored = {number: track for number, track in tracks.items() if track.standing is not None}
        for track in self._restored.values():
            assert track.standing is not None
            track.standing.misses, track.standing.checked = 0, -float("inf")
        self._tracks, self._retained, self._matches, self._learnt = {}, {}, {}, None

    def resume(self, numbers: Container[int]) -> set[int]:
        """Continue standing objects of the previous run; others are forgotten.

        Args:
            numbers: objects whose end was not reported.

        Returns:
            Objects that continue: results list them until they leave.
        """
        resumed = {number: track for number, track in self._restored.items() if number in numbers}
        self._retained |= resumed
        self._restored = {}
        return {*resumed}

    def record(self) -> ObjectsRecord | None:
        """Record of all objects, from which a later process continues; None before the first frame."""
        if self._background is None or self._size is None:
            return None
        tracks = {**self._restored, **self._tracks, **self._retained}
        standing = ((number, track.standing) for number, track in tracks.items())
        objects = tuple(each.record(number) for number, each in standing if each is not None)
        size = self._size[0], self._size[1]
        return ObjectsRecord(
            size=size, background=PixelRecord.of(self._background), objects=objects[:MAX_STANDING]
        )

    def restore(self, record: ObjectsRecord) -> None:
        """Restore the record of an earlier process; ValueError if it is invalid."""
        background = record.background.image()
        objects = {each.id: _Standing.of(each, record.size, background.shape) for each in record.objects}
        self.forget()
        self._size, self._background = record.size, background
        self._restored = {
            number: _Track((0.0, 0.0, 0.0, 0.0), 0.0, 0.0, each) for number, each in objects.items()
        }

    def update(self, frame: Frame, result: Segmentation) -> Segmentation:
        """Process a frame; returns its result with standing objects."""
        learns = self._learnt is None or frame.time - self._learnt >= _LEARN_EVERY
        if not (learns or result.objects or self._tracks or self._retained):
            return result
        image = working_image(frame.image)
        is_other = self._background is not None and self._background.shape != image.shape
        if is_other or self._size not in (None, result.mask.shape):
            self.forget()  # the camera has another size now
        self._size = result.mask.shape
        if self._retained or self._matches:
            result = self._matched(image, result)
        result = self._joined(result)
        self._note_still(frame.time, image, result)
        self._retain_missing(image, result)
        self._check_retained(frame.time, image, result)
        if learns:
            self._learn(frame.time, image, result)
        return self._with_retained(result)

    def _matched(self, image: FloatArray, result: Segmentation) -> Segmentation:
        """Replace objects at the place of a standing one by that object, or remove its hole."""
        objects = {item.id: item for item in result.objects}
        self._matches = {number: match for number, match in self._matches.items() if number in objects}
        for number in objects.keys() - self._tracks.keys() - self._matches.keys():
            pixels = result.mask == number
            match = self._match(image, pixels)
            if match is None and self._is_reused(number, pixels, result.time):
                used_ids = {*result.ids, *self._retained, *self._tracks}
                match = _Match(next_id((number + MAX_ID // 2) % MAX_ID, used_ids), is_hole=False)
            if match is not None:
                self._matches[number] = match
        if not self._matches:
            return result
        mask = _with_room(result.mask, [match.number for match in self._matches.values()])
        for number, match in self._matches.items():
            mask[mask == number] = 0 if match.is_hole else match.number
            item, retained = objects.pop(number), self._retained.pop(match.number, None)
            if not match.is_hole:
                objects[match.number] = replace(item, id=match.number)
                if retained is not None:
                    self._tracks[match.number] = retained
        return replace(result, mask=mask, objects=tuple(objects.values()))

    def _is_reused(self, number: int, pixels: BoolArray, time: float) -> bool:
        """Whether a new object elsewhere has the id of a standing one, since ids have restarted."""
        track = self._retained.get(number)
        if track is None or track.standing is None or abs(time - track.last_time) < _REUSE_SECONDS:
            return False
        return not (pixels & track.standing.mask).any()

    def _joined(self, result: Segmentation) -> Segmentation:
        """Merge new objects inside a standing one into it."""
        standing = {
            number: track.standing.mask
            for number, track in {**self._tracks, **self._retained}.items()
            if track.standing is not None
        }
        numbers = [item.id for item in result.objects if item.id not in self._tracks] if standing else []
        owners = {number: owner for number in numbers if (owner := _owner(result.mask == number, standing))}
        if not owners:
            return result
        mask, listed = _with_room(result.mask, owners.values()), {*result.ids}
        for number, owner in owners.items():
            mask[mask == number] = owner if owner in listed else 0  # else it is drawn with the owner
        return replace(
            result, mask=mask, objects=tuple(item for item in result.objects if item.id not in owners)
        )

    def _match(self, image: FloatArray, pixels: BoolArray) -> _Match | None:
        """Match the pixels of a new object with a standing one, if any."""
        for number, track in self._retained.items():
            standing = track.standing
            assert standing is not None
            either = np.count_nonzero(pixels | standing.mask)
            if np.count_nonzero(pixels & standing.mask) >= _SAME_PLACE * either:
                share = standing.verdict(image)
                return _Match(number, is_hole=share is not None and share < 0.5)
        return None

    def _note_still(self, time: float, image: FloatArray, result: Segmentation) -> None:
        """See which of the objects stand."""
        labels = reduced_labels(result.mask, image.shape)
        for item in result.objects:
            inside = labels == item.id
            x, y, width, height = cv2.boundingRect(inside.view(np.uint8))
            if not width:
                continue
            box = float(x), float(y), float(x + width), float(y + height)
            track = self._tracks.setdefault(item.id, _Track(box, time, time))
            is_displaced = _beyond(box, track.anchor) > max(1.0, _MAX_SHIFT * max(width, height))
            if track.standing is None and time - track.last_time > _MAX_GAP:  # a leaf that shows now and then
                track.since = time
            track.last_time = time
            is_slow = time - track.since >= STILL_SECONDS
            if is_displaced:
                track.anchor, track.since, track.standing = box, time, None
            if track.standing is not None:
                track.standing.follow(image)
                if time - track.standing.checked >= _CHECK_SECONDS:
                    track.standing.checked = time
                    track.standing = self._outlined(track.standing, image, result)
            elif is_slow and self._background is not None:
                standing = _standing(item, result.mask == item.id, inside, image, self._background)
                track.standing = self._outlined(standing, image, result, is_new=True)

    def _retain_missing(self, image: FloatArray, result: Segmentation) -> None:
        """Add standing objects that a result no longer lists."""
        for number in self._tracks.keys() - {item.id for item in result.objects}:
            track = self._tracks.pop(number)
            if track.standing is not None and (track.standing.verdict(image) or 0.0) >= 0.5:
                track.standing = self._outlined(track.standing, image, result)
                self._retained[number] = track

    def _outlined(
        self, standing: _Standing, image: FloatArray, result: Segmentation, *, is_new: bool = False
    ) -> _Standing:
        """Outline an object by its difference from the background: it may slide, or be listed in part."""
        background, previous = self._background, np.zeros(image.shape[:2], bool)
        previous[standing.place] = standing.inside
        foreign = reduced_mask((result.mask > 0) & (result.mask != standing.info.id), image.shape)
        margin = max(side.stop - side.start for side in standing.place) // 6  # a quarter of its size
        region = grown_mask(previous, margin if is_new else _SLIDE) & ~foreign
        local = None if background is None else local_contrast(image, background, region, region | foreign)
        if local is None or background is None:
            return standing
        part, contrast = local
        inside = np.zeros_like(region)
        inside[part] = region[part] & (contrast >= MIN_CONTRAST)
        common, size = np.count_nonzero(inside & previous), int(np.count_nonzero(inside))
        is_same = common >= _SAME_OUTLINE * np.count_nonzero(inside | previous)
        is_lost = common < 0.5 * np.count_nonzero(previous)
        if is_same or is_lost or not (is_new or size <= _MAX_GROWTH * standing.size):
            return standing
        mask = resize_mask(inside, result.mask.shape) > 0
        info = replace(standing.info, box=tight_box(mask), area=int(np.count_nonzero(mask)))
        outlined = _standing(info, mask, inside, image, background)
        return replace(outlined, size=size if is_new else standing.size, checked=standing.checked)

    def _check_retained(self, time: float, image: FloatArray, result: Segmentation) -> None:
        """Let objects go that are not there any more."""
        for number, track in [*self._retained.items()]:
            standing = track.standing
            assert standing is not None
            if time - standing.checked < _CHECK_SECONDS:
                continue
            standing.checked, share = time, standing.verdict(image)
            if share is not None and share >= 0.5:
                standing.misses = 0
                standing.follow(image)
                track.standing = self._outlined(standing, image, result)
                continue
            standing.misses += 1
            if standing.misses >= (_MISSES if share is not None else _MISSES_UNLIKE):
                del self._retained[number]

    def _learn(self, time: float, image: FloatArray, result: Segmentation) -> None:
        """Update the background where there is no object."""
        seconds, self._learnt = 0.0 if self._learnt is None else time - self._learnt, time
        if self._background is None:
            self._background = image.copy()
            return
        covered = result.mask > 0
        for track in (*self._retained.values(), *self._tracks.values()):
            if track.standing is not None:
                covered |= track.standing.mask
        reduced = reduced_mask(covered, image.shape)
        free = ~grown_mask(reduced, 2)
        rate = min(1.0, max(0.0, seconds) / _LEARN_SECONDS)
        cv2.accumulateWeighted(image, self._background, rate, free.view(np.uint8))

    def _with_retained(self, result: Segmentation) -> Segmentation:
        """A result with the objects that it does not list."""
        if not self._retained:
            return result
        mask, objects = _with_room(result.mask, self._retained), [*result.objects]
        for number, track in self._retained.items():
            assert track.standing is not None
            mask[track.standing.mask & (mask == 0)] = number
            objects.append(replace(track.standing.info, id=number))
        return replace(result, mask=mask, objects=tuple(objects))


def _with_room(mask: IndexMask, ids: Collection[int]) -> IndexMask:
    """Copy an index mask with a type that holds some ids."""
    return mask.astype(np.promote_types(mask.dtype, id_type(max(ids))))


def _difference(one: FloatArray, other: FloatArray) -> FloatArray:
    """Mean difference of the colours of two images, (h, w)."""
    red, green, blue = np.moveaxis(np.abs(one - other), -1, 0)
    return np.asarray((red + green + blue) / 3, np.float32)


def _standing(
    item: ObjectInfo, mask: BoolArray, inside: BoolArray, image: FloatArray, background: FloatArray
) -> _Standing:
    """Record how a new standing object and its background look."""
    x, y, width, height = cv2.boundingRect(inside.view(np.uint8))
    margin = max(2, max(width, height) // 4)
    rows = slice(max(0, y - margin), y + height + margin)
    place = rows, slice(max(0, x - margin), x + width + margin)
    part, ring = image[place], _ring(inside[place])
    light = part[ring].mean(0) if ring.any() else np.zeros(3, np.float32)
    images = background[place].copy(), part.copy()
    return _Standing(item, mask, place, inside[place], *images, ring, light, int(np.count_nonzero(inside)))


def _beyond(box: tuple[float, float, float, float], place: tuple[float, float, float, float]) -> float:
    """Extent of a box beyond a place; parts that the background absorbs slowly have none."""
    return max(place[0] - box[0], place[1] - box[1], box[2] - place[2], box[3] - place[3])


def _owner(pixels: BoolArray, standing: Mapping[int, BoolArray]) -> int | None:
    """Standing object that contains most of some pixels."""
    area = np.count_nonzero(pixels)
    return next((n for n, mask in standing.items() if np.count_nonzero(pixels & mask) >= _PART * area), None)


def _ring(inside: BoolArray) -> BoolArray:
    """Ring of background pixels around a mask."""
    return ~grown_mask(inside, 1)


def _mask_of(counts: str, size: tuple[int, int]) -> BoolArray:
    """Decode run lengths of a file to a mask (H, W); ValueError if they are invalid."""
    rle = stored_mask({"size": size, "counts": counts})
    assert not isinstance(rle, str)
    mask = np.ascontiguousarray(decode_rle(rle))
    if not mask.any():
        raise ValueError("an object has no pixels")
    return mask
