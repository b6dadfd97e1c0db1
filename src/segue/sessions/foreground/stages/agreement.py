"""Compare the network, a continuously updated background, and a detector of boxes.

Each has a blind spot: the network takes leaves in the wind for objects, the recent background forgets
people who stand still, a detector knows few classes. So none decides alone. In videos where the detector
finds most objects that the other two agree on, it is trusted: objects that neither it nor the recent
background supports are removed, and objects grow over pixels that the recent background supports and the
network does not rule out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from segue.masks.measure import min_object_area
from segue.masks.pieces import Pieces, window_of
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.camera.changes import Change
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.state import checkpointed
from segue.types import Box
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array

DETECTION_INTERVAL, LONG_DETECTION_INTERVAL = 20, 60
"""Frames between two runs of the detector, while a decision needs it and after it has settled. A run takes as
long as a frame of mustan-lite."""


@dataclass(frozen=True, slots=True)
class AgreementSettings:
    """Settings of :class:`Agreement`, partly chosen on 28 videos that are not in the repository (see below).

    Attributes:
        settled_evidence: evidence from which on the detector runs seldom.
        max_recurrence: share of recent frames with a colour up to which it is not background.
        min_support: share of an object that differs from the recent background (of the 28 videos).
        max_doubtful: the same below which an object is doubtful (of the 28 videos).
        min_covered: share of an object in a box for the box to cover it.
        prior: initial weight of doubt, in square roots of pixels times frames (of the 28 videos).
        decay: factor of evidence per frame (of the 28 videos).
        min_trust: share of supported objects that boxes cover, from which on the detector is trusted.
        min_trust_to_grow: the same from which on objects grow.
        min_arrivals: earlier arrivals of foreground at a doubtful object (of the 28 videos): a bag is put
            down once.
        min_uncovered: detector runs without a box before a place is false.
        max_covered: share of runs with a box up to which a place stays false.
        min_false: share of a doubtful object in false places for it to be removed.
        known_looks: detector runs, with foreground or a box, after which a place is known.
        grow_probability: probability of pixels that an object grows over; smaller values grow more.
        gap_probability: probability of pixels in gaps that an object closes.
    """

    settled_evidence: float = 800.0
    max_recurrence: float = 0.15
    min_support: float = 0.5
    max_doubtful: float = 0.3
    min_covered: float = 0.5
    prior: float = 400.0
    decay: float = 0.995
    min_trust: float = 0.5
    min_trust_to_grow: float = 0.7
    min_arrivals: int = 3
    min_uncovered: int = 3
    max_covered: float = 0.1
    min_false: float = 0.5
    known_looks: int = 6
    grow_probability: float = 0.1
    gap_probability: float = 0.05


SETTINGS = AgreementSettings()

_GAP = np.ones((7, 7), np.uint8)


class Agreement(Stage):
    """Removes objects that only the network finds, and adds missed pixels, if the detector can be trusted.

    The background learns the probabilities of the network alone, so that a wrong decision does not last.

    Args:
        threshold: probability from which on a pixel is foreground.
    """

    name = "agreement"
    _covered: float = checkpointed(0.0)
    _supported: float = checkpointed(0.0)
    _detection_age: int = checkpointed(DETECTION_INTERVAL)
    _needs_detection: bool = checkpointed(False)
    _uncovered_counts: UInt8Array | None = checkpointed(None)  # at each place, with unsupported foreground
    _covered_counts: UInt8Array | None = checkpointed(None)

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self._threshold = threshold

    @property
    def trust(self) -> float:
        """Share of objects found by network and recent background that the detector finds, in 0..1."""
        return self._covered / (self._supported + SETTINGS.prior)

    def reset(self, event: Change) -> None:
        if event is not Change.light:
            self.restart()

    def on_frame(self, frame: WorkFrame, background: Background) -> None:
        self._detection_age = min(self._detection_age + 1, LONG_DETECTION_INTERVAL)
        if not self._needs_detection or frame.pans or frame.find_boxes is None:
            return
        frame.boxes, frame.detection_interval = frame.find_boxes(), self._detection_age
        self._needs_detection, self._detection_age = False, 0

    def after_segment(self, frame: WorkFrame, background: Background) -> None:
        self._covered, self._supported = self._covered * SETTINGS.decay, self._supported * SETTINGS.decay
        mask = frame.foreground >= self._threshold
        if frame.pans or not mask.any():
            return
        is_due = self._detection_age + 1 >= DETECTION_INTERVAL
        if not is_due and frame.boxes is None and self.trust < SETTINGS.min_trust:
            return  # nothing to change, and no detection to ask for
        # Objects grow over no other pixels.
        window = window_of(frame.foreground >= min(SETTINGS.grow_probability, self._threshold))
        support = background.recent.unseen(frame.image, SETTINGS.max_recurrence, window)
        if support is None:
            return
        pieces = Pieces.of(mask)
        areas = np.maximum(pieces.areas, 1)
        share, exists = pieces.count(support) / areas, pieces.areas > 0
        supported = exists & (share >= SETTINGS.min_support)
        doubtful = exists & (share < SETTINGS.max_doubtful)
        if doubtful.any():
            inside = pieces.spread(doubtful)
            arrivals = background.recent.arrivals(pieces.window)[inside]
            num_arrivals = np.bincount(pieces.labels[inside], arrivals, len(areas)) / areas
            doubtful &= num_arrivals >= SETTINGS.min_arrivals
        if frame.boxes is not None:
            self._count_detections(frame, pieces, supported, doubtful)
        trust = self.trust
        false = np.zeros_like(doubtful)
        if trust >= SETTINGS.min_trust and doubtful.any():
            num_false = pieces.count_inside(self._false_places(pieces))
            false = doubtful & (num_false >= SETTINGS.min_false * pieces.areas)
        # No detector finds smaller ones.
        findable = doubtful & (pieces.areas >= min_object_area(pieces.size))
        is_useful = bool(supported.any() or findable.any())
        self._needs_detection = is_due and is_useful and not self._is_settled(pieces, findable)
        if trust >= SETTINGS.min_trust:
            grows = trust >= SETTINGS.min_trust_to_grow
            self._change(frame, pieces, false, supported if grows else np.zeros_like(supported), support)

    def _count_detections(
        self, frame: WorkFrame, pieces: Pieces, supported: BoolArray, doubtful: BoolArray
    ) -> None:
        """Count the objects of a frame that the detector has found."""
        assert frame.boxes is not None
        covered = np.zeros(len(pieces.areas), bool)
        boxed = np.zeros(pieces.size, bool)
        for box in _in_reference(frame.boxes, frame.matrix):
            inside = np.zeros(pieces.size, bool)
            inside[_window(box)] = True
            covered |= pieces.count(inside) >= np.maximum(SETTINGS.min_covered * pieces.areas, 1)
            boxed |= inside
        weights = np.sqrt(pieces.areas) * frame.detection_interval
        self._covered += float(weights[supported & covered].sum())
        self._supported += float(weights[supported].sum())
        unboxed = pieces.where(doubtful & ~covered) & ~boxed
        self._uncovered_counts = _counted(self._uncovered_counts, unboxed)
        self._covered_counts = _counted(self._covered_counts, boxed)

    def _change(
        self, frame: WorkFrame, pieces: Pieces, false: BoolArray, growing: BoolArray, support: BoolArray
    ) -> None:
        """Remove objects at false places, and let others grow."""
        assert frame.maps is not None
        foreground, grown = frame.foreground, None
        removed = pieces.where(false) if false.any() else None
        if growing.any():
            is_shadow = frame.maps[1] > foreground if len(frame.maps) > 1 else None
            grown = _grown(pieces.where(growing), support, foreground, is_shadow)
        if removed is None and grown is None:
            return
        frame.learned = foreground if frame.learned is None else frame.learned
        frame.maps = frame.maps.copy()
        changed = frame.foreground
        if removed is not None:
            changed[removed] = 0
        if grown is not None:
            np.maximum(changed, np.float32((1 + self._threshold) / 2), out=changed, where=grown)

    def _is_settled(self, pieces: Pieces, doubtful: BoolArray) -> bool:
        """Whether a detection can wait: trust is clear, and all doubtful places are known."""
        if self._detection_age + 1 >= LONG_DETECTION_INTERVAL:
            return False
        if self._supported < SETTINGS.settled_evidence:
            return False
        if self.trust < SETTINGS.min_trust or not doubtful.any():
            return True
        if self._uncovered_counts is None or self._covered_counts is None:
            return False
        unboxed, boxed = (each[pieces.window] for each in (self._uncovered_counts, self._covered_counts))
        num_known = pieces.count_inside(cv2.add(unboxed, boxed) >= SETTINGS.known_looks)
        return not (doubtful & (num_known < SETTINGS.min_false * pieces.areas)).any()

    def _false_places(self, pieces: Pieces) -> BoolArray:
        """Mask of places with frequent unsupported foreground and hardly any detections, in the window."""
        if self._uncovered_counts is None or self._covered_counts is None:
            return np.zeros(pieces.labels.shape, bool)
        unboxed, boxed = (each[pieces.window] for each in (self._uncovered_counts, self._covered_counts))
        return (unboxed >= SETTINGS.min_uncovered) & (boxed <= SETTINGS.max_covered * unboxed)


def _in_reference(boxes: Sequence[Box], matrix: Float32Array | None) -> Sequence[Box]:
    """Bounding boxes, in the reference, of boxes in a shaken frame."""
    if matrix is None or not boxes:
        return boxes
    inverse = np.asarray(cv2.invertAffineTransform(matrix), np.float64)
    corners = (
        np.array(boxes)[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) @ inverse[:, :2].T + inverse[:, 2]
    )
    low, high = corners.min(axis=1), corners.max(axis=1)
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in np.concatenate([low, high], axis=1).tolist()]


def _window(box: Box) -> tuple[slice, slice]:
    x0, y0, x1, y1 = box
    return slice(max(0, int(y0)), max(0, int(np.ceil(y1)))), slice(max(0, int(x0)), max(0, int(np.ceil(x1))))


def _counted(counts: UInt8Array | None, mask: BoolArray) -> UInt8Array:
    """Increment counts, (H, W), where a mask is true, up to 255."""
    one = mask.view(np.uint8)
    return one.copy() if counts is None else np.asarray(cv2.add(counts, one), np.uint8)


def _grown(
    objects: BoolArray, support: BoolArray, foreground: Float32Array, is_shadow: BoolArray | None
) -> BoolArray:
    """Grow objects over adjacent supported pixels, and close the gaps between, (H, W)."""
    allowed = support & (foreground >= SETTINGS.grow_probability)
    if is_shadow is not None:
        allowed &= ~is_shadow
    pieces = Pieces.of(objects | allowed)
    grown = pieces.where(pieces.count(objects) > 0)
    room = 2 * (len(_GAP) // 2)  # gaps are closed as in the whole image
    part = tuple(slice(max(0, side.start - room), side.stop + room) for side in window_of(grown))
    closed = cv2.morphologyEx(grown[part].view(np.uint8), cv2.MORPH_CLOSE, _GAP)
    gaps = (np.asarray(closed) > 0) & (foreground[part] >= SETTINGS.gap_probability)
    if is_shadow is not None:
        gaps &= ~is_shadow[part]
    grown[part] |= gaps
    return grown
