"""Parts that the second generation of stcn-lite adds, each of which changes nothing before it has learned.

Sensory state and weighted affinity follow Cheng and Schwing, "XMem" (ECCV 2022, sections 3.2 and 3.3), object
summaries Cheng et al., "Putting the Object Back into Video Object Segmentation" (CVPR 2024, section 3.3), at
a small size: what is added last starts at zero, so that weights without the parts give the same masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.models.base import QueryFeatures
from segue.models.memory import FramePlan, MemoryTracker

SENSORY = 32
"""Channels of the sensory state."""

SIDES = 4
"""Summaries of an object, and as many of what is around it."""


@dataclass(frozen=True, slots=True)
class ObjectState:
    """What is carried from frame to frame for each object, beside the memory.

    Attributes:
        sensory: (N, 32, h/2, w/2), of a memory of h x w positions; None without the part.
        sums: weighted sums of values over the frames kept, and of their weights, (N, 8, C + 1), or None.
    """

    sensory: Tensor | None = None
    sums: Tensor | None = None


class Weighting(nn.Module):
    """How sharply a position is read, and reads: XMem's shrinkage, and its selection as one number.

    One number, instead of one for each channel, leaves the product of memory and query as large as it was.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, 2, 1)
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.proj.get_parameter("bias"))

    def forward(self, joint: Tensor) -> Tensor:
        """Joint features (B, C, h, w) → sharpness as memory and as query, (B, 2, h, w) in [0.25, 4]."""
        return (self.proj(joint).clamp(-1, 1) * 1.3863).exp()


class SensoryState(nn.Module):
    """A gated recurrent state of each object at stride 16, updated by the value of each frame.

    The gates are those of XMem's release: the candidate sees the state before the forget gate, and the new
    state is ``f h (1 - u) + u n``.
    """

    def __init__(self, values: int, width: int) -> None:
        super().__init__()
        self.transform = nn.Conv2d(values + SENSORY, 3 * SENSORY, 3, padding=1)
        self.read = nn.Conv2d(SENSORY, width, 1, bias=False)
        nn.init.zeros_(self.read.weight)

    def update(self, state: Tensor | None, value: Tensor) -> Tensor:
        """State (N, 32, h/2, w/2), None at the beginning, and values (N, C, h, w) → the next state.

        Args:
            state: (N, 32, h/2, w/2), or None at the beginning.
            value: (N, C, h, w), of the frame.

        Returns:
            (N, 32, h/2, w/2).
        """
        pooled = F.avg_pool2d(value, 2)
        if state is None:
            state = pooled.new_zeros(len(pooled), SENSORY, *pooled.shape[-2:])
        gates = self.transform(torch.cat([pooled, state.to(pooled.dtype)], dim=1))
        forget, update, new = gates.chunk(3, dim=1)
        update = update.sigmoid()
        return forget.sigmoid() * state * (1 - update) + update * new.tanh()

    def forward(self, state: Tensor) -> Tensor:
        """What is added to the decoder's features, (N, width, h, w)."""
        return F.interpolate(self.read(state), scale_factor=2.0, mode="bilinear")


class ObjectSummaries(nn.Module):
    """Averages of values over an object, and over what is around it, to which all positions attend."""

    def __init__(self, values: int, width: int, inner: int = 32) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(values, 2 * SIDES, 1)
        self.norm = nn.LayerNorm(values)
        self.key = nn.Linear(values, inner)
        self.value = nn.Linear(values, width)
        self.embedding = nn.Parameter(torch.randn(2 * SIDES, inner) * inner**-0.5)
        self.query = nn.Conv2d(width, inner, 1)
        self.out = nn.Conv2d(width, width, 1, bias=False)
        nn.init.zeros_(self.out.weight)

    def gather(self, value: Tensor, masks: Tensor) -> Tensor:
        """Values (N, C, h, w) and masks (N, H, W) of a frame → its share of the sums, (N, 8, C + 1).

        Args:
            value: (N, C, h, w), of the frame.
            masks: (N, H, W), in [0, 1], with sides that are the same multiple of h and w.

        Returns:
            (N, 8, C + 1), float32, weighted sums and the sum of the weights; first those inside, then those
            around.
        """
        inside = F.avg_pool2d(masks[:, None].float(), masks.shape[-1] // value.shape[-1])
        sides = torch.cat([inside, 1 - inside], dim=1).repeat_interleave(SIDES, dim=1)
        weights = (self.weigh(value).float().sigmoid() * sides).flatten(2)
        with torch.autocast(value.device.type, enabled=False):
            sums = weights @ value.float().flatten(2).transpose(1, 2)
        return torch.cat([sums, weights.sum(2, keepdim=True)], dim=2)

    def forward(self, x: Tensor, sums: Tensor) -> Tensor:
        """What is added to the decoder's features (N, width, h, w)."""
        means = (sums[..., :-1] / (sums[..., -1:] + 1e-4)).to(x.dtype)
        means = self.norm(means)
        keys = self.key(means) + self.embedding
        # The last layer is linear: at the summaries, of which there are eight, it costs less than everywhere.
        values = self.out(self.value(means).transpose(1, 2)[..., None])[..., 0].transpose(1, 2)
        query = self.query(x).permute(0, 2, 3, 1).flatten(1, 2)
        attention = (query @ keys.transpose(1, 2) / keys.shape[-1] ** 0.5).softmax(dim=2)
        added: Tensor = attention @ values
        return added.reshape(len(x), *x.shape[-2:], -1).permute(0, 3, 1, 2)


class LiteTracker(MemoryTracker):
    """Keeps the :class:`ObjectState` of each object, for networks that have one."""

    def decode(
        self, view: int, query: QueryFeatures, readout: Tensor, ids: Sequence[int], plan: FramePlan
    ) -> Tensor:
        state = self._state(view, query, ids)
        logits: Tensor = self.network.decode(query, readout, state)
        return logits

    def encode_masks(self, view: int, query: QueryFeatures, masks: Tensor, plan: FramePlan) -> Any:
        entry = super().encode_masks(view, query, masks, plan)
        if entry is not None and self.network.recurrent:
            state = self._state(view, query, plan.ids)
            state = self.network.remember(state, entry[1], masks, keep=plan.keep)
            for name, tensor in (("sensory", state.sensory), ("sums", state.sums)):
                if tensor is not None:
                    self.keep_states(view, name, plan.ids, tensor)
        return entry

    def _state(self, view: int, query: QueryFeatures, ids: Sequence[int]) -> ObjectState:
        """The states of objects, zeros of those that have none yet."""
        network, key = self.network, query.key
        sensory = sums = None
        if network.sensory is not None:
            fresh = key.new_zeros(SENSORY, key.shape[-2] // 2, key.shape[-1] // 2)
            sensory = self.states_of(view, "sensory", ids, fresh)
        if network.summaries is not None:
            fresh = key.new_zeros(2 * SIDES, network.value_channels + 1, dtype=torch.float32)
            sums = self.states_of(view, "sums", ids, fresh)
        return ObjectState(sensory, sums)
