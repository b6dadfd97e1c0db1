"""STCN and stcn-lite: keys from the image alone, shared by all objects; values from image and mask.

Cheng, Tai, Tang, "Rethinking Space-Time Networks with Improved Memory Coverage for Efficient Video Object
Segmentation" (NeurIPS 2021), section 3; names and shapes of the layers of STCN are those of its release.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import ActivatedConv2d
from segue.layers.attention import Similarity
from segue.layers.gates import cbam
from segue.layers.mobilenet import MobileNetV2Trunk
from segue.layers.residual import JointResBlock, ResBlock, add_conv_of_frame, joint_conv
from segue.layers.resnet import BasicBlock, Bottleneck, FrozenBatchNorm, ResidualTrunk
from segue.models.base import QueryFeatures, Schedule, TrackCapabilities, Tracker
from segue.models.geometry import padding
from segue.models.lite_tracker import LiteTracker
from segue.models.memory import BicubicTracker, MemoryTracker
from segue.models.memory.published import PublishedNetwork

VALUE_CHANNELS = 512

FEATURE_GAIN = 8.0
"""Brings the joint feature, whose two parts have unit norm per position, to entries of about unit size."""

SHIFT = 2
"""The ImageNet trunk pads right and bottom only and leans to the top left; moving the image by two pixels
right and down puts its receptive fields over the cells of the mask."""


class CorrespondenceNetwork(PublishedNetwork):
    """Shared parts of STCN and stcn-lite: keys from the image alone, values from image and mask."""

    value_encoder: Any
    decoder: Any
    tracker: type[Tracker] = MemoryTracker
    similarity: Similarity = "l2"
    shared_keys = True

    def encode_memory(
        self, query: QueryFeatures, masks: Tensor, total: Tensor | None = None
    ) -> tuple[None, Tensor]:
        """Encode values ([B,] K, Cv, h, w) of masks ([B,] K, H, W); keys are the query's."""
        values: Tensor = self.value_encoder(
            query.image, query.features[0], self.mask_planes(masks, total).flatten(0, -4)
        )
        return None, values.view(*masks.shape[:-2], *values.shape[1:])

    def decode(self, query: QueryFeatures, readout: Tensor) -> Tensor:
        """Log-odds ([B,] K, H/4, W/4) of readouts ([B,] K, Cv, h, w)."""
        logits: Tensor = self.decoder(readout.flatten(0, -4), *query.features[1:])
        return logits.view(*readout.shape[:-3], *logits.shape[-2:])


class STCN(CorrespondenceNetwork):
    """Space-time correspondence network.

    Images are normalised with the ImageNet mean and deviation, then zero-padded to multiples of 16; keys
    and values are at stride 16, log-odds at stride 4. Batch norms keep their statistics in training too.

    Args:
        single_object: leave out the mask of the other objects, as in the first training stage on still
            images; the first value convolution then has 4 input channels instead of 5.
    """

    schedule = Schedule(mem_every=5, top_k=20, include_last=False)
    tracker: type[Tracker] = BicubicTracker
    capabilities = TrackCapabilities(graphs="memory")
    value_channels = VALUE_CHANNELS

    def __init__(self, *, single_object: bool = False) -> None:
        super().__init__()
        self.single_object = single_object
        self.key_encoder = key_trunk()
        self.value_encoder = ValueEncoder(mask_channels=1 if single_object else 2)
        key_proj = nn.Conv2d(1024, self.key_channels, 3, padding=1)
        nn.init.orthogonal_(key_proj.weight)
        nn.init.constant_(key_proj.get_parameter("bias"), 0)
        self.key_proj = nn.Sequential(OrderedDict(key_proj=key_proj))
        self.key_comp = nn.Conv2d(1024, 512, 3, padding=1)
        self.decoder = Decoder()

    def encode_query(self, image: Tensor) -> QueryFeatures:
        """Features of prepared images (B, 3, H, W), with key (B, 64, H/16, W/16)."""
        f4, f8, f16 = self.key_encoder(image)
        return QueryFeatures(image, self.key_proj(f16), (f16, self.key_comp(f16), f8, f4))


def key_trunk(kind: type[BasicBlock] | type[Bottleneck] = Bottleneck, **options: Any) -> ResidualTrunk:
    """ResNet-50, or ResNet-18, up to its third stage: maps at strides 4, 8 and 16."""
    blocks = (3, 4, 6) if kind is Bottleneck else (2, 2, 2)
    return ResidualTrunk(kind, blocks, FrozenBatchNorm, names=("res2", "layer2", "layer3"), **options)


