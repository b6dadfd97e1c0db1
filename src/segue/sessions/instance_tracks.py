"""Known objects of a video, and which of them the instances of the next window are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.sessions.association import assign, next_id

OVERLAP_WEIGHT, EMBEDDING_WEIGHT, CLASS_WEIGHT = 1.0, 0.5, 0.5
"""Weights of mask overlap, query similarity and class agreement."""

ENOUGH = 0.75  # sum of the three from which on two are one object
EMBEDDING_ALONE = 0.8  # likeness needed where no frame shows both masks
PATIENCE = 20  # windows that an object may be missing before it is dropped
MOMENTUM = 0.7  # part of the old embedding and class scores that a known object keeps


@dataclass
class Instance:
    """An object of a window, or one that is tracked from window to window."""

    embedding: Tensor  # of its query, (C,)
    class_scores: Tensor  # (classes,), in 0..1
    masks: Tensor  # (T, h, w), bool, at stride 4; of a tracked one on the frames that the next window shares
    id: int = 0
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
    """All known objects of a video; at most ``PATIENCE`` windows without a match are remembered."""

    known: list[Instance] = field(default_factory=list)
    last_id: int = 0

    def update(self, found: Sequence[Instance], shared: int, keep: int) -> list[Instance]:
        """The known object of each instance of the next window, whose last ``keep`` frames are shared."""
        matched = self._match(found, shared)
        for known in self.known:
            known.missing += 1
            known.masks = known.masks.new_zeros(keep, *known.masks.shape[1:])
        present = []
        for i, new in enumerate(found):
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

    def _match(self, found: Sequence[Instance], shared: int) -> dict[int, Instance]:
        """The known object of each instance that has one."""
        if not self.known or not found:
            return {}
        before = torch.stack([track.masks for track in self.known])
        now = torch.stack([new.masks[:shared] for new in found])
        overlap, together = _overlap(before, now)
        similarity = _likeness([track.embedding for track in self.known], [new.embedding for new in found])
        agreement = _likeness(
            [track.class_scores for track in self.known], [new.class_scores for new in found]
        )
        likeness = OVERLAP_WEIGHT * overlap + EMBEDDING_WEIGHT * similarity + CLASS_WEIGHT * agreement
        # Both in sight but apart: they are two, however alike.
        apart = ~together & before.flatten(1).any(1)[:, None] & now.flatten(1).any(1)
        possible = ~apart & (together | (similarity >= EMBEDDING_ALONE)) & (likeness >= ENOUGH)
        pairs = assign(likeness.float().cpu().numpy(), possible.cpu().numpy())
        return {column: self.known[row] for row, column in pairs.items()}


def _likeness(known: Sequence[Tensor], found: Sequence[Tensor]) -> Tensor:
    """Cosine similarity of vectors, (N, M)."""
    return F.cosine_similarity(torch.stack([*known])[:, None], torch.stack([*found])[None], dim=-1)


def _overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union of masks (n, t, h, w) and (m, t, h, w) over all frames; and where they meet."""
    flat_a, flat_b = a.flatten(1).float(), b.flatten(1).float()
    both = flat_a @ flat_b.T
    union = flat_a.sum(1)[:, None] + flat_b.sum(1)[None] - both
    return both / union.clamp(min=1), both > 0


def suppress(masks: Tensor, limit: float) -> list[int]:
    """Indices of masks (K, T, h, w), best first, that overlap no better one by more than ``limit``."""
    overlap, _ = _overlap(masks, masks)
    kept: list[int] = []
    for i in range(len(masks)):
        if all(overlap[i, j] <= limit for j in kept):
            kept.append(i)
    return kept
