"""Run a memory network over a short clip with gradients, as in training STM, STCN, XMem and Cutie.

The first frame's masks are given; every later frame is segmented from the memory of frames before it (of all
for STM and STCN) and then becomes memory itself with its predicted masks, through which gradients flow (STCN,
section 4). The recurrent states of XMem and Cutie move on with every frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from segue.layers.attention import Similarity, affinity, anisotropic_affinity, attend, read
from segue.models.base import MemoryNetwork, QueryFeatures, Schedule
from segue.models.cutie import Cutie
from segue.models.geometry import aggregate_logits
from segue.models.memory.selection import distance_bias
from segue.models.xmem import XMem, XMemFeatures
from segue_train.data.footage import VOID

DEEP_SHARE = 0.2  # of the frames but the first, whose value encoder moves the recurrent states on
Features = TypeVar("Features", bound=QueryFeatures)


def clip_logits(
    network: MemoryNetwork,
    frames: Tensor,
    masks: Tensor,
    exists: Tensor,
    schedule: Schedule | None = None,
    conditioning: Mapping[int, Tensor] | None = None,
) -> Tensor:
    """Aggregated log-odds (B, T-1, K+1, H, W), background first, of frames 1 to T-1 of clips (B, T, 3, H, W).

    ``masks``: of the first frame, (B, K, H, W) in [0, 1]; ``exists``: (B, K), 1 where the slot is in use;
    ``conditioning``: masks of further frames that are memory from the beginning, as corrected ones are.
    """
    batch, length = frames.shape[:2]
    conditioning = conditioning or {}
    queries = split(network.encode_query(frames.flatten(0, 1)), batch)
    selector = exists[:, :, None, None].float()
    keys: list[Tensor] = []
    values: list[Tensor] = []
    outputs: list[Tensor] = []

    def remember(t: int, masks: Tensor) -> None:
        key, value = network.encode_memory(queries[t], masks)
        keys.append(queries[t].key if key is None else key)
        values.append(value)

    for index, corrected in conditioning.items():
        remember(index, corrected)
    for t in range(1, length):
        if t - 1 not in conditioning:
            remember(t - 1, masks)
        num_prompted = len(conditioning) + 1
        has_last = t > 1 and t - 1 not in conditioning
        readout = _read_memory(
            keys, values, queries[t].key, network.similarity, schedule, num_prompted, has_last
        )
        logits = network.decode(queries[t], readout)
        full = F.interpolate(logits.float(), size=frames.shape[-2:], mode="bilinear")
        merged = aggregate_logits(torch.sigmoid(full) * selector)
        outputs.append(merged)
        masks = torch.softmax(merged, dim=1)[:, 1:]
    return torch.stack(outputs, dim=1)


def _read_memory(
    keys: list[Tensor],
    values: list[Tensor],
    query: Tensor,
    similarity: Similarity,
    schedule: Schedule | None,
    num_prompted: int,
    has_last: bool,
) -> Tensor:
    """Read the memory in float32, with ``num_prompted`` given frames first: (B, K, V, h, w).

    With ``has_last`` the last of its frames is the previous one of the video.
    Keys are each (B, C, h, w), or (B, K, C, h, w) where every object has its own, which are read densely.
    """
    memory, value = (torch.stack(frames, dim=-3).flatten(-3) for frames in (keys, values))
    positions = query.flatten(2)
    if memory.dim() == 4:
        readout = read(attend(affinity(memory, positions[:, None], similarity)), value)
    else:
        scores = affinity(memory, positions, similarity)
        if schedule is not None and len(keys) > num_prompted:
            scores = scores.unflatten(1, (len(keys), -1))
            scores = _penalised(scores, schedule, query, num_prompted, has_last).flatten(1, 2)
        top_k = None if schedule is None else schedule.top_k
        readout = read(attend(scores, top_k), value.flatten(1, 2))
    return readout.view(values[0].shape)


def _penalised(
    scores: Tensor, schedule: Schedule, query: Tensor, num_prompted: int, has_last: bool
) -> Tensor:
    """Subtract a session's penalties from scores (B, T, positions of a frame, positions of the query)."""
    penalties = [0.0] * num_prompted + [schedule.penalty] * (scores.shape[1] - num_prompted)
    if has_last:
        penalties[-1] = schedule.last_penalty
    scores = scores - scores.new_tensor(penalties)[:, None, None]
    if schedule.last_window is None or not has_last:
        return scores
    axes = (torch.arange(length, device=query.device) for length in query.shape[-2:])
    rows, columns = (distance_bias(places, places, schedule.last_window) for places in axes)
    distance_penalty = (rows[:, None, :, None] + columns[None, :, None, :]).flatten(2).flatten(0, 1)
    return torch.cat([scores[:, :-1], scores[:, -1:] + distance_penalty], dim=1)