class MaskTrunk(ResidualTrunk):
    """ResNet-18 up to its third stage, with masks as input channels."""

    def __init__(self, mask_channels: int, *, bias: bool = False) -> None:
        super().__init__(
            BasicBlock, (2, 2, 2), FrozenBatchNorm, masks=mask_channels, stem_bias=bias, bias=bias
        )

    def encode_masks(self, image: Tensor, planes: Tensor) -> Tensor:
        """(B, 3, H, W), (B·K, 1 or 2, H, W) → (B·K, 256, H/16, W/16)."""
        return self.stages(joint_conv(self.conv1, planes, image, frame_first=True))[-1]


class ValueEncoder(MaskTrunk):
    """Encodes image and masks with the trunk, and fuses them with the key feature of the frame."""

    def __init__(self, mask_channels: int, *, bias: bool = True, frame_first: bool = False) -> None:
        super().__init__(mask_channels, bias=bias)
        self.fuser = Fuser(256, 1024, VALUE_CHANNELS, frame_first=frame_first)

    def forward(self, image: Tensor, f16: Tensor, planes: Tensor) -> Tensor:  # type: ignore[override]
        """(B, 3, H, W), (B, 1024, H/16, W/16), (B·K, 1 or 2, H, W) → (B·K, 512, H/16, W/16)."""
        return self.fuser(self.encode_masks(image, planes), f16)


class Fuser(nn.Module):
    """Joins object features with the frame's key feature, which comes first in XMem."""

    def __init__(self, objects: int, frame: int, cout: int, *, frame_first: bool = False) -> None:
        super().__init__()
        self.block1 = JointResBlock(objects, frame, cout, frame_first=frame_first)
        self.attention = cbam(cout)
        self.block2 = ResBlock(cout, cout)

    def forward(self, objects: Tensor, frame: Tensor) -> Tensor:
        """(B·K, own, h, w) and (B, frame, h, w) → (B·K, cout, h, w)."""
        y = self.block1(objects, frame)
        return self.block2(y + self.attention(y))


class Decoder(nn.Module):
    """Decode the readout and the query's features to log-odds at stride 4."""

    def __init__(self) -> None:
        super().__init__()
        self.compress = JointResBlock(VALUE_CHANNELS, 512, 512)
        self.up_16_8 = UpBlock(512, 512, 256)
        self.up_8_4 = UpBlock(256, 256, 256)
        self.pred = nn.Conv2d(256, 1, 3, padding=1)

    def forward(self, readout: Tensor, thin: Tensor, f8: Tensor, f4: Tensor) -> Tensor:
        """(B·K, 512, h, w), (B, 512, h, w), (B, 512, 2h, 2w), (B, 256, 4h, 4w) → (B·K, 1, 4h, 4w)."""
        x = self.up_16_8(self.compress(readout, thin), f8)
        return self.pred(self.up_8_4(x, f4).relu_())


