"""Track objects with a detector while the background of a camera is unknown."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segue.masks.values import MAX_ID
from segue.sessions.association import REACH, assign, centre, longer_side, nearness, next_id, overlaps
from segue.types import Box, Frame, Image, IndexMask, ObjectInfo, Segmentation

Detection = tuple[Box, str | None, float]
"""Box in pixels, class if it matters, and score in [0, 1]."""

Detect = Callable[[Image], Sequence[Detection]]
"""Detects the objects of an image, RGB (H, W, 3), uint8."""

IsBlind = Callable[[int], bool]
"""Whether the background was unknown on the frame of an index."""

CameraMotion = Callable[[int], tuple[float, float]]
"""Motion of a panning camera to the frame of an index: right and down, in longer sides."""

MIN_OVERLAP = 0.1
"""Minimum IoU of a detection with an object of the previous frame."""

MIN_MOTION = 0.25
"""Distance in longer sides that a new object must move: static detections, such as parked cars, are scene."""

HOLD_SECONDS = 1.0
"""Seconds for which an unseen object keeps its place."""

MIN_MOTION_IN_PANS = 0.75
"""The same while the camera pans; larger, since its motion is only estimated."""

DETECTION_SECONDS = 0.19
"""Seconds between two detector runs; five per second suffice for people and cars."""

MAX_IDS = 4096
"""Maximum number of remembered ids."""

GRACE_SECONDS = 1.5
"""Seconds in a new scene after which the session decides about an object that it has not found."""


@dataclass(slots=True)
class _Track:
    """A tracked object.

    Attributes:
        id: its id; 0 while it has none.
        start: its box when it was seen first.
        time: when it was seen last, in seconds.
    """

    id: int
    box: Box
    start: Box
    time: float
    label: str | None = None
    score: float = 1.0


class BlindTracker:
    """Carries objects over frames on which a session has no background.

    Objects of before keep their ids, also in the scene that follows: what the session finds in the place of
    one is that one. New objects count as soon as they move.

    Args:
        detect: finds objects.
        is_blind: returns whether the background of a frame was unknown.
        last: the last id of an earlier run.
        camera_motion: of a camera that pans; None stands for one that does not.
    """

    def __init__(
        self,
        detect: Detect,
        is_blind: IsBlind,
        last: int = 0,
        camera_motion: CameraMotion | None = None,
    ) -> None:
        self._detect, self._is_blind, self._last = detect, is_blind, last
        self._camera_motion = camera_motion
        self._tracks: list[_Track] = []
        self._carried: list[_Track] = []  # on the last frame
        self._listed = set[int]()  # ids that the session found there
        self._ids: dict[int, int] = {}  # ids by those of the session, the last ones
        self._tracker_ids: dict[int, None] = {}  # ids that the session has not given, the last ones
        self._blind_time = -float("inf")  # the last time that it was blind
        self._detection_time = -float("inf")
        self._min_motion = MIN_MOTION  # until sight is back

    def update(self, frame: Frame, result: Segmentation) -> Segmentation:
        """Process a frame and its result.

        Args:
            frame: the frame.
            result: of the session.

        Returns:
            The result with continued ids; :meth:`carry` adds the carried objects.
        """
        blind = self._is_blind(result.index)
        if blind:
            self._blind_time = result.time
        follows = result.time - self._blind_time <= GRACE_SECONDS
        if not follows:
            self._min_motion = MIN_MOTION
            result = self._renamed(result)
            self._tracks, self._carried = _tracks_of(result), []
            self._listed = {item.id for item in result.objects}
            return result
        self._pan(result)
        self._claim(result)
        result = self._renamed(result)
        listed = {item.id for item in result.objects if item.box}
        for track in self._tracks:
            if track.id in listed:
                item = next(each for each in result.objects if each.id == track.id)
                track.box, track.time = item.box or track.box, result.time
        track_ids = {track.id for track in self._tracks}
        self._tracks += [track for track in _tracks_of(result) if track.id not in track_ids]
        if result.time - self._detection_time >= DETECTION_SECONDS:
            self._detection_time = result.time
            scale = result.mask.shape[1] / frame.size[1], result.mask.shape[0] / frame.size[0]
            detections = [
                (_scaled(box, scale), label, score) for box, label, score in self._detect(frame.image)
            ]
            self._match_detections(detections, listed, result.time)
        self._tracks = [track for track in self._tracks if result.time - track.time <= HOLD_SECONDS]
        self._listed = {item.id for item in result.objects}
        self._carried = [
            track
            for track in self._tracks
            if track.id and track.id not in listed and (blind or self._is_started_blind(track))
        ]
        return result

    def carry(self, result: Segmentation) -> Segmentation:
        """Add the carried objects to a result.

        Args:
            result: result of :meth:`see`, without objects that belong to the scene.

        Returns:
            The result with boxes of objects that the session does not see.
        """
        ids = {item.id for item in result.objects}
        scene = self._listed - ids
        self._tracks = [track for track in self._tracks if track.id not in scene]
        return _with_boxes(result, [track for track in self._carried if track.id not in ids | scene])

    def _pan(self, result: Segmentation) -> None:
        """Shift all boxes by the motion of a panning camera."""
        if self._camera_motion is None:
            return
        right, down = self._camera_motion(result.index)
        side = max(result.mask.shape)
        way = right * side, down * side
        self._min_motion = MIN_MOTION_IN_PANS if any(way) else self._min_motion
        for track in self._tracks if any(way) else ():
            track.box, track.start = _shifted(track.box, way), _shifted(track.start, way)

    def _is_started_blind(self, track: _Track) -> bool:
        return track.time >= self._blind_time - HOLD_SECONDS

    def _match_detections(
        self, detections: Sequence[Detection], listed: Collection[int], time: float
    ) -> None:
        """Match detections to the boxes of unseen objects, and begin new tracks."""
        free = [track for track in self._tracks if track.id not in listed or not track.id]
        boxes_of_result = [track.box for track in self._tracks if track.id in listed and track.id]
        new = [
            each
            for each in detections
            if not boxes_of_result or overlaps([each[0]], boxes_of_result).max() < MIN_OVERLAP
        ]
        pairs = _matches([track.box for track in free], [box for box, _, _ in new])
        for place, number in pairs.items():
            track, (box, label, score) = free[place], new[number]
            track.box, track.time, track.label, track.score = box, time, label, score
            way = math.dist(centre(track.start), centre(box))
            if not track.id and way >= self._min_motion * max(longer_side(track.start), 1.0):
                track.id = self._new_id()
        new_detections = [new[number] for number in range(len(new)) if number not in pairs.values()]
        self._tracks += [_Track(0, box, box, time, label, score) for box, label, score in new_detections]

    def _claim(self, result: Segmentation) -> None:
        """Give new objects of the session the ids of the tracks at their places."""
        items = [item for item in result.objects if item.box and item.id not in self._ids]
        result_ids = {self._ids[item.id] for item in result.objects if item.id in self._ids}
        tracks = [track for track in self._tracks if track.id and track.id not in result_ids]
        boxes = [item.box for item in items if item.box]
        for place, number in _matches([track.box for track in tracks], boxes).items():
            self._ids[items[number].id] = tracks[place].id

    def _new_id(self) -> int:
        """Return an id that no object has and that is not the session's next one."""
        self._last = number = next_id(self._last, self._tracker_ids)
        self._tracker_ids[number] = None
        return number

    def _renamed(self, result: Segmentation) -> Segmentation:
        """Rename objects of a result to ids that are unique over the run."""
        for number in sorted({item.id for item in result.objects} - {*self._ids}):
            self._ids[number] = self._new_id() if number in self._tracker_ids else number
            if (number - self._last) % MAX_ID < MAX_ID // 2:
                self._last = number
        for ids in (self._ids, self._tracker_ids):
            while len(ids) > MAX_IDS:
                del ids[next(iter(ids))]
        changed = {item.id: self._ids[item.id] for item in result.objects if self._ids[item.id] != item.id}
        if not changed:
            return result
        highest = max(int(result.mask.max()), *changed, *changed.values())
        table: IndexMask = np.arange(highest + 1, dtype=np.uint16)
        table[[*changed]] = [*changed.values()]
        objects = tuple(replace(item, id=self._ids[item.id]) for item in result.objects)
        return replace(result, mask=table.take(result.mask), objects=objects)


