"""Optional parts of stcn-lite; before training none of them changes the output.

Sensory state and weighted affinity follow Cheng and Schwing, "XMem" (ECCV 2022, sections 3.2 and 3.3), object
summaries Cheng et al., "Putting the Object Back into Video Object Segmentation" (CVPR 2024, section 3.3), at
a small size: what is added last starts at zero, so that weights without the parts give the same masks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.models.base import QueryFeatures
from segue.models.memory import FramePlan, MemoryTracker
from segue.models.memory.components import LIKELY
from segue.models.memory.window import Window

SENSORY = 32
"""Channels of the sensory state."""

LAST = "last.key", "last.values"
"""Names in a state of what the last frame wrote."""

WIDER = 2
"""Margin of the window where objects left the first one, in its margins."""

SIDES = 4
"""Summaries of an object, and as many of what is around it."""


@dataclass(frozen=True, slots=True)
class ObjectState:
    """Recurrent state of each object besides the memory.

    Attributes:
        sensory: (N, 32, h/2, w/2), of a memory of h x w positions; None without the part.
        sums: weighted sums of values over the frames kept, and of their weights, (N, 8, C + 1), or None.
    """

    sensory: Tensor | None = None
    sums: Tensor | None = None


class Weighting(nn.Module):
    """XMem's shrinkage, and its selection as one number."""

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
        """State (N, 32, h/2, w/2), None at the beginning, and values (N, C, h, w) → the next state."""
        pooled = F.avg_pool2d(value, 2)
        if state is None:
            state = pooled.new_zeros(len(pooled), SENSORY, *pooled.shape[-2:])
        gates = self.transform(torch.cat([pooled, state.to(pooled.dtype)], dim=1))
        forget, update, new = gates.chunk(3, dim=1)
        update = update.sigmoid()
        return forget.sigmoid() * state * (1 - update) + update * new.tanh()

    def forward(self, state: Tensor) -> Tensor:
        """Residual for the decoder's features, (N, width, h, w)."""
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
        """Values (N, C, h, w) and masks (N, H, W) of a frame → its share of the sums, (N, 8, C + 1)."""
        inside = F.avg_pool2d(masks[:, None].float(), masks.shape[-1] // value.shape[-1])
        sides = torch.cat([inside, 1 - inside], dim=1).repeat_interleave(SIDES, dim=1)
        weights = (self.weigh(value).float().sigmoid() * sides).flatten(2)
        with torch.autocast(value.device.type, enabled=False):
            sums = weights @ value.float().flatten(2).transpose(1, 2)
        return torch.cat([sums, weights.sum(2, keepdim=True)], dim=2)

    def forward(self, x: Tensor, sums: Tensor) -> Tensor:
        """Residual for the decoder's features (N, width, h, w)."""
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
    """Sees a window around the objects where it can; keeps the :class:`ObjectState` where there is one."""

    def choose_windows(self, plan: FramePlan) -> Sequence[Window]:
        masks, margin = self._previous_masks, self._margin(plan)
        if masks is None or margin is None:
            return ()
        windows = Window.around(masks, margin), Window.around(masks, WIDER * margin)
        return [window for window in windows if window is not None]

    def reset(self) -> None:
        super().reset()
        self._seen_last: tuple[Tensor, Tensor] | None = None

    def write(self, view: int, entry: Any, plan: FramePlan) -> None:
        super().write(view, entry, plan)
        if self.schedule.window is not None:
            self._seen_last = None if entry is None else (entry[0].key, entry[1])

    def forget(self, ids: Collection[int]) -> None:
        if self._seen_last is not None:
            key, values = self._seen_last
            stay = values[[i not in ids for i in self.ids]]
            self._seen_last = key, stay.contiguous(memory_format=torch.channels_last)
        super().forget(ids)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, values = super().state()
        if self._seen_last is not None:
            tensors |= zip(LAST, self._seen_last, strict=True)
        return tensors, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        rest = {name: tensor for name, tensor in tensors.items() if name not in LAST}
        super().restore(rest, values)
        if LAST[0] in tensors:
            # The layout of the network's outputs: sums over channels are the same to the last bit.
            key, last = (
                tensors[name].to(self._setup.device).contiguous(memory_format=torch.channels_last)
                for name in LAST
            )
            self._seen_last = key, last

    def decode(
        self, view: int, query: QueryFeatures, readout: Tensor, ids: Sequence[int], plan: FramePlan
    ) -> Tensor:
        masks, margin = self._previous_masks, self._margin(plan)
        if len(self.ids) == 1 or masks is None or margin is None:
            state = self._state(view, query, ids)
            logits: Tensor = self.network.decode(query, readout, state)
            return logits
        masks = masks[[self.ids.index(i) for i in ids]]
        windows = Window.around_each(masks if plan.window is None else plan.window.cut(masks), margin)
        decoded = zip(readout.split(1), windows, strict=True)
        return torch.cat([self._decode_one(query, own, window) for own, window in decoded])

    def _decode_one(self, query: QueryFeatures, readout: Tensor, window: Window | None) -> Tensor:
        """Log-odds (1, h, w) of an object by its readout (1, Cv, h, w), in a window where that suffices."""
        if window is not None:
            inside: Tensor = self.network.decode(window.part(query), window.part_of(readout))
            if not window.is_left(inside, LIKELY):
                return window.paste(inside)
        logits: Tensor = self.network.decode(query, readout)
        return logits

    def _margin(self, plan: FramePlan) -> int | None:
        """Margin of the windows around objects in pixels; None for a frame that is predicted whole."""
        masks, schedule = self._previous_masks, self.schedule
        if masks is None or self._seen_last is None:
            return None
        # A GPU gains less from the smaller sizes than the processor loses by waiting for the masks.
        whole = masks.device.type != "cpu" or schedule.flip_tta or self.network.options
        return None if whole or schedule.window is None else round(schedule.window * min(masks.shape[-2:]))

    def encode_masks(self, view: int, query: QueryFeatures, masks: Tensor, plan: FramePlan) -> Any:
        margin = self._margin(plan)
        if plan.keep or margin is None or self._seen_last is None:
            entry = super().encode_masks(view, query, masks, plan)
        else:
            entry = self._encode_parts(query, masks, plan, margin)
        if entry is not None and self.network.recurrent:
            state = self._state(view, query, plan.ids)
            state = self.network.remember(state, entry[1], masks, keep=plan.keep)
            for name, tensor in (("sensory", state.sensory), ("sums", state.sums)):
                if tensor is not None:
                    self.keep_states(view, name, plan.ids, tensor)
        return entry

    def _encode_parts(self, query: QueryFeatures, masks: Tensor, plan: FramePlan, margin: int) -> Any:
        """The entry of a frame whose objects are encoded in their windows; the rest is the last frame's."""
        assert self._seen_last is not None
        assert self._previous_masks is not None
        (key, values), seen, total = self._seen_last, self._previous_masks, masks.sum(0, keepdim=True)
        height, width = masks.shape[1:]
        part = plan.window or Window(0, 0, height, width, (height, width))
        windows = Window.around_each((masks > 0.5) | part.cut(seen), margin) if len(masks) > 1 else [None]
        fresh = []
        for own, last, window in zip(masks.split(1), part.part_of(values).split(1), windows, strict=True):
            if window is None:
                fresh.append(self.network.encode_memory(query, own, total)[1])
            else:
                inside = self.network.encode_memory(window.part(query), window.cut(own), window.cut(total))
                fresh.append(window.put(last, inside[1]))
        return replace(query, key=part.put(key, query.key)), part.put(values, torch.cat(fresh))

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
