"""Run a memory network over a short clip with gradients, the way STM and STCN are trained.

The first frame's masks are given; every later frame is segmented from the memory of all frames before it
and then becomes memory itself with its predicted masks, through which gradients flow (STCN, section 4).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.layers.attention import Similarity, affinity, attend, read
from segue.models.base import MemoryNetwork, QueryFeatures, Schedule
from segue.models.geometry import aggregate_logits
from segue.models.lite_parts import ObjectState
from segue.models.memory.selection import far_apart
from segue.models.stcn import STCNLite
from segue_train.footage import VOID

Features = TypeVar("Features", bound=QueryFeatures)


def clip_logits(
    network: MemoryNetwork, frames: Tensor, masks: Tensor, exists: Tensor, schedule: Schedule | None = None
) -> Tensor:
    """Segment frames 1 to T-1 of a batch of clips.

    ``frames``: prepared images, (B, T, 3, H, W); ``masks``: masks of the first frame, (B, K, H, W) in [0,
    1]; ``exists``: (B, K), 1 where the object slot is in use; returns aggregated log-odds, (B, T-1, K+1, H,
    W), float32, background first.
    """
    batch, length = frames.shape[:2]
    queries = split(network.encode_query(frames.flatten(0, 1)), batch)
    selector = exists[:, :, None, None].float()
    keys: list[Tensor] = []
    values: list[Tensor] = []
    outputs: list[Tensor] = []
    state = ObjectState()
    for t in range(1, length):
        key, value = network.encode_memory(queries[t - 1], masks)
        keys.append(queries[t - 1].key if key is None else key)
        values.append(value)
        readout = _read_memory(keys, values, queries[t].key, network.similarity, schedule)
        if isinstance(network, STCNLite) and network.recurrent:
            state = network.remember(state, value.flatten(0, 1), masks.flatten(0, 1), keep=True)
            logits = network.decode(queries[t], readout, state)
        else:
            logits = network.decode(queries[t], readout)
        full = F.interpolate(logits.float(), size=frames.shape[-2:], mode="bilinear")
        merged = aggregate_logits(torch.sigmoid(full) * selector)
        outputs.append(merged)
        masks = torch.softmax(merged, dim=1)[:, 1:]
    return torch.stack(outputs, dim=1)


def _read_memory(
    keys: list[Tensor], values: list[Tensor], query: Tensor, similarity: Similarity, schedule: Schedule | None
) -> Tensor:
    """Read the memory of all frames before, in float32: (B, K, V, h, w).

    Keys are each (B, C, h, w), or (B, K, C, h, w) where every object has its own, which are read densely.
    Values are (B, K, V, h, w), the query (B, C, h, w).
    """
    memory, value = (torch.stack(frames, dim=-3).flatten(-3) for frames in (keys, values))
    positions = query.flatten(2)
    if memory.dim() == 4:
        readout = read(attend(affinity(memory, positions[:, None], similarity)), value)
    else:
        scores = affinity(memory, positions, similarity)
        if schedule is not None and len(keys) > 1:
            scores = _penalised(scores.unflatten(1, (len(keys), -1)), schedule, query).flatten(1, 2)
        top_k = None if schedule is None else schedule.top_k
        readout = read(attend(scores, top_k), value.flatten(1, 2))
    return readout.view(values[0].shape)


def _penalised(scores: Tensor, schedule: Schedule, query: Tensor) -> Tensor:
    """Scores (B, T, positions of a frame, positions of the query) less what a session takes from them."""
    between = [schedule.penalty] * (scores.shape[1] - 2)
    scores = scores - scores.new_tensor([0.0, *between, schedule.last_penalty])[:, None, None]
    if schedule.last_window is None:
        return scores
    rows, columns = (far_apart(length, schedule.last_window, query.device) for length in query.shape[-2:])
    far = (rows[:, None, :, None] + columns[None, :, None, :]).flatten(2).flatten(0, 1)
    return torch.cat([scores[:, :-1], scores[:, -1:] + far], dim=1)


def class_targets(masks: Tensor, exists: Tensor) -> Tensor:
    """Class of each pixel for the loss: absent objects are background, void stays void.

    ``masks``: ids 0..K and void, (B, T, H, W), int64; ``exists``: non-zero where the object slot is in use,
    (B, K); returns (B, T, H, W), int64.
    """
    slots = exists.shape[1]
    classes = torch.zeros(len(masks), VOID + 1, dtype=masks.dtype, device=masks.device)
    classes[:, 1 : slots + 1] = torch.arange(1, slots + 1, device=masks.device) * (exists != 0)
    classes[:, VOID] = VOID
    return classes.gather(1, masks.flatten(1)).view_as(masks)


def object_masks(masks: Tensor, slots: int) -> Tensor:
    """One plane per object. ``masks``: ids, (B, H, W); returns (B, slots, H, W), float32, 0 or 1."""
    ids = torch.arange(1, slots + 1, device=masks.device)
    return (masks[:, None] == ids[:, None, None]).float()


def split(encoded: Features, batch: int) -> list[Features]:
    """Features of (B*T, ...) images as one entry per frame; one unbind keeps the backward pass cheap."""

    def frames(x: Tensor) -> tuple[Tensor, ...]:
        return x.view(batch, -1, *x.shape[1:]).unbind(1)

    names = [
        name for name in ("image", "key", "shrinkage", "selection") if getattr(encoded, name) is not None
    ]
    rows = zip(*map(frames, (*(getattr(encoded, name) for name in names), *encoded.features)), strict=True)
    count = len(names)
    return [
        replace(encoded, features=tuple(row[count:]), **dict(zip(names, row, strict=False))) for row in rows
    ]
