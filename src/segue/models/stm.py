"""STM: space-time memory, with keys and values from image and mask of each object.

Oh, Lee, Xu, Kim, "Video Object Segmentation using Space-Time Memory Networks" (ICCV 2019), section 3; names
and shapes of the layers are those of the public release.

The release repeats the query's features for every object; here whatever does not depend on the object is
computed once and broadcast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.attention import Similarity
from segue.layers.colours import image_statistics
from segue.layers.pieces import cat, one_by_one
from segue.layers.residual import ResBlock, add_frame, joint_conv
from segue.layers.resnet import Bottleneck, FrozenBatchNorm, ResidualTrunk, stem_conv
from segue.models.base import QueryFeatures, Schedule, Tracker
from segue.models.geometry import aggregate, other_masks
from segue.models.memory import BicubicTracker
from segue.models.memory.published import PublishedNetwork

KEY_CHANNELS = 128
VALUE_CHANNELS = 512

OBJECT_CHANNELS = 10
"""Number of object channels of the published network; unused ones take part in soft aggregation."""


class STM(PublishedNetwork):
    """Space-time memory network.

    Images are padded with black to multiples of 16, then normalised with the ImageNet mean and deviation;
    keys and values are at stride 16, log-odds at stride 4. Batch norms keep their statistics in training.
    """

    schedule = Schedule(mem_every=5, top_k=None, include_last=True)
    tracker: type[Tracker] = BicubicTracker
    key_channels = KEY_CHANNELS
    value_channels = VALUE_CHANNELS
    similarity: Similarity = "dot"
    shared_keys = False
    aggregate_prompts = False
    masks_in_padding = False
    aggregate: ClassVar[Any] = staticmethod(partial(aggregate, channels=OBJECT_CHANNELS))
    pads_black = True

    def __init__(self) -> None:
        super().__init__()
        self.Encoder_M = MemoryEncoder()
        self.Encoder_Q = QueryEncoder()
        self.KV_M_r4 = KeyValue(1024)
        self.KV_Q_r4 = KeyValue(1024)
        self.Decoder = Decoder(256)

    def encode_query(self, image: Tensor) -> QueryFeatures:
        """Features of prepared images (B, 3, H, W), with key (B, 128, H/16, W/16)."""
        r2, r3, r4 = self.Encoder_Q(image)
        key, value = self.KV_Q_r4(r4)
        return QueryFeatures(image, key, (value, r3, r2))

    def encode_memory(
        self, query: QueryFeatures, masks: Tensor, total: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Keys and values, ([B,] K, 128 and 512, H/16, W/16), of soft masks ([B,] K, H, W) in [0, 1]."""
        other_planes = other_masks(masks, total).clamp(0, 1)
        r4 = self.Encoder_M(query.image, masks.flatten(0, -3)[:, None], other_planes.flatten(0, -3)[:, None])
        key, value = self.KV_M_r4(r4)
        objects = masks.shape[:-2]
        return key.view(*objects, *key.shape[1:]), value.view(*objects, *value.shape[1:])

    def decode(self, query: QueryFeatures, readout: Tensor) -> Tensor:
        """Decode readouts, ([B,] K, 512, H/16, W/16), to log-odds, ([B,] K, H/4, W/4).

        The published softmax of two classes after the linear upsampling is the sigmoid of the difference.
        """
        scores: Tensor = self.Decoder(readout.flatten(0, -4), *query.features)
        log_odds = scores[:, 1] - scores[:, 0]
        return log_odds.view(*readout.shape[:-3], *log_odds.shape[1:])


class QueryEncoder(ResidualTrunk):
    """ResNet-50 up to its third stage, over the image: maps at strides 4, 8 and 16."""

    def __init__(self) -> None:
        super().__init__(Bottleneck, (3, 4, 6), FrozenBatchNorm, names=("res2", "res3", "res4"))
        # Part of the official file; images come normalised by the same numbers, see STM.prepare.
        mean, std = image_statistics()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)


class MemoryEncoder(QueryEncoder):
    """Encoder with separate weights, over image, object mask and other masks."""

    norms: ClassVar[Mapping[str, Sequence[str]]] = {"bn1": ["conv1", "conv1_m", "conv1_o"]}

    def __init__(self) -> None:
        super().__init__()
        self.conv1_m = stem_conv(1)
        self.conv1_o = stem_conv(1)

    def forward(self, image: Tensor, masks: Tensor, other_planes: Tensor) -> Tensor:  # type: ignore[override]
        """(B, 3, H, W) normalised, twice (B·K, 1, H, W) → (B·K, 1024, H/16, W/16)."""
        frame = self.conv1(image)
        parts = one_by_one(self, masks) if len(frame) == 1 else [slice(None)]
        return cat(
            [
                self.stages(add_frame(self.conv1_m(masks[part]) + self.conv1_o(other_planes[part]), frame))[
                    -1
                ]
                for part in parts
            ]
        )


class KeyValue(nn.Module):
    """Key and value of a feature."""

    def __init__(self, cin: int) -> None:
        super().__init__()
        self.Key = nn.Conv2d(cin, KEY_CHANNELS, 3, padding=1)
        self.Value = nn.Conv2d(cin, VALUE_CHANNELS, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, cin, h, w) → (B, 128, h, w), (B, 512, h, w)."""
        return self.Key(x), self.Value(x)


class Decoder(nn.Module):
    """Decode the readout and the query's features to two class scores at stride 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convFM = nn.Conv2d(2 * VALUE_CHANNELS, channels, 3, padding=1)
        self.ResMM = ResBlock(channels, channels)
        self.RF3 = Refine(512, channels)
        self.RF2 = Refine(256, channels)
        self.pred2 = nn.Conv2d(channels, 2, 3, padding=1)

    def forward(self, readout: Tensor, value: Tensor, r3: Tensor, r2: Tensor) -> Tensor:
        """(B·K, 512, h, w), (B, 512, h, w), (B, 512, 2h, 2w), (B, 256, 4h, 4w) → (B·K, 2, 4h, 4w)."""
        m4 = self.ResMM(joint_conv(self.convFM, readout, value))
        f3, f2 = self.RF3.of_frame(r3), self.RF2.of_frame(r2)
        parts = one_by_one(self, m4) if len(value) == 1 else [slice(None)]
        return cat([self.pred2(self.RF2(f2, self.RF3(f3, m4[part])).relu_()) for part in parts])


class Refine(nn.Module):
    """Double the size, add the query's feature of that size and refine."""

    def __init__(self, skip: int, channels: int) -> None:
        super().__init__()
        self.convFS = nn.Conv2d(skip, channels, 3, padding=1)
        self.ResFS = ResBlock(channels, channels)
        self.ResMM = ResBlock(channels, channels)

    def of_frame(self, skip: Tensor) -> Tensor:
        """Part (B, channels, 2h, 2w) that is shared by all objects of a frame."""
        return self.ResFS(self.convFS(skip))

    def forward(self, frame: Tensor, x: Tensor) -> Tensor:
        """Output of :meth:`of_frame` and (B·K, channels, h, w) → (B·K, channels, 2h, 2w)."""
        # Nothing here keeps the enlarged features, which are large, longer than they are needed.
        return self.ResMM(add_frame(F.interpolate(x, scale_factor=2.0, mode="bilinear"), frame))
