"""Match detections with known objects by overlap, class and appearance.

Nothing here knows a network: boxes (x0, y0, x1, y1) are in pixels, appearances are vectors of unit length.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from segue.masks.values import MAX_ID
from segue.prompt_types import MaskPrompt
from segue.prompts.proposals import Detector, Proposals
from segue.types import Box, Frame, Image, Segmentation
from segue.utils.arrays import BoolArray, Float32Array, Float64Array, FloatingArray

OVERLAP, APPEARANCE, CLASS = 1.5, 0.5, 0.3
"""Weights of the overlap with the tracked mask or the last place, of the appearance, and of the class."""

MIN_OVERLAP = 0.3  # overlap from which on a detection may be an object
SURPLUS = 0.1  # above the threshold by so much, a detection is confirmed at once; others are seen twice
MAX_MISS_PROBABILITY = (
    0.02  # a known object goes when the chance that the detector missed it so often in a row is below this
)
MAX_PATIENCE, MIN_PATIENCE = 12, 2  # bounds on the runs of the detector in which an object may be missed
SHAPE = 0.6  # share of width times height that a mask of the same shape has kept since the last detection
PROVEN = 3  # times that an object must have been found before it may be missed longer
MIN_NAMED_OVERLAP = 0.3  # overlap (IoU) of a detection with the box of an object that it names
SAME = 0.5  # share of a found object, or of a known one, from which on both are the same
RETURNS = 0.75  # likeness from which on a new object may be a lost object

REACH = 1.0  # a lost object may be this many times its own size away from where it was last seen ...
PACE = 0.1  # ... and so much further for each frame since then, or as far as it used to move
SMOOTH = 0.6  # share of the former speed of an object in the new one

REMEMBERED = 32  # lost objects that are remembered
HUES, LIGHTS = 8, 4  # bins of the colours of an appearance, for each of two axes and for lightness


def next_id(last: int, used_ids: Collection[int]) -> int:
    """Return the next free id after ``last``; ids wrap to 1 after 65,535."""
    numbers = ((last + step - 1) % MAX_ID + 1 for step in itertools.count(1))
    return next(i for i in numbers if i not in used_ids)


@dataclass(eq=False)
class DetectionTrack:
    """A track that detections are matched with; tentative while its id is 0."""

    id: int
    box: Box  # around its mask, or around its last detection while it is out of sight
    seen: int  # frame of the box, counted by the session
    appearance: Float32Array  # its colours, (C,), unit length
    votes: dict[str, float] = field(default_factory=dict)  # sum of the detection scores of each class
    runs: int = 0  # of the detector since the first one that found it ...
    hits: int = 0  # ... and those that found it
    misses: int = 0  # runs since then; one in which its mask has lost its shape counts as two
    size: tuple[float, float] = (0.0, 0.0)  # width and height of the last detection
    area: int = 0  # of its mask at the last run, in pixels
    mismatches: int = 0  # runs in a row in which mask and detection disagreed
    place: tuple[float, float] | None = None  # centre of the box at ``seen``
    speed: float = 0.0  # pixels a frame

    @property
    def label(self) -> str | None:
        """Class with the largest sum of detection scores."""
        return max(self.votes, key=self.votes.__getitem__, default="") or None

    @property
    def score(self) -> float:
        """Mean score of the detections, in 0..1."""
        return min(sum(self.votes.values()) / max(self.hits, 1), 1.0)

    @property
    def patience(self) -> int:
        """Number of runs that may miss the object: few if it is new or nearly always detected."""
        if self.hits < PROVEN:
            return MIN_PATIENCE
        rate = (self.hits + 1) / (self.runs + 2)
        return int(
            min(
                max(math.ceil(math.log(MAX_MISS_PROBABILITY) / math.log(1 - rate)), MIN_PATIENCE),
                MAX_PATIENCE,
            )
        )

    def move(self, box: Box, frame: int) -> None:
        """Update box and speed by the box on a frame."""
        place = centre(box)
        if self.place is not None and frame > self.seen:
            step = math.dist(place, self.place) / (frame - self.seen)
            self.speed = SMOOTH * self.speed + (1 - SMOOTH) * step
        self.box, self.place, self.seen = box, place, frame

    def reaches(self, other: DetectionTrack) -> bool:
        """Whether the object can have moved to the place of a later one."""
        way, frames = math.dist(centre(self.box), centre(other.box)), max(other.seen - self.seen, 0)
        side = max(longer_side(self.box), longer_side(other.box))
        return way <= side * REACH + max(side * PACE, self.speed) * frames

    def add_detection(self, box: Box, score: float, label: str | None) -> None:
        """Count a detection of the object."""
        self.runs += 1
        self.hits += 1
        self.misses = 0
        self.size = box[2] - box[0], box[3] - box[1]
        self.votes[label or ""] = self.votes.get(label or "", 0.0) + score

    def is_confirmed(self, threshold: float) -> bool:
        """Whether it was detected twice, or once with a high score."""
        return self.score >= (threshold if self.hits > 1 else threshold + SURPLUS)

    def missed(self, visible_box: Box | None) -> None:
        """Count a run that missed the object; ``visible_box`` is the box of its mask, if any."""
        similarity = 0.0
        if visible_box is not None:
            now = visible_box[2] - visible_box[0], visible_box[3] - visible_box[1]
            similarity = math.prod(min(a, b) / max(a, b, 1e-6) for a, b in zip(now, self.size, strict=True))
        self.runs += 1
        self.misses += 1 if similarity >= SHAPE else 2


def centre(box: Box) -> tuple[float, float]:
    """Centre of a box, (x, y)."""
    x0, y0, x1, y1 = box
    return (x0 + x1) / 2, (y0 + y1) / 2


def longer_side(box: Box) -> float:
    """Longer side of a box."""
    return max(box[2] - box[0], box[3] - box[1])


def longer_sides(first: Sequence[Box], second: Sequence[Box]) -> Float64Array:
    """Longer side of the larger box of each pair, (N, M)."""
    return np.maximum.outer([longer_side(box) for box in first], [longer_side(box) for box in second])


def nearness(first: Sequence[Box], second: Sequence[Box], reach: Float64Array) -> Float64Array:
    """Nearness of the centres of boxes, (N, M): 1 if equal, 0 from a distance of ``reach`` on."""
    a, b = (np.array(boxes, np.float64).reshape(-1, 2, 2).mean(1) for boxes in (first, second))
    return np.asarray(1 - np.linalg.norm(a[:, None] - b, axis=2) / reach, np.float64)


def overlaps(first: Sequence[Box], second: Sequence[Box]) -> Float32Array:
    """IoU of boxes, (N, M)."""
    a, b = (np.array(boxes, np.float32).reshape(-1, 4) for boxes in (first, second))
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inner = (high - low).clip(min=0).prod(-1)
    union = (a[:, 2:] - a[:, :2]).prod(-1)[:, None] + (b[:, 2:] - b[:, :2]).prod(-1)[None] - inner
    return np.asarray(inner / np.maximum(union, 1e-6), np.float32)


def name_object(detector: Detector, image: Image, box: Box) -> tuple[str, float] | None:
    """Label and score of the detection that overlaps a box most; None if none fits."""
    labelled = [item for item in detector(Frame(0, 0.0, image)).objects if item.label and item.box]
    if not labelled:
        return None
    shares = overlaps([box], [item.box for item in labelled if item.box])[0]
    best = labelled[int(shares.argmax())]
    return (best.label, best.score) if best.label and shares.max() >= MIN_NAMED_OVERLAP else None


def assign(value: FloatingArray, possible: BoolArray) -> dict[int, int]:
    """Match rows with columns for the largest sum of values (N, M), of ``possible`` pairs only."""
    if not possible.any():
        return {}
    rows, columns = (indices.tolist() for indices in np.nonzero(possible))
    if len({*rows}) == len({*columns}) == len(rows) and (value[possible] > 0).all():  # no two compete
        return dict(zip(rows, columns, strict=True))
    from scipy.optimize import linear_sum_assignment  # .3 s and 50 MB

    pairs = np.stack(linear_sum_assignment(np.where(possible, value, 0.0), maximize=True), 1).tolist()
    return {row: column for row, column in pairs if possible[row, column]}


def match(
    tracks: Sequence[DetectionTrack],
    proposals: Proposals,
    appearances: Sequence[Float32Array],
    numbers: Sequence[int],
) -> dict[int, int]:
    """Assign detections ``numbers`` to tracks, all at once; return their numbers by place of the track."""
    if not tracks or not numbers:
        return {}
    overlap = overlaps([track.box for track in tracks], [proposals.boxes[i] for i in numbers])
    likeness = (
        np.stack([track.appearance for track in tracks]) @ np.stack([appearances[i] for i in numbers]).T
    )
    labels = [proposals.labels[i] or "" for i in numbers]
    same = np.array([[label in track.votes for label in labels] for track in tracks], np.float32)
    # A person is no car; what is seen nearly at the same place may be a mistake of the class.
    is_candidate = (overlap >= MIN_OVERLAP) & ((same > 0) | (overlap >= 2 * MIN_OVERLAP))
    pairs = assign(OVERLAP * overlap + APPEARANCE * likeness + CLASS * same, is_candidate)
    return {row: numbers[column] for row, column in pairs.items()}


def reidentify(lost_tracks: Iterable[DetectionTrack], new: DetectionTrack) -> DetectionTrack | None:
    """Find the lost track that looks most like a new one, among those within reach."""
    likeness = [(float(old.appearance @ new.appearance), old) for old in lost_tracks if old.reaches(new)]
    best, match = max(likeness, key=lambda pair: pair[0], default=(0.0, None))
    return match if best > RETURNS else None


def appearance_of(image: Image, box: Box) -> Float32Array:
    """Colours of the upper and lower half of a box, (512,), unit length; products are Bhattacharyya's.

    Of the box only the ellipse inside counts.
    """
    height, width = image.shape[:2]
    x0, y0 = max(int(box[0]), 0), max(int(box[1]), 0)
    x1, y1 = min(max(round(box[2]), x0 + 1), width), min(max(round(box[3]), y0 + 1), height)
    small = cv2.resize(image[y0:y1, x0:x1], (32, 32), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(int)
    rows, columns = np.mgrid[0:32, 0:32] - 15.5
    inside = rows**2 + columns**2 <= 14.0**2
    hues = np.clip((lab[..., 1:] - 64) * HUES // 128, 0, HUES - 1)
    bins = ((rows > 0) * LIGHTS + lab[..., 0] * LIGHTS // 256) * HUES**2 + hues[..., 0] * HUES + hues[..., 1]
    counts = np.bincount(bins[inside], minlength=2 * LIGHTS * HUES**2)
    return np.asarray(np.sqrt(counts / counts.sum()), np.float32)


def known_as(mask: BoolArray, label: str | None, tracked: Segmentation) -> int | None:
    """Return the id of the tracked object that mostly contains a detected mask (H, W), or lies in it."""
    shared = np.bincount(tracked.mask[mask], minlength=1 + max(tracked.ids, default=0))
    shared[0] = 0
    if shared.sum() > SAME * mask.sum():
        return int(shared.argmax())
    for item in tracked.objects:
        may_be = label is None or item.label in (None, label)
        if item.area and may_be and shared[item.id] > SAME * item.area:
            return item.id
    return None


def new_objects(
    detected: Segmentation, tracked: Segmentation | None, used_ids: Collection[int]
) -> list[MaskPrompt]:
    """Return prompts, under the next free ids, for detected objects that are not tracked yet."""
    ids, prompts = set(used_ids), list[MaskPrompt]()
    for item in detected.objects:
        mask = detected.mask == item.id
        if tracked is not None:
            if known_as(mask, item.label, tracked) is not None:
                continue
            mask &= tracked.mask == 0
        if mask.any():
            ids.add(number := next_id(max(ids, default=0), ids))
            prompts.append(MaskPrompt(number, mask, label=item.label))
    return prompts
