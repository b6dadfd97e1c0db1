"""Match the instances of each window with the tracks of a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.inference.running import own_precision
from segue.sessions.association import assign, next_id
from segue.utils.arrays import Float32Array
from segue.utils.devices import to_cpu

OVERLAP_WEIGHT, EMBEDDING_WEIGHT, CLASS_WEIGHT = 1.0, 0.5, 0.5
"""Weights of mask overlap, query similarity and class agreement."""

ENOUGH = 0.75  # sum of the three from which on two are one object
EMBEDDING_ALONE = 0.8  # likeness needed where no frame shows both masks
PATIENCE = 20  # windows that an object may be missing before it is dropped
MOMENTUM = 0.7  # part of the old embedding and class scores that a known object keeps


@dataclass
class Instance:
    """An instance of a window, or a track over windows."""

    embedding: Float32Array  # of its query, (C,)
    class_scores: Float32Array  # (classes,), in 0..1
    masks: Tensor  # (T, h, w), bool, at stride 4; of a tracked one on the frames that the next window shares
    id: int = 0
    missing: int = 0  # windows since it was last found

    @property
    def label(self) -> int:
        """The most likely class channel."""
        return int(self.class_scores.argmax())

    @property
    def score(self) -> float:
        return float(self.class_scores.max())


@dataclass
class Tracks:
    """Tracks of a video; unmatched ones are kept for ``PATIENCE`` windows."""

    known: list[Instance] = field(default_factory=list)
    last_id: int = 0

    def update(self, detections: Sequence[Instance], shared: int, keep: int) -> list[Instance]:
        """Match the instances of the next window with tracks; return a track for each one.

        The first ``shared`` frames are also in the last window; tracks keep the masks of ``keep`` frames.
        """
        matched = self._match(detections, shared)
        for existing in self.known:
            existing.missing += 1
            existing.masks = existing.masks.new_zeros(keep, *existing.masks.shape[1:])
        present = []
        for i, new in enumerate(detections):
            track = matched.get(i)
            if track is None:
                self.last_id = next_id(self.last_id, {item.id for item in self.known})
                track = replace(new, id=self.last_id)
                self.known.append(track)
            else:
                track.embedding = MOMENTUM * track.embedding + (1 - MOMENTUM) * new.embedding
                track.class_scores = MOMENTUM * track.class_scores + (1 - MOMENTUM) * new.class_scores
            track.masks, track.missing = new.masks[len(new.masks) - keep :], 0
            present.append(track)
        self.known = [track for track in self.known if track.missing <= PATIENCE]
        return present

    def _match(self, detections: Sequence[Instance], shared: int) -> dict[int, Instance]:
        """Track of each matched instance."""
        if not self.known or not detections:
            return {}
        track_masks = torch.stack([track.masks for track in self.known])
        overlap = Overlap.of(track_masks, torch.stack([new.masks[:shared] for new in detections]))
        together = overlap.both > 0
        similarity = _cosine_similarity(
            [track.embedding for track in self.known], [new.embedding for new in detections]
        )
        agreement = _cosine_similarity(
            [track.class_scores for track in self.known], [new.class_scores for new in detections]
        )
        likeness = OVERLAP_WEIGHT * overlap.iou + EMBEDDING_WEIGHT * similarity + CLASS_WEIGHT * agreement
        # Both in sight but apart: they are two, however alike.
        conflicts = ~together & (overlap.first > 0)[:, None] & (overlap.second > 0)
        possible = ~conflicts & (together | (similarity >= EMBEDDING_ALONE)) & (likeness >= ENOUGH)
        pairs = assign(likeness, possible)
        return {column: self.known[row] for row, column in pairs.items()}


def _cosine_similarity(tracks: Sequence[Float32Array], detections: Sequence[Float32Array]) -> Float32Array:
    """Cosine similarity of vectors, (N, M)."""
    rows, columns = (torch.from_numpy(np.stack(vectors)) for vectors in (tracks, detections))
    return np.asarray(F.cosine_similarity(rows[:, None], columns[None], dim=-1).numpy(), np.float32)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Overlap of two sets of masks over all frames.

    Attributes:
        first, second: pixels of each mask, (N,) and (M,).
        both: pixels of each pair, (N, M).
    """

    first: Float32Array
    second: Float32Array
    both: Float32Array

    @classmethod
    def of(cls, a: Tensor, b: Tensor) -> Overlap:
        """Measure masks (N, t, h, w) and (M, t, h, w), bool, on their device, with one synchronisation."""
        with own_precision(a.device):  # counts are exact in float32
            flat_a, flat_b = a.flatten(1).float(), b.flatten(1).float()
            sizes = to_cpu(flat_a.sum(1), flat_b.sum(1), flat_a @ flat_b.T)
        return cls(*(np.asarray(size.numpy(), np.float32) for size in sizes))

    @property
    def iou(self) -> Float32Array:
        """Intersection over union of each pair, (N, M)."""
        union = self.first[:, None] + self.second[None] - self.both
        return np.asarray(self.both / np.maximum(union, 1), np.float32)


def distinct(overlap: Overlap, limit: float) -> list[int]:
    """Non-maximum suppression of masks: indices, best first, of those that overlap by at most ``limit``.

    ``overlap`` is that of the masks with themselves.
    """
    iou, keep_indices = overlap.iou, list[int]()
    for i in range(len(iou)):
        if all(iou[i, j] <= limit for j in keep_indices):
            keep_indices.append(i)
    return [i for i in keep_indices if overlap.first[i] > 0]