def _tracks_of(result: Segmentation) -> list[_Track]:
    return [
        _Track(item.id, item.box, item.box, result.time, item.label, item.score)
        for item in result.objects
        if item.box
    ]


def _with_boxes(result: Segmentation, tracks: Sequence[_Track]) -> Segmentation:
    """Add tracks to a result as filled boxes behind its objects."""
    if not tracks:
        return result
    height, width = result.mask.shape
    highest = max(int(result.mask.max()), *(track.id for track in tracks))
    mask = np.zeros((height, width), np.uint8 if highest < 256 else np.uint16)
    for track in sorted(tracks, key=lambda each: -longer_side(each.box)):
        x0, y0, x1, y1 = _inside(track.box, width, height)
        mask[y0:y1, x0:x1] = track.id
    mask = np.where(result.mask > 0, result.mask, mask).astype(mask.dtype)
    objects = []
    for track in tracks:
        area = int(np.count_nonzero(mask == track.id))
        x0, y0, x1, y1 = _inside(track.box, width, height)
        box = (x0, y0, x1, y1) if area else None  # it is there, behind others
        objects.append(ObjectInfo(track.id, track.label, track.score, box, area))
    return replace(result, mask=mask, objects=(*result.objects, *objects))


def _inside(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(value) for value in box)
    return max(0, x0), max(0, y0), min(width, x1), min(height, y1)


def _scaled(box: Box, scale: tuple[float, float]) -> Box:
    (x0, y0, x1, y1), (across, down) = box, scale
    return x0 * across, y0 * down, x1 * across, y1 * down


def _shifted(box: Box, way: tuple[float, float]) -> Box:
    (x0, y0, x1, y1), (right, down) = box, way
    return x0 + right, y0 + down, x1 + right, y1 + down


def _matches(earlier: Sequence[Box], now: Sequence[Box]) -> dict[int, int]:
    """Match earlier boxes with current ones by overlap and distance; returns indices by index."""
    if not earlier or not now:
        return {}
    overlap = overlaps(earlier, now)
    reach = REACH * np.array([[max(longer_side(box), 1.0)] for box in earlier])
    closeness = nearness(earlier, now, reach)
    return assign(overlap + closeness.clip(min=0), (overlap >= MIN_OVERLAP) | (closeness > 0))
