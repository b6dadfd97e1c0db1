"""XMem: STCN with anisotropic similarity, recurrent object states, and a long-term memory.

Cheng and Schwing, "XMem: Long-Term Video Object Segmentation with an Atkinson-Shiffrin Memory Model" (ECCV
2022); names and shapes of the layers are those of its release. The memories are those of
:class:`segue.models.memory.MemoryTable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.sensory import SensoryGate, SensoryUpdate
from segue.models.base import FramePrompts, QueryFeatures, Schedule, Tracker
from segue.models.memory.long_term import LongTermSchedule, LongTermTracker
from segue.models.memory.published import PublishedNetwork
from segue.models.memory.tracker import FramePlan
from segue.models.stcn import VALUE_CHANNELS, Fuser, UpBlock, ValueEncoder, key_trunk
from segue.state import checkpointed

HIDDEN_CHANNELS = 64

SENSORY = "sensory"
"""Name of the recurrent states of the objects."""


@dataclass(frozen=True, slots=True)
class XMemSchedule(LongTermSchedule):
    """When frames enter memory, and how much is kept, by the names of XMem's release.

    Attributes:
        deep_update_every: least distance, in frames, of two updates of the recurrent states by the value
            encoder, which come with memory frames; below 0 each memory frame has one, instead of the
            decoder's.
    """

    top_k: int | None = 30
    deep_update_every: int = -1


@dataclass(frozen=True, slots=True)
class XMemFeatures(QueryFeatures):
    """Features of a frame, with the shrinkage and the selection of its key."""

    shrinkage: Tensor
    selection: Tensor


class XMemTracker(LongTermTracker):
    """Tracks objects with XMem; see :class:`segue.models.base.Tracker` for the methods."""

    schedule: XMemSchedule
    schedule_type = XMemSchedule
    mask_mode = "nearest"

    _last_deep: int | None = checkpointed(None)

    def needs_prediction(self, prompts: FramePrompts) -> bool:
        """Whether to predict: not if all objects have given masks; states are then kept."""
        return not set(self.ids) <= set(prompts.ids)

    def deep_update(self, plan: FramePlan) -> bool:
        """Whether the value encoder updates the recurrent states if this frame enters memory."""
        if self.schedule.deep_update_every < 0:
            return plan.keep
        return self._last_deep is None or self._seen - self._last_deep >= self.schedule.deep_update_every

    def decode(
        self, view: int, query: QueryFeatures, readout: Tensor, ids: Sequence[int], plan: FramePlan
    ) -> Tensor:
        shallow = self.schedule.deep_update_every >= 0 or not self.deep_update(plan)
        hidden = self.hidden(view, query, ids)
        logits, updated = self.network.decode(query, readout, hidden, update=shallow)
        if updated is not None:
            self.keep_states(view, SENSORY, ids, updated)
        return logits

    def encode_objects(
        self,
        view: int,
        query: QueryFeatures,
        masks: Tensor,
        total: Tensor,
        ids: Sequence[int],
        plan: FramePlan,
    ) -> tuple[None, Tensor]:
        hidden, deep = self.hidden(view, query, ids), self.deep_update(plan)
        value, updated = self.network.encode_memory(query, masks, total, hidden, update=deep)
        if hidden is not None:
            self.keep_states(view, SENSORY, ids, hidden if updated is None else updated)
        return None, value

    def finish(self, plan: FramePlan) -> None:
        if plan.keep and self.deep_update(plan):
            self._last_deep = self._seen
        super().finish(plan)

    def hidden(self, view: int, query: QueryFeatures, ids: Sequence[int]) -> Tensor | None:
        """Recurrent states (K, 64, h, w), initially zero; None for networks without."""
        channels = self.network.hidden_channels
        if channels == 0:
            return None
        return self.states_of(view, SENSORY, ids, query.key.new_zeros(channels, *query.key.shape[-2:]))


class XMem(PublishedNetwork):
    """XMem, or a released ablation without the recurrent state.

    Images are normalised with the ImageNet mean and deviation, then zero-padded to multiples of 16; keys
    and values are at stride 16, log-odds at stride 4. Batch norms keep their statistics in training too.

    Args:
        single_object: leave out the mask of the other objects, as in the stage on still images.
        hidden_channels: 64 of the recurrent state, or 0 for none.
    """

    schedule: Schedule = XMemSchedule()
    tracker: type[Tracker] = XMemTracker
    value_channels = VALUE_CHANNELS

    def __init__(self, *, single_object: bool = False, hidden_channels: int = HIDDEN_CHANNELS) -> None:
        super().__init__()
        self.single_object, self.hidden_channels = single_object, hidden_channels
        self.key_encoder = key_trunk()
        self.value_encoder = XMemValueEncoder(1 if single_object else 2, hidden_channels)
        self.key_proj = KeyProjection(1024, self.key_channels)
        self.decoder = Decoder(hidden_channels)

    def encode_query(self, image: Tensor) -> XMemFeatures:
        """Features of prepared images (B, 3, H, W), with key (B, 64, H/16, W/16)."""
        f4, f8, f16 = self.key_encoder(image)
        key, shrinkage, selection = self.key_proj(f16)
        return XMemFeatures(image, key, (f16, f8, f4), shrinkage, selection)

    def encode_memory(
        self,
        query: QueryFeatures,
        masks: Tensor,
        total: Tensor | None = None,
        hidden: Tensor | None = None,
        *,
        update: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Values ([B,] K, 512, h, w) of masks ([B,] K, H, W), and new states, None without ``update``."""
        lead, planes = masks.shape[:-2], self.mask_planes(masks, total)
        value: Tensor = self.value_encoder(query.image, query.features[0], planes.flatten(0, -4))
        updated = None
        if hidden is not None and update:
            updated = self.value_encoder.hidden_reinforce(value, hidden.flatten(0, -4)).view(hidden.shape)
        return value.view(*lead, *value.shape[1:]), updated

    def decode(
        self, query: QueryFeatures, readout: Tensor, hidden: Tensor | None = None, *, update: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Log-odds ([B,] K, 4h, 4w) of readouts ([B,] K, 512, h, w), and new states with ``update``."""
        object_features = (
            readout if hidden is None else torch.cat([readout, hidden.to(readout.dtype)], dim=-3)
        )
        logits, (g16, g8, g4) = self.decoder(object_features.flatten(0, -4), *query.features)
        updated = None
        if hidden is not None and update:
            state = hidden.flatten(0, -4)
            updated = self.decoder.hidden_update.update(g16, g8, g4, logits, state).view(hidden.shape)
        return logits.view(*readout.shape[:-3], *logits.shape[-2:]), updated


class KeyProjection(nn.Module):
    """Key, shrinkage and selection of a frame (paper, section 3.4)."""

    def __init__(self, cin: int, channels: int) -> None:
        super().__init__()
        self.key_proj = nn.Conv2d(cin, channels, 3, padding=1)
        self.d_proj = nn.Conv2d(cin, 1, 3, padding=1)
        self.e_proj = nn.Conv2d(cin, channels, 3, padding=1)
        nn.init.orthogonal_(self.key_proj.weight)
        nn.init.zeros_(self.key_proj.get_parameter("bias"))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, cin, h, w) → (B, channels, h, w), (B, 1, h, w) of at least 1, (B, channels, h, w) in (0, 1)."""
        return self.key_proj(x), self.d_proj(x).square() + 1, self.e_proj(x).sigmoid()


class XMemValueEncoder(ValueEncoder):
    """Value encoder, with the update of recurrent states."""

    def __init__(self, mask_channels: int, hidden_channels: int) -> None:
        super().__init__(mask_channels, bias=False, frame_first=True)
        if hidden_channels:
            self.hidden_reinforce = SensoryGate(VALUE_CHANNELS, hidden_channels)


class Decoder(nn.Module):
    """Decode the readout, the recurrent state and the frame's features to log-odds at stride 4."""

    def __init__(self, hidden_channels: int) -> None:
        super().__init__()
        self.fuser = Fuser(VALUE_CHANNELS + hidden_channels, 1024, 512, frame_first=True)
        if hidden_channels:
            self.hidden_update = SensoryUpdate((512, 256, 256), 256, hidden_channels)
        self.up_16_8 = UpBlock(512, 512, 256)
        self.up_8_4 = UpBlock(256, 256, 256)
        self.pred = nn.Conv2d(256, 1, 3, padding=1)

    def forward(
        self, objects: Tensor, f16: Tensor, f8: Tensor, f4: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """(B·K, 576, h, w) and features of frames → log-odds (B·K, 1, 4h, 4w), maps for the states."""
        g16 = self.fuser(objects, f16)
        g8 = self.up_16_8(g16, f8)
        g4 = self.up_8_4(g8, f4)
        return self.pred(F.relu(g4)), (g16, g8, g4)