def class_targets(masks: Tensor, exists: Tensor) -> Tensor:
    """Classes of ids (B, T, H, W): background for objects not in ``exists`` (B, K); void stays void."""
    slots = exists.shape[1]
    classes = torch.zeros(len(masks), VOID + 1, dtype=masks.dtype, device=masks.device)
    classes[:, 1 : slots + 1] = torch.arange(1, slots + 1, device=masks.device) * (exists != 0)
    classes[:, VOID] = VOID
    return classes.gather(1, masks.flatten(1)).view_as(masks)


def object_masks(masks: Tensor, slots: int) -> Tensor:
    """Split ids (B, H, W) into one mask per object: (B, slots, H, W), float32, 0 or 1."""
    ids = torch.arange(1, slots + 1, device=masks.device)
    return (masks[:, None] == ids[:, None, None]).float()


def split(encoded: Features, batch: int) -> list[Features]:
    """Split (B*T, ...) features by frame; a single unbind keeps the backward pass cheap."""

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


@dataclass(frozen=True, slots=True)
class Draws:
    """Random choices during a pass, by frame number."""

    references: Callable[[int], Tensor | None]  # earlier frames that are read, (B, n); None for all
    deep: Callable[[int], bool]  # whether a frame has a deep update; the first always has one


def random_draws(draw: torch.Generator, batch: int, count: int, *, first: bool) -> Draws:
    """Choose up to ``count`` frames to read for each sample, always including the first for XMem."""
    num_first = int(first)

    def choose(t: int) -> Tensor | None:
        if t <= count:
            return None
        rest = [
            num_first + torch.randperm(t - num_first, generator=draw)[: count - num_first]
            for _ in range(batch)
        ]
        return F.pad(torch.stack(rest), (num_first, 0))

    return Draws(choose, lambda _: bool(torch.rand((), generator=draw) < DEEP_SHARE))


Remembered = tuple[Tensor, Tensor, Tensor]
"""Key (B, C, h, w), shrinkage (B, 1, h, w) and values (B, K, Cv, h, w) of a frame that was encoded."""


def _read_frames(memory: Sequence[Remembered], query: XMemFeatures, references: Tensor | None) -> Tensor:
    """Readout of the objects from all or some frames, (B, K, Cv, h, w)."""
    # Frames are the last but two dimensions, so that positions follow one another frame by frame.
    key, shrinkage, value = (
        _select(torch.stack(parts, 1), references) for parts in zip(*memory, strict=True)
    )
    positions = key.transpose(1, 2).flatten(2)
    scores = anisotropic_affinity(
        positions, query.key.flatten(2), shrinkage.transpose(1, 2).flatten(2), query.selection.flatten(2)
    )
    rows = value.permute(0, 2, 3, 1, 4, 5).flatten(3)
    return read(attend(scores)[:, None], rows).view(value[:, 0].shape)


def _select(frames: Tensor, references: Tensor | None) -> Tensor:
    """Select frames (B, t, ...) by number (B, n)."""
    if references is None:
        return frames
    numbers = references.to(frames.device)
    return frames[torch.arange(len(frames), device=frames.device)[:, None], numbers]


