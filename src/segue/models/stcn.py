"""STCN: keys from the picture alone, shared by all objects; values from picture and mask.

Cheng, Tai, Tang, "Rethinking Space-Time Networks with Improved Memory Coverage for Efficient Video Object
Segmentation" (NeurIPS 2021), section 3; names and shapes of the layers are those of the public release.

Everything that does not depend on the object (skip convolutions, the share of picture and key features in
convolutions over concatenated features) is computed once and broadcast over the objects.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.attention import Similarity
from segue.layers.colours import normalise
from segue.layers.gates import CBAM
from segue.layers.residual import JointResBlock, ResBlock, add_frame, joint_conv
from segue.layers.resnet import BasicBlock, Bottleneck, FrozenBatchNorm, pool_stem, residual_stages, stem_conv
from segue.models.base import QueryFeatures, Schedule, Tracker
from segue.models.canvas import aggregate, other_masks, padding
from segue.models.memory import MemoryTracker

VALUE_CHANNELS = 512


class CorrespondenceNetwork(nn.Module):
    """What STCN and stcn-lite share: keys come from the picture alone, and values are made beside them.

    The features of a query are what the value encoder sees of the frame, then what the decoder does.
    """

    value_encoder: Any
    decoder: Any
    tracker: ClassVar[type[Tracker]] = MemoryTracker
    stride = 16
    similarity: Similarity = "l2"
    shared_keys = True
    aggregate_prompts = True
    masks_in_padding = True
    aggregate = staticmethod(aggregate)
    single_object = False

    def encode_memory(
        self, query: QueryFeatures, masks: Tensor, total: Tensor | None = None
    ) -> tuple[None, Tensor]:
        """Encode frames with soft masks, ([B,] K, H, W) in [0, 1] → values ([B,] K, Cv, h, w)."""
        planes = masks[..., None, :, :]
        if not self.single_object:
            planes = torch.stack([masks, other_masks(masks, total)], dim=-3)
        values: Tensor = self.value_encoder(query.image, query.features[0], planes.flatten(0, -4))
        return None, values.view(*masks.shape[:-2], *values.shape[1:])

    def decode(self, query: QueryFeatures, readout: Tensor) -> Tensor:
        """Decode readouts, ([B,] K, Cv, h, w), to log-odds, ([B,] K, H', W')."""
        logits: Tensor = self.decoder(readout.flatten(0, -4), *query.features[1:])
        return logits.view(*readout.shape[:-3], *logits.shape[-2:])


class STCN(CorrespondenceNetwork):
    """Space-time correspondence network.

    Pictures are normalised with the ImageNet mean and deviation, then zero-padded to multiples of 16; keys
    and values live at stride 16, log-odds at stride 4. Batch norms keep their statistics in training too.

    Args:
        single_object: leave out the mask of the other objects, as in the first training stage on still
            images; the first value convolution then has 4 input channels instead of 5.
    """

    schedule = Schedule(mem_every=5, top_k=20, include_last=False)
    read_stride = 16
    key_channels = 64
    value_channels = VALUE_CHANNELS

    def __init__(self, *, single_object: bool = False) -> None:
        super().__init__()
        self.single_object = single_object
        self.key_encoder = KeyEncoder()
        self.value_encoder = ValueEncoder(mask_channels=1 if single_object else 2)
        key_proj = nn.Conv2d(1024, self.key_channels, 3, padding=1)
        nn.init.orthogonal_(key_proj.weight)
        nn.init.constant_(key_proj.get_parameter("bias"), 0)
        self.key_proj = nn.Sequential(OrderedDict(key_proj=key_proj))
        self.key_comp = nn.Conv2d(1024, 512, 3, padding=1)
        self.decoder = Decoder()

    def prepare(self, image: Tensor) -> Tensor:
        """Normalise a picture and pad it with zeros, (H, W, 3) uint8 → (1, 3, H', W')."""
        return F.pad(normalise(image), padding(image.shape[0], image.shape[1], self.stride))

    def encode_query(self, image: Tensor) -> QueryFeatures:
        """Encode prepared pictures, (B, 3, H, W); key (B, 64, H/16, W/16)."""
        f16, f8, f4 = self.key_encoder(image)
        return QueryFeatures(image, self.key_proj(f16), (f16, self.key_comp(f16), f8, f4))


class KeyEncoder(nn.Module):
    """ResNet-50 up to its third stage."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = stem_conv(3)
        self.bn1 = FrozenBatchNorm(64)
        self.res2, self.layer2, self.layer3 = residual_stages(Bottleneck, 64, (64, 128, 256), (3, 4, 6))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) → 1024 channels at stride 16, 512 at stride 8, 256 at stride 4."""
        f4 = self.res2(pool_stem(self.bn1(self.conv1(image))))
        f8 = self.layer2(f4)
        return self.layer3(f8), f8, f4


class ValueEncoder(nn.Module):
    """ResNet-18 up to its third stage over picture and masks, fused with the key feature of the frame."""

    def __init__(self, mask_channels: int) -> None:
        super().__init__()
        self.conv1 = stem_conv(3 + mask_channels, bias=True)
        nn.init.orthogonal_(self.conv1.weight[:, 3:])
        self.bn1 = FrozenBatchNorm(64)
        self.layer1, self.layer2, self.layer3 = residual_stages(BasicBlock, 64, (64, 128, 256), (2, 2, 2))
        self.fuser = Fuser(256, 1024, VALUE_CHANNELS)

    def forward(self, image: Tensor, f16: Tensor, planes: Tensor) -> Tensor:
        """(B, 3, H, W), (B, 1024, H/16, W/16), (B·K, 1 or 2, H, W) → (B·K, 512, H/16, W/16)."""
        x = joint_conv(self.conv1, planes, image, frame_first=True)
        x = self.layer1(pool_stem(self.bn1(x)))
        return self.fuser(self.layer3(self.layer2(x)), f16)


class Fuser(nn.Module):
    """Join the feature of an object with the key feature of its frame."""

    def __init__(self, own: int, frame: int, cout: int) -> None:
        super().__init__()
        self.block1 = JointResBlock(own, frame, cout)
        self.attention = CBAM(cout)
        self.block2 = ResBlock(cout, cout)

    def forward(self, own: Tensor, frame: Tensor) -> Tensor:
        """(B·K, own, h, w) and (B, frame, h, w) → (B·K, cout, h, w)."""
        y = self.block1(own, frame)
        return self.block2(y + self.attention(y))


class Decoder(nn.Module):
    """What was read from the memory and the query's features to log-odds at stride 4."""

    def __init__(self) -> None:
        super().__init__()
        self.compress = JointResBlock(VALUE_CHANNELS, 512, 512)
        self.up_16_8 = UpBlock(512, 512, 256)
        self.up_8_4 = UpBlock(256, 256, 256)
        self.pred = nn.Conv2d(256, 1, 3, padding=1)

    def forward(self, readout: Tensor, thin: Tensor, f8: Tensor, f4: Tensor) -> Tensor:
        """(B·K, 512, h, w), (B, 512, h, w), (B, 512, 2h, 2w), (B, 256, 4h, 4w) → (B·K, 1, 4h, 4w)."""
        x = self.up_16_8(self.compress(readout, thin), f8)
        return self.pred(F.relu(self.up_8_4(x, f4)))


class UpBlock(nn.Module):
    """Double the size, add the query's feature of that size and refine."""

    def __init__(self, skip: int, cin: int, cout: int) -> None:
        super().__init__()
        self.skip_conv = nn.Conv2d(skip, cin, 3, padding=1)
        self.out_conv = ResBlock(cin, cout)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B·K, cin, h, w) and (B, skip, 2h, 2w) → (B·K, cout, 2h, 2w)."""
        # Nothing here keeps the enlarged features, which are large, longer than they are needed.
        joined = add_frame(F.interpolate(x, scale_factor=2.0, mode="bilinear"), self.skip_conv(skip))
        return self.out_conv(joined)
