"""STCN for laptops: the memory, read and decoder of STCN on a MobileNetV2 key side, 1.4 M parameters.

Same idea as Cheng et al., "Rethinking Space-Time Networks with Improved Memory Coverage for Efficient
Video Object Segmentation" (NeurIPS 2021): keys come from the picture alone and serve all objects, values
from picture and mask, the similarity is the negative squared L2 distance. What differs is our own:
the memory is read at stride 8, where small objects still have a few cells, and the decoder ends at stride 2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.fused import ActivatedConv2d
from segue.layers.mobilenet import MobileNetV2Trunk
from segue.layers.residual import JointResBlock, ResBlock, add_frame, joint_conv
from segue.models.base import QueryFeatures, Schedule
from segue.models.canvas import padding
from segue.models.stcn import CorrespondenceNetwork

FEATURE_GAIN = 8.0
"""Brings the joint feature, whose two parts have unit norm per position, to entries of about unit size."""

SHIFT = 2
"""The ImageNet trunk pads right and bottom only and leans to the top left; moving the picture by two pixels
right and down puts its receptive fields over the cells of the mask."""


class STCNLite(CorrespondenceNetwork):
    """Small space-time correspondence network.

    Pictures are RGB scaled to [-1, 1] and padded to multiples of 16 by replicating the border; the joint
    feature, keys and values live at stride 8.
    """

    schedule = Schedule(
        mem_every=5,
        top_k=20,
        include_last=True,
        last_window=12,
        penalty=1.0,
        last_penalty=2.0,
        memory_frames=5,
        reach=0.03,
        short_side=384,
    )
    graphs = "memory"
    confidence = (1.17, -1.27)
    """See :func:`segue.sessions.track.expected_overlap`; fitted to the seven development clips."""
    read_stride = 8
    key_channels = 64
    value_channels = 128

    def __init__(self) -> None:
        super().__init__()
        self.key_encoder = MobileNetV2Trunk()
        _, _, c8, c16 = self.key_encoder.channels
        self.key_proj = nn.Conv2d(c8 + c16, self.key_channels, 3, padding=1)
        self.key_comp = nn.Conv2d(c8 + c16, 64, 3, padding=1)
        self.value_encoder = ValueEncoder(c8 + c16, self.value_channels)
        self.decoder = Decoder(self.value_channels, 64, self.key_encoder.channels)

    def prepare(self, image: Tensor) -> Tensor:
        """Scale a picture to [-1, 1] and pad it, (H, W, 3) uint8 → (1, 3, H', W')."""
        x = image.permute(2, 0, 1)[None].float() / 127.5 - 1
        return F.pad(x, padding(x.shape[2], x.shape[3], self.stride), mode="replicate")

    def encode_query(self, image: Tensor) -> QueryFeatures:
        """Encode prepared pictures, (B, 3, H, W); key (B, 64, H/8, W/8)."""
        height, width = image.shape[-2:]
        kept = image[..., : height - SHIFT, : width - SHIFT]
        shifted = F.pad(kept, (SHIFT, 0, SHIFT, 0), mode="replicate")
        f2, f4, f8, f16 = self.key_encoder(shifted)
        f16 = F.interpolate(f16, size=f8.shape[-2:], mode="bilinear")
        joint = torch.cat([F.normalize(f8, dim=1), F.normalize(f16, dim=1)], dim=1)
        key = self.key_proj(joint)
        joint = joint * FEATURE_GAIN
        return QueryFeatures(image, key, (joint, self.key_comp(joint), f4, f2))


class ValueEncoder(nn.Module):
    """Three strided convolutions on picture, mask and masks of the others, joined with the key feature."""

    def __init__(self, joint_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(5, 24, 3, stride=2, padding=1)
        self.conv2 = ActivatedConv2d.rectified(24, 48, stride=2)
        self.conv3 = ActivatedConv2d.rectified(48, 96, stride=2)
        self.fuse = nn.Conv2d(96 + joint_channels, channels, 1)
        self.block = ResBlock(channels, channels)

    def forward(self, image: Tensor, joint: Tensor, planes: Tensor) -> Tensor:
        """(B, 3, H, W), (B, C, H/8, W/8), (B*K, 2, H, W) → (B*K, channels, H/8, W/8)."""
        x = joint_conv(self.conv1, planes, image, frame_first=True)
        x = self.conv3(self.conv2(x.relu_()))
        return self.block(joint_conv(self.fuse, x, joint))


class Decoder(nn.Module):
    """Readout and thin query feature at stride 8 to log-odds at stride 2, with skips from the trunk."""

    def __init__(self, value_channels: int, thin_channels: int, skips: tuple[int, ...]) -> None:
        super().__init__()
        c2, c4 = skips[:2]
        self.compress = JointResBlock(value_channels, thin_channels, 96)
        self.reduce4 = nn.Conv2d(96, 64, 1)
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
        x = self.refine4(add_frame(x, self.skip4(f4)))
        x = F.interpolate(self.reduce2(x), scale_factor=2.0, mode="bilinear")
        x = add_frame(x, self.skip2(f2)).relu_()
        x = self.refine2(x).add_(x).relu_()
        return self.pred(x)