def xmem_pass(network: XMem, frames: Tensor, masks: Tensor, exists: Tensor, draws: Draws) -> Tensor:
    """Segment frames 1 to T-1 of a batch of clips as :func:`clip_logits` (XMem, section 3; release)."""
    queries = split(network.encode_query(frames.flatten(0, 1)), len(frames))
    hidden, memory = _initial_state(network.hidden_channels, queries[0], masks), list[Remembered]()
    selector, outputs, length = exists[:, :, None, None].float(), [], frames.shape[1]
    for t, query in enumerate(queries):
        if t > 0:
            readout = _read_frames(memory, query, draws.references(t))
            logits, updated = network.decode(query, readout, hidden, update=t < length - 1)
            hidden = hidden if updated is None else updated
            full = F.interpolate(logits.float(), size=frames.shape[-2:], mode="bilinear")
            merged = aggregate_logits(full.sigmoid() * selector)
            outputs.append(merged)
            masks = merged.softmax(1)[:, 1:]
        if t < length - 1:
            deep = t == 0 or draws.deep(t)
            value, updated = network.encode_memory(query, masks, hidden=hidden, update=deep)
            hidden = hidden if updated is None else updated
            memory.append((query.key, query.shrinkage, value))
    return torch.stack(outputs, 1)


def cutie_pass(
    network: Cutie, frames: Tensor, masks: Tensor, exists: Tensor, draws: Draws
) -> tuple[Tensor, Tensor, Tensor]:
    """Segment a batch of clips with Cutie (section 3; release), with outputs for auxiliary losses.

    These are log-odds of the recurrent states, (B, T-1, K+1, h, w), and of the object transformer, (B, T-1,
    K+1, 4, h, w).
    """
    queries = split(network.encode_query(frames.flatten(0, 1)), len(frames))
    sensory, memory = _initial_state(network.sensory_channels, queries[0], masks), list[Remembered]()
    selector, length = exists[:, :, None, None].float(), frames.shape[1]
    summaries: Tensor | None = None
    outputs: list[tuple[Tensor, Tensor, Tensor]] = []
    for t, query in enumerate(queries):
        small = F.avg_pool2d(masks, network.stride)
        if t > 0:
            assert summaries is not None
            readout = _read_frames(memory, query, draws.references(t))
            pixel = network.fuse(query, readout, sensory, small)
            pixel, levels = network.object_transformer(pixel, summaries, exists)
            by_state = network.aux_computer["sensory_aux"](query.features[0], sensory)
            logits, updated = network.decode(query, pixel, sensory, update=True)
            assert updated is not None
            sensory = updated
            merged = aggregate_logits(logits.float().sigmoid() * selector)
            full = F.interpolate(merged, size=frames.shape[-2:], mode="bilinear")
            by_query = aggregate_logits(levels.float().sigmoid().transpose(1, 2) * selector[:, None])
            by_state = aggregate_logits(by_state.float().sigmoid() * selector)
            outputs.append((full, by_state, by_query.transpose(1, 2)))
            masks = full.softmax(1)[:, 1:]
            small = F.avg_pool2d(masks, network.stride)
        if t < length - 1:
            deep = t == 0 or draws.deep(t)
            value, updated = network.encode_memory(query, masks, sensory=sensory, update=deep)
            sensory = sensory if updated is None else updated
            memory.append((query.key, query.shrinkage, value))
            sums = network.summarise(value, small)
            summaries = sums if summaries is None else summaries + sums
    logits, by_state, by_query = (torch.stack(parts, 1) for parts in zip(*outputs, strict=True))
    return logits, by_state, by_query


def _initial_state(channels: int, query: XMemFeatures, masks: Tensor) -> Tensor:
    """Initial recurrent states, (B, K, channels, h, w)."""
    return query.key.new_zeros(*masks.shape[:2], channels, *query.key.shape[-2:])
