"""What a detector found in the frames of a clip, linked over time; the queries of msstsvis-lite start there.

From the surest detection on, its neighbour in each next frame is that which overlaps it most. Where there is
none, the box moves evenly between the frames that have one, and stands still before and after.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LINKED = 0.3
"""Least overlap (IoU) of a detection with that of the frame before."""

OTHER_CLASS = 0.6
"""What the overlap of two detections counts that are surest of different classes."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tubes:
    """Linked detections of a clip.

    Attributes:
        boxes: (T, Q, 4), corners.
        picks: which detection of each frame, (T, Q), int64; -1 where there is none.
    """

    boxes: Floats
    picks: npt.NDArray[np.int64]


def link(boxes: Floats, scores: Floats, labels: npt.NDArray[np.int64], count: int) -> Tubes:
    """Link detections, the surest first.

    Args:
        boxes: (T, P, 4), corners.
        scores: (T, P).
        labels: their surest class, (T, P).
        count: number of tubes; at most T·P.
    """
    frames = len(boxes)
    free = np.ones(scores.shape, np.bool_)
    tubes = []
    for index in np.argsort(-scores, axis=None, kind="stable"):
        start, first = divmod(int(index), scores.shape[1])
        if not free[start, first]:
            continue
        picks = np.full(frames, -1)
        picks[start] = first
        free[start, first] = False
        for steps in (range(start + 1, frames), range(start - 1, -1, -1)):
            box, label = boxes[start, first], labels[start, first]
            for t in steps:
                fits = overlaps(box, boxes[t]) * np.where(labels[t] == label, 1.0, OTHER_CLASS) * free[t]
                best = int(fits.argmax())
                if fits[best] >= LINKED:
                    picks[t], free[t, best] = best, False
                    box, label = boxes[t, best], labels[t, best]
        tubes.append(picks)
        if len(tubes) == count:
            break
    chosen = np.stack(tubes, 1)
    return Tubes(np.stack([_filled(boxes, picks) for picks in tubes], 1), chosen)


def overlaps(box: Floats, boxes: Floats) -> Floats:
    """IoU of a box (4,) with each of (..., 4), corners."""
    inner = (np.minimum(box[2:], boxes[..., 2:]) - np.maximum(box[:2], boxes[..., :2])).clip(min=0).prod(-1)
    area, areas = (box[2:] - box[:2]).prod(), (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    return np.asarray(inner / np.maximum(area + areas - inner, 1e-9), np.float32)


def _filled(boxes: Floats, picks: npt.NDArray[np.int64]) -> Floats:
    """The boxes of one tube, (T, 4)."""
    seen = np.flatnonzero(picks >= 0)
    known = boxes[seen, picks[seen]]
    frames = np.arange(len(picks))
    return np.stack([np.interp(frames, seen, column) for column in known.T], -1).astype(np.float32)
