"""Run a memory network over a short clip with gradients, the way STCN is trained.

The first frame's masks are given; every later frame is segmented from the memory of all frames before it
and then becomes memory itself with its predicted masks, through which gradients flow (STCN, section 4).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.models.base import QueryFeatures, aggregate_logits


def clip_logits(network: nn.Module, frames: Tensor, masks: Tensor, exists: Tensor) -> Tensor:
    """Segment frames 1 to T-1 of a batch of clips.

    Args:
        network: a memory network with shared keys and L2 similarity.
        frames: prepared pictures, (B, T, 3, H, W).
        masks: masks of the first frame, (B, K, H, W) in [0, 1].
        exists: (B, K), 1 where the object slot is in use; an unused slot has probability 0 everywhere.

    Returns:
        Aggregated log-odds, (B, T-1, K+1, H, W), float32, background first.
    """
    batch, length = frames.shape[:2]
    queries = _split(network.encode_query(frames.flatten(0, 1)), batch)
    selector = exists[:, :, None, None].float()
    keys = [queries[0].key]
    values = [network.encode_memory(queries[0], masks)[1]]
    outputs = []
    for t in range(1, length):
        readout = dense_read(keys, values, queries[t].key)
        logits = network.decode(queries[t], readout)
        full = F.interpolate(logits.float(), size=frames.shape[-2:], mode="bilinear")
        merged = aggregate_logits(torch.sigmoid(full) * selector)
        outputs.append(merged)
        if t < length - 1:
            soft = torch.softmax(merged, dim=1)[:, 1:]
            keys.append(queries[t].key)
            values.append(network.encode_memory(queries[t], soft)[1])
    return torch.stack(outputs, dim=1)


def dense_read(keys: list[Tensor], values: list[Tensor], query: Tensor) -> Tensor:
    """Read the memory with a full softmax over the L2 similarity, in float32.

    Args:
        keys: memory keys, each (B, C, h, w).
        values: memory values, each (B, K, V, h, w).
        query: (B, C, h, w).

    Returns:
        (B, K, V, h, w).
    """
    with torch.autocast(query.device.type, enabled=False):
        memory = torch.stack([key.float() for key in keys], dim=2).flatten(2)
        target = query.float().flatten(2)
        similarity = 2 * memory.transpose(1, 2) @ target - memory.square().sum(1)[:, :, None]
        weights = torch.softmax(similarity / target.shape[1] ** 0.5, dim=1)
        value = torch.stack([value.float() for value in values], dim=3).flatten(3)
        readout = value.flatten(1, 2) @ weights
    return readout.unflatten(1, values[0].shape[1:3]).unflatten(-1, query.shape[-2:])


def _split(encoded: QueryFeatures, batch: int) -> list[QueryFeatures]:
    """Features of (B*T, ...) pictures as one entry per frame; one unbind keeps the backward pass cheap."""
    parts = [
        x.unflatten(0, (batch, -1)).unbind(1) for x in (encoded.image, encoded.key, *encoded.features)
    ]
    return [QueryFeatures(image, key, tuple(rest)) for image, key, *rest in zip(*parts, strict=True)]
