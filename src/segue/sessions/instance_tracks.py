"""Known objects of a video, and which of them the instances of the next window are."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.sessions.association import next_id

OVERLAP_WEIGHT, EMBEDDING_WEIGHT, CLASS_WEIGHT = 1.0, 0.5, 0.5
"""Weights of mask overlap, query similarity and class agreement."""

ENOUGH = 0.75  # sum of the three from which on two are one object
EMBEDDING_ALONE = 0.8  # likeness needed where no frame shows both masks
PATIENCE = 20  # windows that an object may be missing before it is dropped
MOMENTUM = 0.7  # part of the old embedding and class scores that a known object keeps


@dataclass(frozen=True)
class Instances:
    """Instances of one window."""

    embeddings: Tensor  # instance queries, (K, C)
    class_scores: Tensor  # (K, classes), in 0..1
    masks: Tensor  # (K, T, h, w), bool, at stride 4

    def __len__(self) -> int:
        return len(self.embeddings)


@dataclass
class InstanceTrack:
    """A known object."""

    id: int
    embedding: Tensor  # of its query, (C,)
    class_scores: Tensor  # (classes,)
    masks: Tensor  # on the frames that the next window shares, (t, h, w), bool
    missing: int = 0  # windows since it was last found

    @property
    def label(self) -> int:
        """Its class channel."""
        return int(self.class_scores.argmax())

    @property
    def score(self) -> float:
        return float(self.class_scores.max())


@dataclass
class Tracks:
    """All known objects of a video; at most ``PATIENCE`` windows of silence are remembered."""

    known: list[InstanceTrack] = field(default_factory=list)
    last_id: int = 0

    def update(self, found: Instances, shared: int, keep: int) -> list[int]:
        """The ids of the instances of the next window."""
        matched = self._match(found, shared)
        ids = []
        for i in range(len(found)):
            tail = found.masks[i, found.masks.shape[1] - keep :]
            track = matched.get(i)
            if track is None:
                self.last_id = next_id(self.last_id, {known.id for known in self.known})
                track = InstanceTrack(self.last_id, found.embeddings[i], found.class_scores[i], tail)
                self.known.append(track)
            else:
                track.embedding = MOMENTUM * track.embedding + (1 - MOMENTUM) * found.embeddings[i]
                track.class_scores = MOMENTUM * track.class_scores + (1 - MOMENTUM) * found.class_scores[i]
                track.masks, track.missing = tail, 0
            ids.append(track.id)
        present = set(ids)
        for track in self.known:
            if track.id not in present:
                track.missing += 1
                track.masks = found.masks.new_zeros(keep, *found.masks.shape[2:])
        self.known = [track for track in self.known if track.missing <= PATIENCE]
        return ids

    def _match(self, found: Instances, shared: int) -> dict[int, InstanceTrack]:
        """The known object of each instance that has one."""
        from scipy.optimize import linear_sum_assignment  # late, for a quick start

        if not self.known or len(found) == 0:
            return {}
        before = torch.stack([track.masks for track in self.known])
        embeddings = torch.stack([track.embedding for track in self.known])
        classes = torch.stack([track.class_scores for track in self.known])
        overlap, together = _overlap(before, found.masks[:, :shared])
        similarity = F.cosine_similarity(embeddings[:, None], found.embeddings[None], dim=-1)
        agreement = F.cosine_similarity(classes[:, None], found.class_scores[None], dim=-1)
        likeness = OVERLAP_WEIGHT * overlap + EMBEDDING_WEIGHT * similarity + CLASS_WEIGHT * agreement
        likeness = likeness.masked_fill(~(together | (similarity >= EMBEDDING_ALONE)), 0.0)
        # Both in sight but apart: they are two, however alike.
        apart = (overlap == 0) & before.flatten(1).any(1)[:, None] & found.masks[:, :shared].flatten(1).any(1)
        likeness = likeness.masked_fill(apart, 0.0)
        rows, columns = linear_sum_assignment(likeness.float().cpu().numpy(), maximize=True)
        return {
            int(column): self.known[row]
            for row, column in zip(rows, columns, strict=True)
            if likeness[row, column] >= ENOUGH
        }


def _overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union of masks (n, t, h, w) and (m, t, h, w) over all frames; and where they meet."""
    flat_a, flat_b = a.flatten(1).float(), b.flatten(1).float()
    both = flat_a @ flat_b.T
    union = flat_a.sum(1)[:, None] + flat_b.sum(1)[None] - both
    return both / union.clamp(min=1), both > 0


def suppress(found: Instances, limit: float) -> list[int]:
    """Indices of the instances, best first, less those that overlap a better one by more than ``limit``."""
    if len(found) == 0:
        return []
    overlap, _ = _overlap(found.masks, found.masks)
    kept: list[int] = []
    for i in range(len(found)):
        if all(overlap[i, j] <= limit for j in kept):
            kept.append(i)
    return kept