class UpBlock(nn.Module):
    """Double the size, add the query's feature of that size and refine."""

    def __init__(self, skip: int, cin: int, cout: int) -> None:
        super().__init__()
        self.skip_conv = nn.Conv2d(skip, cin, 3, padding=1)
        self.out_conv = ResBlock(cin, cout)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B·K, cin, h, w) and (B, skip, 2h, 2w) → (B·K, cout, 2h, 2w)."""
        enlarged = F.interpolate(x, scale_factor=2.0, mode="bilinear")
        return self.out_conv(add_conv_of_frame(enlarged, self.skip_conv, skip))


class STCNLite(CorrespondenceNetwork):
    """STCN for laptops: 1.4 M parameters, keys by MobileNetV2.

    The differences are ours: the memory is read at stride 8, where small objects still have a few cells, and
    the decoder ends at stride 2. Images are RGB scaled to [-1, 1] and padded to multiples of 16 by
    replicating the border; the joint feature, keys and values are at stride 8.
    """

    schedule = Schedule(
        mem_every=5,
        top_k=20,
        include_last=True,
        last_window=12,
        dense_radius=5,
        penalty=1.0,
        last_penalty=2.0,
        memory_frames=5,
        max_jump=0.03,
        short_side=384,
        window=0.14,
    )
    capabilities = TrackCapabilities(confidence=(1.35, -1.4), graphs="memory")
    """Confidence fitted to clips at 240p and 480p, by source (research/stcn-lite.md)."""
    tracker: type[Tracker] = LiteTracker
    int8_parts = ("key_encoder", "key_proj", "key_comp", "value_encoder", "decoder")
    int7_parts = ("value_encoder", "decoder")
    read_stride = 8
    value_channels = 128

    def __init__(self) -> None:
        super().__init__()
        self.key_encoder = MobileNetV2Trunk()
        _, _, c8, c16 = self.key_encoder.channels
        self.key_proj = nn.Conv2d(c8 + c16, self.key_channels, 3, padding=1)
        self.key_comp = nn.Conv2d(c8 + c16, 64, 3, padding=1)
        self.value_encoder = LiteValueEncoder(c8 + c16, self.value_channels)
        self.decoder = LiteDecoder(self.value_channels, 64, self.key_encoder.channels)

    def prepare(self, image: Tensor) -> Tensor:
        """Scale an image (H, W, 3) to [-1, 1] and pad it to (1, 3, H', W'), in multiples of 16."""
        x = image.permute(2, 0, 1)[None].float() / 127.5 - 1
        return F.pad(x, padding(x.shape[2], x.shape[3], self.stride), mode="replicate")

    def encode_query(self, image: Tensor) -> QueryFeatures:
        """Features of prepared images (B, 3, H, W), with key (B, 64, H/8, W/8)."""
        height, width = image.shape[-2:]
        visible = image[..., : height - SHIFT, : width - SHIFT]
        shifted = F.pad(visible, (SHIFT, 0, SHIFT, 0), mode="replicate")
        f2, f4, f8, f16 = self.key_encoder(shifted)
        f16 = F.interpolate(f16, size=f8.shape[-2:], mode="bilinear")
        joint = torch.cat([F.normalize(f8, dim=1), F.normalize(f16, dim=1)], dim=1)
        key = self.key_proj(joint)
        joint = joint * FEATURE_GAIN
        return QueryFeatures(image, key, (joint, self.key_comp(joint), f4, f2))


class LiteValueEncoder(nn.Module):
    """Three strided convolutions on image, mask and masks of the others, joined with the key feature."""

    def __init__(self, joint_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(5, 24, 3, stride=2, padding=1)
        self.conv2 = ActivatedConv2d.rectified(24, 48, stride=2)
        self.conv3 = ActivatedConv2d.rectified(48, 96, stride=2)
        self.fuse = nn.Conv2d(96 + joint_channels, channels, 1)
        self.block = ResBlock(channels, channels)

    def forward(self, image: Tensor, joint: Tensor, planes: Tensor) -> Tensor:
        """(B, 3, H, W), (B, C, H/8, W/8), (B*K, 2, H, W) → (B*K, channels, H/8, W/8)."""
        x = joint_conv(self.conv1, planes, image, frame_first=True, rectify=True)
        x = self.conv3(self.conv2(x))
        return self.block(joint_conv(self.fuse, x, joint))


class LiteDecoder(nn.Module):
    """Readout and thin query feature at stride 8 to log-odds at stride 2, with skips from the trunk."""

    width = 96  # channels at stride 8

    def __init__(self, value_channels: int, thin_channels: int, skips: tuple[int, ...]) -> None:
        super().__init__()
        c2, c4 = skips[:2]
        self.compress = JointResBlock(value_channels, thin_channels, self.width)
        self.reduce4 = nn.Conv2d(self.width, 64, 1)
        self.skip4 = nn.Conv2d(c4, 64, 1)
        self.refine4 = ResBlock(64, 64)
        self.reduce2 = nn.Conv2d(64, 24, 1)
        self.skip2 = nn.Conv2d(c2, 24, 1)
        self.refine2 = nn.Conv2d(24, 24, 3, padding=1)
        self.pred = nn.Conv2d(24, 1, 3, padding=1)

    def forward(self, readout: Tensor, thin: Tensor, f4: Tensor, f2: Tensor) -> Tensor:
        """(B*K, Cv, h, w), (B, Ct, h, w), (B, c4, 2h, 2w), (B, c2, 4h, 4w) → (B*K, 1, 4h, 4w)."""
        x = self.compress(readout, thin)
        x = F.interpolate(self.reduce4(x), scale_factor=2.0, mode="bilinear")
        x = self.refine4(add_conv_of_frame(x, self.skip4, f4))
        x = F.interpolate(self.reduce2(x), scale_factor=2.0, mode="bilinear")
        x = add_conv_of_frame(x, self.skip2, f2, rectify=True)
        x = self.refine2(x).add_(x).relu_()
        return self.pred(x)
