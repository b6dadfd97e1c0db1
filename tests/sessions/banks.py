"""Memory banks with random contents, and the dense reading that they are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from segue.layers.attention import Similarity, affinity, attend
from segue.layers.attention import read as read_dense
from segue.models.memory import Memory, MemoryTable

CHANNELS = 4
VALUE_CHANNELS = 3


@dataclass(frozen=True)
class MemoryEntry:
    """Keys and values of one frame.

    Attributes:
        keys: (1, Ck, h, w) where shared, else one for each object.
        values: (Cv, h, w) of each object that is there.
    """

    keys: Tensor
    values: dict[int, Tensor]

    def key_of(self, id: int) -> Tensor:
        """Key that serves an object, (Ck, h, w)."""
        return self.keys[0] if len(self.keys) == 1 else self.keys[sorted(self.values).index(id)]


def random_frames(
    seed: int,
    frames: int,
    objects: int,
    size: tuple[int, int],
    *,
    shared: bool = True,
    present: Sequence[Iterable[int]] | None = None,
) -> list[MemoryEntry]:
    """Frames with random keys and values; ``present`` are the ids on each frame, by default all."""
    generator = torch.Generator().manual_seed(seed)
    entries = []
    for t in range(frames):
        ids = sorted(range(1, objects + 1) if present is None else present[t])
        keys = torch.randn(1 if shared else len(ids), CHANNELS, *size, generator=generator)
        entries.append(
            MemoryEntry(keys, {i: torch.randn(VALUE_CHANNELS, *size, generator=generator) for i in ids})
        )
    return entries


def write_entry(bank: Memory, frame: MemoryEntry, **arguments: Any) -> None:
    """Write a frame into a bank."""
    bank.write(
        sorted(frame.values),
        frame.keys,
        torch.stack([frame.values[i] for i in sorted(frame.values)]),
        **arguments,
    )


def new_bank(**arguments: Any) -> Memory:
    """An empty bank; by default L2, shared keys, all positions, no bound."""
    shared = arguments.pop("shared_keys", True)
    return Memory(partial(MemoryTable, **arguments), "all" if shared else "object")


def filled_bank(frames: Iterable[MemoryEntry], **arguments: Any) -> Memory:
    """A bank that holds these frames."""
    bank = new_bank(**arguments)
    for frame in frames:
        write_entry(bank, frame)
    return bank


def reference(
    frames: Sequence[MemoryEntry],
    query: Tensor,
    ids: Sequence[int],
    *,
    similarity: Similarity = "l2",
    top_k: int | None = None,
    last_window: int | None = None,
) -> Tensor:
    """What the objects read of these frames, with the whole affinity matrix, (K, Cv, h, w).

    The last frame is read within ``last_window`` rows and columns of each position only.
    """
    outputs = []
    height, width = query.shape[-2:]
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width)).view(-1, 2)
    far = (places[:, None] - places).abs().amax(2) > (last_window or 0)
    for i in ids:
        with_it = [frame for frame in frames if i in frame.values]
        keys = torch.cat([frame.key_of(i).flatten(1) for frame in with_it], dim=1)
        values = torch.cat([frame.values[i].flatten(1) for frame in with_it], dim=1)
        scores = affinity(keys, query[0].flatten(1), similarity)
        if last_window is not None and len(with_it) > 1:
            scores[-far.shape[0] :][far] = -torch.inf
        weights = attend(scores, top_k)
        outputs.append(read_dense(weights, values).view(-1, height, width))
    return torch.stack(outputs)
