"""Instances by detection and tracking: a detector runs every few frames, masks are carried on between."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from segue.arrays import BoolArray
from segue.errors import ArgumentError, PromptError
from segue.masks.measure import measure
from segue.prompts.planes import grown, tight_box
from segue.prompts.proposals import Detector, Proposals, propose
from segue.sessions.association import (
    NO_APPEARANCES,
    REMEMBERED,
    SURPLUS,
    Candidate,
    DetectionTrack,
    appearance_of,
    find_occlusions,
    match,
    match_tentative,
    next_id,
    overlaps,
    reidentify,
)
from segue.sessions.base import checkpointed
from segue.sessions.session import FindingSession
from segue.sessions.track import TrackSession
from segue.types import Box, Frame, IndexMask, MaskPrompt, Prompt

CANDIDATE_SCORE = 0.6  # scores from this share of the threshold on are kept as candidates

INSIDE, PART_SURPLUS = 0.7, 0.1
"""Share of a new mask in a known object from which on it is held for a part of that, unless its score is
above the threshold by so much, or by twice as much if both have one class."""

IN_FRONT = 0.5  # a new mask below this share of a known object's area lies in front of it, else behind
LEFT = 0.5  # share of a new mask that must be left when what known objects have is taken away
AGREES = 0.8  # overlap (IoU) of the box around a mask with its detection, below which the mask is wrong
FITS = 0.5  # the same from which on appearance and motion are learnt from the detection
MISMATCHES = 2  # runs of the detector in a row after which a mask that it contradicts is made anew
RIM = 0.05  # what a mask may reach out of its detection, as a share of the sides
BETTER = 0.05  # by how much more a new mask has to agree
SUDDEN = 0.5  # a mask that shrinks below this share since the last run has the detector run at once
SMALLEST = 0.0003  # share of the image below which an object is out of sight


@dataclass(frozen=True, slots=True)
class DetectionOptions:
    """When the detector runs, and what becomes an object.

    Attributes:
        every: frames from one run to the next; where a mask shrinks suddenly, it comes sooner.
        score: mean score of an object over the first two runs; beyond it by 0.1, one run is enough.
        top: most objects that are followed at a time.
        frames: indices of the only frames on which the detector runs, where one run is enough; None is all
            that ``every`` says.

    Raises:
        ArgumentError: a number is out of range.
    """

    every: int = 5
    score: float = 0.5
    top: int = 10
    frames: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.every < 1 or self.top < 1:
            raise ArgumentError(f"window is {self.every} and top {self.top}; both are at least 1")
        if not 0 <= self.score <= 1:
            raise ArgumentError(f"score is {self.score}; it must be in 0..1")


class DetectionSession(FindingSession):
    """Finds, names and follows all objects, with a detector and a network for tracking.

    On every ``every``-th frame detections are matched with the followed objects by overlap, class, motion and
    appearance. What is left over becomes an object when it is seen again, or at once if its score is high; an
    object that was lost returns under its id. Objects that are out of sight or that the detector misses
    longer than it usually does are lost, and the oldest lost ones are dropped. A mask that disagrees with
    its detections is made anew.

    Args:
        session: follows the objects; new.
        detector: finds them.
        options: see there.
    """

    finds = "instances are"
    _session: TrackSession = checkpointed()
    _tracks: dict[int, DetectionTrack] = checkpointed()
    _lost: deque[DetectionTrack] = checkpointed()
    _candidates: list[Candidate] = checkpointed()
    _seen: int = checkpointed()
    _detect_at: int = checkpointed()
    _last_id: int = checkpointed()
    state_types = (DetectionTrack, Candidate)

    def __init__(
        self, session: TrackSession, detector: Detector, options: DetectionOptions | None = None
    ) -> None:
        if detector.lookahead:
            raise PromptError("a detector that compares frames finds no instances; choose one with classes")
        self._session, self._detector = session, detector
        self.options = options or DetectionOptions()
        self.reset()

    @property
    def found(self) -> int:
        """The last id that was given: the number of objects found, as long as there are ids."""
        return self._last_id

    def reset(self) -> None:
        super().reset()
        self._session.reset()
        self._tracks = {}
        self._lost = deque(maxlen=REMEMBERED)
        self._candidates = []
        self._seen = self._detect_at = self._last_id = 0

    def _take(self, frame: Frame) -> None:
        given: list[Prompt] = []
        only = self.options.frames
        looking = self._seen >= self._detect_at if only is None else frame.index in only
        if looking:
            given = self._detect(frame)
            self._detect_at = self._seen + self.options.every
        result = self._session.step(frame, given or None)
        objects = []
        for item in result.objects:
            track = self._tracks[item.id]
            if item.box is not None and item.area >= SMALLEST * result.mask.size:
                track.box, track.seen = item.box, self._seen
            if looking:
                track.area = item.area
            elif item.area < SUDDEN * track.area:
                self._detect_at = self._seen + 1  # it leaves, hides, or is lost: the detector knows
            objects.append(replace(item, label=track.label, score=track.score))
        self._seen += 1
        self._due.append((replace(result, objects=tuple(objects)), {}))

    def _config_fingerprint(self) -> dict[str, object]:
        return {"detector": type(self._detector).__name__, "options": asdict(self.options)}

    def _detect(self, frame: Frame) -> list[Prompt]:
        """Match the detections of a frame with the known objects; the prompts that follow for the tracker."""
        found = propose(self._detector, frame, CANDIDATE_SCORE * self.options.score)
        mask = self._session.peek(frame).mask if self._tracks else np.zeros(frame.size, np.uint8)
        labels = {i: track.label for i, track in self._tracks.items()}
        scene = _Scene(frame, found, mask, labels, self._seen, self.options.score)
        matched = self._matched(scene)
        lost = [i for i, track in self._tracks.items() if i not in matched and track.misses >= track.patience]
        self._lost += [self._tracks.pop(i) for i in lost]
        scene.clear(lost)
        self._session.forget(lost)
        given: list[Prompt] = []
        corrected = self._corrections(scene, matched)
        # What was remembered of them was wrong, the first mask not least, and would grow back.
        self._session.forget([*corrected])
        free = [i for i in range(len(found.boxes)) if i not in matched.values()]
        for number, plane in (corrected | self._newcomers(scene, free)).items():
            own = plane & (scene.mask == number)  # a later one may lie in front
            if own.any():
                given.append(MaskPrompt(number, own))
            elif number not in self._session.ids:
                del self._tracks[number]
        return given

    def _matched(self, scene: _Scene) -> dict[int, int]:
        """The detection of each known object that has one; tracks are updated."""
        tracks = list(self._tracks.values())
        shown = [scene.box_of(track.id) for track in tracks]
        together = find_occlusions(tracks, shown, scene.at)
        for track, met in zip(tracks, together, strict=True):
            track.runs += 1
            track.contested |= met
        found = scene.found
        pairs = match(tracks, shown, found.boxes, found.labels, scene.appearances, scene.at)
        for i, track in enumerate(tracks):
            number = pairs.get(i)
            if number is None:
                track.missed(shown[i])
                continue
            box = found.boxes[number]
            agreement = float(overlaps([shown[i] or track.box], [box])[0, 0])
            track.mismatches = 0 if agreement >= AGREES else track.mismatches + 1
            alone = not together[i] and agreement >= FITS
            look = scene.appearances[number]
            track.found(box, found.scores[number], found.labels[number], look, alone=alone)
            if alone:
                track.stands_alone(box, scene.at)
        return {tracks[i].id: number for i, number in pairs.items()}

    def _corrections(self, scene: _Scene, matched: dict[int, int]) -> dict[int, BoolArray]:
        """New masks of objects whose masks disagree with their detections, where there are better ones."""
        found, before = scene.found, scene.mask.copy()
        boxes = {i: scene.box_of(i) for i in matched}
        wrong = {
            i: number
            for i, number in matched.items()
            if (boxes[i] is None or self._tracks[i].mismatches >= MISMATCHES)
            and found.scores[number] >= self.options.score
        }
        scene.clear(wrong)  # the masks of two may have changed places
        fresh = {}
        for i, number in wrong.items():
            plane, old, wanted = scene.carved(number, i), boxes[i], [found.boxes[number]]
            agreement = 0.0 if old is None else float(overlaps([old], wanted)[0, 0])
            if plane is not None and overlaps([tight_box(plane)], wanted)[0, 0] > agreement + BETTER:
                self._tracks[i].mismatches = 0
                fresh[i] = plane
            else:
                plane = (before == i) & (scene.mask == 0)
            scene.put(i, plane)
        return fresh

    def _newcomers(self, scene: _Scene, free: Sequence[int]) -> dict[int, BoolArray]:
        """Objects that are new, or back, among the detections that belong to no known object."""
        found, before = scene.found, list(self._candidates)
        self._candidates = []
        fresh = {}
        for number in sorted(free, key=lambda i: -found.scores[i]):
            box, label, score = found.boxes[number], found.labels[number], found.scores[number]
            candidate = match_tentative(before, box, label)
            if candidate is None:
                candidate = Candidate(box, label, score)
            else:
                before.remove(candidate)
                candidate = Candidate(box, label, candidate.total + score, candidate.runs + 1)
            enough = self.options.score - SURPLUS * (self.options.frames is not None)
            if not candidate.is_confirmed(enough) or len(self._tracks) >= self.options.top:
                self._candidates.append(candidate)
                continue
            mask = scene.carved(number, None)
            if mask is None:
                continue
            track = self._known_again(scene, number) or self._new(scene, number)
            track.stands_alone(box, scene.at)
            self._tracks[track.id] = track
            scene.put(track.id, mask)
            fresh[track.id] = mask
        return fresh

    def _new(self, scene: _Scene, number: int) -> DetectionTrack:
        self._last_id = next_id(self._last_id, {*self._tracks, *(track.id for track in self._lost)})
        found = scene.found
        votes = {found.labels[number] or "": found.scores[number]}
        x0, y0, x1, y1 = box = found.boxes[number]
        return DetectionTrack(
            self._last_id, box, scene.at, scene.appearances[number], votes, size=(x1 - x0, y1 - y0)
        )

    def _known_again(self, scene: _Scene, number: int) -> DetectionTrack | None:
        """The lost object that a new one is, taken from the lost ones."""
        box, label = scene.found.boxes[number], scene.found.labels[number]
        same = (track for track in self._lost if label in track.votes)
        chosen = reidentify(same, box, scene.appearances[number], scene.at, scene.mask.shape)
        if chosen is not None:
            self._lost.remove(chosen)
            chosen.misses = chosen.mismatches = 0
            chosen.contested, chosen.anchor = False, None
            chosen.box, chosen.seen = box, scene.at
            chosen.vote(label, scene.found.scores[number])
            chosen.hits += 1
            chosen.runs += 1
        return chosen


class _Scene:
    """A frame on which the detector runs: the detections, and what each known object has of it."""

    def __init__(
        self,
        frame: Frame,
        found: Proposals,
        mask: IndexMask,
        labels: dict[int, str | None],
        at: int,
        score: float,
    ) -> None:
        self.found, self.at, self._score, self._labels = found, at, score, labels
        self.mask = np.array(mask, np.int32)
        looks = [appearance_of(frame.image, box) for box in found.boxes]
        self.appearances = np.stack(looks) if looks else NO_APPEARANCES
        self._extents = measure(self.mask)

    def box_of(self, number: int) -> Box | None:
        """Around the mask of a known object, None where it is out of sight."""
        extent = self._extents.get(number)
        return None if extent is None or extent.area < SMALLEST * self.mask.size else extent.box

    def clear(self, numbers: Collection[int]) -> None:
        """Give the pixels of objects to nobody."""
        self.mask[np.isin(self.mask, list(numbers))] = 0
        self._extents = measure(self.mask)

    def put(self, number: int, mask: BoolArray) -> None:
        """Give an object this mask."""
        self.mask[mask] = number
        self._extents = measure(self.mask)

    def carved(self, number: int, own: int | None) -> BoolArray | None:
        """The mask of a detection less what others than ``own`` have; None where that is a known object."""
        mask = (self.found.mask(number) > 0.5) & _around(self.found.boxes[number], self.mask.shape)
        whole = int(mask.sum())
        if whole < SMALLEST * self.mask.size:
            return None
        for i, inside in zip(*np.unique(self.mask[mask], return_counts=True), strict=True):
            if i in (0, own):
                continue
            behind = whole >= IN_FRONT * self._extents[i].area
            if behind or self._is_part(inside / whole, number, i):
                mask &= self.mask != i
        return mask if int(mask.sum()) >= LEFT * whole else None

    def _is_part(self, share: float, number: int, of: int) -> bool:
        """Whether a detection, ``share`` of which lies in a known object, is only a part of that."""
        same = self.found.labels[number] == self._labels.get(of)
        return share >= INSIDE and self.found.scores[number] < self._score + PART_SURPLUS * (1 + same)


def _around(box: Box, shape: tuple[int, ...]) -> BoolArray:
    """A box and a little around it, (H, W): detections end where objects do, masks sometimes run out."""
    x0, y0, x1, y1 = grown(box, RIM)
    plane = np.zeros(shape, np.bool_)
    plane[max(int(y0), 0) : math.ceil(y1), max(int(x0), 0) : math.ceil(x1)] = True
    return plane
